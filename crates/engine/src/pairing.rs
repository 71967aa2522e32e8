//! Admitting a new device with a ticket, at a relay's rendezvous. `code_pairing.rs` agrees on one by a code.

use std::path::Path;
use std::time::{Duration, Instant};

use ties_net::{Backoff, DepotError, RelayAddress};
use ties_sealed_log::{
    Add, DeviceId, DeviceKeys, KnownPseudonym, Payload, PseudonymKey, RelayKey, RelayRoad, Role, Secret, SpaceId,
};
use ties_store::{Sharing, Store, Table, Transaction};
use ties_sync::{
    Accepted, CodeError, Guest, GuestStep, Hello, Host, HostStep, Message, PairingError, Ticket, TicketError, Welcome,
    share_keys,
};
use zeroize::Zeroizing;

use crate::absorb::{absorb, keep_statement};
use crate::author::{append, keep_key, keyring};
use crate::birth::settle;
use crate::document::Projection;
use crate::environment::Environment;
use crate::newcomers::know_member;
use crate::records::{Fault, ROADS, RoadRecord, SPACE, SpaceRecord, put_record, record};
use crate::relay_link::{LinkFailure, RelayLink};
use crate::roads::{Road, RoadError, flags, heads, statements};
use crate::roster::Roster;
use crate::secrets::device_keys;
use crate::space::{OpenError, Space};

