//! What a space keeps beside entries, documents and rows: names of tables, shapes of records.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ties_sealed_log::{
    DeviceId, EntryName, EpochId, LogId, MailboxId, RelayKey, SpaceId, Tip, TipRecord, decode, encode,
};
use ties_store::{Read, StoreError, Table, Transaction};

/// What went wrong below the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The database could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record in the database does not parse.
    #[error("the database is damaged: {0} does not parse")]
    Damaged(&'static str),
    /// Something does not fit into an entry.
    #[error("a single change is larger than an entry may be")]
    TooLarge,
    /// No key is here to write with.
    #[error("this device has no key of the space yet; sync first")]
    NoKey,
    /// This device is a reader.
    #[error("this device may read and not write")]
    ReadOnly,
    /// This device was shut out, or signed off.
    #[error("this device does not belong to the network any more")]
    Removed,
    /// The space asks for a newer program than this one, to write.
    #[error("the network is written by newer programs than this one (level {0}); this one reads it, and cannot write")]
    Outdated(u16),
    /// What is asked for lies below a checkpoint: the documents say what came of it, the entries are not here any more.
    #[error("it is older than what this device keeps single changes of")]
    Dropped,
}

pub(crate) const EPOCHS: Table = Table::named("engine/epochs");
pub(crate) const CLAIMS: Table = Table::named("engine/claims");
pub(crate) const MEMBERSHIP: Table = Table::named("engine/membership");
pub(crate) const ROADS: Table = Table::named("engine/roads");
pub(crate) const ACCESS: Table = Table::named("engine/access");
pub(crate) const OPENINGS: Table = Table::named("engine/openings");
pub(crate) const PSEUDONYMS: Table = Table::named("engine/pseudonyms");
pub(crate) const CONTACTS: Table = Table::named("engine/contacts");
/// Keys of this device's logs before the present one, by log: to open them at mailboxes.
pub(crate) const OWN_LOGS: Table = Table::named("engine/own-logs");
pub(crate) const BAD: Table = Table::named("engine/bad");
/// What relays did that they should not, by mailbox and kind.
pub(crate) const ALERTS: Table = Table::named("engine/alerts");
/// What other devices say that relays confirmed to them, by mailbox and log.
pub(crate) const RECEIPTS: Table = Table::named("engine/receipts");
/// What this device did, by number.
pub(crate) const OPERATIONS: Table = Table::named("engine/operations");

pub(crate) const DEVICE: &[u8] = b"device";
pub(crate) const SPACE: &[u8] = b"space";
pub(crate) const LOG: &[u8] = b"log";
/// The members that this device's owner has been told of.
pub(crate) const TOLD: &[u8] = b"told";
/// Before the name of a log: the last receipts written there.
pub(crate) const RECEIPTED: &[u8] = b"receipted/";
pub(crate) const NAMED: &[u8] = b"named";
/// Where the database was when the present log was opened: its install mark.
pub(crate) const MARK: &[u8] = b"mark";
/// Where the database was before, with the last entry that was written there.
pub(crate) const PLACES: &[u8] = b"places";
/// The last entry that was written here.
pub(crate) const WRITTEN: &[u8] = b"written";
/// What this device's owner has been told of its logs.
pub(crate) const LOGS_TOLD: &[u8] = b"logs-told";
pub(crate) const PROJECTION: &[u8] = b"projection";
/// How many operations there were.
pub(crate) const OPERATION_COUNT: &[u8] = b"operations";

/// This device.
// Secret, yet Serialize: it is kept in the encrypted database.
#[derive(Serialize, Deserialize)]
pub(crate) struct DeviceRecord {
    pub(crate) seed: [u8; 32],
    pub(crate) name: String,
}

impl Drop for DeviceRecord {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.seed);
    }
}

/// The space it belongs to.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct SpaceRecord {
    pub(crate) space: SpaceId,
    pub(crate) genesis: EntryName,
}

/// An epoch's key.
// Secret, yet Serialize: it is kept in the encrypted database.
#[derive(Serialize, Deserialize)]
pub(crate) struct EpochRecord {
    pub(crate) generation: u32,
    pub(crate) key: [u8; 32],
}

impl Drop for EpochRecord {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

/// Whose a log says it is. It counts once the device is a member and its signature verifies.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ClaimRecord {
    pub(crate) device: DeviceId,
    pub(crate) signature: serde_bytes::ByteBuf,
}

