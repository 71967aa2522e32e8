//! Every example in the help of every command is run as it stands there, so that none of them rots.
//!
//! They are taken from the manual pages, which are made from the same texts, and run by a shell on a terminal, each in a
//! folder of its own with a small network, a relay that answers, and stand-ins for what other machines would do.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::Device;
use support::pty::Terminal;

/// A relay for the examples of a page, ended with it.
struct Relay {
    child: Child,
    url: String,
}

impl Relay {
    fn start(device: &Device) -> Self {
        let data = device.path("relay").display().to_string();
        let mut command = device.command(["relay", "serve", "--listen", "127.0.0.1:0", "--data", &data, "--open"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("ready ").expect("a relay that is ready").to_owned();
        Self { child, url }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The examples of all pages: the page's name and the line.
fn examples() -> Vec<(String, String)> {
    let device = Device::empty();
    let folder = device.path("man");
    device.run(["man".as_ref(), "--dir".as_ref(), folder.as_os_str()]).ok();
    let mut examples = Vec::new();
    let mut names = support::names(&folder);
    names.sort();
    for name in names {
        let page = std::fs::read_to_string(folder.join(&name)).unwrap();
        let Some((_, rest)) = page.split_once(".SH \"EXAMPLES\"\n.nf\n") else { continue };
        let lines = rest.split(".fi").next().unwrap_or_default().lines();
        let plain = |line: &str| line.replace("\\-", "-").replace("\\e", "\\").trim().to_owned();
        examples.extend(lines.map(|line| (name.trim_end_matches(".1").to_owned(), plain(line))));
    }
    examples
}

/// A device on which everything that examples speak of is there.
fn furnished(page: &str, relay: &Relay) -> Device {
    let device = Device::started();
    if ["ties-completions", "ties-demo", "ties-init", "ties-man", "ties-relay-serve"].contains(&page) {
        return device;
    }
    device.run(["new", "Ada Lovelace", "ada@mail.example", "org:Acme", "+client", "+rust"]).ok();
    device.run(["new", "Grace Hopper", "grace@navy.example", "org:Navy", "+compilers"]).ok();
    let others = ["FN:Bob", "FN:Robert Old\nEMAIL:bob@old.example", "FN:Jürgen Müller\nADR:;;;Vienna;;;"];
    let cards: String = others.iter().map(|card| format!("BEGIN:VCARD\nVERSION:4.0\n{card}\nEND:VCARD\n")).collect();
    device.run_with(["import", "-"], &cards).ok();
    device.run(["note", "ada", "spoke of a crdt grant and a rust lead"]).ok();
    if ["ties-device", "ties-sync"].iter().any(|begin| page.starts_with(begin)) {
        device.run(["relay", "add", &relay.url]).ok();
    }
    device
}

/// The commands of other machines, and an editor.
fn stand_ins(device: &Device) {
    let folder = device.path("bin");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ties"), folder.join("ties")).unwrap();
    let scripts = [
        ("ssh", "shift; TIES_HOME=$OTHER_HOME exec \"$@\""),
        ("pbpaste", "echo pasted"),
        ("jq", "exec cat"),
        ("editor", "echo written >> \"$1\""),
    ];
    for (name, script) in scripts {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    std::fs::write(device.path("contacts.vcf"), "BEGIN:VCARD\nVERSION:3.0\nFN:Alan Turing\nEND:VCARD\n").unwrap();
    std::fs::write(device.path("google.csv"), "First Name,Last Name,E-mail 1 - Value\nAlan,Kay,alan@kay.example\n")
        .unwrap();
    let mut archive = zip::ZipWriter::new(File::create(device.path("Basic_LinkedInDataExport.zip")).unwrap());
    archive.start_file("Connections.csv", zip::write::SimpleFileOptions::default()).unwrap();
    let row = "Barbara,Liskov,https://www.linkedin.com/in/liskov,,MIT,Professor,05 Mar 2021";
    write!(archive, "First Name,Last Name,URL,Email Address,Company,Position,Connected On\n{row}\n").unwrap();
    archive.finish().unwrap();
    std::fs::create_dir(device.path("relay-data")).unwrap();
    std::fs::create_dir(device.path("runtime")).unwrap();
}

/// The line with what is there in the place of what it invents.
fn real(line: &str, relay: &Relay, device: &Device) -> String {
    // What stands behind three spaces explains the example.
    let line = line.split("   ").next().unwrap_or_default().trim_end();
    let mut line = line.to_owned();
    for invented in ["ws://127.0.0.1:7700#KEY", "ties://KEY@relay.example:7700", "wss://relay.example/ties#KEY"] {
        line = line.replace(invented, &relay.url);
    }
    for (invented, real) in
        [("127.0.0.1:7700", "127.0.0.1:0"), ("0.0.0.0:7700", "127.0.0.1:0"), ("/var/lib/ties-relay", "relay-data")]
    {
        line = line.replace(invented, real);
    }
    if line.contains("/media/stick") && !line.starts_with("ties recover") {
        let stick = device.path("stick");
        let _ = std::fs::create_dir(&stick);
        if line.starts_with("ties relay remove") {
            device.run(["relay", "add", &format!("folder:{}", stick.display())]).ok();
        }
        line = line.replace("/media/stick", &stick.display().to_string());
    }
    if line.starts_with("ties demo") {
        // A thousand people take a slow build of the program minutes.
        line = line.replace(" --people 200", "") + " --people 20";
    }
    if ["ties sync --listen", "ties agent start --listen"].contains(&line.as_str()) {
        line.push_str(" 127.0.0.1:0");
    }
    if line.starts_with("ties agent status") || line.starts_with("ties agent stop") {
        device.command(["agent", "start"]).env("XDG_RUNTIME_DIR", device.path("runtime")).status().unwrap();
    }
    line = line.replace("--relay URL", &format!("--relay '{}'", relay.url));
    if line.contains("3f2a91c0") {
        let operations = device.json(["ops"]);
        line = line.replace("3f2a91c0", operations["operations"][0]["id"].as_str().expect("an operation"));
    }
    if line.contains("3f2a") || line.contains("9c1e") {
        let hit = device.json(["find", "crdt"]);
        let note = hit["hits"][0]["note"]["short"].as_str().expect("a note").to_owned();
        line = line.replace("3f2a", &note).replace("9c1e", &note);
    }
    line
}

/// What the device that lets others in says on its first line: a code or a ticket.
fn hosted(device: &Device, how: &[&str]) -> (Child, String) {
    let mut command = device.command(how);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    (child, said)
}

fn run(page: &str, line: &str, relay: &Relay) {
    let device = furnished(page, relay);
    stand_ins(&device);
    if page == "ties-lock" || page == "ties-unlock" || line.contains("--remove") {
        device.run_with(["passphrase", "-"], SECRET).ok();
    }
    std::fs::write(device.path("secret.txt"), SECRET).unwrap();
    let joins = line.contains("ties device join") && !line.contains("ssh phone");
    let (mut home, mut other) = (device.home(), device.path("other"));
    if joins || page == "ties-init" {
        std::mem::swap(&mut home, &mut other);
    }
    let mut line = real(line, relay, &device);
    let mut host = None;
    let mut typed = "y\n".to_owned();
    if joins && line.contains("join 17") {
        // No invented code can work: another device has to have just made it.
        let here = ["device", "add", "--yes", "--json", "--listen", "127.0.0.1:0"];
        let (child, shown) = hosted(&device, &here);
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        let [code, peer] = ["code", "peer"].map(|field| shown[field].as_str().expect("a text"));
        line = line.replace("192.168.1.5:7701", peer);
        if !line.contains("--relay") && !line.contains("--peer") {
            // The test's devices do not search the tester's network.
            line = format!("{line} --peer {peer}");
        }
        line = line.replace("17-acid-zoo-lunch", code).replace("17 acid zoo lunch", &code.replace('-', " "));
        host = Some(child);
    } else if joins && line.contains("--folder") {
        let stick = device.path("stick").display().to_string();
        let (mut child, ticket) = hosted(&device, &["device", "add", "--ticket", "--folder", &stick, "--no-wait"]);
        child.wait().unwrap();
        std::fs::write(device.path("ticket.txt"), &ticket).unwrap();
    } else if joins && !line.starts_with("ssh") {
        let (child, ticket) = hosted(&device, &["device", "add", "--ticket", "--yes"]);
        std::fs::write(device.path("ticket.txt"), &ticket).unwrap();
        (host, typed) = (Some(child), ticket);
    }
    if page == "ties-init" && !line.contains("--no-recovery") {
        // The words are new each time; a test of their own types them.
        line.push_str(" --skip-check");
    }
    if line == "ties redo" {
        device.run(["undo"]).ok();
    }
    let folder = home.parent().map_or_else(|| Path::new(".").to_owned(), Path::to_owned);
    // `~` in examples is the user's folder.
    std::fs::create_dir_all(folder.join("relay")).unwrap();
    if line.contains("token.txt") && page == "ties-relay-add" {
        let data = device.path("relay-data").display().to_string();
        let token = device.run(["relay", "token", "--data", &data]).ok().out;
        std::fs::write(device.path("token.txt"), token).unwrap();
    }
    let waits =
        WAITING.iter().find(|(begin, _)| line.starts_with(begin) && !line.contains('|') && !line.contains("--no-wait"));
    let mut command = Command::new("sh");
    command.arg("-c").arg(if waits.is_some() { format!("exec {line}") } else { line.clone() }).current_dir(&folder);
    let path = format!("{}:{}", device.path("bin").display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env("HOME", &folder).env("TIES_HOME", &home).env("OTHER_HOME", &other);
    command.env("EDITOR", device.path("bin/editor")).env_remove("VISUAL").env("MANPAGER", "cat").env("PAGER", "cat");
    // With a seed a passphrase is tried quickly.
    command.env("TMPDIR", &folder).env("XDG_RUNTIME_DIR", device.path("runtime"));
    if line.contains("passphrase") || line.contains("lock") {
        command.env("TIES_SEED", "1");
    }
    let mut terminal = Terminal::start(command);
    match ASKING.iter().find(|(begin, _)| *begin == line) {
        // A passphrase that is typed before it is asked for is dropped.
        Some((_, questions)) => questions.iter().for_each(|question| {
            terminal.expect(question);
            terminal.type_in(SECRET);
        }),
        None => terminal.type_in(&typed),
    }
    if let Some((_, shown)) = waits {
        terminal.expect(shown);
        terminal.interrupt();
    }
    let (code, screen) = terminal.finish();
    assert!(code == 0 || waits.is_some() && code != 2, "`{line}` of {page} ended with {code}:\n{screen}");
    if let Some(mut host) = host {
        host.wait().unwrap();
    }
    if page == "ties-agent" || page.starts_with("ties-agent-") {
        device.command(["agent", "stop"]).env("XDG_RUNTIME_DIR", device.path("runtime")).status().unwrap();
    }
}

#[test]
fn every_example_does_what_it_says() {
    let examples = examples();
    assert!(examples.len() > 40, "{} examples", examples.len());
    for page in examples.chunk_by(|(one, _), (other, _)| one == other) {
        // A relay makes so many mailboxes a day for one place, and no more.
        let keeper = Device::empty();
        let relay = Relay::start(&keeper);
        for (page, line) in page {
            if let Some((_, why)) = LEFT_OUT.iter().find(|(begin, _)| line.starts_with(begin)) {
                println!("{page}: {line}: left out: {why}");
                continue;
            }
            println!("{page}: {line}");
            run(page, line, &relay);
        }
    }
}

/// What goes on until it is interrupted, and what it shows by then.
const WAITING: [(&str, &str); 4] = [
    ("ties device add", "Waiting"),
    ("ties sync --watch", "up to date"),
    ("ties sync --listen", "listening"),
    ("ties relay serve", "ready "),
];
/// What is not run, and why.
const LEFT_OUT: [(&str, &str); 11] = [
    (
        "ties sync --peer",
        "it wants another device that listens; the end-to-end stories of devices without a relay play it",
    ),
    ("ties device revoke", "it wants a second device; the end-to-end story of lost devices plays it"),
    ("ties device r", "the same story retires and renames devices and changes their roles"),
    ("ties quarantine accept", "it wants what a lost device wrote; the same story plays it"),
    ("ties quarantine discard", "the same story plays it"),
    ("ties backup /media/stick", "no stick is there; the others are run"),
    ("ties restore", "it wants an empty folder and a backup's secret; the drill of backups plays it"),
    ("ties resolve", "it wants two devices that set one field apart; the test of conflicts plays it"),
    ("ties recover", "the end-to-end drill of recovery plays it, with the words of devices that were lost"),
    ("ties reset", "the same drill plays it"),
    ("ties key rotate-recovery", "it wants words that only their first showing tells; the same drill plays it"),
];
/// What asks for a passphrase, and how.
const ASKING: [(&str, &[&str]); 5] = [
    ("ties backup today.backup --force", &["New passphrase: ", "The same again: "]),
    ("ties passphrase", &["New passphrase: ", "The same again: "]),
    ("ties passphrase --remove", &["Current passphrase: "]),
    ("ties unlock", &["Passphrase: "]),
    ("ties unlock --for 30m", &["Passphrase: "]),
];
const SECRET: &str = "correct horse battery staple\n";
