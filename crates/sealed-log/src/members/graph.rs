//! Membership entries in the order of cause and effect.

use std::collections::{BTreeMap, BTreeSet};

use super::Members;
use super::act::{MembershipAct, MembershipEntry};
use crate::ids::EntryName;

/// The genesis entry and everything whose ancestry is here up to it, parents before children. The rest counts once its
/// ancestry is complete.
pub(super) struct Graph<'e> {
    pub(super) nodes: Vec<Node<'e>>,
}

pub(super) struct Node<'e> {
    pub(super) name: EntryName,
    /// `None` for the genesis entry, which is the first.
    pub(super) entry: Option<&'e MembershipEntry>,
    /// Places of the parents, each once.
    pub(super) parents: Vec<usize>,
}

impl<'e> Graph<'e> {
    /// Walks from the genesis entry to its descendants, once along each edge.
    pub(super) fn new(root: EntryName, entries: &'e [MembershipEntry]) -> Self {
        let counted = entries.iter().filter(|entry| entry.name != root && entry.number <= Members::MAX_ENTRIES);
        let entries: BTreeMap<EntryName, &MembershipEntry> = counted.map(|entry| (entry.name, entry)).collect();
        let mut children: BTreeMap<EntryName, Vec<&MembershipEntry>> = BTreeMap::new();
        let mut missing: BTreeMap<EntryName, usize> = BTreeMap::new();
        for entry in entries.values() {
            let parents: BTreeSet<_> = entry.act.parents().iter().collect();
            missing.insert(entry.name, parents.len());
            parents.into_iter().for_each(|parent| children.entry(*parent).or_default().push(entry));
        }
        let mut nodes = vec![Node { name: root, entry: None, parents: Vec::new() }];
        let mut parents: BTreeMap<EntryName, Vec<usize>> = BTreeMap::new();
        let mut ready = vec![0];
        while let Some(place) = ready.pop() {
            for child in children.remove(&nodes[place].name).into_iter().flatten() {
                let known = parents.entry(child.name).or_default();
                known.push(place);
                if known.len() == missing[&child.name] {
                    let parents = parents.remove(&child.name).unwrap_or_default();
                    ready.push(nodes.len());
                    nodes.push(Node { name: child.name, entry: Some(child), parents });
                }
            }
        }
        Self { nodes }
    }

    pub(super) fn act(&self, place: usize) -> Option<&'e MembershipAct> {
        self.nodes[place].entry.map(|entry| &entry.act)
    }

    /// Places of the entries that are nobody's parents.
    pub(super) fn heads(&self) -> Vec<usize> {
        let mut covered = vec![false; self.nodes.len()];
        self.nodes.iter().flat_map(|node| &node.parents).for_each(|parent| covered[*parent] = true);
        (0..self.nodes.len()).filter(|place| !covered[*place]).collect()
    }
}
