//! Three admins, one of them hostile, and four operations: every history that can come of it, exhaustively.
//!
//! Two honest admins, a thief who has the third one's device, and the thief's puppet write up to four entries: they add,
//! remove, lower, and add again. An honest device writes upon whatever part of the others' entries it may have heard
//! of, always upon its own, and only what it may; the thief's write anything upon anything.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::story::{LAPTOP, PHONE, PUPPET, ROOT, Say, TABLET, entry, id, resolve};
use ties_sealed_log::{EntryName, Members, MembershipEntry, Role, hash};

const THIEF: usize = TABLET;
const ADMINS: [usize; 3] = [LAPTOP, PHONE, THIEF];

/// Entries that the actors write.
const ENTRIES: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Add(usize),
    Remove(usize),
    Lower(usize),
}

/// What was said, by whom, upon what. It is called by all of that, so that two ways to one history are one state.
#[derive(Debug, Clone)]
struct Said {
    author: usize,
    operation: Operation,
    parents: BTreeSet<EntryName>,
    /// Its author was an admin as of its past.
    spoken: bool,
}

impl Said {
    fn name(&self) -> EntryName {
        let parents: Vec<u8> = self.parents.iter().flat_map(|name| name.0).collect();
        EntryName(hash("ties1/test", &[&[self.author as u8], format!("{:?}", self.operation).as_bytes(), &parents]))
    }
}

#[derive(Debug, Clone, Default)]
struct History {
    said: BTreeMap<EntryName, Said>,
}

impl History {
    /// The entries that lie below these.
    fn past(&self, heads: &BTreeSet<EntryName>) -> Self {
        let mut past = Self::default();
        let mut ahead: Vec<EntryName> = heads.iter().copied().collect();
        while let Some(name) = ahead.pop() {
            if let Some(said) = self.said.get(&name) {
                ahead.extend(&said.parents);
                past.said.insert(name, said.clone());
            }
        }
        past
    }

    fn knew(&self, later: &EntryName, earlier: &EntryName) -> bool {
        self.past(&self.said[later].parents).said.contains_key(earlier)
    }

    fn beside(&self, one: &EntryName, other: &EntryName) -> bool {
        one != other && !self.knew(one, other) && !self.knew(other, one)
    }

    fn members(&self) -> Members {
        let mut entries = prologue();
        for (name, said) in &self.said {
            let say = match said.operation {
                Operation::Add(device) => Say::Add(device, Role::Admin),
                Operation::Remove(device) => Say::Revoke(device, vec![]),
                Operation::Lower(device) => Say::SetRole(device, Role::Writer),
            };
            let parents: Vec<_> = said.parents.iter().copied().collect();
            entries.push(MembershipEntry { name: *name, ..entry(0, said.author, &parents, &say) });
        }
        resolve(&entries)
    }

    fn spoken(&self, operation: Operation) -> impl Iterator<Item = &EntryName> {
        self.said.iter().filter(move |(_, said)| said.spoken && said.operation == operation).map(|(name, _)| name)
    }

    /// Every set of entries of which none is in another's past, and what lies below it.
    fn heads(&self) -> Vec<(BTreeSet<EntryName>, Self)> {
        let names: Vec<EntryName> = self.said.keys().copied().collect();
        let subsets = (0..1u32 << names.len()).map(|mask| {
            let chosen = names.iter().enumerate().filter(|(at, _)| mask >> at & 1 == 1);
            chosen.map(|(_, name)| *name).collect::<BTreeSet<_>>()
        });
        let apart = |heads: &BTreeSet<EntryName>| {
            heads.iter().all(|one| heads.iter().all(|other| one == other || self.beside(one, other)))
        };
        subsets.filter(apart).map(|heads| (heads.clone(), self.past(&heads))).collect()
    }
}

impl History {
    /// All that one of the actors may write next.
    fn next(&self) -> Vec<Said> {
        let mut actions = Vec::new();
        let start = prologue()[1].name;
        for (heads, past) in self.heads() {
            let view = past.members();
            let parents = if heads.is_empty() { BTreeSet::from([start]) } else { heads };
            let mut say = |author: usize, operation| {
                let spoken = view.role(&id(author)) == Some(Role::Admin);
                actions.push(Said { author, operation, parents: parents.clone(), spoken });
            };
            for honest in [LAPTOP, PHONE] {
                let own = |name: &EntryName| self.said[name].author == honest;
                let forgets = self.said.keys().any(|name| own(name) && !past.said.contains_key(name));
                if forgets || view.role(&id(honest)) != Some(Role::Admin) {
                    continue;
                }
                match view.role(&id(THIEF)) {
                    None => say(honest, Operation::Add(THIEF)),
                    Some(Role::Admin) => {
                        say(honest, Operation::Lower(THIEF));
                        say(honest, Operation::Remove(THIEF));
                    }
                    Some(_) => say(honest, Operation::Remove(THIEF)),
                }
                if view.get(&id(PUPPET)).is_some() {
                    say(honest, Operation::Remove(PUPPET));
                }
            }
            for operation in
                [Operation::Add(PUPPET), Operation::Add(THIEF), Operation::Remove(LAPTOP), Operation::Lower(LAPTOP)]
            {
                say(THIEF, operation);
            }
            for operation in [Operation::Add(THIEF), Operation::Remove(PHONE)] {
                say(PUPPET, operation);
            }
        }
        actions
    }

