//! The disk fails at a random write while a device is shut out; afterwards it is out and a new epoch has begun, or neither.

use std::collections::BTreeMap;

use automerge::{ROOT, transaction::Transactable};
use ties_engine::{DeviceId, DocumentId, EditError, RecoverOptions, Space};
use ties_store::Store;
use ties_tests::{Dice, Lines, open};

use crate::rows;
use crate::words::{cut_short, environment, founded, members, rounds};

fn other(space: &Space) -> Option<DeviceId> {
    space.devices().unwrap().into_iter().find(|one| !one.this).map(|one| one.id)
}

#[test]
fn a_removal_that_is_cut_short_has_happened_with_its_new_epoch_or_has_not() {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..rounds() {
        let mut dice = Dice::new(0x7e40 ^ round);
        let (disk, words) = founded(&mut dice);
        let space = Space::open_in(open(&disk).unwrap(), Lines, environment(&mut dice)).unwrap();
        let (before, generation, epochs) = (rows(&space), space.keys().unwrap().generation, space.epochs().unwrap());
        let phone = other(&space).unwrap();
        drop(space);
        let how = cut_short(&mut dice, &disk, |dice| {
            let Ok(store) = open(&disk) else { return false };
            let space = Space::open_in(store, Lines, environment(dice));
            space.is_ok_and(|space| space.revoke(&phone).is_ok())
        });
        let space = Space::open_in(open(&disk).unwrap(), Lines, environment(&mut dice)).unwrap();
        assert_eq!(rows(&space), before, "round {round}: what was acknowledged before is another");
        let happened = other(&space).is_none();
        assert_eq!(space.removed_devices().unwrap().len(), usize::from(happened), "round {round}: half of it");
        assert_eq!(space.epochs().unwrap(), epochs + usize::from(happened), "round {round}: half of it");
        assert_eq!(space.keys().unwrap().generation, generation + u32::from(happened), "round {round}: half of it");
        assert!(happened || how == "cut short", "round {round}: what was acknowledged is gone");
        if !happened {
            space.revoke(&phone).unwrap();
        }
        // The device goes on under the new epoch, and its envelope is there: the words open what is written now.
        let id = DocumentId([0xee; 16]);
        space.write(|edit| edit.change(id, |tx| tx.put(ROOT, "line", 7).map_err(EditError::from))).unwrap();
        let after = rows(&space);
        drop(space);
        let from = open(&disk).unwrap();
        let options = RecoverOptions { device_name: "new".into(), lost: false };
        let store = Store::in_memory().unwrap();
        let (recovered, _) = Space::recover_in(store, Lines, &words, &from, &options, environment(&mut dice)).unwrap();
        assert_eq!(rows(&recovered), after, "round {round}: the words do not open everything");
        assert_eq!(members(&recovered), 2, "round {round}");
        *counts.entry(format!("{how}, {}", if happened { "there" } else { "not there" })).or_default() += 1;
    }
    println!("{counts:#?}");
    assert!(counts.contains_key("cut short, not there") && counts.contains_key("acknowledged, there"), "{counts:?}");
}
