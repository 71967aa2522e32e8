//! Why a book cannot be made or opened, in words for its owner.

use std::path::Path;

use ties_engine::{OpenError, Space};

use crate::api::{BookError, ErrorKind};
use crate::network::in_one_line;

/// What an error of the engine at the door means.
pub(crate) fn error(dir: &Path, error: OpenError) -> BookError {
    let kind = if error.is_locked() { ErrorKind::Locked } else { ErrorKind::Failed };
    BookError::new(kind, format!("the book in {} cannot be opened", dir.display())).caused_by(in_one_line(&error))
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
