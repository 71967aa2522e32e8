//! What the files of a folder hold, and what this device has that none of them does.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use ties_sealed_log::{Entry, EntryName, Log, LogId, decode, hash};
use ties_store::{Read, StoredLog};
use ties_sync::Run;

use super::{FOLDER_FILES, FileRecord, FolderKey};
use crate::author::SPACE_NUMBER;
use crate::records::Fault;

/// Files that were read as a whole, by name.
pub(super) type Files = BTreeMap<Vec<u8>, FileRecord>;

/// What was in a folder at the last visit.
pub(super) fn files(read: &dyn Read, folder: &FolderKey) -> Result<Files, Fault> {
    let mut files = Files::new();
    for (key, bytes) in read.pairs(FOLDER_FILES, folder)? {
        let kept = decode(&bytes).map_err(|_| Fault::Damaged("a file of a folder"))?;
        files.insert(key[folder.len()..].to_vec(), kept);
    }
    Ok(files)
}

/// Names what is here and what is there.
pub(super) fn digest(read: &dyn Read, files: &Files) -> Result<[u8; 32], Fault> {
    let vector = StoredLog::reading(read, SPACE_NUMBER).vector()?.digest();
    let mut listed = Vec::new();
    for (name, file) in files {
        listed.extend_from_slice(&(name.len() as u64).to_be_bytes());
        listed.extend_from_slice(name);
        listed.extend_from_slice(&file.length.to_be_bytes());
        listed.extend_from_slice(&file.modified.to_be_bytes());
    }
    Ok(hash("ties1/folder-complete", &[&vector, &listed]))
}

/// What of one log no file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// How many entries.
    pub(super) count: u64,
    /// At which places.
    places: Vec<RangeInclusive<u64>>,
    /// Entries at these places that are held all the same: those of other branches.
    held: BTreeSet<EntryName>,
}

impl Missing {
    /// The first place of which something is missing.
    pub(super) fn first(&self) -> Option<u64> {
        self.places.iter().map(|places| *places.start()).min()
    }
}

/// What of each log no file holds; logs of which nothing is missing are left out.
pub(super) fn missing(read: &dyn Read, files: &Files) -> Result<Vec<(LogId, Missing)>, Fault> {
    let log = StoredLog::reading(read, SPACE_NUMBER);
    let mut runs: BTreeMap<LogId, Vec<Run>> = BTreeMap::new();
    for run in files.values().flat_map(|file| &file.runs) {
        runs.entry(run.log).or_default().push(*run);
    }
    let mut all = Vec::new();
    for id in log.vector()?.logs() {
        let missing = missing_of(&log, &id, runs.remove(&id).unwrap_or_default())?;
        if missing.count > 0 {
            all.push((id, missing));
        }
    }
    Ok(all)
}

fn missing_of(log: &StoredLog<'_>, id: &LogId, mut runs: Vec<Run>) -> Result<Missing, Fault> {
    // Names are hashes of bytes with the name before them: a run whose end is here is here as a whole, whoever wrote it.
    let mut known = Vec::new();
    for run in runs.drain(..) {
        if log.names(id, run.tip.seq)?.contains(&run.tip.name) {
            known.push(run);
        }
    }
    let last = log.tips(id)?.iter().map(|tip| tip.seq).max().unwrap_or(0);
    // Below the lowest fork there is one entry at each place.
    let fork = log.forked_at(id)?;
    let straight = fork.map_or(last, |fork| fork - 1);
    // What a checkpoint stands for here is not here to be given; whoever has it leaves it.
    let begins = log.base(id)?.first().map_or(0, |tip| tip.seq);
    let mut missing = Missing { places: gaps(&known, begins, straight), ..Missing::default() };
    missing.count = missing.places.iter().map(|gap| gap.end() - gap.start() + 1).sum();
    if let Some(fork) = fork {
        let held = held_above(log, id, fork, &known)?;
        let lacking = held.1 - held.0.len() as u64;
        if lacking > 0 {
            missing.places.push(fork..=last);
            missing.count += lacking;
            missing.held = held.0;
        }
    }
    Ok(missing)
}

