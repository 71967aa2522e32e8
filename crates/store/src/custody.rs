//! How the key of a database is kept, and how that is changed.
//!
//! The key itself never changes: it is random, and what a passphrase seals is that key. So a new passphrase replaces one
//! small file in one step and rewrites nothing of the database; and an old copy of the key file goes on opening it with
//! the passphrase of its time (SCHEMA.md).

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::key_file::KeyFile;
use crate::private::Loosened;
use crate::replace::{Here, discard, replace};
use crate::storage_key::scrub_stack;
use crate::store::{DATABASE, NEW};
use crate::unlocked::{self, Moment, Unlocked};
use crate::{Cost, OpenError, Passphrase, StorageKey, private};

/// The key of the database in one folder.
#[derive(Debug, Clone)]
pub struct Custody {
    folder: PathBuf,
    path: PathBuf,
}

/// How a key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// In a file, as it is.
    File,
    /// Under a passphrase.
    Passphrase {
        /// Until when it was unlocked, if it is.
        unlocked_until: Option<SystemTime>,
    },
}

impl Custody {
    /// The key in a data folder.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), path: folder.join(KEY) }
    }

    /// How the key is kept now.
    ///
    /// # Errors
    /// When the key file is missing, damaged or cannot be read.
    pub fn keeping(&self) -> Result<Keeping, OpenError> {
        let file = KeyFile::load(&self.path)?;
        if let KeyFile::Plain(_) = file {
            return Ok(Keeping::File);
        }
        let kept = unlocked::kept(&self.folder, file.tag(), &Moment::now())?;
        Ok(Keeping::Passphrase { unlocked_until: kept.map(|(_, until)| until) })
    }

    /// The key, if the passphrase brings it out. Nothing is written, and nobody else is unlocked by it.
    ///
    /// # Errors
    /// [`OpenError::WrongPassphrase`], [`OpenError::NoPassphrase`] where the key is under none, and as
    /// [`Self::keeping`].
    pub fn unseal(&self, passphrase: &Passphrase) -> Result<StorageKey, OpenError> {
        let key = self.unsealed(passphrase);
        scrub_stack::<64>();
        key
    }

    fn unsealed(&self, passphrase: &Passphrase) -> Result<StorageKey, OpenError> {
        match KeyFile::load(&self.path)? {
            KeyFile::Plain(_) => Err(OpenError::NoPassphrase(self.path.clone())),
            KeyFile::Sealed(sealed) => KeyFile::unseal(&sealed, passphrase, &self.path),
        }
    }

    /// Puts the key under a passphrase, or under another one. A crash leaves one or the other, and the database opens
    /// with exactly one of them. Whoever had it unlocked is locked out again.
    ///
    /// # Errors
    /// [`OpenError::Locked`] where there is a passphrase and it was not given; as [`Self::unseal`]. Nothing has changed
    /// then, unless the last step of the change failed: then the new passphrase may count already.
    pub fn set_passphrase(&self, current: Option<&Passphrase>, new: &Passphrase, cost: Cost) -> Result<(), OpenError> {
        self.change(|file| {
            let key = match (file, current) {
                (KeyFile::Plain(key), _) => key,
                (KeyFile::Sealed(sealed), Some(current)) => KeyFile::unseal(&sealed, current, &self.path)?,
                (KeyFile::Sealed(_), None) => return Err(OpenError::Locked(self.folder.clone())),
            };
            KeyFile::seal(&key, new, cost)
        })
    }

    /// Lets the key lie in its file as it is.
    ///
    /// # Errors
    /// As [`Self::set_passphrase`].
    pub fn remove_passphrase(&self, current: &Passphrase) -> Result<(), OpenError> {
        self.change(|file| match file {
            KeyFile::Plain(_) => Err(OpenError::NoPassphrase(self.path.clone())),
            KeyFile::Sealed(sealed) => KeyFile::unseal(&sealed, current, &self.path).map(KeyFile::Plain),
        })
    }

    /// Opens the database without the passphrase for a while (thirty days at most), for this user on this machine,
    /// until [`Self::lock`] or the machine's next start.
    ///
    /// # Errors
    /// As [`Self::unseal`], and when there is no folder that is closed to others.
    pub fn unlock(&self, passphrase: &Passphrase, lifetime: Duration) -> Result<Unlocked, OpenError> {
        let file = KeyFile::load(&self.path)?;
        let tag = file.tag();
        match file {
            KeyFile::Plain(_) => Err(OpenError::NoPassphrase(self.path.clone())),
            KeyFile::Sealed(sealed) => {
                let key = KeyFile::unseal(&sealed, passphrase, &self.path)?;
                unlocked::keep(&self.folder, tag, &key, lifetime, &Moment::now())
            }
        }
    }

    /// Makes the database unreadable for ever: its key is overwritten and taken away. (What a disk keeps of overwritten blocks
    /// is the disk's affair.)
    ///
    /// # Errors
    /// When the files cannot be removed.
    pub fn destroy(&self) -> Result<(), OpenError> {
        unlocked::forget(&self.folder)?;
        for name in [UNFINISHED, KEY] {
            discard(&Here(&self.folder), name).map_err(|error| OpenError::io(&self.folder.join(name), error))?;
        }
        Ok(())
    }

    /// Takes the database away, with its key: everything of ours, and nothing else that lies in the folder.
    ///
    /// # Errors
    /// When the files cannot be removed.
    pub fn delete(&self) -> Result<(), OpenError> {
        self.destroy()?;
        for name in [DATABASE, NEW] {
            let path = self.folder.join(name);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(OpenError::io(&path, error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Asks for the passphrase again from now on; tells whether it was unlocked. Processes that have the database open
    /// keep it open.
    ///
    /// # Errors
    /// [`OpenError::NoPassphrase`] where the key is under none, so that nobody takes it for locked; as [`Self::keeping`].
    pub fn lock(&self) -> Result<bool, OpenError> {
        let was = unlocked::forget(&self.folder)?;
        match KeyFile::load(&self.path)? {
            KeyFile::Plain(_) => Err(OpenError::NoPassphrase(self.path.clone())),
            KeyFile::Sealed(_) => Ok(was),
        }
    }

    /// Takes the permissions of others off the data folder and all that is in it. What is returned was open to them; the
    /// owner wants to know, since they may have read it.
    ///
    /// # Errors
    /// [`OpenError::Exposed`] where the permissions cannot be taken away.
    pub fn close_to_others(&self) -> Result<Vec<Loosened>, OpenError> {
        private::close(&self.folder)
    }

    /// Where processes of this user may meet about the database, such as by a socket: a path without an ending, in a folder that
    /// nobody else may enter. It is one for each data folder and survives no restart of the machine.
    ///
    /// # Errors
    /// [`OpenError::Io`] if there is no such folder.
    pub fn meeting_place(&self) -> Result<PathBuf, OpenError> {
        unlocked::meeting_place(&self.folder)
    }

    /// The key, from the file as it is or because the database was unlocked.
    pub(crate) fn key(&self) -> Result<StorageKey, OpenError> {
        let file = KeyFile::load(&self.path)?;
        let tag = file.tag();
        match file {
            KeyFile::Plain(key) => Ok(key),
            KeyFile::Sealed(_) => {
                self.tidy();
                let kept = unlocked::kept(&self.folder, tag, &Moment::now())?;
                kept.map(|(key, _)| key).ok_or_else(|| OpenError::Locked(self.folder.clone()))
            }
        }
    }

    /// As [`Self::key`]; draws a key and keeps it in a new file if there is none, or only the beginning of one. The
    /// caller has the folder locked and knows that no database needs the old bytes.
    pub(crate) fn key_or_new(&self) -> Result<StorageKey, OpenError> {
        match self.key() {
            Err(OpenError::KeyMissing(_) | OpenError::KeyDamaged(_)) => {}
            known => return known,
        }
        let file = KeyFile::Plain(StorageKey::generate().map_err(|error| OpenError::io(&self.path, error))?);
        let made = replace(&Here(&self.folder), KEY, UNFINISHED, &file.to_bytes());
        made.map_err(|error| OpenError::io(&self.path, error))?;
        self.key()
    }

    /// Replaces the key file, one process at a time.
    fn change(&self, change: impl FnOnce(KeyFile) -> Result<KeyFile, OpenError>) -> Result<(), OpenError> {
        let failed = |error| OpenError::io(&self.path, error);
        let _alone = private::lock_folder(&self.folder).map_err(failed)?;
        let file = change(KeyFile::load(&self.path)?)?;
        replace(&Here(&self.folder), KEY, UNFINISHED, &file.to_bytes()).map_err(failed)?;
        unlocked::forget(&self.folder).map(drop)
    }

    /// A removal of the passphrase that was cut short leaves the key as it is in a file beside the sealed one.
    fn tidy(&self) {
        if self.folder.join(UNFINISHED).exists()
            && let Ok(Some(_alone)) = private::try_lock_folder(&self.folder)
        {
            // Only what an interrupted change left behind is there while nobody else changes anything.
            let _ = discard(&Here(&self.folder), UNFINISHED);
        }
    }
}

/// The name of the key file in its folder.
pub(crate) const KEY: &str = "key";
/// A key file being made.
pub(crate) const UNFINISHED: &str = "key.new";
