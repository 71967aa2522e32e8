//! Entries below checkpoints that two devices signed are dropped, and nothing is lost by it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use automerge::{ROOT, ReadDoc};
use support::world::{DAY, Everything, World};
use ties_engine::{
    CheckpointStanding, DocumentId, Environment, Fault, FolderTally, RecoverOptions, Role, Source, Space, UndoError,
};

/// Makes one device's checkpoint, and has another sign it.
fn sign(world: &World, maker: usize, second: usize) {
    assert!(world.devices[maker].make_checkpoint().unwrap());
    for _ in 0..2 {
        world.meet(maker, second);
    }
    assert_eq!(world.devices[second].check_checkpoints().unwrap().cosigned, 1);
    world.meet(maker, second);
}

/// Two checkpoints, with something written before each and after the last.
fn twice_signed(names: &[&str]) -> World {
    let world = World::of(names);
    world.edits(0);
    world.put(1, 3, "phone", "below both");
    world.all_meet();
    sign(&world, 0, 1);
    world.pass(DAY);
    world.edits(0);
    world.put(1, 4, "phone", "between the two");
    world.meet(0, 1);
    sign(&world, 1, 0);
    world.put(0, 5, "laptop", "above both");
    world.put(1, 31, "phone", "above both");
    world.meet(0, 1);
    world
}

fn is_sound(space: &Space) {
    let documents = space.check_documents(&mut |_, _| {}).unwrap();
    assert!(documents.lacking.is_empty() && documents.surplus.is_empty());
    assert_eq!(space.check_rows(&mut |_, _| {}).unwrap().differing, 0);
}

#[test]
fn entries_below_the_older_of_two_signed_checkpoints_are_dropped_and_everything_goes_on() {
    let world = twice_signed(&["laptop", "phone"]);
    let (before, shown) = (world.entries(0), world.shown(0));
    let freed = world.devices[0].prune().unwrap();
    assert!(freed.entries > 70 && freed.bytes > 10_000, "{freed:?}");
    assert_eq!(world.entries(0), before - freed.entries);
    assert_eq!(world.shown(0), shown);
    is_sound(&world.devices[0]);
    assert_eq!(world.devices[0].prune().unwrap().entries, 0, "once is enough");
    // With one that kept everything, and with one that did the same.
    world.put(0, 6, "laptop", "after it");
    world.put(1, 6, "phone", "after it");
    world.all_meet();
    world.assert_equal();
    assert!(world.devices[1].prune().unwrap().entries > 70);
    world.put(0, 7, "laptop", "after both");
    world.all_meet();
    world.assert_equal();
    // With nothing to do, each says one short word.
    assert!(world.meet(0, 1).into_iter().max().unwrap() < 200);
    // When the other one wrote last is known still.
    assert!(world.devices[0].devices().unwrap().iter().all(|device| device.this || device.last_heard.is_some()));
    assert!(world.devices[0].last_written().unwrap().is_some());
}

#[test]
fn one_signature_or_one_checkpoint_alone_is_no_ground_to_drop_anything() {
    let world = World::of(&["laptop", "phone"]);
    world.edits(0);
    world.all_meet();
    sign(&world, 0, 1);
    assert_eq!(world.devices[0].prune().unwrap().entries, 0);
    world.edits(0);
    assert!(world.devices[0].make_checkpoint().unwrap());
    assert_eq!(world.devices[0].prune().unwrap().entries, 0);
}

#[test]
fn a_device_keeps_every_entry_unless_it_is_told_not_to() {
    let world = twice_signed(&["laptop", "phone"]);
    let before = world.entries(0);
    world.devices[0].tend_checkpoints().unwrap();
    assert_eq!(world.entries(0), before);
    world.devices[0].set_prunes(true);
    world.devices[0].tend_checkpoints().unwrap();
    assert!(world.entries(0) < before);
}

#[test]
fn a_fresh_device_and_one_that_was_away_get_everything_from_devices_that_dropped_it() {
    let mut world = World::of(&["laptop", "phone", "tablet"]);
    world.put(2, 1, "tablet", "before it went away");
    world.meet(2, 0);
    world.edits(0);
    world.meet(0, 1);
    sign(&world, 0, 1);
    world.put(2, 1, "away", "written on a mountain");
    world.put(2, 35, "away", "a record of its own");
    world.edits(0);
    world.meet(0, 1);
    sign(&world, 1, 0);
    for device in 0..2 {
        assert!(world.devices[device].prune().unwrap().entries > 0);
    }
    let fresh = world.admit("new", Role::Admin);
    world.meet(1, fresh);
    world.all_meet();
    world.assert_equal();
    assert!(world.standings(fresh).contains(&CheckpointStanding::Started));
    let (rows, _) = world.shown(fresh);
    assert!(rows.iter().any(|(_, value)| String::from_utf8_lossy(value).contains("written on a mountain")));
    (0..4).for_each(|device| is_sound(&world.devices[device]));
}

