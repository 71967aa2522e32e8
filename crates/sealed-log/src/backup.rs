//! The key of a backup file, wrapped to the recovery key, so that the twelve words open what no device is left to open.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::recovery::{RecoveryCert, RecoveryKeys};
use crate::seal::SealError;

/// Length of the key of a backup file.
pub const BACKUP_KEY_LEN: usize = 64;
/// Length of such a key wrapped: X-Wing's encapsulation, the key, a tag.
pub const BACKUP_WRAP_LEN: usize = 1120 + BACKUP_KEY_LEN + 16;

impl RecoveryCert {
    /// Wraps the key of the backup file with this salt.
    ///
    /// # Errors
    /// When the certificate's encapsulation key is unusable.
    pub fn wrap_backup_key(
        &self,
        key: &[u8; BACKUP_KEY_LEN],
        salt: &[u8; 32],
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        self.seal(&info(salt), key, rng)
    }
}

impl RecoveryKeys {
    /// Opens the key of the backup file with this salt.
    ///
    /// # Errors
    /// When it was wrapped to another key or for another file, or was altered.
    pub fn unwrap_backup_key(
        &self,
        wrap: &[u8],
        salt: &[u8; 32],
    ) -> Result<Zeroizing<[u8; BACKUP_KEY_LEN]>, SealError> {
        if wrap.len() != BACKUP_WRAP_LEN {
            return Err(SealError::Short);
        }
        let plain = self.open(&info(salt), wrap)?;
        let mut key = Zeroizing::new([0; BACKUP_KEY_LEN]);
        if plain.len() != key.len() {
            return Err(SealError::Altered);
        }
        key.copy_from_slice(&plain);
        Ok(key)
    }
}

fn info(salt: &[u8; 32]) -> Vec<u8> {
    [&b"ties1/backup\0"[..], salt].concat()
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::RecoveryWords;

    #[test]
    fn the_words_open_the_key_of_their_file_and_of_no_other() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (words, others) = (RecoveryWords::random(&mut rng), RecoveryWords::random(&mut rng));
        let (key, salt) = ([7; BACKUP_KEY_LEN], [8; 32]);
        let wrap = words.keys().certificate().wrap_backup_key(&key, &salt, &mut rng).unwrap();
        assert_eq!(wrap.len(), BACKUP_WRAP_LEN);
        assert_eq!(*words.keys().unwrap_backup_key(&wrap, &salt).unwrap(), key);
        assert!(others.keys().unwrap_backup_key(&wrap, &salt).is_err());
        assert!(words.keys().unwrap_backup_key(&wrap, &[9; 32]).is_err());
        for at in [0, 1119, 1120, wrap.len() - 1] {
            let mut altered = wrap.clone();
            altered[at] ^= 1;
            assert!(words.keys().unwrap_backup_key(&altered, &salt).is_err(), "byte {at}");
        }
        assert!(words.keys().unwrap_backup_key(&wrap[1..], &salt).is_err());
    }
}
