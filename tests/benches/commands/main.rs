//! What a person waits for: the real `ties` as processes, beside a program that says hello.
//!
//! `cargo xtask bench commands` prints a line for each figure; times are medians over runs that take turns with the hello,
//! so that both see the same machine. `cargo bench -p ties-tests --bench commands -- syncing` is the second half alone,
//! with programs that are built already. With `TIES_BENCH_JSON` set to a path, figures are appended there too.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a benchmark")]

mod at_rest;
#[allow(dead_code, reason = "another benchmark uses the rest")]
mod home;
mod proxy;
#[path = "../relay/report.rs"]
#[allow(dead_code, reason = "another benchmark uses the rest")]
mod report;
#[path = "../relay/server.rs"]
#[allow(dead_code, reason = "another benchmark uses the rest")]
mod server;

use std::time::{Duration, Instant};

use home::{Going, Home, hello, median, milliseconds};
use proxy::Proxy;
use report::{Better, Report};
use server::Server;
use ties_book::sample;

fn main() {
    let report = Report::from_environment();
    let (large, file) = filled(PEOPLE, Some(&report));
    if std::env::args().any(|word| word == "syncing") {
        return syncing(&report, &large);
    }
    let (small, _) = filled(PEOPLE / 10, None);
    commands(&report, &large, &small);
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let database = std::fs::metadata(large.path().join("database")).unwrap();
    let stored = std::os::unix::fs::MetadataExt::blocks(&database) * 512;
    report.note(&format!("{:.1} MB of vCards, {:.1} MB of database", megabytes(file), megabytes(stored)));
    report.figure("database / vCard file", stored as f64 / file as f64, "times", at_most(3.0));
    at_rest::cipher(&report);
    at_rest::passphrase(&report, &small, &small.first_handle(20));
    syncing(&report, &large);
}

/// A network of so many people with three notes each, imported from vCards, and the size of these.
fn filled(people: usize, report: Option<&Report>) -> (Home, u64) {
    let home = Home::new();
    let cards = sample::vcards_with_notes(people, 3, 1);
    let file = home.folder().join("people.vcf");
    std::fs::write(&file, &cards).unwrap();
    home.run(&["init", "--no-recovery"]);
    let began = Instant::now();
    home.run(&["import", file.to_str().unwrap()]);
    if let Some(report) = report {
        report.figure("import 10,000 cards with 30,000 notes", began.elapsed().as_secs_f64(), "s", at_most(10.0));
    }
    (home, cards.len() as u64)
}

fn commands(report: &Report, large: &Home, small: &Home) {
    let hello_alone = median(TURNS, hello);
    report.figure("hello", milliseconds(hello_alone), "ms", None);
    let who = |home: &Home| home.first_handle(20);
    let (one, other) = (who(large), who(small));
    let word = large.rare_word();
    report.note(&format!("find looks for {word:?}"));
    let turns: [(&str, Vec<&str>, Vec<&str>, f64); 5] = [
        ("show ONE", vec!["show", &one], vec!["show", &other], 10.0),
        ("new", vec!["new", "Zelda Example"], vec!["new", "Zelda Example"], 10.0),
        ("note ONE", vec!["note", &one, "Likes tea"], vec!["note", &other, "Likes tea"], 10.0),
        ("ls, first 50", vec!["ls", "--limit", "50"], vec!["ls", "--limit", "50"], 50.0),
        ("find WORD", vec!["find", &word], vec!["find", &word], 50.0),
    ];
    for (name, words, small_words, bar) in turns {
        let (mut hellos, mut larges, mut smalls) = (Vec::new(), Vec::new(), Vec::new());
        let mut peak = 0;
        for _ in 0..TURNS {
            hellos.push(hello());
            larges.push(large.time(&words));
            smalls.push(small.try_time(&small_words));
        }
        for _ in 0..3 {
            peak = peak.max(large.peak_memory(&words).unwrap_or(0));
        }
        let middle = |mut times: Vec<Duration>| {
            times.sort();
            times[times.len() / 2]
        };
        let (hello, large, small) = (middle(hellos), middle(larges), middle(smalls));
        report.figure(&format!("{name}, above hello"), milliseconds(large.saturating_sub(hello)), "ms", at_most(bar));
        if bar < 50.0 {
            report.figure(
                &format!("{name}, to 1,000 people"),
                large.as_secs_f64() / small.as_secs_f64(),
                "times",
                at_most(1.3),
            );
        }
        if peak > 0 {
            report.figure(&format!("{name}, peak memory"), peak as f64 / 1e6, "MB", at_most(30.0));
        }
    }
}

