//! A relay that dies while checkpoints come to it and while it drops what lies below them.

use ties_fault::Point;

use super::{Deaths, Drill, begin, is_sound, newest, sync_with};
use crate::support::{Device, Relay, Tap, World, pair};

#[test]
fn a_relay_keeps_what_it_acknowledged_though_it_dies_at_every_step_of_taking_checkpoints_and_pruning() {
    let mut story = Story::begin();
    // A relay drops entries once it has two checkpoints that two devices signed.
    story.round(None);
    story.round(None);
    let mut deaths = Deaths::of(Drill::Relay, &[Point::CommitBegun, Point::RelayKept]);
    while let Some(at) = deaths.next() {
        let died = story.round(Some(&at));
        deaths.tell(died);
    }
    println!("{} rounds; died {}", story.rounds, deaths.died);

    // What is left of it all is enough for a new device.
    let tablet = story.world.device("tablet");
    pair(&story.laptop, &tablet, "tablet");
    tablet.sync();
    is_sound(&tablet, &story.names, "all of it");
    assert_eq!(newest(&tablet)["standing"], "started", "{}", newest(&tablet));
    assert_eq!(tablet.export(), story.laptop.export());
}

struct Story {
    laptop: Device,
    phone: Device,
    relay: Relay,
    tap: Tap,
    names: Vec<String>,
    rounds: u32,
    world: World,
}

impl Story {
    fn begin() -> Self {
        let world = World::new();
        let (laptop, phone) = (world.started("laptop"), world.device("phone"));
        let relay = world.relay(&["--open", "--limit", "prune=true"]);
        let tap = Tap::before(relay.socket());
        laptop.run(&["relay", "add", &tap.url(relay.url())]).ok();
        pair(&laptop, &phone, "phone");
        // Whoever has nothing starts from the first checkpoint that there is; the phone is to compare it.
        laptop.run(&["new", "Ada Lovelace"]).ok();
        [&laptop, &phone].into_iter().for_each(Device::sync);
        Self { laptop, phone, relay, tap, names: vec!["Ada Lovelace".to_owned()], rounds: 0, world }
    }

    /// A checkpoint is made, signed and kept; tells whether the relay died over it.
    #[track_caller]
    fn round(&mut self, at: Option<&str>) -> bool {
        let after = at.unwrap_or("no death");
        let name = format!("Person {}", self.rounds);
        self.laptop.run(&["new", &name]).ok();
        self.rounds += 1;
        let mut died = false;
        if let Some(at) = at {
            self.relay.kill();
            self.relay.start_mortal(at);
            self.tap.lead_to(self.relay.socket());
            let sent = begin(&self.laptop, &["sync"], "", None, Some(1)).finish();
            // What goes wrong at the other end is no fault of the devices. The entries come first, then the checkpoint.
            let signed = [self.phone.run(&["sync"]), self.phone.run(&["sync"])];
            died = self.relay.has_ended();
            let well = [&sent, &signed[0], &signed[1]].iter().all(|ran| ran.code == Some(0));
            assert!(died || well, "after {after}: {sent}\n{signed:?}");
            // It takes what it wrote, whether it is dead or not.
            self.relay.kill();
            assert_eq!(died, self.relay.said().ends_with(&killed_at(at)), "after {after}");
            self.relay.start();
            self.tap.lead_to(self.relay.socket());
            // What it acknowledged comes from it alone.
            self.phone.sync();
            let acknowledged = if sent.code == Some(0) { &[name.clone()][..] } else { &[] };
            is_sound(&self.phone, &[&self.names[..], acknowledged].concat(), after);
        }
        self.names.push(name);
        sync_with(&self.laptop, 1);
        let made = newest(&self.laptop);
        assert!(made["maker"] == "laptop" && made["second"] != "phone", "no checkpoint was made after {after}: {made}");
        [&self.phone, &self.phone, &self.laptop].into_iter().for_each(Device::sync);
        is_sound(&self.phone, &self.names, after);
        is_sound(&self.laptop, &self.names, after);
        let signed = newest(&self.laptop);
        assert_eq!((&signed["since"], &signed["second"]), (&made["since"], &"phone".into()), "after {after}");
        died
    }
}

/// The last line of a relay that was killed at a point.
fn killed_at(at: &str) -> String {
    format!("killed at {}\n", at.split(':').next().unwrap_or(at))
}
