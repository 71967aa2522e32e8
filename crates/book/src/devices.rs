//! How things stand: devices, relays, what waits and why.

use ties_engine::{
    Alert, AlertKind, Checkpoint, CheckpointStanding, Device, FolderStatus, Parked, RoadStatus, Role, SetAside, View,
    Waiting,
};

use crate::api::{
    BookError, CheckpointRow, DeviceRow, ErrorKind, HandleConflict, ParkedRow, RelayAlert, RelayRow, Reply, Status,
};
use crate::book::Book;
use crate::conflicts;
use crate::engine::fault;
use crate::folders;
use crate::handle;
use crate::resolve::{self, Record};
use crate::rows::{self, Index};
use crate::time::rfc3339;

impl Book {
    pub(crate) fn device_list(&self) -> Result<Reply, BookError> {
        let devices = self.space.devices().map_err(fault)?;
        Ok(Reply::Devices { devices: device_rows(&devices) })
    }

    pub(crate) fn relay_list(&self) -> Result<Reply, BookError> {
        let status = self.space.status().map_err(fault)?;
        Ok(Reply::Relays { relays: road_rows(status.roads, status.folders, self.space.now()) })
    }

    pub(crate) fn status(&self) -> Result<Reply, BookError> {
        // How long something waits is known once somebody has looked; a disk that refuses does not keep the rest from being told.
        let _ = self.space.note_waiting();
        let (status, now) = (self.space.status().map_err(fault)?, self.space.now());
        let view = self.view()?;
        let count = |prefix: &[u8]| -> Result<usize, BookError> { Ok(view.rows(prefix).map_err(fault)?.count()) };
        let mut waiting: Vec<String> = status.waiting.iter().map(|parked| waits(parked, now)).collect();
        let parked: Vec<ParkedRow> = status.waiting.iter().map(|parked| parked_row(parked, now)).collect();
        if status.bad > 0 {
            waiting.push(set_aside(status.bad, &status.set_aside));
        }
        let unsent = status.roads.iter().any(|road| road.error.is_some() && road.to_send > 0)
            || status.folders.iter().any(|folder| folder.error.is_some() && folder.to_send > 0);
        let quarantined = self.space.quarantined().map_err(fault)?;
        let accused = status.roads.iter().any(|road| !road.alerts.is_empty());
        let lied = status.checkpoints.iter().any(|one| one.standing == CheckpointStanding::Differs);
        let relays = road_rows(status.roads, status.folders, now);
        let overdue = relays.iter().any(|road| road.overdue) || parked.iter().any(|parked| parked.overdue);
        let stuck = unsent || accused || lied || overdue || status.bad > 0 || quarantined > 0;
        let shared = handle::shared(&view)?;
        Ok(Reply::Status(Status {
            device_name: self.device_name()?,
            people: count(b"p")?,
            notes: count(b"n")?,
            devices: device_rows(&status.devices),
            logs: self.device_logs()?,
            relays,
            waiting,
            parked,
            newer: status.newer,
            removed: self.removed()?,
            quarantined,
            checkpoints: checkpoint_rows(&status.checkpoints),
            contested: conflicts::count(&view)?,
            conflict_count: shared.len(),
            conflicts: handle_conflicts(&view, shared.into_iter().take(MOST_CONFLICTS), MOST_HOLDERS)?,
            stuck,
        }))
    }
}

impl Book {
    /// How many people and notes there are.
    pub(crate) fn status_numbers(&self) -> Result<(usize, usize), BookError> {
        let view = self.view()?;
        let count = |prefix: &[u8]| -> Result<usize, BookError> { Ok(view.rows(prefix).map_err(fault)?.count()) };
        Ok((count(b"p")?, count(b"n")?))
    }
}

/// Checkpoints as a face shows them.
pub(crate) fn checkpoint_rows(checkpoints: &[Checkpoint]) -> Vec<CheckpointRow> {
    let row = |one: &Checkpoint| CheckpointRow {
        since: i64::try_from(one.since).ok().and_then(rfc3339),
        maker: one.maker.clone(),
        second: one.second.clone(),
        standing: match one.standing {
            CheckpointStanding::Unchecked => "unchecked",
            CheckpointStanding::Same => "same",
            CheckpointStanding::Started => "started",
            CheckpointStanding::Unverified => "unverified",
            CheckpointStanding::Differs => "differs",
        }
        .to_owned(),
        bytes: one.bytes,
        text: checkpoint(one),
    };
    checkpoints.iter().map(row).collect()
}

