//! One file with everything that this device has; and a device made of such a file.
//!
//! A restored device goes on in a new log from its first moment: what it wrote after the backup was made may be elsewhere,
//! and comes back as another writer's word.

use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use ties_fault::{Point, pass};
use ties_sealed_log::{RecoveryWords, SpaceId, decode, encode};
use ties_store::{
    Backup, BackupError, BackupHeader, BackupLock, BackupWrap, Cost, Custody, Keeping, OpenError as StoreOpenError,
    Passphrase, Sharing, StorageKey, Store,
};

use crate::document::Projection;
use crate::environment::Environment;
use crate::incarnation;
use crate::records::Fault;
use crate::roster::Roster;
use crate::space::{OpenError, Space};
use crate::status::devices;

/// Why there is no backup, or nothing restored. Nothing is kept of what was begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupFault {
    /// The file.
    #[error(transparent)]
    File(#[from] BackupError),
    /// The space has no recovery words to which the file could be sealed.
    #[error("this network has no recovery words")]
    NoWords,
    /// The folder or its database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What the database holds.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<StoreOpenError> for BackupFault {
    fn from(error: StoreOpenError) -> Self {
        Self::Open(error.into())
    }
}

/// What a backup says of itself, once it is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFacts {
    /// When it was made, in milliseconds since 1970.
    pub time: u64,
    /// Whose it is.
    pub space: SpaceId,
    /// What the device is called.
    pub device: String,
    /// Whether its data were under a passphrase there, which those that are restored are not.
    pub passphrase: bool,
}

/// How a backup is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupKind {
    /// By the twelve words of the network.
    Words,
    /// By a passphrase.
    Passphrase,
}

/// What somebody opens a backup with.
#[derive(Debug)]
pub enum BackupSecret<'s> {
    /// The twelve words.
    Words(&'s RecoveryWords),
    /// The passphrase.
    Passphrase(&'s Passphrase),
}

/// A file that begins as a backup does, and was not opened yet.
#[derive(Debug)]
pub struct BackupFile(BackupHeader);

impl BackupFile {
    /// Reads the beginning of a file.
    ///
    /// # Errors
    /// When it is none, is damaged, or was made by a newer version.
    pub fn read(file: &mut dyn Read) -> Result<Self, BackupFault> {
        Ok(Self(BackupHeader::read(file)?))
    }

    /// What opens it.
    #[must_use]
    pub fn kind(&self) -> BackupKind {
        match self.0.lock() {
            BackupLock::Words(_) => BackupKind::Words,
            BackupLock::Passphrase(_) => BackupKind::Passphrase,
        }
    }

    /// The key of the file.
    ///
    /// # Errors
    /// When that does not open it.
    pub fn unlock(&self, secret: &BackupSecret<'_>) -> Result<StorageKey, BackupFault> {
        Ok(match secret {
            BackupSecret::Words(words) => self.0.open_by_words(&words.keys())?,
            BackupSecret::Passphrase(passphrase) => self.0.open_by_passphrase(passphrase)?,
        })
    }
}

impl Space {
    /// Writes everything that is here now to a file: sealed to the recovery words, or under a passphrase.
    ///
    /// # Errors
    /// [`BackupFault::NoWords`] where there are none and no passphrase is given; when the file cannot be written.
    pub fn back_up(
        &self,
        passphrase: Option<(&Passphrase, Cost)>,
        file: &mut dyn Write,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<BackupFacts, BackupFault> {
        let snapshot = self.inner.store.read().map_err(Fault::from)?;
        let (header, key) = match passphrase {
            Some((passphrase, cost)) => BackupHeader::under_passphrase(passphrase, cost)?,
            None => self.for_words(&Roster::load(&snapshot)?)?,
        };
        let device = devices(&snapshot)?.into_iter().find(|device| device.this).map(|device| device.name);
        let kept = self.inner.folder.as_deref().map(|folder| Custody::of(folder).keeping()).transpose()?;
        let facts = BackupFacts {
            time: self.inner.now(),
            space: self.id()?,
            device: device.unwrap_or_default(),
            passphrase: matches!(kept, Some(Keeping::Passphrase { .. })),
        };
        snapshot.back_up(&header, &key, &encode(&facts), file, progress)?;
        Ok(facts)
    }

    /// Whether there are recovery words to which a backup can be sealed.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn has_words(&self) -> Result<bool, Fault> {
        let members = Roster::load(&self.inner.store.read()?)?.members;
        Ok(members.is_some_and(|members| !members.recovery().is_empty()))
    }

    fn for_words(&self, roster: &Roster) -> Result<(BackupHeader, StorageKey), BackupFault> {
        let (salt, key) = (BackupHeader::salt().map_err(BackupError::from)?, StorageKey::generate());
        let key = key.map_err(BackupError::from)?;
        let mut wraps = Vec::new();
        for certificate in roster.members.iter().flat_map(|members| members.recovery()).take(BackupHeader::MOST_WRAPS) {
            let wrap = certificate.wrap_backup_key(key.expose(), &salt, self.inner.environment().randomness());
            let wrap = wrap.ok().and_then(|wrap| wrap.into_boxed_slice().try_into().ok());
            wraps.extend(wrap.map(BackupWrap));
        }
        Ok((BackupHeader::for_words(salt, wraps).ok_or(BackupFault::NoWords)?, key))
    }

    /// Makes the space of a backup in an empty folder. The device is the same one, in a new log.
    ///
    /// # Errors
    /// When the folder is not empty, or the file is damaged or not whole: then nothing of it is kept.
    pub fn restore(
        folder: &Path,
        projection: impl Projection,
        mut environment: Environment,
        backup: BackupFile,
        key: &StorageKey,
        file: &mut dyn Read,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(Self, BackupFacts), BackupFault> {
        let opened = Backup::open(&backup.0, key, file)?;
        let facts = decode(opened.about()).map_err(|_| BackupError::Damaged("it does not say whose it is"))?;
        let was_there = folder.exists();
        environment.lives_in(folder);
        let made = Store::create_with(folder, Sharing::Processes, |transaction| {
            opened.restore(transaction, progress)?;
            incarnation::begin_anew(transaction, &mut environment)?;
            Ok::<_, BackupFault>(())
        });
        let (store, ()) = made.inspect_err(|_| {
            Store::abandon(folder);
            if !was_there {
                let _ = std::fs::remove_dir(folder);
            }
        })?;
        let space = Self::over(store, Some(folder.to_owned()), Box::new(projection), environment);
        space.refresh_rows()?;
        pass(Point::Restored);
        Ok((space, facts))
    }
}
