//! What all judgements together say: the latest who belongs now, each who belonged then.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::act::{MembershipAct, MembershipEntry};
use super::graph::Graph;
use super::judge::{At, Cut, Judge};
use super::roll::{Roll, Root};
use super::set::Set;
use super::words::Words;
use super::{Member, Members};
use crate::bodies::Role;
use crate::ids::{DeviceId, EntryName};
use crate::payload::MAX_PARENTS;
use crate::recovery::RecoveryCert;

pub(super) struct Outcome<'j, 'g, 'e> {
    pub(super) root: Root<'e>,
    pub(super) graph: &'g Graph<'e>,
    pub(super) words: &'g Words<'e>,
    /// A judgement for each set of resets that somebody knew, and the places of the entries of those who did.
    pub(super) judges: &'j [(Judge<'g, 'e>, Vec<usize>)],
    /// The one of everything that is known.
    pub(super) now: &'j Judge<'g, 'e>,
}

impl<'j, 'g, 'e> Outcome<'j, 'g, 'e> {
    pub(super) fn members(&self, entries: &[MembershipEntry]) -> Members {
        let roll = self.roll(self.now);
        let whole = self.now.whole();
        let at = At::cut(&whole);
        let roles = roll.roles(at);
        let member = |device: &DeviceId, role: Role| Some((*device, roll.member(device, role, at)?));
        let members: BTreeMap<_, _> = roles.iter().filter_map(|(device, role)| member(device, *role)).collect();
        let known = self.known(&whole);
        let former = known.iter().filter(|(device, _)| !members.contains_key(*device));
        let removed = former.map(|(device, member)| (*device, roll.removed(device, member.clone(), &whole))).collect();
        let readers = members.iter().filter(|(_, member)| member.role == Role::Reader);
        let readers = readers.map(|(device, _)| (*device, roll.made_reader(device, at))).collect();
        Members {
            space: self.root.birth.space(),
            founder: self.root.birth.founder.id(),
            recovery: self.words.standing(&self.words.all()).into_iter().cloned().collect(),
            certificates: known.into_iter().map(|(device, member)| (device, member.certificate)).collect(),
            members,
            removed,
            readers,
            rotates: self.rotates(entries),
            level: self.level(&whole),
            heads: self.heads(),
        }
    }

    fn roll(&self, judge: &'j Judge<'g, 'e>) -> Roll<'j, 'g, 'e> {
        Roll { root: self.root, graph: self.graph, judge }
    }

    /// Everybody who belonged in the eyes of somebody who had reason to think so.
    fn known(&self, whole: &Cut) -> BTreeMap<DeviceId, Member> {
        let mut known = BTreeMap::new();
        let roll = self.roll(self.now);
        let at = At { former: true, ..At::cut(whole) };
        for device in self.now.known() {
            let member = self.now.role(device, at).and_then(|role| roll.member(device, role, at));
            known.extend(member.map(|member| (*device, member)));
        }
        for (judge, places) in self.judges {
            let roll = self.roll(judge);
            for device in judge.known() {
                if !known.contains_key(device) {
                    known.extend(roll.first(device, places).map(|member| (*device, member)));
                }
            }
        }
        self.listed(&mut known);
        known
    }

    /// Those whom a reset lists and another, beside it, does not.
    fn listed(&self, known: &mut BTreeMap<DeviceId, Member>) {
        let roll = self.roll(self.now);
        for place in 0..self.graph.nodes.len() {
            let Some(MembershipAct::Reset(reset)) = self.graph.act(place) else { continue };
            if !self.words.allows(place, self.words.past(place)) {
                continue;
            }
            for listed in &reset.members {
                let device = listed.certificate.id();
                if !known.contains_key(&device) {
                    known.extend(roll.introduced(&device, place, listed.role).map(|member| (device, member)));
                }
            }
        }
    }

    /// The highest level that an entry which counts asks for.
    fn level(&self, whole: &Cut) -> u16 {
        let raised = self.now.acts.iter().enumerate().filter(|(number, _)| whole.valid.has(*number));
        let levels = raised.filter_map(|(_, act)| match self.graph.act(act.node) {
            Some(MembershipAct::Raise(raise)) => Some(raise.level),
            _ => None,
        });
        levels.max().unwrap_or(1)
    }

    /// The rotates that count.
    fn rotates(&self, entries: &[MembershipEntry]) -> BTreeSet<EntryName> {
        let first = entries.iter().filter(|entry| entry.number <= Members::MAX_ENTRIES && self.begins(entry));
        let mut counting: BTreeSet<_> = first.map(|entry| entry.name).collect();
        for (judge, places) in self.judges {
            let roll = self.roll(judge);
            // A line of entries shares one past.
            let mut last: Option<(&Rc<Cut>, BTreeSet<DeviceId>)> = None;
            for place in places {
                let node = &self.graph.nodes[*place];
                let Some(entry) = node.entry else { continue };
                let MembershipAct::Rotate { recipients, .. } = &entry.act else { continue };
                let past = judge.past_of(*place);
                if judge.role(&entry.author, At::cut(past)) < Some(Role::Writer) {
                    continue;
                }
                let members = match last.take() {
                    Some((same, members)) if Rc::ptr_eq(same, past) => members,
                    _ => roll.roles(At::cut(past)).into_keys().collect(),
                };
                let recovery = self.words.standing(self.words.past(*place)).map(RecoveryCert::id);
                if recipients.iter().copied().collect::<BTreeSet<_>>() == with(&members, recovery) {
                    counting.insert(node.name);
                }
                last = Some((past, members));
            }
        }
        counting
    }

    /// Whether an entry begins the first epoch: it has no parents, since its id goes before the genesis entry's name.
    fn begins(&self, entry: &MembershipEntry) -> bool {
        let founder = self.root.birth.founder.id();
        let recovery = self.root.birth.recovery.as_ref().map(RecoveryCert::id);
        match &entry.act {
            MembershipAct::Rotate { parents, recipients } => {
                let all = with(&BTreeSet::from([founder]), recovery);
                parents.is_empty()
                    && entry.author == founder
                    && recipients.iter().copied().collect::<BTreeSet<_>>() == all
            }
            _ => false,
        }
    }

    /// The maximal entries, at most [`MAX_PARENTS`]. A member can write any number of entries side by side; then the
    /// ones with acts that no chosen one has in its past go first, so that the next entry's author is an admin in its
    /// own past as it is in ours.
    fn heads(&self) -> Vec<EntryName> {
        let mut heads = self.graph.heads();
        if heads.len() > MAX_PARENTS {
            heads.sort_by_cached_key(|place| {
                (Reverse(self.now.after(*place).acts.len()), self.graph.nodes[*place].name)
            });
            let mut seen = Set::default();
            let mut adds = |place: &usize| {
                let acts = &self.now.after(*place).acts;
                let adds = !seen.covers(acts);
                seen.extend(acts);
                adds
            };
            let (mut chosen, rest): (Vec<_>, Vec<_>) = heads.into_iter().partition(|place| adds(place));
            chosen.extend(rest);
            chosen.truncate(MAX_PARENTS);
            heads = chosen;
        }
        let mut names: Vec<_> = heads.into_iter().map(|place| self.graph.nodes[place].name).collect();
        names.sort_unstable();
        names
    }
}

fn with(members: &BTreeSet<DeviceId>, recovery: Option<DeviceId>) -> BTreeSet<DeviceId> {
    members.iter().copied().chain(recovery).collect()
}
