//! Data folders that are copied, restored and set back: whatever was written on any copy is there in the end, and each
//! copy tells its owner in one line.

use std::cell::RefCell;
use std::path::Path;
use std::process::Command;

use crate::support::{Device, Ran, Relay, Running, Signal, Tap, World, pair};

/// A device's folder is copied, both copies are written on, each meets another peer first, then all meet.
#[test]
fn copies_of_a_folder_that_meet_different_peers_first_end_with_all_edits_and_one_line_of_notice() {
    let drill = Drill::new();
    let copied = drill.copy_laptop("copy");
    let laptop = Told::of(&drill.laptop);
    let (copied, phone) = (Told::of(&copied), Told::of(&drill.phone));
    edit(&laptop, "Ada", "written on the laptop");
    edit(&copied, "Ada", "written on the copy");
    copied.run(&["new", "Charles Babbage"]);
    drill.only(0, || laptop.sync_in_part());
    drill.only(1, || copied.sync_in_part());
    drill.only(1, || phone.sync_in_part());
    edit(&phone, "Ada", "written on the phone");
    drill.all_meet(&[&laptop, &copied, &phone]);

    assert_all(&[&laptop, &copied, &phone], &["written on the laptop", "written on the copy", "written on the phone"]);
    assert_eq!(laptop.device.names(), ["Ada Lovelace", "Charles Babbage"]);
    assert_eq!([&laptop, &copied, &phone].map(|told| told.notices().len()), [1, 1, 0], "one line each");
    assert!(copied.notices()[0].contains("copied, restored or moved"), "{:?}", copied.notices());
}

/// The copies cannot know of each other, as when a machine's whole disk is set back: their install mark is the same.
#[test]
fn a_folder_whose_bytes_are_set_back_forks_its_log_and_ends_with_all_edits_and_one_line_of_notice() {
    let drill = Drill::new();
    let backup = std::fs::read(drill.laptop.home().join("database")).unwrap();
    let (laptop, phone) = (Told::of(&drill.laptop), Told::of(&drill.phone));
    edit(&laptop, "Ada", "written before");
    drill.only(0, || laptop.sync_in_part());
    // The same file with other bytes: it keeps its place and its mark.
    std::fs::write(drill.laptop.home().join("database"), backup).unwrap();
    edit(&laptop, "Ada", "written since");
    assert_eq!(laptop.notices(), [""; 0], "nobody can know yet");
    drill.only(1, || laptop.sync_in_part());
    drill.only(1, || phone.sync_in_part());
    drill.all_meet(&[&laptop, &phone]);
    edit(&laptop, "Ada", "written last");
    drill.all_meet(&[&laptop, &phone]);
    assert_all(&[&laptop, &phone], &["written before", "written since", "written last"]);
    assert_eq!(laptop.notices().len(), 1, "{:?}", laptop.notices());
    assert!(laptop.notices()[0].contains("set back"), "{:?}", laptop.notices());
    let about_laptop = phone.notices();
    assert!(about_laptop.len() <= 1 && about_laptop.iter().all(|text| text.contains("laptop")), "{about_laptop:?}");
}

/// The folder is copied in the middle of a write, as a snapshot of a disk would have it, and both copies stay in use.
#[test]
fn copies_made_while_a_program_writes_go_on_side_by_side() {
    let drill = Drill::new();
    let watching = drill.laptop.start(&["sync", "--watch"], "");
    watching.line("up to date");
    let people: String =
        (0..400).map(|n| format!("BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Guest {n:03}\r\nEND:VCARD\r\n")).collect();
    let file = drill.laptop.file("guests.vcf", &people);
    let importing = drill.laptop.start(&["import", &file], "");
    std::thread::sleep(std::time::Duration::from_millis(60));
    let stopped: [&Running; 2] = [&watching, &importing];
    stopped.iter().for_each(|program| program.signal(Signal::STOP));
    let copied = drill.copy_laptop("copy");
    stopped.iter().for_each(|program| program.signal(Signal::CONT));
    importing.finish().ok();
    let also = copied.start(&["sync", "--watch"], "");
    also.line("up to date");
    let (laptop, copy, phone) = (Told::of(&drill.laptop), Told::of(&copied), Told::of(&drill.phone));
    let mut written = Vec::new();
    for turn in 0..6 {
        for told in [&laptop, &copy] {
            let text = format!("turn {turn} on the {}", told.name());
            edit(told, "Ada", &text);
            written.push(text);
        }
    }
    for program in [watching, also] {
        program.signal(Signal::INT);
        let ran = program.finish().ok();
        assert!(!ran.to_string().contains("duplicate seq"), "{ran}");
    }
    drill.all_meet(&[&laptop, &copy, &phone]);
    let written: Vec<&str> = written.iter().map(String::as_str).collect();
    assert_all(&[&laptop, &copy, &phone], &written);
    assert_eq!(laptop.device.names().len(), 401);
}

