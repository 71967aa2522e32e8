//! Files that must not outlive the command, and files that must be whole or absent.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};

use crate::errors::{Failure, Outcome};
use crate::signals::{self, Registration};

/// A folder that only this user may enter and that is gone afterwards, also after Ctrl-C.
pub(crate) struct Folder {
    // Dropped first, so that an interrupt never removes what is being removed.
    _registration: Registration,
    dir: TempDir,
}

impl Folder {
    /// A folder in `$XDG_RUNTIME_DIR`, which is in memory, else in the folder for temporary files.
    pub(crate) fn private(prefix: &str) -> Outcome<Self> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let in_memory = runtime.filter(|dir| dir.is_absolute() && dir.is_dir());
        if let Some(folder) = in_memory.and_then(|dir| Self::inside(&dir, prefix).ok()) {
            return Ok(folder);
        }
        Self::inside(&std::env::temp_dir(), prefix)
    }

    /// A folder inside `parent`.
    pub(crate) fn inside(parent: &Path, prefix: &str) -> Outcome<Self> {
        let mut builder = Builder::new();
        builder.prefix(prefix);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(fs::Permissions::from_mode(0o700));
        }
        let dir = builder.tempdir_in(parent).map_err(|error| {
            Failure::failed(format!("cannot make a folder in {}", parent.display())).because(&error)
        })?;
        let path = dir.path().to_owned();
        // What is being written there at the same moment can make the first attempt fail.
        let registration = signals::on_interrupt(move || {
            let _ = (0..3).any(|_| fs::remove_dir_all(&path).is_ok());
        });
        Ok(Self { _registration: registration, dir })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Leaves the folder where it is, for the user to look at.
    pub(crate) fn keep(self) -> PathBuf {
        self.dir.keep()
    }
}

/// Writes a new file that only this user may read.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Outcome {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    Ok(file.write_all(bytes)?)
}

/// Puts a file in place in one step: whoever looks sees the old one or the whole new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Outcome {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let in_words = || format!("cannot write {}", path.display());
    let written = NamedTempFile::with_prefix_in(".ties-", parent).and_then(|mut file| {
        let path = file.path().to_owned();
        let registration = signals::on_interrupt(move || {
            let _ = fs::remove_file(path);
        });
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok((file, registration))
    });
    let (file, _registration) = written.map_err(|error| Failure::failed(in_words()).because(&error))?;
    file.persist(path).map_err(|error| Failure::failed(in_words()).because(&error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_whole_and_private_and_leaves_no_scraps() {
        let folder = Folder::inside(&std::env::temp_dir(), "ties-test-").unwrap();
        let path = folder.path().join("people.vcf");
        replace(&path, b"old").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_folder_is_gone_when_it_is_dropped() {
        let folder = Folder::private("ties-test-").unwrap();
        let path = folder.path().to_owned();
        write_private(&path.join("note.md"), b"secret").unwrap();
        assert!(write_private(&path.join("note.md"), b"again").is_err(), "never over another file");
        drop(folder);
        assert!(!path.exists());
    }
}
