//! What a relay does beside syncing: it makes mailboxes, says which ones a key is on, and lets two devices meet.

use std::time::Duration;

use rand_core::CryptoRng;
use ties_sealed_log::{AccessStatement, MailboxId, Pseudonym};
use ties_sync::{Message, Refusal};

use crate::connection::{ConnectionId, Place};
use crate::mailbox::{Mailbox, refusal};
use crate::origin::Origin;
use crate::relay::{Relay, Turn};
use crate::room::RoomName;
use crate::storage::Storage;
use crate::token::{InviteToken, TokenHash};

impl Relay {
    pub(crate) fn create<S: Storage>(
        &mut self,
        id: ConnectionId,
        statement: &[u8],
        token: Option<[u8; 16]>,
        turn: &mut Turn<'_, S>,
    ) -> Result<(), S::Error> {
        let reply = match self.try_create(id, statement, token, turn)? {
            Ok(mailbox) => Message::Created { mailbox },
            Err(reason) => Message::Sorry(reason),
        };
        turn.send(id, &reply);
        Ok(())
    }

    fn try_create<S: Storage>(
        &mut self,
        connection: ConnectionId,
        statement: &[u8],
        token: Option<[u8; 16]>,
        turn: &mut Turn<'_, S>,
    ) -> Result<Result<MailboxId, Refusal>, S::Error> {
        let first = match AccessStatement::verify(statement) {
            Ok(first) if first.body().mailbox.is_none() => first,
            Ok(_) => return Ok(Err(Refusal::Invalid)),
            Err(error) => return Ok(Err(refusal(error))),
        };
        let id = MailboxId(first.name().0);
        if !turn.storage.statements(&id)?.is_empty() {
            return Ok(Ok(id));
        }
        match token.map(|bytes| InviteToken::from_bytes(bytes).hash()) {
            Some(token) if !self.identity.open || turn.storage.token(&token)?.is_some() => {
                Self::create_with_token(first, &token, turn)
            }
            _ if self.identity.open => self.create_openly(connection, first, turn),
            _ => Ok(Err(Refusal::Token)),
        }
    }

    fn create_with_token<S: Storage>(
        first: AccessStatement,
        token: &TokenHash,
        turn: &mut Turn<'_, S>,
    ) -> Result<Result<MailboxId, Refusal>, S::Error> {
        match turn.storage.token(token)? {
            None => return Ok(Err(Refusal::Token)),
            Some(record) if !record.is_good(turn.now) => return Ok(Err(Refusal::Spent)),
            Some(_) => {}
        }
        // Read once more when nobody else can write: the operator may be revoking it at this moment.
        turn.storage.hold()?;
        let Some(record) = turn.storage.token(token)? else { return Ok(Err(Refusal::Token)) };
        let quota = record.quota;
        let Some(rest) = record.spend(turn.now) else { return Ok(Err(Refusal::Spent)) };
        let created = Mailbox::create(first, turn.storage)?;
        if let Ok(mailbox) = &created {
            turn.storage.put_token(token, &rest)?;
            if let Some(quota) = quota {
                turn.storage.set_quota(&mailbox.id(), quota)?;
            }
        }
        Ok(created.map(|mailbox| mailbox.id()))
    }

    /// Makes a mailbox at a relay that asks for no token, so many for each key, ever, and for each address in a day.
    fn create_openly<S: Storage>(
        &mut self,
        connection: ConnectionId,
        first: AccessStatement,
        turn: &mut Turn<'_, S>,
    ) -> Result<Result<MailboxId, Refusal>, S::Error> {
        let Some(connection) = self.connections.get(&connection) else { return Ok(Err(Refusal::Busy)) };
        let Some(maker) = connection.pseudonym() else { return Ok(Err(Refusal::NotPermitted)) };
        let made = turn.storage.made_by(&maker)?;
        let origin = connection.from.map(Origin::from);
        let room = origin.is_none_or(|origin| self.makers.has_room(origin, turn.now, &self.limits));
        if made >= self.limits.mailboxes_per_key || !room {
            return Ok(Err(Refusal::Mailboxes));
        }
        let created = Mailbox::create(first, turn.storage)?;
        if created.is_ok() {
            turn.storage.set_made_by(&maker, made + 1)?;
            if let Some(origin) = origin {
                self.makers.count(origin, turn.now);
            }
        }
        Ok(created.map(|mailbox| mailbox.id()))
    }

