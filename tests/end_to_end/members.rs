//! Whose devices they are, with real processes: a lost phone, a laptop given away, a tablet for the children.

use crate::support::{Device, Relay, Tap, World, pair};

/// A relay that can go away and come back where it was.
struct Inn {
    relay: Relay,
    tap: Tap,
}

impl Inn {
    fn close(&mut self) {
        self.relay.kill();
    }

    fn open(&mut self) {
        self.relay.start();
        self.tap.lead_to(self.relay.socket());
    }
}

/// Three devices that have met at a relay, the first one an admin.
fn three(world: &World) -> (Inn, [Device; 3]) {
    let (laptop, relay) = (world.started("laptop"), world.open_relay());
    let tap = Tap::before(relay.socket());
    laptop.run(&["relay", "add", &tap.url(relay.url())]).ok();
    let [phone, tablet] = ["phone", "tablet"].map(|name| world.device(name));
    pair(&laptop, &phone, "phone");
    pair(&laptop, &tablet, "tablet");
    for device in [&phone, &tablet, &laptop, &phone] {
        device.sync();
    }
    (Inn { relay, tap }, [laptop, phone, tablet])
}

#[test]
fn a_lost_phone_is_shut_out_and_what_it_wrote_unseen_waits_for_a_yes() {
    let world = World::new();
    let (mut relay, [laptop, phone, tablet]) = three(&world);
    laptop.run(&["new", "Ada Lovelace"]).ok();
    laptop.sync();
    phone.sync();

    // Lost while the relay is away: shutting it out needs no network.
    relay.close();
    laptop.run(&["device", "revoke", "phone"]).code(2).complains("--yes");
    laptop.run(&["device", "revoke", "nobody", "--yes"]).code(3).complains("device list");
    laptop.run(&["device", "revoke", "laptop", "--yes"]).code(7).complains("retire");
    tablet.run(&["device", "revoke", "phone", "--yes"]).code(7).complains("admin");
    let revoked = laptop.run(&["device", "revoke", "phone", "--yes"]).ok();
    assert!(revoked.out.contains("Not heard of it yet: tablet"), "{revoked}");
    laptop.run(&["new", "Written Afterwards"]).ok();

    // Meanwhile its owner, on a train, writes honestly; the relay has not heard yet and takes it.
    phone.run(&["new", "Met on the train"]).ok();
    phone.edit("ada", |text| text.replace("Ada Lovelace", "Ada King"));
    relay.open();
    phone.sync();
    laptop.sync();
    tablet.sync();
    laptop.sync();
    for device in [&laptop, &tablet] {
        assert_eq!(device.names(), ["Ada Lovelace", "Written Afterwards"]);
        let status = device.run(&["status"]).code(1);
        assert!(status.out.contains("2 changes of a device that was shut out"), "{status}");
        assert!(!status.out.contains("Not heard of it yet"), "{status}");
    }
    phone.run(&["sync"]).code(1).complains("shut out");
    assert_eq!(phone.names(), ["Ada King", "Met on the train"], "it keeps what it had, and gets nothing new");

    let shown = tablet.run(&["quarantine"]).ok();
    for part in ["phone: 2 changes", "Met on the train", "Ada Lovelace → Ada King"] {
        assert!(shown.out.contains(part), "{part}: {shown}");
    }
    tablet.run(&["quarantine", "accept", "laptop"]).code(3);
    tablet.run(&["quarantine", "accept", "phone"]).ok();
    tablet.sync();
    laptop.sync();
    for device in [&laptop, &tablet] {
        assert_eq!(device.names(), ["Ada King", "Met on the train", "Written Afterwards"]);
        device.run(&["status"]).ok();
        assert!(device.run(&["quarantine"]).ok().out.contains("Nothing"), "empty");
    }
    assert_eq!(laptop.export(), tablet.export());
}

#[test]
fn what_was_put_away_is_not_shown_and_changes_nothing() {
    let world = World::new();
    let (mut relay, [laptop, phone, tablet]) = three(&world);
    relay.close();
    laptop.run(&["device", "revoke", "phone", "--yes"]).ok();
    phone.run(&["new", "By the thief"]).ok();
    relay.open();
    phone.sync();
    laptop.sync();
    let put_away = laptop.json(&["quarantine", "discard"]);
    assert_eq!((&put_away["device"], &put_away["entries"]), (&"phone".into(), &1.into()));
    laptop.sync();
    tablet.sync();
    laptop.sync();
    for device in [&laptop, &tablet] {
        assert!(device.names().is_empty());
        device.run(&["status"]).ok();
        assert!(device.run(&["quarantine"]).ok().out.contains("put away"), "it can still be looked at");
    }
}

#[test]
fn a_laptop_that_is_given_away_leaves_all_it_wrote_and_nothing_to_read() {
    let world = World::new();
    let (mut relay, [laptop, _, tablet]) = three(&world);
    laptop.run(&["device", "role", "tablet", "admin"]).ok();
    laptop.run(&["new", "Ada Lovelace"]).ok();
    tablet.sync();
    relay.close();
    laptop.run(&["device", "retire"]).code(2).complains("--yes");
    laptop.run(&["device", "retire", "--yes"]).code(1).complains("tell nobody");
    laptop.run(&["new", "Nobody"]).code(1).complains("does not belong");
    relay.open();
    laptop.run(&["device", "retire", "--yes"]).ok();
    laptop.run(&["ls"]).code(5);
    assert!(laptop.home().join("database").exists() && !laptop.home().join("key").exists());
    tablet.sync();
    assert_eq!(tablet.names(), ["Ada Lovelace"]);
    let devices = tablet.run(&["device", "list"]).ok();
    assert!(!devices.out.contains("laptop "), "{devices}");
}

#[test]
fn roles_and_names_are_changed_and_known_everywhere() {
    let world = World::new();
    let (_relay, [laptop, phone, tablet]) = three(&world);
    laptop.run(&["device", "role", "tab", "reader"]).ok();
    laptop.run(&["device", "role", "laptop", "writer"]).code(7).complains("only admin");
    phone.run(&["device", "role", "phone", "admin"]).code(7).complains("admin");
    phone.run(&["device", "rename", "phone", "pocket"]).ok();
    laptop.sync();
    phone.sync();
    tablet.sync();
    laptop.sync();
    tablet.run(&["new", "Nobody"]).code(1).complains("read and not write");
    for device in [&laptop, &tablet] {
        let listed = device.json(&["device", "list"]);
        let devices = listed["devices"].as_array().expect("devices");
        let mut known: Vec<_> =
            devices.iter().map(|one| format!("{} {}", one["name"], one["role"]).replace('"', "")).collect();
        known.sort_unstable();
        assert_eq!(known, ["laptop admin", "pocket writer", "tablet reader"]);
    }
}
