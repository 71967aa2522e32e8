//! The relay itself, without sockets, disk, clock or randomness of its own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use rand_core::CryptoRng;
use ties_net::ClosingReason;
use ties_sealed_log::{MailboxId, Pseudonym, RelayKey, RelaySecret};
use ties_sync::{Channel, Event, ExpectAuth, MAX_FRAME, Message, Refusal, Session, SessionError};

use crate::connection::{Connection, ConnectionId, Place, Stage};
use crate::counts::{Census, Counts};
use crate::limits::Limits;
use crate::mailbox::{Mailbox, Visit};
use crate::nameplate::Nameplates;
use crate::origin::Makers;
use crate::room::Rooms;
use crate::storage::Storage;

/// What happened on a connection.
#[derive(Debug)]
pub enum Input {
    /// It is up, and has some seconds from `since` on to prove a key.
    Opened {
        /// What both ends know of it.
        channel: Channel,
        /// When it was dialed.
        since: Duration,
        /// The address it came from, if that is not a proxy's.
        from: Option<IpAddr>,
    },
    /// A frame came.
    Frame(Vec<u8>),
    /// It is no more.
    Closed,
}

/// What to do on a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a frame.
    Send(ConnectionId, Vec<u8>),
    /// It has proved that it is this pseudonym.
    Proven(ConnectionId, Pseudonym),
    /// It asks too fast: read nothing from it for this long.
    Pause(ConnectionId, Duration),
    /// End it, after what was to be sent.
    Close(ConnectionId, ClosingReason),
}

/// A relay: mailboxes that stay, rooms that pass, and who is connected.
///
/// Its host collects a batch of inputs, gives each to [`Relay::handle`] and ends the batch with [`Relay::finish`], all
/// within one transaction of the storage. What these return must be done only after that transaction is durable: every
/// acknowledgement is then true, and many devices share one flush of the disk. [`Relay::deadline`] says when to call
/// [`Relay::tick`]. After an error of the storage the relay is of no more use.
#[derive(Debug)]
pub struct Relay {
    pub(crate) identity: Identity,
    pub(crate) limits: Limits,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    /// The mailboxes that somebody is at.
    pub(crate) mailboxes: BTreeMap<MailboxId, Mailbox>,
    pub(crate) rooms: Rooms,
    pub(crate) nameplates: Nameplates,
    pub(crate) makers: Makers,
    counts: Counts,
}

/// Who a relay is and whom it serves.
pub struct Identity {
    /// Its key.
    pub secret: RelaySecret,
    /// Names its store: devices see from it that a relay was wiped.
    pub store: [u8; 16],
    /// Whether anybody may make a mailbox; else it takes an invite token.
    pub open: bool,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("key", &self.secret.id()).field("open", &self.open).finish_non_exhaustive()
    }
}

/// One call: when it is, what it may write to, and what comes of it.
pub(crate) struct Turn<'a, S> {
    pub(crate) now: Duration,
    pub(crate) storage: &'a mut S,
    out: Vec<Output>,
}

impl<'a, S> Turn<'a, S> {
    fn new(now: Duration, storage: &'a mut S) -> Self {
        Self { now, storage, out: Vec::new() }
    }

    pub(crate) fn send(&mut self, to: ConnectionId, message: &Message) {
        self.out.push(Output::Send(to, message.encode()));
    }

    fn forward(&mut self, to: ConnectionId, outputs: Vec<ties_sync::Output>) {
        self.out.extend(outputs.into_iter().filter_map(|output| match output {
            ties_sync::Output::Send(frame) => Some(Output::Send(to, frame)),
            // What a relay holds and what it lacks are the devices' business.
            ties_sync::Output::Event(_) => None,
        }));
    }
}

impl Relay {
    /// A relay to which nobody is connected.
    #[must_use]
    pub fn new(identity: Identity, limits: Limits) -> Self {
        Self {
            identity,
            limits,
            connections: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            rooms: Rooms::default(),
            nameplates: Nameplates::default(),
            makers: Makers::default(),
            counts: Counts::default(),
        }
    }

    /// The relay's public key.
    #[must_use]
    pub fn key(&self) -> RelayKey {
        self.identity.secret.id()
    }

