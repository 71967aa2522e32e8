//! Who belongs depends on what is known, not on the order in which it came, and nobody but an admin admits anybody.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use ties_sealed_log::{
    Add, DeviceCert, DeviceId, DeviceKeys, EntryName, Genesis, MAX_PARENTS, Members, MembershipAct, MembershipEntry,
    Role, Secret, hash,
};

const DEVICES: usize = 7;

/// The founder is 0.
static CERTIFICATES: LazyLock<Vec<DeviceCert>> =
    LazyLock::new(|| (0..100).map(|n| DeviceKeys::from_seed(Secret::new([n; 32])).certificate()).collect());

static GENESIS: LazyLock<Genesis> = LazyLock::new(|| Genesis {
    random: [1; 32],
    founder: CERTIFICATES[0].clone(),
    name: "founder".to_owned(),
    recovery: None,
});

const ROOT: EntryName = EntryName([0xaa; 32]);

fn id(device: usize) -> DeviceId {
    CERTIFICATES[device].id()
}

fn entry(number: usize, author: usize, parents: &[EntryName], admits: Option<(usize, Role)>) -> MembershipEntry {
    let mut parents = parents.to_vec();
    parents.sort_unstable();
    parents.dedup();
    let act = match admits {
        None => MembershipAct::Other { parents },
        Some((device, role)) => {
            let certificate = CERTIFICATES[device].clone();
            MembershipAct::Add(Add { parents, certificate, role, name: format!("device {device} by {author}") })
        }
    };
    let name = EntryName(hash("ties1/test", &[&number.to_be_bytes()]));
    MembershipEntry { name, author: id(author), time: number as u64, number: 1, act }
}

fn resolve(entries: &[MembershipEntry]) -> Members {
    Members::resolve((ROOT, &GENESIS, 0), entries)
}

fn roles(members: &Members) -> BTreeMap<DeviceId, Role> {
    members.iter().map(|(device, member)| (*device, member.role)).collect()
}

fn parents_of(entry: &MembershipEntry) -> &[EntryName] {
    entry.act.parents()
}

/// Random histories: anybody, member or not, writes anything upon anything that is there.
fn histories() -> impl Strategy<Value = Vec<MembershipEntry>> {
    let role = prop_oneof![1 => Just(Role::Reader), 1 => Just(Role::Writer), 3 => Just(Role::Admin)];
    let act = prop::option::weighted(0.8, (1..DEVICES, role));
    let line = (0..DEVICES, prop::collection::vec(any::<prop::sample::Index>(), 1..4), act);
    prop::collection::vec(line, 0..24).prop_map(|lines| {
        let mut names = vec![ROOT];
        let mut entries = Vec::new();
        for (number, (author, parents, admits)) in lines.into_iter().enumerate() {
            let parents: Vec<_> = parents.iter().map(|index| names[index.index(names.len())]).collect();
            let next = entry(number, author, &parents, admits);
            names.push(next.name);
            entries.push(next);
        }
        entries
    })
}

