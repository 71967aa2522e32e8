//! The beginning of a backup file: what opens it.

use std::io::{self, Read};

use sha2::{Digest, Sha256};
use ties_sealed_log::{BACKUP_KEY_LEN, BACKUP_WRAP_LEN, RecoveryKeys};

use crate::backup::BackupError;
use crate::passphrase::{SealKeyError, SealedKey, UnsealError};
use crate::{Cost, Passphrase, StorageKey};

/// What stands at the beginning of a backup file.
#[derive(Debug, PartialEq, Eq)]
pub struct BackupHeader {
    salt: [u8; 32],
    lock: BackupLock,
}

/// What opens a backup.
#[derive(Debug, PartialEq, Eq)]
pub enum BackupLock {
    /// Any of these recovery keys.
    Words(Vec<BackupWrap>),
    /// A passphrase.
    Passphrase(PassphraseLock),
}

/// A backup's key under a passphrase.
#[derive(Debug, PartialEq, Eq)]
pub struct PassphraseLock(SealedKey);

/// A backup's key, wrapped to one recovery key.
#[derive(Debug, PartialEq, Eq)]
pub struct BackupWrap(pub Box<[u8; BACKUP_WRAP_LEN]>);

impl BackupHeader {
    /// A fresh salt: it makes what is sealed to one recovery key for two files two things.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn salt() -> io::Result<[u8; 32]> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        Ok(salt)
    }

    /// A header for recovery keys; at least one, and at most [`Self::MOST_WRAPS`].
    #[must_use]
    pub fn for_words(salt: [u8; 32], wraps: Vec<BackupWrap>) -> Option<Self> {
        (1..=Self::MOST_WRAPS).contains(&wraps.len()).then_some(Self { salt, lock: BackupLock::Words(wraps) })
    }

    /// As many recovery keys may open one file.
    pub const MOST_WRAPS: usize = 8;

    pub(super) fn sealed(
        salt: [u8; 32],
        key: &StorageKey,
        passphrase: &Passphrase,
        cost: Cost,
    ) -> Result<Self, BackupError> {
        let sealed =
            SealedKey::seal(key, passphrase, cost, &begin(PASSPHRASE, &salt)).map_err(|error| match error {
                SealKeyError::Randomness => BackupError::Io(io::Error::other("no random bytes")),
                SealKeyError::Memory => BackupError::NoMemory(cost.mebibytes()),
            })?;
        Ok(Self { salt, lock: BackupLock::Passphrase(PassphraseLock(sealed)) })
    }

    /// What opens the file.
    #[must_use]
    pub fn lock(&self) -> &BackupLock {
        &self.lock
    }

    /// The key of the file, by the twelve words.
    ///
    /// # Errors
    /// [`BackupError::WrongKey`] if they are others, or the file wants a passphrase.
    pub fn open_by_words(&self, keys: &RecoveryKeys) -> Result<StorageKey, BackupError> {
        let BackupLock::Words(wraps) = &self.lock else { return Err(BackupError::WrongKey) };
        let opened = wraps.iter().find_map(|wrap| keys.unwrap_backup_key(&wrap.0[..], &self.salt).ok());
        opened.and_then(|key| StorageKey::from_bytes(&key)).ok_or(BackupError::WrongKey)
    }

    /// The key of the file, by the passphrase.
    ///
    /// # Errors
    /// [`BackupError::WrongKey`] if it is another, or the file wants words.
    pub fn open_by_passphrase(&self, passphrase: &Passphrase) -> Result<StorageKey, BackupError> {
        let BackupLock::Passphrase(PassphraseLock(sealed)) = &self.lock else { return Err(BackupError::WrongKey) };
        sealed.open(passphrase, &begin(PASSPHRASE, &self.salt)).map_err(|error| match error {
            UnsealError::Wrong => BackupError::WrongKey,
            UnsealError::Memory => BackupError::NoMemory(sealed.cost().mebibytes()),
        })
    }

    /// The exact bytes; the inverse of [`Self::read`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = match &self.lock {
            BackupLock::Words(wraps) => {
                let mut bytes = begin(WORDS, &self.salt).to_vec();
                bytes.push(u8::try_from(wraps.len()).expect("at most eight"));
                wraps.iter().for_each(|wrap| bytes.extend_from_slice(&wrap.0[..]));
                bytes
            }
            BackupLock::Passphrase(PassphraseLock(sealed)) => {
                [&begin(PASSPHRASE, &self.salt)[..], &sealed.to_bytes()].concat()
            }
        };
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    /// Reads the header of a file, and nothing behind it.
    ///
    /// # Errors
    /// When there is none, of this version, that is whole.
    pub fn read(file: &mut dyn Read) -> Result<Self, BackupError> {
        let mut bytes = vec![0; BEGIN];
        let there = fill(file, &mut bytes)?;
        if there < MAGIC.len() || bytes[..MAGIC.len()] != MAGIC[..] {
            return Err(BackupError::Foreign);
        }
        match bytes.get(VERSION_AT).filter(|_| there > VERSION_AT) {
            Some(&VERSION) => {}
            Some(0) => return Err(BackupError::Damaged("there is no version 0")),
            Some(&newer) => return Err(BackupError::Newer(newer)),
            None => return Err(BackupError::Cut),
        }
        if there < BEGIN {
            return Err(BackupError::Cut);
        }
        let kind = bytes[VERSION_AT + 1];
        let more = match kind {
            WORDS => {
                exactly(file, &mut bytes, 1)?;
                let many = usize::from(bytes[BEGIN]);
                if !(1..=Self::MOST_WRAPS).contains(&many) {
                    return Err(BackupError::Damaged("an impossible number of recovery keys"));
                }
                many * BACKUP_WRAP_LEN
            }
            PASSPHRASE => SealedKey::LEN,
            _ => return Err(BackupError::Damaged("nobody knows what opens it")),
        };
        exactly(file, &mut bytes, more + CHECK)?;
        let (body, tail) = bytes.split_last_chunk::<CHECK>().expect("as many were read");
        if *tail != check(body) {
            return Err(BackupError::Damaged("its beginning was altered"));
        }
        let salt = body[BEGIN - 32..BEGIN].try_into().expect("32 bytes");
        let lock = match kind {
            WORDS => BackupLock::Words(body[BEGIN + 1..].chunks(BACKUP_WRAP_LEN).map(BackupWrap::of).collect()),
            _ => {
                let sealed = body[BEGIN..].try_into().ok().and_then(SealedKey::from_bytes);
                let sealed = sealed.ok_or(BackupError::Damaged("its passphrase has an impossible cost"))?;
                BackupLock::Passphrase(PassphraseLock(sealed))
            }
        };
        Ok(Self { salt, lock })
    }
}

