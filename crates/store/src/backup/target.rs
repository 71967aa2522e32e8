//! The file that a backup becomes: whole under its name, or not there.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ties_fault::{Point, pass};

use crate::backup::BackupError;
use crate::private;

/// A file that is being written beside its name, for its owner alone. Dropped before [`Self::keep`], it is taken away.
#[derive(Debug)]
pub struct Target {
    file: Option<BufWriter<File>>,
    part: PathBuf,
    path: PathBuf,
    replace: bool,
}

impl Target {
    /// Begins a file; one that exists is replaced only if `replace` says so, and only by [`Self::keep`].
    ///
    /// # Errors
    /// [`BackupError::Exists`], [`BackupError::Busy`], or what the operating system says.
    pub fn create(path: &Path, replace: bool) -> Result<Self, BackupError> {
        if !replace && path.symlink_metadata().is_ok() {
            return Err(BackupError::Exists);
        }
        let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut part = name.to_owned();
        part.push(".part");
        let part = path.with_file_name(part);
        let file = match private::create_new(&part) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                clear(&part)?;
                private::create_new(&part)?
            }
            created => created?,
        };
        // Whoever is writing keeps it locked; what was left by somebody who was stopped is not.
        let _ = file.try_lock();
        pass(Point::BackupBegun);
        let file = Some(BufWriter::with_capacity(1 << 18, file));
        Ok(Self { file, part, path: path.to_owned(), replace })
    }

    /// Makes what was written durable and gives it its name; gives its length.
    ///
    /// # Errors
    /// When the operating system refuses; there is no file then.
    pub fn keep(mut self) -> Result<u64, BackupError> {
        let Some(file) = self.file.take() else { return Err(BackupError::Busy) };
        let kept = self.settle(file);
        if kept.is_err() {
            let _ = fs::remove_file(&self.part);
        }
        kept
    }

    fn settle(&self, file: BufWriter<File>) -> Result<u64, BackupError> {
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        pass(Point::BackupWritten);
        file.sync_all()?;
        pass(Point::BackupSynced);
        let length = file.metadata()?.len();
        drop(file);
        if self.replace {
            fs::rename(&self.part, &self.path)?;
        } else {
            rename_to_nothing(&self.part, &self.path)?;
        }
        pass(Point::BackupNamed);
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        private::sync_folder(folder.unwrap_or(Path::new(".")))?;
        pass(Point::BackupKept);
        Ok(length)
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Takes away what a backup left that was stopped.
fn clear(part: &Path) -> Result<(), BackupError> {
    // What is not a file of ours is not opened, be it a link that somebody planted.
    if part.symlink_metadata()?.is_file() {
        match File::open(part)?.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(BackupError::Busy),
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
    }
    Ok(fs::remove_file(part)?)
}

/// Gives a file a name that nobody has, even if somebody takes it in this moment.
fn rename_to_nothing(part: &Path, path: &Path) -> Result<(), BackupError> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, part, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::EXIST) => return Err(BackupError::Exists),
            // A file system that cannot, such as that of a USB stick: looked at first, then renamed.
            Err(_) => {}
        }
    }
    if path.symlink_metadata().is_ok() {
        return Err(BackupError::Exists);
    }
    Ok(fs::rename(part, path)?)
}
