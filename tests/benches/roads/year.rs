//! A year of small edits on three devices: what it leaves on disks, and whether commands still are what they were.

use std::time::{Duration, Instant};

use ties_book::Book;
use ties_book::api::{Environment, Reply, Request, Silent};
use ties_book::testing::space;
use ties_engine::testing::tail;

use crate::home::{Home, milliseconds, on_disk};
use crate::pair::{filled, joining};
use crate::report::Report;
use crate::server::Server;
use crate::{at_most, wait};

/// A network of so many people, edited for so many days.
pub(crate) fn measure(report: &Report, people: usize, days: u64) {
    let server = Server::start_with(&["prune=true"]);
    let devices = [filled(people).0, Home::new(), Home::new()];
    let [laptop, phone, tablet] = &devices;
    laptop.run(&["relay", "add", &server.address.to_string()]);
    laptop.run(&["sync"]);
    for (device, name) in [(phone, "phone"), (tablet, "tablet")] {
        let (hosting, guest) = joining(laptop, device, name);
        guest.end();
        drop(hosting);
    }
    devices.iter().for_each(|device| drop(device.run(&["sync"])));
    // The same network as it was on the first day, to take turns with.
    let first = filled(people).0;
    live(&[&first], 1);
    let began = Instant::now();
    live(&[laptop, phone, tablet], days);
    report.note(&format!("{days} days lived in {:.0} s", began.elapsed().as_secs_f64()));
    disks(report, &server, &devices);
    commands(report, &first, laptop);
}

/// Edits one field, twenty times a day on each device, and lets all meet once a day.
fn live(devices: &[&Home], days: u64) {
    let mut chance = 1;
    let start = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    for day in 0..days {
        let now = start + Duration::from_secs(day * 24 * 60 * 60);
        let environment =
            Environment { now_ms: Some(i64::try_from(now.as_millis()).unwrap()), ..Environment::default() };
        let books: Vec<Book> =
            devices.iter().map(|home| Book::open(&home.path(), environment.clone()).unwrap()).collect();
        for (number, book) in books.iter().enumerate() {
            let everybody = handles(book);
            for edit in 0..EDITS {
                chance = next(chance);
                let who = &everybody[(chance >> 33) as usize % everybody.len()];
                change(book, who, &format!("on day {day} with device {number}, {edit} people at the table"));
            }
        }
        // The first to meet hears of the last at the second meeting.
        for book in books.iter().chain(&books).filter(|book| book.has_relays()) {
            let Reply::Synced(synced) = wait(book.handle(Request::Sync, &mut Silent)).unwrap() else {
                panic!("no report")
            };
            assert!(synced.relays.iter().all(|relay| relay.error.is_none()), "{synced:?}");
        }
    }
}

fn handles(book: &Book) -> Vec<String> {
    let list = Request::List { filter: Vec::new(), offset: 0, limit: Some(PEOPLE_EDITED), cards: false };
    let Reply::People(page) = book.answer(list, &mut Silent).unwrap() else { panic!("no list") };
    page.people.into_iter().map(|person| person.id).collect()
}

fn change(book: &Book, who: &str, met: &str) {
    let what = Request::EditText { what: who.to_owned() };
    let Reply::EditText(text) = book.answer(what, &mut Silent).unwrap() else { panic!("no text") };
    let apply = Request::EditApply { id: text.id, after: edited(&text.text, met), before: text.text };
    book.answer(apply, &mut Silent).unwrap();
}

/// The text of somebody with another way in which they were met.
fn edited(text: &str, met: &str) -> String {
    let edited = text.lines().map(|line| match line.starts_with("how_met = ") {
        true => format!("how_met = \"{met}\"\n"),
        false => format!("{line}\n"),
    });
    edited.collect()
}

fn disks(report: &Report, server: &Server, devices: &[Home]) {
    let book = crate::idle::open(&devices[0]);
    if space(&book).checkpoints().unwrap().is_empty() {
        report.note("no checkpoint came of that; one is made now");
        space(&book).make_checkpoint().unwrap();
    }
    let newest = space(&book).checkpoints().unwrap().swap_remove(0);
    let checkpoint = newest.bytes as f64;
    let after = tail(space(&book)).unwrap() as f64;
    drop(book);
    let relay = on_disk(server.data()) as f64;
    let stored = devices.iter().map(Home::stored).max().unwrap() as f64;
    let megabytes = |bytes: f64| bytes / 1e6;
    report.note(&format!(
        "checkpoint {:.2} MB ({:?}), tail {:.2} MB, relay {:.2} MB, largest database {:.2} MB",
        megabytes(checkpoint),
        newest.standing,
        megabytes(after),
        megabytes(relay),
        megabytes(stored)
    ));
    report.figure("a year, relay's disk / (checkpoint and tail)", relay / (checkpoint + after), "times", at_most(2.0));
    report.figure("a year, database / checkpoint", stored / checkpoint, "times", at_most(3.0));
}

/// The real program on the network as it was and as it is, by turns.
fn commands(report: &Report, first: &Home, last: &Home) {
    let who = [first, last].map(|home| home.first_handle(20));
    let word = first.rare_word();
    let edit = |home: &Home, who: &str, turn: usize| {
        let text = home.run(&["edit", who, "--print"]);
        let began = Instant::now();
        home.run_with(&["edit", who, "--from", "-"], &edited(&text, &format!("again at table {turn}")));
        began.elapsed()
    };
    let timed: [(&str, &Timed<'_>); 6] = [
        ("show ONE", &|home, who, _| home.time(&["show", who])),
        ("edit ONE", &|home, who, turn| edit(home, who, turn)),
        ("note ONE", &|home, who, _| home.time(&["note", who, "Likes tea"])),
        ("new", &|home, _, _| home.time(&["new", "Zelda Example"])),
        ("ls, first 50", &|home, _, _| home.time(&["ls", "--limit", "50"])),
        ("find WORD", &|home, _, _| home.time(&["find", &word])),
    ];
    for (name, time) in timed {
        let mut times = [Vec::new(), Vec::new()];
        for turn in 0..TURNS {
            for (side, home) in [first, last].into_iter().enumerate() {
                times[side].push(time(home, &who[side], turn));
            }
        }
        let [before, after] = times.map(|mut times| {
            times.sort();
            times[TURNS / 2]
        });
        report.note(&format!("{name}: {:.1} ms, then {:.1} ms", milliseconds(before), milliseconds(after)));
        let ratio = after.as_secs_f64() / before.as_secs_f64();
        report.figure(&format!("{name}, after a year / on the first day"), ratio, "times", at_most(1.3));
    }
}

type Timed<'t> = dyn Fn(&Home, &str, usize) -> Duration + 't;

/// Chance that is the same in every run.
fn next(seed: u64) -> u64 {
    seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

const EDITS: usize = 20;
/// Nobody edits everybody whom they know.
const PEOPLE_EDITED: usize = 2_000;
const TURNS: usize = 25;