    /// What was counted since it began.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How things stand.
    #[must_use]
    pub fn census(&self) -> Census {
        let strangers = self.connections.values().filter(|connection| connection.pseudonym().is_none());
        let sessions = self.connections.values().filter(|connection| connection.visit.is_some());
        Census {
            connections: self.connections.len(),
            strangers: strangers.count(),
            sessions: sessions.count(),
            mailboxes: self.mailboxes.len(),
        }
    }

    /// Takes what happened on a connection. `now` is the time since 1970, on a clock that never goes back.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn handle<S: Storage>(
        &mut self,
        now: Duration,
        id: ConnectionId,
        input: Input,
        storage: &mut S,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Output>, S::Error> {
        let mut turn = Turn::new(now, storage);
        match input {
            Input::Opened { channel, since, from } => {
                let max_frame = u32::try_from(MAX_FRAME).unwrap_or(u32::MAX);
                let Identity { secret, store, .. } = &self.identity;
                let (expected, hello) = ExpectAuth::hello(secret, *store, max_frame, channel, rng);
                let until = since + self.limits.proof_within;
                self.connections.insert(id, Connection::new(expected, until, from, now));
                turn.out.push(Output::Send(id, hello));
            }
            Input::Frame(frame) => self.receive(id, &frame, &mut turn, rng)?,
            Input::Closed => drop(self.detach(id, &mut turn)),
        }
        self.counts.note(&turn.out);
        Ok(turn.out)
    }

