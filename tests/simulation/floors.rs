//! What must hold across a checkpoint below which entries are dropped: for who was away, against who lies, for what was
//! shut out, and of a copy.

use ties_engine::CheckpointStanding;
use ties_engine::testing::{Lie, make_false_checkpoint};
use ties_relay::Limits;
use ties_tests::{Counts, Place};

use crate::checks::{Contents, check};
use crate::fleet::{A_WHILE, Fleet};

const DAY: u64 = 24 * 60 * 60 * 1000;
/// Into so many parts an absence is cut.
const PAUSES: u64 = 12;

/// A device is away and writes meanwhile; the others go on and drop what it has not read. For a year, where the relay keeps
/// the entries: keys change in that time, and a checkpoint under a later one is nothing to it. For three weeks, where the
/// relay drops them too.
pub(crate) fn be_away(seed: u64) -> Counts {
    let prunes = seed.is_multiple_of(2);
    let mut fleet = Fleet::at(seed, 3, Some(30), Limits { prunes, ..Limits::default() });
    let away = 1 + fleet.world.dice.index(2);
    let here: Vec<usize> = (0..3).filter(|number| *number != away).collect();
    fleet.world.set_reachable(away, false);
    for _ in 0..PAUSES {
        for _ in 0..fleet.world.dice.range(4..12) {
            let number = here[fleet.world.dice.index(2)];
            fleet.write(number);
            fleet.world.run(60_000);
        }
        if fleet.world.dice.per_mille(300) {
            fleet.write(away);
            fleet.world.counts.add("writes of who was away");
        }
        fleet.world.run(if prunes { 21 } else { 365 } * DAY / PAUSES);
    }
    // No entry goes that leads to a key of which it has not heard.
    let dropped = here.iter().all(|number| fleet.cut_short_at(*number) > 0);
    assert!(dropped || !prunes, "nothing was dropped while it was away");
    assert_eq!(fleet.cut_short_at_relay() > 0, prunes);
    fleet.world.set_reachable(away, true);
    fleet.world.run(A_WHILE);
    assert!(fleet.cut_short_at(away) > 0 || !prunes, "it was given every entry");
    fleet.world.counts.add(if prunes { "began with a checkpoint" } else { "read every entry" });
    check(fleet.world, &fleet.ledger)
}

/// A device makes a checkpoint that says something else than its entries, and then somebody an honest one.
pub(crate) fn lie(seed: u64) -> Counts {
    let mut fleet = Fleet::of(seed, 3, None);
    for number in 0..3 {
        (0..3).for_each(|_| fleet.write(number));
    }
    fleet.world.run(A_WHILE);
    let liar = fleet.world.dice.index(3);
    let documents = fleet.documents(liar);
    let document = documents[fleet.world.dice.index(documents.len())];
    let (lie, what) = match seed % 3 {
        0 => (Lie::LeavesOut(document), "documents left out"),
        1 => (Lie::Alters(document), "documents altered"),
        _ => (Lie::OtherRoot, "wrong roots"),
    };
    assert!(make_false_checkpoint(fleet.space(liar), lie).unwrap());
    fleet.world.poke(liar);
    fleet.world.counts.add(what);
    fleet.world.run(A_WHILE);
    let name = format!("device {liar}");
    for number in (0..3).filter(|number| *number != liar) {
        let named = fleet.space(number).status().unwrap().checkpoints;
        let it = named.iter().find(|one| one.standing == CheckpointStanding::Differs);
        let it = it.unwrap_or_else(|| panic!("device {number} does not see that {lie:?}: {named:?}"));
        assert_eq!((it.maker.as_deref(), it.second.as_deref()), (Some(&*name), None));
    }
    assert!(fleet.kept().iter().all(|floor| floor.cosigner().is_none()), "somebody signed that {lie:?}");
    let honest: Vec<usize> = (0..3).filter(|number| *number != liar).collect();
    fleet.world.run(A_WHILE);
    assert_eq!(fleet.cut_short_at_relay(), 0, "entries were dropped on the word of a liar");
    assert_eq!((0..3).map(|number| fleet.cut_short_at(number)).sum::<usize>(), 0);
    fleet.go_on(&honest);
    assert!(fleet.kept().iter().any(|floor| floor.cosigner().is_some()), "a liar keeps others from what is right");
    fleet.ledger.liar = Some(name);
    fleet.join();
    check(fleet.world, &fleet.ledger)
}