/// The places above `begins` and up to `last` that no run has.
fn gaps(runs: &[Run], begins: u64, last: u64) -> Vec<RangeInclusive<u64>> {
    let mut stretches: Vec<(u64, u64)> = runs.iter().map(|run| (run.first, run.tip.seq)).collect();
    stretches.sort_unstable();
    let (mut next, mut gaps) = (begins + 1, Vec::new());
    for (first, end) in stretches {
        if first > last {
            break;
        }
        if first > next {
            gaps.push(next..=first - 1);
        }
        next = next.max(end.saturating_add(1));
    }
    if next <= last {
        gaps.push(next..=last);
    }
    gaps
}

/// The entries from a fork on that some run holds, and how many there are in all.
fn held_above(log: &StoredLog<'_>, id: &LogId, fork: u64, runs: &[Run]) -> Result<(BTreeSet<EntryName>, u64), Fault> {
    let (mut before, mut total) = (BTreeMap::new(), 0);
    walk(log, id, fork..=u64::MAX, &mut |entry| {
        before.insert(entry.name(), (entry.seq(), entry.prev()));
        total += 1;
        Ok::<(), Fault>(())
    })?;
    let mut held = BTreeSet::new();
    for run in runs {
        let mut name = run.tip.name;
        while let Some((seq, prev)) = before.get(&name) {
            if *seq < run.first {
                break;
            }
            held.insert(name);
            name = *prev;
        }
    }
    Ok((held, total))
}

/// Gives every entry that is missing, in order of place.
pub(super) fn each_missing<E: From<Fault>>(
    read: &dyn Read,
    id: &LogId,
    missing: &Missing,
    give: &mut impl FnMut(&Entry) -> Result<(), E>,
) -> Result<(), E> {
    let log = StoredLog::reading(read, SPACE_NUMBER);
    for places in &missing.places {
        walk(&log, id, places.clone(), &mut |entry| {
            if missing.held.contains(&entry.name()) { Ok(()) } else { give(entry) }
        })?;
    }
    Ok(())
}

fn walk<E: From<Fault>>(
    log: &StoredLog<'_>,
    id: &LogId,
    places: RangeInclusive<u64>,
    give: &mut impl FnMut(&Entry) -> Result<(), E>,
) -> Result<(), E> {
    let mut last = places.start() - 1;
    loop {
        let entries = log.after(id, last, READ).map_err(Fault::from)?;
        let Some(end) = entries.last() else { return Ok(()) };
        last = end.seq();
        for entry in &entries {
            if entry.seq() > *places.end() {
                return Ok(());
            }
            give(entry)?;
        }
    }
}

/// Entries that are in memory at a time.
const READ: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use ties_sealed_log::Tip;

    use super::*;

    #[test]
    fn gaps_are_what_no_run_has() {
        let run = |first, seq| {
            let (log, name) = (LogId([1; 32]), EntryName([2; 32]));
            Run { log, first, prev: name, tip: Tip { seq, name } }
        };
        assert_eq!(gaps(&[], 0, 0), []);
        assert_eq!(gaps(&[], 0, 5), [1..=5]);
        assert_eq!(gaps(&[run(1, 5)], 0, 5), []);
        assert_eq!(gaps(&[run(4, 4), run(2, 2), run(2, 3)], 0, 9), [1..=1, 5..=9]);
        assert_eq!(gaps(&[run(1, 9), run(2, 3), run(12, 20)], 0, 10), [10..=10]);
        assert_eq!(gaps(&[run(1, u64::MAX)], 0, 10), []);
        assert_eq!(gaps(&[run(1, 2), run(6, 7)], 4, 9), [5..=5, 8..=9]);
        assert_eq!(gaps(&[], 9, 9), []);
    }
}
