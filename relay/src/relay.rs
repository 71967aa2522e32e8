//! The relay itself, without sockets, disk, clock or randomness of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_core::CryptoRng;
use ties_net::ClosingReason;
use ties_sealed_log::{AccessStatement, MailboxId, Pseudonym, RelayKey, RelaySecret};
use ties_sync::{Channel, ExpectAuth, MAX_FRAME, Message, Refusal, Session, SessionError};

use crate::limits::{Limits, Pace};
use crate::mailbox::{Mailbox, Visit, refusal};
use crate::room::{RoomName, Rooms};
use crate::storage::Storage;
use crate::token::InviteToken;

/// Names a connection for as long as the relay lives; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What happened on a connection.
#[derive(Debug)]
pub enum Input {
    /// It is up, and `since` then its owner may take to prove a key.
    Opened {
        /// What both ends know of it.
        channel: Channel,
        /// When it was dialed.
        since: Duration,
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
    identity: Identity,
    limits: Limits,
    connections: BTreeMap<ConnectionId, Connection>,
    mailboxes: BTreeMap<MailboxId, Mailbox>,
    rooms: Rooms,
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

#[derive(Debug)]
struct Connection {
    stage: Stage,
    heard: Duration,
    pace: Pace,
    visit: Option<(MailboxId, Session)>,
    room: Option<RoomName>,
}

#[derive(Debug)]
enum Stage {
    Stranger { expected: Option<ExpectAuth>, until: Duration },
    Proven(Pseudonym),
}

impl Relay {
    /// A relay to which nobody is connected.
    #[must_use]
    pub fn new(identity: Identity, limits: Limits) -> Self {
        Self { identity, limits, connections: BTreeMap::new(), mailboxes: BTreeMap::new(), rooms: Rooms::default() }
    }

    /// The relay's public key.
    #[must_use]
    pub fn key(&self) -> RelayKey {
        self.identity.secret.id()
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
        let mut out = Vec::new();
        match input {
            Input::Opened { channel, since } => self.greet(now, id, channel, since, rng, &mut out),
            Input::Frame(frame) => self.receive(now, id, &frame, storage, &mut out)?,
            Input::Closed => drop(self.detach(id)),
        }
        Ok(out)
    }

    /// Ends a batch: tells everybody who is at a mailbox what changed there.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn finish<S: Storage>(&mut self, now: Duration, storage: &mut S) -> Result<Vec<Output>, S::Error> {
        let mut out = Vec::new();
        for id in self.take_changed() {
            let present: Vec<ConnectionId> =
                self.mailboxes.get(&id).into_iter().flat_map(|mailbox| mailbox.connections.iter().copied()).collect();
            for connection in present {
                if self.is_still_admitted(connection, &id) {
                    self.converse(now, connection, ties_sync::Input::Changed, storage, &mut out)?;
                } else {
                    send(connection, &Message::Sorry(Refusal::NotPermitted), &mut out);
                    self.close(connection, ClosingReason::Refused, &mut out);
                }
            }
        }
        self.mailboxes.retain(|_, mailbox| !mailbox.connections.is_empty());
        Ok(out)
    }

    /// Does what is due by `now`.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn tick<S: Storage>(&mut self, now: Duration, storage: &mut S) -> Result<Vec<Output>, S::Error> {
        let mut out = Vec::new();
        for id in self.rooms.expire(now) {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.room = None;
                connection.heard = now;
            }
        }
        let due: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.deadline(&self.limits).is_some_and(|deadline| deadline <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            match self.connections.get(&id) {
                Some(Connection { stage: Stage::Stranger { .. }, .. }) => {
                    self.close(id, ClosingReason::Refused, &mut out);
                }
                Some(Connection { visit: Some(_), .. }) => {
                    self.converse(now, id, ties_sync::Input::Tick, storage, &mut out)?;
                }
                _ => self.close(id, ClosingReason::Done, &mut out),
            }
        }
        Ok(out)
    }

    /// When to call [`Relay::tick`].
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let connections = self.connections.values().filter_map(|connection| connection.deadline(&self.limits));
        connections.chain(self.rooms.deadline()).min()
    }

    fn greet(
        &mut self,
        now: Duration,
        id: ConnectionId,
        channel: Channel,
        since: Duration,
        rng: &mut impl CryptoRng,
        out: &mut Vec<Output>,
    ) {
        let max_frame = u32::try_from(MAX_FRAME).unwrap_or(u32::MAX);
        let (expected, hello) = ExpectAuth::hello(&self.identity.secret, self.identity.store, max_frame, channel, rng);
        let stage = Stage::Stranger { expected: Some(expected), until: since + self.limits.proof_within };
        let connection = Connection { stage, heard: now, pace: Pace::default(), visit: None, room: None };
        self.connections.insert(id, connection);
        out.push(Output::Send(id, hello));
    }

    fn receive<S: Storage>(
        &mut self,
        now: Duration,
        id: ConnectionId,
        frame: &[u8],
        storage: &mut S,
        out: &mut Vec<Output>,
    ) -> Result<(), S::Error> {
        // Frames of a connection that was closed may still be on their way.
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        connection.heard = now;
        match &mut connection.stage {
            Stage::Proven(pseudonym) => {
                let pseudonym = *pseudonym;
                self.answer(now, id, pseudonym, frame, storage, out)
            }
            Stage::Stranger { expected, .. } => {
                match expected.take().map(|expected| expected.handle(frame, &self.identity.secret)) {
                    Some(Ok((pseudonym, welcome))) => {
                        connection.stage = Stage::Proven(pseudonym);
                        out.push(Output::Proven(id, pseudonym));
                        out.push(Output::Send(id, welcome));
                        self.make_room_for(pseudonym, out);
                    }
                    _ => self.close(id, ClosingReason::Refused, out),
                }
                Ok(())
            }
        }
    }

    /// A device that lost its link dials again before the old connection is known to be dead, so the oldest goes.
    fn make_room_for(&mut self, pseudonym: Pseudonym, out: &mut Vec<Output>) {
        let is_its = |connection: &Connection| connection.pseudonym() == Some(pseudonym);
        let its = self.connections.iter().filter(|(_, connection)| is_its(connection)).map(|(id, _)| *id);
        let its: Vec<ConnectionId> = its.collect();
        let excess = its.len().saturating_sub(self.limits.sockets_per_key);
        for oldest in its.into_iter().take(excess) {
            self.close(oldest, ClosingReason::Busy, out);
        }
    }

    fn answer<S: Storage>(
        &mut self,
        now: Duration,
        id: ConnectionId,
        pseudonym: Pseudonym,
        frame: &[u8],
        storage: &mut S,
        out: &mut Vec<Output>,
    ) -> Result<(), S::Error> {
        let Ok(message) = Message::decode(frame) else {
            self.close(id, ClosingReason::Refused, out);
            return Ok(());
        };
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let is_request = !matches!(message, Message::Entries(_) | Message::Ack { .. });
        if let Some(wait) = is_request.then(|| connection.pace.count(now, &self.limits)).flatten() {
            out.push(Output::Pause(id, wait));
        }
        let visiting = connection.visit.is_some();
        match message {
            Message::Create { statement, token } => {
                let reply = match self.create(now, &statement, token, storage)? {
                    Ok(mailbox) => Message::Created { mailbox },
                    Err(reason) => Message::Sorry(reason),
                };
                send(id, &reply, out);
            }
            Message::Which => send(id, &Message::Mailboxes(storage.mailboxes_of(&pseudonym)?), out),
            Message::Meet { room } => self.meet(now, id, pseudonym, room, out),
            Message::Pass(message) => self.pass(id, pseudonym, message.into_vec(), out),
            Message::Access(statements) if !visiting => {
                for statement in &statements {
                    self.learn(statement, storage)?;
                }
            }
            Message::Open { subject, .. } if !visiting => {
                self.open(now, id, pseudonym, MailboxId(subject), frame, storage, out)?;
            }
            _ if visiting => self.converse(now, id, ties_sync::Input::Frame(frame), storage, out)?,
            _ => self.close(id, ClosingReason::Refused, out),
        }
        Ok(())
    }

    fn create<S: Storage>(
        &mut self,
        now: Duration,
        statement: &[u8],
        token: Option<[u8; 16]>,
        storage: &mut S,
    ) -> Result<Result<MailboxId, Refusal>, S::Error> {
        let first = match AccessStatement::verify(statement) {
            Ok(first) if first.body().mailbox.is_none() => first,
            Ok(_) => return Ok(Err(Refusal::Invalid)),
            Err(error) => return Ok(Err(refusal(error))),
        };
        let id = MailboxId(first.name().0);
        if self.mailboxes.contains_key(&id) || !storage.statements(&id)?.is_empty() {
            return Ok(Ok(id));
        }
        let mut spent = None;
        if !self.identity.open {
            let Some(token) = token else { return Ok(Err(Refusal::Token)) };
            let token = InviteToken::from_bytes(token).hash();
            let Some(rest) = storage.token(&token)?.and_then(|record| record.spend(now)) else {
                return Ok(Err(Refusal::Token));
            };
            spent = Some((token, rest));
        }
        if let Err(reason) = Mailbox::create(first, storage)? {
            return Ok(Err(reason));
        }
        if let Some((token, rest)) = spent {
            storage.put_token(&token, rest)?;
        }
        Ok(Ok(id))
    }

    /// Takes a statement from somebody who is at no mailbox: after a wipe, whoever makes a mailbox anew need not be on
    /// its first statement, and brings the later ones before it may open it.
    fn learn<S: Storage>(&mut self, statement: &[u8], storage: &mut S) -> Result<(), S::Error> {
        let Ok(statement) = AccessStatement::verify(statement) else { return Ok(()) };
        let Some(id) = statement.body().mailbox else { return Ok(()) };
        if self.load(id, storage)?
            && let Some(mailbox) = self.mailboxes.get_mut(&id)
        {
            // What is not valid is not kept; the opening that follows shows whether it was enough.
            let _ = mailbox.state(statement, storage, &self.limits)?;
        }
        Ok(())
    }

    fn meet(&mut self, now: Duration, id: ConnectionId, pseudonym: Pseudonym, room: RoomName, out: &mut Vec<Output>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Some(left) = connection.room.take() {
            self.rooms.leave(&left, id);
        }
        match self.rooms.enter(room, pseudonym, id, now, &self.limits) {
            Ok(unheard) => {
                connection.room = Some(room);
                unheard.into_iter().for_each(|message| send(id, &Message::Pass(message.into()), out));
            }
            Err(reason) => send(id, &Message::Sorry(reason), out),
        }
    }

    fn pass(&mut self, id: ConnectionId, pseudonym: Pseudonym, message: Vec<u8>, out: &mut Vec<Output>) {
        let room = self.connections.get(&id).and_then(|connection| connection.room);
        let passed = match room {
            Some(room) => self.rooms.pass(&room, &pseudonym, message, &self.limits),
            None => Err(Refusal::NotPermitted),
        };
        match passed {
            Ok(Some((to, message))) => send(to, &Message::Pass(message.into()), out),
            Ok(None) => {}
            Err(reason) => send(id, &Message::Sorry(reason), out),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are one call's context")]
    fn open<S: Storage>(
        &mut self,
        now: Duration,
        id: ConnectionId,
        pseudonym: Pseudonym,
        subject: MailboxId,
        frame: &[u8],
        storage: &mut S,
        out: &mut Vec<Output>,
    ) -> Result<(), S::Error> {
        self.load(subject, storage)?;
        let (Some(mailbox), Some(connection)) = (self.mailboxes.get_mut(&subject), self.connections.get_mut(&id))
        else {
            send(id, &Message::Sorry(Refusal::NoMailbox), out);
            return Ok(());
        };
        if !mailbox.admits(&pseudonym) {
            send(id, &Message::Sorry(Refusal::NotPermitted), out);
            return Ok(());
        }
        mailbox.connections.insert(id);
        let mut session = Session::new(subject.0);
        let visit = Visit::new(mailbox, storage, &self.limits, pseudonym);
        match session.start(now, &visit) {
            Ok(outputs) => forward(id, outputs, out),
            Err(SessionError::Storage(error)) => return Err(error),
            Err(_) => {}
        }
        connection.visit = Some((subject, session));
        self.converse(now, id, ties_sync::Input::Frame(frame), storage, out)
    }

    /// Brings a mailbox to memory; says whether there is one.
    fn load<S: Storage>(&mut self, id: MailboxId, storage: &S) -> Result<bool, S::Error> {
        if !self.mailboxes.contains_key(&id) {
            let Some(mailbox) = Mailbox::load(&id, storage)? else { return Ok(false) };
            self.mailboxes.insert(id, mailbox);
        }
        Ok(true)
    }

    fn converse<S: Storage>(
        &mut self,
        now: Duration,
        id: ConnectionId,
        input: ties_sync::Input<'_>,
        storage: &mut S,
        out: &mut Vec<Output>,
    ) -> Result<(), S::Error> {
        let Some(Connection { stage: Stage::Proven(pseudonym), visit: Some((mailbox, session)), .. }) =
            self.connections.get_mut(&id)
        else {
            return Ok(());
        };
        let Some(mailbox) = self.mailboxes.get_mut(mailbox) else { return Ok(()) };
        let mut visit = Visit::new(mailbox, storage, &self.limits, *pseudonym);
        match session.handle(now, input, &mut visit) {
            Ok(outputs) => forward(id, outputs, out),
            Err(SessionError::Storage(error)) => return Err(error),
            Err(SessionError::Refused(reason)) => {
                send(id, &Message::Sorry(reason), out);
                self.close(id, ClosingReason::Done, out);
            }
            Err(SessionError::Stalled) => self.close(id, ClosingReason::Done, out),
            Err(SessionError::Peer(_)) => self.close(id, ClosingReason::Refused, out),
        }
        Ok(())
    }

    fn take_changed(&mut self) -> Vec<MailboxId> {
        let mut changed = Vec::new();
        for mailbox in self.mailboxes.values_mut().filter(|mailbox| mailbox.changed) {
            mailbox.changed = false;
            changed.push(mailbox.id());
        }
        changed
    }

    fn is_still_admitted(&self, id: ConnectionId, mailbox: &MailboxId) -> bool {
        let pseudonym = self.connections.get(&id).and_then(Connection::pseudonym);
        let mailbox = self.mailboxes.get(mailbox);
        pseudonym.zip(mailbox).is_some_and(|(pseudonym, mailbox)| mailbox.admits(&pseudonym))
    }

    fn close(&mut self, id: ConnectionId, reason: ClosingReason, out: &mut Vec<Output>) {
        if self.detach(id).is_some() {
            out.push(Output::Close(id, reason));
        }
    }

    fn detach(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        if let Some(room) = &connection.room {
            self.rooms.leave(room, id);
        }
        if let Some(mailbox) = connection.visit.as_ref().and_then(|(mailbox, _)| self.mailboxes.get_mut(mailbox)) {
            mailbox.connections.remove(&id);
        }
        Some(connection)
    }
}

impl Connection {
    fn pseudonym(&self) -> Option<Pseudonym> {
        match self.stage {
            Stage::Proven(pseudonym) => Some(pseudonym),
            Stage::Stranger { .. } => None,
        }
    }

    fn deadline(&self, limits: &Limits) -> Option<Duration> {
        match (&self.stage, &self.visit, &self.room) {
            (Stage::Stranger { until, .. }, _, _) => Some(*until),
            (Stage::Proven(_), Some((_, session)), _) => session.deadline(),
            (Stage::Proven(_), None, Some(_)) => None,
            (Stage::Proven(_), None, None) => Some(self.heard + limits.idle_for),
        }
    }
}

fn send(to: ConnectionId, message: &Message, out: &mut Vec<Output>) {
    out.push(Output::Send(to, message.encode()));
}

fn forward(to: ConnectionId, outputs: Vec<ties_sync::Output>, out: &mut Vec<Output>) {
    out.extend(outputs.into_iter().filter_map(|output| match output {
        ties_sync::Output::Send(frame) => Some(Output::Send(to, frame)),
        // What a relay holds and what it lacks are the devices' business.
        ties_sync::Output::Event(_) => None,
    }));
}
