//! The disk fails at a random write of what the twelve words do; afterwards all of it has happened, or nothing.

use std::collections::BTreeMap;

use automerge::{ROOT, transaction::Transactable};
use ties_engine::{
    CreateOptions, DocumentId, EditError, Environment, RecoverOptions, RecoveryWords, RelayAddress, Role, Space,
};
use ties_net::Scheme;
use ties_sealed_log::{RelaySecret, Secret};
use ties_store::Store;
use ties_tests::{CrashingDisk, Dice, Lines, new_disk, open};

use crate::{number, rows};

/// How often each of these, and each removal, is cut short in every run of the tests; `TIES_CRASHES` says how often otherwise.
const ROUNDS: u64 = 60;

pub(crate) fn environment(dice: &mut Dice) -> Environment {
    Environment::new(|| 1_760_000_000_000, dice.generator())
}

pub(crate) fn rounds() -> u64 {
    number("TIES_CRASHES").unwrap_or(ROUNDS)
}

/// A space on a disk, with words, a second device and some lines; all of it is acknowledged.
pub(crate) fn founded(dice: &mut Dice) -> (CrashingDisk, RecoveryWords) {
    let disk = new_disk();
    let options = CreateOptions { device_name: "laptop".into(), recovery: true };
    let (space, words) = Space::create_in(open(&disk).unwrap(), Lines, &options, environment(dice)).unwrap();
    let relay = RelaySecret::from_secret(&Secret::new([7; 32])).id();
    let address = RelayAddress::new(Scheme::Loopback, "127.0.0.1", 7700, relay).unwrap().to_string();
    let road = space.offline().add_relay(&address).unwrap();
    let other = Store::in_memory().unwrap();
    space.offline().admit(&road, Role::Admin, other, Lines, "phone", environment(dice)).unwrap();
    for n in 0..dice.range(1..20) {
        let id = DocumentId([n as u8; 16]);
        space.write(|edit| edit.change(id, |tx| tx.put(ROOT, "line", n).map_err(EditError::from))).unwrap();
    }
    (disk, words.unwrap())
}

/// Cuts an operation short, looks at what it left, and counts.
pub(crate) fn cut_short(
    dice: &mut Dice,
    disk: &CrashingDisk,
    operation: impl FnOnce(&mut Dice) -> bool,
) -> &'static str {
    // Most of them end after some hundred writes.
    let within = [20, 80, 250, 600][dice.index(4)];
    disk.fail_after(dice.below(within));
    let done = operation(dice);
    if dice.per_mille(300) {
        disk.recover();
    } else {
        disk.crash(dice.range(0..u64::MAX));
    }
    if done { "acknowledged" } else { "cut short" }
}

pub(crate) fn members(space: &Space) -> usize {
    space.candidates().unwrap().iter().filter(|one| one.belongs).count()
}

#[test]
fn a_recovery_that_is_cut_short_leaves_no_half_of_a_device() {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..rounds() {
        let mut dice = Dice::new(0x7ec0 ^ round);
        let (source, words) = founded(&mut dice);
        let before = rows(&Space::open_in(open(&source).unwrap(), Lines, environment(&mut dice)).unwrap());
        let disk = new_disk();
        let options = RecoverOptions { device_name: "new".into(), lost: round % 2 == 0 };
        let how = cut_short(&mut dice, &disk, |dice| {
            let Ok(store) = open(&disk) else { return false };
            let from = open(&source).unwrap();
            Space::recover_in(store, Lines, &words, &from, &options, environment(dice)).is_ok()
        });
        let opened = Space::open_in(open(&disk).unwrap(), Lines, environment(&mut dice));
        let there = opened.as_ref().is_ok_and(|space| space.id().is_ok());
        if let Some(space) = opened.ok().filter(|_| there) {
            assert_eq!(rows(&space), before, "round {round}: a device without all of it");
            assert_eq!(members(&space), if options.lost { 1 } else { 3 }, "round {round}");
            space.check_words(&words).unwrap();
        } else {
            assert_eq!(how, "cut short", "round {round}: what was acknowledged is gone");
            let from = open(&source).unwrap();
            let store = open(&disk).unwrap();
            Space::recover_in(store, Lines, &words, &from, &options, environment(&mut dice)).unwrap();
        }
        *counts.entry(format!("{how}, {}", if there { "there" } else { "not there" })).or_default() += 1;
    }
    println!("{counts:#?}");
    assert!(counts.contains_key("cut short, not there") && counts.contains_key("acknowledged, there"), "{counts:?}");
}

