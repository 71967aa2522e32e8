//! Who belongs: a pure function of the known membership entries, whatever their order of arrival.
//!
//! Read [`judge`] first: it is the rule. [`words`] says what the recovery key may do, [`graph`] what an author knew,
//! [`roll`] what to call whom, and [`set`] makes it fast.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::bodies::{Genesis, Role};
use crate::device::DeviceCert;
use crate::ids::{DeviceId, EntryName, SpaceId};
use crate::payload::Dep;
use crate::recovery::RecoveryCert;

mod act;
mod graph;
mod judge;
mod outcome;
mod roll;
mod set;
mod words;

pub use act::{MembershipAct, MembershipEntry};
use graph::Graph;
use judge::Judge;
use outcome::Outcome;
use roll::{Root, base};
use set::Set;
use words::Words;

/// A device of the space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its keys.
    pub certificate: DeviceCert,
    /// What it may do.
    pub role: Role,
    /// What its owner calls it.
    pub name: String,
    /// Who admitted it; the founder admitted itself.
    pub added_by: DeviceId,
    /// The entry that says so.
    pub entry: EntryName,
    /// When its author says it was written, for display.
    pub time: u64,
}

/// A device that belonged and does not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// What it was.
    pub member: Member,
    /// Who shut it out, sorted; nobody when it was crowded out.
    pub by: Vec<DeviceId>,
    /// The entries that did, sorted.
    pub entries: Vec<EntryName>,
    /// When the first of their authors says it was written, for display.
    pub time: u64,
    /// It signed itself off and nobody revoked it: everything of it counts.
    pub retired: bool,
    /// The pins of all revokes that count, sorted.
    pub pins: Vec<Dep>,
}

/// The members of a space, and what else its membership entries decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    space: SpaceId,
    recovery: Vec<RecoveryCert>,
    members: BTreeMap<DeviceId, Member>,
    removed: BTreeMap<DeviceId, Removed>,
    founder: DeviceId,
    certificates: BTreeMap<DeviceId, DeviceCert>,
    readers: BTreeMap<DeviceId, Vec<EntryName>>,
    rotates: BTreeSet<EntryName>,
    level: u16,
    heads: Vec<EntryName>,
}

impl Members {
    /// Most members of a space.
    pub const MAX: usize = 64;

    /// Most membership entries along one log's chain.
    pub const MAX_ENTRIES: u32 = 512;

    /// Resolves the known entries. `genesis` is the entry whose payload gave the space its id.
    #[must_use]
    pub fn resolve(genesis: (EntryName, &Genesis, u64), entries: &[MembershipEntry]) -> Self {
        let (name, birth, time) = genesis;
        let root = Root { name, birth, time };
        let graph = Graph::new(name, entries);
        let words = Words::new(birth, &graph);
        let now = words.resets(&graph, &words.all());
        let mut places = known_resets(&graph, &words);
        places.entry(now.clone()).or_default();
        let at = places.keys().position(|resets| *resets == now).expect("it was just put there");
        let judge = |(resets, places): (Vec<usize>, Vec<usize>)| {
            let base = base(root, &graph, &resets);
            (Judge::new(&graph, &words, resets, base), places)
        };
        let judges: Vec<_> = places.into_iter().map(judge).collect();
        Outcome { root, graph: &graph, words: &words, judges: &judges, now: &judges[at].0 }.members(entries)
    }

    /// The space.
    #[must_use]
    pub fn space(&self) -> SpaceId {
        self.space
    }

    /// The recovery key that stands: none in a space without, and none when one key was changed twice side by side.
    #[must_use]
    pub fn recovery(&self) -> &[RecoveryCert] {
        &self.recovery
    }

    /// A member.
    #[must_use]
    pub fn get(&self, device: &DeviceId) -> Option<&Member> {
        self.members.get(device)
    }

    /// All members, sorted by id.
    pub fn iter(&self) -> impl Iterator<Item = (&DeviceId, &Member)> {
        self.members.iter()
    }

    /// What a member may do; `None` for who is none.
    #[must_use]
    pub fn role(&self, device: &DeviceId) -> Option<Role> {
        self.get(device).map(|member| member.role)
    }

    /// Whether a device is a member and no mere reader.
    #[must_use]
    pub fn may_write(&self, device: &DeviceId) -> bool {
        self.role(device).is_some_and(|role| role >= Role::Writer)
    }

    /// Who made the space.
    #[must_use]
    pub fn founder(&self) -> &DeviceId {
        &self.founder
    }

    /// Everybody who once belonged and does not any more, sorted by id.
    pub fn removed(&self) -> impl Iterator<Item = (&DeviceId, &Removed)> {
        self.removed.iter()
    }

    /// The keys of a device that belongs or once did: its claims of logs are verified against them.
    #[must_use]
    pub fn certificate(&self, device: &DeviceId) -> Option<&DeviceCert> {
        self.certificates.get(device)
    }

    /// For a member that is a reader, the entries that made it one, sorted: what it wrote with one of them in its
    /// causal past does not count. Empty for others.
    #[must_use]
    pub fn reader_since(&self, device: &DeviceId) -> &[EntryName] {
        self.readers.get(device).map_or(&[], Vec::as_slice)
    }

    /// Whether a rotate counts: as of its parents, its author could write and its recipients were the members and the
    /// recovery keys. The first has no parents and is the founder's.
    #[must_use]
    pub fn rotate_counts(&self, rotate: &EntryName) -> bool {
        self.rotates.contains(rotate)
    }

    /// The level that a program must have to write here; 1 where nobody asked for more.
    #[must_use]
    pub fn level(&self) -> u16 {
        self.level
    }

    /// All maximal membership entries: what the next one names as its parents, sorted. Of more than
    /// [`crate::MAX_PARENTS`] those are given that have all admissions in their past.
    #[must_use]
    pub fn heads(&self) -> &[EntryName] {
        &self.heads
    }
}

/// Sorts the entries by the resets that their authors knew: from those begins what they may do.
fn known_resets(graph: &Graph<'_>, words: &Words<'_>) -> BTreeMap<Vec<usize>, Vec<usize>> {
    let mut known: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    let mut last: Option<(&Rc<Set>, Vec<usize>)> = None;
    for place in 0..graph.nodes.len() {
        let past = words.past(place);
        let resets = match last.take() {
            Some((same, resets)) if Rc::ptr_eq(same, past) => resets,
            _ => words.resets(graph, past),
        };
        known.entry(resets.clone()).or_default().push(place);
        last = Some((past, resets));
    }
    known
}
