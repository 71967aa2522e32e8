//! Relays that are somebody else, gone, closed to strangers, or told to forget everything.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{Signal, Tap, World, files, pair};

#[test]
fn a_relay_with_another_key_than_its_address_is_refused() {
    let world = World::new();
    let (laptop, relay) = (world.started("laptop"), world.open_relay());
    let other = World::new().open_relay();
    // This relay's place, and the key of another.
    let (place, _) = relay.url().split_once('#').unwrap();
    let (_, key) = other.url().split_once('#').unwrap();
    laptop.run(&["relay", "add", &format!("{place}#{key}")]).code(1).complains("key");
    assert_eq!(laptop.json(&["relay", "list"])["relays"], serde_json::json!([]), "it is not used");
    laptop.run(&["new", "Ada Lovelace"]).ok();
}

#[test]
fn an_address_without_a_key_is_refused_before_anything_is_dialled() {
    let laptop = World::new();
    let laptop = laptop.started("laptop");
    for address in ["ws://127.0.0.1:7700", "127.0.0.1:7700", "http://127.0.0.1:7700", "ws://192.0.2.1:7700#key", ""] {
        laptop.run(&["relay", "add", address]).code(2).complains("Error:");
    }
}

#[test]
fn without_its_relay_a_device_goes_on_and_says_what_waits() {
    let world = World::new();
    let (laptop, mut relay) = (world.started("laptop"), world.open_relay());
    laptop.run(&["relay", "add", relay.url()]).ok();
    laptop.sync();
    relay.stop();
    let failed = laptop.run(&["sync"]).code(1).complains("1 relay of 1 failed");
    assert!(failed.out.contains("failed"), "{failed}");
    laptop.run(&["new", "Ada Lovelace", "ada@engine.example"]).ok();
    laptop.run(&["note", "ada", "met at the fair"]).ok();
    assert!(laptop.run(&["find", "fair"]).ok().out.contains("Ada"));
    let status = laptop.run(&["status", "--json"]).code(1).json();
    let road = &status["relays"][0];
    assert_eq!((&status["stuck"], &road["to_send"]), (&true.into(), &2.into()), "{status}");
    assert!(road["last_error"].is_string() && road["last_contact"].is_string(), "{status}");
    let told = laptop.run(&["status"]).code(1);
    assert!(told.out.contains("2 changes to send") && told.out.contains("failed since"), "{told}");
}

#[test]
fn a_closed_relay_makes_a_mailbox_only_for_who_brings_a_token() {
    let world = World::new();
    let (laptop, relay) = (world.started("laptop"), world.relay(&[]));
    laptop.run(&["relay", "add", relay.url()]).code(1).complains("token");
    assert_eq!(laptop.json(&["relay", "list"])["relays"], serde_json::json!([]));
    // Made while the relay runs.
    let token = relay.token();
    let file = laptop.file("token.txt", &format!("{token}\n"));
    laptop.run(&["relay", "add", relay.url(), "--token-file", &file]).ok();
    laptop.sync();
    // A guest brings none: the mailbox is there.
    let phone = world.device("phone");
    pair(&laptop, &phone, "phone");
    phone.sync();
    let stranger = world.started("stranger");
    stranger.run(&["relay", "add", relay.url(), "--token-file", &file]).code(1).complains("token");
    let wrong = stranger.file("wrong.txt", "not a token");
    stranger.run(&["relay", "add", relay.url(), "--token-file", &wrong]).code(2).complains("token");
    stranger.run(&["relay", "add", relay.url(), "--token", &token]).code(2);
    assert!(files(relay.data()).iter().all(|(_, bytes)| !bytes.windows(token.len()).any(|at| at == token.as_bytes())));
    assert!(!relay.said().contains(&token));
}

#[test]
fn a_relay_that_lost_even_its_key_is_another_relay_and_can_take_its_place() {
    let world = World::new();
    let (laptop, mut relay) = (world.started("laptop"), world.open_relay());
    let tap = Tap::before(relay.socket());
    laptop.run(&["relay", "add", &tap.url(relay.url())]).ok();
    laptop.run(&["new", "Ada Lovelace"]).ok();
    laptop.sync();
    relay.stop();
    fs::remove_dir_all(relay.data()).unwrap();
    relay.start();
    tap.lead_to(relay.socket());
    let failed = laptop.run(&["sync"]).code(1);
    assert!(failed.out.contains("key"), "{failed}");
    laptop.run(&["relay", "add", relay.url()]).ok();
    let synced = laptop.run(&["sync"]).code(1);
    assert!(synced.out.contains("failed") && synced.out.contains("up to date"), "{synced}");
    let phone = world.device("phone");
    let hosting = laptop.start(&["device", "add", "--ticket", "--yes", "--relay", relay.url()], "");
    phone.run_with(&["device", "join", "-"], &hosting.line("ties1-")).ok();
    hosting.finish().ok();
    assert_eq!(phone.export(), laptop.export());
}

#[test]
fn one_device_hears_of_an_edit_on_another_while_it_watches() {
    let world = World::new();
    let (laptop, phone, _relay) = world.pair();
    let watching = phone.start(&["sync", "--watch"], "");
    watching.line("up to date");
    laptop.run(&["new", "Ada Lovelace", "ada@engine.example"]).ok();
    laptop.sync();
    let began = Instant::now();
    watching.line("received 1");
    assert!(began.elapsed() < SOON);
    assert_eq!(phone.names(), ["Ada Lovelace"]);
    // A command on the watched device works meanwhile, and what it writes goes out by itself.
    phone.run(&["note", "ada", "seen while watching"]).ok();
    let began = Instant::now();
    while !laptop.export().contains("seen while watching") {
        assert!(began.elapsed() < SOON, "nothing came\n{}", watching.said());
        laptop.sync();
    }
    assert_eq!(laptop.export(), phone.export());
}

#[test]
fn several_programs_may_sync_one_folder_at_once() {
    let world = World::new();
    let (laptop, phone, _relay) = world.pair();
    let watching = [laptop.start(&["sync", "--watch"], ""), laptop.start(&["sync", "--watch"], "")];
    watching.iter().for_each(|one| drop(one.line("up to date")));
    for number in 0..5 {
        phone.run(&["new", &format!("Guest {number}")]).ok();
        let syncing = [phone.start(&["sync"], ""), phone.start(&["sync"], ""), laptop.start(&["sync"], "")];
        syncing.into_iter().for_each(|one| drop(one.finish().ok()));
    }
    laptop.sync();
    assert_eq!(laptop.names().len(), 5);
    assert_eq!(laptop.export(), phone.export());
    for one in watching {
        one.signal(Signal::INT);
        one.finish().ok();
    }
    for device in [&laptop, &phone] {
        let status = device.json(&["status"]);
        assert_eq!((&status["waiting"], &status["stuck"]), (&serde_json::json!([]), &false.into()), "{status}");
    }
}

#[test]
fn a_relay_answers_health_checks_and_nothing_else_over_http() {
    use std::io::{Read as _, Write as _};

    let world = World::new();
    let relay = world.open_relay();
    for (request, answer) in
        [("GET /healthz", "HTTP/1.1 200"), ("GET /", "HTTP/1.1 4"), ("GET /database", "HTTP/1.1 4")]
    {
        let mut socket = std::net::TcpStream::connect(relay.socket()).unwrap();
        write!(socket, "{request} HTTP/1.1\r\nHost: {}\r\n\r\n", relay.socket()).unwrap();
        let mut said = String::new();
        socket.read_to_string(&mut said).unwrap();
        assert!(said.starts_with(answer), "{request}: {said}");
    }
}

/// What a user would still call at once, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(10);
