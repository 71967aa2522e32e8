//! What is on disk: where, for whose eyes, and how little of it can be read.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::{Device, Needles, Running, World, below, cards};

/// Every file and folder, itself included, is for its owner alone.
fn assert_private(folder: &Path) {
    for path in below(folder).into_iter().chain([folder.to_owned()]) {
        let about = fs::symlink_metadata(&path).expect("a file");
        let mode = about.permissions().mode() & 0o777;
        let expected = if about.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{} is {mode:o}", path.display());
    }
}

#[test]
fn everything_is_for_its_owner_alone() {
    let world = World::new();
    let (laptop, phone, relay) = world.pair();
    // While a watcher runs as well.
    let watching = laptop.start(&["sync", "--watch"], "");
    watching.line("up to date");
    phone.run(&["new", "Ada Lovelace"]).ok();
    phone.sync();
    watching.line("received 1");
    for folder in [&laptop.home(), &phone.home(), relay.data()] {
        assert_private(folder);
    }
}

#[test]
fn an_exported_file_is_for_its_owner_alone() {
    let world = World::new();
    let laptop = world.started("laptop");
    laptop.run(&["new", "Ada Lovelace"]).ok();
    let file = laptop.file("out.vcf", "before");
    laptop.run(&["export", "--to", "vcf", "-o", &file]).ok();
    assert!(fs::read_to_string(&file).unwrap().contains("Ada Lovelace"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_folder_that_others_may_read_is_made_private() {
    let world = World::new();
    let laptop = world.device("laptop");
    fs::create_dir(laptop.home()).unwrap();
    fs::set_permissions(laptop.home(), fs::Permissions::from_mode(0o755)).unwrap();
    laptop.run(&["init", "--no-recovery"]).ok();
    assert_private(&laptop.home());
}

#[test]
fn nothing_is_written_outside_the_data_folder() {
    let world = World::new();
    let (laptop, phone, _relay) = world.pair();
    let words = ["Leokadina", "Schneeberger", "Skiwachserei", "Gletscherpost", "snowshoeing"];
    let file = laptop.file("one.vcf", &cards(&words));
    laptop.run(&["import", &file]).ok();
    laptop.run_with(&["note", "leokadina", "-"], "from standard input").ok();
    laptop.edit("leokadina", |text| text.replace("nicknames = []", "nicknames = [\"Leo\"]"));
    for words in [&["find", "leo"][..], &["ls"], &["show", "leo"], &["export", "--to", "vcf"], &["status"], &[]] {
        laptop.run(words).ok();
    }
    laptop.sync();
    phone.sync();
    phone.run(&["rm", "leo", "--yes"]).ok();
    let watching = laptop.start(&["sync", "--watch"], "");
    watching.line("up to date");
    watching.kill();
    assert_eq!(laptop.strays(), [].into());
    assert_eq!(phone.strays(), [].into());
    let beside = fs::read_dir(world.folder()).unwrap().count();
    assert_eq!(beside, 3, "two devices and a relay");
}

#[test]
fn no_log_holds_what_a_user_wrote() {
    let world = World::new();
    let (laptop, phone, _relay) = world.pair();
    let words = ["Severindo", "Mandelbluether", "Backstubenring", "Ofenwaerme", "sourdoughs"];
    let file = laptop.file("one.vcf", &cards(&words));
    let mut needles = Needles::default();
    words.iter().for_each(|word| needles.word(word));
    let mut lines = 0;
    let mut log = |device: &Device, words: &[&str]| {
        let mut command = device.command(words);
        command.env("TIES_LOG", "trace");
        let ran = Running::start(command, "").finish().ok();
        assert_eq!(needles.within(ran.err.as_bytes()), [].into(), "{words:?}");
        lines += ran.err.lines().count();
    };
    log(&laptop, &["import", &file]);
    log(&laptop, &["note", "severindo", "likes", "sourdoughs"]);
    log(&laptop, &["sync"]);
    log(&phone, &["sync"]);
    log(&phone, &["find", "sourdoughs"]);
    log(&phone, &["show", "severindo"]);
    log(&phone, &["export", "--to", "json"]);
    log(&phone, &["rm", "severindo", "--yes"]);
    assert!(lines > 0, "something is logged");
}
