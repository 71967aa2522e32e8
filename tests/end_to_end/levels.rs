//! Programs of different ages in one network: nobody is cut off unasked, and who is loses nothing.

use crate::support::{Device, Ran, Running, World};

/// Runs a program that knows more than this one.
fn newer(device: &Device, words: &[&str]) -> Ran {
    let mut command = device.command(words);
    command.env("TIES_LEVEL", "2");
    Running::start(command, "").finish()
}

#[test]
fn the_level_is_raised_by_an_explicit_word_that_names_whom_it_cuts_off() {
    let world = World::new();
    let (laptop, phone, _relay) = world.pair();
    let levels = laptop.run(&["device", "level"]).ok();
    assert!(levels.out.starts_with("The network asks for level 1; this program knows up to 1.\n"), "{levels}");
    laptop.run(&["device", "level", "--raise", "2"]).code(1).complains("knows no level above 1");

    newer(&laptop, &["sync"]).ok();
    phone.sync();
    assert_eq!(phone.json(&["device", "level"])["levels"]["devices"][1]["level"], 2, "it says what it knows");
    newer(&laptop, &["device", "level", "--raise", "2"]).code(7).complains("cuts off phone");
    assert_eq!(laptop.json(&["device", "level"])["levels"]["network"], 1, "nothing was changed");
    let raised = newer(&laptop, &["device", "level", "--raise", "2", "--yes"]).ok();
    assert!(raised.out.contains("cut off until it is updated"), "{raised}");
    newer(&laptop, &["new", "Ada Lovelace"]).ok();
    newer(&laptop, &["sync"]).ok();
    phone.sync();

    // It reads and syncs, and is told why it does not write.
    assert!(phone.run(&["show", "ada"]).ok().out.contains("Ada Lovelace"));
    phone.run(&["new", "Grace Hopper"]).code(7).complains("too old to write");
    assert_eq!(phone.names(), ["Ada Lovelace"]);
    newer(&phone, &["new", "Grace Hopper"]).ok();
    newer(&phone, &["sync"]).ok();
    newer(&laptop, &["sync"]).ok();
    assert_eq!(laptop.names(), phone.names());
    assert!(newer(&laptop, &["device", "level"]).ok().out.lines().all(|line| !line.contains("cut off")));
}
