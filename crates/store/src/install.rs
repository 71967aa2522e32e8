//! Recognising a database that was copied or restored.

use std::fs;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

/// SHA-256 over this machine and this very file: its identity, its inode and the time it was made.
///
/// A move within a file system keeps it. A copy, a restored backup and another machine change it.
/// The number of the device is left out, because it changes with the order in which disks are
/// found; what the system does not tell is left out too.
pub(crate) fn mark(database: &Path) -> io::Result<[u8; 32]> {
    let file = fs::metadata(database)?;
    let made = file.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let mut hasher = Sha256::new();
    hasher.update(b"ties/install-mark\0");
    hasher.update(Sha256::digest(machine()));
    hasher.update(inode(&file).to_le_bytes());
    hasher.update(made.map_or(0, |time| time.as_nanos()).to_le_bytes());
    Ok(hasher.finalize().into())
}

fn machine() -> Vec<u8> {
    let files = ["/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/hostid"];
    files.iter().find_map(|file| fs::read(file).ok()).unwrap_or_default()
}

#[cfg(unix)]
fn inode(file: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(file)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_keeps_the_mark_and_a_copy_changes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("one"), b"bytes").unwrap();
        let before = mark(&path("one")).unwrap();
        fs::write(path("one"), b"other bytes").unwrap();
        assert_eq!(mark(&path("one")).unwrap(), before);
        fs::copy(path("one"), path("copy")).unwrap();
        assert_ne!(mark(&path("copy")).unwrap(), before);
        fs::rename(path("one"), path("moved")).unwrap();
        assert_eq!(mark(&path("moved")).unwrap(), before);
        assert!(mark(&path("one")).is_err());
    }
}
