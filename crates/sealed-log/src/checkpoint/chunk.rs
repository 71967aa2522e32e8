//! Chunks: sealed pieces of a checkpoint, named by the hash of their bytes.

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};

use super::MAX_CHUNK;
use super::parts::PartKind;
use crate::ids::{ChunkName, EpochId, SpaceId};
use crate::padding::{MAX_UNPACKED, UnpackError, pack_hard, unpack};
use crate::seal::{EpochKey, SEAL_OVERHEAD, SealError};

const LABEL: &str = "ties1/chunk";

/// Why a chunk is not made or does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The bytes are not those that the name stands for.
    #[error("not the chunk of that name")]
    Name,
    /// It does not fit, or cannot be that long.
    #[error("a chunk cannot hold that much")]
    Length,
    /// None of the keys here is the one it is sealed under, or it is a piece of another kind or space.
    #[error("sealed under a key that is not here")]
    NoKey,
    /// Sealed under a key that is here, and altered.
    #[error("altered")]
    Altered,
    /// Opened, and its padding or compression is wrong.
    #[error(transparent)]
    Packing(#[from] UnpackError),
    /// Opened, and its content does not parse.
    #[error(transparent)]
    Content(#[from] crate::DecodeError),
}

/// What chunks are sealed for and under.
#[derive(Debug, Clone, Copy)]
pub struct ChunkSeal<'a> {
    /// The space.
    pub space: &'a SpaceId,
    /// The epoch.
    pub epoch: &'a EpochId,
    /// The epoch's key, of which the chunks' own is derived.
    pub key: &'a EpochKey,
}

/// A sealed piece of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    name: ChunkName,
    bytes: Vec<u8>,
}

impl Chunk {
    /// Packs and seals `plain`.
    ///
    /// # Errors
    /// [`ChunkError::Length`] when it does not fit into one chunk.
    pub fn seal(
        seal: ChunkSeal<'_>,
        kind: PartKind,
        plain: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Self, ChunkError> {
        if plain.len() > MAX_UNPACKED {
            return Err(ChunkError::Length);
        }
        let packed = pack_hard(plain);
        if packed.len() + SEAL_OVERHEAD > MAX_CHUNK {
            return Err(ChunkError::Length);
        }
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        let context = context(seal.space, seal.epoch, kind);
        let bytes = EpochKey::new(seal.key.derive(LABEL)).seal(&salt, &context, &packed);
        Ok(Self { name: ChunkName::of(&bytes), bytes })
    }

    /// Takes over bytes that came from elsewhere: any bytes of a possible length have a name.
    ///
    /// # Errors
    /// When they are too long or too short to be a chunk.
    pub fn new(bytes: Vec<u8>) -> Result<Self, ChunkError> {
        if bytes.len() <= SEAL_OVERHEAD || bytes.len() > MAX_CHUNK {
            return Err(ChunkError::Length);
        }
        Ok(Self { name: ChunkName::of(&bytes), bytes })
    }

    /// Opens it with whichever key it is sealed under, trying them in the order given (newest first).
    ///
    /// # Errors
    /// [`ChunkError::NoKey`] when it waits for a key; the others mean that the chunk is bad.
    pub fn open<'k>(
        &self,
        space: &SpaceId,
        kind: PartKind,
        keys: impl IntoIterator<Item = (&'k EpochId, &'k EpochKey)>,
    ) -> Result<Vec<u8>, ChunkError> {
        for (epoch, key) in keys {
            match EpochKey::new(key.derive(LABEL)).open(&context(space, epoch, kind), &self.bytes) {
                Err(SealError::OtherKey) => {}
                Err(_) => return Err(ChunkError::Altered),
                Ok(plain) => return Ok(unpack(&plain)?),
            }
        }
        Err(ChunkError::NoKey)
    }

    /// SHA-256 of the exact bytes.
    #[must_use]
    pub fn name(&self) -> ChunkName {
        self.name
    }

    /// The exact bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes it has.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a chunk is never empty")]
    pub fn len(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    /// The exact bytes, taken out.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl ChunkName {
    /// The name of the chunk with these exact bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// A chunk opens in its own space and epoch, and as what it is alone.
fn context(space: &SpaceId, epoch: &EpochId, kind: PartKind) -> Vec<u8> {
    [LABEL.as_bytes(), &[0], &space.0, &epoch.0, &[kind.number()]].concat()
}
