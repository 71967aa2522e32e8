//! Meeting in a folder that anything may carry: a stick, a synced folder, a network drive.
//!
//! There is nobody at the other end: a device takes what others left there and is not here yet, and leaves what it has and no
//! readable file of the folder holds, its own and others' alike, so that devices that never meet exchange through third ones.
//! A folder has no mailbox and no list. Of a log that is unknown here only one is taken whose first entry opens under a key
//! that is here (`replica.rs`); what does not open is left where it is and tried again when more is known.

pub(crate) mod checkpoint;
mod holdings;
mod pairing;
mod visit;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use ties_net::DepotError;
use ties_sealed_log::{Log, decode, hash};
use ties_store::{Read, Table};
use ties_sync::{ParcelError, Run};
use tokio::sync::mpsc;

use crate::author::{Keyring, SPACE_NUMBER};
use crate::records::{Fault, put_record, record};
use crate::roster::Roster;
use crate::space::Space;
use crate::status::waits_since;
use crate::sync::{SyncEvent, chain};
use crate::unsent::unsent;

pub use pairing::{FolderGuest, FolderJoin};

/// Folders that were visited or are to be, by [`FolderKey`].
pub(crate) const FOLDERS: Table = Table::named("engine/folders");
/// What lay in them at the last visit, by [`FolderKey`] and file name.
pub(crate) const FOLDER_FILES: Table = Table::named("engine/folder-files");

/// A folder, by its path on this device.
type FolderKey = [u8; 16];

/// What is remembered of a folder.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct FolderRecord {
    /// Where it is on this device, in plain text as far as it is text.
    pub(crate) path: String,
    /// Whether every sync visits it.
    pub(crate) standing: bool,
    /// The last whole visit, in milliseconds since 1970; 0 if never.
    pub(crate) last_contact: u64,
    /// Why the last attempt failed.
    pub(crate) error: Option<String>,
    /// What was known here when that was tried last which could not be taken.
    pub(crate) tried: [u8; 32],
    /// What was here and there when nothing was missing there.
    pub(crate) complete: [u8; 32],
}

/// What is remembered of a file that was read as a whole.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    pub(crate) length: u64,
    /// Milliseconds since 1970.
    pub(crate) modified: u64,
    pub(crate) runs: Vec<Run>,
    /// Whether something in it could not be taken yet.
    pub(crate) left: bool,
}

/// Why a folder was not exchanged with, or not to the end. What was exchanged is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The folder.
    #[error(transparent)]
    Depot(#[from] DepotError),
    /// This device's database.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// It held files of this space and has nothing in it at all: a place where something is not mounted.
    #[error("{} is empty now and held this network's files before", .0.display())]
    Bare(PathBuf),
    /// A path that cannot be kept.
    #[error("the folder's name {} is no text", .0.display())]
    Name(PathBuf),
    /// Whoever asked for it went away.
    #[error("stopped")]
    Stopped,
}

/// What came of one folder.
#[derive(Debug)]
pub struct FolderReport {
    /// The folder.
    pub path: PathBuf,
    /// What was exchanged, or why not.
    pub outcome: Result<FolderTally, FolderError>,
}

/// What was exchanged with a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderTally {
    /// New entries taken.
    pub entries_received: usize,
    /// Entries left there.
    pub entries_sent: usize,
    /// Files read.
    pub files_read: usize,
    /// Their bytes.
    pub bytes_read: u64,
    /// Files written.
    pub files_written: usize,
    /// Their bytes.
    pub bytes_written: u64,
    /// Files of which not all is there or that are damaged, by name.
    pub unreadable: Vec<(String, ParcelError)>,
    /// Logs that do not open here, or of which the beginning is missing.
    pub left: usize,
}

