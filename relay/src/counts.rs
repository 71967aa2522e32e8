//! What a relay counts. Nothing here names a device, a mailbox or an address.

use std::collections::BTreeMap;

use ties_net::ClosingReason;
use ties_sync::{Message, Refusal, entries_in};

use crate::relay::Output;

/// Counts since the relay began.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Connections that proved a key.
    pub proven: u64,
    /// Entries that were new and were stored.
    pub entries_stored: u64,
    /// Their bytes.
    pub entry_bytes_stored: u64,
    /// Entries that were sent to devices.
    pub entries_delivered: u64,
    /// Refusals, by reason.
    pub refusals: BTreeMap<Refusal, u64>,
    /// Connections that the relay closed, by reason.
    pub closed: BTreeMap<&'static str, u64>,
}

/// How things stand at a moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Census {
    /// Connections.
    pub connections: usize,
    /// Those of them that have proved no key yet.
    pub strangers: usize,
    /// Those that are in a session.
    pub sessions: usize,
    /// Mailboxes that somebody is at.
    pub mailboxes: usize,
}

impl Counts {
    pub(crate) fn note(&mut self, outputs: &[Output]) {
        for output in outputs {
            match output {
                Output::Send(_, frame) => self.note_frame(frame),
                Output::Proven(..) => self.proven += 1,
                Output::Close(_, reason) => *self.closed.entry(word(*reason)).or_default() += 1,
                Output::Pause(..) => {}
            }
        }
    }

    fn note_frame(&mut self, frame: &[u8]) {
        self.entries_delivered += entries_in(frame) as u64;
        // A refusal is a short frame; longer ones are not read twice for it.
        if frame.len() < 64
            && let Ok(Message::Refused { reason, .. } | Message::Sorry(reason)) = Message::decode(frame)
        {
            *self.refusals.entry(reason).or_default() += 1;
        }
    }
}

fn word(reason: ClosingReason) -> &'static str {
    match reason {
        ClosingReason::Done => "done",
        ClosingReason::GoingAway => "going-away",
        ClosingReason::Refused => "refused",
        ClosingReason::Busy => "busy",
    }
}
