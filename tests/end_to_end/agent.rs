//! The agent as a real process: what it brings, how it ends, and that nothing depends on it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Device, Needles, Relay, Running, Tap, World, below, files, pair};

/// An agent of a device, ended with the test.
struct Agent<'d> {
    device: &'d Device,
    process: i32,
}

impl<'d> Agent<'d> {
    #[track_caller]
    fn start(device: &'d Device) -> Self {
        Self::start_with(device, &[])
    }

    #[track_caller]
    fn start_with(device: &'d Device, words: &[&str]) -> Self {
        let said = device.json(&[&["agent", "start"], words].concat());
        assert_eq!(said["running"], true, "{said}");
        let process = said["agent"]["process"].as_i64().unwrap();
        Self { device, process: i32::try_from(process).unwrap() }
    }

    fn state(&self) -> Value {
        self.device.json(&["agent", "status"])["agent"].clone()
    }

    /// Waits until its first road stands so.
    #[track_caller]
    fn until(&self, state: &str) {
        let began = Instant::now();
        while self.state()["roads"][0]["state"] != state {
            assert!(began.elapsed() < PATIENCE, "not {state}: {}", self.state());
            sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.process).unwrap(), signal).unwrap();
    }

    /// Ends it as a power failure would.
    fn kill(&self) {
        self.signal(Signal::KILL);
        let began = Instant::now();
        while self.device.run(&["agent", "status"]).code != Some(3) {
            assert!(began.elapsed() < PATIENCE, "it is still there");
        }
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        // It may have ended, or be somebody else's number by now: the command knows.
        let _ = self.device.run(&["agent", "stop"]);
    }
}

/// Waits until a device lists somebody, and says how long that took.
#[track_caller]
fn arrives(device: &Device, name: &str) -> Duration {
    let began = Instant::now();
    loop {
        if device.names().iter().any(|known| known == name) {
            return began.elapsed();
        }
        assert!(began.elapsed() < PATIENCE, "{name} does not arrive; {:?}", device.run(&["agent", "status"]).out);
    }
}

/// Two paired devices with a relay that can be started again at the same address.
fn tapped(world: &World) -> (Device, Device, Relay, Tap) {
    let (laptop, phone, relay) = (world.started("laptop"), world.device("phone"), world.open_relay());
    let tap = Tap::before(relay.socket());
    laptop.run(&["relay", "add", &tap.url(relay.url())]).ok();
    pair(&laptop, &phone, "phone");
    (laptop, phone, relay, tap)
}

#[test]
fn what_a_command_writes_is_on_the_other_device_within_a_second_and_again_once_a_relay_is_back() {
    let world = World::new();
    let (laptop, phone, mut relay, tap) = tapped(&world);
    let (here, there) = (Agent::start(&laptop), Agent::start(&phone));
    [&here, &there].into_iter().for_each(|agent| agent.until("up-to-date"));
    let mut took = Vec::new();
    for name in ["Ada Lovelace", "Grace Hopper", "Mary Somerville", "Emmy Noether", "Lise Meitner"] {
        laptop.run(&["new", name]).ok();
        took.push(arrives(&phone, name));
    }
    took.sort();
    println!("until a list of the other device shows it, the list itself included: {took:?}");
    assert!(took[0] < Duration::from_secs(1), "{took:?}");

    relay.kill();
    [&here, &there].into_iter().for_each(|agent| agent.until("lost"));
    let lost = here.state()["roads"][0].clone();
    assert!(lost["nextAttempt"].is_string() && lost["error"].is_string(), "{lost}");
    laptop.run(&["new", "Written Meanwhile"]).ok();
    relay.start();
    tap.lead_to(relay.socket());
    arrives(&phone, "Written Meanwhile");

    // Its log says that, and not what.
    let log = fs::read_to_string(laptop.home().join("agent.log")).unwrap();
    assert!(log.contains("sent 1, received 0") && log.contains("lost ws://127.0.0.1"), "{log}");
    let mut needles = Needles::default();
    ["Lovelace", "Somerville", "Meanwhile"].into_iter().for_each(|word| needles.word(word));
    let found = needles.within(log.as_bytes());
    assert!(found.is_empty(), "{found:?}");
    for path in below(&laptop.home()) {
        // What the agent is just reading comes and goes.
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        assert_eq!(about.permissions().mode() & 0o077, 0, "{} is closed to others", path.display());
    }
}

