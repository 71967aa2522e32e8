//! A place in somebody's folder where devices leave files for each other: a stick, a synced folder, a network drive.
//!
//! A file is written once, under a name that only these bytes have, and never changed: first under a passing name, then
//! flushed, then renamed. So two writers do not meet, and whoever looks sees a file whole or not at all, unless what carries
//! the folder copies by halves; a reader has to notice that by itself.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Everything of this program lies in this folder of the carrier's.
const ROOT: &str = "ties";
/// Passing names begin and end like this.
const PASSING: (&str, &str) = (".ties-", ".part");
/// A passing file of that age was left by a writer that was stopped.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DepotError {
    /// There is no such folder: a stick that is not plugged in, a drive that is not mounted.
    #[error("there is no folder {}", .0.display())]
    Absent(PathBuf),
    /// Something else stands there.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// It cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// It cannot be written: read-only, full, not permitted, gone meanwhile.
    #[error("cannot write to {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

/// A file as the folder lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: OsString,
    /// Its length in bytes.
    pub length: u64,
    /// When it was changed, in milliseconds since 1970; 0 where that is not known.
    pub modified: u64,
}

/// A place for files in a folder.
#[derive(Debug, Clone)]
pub struct Depot {
    folder: PathBuf,
    place: PathBuf,
}

impl Depot {
    /// The place of that name in a folder. The folder must be there; the place is made when something is put into it.
    ///
    /// # Errors
    /// When the folder is not there.
    pub fn at(folder: &Path, name: &str) -> Result<Self, DepotError> {
        let depot = Self { folder: folder.to_owned(), place: folder.join(ROOT).join(name) };
        depot.folder_is_there().map(|()| depot)
    }

