//! Which entries count: the rule itself.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::act::{MembershipAct, MembershipEntry};
use super::graph::Graph;
use super::set::Set;
use super::words::Words;
use crate::bodies::Role;
use crate::ids::DeviceId;

/// Judges every entry by what its author knew, and what its author knew by what stands beside it.
///
/// A **grant** (add, admit, role) is what makes members and raises roles. It counts among a set of entries while its
/// author's own right to write it rests on grants that count there, and nothing there shuts the author out beside it.
/// A **removal**, and a role as a **cap** on what a member may do, count from what their author was in their own past
/// alone, whatever else becomes known: so more entries can only ever take rights away, and no order of arrival matters.
///
/// After resets all this begins anew: the members that they list stand for the founder, and what follows none of them
/// says nothing.
pub(super) struct Judge<'g, 'e> {
    graph: &'g Graph<'e>,
    words: &'g Words<'e>,
    /// Places of the resets that this judgement begins from; none, if it begins from the genesis entry.
    resets: Vec<usize>,
    /// Who belongs from there on.
    base: BTreeMap<DeviceId, Role>,
    /// The entries that count in their own past, parents before children.
    pub(super) acts: Vec<Act>,
    pub(super) devices: BTreeMap<DeviceId, History>,
    /// What can take from what stands beside it, and from whom; a change of the recovery key from anybody.
    takers: Vec<(usize, Option<DeviceId>)>,
    /// What each device said that can be taken.
    said: BTreeMap<DeviceId, Vec<usize>>,
    /// For each node, what is in its past.
    past: Vec<Rc<Cut>>,
    /// For each node, what is in its children's past through it.
    after: Vec<Rc<Cut>>,
    /// For each node, whether it follows the resets.
    live: Vec<bool>,
}

/// A set of entries that holds its members' pasts.
#[derive(Default)]
pub(super) struct Cut {
    /// Numbers of the acts in it.
    pub(super) acts: Set,
    /// Those of them that are grants or names and count there.
    pub(super) valid: Set,
}

pub(super) struct Act {
    pub(super) node: usize,
    pub(super) device: Option<DeviceId>,
    pub(super) past: Rc<Cut>,
    kind: ActKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ActKind {
    Add,
    Admit,
    Role,
    Rename,
    Remove,
    Raise,
    Signed,
}

/// Numbers of the acts about one device, in ascending order.
#[derive(Default)]
pub(super) struct History {
    pub(super) grants: Vec<Grant>,
    /// Roles below the highest.
    pub(super) caps: Vec<(usize, Role)>,
    pub(super) removals: Vec<usize>,
    pub(super) names: Vec<usize>,
}

pub(super) struct Grant {
    pub(super) act: usize,
    pub(super) role: Role,
    /// It makes a member, and does not only change what a member may do.
    pub(super) admits: bool,
}

/// Where somebody stands in a cut.
#[derive(Clone, Copy)]
pub(super) struct At<'c> {
    pub(super) acts: &'c Set,
    /// Which grants count: those of the cut itself, or of a larger one.
    pub(super) valid: &'c Set,
    /// Removals are passed over, to say what somebody was who is none any more.
    pub(super) former: bool,
}

impl<'c> At<'c> {
    pub(super) fn cut(cut: &'c Cut) -> Self {
        Self { acts: &cut.acts, valid: &cut.valid, former: false }
    }
}

impl<'g, 'e> Judge<'g, 'e> {
    pub(super) fn new(
        graph: &'g Graph<'e>,
        words: &'g Words<'e>,
        resets: Vec<usize>,
        base: BTreeMap<DeviceId, Role>,
    ) -> Self {
        let mut judge = Self {
            graph,
            words,
            resets,
            base,
            acts: Vec::new(),
            devices: BTreeMap::new(),
            takers: Vec::new(),
            said: BTreeMap::new(),
            past: Vec::new(),
            after: Vec::new(),
            live: Vec::new(),
        };
        for place in 0..graph.nodes.len() {
            judge.take(place);
        }
        judge
    }

    /// Takes a node whose parents are all taken.
    fn take(&mut self, place: usize) {
        let node = &self.graph.nodes[place];
        let past = self.merge(&node.parents, self.words.past(place));
        let live = self.resets.is_empty() || node.parents.iter().any(|at| self.live[*at] || self.resets.contains(at));
        let act = node.entry.and_then(|entry| self.count(place, entry, live, &past));
        self.past.push(Rc::clone(&past));
        self.live.push(live);
        let after = match act {
            None => past,
            Some((kind, device)) => {
                let number = self.acts.len();
                let mut after = Cut { acts: past.acts.clone(), valid: past.valid.clone() };
                after.acts.insert(number);
                // Everything else there is in its past: nothing stands beside it yet.
                if matches!(kind, ActKind::Add | ActKind::Admit | ActKind::Role | ActKind::Rename | ActKind::Raise) {
                    after.valid.insert(number);
                }
                self.note(number, place, kind, device);
                self.acts.push(Act { node: place, device, past, kind });
                Rc::new(after)
            }
        };
        self.after.push(after);
    }

