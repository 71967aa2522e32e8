//! Devices that never meet: everything goes through one folder that somebody carries, with what else comes to lie in such a
//! folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Device, Needles, Secrets, World, cards, files};

/// Given name, family name, employer, mail host and a word of the note, of each person.
#[rustfmt::skip]
const PEOPLE: [&str; 10] = [
    "Quillonda", "Brackenfeather", "Thistlewerk", "Moorhenpost", "beekeepers",
    "Ottoklara", "Wintersperger", "Kupferstich", "Lerchenmail", "glassblowing",
];

/// A folder that anything may carry, and devices that visit it.
struct Stick(PathBuf);

impl Stick {
    fn new(world: &World) -> Self {
        let path = world.path("stick");
        fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }

    /// The parcels in it.
    fn parcels(&self) -> Vec<PathBuf> {
        let all = files(&self.0).into_iter().map(|(path, _)| path);
        let mut parcels: Vec<_> = all.filter(|path| path.extension().is_some_and(|ending| ending == "ties")).collect();
        parcels.sort();
        parcels
    }

    #[track_caller]
    fn visit(&self, device: &Device) -> String {
        let ran = device.run(&["sync", "--folder", self.path()]).ok();
        assert!(ran.out.contains("up to date"), "{ran}");
        format!("{}{}", ran.out, ran.err)
    }

    /// Each in turn, until there is nothing new for anybody.
    #[track_caller]
    fn settle(&self, devices: &[&Device]) {
        for _ in 0..5 {
            let said: Vec<String> = devices.iter().map(|device| self.visit(device)).collect();
            if said.iter().all(|said| said.contains("nothing new")) {
                return;
            }
        }
        panic!("they come to no end");
    }

    /// Lets a device in, each side at its own time.
    #[track_caller]
    fn pair(&self, host: &Device, guest: &Device, name: &str) {
        let ticket = host.run(&["device", "add", "--ticket", "--folder", self.path(), "--no-wait"]).ok().out;
        let join = ["device", "join", "-", "--folder", self.path(), "--no-wait", "--name", name];
        let asked = guest.run_with(&join, &ticket).ok();
        let words = |text: &str| text.lines().find_map(|line| line.split("fingerprint: ").nth(1)).map(str::to_owned);
        let fingerprint = words(&asked.err).expect("a fingerprint");
        // Where nobody can be asked it goes on waiting.
        host.run(&["sync", "--folder", self.path()]).ok().complains("waits in");
        let before = guest.run_with(&join, &ticket).ok();
        assert_eq!(words(&before.err).as_ref(), Some(&fingerprint), "the same device asks again");
        let admitted = host.run(&["sync", "--folder", self.path(), "--yes"]).ok();
        assert!(admitted.err.contains(&fingerprint), "{admitted}");
        let joined = guest.run_with(&join, &ticket).ok();
        assert!(joined.out.contains("has joined the network"), "{joined}");
    }
}

fn plant(near: &Path, name: &str, bytes: &[u8]) {
    fs::write(near.with_file_name(name), bytes).expect("a written file");
}