/// What happens during a visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FolderNews {
    /// Entries came, are durable, and as many as could be were applied.
    Received {
        /// How many.
        entries: usize,
    },
    /// Entries were left there.
    Left {
        /// How many.
        entries: usize,
    },
    /// A file is not whole, or damaged. It is read once it is whole.
    Unreadable {
        /// Its name.
        name: String,
        /// What is wrong.
        why: ParcelError,
    },
    /// Both have the same.
    Settled,
    /// Whoever watches could not visit it.
    Failed {
        /// Why.
        reason: String,
        /// After which time it is tried again.
        again: Duration,
    },
}

/// A folder that every sync visits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderStatus {
    /// Where it is.
    pub path: String,
    /// The last whole visit, in milliseconds since 1970.
    pub last_contact: Option<u64>,
    /// Entries here that no file there is known to hold.
    pub to_send: u64,
    /// Their bytes; of many, those of the first.
    pub bytes_to_send: u64,
    /// Whether these are not all.
    pub is_more: bool,
    /// How long they wait for it: since when, in milliseconds since 1970, if it was visited before.
    pub unsent_since: Option<u64>,
    /// Files there of which something could not be taken yet.
    pub left: usize,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
}

impl Space {
    /// Exchanges everything with folders, one after the other. Their failures stand in the reports.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn sync_folders(
        &self,
        folders: &[PathBuf],
        mut events: impl FnMut(SyncEvent),
    ) -> Result<Vec<FolderReport>, Fault> {
        let mut reports = Vec::new();
        for path in folders {
            let outcome = self.visit(path, Asked::ByName, &mut events).await;
            reports.push(FolderReport { path: path.clone(), outcome });
        }
        Ok(reports)
    }

    /// As [`Self::sync_folders`], with those that were added.
    ///
    /// # Errors
    /// As [`Self::sync_folders`].
    pub async fn sync_standing_folders(&self, mut events: impl FnMut(SyncEvent)) -> Result<Vec<FolderReport>, Fault> {
        let mut reports = Vec::new();
        for path in self.standing_folders()? {
            let outcome = self.visit(&path, Asked::Always, &mut events).await;
            reports.push(FolderReport { path, outcome });
        }
        Ok(reports)
    }

    /// Visits the folders that were added until dropped: at once, soon after something was written here, by this process or
    /// another, and every half minute. What stays as it was is told once. While there is none it waits for one.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn watch_folders(&self, mut events: impl FnMut(SyncEvent)) -> Result<(), Fault> {
        let (mut watched, ears) = (Watched::default(), self.ears());
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            let folders = self.standing_folders()?;
            let revisit = if folders.is_empty() { NEVER } else { REVISIT };
            for path in folders {
                let mut stirred = watched.begin(&path);
                let outcome = self
                    .visit(&path, Asked::Always, &mut |event| {
                        if watched.is_news(&event, &mut stirred) {
                            events(event);
                        }
                    })
                    .await;
                if let Some(reason) = watched.end(&path, outcome.err().map(|error| chain(&error))) {
                    events(SyncEvent::Folder(path, FolderNews::Failed { reason, again: REVISIT }));
                }
            }
            // Visits write too: only what comes after them is another's.
            let (serial, seen) = (self.serial()?, Instant::now());
            while seen.elapsed() < revisit {
                let left = revisit.saturating_sub(seen.elapsed());
                // Whoever does not hear of writes looks for them.
                let pause = if ears.is_some() { left } else { left.min(LOOK) };
                tokio::select! {
                    _ = ties_net::rest(pause) => {}
                    _ = changes.changed() => tokio::time::sleep(GATHER).await,
                }
                if self.serial()? != serial {
                    break;
                }
            }
        }
    }

    fn serial(&self) -> Result<u64, Fault> {
        Ok(self.inner.store.read()?.serial()?)
    }

    /// The folders that every sync of this device visits.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn standing_folders(&self) -> Result<Vec<PathBuf>, Fault> {
        Ok(standing(&self.inner.store.read()?)?.into_iter().map(|(_, kept)| kept.path.into()).collect())
    }

    /// Visits a folder with every sync from now on. Other devices are not told: it has another path there.
    ///
    /// # Errors
    /// When there is no such folder, or its name cannot be kept.
    pub fn add_folder(&self, path: &Path) -> Result<PathBuf, FolderError> {
        let depot = ties_net::Depot::at(path, "")?;
        drop(depot);
        let path = canonical(path);
        let text = path.to_str().ok_or_else(|| FolderError::Name(path.clone()))?.to_owned();
        self.note_folder(&path, |kept| (kept.path, kept.standing) = (text, true))?;
        Ok(path)
    }

    /// Visits a folder with every sync no more; what is in it stays. Says whether it was one of those.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn remove_folder(&self, path: &Path) -> Result<bool, Fault> {
        let wanted = canonical(path);
        let mut transaction = self.inner.store.write()?;
        let found = standing(&transaction)?.into_iter().find(|(_, kept)| {
            let kept = Path::new(&kept.path);
            kept == wanted || kept == path
        });
        let Some((key, _)) = found else { return Ok(false) };
        transaction.remove(FOLDERS, &key)?;
        transaction.remove_all(FOLDER_FILES, &key)?;
        transaction.commit()?;
        Ok(true)
    }

    pub(crate) async fn visit(
        &self,
        path: &Path,
        asked: Asked,
        events: &mut impl FnMut(SyncEvent),
    ) -> Result<FolderTally, FolderError> {
        let path = canonical(path);
        let (tell, mut told) = mpsc::unbounded_channel();
        let stop = Stop::default();
        let (space, folder, stopped) = (self.clone(), path.clone(), Arc::clone(&stop.0));
        // Disks and network drives take their time; whoever waits may be stopped meanwhile.
        let visit = tokio::task::spawn_blocking(move || {
            space.visit_folder(&folder, asked, &stopped, &mut |news| drop(tell.send(news)))
        });
        while let Some(news) = told.recv().await {
            events(SyncEvent::Folder(path.clone(), news));
        }
        visit.await.map_err(|_| Fault::Damaged("a visit to a folder"))?
    }

    /// One visit, with whatever it has to say noted. `stop` ends it between two files.
    pub(crate) fn visit_folder(
        &self,
        path: &Path,
        asked: Asked,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(FolderNews),
    ) -> Result<FolderTally, FolderError> {
        let outcome = visit::Visit::begin(self, path, asked).and_then(|visit| visit.run(stop, tell));
        if let Err(error) = &outcome
            && !matches!(error, FolderError::Stopped)
        {
            let text = chain(error);
            self.note_folder(path, |kept| kept.error = Some(text))?;
        }
        outcome
    }

    fn note_folder(&self, path: &Path, change: impl FnOnce(&mut FolderRecord)) -> Result<(), Fault> {
        let key = key_of(path);
        let mut transaction = self.inner.store.write()?;
        let mut kept = folder_record(&transaction, &key, path)?;
        change(&mut kept);
        put_record(&mut transaction, FOLDERS, &key, &kept)?;
        Ok(transaction.commit()?)
    }
}

