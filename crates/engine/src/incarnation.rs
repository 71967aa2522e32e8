//! A device's logs, one after the other: when one is not gone on with, and what its owner is told of it.
//!
//! Two programs must not write one log. Where this one may not be alone with it, the log is closed: what follows goes into
//! a new one, whose first entry names the end of the old one. Whatever the other program wrote is a device's word like any
//! other, and merges.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use ties_sealed_log::{DeviceId, Entry, Log, LogId, Tip, TipRecord};
use ties_store::{Read, StoredLog, Table, Transaction};

use crate::author::{Keyring, SPACE_NUMBER, applied, keyring, log_key, open_log, own_log};
use crate::checkpoint;
use crate::environment::Environment;
use crate::records::{Fault, LOG, LOGS_TOLD, MARK, OWN_LOGS, PLACES, WRITTEN, put_record, record};
use crate::roster::Roster;
use crate::secrets::device_keys;
use crate::space::Space;

/// Why this device goes on in another log than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Parting {
    /// The database is not where it was: it was copied, restored, or taken to another disk or machine.
    Moved,
    /// The log has two ends: a copy of the database wrote too, or this one is older than what it wrote before.
    Forked,
    /// The log was gone on with elsewhere: as with two ends, but nothing was written here since.
    Continued,
}

/// What a device's owner is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogNews {
    /// This device goes on in a new log, or will at its next write.
    Parted(Parting),
    /// A log of this device came that was not opened here: a copy of its database writes too.
    Copied,
}

/// One of the logs of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incarnation {
    /// The log.
    pub log: LogId,
    /// When its device says that it opened it, in milliseconds since 1970; `None` if that cannot be read yet.
    pub opened: Option<u64>,
    /// How many entries of it count here.
    pub entries: u64,
    /// Whether this device goes on with it.
    pub present: bool,
    /// Whether it was opened by this very database, or one that it was copied from.
    pub here: bool,
}

/// What the owner has been told of.
#[derive(Default, Serialize, Deserialize)]
struct Told {
    /// The last log of which it was told that it ends.
    ended: Option<LogId>,
    /// A log was left, and that was not told yet.
    untold: Option<Parting>,
    /// Logs of this device that were opened elsewhere.
    copies: BTreeSet<LogId>,
    /// Whoever was told that a log ended need not be told of the logs in which the other side of it goes on.
    expects_copies: bool,
}

/// A place where the database was, and where the log that was written there ended then.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Place {
    mark: [u8; 32],
    written: TipRecord,
}

/// How many places are remembered; whoever boots two systems, or has a home on two machines, needs two.
const MOST_PLACES: usize = 8;

/// How this program stands to its device's log.
enum Standing {
    Alone,
    /// The database is back where it was before, and the log that was written there has its end.
    Back(Place),
    Parted(Parting),
}

/// Sees before each entry that it goes into a log which this program is alone with.
pub(crate) fn go_on(transaction: &mut Transaction, environment: &mut Environment) -> Result<(), Fault> {
    let Some(key) = log_key(transaction)? else { return Ok(()) };
    let log = key.id();
    let parting = match standing(transaction, &log, environment.mark())? {
        Standing::Alone => return adopt(transaction, environment),
        Standing::Back(place) => {
            leave_place(transaction)?;
            put_record(transaction, OWN_LOGS, &log.0, key.secret().expose())?;
            return return_to(transaction, &place);
        }
        Standing::Parted(parting) => parting,
    };
    leave_place(transaction)?;
    let mut told = told(transaction)?;
    if told.ended != Some(log) {
        told.untold = Some(parting);
        put_record(transaction, Table::SETTINGS, LOGS_TOLD, &told)?;
    }
    put_record(transaction, OWN_LOGS, &log.0, key.secret().expose())?;
    let device = device_keys(transaction)?.ok_or(Fault::NoKey)?;
    open_log(transaction, environment, &device).map(|_| ())
}

