//! Folders that changes are carried in: a stick, a synced folder, a network drive. A device keeps to itself which it visits,
//! for the path is another on each.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ties_engine::{
    DepotError, FolderError, FolderGuest, FolderJoin, FolderNews, FolderReport, FolderStatus, PairError, ParcelError,
    Space,
};

use crate::api::{
    BookError, Environment, ErrorKind, Event, Face, Guest, JoinByFolder, Joined, RelayRow, RelaySync, Reply, Secret,
    SyncReport,
};
use crate::book::Book;
use crate::devices::{self, instant, is_overdue, role};
use crate::engine::{BookRows, fault};
use crate::network::{GUESTS_ARE, Side, in_one_line, pairing};
use crate::{environment, opening};

/// How long a ticket is good that goes with a folder, which may be on its way for a while.
const FOLDER_TICKET_LASTS: Duration = Duration::from_secs(3 * 24 * 60 * 60);

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
        let rows = reports.into_iter().map(row).collect();
        self.tell_newcomers(face)?;
        self.tell_logs(face)?;
        Ok(SyncReport { relays: rows, ..SyncReport::default() })
    }

    /// Visits the folders that were added.
    pub(crate) async fn sync_standing_folders(&self, face: &mut dyn Face) -> Result<Vec<RelaySync>, BookError> {
        let reports = self.space.sync_standing_folders(|event| self.tell(face, event)).await.map_err(fault)?;
        Ok(reports.into_iter().map(row).collect())
    }

    /// Asks about devices that wait in the folders that were just visited, and leaves there what who is let in has to take.
    pub(crate) async fn and_guests(
        &self,
        mut report: SyncReport,
        face: &mut dyn Face,
    ) -> Result<SyncReport, BookError> {
        for visited in report.relays.iter_mut().filter(|row| row.error.is_none()) {
            let Some(path) = path_of(&visited.url).map(Path::to_owned) else { continue };
            let here = |error| pairing(&path, Side::Host, error);
            let guests = self.space.folder_guests(&path).map_err(here)?;
            let (admitted, visits) = self.ask(&path, guests, face).await?;
            if let Some(name) = admitted {
                face.event(Event::Notice { text: format!("{name} is one of your devices now") });
            }
            *visited = visits.into_iter().map(row).fold(std::mem::take(visited), sum);
        }
        Ok(report)
    }

    /// Asks about each guest; gives the name of the last one that was let in, and how the visits went that told of it.
    async fn ask(
        &self,
        path: &Path,
        guests: Vec<FolderGuest>,
        face: &mut dyn Face,
    ) -> Result<(Option<String>, Vec<FolderReport>), BookError> {
        let here = |error| pairing(path, Side::Host, error);
        let (mut admitted, mut visits) = (None, Vec::new());
        for guest in guests {
            let name = guest.device.name.clone();
            if !face.answers() {
                let text = format!(
                    "{name} waits in {} to be let in: ties sync --folder DIR at a terminal asks about it",
                    path.display()
                );
                face.event(Event::Notice { text });
                continue;
            }
            let fingerprint = guest.device.fingerprint.clone();
            let shown = Guest { name: name.clone(), fingerprint, role: role(GUESTS_ARE).to_owned() };
            if face.confirm(shown).await {
                visits.push(self.space.admit_from_folder(path, &guest, GUESTS_ARE).await.map_err(here)?);
                admitted = Some(name);
            } else {
                self.space.decline_from_folder(path, &guest).map_err(here)?;
            }
        }
        Ok((admitted, visits))
    }

    /// Invites a device by a folder; with `wait` until it came and was let in.
    pub(crate) async fn device_add_by_folder(
        &self,
        path: &Path,
        wait: bool,
        face: &mut dyn Face,
    ) -> Result<Reply, BookError> {
        let here = |error| pairing(path, Side::Host, error);
        let ticket = self.space.invite_by_folder(path, FOLDER_TICKET_LASTS).map_err(here)?;
        let expires = instant(self.space.now().saturating_add(FOLDER_TICKET_LASTS.as_millis() as u64));
        face.event(Event::FolderTicket { ticket: Secret::new(ticket.as_str()), expires: expires.clone(), wait });
        // Everything is there before the guest is.
        let visit = self.space.sync_folders(&[path.to_owned()], |event| self.tell(face, event)).await.map_err(fault)?;
        if !wait {
            return match visit.into_iter().map(row).find_map(|row| row.error) {
                Some(error) => Err(BookError::new(ErrorKind::Failed, "the folder cannot be used").caused_by(error)),
                None => Ok(Reply::DeviceInvited { expires }),
            };
        }
        let guests = self.space.await_folder_guests(path).await.map_err(here)?;
        match self.ask(path, guests, face).await? {
            (Some(name), _) => Ok(Reply::DeviceAdded { name }),
            (None, _) => Err(BookError::new(ErrorKind::Failed, "the device was turned away; nothing was changed")),
        }
    }

    /// Makes the book of another device this device's too, as the guest of a ticket, by a folder. `None` when no answer is there
    /// in time: the same call goes on later.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub async fn join_by_folder(
        dir: &Path,
        join: JoinByFolder,
        from: Environment,
        face: &mut dyn Face,
    ) -> Result<Option<(Self, Joined)>, BookError> {
        opening::must_not_exist(dir)?;
        let device_name = devices::name(&join.device_name)?;
        let from = environment::of(&from, dir, 0)?;
        let how = FolderJoin { folder: join.folder.clone(), device_name: device_name.clone(), patience: join.patience };
        let mut announce = |words: &str| face.event(Event::Fingerprint { host: None, words: words.to_owned() });
        let ticket = join.invitation.expose().trim().to_owned();
        let joined = Space::join_by_folder(dir, BookRows, &ticket, &how, from, &mut announce).await;
        let space = match joined {
            Err(PairError::NotYet) => return Ok(None),
            joined => joined.map_err(|error| pairing(dir, Side::Guest, error))?,
        };
        let book = Self::on(space);
        let sync = book.sync_folders(&[join.folder], face).await?;
        let host_name = book.host_name()?;
        let device_name = book.device_name()?;
        Ok(Some((book, Joined { device_name, host_name, sync })))
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
pub(crate) fn status_row(folder: FolderStatus, now: u64) -> RelayRow {
    RelayRow {
        url: url(Path::new(&folder.path)),
        last_contact: folder.last_contact.and_then(instant),
        last_error: folder.error,
        to_send: folder.to_send,
        bytes_to_send: folder.bytes_to_send,
        more_to_send: folder.is_more,
        unsent_since: folder.unsent_since.and_then(instant),
        left: folder.left,
        overdue: is_overdue(folder.unsent_since, now),
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
    first.into_iter().zip(second).map(|(one, other)| sum(one, other)).collect()
}

fn sum(one: RelaySync, other: RelaySync) -> RelaySync {
    RelaySync {
        sent: one.sent + other.sent,
        received: one.received + other.received,
        bytes_out: one.bytes_out + other.bytes_out,
        bytes_in: one.bytes_in + other.bytes_in,
        ..other
    }
}

/// What a step of a visit is to the user.
pub(crate) fn said(path: &Path, news: &FolderNews) -> Event {
    let url = url(path);
    match news {
        FolderNews::Received { entries } => Event::Exchanged { url, sent: 0, received: *entries as u64 },
        FolderNews::Left { entries } => Event::Exchanged { url, sent: *entries as u64, received: 0 },
        FolderNews::Unreadable { name, why } => Event::Notice { text: unreadable(&url, name, *why) },
        FolderNews::Settled => Event::UpToDate { url },
        FolderNews::Failed { reason, again } => {
            Event::Disconnected { url, reason: reason.clone(), retry_ms: u64::try_from(again.as_millis()).ok() }
        }
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