/// How long a watcher waits between two visits to a folder: a visit lists its files, and disks may sleep.
const REVISIT: Duration = Duration::from_secs(30);
/// The same while there is nothing to visit: a folder that is added is a write.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);
/// What is written within such a while goes into one file.
const GATHER: Duration = Duration::from_millis(500);
/// How often it looks whether something was written here, where it would not hear of it.
const LOOK: Duration = Duration::from_secs(2);

/// What whoever watches folders was told of them.
#[derive(Default)]
struct Watched {
    /// Why the last visit failed, if it did.
    troubles: BTreeMap<PathBuf, Option<String>>,
    unreadable: BTreeSet<(PathBuf, String)>,
}

impl Watched {
    /// Whether the end of a visit is news even if nothing happens in it.
    fn begin(&self, path: &Path) -> bool {
        !matches!(self.troubles.get(path), Some(None))
    }

    fn is_news(&mut self, event: &SyncEvent, stirred: &mut bool) -> bool {
        match event {
            SyncEvent::Folder(_, FolderNews::Settled) => *stirred,
            SyncEvent::Folder(path, FolderNews::Unreadable { name, .. }) => {
                self.unreadable.insert((path.clone(), name.clone()))
            }
            _ => {
                *stirred = true;
                true
            }
        }
    }