    /// Takes a statement from somebody who is at no mailbox: after a wipe, whoever makes a mailbox anew need not be on
    /// its first statement, and brings the later ones before it may open it.
    pub(crate) fn learn<S: Storage>(&mut self, statement: &[u8], turn: &mut Turn<'_, S>) -> Result<(), S::Error> {
        let Ok(statement) = AccessStatement::verify(statement) else { return Ok(()) };
        let Some(id) = statement.body().mailbox else { return Ok(()) };
        self.load(id, turn.storage)?;
        if let Some(mailbox) = self.mailboxes.get_mut(&id) {
            // What is not valid is not kept; the opening that follows shows whether it was enough.
            let _ = mailbox.state(statement, turn.storage, &self.limits)?;
        }
        Ok(())
    }

    pub(crate) fn meet<S: Storage>(
        &mut self,
        id: ConnectionId,
        pseudonym: Pseudonym,
        room: RoomName,
        turn: &mut Turn<'_, S>,
    ) {
        self.go_away(id, turn.now);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match self.rooms.enter(room, pseudonym, id, turn.now, &self.limits) {
            Ok(unheard) => {
                connection.place = Some(Place::Room(room));
                unheard.into_iter().for_each(|message| turn.send(id, &Message::Pass(message.into())));
            }
            Err(reason) => turn.send(id, &Message::Sorry(reason)),
        }
    }

    /// Gives out a number under which one other device can be met. Only who is on some mailbox's list here gets one:
    /// a stranger has nobody to let in.
    pub(crate) fn reserve<S: Storage>(
        &mut self,
        id: ConnectionId,
        pseudonym: Pseudonym,
        turn: &mut Turn<'_, S>,
        rng: &mut impl CryptoRng,
    ) -> Result<(), S::Error> {
        let known = !turn.storage.mailboxes_of(&pseudonym)?.is_empty();
        self.go_away(id, turn.now);
        let number = match known {
            true => self.nameplates.reserve(id, turn.now, &self.limits, rng),
            false => Err(Refusal::NotPermitted),
        };
        match (number, self.connections.get_mut(&id)) {
            (Ok(number), Some(connection)) => {
                connection.place = Some(Place::Nameplate(number));
                turn.send(id, &Message::Nameplate { number });
            }
            (Err(reason), _) => turn.send(id, &Message::Sorry(reason)),
            (Ok(_), None) => {}
        }
        Ok(())
    }

    /// Brings a new device to the one that reserved a number; it may be anybody, who has no name here yet.
    pub(crate) fn claim<S: Storage>(&mut self, id: ConnectionId, number: u32, turn: &mut Turn<'_, S>) {
        self.go_away(id, turn.now);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match self.nameplates.claim(number, id, connection.from, turn.now, &self.limits) {
            Ok(()) => connection.place = Some(Place::Nameplate(number)),
            Err(reason) => turn.send(id, &Message::Sorry(reason)),
        }
    }

    /// Leaves where it is, for another place. Under a number the other one needs no word of it: the two part when they
    /// have agreed.
    fn go_away(&mut self, id: ConnectionId, now: Duration) {
        match self.connections.get_mut(&id).and_then(|connection| connection.place.take()) {
            Some(Place::Room(room)) => self.rooms.leave(&room, id),
            Some(Place::Nameplate(number)) => {
                let other = self.nameplates.leave(number, id);
                if let Some(other) = other.and_then(|other| self.connections.get_mut(&other)) {
                    other.place = None;
                    other.heard = now;
                }
            }
            None => {}
        }
    }

    /// Tells a connection that it is alone under its number, which is nobody's any more.
    pub(crate) fn stand_alone<S>(&mut self, id: ConnectionId, turn: &mut Turn<'_, S>) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.place = None;
            connection.heard = turn.now;
            turn.send(id, &Message::Left);
        }
    }

    pub(crate) fn pass<S: Storage>(
        &mut self,
        id: ConnectionId,
        pseudonym: Pseudonym,
        message: Vec<u8>,
        turn: &mut Turn<'_, S>,
    ) {
        let place = self.connections.get(&id).and_then(|connection| connection.place);
        let passed = match place {
            Some(Place::Room(room)) => self.rooms.pass(&room, &pseudonym, message, &self.limits),
            Some(Place::Nameplate(number)) => {
                self.nameplates.pass(number, id, message.len()).map(|to| Some((to, message)))
            }
            None => Err(Refusal::NotPermitted),
        };
        match passed {
            Ok(Some((to, message))) => turn.send(to, &Message::Pass(message.into())),
            Ok(None) => {}
            Err(reason) => turn.send(id, &Message::Sorry(reason)),
        }
    }
}