#[test]
fn one_agent_runs_for_a_folder_and_ends_in_good_order_and_a_crash_leaves_nothing_in_the_way() {
    let world = World::new();
    let laptop = world.started("laptop");
    laptop.run(&["agent", "status"]).code(3).complains("no agent is running");
    assert!(laptop.run(&["agent", "stop"]).ok().out.contains("No agent is running"));
    let agent = Agent::start(&laptop);
    laptop.run(&["agent", "start"]).code(1).complains("an agent is running already");
    laptop.run(&["agent", "start", "--foreground"]).code(1).complains("already");
    assert!(laptop.run(&["agent", "status"]).ok().out.contains(&format!("process {}", agent.process)));
    agent.kill();
    let again = Agent::start(&laptop);
    assert_ne!(again.process, agent.process);
    laptop.run(&["agent", "stop"]).ok();
    laptop.run(&["agent", "status"]).code(3);
    assert!(laptop.strays().iter().all(|path| path.is_dir()), "{:?}", laptop.strays());

    // A supervisor's way, and a socket that somebody tidied away.
    let running = laptop.start(&["agent", "start", "--foreground"], "");
    running.line("keeps this device in sync");
    for path in laptop.strays().iter().filter(|path| !path.is_dir()) {
        fs::remove_file(path).unwrap();
    }
    laptop.run(&["agent", "status"]).code(1).complains("does not answer");
    laptop.run(&["agent", "stop"]).ok();
    running.finish().ok();
    // What cannot begin is said by the command that asked for it.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap().to_string();
    laptop.run(&["agent", "start", "--listen", &place]).code(1).complains("cannot listen");
    laptop.run(&["agent", "status"]).code(3);
    world.device("nobody").run(&["agent", "start"]).code(3).complains("ties init");
}

#[test]
fn a_frozen_agent_finds_out_that_its_relay_is_another_process_and_a_new_road_is_taken() {
    let world = World::new();
    let (laptop, phone, mut relay, tap) = tapped(&world);
    let (here, _there) = (Agent::start(&laptop), Agent::start(&phone));
    here.until("up-to-date");
    // As a machine that sleeps while the world goes on.
    here.signal(Signal::STOP);
    relay.kill();
    relay.start();
    tap.lead_to(relay.socket());
    phone.run(&["new", "Written Meanwhile"]).ok();
    sleep(Duration::from_millis(300));
    here.signal(Signal::CONT);
    arrives(&laptop, "Written Meanwhile");

    // Roads that are added while it runs.
    let stick = world.path("stick");
    fs::create_dir(&stick).unwrap();
    laptop.run(&["relay", "add", &format!("folder:{}", stick.display())]).ok();
    let began = Instant::now();
    while files(&stick).iter().all(|(path, _)| path.is_dir()) {
        assert!(began.elapsed() < PATIENCE, "nothing is left in the folder");
    }
    let second = world.second_relay();
    laptop.run(&["relay", "add", second.url()]).ok();
    let began = Instant::now();
    while here.state()["roads"].as_array().unwrap().iter().filter(|road| road["state"] == "up-to-date").count() < 3 {
        assert!(began.elapsed() < PATIENCE, "{}", here.state());
    }
}

#[test]
fn two_agents_meet_with_no_relay_where_one_listens() {
    let world = World::new();
    let (laptop, phone, mut relay) = world.pair();
    [&laptop, &phone, &laptop].into_iter().for_each(Device::sync);
    relay.kill();
    let host = Agent::start_with(&laptop, &["--listen", "127.0.0.1:0"]);
    let place = host.state()["listening"].as_str().unwrap().to_owned();
    let _guest = Agent::start_with(&phone, &["--peer", &place]);
    laptop.run(&["new", "Ada Lovelace"]).ok();
    arrives(&phone, "Ada Lovelace");
    phone.run(&["new", "Grace Hopper"]).ok();
    arrives(&laptop, "Grace Hopper");
}

