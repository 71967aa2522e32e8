//! How things stand.

use std::collections::BTreeMap;

use ties_sealed_log::{DeviceId, EntryName, Log, LogId, Role, Tip};
use ties_store::{Read, StoredLog, Table};

use crate::alerts::{Alert, alerts};
use crate::author::{Keyring, SPACE_NUMBER, applied, keyring};
use crate::checkpoint::{Checkpoint, checkpoints, entry_at};
use crate::folder::{FolderStatus, folder_states};
use crate::heard::{heard_by, known_of};
use crate::level::NEWER;
use crate::records::{BAD, CONTACTS, ContactRecord, DEVICE, DeviceRecord, Fault, Waiting, parse_place, record};
use crate::roads::{Road, roads};
use crate::roster::Roster;
use crate::secrets::device_keys;
use crate::space::Space;
use crate::sync::{lacking, waiting};
use crate::unsent::{unsent, waiting_since};

/// A device of the space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// What its owner calls it.
    pub name: String,
    /// What it may do; `None` while this device has not learnt of its own admission.
    pub role: Option<Role>,
    /// Whether it is this one.
    pub this: bool,
    /// Who admitted it.
    pub added_by: DeviceId,
    /// When, in milliseconds since 1970, as its admitter says.
    pub added: u64,
    /// Entries of its logs that are here.
    pub entries: u64,
    /// When it says it wrote the last of them, in milliseconds since 1970.
    pub last_heard: Option<u64>,
    /// When this device and that one last had the same over a link of their own, in milliseconds since 1970.
    pub last_met: Option<u64>,
    /// Entries here that it is not known to have, by what its own entries show; `None` if they show nothing.
    pub lacks: Option<u64>,
    /// Entries that it is known to have, or to have written, and that are not here.
    pub ahead: u64,
}

/// How a relay stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoadStatus {
    /// The relay.
    pub road: Road,
    /// When both sides last had the same, in milliseconds since 1970.
    pub last_contact: Option<u64>,
    /// Entries here that it is not known to have.
    pub to_send: u64,
    /// Their bytes; of many, those of the first.
    pub bytes_to_send: u64,
    /// Whether these are not all.
    pub is_more: bool,
    /// How long they wait for it: since when, in milliseconds since 1970, if it was met before.
    pub unsent_since: Option<u64>,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
    /// What it does that an honest relay does not.
    pub alerts: Vec<Alert>,
}

/// How things stand on this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// All devices, this one first, then by name.
    pub devices: Vec<Device>,
    /// All relays.
    pub roads: Vec<RoadStatus>,
    /// The folders that this device visits.
    pub folders: Vec<FolderStatus>,
    /// Entries that wait, by reason.
    pub waiting: Vec<Parked>,
    /// Entries of kinds that this program does not know.
    pub newer: usize,
    /// How many entries were refused for what they hold.
    pub bad: usize,
    /// The first few of them.
    pub set_aside: Vec<SetAside>,
    /// The checkpoints that are held, the newest first, and those that say something wrong.
    pub checkpoints: Vec<Checkpoint>,
    /// Whether there are recovery words; `None` until the first sync.
    pub recovery: Option<bool>,
}

/// Entries that wait for one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parked {
    /// For what.
    pub why: Waiting,
    /// How many.
    pub count: usize,
    /// Since when, as far as somebody has looked ([`Space::note_waiting`]), in milliseconds since 1970.
    pub since: Option<u64>,
}

/// An entry that was refused for what it holds. It is kept and forwarded, and says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its log.
    pub log: LogId,
    /// Its place there.
    pub seq: u64,
    /// The hash of its bytes.
    pub name: EntryName,
    /// What its device is called, if that is a member.
    pub device: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

/// So many are named.
const SET_ASIDE: usize = 20;

impl Space {
    /// All devices of the space, this one first, then by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn devices(&self) -> Result<Vec<Device>, Fault> {
        devices(&self.inner.store.read()?)
    }

    /// How things stand.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn status(&self) -> Result<Status, Fault> {
        let snapshot = self.inner.store.read()?;
        let mut road_states = Vec::new();
        let (roster, keys) = (Roster::load(&snapshot)?, keyring(&snapshot)?);
        for road in roads(&snapshot)? {
            let contact: ContactRecord = record(&snapshot, CONTACTS, &road.mailbox.0, "a contact")?.unwrap_or_default();
            let lacking = lacking(&snapshot, &contact)?;
            let unsent = unsent(&snapshot, &roster, &keys, lacking.iter().map(|(log, from, _)| (*log, *from)))?;
            let last_contact = Some(contact.last_contact).filter(|at| *at > 0);
            road_states.push(RoadStatus {
                alerts: alerts(&snapshot, &road.mailbox)?,
                road,
                last_contact,
                to_send: lacking.iter().map(|(_, _, count)| count).sum(),
                bytes_to_send: unsent.bytes,
                is_more: unsent.is_more,
                unsent_since: waits_since(unsent.since, last_contact),
                error: contact.error,
            });
        }
        let bad = snapshot.pairs(BAD, &[])?;
        Ok(Status {
            devices: devices(&snapshot)?,
            roads: road_states,
            folders: folder_states(&snapshot, &roster, &keys)?,
            waiting: parked(&snapshot)?,
            newer: snapshot.pairs(NEWER, &[])?.len(),
            bad: bad.len(),
            set_aside: set_aside(&snapshot, bad)?,
            checkpoints: checkpoints(&snapshot)?,
            recovery: roster.members.map(|members| !members.recovery().is_empty()),
        })
    }
}

