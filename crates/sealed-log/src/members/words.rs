//! What the recovery key signed. It needs no device's leave, and nobody can remove it; only its holder can replace it.

use std::rc::Rc;

use super::act::{MembershipAct, MembershipEntry};
use super::graph::Graph;
use super::set::Set;
use crate::bodies::Genesis;
use crate::keys::KeyError;
use crate::recovery::RecoveryCert;

/// All entries signed by the recovery key that stood in their own past.
///
/// A key is replaced by a change that it signed. What it signed beside that change says nothing, and so does everything
/// that descends from it by further changes: otherwise whoever finds old words could pretend to have used them in time.
/// Two changes by one key side by side leave none that stands, for nothing tells the owner's from the thief's.
pub(super) struct Words<'e> {
    /// The first is that of the genesis entry, each further one that of a change.
    keys: Vec<&'e RecoveryCert>,
    signed: Vec<Signed>,
    /// Numbers of those that are changes.
    changes: Vec<usize>,
    /// For each node of the graph, the numbers in its past.
    past: Vec<Rc<Set>>,
}

struct Signed {
    node: usize,
    /// The keys from the first to the one that signed.
    chain: Vec<usize>,
    /// The key that a change brings.
    brings: Option<usize>,
    past: Rc<Set>,
}

impl<'e> Words<'e> {
    pub(super) fn new(birth: &'e Genesis, graph: &Graph<'e>) -> Self {
        let keys = birth.recovery.iter().collect();
        let mut words = Self { keys, signed: Vec::new(), changes: Vec::new(), past: Vec::new() };
        let space = birth.space();
        // What stands in the past of each node's children: its own past, and itself if it is signed.
        let mut after: Vec<Rc<Set>> = Vec::new();
        for (place, node) in graph.nodes.iter().enumerate() {
            let past = union(node.parents.iter().map(|parent| &after[*parent]));
            words.past.push(Rc::clone(&past));
            let signed = node.entry.and_then(|entry| words.verify(entry, &space, &past));
            after.push(match signed {
                None => past,
                Some(chain) => {
                    let mut after = (*past).clone();
                    after.insert(words.take(graph, place, chain, past));
                    Rc::new(after)
                }
            });
        }
        words
    }

    /// Gives the keys up to the one that signed an entry, if that one stood in its past.
    fn verify(&self, entry: &MembershipEntry, space: &crate::SpaceId, past: &Set) -> Option<Vec<usize>> {
        let check = |key: &RecoveryCert| match &entry.act {
            MembershipAct::Reset(reset) => reset.verify(key, space, &entry.author),
            MembershipAct::ChangeRecovery(change) => change.verify(key, space, &entry.author),
            MembershipAct::Admit(admit) if admit.certificate.id() == entry.author => admit.verify(key, space),
            _ => Err(KeyError::Signature),
        };
        let signed =
            matches!(entry.act, MembershipAct::Reset(_) | MembershipAct::ChangeRecovery(_) | MembershipAct::Admit(_));
        let chain = if signed { self.chain(past)? } else { return None };
        check(self.keys[*chain.last()?]).is_ok().then_some(chain)
    }

    fn take(&mut self, graph: &Graph<'e>, node: usize, chain: Vec<usize>, past: Rc<Set>) -> usize {
        let number = self.signed.len();
        let mut brings = None;
        if let Some(MembershipAct::ChangeRecovery(change)) = graph.act(node) {
            brings = Some(self.keys.len());
            self.keys.push(&change.certificate);
            self.changes.push(number);
        }
        self.signed.push(Signed { node, chain, brings, past });
        number
    }

    /// The keys from the first to the one that stands.
    fn chain(&self, at: &Set) -> Option<Vec<usize>> {
        let mut chain = vec![0];
        self.keys.first()?;
        loop {
            let last = chain.last();
            let by_last = |number: &&usize| at.has(**number) && self.signed[**number].chain.last() == last;
            let mut next = self.changes.iter().filter(by_last).filter_map(|number| self.signed[*number].brings);
            match (next.next(), next.next()) {
                (None, _) => return Some(chain),
                (Some(key), None) => chain.push(key),
                (Some(_), Some(_)) => return None,
            }
        }
    }

    /// The key that stands, with these in the past.
    pub(super) fn standing(&self, at: &Set) -> Option<&'e RecoveryCert> {
        Some(self.keys[*self.chain(at)?.last()?])
    }

    /// Whether a signed entry counts among others: no key that it rests on is replaced beside it.
    fn counts(&self, number: usize, at: &Set) -> bool {
        let one = &self.signed[number];
        !self.changes.iter().filter(|change| **change != number && at.has(**change)).any(|change| {
            let other = &self.signed[*change];
            let rests = other.chain.last().is_some_and(|key| one.chain.contains(key));
            rests && !one.past.has(*change) && !other.past.has(number)
        })
    }

    /// Whether an entry is signed, and counts among others.
    pub(super) fn allows(&self, node: usize, at: &Set) -> bool {
        // Entries are taken in the order of their places.
        self.signed.binary_search_by_key(&node, |signed| signed.node).is_ok_and(|number| self.counts(number, at))
    }

    /// Places of the resets that count and that no other follows.
    pub(super) fn resets(&self, graph: &Graph<'e>, at: &Set) -> Vec<usize> {
        let is_reset = |number: &usize| matches!(graph.act(self.signed[*number].node), Some(MembershipAct::Reset(_)));
        let counting = (0..self.signed.len()).filter(|number| at.has(*number)).filter(is_reset);
        let counting: Vec<usize> = counting.filter(|number| self.counts(*number, at)).collect();
        let last = |number: &&usize| !counting.iter().any(|other| self.signed[*other].past.has(**number));
        counting.iter().filter(last).map(|number| self.signed[*number].node).collect()
    }

    /// What is signed in a node's past.
    pub(super) fn past(&self, node: usize) -> &Rc<Set> {
        &self.past[node]
    }

    /// Everything that is signed.
    pub(super) fn all(&self) -> Set {
        Set::below(self.signed.len())
    }
}

/// A line of entries shares one set.
fn union<'s>(sets: impl Iterator<Item = &'s Rc<Set>>) -> Rc<Set> {
    sets.fold(Rc::default(), |all: Rc<Set>, more| {
        if more.covers(&all) {
            Rc::clone(more)
        } else if all.covers(more) {
            all
        } else {
            let mut all = (*all).clone();
            all.extend(more);
            Rc::new(all)
        }
    })
}
