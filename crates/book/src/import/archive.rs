//! Archives: which files are in them, and the contents of those that are read.
//!
//! The names in an archive are compared and shown, never used as paths; nothing is written anywhere. Only files that
//! are asked for are inflated, each at most to the limit, whatever the archive claims about its size.

use std::io::{Cursor, Read};

use zip::ZipArchive;

/// A file in an archive or a folder.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its name without folders.
    pub(crate) name: String,
    /// What it holds, if it was asked for.
    pub(crate) bytes: Option<Vec<u8>>,
}

/// Why an archive is not read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ArchiveError {
    /// It ends too early, or its parts do not fit.
    #[error("it is damaged or was cut off: {0}")]
    Damaged(String),
    /// More entries than any export has.
    #[error("it has more than {ENTRY_LIMIT} entries")]
    Entries,
    /// A file in it grows beyond all measure.
    #[error("{0} in it is larger than 64 MiB when unpacked")]
    Large(String),
    /// It is closed with a password.
    #[error("{0} in it is encrypted")]
    Encrypted(String),
}

/// Whether the bytes begin as a zip archive does.
pub(crate) fn is_zip(bytes: &[u8]) -> bool {
    [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"].iter().any(|mark| bytes.starts_with(*mark))
}

/// Opens a zip archive and inflates what `wanted` asks for by name.
pub(crate) fn unpack(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Vec<Member>, ArchiveError> {
    let damaged = |error: zip::result::ZipError| ArchiveError::Damaged(error.to_string());
    // Before the library makes a record of each. Chance puts the mark into compressed data once in four gigabytes.
    if bytes.windows(ENTRY_MARK.len()).filter(|window| *window == ENTRY_MARK).count() > ENTRY_LIMIT {
        return Err(ArchiveError::Entries);
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let mut members = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(damaged)?;
        // A name in no known encoding cannot be one that is read.
        let name = entry.name().map(|name| base_name(&name).to_owned()).unwrap_or_default();
        let (skip, encrypted, size) = (entry.is_dir() || name.is_empty(), entry.encrypted(), entry.size());
        drop(entry);
        if skip {
            continue;
        }
        let mut member = Member { name, bytes: None };
        if wanted(&member.name) {
            if encrypted {
                return Err(ArchiveError::Encrypted(member.name));
            }
            if size > MEMBER_LIMIT {
                return Err(ArchiveError::Large(member.name));
            }
            let entry = archive.by_index(index).map_err(damaged)?;
            member.bytes = Some(inflated(entry, &member.name)?);
        }
        members.push(member);
    }
    Ok(members)
}

fn inflated(entry: impl Read, name: &str) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    entry
        .take(MEMBER_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| ArchiveError::Damaged(format!("{name}: {error}")))?;
    if bytes.len() as u64 > MEMBER_LIMIT { Err(ArchiveError::Large(name.to_owned())) } else { Ok(bytes) }
}

/// The name without folders, of whichever system they are.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or_default()
}

/// What the directory of an archive begins each entry with.
const ENTRY_MARK: &[u8] = b"PK\x01\x02";
/// The most entries of an archive; a complete LinkedIn export has some sixty.
const ENTRY_LIMIT: usize = 10_000;
/// The most that one file may inflate to.
const MEMBER_LIMIT: u64 = 64 << 20;

#[cfg(test)]
pub(crate) mod testing {
    use std::io::Write;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    /// An archive of these files.
    pub(crate) fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::zipped;
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(String, Option<usize>)>, ArchiveError> {
        let members = unpack(bytes, |name| name.ends_with(".csv"))?;
        Ok(members.into_iter().map(|member| (member.name, member.bytes.map(|bytes| bytes.len()))).collect())
    }

    #[test]
    fn only_what_is_wanted_is_inflated_and_no_path_counts() {
        let archive = zipped(&[("../../etc/a.csv", b"hello"), ("C:\\x\\b.csv", b""), ("media/c.jpg", b"jpeg")]);
        assert!(is_zip(&archive));
        let expected = [("a.csv", Some(5)), ("b.csv", Some(0)), ("c.jpg", None)];
        assert_eq!(read(&archive).unwrap(), expected.map(|(name, size)| (name.to_owned(), size)));
    }

    #[test]
    fn a_bomb_is_refused_whatever_it_claims() {
        let mut archive = zipped(&[("a.csv", &vec![0; (MEMBER_LIMIT + 1) as usize])]);
        assert!(archive.len() < 1 << 20);
        assert_eq!(read(&archive), Err(ArchiveError::Large("a.csv".into())));
        // The sizes in both headers say ten bytes.
        let honest = (MEMBER_LIMIT as u32 + 1).to_le_bytes();
        while let Some(at) = archive.windows(4).position(|window| window == honest) {
            archive[at..at + 4].copy_from_slice(&10u32.to_le_bytes());
        }
        assert!(matches!(read(&archive), Err(ArchiveError::Large(_) | ArchiveError::Damaged(_))));
    }

    #[test]
    fn an_archive_that_was_cut_or_flipped_is_refused() {
        let archive = zipped(&[(
            "a.csv",
            "Some text that is long enough to be deflated, deflated, deflated".repeat(20).as_bytes(),
        )]);
        for length in 0..archive.len() {
            assert!(read(&archive[..length]).is_err(), "{length}");
        }
        for at in 0..archive.len() {
            let mut flipped = archive.clone();
            flipped[at] ^= 0x10;
            let _ = read(&flipped);
        }
    }

    #[test]
    fn too_many_entries_are_refused() {
        let mut archive = zipped(&[("a.csv", b"")]);
        archive.extend(ENTRY_MARK.repeat(ENTRY_LIMIT + 1));
        assert_eq!(read(&archive), Err(ArchiveError::Entries));
    }
}
