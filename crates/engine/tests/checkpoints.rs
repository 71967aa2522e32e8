//! Checkpoints between devices: a fresh one starts from them, a second one signs them, a lying one is named.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use ties_engine::testing::{Lie, carry, make_false_checkpoint};
use ties_engine::{CheckpointStanding, DocumentId, Looked, Role};

use support::world::{DAY, World};

#[test]
fn a_fresh_device_starts_from_a_checkpoint_and_ends_equal_to_one_that_read_every_entry() {
    let mut world = World::of(&["laptop", "phone"]);
    world.edits(0);
    world.meet(0, 1);
    world.put(1, 3, "phone", "was here");
    world.meet(0, 1);
    assert!(world.devices[0].make_checkpoint().unwrap());
    world.put(0, 4, "later", "above the cut");
    world.put(0, 30, "new", "above the cut");
    let fresh = world.admit("tablet", Role::Admin);
    world.meet(0, fresh);
    assert_eq!(world.standings(fresh), vec![CheckpointStanding::Unverified]);
    assert!(world.entries(fresh) * 4 < world.entries(0), "it was given the entries all the same");
    world.all_meet();
    world.assert_equal();
    // It goes on as any other, and the others with it.
    world.put(fresh, 5, "tablet", "writes too");
    world.put(1, 5, "phone", "as well");
    world.put(0, 6, "laptop", "as ever");
    world.all_meet();
    world.assert_equal();
    let documents = world.devices[fresh].check_documents(&mut |_, _| {}).unwrap();
    assert!(documents.lacking.is_empty() && documents.surplus.is_empty());
    assert_eq!(world.devices[fresh].devices().unwrap().len(), 3);
}

#[test]
fn a_second_device_signs_what_it_finds_right_and_that_reaches_whoever_started_from_it() {
    let mut world = World::of(&["laptop", "phone"]);
    world.edits(0);
    assert!(world.devices[0].make_checkpoint().unwrap());
    assert_eq!(world.devices[0].check_checkpoints().unwrap(), Looked::default(), "it signs its own");
    let fresh = world.admit("tablet", Role::Admin);
    world.meet(0, fresh);
    assert_eq!(world.standings(fresh), vec![CheckpointStanding::Unverified]);
    world.put(0, 4, "later", "above the cut");
    world.put(1, 4, "beside", "not known to the maker");
    // Entries come in the first meeting, and then it stands at the cut.
    world.meet(0, 1);
    world.meet(0, 1);
    assert_eq!(world.devices[1].check_checkpoints().unwrap(), Looked { same: 1, cosigned: 1, differing: 0 });
    world.meet(0, 1);
    world.meet(0, fresh);
    assert_eq!(world.standings(fresh), vec![CheckpointStanding::Started]);
    for device in 0..2 {
        let found = world.checkpoints(device);
        assert_eq!((found[0].maker.as_deref(), found[0].second.as_deref()), (Some("laptop"), Some("phone")));
        assert_eq!(found[0].standing, CheckpointStanding::Same);
    }
    world.all_meet();
    world.assert_equal();
    // With nothing to do, each says one short word.
    assert!(world.meet(0, 1).into_iter().max().unwrap() < 200);
    assert!(world.meet(0, fresh).into_iter().max().unwrap() < 200);
}

#[test]
fn a_checkpoint_that_lies_is_named_and_neither_signed_nor_passed_on() {
    let document = DocumentId([7; 16]);
    for lie in [Lie::Alters(document), Lie::LeavesOut(document), Lie::OtherRoot] {
        let mut world = World::of(&["laptop", "phone"]);
        world.edits(0);
        world.meet(0, 1);
        assert!(make_false_checkpoint(&world.devices[0], lie).unwrap());
        world.meet(0, 1);
        world.meet(0, 1);
        assert_eq!(world.devices[1].check_checkpoints().unwrap(), Looked { same: 0, cosigned: 0, differing: 1 });
        let named = world.devices[1].status().unwrap().checkpoints;
        assert_eq!((named[0].standing, named[0].maker.as_deref()), (CheckpointStanding::Differs, Some("laptop")));
        assert_eq!(named[0].second, None);
        // Whoever asks the honest one is not given it.
        let fresh = world.admit("tablet", Role::Admin);
        world.meet(0, 1);
        world.meet(1, fresh);
        world.meet(1, fresh);
        assert_eq!(world.checkpoints(fresh), Vec::new(), "{lie:?}");
        assert_eq!(world.shown(fresh), world.shown(1), "{lie:?}");
    }
}

