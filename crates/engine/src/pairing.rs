//! Admitting a new device with a ticket, at a relay's rendezvous or on one network. `code_pairing.rs` agrees on one by a code.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ties_net::{DepotError, DialError, LanError, LinkError, PeerAddress, RelayAddress};
use ties_sealed_log::{
    Add, DeviceId, DeviceKeys, KnownPseudonym, Payload, PseudonymKey, RelayKey, RelayRoad, Role, Secret, SpaceId,
};
use ties_store::{Sharing, Store, Table, Transaction};
use ties_sync::{
    Accepted, CodeError, Guest, GuestStep, Hello, Host, HostStep, PairingError, Ticket, TicketError, Welcome,
    share_keys,
};
use zeroize::Zeroizing;

use crate::absorb::{absorb, keep_statement};
use crate::author::{append, keep_key, keyring};
use crate::birth::settle;
use crate::direct::{PeerReport, Until};
use crate::document::Projection;
use crate::door::{Door, NearDoor, dial_with_ticket, find};
use crate::environment::Environment;
use crate::newcomers::know_member;
use crate::records::{Fault, ROADS, RoadRecord, SPACE, SpaceRecord, put_record, record};
use crate::relay_link::LinkFailure;
use crate::roads::{Road, RoadError, flags, heads, statements};
use crate::room::{NearRoom, RelayRoom, Room};
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
    /// There is nowhere to meet.
    #[error("no relay is known, and this network is not to be used")]
    NoRoad,
    /// Nobody announces itself under the code or ticket.
    #[error("no device of this network says that it waits for this one")]
    NobodyNear,
    /// More than one does.
    #[error("more than one device of this network says that it waits for this one")]
    SeveralNear,
    /// The local network.
    #[error(transparent)]
    Lan(#[from] LanError),
    /// The other device cannot be reached on this network.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The link to it broke.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// This device cannot listen for the new one.
    #[error("cannot listen for the new device")]
    Listen(#[source] std::io::Error),
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

/// Where a new device may come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doors {
    /// The relay; the first one that is known if this is `None`, and none if none is.
    pub relay: Option<String>,
    /// The door on this network, if there is to be one.
    pub near: Option<NearDoor>,
}

/// How a device joins a space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JoinOptions {
    /// What the owner calls this device.
    pub device_name: String,
    /// The relay to meet at with a code; with a ticket, where its address is not the ticket's.
    pub relay: Option<String>,
    /// Where the other device waits on this network; it is not looked for then.
    pub peers: Vec<PeerAddress>,
    /// Whether it is looked for on this network.
    pub lan: bool,
}

/// A device that was let in.
#[derive(Debug)]
pub struct Arrival {
    /// Its space.
    pub space: Space,
    /// What it exchanged with its host at once, if they met on a link of their own.
    pub met: Option<PeerReport>,
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
    /// The relay where the guest is to be put on the list.
    road: Option<Road>,
    ticket: Ticket,
    host: Host,
    room: Room,
}

impl Space {
    /// Invites a new device: the ticket is good for one, for so long, at the doors that are named.
    ///
    /// # Errors
    /// When there is no door or it cannot be opened, or this device may not admit others.
    pub async fn invite(&self, doors: &Doors, valid: Duration) -> Result<Invitation, PairError> {
        let road = self.road_to_meet(doors)?;
        let device = device_keys(&self.inner.store.read().map_err(Fault::from)?)?.ok_or(Fault::NoKey)?.id();
        let secret = Secret::random(self.inner.environment().randomness());
        let expires = self.now() / 1000 + valid.as_secs();
        let relay = road.as_ref().map_or_else(String::new, |road| road.address.clone());
        let mut ticket = Ticket::new(relay, device, expires, secret);
        let door = match &doors.near {
            Some(near) => Some(Door::open(near, Arc::new(ticket.discovery())).await?),
            None => None,
        };
        if let (None, Some(door)) = (&road, &door) {
            ticket.relay = format!("{NEAR}{}", door.address());
        }
        let relay = match &road {
            Some(road) => {
                let key = self.inner.pseudonym(&road.relay)?;
                Some(RelayRoom::new(road.address.parse().map_err(RoadError::from)?, key, ticket.room()))
            }
            None => None,
        };
        let room = Room::of(relay, door.map(|door| NearRoom::of_host(door, &ticket, None)));
        Ok(Invitation { space: self.clone(), host: Host::new(&ticket), road, ticket, room })
    }

