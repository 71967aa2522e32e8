//! Where entries are kept, as the pure parts see it.

use crate::MAX_BRANCHES;
use crate::entry::Entry;
use crate::ids::{EntryName, LogId};
use crate::vector::{Tip, Vector};

/// What became of an entry that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It extends a tip.
    Extended,
    /// It starts a second branch: another entry with the same predecessor is known. Both are kept.
    Forked,
    /// It was here already.
    Known,
    /// Its predecessor is not here; nothing was stored.
    Gap,
    /// The log has [`MAX_BRANCHES`] branches; nothing was stored.
    Full,
}

impl Appended {
    /// Whether the entry is new here.
    #[must_use]
    pub fn is_new(self) -> bool {
        matches!(self, Self::Extended | Self::Forked)
    }
}

/// All logs of one space, or of one mailbox: entries by log and place, and the tips.
///
/// The place of an entry is (log, seq, branch): entries with one seq are a fork. Implementations verify nothing but
/// the chain; an [`Entry`] in hand was verified.
pub trait Log {
    /// What the storage below can fail with.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Every known tip.
    ///
    /// # Errors
    /// When the storage fails.
    fn vector(&self) -> Result<Vector, Self::Error>;

    /// The tips of one log, lowest first; empty for an unknown log.
    ///
    /// # Errors
    /// When the storage fails.
    fn tips(&self, log: &LogId) -> Result<Vec<Tip>, Self::Error>;

    /// The names of the entries at one place, one for each branch, in order of arrival.
    ///
    /// # Errors
    /// When the storage fails.
    fn names(&self, log: &LogId, seq: u64) -> Result<Vec<EntryName>, Self::Error>;

    /// The entries at all places after `seq`, in order of place, complete for each place: at least one place if
    /// there is one, then as many as fit into `budget` bytes.
    ///
    /// # Errors
    /// When the storage fails.
    fn after(&self, log: &LogId, seq: u64, budget: usize) -> Result<Vec<Entry>, Self::Error>;

    /// The lowest place with more than one entry.
    ///
    /// # Errors
    /// When the storage fails.
    fn forked_at(&self, log: &LogId) -> Result<Option<u64>, Self::Error>;

    /// Takes a verified entry if its predecessor is here.
    ///
    /// # Errors
    /// When the storage fails.
    fn append(&mut self, entry: &Entry) -> Result<Appended, Self::Error>;
}

/// Decides what becomes of `entry`, given what is known around it: the one rule behind every [`Log::append`].
/// `here` are the names at the entry's own place, `before` those one place below, `tips` the log's tips.
#[must_use]
pub fn judge(entry: &Entry, here: &[EntryName], before: &[EntryName], tips: &[Tip]) -> Appended {
    if here.contains(&entry.name()) {
        return Appended::Known;
    }
    if entry.seq() > 1 && !before.contains(&entry.prev()) {
        return Appended::Gap;
    }
    let extends = tips.iter().any(|tip| tip.name == entry.prev());
    if extends || (entry.seq() == 1 && tips.is_empty()) {
        return Appended::Extended;
    }
    if tips.len() >= MAX_BRANCHES { Appended::Full } else { Appended::Forked }
}
