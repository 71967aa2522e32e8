//! The one place of a data folder's agent: a locked file. It goes with the process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::errors::{Failure, Outcome};

/// Where the agent of a data folder has its lock.
pub(crate) struct Place {
    lock: PathBuf,
}

/// The process that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// Its number.
    pub(crate) process: u32,
    /// The socket that it answers at.
    pub(crate) socket: PathBuf,
}

/// The place, held until dropped.
pub(crate) struct Held {
    file: File,
}

impl Place {
    pub(crate) fn of(home: &Path) -> Self {
        Self { lock: home.join("agent.lock") }
    }

    /// Takes the place; `None` if another process has it.
    pub(crate) fn take(&self) -> Outcome<Option<Held>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&self.lock).map_err(|error| self.unusable(&error))?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Held { file })),
                // Somebody who merely asks whether it is held holds it for a moment.
                Err(TryLockError::WouldBlock) if began.elapsed() < MOMENT => std::thread::sleep(STEP),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(self.unusable(&error)),
            }
        }
    }

    /// The process that has the place, if any has.
    pub(crate) fn holder(&self) -> Option<Holder> {
        let began = Instant::now();
        loop {
            let mut file = File::open(&self.lock).ok()?;
            if file.try_lock_shared().is_ok() {
                return None;
            }
            let mut text = String::new();
            file.read_to_string(&mut text).ok()?;
            match serde_json::from_str(&text) {
                Ok(holder) => return Some(holder),
                // It has only just begun.
                Err(_) if began.elapsed() < MOMENT => std::thread::sleep(STEP),
                Err(_) => return None,
            }
        }
    }

    /// Waits until nobody has the place; says whether that came to pass.
    pub(crate) fn wait_until_free(&self, patience: Duration) -> bool {
        let began = Instant::now();
        while self.holder().is_some() {
            if began.elapsed() > patience {
                return false;
            }
            std::thread::sleep(STEP);
        }
        true
    }

    fn unusable(&self, error: &std::io::Error) -> Failure {
        Failure::io(format!("cannot use {}", self.lock.display()), error)
    }
}

impl Held {
    /// Tells others who has the place, and where to ask.
    pub(crate) fn sign(&mut self, holder: &Holder) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&serde_json::to_vec(holder)?)
    }
}

/// How long somebody may hold the lock for no more than a question, or without having signed.
const MOMENT: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_the_place_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(folder.path());
        assert_eq!(place.holder(), None);
        let mut held = place.take().unwrap().unwrap();
        let holder = Holder { process: 17, socket: "/run/x".into() };
        held.sign(&Holder { process: 1_000_000, socket: "/run/a/longer/path".into() }).unwrap();
        held.sign(&holder).unwrap();
        assert_eq!(place.holder(), Some(holder));
        assert!(place.take().unwrap().is_none());
        assert!(!place.wait_until_free(Duration::ZERO));
        drop(held);
        assert_eq!(place.holder(), None, "what it signed means nothing without the lock");
        assert!(place.take().unwrap().is_some() && place.wait_until_free(Duration::ZERO));
    }
}
