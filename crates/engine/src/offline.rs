//! What the loops of `sync` and `pairing` do between two frames, for a host that carries the frames itself.

use ties_net::RelayAddress;
use ties_sealed_log::{AccessStatement, DeviceKeys, Log, MailboxId, PseudonymKey, Role, Secret, Vector};
use ties_store::Store;
use ties_sync::{Guest, GuestStep, Host, HostStep, PairingError, Ticket};

use crate::author::SPACE_NUMBER;
use crate::conversation::Conversation;
use crate::document::Projection;
use crate::environment::Environment;
use crate::pairing::{PairError, introduce, move_in};
use crate::records::Fault;
use crate::roads::{Road, RoadError, statements};
use crate::secrets::device_keys;
use crate::space::Space;

/// A space without sockets: the steps around a [`Conversation`], for simulations.
#[derive(Debug, Clone, Copy)]
pub struct Offline<'s>(&'s Space);

impl Space {
    /// The steps of meeting and pairing, one by one and without sockets.
    #[must_use]
    pub fn offline(&self) -> Offline<'_> {
        Offline(self)
    }
}

impl Offline<'_> {
    /// Every tip of every log that is here.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn vector(self) -> Result<Vector, Fault> {
        Ok(self.0.inner.store.read()?.log(SPACE_NUMBER).vector()?)
    }

    /// Meets at a relay from now on that was not asked yet: it has no mailbox until the first meeting makes one.
    ///
    /// # Errors
    /// When the address is none, or this device may not do this.
    pub fn add_relay(self, address: &str) -> Result<Road, RoadError> {
        let address: RelayAddress = address.parse()?;
        let key = self.0.inner.pseudonym(&address.key())?;
        let first = self.0.first_statement(&key, &address.key())?;
        let statement = AccessStatement::verify(&first).map_err(|_| Fault::Damaged("an access statement"))?;
        let mailbox = MailboxId(statement.name().0);
        let road = Road { address: address.to_string(), relay: address.key(), mailbox };
        self.0.inner.adopt(&road, &[first], &key, None)?;
        Ok(road)
    }

    /// What is done before each meeting: the mailbox's list is kept complete.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn tidy(self, road: &Road) -> Result<(), Fault> {
        self.0.inner.tidy(road).map(|_| ())
    }

    /// The key to prove at a relay.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn pseudonym(self, road: &Road) -> Result<PseudonymKey, Fault> {
        self.0.inner.pseudonym(&road.relay)
    }

    /// The key that this device proves to other devices of the space.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn peer_key(self) -> Result<ties_net::PeerKey, Fault> {
        Ok(device_keys(&self.0.inner.store.read()?)?.ok_or(Fault::NoKey)?.certificate().tls())
    }

    /// The access statements of a mailbox, the first one first: what a relay needs that lost it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn statements(self, road: &Road) -> Result<Vec<Vec<u8>>, Fault> {
        statements(&self.0.inner.store.read()?, &road.mailbox)
    }

    /// Writes down when a relay was met, which store it had, and what it has.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn note(self, road: &Road, store: [u8; 16], conversation: &Conversation) -> Result<(), Fault> {
        self.0.note_meeting(road, store, conversation)
    }

    /// Admits a device that makes its place in `store`, with every word of a pairing, said at one table. The relay
    /// learns of it when this device meets it next.
    ///
    /// # Errors
    /// When this device may not admit others, or a database cannot be written.
    pub fn admit(
        self,
        road: &Road,
        role: Role,
        store: Store,
        projection: impl Projection,
        name: &str,
        mut environment: Environment,
    ) -> Result<Space, PairError> {
        let inner = &self.0.inner;
        let own = device_keys(&inner.store.read().map_err(Fault::from)?)?.ok_or(Fault::NoKey)?;
        let ticket = Ticket::new(road.address.clone(), own.id(), u64::MAX, Secret::random(environment.randomness()));
        let device = DeviceKeys::from_seed(Secret::random(environment.randomness()));
        let mut host = Host::new(&ticket);
        let (mut guest, hello) = Guest::greet(&ticket, &device, name, environment.randomness());
        let HostStep::Ask(asked) = host.handle(&hello)? else { return Err(PairingError::OutOfTurn.into()) };
        let welcome = self.0.admit(road, &asked, role)?;
        let welcome = host.welcome(welcome, &own, inner.environment().randomness());
        let GuestStep::Welcome(accepted) = guest.handle(&welcome)? else {
            return Err(PairingError::OutOfTurn.into());
        };
        let known = introduce(&device, &accepted.welcome.space, &road.relay);
        let ready = guest.ready(known, environment.randomness());
        let HostStep::Enlist(known) = host.handle(&ready)? else { return Err(PairingError::OutOfTurn.into()) };
        self.0.enlist(road, role, known)?;
        let done = host.done(inner.environment().randomness());
        let GuestStep::Done = guest.handle(&done)? else { return Err(PairingError::OutOfTurn.into()) };
        let mut transaction = store.write().map_err(Fault::from)?;
        move_in(&mut transaction, &projection, &mut environment, &device, name, &accepted)?;
        transaction.commit().map_err(Fault::from)?;
        Ok(Space::over(store, None, Box::new(projection), environment))
    }
}
