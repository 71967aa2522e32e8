//! Admitting a new device with a code of three words: agreeing on a ticket under a number, at a relay or on one network.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand_core::Rng as _;
use ties_net::{ClosingReason, DialError, Link, LinkError, RelayAddress};
use ties_sealed_log::{DeviceCert, DeviceKeys, PseudonymKey, Secret};
use ties_sync::{
    Code, ExpectHail, ExpectOffer, Hello, Host, Invited, MAX_NOTE, MeetingPlace, Message, PairingError, Refusal, plate,
};
use zeroize::Zeroizing;

use crate::document::Projection;
use crate::door::{Door, dial, find};
use crate::environment::{Environment, system_randomness};
use crate::pairing::{Arrival, Caller, Doors, Invitation, JoinOptions, PairError, must_be_free};
use crate::records::Fault;
use crate::relay_link::{LinkFailure, RelayLink};
use crate::roads::{Road, RoadError};
use crate::room::{NearRoom, RelayRoom, Room};
use crate::secrets::device_keys;
use crate::space::Space;

/// An open invitation by code: one guest, one attempt, ten minutes.
#[derive(Debug)]
pub struct CodeInvitation {
    space: Space,
    road: Option<Road>,
    relay: Option<RelayLink>,
    door: Option<Door>,
    text: Zeroizing<String>,
    waiting: ExpectHail,
    /// Milliseconds since 1970.
    expires: u64,
    unreachable: Option<LinkFailure>,
}

impl Space {
    /// Invites a new device by a code, at the doors that are named: the number is the relay's where there is one. A relay that
    /// cannot be reached leaves the door on this network.
    ///
    /// # Errors
    /// When there is no door or none can be opened, or this device may not admit others.
    pub async fn invite_by_code(&self, doors: &Doors) -> Result<CodeInvitation, PairError> {
        let road = self.road_to_meet(doors)?;
        let devices = self.devices()?;
        let name = devices.into_iter().find(|device| device.this).map(|device| device.name).unwrap_or_default();
        let certificate =
            device_keys(&self.inner.store.read().map_err(Fault::from)?)?.ok_or(Fault::NoKey)?.certificate();
        let reserved = match &road {
            Some(road) => Some(self.reserve(road).await),
            None => None,
        };
        let (relay, number, unreachable) = match reserved {
            Some(Ok((link, number))) => (Some(link), number, None),
            Some(Err(PairError::Road(RoadError::Link(failure)))) if doors.near.is_some() => {
                (None, own_number(), Some(failure))
            }
            Some(Err(error)) => return Err(error),
            None => (None, own_number(), None),
        };
        let door = match &doors.near {
            Some(near) => match (Door::open(near, Arc::new(plate(number))).await, &relay) {
                (Ok(door), _) => Some(door),
                // Unless it was told where, it does without.
                (Err(error), Some(_)) if near.listen.is_none() => {
                    tracing::debug!(%error, "no door on this network");
                    None
                }
                (Err(error), _) => return Err(error),
            },
            None => None,
        };
        let code = Code::draw(number, self.inner.environment().randomness());
        let text = code.to_text();
        let waiting = ExpectHail::new(code, Hello { certificate, name });
        let expires = self.now() + CODE_LASTS.as_millis() as u64;
        Ok(CodeInvitation { space: self.clone(), road, relay, door, text, waiting, expires, unreachable })
    }

    /// A number at a relay, and the link that holds it.
    async fn reserve(&self, road: &Road) -> Result<(RelayLink, u32), PairError> {
        let address: RelayAddress = road.address.parse().map_err(RoadError::from)?;
        let key = self.inner.pseudonym(&road.relay)?;
        let mut link = RelayLink::open(&address, &key, &mut Environment::system()).await?;
        link.say(&Message::Reserve).await?;
        match link.answer().await? {
            Message::Nameplate { number } => Ok((link, number)),
            _ => Err(LinkFailure::Protocol(ties_sealed_log::DecodeError::Malformed).into()),
        }
    }

