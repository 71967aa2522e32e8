//! What is inside a sealed entry.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::ids::{DeviceId, EntryName, EpochId, LogId, MailboxId, Pseudonym, RelayKey, SpaceId, hash};
use crate::keys::{DeviceCert, RecoveryCert};
use crate::{DecodeError, LogOpening, Members, WRAP_LEN, decode, encode};

/// Most bytes of a device's or a space's name.
pub const MAX_NAME: usize = 200;

/// Most parents of a membership entry.
pub const MAX_PARENTS: usize = 64;

/// Most bytes of a membership entry's body.
pub const MAX_MEMBERSHIP: usize = 128 << 10;

/// An entry of another log that this one builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dep {
    /// The other log.
    pub log: LogId,
    /// The place in it.
    pub seq: u64,
    /// The entry there.
    pub name: EntryName,
}

/// The sealed content of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// One of [`Kind`]'s numbers; unknown ones are stored, forwarded and counted.
    pub kind: u16,
    /// Tips of other logs that the author had read and that moved since its last entry, sorted.
    pub deps: Vec<Dep>,
    /// Milliseconds since 1970, for display only: no rule reads it.
    pub time: u64,
    /// The body, as the kind says.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

impl Sealed {
    /// Writes a body of a kind that is known here; puts the deps in order.
    #[must_use]
    pub fn new(payload: &Payload, mut deps: Vec<Dep>, time: u64) -> Self {
        deps.sort_unstable();
        deps.dedup();
        Self { kind: payload.kind() as u16, deps, time, body: payload.encode() }
    }

    /// Reads the body; `None` for a kind that is not known here.
    ///
    /// # Errors
    /// When the kind is known and the body is not one of its own.
    pub fn payload(&self) -> Result<Option<Payload>, DecodeError> {
        Payload::decode(self.kind, &self.body)
    }

    /// Whether the receivers will take it: nothing is sealed that does not open.
    pub(crate) fn check(&self) -> Result<(), DecodeError> {
        self.check_deps()?;
        self.payload().map(|_| ())
    }

    pub(crate) fn check_deps(&self) -> Result<(), DecodeError> {
        rule(ascending(&self.deps))
    }
}

/// Every kind of entry; FORMAT.md gives the bodies. Numbers are for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
#[allow(missing_docs, reason = "FORMAT.md lists them")]
pub enum Kind {
    OpenLog = 1,
    Changes = 2,
    Beacon = 3,
    Genesis = 16,
    Add = 17,
    Role = 18,
    Rename = 19,
    Remove = 20,
    Rotate = 21,
    Share = 22,
    Reset = 23,
    Roads = 24,
    Recovery = 32,
    Decision = 33,
    Checkpoint = 34,
    Blob = 35,
    Forget = 36,
}

impl Kind {
    /// Whether a number, known or not, is one of the kinds that decide who belongs and where the members meet.
    #[must_use]
    pub fn is_membership(kind: u16) -> bool {
        (Self::Genesis as u16..Self::Recovery as u16).contains(&kind)
    }
}

/// A body of a kind that is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The first entry of a log.
    OpenLog(OpenLog),
    /// Changes of documents.
    Changes(Changes),
    /// Nothing but deps.
    Beacon,
    /// The birth of a space.
    Genesis(Genesis),
    /// A device is admitted.
    Add(Add),
    /// A new epoch of keys.
    Rotate(Rotate),
    /// An epoch key for one member.
    Share(Share),
    /// Where the members meet.
    Roads(Roads),
}

