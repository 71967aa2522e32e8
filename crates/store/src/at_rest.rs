//! Encryption at rest: a redb storage whose bytes are XTS-AES-256 of what redb reads and writes.

use std::fmt;
use std::io;
use std::ops::{Bound, Range};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redb::{BackendError, StorageBackend};

use crate::StorageKey;
use crate::xts::{BLOCK, Xts};

/// A storage that keeps everything encrypted in another storage of the same length.
///
/// Offsets stay what they are, a write touches the 16-byte blocks it covers and nothing else, and
/// a block lies in one 512-byte disk sector; so a torn write stays a torn write, and redb's own
/// checksums and recovery keep working. It hides content; it does not notice that somebody
/// altered the disk (SCHEMA.md).
pub struct Encrypted {
    inner: Box<dyn StorageBackend>,
    cipher: Xts,
    /// One read-modify-write at a time; redb writes whole blocks only and never takes it.
    partial: Mutex<()>,
}

impl Encrypted {
    /// Puts the cipher of this key before a storage.
    pub fn new(inner: impl StorageBackend, key: &StorageKey) -> Self {
        Self::over(Box::new(inner), key)
    }

    pub(crate) fn over(inner: Box<dyn StorageBackend>, key: &StorageKey) -> Self {
        Self { inner, cipher: Xts::new(key), partial: Mutex::new(()) }
    }

    /// Tells whether the storage begins as redb begins every database: with another key it does not.
    ///
    /// # Errors
    /// If the storage cannot be read.
    pub fn opens(&self) -> io::Result<bool> {
        if self.inner.len()? < BLOCK as u64 {
            return Ok(false);
        }
        for _ in 0..LOOKS {
            let mut magic = [0; REDB_MAGIC.len()];
            self.read(0, &mut magic)?;
            if magic == REDB_MAGIC {
                return Ok(true);
            }
            // Another process may be halfway through a write of the header.
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(false)
    }

    /// The plaintext of whole blocks, from the block of `range.start` to that of `range.end`.
    fn read_blocks(&self, range: &Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length(range)?];
        self.inner.read(range.start, &mut bytes)?;
        self.cipher.decrypt(range.start, &mut bytes);
        Ok(bytes)
    }

    fn write_blocks(&self, offset: u64, mut bytes: Vec<u8>) -> io::Result<()> {
        self.cipher.encrypt(offset, &mut bytes);
        self.inner.write(offset, &bytes)
    }
}

impl StorageBackend for Encrypted {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let blocks = whole_blocks(offset, out.len())?;
        if length(&blocks)? == out.len() {
            self.inner.read(offset, out)?;
            self.cipher.decrypt(offset, out);
            return Ok(());
        }
        let bytes = self.read_blocks(&blocks)?;
        let skip = (offset - blocks.start) as usize;
        out.copy_from_slice(&bytes[skip..skip + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if !len.is_multiple_of(BLOCK as u64) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an encrypted storage holds whole blocks"));
        }
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let blocks = whole_blocks(offset, data.len())?;
        if length(&blocks)? == data.len() {
            return self.write_blocks(offset, data.to_vec());
        }
        // redb never comes here (its pages and its 320-byte header are whole blocks). The bytes
        // around the write are read and written back, so another process must not be writing them.
        let _alone = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = self.read_blocks(&blocks)?;
        let skip = (offset - blocks.start) as usize;
        bytes[skip..skip + data.len()].copy_from_slice(data);
        self.write_blocks(blocks.start, bytes)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted").field("inner", &self.inner).finish_non_exhaustive()
    }
}

fn whole_blocks(offset: u64, length: usize) -> io::Result<Range<u64>> {
    let block = BLOCK as u64;
    let end = offset
        .checked_add(length as u64)
        .and_then(|end| end.checked_next_multiple_of(block))
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(offset / block * block..end)
}

fn length(range: &Range<u64>) -> io::Result<usize> {
    usize::try_from(range.end - range.start).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

/// The first bytes of every redb file (redb's design.md, "Database header").
const REDB_MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";
const LOOKS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;

    const LEN: usize = 3 * 4096;

    fn storage() -> Encrypted {
        let key = StorageKey::from_bytes(&std::array::from_fn(|n| n as u8)).unwrap();
        let storage = Encrypted::new(InMemoryBackend::new(), &key);
        storage.set_len(LEN as u64).unwrap();
        storage
    }

    fn disk(storage: &Encrypted) -> Vec<u8> {
        let mut bytes = vec![0; LEN];
        storage.inner.read(0, &mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn behaves_as_the_storage_it_hides(
            writes in prop::collection::vec((0..LEN, prop::collection::vec(any::<u8>(), 1..600)), 1..20),
        ) {
            let storage = storage();
            let mut model = vec![0; LEN];
            for (offset, data) in writes {
                let data = &data[..data.len().min(LEN - offset)];
                let before = disk(&storage);
                storage.write(offset as u64, data).unwrap();
                model[offset..offset + data.len()].copy_from_slice(data);
                let after = disk(&storage);
                let (first, last) = (offset / 16 * 16, (offset + data.len()).next_multiple_of(16));
                prop_assert_eq!(&before[..first], &after[..first]);
                prop_assert_eq!(&before[last..], &after[last..]);
                let mut read = vec![0; data.len()];
                storage.read(offset as u64, &mut read).unwrap();
                prop_assert_eq!(&read[..], data);
            }
            let mut read = vec![0; LEN];
            storage.read(0, &mut read).unwrap();
            prop_assert_eq!(read, model);
        }
    }

    #[test]
    fn what_is_stored_shows_nothing_of_what_was_written() {
        let storage = storage();
        storage.write(0, &[b'a'; LEN]).unwrap();
        let bytes = disk(&storage);
        let blocks: std::collections::BTreeSet<_> = bytes.chunks(16).collect();
        assert_eq!(blocks.len(), LEN / 16, "equal blocks would show a pattern");
    }

    #[test]
    fn lengths_that_are_not_whole_blocks_and_ends_beyond_all_offsets_are_errors() {
        let storage = storage();
        assert!(storage.set_len(100).is_err());
        assert!(storage.read(u64::MAX, &mut [0; 2]).is_err());
        assert!(storage.read(LEN as u64 - 8, &mut [0; 16]).is_err());
    }

    #[test]
    fn debug_output_holds_no_key() {
        let shown = format!("{:?}", storage());
        assert!(shown.starts_with("Encrypted { inner:"), "{shown}");
    }
}
