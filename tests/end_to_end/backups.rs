//! Everything in one file, and back: with real processes, a relay, another device, and kill -9 in between.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::support::{Device, World, cards, pair};

/// Given name, family name, employer, mail host and a word of the note, of each person.
#[rustfmt::skip]
const PEOPLE: [&str; 10] = [
    "Feodorika", "Anglerfish", "Netzwerkstatt", "Hafenpost", "lanternmaking",
    "Gundolfus", "Petersilke", "Kartoffelhof", "Ackermail", "threshing",
];

/// A device with words and people; gives the words.
fn begin(world: &World) -> (Device, String) {
    let laptop = world.device("laptop");
    let created = laptop.json(&["init", "--name", "laptop"]);
    let file = laptop.file("contacts.vcf", &cards(&PEOPLE));
    laptop.run(&["import", &file]).ok();
    (laptop, created["recoveryWords"].as_str().expect("words").to_owned())
}

fn path(world: &World, name: &str) -> String {
    world.path(name).into_os_string().into_string().expect("a path in UTF-8")
}

#[test]
fn a_restored_device_goes_on_and_loses_nothing_that_it_wrote_after_the_backup() {
    let world = World::new();
    let relay = world.open_relay();
    let (laptop, words) = begin(&world);
    laptop.run(&["relay", "add", relay.url()]).ok();
    laptop.sync();
    let phone = world.device("phone");
    pair(&laptop, &phone, "phone");
    laptop.run(&["new", "Before Backup"]).ok();

    let file = path(&world, "all.backup");
    let written = laptop.json(&["backup", &file]);
    assert_eq!((&written["backup"]["people"], &written["backup"]["lock"]), (&3.into(), &"words".into()));
    assert_eq!(fs::metadata(&file).expect("a backup").permissions().mode() & 0o777, 0o600);
    laptop.run(&["backup", &file]).code(7).complains("exists");
    laptop.run(&["backup", &file, "--force"]).ok();

    // It goes on, and others hear of it.
    laptop.run(&["new", "After Backup", "after@mail.example"]).ok();
    laptop.edit("before", |text| text.replace("Before Backup", "Before Everything"));
    [&laptop, &phone].into_iter().for_each(Device::sync);
    phone.run(&["new", "From Phone"]).ok();
    phone.sync();
    fs::remove_dir_all(laptop.home()).expect("a removed folder");

    let wrong = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    laptop.run_with(&["restore", &file, "-"], wrong).code(5).complains("does not open");
    laptop.run(&["restore", &file, "legal"]).code(2).complains("do not belong on the command line");
    laptop.run(&["restore", &file]).code(2).complains("nobody is there");
    laptop.run_with(&["restore", &path(&world, "none"), "-"], &words).code(3);
    assert!(!laptop.home().exists(), "nothing was written");
    let back = laptop.run_with(&["restore", &file, "-"], &words).ok();
    assert!(back.out.contains("3 people") && back.out.contains("new log"), "{back}");
    laptop.run_with(&["restore", &file, "-"], &words).code(7).complains("not empty");

    // Written before it hears of what it wrote itself, so that two logs of one device go side by side.
    laptop.run(&["new", "After Restore"]).ok();
    for device in [&laptop, &phone, &laptop] {
        device.sync();
    }
    let names = laptop.names();
    for name in ["After Backup", "Before Everything", "From Phone", "After Restore"] {
        assert!(names.iter().any(|one| one == name), "{name} is missing: {names:?}");
    }
    assert_eq!(laptop.export(), phone.export());
    for device in [&laptop, &phone] {
        let status = device.json(&["status"]);
        assert_eq!((&status["stuck"], &status["waiting"]), (&false.into(), &serde_json::json!([])), "{status}");
        assert!(!status.to_string().contains("duplicate seq"));
    }
    // And the other device restores nothing over what it has.
    phone.run_with(&["restore", &file, "-"], &words).code(7);
}