/// The rule of FORMAT.md, written as it is said there and with no thought for speed.
fn by_the_rule(entries: &[MembershipEntry]) -> BTreeMap<DeviceId, Role> {
    let known: BTreeMap<EntryName, &MembershipEntry> = entries.iter().map(|entry| (entry.name, entry)).collect();
    fn past(known: &BTreeMap<EntryName, &MembershipEntry>, of: &MembershipEntry) -> BTreeSet<EntryName> {
        let mut all = BTreeSet::new();
        for parent in parents_of(of) {
            all.insert(*parent);
            all.extend(known.get(parent).map(|entry| past(known, entry)).unwrap_or_default());
        }
        all
    }
    fn counts(known: &BTreeMap<EntryName, &MembershipEntry>, of: &MembershipEntry) -> bool {
        of.author == id(0)
            || past(known, of).iter().filter_map(|name| known.get(name)).any(|entry| match &entry.act {
                MembershipAct::Add(add) => {
                    add.role == Role::Admin && add.certificate.id() == of.author && counts(known, entry)
                }
                _ => false,
            })
    }
    let mut members = BTreeMap::from([(id(0), Role::Admin)]);
    for entry in entries {
        if let MembershipAct::Add(add) = &entry.act
            && counts(&known, entry)
        {
            let role = members.entry(add.certificate.id()).or_insert(add.role);
            *role = add.role.max(*role);
        }
    }
    members
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_500) })]

    #[test]
    fn members_do_not_depend_on_the_order(entries in histories(), seed: u64) {
        let mut shuffled = entries.clone();
        let mut state = seed;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(at, (state >> 33) as usize % (at + 1));
        }
        shuffled.extend(entries.first().cloned());
        prop_assert_eq!(resolve(&shuffled), resolve(&entries));
    }

    #[test]
    fn members_are_those_of_the_rule(entries in histories()) {
        prop_assert_eq!(roles(&resolve(&entries)), by_the_rule(&entries));
    }

    #[test]
    fn what_nobody_but_admins_wrote_changes_nothing_when_it_is_gone(entries in histories()) {
        let all = resolve(&entries);
        let admins: BTreeSet<_> = all.iter().filter(|(_, member)| member.role == Role::Admin).map(|(id, _)| *id).collect();
        let harmless: Vec<_> = entries.iter().cloned().map(|mut entry| {
            if !admins.contains(&entry.author) {
                entry.act = MembershipAct::Other { parents: parents_of(&entry).to_vec() };
            }
            entry
        }).collect();
        prop_assert_eq!(roles(&resolve(&harmless)), roles(&all));
    }

    #[test]
    fn more_entries_never_take_a_member_away(entries in histories(), known: prop::sample::Index) {
        // There is no removing yet: the shorter history is the other's past.
        let fewer = resolve(&entries[..known.index(entries.len() + 1)]);
        let all = resolve(&entries);
        for (device, member) in fewer.iter() {
            prop_assert!(all.get(device).is_some_and(|now| now.role >= member.role));
        }
    }

    #[test]
    fn the_next_entry_has_everything_in_its_past(entries in histories()) {
        let members = resolve(&entries);
        let mut past = BTreeSet::new();
        let mut ahead = members.heads().to_vec();
        while let Some(name) = ahead.pop() {
            if past.insert(name) {
                ahead.extend(entries.iter().filter(|entry| entry.name == name).flat_map(parents_of));
            }
        }
        prop_assert!(past.contains(&ROOT));
        prop_assert_eq!(past.len(), entries.len() + 1);
        prop_assert!(members.heads().is_sorted_by(|a, b| a < b));
    }
}

#[test]
fn the_founder_stands_alone_at_first() {
    let members = resolve(&[]);
    assert_eq!(roles(&members), BTreeMap::from([(id(0), Role::Admin)]));
    assert_eq!(members.heads(), [ROOT]);
    assert_eq!(members.space(), GENESIS.space());
    assert_eq!(members.get(&id(0)).unwrap().added_by, id(0));
}

#[test]
fn a_writer_admits_nobody() {
    let writer = entry(1, 0, &[ROOT], Some((1, Role::Writer)));
    let puppet = entry(2, 1, &[writer.name], Some((2, Role::Admin)));
    assert!(resolve(&[writer, puppet]).get(&id(2)).is_none());
}

#[test]
fn an_admin_admits_only_after_being_one() {
    let admin = entry(1, 0, &[ROOT], Some((1, Role::Admin)));
    let early = entry(2, 1, &[ROOT], Some((2, Role::Writer)));
    let late = entry(3, 1, &[admin.name], Some((3, Role::Writer)));
    let members = resolve(&[early, late, admin]);
    assert!(members.get(&id(2)).is_none(), "written beside its author's admission");
    assert_eq!(members.get(&id(3)).unwrap().added_by, id(1));
}

#[test]
fn a_stranger_cannot_lift_itself() {
    let mine = entry(1, 1, &[ROOT], Some((1, Role::Admin)));
    let more = entry(2, 1, &[mine.name], Some((1, Role::Admin)));
    let ring = [entry(3, 2, &[more.name], Some((3, Role::Admin))), entry(4, 3, &[more.name], Some((2, Role::Admin)))];
    let entries = [vec![mine, more], ring.to_vec()].concat();
    assert_eq!(roles(&resolve(&entries)).len(), 1);
}

#[test]
fn an_entry_waits_for_its_whole_past() {
    let other = entry(1, 0, &[ROOT], None);
    let missing = entry(2, 0, &[ROOT], None);
    let add = entry(3, 0, &[other.name, missing.name], Some((1, Role::Writer)));
    let known = [other.clone(), add.clone()];
    assert!(resolve(&known).get(&id(1)).is_none());
    assert_eq!(resolve(&known).heads(), [other.name], "what waits is nobody's parent");
    assert!(resolve(&[other, add, missing]).get(&id(1)).is_some());
}