#[test]
fn a_device_removed_after_it_was_read_and_dropped_stays_read_and_what_nobody_saw_is_held() {
    let mut world = World::of(&["laptop", "phone", "thief"]);
    world.put(2, 2, "thief", "known to all");
    world.edits(0);
    world.all_meet();
    sign(&world, 0, 1);
    world.edits(0);
    world.meet(0, 1);
    sign(&world, 1, 0);
    assert!(world.devices[0].prune().unwrap().entries > 0);
    let thief = world.id(2);
    world.put(2, 2, "secret", "known to nobody");
    world.devices[0].revoke(&thief).unwrap();
    let fresh = world.admit("new", Role::Admin);
    world.meet(0, 1);
    world.meet(0, fresh);
    world.meet(2, 1);
    for _ in 0..2 {
        world.meet(0, 1);
        world.meet(0, fresh);
        world.meet(1, fresh);
    }
    let known = |device: usize| {
        let view = world.devices[device].view().unwrap();
        let document = view.document(DocumentId([2; 16])).unwrap().unwrap();
        ["thief", "secret"].map(|key| document.get(ROOT, key).unwrap().is_some())
    };
    for device in [0, 1, fresh] {
        assert_eq!(known(device), [true, false], "device {device}");
        assert_eq!(world.devices[device].quarantined().unwrap(), 1, "device {device}");
    }
}

#[test]
fn what_lies_below_cannot_be_undone_any_more_and_says_so() {
    let world = World::of(&["laptop", "phone"]);
    world.put(0, 1, "name", "before");
    world.edits(0);
    world.all_meet();
    sign(&world, 0, 1);
    world.edits(0);
    world.meet(0, 1);
    sign(&world, 1, 0);
    world.put(0, 1, "name", "after");
    assert!(world.devices[0].prune().unwrap().entries > 0);
    let mut operations = Vec::new();
    world.devices[0]
        .operations(|operation| {
            operations.push(operation);
            true
        })
        .unwrap();
    let undone = |number: usize| world.devices[0].undo("undo", &[operations[number].id], &mut |_, _| {});
    assert!(undone(0).is_ok(), "what is above the cut is there");
    let last = operations.len() - 1;
    assert!(matches!(undone(last), Err(UndoError::Fault(Fault::Dropped))));
}

#[test]
fn the_twelve_words_make_a_device_of_one_that_dropped_its_entries() {
    let mut world = twice_signed(&["laptop", "phone"]);
    // A rotation below the cut and one above it: their keys are found all the same.
    let third = world.admit("stolen", Role::Admin);
    world.all_meet();
    let stolen = world.id(third);
    world.devices[0].revoke(&stolen).unwrap();
    world.devices.pop();
    for maker in [0, 1] {
        world.edits(0);
        world.meet(0, 1);
        sign(&world, maker, 1 - maker);
    }
    world.put(0, 8, "laptop", "above both");
    world.meet(0, 1);
    assert!(world.devices[0].prune().unwrap().entries > 0);
    for lost in [false, true] {
        let new = world.recover(0, lost).unwrap();
        assert_eq!(world.shown(new), world.shown(0));
        let expected = if lost { vec!["new"] } else { vec!["laptop", "new", "phone"] };
        let mut names: Vec<String> = world.devices[new].devices().unwrap().into_iter().map(|one| one.name).collect();
        names.sort();
        assert_eq!(names, expected);
        world.put(new, 9, "new", "writes");
        is_sound(&world.devices[new]);
        if !lost {
            for _ in 0..3 {
                world.all_meet();
            }
            world.assert_equal();
        }
        world.devices.pop();
    }
}

fn visit(space: &Space, folder: &Path) -> FolderTally {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut reports = runtime.block_on(space.sync_folders(&[folder.to_owned()], |_| ())).unwrap();
    reports.pop().unwrap().outcome.unwrap()
}

