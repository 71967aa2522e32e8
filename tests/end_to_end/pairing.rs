//! Tickets that do not let anybody in, and devices that cannot.

use std::time::Duration;

use crate::support::{Device, Running, Tap, World, pair};

/// How many devices a network has.
fn devices(device: &Device) -> usize {
    device.json(&["device", "list"])["devices"].as_array().expect("devices").len()
}

#[test]
fn a_mistyped_or_missing_ticket_makes_nothing() {
    let world = World::new();
    let (laptop, relay, phone) = (world.started("laptop"), world.open_relay(), world.device("phone"));
    laptop.run(&["relay", "add", relay.url()]).ok();
    let hosting = laptop.start(&["device", "add", "--ticket", "--yes"], "");
    let ticket = hosting.line("ties1-");
    let middle = ticket.len() / 2;
    let other = if &ticket[middle..=middle] == "A" { "B" } else { "A" };
    let mistyped = format!("{}{other}{}", &ticket[..middle], &ticket[middle + 1..]);
    for wrong in [&mistyped, &ticket[..ticket.len() - 4], "hello"] {
        phone.run_with(&["device", "join", "-"], wrong).code(1).complains("ticket").complains("Hint:");
    }
    phone.run(&["device", "join", "-"]).code(2).complains("ticket");
    assert!(!phone.home().exists(), "nothing was made");
    // It is still good for who has it right.
    phone.run_with(&["device", "join", "-"], &ticket).ok();
    hosting.finish().ok();
    assert_eq!(devices(&laptop), 2);
}

#[test]
fn a_ticket_ends() {
    let world = World::new();
    let (laptop, relay, phone) = (world.started("laptop"), world.open_relay(), world.device("phone"));
    laptop.run(&["relay", "add", relay.url()]).ok();
    let hosting = laptop.start(&["device", "add", "--ticket", "--yes", "--for", "1s"], "");
    let ticket = hosting.line("ties1-");
    hosting.finish().code(1).complains("no device came in time");
    // Builds for use know no other time than the system's.
    if cfg!(debug_assertions) {
        let mut late = phone.command(&["device", "join", "-"]);
        late.env("TIES_NOW", "2199-01-01T00:00:00Z");
        Running::start(late, &ticket).finish().code(1).complains("expired");
        assert!(!phone.home().exists(), "nothing was made");
    }
    assert_eq!(devices(&laptop), 1);
}

#[test]
fn a_ticket_lets_in_one_device() {
    let world = World::new();
    let (laptop, relay) = (world.started("laptop"), world.open_relay());
    laptop.run(&["relay", "add", relay.url()]).ok();
    let hosting = laptop.start(&["device", "add", "--ticket", "--yes"], "");
    let ticket = hosting.line("ties1-");
    let phone = world.device("phone");
    phone.run_with(&["device", "join", "-"], &ticket).ok();
    hosting.finish().ok();
    let second = world.device("second");
    second.run_with(&["device", "join", "-"], &ticket).code(1).complains("Error:");
    assert!(!second.home().exists(), "nothing was made");
    assert_eq!((devices(&laptop), devices(&phone)), (2, 2));
}

#[test]
fn a_ticket_on_the_command_line_is_refused_and_not_repeated() {
    let world = World::new();
    let phone = world.device("phone");
    let ran = phone.run(&["device", "join", "ties1-SECRETSECRETSECRET"]).code(2).complains("command line");
    assert!(!ran.out.contains("SECRET") && !ran.err.contains("SECRET"), "{ran}");
    assert!(!phone.home().exists());
}

#[test]
fn nobody_is_let_in_unless_somebody_said_so() {
    let world = World::new();
    let (laptop, relay) = (world.started("laptop"), world.open_relay());
    laptop.run(&["relay", "add", relay.url()]).ok();
    laptop.sync();
    let before = laptop.json(&["status"]);
    let ran = laptop.run(&["device", "add", "--ticket"]).code(2).complains("--yes");
    assert_eq!(ran.out, "", "no ticket was made");
    let after = laptop.json(&["status"]);
    assert_eq!((&before["devices"][0]["id"], devices(&laptop)), (&after["devices"][0]["id"], 1));
    assert_eq!(after["relays"][0]["to_send"], 0);
}

