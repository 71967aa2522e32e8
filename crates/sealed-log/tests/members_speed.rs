//! Resolving costs little more than its entries are many, whoever wrote them. The bounds are those of a busy machine and
//! an unoptimised build; `--nocapture` prints what it took.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "how long it takes is what this shows")]

mod support;

use std::time::{Duration, Instant};

use support::story::{ROOT, Say, entry, genesis, id, recovery};
use ties_sealed_log::{EntryName, Members, MembershipEntry, Role};

const MEMBERS: usize = Members::MAX;

/// The founder admits everybody else, one after the other.
fn admitted() -> Vec<MembershipEntry> {
    let mut entries: Vec<MembershipEntry> = Vec::new();
    for device in 1..MEMBERS {
        let last = entries.last().map_or(ROOT, |entry| entry.name);
        entries.push(entry(device, 0, &[last], &Say::Add(device, Role::Admin)));
    }
    entries
}

/// Everybody writes in turn, upon what it wrote last and what another wrote lately.
fn in_turn(rounds: usize, say: impl Fn(usize, usize) -> Say) -> Vec<MembershipEntry> {
    let mut entries = admitted();
    let mut tips = vec![entries.last().unwrap().name; MEMBERS];
    for round in 0..rounds {
        for author in 0..MEMBERS {
            let other = (author * 7 + round * 13) % MEMBERS;
            let next = entry(entries.len() + 1_000, author, &[tips[author], tips[other]], &say(author, round));
            tips[author] = next.name;
            entries.push(next);
        }
    }
    entries
}

fn timed(what: &str, entries: &[MembershipEntry], bound: Duration) -> Members {
    let started = Instant::now();
    let members = Members::resolve((ROOT, genesis(), 0), entries);
    let took = started.elapsed();
    println!("{what}: {} entries in {took:?}", entries.len());
    assert!(took < bound, "{what}: {took:?}");
    members
}

#[test]
fn a_full_space_with_full_logs() {
    let everybody: Vec<_> = (0..MEMBERS).map(id).chain([recovery(0).certificate().id()]).collect();
    let entries = in_turn(512, |author, round| match (author + round) % 8 {
        0 => Say::Rotate(everybody.clone()),
        _ => Say::Nothing,
    });
    let members = timed("rotates and shares", &entries, Duration::from_secs(90));
    assert_eq!(members.iter().count(), MEMBERS);
    assert!(members.rotate_counts(&entries[MEMBERS].name) || members.rotate_counts(&entries[MEMBERS - 1].name));
}

#[test]
fn a_full_space_where_everybody_keeps_changing_everybody() {
    let entries = in_turn(128, |author, round| match round % 4 {
        0 => Say::Rename((author + round) % MEMBERS, "another"),
        1 => Say::SetRole((author + round) % MEMBERS, Role::Admin),
        _ => Say::Add((author + round) % MEMBERS, Role::Admin),
    });
    let members = timed("renames, roles and additions", &entries, Duration::from_secs(90));
    assert_eq!(members.iter().count(), MEMBERS);
}

#[test]
fn an_admin_who_adds_and_removes_without_end() {
    let mut entries = admitted();
    for number in 0..4_000 {
        let last: EntryName = entries.last().unwrap().name;
        let say = if number % 2 == 0 { Say::Add(70, Role::Admin) } else { Say::Revoke(70, vec![]) };
        entries.push(entry(10_000 + number, 1, &[last], &say));
    }
    assert_eq!(timed("a line of removals", &entries, Duration::from_secs(90)).iter().count(), MEMBERS);
}

#[test]
fn an_admin_who_writes_removals_side_by_side() {
    let mut entries = admitted();
    let last = entries.last().unwrap().name;
    let mut tips = [last; 2];
    for number in 0..1_000 {
        let say = if number % 2 == 0 { Say::Add(70 + number % 20, Role::Admin) } else { Say::Revoke(70, vec![]) };
        let beside = entry(10_000 + number, 1, &[last], &say);
        let merged = entry(20_000 + number, 2, &[tips[0], tips[1], beside.name], &Say::Nothing);
        tips = [tips[1], merged.name];
        entries.extend([beside, merged]);
    }
    timed("removals side by side", &entries, Duration::from_secs(90));
}
