//! The rule of FORMAT.md, "Members", as it is said there and with no thought for speed: a second implementation.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ties_sealed_log::{DeviceId, EntryName, MembershipAct, MembershipEntry, RecoveryCert, Role};

use super::story::{LAPTOP, ROOT, genesis, id};

/// A set of entries, by their places: a history here has no more than 64.
pub(crate) type Places = u64;

pub(crate) struct Words<'e> {
    entries: Vec<&'e MembershipEntry>,
    past: Vec<Places>,
    signed: Vec<Option<Vec<Key>>>,
    spoken: HashMap<(Places, usize), bool>,
    counting: HashMap<(Places, Places, usize), bool>,
}

/// A recovery key: the genesis entry's, or that of the change at a place.
type Key = Option<usize>;

fn has(set: Places, place: usize) -> bool {
    set >> place & 1 == 1
}

fn each(set: Places) -> impl Iterator<Item = usize> {
    (0..64).filter(move |place| has(set, *place))
}

impl<'e> Words<'e> {
    /// Reads those whose ancestry is here, parents before children.
    pub(crate) fn read(all: &'e [MembershipEntry]) -> Self {
        let mut places: BTreeMap<EntryName, usize> = BTreeMap::new();
        let (mut entries, mut past): (Vec<&MembershipEntry>, Vec<Places>) = (Vec::new(), Vec::new());
        loop {
            let ready = all.iter().find(|entry| {
                let mut parents = entry.act.parents().iter();
                !places.contains_key(&entry.name)
                    && !entry.act.parents().is_empty()
                    && parents.all(|parent| *parent == ROOT || places.contains_key(parent))
            });
            let Some(entry) = ready else { break };
            let known = entry.act.parents().iter().filter_map(|parent| places.get(parent));
            past.push(known.fold(0, |all, parent| all | past[*parent] | 1 << *parent));
            places.insert(entry.name, entries.len());
            entries.push(entry);
        }
        let mut words = Self { entries, past, signed: Vec::new(), spoken: HashMap::new(), counting: HashMap::new() };
        for place in 0..words.entries.len() {
            let signed = words.signature(place);
            words.signed.push(signed);
        }
        words
    }

    pub(crate) fn all(&self) -> Places {
        (0..self.entries.len()).fold(0, |all, place| all | 1 << place)
    }

    fn beside(&self, one: usize, other: usize) -> bool {
        one != other && !has(self.past[one], other) && !has(self.past[other], one)
    }

    fn certificate(&self, key: Key) -> RecoveryCert {
        match key.map(|place| &self.entries[place].act) {
            None => genesis().recovery.clone().unwrap(),
            Some(MembershipAct::ChangeRecovery(change)) => change.certificate.clone(),
            Some(_) => unreachable!("only changes bring keys"),
        }
    }

    fn signature(&self, place: usize) -> Option<Vec<Key>> {
        let entry = self.entries[place];
        let keys = self.keys(self.past[place])?;
        let key = self.certificate(*keys.last()?);
        let space = genesis().space();
        let good = match &entry.act {
            MembershipAct::Reset(reset) => reset.verify(&key, &space, &entry.author),
            MembershipAct::ChangeRecovery(change) => change.verify(&key, &space, &entry.author),
            MembershipAct::Admit(admit) if admit.certificate.id() == entry.author => admit.verify(&key, &space),
            _ => return None,
        };
        good.is_ok().then_some(keys)
    }

