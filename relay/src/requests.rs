//! What a relay does beside syncing: it makes mailboxes, says which ones a key is on, and lets two devices meet.

use ties_sealed_log::{AccessStatement, MailboxId, Pseudonym};
use ties_sync::{Message, Refusal};

use crate::connection::ConnectionId;
use crate::mailbox::{Mailbox, refusal};
use crate::relay::{Relay, Turn};
use crate::room::RoomName;
use crate::storage::Storage;
use crate::token::InviteToken;

impl Relay {
    pub(crate) fn create<S: Storage>(
        &mut self,
        id: ConnectionId,
        statement: &[u8],
        token: Option<[u8; 16]>,
        turn: &mut Turn<'_, S>,
    ) -> Result<(), S::Error> {
        let reply = match self.try_create(statement, token, turn)? {
            Ok(mailbox) => Message::Created { mailbox },
            Err(reason) => Message::Sorry(reason),
        };
        turn.send(id, &reply);
        Ok(())
    }

    fn try_create<S: Storage>(
        &mut self,
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
        if self.identity.open {
            return Ok(Mailbox::create(first, turn.storage)?.map(|_| id));
        }
        let Some(token) = token.map(|bytes| InviteToken::from_bytes(bytes).hash()) else {
            return Ok(Err(Refusal::Token));
        };
        let Some(rest) = turn.storage.token(&token)?.and_then(|record| record.spend(turn.now)) else {
            return Ok(Err(Refusal::Token));
        };
        let created = Mailbox::create(first, turn.storage)?;
        if created.is_ok() {
            turn.storage.put_token(&token, rest)?;
        }
        Ok(created.map(|_| id))
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
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Some(left) = connection.room.take() {
            self.rooms.leave(&left, id);
        }
        match self.rooms.enter(room, pseudonym, id, turn.now, &self.limits) {
            Ok(unheard) => {
                connection.room = Some(room);
                unheard.into_iter().for_each(|message| turn.send(id, &Message::Pass(message.into())));
            }
            Err(reason) => turn.send(id, &Message::Sorry(reason)),
        }
    }

    pub(crate) fn pass<S: Storage>(
        &mut self,
        id: ConnectionId,
        pseudonym: Pseudonym,
        message: Vec<u8>,
        turn: &mut Turn<'_, S>,
    ) {
        let room = self.connections.get(&id).and_then(|connection| connection.room);
        let passed = match room {
            Some(room) => self.rooms.pass(&room, &pseudonym, message, &self.limits),
            None => Err(Refusal::NotPermitted),
        };
        match passed {
            Ok(Some((to, message))) => turn.send(to, &Message::Pass(message.into())),
            Ok(None) => {}
            Err(reason) => turn.send(id, &Message::Sorry(reason)),
        }
    }
}
