//! Who belongs: a pure function of the known membership entries, whatever their order of arrival.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{DeviceId, EntryName, SpaceId};
use crate::keys::{DeviceCert, RecoveryCert};
use crate::payload::{Add, Genesis, Role};

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

/// A membership entry that was opened, with the device behind the log it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipEntry {
    /// The entry.
    pub name: EntryName,
    /// Its author.
    pub author: DeviceId,
    /// When its author says it was written, for display.
    pub time: u64,
    /// What it says.
    pub act: MembershipAct,
}

/// What a membership entry says about who belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipAct {
    /// Admits a device.
    Add(Add),
    /// Says nothing about who belongs, and is a parent of what follows: rotate, share, roads.
    Other {
        /// Its parents.
        parents: Vec<EntryName>,
    },
}

impl MembershipAct {
    fn parents(&self) -> &[EntryName] {
        match self {
            Self::Add(add) => &add.parents,
            Self::Other { parents } => parents,
        }
    }
}

/// The members of a space. Admissions count when their author was an admin in their own past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    space: SpaceId,
    recovery: Option<RecoveryCert>,
    members: BTreeMap<DeviceId, Member>,
    heads: Vec<EntryName>,
}

impl Members {
    /// Most members of a space.
    pub const MAX: usize = 64;

    /// Resolves the known entries. `genesis` is the entry whose payload gave the space its id.
    #[must_use]
    pub fn resolve(genesis: (EntryName, &Genesis, u64), entries: &[MembershipEntry]) -> Self {
        let (root, birth, time) = genesis;
        let founder = Member {
            certificate: birth.founder.clone(),
            role: Role::Admin,
            name: birth.name.clone(),
            added_by: birth.founder.id(),
            entry: root,
            time,
        };
        let mut resolved = Self {
            space: birth.space(),
            recovery: birth.recovery.clone(),
            members: BTreeMap::from([(birth.founder.id(), founder)]),
            heads: heads(root, entries),
        };
        let past = pasts(root, entries);
        let valid = valid_admissions(birth.founder.id(), entries, &past);
        valid.into_iter().for_each(|(entry, add)| resolved.admit(entry, add));
        resolved
    }

    /// Counts one admission. Of several for one device the highest role stands, with the words of the entry that has
    /// the smallest name: neither depends on which came first.
    fn admit(&mut self, entry: &MembershipEntry, add: &Add) {
        let member = Member {
            certificate: add.certificate.clone(),
            role: add.role,
            name: add.name.clone(),
            added_by: entry.author,
            entry: entry.name,
            time: entry.time,
        };
        match self.members.entry(add.certificate.id()) {
            Entry::Vacant(place) => {
                place.insert(member);
            }
            Entry::Occupied(mut known) => {
                let role = known.get().role.max(add.role);
                if known.get().added_by != *known.key() && entry.name < known.get().entry {
                    known.insert(member);
                }
                known.get_mut().role = role;
            }
        }
    }

    /// The space.
    #[must_use]
    pub fn space(&self) -> SpaceId {
        self.space
    }

    /// The recovery key, if the space has one.
    #[must_use]
    pub fn recovery(&self) -> Option<&RecoveryCert> {
        self.recovery.as_ref()
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

    /// All maximal membership entries: what the next one names as its parents, sorted.
    #[must_use]
    pub fn heads(&self) -> &[EntryName] {
        &self.heads
    }
}

/// Admissions by an admin: the founder, or a device whose own admission as admin counts and lies in their past.
fn valid_admissions<'e>(
    founder: DeviceId,
    entries: &'e [MembershipEntry],
    past: &BTreeMap<EntryName, BTreeSet<EntryName>>,
) -> Vec<(&'e MembershipEntry, &'e Add)> {
    let mut waiting: Vec<_> = entries
        .iter()
        .filter_map(|entry| match &entry.act {
            MembershipAct::Add(add) if past.contains_key(&entry.name) => Some((entry, add)),
            _ => None,
        })
        .collect();
    let mut valid: Vec<(&MembershipEntry, &Add)> = Vec::new();
    loop {
        let by_admin = |entry: &MembershipEntry| {
            let admits = |(grant, add): &(&MembershipEntry, &Add)| {
                add.role == Role::Admin
                    && add.certificate.id() == entry.author
                    && past[&entry.name].contains(&grant.name)
            };
            entry.author == founder || valid.iter().any(admits)
        };
        let (mut counted, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(entry, _)| by_admin(entry));
        if counted.is_empty() {
            return valid;
        }
        valid.append(&mut counted);
        waiting = rest;
    }
}

fn heads(root: EntryName, entries: &[MembershipEntry]) -> Vec<EntryName> {
    let covered: BTreeSet<_> = entries.iter().flat_map(|entry| entry.act.parents()).collect();
    let all: BTreeSet<_> = entries.iter().map(|entry| entry.name).chain([root]).collect();
    all.into_iter().filter(|name| !covered.contains(name)).collect()
}

/// The strict causal past of every entry whose ancestry is complete; the others count once theirs is. The first
/// epoch's rotation has no parents: its id is part of what the genesis entry is sealed with.
fn pasts(root: EntryName, entries: &[MembershipEntry]) -> BTreeMap<EntryName, BTreeSet<EntryName>> {
    let mut past = BTreeMap::from([(root, BTreeSet::new())]);
    loop {
        let before = past.len();
        for entry in entries {
            let parents = entry.act.parents();
            if past.contains_key(&entry.name) || !parents.iter().all(|parent| past.contains_key(parent)) {
                continue;
            }
            let mut mine: BTreeSet<EntryName> = parents.iter().copied().collect();
            parents.iter().for_each(|parent| mine.extend(&past[parent]));
            past.insert(entry.name, mine);
        }
        if past.len() == before {
            return past;
        }
    }
}
