//! Pairing with no relay, on one network: by three words and by ticket, and everything that goes wrong with it.

use std::collections::BTreeSet;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::direct::hears_itself;
use crate::support::pty::Terminal;
use crate::support::{Device, Needles, Ran, Running, Tap, World};

const HERE: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// A host that waits on this machine, and what it shows.
struct Waiting {
    host: Terminal,
    code: String,
    place: String,
}

impl Waiting {
    fn on(device: &Device) -> Self {
        let words = [&["device", "add", "--color", "never"][..], &HERE].concat();
        let mut host = Terminal::start(device.command(&words));
        host.expect("Type there: ties device join ");
        host.line();
        let code = host.line();
        host.expect("--peer ");
        let place = host.line();
        host.expect("Waiting for the new device");
        Self { host, code, place }
    }

    fn socket(&self) -> SocketAddr {
        self.place.parse().expect("an address with a port")
    }
}

fn join<'a>(code: &'a str, place: &'a str) -> [&'a str; 7] {
    ["device", "join", code, "--peer", place, "--name", "phone"]
}

fn typing(guest: &Device, code: &str, place: &str) -> Terminal {
    Terminal::start(guest.command(&[&join(code, place)[..], &["--color", "never"]].concat()))
}

/// How many devices a network has.
fn devices(device: &Device) -> usize {
    device.json(&["device", "list"])["devices"].as_array().expect("devices").len()
}

fn wrong(code: &str) -> String {
    let number = code.split('-').next().expect("a number");
    let words = if code.ends_with("-acid-zoo-lunch") { "acid-zoo-lawn" } else { "acid-zoo-lunch" };
    format!("{number}-{words}")
}

/// It failed as it should: a cause, a way out, and no folder.
#[track_caller]
fn came_to_nothing(guest: &Device, ran: Ran, about: &str) {
    ran.code(1).complains("Error:").complains("Hint:").complains(about);
    assert!(!guest.home().exists(), "nothing was made");
}

