//! All devices are gone, or in a thief's hands; twelve words on paper are not.

use std::fs;

use crate::support::{Device, Needles, Tap, World, cards, files, pair};

/// Given name, family name, employer, mail host and a word of the note, of each person.
#[rustfmt::skip]
const PEOPLE: [&str; 10] = [
    "Quillonda", "Brackenfeather", "Thistlewerk", "Moorhenpost", "beekeepers",
    "Ottoklara", "Wintersperger", "Kupferstich", "Lerchenmail", "glassblowing",
];

/// A device with words and people, at a relay; gives the words.
fn begin(world: &World, url: &str) -> (Device, String) {
    let laptop = world.device("laptop");
    let created = laptop.json(&["init", "--name", "laptop"]);
    let file = laptop.file("contacts.vcf", &cards(&PEOPLE));
    laptop.run(&["import", &file]).ok();
    laptop.run(&["relay", "add", url]).ok();
    laptop.sync();
    (laptop, created["recoveryWords"].as_str().expect("words").to_owned())
}

#[test]
fn twelve_words_and_a_relay_bring_everything_back_after_all_devices_are_gone() {
    let world = World::new();
    let relay = world.open_relay();
    let tap = Tap::before(relay.socket());
    let url = tap.url(relay.url());
    let (laptop, words) = begin(&world, &url);
    let phone = world.device("phone");
    pair(&laptop, &phone, "phone");
    phone.run(&["new", "Grace Hopper", "grace@navy.example"]).ok();
    phone.run(&["note", "grace", "Knows about compilers."]).ok();
    [&phone, &laptop, &phone].into_iter().for_each(Device::sync);
    let all = laptop.export();
    assert_eq!(all, phone.export());
    for device in [&laptop, &phone] {
        fs::remove_dir_all(device.home()).expect("a removed folder");
    }

    let new = world.device("new");
    let refused = new.run(&[&["recover", "--relay", &url][..], &words.split(' ').collect::<Vec<_>>()].concat());
    refused.code(2).complains("do not belong on the command line");
    let wrong = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    new.run_with(&["recover", "--relay", &url, "-"], wrong).code(5).complains("open nothing");
    let typo = words.replacen(' ', " tiess ", 1);
    new.run_with(&["recover", "--relay", &url, "-"], &typo).code(2).complains("word 2 is not on the list");
    let swapped: Vec<&str> = words.split(' ').rev().collect();
    let swapped = new.run_with(&["recover", "--relay", &url, "-"], &swapped.join(" "));
    assert!([Some(2), Some(5)].contains(&swapped.code), "{swapped}");
    new.run(&["recover", "-"]).code(2).complains("needs a copy");
    assert!(!new.home().exists() || fs::read_dir(new.home()).expect("a folder").next().is_none());

    let back = new.run_with(&["recover", "--relay", &url, "--name", "new", "-"], &words.to_uppercase()).ok();
    assert!(back.out.contains("3 people") && back.out.contains("laptop, phone"), "{back}");
    assert_eq!(new.export(), all, "byte for byte");
    new.run_with(&["recover", "--relay", &url, "-"], &words).code(7).complains("not empty");
    let status = new.json(&["status"]);
    assert_eq!(status["stuck"], false, "{status}");
    let names: Vec<_> = new.json(&["device", "list"])["devices"].as_array().expect("devices").clone();
    assert_eq!(names.len(), 3, "{names:?}");

    // Once more from there: the relay knows the new device, and it works as any other.
    new.run(&["new", "Alan Turing"]).ok();
    new.sync();
    let third = world.device("third");
    third.run_with(&["recover", "--relay", &url, "--lost", "--name", "third", "-"], &words).ok();
    assert_eq!(third.export(), new.export());
    let names: Vec<_> = third.json(&["device", "list"])["devices"].as_array().expect("devices").clone();
    assert_eq!(names.len(), 1, "the others are shut out: {names:?}");
    let closed = new.run(&["sync"]);
    assert_ne!(closed.code, Some(0), "the relay lets nobody in who was shut out: {closed}");

    let mut needles = Needles::default();
    // A single word may turn up by chance; two in their order do not.
    for pair in
        words.split(' ').collect::<Vec<_>>().windows(2).map(|pair| pair.join(" ")).filter(|pair| pair.len() >= 8)
    {
        needles.word(&pair);
    }
    for (name, bytes) in files(relay.data()) {
        assert!(needles.within(&bytes).is_empty(), "{}", name.display());
    }
    for said in tap.raw().iter().chain(&tap.understood()) {
        assert!(needles.within(said).is_empty(), "what was said to the relay");
    }
}

