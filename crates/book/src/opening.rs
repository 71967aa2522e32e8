//! Why a book cannot be made or opened, in words for its owner.

use std::error::Error;
use std::io;
use std::path::Path;

use ties_engine::{OpenError, Space};

use crate::api::{BookError, ErrorKind};
use crate::custody;
use crate::network::in_one_line;

/// What an error of the engine at the door means.
pub(crate) fn error(dir: &Path, error: OpenError) -> BookError {
    if let OpenError::Store(store) = &error
        && let Some(known) = custody::known(dir, store)
    {
        return known;
    }
    let kind = if error.is_locked() { ErrorKind::Locked } else { ErrorKind::Failed };
    let failed = BookError::new(kind, format!("the network in {} cannot be opened", dir.display()));
    BookError { hint: advice(&error).map(str::to_owned), ..failed.caused_by(in_one_line(&error)) }
}

/// What to do about a disk that refuses, if it was the disk.
pub(crate) fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        match kind {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge) => {
                return Some("nothing was lost: make room on the disk, then try again");
            }
            Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
                return Some("the folder and the files in it have to be writable for you");
            }
            _ => next = error.source(),
        }
    }
    None
}

/// Whether a book may be made in a folder: it is not there, is empty, or was left by somebody who was stopped while
/// making one.
pub(crate) fn is_free(dir: &Path) -> bool {
    !dir.is_dir() || Space::is_beginning(dir)
}

/// Refuses a folder without a book.
pub(crate) fn must_exist(dir: &Path) -> Result<(), BookError> {
    if Space::exists(dir) {
        return Ok(());
    }
    Err(BookError::new(ErrorKind::NotFound, format!("there is no book in {}", dir.display()))
        .hint("ties init makes one, ties device join joins that of another device"))
}

/// Refuses a folder with a book.
pub(crate) fn must_not_exist(dir: &Path) -> Result<(), BookError> {
    if !Space::exists(dir) {
        return Ok(());
    }
    Err(BookError::new(ErrorKind::Usage, format!("there is a book in {} already", dir.display()))
        .hint("one folder is one device: --home DIR names another folder"))
}
