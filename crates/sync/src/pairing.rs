//! Admitting a new device with a ticket, which was handed over or agreed on by a code.
//!
//! The old device is the host, the new one the guest. Four messages, each sealed under keys from the ticket's secret,
//! so that whoever carries them (a relay's room, later a folder) learns nothing:
//!
//! 1. guest: its certificate and name; the host's owner is asked;
//! 2. host: its own certificate, which must be the one the ticket names, the space, the keys wrapped for the guest and
//!    the mailbox; or that it declines;
//! 3. guest: its pseudonym at the relay;
//! 4. host: the guest is on the mailbox's list.
//!
//! Where no relay is among what the host gives, the guest's third message says just that it has taken it.
//!
//! Messages repeat harmlessly: either side may lose its link, or start anew, and say its last word again. One ticket
//! admits one guest: the first that greets, and no other.

use std::collections::BTreeMap;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use ties_sealed_log::{
    DecodeError, DeviceCert, DeviceId, DeviceKeys, EntryName, EpochId, EpochKey, KnownPseudonym, RelayKey, RelayRoad,
    SEAL_OVERHEAD, Secret, Share, SpaceId, Wrap, WrapContext, decode, encode,
};

use crate::code_pairing::Stake;
use crate::ticket::Ticket;
use crate::wire::MAX_PASS;

/// Why a pairing fails. Nothing has changed on either device then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PairingError {
    /// A message that was not sealed with this ticket.
    #[error("a message that was not made with this ticket")]
    Foreign,
    /// The two sides do not mean the same code, or somebody is between them. The code is void now.
    #[error("the code is not the one that the other device shows")]
    WrongCode,
    /// The other side pairs in another way.
    #[error("the other device speaks another version")]
    Version,
    /// A message that has no place here.
    #[error("a message out of turn")]
    OutOfTurn,
    /// Opened, and its content does not parse.
    #[error("malformed message ({0})")]
    Malformed(#[from] DecodeError),
    /// Another device answers than the ticket names.
    #[error("another device answers than the one that made the ticket")]
    WrongHost,
    /// Another device comes than the one that had the code.
    #[error("another device comes than the one that proved the code")]
    WrongGuest,
    /// A second guest came with one ticket.
    #[error("the ticket was used by another device already")]
    Used,
    /// A key does not open or does not match its check.
    #[error("the keys handed over do not open")]
    Keys,
    /// The host's owner said no.
    #[error("the other device declined")]
    Declined,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Word {
    Hello(Hello),
    /// What is said, and the host's signature over it and the guest's id: the ticket's holder alone cannot speak for
    /// the host.
    Welcome(Box<Welcome>, ByteBuf),
    Declined,
    Ready(KnownPseudonym),
    Done,
    There,
    Taken,
}

/// Who asks to be admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The guest's keys.
    pub certificate: DeviceCert,
    /// What its owner calls it.
    pub name: String,
}

/// Everything a new device needs to take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The host's keys.
    pub certificate: DeviceCert,
    /// The space.
    pub space: SpaceId,
    /// Its genesis entry.
    pub genesis: EntryName,
    /// Keys of epochs, wrapped for the guest by the host. An epoch carries the keys of those before it, so that the
    /// newest ones are enough.
    pub shares: Vec<Share>,
    /// Where to meet from now on. The guest learns access statements that are left out here from its first session.
    pub roads: Vec<RelayRoad>,
}

/// What stands around a welcome in its message: which word it is, the signature with its length, the seal.
const WELCOME_OVERHEAD: usize = 1 + 1 + 64 + SEAL_OVERHEAD;

/// The longest name of a device.
pub const MAX_NAME: usize = 200;

/// The keys of one ticket, and which way a message goes.
struct Channel {
    room: [u8; 32],
    to_host: EpochKey,
    to_guest: EpochKey,
}

impl Channel {
    fn new(ticket: &Ticket) -> Self {
        let base = EpochKey::new(Secret::new(*ticket.secret().expose()));
        Self {
            room: ticket.room(),
            to_host: EpochKey::new(base.derive("ties1/pair/to-host")),
            to_guest: EpochKey::new(base.derive("ties1/pair/to-guest")),
        }
    }