/// A second device through the relay, from nothing; then what little there is to do.
fn syncing(report: &Report, laptop: &Home) {
    let server = Server::start();
    let proxy = Proxy::before(&server.address.to_string());
    laptop.run(&["relay", "add", proxy.address()]);
    laptop.run(&["sync"]);
    let phone = Home::new();
    let hosting = laptop.start(&["device", "add", "--ticket", "--yes"]);
    let ticket = hosting.line(|line| line.contains("ties1-"));
    let before = proxy.bytes();
    let began = Instant::now();
    phone.run_with(&["device", "join", "-"], &ticket);
    phone.run(&["sync"]);
    let took = began.elapsed().as_secs_f64();
    drop(hosting);
    let moved = proxy.bytes() - before;
    report.figure("first sync, pairing included", took, "s", at_most(4.0));
    report.figure("first sync, both ways", moved as f64 / 1e6, "MB", at_most(6.0));
    let shown = phone.run(&["ls", "--limit", "1", "--offset", "9999"]);
    assert!(!shown.is_empty(), "everybody arrived");

    laptop.run(&["sync"]);
    phone.run(&["sync"]);
    let before = proxy.bytes();
    laptop.run(&["sync"]);
    report.figure("nothing to do, both ways", (proxy.bytes() - before) as f64, "B", at_most(1536.0));

    // Watchers at both ends; a command writes, and the other device says that it came.
    let writing = laptop.start(&["sync", "--watch", "--json"]);
    let reading = phone.start(&["sync", "--watch", "--json"]);
    std::thread::sleep(Duration::from_secs(2));
    let watched = Watched { report, writer: laptop, reader: &reading, proxy: &proxy };
    watched.measure("one new person", at_most(2048.0), |turn| {
        (vec!["new".to_owned(), format!("Watched Person{turn}")], String::new())
    });
    let one = laptop.first_handle(20);
    watched.measure("one edited field", at_most(1024.0), |turn| {
        let text = laptop.run(&["edit", &one, "--print"]);
        let edited = text.lines().map(|line| match line.starts_with("how_met = ") {
            true => format!("how_met = \"beside me at workshop {turn}\"\n"),
            false => format!("{line}\n"),
        });
        (["edit", &one, "--from", "-"].map(str::to_owned).to_vec(), edited.collect())
    });
    drop(writing);
}

/// Two devices that watch: commands write on one, and the other says that it came.
struct Watched<'a> {
    report: &'a Report,
    writer: &'a Home,
    reader: &'a Going,
    proxy: &'a Proxy,
}

impl Watched<'_> {
    /// Runs the command that each turn calls for, with what it reads, and tells bytes and times.
    fn measure(&self, what: &str, most: Option<(f64, Better)>, turn: impl Fn(usize) -> (Vec<String>, String)) {
        let mut delays = Vec::new();
        let mut bytes = Vec::new();
        for number in 0..WATCHED {
            let (words, input) = turn(number);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let (seen, before) = (self.reader.count(), self.proxy.bytes());
            let began = Instant::now();
            self.writer.run_with(&words, &input);
            let written = began.elapsed();
            self.reader.wait_beyond(seen);
            delays.push(began.elapsed().saturating_sub(written));
            // What acknowledges it and what says that it came belongs to it.
            std::thread::sleep(Duration::from_millis(100));
            bytes.push(self.proxy.bytes() - before);
        }
        delays.sort();
        bytes.sort_unstable();
        let report = self.report;
        report.figure(&format!("{what}, both ways and both devices"), bytes[WATCHED / 2] as f64, "B", most);
        let delay = milliseconds(delays[WATCHED / 2]);
        report.figure(&format!("{what}, seen there after the command"), delay, "ms", at_most(10.0));
    }
}

fn at_most(bar: f64) -> Option<(f64, Better)> {
    Some((bar, Better::Less))
}

const PEOPLE: usize = 10_000;
const TURNS: usize = 25;
const WATCHED: usize = 15;
