//! Membership entries in the order of cause and effect.

use std::collections::BTreeSet;

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
        let mut entries: Vec<&MembershipEntry> = counted.collect();
        entries.sort_by_key(|entry| entry.name);
        entries.dedup_by_key(|entry| entry.name);
        let find = |name: &EntryName| entries.binary_search_by_key(name, |entry| entry.name);
        let mut nodes = vec![Node { name: root, entry: None, parents: Vec::new() }];
        // For each entry, how many parents are still to come, and the places of those that have.
        let mut missing = vec![0; entries.len()];
        let mut parents: Vec<Vec<usize>> = vec![Vec::new(); entries.len()];
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); entries.len()];
        let mut ready: Vec<(usize, Vec<usize>)> = vec![(0, Vec::new())];
        for (at, entry) in entries.iter().enumerate() {
            let named: BTreeSet<&EntryName> = entry.act.parents().iter().collect();
            missing[at] = named.len();
            for parent in named {
                if *parent == root {
                    ready[0].1.push(at);
                } else if let Ok(parent) = find(parent) {
                    children[parent].push(at);
                }
            }
        }
        while let Some((place, followers)) = ready.pop() {
            for at in followers {
                parents[at].push(place);
                if parents[at].len() == missing[at] {
                    ready.push((nodes.len(), std::mem::take(&mut children[at])));
                    let parents = std::mem::take(&mut parents[at]);
                    nodes.push(Node { name: entries[at].name, entry: Some(entries[at]), parents });
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