/// A device is shut out; what it wrote unseen comes late, when nobody has the entries of its time any more.
pub(crate) fn shut_out(seed: u64) -> Counts {
    let mut fleet = Fleet::of(seed, 4, None);
    let thief = 3;
    let id = fleet.space(thief).devices().unwrap().into_iter().find(|one| one.this).unwrap().id;
    (0..3).for_each(|_| fleet.write(thief));
    fleet.world.run(A_WHILE);
    fleet.world.set_reachable(thief, false);
    // Until the relay has noticed, too.
    fleet.world.run(A_WHILE);
    let before = fleet.world.dice.range(0..2);
    (0..before).for_each(|_| fleet.write(1));
    let unseen: Vec<_> = (0..3).flat_map(|_| fleet.operate(thief).marks).collect();
    fleet.space(0).revoke(&id).unwrap();
    fleet.world.poke(0);
    fleet.world.run(A_WHILE);
    fleet.go_on(&[0, 1, 2]);
    assert!(fleet.cut_short_at_relay() > 0);
    let fresh = fleet.join();
    fleet.world.run(A_WHILE);
    let met = fleet.world.dice.index(3);
    assert!(fleet.world.meet(thief, met), "they do not speak");
    fleet.world.run(A_WHILE);
    fleet.go_on(&[1, 0, fresh]);
    let numbers = [0, 1, 2, fresh];
    let held = fleet.space(0).quarantined().unwrap();
    fleet.world.counts.add_many("entries held", held);
    for number in numbers {
        let devices = fleet.space(number).devices().unwrap();
        assert!(devices.iter().all(|one| one.id != id), "device {number} lets in who was shut out");
        assert_eq!(fleet.space(number).quarantined().unwrap(), held, "device {number}");
        fleet.space(number).rebuild_documents().unwrap();
        let contents = Contents::of(&fleet.world.devices[number]);
        for (document, mark) in &unseen {
            let shown = contents.shows(document, mark);
            assert!(!shown, "device {number} shows what was written unseen");
        }
        for promise in &fleet.ledger.kept {
            for (document, mark) in &promise.marks {
                assert!(contents.shows(document, mark), "device {number} lacks {mark} of {document}");
            }
        }
        contents.assert_equals(&Contents::of(&fleet.world.devices[0]), number);
    }
    fleet.world.counts
}

/// A device was copied; both wrote, and the copy is heard of when nobody has the entries of its time any more. What it wrote
/// comes to all: in a log of its own, or, where it wrote in the log of the other, below the floor, said again in the next.
pub(crate) fn copied(seed: u64) -> Counts {
    let mut fleet = Fleet::of(seed, 3, None);
    let image = fleet.world.devices[1].disk.image();
    let place = if seed.is_multiple_of(2) { Place::Same } else { Place::Other };
    let copy = fleet.world.copy(1, image, place, 10);
    fleet.world.set_reachable(copy, false);
    fleet.world.run(1000);
    let written: Vec<_> = (0..2).flat_map(|_| fleet.operate(copy).marks).collect();
    // Two places may look alike; then it goes on in the same log.
    let branches = fleet.present_log(copy) == fleet.present_log(1);
    fleet.go_on(&[0, 1, 2]);
    assert!(fleet.cut_short_at_relay() > 0);
    fleet.world.set_reachable(copy, true);
    fleet.world.run(A_WHILE);
    let contents = Contents::of(&fleet.world.devices[0]);
    assert!(written.iter().all(|(document, mark)| contents.shows(document, mark)), "what the copy wrote is lost");
    fleet.world.counts.add(if branches {
        "copies that branched below the floor"
    } else {
        "copies with a log of their own"
    });
    check(fleet.world, &fleet.ledger)
}