    /// Makes this device part of a space, as the guest of a code: at the relay that the options name, or else on this network.
    /// `announce` hears who invites and this device's fingerprint once the code has proved right, so that the owner can compare
    /// before saying yes on the other one. What was begun is not kept if it fails. Sync afterwards to get everything, where
    /// [`Arrival::met`] does not say that it is there.
    ///
    /// # Errors
    /// When the code is wrong or void, nobody can be reached, the other side declines, or the folder holds a space. A code that
    /// was tried is void, whatever came of it.
    pub async fn join_by_code(
        folder: &Path,
        projection: impl Projection,
        code: &str,
        options: &JoinOptions,
        mut environment: Environment,
        announce: impl FnOnce(Option<&str>, &str),
    ) -> Result<Arrival, PairError> {
        must_be_free(folder)?;
        let code = Code::parse(code)?;
        let device = DeviceKeys::from_seed(Secret::random(environment.randomness()));
        let me = device.certificate();
        let expires = environment.now() / 1000 + CODE_LASTS.as_secs();
        let (room, ticket, host) = match &options.relay {
            Some(relay) => {
                let address: RelayAddress = relay.trim().parse().map_err(RoadError::from)?;
                // The relay has no name for this device yet; a key of this attempt's own will do.
                let passing = PseudonymKey::from_secret(&Secret::random(environment.randomness()));
                let mut link = RelayLink::open(&address, &passing, &mut environment).await?;
                link.say(&Message::Claim { number: code.nameplate() }).await?;
                let mut link = CodeLink::Relay(link);
                let invited = claim(&mut link, address.key().into(), code, &me, &mut environment).await?;
                let ticket = invited.ticket(address.to_string(), expires);
                let CodeLink::Relay(link) = link else { return Err(PairingError::OutOfTurn.into()) };
                let room = RelayRoom::over(address, passing, &ticket, link).await;
                (Room::at_relay(room), ticket, invited.host.name)
            }
            None => {
                let key = plate(code.nameplate());
                let places = find(&key, &options.peers, options.lan && options.peers.is_empty()).await?;
                let (link, place) = dial(&places, &key).await.map_err(|error| match error {
                    DialError::NotRecognised => PairError::NoSuchCode,
                    error => error.into(),
                })?;
                let exporter = *link.exporter();
                let mut link = CodeLink::Near(link);
                let invited = claim(&mut link, MeetingPlace::Link(exporter), code, &me, &mut environment).await?;
                let ticket = invited.ticket(String::new(), expires);
                let CodeLink::Near(link) = link else { return Err(PairingError::OutOfTurn.into()) };
                (Room::near(NearRoom::of_guest(vec![place], &ticket, link)), ticket, invited.host.name)
            }
        };
        let caller = Caller { ticket: &ticket, device: &device, name: &options.device_name };
        let (accepted, room) = caller.call_on(room, &mut environment, |words| announce(Some(&host), words)).await?;
        Self::arrive(folder, projection, &caller, &accepted, room, environment).await
    }
}

/// Proves the code to its host.
async fn claim(
    link: &mut CodeLink,
    place: MeetingPlace,
    code: Code,
    me: &DeviceCert,
    environment: &mut Environment,
) -> Result<Invited, PairError> {
    let (stage, hail) = ExpectOffer::hail(code, place, environment.randomness());
    link.say(hail).await?;
    let (stage, proof) = stage.handle(&link.word(ANSWER).await?, me, environment.randomness())?;
    link.say(proof).await?;
    Ok(stage.handle(&link.word(ANSWER).await?)?)
}

