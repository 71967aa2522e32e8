//! Which logs show that their devices have heard of something: a removal, or that a device may only read now.
//!
//! An entry knows a *subject* when the subject stands in its causal past. Of each log the first entries that know one are
//! kept; whatever follows them knows it too. So the answer is a function of the entries, and costs one record a log.

use ties_sealed_log::{Dep, Entry, EntryName, LogId, Tip, TipRecord, decode};
use ties_store::{Read, Table, Transaction};

use crate::checkpoint::Heard;
use crate::lineage::Lineage;
use crate::records::{Fault, put_record, record};

/// The first entries of each log that know a subject: by subject and log.
const KNOWN: Table = Table::named("engine/known");

/// Notes that an entry was read: which of the subjects it knows follows from the one before it and from its deps.
pub(crate) fn learn(
    transaction: &mut Transaction,
    subjects: &[EntryName],
    entry: &Entry,
    deps: &[Dep],
) -> Result<(), Fault> {
    let place = Tip { seq: entry.seq(), name: entry.name() };
    for subject in subjects {
        if knows(transaction, subject, &entry.log(), place)? {
            continue;
        }
        let mut heard = entry.name() == *subject;
        for dep in deps {
            heard = heard || knows(transaction, subject, &dep.log, Tip { seq: dep.seq, name: dep.name })?;
        }
        if heard {
            let key = key(subject, &entry.log());
            let mut first: Vec<Tip> = record(transaction, KNOWN, &key, "who knows what")?.unwrap_or_default();
            first.push(place);
            put_record(transaction, KNOWN, &key, &first)?;
        }
    }
    Ok(())
}

/// Whether the entry at a place knows a subject.
pub(crate) fn knows(read: &dyn Read, subject: &EntryName, log: &LogId, at: Tip) -> Result<bool, Fault> {
    let first = first_to_know(read, subject, log)?;
    if first.is_empty() {
        return Ok(false);
    }
    let lineage = Lineage::of(read, log)?;
    Ok(first.into_iter().any(|first| lineage.is_below(first, at)))
}

/// The first entries of a log that know a subject, one for each branch that does; none if the log does not.
pub(crate) fn first_to_know(read: &dyn Read, subject: &EntryName, log: &LogId) -> Result<Vec<Tip>, Fault> {
    Ok(record(read, KNOWN, &key(subject, log), "who knows what")?.unwrap_or_default())
}

/// All that is known of who knows what, at or below a cut: which logs have heard, and with which entry first.
pub(crate) fn heard_below(read: &dyn Read, cut: &[TipRecord]) -> Result<Vec<Heard>, Fault> {
    let mut heard = Vec::new();
    for (key, first) in read.pairs(KNOWN, &[])? {
        let (subject, log) = key.split_at_checked(32).ok_or(Fault::Damaged("who knows what"))?;
        let array = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).map_err(|_| Fault::Damaged("who knows what"));
        let (subject, log) = (EntryName(array(subject)?), LogId(array(log)?));
        let first: Vec<Tip> = decode(&first).map_err(|_| Fault::Damaged("who knows what"))?;
        let lineage = Lineage::of(read, &log)?;
        let ends: Vec<Tip> = cut.iter().filter(|end| end.log == log).map(|end| end.tip).collect();
        let below = first.into_iter().filter(|tip| ends.iter().any(|end| lineage.is_below(*tip, *end)));
        heard.extend(below.map(|tip| Heard { subject, first: TipRecord { log, tip } }));
    }
    heard.sort_unstable();
    Ok(heard)
}

/// Takes over from a checkpoint who knows what.
pub(crate) fn hear(transaction: &mut Transaction, heard: &[Heard]) -> Result<(), Fault> {
    for Heard { subject, first: TipRecord { log, tip } } in heard {
        if !knows(transaction, subject, log, *tip)? {
            let key = key(subject, log);
            let mut first: Vec<Tip> = record(transaction, KNOWN, &key, "who knows what")?.unwrap_or_default();
            let lineage = Lineage::of(transaction, log)?;
            first.retain(|later| !lineage.is_below(*tip, *later));
            first.push(*tip);
            put_record(transaction, KNOWN, &key, &first)?;
        }
    }
    Ok(())
}

fn key(subject: &EntryName, log: &LogId) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(&subject.0);
    key[32..].copy_from_slice(&log.0);
    key
}
