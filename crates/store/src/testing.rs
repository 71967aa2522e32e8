//! For tests of this crate and of those above it.

use zeroize::Zeroizing;

use crate::key_file::KeyFile;
pub use crate::replace::{Folder, replace};
use crate::stored_log::{LogRow, parse_tips, tips_to_bytes};
use crate::tables::number;
use crate::{Cost, OpenError, Passphrase, StorageKey};

/// Reads bytes as each kind of record that this crate keeps.
pub fn read_records(bytes: &[u8]) {
    if let Ok(row) = LogRow::parse(bytes) {
        assert_eq!(row.to_bytes(), bytes);
    }
    if let Ok(tips) = parse_tips(bytes) {
        assert_eq!(tips_to_bytes(&tips), bytes);
    }
    let _ = number(Some(bytes.to_vec()));
    let _ = KeyFile::from_bytes(bytes);
}

/// Reads bytes as the beginning of a backup, and as what lies behind its seal.
pub fn read_backup(bytes: &[u8]) {
    if let Ok(header) = crate::BackupHeader::read(&mut { bytes }) {
        assert_eq!(header.to_bytes(), bytes[..header.to_bytes().len()], "one header has one form");
    }
    let _ = crate::backup::read_body(bytes);
}

/// The bytes of a key file that keeps a key as it is, or under a passphrase.
///
/// # Errors
/// As [`crate::Custody::set_passphrase`].
pub fn key_file(
    key: &StorageKey,
    passphrase: Option<&Passphrase>,
    cost: Cost,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let file = match passphrase {
        Some(passphrase) => KeyFile::seal(key, passphrase, cost)?,
        None => KeyFile::Plain(key.again()),
    };
    Ok(file.to_bytes())
}

/// The key in a key file's bytes, if they are whole and this (or no) passphrase opens them.
#[must_use]
pub fn key_in(bytes: &[u8], passphrase: Option<&Passphrase>) -> Option<StorageKey> {
    match (KeyFile::from_bytes(bytes)?, passphrase) {
        (KeyFile::Plain(key), None) => Some(key),
        (KeyFile::Sealed(sealed), Some(passphrase)) => KeyFile::unseal(&sealed, passphrase, "key".as_ref()).ok(),
        _ => None,
    }
}

/// Flips a bit in the signature of the last entry, as a failing disk might.
///
/// # Errors
/// When there is none, or the database cannot be read or written.
pub fn spoil_last_entry(transaction: &mut crate::Transaction) -> Result<(), crate::StoreError> {
    use crate::{Read, Table};
    let last = transaction.pairs(Table::ENTRIES, &[])?.pop();
    let (key, mut bytes) = last.ok_or(crate::StoreError::Unfinished)?;
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    transaction.put(Table::ENTRIES, &key, &bytes)
}
