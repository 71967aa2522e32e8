//! What can go wrong, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a database could not be made or opened. Nothing was written to an existing database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is nothing to open; make one with `Store::create`.
    #[error("there is no database in {}", .0.display())]
    Missing(PathBuf),
    /// There is already one; open it.
    #[error("there is already a database in {}", .0.display())]
    Exists(PathBuf),
    /// Without its key file the database cannot be read; it may be in a backup.
    #[error("the key file {} is missing", .0.display())]
    KeyMissing(PathBuf),
    /// The key file is not one, or not whole; it may be in a backup.
    #[error("the key file {} is damaged", .0.display())]
    KeyDamaged(PathBuf),
    /// The key is whole and of another database (or the first bytes of this one are destroyed).
    #[error("the key does not open the database {}", .0.display())]
    WrongKey(PathBuf),
    /// The key is under a passphrase, and nobody has unlocked it. Nothing was read or written.
    #[error("the database in {} is locked by a passphrase", .0.display())]
    Locked(PathBuf),
    /// The key does not come out with this passphrase. Nothing was written.
    #[error("it is not the passphrase of {}", .0.display())]
    WrongPassphrase(PathBuf),
    /// There is no passphrase: the key lies in its file as it is.
    #[error("the key in {} is under no passphrase", .0.display())]
    NoPassphrase(PathBuf),
    /// Guessing a passphrase is made to take memory, and so does knowing it.
    #[error("deriving the key takes {mebibytes} MiB of memory, and there are not as many")]
    NoMemory {
        /// How much, in MiB.
        mebibytes: u32,
    },
    /// Others may read the file and its permissions could not be changed.
    #[error("{} can be read by other users, and this cannot be changed here", .0.display())]
    Exposed(PathBuf),
    /// Another program has the database for itself.
    #[error("the database is in use by another program")]
    Busy,
    /// A newer version of this software made the database; that version can open it.
    #[error("the database has format {found}; this version knows formats up to {known}")]
    Newer {
        /// The format of the database.
        found: u64,
        /// The newest format this software knows.
        known: u64,
    },
    /// A version before the first release made the database. Export with that version, import with this one.
    #[error("the database has format {found}, of a version before the first release")]
    Older {
        /// The format of the database.
        found: u64,
    },
    /// The file is not what was written. Restore it from another replica or a backup.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The operating system refused.
    #[error("cannot use {}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn redb(path: &Path, error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::Busy,
            redb::Error::Io(error) => Self::io(path, error),
            error => Self::Damaged(error.to_string()),
        }
    }

    pub(crate) fn store(path: &Path, error: StoreError) -> Self {
        match error {
            StoreError::Damaged(reason) => Self::Damaged(reason),
            StoreError::Io(error) => Self::io(path, error),
            StoreError::Open(error) => *error,
            StoreError::TooLarge | StoreError::Unfinished | StoreError::ReadOnly => Self::Damaged(error.to_string()),
        }
    }
}

/// Why reading or writing failed. A write that failed left no trace; after an error of the
/// operating system (a full disk), open the store anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file is not what was written. Restore it from another replica or a backup.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The operating system refused.
    #[error("the database could not be read or written")]
    Io(#[from] io::Error),
    /// The database, open for reading so far, could not be opened for writing.
    #[error(transparent)]
    Open(#[from] Box<OpenError>),
    /// A key or value is larger than the database can hold.
    #[error("a value is too large for the database")]
    TooLarge,
    /// A change in this transaction failed, so that it is not whole; begin it anew.
    #[error("a transaction in which something failed cannot be committed")]
    Unfinished,
    /// The logs of a snapshot cannot be extended; take those of a transaction.
    #[error("a snapshot cannot be written to")]
    ReadOnly,
}

impl StoreError {
    fn redb(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => Self::Io(error),
            redb::Error::ValueTooLarge(_) => Self::TooLarge,
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => Self::Io(io::Error::other(error)),
            error => Self::Damaged(error.to_string()),
        }
    }
}

macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                Self::redb(error.into())
            }
        }
    )*};
}

from_redb!(StorageError, TableError, TransactionError, CommitError);
