//! One session with another device, over this device's database: durable first, then said.

use std::time::Duration;

use ties_net::PeerKey;
use ties_sync::{Event, Input, Message, Output, Refusal, Session};

use crate::absorb::absorb_warily;
use crate::attempts::Attempts;
use crate::checkpoint::load_offered;
use crate::conversation::{ConversationError, News, Turn};
use crate::direct::standing::{Known, known};
use crate::records::Fault;
use crate::replica::DeviceReplica;
use crate::space::Space;

/// A session with the device behind a key. It owns no socket and no clock, so a simulation can carry its frames.
///
/// A member is given what it lacks. Whoever is not known as one is given nothing until what it brought makes it one; and
/// a member that turns out to be removed is given nothing more.
#[derive(Debug)]
pub struct PeerConversation {
    space: Space,
    peer: PeerKey,
    session: Session,
    /// The other side is not known to belong.
    holding_back: bool,
    /// A log was not taken, here or there, because no key opened its beginning: what came beside it may bring that key.
    left_out: bool,
}

impl PeerConversation {
    /// Prepares a conversation. `subject` is what both ends of the link agree on.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn new(space: &Space, peer: PeerKey, subject: [u8; 32]) -> Result<Self, Fault> {
        let holding_back = !matches!(known(&space.snapshot()?, &peer)?, Known::Member(..));
        let session = Session::new(subject);
        let session = if holding_back { session.holding_back() } else { session };
        Ok(Self { space: space.clone(), peer, session, holding_back, left_out: false })
    }

    /// The first frame. `now` is any steady clock.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn start(&mut self, now: Duration) -> Result<Turn, ConversationError> {
        let replica = this_device(&self.space, self.holding_back)?;
        let outputs = self.session.start(now, &replica)?;
        Ok(self.turn(outputs))
    }

    /// Takes what happened, all of it in one transaction; what comes back may be sent at once.
    ///
    /// # Errors
    /// Any error ends the conversation. Nothing may be sent after it but what [`Self::farewell`] gives.
    pub fn handle(&mut self, now: Duration, inputs: &[Input<'_>]) -> Result<Turn, ConversationError> {
        let inner = &self.space.inner;
        let mut replica = this_device(&self.space, self.holding_back)?;
        let mut outputs = Vec::new();
        for input in inputs {
            outputs.extend(self.session.handle(now, *input, &mut replica)?);
        }
        let (transaction, fresh) = replica.finish();
        let learnt = !fresh.is_empty() || inputs.iter().any(|input| matches!(input, Input::Changed));
        if let Some(mut transaction) = transaction {
            let mut attempts = Attempts::in_folder(inner.folder.as_deref());
            if !fresh.is_empty() {
                absorb_warily(&mut transaction, &*inner.projection, fresh, &mut attempts)?;
                attempts.rest();
            }
            transaction.commit().map_err(Fault::from)?;
            inner.arrived(attempts.finish());
            inner.committed();
        }
        let loaded = load_offered(&self.space, &outputs)?;
        if loaded {
            let mut replica = this_device(&self.space, self.holding_back)?;
            outputs.extend(self.session.handle(now, Input::Changed, &mut replica)?);
            if let (Some(transaction), _) = replica.finish() {
                transaction.commit().map_err(Fault::from)?;
            }
        }
        if learnt || loaded {
            self.look_again(now, &mut outputs)?;
        }
        Ok(self.turn(outputs))
    }

    /// Whether what is known now makes the other side a member, or none any more.
    fn look_again(&mut self, now: Duration, outputs: &mut Vec<Output>) -> Result<(), ConversationError> {
        match (known(&self.space.snapshot()?, &self.peer)?, self.holding_back) {
            (Known::Member(..), true) => {
                self.holding_back = false;
                self.session.release();
                let mut replica = this_device(&self.space, self.holding_back)?;
                outputs.extend(self.session.handle(now, Input::Changed, &mut replica)?);
                Ok(())
            }
            (Known::Member(..), false) | (Known::Nothing, true) => Ok(()),
            // What was to be sent is not: `outputs` go with the error.
            (Known::Removed(_, name, _), _) => Err(ConversationError::Outsider(name)),
            (Known::Nothing, false) => Err(ConversationError::Outsider("the other device".to_owned())),
        }
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

    /// Whether the other side is not known to belong, and so is given nothing.
    #[must_use]
    pub fn is_holding_back(&self) -> bool {
        self.holding_back
    }

    /// Whether another session may bring what this one left out.
    #[must_use]
    pub fn left_something_out(&self) -> bool {
        self.left_out
    }

    /// What to say to a side that does not belong, before the link ends.
    #[must_use]
    pub fn farewell() -> Vec<u8> {
        Message::Sorry(Refusal::NotPermitted).encode()
    }

    fn turn(&mut self, outputs: Vec<Output>) -> Turn {
        let mut turn = Turn::default();
        for output in outputs {
            match output {
                Output::Send(frame) => turn.frames.push(frame),
                Output::Event(Event::Acknowledged { entries, .. }) => turn.news.push(News::Acknowledged { entries }),
                Output::Event(Event::Received { entries, bytes }) => turn.news.push(News::Received { entries, bytes }),
                Output::Event(Event::Settled) => turn.news.push(News::Settled),
                Output::Event(
                    Event::Refused { reason: Refusal::NotOpened, .. }
                    | Event::Declined { reason: Refusal::NotOpened, .. },
                ) => self.left_out = true,
                Output::Event(Event::Refused { log, reason }) => turn.news.push(News::Refused { log, reason }),
                Output::Event(
                    Event::Declined { .. }
                    | Event::Staged { .. }
                    | Event::Checkpoint { .. }
                    | Event::FloorDeclined { .. }
                    | Event::FloorRefused { .. },
                ) => {}
                Output::Event(Event::Forked { log }) => turn.news.push(News::Forked { log }),
            }
        }
        turn
    }
}

/// This device, as a session with another one sees it.
fn this_device(space: &Space, holding_back: bool) -> Result<DeviceReplica<'_>, Fault> {
    let replica = DeviceReplica::without_relay(&space.inner.store)?.at(space.now());
    Ok(if holding_back { replica.without_trust() } else { replica })
}