#[test]
fn without_a_relay_there_is_no_ticket() {
    let world = World::new();
    let laptop = world.started("laptop");
    let ran = laptop.run(&["device", "add", "--ticket", "--yes"]).code(1).complains("relay");
    assert_eq!(ran.out, "");
}

#[test]
fn a_folder_that_is_a_device_joins_nothing_else() {
    let world = World::new();
    let (laptop, relay) = (world.started("laptop"), world.open_relay());
    laptop.run(&["relay", "add", relay.url()]).ok();
    let other = world.started("other");
    other.run(&["new", "Grace Hopper"]).ok();
    let hosting = laptop.start(&["device", "add", "--ticket", "--yes"], "");
    let ticket = hosting.line("ties1-");
    other.run_with(&["device", "join", "-"], &ticket).code(2).complains("not empty");
    other.run(&["init"]).code(2).complains("not empty");
    assert_eq!(other.names(), ["Grace Hopper"]);
    hosting.kill();
}

#[test]
fn only_an_admin_lets_others_in() {
    let world = World::new();
    let (_laptop, phone, _relay) = world.pair();
    phone.run(&["device", "add", "--ticket", "--yes"]).code(1).complains("admin");
}

#[test]
fn three_devices_become_one_network() {
    let world = World::new();
    let (laptop, phone, _relay) = world.pair();
    let tablet = world.device("tablet");
    pair(&laptop, &tablet, "tablet");
    for (device, name) in [(&laptop, "Ada"), (&phone, "Grace"), (&tablet, "Barbara")] {
        device.run(&["new", name]).ok();
    }
    for device in [&laptop, &phone, &tablet, &laptop, &phone] {
        device.sync();
    }
    for device in [&laptop, &phone, &tablet] {
        assert_eq!(device.names(), ["Ada", "Barbara", "Grace"]);
        assert_eq!(devices(device), 3);
        assert_eq!(device.export(), laptop.export());
    }
}

#[test]
fn of_two_guests_with_one_ticket_one_is_let_in() {
    let world = World::new();
    let (laptop, relay) = (world.started("laptop"), world.open_relay());
    laptop.run(&["relay", "add", relay.url()]).ok();
    let hosting = laptop.start(&["device", "add", "--ticket", "--yes"], "");
    let ticket = hosting.line("ties1-");
    let guests = [world.device("phone"), world.device("tablet")];
    let joining = guests.each_ref().map(|guest| guest.start(&["device", "join", "-"], &ticket));
    let mut codes = joining.map(|one| one.finish().code);
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(1)]);
    hosting.finish().ok();
    assert_eq!(devices(&laptop), 2);
    assert_eq!(guests.iter().filter(|guest| guest.home().exists()).count(), 1);
}

#[test]
fn a_ticket_outlives_a_restart_of_the_relay() {
    let world = World::new();
    let (laptop, mut relay, phone) = (world.started("laptop"), world.open_relay(), world.device("phone"));
    let tap = Tap::before(relay.socket());
    laptop.run(&["relay", "add", &tap.url(relay.url())]).ok();
    let hosting = laptop.start(&["device", "add", "--ticket", "--yes"], "");
    let ticket = hosting.line("ties1-");
    relay.kill();
    relay.start();
    tap.lead_to(relay.socket());
    phone.run_with(&["device", "join", "-"], &ticket).ok();
    hosting.finish().ok();
    assert_eq!(phone.export(), laptop.export());
}

#[test]
fn a_guest_that_is_killed_may_come_again_with_another_ticket() {
    let world = World::new();
    let (laptop, relay) = (world.started("laptop"), world.open_relay());
    laptop.run(&["relay", "add", relay.url()]).ok();
    laptop.run(&["new", "Ada Lovelace"]).ok();
    for pause in [0, 5, 10, 15, 20, 30, 40] {
        let phone = world.device(&format!("phone{pause}"));
        let hosting = laptop.start(&["device", "add", "--ticket", "--yes"], "");
        let joining = phone.start(&["device", "join", "-"], &hosting.line("ties1-"));
        std::thread::sleep(Duration::from_millis(pause));
        joining.kill();
        hosting.kill();
        if phone.run(&["status"]).code == Some(3) {
            pair(&laptop, &phone, "phone");
        }
        phone.sync();
        assert_eq!(phone.names(), ["Ada Lovelace"]);
    }
    laptop.sync();
    laptop.run(&["status"]).ok();
}