    /// Every place in a folder.
    ///
    /// # Errors
    /// When the folder is not there or cannot be read.
    pub fn all(folder: &Path) -> Result<Vec<Self>, DepotError> {
        let root = folder.join(ROOT);
        let read = |error| DepotError::Read(root.clone(), error);
        let entries = match fs::read_dir(&root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(read)?,
        };
        let mut places = Vec::new();
        for entry in entries {
            let entry = entry.map_err(read)?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                places.push(Self { folder: folder.to_owned(), place: entry.path() });
            }
        }
        places.sort_by(|one, other| one.place.cmp(&other.place));
        Ok(places)
    }

    /// Whether the place was ever made.
    #[must_use]
    pub fn is_made(&self) -> bool {
        self.place.is_dir()
    }

    /// Whether the folder has nothing in it at all, as where a stick is not mounted.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        fs::read_dir(&self.folder).is_ok_and(|mut entries| entries.next().is_none())
    }

    /// The files there, the oldest first. Links, folders and hidden files are none.
    ///
    /// # Errors
    /// When the folder went away or cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, DepotError> {
        self.folder_is_there()?;
        let read = |error| DepotError::Read(self.place.clone(), error);
        let entries = match fs::read_dir(&self.place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(read)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(read)?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                self.clean(&entry.path());
                continue;
            }
            // What is taken away meanwhile is not there.
            let Ok(about) = entry.path().symlink_metadata() else { continue };
            if about.is_file() {
                files.push(Listed { name: entry.file_name(), length: about.len(), modified: modified(&about) });
            }
        }
        files.sort_by(|one, other| (one.modified, &one.name).cmp(&(other.modified, &other.name)));
        Ok(files)
    }

    /// The first bytes of a file, at most so many; `None` if it is gone.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, name: &OsStr, most: usize) -> Result<Option<Vec<u8>>, DepotError> {
        let path = self.place.join(name);
        let read = |error| DepotError::Read(path.clone(), error);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.folder_is_there().map(|()| None);
            }
            file => file.map_err(read)?,
        };
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes).map_err(read)?;
        Ok(Some(bytes))
    }

    /// Leaves a file there under a name that only these bytes have. `passing` makes the passing name one that nobody
    /// else uses. When this returns the file is on the disk, as far as the carrier keeps such promises.
    ///
    /// # Errors
    /// When it cannot be written. Then nothing new shows.
    pub fn put(&self, name: &str, bytes: &[u8], passing: [u8; 8]) -> Result<Listed, DepotError> {
        self.folder_is_there()?;
        let write = |error| DepotError::Write(self.place.clone(), error);
        // Not the folder itself: where it went away meanwhile, nothing is to appear in its place.
        make(&self.folder.join(ROOT)).map_err(write)?;
        make(&self.place).map_err(write)?;
        let (begin, end) = PASSING;
        let passing = self.place.join(format!("{begin}{:016x}{end}", u64::from_be_bytes(passing)));
        let path = self.place.join(name);
        let written = write_whole(&passing, bytes).and_then(|()| fs::rename(&passing, &path));
        if let Err(error) = written {
            // The room is needed by others, where there is none left.
            let _ = fs::remove_file(&passing);
            return Err(write(error));
        }
        flush_folder(&self.place).map_err(write)?;
        let about = path.symlink_metadata().map_err(write)?;
        Ok(Listed { name: name.into(), length: about.len(), modified: modified(&about) })
    }

    /// The place, to name it to somebody.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place
    }

    fn folder_is_there(&self) -> Result<(), DepotError> {
        match fs::metadata(&self.folder) {
            Ok(about) if about.is_dir() => Ok(()),
            Ok(_) => Err(DepotError::NotAFolder(self.folder.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(DepotError::Absent(self.folder.clone())),
            Err(error) => Err(DepotError::Read(self.folder.clone(), error)),
        }
    }

    /// Takes away what a writer left long ago.
    fn clean(&self, path: &Path) {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let (begin, end) = PASSING;
        let ours = name.starts_with(begin.as_bytes()) && name.ends_with(end.as_bytes());
        let Ok(about) = path.symlink_metadata() else { return };
        let stale = about.modified().ok().and_then(|at| at.elapsed().ok()).is_some_and(|age| age > STALE);
        if ours && stale && about.is_file() {
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes one folder, which may be there. Its permissions are those that the carrier gives: others read it with another
/// user's name, and what lies in it is sealed.
fn make(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn flush_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    match File::open(path).and_then(|folder| folder.sync_all()) {
        // Some carriers (network drives, FUSE) flush no folders.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {}
        flushed => flushed?,
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn modified(about: &fs::Metadata) -> u64 {
    let since = about.modified().ok().and_then(|at: SystemTime| at.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(depot: &Depot) -> Vec<String> {
        depot.list().unwrap().into_iter().map(|file| file.name.into_string().unwrap()).collect()
    }

    #[test]
    fn what_is_put_is_listed_and_read_and_nothing_else_shows() {
        let folder = tempfile::tempdir().unwrap();
        let depot = Depot::at(folder.path(), "a").unwrap();
        assert!(!depot.is_made() && depot.is_bare() && names(&depot).is_empty());
        let listed = depot.put("one", b"bytes", [1; 8]).unwrap();
        assert_eq!((listed.length, depot.list().unwrap()), (5, vec![listed.clone()]));
        assert_eq!(depot.put("one", b"bytes", [1; 8]).unwrap().name, listed.name);
        fs::create_dir(depot.path().join("folder")).unwrap();
        fs::write(depot.path().join(".hidden"), b"").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("/etc/passwd", depot.path().join("link")).unwrap();
        assert_eq!(names(&depot), ["one"]);
        assert_eq!(depot.read(OsStr::new("one"), 3).unwrap().as_deref(), Some(&b"byt"[..]));
        assert_eq!(depot.read(OsStr::new("gone"), 3).unwrap(), None);
        assert_eq!(Depot::all(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_folder_that_is_away_is_told_and_not_made() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("stick");
        assert!(matches!(Depot::at(&folder, "a"), Err(DepotError::Absent(_))));
        fs::create_dir(&folder).unwrap();
        let depot = Depot::at(&folder, "a").unwrap();
        depot.put("one", b"bytes", [1; 8]).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(depot.list(), Err(DepotError::Absent(_))));
        assert!(matches!(depot.read(OsStr::new("one"), 3), Err(DepotError::Absent(_))));
        assert!(matches!(depot.put("two", b"bytes", [1; 8]), Err(DepotError::Absent(_))));
        assert!(!folder.exists());
        fs::write(&folder, b"").unwrap();
        assert!(matches!(Depot::at(&folder, "a"), Err(DepotError::NotAFolder(_))));
    }

    #[test]
    fn a_file_that_a_stopped_writer_left_goes_after_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let depot = Depot::at(folder.path(), "a").unwrap();
        depot.put("one", b"bytes", [1; 8]).unwrap();
        let [old, young, foreign] = [".ties-1.part", ".ties-2.part", ".other.part"].map(|name| depot.path().join(name));
        for path in [&old, &young, &foreign] {
            fs::write(path, b"half").unwrap();
        }
        let long_ago = SystemTime::now() - 2 * STALE;
        for path in [&old, &foreign] {
            OpenOptions::new().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
        }
        assert_eq!(names(&depot), ["one"]);
        assert_eq!([old.exists(), young.exists(), foreign.exists()], [false, true, true]);
    }
}
