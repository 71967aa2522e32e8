//! Earlier epochs' keys, sealed under a later one: who has the newest key reads everything before it.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::{EpochId, SpaceId};
use crate::seal::{EpochKey, SealError};
use crate::{DecodeError, Secret, decode, encode};

/// The key of an epoch that is over.
#[derive(Debug)]
pub struct EarlierKey {
    /// The epoch.
    pub epoch: EpochId,
    /// Its generation.
    pub generation: u32,
    /// Its key.
    pub key: EpochKey,
}

/// Why earlier keys do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EarlierError {
    /// Sealed under another key, for another epoch, or altered.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Opened, and its content does not parse.
    #[error(transparent)]
    Content(#[from] DecodeError),
}

// Secret, yet Serialize: it is sealed under the new epoch's key.
#[derive(Serialize, Deserialize)]
struct Line {
    epoch: EpochId,
    generation: u32,
    key: [u8; 32],
}

impl Drop for Line {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

impl EpochKey {
    /// Seals the keys of earlier epochs under this epoch's, as a [`crate::Rotate`] carries them; empty for none.
    #[must_use]
    pub fn seal_earlier<'k>(
        &self,
        space: &SpaceId,
        epoch: &EpochId,
        earlier: impl IntoIterator<Item = (&'k EpochId, u32, &'k EpochKey)>,
        rng: &mut impl CryptoRng,
    ) -> Vec<u8> {
        let line = |(epoch, generation, key): (&EpochId, u32, &EpochKey)| Line {
            epoch: *epoch,
            generation,
            key: *key.expose(),
        };
        let mut lines: Vec<Line> = earlier.into_iter().map(line).collect();
        lines.sort_unstable_by_key(|line| line.epoch);
        lines.dedup_by_key(|line| line.epoch);
        if lines.is_empty() {
            return Vec::new();
        }
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        self.seal(&salt, &bound_to(space, epoch), &Zeroizing::new(encode(&lines)))
    }

    /// Opens what [`Self::seal_earlier`] made. Compare each key with its own rotate's check where that is known.
    ///
    /// # Errors
    /// Says what is wrong; nothing of it is to be used then.
    pub fn open_earlier(
        &self,
        space: &SpaceId,
        epoch: &EpochId,
        sealed: &[u8],
    ) -> Result<Vec<EarlierKey>, EarlierError> {
        if sealed.is_empty() {
            return Ok(Vec::new());
        }
        let lines: Vec<Line> = decode(&self.open(&bound_to(space, epoch), sealed)?)?;
        if lines.is_empty() || !lines.is_sorted_by(|a, b| a.epoch < b.epoch) {
            return Err(DecodeError::Bounds.into());
        }
        let open = |line: &Line| EarlierKey {
            epoch: line.epoch,
            generation: line.generation,
            key: EpochKey::new(Secret::new(line.key)),
        };
        Ok(lines.iter().map(open).collect())
    }
}

fn bound_to(space: &SpaceId, epoch: &EpochId) -> Vec<u8> {
    [&b"ties1/earlier\0"[..], &space.0, &epoch.0].concat()
}
