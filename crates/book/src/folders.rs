//! Folders that changes are carried in: a stick, a synced folder, a network drive. A device keeps to itself which it visits,
//! for the path is another on each.

use std::io;
use std::path::{Path, PathBuf};

use ties_engine::{DepotError, FolderError, FolderNews, FolderReport, FolderStatus, ParcelError};

use crate::api::{BookError, ErrorKind, Event, Face, RelayRow, RelaySync, Reply, SyncReport};
use crate::book::Book;
use crate::devices::instant;
use crate::engine::fault;
use crate::network::in_one_line;

/// How a folder is told from a relay.
const SCHEME: &str = "folder:";

/// The path, if an address is that of a folder.
pub(crate) fn path_of(url: &str) -> Option<&Path> {
    url.strip_prefix(SCHEME).map(Path::new)
}

fn url(path: &Path) -> String {
    format!("{SCHEME}{}", path.display())
}

impl Book {
    /// Visits these folders and no other road.
    pub(crate) async fn sync_folders(&self, folders: &[PathBuf], face: &mut dyn Face) -> Result<SyncReport, BookError> {
        let reports = self.space.sync_folders(folders, |event| self.tell(face, event)).await.map_err(fault)?;
        self.tell_newcomers(face)?;
        self.tell_logs(face)?;
        Ok(SyncReport { relays: reports.into_iter().map(row).collect(), ..SyncReport::default() })
    }

    /// Visits the folders that were added.
    pub(crate) async fn sync_standing_folders(&self, face: &mut dyn Face) -> Result<Vec<RelaySync>, BookError> {
        let reports = self.space.sync_standing_folders(|event| self.tell(face, event)).await.map_err(fault)?;
        Ok(reports.into_iter().map(row).collect())
    }

    pub(crate) fn folder_add(&self, path: &Path) -> Result<Reply, BookError> {
        if path.as_os_str().is_empty() {
            return Err(BookError::new(ErrorKind::Usage, "a folder's address is folder:DIR"));
        }
        let added = self.space.add_folder(path);
        let path = added.map_err(|error| {
            let hint = help(&error);
            let failed = BookError::new(ErrorKind::Failed, format!("the folder {} cannot be used", path.display()));
            BookError { hint: hint.map(str::to_owned), ..failed.caused_by(in_one_line(&error)) }
        })?;
        Ok(Reply::RelayAdded { url: url(&path) })
    }

    pub(crate) fn relay_remove(&self, address: &str) -> Result<Reply, BookError> {
        let Some(path) = path_of(address) else {
            return Err(BookError::new(ErrorKind::Usage, "only a folder can be taken off the roads of one device")
                .hint("ties relay remove folder:DIR; a relay belongs to all devices"));
        };
        if !self.space.remove_folder(path).map_err(fault)? {
            return Err(BookError::new(
                ErrorKind::NotFound,
                format!("{} is no folder that syncs visit", path.display()),
            )
            .hint("ties relay list names them"));
        }
        Ok(Reply::RelayRemoved { url: address.to_owned() })
    }
}

/// A folder among the relays of a status.
pub(crate) fn status_row(folder: FolderStatus) -> RelayRow {
    RelayRow {
        url: url(Path::new(&folder.path)),
        last_contact: folder.last_contact.and_then(instant),
        last_error: folder.error,
        to_send: folder.to_send,
        alerts: Vec::new(),
    }
}

fn row(report: FolderReport) -> RelaySync {
    let url = url(&report.path);
    match report.outcome {
        Ok(tally) => RelaySync {
            url,
            sent: tally.entries_sent as u64,
            received: tally.entries_received as u64,
            bytes_out: tally.bytes_written,
            bytes_in: tally.bytes_read,
            ..RelaySync::default()
        },
        Err(error) => RelaySync {
            url,
            hint: help(&error).map(str::to_owned),
            error: Some(in_one_line(&error)),
            ..RelaySync::default()
        },
    }
}

/// Two visits to the same folders, as one.
pub(crate) fn both(first: Vec<RelaySync>, second: Vec<RelaySync>) -> Vec<RelaySync> {
    let sum = |one: RelaySync, other: RelaySync| RelaySync {
        sent: one.sent + other.sent,
        received: one.received + other.received,
        bytes_out: one.bytes_out + other.bytes_out,
        bytes_in: one.bytes_in + other.bytes_in,
        ..other
    };
    first.into_iter().zip(second).map(|(one, other)| sum(one, other)).collect()
}

/// What a step of a visit is to the user.
pub(crate) fn said(path: &Path, news: &FolderNews) -> Event {
    let url = url(path);
    match news {
        FolderNews::Received { entries } => Event::Exchanged { url, sent: 0, received: *entries as u64 },
        FolderNews::Left { entries } => Event::Exchanged { url, sent: *entries as u64, received: 0 },
        FolderNews::Unreadable { name, why } => Event::Notice { text: unreadable(&url, name, *why) },
        FolderNews::Settled => Event::UpToDate { url },
    }
}

fn unreadable(url: &str, name: &str, why: ParcelError) -> String {
    let what = match why {
        ParcelError::Incomplete { here, whole } => {
            format!("is not there as a whole yet ({here} of {whole} bytes); it is read once it is")
        }
        ParcelError::Damaged => "is damaged or still being copied; it is read once it is whole".to_owned(),
        ParcelError::Version(_) => "was written by a newer version of this program, and cannot be read here".to_owned(),
        ParcelError::Foreign | ParcelError::Malformed => {
            "is none that this program writes; it was left alone".to_owned()
        }
    };
    format!("{url}: the file {name} {what}")
}

/// What helps when a folder cannot be used.
pub(crate) fn help(error: &FolderError) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    match error {
        FolderError::Depot(DepotError::Absent(_)) => {
            Some("everything is kept here; sync again when the stick or drive is there")
        }
        FolderError::Bare(_) => Some(
            "sync again when the stick or drive is there; if it was emptied on purpose, ties sync --folder DIR fills it again",
        ),
        FolderError::Depot(DepotError::Write(_, error)) => Some(match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
                "make room there; everything is kept here, and the next sync goes on"
            }
            Kind::ReadOnlyFilesystem | Kind::PermissionDenied => {
                "what is there was taken; to leave changes there, make it writable"
            }
            _ => "everything is kept here; sync again when the folder can be written",
        }),
        FolderError::Depot(DepotError::Read(..)) => Some("everything is kept here; sync again when it can be read"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_told_from_a_relay_by_its_scheme() {
        assert_eq!(path_of("folder:/media/stick"), Some(Path::new("/media/stick")));
        assert_eq!(path_of("ties://key@host:7700"), None);
    }

    #[test]
    fn a_folder_that_cannot_be_used_says_what_helps() {
        let full = DepotError::Write("d".into(), io::ErrorKind::StorageFull.into());
        assert!(help(&FolderError::Depot(full)).is_some_and(|hint| hint.contains("room")));
        let read_only = DepotError::Write("d".into(), io::ErrorKind::ReadOnlyFilesystem.into());
        assert!(help(&FolderError::Depot(read_only)).is_some_and(|hint| hint.contains("writable")));
        let away = FolderError::Depot(DepotError::Absent("d".into()));
        let row = row(FolderReport { path: "/d".into(), outcome: Err(away) });
        assert_eq!((row.url.as_str(), row.error.is_some(), row.hint.is_some()), ("folder:/d", true, true));
    }
}
