//! Checkpoints in a folder: the floor record in a file, each chunk in one of its own. PROTOCOL.md has the layout.
//!
//! Each proves itself: the record by its signatures, a chunk by its name in the record. What is half copied does neither yet.

use ties_sealed_log::{ChunkName, FloorRecord};

use crate::parcel::hex;

/// Bytes at the beginning of a file that holds a floor record.
pub const FLOOR_HEAD: usize = MAGIC.len() + 1;

/// The longest such file.
pub const MAX_FLOOR_FILE: usize = 1 << 20;

const MAGIC: &[u8; 8] = b"ties\0flr";
const VERSION: u8 = 1;

/// The file of a floor record: its name and its bytes.
#[must_use]
pub fn floor_file(record: &FloorRecord) -> (String, Vec<u8>) {
    (format!("{}.floor", hex(&record.name().0)), [&MAGIC[..], &[VERSION], record.bytes()].concat())
}

/// Whether a file that begins like this holds a floor record.
#[must_use]
pub fn is_floor_file(head: &[u8]) -> bool {
    head.starts_with(MAGIC) && head.get(MAGIC.len()) == Some(&VERSION)
}

/// The floor record of a file; `None` if it is none, or not all of it is here.
#[must_use]
pub fn read_floor_file(bytes: &[u8]) -> Option<FloorRecord> {
    bytes.get(FLOOR_HEAD..).filter(|_| is_floor_file(bytes)).and_then(|record| FloorRecord::verify(record).ok())
}

/// The name of the file that holds a chunk.
#[must_use]
pub fn chunk_file(name: &ChunkName) -> String {
    format!("{}.chunk", hex(&name.0))
}
