//! Which entry of a log stands before which.

use std::collections::BTreeMap;

use ties_sealed_log::{EntryName, Log, LogId, Tip};
use ties_store::{Read, StoredLog};

use crate::author::SPACE_NUMBER;
use crate::records::Fault;

/// The order of a log's entries. Below its fork there is one branch, so that the numbers say it; above, the entries name the
/// ones before them.
pub(crate) struct Lineage {
    fork: Option<u64>,
    /// Above the fork: what stands before each entry.
    before: BTreeMap<EntryName, EntryName>,
}

impl Lineage {
    pub(crate) fn of(read: &dyn Read, log: &LogId) -> Result<Self, Fault> {
        let stored = StoredLog::reading(read, SPACE_NUMBER);
        let fork = stored.forked_at(log)?;
        let mut before = BTreeMap::new();
        let mut from = fork.map(|fork| fork - 1);
        while let Some(seq) = from {
            let part = stored.after(log, seq, PART)?;
            before.extend(part.iter().map(|entry| (entry.name(), entry.prev())));
            from = part.last().map(|entry| entry.seq());
        }
        Ok(Self { fork, before })
    }

    /// Whether one entry stands before another on one branch, or is it. What is not here stands after nothing on a branch.
    pub(crate) fn is_below(&self, low: Tip, high: Tip) -> bool {
        if low.seq >= high.seq {
            return low == high;
        }
        if self.fork.is_none_or(|fork| low.seq < fork) {
            return true;
        }
        let mut name = high.name;
        for _ in low.seq..high.seq {
            match self.before.get(&name) {
                Some(before) => name = *before,
                None => return false,
            }
        }
        name == low.name
    }

    /// Adds a tip to a list of tips of which none stands below another; `false` if it was there or below one.
    pub(crate) fn raise(&self, tips: &mut Vec<Tip>, tip: Tip) -> bool {
        if tips.iter().any(|known| self.is_below(tip, *known)) {
            return false;
        }
        tips.retain(|known| !self.is_below(*known, tip));
        tips.push(tip);
        tips.sort_unstable();
        true
    }
}

/// Bytes of entries that are read at once.
pub(crate) const PART: usize = 4 << 20;