#[test]
fn the_folder_of_another_device_is_as_good_as_a_relay() {
    let world = World::new();
    let relay = world.open_relay();
    let (laptop, words) = begin(&world, relay.url());
    let folder = laptop.home();
    let new = world.device("new");
    let from = folder.to_str().expect("a path");
    let back = new.run_with(&["recover", "--from", from, "--name", "new", "-"], &words).ok();
    assert!(back.out.contains("2 people") && back.out.contains("up to date"), "{back}");
    assert_eq!(new.export(), laptop.export());
    laptop.run(&["new", "Alan Turing"]).ok();
    [&laptop, &new].into_iter().for_each(Device::sync);
    assert_eq!(new.export(), laptop.export());
    let nowhere = world.device("nowhere");
    nowhere.run_with(&["recover", "--from", "/nonexistent", "-"], &words).code(3);
    fs::remove_file(folder.join("key")).expect("a removed key");
    nowhere.run_with(&["recover", "--from", from, "-"], &words).code(5);
}

#[test]
fn a_thief_who_shuts_the_others_out_is_overruled_by_the_words() {
    let world = World::new();
    let relay = world.open_relay();
    let (laptop, words) = begin(&world, relay.url());
    let phone = world.device("phone");
    pair(&laptop, &phone, "phone");
    laptop.sync();
    // The laptop is stolen. Whoever has it shuts the phone out.
    laptop.run(&["device", "revoke", "phone", "--yes"]).ok();
    laptop.run(&["sync"]);
    phone.run(&["sync"]);

    phone.run(&["reset"]).code(2).complains("nobody is there");
    let wrong = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    phone.run_with(&["reset", "--yes", "-"], wrong).code(5);
    phone.run_with(&["reset", "--keep", "tablet", "--yes", "-"], &words).code(3);
    phone.run_with(&["reset", "--yes", "-"], &words).ok();
    phone.run(&["new", "Alan Turing"]).ok();
    phone.sync();
    assert_ne!(laptop.run(&["sync"]).code, Some(0), "the relay does not know the laptop any more");
    assert!(!laptop.names().contains(&"Alan Turing".to_owned()));
    let devices = phone.json(&["device", "list"]);
    let devices = devices["devices"].as_array().expect("devices");
    assert!(devices.len() == 1 && devices[0]["role"] == "admin", "{devices:?}");
    let tablet = world.device("tablet");
    pair(&phone, &tablet, "tablet");
    assert_eq!(tablet.export(), phone.export());
}

#[test]
fn new_words_open_what_the_old_ones_did() {
    let world = World::new();
    let relay = world.open_relay();
    let (laptop, old) = begin(&world, relay.url());
    let keys = laptop.json(&["key"]);
    assert_eq!(keys["keys"]["recovery"].as_array().map(Vec::len), Some(1), "{keys}");
    let replaced = laptop.run_with(&["key", "rotate-recovery", "--json", "-"], &old).ok().json();
    let new = replaced["recoveryWords"].as_str().expect("words").to_owned();
    laptop.run(&["new", "Alan Turing"]).ok();
    laptop.sync();
    assert_ne!(laptop.json(&["key"])["keys"]["recovery"], keys["keys"]["recovery"]);
    let device = world.device("device");
    device.run_with(&["recover", "--relay", relay.url(), "-"], &old).code(5);
    device.run_with(&["recover", "--from", laptop.home().to_str().expect("a path"), "-"], &old).code(5);
    device.run_with(&["recover", "--relay", relay.url(), "-"], &new).ok();
    assert_eq!(device.export(), laptop.export());
    laptop.run_with(&["key", "rotate-recovery", "-"], &old).code(5);
}