#[test]
fn without_words_a_passphrase_opens_it_and_what_is_no_backup_is_named_so() {
    let world = World::new();
    let laptop = world.started("laptop");
    laptop.run(&["new", "Ada Lovelace"]).ok();
    let file = path(&world, "all.backup");
    laptop.run(&["backup", &file]).code(2).complains("no recovery words");
    laptop.run(&["backup", &file, "secret"]).code(2).complains("not taken from the command line");
    laptop.run_with(&["backup", &file, "--passphrase", "-"], "correct horse battery\n").ok();
    let all = laptop.export();
    let other = world.device("other");
    other.run_with(&["restore", &file, "-"], "another\n").code(5);
    other.run(&["restore", &file]).code(5).complains("no terminal");
    let whole = fs::read(&file).expect("a backup");
    for (bytes, about) in [
        (&whole[..whole.len() / 2], "its end is missing"),
        (&b"BEGIN:VCARD"[..], "no backup of ties"),
        (&[&whole[..], b"more"].concat(), "something follows"),
        (&[&whole[..12], &[9], &whole[13..]].concat(), "newer version"),
        (&[&whole[..60], &[!whole[60]], &whole[61..]].concat(), "its beginning was altered"),
        (&[&whole[..whole.len() - 40], &[!whole[whole.len() - 40]], &whole[whole.len() - 39..]].concat(), "altered"),
    ] {
        fs::write(world.path("bad"), bytes).expect("a written file");
        other.run_with(&["restore", &path(&world, "bad"), "-"], "correct horse battery\n").code(1).complains(about);
        assert!(!other.home().exists(), "{about}: nothing is kept");
    }
    other.run_with(&["restore", &file, "-"], "correct horse battery\n").ok();
    assert_eq!(other.export(), all);
}

#[test]
fn killed_at_any_moment_a_backup_is_whole_or_not_there_and_so_is_what_is_restored() {
    let world = World::new();
    let (laptop, words) = begin(&world);
    let many: String =
        (0..400).map(|n| format!("BEGIN:VCARD\nVERSION:4.0\nFN:Person {n}\nUID:{n}\nEND:VCARD\n")).collect();
    let cards = laptop.file("many.vcf", &many);
    laptop.run(&["import", &cards]).ok();
    let all = laptop.export();
    let file = path(&world, "all.backup");
    let (mut whole, mut killed) = (0, 0);
    for turn in 0..24u64 {
        let _ = fs::remove_file(&file);
        let running = laptop.start(&["backup", &file], "");
        std::thread::sleep(Duration::from_millis(turn * 4));
        running.kill();
        match fs::metadata(&file) {
            Ok(_) => whole += 1,
            Err(_) => killed += 1,
        }
        if world.path("all.backup").exists() {
            let other = world.device("checks");
            other.run_with(&["restore", &file, "-"], &words).ok();
            assert_eq!(other.export(), all);
            fs::remove_dir_all(other.home()).expect("a removed folder");
        }
    }
    println!("backups: {whole} whole, {killed} not there");
    laptop.run(&["backup", &file, "--force"]).ok();
    assert!(!world.path("all.backup.part").exists());

    let (mut whole, mut killed) = (0, 0);
    let other = world.device("other");
    for turn in 0..24u64 {
        let running = other.start(&["restore", &file, "-"], &words);
        std::thread::sleep(Duration::from_millis(turn * 8));
        running.kill();
        if other.home().join("database").exists() {
            whole += 1;
            assert_eq!(other.export(), all);
            fs::remove_dir_all(other.home()).expect("a removed folder");
        } else {
            killed += 1;
            other.run(&["ls"]).code(3);
        }
    }
    println!("restored: {whole} whole, {killed} nothing");
    if !other.home().join("database").exists() {
        other.run_with(&["restore", &file, "-"], &words).ok();
    }
    assert_eq!(other.export(), all);
    assert_eq!(laptop.export(), all);
}
