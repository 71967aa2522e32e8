//! A database's key under a passphrase: Argon2id makes a key of the passphrase, which seals the database's.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, Zeroizing};

use crate::StorageKey;

/// What only the owner knows. Its memory is wiped.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes a passphrase; the empty one is none. Whoever asks people for it brings it into one form of Unicode first.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// What each guess at a passphrase costs: Argon2id's parameters (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// 256 MiB, three passes, four lanes: about a second.
    pub const STRONG: Self = Self { memory_kib: 256 << 10, passes: 3, lanes: 4 };
    /// The least that is read at all, for tests.
    pub const LEAST: Self = Self { memory_kib: 19 << 10, passes: 1, lanes: 1 };

    /// A cost within the limits: less would be no protection, more would hang whoever opens a file that somebody
    /// tampered with.
    fn within_limits(memory_kib: u32, passes: u32, lanes: u32) -> Option<Self> {
        let reasonable = (19 << 10..=1 << 20).contains(&memory_kib) && (1..=10).contains(&passes);
        (reasonable && (1..=8).contains(&lanes)).then_some(Self { memory_kib, passes, lanes })
    }

    /// Megabytes that a derivation needs.
    #[must_use]
    pub fn mebibytes(&self) -> u32 {
        self.memory_kib >> 10
    }
}

/// Why a sealed key does not come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnsealError {
    /// It is another passphrase, or the file was altered by somebody who made its checksum fit.
    Wrong,
    /// There is not as much memory.
    Memory,
}

/// A storage key under a passphrase. It shows nothing to somebody who cannot guess that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SealedKey {
    cost: Cost,
    salt: [u8; 16],
    nonce: [u8; 24],
    sealed: [u8; StorageKey::LEN + TAG],
}

impl SealedKey {
    pub(crate) const LEN: usize = 12 + 16 + 24 + StorageKey::LEN + TAG;

    /// Seals a key. `bound_to` are the bytes of the file before this, which are authenticated with the cost and the salt.
    pub(crate) fn seal(
        key: &StorageKey,
        passphrase: &Passphrase,
        cost: Cost,
        bound_to: &[u8],
    ) -> Result<Self, SealKeyError> {
        let mut made = Self { cost, salt: [0; 16], nonce: [0; 24], sealed: [0; StorageKey::LEN + TAG] };
        getrandom::fill(&mut made.salt).map_err(|_| SealKeyError::Randomness)?;
        getrandom::fill(&mut made.nonce).map_err(|_| SealKeyError::Randomness)?;
        let cipher = made.cipher(passphrase).ok_or(SealKeyError::Memory)?;
        let mut inside = Zeroizing::new([0; StorageKey::LEN]);
        inside.copy_from_slice(key.bytes());
        let nonce = XNonce::from(made.nonce);
        let tag = cipher
            .encrypt_inout_detached(&nonce, &made.associated(bound_to), (&mut inside[..]).into())
            .expect("a key is shorter than what the cipher takes");
        made.sealed[..StorageKey::LEN].copy_from_slice(&inside[..]);
        made.sealed[StorageKey::LEN..].copy_from_slice(&tag);
        Ok(made)
    }

    pub(crate) fn open(&self, passphrase: &Passphrase, bound_to: &[u8]) -> Result<StorageKey, UnsealError> {
        let cipher = self.cipher(passphrase).ok_or(UnsealError::Memory)?;
        let (sealed, tag) = self.sealed.split_first_chunk::<{ StorageKey::LEN }>().expect("a key and a tag");
        let tag = Tag::try_from(tag).expect("16 bytes");
        let mut key = Zeroizing::new(*sealed);
        cipher
            .decrypt_inout_detached(&XNonce::from(self.nonce), &self.associated(bound_to), (&mut key[..]).into(), &tag)
            .map_err(|_| UnsealError::Wrong)?;
        StorageKey::from_bytes(&key).ok_or(UnsealError::Wrong)
    }

    pub(crate) fn cost(&self) -> Cost {
        self.cost
    }

