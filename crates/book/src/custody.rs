//! How the key of a book is kept: in a file, or under a passphrase.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ties_engine::{Cost, Custody, Keeping, Passphrase, Space, StoreOpenError};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::api::{BookError, Environment, ErrorKind, Key, Loosened, Secret, Unlocked};
use crate::book::Book;
use crate::time::rfc3339;
use crate::{environment, opening};

impl Book {
    /// How the key of the book in a folder is kept.
    ///
    /// # Errors
    /// When there is no book, or its key file cannot be read.
    pub fn key(dir: &Path) -> Result<Key, BookError> {
        Ok(match custody(dir)?.keeping().map_err(|error| refused(dir, error))? {
            Keeping::File => Key::File,
            Keeping::Passphrase { unlocked_until } => Key::Passphrase { unlocked_until: unlocked_until.map(time) },
        })
    }

    /// Opens the book in a folder with its passphrase, for this process alone. Takes about a second.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] if it is another one; nothing was written then. As [`Self::open`].
    pub fn open_with(dir: &Path, passphrase: &Secret, from: Environment) -> Result<Self, BookError> {
        let key = custody(dir)?.unseal(&self::passphrase(passphrase)?).map_err(|error| refused(dir, error))?;
        environment::open(dir, &from, Some(&key)).map(Self::on)
    }

    /// Tells whether this is the passphrase, without opening anything.
    ///
    /// # Errors
    /// As [`Self::open_with`].
    pub fn check_passphrase(dir: &Path, passphrase: &Secret) -> Result<(), BookError> {
        custody(dir)?.unseal(&self::passphrase(passphrase)?).map(drop).map_err(|error| refused(dir, error))
    }

    /// The processes that watch a book and so have it open.
    #[must_use]
    pub fn watchers(dir: &Path) -> Vec<u32> {
        Space::watchers(dir)
    }

    /// Puts the key of a book under a passphrase, or under another one than the `current`. The book locks itself.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] if there is a passphrase and `current` is none or another; nothing was written then.
    pub fn set_passphrase(
        dir: &Path,
        current: Option<&Secret>,
        new: &Secret,
        from: &Environment,
    ) -> Result<(), BookError> {
        let (current, new) = (current.map(passphrase).transpose()?, passphrase(new)?);
        custody(dir)?.set_passphrase(current.as_ref(), &new, cost(from)).map_err(|error| refused(dir, error))
    }

    /// Lets the key of a book lie in a file as it is.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] if it is another passphrase, [`ErrorKind::Usage`] if there is none.
    pub fn remove_passphrase(dir: &Path, current: &Secret) -> Result<(), BookError> {
        custody(dir)?.remove_passphrase(&self::passphrase(current)?).map_err(|error| refused(dir, error))
    }

    /// Lets the book be opened without its passphrase for a while, by this user on this machine.
    ///
    /// # Errors
    /// As [`Self::remove_passphrase`], and when there is no private folder to keep the key in meanwhile.
    pub fn unlock(dir: &Path, passphrase: &Secret, lifetime: Duration) -> Result<Unlocked, BookError> {
        let unlocked =
            custody(dir)?.unlock(&self::passphrase(passphrase)?, lifetime).map_err(|error| refused(dir, error))?;
        Ok(Unlocked {
            until: time(unlocked.until),
            folder: unlocked.folder.display().to_string(),
            in_memory: unlocked.in_memory,
        })
    }

    /// Asks for the passphrase again from now on; tells whether the book was unlocked. Processes that have it open keep
    /// it open.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if there is no passphrase: nobody shall take the book for locked.
    pub fn lock(dir: &Path) -> Result<bool, BookError> {
        custody(dir)?.lock().map_err(|error| refused(dir, error))
    }

    /// Makes a book on this device unreadable for ever, by taking its key away; `delete` takes its data away too. Nobody may
    /// have it open.
    ///
    /// # Errors
    /// When the files cannot be removed.
    pub fn give_up(dir: &Path, delete: bool) -> Result<(), BookError> {
        let custody = custody(dir)?;
        let gone = if delete { custody.delete() } else { custody.destroy() };
        gone.map_err(|error| refused(dir, error))
    }

