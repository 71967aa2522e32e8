//! Files and folders that nobody but their owner may read.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::OpenError;

/// Makes a file that does not exist yet, for its owner alone. What is at `path`, be it a link
/// that somebody planted, is not followed.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a folder for its owner alone, with the folders above it. A folder that exists already
/// and is empty becomes private; one in use keeps its permissions (what we put in is private).
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    #[cfg(unix)]
    if fs::read_dir(path)?.next().is_none() {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Takes the permissions of others off a file (a copy or a restored backup may have them). Where
/// that cannot be done (a file system without permissions, another owner), the file is refused.
pub(crate) fn restrict(file: &File, path: &Path) -> Result<(), OpenError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let exposed = || -> io::Result<bool> { Ok(file.metadata()?.permissions().mode() & 0o77 != 0) };
        let io = |error| OpenError::io(path, error);
        if exposed().map_err(io)? {
            // A refusal shows in the second look, which also catches file systems that only pretend.
            let _ = file.set_permissions(fs::Permissions::from_mode(0o600));
            if exposed().map_err(io)? {
                return Err(OpenError::Exposed(path.to_owned()));
            }
        }
    }
    #[cfg(not(unix))]
    let _ = (file, path);
    Ok(())
}

/// Something in a data folder that others could have read, and cannot any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loosened {
    /// What it was.
    pub path: PathBuf,
    /// Who could do what, as in `chmod`.
    pub mode: u32,
}

/// Takes the permissions of others off a data folder and everything in it, and tells what had any.
pub(crate) fn close(folder: &Path) -> Result<Vec<Loosened>, OpenError> {
    let mut loosened = Vec::new();
    close_one(folder, &mut loosened)?;
    for path in entries(folder)? {
        // A link has no permissions of its own, and what it leads to lies elsewhere.
        let Ok(about) = path.symlink_metadata() else { continue };
        if about.is_symlink() {
            continue;
        }
        close_one(&path, &mut loosened)?;
        if about.is_dir() {
            for path in entries(&path)? {
                close_one(&path, &mut loosened)?;
            }
        }
    }
    Ok(loosened)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let entries = fs::read_dir(folder).map_err(|error| OpenError::io(folder, error))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

#[cfg(unix)]
fn close_one(path: &Path, loosened: &mut Vec<Loosened>) -> Result<(), OpenError> {
    use std::os::unix::fs::PermissionsExt;
    // What is gone meanwhile (another process's file) is not open to anybody.
    let mode = || path.symlink_metadata().map(|about| (about.permissions().mode() & 0o7777, about.is_symlink()));
    let Ok((before, false)) = mode() else { return Ok(()) };
    if before & 0o077 == 0 {
        return Ok(());
    }
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(before & 0o700));
    match mode() {
        Ok((after, _)) if after & 0o077 != 0 => Err(OpenError::Exposed(path.to_owned())),
        _ => {
            loosened.push(Loosened { path: path.to_owned(), mode: before });
            Ok(())
        }
    }
}

#[cfg(not(unix))]
fn close_one(_: &Path, _: &mut Vec<Loosened>) -> Result<(), OpenError> {
    Ok(())
}

/// Waits until no other process makes something in this folder; lasts as long as the file.
pub(crate) fn lock_folder(path: &Path) -> io::Result<Option<File>> {
    #[cfg(unix)]
    {
        let folder = File::open(path)?;
        folder.lock()?;
        Ok(Some(folder))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(None)
    }
}

/// As [`lock_folder`], but does not wait: nothing if another process has it.
pub(crate) fn try_lock_folder(path: &Path) -> io::Result<Option<File>> {
    let folder = File::open(path)?;
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Makes the names of new files in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_others_could_read_is_closed_and_told_once() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("data");
        super::folder(&folder.join("watchers")).unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let [key, database, deep] = ["key", "database", "watchers/17"].map(|name| folder.join(name));
        for path in [&key, &database, &deep] {
            fs::write(path, b"").unwrap();
            set(path, 0o600);
        }
        let elsewhere = outside.path().join("elsewhere");
        fs::write(&elsewhere, b"").unwrap();
        set(&elsewhere, 0o644);
        symlink(&elsewhere, folder.join("link")).unwrap();
        assert_eq!(close(&folder).unwrap_or_default().first().map(|one| one.path.clone()), Some(folder.clone()));
        assert_eq!(close(&folder).unwrap(), []);
        set(&folder, 0o755);
        set(&key, 0o644);
        set(&deep, 0o666);
        let told: Vec<(PathBuf, u32)> = close(&folder).unwrap().into_iter().map(|one| (one.path, one.mode)).collect();
        let mut expected = [(folder.clone(), 0o755), (key.clone(), 0o644), (deep.clone(), 0o666)];
        expected.sort();
        let mut told = told;
        told.sort();
        assert_eq!(told, expected);
        assert_eq!([&folder, &key, &database, &deep].map(|path| mode(path)), [0o700, 0o600, 0o600, 0o600]);
        assert_eq!(mode(&elsewhere), 0o644);
    }
}
