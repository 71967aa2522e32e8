//! Agreeing on a ticket by means of a code.
//!
//! Four words through the relay, which learns nothing from them, or on a link between the two, and the last two of which tell
//! both sides whether they mean the same code. The guest, who typed it, proves that first; so whoever does not know the code has one guess,
//! and the host then drops the code. Each side states its certificate before, without showing it: what the ticket is
//! used for afterwards ([`crate::Host`], [`crate::Guest`]) holds both to that.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use ties_sealed_log::{DecodeError, DeviceCert, DeviceId, EpochKey, RelayKey, Secret, decode, encode, hash};
use zeroize::Zeroizing;

use crate::code::Code;
use crate::cpace::{Cpace, Stated};
use crate::pairing::{Hello, MAX_NAME, PairingError};
use crate::ticket::Ticket;
use crate::wire::VERSION;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Word {
    /// The guest is there.
    Hail { version: u8, nonce: Nonce },
    /// The host's share.
    Offer { nonce: Nonce, share: [u8; 32], stated: [u8; 32] },
    /// The guest's, and its proof.
    Proof { share: [u8; 32], stated: [u8; 32], mac: [u8; 32] },
    /// The host's proof, and who it is, sealed.
    Confirm { mac: [u8; 32], introduction: ByteBuf },
    /// The proof was wrong: the code is void.
    Wrong,
}

type Nonce = [u8; 16];

/// A certificate that was stated, not shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Stake {
    nonce: Nonce,
    digest: [u8; 32],
}

impl Stake {
    fn new(nonce: Nonce, certificate: &DeviceCert) -> Self {
        Self { nonce, digest: hash("ties1/pair-cert", &[&nonce, certificate.as_bytes()]) }
    }

    /// Whether it was this one.
    #[must_use]
    pub fn is_of(&self, certificate: &DeviceCert) -> bool {
        Self::new(self.nonce, certificate).digest.ct_eq(&self.digest).into()
    }
}

impl std::fmt::Debug for Stake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stake(..)")
    }
}

/// Everything that both sides sent; each proof covers it.
#[derive(Serialize)]
struct Transcript {
    sid: [u8; 32],
    host: ([u8; 32], [u8; 32]),
    guest: ([u8; 32], [u8; 32]),
}

/// What both sides hold in the end if they mean the same code.
struct Keys {
    guest_proof: [u8; 32],
    host_proof: [u8; 32],
    introduction: EpochKey,
    ticket: Secret,
    sid: [u8; 32],
}

impl Transcript {
    fn keys(&self, run: &Cpace, other: &[u8; 32]) -> Result<Keys, PairingError> {
        let host = Stated { share: &self.host.0, data: &self.host.1 };
        let guest = Stated { share: &self.guest.0, data: &self.guest.1 };
        let key = run.key(other, host, guest).map_err(|_| PairingError::WrongCode)?;
        let key = Hkdf::<Sha256>::new(None, &*key);
        let derive = |label: &str| {
            let mut out = Zeroizing::new([0; 32]);
            key.expand_multi_info(&[label.as_bytes(), &[0]], &mut *out).expect("one block is not too long");
            Secret::new(*out)
        };
        let prove = |label: &str| -> [u8; 32] {
            let mut mac = Hmac::<Sha256>::new_from_slice(derive(label).expose()).expect("a key of any length will do");
            mac.update(&encode(self));
            mac.finalize().into_bytes().into()
        };
        Ok(Keys {
            guest_proof: prove("ties1/pair/proof-guest"),
            host_proof: prove("ties1/pair/proof-host"),
            introduction: EpochKey::new(derive("ties1/pair/introduction")),
            ticket: derive("ties1/pair/secret"),
            sid: self.sid,
        })
    }
}

/// The session's name, in which both sides had a hand.
fn session(host: &Nonce, guest: &Nonce) -> [u8; 32] {
    hash("ties1/pair-sid", &[host, guest])
}