/// Goes into a new log in a database that was made of a backup, as far as this device may write. Whoever restored it knows
/// of that, and need not be told of the logs in which the other side of the old one goes on.
pub(crate) fn begin_anew(transaction: &mut Transaction, environment: &mut Environment) -> Result<(), Fault> {
    let Some(key) = log_key(transaction)? else { return Ok(()) };
    let log = key.id();
    leave_place(transaction)?;
    let told = Told { ended: Some(log), untold: None, expects_copies: true, ..told(transaction)? };
    put_record(transaction, Table::SETTINGS, LOGS_TOLD, &told)?;
    put_record(transaction, OWN_LOGS, &log.0, key.secret().expose())?;
    let device = device_keys(transaction)?.ok_or(Fault::NoKey)?;
    match open_log(transaction, environment, &device) {
        Err(Fault::ReadOnly | Fault::Removed | Fault::NoKey) => {
            // No log of such a device is opened now; should it ever write, it is somewhere else than it was.
            put_record(transaction, Table::SETTINGS, LOG, key.secret().expose())?;
            put_record(transaction, Table::SETTINGS, MARK, &[0u8; 32])
        }
        opened => opened.map(drop),
    }
}

/// Notes where the database is while a log is opened.
pub(crate) fn settle(transaction: &mut Transaction, environment: &mut Environment) -> Result<(), Fault> {
    environment.mark().map_or(Ok(()), |mark| put_record(transaction, Table::SETTINGS, MARK, &mark))
}

/// Notes that an entry of the present log was written here, and not received.
pub(crate) fn wrote(transaction: &mut Transaction, entry: &Entry) -> Result<(), Fault> {
    let tip = Tip { seq: entry.seq(), name: entry.name() };
    put_record(transaction, Table::SETTINGS, WRITTEN, &TipRecord { log: entry.log(), tip })
}

/// A database of an earlier version has no mark; where it is now is taken for where it was.
fn adopt(transaction: &mut Transaction, environment: &mut Environment) -> Result<(), Fault> {
    if transaction.get(Table::SETTINGS, MARK)?.is_some() { Ok(()) } else { settle(transaction, environment) }
}

/// Remembers where the present log was written, and its end.
fn leave_place(transaction: &mut Transaction) -> Result<(), Fault> {
    let (Some(mark), Some(written)) = (kept_mark(transaction)?, written(transaction)?) else { return Ok(()) };
    let mut places = places(transaction)?;
    places.retain(|place| place.mark != mark);
    places.push(Place { mark, written });
    let excess = places.len().saturating_sub(MOST_PLACES);
    put_record(transaction, Table::SETTINGS, PLACES, &places.split_off(excess))
}

/// Goes on with the log that was written at a place.
fn return_to(transaction: &mut Transaction, place: &Place) -> Result<(), Fault> {
    let key = own_log(transaction, &place.written.log)?.ok_or(Fault::Damaged("a log key"))?;
    put_record(transaction, Table::SETTINGS, LOG, key.secret().expose())?;
    put_record(transaction, Table::SETTINGS, MARK, &place.mark)?;
    put_record(transaction, Table::SETTINGS, WRITTEN, &place.written)
}

fn kept_mark(read: &dyn Read) -> Result<Option<[u8; 32]>, Fault> {
    record(read, Table::SETTINGS, MARK, "the install mark")
}

fn written(read: &dyn Read) -> Result<Option<TipRecord>, Fault> {
    record(read, Table::SETTINGS, WRITTEN, "the last entry")
}

fn places(read: &dyn Read) -> Result<Vec<Place>, Fault> {
    Ok(record(read, Table::SETTINGS, PLACES, "earlier places")?.unwrap_or_default())
}

/// Whether the present log can be gone on with, and why not.
fn standing(read: &dyn Read, log: &LogId, mark: Option<[u8; 32]>) -> Result<Standing, Fault> {
    let tips = StoredLog::reading(read, SPACE_NUMBER).tips(log)?;
    if tips.is_empty() {
        // It is being opened.
        return Ok(Standing::Alone);
    }
    if let (Some(mark), Some(kept)) = (mark, kept_mark(read)?)
        && mark != kept
    {
        let back = places(read)?.into_iter().find(|place| place.mark == mark);
        return Ok(match back {
            Some(place) if ends_at(read, &place.written)? => Standing::Back(place),
            _ => Standing::Parted(Parting::Moved),
        });
    }
    let alone = match written(read)? {
        Some(last) if last.log == *log => tips == [last.tip],
        _ => true,
    };
    Ok(match tips.len() {
        1 if alone => Standing::Alone,
        1 => Standing::Parted(Parting::Continued),
        _ => Standing::Parted(Parting::Forked),
    })
}

fn ends_at(read: &dyn Read, end: &TipRecord) -> Result<bool, Fault> {
    Ok(StoredLog::reading(read, SPACE_NUMBER).tips(&end.log)? == [end.tip])
}