#[test]
fn a_reset_that_is_cut_short_has_happened_or_has_not() {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..rounds() {
        let mut dice = Dice::new(0x7e5e7 ^ round);
        let (disk, words) = founded(&mut dice);
        let space = Space::open_in(open(&disk).unwrap(), Lines, environment(&mut dice)).unwrap();
        let (before, generation) = (rows(&space), space.keys().unwrap().generation);
        drop(space);
        let how = cut_short(&mut dice, &disk, |dice| {
            let Ok(store) = open(&disk) else { return false };
            let space = Space::open_in(store, Lines, environment(dice));
            space.is_ok_and(|space| space.reset(&words, &[]).is_ok())
        });
        let space = Space::open_in(open(&disk).unwrap(), Lines, environment(&mut dice)).unwrap();
        assert_eq!(rows(&space), before, "round {round}: what was acknowledged before is another");
        let happened = members(&space) == 1;
        assert_eq!(space.keys().unwrap().generation, generation + u32::from(happened), "round {round}: half of it");
        assert!(happened || how == "cut short", "round {round}: what was acknowledged is gone");
        space.reset(&words, &[]).unwrap();
        *counts.entry(format!("{how}, {}", if happened { "there" } else { "not there" })).or_default() += 1;
    }
    println!("{counts:#?}");
    assert!(counts.contains_key("cut short, not there") && counts.contains_key("acknowledged, there"), "{counts:?}");
}

#[test]
fn words_whose_replacement_is_cut_short_are_the_old_or_the_new() {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..rounds() {
        let mut dice = Dice::new(0x3013d5 ^ round);
        let (disk, old) = founded(&mut dice);
        let space = Space::open_in(open(&disk).unwrap(), Lines, environment(&mut dice)).unwrap();
        let (before, generation, new) = (rows(&space), space.keys().unwrap().generation, space.draw_words());
        drop(space);
        let how = cut_short(&mut dice, &disk, |dice| {
            let Ok(store) = open(&disk) else { return false };
            let space = Space::open_in(store, Lines, environment(dice));
            space.is_ok_and(|space| space.replace_words(&old, &new).is_ok())
        });
        let space = Space::open_in(open(&disk).unwrap(), Lines, environment(&mut dice)).unwrap();
        assert_eq!(rows(&space), before, "round {round}: what was acknowledged before is another");
        let happened = space.check_words(&new).is_ok();
        assert_ne!(space.check_words(&old).is_ok(), happened, "round {round}");
        assert_eq!(space.keys().unwrap().generation, generation + u32::from(happened), "round {round}: half of it");
        assert!(happened || how == "cut short", "round {round}: what was acknowledged is gone");
        let standing = if happened { &new } else { &old };
        let store = Store::in_memory().unwrap();
        let options = RecoverOptions { device_name: "new".into(), lost: false };
        drop(space);
        let from = open(&disk).unwrap();
        let (recovered, _) =
            Space::recover_in(store, Lines, standing, &from, &options, environment(&mut dice)).unwrap();
        assert_eq!(rows(&recovered), before, "round {round}: the words that stand do not open everything");
        *counts.entry(format!("{how}, {}", if happened { "there" } else { "not there" })).or_default() += 1;
    }
    println!("{counts:#?}");
    assert!(counts.contains_key("cut short, not there") && counts.contains_key("acknowledged, there"), "{counts:?}");
}
