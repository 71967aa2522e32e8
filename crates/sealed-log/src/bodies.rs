//! The bodies of the kinds of entries; FORMAT.md says what each is for.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::device::DeviceCert;
use crate::encode;
use crate::ids::{DeviceId, EntryName, EpochId, LogId, MailboxId, Pseudonym, RelayKey, SpaceId, hash};
use crate::keys::{LogKey, sign, verify};
use crate::payload::Dep;
use crate::recovery::RecoveryCert;

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

/// Changes of documents that their device wrote in another of its logs, on a branch that left the log below where it begins
/// everywhere else by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The other log: the changes' actors are computed from it.
    pub log: LogId,
    /// By the other log's key, over the log that this stands in: whoever can write the one says this in the other.
    pub signature: ByteBuf,
    /// The changes.
    pub changes: Changes,
}

impl Carried {
    const LABEL: &str = "ties1/carried";

    /// Changes that were written in the log of this key, to be said in another one.
    #[must_use]
    pub fn sign(key: &LogKey, space: &SpaceId, into: &LogId, changes: Changes) -> Self {
        let signature = sign(key.signing(), Self::LABEL, &[&space.0, &into.0]);
        Self { log: key.id(), signature: ByteBuf::from(signature), changes }
    }

    /// Whether the log that they were written in is of whoever says them in this one.
    #[must_use]
    pub fn is_genuine(&self, space: &SpaceId, into: &LogId) -> bool {
        let signature = <&[u8; 64]>::try_from(self.signature.as_slice());
        signature.is_ok_and(|signature| verify(&self.log.0, Self::LABEL, &[&space.0, &into.0], signature).is_ok())
    }
}

/// The birth of a space. Its hash, before sealing, is the space's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// Makes the id unique.
    pub random: [u8; 32],
    /// The first device, an admin.
    pub founder: DeviceCert,
    /// What its owner calls it; at most [`crate::MAX_NAME`] bytes, as every name.
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

/// Changes what a member may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRole {
    /// All maximal membership entries that the author knew, sorted.
    pub parents: Vec<EntryName>,
    /// Whose role.
    pub device: DeviceId,
    /// What it may do from now on.
    pub role: Role,
}

/// Gives a member another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// All maximal membership entries that the author knew, sorted.
    pub parents: Vec<EntryName>,
    /// Whose name.
    pub device: DeviceId,
    /// What its owner calls it.
    pub name: String,
}

/// Shuts a device out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remove {
    /// All maximal membership entries that the author knew, sorted.
    pub parents: Vec<EntryName>,
    /// Which device.
    pub device: DeviceId,
    /// What becomes of what it wrote.
    pub manner: Manner,
}

/// Says from which level on programs must be, since entries may be written that earlier ones do not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    /// All maximal membership entries that the author knew, sorted.
    pub parents: Vec<EntryName>,
    /// The level, at least 1.
    pub level: u16,
}

/// What becomes of what a removed device wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manner {
    /// It signs off: everything counts.
    Retire,
    /// It is lost or stolen: what lies beyond the pins is not taken on its word alone.
    Revoke {
        /// The tips of its logs that the remover knew, sorted; at most [`crate::MAX_PINS`].
        pins: Vec<Dep>,
    },
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
// Secret, yet Clone and Serialize: it is sealed to the recovery key, as part of payloads that are both.
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

/// The level of the program that writes the log that this stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reads {
    /// It knows everything of this level and of those below; at least 1.
    pub level: u16,
}

/// What relays have confirmed, durably, to have of the log that this stands in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipts {
    /// One a mailbox, sorted.
    pub relays: Vec<Receipt>,
}

/// What one relay has confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Receipt {
    /// The mailbox there.
    pub mailbox: MailboxId,
    /// The name of its store: of another one this says nothing.
    pub store: [u8; 16],
    /// The place of the last entry.
    pub seq: u64,
    /// That entry.
    pub name: EntryName,
}
