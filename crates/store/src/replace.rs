//! Replacing one small file so that a crash leaves the old one or the new one, whole, and that the old one's bytes go
//! as far as a program can make them go.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ties_fault::{Point, pass};

use crate::private;

/// What replacing a file takes of a folder, step by step: a test can put one in its place that crashes at each.
pub trait Folder {
    /// An open file of it.
    type File;

    /// Opens a file that is there.
    ///
    /// # Errors
    /// As the system says.
    fn open(&self, name: &str) -> io::Result<Option<Self::File>>;
    /// Makes a file that is not there.
    ///
    /// # Errors
    /// As the system says.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Writes over the beginning of a file.
    ///
    /// # Errors
    /// As the system says.
    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable.
    ///
    /// # Errors
    /// As the system says.
    fn sync(&self, file: &mut Self::File) -> io::Result<()>;
    /// Gives a file another's name.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Takes a name away.
    ///
    /// # Errors
    /// As the system says.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the names durable.
    ///
    /// # Errors
    /// As the system says.
    fn sync_names(&self) -> io::Result<()>;
    /// How long a file is if it has no name any more; one that still has one is somebody's.
    ///
    /// # Errors
    /// As the system says.
    fn nameless_length(&self, file: &Self::File) -> io::Result<Option<u64>>;
}

/// Replaces the file `name` by one with these bytes, made under the name `unfinished` first.
///
/// Once this returns well the new file is there to stay; if it fails, either may be there.
///
/// # Errors
/// As the system says.
pub fn replace<F: Folder>(folder: &F, name: &str, unfinished: &str, bytes: &[u8]) -> io::Result<()> {
    discard(folder, unfinished)?;
    let mut file = folder.create(unfinished)?;
    pass(Point::KeyBegun);
    folder.write(&mut file, bytes)?;
    folder.sync(&mut file)?;
    pass(Point::KeySynced);
    let old = folder.open(name)?;
    folder.rename(unfinished, name)?;
    pass(Point::KeyNamed);
    folder.sync_names()?;
    pass(Point::KeyKept);
    // The new file is durable and the old one's bytes belong to nobody. That they cannot be overwritten where the
    // file system or the disk writes elsewhere is no reason to leave them where they can.
    if let Some(old) = old {
        let _ = wipe(folder, old);
    }
    Ok(())
}

/// Takes a file away, and its bytes as far as that goes.
///
/// # Errors
/// As the system says.
pub(crate) fn discard<F: Folder>(folder: &F, name: &str) -> io::Result<()> {
    let Some(file) = folder.open(name)? else { return Ok(()) };
    folder.remove(name)?;
    let _ = wipe(folder, file);
    Ok(())
}

fn wipe<F: Folder>(folder: &F, mut file: F::File) -> io::Result<()> {
    let Some(length) = folder.nameless_length(&file)? else { return Ok(()) };
    let length = usize::try_from(length.min(LONGEST)).unwrap_or(0);
    folder.write(&mut file, &vec![0; length])?;
    folder.sync(&mut file)
}

/// A folder of this system.
pub(crate) struct Here<'a>(pub(crate) &'a Path);

impl Here<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Folder for Here<'_> {
    type File = File;

    fn open(&self, name: &str) -> io::Result<Option<File>> {
        match OpenOptions::new().read(true).write(true).open(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    fn create(&self, name: &str) -> io::Result<File> {
        private::create_new(&self.path(name))
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(bytes)
    }

    fn sync(&self, file: &mut File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        private::sync_folder(self.0)
    }

    fn nameless_length(&self, file: &File) -> io::Result<Option<u64>> {
        let about = file.metadata()?;
        #[cfg(unix)]
        let nameless = std::os::unix::fs::MetadataExt::nlink(&about) == 0;
        #[cfg(not(unix))]
        let nameless = false;
        Ok(nameless.then_some(about.len()))
    }
}

/// Files that are replaced this way are smaller.
const LONGEST: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_old_bytes_are_overwritten_unless_they_have_another_name() {
        use std::io::Read;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let content = |mut file: File| {
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            text
        };
        fs::write(path("key"), "old").unwrap();
        fs::write(path("key.new"), "left behind").unwrap();
        let (old, left) = (File::open(path("key")).unwrap(), File::open(path("key.new")).unwrap());
        replace(&Here(folder.path()), "key", "key.new", b"new").unwrap();
        assert_eq!(fs::read(path("key")).unwrap(), b"new");
        assert_eq!(content(old), "\0\0\0");
        assert_eq!(content(left), "\0".repeat("left behind".len()));
        assert!(!path("key.new").exists());

        fs::hard_link(path("key"), path("somebody's")).unwrap();
        replace(&Here(folder.path()), "key", "key.new", b"newer").unwrap();
        assert_eq!(fs::read(path("somebody's")).unwrap(), b"new");
    }
}
