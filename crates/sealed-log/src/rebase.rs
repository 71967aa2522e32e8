//! What becomes of a log that is to begin further up: the one rule behind every [`crate::Prune::rebase`].

use std::collections::{BTreeMap, BTreeSet};

use crate::MAX_BRANCHES;
use crate::ids::EntryName;
use crate::vector::Tip;

/// What is left of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rebased {
    /// The entries that go.
    pub dropped: BTreeSet<Tip>,
    /// What the log begins with now, sorted.
    pub base: Vec<Tip>,
    /// Its tips now, sorted.
    pub tips: Vec<Tip>,
}

/// Says what is left of a log that is to begin with `onto` (sorted), or `None` if it cannot. `entries` are the names at
/// each place of it with those before them, `tips` and `base` its own.
#[must_use]
pub fn rebase(
    entries: &BTreeMap<u64, Vec<(EntryName, EntryName)>>,
    tips: &[Tip],
    base: &[Tip],
    onto: &[Tip],
) -> Option<Rebased> {
    let log = Known { entries, base };
    let (mut passed, mut unknown) = (BTreeSet::new(), Vec::new());
    for tip in onto {
        if log.knows(tip) {
            passed.extend(log.down_from(*tip));
        } else {
            unknown.push(*tip);
        }
    }
    // What lies below a base that nothing of `onto` stands on is behind this log, not ahead of it.
    let behind = |tip: &Tip| base.iter().any(|own| own.seq >= tip.seq && !passed.contains(own));
    let skipped: BTreeSet<Tip> = unknown.iter().copied().filter(behind).collect();
    unknown.retain(|tip| !skipped.contains(tip));
    let stands = |tip: &Tip| log.down_from(*tip).iter().any(|below| onto.contains(below));
    let left: Vec<Tip> = tips.iter().copied().filter(|tip| !passed.contains(tip) && !stands(tip)).collect();
    if let Some(farthest) = unknown.iter().map(|tip| tip.seq).max() {
        // A tip that is not here yet is ahead of some branch that is: of which one shows only where there is no choice.
        if left.len() <= unknown.len() && left.iter().all(|tip| tip.seq < farthest) {
            left.iter().for_each(|tip| passed.extend(log.down_from(*tip)));
        }
        let others = |tip: &Tip| {
            let here = entries.get(&tip.seq).into_iter().flatten();
            let mut here = here.map(|(name, _)| Tip { seq: tip.seq, name: *name });
            here.any(|other| !passed.contains(&other) && !log.down_from(other).iter().any(|below| onto.contains(below)))
        };
        if unknown.iter().any(others) {
            return None;
        }
    }
    let kept: Vec<Tip> = onto.iter().copied().filter(|tip| !skipped.contains(tip)).collect();
    let mut new_base: BTreeSet<Tip> = base.iter().copied().filter(|tip| !passed.contains(tip)).collect();
    new_base.extend(&kept);
    let mut new_tips: BTreeSet<Tip> = tips.iter().copied().filter(|tip| !passed.contains(tip)).collect();
    new_tips.extend(kept.iter().filter(|tip| !log.is_followed(tip)));
    if new_base.len() > MAX_BRANCHES || new_tips.len() > MAX_BRANCHES {
        return None;
    }
    let dropped = passed.into_iter().filter(|tip| log.holds(tip)).collect();
    Some(Rebased { dropped, base: new_base.into_iter().collect(), tips: new_tips.into_iter().collect() })
}

/// Entries by place, and what they begin with.
struct Known<'a> {
    entries: &'a BTreeMap<u64, Vec<(EntryName, EntryName)>>,
    base: &'a [Tip],
}

impl Known<'_> {
    fn prev(&self, tip: &Tip) -> Option<EntryName> {
        self.entries.get(&tip.seq)?.iter().find(|(name, _)| *name == tip.name).map(|(_, prev)| *prev)
    }

    fn holds(&self, tip: &Tip) -> bool {
        self.prev(tip).is_some()
    }

    fn knows(&self, tip: &Tip) -> bool {
        self.holds(tip) || self.base.contains(tip)
    }

    /// A known tip and everything known before it.
    fn down_from(&self, tip: Tip) -> BTreeSet<Tip> {
        let mut below = BTreeSet::new();
        let mut at = tip;
        while self.knows(&at) {
            below.insert(at);
            let Some(prev) = self.prev(&at).filter(|_| at.seq > 1) else { break };
            at = Tip { seq: at.seq - 1, name: prev };
        }
        below
    }

    fn is_followed(&self, tip: &Tip) -> bool {
        let next = tip.seq.checked_add(1).and_then(|seq| self.entries.get(&seq));
        next.into_iter().flatten().any(|(_, prev)| *prev == tip.name)
    }
}
