//! Entries of several logs come in any order; they count in the order in which they were made.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use automerge::transaction::Transactable;
use automerge::{ROOT, ReadDoc};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_engine::testing::{entries, take};
use ties_engine::{Conversation, CreateOptions, DocumentId, EditError, Environment, Input, Road, Role, Space, Turn};
use ties_store::{Sharing, Store};

const RELAY: &str = "ws://127.0.0.1:7700#";

fn environment(seed: u64) -> Environment {
    Environment::new(|| 1_760_000_000_000, ChaCha20Rng::seed_from_u64(seed))
}

fn found() -> (Space, Road) {
    found_in(Store::in_memory().unwrap(), 1)
}

fn found_in(store: Store, seed: u64) -> (Space, Road) {
    let options = CreateOptions { device_name: "one".into(), recovery: false };
    let (space, _) = Space::create_in(store, (), &options, environment(seed)).unwrap();
    let relay = ties_sealed_log::RelaySecret::from_secret(&ties_sealed_log::Secret::new([7; 32])).id();
    let address = ties_engine::RelayAddress::new(ties_net::Scheme::Loopback, "127.0.0.1", 7700, relay).unwrap();
    assert!(address.to_string().starts_with(RELAY));
    let road = space.offline().add_relay(&address.to_string()).unwrap();
    (space, road)
}

fn admit(host: &Space, road: &Road, seed: u64) -> Space {
    let store = Store::in_memory().unwrap();
    host.offline().admit(road, Role::Writer, store, (), "another", environment(seed)).unwrap()
}

/// Lets two devices talk until both have the same, as they would through a relay; each takes all that came in one turn.
fn meet(one: &Space, other: &Space, road: &Road) {
    let mut sides = [one, other].map(|space| Conversation::new(space, road.mailbox, road.relay));
    let mut under_way = sides.each_mut().map(|side| side.start(Duration::ZERO).unwrap().frames);
    while !under_way.iter().all(Vec::is_empty) {
        let [from_one, from_other] = std::mem::take(&mut under_way);
        for (side, (frames, said)) in sides.iter_mut().zip([from_other, from_one].iter().zip(&mut under_way)) {
            let inputs: Vec<_> = frames.iter().map(|frame| Input::Frame(frame)).collect();
            let Turn { frames, .. } = side.handle(Duration::ZERO, &inputs).unwrap();
            *said = frames;
        }
    }
    assert!(sides.iter().all(Conversation::is_settled));
}

fn put(space: &Space, key: &str, value: i64) {
    space.write(|edit| edit.change(DOCUMENT, |tx| tx.put(ROOT, key, value).map_err(EditError::from))).unwrap();
}

fn value(space: &Space) -> Option<i64> {
    let read = space.read(DOCUMENT, |document| document.get(ROOT, "turn").unwrap().unwrap().0.as_i64());
    read.unwrap().flatten()
}

const DOCUMENT: DocumentId = DocumentId([7; 16]);

#[test]
fn a_device_that_gets_everything_at_once_waits_for_each_entry_that_another_builds_upon() {
    let (one, road) = found();
    let two = admit(&one, &road, 2);
    let three = admit(&one, &road, 3);
    meet(&one, &two, &road);
    for turn in 0..10 {
        put(if turn % 2 == 0 { &one } else { &two }, "turn", turn);
        meet(&one, &two, &road);
    }
    meet(&one, &three, &road);
    for space in [&one, &two, &three] {
        let status = space.status().unwrap();
        assert_eq!((status.waiting, status.bad), (vec![], 0));
        assert_eq!(value(space), Some(9));
    }
}

#[test]
fn documents_made_anew_from_entries_of_several_logs_are_the_same() {
    let (one, road) = found();
    let two = admit(&one, &road, 2);
    meet(&one, &two, &road);
    for turn in 0..10 {
        put(if turn % 2 == 0 { &one } else { &two }, "turn", turn);
        meet(&one, &two, &road);
    }
    for space in [&one, &two] {
        let heads = || space.read(DOCUMENT, automerge::Automerge::get_heads).unwrap();
        let before = heads();
        space.rebuild_documents().unwrap();
        assert_eq!(heads(), before);
        let status = space.status().unwrap();
        assert_eq!((status.waiting, status.bad), (vec![], 0));
    }
}

/// The log of the restored device sorts before or after the others', and so comes sooner or later.
#[test]
fn a_device_that_was_restored_goes_on_after_both_ends_of_its_log() {
    for seed in 10..16 {
        let folder = tempfile::tempdir().unwrap();
        let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
        let (one, road) = found_in(Store::create(&data, Sharing::Processes).unwrap(), seed);
        let two = admit(&one, &road, 2);
        let three = admit(&one, &road, 3);
        let four = admit(&one, &road, 4);
        for other in [&two, &three, &four] {
            meet(&one, other, &road);
        }
        drop(one);
        std::fs::copy(data.join("database"), &backup).unwrap();
        let open = |seed| {
            let store = Store::open(&data, Sharing::Processes).unwrap();
            Space::open_in(store, (), environment(seed)).unwrap()
        };
        let one = open(100);
        put(&two, "two", 1);
        meet(&two, &three, &road);
        put(&one, "one", 1);
        put(&one, "one", 2);
        meet(&one, &two, &road);
        drop(one);
        std::fs::copy(&backup, data.join("database")).unwrap();

        // It reads what device two wrote, not what it wrote itself, and then writes once more what it wrote already.
        let one = open(200);
        meet(&one, &three, &road);
        put(&one, "one", 3);
        meet(&one, &two, &road);
        put(&one, "turn", 4);
        meet(&one, &four, &road);
        meet(&two, &three, &road);
        meet(&four, &three, &road);
        meet(&four, &two, &road);
        for space in [&one, &two, &three, &four] {
            let status = space.status().unwrap();
            assert_eq!((status.waiting, status.bad), (vec![], 0), "seed {seed}");
            assert_eq!(value(space), Some(4));
            assert_eq!(space.offline().vector().unwrap(), one.offline().vector().unwrap());
        }
    }
}

/// What waits in a forked log is judged again with every drawing of which entries count; it must not ask for another each time.
#[test]
fn both_ends_of_a_log_wait_for_the_admission_of_their_device() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let (one, road) = found();
    let two = admit(&one, &road, 2);
    meet(&one, &two, &road);
    let store = Store::create(&data, Sharing::Processes).unwrap();
    let three = one.offline().admit(&road, Role::Writer, store, (), "three", environment(3)).unwrap();
    meet(&one, &three, &road);
    let before = three.offline().vector().unwrap();
    drop(three);
    std::fs::copy(data.join("database"), &backup).unwrap();
    for (seed, key) in [(100, "here"), (200, "there")] {
        std::fs::copy(&backup, data.join("database")).unwrap();
        let store = Store::open(&data, Sharing::Processes).unwrap();
        let three = Space::open_in(store, (), environment(seed)).unwrap();
        put(&three, key, 1);
        meet(&one, &three, &road);
    }
    let forked = one.offline().vector().unwrap();
    let log = before.logs().find(|log| forked.tips(log).count() == 2).unwrap();
    take(&two, entries(&one, &log).unwrap()).unwrap();
    assert!(!two.status().unwrap().waiting.is_empty());
    meet(&one, &two, &road);
    let status = two.status().unwrap();
    assert_eq!((status.waiting, status.bad), (vec![], 0));
    for key in ["here", "there"] {
        let read = two.read(DOCUMENT, |document| document.get(ROOT, key).unwrap().is_some()).unwrap();
        assert_eq!(read, Some(true), "{key}");
    }
}