/// A forwarder whose connections can be cut, as when a device leaves the range of the Wi-Fi for a moment.
struct Cord {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cord {
    fn to(host: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let held = Arc::clone(&open);
        thread::spawn(move || {
            for guest in listener.incoming().filter_map(Result::ok) {
                let Ok(host) = TcpStream::connect(host) else { continue };
                for (from, to) in [(&guest, &host), (&host, &guest)] {
                    let (mut from, mut to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                held.lock().expect("no panic while it is held").extend([guest, host]);
            }
        });
        Self { address, open }
    }

    fn cut(&self) {
        for socket in self.open.lock().expect("no panic while it is held").drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn the_right_code_pairs_two_devices_that_never_had_a_relay() {
    let world = World::new();
    let (laptop, phone) = (world.started("laptop"), world.device("phone"));
    laptop.run(&["new", "Ada Lovelace"]).ok();
    let mut waiting = Waiting::on(&laptop);
    let mut guest = typing(&phone, &waiting.code.to_uppercase().replace('-', " "), &waiting.place);
    guest.expect("The code is right: laptop is asked");
    guest.expect("fingerprint: ");
    let words = guest.line();
    waiting.host.expect("A device asks to be let in");
    waiting.host.expect(&format!("fingerprint  {words}"));
    waiting.host.expect("nobody from support");
    waiting.host.expect("Add 'phone'? [y/N] ");
    waiting.host.type_in("y\n");
    waiting.host.expect("Added.");
    guest.expect("Welcome.");
    guest.expect("up to date  laptop (");
    assert_eq!((waiting.host.finish().0, guest.finish().0), (0, 0));
    assert_eq!(words.split(' ').count(), 4, "{words}");
    // Everything came over the link on which they paired.
    assert_eq!(phone.names(), ["Ada Lovelace"]);
    assert_eq!((devices(&laptop), devices(&phone)), (2, 2));
    // And so it goes on.
    phone.run(&["new", "Grace Hopper"]).ok();
    let listening = laptop.start(&["sync", "--listen", "127.0.0.1:0"], "");
    let line = listening.line("listening");
    let place = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).expect("an address");
    phone.run(&["sync", "--peer", place]).ok();
    assert_eq!(laptop.names(), ["Ada Lovelace", "Grace Hopper"]);
}

#[test]
fn a_wrong_code_uses_up_the_right_one_on_one_network_too() {
    let world = World::new();
    let (laptop, phone) = (world.started("laptop"), world.device("phone"));
    let mut waiting = Waiting::on(&laptop);
    let ran = phone.run(&join(&wrong(&waiting.code), &waiting.place));
    came_to_nothing(&phone, ran, "the code is wrong, and used up");
    waiting.host.expect("a device came with a wrong code");
    waiting.host.expect("Hint:");
    assert_eq!(waiting.host.finish().0, 1);
    came_to_nothing(&phone, phone.run(&join(&waiting.code, &waiting.place)), "the other device cannot be reached");
    assert_eq!(devices(&laptop), 1);
}

#[test]
fn a_wrong_number_is_not_an_attempt() {
    let world = World::new();
    let (laptop, phone) = (world.started("laptop"), world.device("phone"));
    let mut waiting = Waiting::on(&laptop);
    let other = format!("1{}", waiting.code);
    came_to_nothing(&phone, phone.run(&join(&other, &waiting.place)), "no device waits for this code");
    let mut guest = typing(&phone, &waiting.code, &waiting.place);
    waiting.host.expect("[y/N] ");
    waiting.host.type_in("y\n");
    guest.expect("Welcome.");
    assert_eq!((waiting.host.finish().0, guest.finish().0), (0, 0));
}

#[test]
fn a_code_typed_twice_lets_in_the_first_on_one_network_too() {
    let world = World::new();
    let (laptop, phone, second) = (world.started("laptop"), world.device("phone"), world.device("second"));
    let mut waiting = Waiting::on(&laptop);
    let mut guest = typing(&phone, &waiting.code, &waiting.place);
    waiting.host.expect("[y/N] ");
    let late = second.run(&join(&waiting.code, &waiting.place));
    came_to_nothing(&second, late, "no device waits for this code");
    waiting.host.type_in("y\n");
    guest.expect("Welcome.");
    assert_eq!((waiting.host.finish().0, guest.finish().0), (0, 0));
    assert_eq!((devices(&laptop), devices(&phone)), (2, 2));
}

#[test]
fn of_two_devices_at_once_one_is_let_in() {
    let world = World::new();
    let laptop = world.started("laptop");
    let guests = [world.device("phone"), world.device("tablet")];
    let hosting = laptop.start(&[&["device", "add", "--yes", "--json"][..], &HERE].concat(), "");
    let shown: serde_json::Value = serde_json::from_str(&hosting.line("\"code\"")).expect("JSON");
    let [code, place] = ["code", "peer"].map(|field| shown[field].as_str().expect("a text").to_owned());
    let joining = guests.each_ref().map(|guest| guest.start(&join(&code, &place), ""));
    let mut codes = joining.map(|one| one.finish().code);
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(1)]);
    hosting.finish().ok();
    assert_eq!(devices(&laptop), 2);
    assert_eq!(guests.iter().filter(|guest| guest.home().exists()).count(), 1);
}

#[test]
fn a_link_that_breaks_while_the_owner_thinks_is_dialled_again() {
    let world = World::new();
    let (laptop, phone) = (world.started("laptop"), world.device("phone"));
    let mut waiting = Waiting::on(&laptop);
    let cord = Cord::to(waiting.socket());
    let mut guest = typing(&phone, &waiting.code, &cord.address.to_string());
    waiting.host.expect("[y/N] ");
    cord.cut();
    waiting.host.type_in("y\n");
    waiting.host.expect("Added.");
    guest.expect("Welcome.");
    let (host, guest) = (waiting.host.finish(), guest.finish());
    assert_eq!((host.0, guest.0), (0, 0), "{host:?}\n{guest:?}");
    assert_eq!((devices(&laptop), devices(&phone)), (2, 2));
}

#[test]
fn a_guest_or_a_host_that_is_gone_leaves_nothing_half_done() {
    let world = World::new();
    let (laptop, phone) = (world.started("laptop"), world.device("phone"));
    let mut waiting = Waiting::on(&laptop);
    let guest = phone.start(&join(&waiting.code, &waiting.place), "");
    waiting.host.expect("[y/N] ");
    guest.kill();
    waiting.host.type_in("y\n");
    waiting.host.expect("the new device went away; nothing was changed");
    assert_eq!(waiting.host.finish().0, 1);
    assert_eq!(devices(&laptop), 1, "nobody is a member who does not know it");

    let mut waiting = Waiting::on(&laptop);
    let guest = phone.start(&join(&waiting.code, &waiting.place), "");
    waiting.host.expect("[y/N] ");
    waiting.host.interrupt();
    assert_ne!(waiting.host.finish().0, 0);
    came_to_nothing(&phone, guest.finish(), "went away before it let this one in");

    let mut waiting = Waiting::on(&laptop);
    let guest = phone.start(&join(&waiting.code, &waiting.place), "");
    waiting.host.expect("[y/N] ");
    waiting.host.type_in("\n");
    assert_eq!(waiting.host.finish().0, 1);
    guest.finish().code(1).complains("declined");
    assert_eq!(devices(&laptop), 1);
    assert!(!phone.home().exists());
}

#[test]
fn a_ticket_pairs_with_no_relay_and_says_where() {
    let world = World::new();
    let (laptop, phone, tablet) = (world.started("laptop"), world.device("phone"), world.device("tablet"));
    laptop.run(&["new", "Ada Lovelace"]).ok();
    let add = [&["device", "add", "--ticket", "--yes"][..], &HERE].concat();
    let hosting = laptop.start(&add, "");
    let ticket = hosting.line("ties1-");
    phone.run_with(&["device", "join", "-", "--name", "phone"], &format!("{ticket}\n")).ok();
    hosting.finish().ok();
    assert_eq!(phone.names(), ["Ada Lovelace"]);
    assert_eq!((devices(&laptop), devices(&phone)), (2, 2));
    // It was for one device, and nobody waits any more.
    let again = tablet.run_with(&["device", "join", "-"], &format!("{ticket}\n"));
    came_to_nothing(&tablet, again, "the other device cannot be reached");
    // Another one's ticket opens no door here.
    let hosting = laptop.start(&add, "");
    hosting.line("ties1-");
    // The address goes to the other stream, after the ticket.
    let place = (0..200).find_map(|_| {
        thread::sleep(Duration::from_millis(50));
        let said = hosting.said();
        let place = said.split("--peer ").nth(1).and_then(|rest| rest.lines().next()).map(str::trim);
        place.map(str::to_owned)
    });
    let place = place.expect("an address");
    let again = tablet.run_with(&["device", "join", "-", "--peer", &place], &format!("{ticket}\n"));
    came_to_nothing(&tablet, again, "does not wait for this one");
}

#[test]
fn with_a_relay_a_code_is_good_at_either_place() {
    let world = World::new();
    let (laptop, mut relay) = (world.started("laptop"), world.open_relay());
    laptop.run(&["relay", "add", relay.url()]).ok();
    laptop.run(&["new", "Ada Lovelace"]).ok();
    let [phone, tablet, watch] = ["phone", "tablet", "watch"].map(|name| world.device(name));
    let add = [&["device", "add", "--yes", "--json"][..], &HERE].concat();
    let hosting = || {
        let hosting = laptop.start(&add, "");
        let shown: serde_json::Value = serde_json::from_str(&hosting.line("\"code\"")).expect("JSON");
        (hosting, shown)
    };
    let (host, shown) = hosting();
    phone.run(&join(shown["code"].as_str().expect("a code"), shown["peer"].as_str().expect("an address"))).ok();
    host.finish().ok();
    // It was put on the relay's list, and can go there at once.
    phone.run(&["new", "Grace Hopper"]).ok();
    phone.sync();
    laptop.sync();
    let (host, shown) = hosting();
    let relay_url = shown["relay"].as_str().expect("a relay").to_owned();
    tablet.run(&["device", "join", shown["code"].as_str().expect("a code"), "--relay", &relay_url]).ok();
    host.finish().ok();
    // Without the relay it still goes on this network.
    relay.kill();
    let (host, shown) = hosting();
    assert!(shown["relay"].is_null(), "{shown}");
    watch.run(&join(shown["code"].as_str().expect("a code"), shown["peer"].as_str().expect("an address"))).ok();
    host.finish().ok();
    assert_eq!(devices(&laptop), 4);
    for device in [&phone, &tablet, &watch] {
        assert!(device.names().contains(&"Ada Lovelace".to_owned()));
    }
}

#[test]
fn nobody_opens_a_door_who_was_told_not_to() {
    let world = World::new();
    let (laptop, phone) = (world.started("laptop"), world.device("phone"));
    laptop.run(&["device", "add", "--yes"]).code(1).complains("--listen");
    phone.run(&["device", "join", "17-acid-zoo-lunch"]).code(2).complains("--peer");
    phone.run(&["device", "join", "17-acid-zoo-lunch", "--peer", "a b"]).code(2);
    laptop.run(&["device", "add", "--yes", "--listen", "laptop"]).code(2);
    assert!(!phone.home().exists());
}

#[test]
fn what_crosses_the_wire_while_pairing_says_nothing_and_never_the_same() {
    let world = World::new();
    let laptop = world.started("laptop");
    laptop.run(&["device", "rename", "laptop", "Brackenfeather"]).ok();
    laptop.run(&["new", "Quillfeather"]).ok();
    let mut needles = Needles::default();
    ["Brackenfeather", "Quillfeather", "Thistlefeather"].iter().for_each(|word| needles.word(word));
    let runs = ["one", "two"].map(|name| {
        let guest = world.device(name);
        let hosting = laptop.start(&[&["device", "add", "--yes", "--json"][..], &HERE].concat(), "");
        let shown: serde_json::Value = serde_json::from_str(&hosting.line("\"code\"")).expect("JSON");
        let [code, place] = ["code", "peer"].map(|field| shown[field].as_str().expect("a text").to_owned());
        let tap = Tap::before(place.parse().expect("an address"));
        let at = tap.address().to_string();
        guest.run(&["device", "join", &code, "--peer", &at, "--name", "Thistlefeather"]).ok();
        hosting.finish().ok();
        code.split('-').skip(1).for_each(|word| {
            let folded = |stream: &[u8]| String::from_utf8_lossy(stream).to_lowercase();
            // Words of four letters turn up in noise by chance.
            let long = word.len() > 5;
            assert!(!long || tap.raw().iter().all(|stream| !folded(stream).contains(word)), "a word of the code");
        });
        tap.raw()
    });
    for stream in runs.iter().flatten() {
        assert!(needles.within(stream).is_empty(), "{:?}", needles.within(stream));
    }
    let varied = |part: &[u8]| part.iter().collect::<BTreeSet<_>>().len();
    let [first, second] = runs.each_ref().map(|streams| -> BTreeSet<&[u8]> {
        let bytes = streams.iter().flat_map(|stream| stream.windows(24)).filter(|part| varied(part) >= 21);
        let digits = streams.iter().flat_map(|stream| stream.windows(16));
        bytes.chain(digits.filter(|part| part.iter().all(u8::is_ascii_hexdigit) && varied(part) >= 6)).collect()
    });
    // The order of TLS extensions may come again; what looks random shall not.
    let same: Vec<_> = first.intersection(&second).collect();
    assert!(same.len() <= 8, "in both runs: {same:02x?}");
}

#[test]
fn a_new_device_finds_the_one_that_shows_the_code_by_itself() {
    if !hears_itself() {
        println!(
            "SKIPPED: this machine lets no multicast through, so that devices cannot find each other by themselves"
        );
        return;
    }
    let world = World::new();
    let (laptop, phone, tablet) = (world.started("laptop"), world.device("phone"), world.device("tablet"));
    laptop.run(&["new", "Ada Lovelace"]).ok();
    let on_the_lan = |device: &Device, words: &[&str], input: &str| {
        let mut command = device.command(words);
        command.env_remove("TIES_NO_LAN");
        Running::start(command, input)
    };
    let hosting = on_the_lan(&laptop, &["device", "add", "--yes"], "");
    let code = hosting.line("-");
    let joined = on_the_lan(&phone, &["device", "join", &code, "--name", "phone"], "").finish().ok();
    assert!(joined.out.contains("up to date  laptop ("), "{joined}");
    hosting.finish().ok();
    assert_eq!(phone.names(), ["Ada Lovelace"]);

    let hosting = on_the_lan(&laptop, &["device", "add", "--yes", "--ticket"], "");
    let ticket = hosting.line("ties1-");
    on_the_lan(&tablet, &["device", "join", "-", "--name", "tablet"], &format!("{ticket}\n")).finish().ok();
    hosting.finish().ok();
    assert_eq!(devices(&laptop), 3);
}
