//! What the chunks of a checkpoint hold, and cutting it to size.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::chunk::{Chunk, ChunkError, ChunkSeal};
use super::manifest::Part;
use crate::entry::Entry;
use crate::ids::{EpochId, SpaceId};
use crate::padding::MAX_UNPACKED;
use crate::seal::EpochKey;
use crate::{DecodeError, decode, encode};

/// About how many bytes to gather for [`PartKind::seal`] at a time: packed they fill a chunk, more or less.
pub const PART_FILL: usize = 3 << 20;

/// The longest piece of a document: it fits into a chunk even if nothing of it can be compressed.
pub const MAX_PIECE: usize = 900 << 10;

/// What a chunk holds. Whoever does not know a kind passes over its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartKind {
    /// The manifest.
    Manifest,
    /// Exact bytes of membership entries, roads among them.
    Membership,
    /// Exact bytes of the first entries of logs.
    Openings,
    /// Documents, saved.
    Documents,
    /// What was derived from them.
    Rows,
    /// Something that a later version knows.
    Other(u8),
}

impl PartKind {
    /// Its number, for ever.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Manifest => 0,
            Self::Membership => 1,
            Self::Openings => 2,
            Self::Documents => 3,
            Self::Rows => 4,
            Self::Other(number) => number,
        }
    }

    /// The kind of a number.
    #[must_use]
    pub fn of(number: u8) -> Self {
        match number {
            0 => Self::Manifest,
            1 => Self::Membership,
            2 => Self::Openings,
            3 => Self::Documents,
            4 => Self::Rows,
            other => Self::Other(other),
        }
    }

    /// Seals items, in their order, into as few chunks as hold them; says with each what the manifest says of it.
    ///
    /// # Errors
    /// [`ChunkError::Length`] when a single item does not fit into a chunk.
    pub fn seal<T: Serialize>(
        self,
        items: &[T],
        seal: ChunkSeal<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<(Part, Chunk)>, ChunkError> {
        let mut sealed = Vec::new();
        let mut waiting = vec![items];
        while let Some(items) = waiting.pop().filter(|items| !items.is_empty()) {
            let plain = encode(&items);
            let chunk =
                if plain.len() > MAX_UNPACKED { Err(ChunkError::Length) } else { Chunk::seal(seal, self, &plain, rng) };
            match chunk {
                Ok(chunk) => {
                    let items = u32::try_from(items.len()).map_err(|_| ChunkError::Length)?;
                    let part = Part { kind: self.number(), chunk: chunk.name(), len: chunk.len(), items };
                    sealed.push((part, chunk));
                }
                Err(ChunkError::Length) if items.len() > 1 => {
                    let (first, second) = items.split_at(items.len() / 2);
                    waiting.extend([second, first]);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sealed)
    }
}

/// A document, or a piece of one that is longer than a chunk: pieces of one document follow one another, within a part
/// and from one to the next, and are joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentPiece {
    /// The document.
    pub document: [u8; 16],
    /// Its bytes as it is saved, or some of them.
    pub bytes: ByteBuf,
}

impl DocumentPiece {
    /// The pieces of a document.
    pub fn cut(document: [u8; 16], saved: &[u8]) -> impl Iterator<Item = Self> + '_ {
        saved.chunks(MAX_PIECE).map(move |piece| Self { document, bytes: ByteBuf::from(piece) })
    }
}

/// The entries in a part of kind [`PartKind::Membership`] or [`PartKind::Openings`], verified.
///
/// # Errors
/// When the chunk does not open, or holds something else.
pub fn entries_of<'k>(
    chunk: &Chunk,
    kind: PartKind,
    space: &SpaceId,
    keys: impl IntoIterator<Item = (&'k EpochId, &'k EpochKey)>,
) -> Result<Vec<Entry>, ChunkError> {
    let list: Vec<ByteBuf> = decode(&chunk.open(space, kind, keys)?)?;
    let entries = list.iter().map(|bytes| Entry::verify(bytes).map_err(|_| DecodeError::Bounds.into()));
    entries.collect()
}

/// The pieces of documents in a part of kind [`PartKind::Documents`].
///
/// # Errors
/// When the chunk does not open, holds something else, or documents out of order.
pub fn pieces_of<'k>(
    chunk: &Chunk,
    space: &SpaceId,
    keys: impl IntoIterator<Item = (&'k EpochId, &'k EpochKey)>,
) -> Result<Vec<DocumentPiece>, ChunkError> {
    let pieces: Vec<DocumentPiece> = decode(&chunk.open(space, PartKind::Documents, keys)?)?;
    let sorted = pieces.is_sorted_by(|a, b| a.document <= b.document);
    if sorted { Ok(pieces) } else { Err(DecodeError::Bounds.into()) }
}