    /// The cut that several nodes and their pasts make up. A line of entries shares one.
    fn merge(&self, parents: &[usize], signed: &Set) -> Rc<Cut> {
        let cuts: Vec<&Rc<Cut>> = parents.iter().map(|parent| &self.after[*parent]).collect();
        let whole = cuts.iter().find(|cut| cuts.iter().all(|other| cut.acts.covers(&other.acts)));
        if let Some(whole) = whole {
            return Rc::clone(whole);
        }
        let mut both = Cut::default();
        for cut in &cuts {
            both.acts.extend(&cut.acts);
            both.valid.extend(&cut.valid);
        }
        if self.disturbed(&both, &cuts) {
            both.valid = self.valid(&both.acts, signed);
        }
        Rc::new(both)
    }

    /// Whether something that one of the cuts lacks takes away what counts in another. If not, what counts in each
    /// counts in all together: the first in the order of cause and effect that did not would be taken directly.
    fn disturbed(&self, both: &Cut, cuts: &[&Rc<Cut>]) -> bool {
        let news = |taker: usize| both.acts.has(taker) && cuts.iter().any(|cut| !cut.acts.has(taker));
        self.takers.iter().filter(|(taker, _)| news(*taker)).any(|(taker, device)| {
            let Some(device) = device else { return true };
            let mut said = self.said.get(device).into_iter().flatten().filter(|act| both.valid.has(**act));
            said.any(|act| self.beside(*taker, *act))
        })
    }

    /// Whether an entry counts in its own past, and about whom.
    fn count(
        &self,
        place: usize,
        entry: &MembershipEntry,
        live: bool,
        past: &Cut,
    ) -> Option<(ActKind, Option<DeviceId>)> {
        let author = &entry.author;
        let at = At::cut(past);
        let by_admin = || self.role(author, at) == Some(Role::Admin);
        let signed = || self.words.allows(place, self.words.past(place));
        let (kind, device, counts) = match &entry.act {
            MembershipAct::Reset(_) | MembershipAct::ChangeRecovery(_) => {
                return signed().then_some((ActKind::Signed, None));
            }
            _ if !live => return None,
            MembershipAct::Raise(_) => return by_admin().then_some((ActKind::Raise, None)),
            MembershipAct::Add(add) => (ActKind::Add, add.certificate.id(), by_admin()),
            MembershipAct::Admit(admit) => (ActKind::Admit, admit.certificate.id(), signed()),
            MembershipAct::SetRole(set) => {
                (ActKind::Role, set.device, by_admin() && self.role(&set.device, at).is_some())
            }
            MembershipAct::Rename(rename) => {
                let counts = (rename.device == *author || by_admin()) && self.role(&rename.device, at).is_some();
                (ActKind::Rename, rename.device, counts)
            }
            MembershipAct::Remove(remove) => {
                let itself = remove.device == *author && self.role(author, at).is_some();
                (ActKind::Remove, remove.device, itself || by_admin())
            }
            MembershipAct::Rotate { .. } | MembershipAct::Other { .. } => return None,
        };
        counts.then_some((kind, Some(device)))
    }

    /// Files an act under the device that it is about.
    fn note(&mut self, number: usize, place: usize, kind: ActKind, device: Option<DeviceId>) {
        let Some(entry) = self.graph.nodes[place].entry else { return };
        let act = &entry.act;
        if matches!(act, MembershipAct::ChangeRecovery(_)) {
            self.takers.push((number, None));
        }
        if matches!(kind, ActKind::Add | ActKind::Role | ActKind::Rename | ActKind::Raise) {
            self.said.entry(entry.author).or_default().push(number);
        }
        let Some(device) = device else { return };
        let history = self.devices.entry(device).or_default();
        match act {
            MembershipAct::Add(add) => history.grants.push(Grant { act: number, role: add.role, admits: true }),
            MembershipAct::Admit(admit) => history.grants.push(Grant { act: number, role: admit.role, admits: true }),
            MembershipAct::SetRole(set) => {
                history.grants.push(Grant { act: number, role: set.role, admits: false });
                if set.role < Role::Admin {
                    history.caps.push((number, set.role));
                    self.takers.push((number, Some(device)));
                }
            }
            MembershipAct::Remove(_) => {
                history.removals.push(number);
                self.takers.push((number, Some(device)));
            }
            _ => history.names.push(number),
        }
    }

