//! The manifest: what a checkpoint consists of, for members alone.

use std::collections::BTreeSet;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use super::chunk::{Chunk, ChunkError, ChunkSeal};
use super::parts::PartKind;
use super::{MAX_CHUNK, MAX_CHUNKS, is_cut};
use crate::ids::{ChunkName, EpochId, SpaceId};
use crate::seal::EpochKey;
use crate::vector::TipRecord;
use crate::{DecodeError, decode, encode};

/// The one version of a manifest.
pub const MANIFEST_VERSION: u8 = 1;

/// What a checkpoint consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u8,
    /// The space.
    pub space: SpaceId,
    /// How far it reaches, sorted: the tip of each log, all tips of a forked one.
    pub cut: Vec<TipRecord>,
    /// The [`super::StateRoot`] of its documents.
    pub root: [u8; 32],
    /// Its parts, in the order in which they are to be read.
    pub parts: Vec<Part>,
}

/// A chunk of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The number of a [`PartKind`].
    pub kind: u8,
    /// The chunk.
    pub chunk: ChunkName,
    /// Its bytes.
    pub len: u32,
    /// How many entries, pieces of documents, or rows it holds.
    pub items: u32,
}

impl Part {
    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> PartKind {
        PartKind::of(self.kind)
    }
}

impl Manifest {
    /// Seals it.
    ///
    /// # Errors
    /// When it breaks a rule of its format: what is sealed always opens.
    pub fn seal(&self, seal: ChunkSeal<'_>, rng: &mut impl CryptoRng) -> Result<Chunk, ChunkError> {
        self.check(seal.space)?;
        Chunk::seal(seal, PartKind::Manifest, &encode(self), rng)
    }

    /// Opens a chunk as the manifest of a checkpoint of `space`.
    ///
    /// # Errors
    /// When it does not open, or breaks a rule of its format.
    pub fn open<'k>(
        chunk: &Chunk,
        space: &SpaceId,
        keys: impl IntoIterator<Item = (&'k EpochId, &'k EpochKey)>,
    ) -> Result<Self, ChunkError> {
        let manifest: Self = decode(&chunk.open(space, PartKind::Manifest, keys)?)?;
        manifest.check(space)?;
        Ok(manifest)
    }

    fn check(&self, space: &SpaceId) -> Result<(), DecodeError> {
        let names: BTreeSet<_> = self.parts.iter().map(|part| part.chunk).collect();
        let is_part = |part: &Part| {
            part.kind() != PartKind::Manifest && part.len > 0 && part.len as usize <= MAX_CHUNK && part.items > 0
        };
        let holds = self.version == MANIFEST_VERSION
            && self.space == *space
            && is_cut(&self.cut)
            && self.parts.len() < MAX_CHUNKS
            && names.len() == self.parts.len()
            && self.parts.iter().all(is_part);
        if holds { Ok(()) } else { Err(DecodeError::Bounds) }
    }
}