#[test]
fn three_devices_that_never_meet_exchange_everything_through_one_folder_and_shut_one_out() {
    let (world, mut needles) = (World::new(), Needles::default());
    let stick = Stick::new(&world);
    let laptop = world.started("laptop");
    let [phone, tablet] = ["phone", "tablet"].map(|name| world.device(name));
    PEOPLE.iter().for_each(|word| needles.word(word));
    laptop.run(&["import", &laptop.file("contacts.vcf", &cards(&PEOPLE))]).ok();
    stick.pair(&laptop, &phone, "phone");
    phone.run(&["new", "Grace Hopper", "grace@navy.example"]).ok();
    stick.visit(&phone);

    // What a folder comes to hold: a file of somebody else's, a conflict copy, half a file, one cut while it was copied.
    let parcel = stick.parcels().pop().expect("a parcel");
    let whole = fs::read(&parcel).expect("its bytes");
    plant(&parcel, "holiday.jpg", b"\xff\xd8\xff not a parcel");
    plant(&parcel, "renamed (laptop's conflicted copy 2026-11-23).ties", &whole);
    plant(&parcel, "half.ties", &whole[..whole.len() / 3]);
    fs::write(&parcel, &whole[..whole.len() - 7]).expect("a cut file");
    let said = stick.visit(&laptop);
    assert!(said.contains("half.ties is not there as a whole yet"), "{said}");

    stick.pair(&laptop, &tablet, "tablet");
    tablet.edit("grace", |text| text.replace("Grace Hopper", "Grace Brewster Hopper"));
    stick.settle(&[&laptop, &phone, &tablet]);
    for device in [&laptop, &phone, &tablet] {
        assert_eq!(device.names().len(), 3);
        assert_eq!(device.export(), laptop.export(), "they hold the same");
        device.run(&["status"]).ok();
    }
    assert!(parcel.with_file_name("holiday.jpg").exists(), "what is another's is left alone");

    // One is lost. It goes on writing, and reads nothing more.
    laptop.run(&["device", "revoke", "phone", "--yes"]).ok();
    laptop.run(&["new", "Written Afterwards"]).ok();
    phone.run(&["new", "By the finder"]).ok();
    stick.settle(&[&phone, &laptop, &tablet]);
    tablet.run(&["new", "Answered Afterwards"]).ok();
    stick.settle(&[&tablet, &laptop, &phone]);
    let expected = ["Answered Afterwards", "Grace Brewster Hopper", "Written Afterwards"];
    for device in [&laptop, &tablet] {
        let names = device.names();
        assert!(expected.iter().all(|name| names.iter().any(|one| one == name)) && names.len() == 5, "{names:?}");
        let status = device.run(&["status"]).code(1);
        assert!(status.out.contains("1 change of a device that was shut out"), "{status}");
        assert!(!status.out.contains("Not heard of it yet"), "{status}");
    }
    assert!(!phone.names().iter().any(|name| name.ends_with("Afterwards")), "{:?}", phone.names());
    phone.run(&["status"]).code(1);

    for device in [&laptop, &phone, &tablet] {
        let secrets = Secrets::of(&device.home());
        needles.bytes("a device's id", &secrets.device.id().0);
        needles.bytes("a space's id", &secrets.space.0);
        needles.bytes("a log's secret key", &secrets.log);
        secrets.epochs.iter().for_each(|(_, key)| needles.bytes("an epoch's key", key));
    }
    for (path, bytes) in files(&stick.0) {
        let found = needles.within(&bytes);
        assert!(found.is_empty(), "{} holds {found:?}", path.display());
    }
}

#[test]
fn a_standing_folder_is_visited_by_every_sync_and_missed_aloud() {
    let world = World::new();
    let stick = Stick::new(&world);
    let laptop = world.started("laptop");
    laptop.run(&["sync"]).code(1).complains("--folder");
    let address = format!("folder:{}", stick.path());
    laptop.run(&["relay", "add", "folder:/nowhere/at/all"]).code(1).complains("there is no folder");
    laptop.run(&["relay", "add", &address, "--token-file", "-"]).code(2);
    laptop.run(&["relay", "add", &address]).ok();
    laptop.run(&["new", "Ada Lovelace"]).ok();
    assert!(laptop.run(&["relay", "list"]).ok().out.contains("to send"), "it lacks something");
    laptop.sync();
    let relays = laptop.json(&["relay", "list"]);
    assert_eq!(relays["relays"][0]["url"], address.as_str());
    assert_eq!(relays["relays"][0]["to_send"], 0);

    // The stick is not there; then something else is where it was.
    let away = world.path("pocket");
    fs::rename(&stick.0, &away).expect("a moved folder");
    laptop.run(&["new", "Grace Hopper"]).ok();
    laptop.run(&["sync"]).code(1).complains("sync again when the stick or drive is there");
    let status = laptop.run(&["status"]).code(1);
    assert!(status.out.contains("1 change to send") && status.out.contains("failed since"), "{status}");
    fs::create_dir(&stick.0).expect("a folder");
    laptop.run(&["sync"]).code(1).complains("--folder");
    assert!(files(&stick.0).is_empty(), "nothing is left where the stick is not");
    fs::remove_dir(&stick.0).expect("a removed folder");
    fs::rename(&away, &stick.0).expect("a moved folder");
    laptop.sync();
    laptop.run(&["status"]).ok();

    let kept = stick.parcels().len();
    laptop.run(&["relay", "remove", &address]).ok();
    laptop.run(&["relay", "remove", &address]).code(3);
    laptop.run(&["relay", "remove", "ties://relay"]).code(2);
    assert_eq!((stick.parcels().len(), kept), (kept, 2));
}

