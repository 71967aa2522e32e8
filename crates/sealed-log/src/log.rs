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
    /// It stands at or below where the log begins here, and is not what it begins with: it lies before that, or is a
    /// branch that left the log before that. Nothing was stored.
    Below,
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
/// A log may begin above place 1: its *base* are the tips of what a checkpoint holds of it. They stand at their places as
/// names, and as tips until something follows them, without bytes; nothing is known of what lies before.
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

    /// What the log begins with, lowest first: empty if it begins at place 1, or is unknown.
    ///
    /// # Errors
    /// When the storage fails.
    fn base(&self, log: &LogId) -> Result<Vec<Tip>, Self::Error>;

    /// The lowest place with more than one entry, though these may lie below the base by now; of a log that began with
    /// several tips here, the lowest of their places.
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

/// A log that can be cut short from below.
pub trait Prune: Log {
    /// Makes a log begin with these tips, sorted, of one branch each: drops the bytes of each and of everything before it.
    /// Branches that none of them stands on stay. A log that does not reach a tip yet goes on from there: what is here of
    /// it lies before, and is dropped. An unknown log begins there. `keep` is asked about each entry that goes;
    /// those it wants stay readable by [`Prune::kept`].
    ///
    /// `None`, and nothing is changed, if another entry stands in the place of one of the tips and the tip is not here,
    /// or if the log begins further up already.
    ///
    /// # Errors
    /// When the storage fails.
    fn rebase(
        &mut self,
        log: &LogId,
        tips: &[Tip],
        keep: &mut dyn FnMut(&Entry) -> bool,
    ) -> Result<Option<Freed>, Self::Error>;

    /// Keeps an entry from below the base of its log, or one that came in a checkpoint.
    ///
    /// # Errors
    /// When the storage fails.
    fn keep(&mut self, entry: &Entry) -> Result<(), Self::Error>;

    /// The entries of a log that were kept beside it, by place and name.
    ///
    /// # Errors
    /// When the storage fails.
    fn kept(&self, log: &LogId) -> Result<Vec<Entry>, Self::Error>;
}

/// What was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Freed {
    /// How many entries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Decides what becomes of `entry`, given what is known around it: the one rule behind every [`Log::append`].
/// `here` are the names at the entry's own place, `before` those one place below (of the base too), `tips` the log's
/// tips, `base` what it begins with.
#[must_use]
pub fn judge(entry: &Entry, here: &[EntryName], before: &[EntryName], tips: &[Tip], base: &[Tip]) -> Appended {
    if here.contains(&entry.name()) {
        return Appended::Known;
    }
    let follows = before.contains(&entry.prev());
    if !follows && base.iter().any(|tip| entry.seq() <= tip.seq) {
        return Appended::Below;
    }
    if entry.seq() > 1 && !follows {
        return Appended::Gap;
    }
    let extends = tips.iter().any(|tip| tip.name == entry.prev());
    if extends || (entry.seq() == 1 && tips.is_empty()) {
        return Appended::Extended;
    }
    if tips.len() >= MAX_BRANCHES { Appended::Full } else { Appended::Forked }
}
