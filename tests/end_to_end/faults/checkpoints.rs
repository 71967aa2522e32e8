//! Devices that die while they make a checkpoint, sign it as the second one, start from it, or drop what lies below.

use super::{COMMITS, Deaths, Drill, is_sound, is_unharmed, newest, sync_and_die, sync_with};
use crate::support::{Device, World, pair};

/// So many entries are few enough for a device that is that far behind to start from a checkpoint, and too few for it to
/// make another one.
const FAR_BEHIND: u64 = 8;

#[test]
fn checkpoints_are_made_signed_taken_and_pruned_upon_though_each_device_dies_at_every_step() {
    let world = World::new();
    let (laptop, phone, _relay) = world.pair();
    let tablet = world.device("tablet");
    pair(&laptop, &tablet, "tablet");
    for device in [&laptop, &phone, &tablet] {
        device.run(&["config", "checkpoint.prune", "on"]).ok();
    }
    let [mut making, mut signing, mut taking, mut pruning] =
        [Drill::Making, Drill::Signing, Drill::Taking, Drill::Pruning].map(|drill| Deaths::of(drill, &COMMITS));
    // Whoever has nothing starts from the first checkpoint that there is; the phone is to compare it.
    laptop.run(&["new", "Ada Lovelace"]).ok();
    [&laptop, &phone].into_iter().for_each(Device::sync);
    let mut names = vec!["Ada Lovelace".to_owned()];
    let mut rounds = 0;
    while [&making, &signing, &taking, &pruning].iter().any(|deaths| deaths.next().is_some()) {
        let at = [&making, &signing, &taking, &pruning].map(|deaths| deaths.next().unwrap_or_default());
        let after = format!("{at:?}");
        let known = if rounds == 0 { Vec::new() } else { names.clone() };
        for person in 0..FAR_BEHIND / 2 {
            let name = format!("Person {rounds} {person}");
            laptop.run(&["new", &name]).ok();
            names.push(name);
        }

        sync_and_die(&laptop, &mut making, Some(1));
        is_unharmed(&laptop, &names, &after);
        sync_with(&laptop, 1);
        let made = newest(&laptop);
        assert!(made["maker"] == "laptop" && made["second"].is_null(), "no checkpoint was made after {after}: {made}");

        // What it lacks comes first; the next time it asks for the checkpoint, compares it and signs.
        phone.sync();
        sync_and_die(&phone, &mut signing, None);
        is_unharmed(&phone, &names, &after);
        phone.sync();
        is_sound(&phone, &names, &after);
        let signed = newest(&phone);
        assert_eq!((&signed["maker"], &signed["second"]), (&"laptop".into(), &"phone".into()), "after {after}");

        sync_and_die(&tablet, &mut taking, Some(FAR_BEHIND));
        is_unharmed(&tablet, &known, &after);
        sync_with(&tablet, FAR_BEHIND);
        is_sound(&tablet, &names, &after);
        assert_eq!(newest(&tablet)["standing"], "started", "after {after}: {}", newest(&tablet));

        // It hears of the second signature. From the second such checkpoint on it drops what lies below the one before.
        if rounds >= 2 {
            sync_and_die(&laptop, &mut pruning, None);
            is_unharmed(&laptop, &names, &after);
        }
        laptop.sync();
        is_sound(&laptop, &names, &after);
        let here = newest(&laptop);
        assert_eq!((&here["since"], &here["second"]), (&made["since"], &"phone".into()), "after {after}");
        rounds += 1;
    }
    for device in [&laptop, &phone, &tablet] {
        device.sync();
        assert_eq!(device.export(), laptop.export());
    }
    let died = [making, signing, taking, pruning].map(|deaths| deaths.died);
    println!("{rounds} rounds; died making, signing, taking, pruning: {died:?}");
}
