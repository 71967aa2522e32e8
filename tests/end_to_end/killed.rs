//! Programs that are killed at any moment: what was acknowledged is there, and nothing half-done shows.
//!
//! The environment variable `TIES_KILLS` says how many kills there are (60 unless it is set).

use std::collections::BTreeMap;
use std::env;
use std::thread;
use std::time::{Duration, Instant};

use ties_tests::Dice;

use crate::support::{Device, Ran, Relay, Running, Tap, World, pair};

#[test]
fn what_was_acknowledged_survives_any_kill() {
    let kills = env::var("TIES_KILLS").map_or(60, |kills| kills.parse().expect("a number of kills"));
    let mut story = Story::begin();
    let places = Place::ALL.map(|place| (place, story.duration_of(place)));
    for _ in 0..kills {
        let (place, lasts) = places[story.dice.index(places.len())];
        // A little longer than it takes, so that some kills come just too late.
        let delay = Duration::from_micros(story.dice.below(lasts.as_micros() as u64 * 5 / 4 + 1));
        story.kill(place, delay);
    }
    story.end();
    println!("{kills} kills; the programs had done what they were told in {} of them", story.late);
    assert!(kills < 20 || (1..kills).contains(&story.late), "the kills are spread over what the programs do");
}

/// What is killed.
#[derive(Clone, Copy, Debug)]
enum Place {
    Import,
    New,
    Note,
    Edit,
    Sending,
    Receiving,
    Relay,
}

impl Place {
    const ALL: [Self; 7] =
        [Self::Import, Self::New, Self::Note, Self::Edit, Self::Sending, Self::Receiving, Self::Relay];
}

/// Two devices, one of which writes, their relay, and what has to be true of them.
struct Story {
    laptop: Device,
    phone: Device,
    relay: Relay,
    tap: Tap,
    dice: Dice,
    /// The number of the next thing that is written.
    next: u32,
    /// How often each name stands in the list of the laptop.
    names: BTreeMap<String, usize>,
    /// What stands in its notes and fields, each once.
    texts: Vec<String>,
    /// The nickname of the person who is edited.
    nickname: String,
    /// How many kills came when everything was done.
    late: u64,
    /// How long the last program took that was not killed.
    took: Duration,
    _world: World,
}

impl Story {
    fn begin() -> Self {
        let world = World::new();
        let (laptop, phone, relay) = (world.started("laptop"), world.device("phone"), world.open_relay());
        let tap = Tap::before(relay.socket());
        laptop.run(&["relay", "add", &tap.url(relay.url())]).ok();
        pair(&laptop, &phone, "phone");
        laptop.run(&["new", WHO]).ok();
        let nickname = nickname(0);
        laptop.edit(WHO, |text| text.replace("nicknames = []", &format!("nicknames = [\"{nickname}\"]")));
        let names = [(WHO.to_owned(), 1)].into();
        let (dice, texts) = (Dice::new(20), Vec::new());
        Self {
            laptop,
            phone,
            relay,
            tap,
            dice,
            next: 1,
            names,
            texts,
            nickname,
            late: 0,
            took: Duration::ZERO,
            _world: world,
        }
    }

    /// How long it takes undisturbed.
    fn duration_of(&mut self, place: Place) -> Duration {
        self.kill(place, Duration::MAX);
        self.took
    }

    /// Does something and kills who does it after a while, or never; then looks whether all is well.
    fn kill(&mut self, place: Place, delay: Duration) {
        let number = self.next;
        self.next += 1;
        match place {
            Place::Import => self.import(number, delay),
            Place::New => {
                let name = format!("Newcomer {number}");
                let done = self.killed(self.laptop.start(&["new", &name], ""), delay);
                let there = self.count(&name);
                assert!(there == 1 || there == 0 && !done, "{name}: {there} times, acknowledged: {done}");
                self.names.extend((there == 1).then_some((name, 1)));
            }
            Place::Note => {
                let text = format!("remark ({number})");
                let done = self.killed(self.laptop.start(&["note", WHO, &text], ""), delay);
                let there = self.laptop.export().matches(&text).count();
                assert!(there == 1 || there == 0 && !done, "{text}: {there} times, acknowledged: {done}");
                self.texts.extend((there == 1).then_some(text));
            }
            Place::Edit => {
                let (before, after) = (self.nickname.clone(), nickname(number));
                let text = self.laptop.run(&["edit", WHO, "--print"]).ok().out;
                assert!(text.contains(&before), "{before} in {text}");
                let text = text.replace(&before, &after);
                let done = self.killed(self.laptop.start(&["edit", WHO, "--from", "-"], &text), delay);
                let export = self.laptop.export();
                let [old, new] = [&before, &after].map(|name| export.contains(name.as_str()));
                assert!(old != new && (new || !done), "old {old}, new {new}, acknowledged: {done}");
                self.nickname = if new { after } else { before };
            }
            Place::Sending => drop(self.killed(self.laptop.start(&["sync"], ""), delay)),
            Place::Receiving => {
                self.laptop.sync();
                self.killed(self.phone.start(&["sync"], ""), delay);
                self.phone.export();
            }
            Place::Relay => self.kill_relay(delay),
        }
        self.look();
    }

