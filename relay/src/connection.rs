//! What a relay knows of one connection.

use std::net::IpAddr;
use std::time::Duration;

use ties_sealed_log::{MailboxId, Pseudonym};
use ties_sync::{ExpectAuth, Session};

use crate::limits::{Limits, Pace};
use crate::room::RoomName;

/// Names a connection for as long as the relay lives; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One connection: who is behind it and what it is about.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stage: Stage,
    /// When something last came from it.
    pub(crate) heard: Duration,
    pub(crate) pace: Pace,
    /// Access statements that it brought outside a session.
    pub(crate) learned: usize,
    /// The mailbox it is at.
    pub(crate) visit: Option<(MailboxId, Session)>,
    /// Where it meets another device that it may know no mailbox in common with.
    pub(crate) place: Option<Place>,
    /// The address it came from, if it is not a proxy's.
    pub(crate) from: Option<IpAddr>,
}

/// Where two devices meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a room that both have the name of.
    Room(RoomName),
    /// Under a number, until they agree on a room.
    Nameplate(u32),
}

/// How far the proof of a key has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Nobody has proved anything; a proof is expected once, and soon.
    Stranger { expected: Option<ExpectAuth>, until: Duration },
    /// This pseudonym is at the other end.
    Proven(Pseudonym),
}

impl Connection {
    pub(crate) fn new(expected: ExpectAuth, until: Duration, from: Option<IpAddr>, now: Duration) -> Self {
        let stage = Stage::Stranger { expected: Some(expected), until };
        Self { stage, heard: now, pace: Pace::default(), learned: 0, visit: None, place: None, from }
    }

    pub(crate) fn pseudonym(&self) -> Option<Pseudonym> {
        match self.stage {
            Stage::Proven(pseudonym) => Some(pseudonym),
            Stage::Stranger { .. } => None,
        }
    }

    /// When something must have happened on it.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Duration> {
        match (&self.stage, &self.visit, &self.place) {
            (Stage::Stranger { until, .. }, _, _) => Some(*until),
            (Stage::Proven(_), Some((_, session)), _) => session.deadline(),
            (Stage::Proven(_), None, Some(_)) => None,
            (Stage::Proven(_), None, None) => Some(self.heard + limits.idle_for),
        }
    }
}
