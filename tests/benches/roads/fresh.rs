//! A new device that begins with a checkpoint from a relay: how soon it lists people, how soon everything is there.

use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::at_most;
use crate::home::{Home, median, milliseconds};
use crate::pair::{filled, joining};
use crate::proxy::Proxy;
use crate::report::Report;
use crate::server::Server;

/// As many people as somebody knows who is much on the road.
pub(crate) fn usual(report: &Report, people: usize) {
    let origin = Origin::with(report, people);
    report.figure("pairing with an empty network", milliseconds(median(TURNS, pairing_alone)), "ms", None);
    let listed = median(TURNS, || origin.time_until_listed());
    report.figure("fresh device, list usable, pairing included", listed.as_secs_f64(), "s", at_most(0.5));
    let mut came = Vec::new();
    let whole = median(TURNS, || {
        let device = origin.join();
        came.push(device.bytes);
        device.took
    });
    report.figure("fresh device, everything durable, pairing included", whole.as_secs_f64(), "s", at_most(1.5));
    came.sort_unstable();
    let (bytes, least) = (came[TURNS / 2] as f64, origin.least());
    let megabytes = |bytes: f64| bytes / 1e6;
    report.note(&format!(
        "{:.2} MB came and went; zstd -19 of the export and 64 B a document are {:.2} MB",
        megabytes(bytes),
        megabytes(least)
    ));
    report.figure("fresh device, bytes / (zstd -19 + 64 B a document)", bytes / least, "times", at_most(1.3));
}

/// Ten times as many.
pub(crate) fn large(report: &Report, people: usize) {
    let origin = Origin::with(report, people);
    let listed = origin.time_until_listed();
    report.figure("100,000 people, list usable, pairing included", listed.as_secs_f64(), "s", at_most(4.0));
    let device = origin.join();
    report.figure("100,000 people, everything durable, pairing included", device.took.as_secs_f64(), "s", None);
    report.figure("100,000 people, memory while joining", device.memory as f64 / 1e6, "MB", at_most(300.0));
    report.figure("100,000 people, both ways", device.bytes as f64 / 1e6, "MB", None);
    let verified = device.home.try_time(&["doctor", "--offline"]);
    report.figure("100,000 people, everything verified by doctor", verified.as_secs_f64(), "s", None);
}

/// A network that a new device joins.
struct Origin {
    laptop: Home,
    people: usize,
    documents: usize,
    proxy: Proxy,
    _server: Server,
}

/// A device that came in, and what that took.
struct Joined {
    home: Home,
    took: Duration,
    memory: u64,
    bytes: u64,
}

impl Origin {
    fn with(report: &Report, people: usize) -> Self {
        let server = Server::start();
        let proxy = Proxy::before(&server.address.to_string());
        let (laptop, documents) = filled(people);
        laptop.run(&["relay", "add", proxy.address()]);
        let made = laptop.time(&["sync"]);
        let checkpoint = &laptop.json(&["status"])["checkpoints"][0];
        // A checkpoint is worth its making from some thousand records on.
        let made = format!("sent within {:.1} s, a checkpoint of {} bytes", made.as_secs_f64(), checkpoint["bytes"]);
        report.note(&format!("{people} people in {documents} documents; {made}"));
        Self { laptop, people, documents, proxy, _server: server }
    }

    fn join(&self) -> Joined {
        let home = Home::new();
        let before = self.proxy.bytes();
        let (hosting, guest) = joining(&self.laptop, &home, "phone");
        let (took, memory) = guest.end();
        let bytes = self.proxy.bytes() - before;
        drop(hosting);
        assert!(home.lists(&self.last_one()), "everybody arrived");
        let standing = &home.json(&["status"])["checkpoints"][0]["standing"];
        assert!(
            standing == "unverified" || standing == "started" || self.people < FEW,
            "it began otherwise: {standing}"
        );
        Joined { home, took, memory, bytes }
    }

    /// From the new device's command until another one there lists the last of all people.
    fn time_until_listed(&self) -> Duration {
        let home = Home::new();
        let (hosting, mut guest) = joining(&self.laptop, &home, "phone");
        let wanted = self.last_one();
        let took = loop {
            // The looks themselves take from both cores; they are few.
            sleep(Duration::from_millis(20));
            let over = guest.is_over();
            if home.lists(&wanted) {
                break guest.began().elapsed();
            }
            assert!(!over, "it has joined and lists nobody");
        };
        guest.end();
        drop(hosting);
        took
    }

    fn last_one(&self) -> [&'static str; 5] {
        // Text alone says whether somebody is there.
        let last = (self.people - 1).to_string();
        ["ls", "--limit", "1", "--offset", Box::leak(last.into_boxed_str())]
    }

    /// What the same records take as one file of lines, compressed as hard as is usual, with an identity for each.
    fn least(&self) -> f64 {
        let people: Vec<Value> = serde_json::from_str(&self.laptop.run(&["export", "--to", "json"])).unwrap();
        let lines: String = people.iter().map(|person| format!("{person}\n")).collect();
        let compressed = zstd::bulk::compress(lines.as_bytes(), 19).unwrap();
        (compressed.len() + 64 * self.documents) as f64
    }
}

/// What two programs need to become acquainted, with nothing to exchange.
fn pairing_alone() -> Duration {
    let server = Server::start();
    let (laptop, phone) = (Home::new(), Home::new());
    laptop.run(&["init", "--no-recovery"]);
    laptop.run(&["relay", "add", &server.address.to_string()]);
    let (hosting, guest) = joining(&laptop, &phone, "phone");
    let (took, _) = guest.end();
    drop(hosting);
    took
}

const TURNS: usize = 3;
/// With so few no checkpoint is made.
const FEW: usize = 5_000;
