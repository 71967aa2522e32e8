//! Signed, encrypted, append-only logs, the keys behind them and the devices they belong to.
//!
//! Every device of a *space* appends to a log of its own. An [`Entry`] shows which log it stands in, where, and after
//! what, signed by the log's key, so that anybody can store and forward it; what it says is sealed for the members.
//! Replicas compare a [`Vector`] of tips and exchange what the other lacks; the [`Log`] trait is where they keep it.
//!
//! The crate is pure: it reads no clock, draws no randomness, opens no file. It decides no order of arrival either:
//! [`Members`] and [`AccessList`] are functions of a set.
//!
//! Start from [`Entry`], [`DeviceKeys`] and [`Log`].
//!
//! ```
//! use ties_sealed_log::{Entry, EpochId, EpochKey, Log, LogKey, MemoryLog, Payload, Position, Sealed, SpaceId};
//! # use rand_chacha::rand_core::SeedableRng;
//! # let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
//! let (space, epoch) = (SpaceId([1; 32]), EpochId([2; 32]));
//! let (log_key, epoch_key) = (LogKey::random(&mut rng), EpochKey::random(&mut rng));
//! let content = Sealed::new(&Payload::Beacon, vec![], 0);
//! let entry = Entry::seal(&log_key, Position::FIRST, &space, (&epoch, &epoch_key), &content, &mut rng)?;
//!
//! let received = Entry::verify(entry.bytes())?;
//! let mut log = MemoryLog::default();
//! assert!(log.append(&received)?.is_new());
//! assert_eq!(received.open(&space, [(&epoch, &epoch_key)])?.1, content);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod backup;
mod bodies;
mod checkpoint;
mod codec;
#[cfg(feature = "test-support")]
pub mod conformance;
mod device;
mod discovery;
mod earlier;
mod entry;
mod ids;
mod keys;
mod log;
mod members;
mod memory;
mod padding;
mod payload;
mod rebase;
mod recovered;
mod recovery;
mod seal;
pub mod seed_change;
mod sender;
mod statement;
mod vector;

pub mod format {
    #![doc = include_str!("../FORMAT.md")]
}

/// The level of this program: it knows every kind of entry up to here, and says so where it is above the first.
pub const LEVEL: u16 = 1;

/// The longest entry.
pub const MAX_ENTRY: usize = 1 << 20;

/// The most branches that a forked log is kept with.
pub const MAX_BRANCHES: usize = 8;

pub use access::AccessList;
pub use backup::{BACKUP_KEY_LEN, BACKUP_WRAP_LEN};
pub use bodies::{
    Add, Carried, Change, Changes, Genesis, KnownPseudonym, Manner, OpenLog, Raise, Reads, Receipt, Receipts,
    RecoveryEnvelope, RelayRoad, Remove, Rename, Roads, Role, Rotate, SetRole, Share, Wrap, epoch_id,
};
pub use checkpoint::{
    Chunk, ChunkError, ChunkSeal, DocumentPiece, FloorError, FloorRecord, MANIFEST_VERSION, MAX_CHUNK, MAX_CHUNKS,
    MAX_CUT, MAX_PIECE, Manifest, PART_FILL, Part, PartKind, StateRoot, entries_of, is_outgrown, pieces_of,
};
pub use codec::{DecodeError, decode, encode};
pub use device::{DeviceCert, DeviceKeys};
pub use discovery::{DiscoveryKey, LinkSide};
pub use earlier::{EarlierError, EarlierKey};
pub use entry::{ENTRY_VERSION, ENVELOPE_SEALED, Entry, EntryError, OpenError, Position};
pub use ids::{
    ChunkName, DeviceId, EntryName, EpochId, FloorName, LogId, MailboxId, Pseudonym, RelayKey, SpaceId, StatementName,
    hash,
};
pub use keys::{KEM_KEY_LEN, KeyError, LogKey, PseudonymKey, RelaySecret, Secret};
pub use log::{Appended, Freed, Log, Prune, judge};
pub use members::{Member, Members, MembershipAct, MembershipEntry, Removed};
pub use memory::MemoryLog;
pub use padding::{FLOOR, MAX_UNPACKED, UnpackError, pack, padme, unpack};
pub use payload::{Decision, Dep, Kind, MAX_MEMBERSHIP, MAX_NAME, MAX_PARENTS, MAX_PINS, Payload, Sealed};
pub use rebase::{Rebased, rebase};
pub use recovered::{Admit, ChangeRecovery, Listed, Reset};
pub use recovery::{RecoveryCert, RecoveryKeys, RecoveryWords, WordsError};
pub use seal::{EpochKey, SEAL_OVERHEAD, SealError, WRAP_LEN, WrapContext};
pub use sender::KnownEpoch;
pub use statement::{
    AccessError, AccessStatement, CLOSED, GET, LogOpening, MANAGE, MAX_GRANTS, MAX_RECOVERY_STATEMENTS, MAX_STATEMENTS,
    PUT, RECOVERY, StatementBody,
};
pub use vector::{Tip, TipRecord, Vector};

/// The actor that a change must carry: 16 bytes from the log and the nonce of the process that wrote it.
#[must_use]
pub fn actor(log: &LogId, nonce: &[u8; 16]) -> [u8; 16] {
    let digest = hash("ties1/actor", &[&log.0, nonce]);
    let mut actor = [0; 16];
    actor.copy_from_slice(&digest[..16]);
    actor
}
