//! The key of a database.

use std::fmt;
use std::io;

use zeroize::Zeroizing;

/// The 512-bit key of a database: two AES-256 keys, which must differ.
pub struct StorageKey(Zeroizing<[u8; StorageKey::LEN]>);

impl StorageKey {
    pub(crate) const LEN: usize = 64;

    /// Draws a key from the operating system.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn generate() -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
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
        if bytes[..32] == bytes[32..] {
            return None;
        }
        let mut key = Self(Zeroizing::new([0; Self::LEN]));
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    /// The same key once more: a process may open one database several times.
    #[must_use]
    pub fn again(&self) -> Self {
        Self(self.0.clone())
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
