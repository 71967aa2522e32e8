//! Version vectors: every known tip of every log.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{EntryName, LogId};

/// The end of a log, or of one branch of a forked one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tip {
    /// Its place.
    pub seq: u64,
    /// The entry there.
    pub name: EntryName,
}

/// Every known tip of every log, in one order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vector(BTreeMap<LogId, BTreeSet<Tip>>);

/// One line of a vector, as it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TipRecord {
    /// The log.
    pub log: LogId,
    /// One of its tips.
    pub tip: Tip,
}

impl Vector {
    /// Adds a tip.
    pub fn insert(&mut self, log: LogId, tip: Tip) {
        self.0.entry(log).or_default().insert(tip);
    }

    /// Puts `tip` in place of whatever tip it follows, as [`crate::Log::append`] does.
    pub fn advance(&mut self, log: LogId, prev: EntryName, tip: Tip) {
        let tips = self.0.entry(log).or_default();
        tips.retain(|known| known.name != prev);
        tips.insert(tip);
    }

    /// Puts these tips in the place of all that a log had.
    pub fn set(&mut self, log: LogId, tips: impl IntoIterator<Item = Tip>) {
        let tips: BTreeSet<Tip> = tips.into_iter().collect();
        if tips.is_empty() {
            self.0.remove(&log);
        } else {
            self.0.insert(log, tips);
        }
    }

    /// The tips of one log, lowest first; none for an unknown log.
    pub fn tips(&self, log: &LogId) -> impl Iterator<Item = Tip> + '_ {
        self.0.get(log).into_iter().flatten().copied()
    }

    /// Whether the log is known at all.
    #[must_use]
    pub fn knows(&self, log: &LogId) -> bool {
        self.0.contains_key(log)
    }

    /// The logs, sorted.
    pub fn logs(&self) -> impl Iterator<Item = LogId> + '_ {
        self.0.keys().copied()
    }

    /// All lines, sorted by log, place and name.
    pub fn records(&self) -> impl Iterator<Item = TipRecord> + '_ {
        self.0.iter().flat_map(|(log, tips)| tips.iter().map(|tip| TipRecord { log: *log, tip: *tip }))
    }

    /// Whether no log is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// SHA-256 over the label and all lines: log, place (u64, big-endian), name; 72 bytes each.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"ties1/vector\0");
        for TipRecord { log, tip } in self.records() {
            hasher.update(log.0);
            hasher.update(tip.seq.to_be_bytes());
            hasher.update(tip.name.0);
        }
        hasher.finalize().into()
    }
}

impl FromIterator<TipRecord> for Vector {
    fn from_iter<I: IntoIterator<Item = TipRecord>>(records: I) -> Self {
        let mut vector = Self::default();
        records.into_iter().for_each(|record| vector.insert(record.log, record.tip));
        vector
    }
}