    fn changes(&self, set: Places) -> impl Iterator<Item = (usize, Key)> + '_ {
        each(set).filter_map(|place| match (&self.entries[place].act, self.signed.get(place)) {
            (MembershipAct::ChangeRecovery(_), Some(Some(keys))) => Some((place, *keys.last()?)),
            _ => None,
        })
    }

    /// The keys from the first to the one that stands.
    fn keys(&self, set: Places) -> Option<Vec<Key>> {
        let mut keys = vec![None];
        loop {
            let by: Vec<_> = self.changes(set).filter(|(_, by)| Some(by) == keys.last()).collect();
            match by.as_slice() {
                [] => return Some(keys),
                [(place, _)] => keys.push(Some(*place)),
                _ => return None,
            }
        }
    }

    pub(crate) fn recovery(&self, set: Places) -> Option<RecoveryCert> {
        Some(self.certificate(*self.keys(set)?.last()?))
    }

    fn allowed(&self, place: usize, set: Places) -> bool {
        let Some(keys) = &self.signed[place] else { return false };
        !self.changes(set).any(|(change, by)| keys.contains(&by) && self.beside(change, place))
    }

    /// The last resets of a set.
    fn resets(&self, set: Places) -> Places {
        let is_reset = |place: &usize| matches!(self.entries[*place].act, MembershipAct::Reset(_));
        let counting: Vec<_> = each(set).filter(is_reset).filter(|place| self.allowed(*place, set)).collect();
        let last = |place: &&usize| !counting.iter().any(|other| has(self.past[*other], **place));
        counting.iter().filter(last).fold(0, |all, place| all | 1 << *place)
    }

    fn base(&self, resets: Places) -> BTreeMap<DeviceId, Role> {
        let lists = each(resets).map(|place| match &self.entries[place].act {
            MembershipAct::Reset(reset) => {
                reset.members.iter().map(|one| (one.certificate.id(), one.role)).collect::<BTreeMap<_, _>>()
            }
            _ => unreachable!("only resets are here"),
        });
        let both = |one: BTreeMap<_, Role>, other: BTreeMap<_, _>| {
            one.into_iter().filter_map(|(id, role)| Some((id, role.min(*other.get(&id)?)))).collect()
        };
        lists.reduce(both).unwrap_or_else(|| BTreeMap::from([(id(LAPTOP), Role::Admin)]))
    }

    fn live(&self, resets: Places, place: usize) -> bool {
        resets == 0 || self.past[place] & resets != 0
    }

    fn spoken(&mut self, resets: Places, place: usize) -> bool {
        if let Some(known) = self.spoken.get(&(resets, place)) {
            return *known;
        }
        let entry = self.entries[place];
        let (past, author) = (self.past[place], entry.author);
        let spoken = self.live(resets, place) && {
            let role = self.role(resets, past, past, &author);
            let admin = role == Some(Role::Admin);
            match &entry.act {
                MembershipAct::Add(_) | MembershipAct::Raise(_) => admin,
                MembershipAct::SetRole(set) => admin && self.role(resets, past, past, &set.device).is_some(),
                MembershipAct::Rename(name) => {
                    (admin || name.device == author) && self.role(resets, past, past, &name.device).is_some()
                }
                MembershipAct::Remove(remove) => admin || (remove.device == author && role.is_some()),
                MembershipAct::Admit(_) => self.signed[place].is_some(),
                _ => false,
            }
        };
        self.spoken.insert((resets, place), spoken);
        spoken
    }

    fn counts(&mut self, resets: Places, set: Places, place: usize) -> bool {
        if let Some(known) = self.counting.get(&(resets, set, place)) {
            return *known;
        }
        let entry = self.entries[place];
        let counts = self.spoken(resets, place)
            && match &entry.act {
                MembershipAct::Admit(_) => self.allowed(place, set),
                MembershipAct::Rename(name) if name.device == entry.author => true,
                _ => {
                    let beside = each(set).filter(|other| self.beside(*other, place)).collect::<Vec<_>>();
                    let takes = |other: &usize| match &self.entries[*other].act {
                        MembershipAct::Remove(remove) => remove.device == entry.author,
                        MembershipAct::SetRole(set) => set.device == entry.author && set.role < Role::Admin,
                        _ => false,
                    };
                    let takers: Vec<_> = beside.into_iter().filter(takes).collect();
                    !takers.into_iter().any(|other| self.spoken(resets, other))
                        && self.role(resets, self.past[place], set, &entry.author) == Some(Role::Admin)
                }
            };
        self.counting.insert((resets, set, place), counts);
        counts
    }

    /// What a device is, as of the entries in `at`, when those grants are taken that count in `set`.
    fn role(&mut self, resets: Places, at: Places, set: Places, device: &DeviceId) -> Option<Role> {
        // Each grant: its place, its past, its role, and whether it makes a member.
        let mut grants: Vec<(usize, Places, Role, bool)> = Vec::new();
        grants.extend(self.base(resets).get(device).map(|role| (64, 0, *role, true)));
        let (mut removes, mut caps) = (Vec::new(), Vec::new());
        for place in each(at) {
            let grant = match &self.entries[place].act {
                MembershipAct::Add(add) if add.certificate.id() == *device => Some((add.role, true)),
                MembershipAct::Admit(admit) if admit.certificate.id() == *device => Some((admit.role, true)),
                MembershipAct::SetRole(role) if role.device == *device => Some((role.role, false)),
                MembershipAct::Remove(remove) if remove.device == *device => {
                    removes.extend(self.spoken(resets, place).then_some(place));
                    None
                }
                _ => None,
            };
            let Some((role, admits)) = grant else { continue };
            if !admits && self.spoken(resets, place) {
                caps.push((place, role));
            }
            if self.counts(resets, set, place) {
                grants.push((place, self.past[place], role, admits));
            }
        }
        grants.retain(|(_, past, ..)| removes.iter().all(|remove| has(*past, *remove)));
        let member = grants.iter().any(|(.., admits)| *admits);
        let roles = grants.iter().map(|(grant, past, role, _)| {
            let caps = caps.iter().filter(|(cap, _)| cap != grant && !has(*past, *cap));
            caps.map(|(_, cap)| *cap).fold(*role, Role::min)
        });
        roles.max().filter(|_| member)
    }

    /// The members of a set, and what they may do; no more than 64 can be.
    pub(crate) fn roles(&mut self, set: Places, devices: &[DeviceId]) -> BTreeMap<DeviceId, Role> {
        let resets = self.resets(set);
        devices.iter().filter_map(|device| Some((*device, self.role(resets, set, set, device)?))).collect()
    }

    /// The level that counts.
    pub(crate) fn level(&mut self, set: Places) -> u16 {
        let resets = self.resets(set);
        let raised = |place: usize| match &self.entries[place].act {
            MembershipAct::Raise(raise) => Some((place, raise.level)),
            _ => None,
        };
        let raises: Vec<_> = each(set).filter_map(raised).collect();
        let counting = raises.into_iter().filter(|(place, _)| self.counts(resets, set, *place));
        counting.map(|(_, level)| level).max().unwrap_or(1)
    }

    /// The rotates that count.
    pub(crate) fn rotates(&mut self, devices: &[DeviceId]) -> BTreeSet<EntryName> {
        let mut counting = BTreeSet::new();
        for place in 0..self.entries.len() {
            let (entry, past) = (self.entries[place], self.past[place]);
            if let MembershipAct::Rotate { recipients, .. } = &entry.act {
                let members = self.roles(past, devices);
                let recovery = self.recovery(past).map(|cert| cert.id());
                let all: BTreeSet<_> = members.keys().copied().chain(recovery).collect();
                let may = members.get(&entry.author).is_some_and(|role| *role >= Role::Writer);
                if may && recipients.iter().copied().collect::<BTreeSet<_>>() == all {
                    counting.insert(entry.name);
                }
            }
        }
        counting
    }
}