impl BackupWrap {
    fn of(bytes: &[u8]) -> Self {
        let mut wrap = Self(Box::new([0; BACKUP_WRAP_LEN]));
        wrap.0.copy_from_slice(bytes);
        wrap
    }
}

/// Magic, version, kind, salt.
fn begin(kind: u8, salt: &[u8; 32]) -> [u8; BEGIN] {
    let mut begin = [0; BEGIN];
    begin[..MAGIC.len()].copy_from_slice(MAGIC);
    begin[VERSION_AT] = VERSION;
    begin[VERSION_AT + 1] = kind;
    begin[VERSION_AT + 2..].copy_from_slice(salt);
    begin
}

/// Tells damage from wrong words.
fn check(bytes: &[u8]) -> [u8; CHECK] {
    let hash = Sha256::new().chain_update(b"ties/backup-header\0").chain_update(bytes).finalize();
    *hash.first_chunk().expect("8 of 32 bytes")
}

/// Reads more bytes onto the end.
fn exactly(file: &mut dyn Read, bytes: &mut Vec<u8>, more: usize) -> Result<(), BackupError> {
    let from = bytes.len();
    bytes.resize(from + more, 0);
    let there = fill(file, &mut bytes[from..])?;
    if there == more { Ok(()) } else { Err(BackupError::Cut) }
}

/// Reads until the buffer is full or the file ends; gives how much there was.
pub(super) fn fill(file: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut there = 0;
    while there < buffer.len() {
        match file.read(&mut buffer[there..]) {
            Ok(0) => break,
            Ok(more) => there += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(there)
}

const _: () = assert!(BACKUP_KEY_LEN == StorageKey::LEN, "a backup's key is one like a database's");

const MAGIC: &[u8; 12] = b"ties-backup\0";
const VERSION_AT: usize = MAGIC.len();
const VERSION: u8 = 1;
const WORDS: u8 = 1;
const PASSPHRASE: u8 = 2;
const BEGIN: usize = MAGIC.len() + 2 + 32;
const CHECK: usize = 8;