    fn seal(&self, key: &EpochKey, word: &Word, rng: &mut impl CryptoRng) -> Vec<u8> {
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        key.seal(&salt, &self.room, &encode(word))
    }

    fn open(&self, key: &EpochKey, frame: &[u8]) -> Result<Word, PairingError> {
        let plain = key.open(&self.room, frame).map_err(|_| PairingError::Foreign)?;
        Ok(decode(&plain)?)
    }
}

/// What the host has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostStep {
    /// Ask the owner; then call [`Host::welcome`] or [`Host::decline`].
    Ask(Hello),
    /// Put the guest's pseudonym on the mailbox's list; then call [`Host::done`]. It may come once for each relay.
    Enlist(KnownPseudonym),
    /// Nothing but [`Host::done`]: the guest has what it was given, and there is no list to put it on.
    Taken,
    /// Say this again.
    Repeat(Vec<u8>),
    /// Nothing: the guest repeats what is being seen to already.
    Wait,
}

/// The existing device's side.
pub struct Host {
    channel: Channel,
    /// Who it must be, where a code was used.
    expected: Option<Stake>,
    guest: Option<Hello>,
    answer: Option<Answer>,
    enlisted: BTreeMap<RelayKey, KnownPseudonym>,
    done: Option<Vec<u8>>,
}

/// What the owner decided, and the frame that said so.
enum Answer {
    Welcome { frame: Vec<u8>, space: SpaceId, relays: Vec<RelayKey> },
    Declined(Vec<u8>),
}

impl Answer {
    fn frame(&self) -> &[u8] {
        match self {
            Self::Welcome { frame, .. } | Self::Declined(frame) => frame,
        }
    }
}

impl Host {
    /// Waits for the guest of a ticket. When the ticket expires, drop it: this side reads no clock.
    #[must_use]
    pub fn new(ticket: &Ticket) -> Self {
        let channel = Channel::new(ticket);
        Self { channel, expected: None, guest: None, answer: None, enlisted: BTreeMap::new(), done: None }
    }

    /// Waits for the one guest that a code was agreed with.
    #[must_use]
    pub fn of(ticket: &Ticket, guest: Stake) -> Self {
        Self { expected: Some(guest), ..Self::new(ticket) }
    }

    /// Takes a message from the room.
    ///
    /// # Errors
    /// [`PairingError::Foreign`] may be ignored: anybody who guesses the room's name can send rubbish. The others end
    /// the pairing.
    pub fn handle(&mut self, frame: &[u8]) -> Result<HostStep, PairingError> {
        match self.channel.open(&self.channel.to_host, frame)? {
            Word::Hello(hello) => self.greet(hello),
            Word::Ready(pseudonym) => self.enlist(pseudonym),
            Word::Taken => self.taken(),
            _ => Err(PairingError::OutOfTurn),
        }
    }

    /// Who asked, once somebody did.
    #[must_use]
    pub fn guest(&self) -> Option<&Hello> {
        self.guest.as_ref()
    }

    /// Answers a guest that its owner accepts, in the name of this device. Access statements are left out of the roads when the message would be
    /// longer than a rendezvous passes on.
    pub fn welcome(&mut self, mut welcome: Welcome, device: &DeviceKeys, rng: &mut impl CryptoRng) -> Vec<u8> {
        if encode(&welcome).len() + WELCOME_OVERHEAD > MAX_PASS {
            welcome.roads.iter_mut().for_each(|road| road.statements.clear());
        }
        let relays = welcome.roads.iter().map(|road| road.relay).collect();
        let space = welcome.space;
        let guest = self.guest.as_ref().map_or(DeviceId([0; 32]), |hello| hello.certificate.id());
        let signature = device.sign_welcome(&guest, &encode(&welcome));
        let frame = self.say(&Word::Welcome(Box::new(welcome), ByteBuf::from(signature)), rng);
        self.answer = Some(Answer::Welcome { frame: frame.clone(), space, relays });
        frame
    }

