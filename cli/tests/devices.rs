//! Two devices and a relay as processes, driven as a script would.

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use support::{Device, Ran, finish};

/// A relay's process, ended with the test.
struct Relay {
    child: Child,
    url: String,
}

impl Relay {
    fn start(device: &Device) -> Self {
        let data = device.path("relay").display().to_string();
        let mut child = device
            .command(["relay", "serve", "--listen", "127.0.0.1:0", "--data", &data, "--open"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a started relay");
        let line = first_line(&mut child);
        let url = line.strip_prefix("ready ").expect("a relay that is ready").to_owned();
        Self { child, url }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(child: &mut Child) -> BufReader<ChildStdout> {
    BufReader::new(child.stdout.take().expect("a piped output"))
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    lines_of(child).read_line(&mut line).expect("a line");
    line.trim_end().to_owned()
}

/// Starts a command with its streams in our hands.
fn spawn<'a>(device: &Device, words: impl IntoIterator<Item = &'a str>) -> Child {
    let mut command = device.command(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("a started process")
}

/// Pairs two devices as a script does; gives what either said.
fn pair(laptop: &Device, phone: &Device) -> (Ran, Ran) {
    let mut host = spawn(laptop, ["device", "add", "--ticket", "--yes"]);
    let mut lines = lines_of(&mut host);
    let mut ticket = String::new();
    lines.read_line(&mut ticket).expect("a ticket");
    assert!(!ticket.trim().is_empty() && !ticket.trim().contains(' '), "the ticket has a line of its own");
    let joined = phone.run_with(["device", "join", "-", "--name", "phone"], &ticket).ok();
    (finish(host, "").ok(), joined)
}

#[test]
fn a_second_device_joins_by_ticket_and_both_have_the_same() {
    let (laptop, phone) = (Device::started(), Device::empty());
    let relay = Relay::start(&laptop);
    laptop.run(["new", "Grace Hopper", "grace@navy.example"]).ok();
    laptop.run(["relay", "add", &relay.url]).ok();
    let (host, joined) = pair(&laptop, &phone);
    assert!(joined.out.contains("phone"), "{}", joined.out);
    assert!(host.err.contains("phone"), "{}", host.err);
    phone.run(["note", "grace", "from the phone"]).ok();
    phone.run(["sync"]).ok();
    let synced = laptop.run(["sync"]).ok();
    assert!(synced.out.contains("up to date"), "{}", synced.out);
    let export = |device: &Device| device.run(["export", "--to", "json"]).ok().out;
    assert_eq!(export(&laptop), export(&phone));
    assert!(laptop.run(["show", "grace"]).ok().out.contains("from the phone"));
    assert_eq!(laptop.json(["device", "list"])["devices"].as_array().unwrap().len(), 2);
}

#[test]
fn a_watching_device_says_what_comes_in() {
    let (laptop, phone) = (Device::started(), Device::empty());
    let relay = Relay::start(&laptop);
    laptop.run(["relay", "add", &relay.url]).ok();
    pair(&laptop, &phone);
    let mut watching = spawn(&phone, ["sync", "--watch", "--json"]);
    let mut lines = lines_of(&mut watching).lines();
    let mut next = |event: &str| loop {
        let line = lines.next().expect("one more event").expect("a line");
        let said: serde_json::Value = serde_json::from_str(&line).expect("an event on each line");
        if said["event"] == event {
            return said;
        }
    };
    next("up-to-date");
    laptop.run(["new", "Grace Hopper"]).ok();
    laptop.run(["sync"]).ok();
    assert_ne!(next("exchanged")["received"], 0);
    watching.kill().unwrap();
    finish(watching, "");
    phone.run(["show", "grace"]).ok();
}

#[test]
fn a_ticket_that_nobody_uses_in_time_is_void() {
    let laptop = Device::started();
    let relay = Relay::start(&laptop);
    laptop.run(["relay", "add", &relay.url]).ok();
    let ran = laptop.run(["device", "add", "--ticket", "--yes", "--for", "1s"]).code(1);
    assert!(ran.err.contains("no device came in time"), "{}", ran.err);
    assert_eq!(laptop.json(["device", "list"])["devices"].as_array().unwrap().len(), 1);
}

#[test]
fn a_relay_that_is_gone_fails_the_sync_and_loses_nothing() {
    let laptop = Device::started();
    let relay = Relay::start(&laptop);
    laptop.run(["relay", "add", &relay.url]).ok();
    laptop.run(["sync"]).ok();
    drop(relay);
    laptop.run(["new", "Ada"]).ok();
    let ran = laptop.run(["sync"]).code(1);
    assert!(ran.out.contains("failed"), "{}", ran.out);
    laptop.run(["show", "ada"]).ok();
}

#[test]
#[cfg(unix)]
fn watching_ends_well_when_it_is_asked_to_stop() {
    use rustix::process::{Pid, Signal, kill_process};

    let laptop = Device::started();
    let relay = Relay::start(&laptop);
    laptop.run(["relay", "add", &relay.url]).ok();
    for signal in [Signal::INT, Signal::TERM] {
        let mut child = spawn(&laptop, ["sync", "--watch"]);
        assert!(first_line(&mut child).contains("connected"));
        kill_process(Pid::from_child(&child), signal).unwrap();
        finish(child, "").ok();
    }
}

#[test]
fn the_demo_proves_what_it_says() {
    let device = Device::empty();
    let scratch = device.path("tmp");
    std::fs::create_dir(&scratch).unwrap();
    let child = device
        .command(["demo", "--people", "40", "--json"])
        .env("TMPDIR", &scratch)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let report = finish(child, "").ok().json();
    assert_eq!(report["ok"], true);
    assert!(report["proved"].as_array().unwrap().len() >= 5, "{report}");
    assert!(support::names(&scratch).is_empty(), "nothing is left");
}

#[test]
#[cfg(unix)]
fn an_interrupted_demo_leaves_nothing_behind() {
    use rustix::process::{Pid, Signal, kill_process};

    let device = Device::empty();
    let scratch = device.path("tmp");
    std::fs::create_dir(&scratch).unwrap();
    let mut child = device
        .command(["demo", "--people", "200"])
        .env("TMPDIR", &scratch)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = lines_of(&mut child);
    let mut line = String::new();
    while !line.contains("relay serve") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the demo ended early");
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    finish(child, "").code(130);
    assert!(support::names(&scratch).is_empty(), "nothing is left");
}

#[cfg(unix)]
mod at_a_terminal {
    use std::io::Write as _;

    use support::pty::Terminal;

    use super::*;

    /// Starts pairing at a terminal and hands the ticket to the new device.
    fn ask_to_be_let_in(laptop: &Device, phone: &Device) -> (Terminal, Child) {
        let mut host = Terminal::start(laptop.command(["device", "add", "--ticket", "--color", "never"]));
        host.expect("ties device join -");
        host.expect("\n");
        let ticket = host.line();
        host.expect("Waiting for the new device");
        let mut guest = spawn(phone, ["device", "join", "-", "--name", "phone"]);
        let mut stdin = guest.stdin.take().expect("a piped input");
        writeln!(stdin, "{ticket}").expect("a ticket handed over");
        guest.stdin = Some(stdin);
        (host, guest)
    }

    #[test]
    fn the_user_sees_who_comes_and_lets_them_in() {
        let (laptop, phone) = (Device::started(), Device::empty());
        let relay = Relay::start(&laptop);
        laptop.run(["relay", "add", &relay.url]).ok();
        let (mut host, guest) = ask_to_be_let_in(&laptop, &phone);
        host.expect("fingerprint  ");
        let words = host.line();
        host.expect("Add 'phone'? [y/N] ");
        host.type_in("y\n");
        host.expect("Added.");
        assert_eq!(host.finish().0, 0);
        assert_eq!(words.split_whitespace().count(), 4, "{words:?}");
        let guest = finish(guest, "").ok();
        let shown = format!("{}{}", guest.out, guest.err);
        assert!(shown.contains(&format!("This device's fingerprint: {}", words.trim())), "{shown}");
    }

    #[test]
    fn a_device_that_is_turned_away_gets_nothing() {
        let (laptop, phone) = (Device::started(), Device::empty());
        let relay = Relay::start(&laptop);
        laptop.run(["relay", "add", &relay.url]).ok();
        let (mut host, guest) = ask_to_be_let_in(&laptop, &phone);
        host.expect("[y/N] ");
        host.type_in("no\n");
        assert_eq!(host.finish().0, 1);
        let ran = finish(guest, "");
        assert_ne!(ran.code, 0, "{}", ran.out);
        assert_eq!(laptop.json(["device", "list"])["devices"].as_array().unwrap().len(), 1);
        phone.run(["ls"]).code(3);
    }

    #[test]
    fn a_join_that_is_stopped_leaves_nothing() {
        use rustix::process::{Pid, Signal, kill_process};

        let (laptop, phone) = (Device::started(), Device::empty());
        let relay = Relay::start(&laptop);
        laptop.run(["relay", "add", &relay.url]).ok();
        let (mut host, guest) = ask_to_be_let_in(&laptop, &phone);
        host.expect("[y/N] ");
        kill_process(Pid::from_child(&guest), Signal::INT).unwrap();
        let ran = finish(guest, "").code(1);
        assert!(ran.err.contains("stopped"), "{}", ran.err);
        assert!(!phone.home().exists());
        host.interrupt();
        assert_eq!(host.finish().0, 1);
        assert_eq!(laptop.json(["device", "list"])["devices"].as_array().unwrap().len(), 1);
    }
}
