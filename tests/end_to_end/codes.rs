//! Pairing by three words, as two people at two keyboards do it, and everything that goes wrong with it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::support::pty::Terminal;
use crate::support::{Device, Ran, Relay, Running, Tap, World};

/// A laptop with a network at a relay, and the relay.
fn laptop(world: &World) -> (Device, Relay) {
    let (laptop, relay) = (world.started("laptop"), world.open_relay());
    laptop.run(&["relay", "add", relay.url()]).ok();
    (laptop, relay)
}

/// Waits for a guest that is let in unasked; gives the code.
fn hosting(host: &Device) -> (Running, String) {
    let hosting = host.start(&["device", "add", "--yes"], "");
    let code = hosting.line("-");
    (hosting, code)
}

/// Waits for a guest at a keyboard; gives the code.
fn asking(host: &Device) -> (Terminal, String) {
    let mut host = Terminal::start(host.command(&["device", "add", "--color", "never"]));
    host.expect("Type there: ties device join ");
    host.line();
    let code = host.line();
    host.expect("Waiting for the new device");
    (host, code)
}

fn join<'a>(code: &'a str, url: &'a str) -> [&'a str; 7] {
    ["device", "join", code, "--relay", url, "--name", "phone"]
}

fn typing(guest: &Device, code: &str, url: &str) -> Terminal {
    Terminal::start(guest.command(&[&join(code, url)[..], &["--color", "never"]].concat()))
}

/// How many devices a network has.
fn devices(device: &Device) -> usize {
    device.json(&["device", "list"])["devices"].as_array().expect("devices").len()
}

/// Another code with the same number.
fn wrong(code: &str) -> String {
    let number = code.split('-').next().expect("a number");
    let words = if code.ends_with("-acid-zoo-lunch") { "acid-zoo-lawn" } else { "acid-zoo-lunch" };
    format!("{number}-{words}")
}

/// It failed as it should: a cause, a way out, and no folder.
#[track_caller]
fn came_to_nothing(guest: &Device, ran: Ran, code: i32, about: &str) {
    ran.code(code).complains("Error:").complains("Hint:").complains(about);
    assert!(!guest.home().exists(), "nothing was made");
}

#[test]
fn the_right_code_pairs_two_people_who_compare_four_words() {
    let world = World::new();
    let ((laptop, relay), phone) = (laptop(&world), world.device("phone"));
    laptop.run(&["new", "Ada Lovelace"]).ok();
    let (mut host, code) = asking(&laptop);
    assert_eq!(code.split('-').count(), 4, "{code}");
    let mut guest = typing(&phone, &code.to_uppercase().replace('-', " "), relay.url());
    guest.expect("The code is right: laptop is asked");
    guest.expect("fingerprint: ");
    let words = guest.line();
    host.expect("A device asks to be let in");
    host.expect(&format!("fingerprint  {words}"));
    host.expect("nobody from support");
    host.expect("Add 'phone'? [y/N] ");
    host.type_in("y\n");
    host.expect("Added.");
    guest.expect("Welcome.");
    assert_eq!((host.finish().0, guest.finish().0), (0, 0));
    assert_eq!(words.split(' ').count(), 4, "{words}");
    assert_eq!(phone.names(), ["Ada Lovelace"]);
    assert_eq!((devices(&laptop), devices(&phone)), (2, 2));
}

#[test]
fn a_wrong_code_uses_up_the_right_one() {
    let world = World::new();
    let ((laptop, relay), phone) = (laptop(&world), world.device("phone"));
    let (mut host, code) = asking(&laptop);
    came_to_nothing(&phone, phone.run(&join(&wrong(&code), relay.url())), 1, "the code is wrong, and used up");
    host.expect("a device came with a wrong code");
    host.expect("Hint:");
    assert_eq!(host.finish().0, 1);
    came_to_nothing(&phone, phone.run(&join(&code, relay.url())), 1, "no device waits for this code");
    assert_eq!(devices(&laptop), 1);
    // With a new one it goes well.
    let (host, code) = hosting(&laptop);
    phone.run(&join(&code, relay.url())).ok();
    host.finish().ok();
}

#[test]
fn a_code_typed_twice_lets_in_the_first() {
    let world = World::new();
    let ((laptop, relay), phone, second) = (laptop(&world), world.device("phone"), world.device("second"));
    let (mut host, code) = asking(&laptop);
    let mut guest = typing(&phone, &code, relay.url());
    host.expect("[y/N] ");
    came_to_nothing(&second, second.run(&join(&code, relay.url())), 1, "no device waits for this code");
    host.type_in("y\n");
    guest.expect("Welcome.");
    assert_eq!((host.finish().0, guest.finish().0), (0, 0));
    came_to_nothing(&second, second.run(&join(&code, relay.url())), 1, "no device waits for this code");
    assert_eq!((devices(&laptop), devices(&phone)), (2, 2));
}