impl CodeInvitation {
    /// The code, such as `17-acid-zoo-lunch`. It is a secret until it was used.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.text
    }

    /// The relay where the guest may come, whose owner has to type that too.
    #[must_use]
    pub fn relay(&self) -> Option<&str> {
        self.road.as_ref().filter(|_| self.relay.is_some()).map(|road| road.address.as_str())
    }

    /// Where the guest may come on this network.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        self.door.as_ref().map(|door| door.address().to_string())
    }

    /// Why the guest may not come to the relay, though there is one.
    #[must_use]
    pub fn unreachable(&self) -> Option<&LinkFailure> {
        self.unreachable.as_ref()
    }

    /// When it ends, in milliseconds since 1970.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// Waits for somebody to try the code. Whoever has it right goes on as the guest of a ticket that nobody else has.
    ///
    /// # Errors
    /// When nobody comes in time, the link breaks, or the code was tried and was wrong. It is void then.
    pub async fn tried(mut self) -> Result<Invitation, PairError> {
        let (mut link, place, hail) = self.hailed().await?;
        let Self { space, road, mut door, waiting, .. } = self;
        // Whoever types the code now has to hear at once that it is used.
        door.iter_mut().for_each(Door::shut);
        let mut rng = system_randomness();
        let (stage, offer) = match waiting.handle(place, &hail, &mut rng) {
            Ok(next) => next,
            Err(error) => {
                link.close().await;
                return Err(error.into());
            }
        };
        link.say(offer).await?;
        let proof = link.word(ANSWER).await?;
        let (outcome, answer) = stage.handle(&proof, &mut rng);
        link.say(answer).await?;
        let agreed = match outcome {
            Ok(agreed) => agreed,
            Err(error) => {
                // A link that is closed in good order gets its last word across.
                link.close().await;
                return Err(error.into());
            }
        };
        let expires = space.now() / 1000 + CODE_LASTS.as_secs();
        let (ticket, room) = match (link, &road, door) {
            (CodeLink::Relay(link), Some(road), _) => {
                let ticket = agreed.ticket(road.address.clone(), expires);
                let key = space.inner.pseudonym(&road.relay)?;
                let address = road.address.parse().map_err(RoadError::from)?;
                let room = RelayRoom::over(address, key, &ticket, link).await;
                (ticket, Room::at_relay(room))
            }
            (CodeLink::Near(link), _, Some(door)) => {
                let ticket = agreed.ticket(String::new(), expires);
                let room = NearRoom::of_host(door, &ticket, Some(link));
                (ticket, Room::near(room))
            }
            _ => return Err(PairError::NoRoad),
        };
        Ok(Invitation::new(space, road, Host::of(&ticket, agreed.guest), ticket, room))
    }

    /// The first word of the first who says one, and the link it came by. It is the one attempt.
    async fn hailed(&mut self) -> Result<(CodeLink, MeetingPlace, Vec<u8>), PairError> {
        let expires = self.expires;
        let now = || self.space.now();
        let end = tokio::time::Instant::now() + Duration::from_millis(expires.saturating_sub(now()));
        loop {
            let Self { space, road, relay, door, .. } = self;
            let at_relay = async {
                match relay.as_mut() {
                    Some(link) => word(link).await,
                    None => std::future::pending().await,
                }
            };
            let at_door = async {
                match door.as_mut() {
                    Some(door) => door.knock().await,
                    None => std::future::pending().await,
                }
            };
            let heard = tokio::select! {
                heard = at_relay => heard,
                (caller, hail) = at_door => {
                    let place = MeetingPlace::Link(*caller.link.exporter());
                    return Ok((CodeLink::Near(caller.welcome()), place, hail));
                }
                () = tokio::time::sleep_until(end) => return Err(PairError::NobodyCame),
            };
            match (heard, &door) {
                (Ok(hail), _) => {
                    let (Some(link), Some(road)) = (relay.take(), road.as_ref()) else { return Err(PairError::NoRoad) };
                    return Ok((CodeLink::Relay(link), road.relay.into(), hail));
                }
                // The number's time is over there too.
                (Err(PairError::PartnerLeft), _) if space.now() + 1000 >= expires => return Err(PairError::NobodyCame),
                // Who comes to the door may still come.
                (Err(PairError::Road(RoadError::Link(failure))), Some(_)) => {
                    tracing::debug!(%failure, "the relay is lost, the door is not");
                    *relay = None;
                }
                (Err(error), _) => return Err(error),
            }
        }
    }
}

/// A number without a relay. Two that are the same on one network are told apart by address.
fn own_number() -> u32 {
    system_randomness().next_u32() % 1000
}

/// What carries the words of a code.
enum CodeLink {
    Relay(RelayLink),
    Near(Link),
}

impl CodeLink {
    async fn say(&mut self, word: Vec<u8>) -> Result<(), PairError> {
        match self {
            Self::Relay(link) => Ok(link.say(&Message::Pass(word.into())).await?),
            Self::Near(link) => link.send(word).await.map_err(left),
        }
    }

    /// What the other one says, within some time.
    async fn word(&mut self, patience: Duration) -> Result<Vec<u8>, PairError> {
        let said = async {
            match self {
                Self::Relay(link) => word(link).await,
                Self::Near(link) => match link.recv().await.map_err(left)? {
                    Some(word) if word.len() <= MAX_NOTE => Ok(word),
                    Some(_) => Err(PairingError::OutOfTurn.into()),
                    None => Err(PairError::PartnerLeft),
                },
            }
        };
        tokio::time::timeout(patience, said).await.map_err(|_| PairError::PartnerLeft)?
    }

    async fn close(self) {
        match self {
            Self::Relay(link) => link.close().await,
            Self::Near(link) => link.close(ClosingReason::Done).await,
        }
    }
}

/// What it means that a link between the two ended.
fn left(error: LinkError) -> PairError {
    match error {
        // It does not talk to a second one.
        LinkError::Refused { .. } => PairError::CodeTaken,
        _ => PairError::PartnerLeft,
    }
}

/// The next word of the other one under the number. Safe to cancel.
async fn word(link: &mut RelayLink) -> Result<Vec<u8>, PairError> {
    match Message::decode(&link.frame().await?).map_err(LinkFailure::from)? {
        Message::Pass(word) => Ok(word.into_vec()),
        Message::Left => Err(PairError::PartnerLeft),
        Message::Sorry(Refusal::NoNameplate) => Err(PairError::NoSuchCode),
        Message::Sorry(Refusal::RoomTaken) => Err(PairError::CodeTaken),
        Message::Sorry(reason) => Err(LinkFailure::Refused(reason).into()),
        _ => Err(PairingError::OutOfTurn.into()),
    }
}

/// How long a code is good for; the relay frees its number then.
const CODE_LASTS: Duration = Duration::from_secs(600);
/// How long the other program may take to answer; no person is asked here.
const ANSWER: Duration = Duration::from_secs(20);
