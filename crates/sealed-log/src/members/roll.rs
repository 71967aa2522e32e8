//! From what counts to who belongs: words about members, bounds, and those who are members no more.

use std::collections::{BTreeMap, BTreeSet};

use super::act::MembershipAct;
use super::graph::Graph;
use super::judge::{At, Cut, Grant, History, Judge};
use super::{Member, Members, Removed};
use crate::bodies::{Genesis, Manner, Role};
use crate::device::DeviceCert;
use crate::ids::{DeviceId, EntryName};

/// The genesis entry as a caller knows it.
#[derive(Clone, Copy)]
pub(super) struct Root<'e> {
    pub(super) name: EntryName,
    pub(super) birth: &'e Genesis,
    pub(super) time: u64,
}

/// Who belongs before anything else is said: the founder, or whom all the resets list, each with the lowest role that
/// one of them gives it.
pub(super) fn base(root: Root<'_>, graph: &Graph<'_>, resets: &[usize]) -> BTreeMap<DeviceId, Role> {
    let lists = resets.iter().filter_map(|place| match graph.act(*place) {
        Some(MembershipAct::Reset(reset)) => Some(reset),
        _ => None,
    });
    let lists = lists.map(|reset| -> BTreeMap<DeviceId, Role> {
        reset.members.iter().map(|listed| (listed.certificate.id(), listed.role)).collect()
    });
    let both = |some: BTreeMap<DeviceId, Role>, more: BTreeMap<DeviceId, Role>| {
        some.into_iter().filter_map(|(device, role)| Some((device, role.min(*more.get(&device)?)))).collect()
    };
    lists.reduce(both).unwrap_or_else(|| BTreeMap::from([(root.birth.founder.id(), Role::Admin)]))
}

/// Reads off a judgement who belongs.
pub(super) struct Roll<'j, 'g, 'e> {
    pub(super) root: Root<'e>,
    pub(super) graph: &'g Graph<'e>,
    pub(super) judge: &'j Judge<'g, 'e>,
}

impl<'e> Roll<'_, '_, 'e> {
    /// The members in a cut. Of more than [`Members::MAX`] those stand that everything begins from, then those whose
    /// first admission has the fewest acts in its past, then the smallest name.
    pub(super) fn roles(&self, at: At<'_>) -> BTreeMap<DeviceId, Role> {
        let known = self.judge.known();
        let mut roles: BTreeMap<_, _> = known.filter_map(|id| Some((*id, self.judge.role(id, at)?))).collect();
        if roles.len() > Members::MAX {
            let mut order: Vec<_> = roles.keys().map(|device| (self.admission(device, at), *device)).collect();
            order.sort_unstable();
            order.iter().skip(Members::MAX).for_each(|(_, device)| {
                roles.remove(device);
            });
        }
        roles
    }

    /// The first admission of a device that counts: how many acts it has in its past, its name and its place.
    fn admission(&self, device: &DeviceId, at: At<'_>) -> Option<(usize, EntryName, usize)> {
        let history = self.judge.devices.get(device);
        let standing = history.is_none_or(|history| self.judge.admitted(history, None, at));
        if self.judge.base(device).is_some() && standing {
            let first = self.judge.resets().iter().map(|place| (self.graph.nodes[*place].name, *place)).min();
            let (name, place) = first.unwrap_or((self.root.name, 0));
            return Some((0, name, place));
        }
        self.admissions(history?, at).map(|(_, order)| order).min()
    }