/// The first rotate names no parents: its epoch is fixed before the genesis entry is sealed.
#[test]
fn an_entry_without_parents_stands_beside_and_decides_nothing() {
    let rotate = entry(1, 0, &[], None);
    let puppet = entry(2, 0, &[], Some((1, Role::Admin)));
    let members = resolve(&[rotate, puppet]);
    assert_eq!(roles(&members).len(), 1);
    assert_eq!(members.heads(), [ROOT]);
}

/// Whoever speaks first of a device is its sponsor; the latest name stands, of several the one in the smallest entry.
#[test]
fn words_about_oneself_are_not_the_founders() {
    let first = entry(1, 0, &[ROOT], Some((1, Role::Admin)));
    let second = entry(2, 0, &[first.name], Some((2, Role::Admin)));
    let adds: Vec<_> = (3..30)
        .map(|number| entry(number, 1 + number % 2, &[first.name, second.name], Some((1, Role::Admin))))
        .collect();
    let smallest = adds.iter().min_by_key(|entry| entry.name).unwrap();
    for turn in 0..adds.len() {
        let mut entries = adds.clone();
        entries.rotate_left(turn);
        entries.extend([first.clone(), second.clone()]);
        let members = resolve(&entries);
        let member = members.get(&id(1)).unwrap();
        assert_eq!((member.entry, member.added_by), (first.name, id(0)));
        assert!(matches!(&smallest.act, MembershipAct::Add(add) if add.name == member.name));
    }
}

#[test]
fn no_admission_lowers_the_founder() {
    let entries: Vec<_> = (1..20).map(|number| entry(number, 0, &[ROOT], Some((0, Role::Reader)))).collect();
    let members = resolve(&entries);
    let founder = members.get(&id(0)).unwrap();
    assert_eq!((founder.role, founder.entry, founder.name.as_str()), (Role::Admin, ROOT, "device 0 by 0"));
}

#[test]
fn of_too_many_members_the_first_admitted_stand() {
    let mut entries = Vec::new();
    let mut last = ROOT;
    for device in 1..90 {
        let next = entry(device, 0, &[last], Some((device, Role::Writer)));
        last = next.name;
        entries.push(next);
    }
    let members = resolve(&entries);
    assert_eq!(members.iter().count(), Members::MAX);
    assert!((0..Members::MAX).all(|device| members.get(&id(device)).is_some()));
    entries.reverse();
    assert_eq!(resolve(&entries), members);
}

/// Any member may write entries side by side. The next entry of an honest admin must still count.
#[test]
fn a_flood_of_heads_pushes_no_admission_out() {
    let admin = entry(1, 0, &[ROOT], Some((1, Role::Admin)));
    let vandal = entry(2, 0, &[ROOT], Some((2, Role::Writer)));
    let mut entries = vec![admin, vandal.clone()];
    let mut last = vandal.name;
    for number in 3..40 {
        let next = entry(number, 2, &[last], None);
        last = next.name;
        entries.push(next);
    }
    entries.extend((40..300).map(|number| entry(number, 2, &[last], None)));
    let heads = resolve(&entries).heads().to_vec();
    assert_eq!(heads.len(), MAX_PARENTS);
    entries.push(entry(300, 1, &heads, Some((3, Role::Writer))));
    let members = resolve(&entries);
    assert!(members.get(&id(3)).is_some(), "the admin's admission is in its past");
    entries.reverse();
    assert_eq!(resolve(&entries), members);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long it takes is what this shows")]
fn thousands_of_entries_by_one_member_resolve_quickly() {
    let started = std::time::Instant::now();
    let mut entries = vec![entry(1, 0, &[ROOT], Some((1, Role::Writer)))];
    let mut last = entries[0].name;
    for number in 2..20_000 {
        let next = entry(number, 1, &[last, ROOT], (number % 2 == 0).then_some((2, Role::Admin)));
        last = next.name;
        entries.push(next);
    }
    entries.reverse();
    assert_eq!(resolve(&entries).iter().count(), 2);
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "took {:?}", started.elapsed());
}