    /// The trouble of a visit, if it is another than before.
    fn end(&mut self, path: &Path, trouble: Option<String>) -> Option<String> {
        let before = self.troubles.insert(path.to_owned(), trouble.clone());
        trouble.filter(|trouble| before.flatten().as_ref() != Some(trouble))
    }
}

/// Who wants a folder to be visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Somebody who named it just now: whatever is there is meant.
    ByName,
    /// Nobody in particular, as with every sync.
    Always,
}

/// Ends a visit when whoever waits for it goes away.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How the folders stand that every sync visits.
pub(crate) fn folder_states(read: &dyn Read, roster: &Roster, keys: &Keyring) -> Result<Vec<FolderStatus>, Fault> {
    let mut states = Vec::new();
    for (key, kept) in standing(read)? {
        let files = holdings::files(read, &key)?;
        let missing = match kept.complete == holdings::digest(read, &files)? {
            true => Vec::new(),
            false => holdings::missing(read, &files)?,
        };
        // What lies above the first gap of a log is about what is missing of it.
        let from = missing.iter().filter_map(|(log, missing)| Some((*log, missing.first()?.saturating_sub(1))));
        let unsent = unsent(read, roster, keys, from)?;
        let last_contact = Some(kept.last_contact).filter(|at| *at > 0);
        states.push(FolderStatus {
            path: kept.path,
            last_contact,
            to_send: missing.iter().map(|(_, missing)| missing.count).sum(),
            bytes_to_send: unsent.bytes,
            is_more: unsent.is_more,
            unsent_since: waits_since(unsent.since, last_contact),
            left: files.values().filter(|file| file.left).count(),
            error: kept.error,
        });
    }
    Ok(states)
}

fn standing(read: &dyn Read) -> Result<Vec<(FolderKey, FolderRecord)>, Fault> {
    let mut folders = Vec::new();
    for (key, bytes) in read.pairs(FOLDERS, &[])? {
        let kept: FolderRecord = decode(&bytes).map_err(|_| Fault::Damaged("a folder"))?;
        if kept.standing {
            folders.push((key.try_into().map_err(|_| Fault::Damaged("a folder"))?, kept));
        }
    }
    folders.sort_by(|(_, one), (_, other)| one.path.cmp(&other.path));
    Ok(folders)
}

fn folder_record(read: &dyn Read, key: &FolderKey, path: &Path) -> Result<FolderRecord, Fault> {
    let fresh = || FolderRecord { path: path.to_string_lossy().into_owned(), ..FolderRecord::default() };
    Ok(record(read, FOLDERS, key, "a folder")?.unwrap_or_else(fresh))
}

fn key_of(path: &Path) -> FolderKey {
    let digest = hash("ties1/folder-path", &[path.as_os_str().as_encoded_bytes()]);
    std::array::from_fn(|at| digest[at])
}

/// One path for one folder, as far as it is there.
fn canonical(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// What is known here, as far as it decides whether something can be taken: entries and keys.
fn knowledge(read: &dyn Read) -> Result<[u8; 32], Fault> {
    let vector = ties_store::StoredLog::reading(read, SPACE_NUMBER).vector()?.digest();
    let epochs: Vec<u8> = read.pairs(crate::records::EPOCHS, &[])?.into_iter().flat_map(|(id, _)| id).collect();
    Ok(hash("ties1/folder-knowledge", &[&vector, &epochs]))
}