#[test]
fn of_two_people_at_once_one_is_let_in() {
    let world = World::new();
    let (laptop, relay) = laptop(&world);
    let guests = [world.device("phone"), world.device("tablet")];
    let (host, code) = hosting(&laptop);
    let joining = guests.each_ref().map(|guest| guest.start(&join(&code, relay.url()), ""));
    let mut codes = joining.map(|one| one.finish().code);
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(1)]);
    host.finish().ok();
    assert_eq!(devices(&laptop), 2);
    assert_eq!(guests.iter().filter(|guest| guest.home().exists()).count(), 1);
}

#[test]
fn two_networks_that_pair_at_once_do_not_mix() {
    let world = World::new();
    let ((laptop, relay), other) = (laptop(&world), world.started("other"));
    other.run(&["relay", "add", relay.url()]).ok();
    laptop.run(&["new", "Ada"]).ok();
    other.run(&["new", "Grace"]).ok();
    let ((one, first), (two, second)) = (hosting(&laptop), hosting(&other));
    let guests = [world.device("phone"), world.device("tablet")];
    let joining = [&guests[1], &guests[0]].map(|guest| {
        let code = if std::ptr::eq(guest, &guests[0]) { &first } else { &second };
        guest.start(&join(code, relay.url()), "")
    });
    for running in joining.into_iter().chain([one, two]) {
        running.finish().ok();
    }
    assert_eq!((guests[0].names(), guests[1].names()), (vec!["Ada".to_owned()], vec!["Grace".to_owned()]));
}

#[test]
fn a_relay_that_stays_away_in_the_middle_lets_nobody_in() {
    let world = World::new();
    let (laptop, phone, mut relay) = (world.started("laptop"), world.device("phone"), world.open_relay());
    let tap = Tap::before(relay.socket());
    let url = tap.url(relay.url());
    laptop.run(&["relay", "add", &url]).ok();
    let (mut host, code) = asking(&laptop);
    let guest = phone.start(&join(&code, &url), "");
    host.expect("[y/N] ");
    relay.kill();
    host.type_in("y\n");
    host.expect("Error: the relay was lost while pairing");
    host.expect("Hint:");
    assert_eq!(host.finish().0, 1);
    came_to_nothing(&phone, guest.finish(), 1, "the relay was lost while pairing");
    assert_eq!(devices(&laptop), 1, "nobody was written down");
    // Afterwards both begin again.
    relay.start();
    tap.lead_to(relay.socket());
    let (host, code) = hosting(&laptop);
    phone.run(&join(&code, &url)).ok();
    host.finish().ok();
}

#[test]
fn a_relay_that_comes_back_in_the_middle_loses_nothing() {
    let world = World::new();
    let (laptop, phone, mut relay) = (world.started("laptop"), world.device("phone"), world.open_relay());
    let tap = Tap::before(relay.socket());
    let url = tap.url(relay.url());
    laptop.run(&["relay", "add", &url]).ok();
    let (mut host, code) = asking(&laptop);
    let mut guest = typing(&phone, &code, &url);
    host.expect("[y/N] ");
    relay.kill();
    relay.start();
    tap.lead_to(relay.socket());
    host.type_in("y\n");
    guest.expect("Welcome.");
    assert_eq!((host.finish().0, guest.finish().0), (0, 0));
    assert_eq!((devices(&laptop), devices(&phone)), (2, 2));
}

#[test]
fn a_relay_that_ends_before_anybody_came_ends_the_code() {
    let world = World::new();
    let ((laptop, mut relay), phone) = (laptop(&world), world.device("phone"));
    let (host, code) = hosting(&laptop);
    let url = relay.url().to_owned();
    relay.kill();
    host.finish().code(1).complains("the relay was lost while pairing").complains("Hint:");
    came_to_nothing(&phone, phone.run(&join(&code, &url)), 1, "cannot be reached");
    assert_eq!(devices(&laptop), 1);
}

/// Forwards a guest's connection and cuts it after so many bytes from the relay, in the middle of whatever it is.
fn cutting(relay: SocketAddr, after: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for device in listener.incoming().filter_map(Result::ok) {
            let relay = TcpStream::connect(relay).expect("a relay");
            let (mut up, mut to) = (device.try_clone().expect("a socket"), relay.try_clone().expect("a socket"));
            thread::spawn(move || drop(std::io::copy(&mut up, &mut to)));
            let mut bytes = vec![0; after];
            let (mut down, mut device) = (relay.try_clone().expect("a socket"), device);
            let mut left = after;
            while left > 0 {
                match down.read(&mut bytes[..left]) {
                    Ok(read @ 1..) if device.write_all(&bytes[..read]).is_ok() => left -= read,
                    _ => break,
                }
            }
            let _ = (device.shutdown(Shutdown::Both), relay.shutdown(Shutdown::Both));
        }
    });
    address
}