/// Why pairing fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// The ticket.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The code, before anything was sent.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// Nobody waits under the code's number.
    #[error("no device waits for this code: it was used, it has expired, or its number is mistyped")]
    NoSuchCode,
    /// Another device has just tried the code.
    #[error("another device has tried this code")]
    CodeTaken,
    /// The other device went away in the middle.
    #[error("the other device ended the pairing, or lost its connection")]
    PartnerLeft,
    /// The relay was away for too long in the middle.
    #[error("the connection to the relay was lost in the middle of pairing")]
    Cut(#[source] Option<Box<LinkFailure>>),
    /// The other side.
    #[error(transparent)]
    Pairing(#[from] PairingError),
    /// The relay, or the way to it.
    #[error(transparent)]
    Road(#[from] RoadError),
    /// This device's folder.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no relay to meet at.
    #[error("no relay is known yet")]
    NoRoad,
    /// Only an admin can admit devices.
    #[error("only a device that is an admin can admit another")]
    NotAdmin,
    /// The folder to meet in.
    #[error(transparent)]
    Depot(#[from] DepotError),
    /// The ticket is for meeting at a relay.
    #[error("this ticket is for meeting at a relay, not in a folder")]
    NotByFolder,
    /// The ticket is for meeting in a folder.
    #[error("this ticket is for meeting in a folder")]
    ByFolder,
    /// No answer lies in the folder.
    #[error("the other device has not answered yet")]
    NotYet,
    /// Nobody came in time.
    #[error("the ticket has expired and nobody came")]
    NobodyCame,
}

impl From<Fault> for PairError {
    fn from(fault: Fault) -> Self {
        Self::Road(RoadError::Fault(fault))
    }
}

impl From<LinkFailure> for PairError {
    fn from(failure: LinkFailure) -> Self {
        Self::Road(RoadError::Link(failure))
    }
}

/// How a device joins a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinOptions {
    /// What the owner calls this device.
    pub device_name: String,
    /// The relay's address, where it is not the ticket's.
    pub relay: Option<String>,
}

/// Who asks to be admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestDevice {
    /// Its id.
    pub id: DeviceId,
    /// What its owner calls it.
    pub name: String,
    /// Four words, the same on both devices.
    pub fingerprint: String,
}

impl GuestDevice {
    pub(crate) fn of(hello: &Hello) -> Self {
        let id = hello.certificate.id();
        Self { id, name: hello.name.clone(), fingerprint: id.fingerprint() }
    }
}

/// An open invitation: one ticket, one guest.
#[derive(Debug)]
pub struct Invitation {
    space: Space,
    road: Road,
    ticket: Ticket,
    host: Host,
    room: Room,
}

impl Space {
    /// Invites a new device: the ticket is good for one, for so long, at one of this space's relays (the first one if
    /// `relay` is `None`).
    ///
    /// # Errors
    /// When there is no relay, or this device may not admit others.
    pub fn invite(&self, relay: Option<&str>, valid: Duration) -> Result<Invitation, PairError> {
        let road = self.road_to_meet(relay)?;
        let device = device_keys(&self.inner.store.read().map_err(Fault::from)?)?.ok_or(Fault::NoKey)?.id();
        let secret = Secret::random(self.inner.environment().randomness());
        let expires = self.now() / 1000 + valid.as_secs();
        let ticket = Ticket::new(road.address.clone(), device, expires, secret);
        let key = self.inner.pseudonym(&road.relay)?;
        let room = Room::new(road.address.parse().map_err(RoadError::from)?, key, ticket.room());
        Ok(Invitation { space: self.clone(), host: Host::new(&ticket), road, ticket, room })
    }

    /// The relay to meet a guest at, if this device may let one in.
    pub(crate) fn road_to_meet(&self, relay: Option<&str>) -> Result<Road, PairError> {
        let roads = self.roads()?;
        let road = roads.into_iter().find(|road| relay.is_none_or(|wanted| wanted == road.address));
        let road = road.ok_or(PairError::NoRoad)?;
        let snapshot = self.inner.store.read().map_err(Fault::from)?;
        let device = device_keys(&snapshot)?.ok_or(Fault::NoKey)?.id();
        let members = Roster::load(&snapshot)?.members;
        let role = members.as_ref().and_then(|members| members.get(&device)).map(|member| member.role);
        if role == Some(Role::Admin) { Ok(road) } else { Err(PairError::NotAdmin) }
    }

    /// Makes this device part of a space, as the guest of a ticket. `announce` hears this device's fingerprint once it
    /// has asked, so that its owner can compare before saying yes on the other one. What was begun is not kept if it
    /// fails. Sync afterwards to get everything.
    ///
    /// # Errors
    /// When the ticket is void, the relay cannot be reached, the other side declines, or the folder holds a space.
    pub async fn join(
        folder: &Path,
        projection: impl Projection,
        ticket: &str,
        options: &JoinOptions,
        mut environment: Environment,
        announce: impl FnOnce(&str),
    ) -> Result<Self, PairError> {
        must_be_free(folder)?;
        let ticket = Ticket::parse(ticket, environment.now() / 1000)?;
        if ticket.relay.starts_with("folder:") {
            return Err(PairError::ByFolder);
        }
        let device = DeviceKeys::from_seed(Secret::random(environment.randomness()));
        let address: RelayAddress =
            options.relay.as_ref().unwrap_or(&ticket.relay).trim().parse().map_err(RoadError::from)?;
        let name = &options.device_name;
        let caller = Caller { ticket: &ticket, address: &address, device: &device, name };
        let passing = PseudonymKey::from_secret(&Secret::random(environment.randomness()));
        let mut room = Room::new(address.clone(), passing, ticket.room());
        room.connect().await?;
        let accepted = caller.call_on(room, &mut environment, announce).await?;
        Self::moved_in(folder, projection, &device, name, &accepted, environment)
    }

    /// The space that a welcome lets this device into, in a folder. It is there whole or not at all.
    pub(crate) fn moved_in(
        folder: &Path,
        projection: impl Projection,
        device: &DeviceKeys,
        name: &str,
        accepted: &Accepted,
        mut environment: Environment,
    ) -> Result<Self, PairError> {
        environment.lives_in(folder);
        let (store, ()) = Store::create_with(folder, Sharing::Processes, |transaction| {
            move_in(transaction, &projection, &mut environment, device, name, accepted).map_err(OpenError::from)
        })?;
        Ok(Self::over(store, Some(folder.to_owned()), Box::new(projection), environment))
    }

    /// The fingerprint of this device, as the other side shows it when it is admitted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn fingerprint(&self) -> Result<String, Fault> {
        let snapshot = self.inner.store.read()?;
        Ok(device_keys(&snapshot)?.ok_or(Fault::NoKey)?.id().fingerprint())
    }

    /// Writes a guest down as a member, and wraps the keys for it; it is to be met at a relay.
    pub(crate) fn admit(&self, road: &Road, guest: &Hello, role: Role) -> Result<Welcome, PairError> {
        self.admit_without_relay(guest, role, |transaction, welcome| {
            let roads = vec![RelayRoad {
                address: road.address.clone(),
                relay: road.relay,
                mailbox: road.mailbox,
                statements: statements(transaction, &road.mailbox)?.into_iter().map(Into::into).collect(),
            }];
            Ok(Welcome { roads, ..welcome })
        })
    }

    /// Writes a guest down as a member, and wraps the keys for it. What `keep` makes of the welcome, and writes, happens with
    /// it or not at all.
    pub(crate) fn admit_without_relay<T>(
        &self,
        guest: &Hello,
        role: Role,
        keep: impl FnOnce(&mut Transaction, Welcome) -> Result<T, PairError>,
    ) -> Result<T, PairError> {
        let inner = &self.inner;
        let mut transaction = inner.store.write().map_err(Fault::from)?;
        let place: SpaceRecord = record(&transaction, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
        let device = device_keys(&transaction)?.ok_or(Fault::NoKey)?;
        let keys = keyring(&transaction)?;
        let add = Add {
            parents: heads(&transaction)?,
            certificate: guest.certificate.clone(),
            role,
            name: guest.name.clone(),
        };
        let added = append(&mut transaction, &mut inner.environment(), &Payload::Add(add))?;
        let keys = keys.iter().map(|(id, generation, key)| (id, *generation, key));
        let parents = [added.name()];
        let mut environment = inner.environment();
        let shares = share_keys(&place.space, &device, &guest.certificate, &parents, keys, environment.randomness())?;
        drop(environment);
        know_member(&mut transaction, &guest.certificate.id())?;
        absorb(&mut transaction, &*inner.projection, vec![added])?;
        let (certificate, roads) = (device.certificate(), Vec::new());
        let welcome = Welcome { certificate, space: place.space, genesis: place.genesis, shares, roads };
        let kept = keep(&mut transaction, welcome)?;
        transaction.commit().map_err(Fault::from)?;
        inner.committed();
        Ok(kept)
    }

    /// Puts a guest's pseudonym on the mailbox's list.
    pub(crate) fn enlist(&self, road: &Road, role: Role, pseudonym: KnownPseudonym) -> Result<(), PairError> {
        let inner = &self.inner;
        let mut transaction = inner.store.write().map_err(Fault::from)?;
        let key = inner.pseudonym(&road.relay)?;
        let grants = [(pseudonym.pseudonym, flags(role))];
        inner.enlist(&mut transaction, road, &key, &grants, vec![pseudonym])?;
        transaction.commit().map_err(Fault::from)?;
        inner.committed();
        Ok(())
    }
}

/// Refuses a folder that is a device already.
pub(crate) fn must_be_free(folder: &Path) -> Result<(), PairError> {
    if Space::exists(folder) {
        return Err(OpenError::from(ties_store::OpenError::Exists(folder.to_owned())).into());
    }
    Ok(())
}

/// Writes down everything a welcome says, and opens this device's log.
pub(crate) fn move_in(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    environment: &mut Environment,
    device: &DeviceKeys,
    name: &str,
    accepted: &Accepted,
) -> Result<(), Fault> {
    let welcome = &accepted.welcome;
    let place = SpaceRecord { space: welcome.space, genesis: welcome.genesis };
    put_record(transaction, Table::SETTINGS, SPACE, &place)?;
    for (epoch, generation, key) in &accepted.keys {
        keep_key(transaction, epoch, *generation, key)?;
    }
    for road in &welcome.roads {
        let kept = RoadRecord { address: road.address.clone(), relay: road.relay };
        put_record(transaction, ROADS, &road.mailbox.0, &kept)?;
        for statement in &road.statements {
            keep_statement(transaction, &road.mailbox, statement)?;
        }
    }
    let opening = settle(transaction, projection, environment, device, name)?;
    absorb(transaction, projection, vec![opening])?;
    Ok(())
}

impl Invitation {
    pub(crate) fn new(space: Space, road: Road, host: Host, ticket: Ticket, room: Room) -> Self {
        Self { space, road, ticket, host, room }
    }

    /// The ticket's text. It is a secret until it is used.
    #[must_use]
    pub fn ticket(&self) -> Zeroizing<String> {
        self.ticket.to_text()
    }

    /// Waits for the guest. Its owner must be asked before [`Self::accept`].
    ///
    /// # Errors
    /// When nobody comes before the ticket expires.
    pub async fn guest(&mut self) -> Result<GuestDevice, PairError> {
        loop {
            if let HostStep::Ask(hello) = self.next().await? {
                return Ok(GuestDevice::of(&hello));
            }
        }
    }

    /// Turns the guest away.
    ///
    /// # Errors
    /// When the relay cannot be reached to say so.
    pub async fn decline(mut self) -> Result<(), PairError> {
        let frame = self.host.decline(self.space.inner.environment().randomness());
        self.room.say(frame).await;
        self.room.leave().await;
        Ok(())
    }

    /// Admits the guest that [`Self::guest`] returned: writes it down, hands over the keys, puts it on the mailbox's
    /// list and sends everything, so that it can begin at once.
    ///
    /// # Errors
    /// [`PairError::PartnerLeft`] or [`PairError::Cut`] when the guest is not there any more; nothing has changed then. Later
    /// errors (the guest does not answer before the ticket expires, the relay fails) leave the admission, which is durable
    /// by then; the guest may come again with another ticket.
    pub async fn accept(mut self, hello: &GuestDevice, role: Role) -> Result<(), PairError> {
        self.guest_is_there().await?;
        let asked = self.host.guest().filter(|asked| asked.certificate.id() == hello.id);
        let welcome = self.space.admit(&self.road, asked.ok_or(PairingError::OutOfTurn)?, role)?;
        let device = device_keys(&self.space.inner.store.read().map_err(Fault::from)?)?.ok_or(Fault::NoKey)?;
        let frame = self.host.welcome(welcome, &device, self.space.inner.environment().randomness());
        self.room.say(frame).await;
        loop {
            if let HostStep::Enlist(pseudonym) = self.next().await? {
                self.space.enlist(&self.road, role, pseudonym)?;
                break;
            }
        }
        self.space.meet(&self.road.clone(), None, &mut |_| ()).await?;
        let frame = self.host.done(self.space.inner.environment().randomness());
        self.room.say(frame).await;
        self.room.leave().await;
        Ok(())
    }

    /// Sees that the guest did not go away while the owner was thinking: who is admitted should be there to know it.
    async fn guest_is_there(&mut self) -> Result<(), PairError> {
        // What it repeated meanwhile says nothing about now.
        while self.room.hear(DRAIN).await?.is_some() {}
        let began = Instant::now();
        while began.elapsed() < ANSWER || self.room.is_cut() {
            let question = self.host.is_there(self.space.inner.environment().randomness());
            self.room.say(question).await;
            let Some(frame) = self.room.hear(AGAIN).await? else { continue };
            match self.host.handle(&frame) {
                Ok(HostStep::Wait) => return Ok(()),
                Ok(_) | Err(PairingError::Foreign) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PairError::PartnerLeft)
    }

    /// The next word of the guest, before the ticket expires. Rubbish from others is ignored.
    async fn next(&mut self) -> Result<HostStep, PairError> {
        loop {
            let left = self.ticket.expires.saturating_sub(self.space.now() / 1000);
            let frame = tokio::time::timeout(Duration::from_secs(left), self.room.hear(Duration::MAX)).await;
            let Some(frame) = frame.map_err(|_| PairError::NobodyCame)?? else { continue };
            match self.host.handle(&frame) {
                Ok(HostStep::Repeat(frame)) => self.room.say(frame).await,
                Ok(step) => return Ok(step),
                Err(PairingError::Foreign) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A device's pseudonym at a relay, signed for the members.
pub(crate) fn introduce(device: &DeviceKeys, space: &SpaceId, relay: &RelayKey) -> KnownPseudonym {
    let pseudonym = device.pseudonym(space, relay).id();
    let signature = device.sign_pseudonym(space, relay, &pseudonym).to_vec().into();
    KnownPseudonym { device: device.id(), relay: *relay, pseudonym, signature }
}

/// How often a guest says its last word again while nobody answers.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a guest may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(20);
/// How long to look for words that have come already.
const DRAIN: Duration = Duration::from_millis(50);

/// The guest's side, up to the host's last word. Nothing is stored until then.
pub(crate) struct Caller<'c> {
    pub(crate) ticket: &'c Ticket,
    pub(crate) address: &'c RelayAddress,
    pub(crate) device: &'c DeviceKeys,
    pub(crate) name: &'c str,
}

impl Caller<'_> {
    /// Says everything up to the host's last word, in a room that was entered.
    pub(crate) async fn call_on(
        &self,
        mut room: Room,
        environment: &mut Environment,
        announce: impl FnOnce(&str),
    ) -> Result<Accepted, PairError> {
        let Self { ticket, address, device, name } = *self;
        let (mut guest, mut last) = Guest::greet(ticket, device, name, environment.randomness());
        room.say(last.clone()).await;
        announce(&device.id().fingerprint());
        let mut accepted = None;
        loop {
            if environment.now() / 1000 >= ticket.expires {
                return Err(TicketError::Expired.into());
            }
            let Some(frame) = room.hear(AGAIN).await? else {
                room.say(last.clone()).await;
                continue;
            };
            match guest.handle(&frame) {
                Ok(GuestStep::Welcome(welcome)) => {
                    let known = introduce(device, &welcome.welcome.space, &address.key());
                    last = guest.ready(known, environment.randomness());
                    room.say(last.clone()).await;
                    accepted = Some(*welcome);
                }
                Ok(GuestStep::Again) => room.say(last.clone()).await,
                Ok(GuestStep::Done) => {
                    room.leave().await;
                    return accepted.ok_or(PairingError::OutOfTurn.into());
                }
                Err(PairingError::Foreign) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A room at a relay that is entered again whenever the link breaks.
#[derive(Debug)]
pub(crate) struct Room {
    address: RelayAddress,
    key: PseudonymKey,
    name: [u8; 32],
    link: Option<RelayLink>,
    backoff: Backoff,
    /// Since when there is no link, and how long that may be.
    cut: Option<Instant>,
    cut_for: Duration,
}

impl Room {
    fn new(address: RelayAddress, key: PseudonymKey, name: [u8; 32]) -> Self {
        Self { address, key, name, link: None, backoff: Backoff::new(), cut: None, cut_for: Duration::MAX }
    }

    /// Goes into a ticket's room with a link that is there already, which is dialled again for so long if it breaks.
    pub(crate) async fn over(
        address: RelayAddress,
        key: PseudonymKey,
        ticket: &Ticket,
        mut link: RelayLink,
        cut_for: Duration,
    ) -> Self {
        let name = ticket.room();
        // A link that is broken shows at the next word.
        let entered = link.say(&Message::Meet { room: name }).await.is_ok();
        Self { link: entered.then_some(link), cut_for, ..Self::new(address, key, name) }
    }

    /// Enters. The first time, a relay that cannot be reached is an error; later it is dialled until it can.
    async fn connect(&mut self) -> Result<(), PairError> {
        let mut link = RelayLink::open(&self.address, &self.key, &mut Environment::system()).await?;
        link.say(&Message::Meet { room: self.name }).await?;
        self.link = Some(link);
        self.cut = None;
        self.backoff.reset();
        Ok(())
    }

    /// Says something; what is lost with a link is said again by whoever waits for an answer.
    async fn say(&mut self, frame: Vec<u8>) {
        if let Some(link) = &mut self.link
            && link.say(&Message::Pass(frame.into())).await.is_err()
        {
            self.link = None;
        }
    }

    /// The next word of the other one; `None` after `patience`, or after the room had to be entered again.
    async fn hear(&mut self, patience: Duration) -> Result<Option<Vec<u8>>, PairError> {
        let Some(link) = &mut self.link else {
            return match self.connect().await {
                Ok(()) => Ok(None),
                Err(PairError::Road(RoadError::Link(
                    failure @ (LinkFailure::Connect(_) | LinkFailure::Link(_) | LinkFailure::Closed),
                ))) => {
                    if self.cut.get_or_insert_with(Instant::now).elapsed() >= self.cut_for {
                        return Err(PairError::Cut(Some(Box::new(failure))));
                    }
                    tokio::time::sleep(self.backoff.after_failure_now()).await;
                    Ok(None)
                }
                Err(error) => Err(error),
            };
        };
        let heard = tokio::select! {
            frame = link.frame() => frame,
            () = tokio::time::sleep(patience) => return Ok(None),
        };
        match heard.map(|frame| Message::decode(&frame)) {
            Ok(Ok(Message::Pass(word))) => Ok(Some(word.into_vec())),
            Ok(Ok(Message::Sorry(reason))) => Err(LinkFailure::Refused(reason).into()),
            Ok(_) => Ok(None),
            Err(_) => {
                self.link = None;
                Ok(None)
            }
        }
    }

    /// Whether the relay is away; [`Self::hear`] says when that lasts too long.
    fn is_cut(&self) -> bool {
        self.link.is_none()
    }

    async fn leave(&mut self) {
        if let Some(link) = self.link.take() {
            link.close().await;
        }
    }
}
