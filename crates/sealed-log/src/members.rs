//! Who belongs: a pure function of the known membership entries, whatever their order of arrival.

use std::cmp::Reverse;
use std::collections::btree_map::Entry as Place;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::bodies::{Add, Genesis, Manner, Remove, Rename, Role, SetRole};
use crate::device::DeviceCert;
use crate::ids::{DeviceId, EntryName, SpaceId};
use crate::payload::{Dep, MAX_PARENTS, Payload};
use crate::recovered::{Admit, ChangeRecovery, Reset};
use crate::recovery::RecoveryCert;

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

/// A membership entry that was opened, with the device behind the log it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipEntry {
    /// The entry.
    pub name: EntryName,
    /// Its author.
    pub author: DeviceId,
    /// When its author says it was written, for display.
    pub time: u64,
    /// How many membership entries there are along its log's chain up to this one, from 1. Those beyond
    /// [`Members::MAX_ENTRIES`] say nothing.
    pub number: u32,
    /// What it says.
    pub act: MembershipAct,
}

/// What a membership entry says about who belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipAct {
    /// Admits a device.
    Add(Add),
    /// Changes a role.
    SetRole(SetRole),
    /// Changes a name.
    Rename(Rename),
    /// Shuts a device out.
    Remove(Remove),
    /// Says anew who belongs.
    Reset(Reset),
    /// A device let in by the recovery key.
    Admit(Admit),
    /// Another recovery key.
    ChangeRecovery(ChangeRecovery),
    /// A new epoch.
    Rotate {
        /// Its parents.
        parents: Vec<EntryName>,
        /// Who was given its key, sorted.
        recipients: Vec<DeviceId>,
    },
    /// Says nothing about who belongs, and is a parent of what follows: share, roads.
    Other {
        /// Its parents.
        parents: Vec<EntryName>,
    },
}

impl MembershipAct {
    /// What a payload says about who belongs; `None` for the genesis, which is the space itself, and for payloads that
    /// are not membership.
    #[must_use]
    pub fn of(payload: Payload) -> Option<Self> {
        Some(match payload {
            Payload::Add(add) => Self::Add(add),
            Payload::SetRole(set) => Self::SetRole(set),
            Payload::Rename(rename) => Self::Rename(rename),
            Payload::Remove(remove) => Self::Remove(remove),
            Payload::Reset(reset) => Self::Reset(reset),
            Payload::Admit(admit) => Self::Admit(admit),
            Payload::ChangeRecovery(change) => Self::ChangeRecovery(change),
            Payload::Rotate(rotate) => {
                let recipients = rotate.wraps.iter().map(|wrap| wrap.recipient).collect();
                Self::Rotate { parents: rotate.parents, recipients }
            }
            Payload::Share(share) => Self::Other { parents: share.parents },
            Payload::Roads(roads) => Self::Other { parents: roads.parents },
            Payload::OpenLog(_)
            | Payload::Changes(_)
            | Payload::Beacon
            | Payload::Genesis(_)
            | Payload::Decision(_) => {
                return None;
            }
        })
    }

    /// The membership entries that its author knew.
    #[must_use]
    pub fn parents(&self) -> &[EntryName] {
        match self {
            Self::Add(add) => &add.parents,
            Self::SetRole(set) => &set.parents,
            Self::Rename(rename) => &rename.parents,
            Self::Remove(remove) => &remove.parents,
            Self::Reset(reset) => &reset.parents,
            Self::Admit(admit) => &admit.parents,
            Self::ChangeRecovery(change) => &change.parents,
            Self::Rotate { parents, .. } | Self::Other { parents } => parents,
        }
    }
}