/// What is to be known of a checkpoint, in a sentence without its time.
pub(crate) fn checkpoint(one: &Checkpoint) -> String {
    let maker = one.maker.as_deref().unwrap_or("an unknown device");
    match (one.standing, &one.second) {
        (CheckpointStanding::Same, Some(second)) => format!("a checkpoint by {maker}, found right by {second}"),
        (CheckpointStanding::Same, None) => format!("a checkpoint by {maker}; no second device has compared it yet"),
        (CheckpointStanding::Unchecked, _) => format!("a checkpoint by {maker}, not compared with this device yet"),
        (CheckpointStanding::Started, second) => {
            let second = second.as_deref().unwrap_or("another device");
            format!("this device started from a checkpoint by {maker}, found right by {second}")
        }
        (CheckpointStanding::Unverified, _) => {
            format!("this device started from a checkpoint by {maker}, and no second device has compared it yet")
        }
        (CheckpointStanding::Differs, _) => format!(
            "a checkpoint by {maker} says something else than the changes here: it was not signed, and no new device gets it from here"
        ),
    }
}

/// The name of a device as it may be: something to read, on one line, not too long.
pub(crate) fn name(name: &str) -> Result<String, BookError> {
    let name = name.trim();
    let readable = !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.contains(char::is_control);
    if readable {
        Ok(name.to_owned())
    } else {
        Err(BookError::new(ErrorKind::Usage, format!("a device's name has 1 to {LONGEST_NAME} characters on one line")))
    }
}

/// What a role is called.
pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Reader => "reader",
        Role::Writer => "writer",
        Role::Admin => "admin",
    }
}

pub(crate) fn device_rows(devices: &[Device]) -> Vec<DeviceRow> {
    let name = |id| devices.iter().find(|device| device.id == id).map(|device| device.name.clone()).unwrap_or_default();
    devices.iter().map(|device| DeviceRow { added_by: name(device.added_by), ..device_row(device) }).collect()
}

fn device_row(device: &Device) -> DeviceRow {
    // A device was heard of at its admission at least; the founder's last entry may be one that only the words open.
    let heard = device.last_heard.max(Some(device.added)).filter(|at| device.entries > 0 && *at > 0);
    DeviceRow {
        name: device.name.clone(),
        id: device.id.to_string(),
        role: device.role.map(role).unwrap_or("not admitted yet").to_owned(),
        this: device.this,
        added_by: String::new(),
        added: instant(device.added).filter(|_| device.added > 0),
        last_heard: heard.and_then(instant),
        last_met: device.last_met.and_then(instant),
        lacks: device.lacks,
        ahead: device.ahead,
    }
}

/// The relays, then the folders.
fn road_rows(roads: Vec<RoadStatus>, folders: Vec<FolderStatus>, now: u64) -> Vec<RelayRow> {
    let folders = folders.into_iter().map(|folder| folders::status_row(folder, now));
    roads.into_iter().map(|road| relay_row(road, now)).chain(folders).collect()
}

/// Whether something has waited for a day.
pub(crate) fn is_overdue(since: Option<u64>, now: u64) -> bool {
    since.is_some_and(|since| now.saturating_sub(since) >= DAY)
}

fn parked_row(parked: &Parked, now: u64) -> ParkedRow {
    let why = match parked.why {
        Waiting::Key => "key",
        Waiting::Entry => "entry",
        Waiting::Member => "member",
    };
    ParkedRow {
        why: why.to_owned(),
        count: parked.count,
        since: parked.since.and_then(instant),
        overdue: is_overdue(parked.since, now),
    }
}

fn relay_row(road: RoadStatus, now: u64) -> RelayRow {
    RelayRow {
        url: road.road.address,
        last_contact: road.last_contact.and_then(instant),
        last_error: road.error,
        to_send: road.to_send,
        bytes_to_send: road.bytes_to_send,
        more_to_send: road.is_more,
        unsent_since: road.unsent_since.and_then(instant),
        left: 0,
        overdue: is_overdue(road.unsent_since, now),
        alerts: road.alerts.iter().map(alert_row).collect(),
    }
}

fn alert_row(alert: &Alert) -> RelayAlert {
    RelayAlert {
        kind: alert.kind.name().to_owned(),
        since: instant(alert.since),
        text: accusation(alert.kind).to_owned(),
    }
}