    /// A file that fits into one transaction is there with everybody in it, or with nobody.
    fn import(&mut self, number: u32, delay: Duration) {
        let names: Vec<String> = (0..PEOPLE_IN_A_FILE).map(|person| format!("Import {number} {person}")).collect();
        let card =
            |name: &String| format!("BEGIN:VCARD\r\nVERSION:4.0\r\nFN:{name}\r\nNOTE:of {name}\r\nEND:VCARD\r\n");
        let file = self.laptop.file("people.vcf", &names.iter().map(card).collect::<String>());
        let done = self.killed(self.laptop.start(&["import", &file], ""), delay);
        let listed = self.laptop.names();
        let there = listed.iter().filter(|name| names.contains(name)).count();
        assert!(there == names.len() || there == 0 && !done, "{there} of {}, acknowledged: {done}", names.len());
        // Whoever was stopped does it again.
        self.laptop.run(&["import", &file]).ok();
        self.names.extend(names.into_iter().map(|name| (name, 1)));
    }

    /// A relay that dies while a device sends has what it told the device that it has.
    fn kill_relay(&mut self, delay: Duration) {
        let sending = self.laptop.start(&["sync"], "");
        let done = if delay == Duration::MAX {
            self.finished(sending)
        } else {
            thread::sleep(delay);
            self.relay.kill();
            let ran = sending.finish();
            self.relay.start();
            self.tap.lead_to(self.relay.socket());
            self.count_late(&ran)
        };
        if !done {
            self.laptop.sync();
        }
        self.phone.sync();
        assert_eq!(self.laptop.export(), self.phone.export(), "what the relay acknowledged reaches the phone");
    }

    /// Lets a program run for a while and kills it; tells whether it had acknowledged what it was to do.
    fn killed(&mut self, running: Running, delay: Duration) -> bool {
        if delay == Duration::MAX {
            return self.finished(running);
        }
        thread::sleep(delay);
        let ran = running.kill();
        assert!(matches!(ran.code, None | Some(0)), "{ran}");
        assert!(!ran.err.contains("panicked"), "{ran}");
        self.count_late(&ran)
    }

    fn finished(&mut self, running: Running) -> bool {
        let began = Instant::now();
        running.finish().ok();
        self.took = began.elapsed();
        true
    }

    fn count_late(&mut self, ran: &Ran) -> bool {
        let done = ran.code == Some(0);
        self.late += u64::from(done);
        // What a command prints before it is killed is as good as its exit code.
        done || (ran.code.is_none() && !ran.out.is_empty())
    }

    fn count(&self, name: &str) -> usize {
        self.laptop.names().iter().filter(|other| *other == name).count()
    }

    /// Everything that was ever acknowledged or seen is in the book, and nothing else.
    fn look(&self) {
        let mut names = BTreeMap::new();
        for name in self.laptop.names() {
            *names.entry(name).or_insert(0) += 1;
        }
        assert_eq!(names, self.names);
        let export = self.laptop.export();
        for text in self.texts.iter().chain([&self.nickname]) {
            assert!(export.contains(text.as_str()), "{text} is lost");
        }
    }

    /// Both devices come to hold the same.
    fn end(&mut self) {
        [&self.laptop, &self.phone, &self.laptop].into_iter().for_each(Device::sync);
        self.look();
        assert_eq!(self.laptop.export(), self.phone.export());
        for device in [&self.laptop, &self.phone] {
            let status = device.json(&["status"]);
            assert_eq!((&status["stuck"], &status["waiting"]), (&false.into(), &serde_json::json!([])), "{status}");
        }
    }
}

fn nickname(number: u32) -> String {
    format!("Nick {number}.")
}

/// Whom the notes are about.
const WHO: &str = "Corvinius Haselgruber";
const PEOPLE_IN_A_FILE: usize = 40;