#[test]
fn whoever_is_offered_a_checkpoint_with_another_root_goes_on_without_it_and_names_its_maker() {
    let mut world = World::of(&["laptop", "phone"]);
    world.edits(0);
    world.meet(0, 1);
    assert!(make_false_checkpoint(&world.devices[0], Lie::OtherRoot).unwrap());
    let fresh = world.admit("tablet", Role::Admin);
    world.meet(0, fresh);
    assert_eq!(world.standings(fresh), vec![CheckpointStanding::Differs]);
    world.meet(0, fresh);
    assert_eq!(world.checkpoints(fresh)[0].maker.as_deref(), Some("laptop"));
    assert_eq!(world.shown(fresh), world.shown(1));
}

#[test]
fn a_device_that_was_away_merges_a_checkpoint_and_then_brings_its_own() {
    let world = World::of(&["laptop", "phone", "tablet"]);
    world.put(2, 1, "tablet", "before it went away");
    world.meet(2, 0);
    world.pass(20 * DAY);
    for _ in 0..15 {
        world.edits(0);
    }
    world.put(2, 1, "away", "written on a mountain");
    world.put(2, 35, "away", "a record of its own");
    assert!(world.devices[0].make_checkpoint().unwrap());
    let before = world.entries(2);
    world.meet(0, 2);
    assert_eq!(world.standings(2), vec![CheckpointStanding::Unverified]);
    assert!(world.entries(2) < before + 40, "it was given all of it entry by entry");
    world.all_meet();
    world.assert_equal();
    let (rows, _) = world.shown(0);
    assert!(rows.iter().any(|(_, value)| String::from_utf8_lossy(value).contains("written on a mountain")));
}

#[test]
fn a_removal_keeps_its_meaning_for_a_device_that_started_after_it() {
    let mut world = World::of(&["laptop", "phone", "thief"]);
    world.edits(0);
    world.all_meet();
    world.put(2, 2, "thief", "known to all");
    world.all_meet();
    let thief = world.id(2);
    world.put(2, 2, "thief", "known to nobody");
    world.devices[0].revoke(&thief).unwrap();
    world.meet(0, 1);
    assert!(world.devices[0].make_checkpoint().unwrap());
    let fresh = world.admit("tablet", Role::Admin);
    world.meet(0, fresh);
    assert_eq!(world.devices[fresh].devices().unwrap().len(), 3);
    assert!(world.devices[fresh].devices().unwrap().iter().all(|device| device.id != thief));
    // What the thief wrote unseen comes late, and is held there as anywhere.
    world.meet(2, 1);
    world.meet(1, fresh);
    world.meet(1, 0);
    world.meet(0, fresh);
    for device in [0, 1, fresh] {
        assert_eq!(world.devices[device].quarantined().unwrap(), 1, "device {device}");
        assert_eq!(world.shown(device), world.shown(0), "device {device}");
    }
}

#[test]
fn a_device_that_keeps_no_checkpoints_makes_and_takes_none() {
    let mut world = World::of(&["laptop", "phone"]);
    world.edits(0);
    assert!(world.devices[0].make_checkpoint().unwrap());
    let fresh = world.admit("tablet", Role::Admin);
    world.devices[fresh].keep_checkpoints(false).unwrap();
    assert!(!world.devices[fresh].keeps_checkpoints().unwrap());
    world.meet(0, fresh);
    assert_eq!(world.checkpoints(fresh), Vec::new());
    world.all_meet();
    world.assert_equal();
    assert!(!world.devices[fresh].tend_checkpoints().unwrap());
}

#[test]
fn nobody_carries_what_was_written_in_the_log_of_another_device() {
    let world = World::of(&["laptop", "phone"]);
    let laptops = world.devices[0].incarnations().unwrap()[&world.id(0)][0].log;
    carry(&world.devices[1], None).unwrap();
    world.meet(0, 1);
    assert_eq!(world.devices[0].status().unwrap().bad, 0, "its own log is its own");
    carry(&world.devices[1], Some(laptops)).unwrap();
    world.meet(0, 1);
    assert_eq!(world.devices[0].status().unwrap().bad, 1);
}