    /// The relay to meet a guest at, if there is one, and this device may let one in; there must be one unless there is another
    /// door.
    pub(crate) fn road_to_meet(&self, doors: &Doors) -> Result<Option<Road>, PairError> {
        let wanted = doors.relay.as_ref();
        let road = self.roads()?.into_iter().find(|road| wanted.is_none_or(|wanted| *wanted == road.address));
        if road.is_none() && (doors.near.is_none() || wanted.is_some()) {
            return Err(PairError::NoRoad);
        }
        let snapshot = self.inner.store.read().map_err(Fault::from)?;
        let device = device_keys(&snapshot)?.ok_or(Fault::NoKey)?.id();
        let members = Roster::load(&snapshot)?.members;
        let role = members.as_ref().and_then(|members| members.get(&device)).map(|member| member.role);
        if role == Some(Role::Admin) { Ok(road) } else { Err(PairError::NotAdmin) }
    }

    /// Makes this device part of a space, as the guest of a ticket: at its relay, or where that cannot be reached or there is
    /// none, on this network. `announce` hears this device's fingerprint once it has asked, so that its owner can compare before
    /// saying yes on the other one. What was begun is not kept if it fails. Sync afterwards to get everything, where
    /// [`Arrival::met`] does not say that it is there.
    ///
    /// # Errors
    /// When the ticket is void, nobody can be reached, the other side declines, or the folder holds a space.
    pub async fn join(
        folder: &Path,
        projection: impl Projection,
        ticket: &str,
        options: &JoinOptions,
        mut environment: Environment,
        announce: impl FnOnce(&str),
    ) -> Result<Arrival, PairError> {
        must_be_free(folder)?;
        let ticket = Ticket::parse(ticket, environment.now() / 1000)?;
        if ticket.relay.starts_with("folder:") {
            return Err(PairError::ByFolder);
        }
        let device = DeviceKeys::from_seed(Secret::random(environment.randomness()));
        let room = way_to_host(&ticket, options, &mut environment).await?;
        let caller = Caller { ticket: &ticket, device: &device, name: &options.device_name };
        let (accepted, room) = caller.call_on(room, &mut environment, announce).await?;
        Self::arrive(folder, projection, &caller, &accepted, room, environment).await
    }

    /// Moves in, and exchanges everything with the host over the link that the two have.
    pub(crate) async fn arrive(
        folder: &Path,
        projection: impl Projection,
        caller: &Caller<'_>,
        accepted: &Accepted,
        room: Room,
        environment: Environment,
    ) -> Result<Arrival, PairError> {
        let space = Self::moved_in(folder, projection, caller.device, caller.name, accepted, environment)?;
        let met = match (room.is_near(), room) {
            (false, room) => {
                room.leave().await;
                None
            }
            (true, room) => match room.into_link().await {
                Some((link, place)) => {
                    let host = accepted.welcome.certificate.tls();
                    Some(space.meet_paired(link, host, place, Until::Settled).await)
                }
                None => None,
            },
        };
        Ok(Arrival { space, met })
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
    pub(crate) fn new(space: Space, road: Option<Road>, host: Host, ticket: Ticket, room: Room) -> Self {
        Self { space, road, ticket, host, room }
    }

    /// The ticket's text. It is a secret until it is used.
    #[must_use]
    pub fn ticket(&self) -> Zeroizing<String> {
        self.ticket.to_text()
    }

    /// Where the guest may come on this network.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        self.room.door().map(ToString::to_string)
    }

