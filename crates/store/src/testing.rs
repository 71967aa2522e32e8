//! For tests of this crate and of those above it.

use crate::StorageKey;
use crate::stored_log::LogRow;
use crate::tables::number;

/// Reads bytes as each kind of record that this crate keeps.
pub fn read_records(bytes: &[u8]) {
    if let Ok(row) = LogRow::parse(bytes) {
        assert_eq!(row.to_bytes(), bytes);
    }
    let _ = number(Some(bytes.to_vec()));
    let _ = StorageKey::from_file_bytes(bytes);
}
