//! One session with one relay, over this device's database: durable first, then said.

use std::collections::BTreeMap;
use std::time::Duration;

use ties_sealed_log::{LogId, MailboxId, RelayKey, Tip, TipRecord};
use ties_store::{Read, StoreError};
use ties_sync::{Event, Input, Output, Refusal, Session, SessionError};

use crate::absorb::absorb_warily;
use crate::alerts::{AlertKind, Witness};
use crate::attempts::Attempts;
use crate::author::own_log;
use crate::checkpoint::load_offered;
use crate::records::Fault;
use crate::replica::DeviceReplica;
use crate::space::Space;

/// A session about one mailbox. It owns no socket and no clock, so a simulation can carry its frames.
#[derive(Debug)]
pub struct Conversation {
    space: Space,
    mailbox: MailboxId,
    relay: RelayKey,
    session: Session,
    acknowledged: BTreeMap<LogId, Tip>,
    refusal: Option<Refusal>,
    witness: Witness,
}

/// What came of a turn: frames to send, in order, and news.
#[derive(Debug, Default)]
pub struct Turn {
    /// Frames to send.
    pub frames: Vec<Vec<u8>>,
    /// News for whoever watches.
    pub news: Vec<News>,
}

/// What happened in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Entries came, were made durable, and as many as could be were applied.
    Received {
        /// How many.
        entries: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// The other side has entries of ours durably.
    Acknowledged {
        /// How many, since the last such news.
        entries: usize,
    },
    /// Both sides have the same.
    Settled,
    /// The other side takes nothing more of a log.
    Refused {
        /// The log.
        log: LogId,
        /// Why.
        reason: Refusal,
    },
    /// The relay did what an honest one does not.
    Alert(AlertKind),
    /// A log has two entries at one place: a device was copied or restored.
    Forked {
        /// The log.
        log: LogId,
    },
}