/// Where host and guest of a code say their words. Who means another place means another code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeetingPlace {
    /// Under its number at this relay.
    Relay(RelayKey),
    /// On a link of their own whose TLS session exports this: whoever stands between two links has a code for neither.
    Link([u8; 32]),
}

impl From<RelayKey> for MeetingPlace {
    fn from(relay: RelayKey) -> Self {
        Self::Relay(relay)
    }
}

/// A run about a code at a place.
fn run(code: &Code, place: MeetingPlace, sid: &[u8; 32], rng: &mut impl CryptoRng) -> Cpace {
    let (label, place) = match &place {
        MeetingPlace::Relay(relay) => (b"ties1/pair\0".as_slice(), &relay.0),
        MeetingPlace::Link(exporter) => (b"ties1/pair-link\0".as_slice(), exporter),
    };
    let channel = [label, place, &code.nameplate().to_be_bytes()].concat();
    Cpace::new(code.password(), &channel, sid, rng)
}

fn nonce(rng: &mut impl CryptoRng) -> Nonce {
    let mut nonce = [0; 16];
    rng.fill_bytes(&mut nonce);
    nonce
}

/// The host, which showed the code and waits for a guest.
#[derive(Debug)]
pub struct ExpectHail {
    code: Code,
    me: Hello,
}

impl ExpectHail {
    /// Waits for the guest of a code, wherever it may come.
    #[must_use]
    pub fn new(code: Code, me: Hello) -> Self {
        Self { code, me }
    }

    /// Takes the guest's first word, said at this place: the next stage, and what to say.
    ///
    /// # Errors
    /// Any error ends the attempt, and the code with it.
    pub fn handle(
        self,
        place: impl Into<MeetingPlace>,
        frame: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(ExpectProof, Vec<u8>), PairingError> {
        let Word::Hail { version, nonce: guest } = decode(frame)? else { return Err(PairingError::OutOfTurn) };
        if version != VERSION {
            return Err(PairingError::Version);
        }
        let own = nonce(rng);
        let sid = session(&own, &guest);
        let run = run(&self.code, place.into(), &sid, rng);
        let stated = Stake::new(own, &self.me.certificate).digest;
        let offer = Word::Offer { nonce: own, share: run.share(), stated };
        Ok((ExpectProof { run, sid, stated, guest, me: self.me }, encode(&offer)))
    }
}

/// The host, which made its offer.
pub struct ExpectProof {
    run: Cpace,
    sid: [u8; 32],
    stated: [u8; 32],
    guest: Nonce,
    me: Hello,
}

impl ExpectProof {
    /// Takes the guest's proof: what was agreed, and what to say in either case. An error is final: it was the one
    /// guess.
    pub fn handle(self, frame: &[u8], rng: &mut impl CryptoRng) -> (Result<Agreed, PairingError>, Vec<u8>) {
        match self.judge(frame, rng) {
            Ok((agreed, confirm)) => (Ok(agreed), confirm),
            Err(error) => (Err(error), encode(&Word::Wrong)),
        }
    }

    fn judge(self, frame: &[u8], rng: &mut impl CryptoRng) -> Result<(Agreed, Vec<u8>), PairingError> {
        let Word::Proof { share, stated, mac } = decode(frame)? else { return Err(PairingError::OutOfTurn) };
        let host = (self.run.share(), self.stated);
        let transcript = Transcript { sid: self.sid, host, guest: (share, stated) };
        let keys = transcript.keys(&self.run, &share)?;
        if !bool::from(keys.guest_proof.ct_eq(&mac)) {
            return Err(PairingError::WrongCode);
        }
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        let introduction = keys.introduction.seal(&salt, &keys.sid, &encode(&self.me)).into();
        let confirm = encode(&Word::Confirm { mac: keys.host_proof, introduction });
        let guest = Stake { nonce: self.guest, digest: stated };
        Ok((Agreed { secret: keys.ticket, host: self.me.certificate.id(), guest }, confirm))
    }
}

impl std::fmt::Debug for ExpectProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExpectProof(..)")
    }
}

