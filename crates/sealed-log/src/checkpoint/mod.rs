//! Checkpoints: what a new device starts from, and below which logs may be cut short.
//!
//! A checkpoint is a [`Manifest`] and the [`Chunk`]s that it names, all sealed. The [`FloorRecord`] is what everybody may
//! see of it: which chunks there are, and how far in each log they reach. One signature makes it worth reading, a second
//! one, by another device that came to the same state from its own entries, worth relying on.

mod chunk;
mod floor;
mod manifest;
mod parts;
mod root;

pub use chunk::{Chunk, ChunkError, ChunkSeal};
pub use floor::{FloorError, FloorRecord, is_outgrown};
pub use manifest::{MANIFEST_VERSION, Manifest, Part};
pub use parts::{DocumentPiece, MAX_PIECE, PART_FILL, PartKind, entries_of, pieces_of};
pub use root::StateRoot;

use crate::MAX_BRANCHES;
use crate::ids::LogId;
use crate::vector::TipRecord;

/// The longest chunk.
pub const MAX_CHUNK: usize = 1 << 20;

/// The most chunks of a checkpoint, its manifest among them.
pub const MAX_CHUNKS: usize = 4_096;

/// The most tips of a cut: as many as a vector has.
pub const MAX_CUT: usize = 8_192;

/// Whether this can be a cut: not empty, sorted, within bounds, of no more branches than a log is kept with.
fn is_cut(cut: &[TipRecord]) -> bool {
    let mut branches: (Option<LogId>, usize) = (None, 0);
    let few = cut.iter().all(|record| {
        branches = if branches.0 == Some(record.log) { (branches.0, branches.1 + 1) } else { (Some(record.log), 1) };
        branches.1 <= MAX_BRANCHES && record.tip.seq > 0
    });
    few && !cut.is_empty() && cut.len() <= MAX_CUT && cut.is_sorted_by(|a, b| a < b)
}