#[test]
fn killed_agents_and_commands_lose_nothing_that_was_acknowledged() {
    let world = World::new();
    let (laptop, phone, relay) = world.pair();
    let mut written = Vec::new();
    for round in 0..KILLS {
        let (here, there) = (Agent::start(&laptop), Agent::start(&phone));
        for (device, side) in [(&laptop, "laptop"), (&phone, "phone")] {
            let name = format!("Person {round} of {side}");
            device.run(&["new", &name]).ok();
            written.push(name);
        }
        // A command that dies somewhere on its way; what it said to be done is done.
        let name = format!("Perhaps {round}");
        let dying = laptop.start(&["new", &name], "");
        sleep(Duration::from_millis(7 * round));
        let ran = dying.kill();
        if ran.code == Some(0) {
            written.push(name);
        }
        sleep(Duration::from_millis(11 * round));
        here.kill();
        there.kill();
    }
    [&laptop, &phone, &laptop].into_iter().for_each(Device::sync);
    let names = laptop.names();
    assert_eq!(names, phone.names());
    for name in written {
        assert!(names.contains(&name), "{name} is lost");
    }
    for device in [&laptop, &phone] {
        device.run(&["doctor", "--offline"]).ok();
        assert_eq!(device.export(), laptop.export());
    }
    drop(relay);
}

#[test]
fn an_agent_has_a_locked_book_open_only_while_it_is_unlocked() {
    let world = World::new();
    let (laptop, phone, _relay) = world.pair();
    laptop.sync();
    let mut set = laptop.command(&["passphrase", "-"]);
    set.env("TIES_SEED", "1");
    Running::start(set, "correct horse battery staple\n").finish().ok();
    let started = laptop.run(&["agent", "start"]).ok();
    assert!(started.out.contains("waits: the data are locked") && started.err.contains("ties unlock"), "{started}");
    let agent = Agent { device: &laptop, process: 0 };
    assert_eq!(agent.state()["locked"], true);
    assert!(laptop.run(&["agent", "status"]).ok().out.contains("nothing is exchanged until ties unlock"));

    let unlock = || laptop.run_with(&["unlock", "-"], "correct horse battery staple\n").ok();
    unlock();
    agent.until("up-to-date");
    phone.run(&["new", "Ada Lovelace"]).ok();
    phone.sync();
    arrives(&laptop, "Ada Lovelace");

    // When the command has ended, the agent has let go.
    let locked = laptop.run(&["lock"]).ok();
    assert!(!locked.err.contains("keeps the key"), "{locked}");
    assert_eq!(agent.state()["locked"], true);
    phone.run(&["new", "Grace Hopper"]).ok();
    phone.sync();
    unlock();
    arrives(&laptop, "Grace Hopper");
    // A time that is over is like a lock.
    laptop.run_with(&["unlock", "--for", "1s", "-"], "correct horse battery staple\n").ok();
    let began = Instant::now();
    while agent.state()["locked"] != true {
        assert!(began.elapsed() < PATIENCE, "it keeps the key");
        sleep(Duration::from_millis(50));
    }
}

/// How often the threads of a process have gone to sleep by themselves, and the memory it holds, in KiB.
#[cfg(target_os = "linux")]
fn measured(process: i32) -> (u64, u64) {
    let number = |text: &str, name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let switches = tasks.flatten().map(|task| {
        // A thread may end meanwhile.
        let text = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        number(&text, "voluntary_ctxt_switches:")
    });
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    (switches.sum(), number(&status, "RssAnon:"))
}

#[cfg(target_os = "linux")]
#[test]
fn an_idle_agent_sleeps_and_is_small() {
    let world = World::new();
    let (laptop, phone, _relay) = world.pair();
    let (here, there) = (Agent::start(&laptop), Agent::start(&phone));
    [&here, &there].into_iter().for_each(|agent| agent.until("up-to-date"));
    // Threads that took the disk's time go after ten seconds of nothing to do.
    sleep(Duration::from_secs(12));
    let before = measured(here.process).0;
    sleep(Duration::from_secs(5));
    let (after, memory) = measured(here.process);
    println!("idle: {} wake-ups in 5 s, {memory} KiB of memory of its own", after - before);
    // One ping and its answer may fall into any five seconds.
    assert!(after - before <= 4, "{} wake-ups in 5 s", after - before);
    assert!(memory < 15 * 1024, "{memory} KiB");
}