    /// Waits for the guest. Its owner must be asked before [`Self::accept`].
    ///
    /// # Errors
    /// When nobody comes before the ticket expires.
    pub async fn guest(&mut self) -> Result<GuestDevice, PairError> {
        loop {
            if let HostStep::Ask(hello) = self.next().await? {
                self.room.settle();
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
    /// list and sends everything, so that it can begin at once. Gives what was exchanged if the two have a link of their own.
    ///
    /// # Errors
    /// [`PairError::PartnerLeft`] or [`PairError::Cut`] when the guest is not there any more; nothing has changed then. Later
    /// errors (the guest does not answer before the ticket expires, the relay fails) leave the admission, which is durable
    /// by then; the guest may come again with another ticket.
    pub async fn accept(mut self, hello: &GuestDevice, role: Role) -> Result<Option<PeerReport>, PairError> {
        self.guest_is_there().await?;
        let asked = self.host.guest().filter(|asked| asked.certificate.id() == hello.id);
        let asked = asked.ok_or(PairingError::OutOfTurn)?;
        let key = asked.certificate.tls();
        let welcome = match &self.road {
            Some(road) => self.space.admit(road, asked, role)?,
            None => self.space.admit_without_relay(asked, role, |_, welcome| Ok(welcome))?,
        };
        let device = device_keys(&self.space.inner.store.read().map_err(Fault::from)?)?.ok_or(Fault::NoKey)?;
        let frame = self.host.welcome(welcome, &device, self.space.inner.environment().randomness());
        self.room.say(frame).await;
        loop {
            match (self.next().await?, &self.road) {
                (HostStep::Enlist(pseudonym), Some(road)) => break self.space.enlist(road, role, pseudonym)?,
                (HostStep::Taken, _) => break,
                _ => {}
            }
        }
        if let (false, Some(road)) = (self.room.is_near(), self.road.clone()) {
            self.space.meet(&road, crate::direct::Until::Settled, &mut |_| ()).await?;
        }
        let frame = self.host.done(self.space.inner.environment().randomness());
        self.room.say(frame).await;
        let Self { space, room, .. } = self;
        if !room.is_near() {
            room.leave().await;
            return Ok(None);
        }
        match room.into_link().await {
            Some((link, place)) => Ok(Some(space.meet_paired(link, key, place, Until::Broken).await)),
            None => Ok(None),
        }
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
    pub(crate) device: &'c DeviceKeys,
    pub(crate) name: &'c str,
}

impl Caller<'_> {
    /// Says everything up to the host's last word, in a room that was entered; gives it back.
    pub(crate) async fn call_on(
        &self,
        mut room: Room,
        environment: &mut Environment,
        announce: impl FnOnce(&str),
    ) -> Result<(Accepted, Room), PairError> {
        let Self { ticket, device, name } = *self;
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
                    last = match welcome.welcome.roads.first() {
                        Some(road) => {
                            let known = introduce(device, &welcome.welcome.space, &road.relay);
                            guest.ready(known, environment.randomness())
                        }
                        None => guest.taken(environment.randomness()),
                    };
                    room.say(last.clone()).await;
                    accepted = Some(*welcome);
                }
                Ok(GuestStep::Again) => room.say(last.clone()).await,
                Ok(GuestStep::Done) => return Ok((accepted.ok_or(PairingError::OutOfTurn)?, room)),
                Err(PairingError::Foreign) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The room of a ticket's host: where the options say, at the ticket's relay, or on this network.
async fn way_to_host(ticket: &Ticket, options: &JoinOptions, environment: &mut Environment) -> Result<Room, PairError> {
    let relay = options.relay.as_deref().unwrap_or(&ticket.relay).trim();
    let near = relay.strip_prefix(NEAR);
    if options.peers.is_empty() && near.is_none() {
        let address: RelayAddress = relay.parse().map_err(RoadError::from)?;
        let passing = PseudonymKey::from_secret(&Secret::random(environment.randomness()));
        let mut room = RelayRoom::new(address, passing, ticket.room());
        match room.connect().await {
            Ok(()) => return Ok(Room::at_relay(room)),
            // The network has no relay at the moment; the host may be on it all the same.
            Err(error @ PairError::Road(RoadError::Link(LinkFailure::Connect(_)))) if options.lan => {
                return near_room(ticket, &[], true).await.map_err(|_| error);
            }
            Err(error) => return Err(error),
        }
    }
    if !options.peers.is_empty() {
        return near_room(ticket, &options.peers, false).await;
    }
    let told: Vec<PeerAddress> = near.and_then(|place| place.parse().ok()).into_iter().collect();
    near_room(ticket, &told, options.lan).await
}

async fn near_room(ticket: &Ticket, told: &[PeerAddress], look: bool) -> Result<Room, PairError> {
    let key = ticket.discovery();
    let places = match find(&key, told, look).await {
        // Where no multicast gets through, the ticket still says where.
        Err(PairError::Lan(_)) if !told.is_empty() => told.to_vec(),
        found => found?,
    };
    if places.is_empty() {
        return Err(PairError::NobodyNear);
    }
    let (link, place) = dial_with_ticket(&places, &key).await?;
    Ok(Room::near(NearRoom::of_guest(vec![place], ticket, link)))
}

/// What a ticket has in the place of a relay's address where there is none: this, and where the host listens.
const NEAR: &str = "lan:";