/// A membership entry that was opened, by entry name.
#[derive(Serialize, Deserialize)]
pub(crate) struct MembershipRecord {
    pub(crate) author: DeviceId,
    pub(crate) time: u64,
    pub(crate) kind: u16,
    /// Where it stands.
    pub(crate) log: LogId,
    pub(crate) seq: u64,
    /// Which membership entry of its branch it is; the first is 1.
    pub(crate) number: u32,
    pub(crate) body: serde_bytes::ByteBuf,
}

/// A relay road, by mailbox.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RoadRecord {
    pub(crate) address: String,
    pub(crate) relay: RelayKey,
}

/// What is remembered of a relay, by mailbox.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct ContactRecord {
    /// Milliseconds since 1970; 0 if never.
    pub(crate) last_contact: u64,
    /// Names the relay's store; another one means that it was wiped or restored.
    pub(crate) store: Option<[u8; 16]>,
    /// What it has acknowledged, as far as it is not simply everything.
    pub(crate) acknowledged: Vec<TipRecord>,
    /// Why the last attempt failed.
    pub(crate) error: Option<String>,
}

/// An operation of this device: what its entries do not say already.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct OperationRecord {
    pub(crate) id: [u8; 8],
    /// Milliseconds since 1970.
    pub(crate) time: u64,
    pub(crate) label: String,
    /// The entries that hold its changes.
    pub(crate) entries: Vec<EntryPlace>,
    /// How many documents they change.
    pub(crate) documents: u32,
    /// The first few of these.
    pub(crate) first: Vec<[u8; 16]>,
    /// The numbers of the operations that it takes back, if it is an undo.
    pub(crate) undoes: Vec<u64>,
    /// Whether it came to its end; an undo that did not has to be done once more.
    pub(crate) complete: bool,
}

/// Where an entry of this device stands.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct EntryPlace {
    pub(crate) log: LogId,
    pub(crate) seq: u64,
    pub(crate) name: EntryName,
}

/// Why an entry waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Waiting {
    /// For the key of its epoch.
    Key,
    /// For an entry of another log, or the one before it.
    Entry,
    /// For its author to be admitted.
    Member,
}

pub(crate) fn record<T: Serialize + DeserializeOwned>(
    read: &dyn Read,
    table: Table,
    key: &[u8],
    what: &'static str,
) -> Result<Option<T>, Fault> {
    let bytes = read.get(table, key)?.map(zeroize::Zeroizing::new);
    bytes.map(|bytes| decode(&bytes).map_err(|_| Fault::Damaged(what))).transpose()
}

pub(crate) fn put_record<T: Serialize>(
    transaction: &mut Transaction,
    table: Table,
    key: &[u8],
    value: &T,
) -> Result<(), Fault> {
    let bytes = zeroize::Zeroizing::new(encode(value));
    Ok(transaction.put(table, key, &bytes)?)
}

/// The key of one entry in [`Table::PARKED`] and [`BAD`].
pub(crate) fn place_key(log: &LogId, tip: Tip) -> [u8; 72] {
    let mut key = [0; 72];
    key[..32].copy_from_slice(&log.0);
    key[32..40].copy_from_slice(&tip.seq.to_be_bytes());
    key[40..].copy_from_slice(&tip.name.0);
    key
}

pub(crate) fn parse_place(key: &[u8]) -> Result<(LogId, Tip), Fault> {
    let key: &[u8; 72] = key.try_into().map_err(|_| Fault::Damaged("a place"))?;
    let (log, rest) = key.split_at(32);
    let (seq, name) = rest.split_at(8);
    let array = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).map_err(|_| Fault::Damaged("a place"));
    let seq = u64::from_be_bytes(seq.try_into().map_err(|_| Fault::Damaged("a place"))?);
    Ok((LogId(array(log)?), Tip { seq, name: EntryName(array(name)?) }))
}

/// The key of what belongs to a mailbox and is named by 32 more bytes.
pub(crate) fn mailbox_key(mailbox: &MailboxId, name: &[u8; 32]) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(&mailbox.0);
    key[32..].copy_from_slice(name);
    key
}

pub(crate) fn epoch_id(key: &[u8]) -> Result<EpochId, Fault> {
    Ok(EpochId(key.try_into().map_err(|_| Fault::Damaged("an epoch"))?))
}
