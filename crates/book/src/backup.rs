//! A backup of a book, and a book made of one.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use ties_engine::{
    BackupError, BackupFacts, BackupFault, BackupFile, BackupKind, BackupSecret, BackupTarget, Space, StorageKey,
};

use crate::api::{BackupLock, BackupReport, BookError, Environment, ErrorKind, Event, Face, Restored, Secret};
use crate::book::Book;
use crate::custody::{cost, passphrase};
use crate::devices::instant;
use crate::engine::{BookRows, fault};
use crate::network::in_one_line;
use crate::{environment, opening, recovery};

impl Book {
    /// Whether a backup of this book can be sealed to the twelve words, so that nothing has to be thought of.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn has_words(&self) -> Result<bool, BookError> {
        self.space.has_words().map_err(fault)
    }

    /// Writes everything to one encrypted file, which is there as a whole or not at all. With `replace` it may take the place
    /// of another file.
    ///
    /// # Errors
    /// [`ErrorKind::Guard`] if there is a file and it is not to be replaced; [`ErrorKind::Usage`] if there are no words and
    /// no passphrase.
    pub fn back_up(
        &self,
        path: &Path,
        replace: bool,
        secret: Option<&Secret>,
        from: &Environment,
        face: &mut dyn Face,
    ) -> Result<BackupReport, BookError> {
        let failed = |error: BackupFault| unwritten(path, error);
        let secret = secret.map(passphrase).transpose()?;
        let mut target = BackupTarget::create(path, replace).map_err(|error| failed(error.into()))?;
        let mut progress = told(face, "backup");
        let sealed = secret.as_ref().map(|secret| (secret, cost(from)));
        let facts = self.space.back_up(sealed, &mut target, &mut progress).map_err(failed)?;
        let bytes = target.keep().map_err(|error| failed(error.into()))?;
        let (people, notes) = self.status_numbers()?;
        let lock = if secret.is_some() { BackupLock::Passphrase } else { BackupLock::Words };
        Ok(BackupReport { path: path.display().to_string(), bytes, people, notes, lock, made: instant(facts.time) })
    }
}

/// A backup file that is about to be read.
#[derive(Debug)]
pub struct BackupReader {
    file: BufReader<File>,
    header: BackupFile,
    name: String,
}

impl BackupReader {
    /// Opens a file and reads its beginning.
    ///
    /// # Errors
    /// When there is none, or it is no backup of ties that this version reads.
    pub fn open(path: &Path) -> Result<Self, BookError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Failed,
            };
            BookError::new(kind, format!("{name} cannot be read")).caused_by(error)
        })?;
        let mut file = BufReader::with_capacity(1 << 18, file);
        let header = BackupFile::read(&mut file as &mut dyn Read).map_err(|error| unread(&name, error))?;
        Ok(Self { file, header, name })
    }

    /// What opens it.
    pub fn lock(&self) -> BackupLock {
        match self.header.kind() {
            BackupKind::Words => BackupLock::Words,
            BackupKind::Passphrase => BackupLock::Passphrase,
        }
    }

    /// The key of the file, by the words or the passphrase.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] if they are others.
    pub fn unlock(&self, secret: &Secret) -> Result<BackupKey, BookError> {
        let opened = match self.lock() {
            BackupLock::Words => self.header.unlock(&BackupSecret::Words(&recovery::parse(secret)?)),
            BackupLock::Passphrase => self.header.unlock(&BackupSecret::Passphrase(&passphrase(secret)?)),
        };
        opened.map(BackupKey).map_err(|error| unread(&self.name, error))
    }
}

/// The key of a backup file.
pub struct BackupKey(StorageKey);

impl std::fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BackupKey(..)")
    }
}

impl Book {
    /// Makes the book of a backup in an empty folder: the same device, in a new log.
    ///
    /// # Errors
    /// [`ErrorKind::Guard`] if the folder is not empty; when the file is damaged or not whole, and nothing is kept then.
    pub fn restore(
        dir: &Path,
        backup: BackupReader,
        key: &BackupKey,
        from: Environment,
        face: &mut dyn Face,
    ) -> Result<(Self, Restored), BookError> {
        if !Self::is_free(dir) {
            return Err(BookError::new(ErrorKind::Guard, format!("{} is not empty", dir.display()))
                .hint("a backup is restored into an empty folder: --home DIR names one"));
        }
        let from = environment::of(&from, dir, 0)?;
        let BackupReader { mut file, header, name } = backup;
        let mut progress = told(face, "restore");
        let made = Space::restore(dir, BookRows, from, header, &key.0, &mut file, &mut progress);
        let (space, BackupFacts { time, device, passphrase, .. }) = made.map_err(|error| match error {
            BackupFault::Open(error) => opening::error(dir, error),
            error => unread(&name, error),
        })?;
        let book = Self::on(space);
        let (people, notes) = book.status_numbers()?;
        let relays = book.space.roads().map_err(fault)?.len();
        Ok((book, Restored { device_name: device, made: instant(time), people, notes, relays, passphrase }))
    }
}

fn told<'f>(face: &'f mut dyn Face, what: &'static str) -> impl FnMut(u64, u64) + 'f {
    move |done, total| face.event(Event::Progress { what: what.to_owned(), done, total: Some(total) })
}

fn unwritten(path: &Path, error: BackupFault) -> BookError {
    let path = path.display();
    match error {
        BackupFault::NoWords => {
            BookError::new(ErrorKind::Usage, "this network has no recovery words to seal a backup to")
                .hint("--passphrase puts it under a passphrase")
        }
        BackupFault::File(BackupError::Exists) => BookError::new(ErrorKind::Guard, format!("{path} exists"))
            .hint("--force replaces it, once the new backup is whole"),
        BackupFault::Fault(error) => fault(error),
        error => {
            let hint = opening::advice(&error);
            let failed =
                BookError::new(ErrorKind::Failed, format!("{path} was not written")).caused_by(in_one_line(&error));
            BookError { hint: hint.map(str::to_owned), ..failed }
        }
    }
}

fn unread(name: &str, error: BackupFault) -> BookError {
    let (kind, message, hint) = match &error {
        BackupFault::File(BackupError::WrongKey) => {
            let failed = BookError::new(ErrorKind::Locked, format!("that does not open {name}"));
            return failed
                .hint("nothing was written; it wants the words or the passphrase of the time when it was made");
        }
        BackupFault::File(BackupError::Foreign) => {
            return BookError::new(ErrorKind::Failed, format!("{name} is no backup of ties"))
                .hint("contacts of other programs: ties import; another device's folder: ties recover --from");
        }
        BackupFault::File(BackupError::Newer(_) | BackupError::Format(_)) => (
            ErrorKind::Failed,
            format!("{name} was made by another version"),
            Some("restore it with the newest version of ties"),
        ),
        BackupFault::File(BackupError::Damaged(_) | BackupError::Cut) => (
            ErrorKind::Failed,
            format!("{name} cannot be restored"),
            Some("nothing was written; take another copy of it, or another backup"),
        ),
        error => (ErrorKind::Failed, format!("{name} cannot be restored"), opening::advice(error)),
    };
    let failed = BookError::new(kind, message).caused_by(in_one_line(&error));
    BookError { hint: hint.map(str::to_owned), ..failed }
}
