//! Up to where a checkpoint may go: everything that was read and counts, and nothing that is undecided.

use std::collections::{BTreeMap, BTreeSet};

use ties_sealed_log::{EntryName, Log, LogId, Tip, TipRecord};
use ties_store::{Read, StoredLog, Table};

use crate::acceptance::{QUARANTINE, visit};
use crate::author::SPACE_NUMBER;
use crate::checkpoint::ground::{ends_of, ground, stands_at_ends};
use crate::level::NEWER;
use crate::lineage::Lineage;
use crate::records::{Fault, parse_place};

/// The ends of all logs below whatever waits or is held, sorted. It is closed: what builds on an entry that waits, waits,
/// and so does all that follows in its log; what follows a held entry is held.
pub(crate) fn cut(read: &dyn Read) -> Result<Vec<TipRecord>, Fault> {
    let mut undecided: BTreeMap<LogId, BTreeSet<Tip>> = BTreeMap::new();
    for table in [Table::PARKED, QUARANTINE] {
        read.visit_keys(table, (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded), &mut |key| {
            if let Ok((log, tip)) = parse_place(key) {
                undecided.entry(log).or_default().insert(tip);
            }
            std::ops::ControlFlow::Continue(())
        })?;
    }
    let stored = StoredLog::reading(read, SPACE_NUMBER);
    let mut cut = Vec::new();
    for log in stored.vector()?.logs() {
        let tips = match undecided.get(&log) {
            None => stored.tips(&log)?,
            Some(undecided) => below(read, &log, undecided)?,
        };
        cut.extend(tips.into_iter().map(|tip| TipRecord { log, tip }));
    }
    cut.sort_unstable();
    Ok(cut)
}

/// The ends of what stands below the undecided entries of a log.
fn below(read: &dyn Read, log: &LogId, undecided: &BTreeSet<Tip>) -> Result<Vec<Tip>, Fault> {
    let stored = StoredLog::reading(read, SPACE_NUMBER);
    let Some(first) = undecided.first() else { return Ok(stored.tips(log)?) };
    if stored.forked_at(log)?.is_none_or(|fork| first.seq < fork) {
        let before = first.seq - 1;
        let name = stored.names(log, before)?.into_iter().next();
        return Ok(name.map(|name| Tip { seq: before, name }).into_iter().collect());
    }
    // Above a fork the branches must be followed one by one.
    let mut outside: BTreeSet<EntryName> = BTreeSet::new();
    let mut tips: BTreeSet<Tip> = BTreeSet::new();
    visit(read, log, |entry| {
        let here = Tip { seq: entry.seq(), name: entry.name() };
        if undecided.contains(&here) || outside.contains(&entry.prev()) {
            outside.insert(here.name);
            return Ok(());
        }
        tips.retain(|tip| tip.name != entry.prev());
        tips.insert(here);
        Ok(())
    })?;
    Ok(tips.into_iter().collect())
}

/// Whether this program knows every entry that is here: what it does not know may say something of documents.
pub(crate) fn knows_all(read: &dyn Read) -> Result<bool, Fault> {
    Ok(read.pairs(NEWER, &[])?.is_empty())
}

/// Whether everything up to a cut is here and counts.
pub(crate) fn has_all(read: &dyn Read, wanted: &[TipRecord]) -> Result<bool, Fault> {
    let mine = cut(read)?;
    for (log, ends) in ends_of(wanted) {
        let lineage = Lineage::of(read, &log)?;
        let counts = |end: &Tip| mine.iter().any(|own| own.log == log && lineage.is_below(*end, own.tip));
        // An end in the ground is below whatever the log goes on with.
        let ground = ground(read, &log)?;
        if !stands_at_ends(read, &log, &ends)? || !ends.iter().all(|end| ground.contains(end) || counts(end)) {
            return Ok(false);
        }
    }
    Ok(true)
}