impl Payload {
    /// Its number.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::OpenLog(_) => Kind::OpenLog,
            Self::Changes(_) => Kind::Changes,
            Self::Beacon => Kind::Beacon,
            Self::Genesis(_) => Kind::Genesis,
            Self::Add(_) => Kind::Add,
            Self::Rotate(_) => Kind::Rotate,
            Self::Share(_) => Kind::Share,
            Self::Roads(_) => Kind::Roads,
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::OpenLog(body) => encode(body),
            Self::Changes(body) => encode(body),
            Self::Beacon => Vec::new(),
            Self::Genesis(body) => encode(body),
            Self::Add(body) => encode(body),
            Self::Rotate(body) => encode(body),
            Self::Share(body) => encode(body),
            Self::Roads(body) => encode(body),
        }
    }

    fn decode(kind: u16, body: &[u8]) -> Result<Option<Self>, DecodeError> {
        let payload = match kind {
            1 => Self::OpenLog(decode(body)?),
            2 => Self::Changes(decode(body)?),
            3 if body.is_empty() => Self::Beacon,
            3 => return Err(DecodeError::Trailing(body.len())),
            16 => Self::Genesis(decode(body)?),
            17 => Self::Add(decode(body)?),
            21 => Self::Rotate(decode(body)?),
            22 => Self::Share(decode(body)?),
            24 => Self::Roads(decode(body)?),
            _ => return Ok(None),
        };
        rule(body.len() <= MAX_MEMBERSHIP || !Kind::is_membership(kind))?;
        payload.check()?;
        Ok(Some(payload))
    }

    /// The rules of each kind that types alone do not hold.
    fn check(&self) -> Result<(), DecodeError> {
        match self {
            Self::Beacon => Ok(()),
            Self::OpenLog(open) => rule(open.signature.len() == 64),
            Self::Changes(changes) => {
                rule(changes.items.iter().all(|item| usize::from(item.nonce) <= changes.nonces.len()))
            }
            Self::Genesis(genesis) => rule(genesis.name.len() <= MAX_NAME),
            Self::Add(add) => {
                parents(&add.parents)?;
                rule(add.name.len() <= MAX_NAME)
            }
            Self::Rotate(rotate) => {
                parents(&rotate.parents)?;
                rule(rotate.wraps.is_sorted_by(|a, b| a.recipient < b.recipient))?;
                rule(rotate.wraps.len() <= Members::MAX + 1)?;
                rule(rotate.wraps.iter().all(|wrap| wrap.bytes.len() == WRAP_LEN))
            }
            Self::Share(share) => {
                parents(&share.parents)?;
                rule(share.wrap.bytes.len() == WRAP_LEN)
            }
            Self::Roads(roads) => {
                parents(&roads.parents)?;
                rule(roads.pseudonyms.iter().all(|known| known.signature.len() == 64))?;
                rule(roads.openings.iter().all(|opening| opening.len() == LogOpening::LEN))
            }
        }
    }
}

fn parents(parents: &[EntryName]) -> Result<(), DecodeError> {
    rule(parents.len() <= MAX_PARENTS && ascending(parents))
}

/// Sorted, and nothing twice.
fn ascending<T: Ord>(list: &[T]) -> bool {
    list.is_sorted_by(|a, b| a < b)
}

fn rule(holds: bool) -> Result<(), DecodeError> {
    if holds { Ok(()) } else { Err(DecodeError::Bounds) }
}

/// Binds a log to the device that writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenLog {
    /// The device.
    pub device: DeviceId,
    /// Its signature over space and log ([`crate::DeviceKeys::sign_log`]): 64 bytes.
    pub signature: ByteBuf,
}

/// Changes of documents, made by one or several writing processes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changes {
    /// Session nonces; a change's actor is computed from the log id and one of them.
    pub nonces: Vec<[u8; 16]>,
    /// The changes, in the order in which they apply.
    pub items: Vec<Change>,
}

/// One Automerge change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The document.
    pub document: [u8; 16],
    /// 0 for a seed change, otherwise the 1-based index into `nonces`.
    pub nonce: u16,
    /// An uncompressed change chunk, exactly.
    pub chunk: ByteBuf,
}

/// The birth of a space. Its hash, before sealing, is the space's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// Makes the id unique.
    pub random: [u8; 32],
    /// The first device, an admin.
    pub founder: DeviceCert,
    /// What its owner calls it; at most [`MAX_NAME`] bytes, as every name.
    pub name: String,
    /// The recovery key, if there is one.
    pub recovery: Option<RecoveryCert>,
}

impl Genesis {
    /// The id of the space that is born.
    #[must_use]
    pub fn space(&self) -> SpaceId {
        SpaceId(hash("ties1/space", &[&encode(self)]))
    }
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// Reads.
    Reader,
    /// Reads and writes.
    Writer,
    /// Reads, writes, and decides who belongs.
    Admin,
}

