//! The key of a database.

use std::fmt;
use std::io;

use zeroize::Zeroize;

/// The 512-bit key of a database: two AES-256 keys, which must differ.
///
/// It lies in one place: what is moved about is a pointer to it, and moves leave no copies on the stack.
pub struct StorageKey(Box<[u8; StorageKey::LEN]>);

impl StorageKey {
    pub(crate) const LEN: usize = 64;

    /// Draws a key from the operating system.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn generate() -> io::Result<Self> {
        let mut key = Self(Box::new([0; Self::LEN]));
        while key.0[..32] == key.0[32..] {
            getrandom::fill(&mut key.0[..]).map_err(io::Error::other)?;
        }
        Ok(key)
    }

    /// Takes a key whose halves differ. With equal halves XTS is not secure (FIPS 140 implementation
    /// guidance, A.9), so they are refused.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Option<Self> {
        if bytes[..32] == bytes[32..] {
            return None;
        }
        let mut key = Self(Box::new([0; Self::LEN]));
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    /// The same key once more: a process may open one database several times.
    #[must_use]
    pub fn again(&self) -> Self {
        let mut key = Self(Box::new([0; Self::LEN]));
        key.0.copy_from_slice(&self.0[..]);
        key
    }

    /// Its bytes, for wrapping.
    #[must_use]
    pub fn expose(&self) -> &[u8; 64] {
        &self.0
    }

    /// The key of the blocks and the key of the tweaks.
    pub(crate) fn halves(&self) -> (&[u8; 32], &[u8; 32]) {
        let (data, tweak) = self.0.split_first_chunk().expect("32 of 64 bytes");
        (data, tweak.try_into().expect("the other 32 of 64 bytes"))
    }

    pub(crate) fn bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl Drop for StorageKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Overwrites the stack below the caller, where the calls before this one may have left pieces of keys: ciphers are made
/// in one place and moved to another, and no type wipes the place that it was moved from.
#[inline(never)]
pub(crate) fn scrub_stack<const KIB: usize>() {
    let mut bytes = [[0_u8; 1024]; KIB];
    bytes.zeroize();
    std::hint::black_box(&bytes);
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_halves_are_refused() {
        assert!(StorageKey::from_bytes(&[7; 64]).is_none());
    }

    #[test]
    fn debug_output_holds_no_key() {
        let key = StorageKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), "StorageKey(..)");
    }
}
