//! A backup: one state of the whole database in one sealed file, of any size, in bounded memory.
//!
//! What is written is the tables as they are; what is read is believed only once its seal was checked, chunk by chunk,
//! and it counts only when the last chunk has come. SCHEMA.md fixes every byte.

mod chunks;
mod header;
mod tables;
mod target;

use std::io::{self, Read, Write};

use crate::{Cost, OpenError, Passphrase, Snapshot, StorageKey, StoreError, Transaction};

pub use header::{BackupHeader, BackupLock, BackupWrap};
pub use target::Target;

use chunks::{Opener, Sealer};

/// Why a backup is not written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// It does not begin as a backup does.
    #[error("this is no backup of ties")]
    Foreign,
    /// A later version made it.
    #[error("a newer version of ties made this backup (format {0})")]
    Newer(u8),
    /// It is not what was written: a bit is another one, or chunks are missing, doubled or in another order.
    #[error("the backup is damaged: {0}")]
    Damaged(&'static str),
    /// It ends too early.
    #[error("the backup is not whole: its end is missing")]
    Cut,
    /// The database in it has a format that this version does not read.
    #[error("the backup holds a database of format {0}, which this version does not read")]
    Format(u64),
    /// The words or the passphrase do not open it.
    #[error("that does not open this backup")]
    WrongKey,
    /// Guessing a passphrase is made to take memory, and so does knowing it.
    #[error("deriving the key takes {0} MiB of memory, and there are not as many")]
    NoMemory(u32),
    /// There is a file already.
    #[error("there is a file already")]
    Exists,
    /// Another backup is being written to the same place.
    #[error("another backup is being written there")]
    Busy,
    /// The operating system refused.
    #[error("the backup could not be read or written")]
    Io(#[from] io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder or its database.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// How far a backup or a restore is: so many pairs of the database, of so many.
pub type Progress<'p> = dyn FnMut(u64, u64) + 'p;

impl Snapshot {
    /// Writes this state to a file of this header, with a few words about it that are read before anything else.
    ///
    /// # Errors
    /// When the database cannot be read, or the file not written.
    pub fn back_up(
        &self,
        header: &BackupHeader,
        key: &StorageKey,
        about: &[u8],
        file: &mut dyn Write,
        progress: &mut Progress<'_>,
    ) -> Result<(), BackupError> {
        let header = header.to_bytes();
        file.write_all(&header)?;
        let mut sealer = Sealer::new(file, key, &header);
        tables::dump(self, about, &mut sealer, progress)?;
        sealer.finish()
    }
}

/// A backup that was opened and is being read.
pub struct Backup<'f> {
    opener: Opener<'f>,
    about: Vec<u8>,
    pairs: u64,
}

impl<'f> Backup<'f> {
    /// Opens the body of a file after its header.
    ///
    /// # Errors
    /// When the file is damaged or ends.
    pub fn open(header: &BackupHeader, key: &StorageKey, file: &'f mut dyn Read) -> Result<Self, BackupError> {
        let mut opener = Opener::new(file, key, &header.to_bytes());
        let (about, pairs) = tables::about(&mut opener)?;
        Ok(Self { opener, about, pairs })
    }

    /// What was written about it.
    #[must_use]
    pub fn about(&self) -> &[u8] {
        &self.about
    }

    /// Puts everything into a database that is being made ([`crate::Store::create_with`]). After an error it must not be kept.
    ///
    /// # Errors
    /// When the file is damaged or ends, or the database cannot be written.
    pub fn restore(mut self, transaction: &mut Transaction, progress: &mut Progress<'_>) -> Result<(), BackupError> {
        tables::load(&mut self.opener, self.pairs, transaction, progress)?;
        self.opener.finish()
    }
}

impl std::fmt::Debug for Backup<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Backup(..)")
    }
}

impl BackupHeader {
    /// A header under a passphrase, with a key of its own.
    ///
    /// # Errors
    /// When the operating system gives no random bytes or not enough memory.
    pub fn under_passphrase(passphrase: &Passphrase, cost: Cost) -> Result<(Self, StorageKey), BackupError> {
        let (salt, key) = (Self::salt()?, StorageKey::generate()?);
        Ok((Self::sealed(salt, &key, passphrase, cost)?, key))
    }
}

/// Reads bytes as what the chunks of a backup hold, into a database that is thrown away: for tests and fuzzing.
#[cfg(any(test, feature = "test-support"))]
pub(crate) fn read_body(body: &[u8]) -> Result<(), BackupError> {
    let key = StorageKey::generate()?;
    let mut file = Vec::new();
    let mut sealer = Sealer::new(&mut file, &key, b"a header");
    sealer.put(body)?;
    sealer.finish()?;
    let mut file = &file[..];
    let mut opener = Opener::new(&mut file, &key, b"a header");
    let (about, pairs) = tables::about(&mut opener)?;
    let backup = Backup { opener, about, pairs };
    backup.restore(&mut crate::Store::in_memory()?.write()?, &mut |_, _| {})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said about it, the number of pairs, and the rest.
    fn body(pairs: u64, rest: &[&[u8]]) -> Result<(), BackupError> {
        let begin = [&[2, 0][..], b"ab", &pairs.to_le_bytes()].concat();
        read_body(&[begin, rest.concat()].concat())
    }

    fn table(name: &str) -> Vec<u8> {
        [&[1][..], &(name.len() as u16).to_le_bytes(), name.as_bytes()].concat()
    }

    fn pair(key: &[u8], value: &[u8]) -> Vec<u8> {
        [&[2][..], &(key.len() as u32).to_le_bytes(), &(value.len() as u32).to_le_bytes(), key, value].concat()
    }

    #[test]
    fn tables_are_taken_in_their_order_and_nothing_else_is() {
        let (x, y, one) = (table("a/x"), table("a/y"), pair(b"k", b"v"));
        assert!(body(2, &[&x, &one, &y, &one, &[0]]).is_ok());
        assert!(body(0, &[&[0]]).is_ok());
        let bad: [&[&[u8]]; 12] = [
            &[&x, &one, &x, &one, &[0]],
            &[&y, &one, &x, &one, &[0]],
            &[&x, &one, &one, &[0]],
            &[&x, &pair(b"l", b"v"), &one, &[0]],
            &[&one, &one, &[0]],
            &[&x, &one, &[0]],
            &[&x, &one, &y, &one],
            &[&x, &one, &y, &one, &[0], &[0]],
            &[&x, &one, &y, &one, &[3]],
            &[&table(""), &one, &one, &[0]],
            &[&[1, 1, 0, 0xff], &one, &one, &[0]],
            &[&x, &[2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], &one, &[0]],
        ];
        for (number, rest) in bad.into_iter().enumerate() {
            assert!(matches!(body(2, rest), Err(BackupError::Damaged(_))), "{number}");
        }
    }

    #[test]
    fn a_database_of_another_format_is_refused() {
        let meta = |format: u64| body(1, &[&table("meta"), &pair(b"format", &format.to_le_bytes()), &[0]]);
        assert!(meta(2).is_ok());
        assert!(matches!(meta(3), Err(BackupError::Format(3))));
        assert!(matches!(meta(1), Err(BackupError::Format(1))));
    }
}
