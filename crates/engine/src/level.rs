//! Programs of different ages in one space: what this one does not know yet is kept until it does, and nobody writes what
//! others cannot read before their owner was asked.

use std::collections::BTreeMap;

use ties_sealed_log::{Entry, Log, LogId, Payload, Raise, Reads, decode};
use ties_store::{Read, Table, Transaction};

use crate::absorb::absorb;
use crate::author::{SPACE_NUMBER, append};
use crate::document::Projection;
use crate::environment::Environment;
use crate::records::{BAD, Fault, parse_place, put_record, record};
use crate::removal::MemberError;
use crate::roster::Roster;
use crate::space::Space;
use crate::status::{Device, devices};

/// Entries of kinds that this program does not know, by place, with their kinds.
pub(crate) const NEWER: Table = Table::named("engine/newer");
/// The level of the program that writes a log, as it says itself, by log.
const READS: Table = Table::named("engine/reads");
/// The level of the program that read the entries last.
const READ_AT: &[u8] = b"level";
/// The level that this device has told the others of.
const TOLD: &[u8] = b"level-told";
/// For tests: kinds that are not known here, as if the program were an earlier one.
#[cfg(feature = "test-support")]
pub(crate) const IGNORED: &[u8] = b"ignored-kinds";

/// What programs everybody has, and what the space asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    /// This program's.
    pub program: u16,
    /// The least that a program must have to write.
    pub space: u16,
    /// Of each member, this device first, then by name.
    pub devices: Vec<(Device, u16)>,
    /// Entries that are kept here and that this program does not know.
    pub newer: usize,
}

impl Space {
    /// What programs everybody has, and what the space asks for.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn levels(&self) -> Result<Levels, Fault> {
        let program = self.inner.environment().level();
        let snapshot = self.inner.store.read()?;
        let roster = Roster::load(&snapshot)?;
        let said: BTreeMap<LogId, u16> = said(&snapshot)?;
        let mut listed = Vec::new();
        for device in devices(&snapshot)? {
            let logs = roster.logs_of(&device.id);
            let highest = logs.iter().filter_map(|log| said.get(log)).max().copied().unwrap_or(1);
            let level = if device.this { program } else { highest };
            listed.push((device, level));
        }
        let space = roster.members.map_or(1, |members| members.level());
        Ok(Levels { program, space, devices: listed, newer: snapshot.pairs(NEWER, &[])?.len() })
    }

    /// Lets this program's level be used from now on: devices with programs below it can write no more until they have a newer
    /// one. [`Self::levels`] says which they are.
    ///
    /// # Errors
    /// When this device is no admin, or the level is not above the space's, or above this program's own.
    pub fn raise_level(&self, level: u16) -> Result<(), MemberError> {
        if level > self.inner.environment().level() {
            return Err(MemberError::Level);
        }
        self.decide(|_, members, _| {
            if level <= members.level() {
                return Err(MemberError::Unchanged);
            }
            Ok(Payload::Raise(Raise { parents: members.heads().to_vec(), level }))
        })
    }

    /// A program of another level than the one that wrote the database reads what that one could not.
    pub(crate) fn read_anew(&self) -> Result<(), Fault> {
        let level = self.inner.environment().level();
        let last: Option<u16> = record(&self.inner.store.read()?, Table::SETTINGS, READ_AT, "the level")?;
        if last.unwrap_or(1) == level {
            return Ok(());
        }
        let mut transaction = self.inner.store.write()?;
        read_kept(&mut transaction, &*self.inner.projection)?;
        put_record(&mut transaction, Table::SETTINGS, READ_AT, &level)?;
        crate::epochs::reconsider(&mut transaction)?;
        transaction.commit()?;
        self.inner.committed();
        Ok(())
    }
}

/// Judges again what was not known, and what looked wrong, perhaps for want of that.
fn read_kept(transaction: &mut Transaction, projection: &dyn Projection) -> Result<(), Fault> {
    let mut entries = Vec::new();
    for table in [NEWER, BAD] {
        for (place, _) in transaction.pairs(table, &[])? {
            // Below the base of its log there is nothing left of it, and nothing to judge.
            entries.extend(load(transaction, &place)?);
            transaction.remove(table, &place)?;
        }
    }
    entries.sort_by_key(|entry| (entry.log(), entry.seq()));
    absorb(transaction, projection, entries).map(|_| ())
}

fn load(transaction: &mut Transaction, place: &[u8]) -> Result<Option<Entry>, Fault> {
    let (log, tip) = parse_place(place)?;
    let found = transaction.log(SPACE_NUMBER).after(&log, tip.seq - 1, 0)?;
    Ok(found.into_iter().find(|entry| entry.name() == tip.name))
}

/// Notes an entry of a kind that is not known here.
pub(crate) fn keep(transaction: &mut Transaction, place: &[u8], kind: u16) -> Result<(), Fault> {
    put_record(transaction, NEWER, place, &kind)
}

/// Takes what another device's program says of itself.
pub(crate) fn learn(transaction: &mut Transaction, log: &LogId, reads: Reads) -> Result<(), Fault> {
    put_record(transaction, READS, &log.0, &reads.level)
}

fn said(read: &dyn Read) -> Result<BTreeMap<LogId, u16>, Fault> {
    let parse = |(log, level): (Vec<u8>, Vec<u8>)| {
        let log = LogId(log.try_into().map_err(|_| Fault::Damaged("a level"))?);
        Ok((log, decode(&level).map_err(|_| Fault::Damaged("a level"))?))
    };
    read.pairs(READS, &[])?.into_iter().map(parse).collect()
}

/// Whether the others have yet to hear of this program's level. The first goes without saying.
pub(crate) fn owes_level(read: &dyn Read, level: u16) -> Result<bool, Fault> {
    let told: Option<u16> = record(read, Table::SETTINGS, TOLD, "the level")?;
    Ok(told.unwrap_or(1) != level)
}

/// Tells the others.
pub(crate) fn tell(transaction: &mut Transaction, environment: &mut Environment) -> Result<(), Fault> {
    let level = environment.level();
    let entry = append(transaction, environment, &Payload::Reads(Reads { level }))?;
    learn(transaction, &entry.log(), Reads { level })?;
    put_record(transaction, Table::SETTINGS, TOLD, &level)
}

/// The kinds that this program takes for unknown, though it knows them.
pub(crate) fn ignored(read: &dyn Read) -> Result<Vec<u16>, Fault> {
    #[cfg(feature = "test-support")]
    return Ok(record(read, Table::SETTINGS, IGNORED, "ignored kinds")?.unwrap_or_default());
    #[cfg(not(feature = "test-support"))]
    {
        let _ = read;
        Ok(Vec::new())
    }
}