/// As a user has it: what tests are spared is on.
fn by_itself(device: &Device, words: &[&str]) -> Duration {
    let mut command = device.command(words);
    command.env_remove("TIES_NO_AUTO").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    assert!(command.status().unwrap().success(), "{words:?}");
    began.elapsed()
}

#[test]
fn without_an_agent_a_write_goes_to_the_relay_while_its_user_goes_on() {
    let world = World::new();
    let (laptop, phone, relay, tap) = tapped(&world);
    laptop.sync();
    by_itself(&laptop, &["new", "Ada Lovelace"]);
    let brought = |name: &str| {
        let began = Instant::now();
        loop {
            phone.sync();
            if phone.names().iter().any(|known| known == name) {
                return true;
            }
            if began.elapsed() > Duration::from_secs(8) {
                return false;
            }
        }
    };
    assert!(brought("Ada Lovelace"));

    // A relay that takes the connection and says nothing holds nobody up.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    tap.lead_to(silent.local_addr().unwrap());
    let hung = (0..3).map(|n| by_itself(&laptop, &["new", &format!("Meanwhile {n}")])).min().unwrap();
    laptop.run(&["config", "sync.auto", "off"]).ok();
    let off = (0..3).map(|n| by_itself(&laptop, &["new", &format!("Quietly {n}")])).min().unwrap();
    println!("a write: {hung:?} with a relay that hangs, {off:?} where it is off");
    assert!(hung < off + Duration::from_millis(500), "{hung:?} against {off:?}");
    // Such a process is gone after two seconds, and says so to whoever asks.
    let began = Instant::now();
    while !laptop.run(&["status"]).out.contains("failed since") {
        assert!(began.elapsed() < Duration::from_secs(10), "nothing is told of the failure");
        sleep(Duration::from_millis(100));
    }
    tap.lead_to(relay.socket());
    by_itself(&laptop, &["new", "Kept Here"]);
    sleep(Duration::from_millis(500));
    phone.sync();
    assert!(!phone.names().contains(&"Kept Here".to_owned()), "it is off");
}

#[test]
fn the_owners_program_is_told_what_came() {
    let world = World::new();
    let (laptop, phone, _relay) = world.pair();
    let told = world.path("told");
    let program = laptop.file("hook.sh", &format!("#!/bin/sh\ncat >> {}\n", told.display()));
    laptop.run(&["config", "on-sync", &program]).code(2).complains("no program that can be run");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    laptop.run(&["config", "on-sync", "hook.sh"]).code(2).complains("whole path");
    laptop.run(&["config", "on-sync", &program]).ok();
    laptop.sync();
    let _ = fs::remove_file(&told);

    let lines = || -> Vec<Value> {
        let text = fs::read_to_string(&told).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    phone.run(&["new", "Ada Lovelace"]).ok();
    phone.sync();
    laptop.sync();
    let first = lines();
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!((&first[0]["event"], &first[0]["device"]), (&"on-sync".into(), &"laptop".into()));
    let changed = &first[0]["changed"][0];
    assert_eq!((&changed["kind"], &changed["name"]), (&"person".into(), &"Ada Lovelace".into()));
    // Nothing came, so nothing is told; and what this device wrote is no news.
    laptop.run(&["new", "Grace Hopper"]).ok();
    laptop.sync();
    assert_eq!(lines().len(), 1);

    let _agent = Agent::start(&laptop);
    phone.run(&["note", "ada", "met at the fair"]).ok();
    phone.sync();
    let began = Instant::now();
    while lines().len() < 2 {
        assert!(began.elapsed() < PATIENCE, "the agent tells nothing");
        sleep(Duration::from_millis(20));
    }
    assert!(lines()[1]["changed"].as_array().unwrap().iter().any(|one| one["kind"] == "note"), "{:?}", lines()[1]);
    laptop.run(&["config", "--unset", "on-sync"]).ok();
    assert_eq!(laptop.json(&["config"])["settings"]["on-sync"], "");
}

/// More than anything takes: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(40);
/// How often agents are killed.
const KILLS: u64 = 6;