#[test]
fn a_folder_passes_on_what_a_relay_gave_and_a_device_of_the_folder_meets_the_relay() {
    let world = World::new();
    let stick = Stick::new(&world);
    let (laptop, phone, relay) = world.pair();
    let tablet = world.device("tablet");
    phone.run(&["new", "Ada Lovelace"]).ok();
    phone.sync();
    laptop.run(&["relay", "add", &format!("folder:{}", stick.path())]).ok();
    laptop.sync();
    stick.pair(&laptop, &tablet, "tablet");
    assert_eq!(tablet.names(), ["Ada Lovelace"]);
    tablet.run(&["new", "Grace Hopper"]).ok();
    // The relay does not know it before the laptop has put it on the list there.
    stick.visit(&tablet);
    laptop.sync();
    tablet.sync();
    phone.sync();
    assert_eq!(phone.names(), ["Ada Lovelace", "Grace Hopper"]);
    let roads = tablet.json(&["relay", "list"]);
    assert_eq!(roads["relays"].as_array().map(Vec::len), Some(1), "it learnt of {}", relay.url());
}

#[test]
fn twelve_words_and_a_folder_that_carried_changes_bring_everything_back() {
    let world = World::new();
    let stick = Stick::new(&world);
    let laptop = world.device("laptop");
    let created = laptop.json(&["init", "--name", "laptop"]);
    let words = created["recoveryWords"].as_str().expect("words");
    laptop.run(&["import", &laptop.file("contacts.vcf", &cards(&PEOPLE))]).ok();
    let phone = world.device("phone");
    stick.pair(&laptop, &phone, "phone");
    phone.run(&["new", "Grace Hopper"]).ok();
    stick.settle(&[&phone, &laptop]);
    let all = laptop.export();
    // Another network's files lie in the same folder.
    let other = world.started("other");
    other.run(&["new", "Nobody"]).ok();
    stick.visit(&other);

    let wrong = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    let new = world.device("new");
    new.run_with(&["recover", "--from", stick.path(), "-"], wrong).code(5).complains("open nothing");
    let back = new.run_with(&["recover", "--from", stick.path(), "--name", "new", "-"], words).ok();
    assert!(back.out.contains("3 people") && back.out.contains("laptop, phone"), "{back}");
    assert_eq!(new.export(), all, "byte for byte");
    // The others hear of it by the folder.
    new.run(&["new", "Written Since"]).ok();
    stick.settle(&[&new, &laptop, &phone]);
    assert_eq!(phone.export(), new.export());
    assert!(phone.names().contains(&"Written Since".to_owned()));
}

#[test]
fn a_ticket_of_a_folder_admits_one_device_and_a_declined_one_stays_out() {
    let world = World::new();
    let stick = Stick::new(&world);
    let laptop = world.started("laptop");
    let ticket = laptop.run(&["device", "add", "--ticket", "--folder", stick.path(), "--no-wait"]).ok().out;
    let [phone, thief] = ["phone", "thief"].map(|name| world.device(name));
    let join = ["device", "join", "-", "--folder", stick.path(), "--no-wait"];
    phone.run_with(&["device", "join", "-"], &ticket).code(1).complains("folder");
    thief.run_with(&join, &ticket).ok();
    phone.run_with(&join, &ticket).ok();
    laptop.run(&["sync", "--folder", stick.path(), "--yes"]).code(1).complains("used by another device");
    // The ticket is void: neither comes in.
    laptop.run(&["sync", "--folder", stick.path(), "--yes"]).ok();
    for device in [&phone, &thief] {
        device.run_with(&join, &ticket).ok();
        assert!(!device.home().join("database").exists(), "nobody was let in");
    }
    phone
        .run_with(&["device", "join", "-", "--folder", stick.path(), "--for", "1s"], &ticket)
        .code(1)
        .complains("in time");
    stick.pair(&laptop, &phone, "phone");
    assert!(!phone.home().join("joining").exists(), "its passing file is gone");
    laptop.run(&["device", "add", "--folder", stick.path()]).code(2);
}

#[test]
fn a_watcher_leaves_in_a_standing_folder_what_other_commands_write() {
    let world = World::new();
    let stick = Stick::new(&world);
    let laptop = world.started("laptop");
    laptop.run(&["relay", "add", &format!("folder:{}", stick.path())]).ok();
    let watching = laptop.start(&["sync", "--watch"], "");
    watching.line("up to date");
    assert_eq!(stick.parcels().len(), 1);
    laptop.run(&["new", "Ada Lovelace"]).ok();
    watching.line("sent 1");
    assert_eq!(stick.parcels().len(), 2);
    watching.kill();
}
