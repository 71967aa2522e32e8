//! Entries: what everybody can check, and nobody but members can read.

use std::sync::Arc;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::MAX_ENTRY;
use crate::bodies::RecoveryEnvelope;
use crate::ids::{EntryName, EpochId, LogId, SpaceId};
use crate::keys::{KeyError, LogKey, sign, verify};
use crate::padding::{MAX_UNPACKED, UnpackError, pack, unpack};
use crate::payload::Sealed;
use crate::recovery::{RecoveryCert, RecoveryKeys};
use crate::seal::{EpochKey, SEAL_OVERHEAD, SealError};
use crate::{DecodeError, decode, encode};

/// The one version and suite byte. An unknown one is an error, never a negotiation.
pub const ENTRY_VERSION: u8 = 1;

const HEADER: usize = 1 + 32 + 8 + 32;
const SIGNATURE: usize = 64;
const LABEL: &str = "ties1/entry";

/// Length of the sealed part of a recovery envelope: X-Wing ciphertext, 2,000 bytes, tag. It is no Padmé length plus
/// [`SEAL_OVERHEAD`], so an ordinary entry never has it.
pub const ENVELOPE_SEALED: usize = 1120 + ENVELOPE_PLAIN + 16;
const ENVELOPE_PLAIN: usize = 2000;

/// Why bytes are not an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Shorter than the smallest or longer than the largest entry.
    #[error("an entry cannot be {0} bytes long")]
    Length(usize),
    /// A version this program does not know.
    #[error("entry version {0} is unknown here")]
    Version(u8),
    /// Sequence numbers start at 1, and only the first entry has no predecessor.
    #[error("impossible position in its log")]
    Position,
    /// The log key is weak, or the signature is not its own.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The content to be sealed is not what anybody would open.
    #[error(transparent)]
    Content(#[from] DecodeError),
}

/// Why an entry's content does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// None of the keys here is the one it is sealed under, or it was sealed for another place.
    #[error("sealed under a key that is not here")]
    NoKey,
    /// A recovery envelope: for the twelve words alone.
    #[error("for the recovery key alone")]
    Recovery,
    /// Sealed under a key that is here, and altered.
    #[error("altered")]
    Altered,
    /// Opened, and its padding or compression is wrong.
    #[error(transparent)]
    Packing(#[from] UnpackError),
    /// Opened, and its content does not parse.
    #[error(transparent)]
    Content(#[from] DecodeError),
}

/// An entry whose form and signature were checked. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    bytes: Arc<[u8]>,
    name: EntryName,
}

impl Entry {
    /// Checks exact bytes: length, version, position, key strength and signature.
    ///
    /// # Errors
    /// Says which of these fails.
    pub fn verify(bytes: &[u8]) -> Result<Self, EntryError> {
        let entry = Self::from_store(bytes)?;
        let (signed, signature) = bytes.split_at(bytes.len() - SIGNATURE);
        let signature = signature.try_into().map_err(|_| EntryError::Length(bytes.len()))?;
        verify(&entry.log().0, LABEL, &[signed], signature)?;
        Ok(entry)
    }

    /// Takes bytes that were verified before they were stored: checks the form alone.
    ///
    /// # Errors
    /// When they are no entry at all.
    pub fn from_store(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() < HEADER + SEAL_OVERHEAD + SIGNATURE || bytes.len() > MAX_ENTRY {
            return Err(EntryError::Length(bytes.len()));
        }
        if bytes[0] != ENTRY_VERSION {
            return Err(EntryError::Version(bytes[0]));
        }
        let entry = Self { bytes: bytes.into(), name: EntryName::of(bytes) };
        if entry.seq() == 0 || (entry.seq() == 1) != (entry.prev() == EntryName::NONE) {
            return Err(EntryError::Position);
        }
        Ok(entry)
    }

