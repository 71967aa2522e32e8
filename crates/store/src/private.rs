//! Files and folders that nobody but their owner may read.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

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

/// Makes the names of new files in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
