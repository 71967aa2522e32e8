//! Sealed logs and a program's tables on redb, encrypted at rest.
//!
//! A [`Store`] is a folder with a key file and a database that is useless without it. One
//! [`Transaction`] takes an entry, the documents it changes and their rows together: all of it is
//! there after a crash, or nothing. Several processes can have a store open at once; each reads
//! [`Snapshot`]s while one of them writes.
//!
//! The store verifies no entry and understands no document; a damaged file is an error, not a
//! panic. Encryption hides content and does not notice alteration.
//!
//! Start from [`Store`], [`Read`] and [`StoredLog`]. SCHEMA.md (below) fixes every byte.
//!
//! ```
//! use ties_store::{Read, Store, Table};
//!
//! let store = Store::in_memory()?;
//! let mut transaction = store.write()?;
//! transaction.put_document(&[7; 16], b"a document")?;
//! transaction.put(Table::ROWS, b"name/ada", &[7; 16])?;
//! transaction.commit()?;
//!
//! let snapshot = store.read()?;
//! assert_eq!(snapshot.document(&[7; 16])?.as_deref(), Some(&b"a document"[..]));
//! assert_eq!(snapshot.pairs(Table::ROWS, b"name/")?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![doc = include_str!("../SCHEMA.md")]

mod at_rest;
mod backup;
mod crash_only;
mod custody;
mod database;
mod error;
mod install;
mod key_file;
mod memory;
mod packs;
mod passphrase;
mod private;
#[cfg_attr(not(feature = "test-support"), allow(unreachable_pub, reason = "tests of others see it"))]
mod replace;
mod shield;
mod snapshot;
mod storage_key;
mod store;
mod stored_log;
mod tables;
#[cfg(feature = "test-support")]
pub mod testing;
mod transaction;
mod unlocked;
mod xts;

pub use at_rest::Encrypted;
pub use backup::{Backup, BackupError, BackupHeader, BackupLock, BackupWrap, Progress, Target};
pub use custody::{Custody, Keeping};
pub use database::Sharing;
pub use error::{OpenError, StoreError};
pub use passphrase::{Cost, Passphrase};
pub use private::Loosened;
pub use snapshot::Snapshot;
pub use storage_key::StorageKey;
pub use store::Store;
pub use stored_log::StoredLog;
pub use tables::{Pair, Read, Table, Visitor};
pub use transaction::Transaction;
pub use unlocked::Unlocked;