    /// Answers a guest that its owner does not know. It stays declined, whatever it says.
    pub fn decline(&mut self, rng: &mut impl CryptoRng) -> Vec<u8> {
        let frame = self.say(&Word::Declined, rng);
        self.answer = Some(Answer::Declined(frame.clone()));
        frame
    }

    /// Asks whether the guest is still there, which says its last word again: nobody is to be written down as a member
    /// who went away while the owner was thinking.
    pub fn is_there(&self, rng: &mut impl CryptoRng) -> Vec<u8> {
        self.say(&Word::There, rng)
    }

    /// Tells the guest that it is on the list.
    pub fn done(&mut self, rng: &mut impl CryptoRng) -> Vec<u8> {
        let frame = self.say(&Word::Done, rng);
        self.done = Some(frame.clone());
        frame
    }

    fn greet(&mut self, hello: Hello) -> Result<HostStep, PairingError> {
        match &self.guest {
            Some(known) if *known != hello => Err(PairingError::Used),
            Some(_) => {
                let answer = self.answer.as_ref();
                Ok(answer.map_or(HostStep::Wait, |answer| HostStep::Repeat(answer.frame().to_vec())))
            }
            None if self.expected.is_some_and(|expected| !expected.is_of(&hello.certificate)) => {
                Err(PairingError::WrongGuest)
            }
            None if hello.name.len() > MAX_NAME || hello.name.is_empty() => {
                Err(PairingError::Malformed(DecodeError::Bounds))
            }
            None => {
                self.guest = Some(hello.clone());
                Ok(HostStep::Ask(hello))
            }
        }
    }

    fn enlist(&mut self, pseudonym: KnownPseudonym) -> Result<HostStep, PairingError> {
        let (Some(guest), Some(Answer::Welcome { space, relays, .. })) = (&self.guest, &self.answer) else {
            return Err(PairingError::OutOfTurn);
        };
        if pseudonym.device != guest.certificate.id() || !relays.contains(&pseudonym.relay) {
            return Err(PairingError::OutOfTurn);
        }
        match self.enlisted.get(&pseudonym.relay) {
            Some(known) if *known == pseudonym => Ok(self.done.clone().map_or(HostStep::Wait, HostStep::Repeat)),
            Some(_) => Err(PairingError::Used),
            None => {
                let signature = pseudonym.signature.as_slice().try_into().map_err(|_| PairingError::Keys)?;
                guest
                    .certificate
                    .verify_pseudonym(space, &pseudonym.relay, &pseudonym.pseudonym, signature)
                    .map_err(|_| PairingError::Keys)?;
                self.enlisted.insert(pseudonym.relay, pseudonym.clone());
                self.done = None;
                Ok(HostStep::Enlist(pseudonym))
            }
        }
    }

    fn taken(&self) -> Result<HostStep, PairingError> {
        match &self.answer {
            Some(Answer::Welcome { relays, .. }) if relays.is_empty() => {
                Ok(self.done.clone().map_or(HostStep::Taken, HostStep::Repeat))
            }
            _ => Err(PairingError::OutOfTurn),
        }
    }

    fn say(&self, word: &Word, rng: &mut impl CryptoRng) -> Vec<u8> {
        self.channel.seal(&self.channel.to_guest, word, rng)
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host(..)")
    }
}

/// What the guest has to do next.
#[derive(Debug)]
pub enum GuestStep {
    /// Keep this, then call [`Guest::ready`], or [`Guest::taken`] if there is no relay in it.
    Welcome(Box<Accepted>),
    /// Say the last word again: the host wants to know whether somebody is there.
    Again,
    /// All is done.
    Done,
}

/// A checked welcome with its opened keys.
#[derive(Debug)]
pub struct Accepted {
    /// What the host said.
    pub welcome: Welcome,
    /// The epochs' ids, generations and keys.
    pub keys: Vec<(EpochId, u32, EpochKey)>,
}

/// The new device's side.
pub struct Guest<'d> {
    channel: Channel,
    host: DeviceId,
    device: &'d DeviceKeys,
    welcomed: bool,
}