    pub(crate) fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..12].copy_from_slice(&self.cost_bytes());
        bytes[12..28].copy_from_slice(&self.salt);
        bytes[28..52].copy_from_slice(&self.nonce);
        bytes[52..].copy_from_slice(&self.sealed);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let number = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().expect("four of more bytes"));
        Some(Self {
            cost: Cost::within_limits(number(0), number(4), number(8))?,
            salt: bytes[12..28].try_into().ok()?,
            nonce: bytes[28..52].try_into().ok()?,
            sealed: bytes[52..].try_into().ok()?,
        })
    }

    /// `None` if there is not as much memory as the cost says.
    fn cipher(&self, passphrase: &Passphrase) -> Option<XChaCha20Poly1305> {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let params = Params::new(memory_kib, passes, lanes, Some(32)).expect("within Argon2's limits");
        let mut memory = Vec::new();
        memory.try_reserve_exact(params.block_count()).ok()?;
        memory.resize(params.block_count(), Block::new());
        let mut key = Zeroizing::new([0; 32]);
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let derived =
            argon.hash_password_into_with_memory(passphrase.0.as_bytes(), &self.salt, &mut key[..], &mut memory[..]);
        // The key follows from the last of it.
        memory.iter_mut().for_each(Zeroize::zeroize);
        derived.ok()?;
        Some(XChaCha20Poly1305::new((&*key).into()))
    }

    fn associated(&self, bound_to: &[u8]) -> Vec<u8> {
        [bound_to, &self.cost_bytes(), &self.salt].concat()
    }

    fn cost_bytes(&self) -> [u8; 12] {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let mut bytes = [0; 12];
        for (place, number) in bytes.chunks_mut(4).zip([memory_kib, passes, lanes]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}

/// Why a key cannot be put under a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealKeyError {
    Randomness,
    Memory,
}

const TAG: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Passphrase {
        Passphrase::new(text).unwrap()
    }

    fn sealed() -> (StorageKey, SealedKey) {
        let key = StorageKey::generate().unwrap();
        let sealed = SealedKey::seal(&key, &word("correct horse"), Cost::LEAST, b"before").unwrap();
        (key, sealed)
    }

    #[test]
    fn the_passphrase_and_no_other_opens_what_it_sealed() {
        let (key, sealed) = sealed();
        assert_eq!(sealed.open(&word("correct horse"), b"before").unwrap().bytes(), key.bytes());
        for other in ["correct horsf", "correct horse ", "Correct horse"] {
            assert_eq!(sealed.open(&word(other), b"before").unwrap_err(), UnsealError::Wrong);
        }
        assert_eq!(sealed.open(&word("correct horse"), b"befora").unwrap_err(), UnsealError::Wrong);
    }

    #[test]
    fn one_key_and_one_passphrase_are_never_sealed_alike() {
        let (key, first) = sealed();
        let second = SealedKey::seal(&key, &word("correct horse"), Cost::LEAST, b"before").unwrap();
        assert_ne!(first.sealed, second.sealed);
        assert_ne!(first.salt, second.salt);
    }

    #[test]
    fn everything_in_it_is_authenticated() {
        let (_, sealed) = sealed();
        let bytes = sealed.to_bytes();
        // A bit of many bytes; those of the cost are looked at below.
        for at in (12..SealedKey::LEN).step_by(7) {
            let mut bytes = bytes;
            bytes[at] ^= 1 << (at % 8);
            let altered = SealedKey::from_bytes(&bytes).unwrap();
            assert_eq!(altered.open(&word("correct horse"), b"before").unwrap_err(), UnsealError::Wrong, "byte {at}");
        }
        let mut dearer = sealed.clone();
        dearer.cost.passes += 1;
        assert_eq!(dearer.open(&word("correct horse"), b"before").unwrap_err(), UnsealError::Wrong);
    }

    #[test]
    fn a_cost_beyond_the_limits_is_refused_before_it_is_spent() {
        for (memory_kib, passes, lanes, fine) in [
            (19 << 10, 1, 1, true),
            (1 << 20, 10, 8, true),
            ((19 << 10) - 1, 1, 1, false),
            ((1 << 20) + 1, 1, 1, false),
            (u32::MAX, 1, 1, false),
            (19 << 10, 0, 1, false),
            (19 << 10, 11, 1, false),
            (19 << 10, 1, 0, false),
            (19 << 10, 1, 9, false),
        ] {
            let mut bytes = sealed_bytes();
            for (place, number) in bytes.chunks_mut(4).zip([memory_kib, passes, lanes]) {
                place.copy_from_slice(&u32::to_le_bytes(number));
            }
            assert_eq!(SealedKey::from_bytes(&bytes).is_some(), fine, "{memory_kib} {passes} {lanes}");
        }
        let strong = Cost::STRONG;
        assert_eq!(Cost::within_limits(strong.memory_kib, strong.passes, strong.lanes), Some(strong));
    }

    fn sealed_bytes() -> [u8; SealedKey::LEN] {
        [7; SealedKey::LEN]
    }

    #[test]
    fn debug_output_holds_neither_passphrase_nor_key() {
        assert_eq!(format!("{:?}", word("correct horse")), "Passphrase(..)");
        assert!(Passphrase::new("").is_none());
    }
}