/// The members of a space. Admissions count when their author was an admin in their own past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    space: SpaceId,
    recovery: Vec<RecoveryCert>,
    members: BTreeMap<DeviceId, Member>,
    removed: BTreeMap<DeviceId, Removed>,
    readers: BTreeMap<DeviceId, Vec<EntryName>>,
    rotates: BTreeSet<EntryName>,
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
        let (root, birth, time) = genesis;
        let founder = Member {
            certificate: birth.founder.clone(),
            role: Role::Admin,
            name: birth.name.clone(),
            added_by: birth.founder.id(),
            entry: root,
            time,
        };
        let history = History::of(root, birth.founder.id(), entries);
        let mut members = BTreeMap::from([(founder.certificate.id(), founder)]);
        history.admissions().for_each(|(entry, add)| admit(&mut members, root, entry, add));
        let removed = history.remove(&mut members);
        history.crowd_out(&mut members, root);
        let readers = members.iter().filter(|(_, member)| member.role == Role::Reader);
        let readers = readers.map(|(device, member)| (*device, vec![member.entry])).collect();
        let rotates = history.rotates(birth);
        let recovery = birth.recovery.iter().cloned().collect();
        Self { space: birth.space(), recovery, members, removed, readers, rotates, heads: history.heads() }
    }

    /// The space.
    #[must_use]
    pub fn space(&self) -> SpaceId {
        self.space
    }

    /// The recovery keys that stand: none in a space without, one in general, several when it was changed at two
    /// places at once.
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

    /// Everybody who once belonged and does not any more, sorted by id.
    pub fn removed(&self) -> impl Iterator<Item = (&DeviceId, &Removed)> {
        self.removed.iter()
    }

    /// The keys of a device that belongs or once did: its claims of logs are verified against them.
    #[must_use]
    pub fn certificate(&self, device: &DeviceId) -> Option<&DeviceCert> {
        let member = self.members.get(device).or_else(|| self.removed.get(device).map(|removed| &removed.member));
        member.map(|member| &member.certificate)
    }

    /// For a member that is a reader, the entries that made it one, sorted: what it wrote beside or after them does
    /// not count. Empty for others.
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

    /// All maximal membership entries: what the next one names as its parents, sorted. Of more than
    /// [`MAX_PARENTS`] those are given that have all admissions in their past.
    #[must_use]
    pub fn heads(&self) -> &[EntryName] {
        &self.heads
    }
}

/// Counts one admission. Of several for one device the highest role stands, with the words of the entry that has the
/// smallest name, and of the founder those of the genesis entry: nothing depends on which came first.
fn admit(members: &mut BTreeMap<DeviceId, Member>, root: EntryName, entry: &MembershipEntry, add: &Add) {
    let member = Member {
        certificate: add.certificate.clone(),
        role: add.role,
        name: add.name.clone(),
        added_by: entry.author,
        entry: entry.name,
        time: entry.time,
    };
    match members.entry(add.certificate.id()) {
        Place::Vacant(place) => {
            place.insert(member);
        }
        Place::Occupied(mut known) => {
            let role = known.get().role.max(add.role);
            if known.get().entry != root && entry.name < known.get().entry {
                known.insert(member);
            }
            known.get_mut().role = role;
        }
    }
}

/// The entries whose ancestry is complete; the others count once theirs is.
struct History<'e> {
    entries: BTreeMap<EntryName, &'e MembershipEntry>,
    /// For each, the admissions that count among itself and its past.
    admitted: BTreeMap<EntryName, Rc<BTreeSet<EntryName>>>,
}

impl<'e> History<'e> {
    /// Walks from the genesis entry to its descendants, parents before children, once along each edge.
    fn of(root: EntryName, founder: DeviceId, entries: &'e [MembershipEntry]) -> Self {
        let entries: BTreeMap<_, _> = entries.iter().map(|entry| (entry.name, entry)).collect();
        let mut children: BTreeMap<EntryName, Vec<&MembershipEntry>> = BTreeMap::new();
        let mut missing: BTreeMap<EntryName, usize> = BTreeMap::new();
        let counted = entries.values().filter(|entry| entry.name != root && entry.number <= Members::MAX_ENTRIES);
        for entry in counted {
            let parents: BTreeSet<_> = entry.act.parents().iter().collect();
            missing.insert(entry.name, parents.len());
            parents.into_iter().for_each(|parent| children.entry(*parent).or_default().push(entry));
        }
        let mut history = Self { entries, admitted: BTreeMap::from([(root, Rc::default())]) };
        let mut ready = vec![root];
        while let Some(name) = ready.pop() {
            for child in children.remove(&name).into_iter().flatten() {
                let missing = missing.get_mut(&child.name).expect("every child was counted");
                *missing -= 1;
                if *missing == 0 {
                    history.take(founder, child);
                    ready.push(child.name);
                }
            }
        }
        history
    }

    /// Takes an entry whose parents are all taken.
    fn take(&mut self, founder: DeviceId, entry: &MembershipEntry) {
        let mut pasts = entry.act.parents().iter().filter_map(|parent| self.admitted.get(parent));
        let first = pasts.next().cloned().unwrap_or_default();
        // A line of entries shares one set: a member who writes very many costs no more than their number.
        let mut past = pasts.fold(first, |mut past, more| {
            if !more.is_subset(&past) {
                Rc::make_mut(&mut past).extend(more.iter().copied());
            }
            past
        });
        let by_admin = entry.author == founder || past.iter().any(|name| self.makes_admin(name, &entry.author));
        let counts = match &entry.act {
            MembershipAct::Add(_) => by_admin,
            MembershipAct::Remove(remove) => by_admin || remove.device == entry.author,
            _ => false,
        };
        if counts {
            Rc::make_mut(&mut past).insert(entry.name);
        }
        self.admitted.insert(entry.name, past);
    }