impl<'d> Guest<'d> {
    /// Greets the host: the first message comes along.
    pub fn greet(ticket: &Ticket, device: &'d DeviceKeys, name: &str, rng: &mut impl CryptoRng) -> (Self, Vec<u8>) {
        let guest = Self { channel: Channel::new(ticket), host: ticket.host, device, welcomed: false };
        let hello = Word::Hello(Hello { certificate: device.certificate(), name: name.to_owned() });
        let frame = guest.channel.seal(&guest.channel.to_host, &hello, rng);
        (guest, frame)
    }

    /// Takes a message from the room.
    ///
    /// # Errors
    /// As for [`Host::handle`].
    pub fn handle(&mut self, frame: &[u8]) -> Result<GuestStep, PairingError> {
        match self.channel.open(&self.channel.to_guest, frame)? {
            Word::Welcome(welcome, signature) => {
                let accepted = self.accept(*welcome, &signature)?;
                self.welcomed = true;
                Ok(GuestStep::Welcome(Box::new(accepted)))
            }
            Word::Declined => Err(PairingError::Declined),
            Word::There => Ok(GuestStep::Again),
            Word::Done if self.welcomed => Ok(GuestStep::Done),
            _ => Err(PairingError::OutOfTurn),
        }
    }

    /// Tells the host this device's pseudonym at the relay.
    pub fn ready(&self, pseudonym: KnownPseudonym, rng: &mut impl CryptoRng) -> Vec<u8> {
        self.channel.seal(&self.channel.to_host, &Word::Ready(pseudonym), rng)
    }

    /// Tells the host that this device has taken its welcome, which names no relay.
    pub fn taken(&self, rng: &mut impl CryptoRng) -> Vec<u8> {
        self.channel.seal(&self.channel.to_host, &Word::Taken, rng)
    }

    fn accept(&self, welcome: Welcome, signature: &[u8]) -> Result<Accepted, PairingError> {
        if welcome.certificate.id() != self.host {
            return Err(PairingError::WrongHost);
        }
        let recipient = self.device.id();
        let signature = signature.try_into().map_err(|_| PairingError::WrongHost)?;
        welcome
            .certificate
            .verify_welcome(&recipient, &encode(&welcome), signature)
            .map_err(|_| PairingError::WrongHost)?;
        let mut keys = Vec::with_capacity(welcome.shares.len());
        for share in &welcome.shares {
            if share.wrap.recipient != recipient {
                return Err(PairingError::Keys);
            }
            let context =
                WrapContext { space: &welcome.space, epoch: &share.epoch, recipient: &recipient, author: &self.host };
            let key = self.device.unwrap(&share.wrap.bytes, context).map_err(|_| PairingError::Keys)?;
            if !key.matches(&share.epoch, &share.check) {
                return Err(PairingError::Keys);
            }
            keys.push((share.epoch, share.generation, key));
        }
        if keys.is_empty() { Err(PairingError::Keys) } else { Ok(Accepted { welcome, keys }) }
    }
}

impl std::fmt::Debug for Guest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guest(..)")
    }
}

/// Wraps epoch keys for a guest, as a [`Welcome`] and the share entries carry them.
///
/// # Errors
/// When the guest's certificate is unusable.
pub fn share_keys<'k>(
    space: &SpaceId,
    host: &DeviceKeys,
    guest: &DeviceCert,
    parents: &[EntryName],
    keys: impl IntoIterator<Item = (&'k EpochId, u32, &'k EpochKey)>,
    rng: &mut impl CryptoRng,
) -> Result<Vec<Share>, PairingError> {
    let (author, recipient) = (host.id(), guest.id());
    let wrap = |(epoch, generation, key): (&EpochId, u32, &EpochKey)| {
        let context = WrapContext { space, epoch, recipient: &recipient, author: &author };
        let bytes = guest.wrap(key, context, rng).map_err(|_| PairingError::Keys)?;
        Ok(Share {
            parents: parents.to_vec(),
            epoch: *epoch,
            generation,
            check: key.check(epoch),
            wrap: Wrap { recipient, bytes: ByteBuf::from(bytes) },
        })
    };
    keys.into_iter().map(wrap).collect()
}