/// Why a conversation ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConversationError {
    /// The session.
    #[error(transparent)]
    Session(#[from] SessionError<StoreError>),
    /// The other device does not belong to the space, or does not any more.
    #[error("{0} does not belong to the network any more")]
    Outsider(String),
    /// This device's database.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Conversation {
    /// Prepares a conversation about a mailbox.
    #[must_use]
    pub fn new(space: &Space, mailbox: MailboxId, relay: RelayKey) -> Self {
        let session = Session::new(mailbox.0);
        Self {
            space: space.clone(),
            mailbox,
            relay,
            session,
            acknowledged: BTreeMap::new(),
            refusal: None,
            witness: Witness::default(),
        }
    }

    /// Tells which store the relay says it has: what it had confirmed under that name, it must have.
    #[must_use]
    pub fn at_store(mut self, store: [u8; 16]) -> Self {
        self.witness.store = Some(store);
        self
    }

    /// The first frame. `now` is any steady clock.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn start(&mut self, now: Duration) -> Result<Turn, ConversationError> {
        let replica = DeviceReplica::new(&self.space.inner.store, self.mailbox, self.relay)?;
        let outputs = self.session.start(now, &replica)?;
        Ok(self.turn(outputs))
    }

    /// Takes what happened, all of it in one transaction; what comes back may be sent at once.
    ///
    /// # Errors
    /// Any error ends the conversation. Nothing of this call is kept then, and nothing of it was acknowledged.
    pub fn handle(&mut self, now: Duration, inputs: &[Input<'_>]) -> Result<Turn, ConversationError> {
        let taken = self.take(now, inputs);
        if let Err(error) = &taken {
            let finding = self.witness.ended(&self.session, error);
            let inner = &self.space.inner;
            if self.witness.matters(&inner.store.read().map_err(Fault::from)?, &self.mailbox, &finding)? {
                let mut transaction = inner.store.write().map_err(Fault::from)?;
                self.witness.write(&mut transaction, &self.mailbox, &finding, inner.now())?;
                transaction.commit().map_err(Fault::from)?;
            }
        }
        taken
    }

    fn take(&mut self, now: Duration, inputs: &[Input<'_>]) -> Result<Turn, ConversationError> {
        let inner = &self.space.inner;
        let mut replica = DeviceReplica::new(&inner.store, self.mailbox, self.relay)?.at(inner.now());
        let mut outputs = Vec::new();
        for input in inputs {
            outputs.extend(self.session.handle(now, *input, &mut replica)?);
        }
        let (mut transaction, fresh) = replica.finish();
        let mut attempts = Attempts::unmarked();
        if let Some(transaction) = &mut transaction
            && !fresh.is_empty()
        {
            attempts = Attempts::in_folder(inner.folder.as_deref());
            absorb_warily(transaction, &*inner.projection, fresh, &mut attempts)?;
            attempts.rest();
        }
        let mut raised = Vec::new();
        if self.witness.is_curious(&self.session, &outputs) {
            let snapshot = inner.store.read().map_err(Fault::from)?;
            let read: &dyn Read = match &transaction {
                Some(transaction) => transaction,
                None => &snapshot,
            };
            let finding = self.witness.look(read, &self.mailbox, &self.session, &outputs)?;
            if self.witness.matters(read, &self.mailbox, &finding)? {
                let mut writing = match transaction.take() {
                    Some(transaction) => transaction,
                    None => inner.store.write().map_err(Fault::from)?,
                };
                raised = self.witness.write(&mut writing, &self.mailbox, &finding, inner.now())?;
                transaction = Some(writing);
            }
        }
        if let Some(transaction) = transaction {
            transaction.commit().map_err(Fault::from)?;
            inner.arrived(attempts.finish());
            inner.committed();
        }
        if load_offered(&self.space, &outputs)? {
            let mut replica = DeviceReplica::new(&inner.store, self.mailbox, self.relay)?.at(inner.now());
            outputs.extend(self.session.handle(now, Input::Changed, &mut replica)?);
            if let (Some(transaction), _) = replica.finish() {
                transaction.commit().map_err(Fault::from)?;
            }
        }
        let mut turn = self.turn(outputs);
        turn.news.extend(raised.into_iter().map(News::Alert));
        Ok(turn)
    }

    /// When to call [`Self::handle`] with [`Input::Tick`], on the clock of `now`.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.session.deadline()
    }

    /// Whether both sides have the same, durably, as far as was said.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.session.is_settled()
    }

    /// Whether the other side has a tip, or will have it once what was sent arrives.
    pub(crate) fn reaches(&self, record: &TipRecord) -> bool {
        self.session.reaches(record)
    }

    /// What the other side was heard to have durably, of what this side sent.
    pub(crate) fn acknowledged(&self) -> impl Iterator<Item = TipRecord> + '_ {
        self.acknowledged.iter().map(|(log, tip)| TipRecord { log: *log, tip: *tip })
    }

    /// The logs of which the other side takes nothing more.
    pub(crate) fn refused(&self) -> impl Iterator<Item = LogId> + '_ {
        self.session.refused()
    }

    /// Why the other side took nothing more of a log, if it did so.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// Whether a log is one of this device's; where that cannot be read it is taken for one.
    fn is_own(&self, log: &LogId) -> bool {
        let read = self.space.inner.store.read().map_err(Fault::from);
        read.and_then(|snapshot| own_log(&snapshot, log)).map_or(true, |own| own.is_some())
    }

    fn turn(&mut self, outputs: Vec<Output>) -> Turn {
        let mut turn = Turn::default();
        for output in outputs {
            match output {
                Output::Send(frame) => turn.frames.push(frame),
                Output::Event(Event::Acknowledged { tips, entries }) => {
                    for TipRecord { log, tip } in tips {
                        let last = self.acknowledged.entry(log).or_insert(tip);
                        *last = tip.max(*last);
                    }
                    turn.news.push(News::Acknowledged { entries });
                }
                Output::Event(Event::Received { entries, bytes }) => turn.news.push(News::Received { entries, bytes }),
                Output::Event(Event::Settled) => turn.news.push(News::Settled),
                // A relay takes a log once its own device has opened it there; what others bring of it waits until then.
                Output::Event(Event::Refused { log, reason: Refusal::NotOpened }) if !self.is_own(&log) => {}
                Output::Event(Event::Refused { log, reason }) => {
                    // The first one says most: what follows may follow from it.
                    self.refusal.get_or_insert(reason);
                    turn.news.push(News::Refused { log, reason });
                }
                // The witness looks at what was not taken.
                Output::Event(Event::Declined { .. } | Event::Staged { .. }) => {}
                // What came of it stands on the shelf.
                Output::Event(Event::Checkpoint { .. } | Event::FloorDeclined { .. }) => {}
                Output::Event(Event::FloorRefused { reason, .. }) => {
                    tracing::warn!(%reason, "a relay does not take a checkpoint");
                }
                Output::Event(Event::Forked { log }) => turn.news.push(News::Forked { log }),
            }
        }
        turn
    }
}
