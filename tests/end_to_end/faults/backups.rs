//! A backup that is cut short leaves the one before it, and a restore that is cut short is begun again.

use std::fs;

use super::{COMMITS, Deaths, Drill, begin, is_sound, was_killed};
use crate::support::{Device, World};

/// A device with words and people; gives its words.
fn device(world: &World) -> (Device, String) {
    let laptop = world.device("laptop");
    let created = laptop.json(&["init", "--name", "laptop"]);
    ["Ada Lovelace", "Grace Hopper"].iter().for_each(|name| drop(laptop.run(&["new", name]).ok()));
    (laptop, created["recoveryWords"].as_str().expect("words").to_owned())
}

/// Restores a backup into an empty folder.
#[track_caller]
fn restored(world: &World, name: &str, file: &str, words: &str) -> Device {
    let device = world.device(name);
    device.run_with(&["restore", file, "-"], words).ok();
    device
}

#[test]
fn a_backup_is_the_old_one_or_the_new_one_wherever_the_program_dies() {
    let world = World::new();
    let (laptop, words) = device(&world);
    let file = world.path("all.backup").into_os_string().into_string().expect("a path in UTF-8");
    laptop.run(&["backup", &file]).ok();
    let mut names = laptop.names();
    let mut deaths = Deaths::of(Drill::Backup, &[]);
    while let Some(at) = deaths.next() {
        let before = names.clone();
        let name = format!("Person {}", deaths.died);
        laptop.run(&["new", &name]).ok();
        names.push(name);
        let ran = begin(&laptop, &["backup", &file, "--force"], "", Some(&at), None).finish();
        deaths.tell(was_killed(&ran, &at));
        let back = restored(&world, &format!("after {at}"), &file, &words);
        is_sound(&back, &before, &at);
        is_sound(&laptop, &names, &at);
        laptop.run(&["backup", &file, "--force"]).ok();
        assert!(!fs::exists(format!("{file}.part")).expect("a folder"), "after {at}");
        let again = restored(&world, &format!("again after {at}"), &file, &words);
        is_sound(&again, &names, &at);
    }
}

#[test]
fn a_restore_is_whole_or_begun_again_wherever_the_program_dies() {
    let world = World::new();
    let (laptop, words) = device(&world);
    let file = world.path("all.backup").into_os_string().into_string().expect("a path in UTF-8");
    laptop.run(&["backup", &file]).ok();
    let names = laptop.names();
    let mut deaths = Deaths::of(Drill::Restore, &COMMITS);
    while let Some(at) = deaths.next() {
        let device = world.device(&format!("after {at}"));
        let ran = begin(&device, &["restore", &file, "-"], &words, Some(&at), None).finish();
        let died = was_killed(&ran, &at);
        deaths.tell(died);
        let stands = device.run(&["ls"]).code == Some(0);
        assert!(stands || died, "{at}");
        let again = device.run_with(&["restore", &file, "-"], &words);
        if stands {
            again.code(7).complains("not empty");
        } else {
            again.ok();
        }
        is_sound(&device, &names, &at);
        // It goes on.
        device.run(&["new", "After Restore"]).ok();
        is_sound(&device, &[&names[..], &["After Restore".to_owned()]].concat(), &at);
    }
    println!("died {}", deaths.died);
}
