//! A log in memory, for tests and simulations.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::entry::Entry;
use crate::ids::{EntryName, LogId};
use crate::log::{Appended, Freed, Log, Prune, judge};
use crate::rebase::rebase;
use crate::vector::{Tip, Vector};

/// Keeps entries in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    entries: BTreeMap<(LogId, u64), Vec<Entry>>,
    vector: Vector,
    bases: BTreeMap<LogId, Vec<Tip>>,
    /// The lowest place with several entries, or of several tips that a log began with.
    forked: BTreeMap<LogId, u64>,
    kept: BTreeMap<(LogId, u64, EntryName), Entry>,
}

impl Log for MemoryLog {
    type Error = Infallible;

    fn vector(&self) -> Result<Vector, Infallible> {
        Ok(self.vector.clone())
    }

    fn tips(&self, log: &LogId) -> Result<Vec<Tip>, Infallible> {
        Ok(self.vector.tips(log).collect())
    }

    fn names(&self, log: &LogId, seq: u64) -> Result<Vec<EntryName>, Infallible> {
        let base = self.bases.get(log).into_iter().flatten().filter(|tip| tip.seq == seq).map(|tip| tip.name);
        Ok(base.chain(self.entries.get(&(*log, seq)).into_iter().flatten().map(Entry::name)).collect())
    }

    fn after(&self, log: &LogId, seq: u64, budget: usize) -> Result<Vec<Entry>, Infallible> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        for place in self.entries.range((*log, seq.saturating_add(1))..=(*log, u64::MAX)).map(|(_, place)| place) {
            bytes += place.iter().map(|entry| entry.bytes().len()).sum::<usize>();
            if bytes > budget && !taken.is_empty() {
                break;
            }
            taken.extend(place.iter().cloned());
        }
        Ok(taken)
    }

    fn base(&self, log: &LogId) -> Result<Vec<Tip>, Infallible> {
        Ok(self.bases.get(log).cloned().unwrap_or_default())
    }

    fn forked_at(&self, log: &LogId) -> Result<Option<u64>, Infallible> {
        Ok(self.forked.get(log).copied())
    }

    fn append(&mut self, entry: &Entry) -> Result<Appended, Infallible> {
        let log = entry.log();
        let here = self.names(&log, entry.seq())?;
        let before = self.names(&log, entry.seq() - 1)?;
        let verdict = judge(entry, &here, &before, &self.tips(&log)?, &self.base(&log)?);
        if verdict.is_new() {
            self.entries.entry((log, entry.seq())).or_default().push(entry.clone());
            self.vector.advance(log, entry.prev(), Tip { seq: entry.seq(), name: entry.name() });
            if verdict == Appended::Forked {
                let place = self.forked.entry(log).or_insert(entry.seq());
                *place = entry.seq().min(*place);
            }
        }
        Ok(verdict)
    }
}

impl Prune for MemoryLog {
    fn rebase(
        &mut self,
        log: &LogId,
        tips: &[Tip],
        keep: &mut dyn FnMut(&Entry) -> bool,
    ) -> Result<Option<Freed>, Infallible> {
        let places = self.entries.range((*log, 0)..=(*log, u64::MAX));
        let names = |place: &Vec<Entry>| place.iter().map(|entry| (entry.name(), entry.prev())).collect();
        let places = places.map(|((_, seq), place)| (*seq, names(place))).collect();
        let Some(rebased) = rebase(&places, &self.tips(log)?, &self.base(log)?, tips) else { return Ok(None) };
        let mut freed = Freed::default();
        for tip in &rebased.dropped {
            let Some(place) = self.entries.get_mut(&(*log, tip.seq)) else { continue };
            let Some(at) = place.iter().position(|entry| entry.name() == tip.name) else { continue };
            let entry = place.remove(at);
            if place.is_empty() {
                self.entries.remove(&(*log, tip.seq));
            }
            freed.entries += 1;
            freed.bytes += entry.bytes().len() as u64;
            if keep(&entry) {
                self.keep(&entry)?;
            }
        }
        if let [lowest, _, ..] = rebased.base[..] {
            self.forked.entry(*log).or_insert(lowest.seq);
        }
        self.vector.set(*log, rebased.tips);
        self.bases.insert(*log, rebased.base);
        Ok(Some(freed))
    }

    fn keep(&mut self, entry: &Entry) -> Result<(), Infallible> {
        self.kept.insert((entry.log(), entry.seq(), entry.name()), entry.clone());
        Ok(())
    }

    fn kept(&self, log: &LogId) -> Result<Vec<Entry>, Infallible> {
        let range = (*log, 0, EntryName([0; 32]))..=(*log, u64::MAX, EntryName([255; 32]));
        Ok(self.kept.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}
