//! A log in memory, for tests and simulations.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::entry::Entry;
use crate::ids::{EntryName, LogId};
use crate::log::{Appended, Log, judge};
use crate::vector::{Tip, Vector};

/// Keeps entries in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    entries: BTreeMap<(LogId, u64), Vec<Entry>>,
    vector: Vector,
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
        Ok(self.entries.get(&(*log, seq)).into_iter().flatten().map(Entry::name).collect())
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

    fn forked_at(&self, log: &LogId) -> Result<Option<u64>, Infallible> {
        let mut places = self.entries.range((*log, 0)..=(*log, u64::MAX));
        Ok(places.find(|(_, place)| place.len() > 1).map(|((_, seq), _)| *seq))
    }

    fn append(&mut self, entry: &Entry) -> Result<Appended, Infallible> {
        let log = entry.log();
        let here = self.names(&log, entry.seq())?;
        let before = self.names(&log, entry.seq() - 1)?;
        let verdict = judge(entry, &here, &before, &self.tips(&log)?);
        if verdict.is_new() {
            self.entries.entry((log, entry.seq())).or_default().push(entry.clone());
            self.vector.advance(log, entry.prev(), Tip { seq: entry.seq(), name: entry.name() });
        }
        Ok(verdict)
    }
}
