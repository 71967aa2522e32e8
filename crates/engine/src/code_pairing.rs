//! Admitting a new device with a code of three words: agreeing on a ticket under a number at a relay.

use std::path::Path;
use std::time::Duration;

use ties_net::RelayAddress;
use ties_sealed_log::{DeviceCert, DeviceKeys, PseudonymKey, Secret};
use ties_sync::{Code, ExpectHail, ExpectOffer, Hello, Host, Message, PairingError, Refusal};
use zeroize::Zeroizing;

use crate::document::Projection;
use crate::environment::Environment;
use crate::pairing::{Caller, Invitation, PairError, Room, must_be_free};
use crate::records::Fault;
use crate::relay_link::{LinkFailure, RelayLink};
use crate::roads::{Road, RoadError};
use crate::secrets::device_keys;
use crate::space::Space;

/// An open invitation by code: one guest, one attempt, ten minutes.
#[derive(Debug)]
pub struct CodeInvitation {
    space: Space,
    road: Road,
    link: RelayLink,
    text: Zeroizing<String>,
    waiting: ExpectHail,
    /// Milliseconds since 1970.
    expires: u64,
}

impl Space {
    /// Invites a new device by a code, at one of this space's relays (the first one if `relay` is `None`).
    ///
    /// # Errors
    /// When there is no relay or it cannot be reached, or this device may not admit others.
    pub async fn invite_by_code(&self, relay: Option<&str>) -> Result<CodeInvitation, PairError> {
        let road = self.road_to_meet(relay)?;
        let devices = self.devices()?;
        let name = devices.into_iter().find(|device| device.this).map(|device| device.name).unwrap_or_default();
        let certificate =
            device_keys(&self.inner.store.read().map_err(Fault::from)?)?.ok_or(Fault::NoKey)?.certificate();
        let address: RelayAddress = road.address.parse().map_err(RoadError::from)?;
        let key = self.inner.pseudonym(&road.relay)?;
        let mut link = RelayLink::open(&address, &key, &mut Environment::system()).await?;
        link.say(&Message::Reserve).await?;
        let number = match link.answer().await? {
            Message::Nameplate { number } => number,
            _ => return Err(LinkFailure::Protocol(ties_sealed_log::DecodeError::Malformed).into()),
        };
        let code = Code::draw(number, self.inner.environment().randomness());
        let text = code.to_text();
        let waiting = ExpectHail::new(code, road.relay, Hello { certificate, name });
        let expires = self.now() + CODE_LASTS.as_millis() as u64;
        Ok(CodeInvitation { space: self.clone(), road, link, text, waiting, expires })
    }

    /// Makes this device part of a space, as the guest of a code, meeting at the relay of that address. `announce` hears
    /// who invites and this device's fingerprint once the code has proved right, so that the owner can compare before
    /// saying yes on the other one. What was begun is not kept if it fails. Sync afterwards to get everything.
    ///
    /// # Errors
    /// When the code is wrong or void, the relay cannot be reached, the other side declines, or the folder holds a
    /// space. A code that was tried is void, whatever came of it.
    pub async fn join_by_code(
        folder: &Path,
        projection: impl Projection,
        code: &str,
        relay: &str,
        device_name: &str,
        mut environment: Environment,
        announce: impl FnOnce(Option<&str>, &str),
    ) -> Result<Self, PairError> {
        must_be_free(folder)?;
        let code = Code::parse(code)?;
        let address: RelayAddress = relay.trim().parse().map_err(RoadError::from)?;
        let device = DeviceKeys::from_seed(Secret::random(environment.randomness()));
        // The relay has no name for this device yet; a key of this attempt's own will do.
        let passing = PseudonymKey::from_secret(&Secret::random(environment.randomness()));
        let mut link = RelayLink::open(&address, &passing, &mut environment).await?;
        let invited = claim(&mut link, code, &address, &device.certificate(), &mut environment).await?;
        let host = invited.host.name.clone();
        let ticket = invited.ticket(address.to_string(), environment.now() / 1000 + CODE_LASTS.as_secs());
        let room = Room::over(address.clone(), passing, &ticket, link, CUT_FOR).await;
        let caller = Caller { ticket: &ticket, address: &address, device: &device, name: device_name };
        let accepted = caller.call_on(room, &mut environment, |words| announce(Some(&host), words)).await?;
        Self::moved_in(folder, projection, &device, device_name, &accepted, environment)
    }
}

/// Proves the code to its host.
async fn claim(
    link: &mut RelayLink,
    code: Code,
    address: &RelayAddress,
    me: &DeviceCert,
    environment: &mut Environment,
) -> Result<ties_sync::Invited, PairError> {
    link.say(&Message::Claim { number: code.nameplate() }).await?;
    let (stage, hail) = ExpectOffer::hail(code, address.key(), environment.randomness());
    say(link, hail).await?;
    let offer = note(link, Some(ANSWER)).await?;
    let (stage, proof) = stage.handle(&offer, me, environment.randomness())?;
    say(link, proof).await?;
    Ok(stage.handle(&note(link, Some(ANSWER)).await?)?)
}

impl CodeInvitation {
    /// The code, such as `17-acid-zoo-lunch`. It is a secret until it was used.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.text
    }

    /// Where the guest must come, whose owner has to type that too.
    #[must_use]
    pub fn relay(&self) -> &str {
        &self.road.address
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
    pub async fn tried(self) -> Result<Invitation, PairError> {
        let Self { space, road, mut link, waiting, expires, .. } = self;
        let left = Duration::from_millis(expires.saturating_sub(space.now()));
        let hail = match tokio::time::timeout(left, note(&mut link, None)).await {
            Err(_) | Ok(Err(PairError::PartnerLeft)) if space.now() + 1000 >= expires => {
                return Err(PairError::NobodyCame);
            }
            Err(_) => return Err(PairError::NobodyCame),
            Ok(hail) => hail?,
        };
        let mut rng = crate::environment::system_randomness();
        let (stage, offer) = waiting.handle(&hail, &mut rng)?;
        say(&mut link, offer).await?;
        let proof = note(&mut link, Some(ANSWER)).await?;
        let (outcome, answer) = stage.handle(&proof, &mut rng);
        say(&mut link, answer).await?;
        let agreed = match outcome {
            Ok(agreed) => agreed,
            Err(error) => {
                // A link that is closed in good order gets its last word across.
                link.close().await;
                return Err(error.into());
            }
        };
        let ticket = agreed.ticket(road.address.clone(), space.now() / 1000 + CODE_LASTS.as_secs());
        let key = space.inner.pseudonym(&road.relay)?;
        let address = road.address.parse().map_err(RoadError::from)?;
        let room = Room::over(address, key, &ticket, link, CUT_FOR).await;
        Ok(Invitation::new(space, road, Host::of(&ticket, agreed.guest), ticket, room))
    }
}

async fn say(link: &mut RelayLink, word: Vec<u8>) -> Result<(), PairError> {
    Ok(link.say(&Message::Pass(word.into())).await?)
}

/// What the other one says, within some time.
async fn note(link: &mut RelayLink, patience: Option<Duration>) -> Result<Vec<u8>, PairError> {
    let frame = match patience {
        None => link.frame().await?,
        Some(patience) => tokio::time::timeout(patience, link.frame()).await.map_err(|_| PairError::PartnerLeft)??,
    };
    match Message::decode(&frame).map_err(LinkFailure::from)? {
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
/// How long a relay may be away in the middle before a pairing by code is given up.
const CUT_FOR: Duration = Duration::from_secs(20);
