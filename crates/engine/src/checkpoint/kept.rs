//! Entries that outlive their places: those that say who belongs, where the members meet, and whose each log is.

use ties_sealed_log::{Entry, EntryName, Log, LogId, Tip, TipRecord, decode};
use ties_store::{Read, StoredLog, Table, Transaction};

use crate::author::SPACE_NUMBER;
use crate::lineage::Lineage;
use crate::records::{Fault, MEMBERSHIP, MembershipRecord, place_key};

/// Their exact bytes, by place, where the log does not hold them.
const KEPT: Table = Table::named("engine/kept-entries");

/// The entry at a place, from its log or from those that are kept beside it.
pub(crate) fn entry_at(read: &dyn Read, log: &LogId, at: Tip) -> Result<Option<Entry>, Fault> {
    let found = StoredLog::reading(read, SPACE_NUMBER).after(log, at.seq.saturating_sub(1), 0)?;
    if let Some(entry) = found.into_iter().find(|entry| entry.name() == at.name) {
        return Ok(Some(entry));
    }
    read.get(KEPT, &place_key(log, at))?.map(|bytes| kept(&bytes)).transpose()
}

/// The first entry of a log.
pub(crate) fn opening_of(read: &dyn Read, log: &LogId) -> Result<Option<Entry>, Fault> {
    let found = StoredLog::reading(read, SPACE_NUMBER).after(log, 0, 0)?.into_iter().next();
    if found.as_ref().is_some_and(|entry| entry.seq() == 1) {
        return Ok(found);
    }
    let first = &place_key(log, Tip { seq: 1, name: EntryName::NONE })[..40];
    read.pairs(KEPT, first)?.first().map(|(_, bytes)| kept(bytes)).transpose()
}

/// Keeps entries beside their logs.
pub(crate) fn keep(transaction: &mut Transaction, entries: &[Entry]) -> Result<(), Fault> {
    for entry in entries {
        let at = Tip { seq: entry.seq(), name: entry.name() };
        transaction.put(KEPT, &place_key(&entry.log(), at), entry.bytes())?;
    }
    Ok(())
}

/// What a checkpoint with this cut carries along: of its logs the openings, and all entries about members, keys and roads.
pub(crate) struct Carried {
    pub(crate) openings: Vec<Entry>,
    pub(crate) membership: Vec<Entry>,
}

impl Carried {
    pub(crate) fn below(read: &dyn Read, cut: &[TipRecord]) -> Result<Self, Fault> {
        let mut carried = Self { openings: Vec::new(), membership: Vec::new() };
        for logs in cut.chunk_by(|one, next| one.log == next.log) {
            let opening = opening_of(read, &logs[0].log)?;
            carried.openings.push(opening.ok_or(Fault::Damaged("the opening of a log"))?);
        }
        for (name, bytes) in read.pairs(MEMBERSHIP, &[])? {
            let name = EntryName(name.try_into().map_err(|_| Fault::Damaged("a membership entry"))?);
            let kept: MembershipRecord = decode(&bytes).map_err(|_| Fault::Damaged("a membership entry"))?;
            let at = Tip { seq: kept.seq, name };
            let lineage = Lineage::of(read, &kept.log)?;
            if cut.iter().any(|end| end.log == kept.log && lineage.is_below(at, end.tip)) {
                let entry = entry_at(read, &kept.log, at)?;
                carried.membership.push(entry.ok_or(Fault::Damaged("a membership entry"))?);
            }
        }
        carried.membership.sort_by_key(|entry| (entry.log(), entry.seq(), entry.name()));
        Ok(carried)
    }
}

fn kept(bytes: &[u8]) -> Result<Entry, Fault> {
    Entry::from_store(bytes).map_err(|_| Fault::Damaged("a kept entry"))
}