/// Admits a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add {
    /// All maximal membership entries that the author knew, sorted.
    pub parents: Vec<EntryName>,
    /// The device's keys.
    pub certificate: DeviceCert,
    /// What it may do.
    pub role: Role,
    /// What its owner calls it.
    pub name: String,
}

/// A new epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotate {
    /// All maximal membership entries that the author knew, sorted.
    pub parents: Vec<EntryName>,
    /// Makes the epoch's id unique.
    pub random: [u8; 32],
    /// One more than the highest generation the author knew; the first is 0.
    pub generation: u32,
    /// Proves a key to be this epoch's before it is used.
    pub check: [u8; 32],
    /// The key for each recipient, sorted by recipient; the recovery key's id stands among them.
    pub wraps: Vec<Wrap>,
    /// All earlier epochs' keys, sealed under this one ([`crate::EpochKey::seal_earlier`]); empty for the first.
    pub earlier: ByteBuf,
}

/// One recipient's wrapped key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrap {
    /// A device, or the recovery key's id.
    pub recipient: DeviceId,
    /// HPKE output of [`crate::WRAP_LEN`] bytes.
    pub bytes: ByteBuf,
}

impl Rotate {
    /// The epoch's id: fixed by everything but the wraps, before they are made.
    #[must_use]
    pub fn epoch(&self, space: &SpaceId, author: &DeviceId) -> EpochId {
        let recipients: Vec<DeviceId> = self.wraps.iter().map(|wrap| wrap.recipient).collect();
        epoch_id(space, author, &self.parents, &recipients, &self.random)
    }
}

/// Names an epoch before its key is wrapped.
#[must_use]
pub fn epoch_id(
    space: &SpaceId,
    author: &DeviceId,
    parents: &[EntryName],
    recipients: &[DeviceId],
    random: &[u8; 32],
) -> EpochId {
    EpochId(hash(
        "ties1/epoch",
        &[&space.0, &author.0, &encode(&parents.to_vec()), &encode(&recipients.to_vec()), random],
    ))
}

/// An epoch key for a member that lacks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// All maximal membership entries that the author knew, sorted.
    pub parents: Vec<EntryName>,
    /// The epoch.
    pub epoch: EpochId,
    /// Its generation.
    pub generation: u32,
    /// Proves a key to be this epoch's before it is used: the same as in the rotate that began the epoch.
    pub check: [u8; 32],
    /// The member and its wrapped key.
    pub wrap: Wrap,
}

/// Where the members of a space meet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Roads {
    /// All maximal membership entries that the author knew, sorted.
    pub parents: Vec<EntryName>,
    /// Relays and mailboxes.
    pub relays: Vec<RelayRoad>,
    /// Which pseudonym is whose.
    pub pseudonyms: Vec<KnownPseudonym>,
    /// Signed log openings ([`crate::LogOpening`]), exact bytes, so that any member can refill a mailbox.
    pub openings: Vec<ByteBuf>,
}

/// A mailbox at a relay.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RelayRoad {
    /// The relay's address, as text.
    pub address: String,
    /// The relay's key.
    pub relay: RelayKey,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Its access statements, exact bytes, parents before children.
    pub statements: Vec<ByteBuf>,
}

/// A member's pseudonym at a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPseudonym {
    /// Whose it is.
    pub device: DeviceId,
    /// At which relay.
    pub relay: RelayKey,
    /// The pseudonym.
    pub pseudonym: Pseudonym,
    /// The device's own signature over the three and the space: 64 bytes.
    pub signature: ByteBuf,
}

/// What the twelve words find: enough to enter the space from ciphertext alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryEnvelope {
    /// The space.
    pub space: SpaceId,
    /// Its genesis entry.
    pub genesis: EntryName,
    /// An epoch.
    pub epoch: EpochId,
    /// Its generation.
    pub generation: u32,
    /// Its key.
    pub key: [u8; 32],
    /// Relay addresses and mailboxes.
    pub mailboxes: Vec<(String, MailboxId)>,
    /// The manifest of the latest checkpoint.
    pub checkpoint: Option<[u8; 32]>,
}

impl std::fmt::Debug for RecoveryEnvelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecoveryEnvelope({:?}, {:?})", self.space, self.epoch)
    }
}

impl Drop for RecoveryEnvelope {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}