    fn add(&self, name: &EntryName) -> Option<(&'e MembershipEntry, &'e Add)> {
        match self.entries.get(name)? {
            entry @ MembershipEntry { act: MembershipAct::Add(add), .. } => Some((entry, add)),
            _ => None,
        }
    }

    fn makes_admin(&self, name: &EntryName, device: &DeviceId) -> bool {
        self.add(name).is_some_and(|(_, add)| add.role == Role::Admin && add.certificate.id() == *device)
    }

    /// The admissions that count.
    fn admissions(&self) -> impl Iterator<Item = (&'e MembershipEntry, &'e Add)> {
        let counts = |(name, admitted): (&EntryName, &Rc<BTreeSet<EntryName>>)| {
            if admitted.contains(name) { self.add(name) } else { None }
        };
        self.admitted.iter().filter_map(counts)
    }

    /// Takes out who was removed.
    fn remove(&self, members: &mut BTreeMap<DeviceId, Member>) -> BTreeMap<DeviceId, Removed> {
        let mut removed: BTreeMap<DeviceId, Removed> = BTreeMap::new();
        for (name, counting) in &self.admitted {
            let Some(entry) = self.entries.get(name).filter(|_| counting.contains(name)) else { continue };
            let MembershipAct::Remove(remove) = &entry.act else { continue };
            if let Some(member) = members.remove(&remove.device) {
                let nothing = Removed {
                    member,
                    by: Vec::new(),
                    entries: Vec::new(),
                    time: entry.time,
                    retired: true,
                    pins: Vec::new(),
                };
                removed.insert(remove.device, nothing);
            }
            let Some(removed) = removed.get_mut(&remove.device) else { continue };
            removed.by.push(entry.author);
            removed.entries.push(*name);
            removed.time = removed.time.min(entry.time);
            match &remove.manner {
                Manner::Retire => {}
                Manner::Revoke { pins } => {
                    removed.retired = false;
                    removed.pins.extend(pins);
                }
            }
        }
        for removed in removed.values_mut() {
            removed.by.sort_unstable();
            removed.by.dedup();
            removed.pins.sort_unstable();
            removed.pins.dedup();
        }
        removed
    }

    /// The epochs' beginnings: those of the founder's that has no parents, and of those who were let in.
    fn rotates(&self, birth: &Genesis) -> BTreeSet<EntryName> {
        let first = |entry: &MembershipEntry| match &entry.act {
            MembershipAct::Rotate { parents, .. } => {
                (parents.is_empty() && entry.author == birth.founder.id()) || self.admitted.contains_key(&entry.name)
            }
            _ => false,
        };
        self.entries.values().filter(|entry| first(entry)).map(|entry| entry.name).collect()
    }

    /// Of more than [`Members::MAX`] members, keeps those whose admission has the fewest others in its past.
    fn crowd_out(&self, members: &mut BTreeMap<DeviceId, Member>, root: EntryName) {
        let mut order: Vec<_> = members
            .iter()
            .map(|(device, member)| (member.entry != root, self.depth(&member.entry), member.entry, *device))
            .collect();
        order.sort_unstable();
        order.iter().skip(Members::MAX).for_each(|(.., device)| {
            members.remove(device);
        });
    }

    fn depth(&self, name: &EntryName) -> usize {
        self.admitted.get(name).map_or(0, |admitted| admitted.len())
    }

    /// The maximal entries, at most [`MAX_PARENTS`]. A member can write any number of entries side by side; then the
    /// ones with admissions that no chosen one has in its past go first, so that the next entry's author is an admin
    /// in its own past as it is in ours.
    fn heads(&self) -> Vec<EntryName> {
        let covered: BTreeSet<_> = self
            .admitted
            .keys()
            .filter_map(|name| self.entries.get(name))
            .flat_map(|entry| entry.act.parents())
            .collect();
        let mut heads: Vec<_> = self.admitted.keys().filter(|name| !covered.contains(name)).copied().collect();
        if heads.len() > MAX_PARENTS {
            heads.sort_by_key(|name| (Reverse(self.depth(name)), *name));
            let mut seen = BTreeSet::new();
            let mut adds = |name: &EntryName| {
                let before = seen.len();
                seen.extend(self.admitted[name].iter().copied());
                seen.len() > before
            };
            let (mut chosen, rest): (Vec<_>, Vec<_>) = heads.into_iter().partition(|name| adds(name));
            chosen.extend(rest);
            chosen.truncate(MAX_PARENTS);
            heads = chosen;
        }
        heads.sort_unstable();
        heads
    }
}
