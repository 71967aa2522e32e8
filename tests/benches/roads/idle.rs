//! Two devices that have the same meet again: how much is said, over every road.

use ties_book::Book;
use ties_book::api::Environment;
use ties_book::testing::space;
use ties_engine::Tally;

use crate::home::Home;
use crate::pair::Pair;
use crate::report::Report;
use crate::{at_most, wait};

/// With few people and with many.
pub(crate) fn measure(report: &Report, sizes: [usize; 2]) {
    for people in sizes {
        let pair = Pair::with(people);
        report.note(&format!("nothing to do, with {people} people:"));
        by_relay(report, &pair);
        directly(report, &pair);
        by_folder(report, &pair);
    }
}

fn by_relay(report: &Report, pair: &Pair) {
    let before = pair.proxy.bytes();
    pair.laptop.run(&["sync"]);
    let all = pair.proxy.bytes() - before;
    let book = open(&pair.laptop);
    let reports = wait(space(&book).sync(|_| {})).unwrap();
    told(report, "relay", reports[0].outcome.as_ref().unwrap());
    report.figure("relay, with all that comes before", all as f64, "B", at_most(MOST));
}

fn directly(report: &Report, pair: &Pair) {
    let host = pair.laptop.start(&["sync", "--listen", "127.0.0.1:0"]);
    let address = listening(&host.line(|line| line.contains("listening")));
    let book = open(&pair.phone);
    let meet = || wait(space(&book).sync_peers(&[address.parse().unwrap()], false, |_| {})).unwrap();
    // What the two have to say of themselves is said by then.
    meet();
    let reports = meet();
    told(report, "direct", reports[0].outcome.as_ref().unwrap());
    drop(host);
}

/// Nobody answers in a folder: what is said there is what is read and written.
fn by_folder(report: &Report, pair: &Pair) {
    let folder = tempfile::tempdir().unwrap();
    let words = ["sync", "--folder", folder.path().to_str().unwrap()];
    for home in [&pair.laptop, &pair.phone, &pair.laptop, &pair.phone] {
        home.run(&words);
    }
    let book = open(&pair.phone);
    let reports = wait(space(&book).sync_folders(&[folder.path().to_owned()], |_| {})).unwrap();
    let tally = reports[0].outcome.as_ref().unwrap();
    let there = std::fs::read_dir(folder.path()).unwrap().count();
    report.figure("folder, files read and written", (tally.files_read + tally.files_written) as f64, "", at_most(2.0));
    report.figure("folder, bytes of them", (tally.bytes_read + tally.bytes_written) as f64, "B", at_most(MOST));
    report.note(&format!("the folder's list itself has {there} names"));
}

fn told(report: &Report, road: &str, tally: &Tally) {
    let (messages, bytes) = (tally.frames_sent + tally.frames_received, tally.bytes_sent + tally.bytes_received);
    report.figure(&format!("{road}, messages after authentication"), messages as f64, "", at_most(2.0));
    report.figure(&format!("{road}, bytes of them"), bytes as f64, "B", at_most(MOST));
}

/// The address in the line of a device that lets others come.
pub(crate) fn listening(line: &str) -> String {
    let address = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:"));
    address.unwrap_or_else(|| panic!("no address in {line:?}")).trim_end_matches(',').to_owned()
}

pub(crate) fn open(home: &Home) -> Book {
    Book::open(&home.path(), Environment::default()).unwrap()
}

const MOST: f64 = 1536.0;