#[test]
fn a_folder_carries_what_nobody_has_entries_of_any_more() {
    let mut world = World::of(&["laptop", "phone", "away"]);
    world.put(2, 1, "tablet", "before it went away");
    world.meet(2, 0);
    for maker in [0, 1] {
        world.edits(0);
        world.meet(0, 1);
        sign(&world, maker, 1 - maker);
    }
    world.put(0, 5, "laptop", "above both");
    world.put(2, 1, "away", "written on a mountain");
    assert!(world.devices[0].prune().unwrap().entries > 0);
    let fresh = world.admit("new", Role::Admin);
    let folder = tempfile::tempdir().unwrap();
    assert!(visit(&world.devices[0], folder.path()).files_written > 3);
    let nothing = visit(&world.devices[0], folder.path());
    assert_eq!((nothing.files_written, nothing.files_read), (0, 0), "it lies there");
    // What carries the folder has renamed a piece, and another one is only half there yet.
    let place = fs::read_dir(folder.path().join("ties")).unwrap().next().unwrap().unwrap().path();
    let mut chunks: Vec<PathBuf> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()).collect();
    chunks.retain(|path| path.extension().is_some_and(|ending| ending == "chunk"));
    let (renamed, whole) = (place.join("copy (1).chunk"), fs::read(&chunks[1]).unwrap());
    fs::rename(&chunks[0], &renamed).unwrap();
    fs::write(&chunks[1], &whole[..whole.len() / 2]).unwrap();
    visit(&world.devices[fresh], folder.path());
    assert!(world.shown(fresh).0.is_empty(), "half of it is nothing");
    fs::write(&chunks[1], &whole).unwrap();
    for _ in 0..3 {
        for device in [fresh, 2, 0] {
            visit(&world.devices[device], folder.path());
        }
    }
    for device in [fresh, 2] {
        assert_eq!(world.shown(device), world.shown(0), "device {device}");
        is_sound(&world.devices[device]);
    }
    assert!(
        world.devices[0].read(DocumentId([1; 16]), |one| one.get(ROOT, "away").unwrap().is_some()).unwrap().unwrap()
    );
    for device in [fresh, 2, 0] {
        let last = visit(&world.devices[device], folder.path());
        assert_eq!((last.files_written, last.entries_received), (0, 0), "device {device}");
    }
    let home = tempfile::tempdir().unwrap();
    let options = RecoverOptions { device_name: "back".into(), lost: false };
    let source = Source::Folder(folder.path().to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (new, _) = runtime
        .block_on(Space::recover(
            &home.path().join("data"),
            Everything,
            &world.words,
            &source,
            &options,
            Environment::system(),
            &mut |_| {},
        ))
        .unwrap();
    world.devices.push(new);
    assert_eq!(world.shown(world.devices.len() - 1), world.shown(0));
}

#[test]
fn nothing_is_dropped_while_a_member_has_not_heard_of_the_key_that_the_checkpoints_are_under() {
    let mut world = World::of(&["laptop", "phone", "away"]);
    world.edits(0);
    world.all_meet();
    let stolen = world.admit("stolen", Role::Writer);
    world.meet(0, 1);
    let id = world.id(stolen);
    world.devices[0].revoke(&id).unwrap();
    world.devices.pop();
    for maker in [0, 1] {
        world.edits(0);
        world.meet(0, 1);
        assert!(world.devices[maker].make_checkpoint().unwrap());
        for _ in 0..2 {
            world.meet(0, 1);
        }
        let looked = world.devices[1 - maker].check_checkpoints().unwrap();
        assert_eq!((looked.same, looked.cosigned), (1, 0));
    }
    assert_eq!(world.devices[0].prune().unwrap().entries, 0);
    world.put(2, 1, "away", "written on a mountain");
    // It comes back, and says with its next sync that the key is there, though it writes nothing more.
    for _ in 0..3 {
        world.all_meet();
        for device in 0..3 {
            world.devices[device].tend_checkpoints().unwrap();
        }
    }
    world.assert_equal();
    assert!(world.standings(0).iter().all(|standing| *standing == CheckpointStanding::Same));
    assert!(world.checkpoints(0).iter().all(|one| one.second.is_some()), "{:?}", world.checkpoints(0));
    world.edits(0);
    world.meet(0, 1);
    sign(&world, 0, 1);
    assert!(world.devices[0].prune().unwrap().entries > 0);
}