    fn then(&self, said: Said) -> Self {
        let mut next = self.clone();
        next.said.insert(said.name(), said);
        next
    }
}

/// How the three came to be admins: everybody knows of it.
fn prologue() -> Vec<MembershipEntry> {
    let phone = entry(1, LAPTOP, &[ROOT], &Say::Add(PHONE, Role::Admin));
    let tablet = entry(2, LAPTOP, &[phone.name], &Say::Add(THIEF, Role::Admin));
    vec![phone, tablet]
}

/// What holds of every history.
fn check(history: &History, members: &Members) {
    let spoken = |operation| history.spoken(operation).next().is_some();
    for device in [LAPTOP, PHONE, THIEF, PUPPET] {
        let again = |removal: &EntryName| history.spoken(Operation::Add(device)).any(|add| history.knew(add, removal));
        let undone = history.spoken(Operation::Remove(device)).all(again);
        assert!(
            members.get(&id(device)).is_none() || undone,
            "a removal was undone by nobody who knew of it: {history:#?}"
        );
    }
    let taken = |add: &EntryName| {
        let author = history.said[add].author;
        let takers = [Operation::Remove(author), Operation::Lower(author)];
        takers.into_iter().flat_map(|taker| history.spoken(taker)).any(|taker| history.beside(taker, add))
    };
    assert!(
        members.get(&id(PUPPET)).is_none() || history.spoken(Operation::Add(PUPPET)).any(|add| !taken(add)),
        "somebody was let in by who was shut out beside it: {history:#?}"
    );
    for device in ADMINS {
        let role = members.role(&id(device));
        let removed = spoken(Operation::Remove(device));
        assert!(role.is_some() || removed, "{device} fell and nobody removed it: {history:#?}");
        let lowered = spoken(Operation::Lower(device));
        assert!(role == Some(Role::Admin) || removed || lowered, "{device} sank and nobody lowered it: {history:#?}");
    }
}

/// What must not happen when one more is said: who is no member adds nobody and raises nothing.
fn check_step(said: &Said, before: &Members, after: &Members) {
    if before.get(&id(said.author)).is_none() {
        let gained = |(device, member): (_, &ties_sealed_log::Member)| before.role(device) < Some(member.role);
        assert!(!after.iter().any(gained), "a stranger changed something: {said:#?}");
    }
}

/// What can happen, so that the above is not true of nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Seen {
    two_remove_each_other: bool,
    a_puppet_outlives_its_master: bool,
    a_puppet_goes_with_its_master: bool,
    one_who_was_removed_is_back: bool,
}

impl Seen {
    fn note(&mut self, history: &History, members: &Members) {
        let gone = |device| members.get(&id(device)).is_none();
        let spoken = |operation| history.spoken(operation).next().is_some();
        self.two_remove_each_other |= gone(THIEF) && gone(LAPTOP);
        self.a_puppet_outlives_its_master |= gone(THIEF) && !gone(PUPPET);
        self.a_puppet_goes_with_its_master |=
            gone(PUPPET) && spoken(Operation::Add(PUPPET)) && !spoken(Operation::Remove(PUPPET));
        self.one_who_was_removed_is_back |=
            spoken(Operation::Remove(THIEF)) && members.role(&id(THIEF)) == Some(Role::Admin);
    }
}

#[test]
fn every_history_of_three_admins_keeps_the_rule() {
    let mut seen = Seen::default();
    let mut histories = 0;
    let mut steps = 0;
    let mut level = vec![History::default()];
    for length in 0..=ENTRIES {
        let mut next: BTreeMap<Vec<EntryName>, History> = BTreeMap::new();
        for history in &level {
            histories += 1;
            let members = history.members();
            check(history, &members);
            seen.note(history, &members);
            let said = if length < ENTRIES { history.next() } else { Vec::new() };
            for said in said.into_iter().filter(|said| !history.said.contains_key(&said.name())) {
                steps += 1;
                let then = history.then(said.clone());
                let stranger = members.get(&id(said.author)).is_none();
                if stranger {
                    check_step(&said, &members, &then.members());
                }
                next.entry(then.said.keys().copied().collect()).or_insert(then);
            }
        }
        level = next.into_values().collect();
    }
    println!("{histories} histories, {steps} steps");
    assert!(histories > 10_000, "only {histories}");
    let all = Seen {
        two_remove_each_other: true,
        a_puppet_outlives_its_master: true,
        a_puppet_goes_with_its_master: true,
        one_who_was_removed_is_back: true,
    };
    assert_eq!(seen, all);
}