    /// Seals content into the next entry of a log.
    ///
    /// # Errors
    /// [`EntryError::Length`] when the content does not fit into one entry, [`EntryError::Content`] when it breaks a
    /// rule of its kind: what is sealed always opens.
    pub fn seal(
        key: &LogKey,
        position: Position,
        space: &SpaceId,
        epoch: (&EpochId, &EpochKey),
        content: &Sealed,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, EntryError> {
        content.check()?;
        let plain = encode(content);
        if plain.len() > MAX_UNPACKED {
            return Err(EntryError::Length(plain.len()));
        }
        let header = header(&key.id(), position);
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        let sealed = epoch.1.seal(&salt, &bound_to(space, epoch.0, &header), &pack(&plain));
        Self::finish(key, header, &sealed)
    }

    /// Seals a recovery envelope into the next entry of a log.
    ///
    /// # Errors
    /// When the envelope does not fit its fixed size, or the recovery key is unusable.
    pub fn seal_envelope(
        key: &LogKey,
        position: Position,
        recovery: &RecoveryCert,
        envelope: &RecoveryEnvelope,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, EntryError> {
        let header = header(&key.id(), position);
        let body = Zeroizing::new(encode(envelope));
        let mut plain = Zeroizing::new(vec![0; ENVELOPE_PLAIN]);
        let (length, rest) = plain.split_at_mut(4);
        let place = rest.get_mut(..body.len()).ok_or(EntryError::Length(body.len()))?;
        length.copy_from_slice(&(body.len() as u32).to_le_bytes());
        place.copy_from_slice(&body);
        let sealed = recovery.seal(&envelope_info(&header), &plain, rng).map_err(|_| KeyError::Weak)?;
        Self::finish(key, header, &sealed)
    }

    /// Opens the content with whichever key it is sealed under, trying them in the order given (newest first).
    ///
    /// # Errors
    /// [`OpenError::NoKey`] when it waits for a key; the others mean that the entry is bad.
    pub fn open<'k>(
        &self,
        space: &SpaceId,
        keys: impl IntoIterator<Item = (&'k EpochId, &'k EpochKey)>,
    ) -> Result<(EpochId, Sealed), OpenError> {
        if self.is_recovery_envelope() {
            return Err(OpenError::Recovery);
        }
        for (epoch, key) in keys {
            match key.open(&bound_to(space, epoch, self.header()), self.sealed()) {
                Err(SealError::OtherKey) => {}
                Err(_) => return Err(OpenError::Altered),
                Ok(plain) => {
                    let content: Sealed = decode(&unpack(&plain)?)?;
                    content.check_deps()?;
                    return Ok((*epoch, content));
                }
            }
        }
        Err(OpenError::NoKey)
    }

    /// Opens a recovery envelope with the twelve words' keys.
    ///
    /// # Errors
    /// When it is none, or is for another recovery key.
    pub fn open_envelope(&self, keys: &RecoveryKeys) -> Result<RecoveryEnvelope, OpenError> {
        if !self.is_recovery_envelope() {
            return Err(OpenError::NoKey);
        }
        let plain = keys.open(&envelope_info(self.header()), self.sealed()).map_err(|_| OpenError::NoKey)?;
        let (length, rest) = plain.split_at_checked(4).ok_or(DecodeError::Malformed)?;
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let (body, padding) = rest.split_at_checked(length).ok_or(DecodeError::Malformed)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(UnpackError::Padding.into());
        }
        Ok(decode(body)?)
    }

    /// Whether this is for the recovery key alone, as its size says.
    #[must_use]
    pub fn is_recovery_envelope(&self) -> bool {
        self.sealed().len() == ENVELOPE_SEALED
    }

    /// SHA-256 of the exact bytes.
    #[must_use]
    pub fn name(&self) -> EntryName {
        self.name
    }

    /// The exact bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The log it stands in.
    #[must_use]
    pub fn log(&self) -> LogId {
        LogId(self.array(1))
    }

    /// Its place in the log; the first is 1.
    #[must_use]
    pub fn seq(&self) -> u64 {
        u64::from_be_bytes(self.bytes[33..41].try_into().expect("the length was checked"))
    }

    /// The entry before it, or [`EntryName::NONE`].
    #[must_use]
    pub fn prev(&self) -> EntryName {
        EntryName(self.array(41))
    }

    fn array(&self, at: usize) -> [u8; 32] {
        self.bytes[at..at + 32].try_into().expect("the length was checked")
    }

    fn header(&self) -> &[u8] {
        &self.bytes[..HEADER]
    }

    fn sealed(&self) -> &[u8] {
        &self.bytes[HEADER..self.bytes.len() - SIGNATURE]
    }

    fn finish(key: &LogKey, mut bytes: Vec<u8>, sealed: &[u8]) -> Result<Self, EntryError> {
        bytes.extend_from_slice(sealed);
        if bytes.len() + SIGNATURE > MAX_ENTRY {
            return Err(EntryError::Length(bytes.len() + SIGNATURE));
        }
        let signature = sign(key.signing(), LABEL, &[&bytes]);
        bytes.extend_from_slice(&signature);
        Self::from_store(&bytes)
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({:?} #{} {:?}, {} bytes)", self.log(), self.seq(), self.name, self.bytes.len())
    }
}

/// Where the next entry of a log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its sequence number.
    pub seq: u64,
    /// The entry before it.
    pub prev: EntryName,
}

impl Position {
    /// The beginning of a log.
    pub const FIRST: Self = Self { seq: 1, prev: EntryName::NONE };
}

fn header(log: &LogId, position: Position) -> Vec<u8> {
    let mut header = Vec::with_capacity(1024);
    header.push(ENTRY_VERSION);
    header.extend_from_slice(&log.0);
    header.extend_from_slice(&position.seq.to_be_bytes());
    header.extend_from_slice(&position.prev.0);
    header
}

fn bound_to(space: &SpaceId, epoch: &EpochId, header: &[u8]) -> Vec<u8> {
    [LABEL.as_bytes(), &[0], &space.0, &epoch.0, header].concat()
}

fn envelope_info(header: &[u8]) -> Vec<u8> {
    [b"ties1/recovery-envelope\0", header].concat()
}