    /// Takes the permissions of other users off a book's folder and all that is in it, and tells what had any.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn close_to_others(dir: &Path) -> Result<Vec<Loosened>, BookError> {
        let loosened = custody(dir)?.close_to_others().map_err(|error| refused(dir, error))?;
        Ok(loosened.into_iter().map(|one| Loosened { path: one.path.display().to_string(), mode: one.mode }).collect())
    }
}

/// Where processes of one user meet about a book.
pub(crate) fn meeting_place(dir: &Path) -> Result<PathBuf, BookError> {
    custody(dir)?.meeting_place().map_err(|error| refused(dir, error))
}

fn custody(dir: &Path) -> Result<Custody, BookError> {
    opening::must_exist(dir)?;
    Ok(Custody::of(dir))
}

/// What each guess at a passphrase is to cost.
pub(crate) fn cost(from: &Environment) -> Cost {
    // A seed is for tests alone, and they would take their time at every turn.
    if cfg!(debug_assertions) && from.seed.is_some() { Cost::LEAST } else { Cost::STRONG }
}

/// A passphrase as it counts, however the keyboard composes its letters (as RFC 8265 has it).
pub(crate) fn passphrase(text: &Secret) -> Result<Passphrase, BookError> {
    let text = text.expose();
    // Never more than that, so that nothing of it is left behind by growing.
    let mut normal = Zeroizing::new(String::with_capacity(text.len() * LONGEST_COMPOSITION));
    normal.extend(text.nfc());
    Passphrase::new(&normal).ok_or_else(|| BookError::new(ErrorKind::Usage, "the passphrase is empty"))
}

/// What an error about the key means, if it is one of those that people meet.
pub(crate) fn known(dir: &Path, error: &StoreOpenError) -> Option<BookError> {
    let dir = dir.display();
    Some(match error {
        StoreOpenError::Locked(_) => {
            BookError::new(ErrorKind::Locked, format!("the book in {dir} is locked")).hint("ties unlock")
        }
        StoreOpenError::WrongPassphrase(_) => {
            BookError::new(ErrorKind::Locked, format!("this is not the passphrase of the book in {dir}"))
                .hint("nothing was changed; it may have been typed on another keyboard layout")
        }
        StoreOpenError::NoPassphrase(_) => {
            BookError::new(ErrorKind::Usage, format!("the book in {dir} has no passphrase: a file keeps its key"))
                .hint("ties passphrase sets one")
        }
        _ => return None,
    })
}

fn refused(dir: &Path, error: StoreOpenError) -> BookError {
    opening::error(dir, error.into())
}

fn time(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)).unwrap_or_default()
}

/// Bytes that one byte can become in normal form C.
const LONGEST_COMPOSITION: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_counts_the_same_from_every_keyboard() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("book");
        let init = crate::api::Init { device_name: "laptop".into(), recovery: false };
        let seeded = Environment { seed: Some(7), ..Environment::default() };
        drop(Book::create(&dir, init, seeded.clone()).unwrap());
        Book::set_passphrase(&dir, None, &Secret::new("Zoë's köper"), &seeded).unwrap();
        let apart = Secret::new("Zoe\u{308}'s ko\u{308}per");
        assert!(Book::open_with(&dir, &apart, Environment::default()).is_ok());
        let other = Book::open_with(&dir, &Secret::new("Zoe's koper"), Environment::default()).unwrap_err();
        assert_eq!(other.kind, ErrorKind::Locked);
        assert_eq!(Book::open(&dir, Environment::default()).unwrap_err().kind, ErrorKind::Locked);
        assert!(Book::glance(&dir, Environment::default()).is_none());
        let empty = Book::set_passphrase(&dir, Some(&apart), &Secret::new(""), &seeded).unwrap_err();
        assert_eq!(empty.kind, ErrorKind::Usage);
    }
}