#[test]
fn a_relay_that_closes_in_the_middle_of_a_frame_lets_nobody_in() {
    let world = World::new();
    let ((laptop, relay), phone) = (laptop(&world), world.device("phone"));
    let (_, key) = relay.url().split_once('#').expect("a key");
    // The upgrade alone takes about 150 bytes, Hello and Welcome 180, the offer 90, the confirmation 1,600.
    for after in [0, 20, 100, 180, 260, 330, 400, 500, 1200] {
        let (host, code) = hosting(&laptop);
        let url = format!("ws://{}#{key}", cutting(relay.socket(), after));
        came_to_nothing(&phone, phone.run(&join(&code, &url)), 1, "Caused by:");
        // A host whose guest never got as far as the code goes on waiting for ten minutes.
        thread::sleep(Duration::from_millis(50));
        host.kill();
        assert_eq!(devices(&laptop), 1, "cut after {after} bytes");
    }
}

#[test]
fn a_guest_that_is_killed_before_the_yes_comes_again_with_another_code() {
    let world = World::new();
    let ((laptop, relay), phone) = (laptop(&world), world.device("phone"));
    let (mut host, code) = asking(&laptop);
    let guest = phone.start(&join(&code, relay.url()), "");
    host.expect("[y/N] ");
    guest.kill();
    host.type_in("y\n");
    host.expect("the new device went away; nothing was changed");
    assert_eq!(host.finish().0, 1);
    assert_eq!(devices(&laptop), 1, "nobody is a member who does not know it");
    assert!(!phone.home().exists());
    let (host, code) = hosting(&laptop);
    phone.run(&join(&code, relay.url())).ok();
    host.finish().ok();
    assert_eq!((devices(&laptop), devices(&phone)), (2, 2));
}

#[test]
fn a_host_that_is_killed_or_says_no_leaves_nothing_half_done() {
    let world = World::new();
    let ((laptop, relay), phone) = (laptop(&world), world.device("phone"));
    let (host, code) = hosting(&laptop);
    host.kill();
    came_to_nothing(&phone, phone.run(&join(&code, relay.url())), 1, "no device waits for this code");
    let (mut host, code) = asking(&laptop);
    let guest = phone.start(&join(&code, relay.url()), "");
    host.expect("[y/N] ");
    host.type_in("\n");
    assert_eq!(host.finish().0, 1);
    guest.finish().code(1).complains("declined");
    assert!(!phone.home().exists());
    assert_eq!(devices(&laptop), 1);
    laptop.sync();
}

#[test]
fn what_is_mistyped_is_noticed_before_anything_is_sent() {
    let world = World::new();
    let ((laptop, relay), phone) = (laptop(&world), world.device("phone"));
    let (host, code) = hosting(&laptop);
    let number = code.split('-').next().expect("a number");
    for bad in [format!("{number}-acid-zoo-lanch"), format!("{number}-acid-zoo"), "17".to_owned()] {
        came_to_nothing(&phone, phone.run(&join(&bad, relay.url())), 2, "this is no code");
    }
    phone.run(&["device", "join", &code]).code(2).complains("--relay");
    came_to_nothing(&phone, phone.run(&join(&code, "nonsense")), 2, "no address of a relay");
    let (address, key) = relay.url().split_once('#').expect("a key");
    let closed = format!("ws://127.0.0.1:1#{key}");
    came_to_nothing(&phone, phone.run(&join(&code, &closed)), 1, "cannot be reached");
    let other = world.second_relay();
    let (_, wrong_key) = other.url().split_once('#').expect("a key");
    let wrong = format!("{address}#{wrong_key}");
    came_to_nothing(&phone, phone.run(&join(&code, &wrong)), 1, "another key");
    // After all that the code is as good as new, and may come by standard input too.
    phone.run_with(&["device", "join", "-", "--relay", relay.url()], &format!("{code}\n")).ok();
    host.finish().ok();
}

#[test]
fn nobody_is_let_in_by_code_unless_somebody_said_so() {
    let world = World::new();
    let alone = world.started("alone");
    alone.run(&["device", "add", "--yes"]).code(1).complains("relay");
    let (laptop, relay) = laptop(&world);
    let ran = laptop.run(&["device", "add"]).code(2).complains("--yes");
    assert_eq!(ran.out, "", "no code was made");
    let ran = laptop.run(&["device", "add", "--yes", "--for", "1s"]).code(1).complains("no device came in time");
    let phone = world.device("phone");
    came_to_nothing(&phone, phone.run(&join(ran.out.trim(), relay.url())), 1, "no device waits");
}

#[test]
fn every_other_device_says_once_that_a_new_one_came() {
    let world = World::new();
    let (laptop, phone, relay) = world.pair();
    let tablet = world.device("tablet");
    let (host, code) = hosting(&laptop);
    tablet.run(&["device", "join", &code, "--relay", relay.url(), "--name", "tablet"]).ok();
    host.finish().ok();
    assert!(!phone.run(&["status"]).ok().err.contains("new device"), "it has not heard yet");
    phone.run(&["ls", "--quiet"]).ok();
    let told = phone.run(&["sync", "--json"]).ok();
    assert!(told.out.contains("a new device: tablet, let in by laptop"), "{told}");
    for device in [&phone, &laptop, &tablet] {
        assert!(!device.run(&["sync"]).ok().err.contains("new device"));
        assert!(!device.run(&["status"]).ok().err.contains("new device"));
    }
}