fn told(read: &dyn Read) -> Result<Told, Fault> {
    Ok(record(read, Table::SETTINGS, LOGS_TOLD, "what was told of logs")?.unwrap_or_default())
}

/// What there is to tell, and what will have been told then.
fn news(read: &dyn Read, mark: Option<[u8; 32]>) -> Result<Option<(Option<LogNews>, Told)>, Fault> {
    let mut told = told(read)?;
    let mut news = None;
    if let Some(parted) = told.untold.take() {
        news = Some(LogNews::Parted(parted));
    }
    if let Some(log) = log_key(read)?.map(|key| key.id())
        && told.ended != Some(log)
        && let Standing::Parted(parting) = standing(read, &log, mark)?
    {
        told.ended = Some(log);
        news = news.or(Some(LogNews::Parted(parting)));
    }
    told.expects_copies |= news.is_some();
    let copies = copies(read, &told.copies)?;
    if copies.is_empty() {
        return Ok(news.map(|news| (Some(news), told)));
    }
    let expected = std::mem::take(&mut told.expects_copies);
    told.copies.extend(copies);
    Ok(Some((news.or(Some(LogNews::Copied).filter(|_| !expected)), told)))
}

/// The logs of this device that were opened elsewhere, without those that are known.
fn copies(read: &dyn Read, known: &BTreeSet<LogId>) -> Result<Vec<LogId>, Fault> {
    let Some(device) = device_keys(read)? else { return Ok(Vec::new()) };
    let mut roster = Roster::load(read)?;
    let mut copies = Vec::new();
    for log in roster.logs_of(&device.id()) {
        // Anybody can claim a log for this device; only its own signature makes it one.
        let new = !known.contains(&log) && own_log(read, &log)?.is_none();
        if new && roster.author(&log) == Some(device.id()) {
            copies.push(log);
        }
    }
    Ok(copies)
}

impl Space {
    /// What this device's owner should know of its logs and has not been told: each is given once.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn log_news(&self) -> Result<Option<LogNews>, Fault> {
        let mark = self.inner.environment().mark();
        if news(&self.inner.store.read()?, mark)?.is_none() {
            return Ok(None);
        }
        let mut transaction = self.inner.store.write()?;
        // Another process may have told it meanwhile.
        let Some((news, told)) = news(&transaction, mark)? else { return Ok(None) };
        put_record(&mut transaction, Table::SETTINGS, LOGS_TOLD, &told)?;
        transaction.commit()?;
        Ok(news)
    }

    /// Whether a write left a log, and [`Self::log_news`] has not told it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn has_parted(&self) -> Result<bool, Fault> {
        Ok(told(&self.inner.store.read()?)?.untold.is_some())
    }

    /// The device that writes a log, or wrote it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn writer_of(&self, log: &LogId) -> Result<Option<DeviceId>, Fault> {
        Ok(Roster::load(&self.inner.store.read()?)?.author(log))
    }

    /// The logs of every device, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn incarnations(&self) -> Result<BTreeMap<DeviceId, Vec<Incarnation>>, Fault> {
        let snapshot = self.inner.store.read()?;
        let mut roster = Roster::load(&snapshot)?;
        let keys = keyring(&snapshot)?;
        let present = log_key(&snapshot)?.map(|key| key.id());
        let mut found: BTreeMap<DeviceId, Vec<Incarnation>> = BTreeMap::new();
        for log in StoredLog::reading(&snapshot, SPACE_NUMBER).vector()?.logs() {
            let Some(device) = roster.author(&log) else { continue };
            found.entry(device).or_default().push(Incarnation {
                log,
                opened: opened(&snapshot, &roster, &log, &keys)?,
                entries: applied(&snapshot, &log)?.iter().map(|tip| tip.seq).max().unwrap_or(0),
                present: present == Some(log),
                here: own_log(&snapshot, &log)?.is_some(),
            });
        }
        found.values_mut().for_each(|logs| logs.sort_by_key(|one| (one.opened, one.present, one.log)));
        Ok(found)
    }
}

fn opened(read: &dyn Read, roster: &Roster, log: &LogId, keys: &Keyring) -> Result<Option<u64>, Fault> {
    let first = checkpoint::opening_of(read, log)?;
    let keys = keys.iter().map(|(id, _, key)| (id, key));
    Ok(first.and_then(|entry| entry.open(&roster.space.space, keys).ok()).map(|(_, sealed)| sealed.time))
}