/// In JSON a notice is part of the answer of `sync` and `status`, and no other command takes it away.
#[test]
fn a_notice_is_part_of_a_json_answer_once() {
    let drill = Drill::new();
    let copied = drill.copy_laptop("copy");
    let written = copied.run(&["new", "Charles Babbage", "--json"]).ok();
    assert!(!written.to_string().contains("copied"), "{written}");
    let status = copied.json(&["status"]);
    assert!(status["notices"][0].as_str().unwrap().contains("copied"), "{status}");
    assert_eq!(status["logs"][0]["opened"].as_array().unwrap().len(), 2, "{status}");
    assert_eq!(copied.json(&["status"])["notices"], serde_json::json!([]));
    copied.sync();
    let synced = drill.laptop.json(&["sync"]);
    assert!(synced["notices"][0].as_str().unwrap().contains("copied"), "{synced}");
    assert_eq!(drill.laptop.json(&["sync"])["notices"], serde_json::json!([]));
    assert_eq!(drill.laptop.json(&["status"])["logs"][0]["copied"], true);
}

#[test]
fn a_folder_that_is_only_moved_is_no_news() {
    let drill = Drill::new();
    let moved = drill.world.device("moved");
    std::fs::rename(drill.laptop.home(), moved.home()).unwrap();
    let written = moved.run(&["new", "Charles Babbage"]).ok();
    assert!(!written.err.contains("Note:"), "{written}");
    assert_eq!(moved.json(&["status"])["logs"], serde_json::json!([]));
}

/// Two devices and two relays that both know.
struct Drill {
    world: World,
    laptop: Device,
    phone: Device,
    relays: RefCell<[Relay; 2]>,
    taps: [Tap; 2],
}

impl Drill {
    fn new() -> Self {
        let world = World::new();
        let (laptop, phone) = (world.started("laptop"), world.device("phone"));
        let relays = [world.open_relay(), world.second_relay()];
        // A relay that is started again listens somewhere else.
        let taps = relays.each_ref().map(|relay| Tap::before(relay.socket()));
        laptop.run(&["relay", "add", &taps[0].url(relays[0].url())]).ok();
        laptop.run(&["new", "Ada Lovelace"]).ok();
        pair(&laptop, &phone, "phone");
        laptop.run(&["relay", "add", &taps[1].url(relays[1].url())]).ok();
        let drill = Self { world, laptop, phone, relays: RefCell::new(relays), taps };
        // The new relay takes the phone's word once the phone has introduced itself and the laptop has vouched for it there.
        for _ in 0..6 {
            [&drill.laptop, &drill.phone].iter().for_each(|device| drop(device.run(&["sync"])));
        }
        [&drill.laptop, &drill.phone].iter().for_each(|device| device.sync());
        drill
    }

    /// As `cp -a` does it.
    fn copy_laptop(&self, name: &str) -> Device {
        let copied = self.world.device(name);
        let done =
            Command::new("cp").arg("-a").args([self.laptop.home(), copied.home()]).status().expect("a started cp");
        assert!(done.success() && Path::new(&copied.home()).join("database").is_file());
        copied
    }

    /// Lets something happen while only one of the relays is there.
    fn only(&self, number: usize, happen: impl FnOnce()) {
        let other = 1 - number;
        self.relays.borrow_mut()[other].stop();
        happen();
        let relay = &mut self.relays.borrow_mut()[other];
        relay.start();
        self.taps[other].lead_to(relay.socket());
    }

    fn all_meet(&self, all: &[&Told<'_>]) {
        // A relay takes a log once its own device has opened it there; until then whoever brings it is told to wait.
        for _ in 0..2 {
            all.iter().for_each(|told| told.heard(&told.device.run(&["sync"])));
        }
        all.iter().for_each(|told| drop(told.run(&["sync"])));
        for told in all {
            let status = told.run(&["status"]);
            assert!(!status.out.contains("waiting") && !status.out.contains("failed"), "{status}");
        }
    }
}

/// A device, and everything that it said.
struct Told<'d> {
    device: &'d Device,
    said: RefCell<String>,
}

impl<'d> Told<'d> {
    fn of(device: &'d Device) -> Self {
        Self { device, said: RefCell::default() }
    }

    fn name(&self) -> String {
        let home = self.device.home();
        home.parent().and_then(Path::file_name).expect("a named folder").to_string_lossy().into_owned()
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> Ran {
        let ran = self.device.run(words).ok();
        self.heard(&ran);
        ran
    }

    /// One of the two relays does not answer.
    fn sync_in_part(&self) {
        let ran = self.device.run(&["sync"]).code(1);
        assert!(ran.out.contains("up to date") && ran.out.contains("failed"), "{ran}");
        self.heard(&ran);
    }

    fn heard(&self, ran: &Ran) {
        assert!(!ran.to_string().contains("duplicate seq"), "{ran}");
        self.said.borrow_mut().push_str(&ran.err);
    }

    /// The notices that it gave so far.
    fn notices(&self) -> Vec<String> {
        let said = self.said.borrow();
        said.lines().filter(|line| line.contains("Note:")).map(str::to_owned).collect()
    }
}

fn edit(told: &Told<'_>, who: &str, text: &str) {
    told.run(&["note", who, text]);
}

/// All have the same, every text among it, and think well of it.
#[track_caller]
fn assert_all(all: &[&Told<'_>], texts: &[&str]) {
    let first = all[0].device.export();
    for told in all {
        assert_eq!(told.device.export(), first, "{}", told.name());
        let status = told.device.json(&["status"]);
        assert_eq!((&status["waiting"], &status["stuck"]), (&serde_json::json!([]), &false.into()), "{status}");
        assert_eq!(status["notices"], serde_json::json!([]), "{}", told.name());
    }
    for text in texts {
        assert!(first.contains(text), "no {text:?} in {first}");
    }
}