    /// The grants and names that count among these acts, each judged after all in its past.
    fn valid(&self, acts: &Set, signed: &Set) -> Set {
        let mut valid = Set::default();
        for number in (0..self.acts.len()).filter(|number| acts.has(*number)) {
            if self.holds(number, acts, &valid, signed) {
                valid.insert(number);
            }
        }
        valid
    }

    fn holds(&self, number: usize, acts: &Set, valid: &Set, signed: &Set) -> bool {
        let act = &self.acts[number];
        let Some(entry) = self.graph.nodes[act.node].entry else { return false };
        match act.kind {
            ActKind::Remove | ActKind::Signed => false,
            ActKind::Admit => self.words.allows(act.node, signed),
            ActKind::Rename if act.device == Some(entry.author) => true,
            ActKind::Add | ActKind::Role | ActKind::Rename | ActKind::Raise => {
                let then = At { acts: &act.past.acts, valid, former: false };
                !self.shut_out_beside(&entry.author, number, acts)
                    && self.role(&entry.author, then) == Some(Role::Admin)
            }
        }
    }

    /// Whether something among these acts takes an act's author the right to it, and neither knew of the other.
    fn shut_out_beside(&self, author: &DeviceId, number: usize, acts: &Set) -> bool {
        let Some(history) = self.devices.get(author) else { return false };
        let mut takers = history.removals.iter().chain(history.caps.iter().map(|(cap, _)| cap));
        takers.any(|taker| acts.has(*taker) && self.beside(*taker, number))
    }

    /// Whether neither of two acts knew of the other.
    fn beside(&self, one: usize, other: usize) -> bool {
        !self.past(one).has(other) && !self.past(other).has(one)
    }

    fn past(&self, number: usize) -> &Set {
        &self.acts[number].past.acts
    }

    /// What a device may do; `None` if it does not belong.
    pub(super) fn role(&self, device: &DeviceId, at: At<'_>) -> Option<Role> {
        let base = self.base.get(device).copied();
        let Some(history) = self.devices.get(device) else { return base };
        let mut role =
            base.filter(|_| self.admitted(history, None, at)).map(|role| self.capped(history, role, None, at));
        let mut member = role.is_some();
        // The latest first: mostly it says all.
        for grant in history.grants.iter().rev() {
            if member && role == Some(Role::Admin) {
                break;
            }
            let stands =
                at.acts.has(grant.act) && at.valid.has(grant.act) && self.admitted(history, Some(grant.act), at);
            if stands {
                member |= grant.admits;
                role = role.max(Some(self.capped(history, grant.role, Some(grant.act), at)));
            }
        }
        role.filter(|_| member)
    }

    /// Whether a grant knew of every removal.
    pub(super) fn admitted(&self, history: &History, grant: Option<usize>, at: At<'_>) -> bool {
        at.former || history.removals.iter().all(|removal| !at.acts.has(*removal) || self.follows(grant, *removal))
    }

    /// What a grant gives, less what caps that it did not know of take from it.
    fn capped(&self, history: &History, role: Role, grant: Option<usize>, at: At<'_>) -> Role {
        let caps = history.caps.iter().filter(|(cap, _)| at.acts.has(*cap) && Some(*cap) != grant);
        caps.filter(|(cap, _)| !self.follows(grant, *cap)).map(|(_, role)| *role).fold(role, Role::min)
    }

    /// Whether a grant has an act in its past; `None` is what everything begins from.
    pub(super) fn follows(&self, grant: Option<usize>, act: usize) -> bool {
        grant.is_some_and(|grant| self.past(grant).has(act))
    }

    /// Everything that is known.
    pub(super) fn whole(&self) -> Cut {
        let acts = Set::below(self.acts.len());
        let valid = self.valid(&acts, &self.words.all());
        Cut { acts, valid }
    }

    /// What is in a node's past.
    pub(super) fn past_of(&self, place: usize) -> &Rc<Cut> {
        &self.past[place]
    }

    /// What is in the past of whatever names a node as its parent.
    pub(super) fn after(&self, place: usize) -> &Cut {
        &self.after[place]
    }

    /// All devices that are or were anything here.
    pub(super) fn known(&self) -> impl Iterator<Item = &DeviceId> {
        self.base.keys().chain(self.devices.keys().filter(|device| !self.base.contains_key(*device)))
    }

    /// What a device may do before anything else is said.
    pub(super) fn base(&self, device: &DeviceId) -> Option<Role> {
        self.base.get(device).copied()
    }

    pub(super) fn resets(&self) -> &[usize] {
        &self.resets
    }
}
