//! The key of a database and the file that keeps it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::OpenError;
use crate::private;

/// The 512-bit key of a database: two AES-256 keys, which must differ.
pub struct StorageKey(Zeroizing<[u8; 64]>);

impl StorageKey {
    /// Draws a key from the operating system.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn generate() -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; 64]);
        loop {
            getrandom::fill(&mut bytes[..]).map_err(io::Error::other)?;
            if let Some(key) = Self::from_bytes(&bytes) {
                return Ok(key);
            }
        }
    }

    /// Takes a key whose halves differ. With equal halves XTS is not secure (FIPS 140 implementation
    /// guidance, A.9), so they are refused.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Option<Self> {
        (bytes[..32] != bytes[32..]).then(|| Self(Zeroizing::new(*bytes)))
    }

    /// The key of the blocks and the key of the tweaks.
    pub(crate) fn halves(&self) -> (&[u8; 32], &[u8; 32]) {
        let (data, tweak) = self.0.split_first_chunk().expect("32 of 64 bytes");
        (data, tweak.try_into().expect("the other 32 of 64 bytes"))
    }

    /// Reads the key file at `path`; makes its permissions private if they are not.
    pub(crate) fn load(path: &Path) -> Result<Self, OpenError> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::KeyMissing(path.to_owned()));
            }
            opened => opened.map_err(|error| OpenError::io(path, error))?,
        };
        private::restrict(&file, path)?;
        Self::read_from(&mut file)
            .map_err(|error| OpenError::io(path, error))?
            .ok_or_else(|| OpenError::KeyDamaged(path.to_owned()))
    }

    /// Reads the key file at `path`, or writes a new one if there is none or only the beginning of
    /// one. The caller knows that no database needs the old bytes and that nobody else does this.
    pub(crate) fn load_or_create(path: &Path) -> Result<Self, OpenError> {
        match Self::load(path) {
            Err(OpenError::KeyMissing(_)) => {}
            Err(OpenError::KeyDamaged(_)) => {
                std::fs::remove_file(path).map_err(|error| OpenError::io(path, error))?;
            }
            known => return known,
        }
        let key = Self::generate().map_err(|error| OpenError::io(path, error))?;
        let write = || {
            let mut file = private::create_new(path)?;
            file.write_all(&key.to_file_bytes()[..])?;
            file.sync_all()
        };
        write().map_err(|error| OpenError::io(path, error))?;
        Ok(key)
    }

    fn to_file_bytes(&self) -> Zeroizing<[u8; FILE_LEN]> {
        let mut bytes = Zeroizing::new([0; FILE_LEN]);
        bytes[..8].copy_from_slice(LABEL);
        bytes[8] = VERSION;
        bytes[9..73].copy_from_slice(&self.0[..]);
        let check = check(&bytes[..73]);
        bytes[73..].copy_from_slice(&check);
        bytes
    }

    fn read_from(file: &mut File) -> io::Result<Option<Self>> {
        // One byte more than a key file has, so that a longer one is noticed.
        let mut bytes = Zeroizing::new([0; FILE_LEN + 1]);
        let mut length = 0;
        while length < bytes.len() {
            match file.read(&mut bytes[length..])? {
                0 => break,
                more => length += more,
            }
        }
        Ok(Self::from_file_bytes(&bytes[..length]))
    }

    pub(crate) fn from_file_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; FILE_LEN] = bytes.try_into().ok()?;
        let genuine = bytes[..8] == *LABEL && bytes[8] == VERSION && bytes[73..] == check(&bytes[..73]);
        let key = Zeroizing::new(<[u8; 64]>::try_from(&bytes[9..73]).ok()?);
        genuine.then(|| Self::from_bytes(&key)).flatten()
    }
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageKey(..)")
    }
}

/// Tells a damaged key file from the key of another database; it lies beside the key and keeps
/// no secret of its own.
fn check(bytes: &[u8]) -> [u8; 8] {
    let hash = Sha256::new().chain_update(b"ties/key-file\0").chain_update(bytes).finalize();
    *hash.first_chunk().expect("8 of 32 bytes")
}

const LABEL: &[u8; 8] = b"ties-key";
/// 1 = the key as it is. Keys under a passphrase or in the OS keyring will have numbers of their own.
const VERSION: u8 = 1;
const FILE_LEN: usize = 8 + 1 + 64 + 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = StorageKey::load_or_create(&path).unwrap();
        let read = StorageKey::load(&path).unwrap();
        assert_eq!(made.0, read.0);
        assert_eq!(StorageKey::load_or_create(&path).unwrap().0, made.0);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), FILE_LEN as u64);
    }

    /// Made by another implementation of SCHEMA.md (Python's hashlib).
    #[test]
    fn the_file_has_these_bytes() {
        let key = StorageKey::from_bytes(&std::array::from_fn(|n| n as u8)).unwrap();
        let hex: String = key.to_file_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let numbers: String = (0..64).map(|n| format!("{n:02x}")).collect();
        assert_eq!(hex, format!("746965732d6b657901{numbers}f63006b5d9de4ad2"));
    }

    #[test]
    fn every_flipped_bit_and_every_wrong_length_is_noticed() {
        let key = StorageKey::generate().unwrap();
        let bytes = key.to_file_bytes();
        assert!(StorageKey::from_file_bytes(&bytes[..]).is_some());
        for bit in 0..FILE_LEN * 8 {
            let mut bytes = *bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(StorageKey::from_file_bytes(&bytes).is_none(), "bit {bit}");
        }
        for length in 0..FILE_LEN {
            assert!(StorageKey::from_file_bytes(&bytes[..length]).is_none());
        }
        assert!(StorageKey::from_file_bytes(&[&bytes[..], &[0]].concat()).is_none());
    }

    #[test]
    fn equal_halves_are_refused() {
        assert!(StorageKey::from_bytes(&[7; 64]).is_none());
    }

    #[test]
    fn debug_output_holds_no_key() {
        let key = StorageKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), "StorageKey(..)");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_that_others_may_read_is_made_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        StorageKey::load_or_create(&path).unwrap();
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        StorageKey::load(&path).unwrap();
        assert_eq!(mode(), 0o600);
    }
}