    /// Ends a batch: tells everybody who is at a mailbox what changed there.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn finish<S: Storage>(&mut self, now: Duration, storage: &mut S) -> Result<Vec<Output>, S::Error> {
        let mut present = Vec::new();
        for mailbox in self.mailboxes.values_mut().filter(|mailbox| mailbox.changed) {
            mailbox.reconsider_floors(storage, &self.limits)?;
            mailbox.changed = false;
            present.extend(mailbox.connections.iter().map(|connection| (mailbox.id(), *connection)));
        }
        let mut turn = Turn::new(now, storage);
        for (mailbox, connection) in present {
            if self.is_still_admitted(connection, &mailbox) {
                self.converse(connection, ties_sync::Input::Changed, &mut turn)?;
            } else {
                turn.send(connection, &Message::Sorry(Refusal::NotPermitted));
                self.close(connection, ClosingReason::Refused, &mut turn);
            }
        }
        self.mailboxes.retain(|_, mailbox| !mailbox.connections.is_empty());
        self.counts.note(&turn.out);
        Ok(turn.out)
    }

    /// Does what is due by `now`.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn tick<S: Storage>(&mut self, now: Duration, storage: &mut S) -> Result<Vec<Output>, S::Error> {
        let mut turn = Turn::new(now, storage);
        for id in self.rooms.expire(now) {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.place = None;
                connection.heard = now;
            }
        }
        for id in self.nameplates.expire(now) {
            self.stand_alone(id, &mut turn);
        }
        let is_due = |connection: &Connection| connection.deadline(&self.limits).is_some_and(|due| due <= now);
        let due = self.connections.iter().filter(|(_, connection)| is_due(connection)).map(|(id, _)| *id);
        for id in due.collect::<Vec<_>>() {
            match self.connections.get(&id) {
                Some(Connection { stage: Stage::Stranger { .. }, .. }) => {
                    self.close(id, ClosingReason::Refused, &mut turn);
                }
                Some(Connection { visit: Some(_), .. }) => self.converse(id, ties_sync::Input::Tick, &mut turn)?,
                _ => self.close(id, ClosingReason::Done, &mut turn),
            }
        }
        self.counts.note(&turn.out);
        Ok(turn.out)
    }

    /// When to call [`Relay::tick`].
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let connections = self.connections.values().filter_map(|connection| connection.deadline(&self.limits));
        connections.chain(self.rooms.deadline()).chain(self.nameplates.deadline()).min()
    }

    fn receive<S: Storage>(
        &mut self,
        id: ConnectionId,
        frame: &[u8],
        turn: &mut Turn<'_, S>,
        rng: &mut impl CryptoRng,
    ) -> Result<(), S::Error> {
        // Frames of a connection that was closed may still be on their way.
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        connection.heard = turn.now;
        let expected = match &mut connection.stage {
            Stage::Stranger { expected, .. } => expected.take(),
            Stage::Proven(pseudonym) => {
                let pseudonym = *pseudonym;
                return self.answer(id, pseudonym, frame, turn, rng);
            }
        };
        match expected.map(|expected| expected.handle(frame, &self.identity.secret)) {
            Some(Ok((pseudonym, welcome))) => {
                connection.stage = Stage::Proven(pseudonym);
                turn.out.push(Output::Proven(id, pseudonym));
                turn.out.push(Output::Send(id, welcome));
                self.make_room_for(pseudonym, turn);
            }
            _ => self.close(id, ClosingReason::Refused, turn),
        }
        Ok(())
    }

    /// A device that lost its link dials again before the old connection is known to be dead, so the oldest goes.
    fn make_room_for<S>(&mut self, pseudonym: Pseudonym, turn: &mut Turn<'_, S>) {
        let is_its = |connection: &Connection| connection.pseudonym() == Some(pseudonym);
        let its = self.connections.iter().filter(|(_, connection)| is_its(connection)).map(|(id, _)| *id);
        let its: Vec<ConnectionId> = its.collect();
        let excess = its.len().saturating_sub(self.limits.sockets_per_key);
        for oldest in its.into_iter().take(excess) {
            self.close(oldest, ClosingReason::Busy, turn);
        }
    }

    fn answer<S: Storage>(
        &mut self,
        id: ConnectionId,
        pseudonym: Pseudonym,
        frame: &[u8],
        turn: &mut Turn<'_, S>,
        rng: &mut impl CryptoRng,
    ) -> Result<(), S::Error> {
        let (Ok(message), Some(connection)) = (Message::decode(frame), self.connections.get_mut(&id)) else {
            self.close(id, ClosingReason::Refused, turn);
            return Ok(());
        };
        let is_request = !matches!(message, Message::Entries(_) | Message::Chunks(_) | Message::Ack { .. });
        if let Some(wait) = is_request.then(|| connection.pace.count(turn.now, &self.limits)).flatten() {
            turn.out.push(Output::Pause(id, wait));
        }
        let visiting = connection.visit.is_some();
        match message {
            Message::Create { statement, token } => self.create(id, &statement, token, turn)?,
            Message::Which => {
                let mut mailboxes = turn.storage.mailboxes_of(&pseudonym)?;
                // The recovery key stands on lists by its mark alone, until it is used.
                let mark = Pseudonym(pseudonym.recovery_mark(&self.identity.secret.id()));
                mailboxes.extend(turn.storage.mailboxes_of(&mark)?);
                mailboxes.sort_unstable();
                mailboxes.dedup();
                turn.send(id, &Message::Mailboxes(mailboxes));
            }
            Message::Meet { room } => self.meet(id, pseudonym, room, turn),
            Message::Reserve => self.reserve(id, pseudonym, turn, rng)?,
            Message::Claim { number } => self.claim(id, number, turn),
            Message::Pass(message) => self.pass(id, pseudonym, message.into_vec(), turn),
            Message::Access(statements) if !visiting => {
                // Each costs a signature's check, and nobody has shown that it may.
                connection.learned = connection.learned.saturating_add(statements.len());
                if connection.learned > self.limits.statements {
                    turn.send(id, &Message::Sorry(Refusal::Busy));
                    self.close(id, ClosingReason::Busy, turn);
                    return Ok(());
                }
                for statement in &statements {
                    self.learn(statement, turn)?;
                }
            }
            Message::Open { subject, .. } if !visiting => self.open(id, MailboxId(subject), frame, turn)?,
            _ if visiting => self.converse(id, ties_sync::Input::Frame(frame), turn)?,
            _ => self.close(id, ClosingReason::Refused, turn),
        }
        Ok(())
    }

    fn open<S: Storage>(
        &mut self,
        id: ConnectionId,
        subject: MailboxId,
        frame: &[u8],
        turn: &mut Turn<'_, S>,
    ) -> Result<(), S::Error> {
        self.load(subject, turn.storage)?;
        let Some(mailbox) = self.mailboxes.get_mut(&subject) else {
            turn.send(id, &Message::Sorry(Refusal::NoMailbox));
            return Ok(());
        };
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let Some(pseudonym) = connection.pseudonym() else { return Ok(()) };
        if !mailbox.admits(&pseudonym, &self.identity.secret.id()) {
            let reason = mailbox.why_not(&pseudonym, &self.limits);
            turn.send(id, &Message::Sorry(reason));
            return Ok(());
        }
        mailbox.connections.insert(id);
        let mut session = Session::new(subject.0);
        let started = session.start(turn.now, &Visit::new(mailbox, turn.storage, &self.limits, pseudonym));
        connection.visit = Some((subject, session));
        self.settle(id, started, turn)?;
        self.converse(id, ties_sync::Input::Frame(frame), turn)
    }

    /// Brings a mailbox to memory, if there is one.
    pub(crate) fn load<S: Storage>(&mut self, id: MailboxId, storage: &S) -> Result<(), S::Error> {
        if !self.mailboxes.contains_key(&id)
            && let Some(mailbox) = Mailbox::load(&id, storage)?
        {
            self.mailboxes.insert(id, mailbox);
        }
        Ok(())
    }

    /// Gives a session what happened.
    fn converse<S: Storage>(
        &mut self,
        id: ConnectionId,
        input: ties_sync::Input<'_>,
        turn: &mut Turn<'_, S>,
    ) -> Result<(), S::Error> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let (Some(pseudonym), Some((mailbox, session))) = (connection.pseudonym(), &mut connection.visit) else {
            return Ok(());
        };
        let Some(mailbox) = self.mailboxes.get_mut(mailbox) else { return Ok(()) };
        let mut visit = Visit::new(mailbox, turn.storage, &self.limits, pseudonym);
        let outcome = session.handle(turn.now, input, &mut visit);
        self.settle(id, outcome, turn)
    }

    /// Does what a session said, or ends what it ended.
    fn settle<S: Storage>(
        &mut self,
        id: ConnectionId,
        outcome: Result<Vec<ties_sync::Output>, SessionError<S::Error>>,
        turn: &mut Turn<'_, S>,
    ) -> Result<(), S::Error> {
        match outcome {
            Ok(outputs) => {
                for output in &outputs {
                    if let ties_sync::Output::Event(Event::Received { entries, bytes }) = output {
                        self.counts.entries_stored += *entries as u64;
                        self.counts.entry_bytes_stored += *bytes as u64;
                    }
                }
                turn.forward(id, outputs);
            }
            Err(SessionError::Storage(error)) => return Err(error),
            Err(SessionError::Refused(reason)) => {
                turn.send(id, &Message::Sorry(reason));
                self.close(id, ClosingReason::Done, turn);
            }
            Err(SessionError::Stalled) => self.close(id, ClosingReason::Done, turn),
            Err(SessionError::Peer(_)) => self.close(id, ClosingReason::Refused, turn),
        }
        Ok(())
    }

    fn is_still_admitted(&self, id: ConnectionId, mailbox: &MailboxId) -> bool {
        let pseudonym = self.connections.get(&id).and_then(Connection::pseudonym);
        let mailbox = self.mailboxes.get(mailbox);
        pseudonym.zip(mailbox).is_some_and(|(pseudonym, mailbox)| mailbox.admits(&pseudonym, &self.key()))
    }

    fn close<S>(&mut self, id: ConnectionId, reason: ClosingReason, turn: &mut Turn<'_, S>) {
        if self.detach(id, turn).is_some() {
            turn.out.push(Output::Close(id, reason));
        }
    }

    fn detach<S>(&mut self, id: ConnectionId, turn: &mut Turn<'_, S>) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        match connection.place {
            Some(Place::Room(room)) => self.rooms.leave(&room, id),
            Some(Place::Nameplate(number)) => {
                if let Some(other) = self.nameplates.leave(number, id) {
                    self.stand_alone(other, turn);
                }
            }
            None => {}
        }
        if let Some(mailbox) = connection.visit.as_ref().and_then(|(mailbox, _)| self.mailboxes.get_mut(mailbox)) {
            mailbox.connections.remove(&id);
        }
        Some(connection)
    }
}
