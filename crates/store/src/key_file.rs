//! The file that keeps the key of a database: as it is, or under a passphrase.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::passphrase::{SealKeyError, SealedKey, UnsealError};
use crate::{Cost, OpenError, Passphrase, StorageKey, private};

/// What a key file holds.
#[derive(Debug)]
pub(crate) enum KeyFile {
    /// The key as it is: whoever has the file has the key.
    Plain(StorageKey),
    /// The key under a passphrase.
    Sealed(SealedKey),
}

impl KeyFile {
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

    /// The same key under a passphrase.
    pub(crate) fn seal(key: &StorageKey, passphrase: &Passphrase, cost: Cost) -> Result<Self, OpenError> {
        SealedKey::seal(key, passphrase, cost, &header(SEALED)).map(Self::Sealed).map_err(|error| match error {
            SealKeyError::Memory => OpenError::NoMemory { mebibytes: cost.mebibytes() },
            SealKeyError::Randomness => {
                OpenError::io(Path::new("the system's randomness"), io::Error::other("there is none"))
            }
        })
    }

    /// The key that a passphrase brings out; `path` is the file's name in errors.
    pub(crate) fn unseal(sealed: &SealedKey, passphrase: &Passphrase, path: &Path) -> Result<StorageKey, OpenError> {
        sealed.open(passphrase, &header(SEALED)).map_err(|error| match error {
            UnsealError::Wrong => OpenError::WrongPassphrase(path.to_owned()),
            UnsealError::Memory => OpenError::NoMemory { mebibytes: sealed.cost().mebibytes() },
        })
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // Never longer than this, so that nothing is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST));
        match self {
            Self::Plain(key) => {
                bytes.extend_from_slice(&header(PLAIN));
                bytes.extend_from_slice(key.bytes());
            }
            Self::Sealed(sealed) => {
                bytes.extend_from_slice(&header(SEALED));
                bytes.extend_from_slice(&sealed.to_bytes());
            }
        }
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, tail) = bytes.split_last_chunk::<CHECK>()?;
        if *tail != check(body) {
            return None;
        }
        let (header, inside) = body.split_first_chunk::<HEADER>()?;
        match (header.strip_prefix(LABEL)?, inside.len()) {
            ([PLAIN], StorageKey::LEN) => StorageKey::from_bytes(inside.try_into().ok()?).map(Self::Plain),
            ([SEALED], SealedKey::LEN) => SealedKey::from_bytes(inside.try_into().ok()?).map(Self::Sealed),
            _ => None,
        }
    }

    /// Tells this file from every other, also from one with the same key and passphrase.
    pub(crate) fn tag(&self) -> [u8; 32] {
        Sha256::new().chain_update(b"ties/key-file-tag\0").chain_update(&self.to_bytes()[..]).finalize().into()
    }

    fn read_from(file: &mut File) -> io::Result<Option<Self>> {
        // One byte more than a key file has, so that a longer one is noticed.
        let mut bytes = Zeroizing::new([0; LONGEST + 1]);
        let mut length = 0;
        while length < bytes.len() {
            match file.read(&mut bytes[length..])? {
                0 => break,
                more => length += more,
            }
        }
        Ok(Self::from_bytes(&bytes[..length]))
    }
}

fn header(version: u8) -> [u8; HEADER] {
    let mut header = [version; HEADER];
    header[..LABEL.len()].copy_from_slice(LABEL);
    header
}

/// Tells a damaged key file from the key of another database; it lies beside the key and keeps
/// no secret of its own.
fn check(bytes: &[u8]) -> [u8; CHECK] {
    let hash = Sha256::new().chain_update(b"ties/key-file\0").chain_update(bytes).finalize();
    *hash.first_chunk().expect("8 of 32 bytes")
}

const LABEL: &[u8; 8] = b"ties-key";
/// The key as it is.
const PLAIN: u8 = 1;
/// The key under a passphrase. Keys in the OS keyring will have a number of their own.
const SEALED: u8 = 2;
const HEADER: usize = LABEL.len() + 1;
const CHECK: usize = 8;
const LONGEST: usize = HEADER + SealedKey::LEN + CHECK;

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> KeyFile {
        KeyFile::Plain(StorageKey::generate().unwrap())
    }

    fn sealed() -> KeyFile {
        let passphrase = Passphrase::new("correct horse").unwrap();
        KeyFile::seal(&StorageKey::generate().unwrap(), &passphrase, Cost::LEAST).unwrap()
    }

    /// Made by another implementation of SCHEMA.md (Python's hashlib).
    #[test]
    fn the_file_has_these_bytes() {
        let key = StorageKey::from_bytes(&std::array::from_fn(|n| n as u8)).unwrap();
        let hex: String = KeyFile::Plain(key).to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let numbers: String = (0..64).map(|n| format!("{n:02x}")).collect();
        assert_eq!(hex, format!("746965732d6b657901{numbers}f63006b5d9de4ad2"));
    }

    #[test]
    fn every_flipped_bit_and_every_wrong_length_is_noticed() {
        for file in [plain(), sealed()] {
            let bytes = file.to_bytes();
            assert!(KeyFile::from_bytes(&bytes[..]).is_some());
            for bit in 0..bytes.len() * 8 {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(KeyFile::from_bytes(&bytes).is_none(), "bit {bit}");
            }
            for length in 0..bytes.len() {
                assert!(KeyFile::from_bytes(&bytes[..length]).is_none());
            }
            assert!(KeyFile::from_bytes(&[&bytes[..], &[0]].concat()).is_none());
        }
    }

    #[test]
    fn debug_output_holds_no_key() {
        assert_eq!(format!("{:?}", plain()), "Plain(StorageKey(..))");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_that_others_may_read_is_made_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, &plain().to_bytes()[..]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        KeyFile::load(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