/// What a host and its guest agreed on: a ticket that nobody else has seen.
#[derive(Debug)]
pub struct Agreed {
    secret: Secret,
    host: DeviceId,
    /// Who the guest said it is.
    pub guest: Stake,
}

impl Agreed {
    /// The ticket; `relay` is empty where they met without one. `expires` counts seconds since 1970.
    #[must_use]
    pub fn ticket(&self, relay: String, expires: u64) -> Ticket {
        Ticket::new(relay, self.host, expires, Secret::new(*self.secret.expose()))
    }
}

/// The guest, which typed the code.
#[derive(Debug)]
pub struct ExpectOffer {
    code: Code,
    place: MeetingPlace,
    nonce: Nonce,
}

impl ExpectOffer {
    /// Hails the host of a code, at this place: the first word comes along.
    pub fn hail(code: Code, place: impl Into<MeetingPlace>, rng: &mut impl CryptoRng) -> (Self, Vec<u8>) {
        let nonce = nonce(rng);
        (Self { code, place: place.into(), nonce }, encode(&Word::Hail { version: VERSION, nonce }))
    }

    /// Takes the host's offer: the next stage, and the proof to send. `me` is stated by it, not shown.
    ///
    /// # Errors
    /// Any error ends the attempt.
    pub fn handle(
        self,
        frame: &[u8],
        me: &DeviceCert,
        rng: &mut impl CryptoRng,
    ) -> Result<(ExpectConfirm, Vec<u8>), PairingError> {
        let (host, share, digest) = match decode(frame)? {
            Word::Offer { nonce, share, stated } => (nonce, share, stated),
            Word::Wrong => return Err(PairingError::WrongCode),
            _ => return Err(PairingError::OutOfTurn),
        };
        let sid = session(&host, &self.nonce);
        let run = run(&self.code, self.place, &sid, rng);
        let stated = Stake::new(self.nonce, me).digest;
        let transcript = Transcript { sid, host: (share, digest), guest: (run.share(), stated) };
        let keys = transcript.keys(&run, &share)?;
        let proof = Word::Proof { share: run.share(), stated, mac: keys.guest_proof };
        Ok((ExpectConfirm { keys, host: Stake { nonce: host, digest } }, encode(&proof)))
    }
}

/// The guest, which proved itself.
pub struct ExpectConfirm {
    keys: Keys,
    host: Stake,
}

impl ExpectConfirm {
    /// Takes the host's proof: who the host is, and the secret part of their ticket.
    ///
    /// # Errors
    /// [`PairingError::WrongCode`] if the host meant another code, or is none.
    pub fn handle(self, frame: &[u8]) -> Result<Invited, PairingError> {
        let (mac, introduction) = match decode(frame)? {
            Word::Confirm { mac, introduction } => (mac, introduction),
            Word::Wrong => return Err(PairingError::WrongCode),
            _ => return Err(PairingError::OutOfTurn),
        };
        if !bool::from(self.keys.host_proof.ct_eq(&mac)) {
            return Err(PairingError::WrongCode);
        }
        let opened = self.keys.introduction.open(&self.keys.sid, &introduction).map_err(|_| PairingError::Foreign)?;
        let host: Hello = decode(&opened)?;
        if !self.host.is_of(&host.certificate) {
            return Err(PairingError::WrongHost);
        }
        if host.name.is_empty() || host.name.len() > MAX_NAME {
            return Err(DecodeError::Bounds.into());
        }
        Ok(Invited { secret: self.keys.ticket, host })
    }
}

impl std::fmt::Debug for ExpectConfirm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExpectConfirm(..)")
    }
}

/// What a guest got for the right code.
#[derive(Debug)]
pub struct Invited {
    secret: Secret,
    /// Who invites.
    pub host: Hello,
}

impl Invited {
    /// The ticket; `relay` is empty where they met without one. `expires` counts seconds since 1970.
    #[must_use]
    pub fn ticket(&self, relay: String, expires: u64) -> Ticket {
        Ticket::new(relay, self.host.certificate.id(), expires, Secret::new(*self.secret.expose()))
    }
}