    fn admissions<'h>(
        &'h self,
        history: &'h History,
        at: At<'h>,
    ) -> impl Iterator<Item = (&'h Grant, (usize, EntryName, usize))> + 'h {
        let counts = move |grant: &&Grant| {
            let stands = at.acts.has(grant.act) && at.valid.has(grant.act);
            stands && grant.admits && self.judge.admitted(history, Some(grant.act), at)
        };
        history.grants.iter().filter(counts).map(|grant| (grant, self.order(grant.act)))
    }

    /// Where an act stands among others.
    fn order(&self, number: usize) -> (usize, EntryName, usize) {
        let act = &self.judge.acts[number];
        (1 + act.past.acts.len(), self.graph.nodes[act.node].name, act.node)
    }

    /// What is known of a device that belongs, or did when removals are passed over.
    pub(super) fn member(&self, device: &DeviceId, role: Role, at: At<'_>) -> Option<Member> {
        let (.., place) = self.admission(device, at)?;
        let mut member = self.introduced(device, place, role)?;
        if let Some(name) = self.named(device, at) {
            member.name = name;
        }
        Some(member)
    }

    /// How a device was first let in, by one of the entries at these places.
    pub(super) fn first(&self, device: &DeviceId, places: &[usize]) -> Option<Member> {
        let history = self.judge.devices.get(device).into_iter().flat_map(|history| &history.grants);
        let grants = history.filter(|grant| grant.admits).map(|grant| (self.order(grant.act), grant.role));
        let grants = grants.filter(|((.., place), _)| places.binary_search(place).is_ok());
        if let Some(role) = self.judge.base(device) {
            let place = self.judge.resets().first().copied().unwrap_or(0);
            return self.introduced(device, place, role);
        }
        let ((.., place), role) = grants.min()?;
        self.introduced(device, place, role)
    }

    /// What the entry at a place says about a device that it admits.
    pub(super) fn introduced(&self, device: &DeviceId, place: usize, role: Role) -> Option<Member> {
        let (certificate, name) = self.words(device, place)?;
        let node = &self.graph.nodes[place];
        Some(Member {
            certificate: certificate.clone(),
            role,
            name: name.to_owned(),
            added_by: node.entry.map_or(*device, |entry| entry.author),
            entry: node.name,
            time: node.entry.map_or(self.root.time, |entry| entry.time),
        })
    }

    fn words(&self, device: &DeviceId, place: usize) -> Option<(&'e DeviceCert, &'e str)> {
        match self.graph.act(place) {
            None => Some((&self.root.birth.founder, &self.root.birth.name)),
            Some(MembershipAct::Add(add)) => Some((&add.certificate, &add.name)),
            Some(MembershipAct::Admit(admit)) => Some((&admit.certificate, &admit.name)),
            Some(MembershipAct::Reset(reset)) => {
                let listed = reset.members.iter().find(|listed| listed.certificate.id() == *device)?;
                Some((&listed.certificate, &listed.name))
            }
            _ => None,
        }
    }

    /// The latest name: of several that none of them follows, the one whose entry has the smallest name. `None` if
    /// nobody said another than what everything begins from.
    fn named(&self, device: &DeviceId, at: At<'_>) -> Option<String> {
        let history = self.judge.devices.get(device)?;
        let given = self.admissions(history, at).map(|(grant, _)| grant.act);
        let changed = history.names.iter().copied().filter(|act| at.acts.has(*act) && at.valid.has(*act));
        let mut all: Vec<usize> = given.chain(changed).collect();
        // What follows an act has a higher number, and something of the last follows it as well.
        all.sort_unstable();
        let mut last: Vec<usize> = Vec::new();
        for act in all.into_iter().rev() {
            if !last.iter().any(|later| self.judge.follows(Some(*later), act)) {
                last.push(act);
            }
        }
        let places = last.into_iter().map(|act| self.judge.acts[act].node);
        let place = places.min_by_key(|place| self.graph.nodes[*place].name)?;
        match self.graph.act(place) {
            Some(MembershipAct::Rename(rename)) => Some(rename.name.clone()),
            _ => self.words(device, place).map(|(_, name)| name.to_owned()),
        }
    }

    /// What made a reader of a member: the roles that took more from it, or else its admission.
    pub(super) fn made_reader(&self, device: &DeviceId, at: At<'_>) -> Vec<EntryName> {
        let history = self.judge.devices.get(device);
        let raised = |cap: usize| {
            let mut grants = history.iter().flat_map(|history| &history.grants);
            grants.any(|grant| {
                grant.role > Role::Reader && at.valid.has(grant.act) && self.judge.follows(Some(grant.act), cap)
            })
        };
        let caps = history.iter().flat_map(|history| &history.caps);
        let lowered = caps.filter(|(cap, role)| *role == Role::Reader && !raised(*cap)).map(|(cap, _)| *cap);
        let mut entries: Vec<_> = lowered.map(|act| self.graph.nodes[self.judge.acts[act].node].name).collect();
        if entries.is_empty() {
            entries.extend(self.admission(device, at).map(|(_, name, _)| name));
        }
        entries.sort_unstable();
        entries
    }

    /// Who shut out a device that does not belong any more, and how.
    pub(super) fn removed(&self, device: &DeviceId, member: Member, whole: &Cut) -> Removed {
        let own = self.removals(device, whole);
        let manners = || own.iter().filter_map(|place| self.manner(*place));
        let pins = manners().filter_map(|manner| if let Manner::Revoke { pins } = manner { Some(pins) } else { None });
        let pins: BTreeSet<_> = pins.flatten().copied().collect();
        let retired = !own.is_empty() && manners().all(|manner| *manner == Manner::Retire);
        let places = match own {
            own if !own.is_empty() => own,
            _ if self.judge.base(device).is_none() && !self.judge.resets().is_empty() => self.judge.resets().to_vec(),
            _ => self.sponsors(device).iter().flat_map(|sponsor| self.removals(sponsor, whole)).collect(),
        };
        let entries: BTreeMap<_, _> =
            places.iter().filter_map(|place| self.graph.nodes[*place].entry).map(|entry| (entry.name, entry)).collect();
        Removed {
            time: entries.values().map(|entry| entry.time).min().unwrap_or(member.time),
            by: entries.values().map(|entry| entry.author).collect::<BTreeSet<_>>().into_iter().collect(),
            entries: entries.into_keys().collect(),
            retired,
            pins: pins.into_iter().collect(),
            member,
        }
    }

    /// Places of the removals of a device that no admission followed.
    fn removals(&self, device: &DeviceId, whole: &Cut) -> Vec<usize> {
        let Some(history) = self.judge.devices.get(device) else { return Vec::new() };
        let undone = |removal: usize| {
            let mut grants = history.grants.iter().filter(|grant| grant.admits && whole.valid.has(grant.act));
            grants.any(|grant| self.judge.follows(Some(grant.act), removal))
        };
        let last = history.removals.iter().filter(|removal| !undone(**removal));
        last.map(|removal| self.judge.acts[*removal].node).collect()
    }

    fn manner(&self, place: usize) -> Option<&'e Manner> {
        match self.graph.act(place)? {
            MembershipAct::Remove(remove) => Some(&remove.manner),
            _ => None,
        }
    }

    /// Who let a device in.
    fn sponsors(&self, device: &DeviceId) -> BTreeSet<DeviceId> {
        let grants = self.judge.devices.get(device).into_iter().flat_map(|history| &history.grants);
        let entries = grants.filter_map(|grant| self.graph.nodes[self.judge.acts[grant.act].node].entry);
        entries.map(|entry| entry.author).collect()
    }
}