/// What a relay did, after its name, and what of it is not lost.
pub(crate) fn accusation(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::Withheld => {
            "gives no entries that others build upon: it keeps them back, or nobody has brought them yet; \
             the device that wrote them has them"
        }
        AlertKind::Unfulfilled => {
            "announces entries and does not give them; what is here is whole, and the device that wrote them has them"
        }
        AlertKind::RolledBack => "has lost changes that it had confirmed; they are kept here, and it gets them again",
        AlertKind::Forked => {
            "hides from this device what it has confirmed to another; nothing is lost, both devices keep their own"
        }
        AlertKind::Invalid => "sent what no honest relay sends; none of it was taken, and nothing here was changed",
        AlertKind::Disordered => "sent changes out of their order; what came too early was left with it",
        AlertKind::Unconfirmed => "takes changes and never confirms them; they are kept here",
    }
}

/// Milliseconds since 1970 as RFC 3339.
pub(crate) fn instant(ms: u64) -> Option<String> {
    i64::try_from(ms).ok().and_then(rfc3339)
}

/// What waits, for what, and for how long if that is long.
pub(crate) fn waits(parked: &Parked, now: u64) -> String {
    let reason = match parked.why {
        Waiting::Key => "a key that this device has not got yet",
        Waiting::Entry => "others that have not arrived yet",
        Waiting::Member => "the admission of the device that wrote them",
    };
    let days = parked.since.map_or(0, |since| now.saturating_sub(since) / DAY);
    let long = match days {
        0 => String::new(),
        1 => ", for a day".to_owned(),
        days => format!(", for {days} days"),
    };
    format!("{} waiting for {reason}{long}", number(parked.count))
}

/// After which time what waits is stuck, in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Names the first few.
pub(crate) fn set_aside(count: usize, first: &[SetAside]) -> String {
    let names = first.iter().take(NAMED).map(|one| {
        let name: String = one.name.0.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let device = one.device.as_deref().unwrap_or("an unknown device");
        format!("no. {} of {device} ({name}…): {}", one.seq, one.reason)
    });
    let mut names: Vec<String> = names.collect();
    if count > names.len() {
        names.push(format!("{} more", count - names.len()));
    }
    let verb = if count == 1 { "it cannot be used" } else { "they cannot be used" };
    format!("{} set aside, for {verb}: {}", number(count), names.join("; "))
}

/// How many entries that were set aside are named.
const NAMED: usize = 3;

fn number(entries: usize) -> String {
    if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") }
}

/// Handles that several people hold, with who is shown under which: the first few, and of each the first `most` people.
pub(crate) fn handle_conflicts(
    view: &View,
    shared: impl IntoIterator<Item = String>,
    most: usize,
) -> Result<Vec<HandleConflict>, BookError> {
    let mut conflicts = Vec::new();
    for handle in shared {
        let ids = rows::ids(view, &Index::Handle.exactly(&handle))?;
        let people = ids.iter().take(most).map(|id| resolve::candidate(view, Record::Person(*id)));
        conflicts.push(HandleConflict { people: people.collect::<Result<_, _>>()?, holders: ids.len(), handle });
    }
    Ok(conflicts)
}

const MOST_CONFLICTS: usize = 10;
const MOST_HOLDERS: usize = 4;
const LONGEST_NAME: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_standing_of_a_checkpoint_has_its_sentence() {
        let sentence = |standing, second: Option<&str>| {
            let (maker, second) = (Some("laptop".to_owned()), second.map(str::to_owned));
            checkpoint(&Checkpoint { since: 0, maker, second, standing, bytes: 1 })
        };
        for (standing, second, text) in [
            (CheckpointStanding::Same, Some("phone"), "a checkpoint by laptop, found right by phone"),
            (CheckpointStanding::Same, None, "a checkpoint by laptop; no second device has compared it yet"),
            (CheckpointStanding::Unchecked, None, "a checkpoint by laptop, not compared with this device yet"),
            (
                CheckpointStanding::Started,
                Some("phone"),
                "this device started from a checkpoint by laptop, found right by phone",
            ),
            (
                CheckpointStanding::Unverified,
                None,
                "this device started from a checkpoint by laptop, and no second device has compared it yet",
            ),
        ] {
            assert_eq!(sentence(standing, second), text);
        }
        assert!(sentence(CheckpointStanding::Differs, None).starts_with("a checkpoint by laptop says something else"));
    }

    #[test]
    fn a_device_has_a_readable_name() {
        assert_eq!(name(" Ada's laptop ").unwrap(), "Ada's laptop");
        for bad in ["", "  ", "a\nb", &"x".repeat(65)] {
            assert_eq!(name(bad).unwrap_err().kind, ErrorKind::Usage);
        }
    }
}