/// What a road lacks was written, or came, after both had the same.
pub(crate) fn waits_since(written: Option<u64>, last_contact: Option<u64>) -> Option<u64> {
    Some(written?.max(last_contact?))
}

fn parked(read: &dyn Read) -> Result<Vec<Parked>, Fault> {
    let since = waiting_since(read)?;
    let since = |why| since.iter().find(|(known, _)| *known == why).map(|(_, since)| *since);
    Ok(waiting(read)?.into_iter().map(|(why, count)| Parked { why, count, since: since(why) }).collect())
}

/// What a device is not known to have of what is here, and how much of what it has or wrote is not.
fn compared(
    read: &dyn Read,
    roster: &Roster,
    device: &DeviceId,
    known: &BTreeMap<LogId, u64>,
) -> Result<(Option<u64>, u64), Fault> {
    let own = roster.logs_of(device);
    let heard = heard_by(read, &own)?;
    let vector = StoredLog::reading(read, SPACE_NUMBER).vector()?;
    let here = |log: &LogId| vector.tips(log).map(|tip| tip.seq).max().unwrap_or(0);
    let has = |log: &LogId| if own.contains(log) { u64::MAX } else { heard.get(log).copied().unwrap_or(0) };
    let lacks = vector.logs().map(|log| here(&log).saturating_sub(has(&log))).sum();
    let mut furthest = heard.clone();
    for log in &own {
        furthest.insert(*log, known.get(log).copied().unwrap_or(0));
    }
    let ahead = furthest.iter().map(|(log, seq)| seq.saturating_sub(here(log))).sum();
    Ok((Some(lacks).filter(|_| !heard.is_empty()), ahead))
}

fn set_aside(read: &dyn Read, bad: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Vec<SetAside>, Fault> {
    if bad.is_empty() {
        return Ok(Vec::new());
    }
    let mut roster = Roster::load(read)?;
    let name = |(key, reason): (Vec<u8>, Vec<u8>)| {
        let (log, Tip { seq, name }) = parse_place(&key)?;
        let author = roster.author(&log);
        let member = author.and_then(|author| roster.members.as_ref()?.get(&author));
        let device = member.map(|member| member.name.clone());
        Ok(SetAside { log, seq, name, device, reason: String::from_utf8_lossy(&reason).into_owned() })
    };
    bad.into_iter().take(SET_ASIDE).map(name).collect()
}

pub(crate) fn devices(read: &dyn Read) -> Result<Vec<Device>, Fault> {
    let roster = Roster::load(read)?;
    let own = device_keys(read)?.ok_or(Fault::NoKey)?.id();
    let (keys, known) = (keyring(read)?, known_of(read)?);
    let mut devices = Vec::new();
    if let Some(members) = &roster.members {
        for (id, member) in members.iter() {
            let (lacks, ahead) = match *id == own {
                true => (None, 0),
                false => compared(read, &roster, id, &known)?,
            };
            devices.push(Device {
                lacks,
                ahead,
                id: *id,
                name: member.name.clone(),
                role: Some(member.role),
                this: *id == own,
                added_by: member.added_by,
                added: member.time,
                entries: entries(read, &roster, id)?,
                last_heard: last_heard(read, &roster, id, &keys)?,
                last_met: crate::direct::last_contact(read, id)?,
            });
        }
    }
    if !devices.iter().any(|device| device.this) {
        let kept: DeviceRecord = record(read, Table::SETTINGS, DEVICE, "this device")?.ok_or(Fault::NoKey)?;
        let name = kept.name.clone();
        let entries = entries(read, &roster, &own)?;
        let (last_heard, last_met) = (None, None);
        let (lacks, ahead, role, added) = (None, 0, None, 0);
        let this = Device {
            id: own,
            name,
            role,
            this: true,
            added_by: own,
            added,
            entries,
            last_heard,
            last_met,
            lacks,
            ahead,
        };
        devices.push(this);
    }
    devices.sort_by(|a, b| (!a.this, &a.name, a.id).cmp(&(!b.this, &b.name, b.id)));
    Ok(devices)
}

fn last_heard(read: &dyn Read, roster: &Roster, device: &DeviceId, keys: &Keyring) -> Result<Option<u64>, Fault> {
    let mut last = None;
    for log in roster.logs_of(device) {
        let Some(tip) = applied(read, &log)?.into_iter().max() else { continue };
        let Some(entry) = entry_at(read, &log, tip)? else { continue };
        let opened = entry.open(&roster.space.space, keys.iter().map(|(id, _, key)| (id, key)));
        last = last.max(opened.ok().map(|(_, sealed)| sealed.time));
    }
    Ok(last)
}

fn entries(read: &dyn Read, roster: &Roster, device: &DeviceId) -> Result<u64, Fault> {
    let mut entries = 0;
    for log in roster.logs_of(device) {
        entries += applied(read, &log)?.iter().map(|tip| tip.seq).max().unwrap_or(0);
    }
    Ok(entries)
}
