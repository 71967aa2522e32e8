//! What encryption at rest costs: the same work through the cipher and without it, and what a passphrase adds.

use std::fs::OpenOptions;
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use ties_store::{Encrypted, StorageKey};

use crate::home::{Home, median, milliseconds};
use crate::report::Report;

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");
const ROWS: u64 = 100_000;
const ROW: usize = 500;
const WRITES: u64 = 60;
const TURNS: usize = 5;

/// Ratios of times, with and without the cipher; both sides take turns, so that they see the same machine.
pub(crate) fn cipher(report: &Report) {
    let sides = [Side::new(None), Side::new(Some(StorageKey::generate().unwrap()))];
    let fill = sides.each_ref().map(|side| timed(|| put(&side.open(), 0..ROWS)));
    let open = sides.each_ref().map(Side::open);
    let write = by_turns(WRITES, |side, turn| timed(|| put(&open[side], ROWS + turn..ROWS + turn + 1)));
    drop(open);
    let scan = by_turns(TURNS as u64, |side, _| {
        let reading = sides[side].open();
        timed(|| scan(&reading))
    });
    for (name, [plain, encrypted]) in
        [("durable write of one row", write), ("write of 50 MB", fill), ("scan of 50 MB", scan)]
    {
        report.figure(&format!("{name}, encrypted / plain"), ratio(encrypted, plain), "times", None);
    }
}

/// A passphrase: what unlocking takes, and what it leaves for every other command.
pub(crate) fn passphrase(report: &Report, home: &Home, who: &str) {
    let open = || median(TURNS, || home.time(&["show", who]));
    let before = open();
    home.run_with(&["passphrase", "-"], "correct horse battery staple");
    let unlock = median(TURNS, || {
        let began = Instant::now();
        home.run_with(&["unlock", "-"], "correct horse battery staple");
        began.elapsed()
    });
    report.figure("unlock", milliseconds(unlock), "ms", None);
    report.figure("show ONE, unlocked / key in a file", ratio(open(), before), "times", None);
    home.run_with(&["passphrase", "--remove", "-"], "correct horse battery staple");
}

/// A database with or without the cipher.
struct Side {
    folder: tempfile::TempDir,
    key: Option<StorageKey>,
}

impl Side {
    fn new(key: Option<StorageKey>) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), key }
    }

    fn open(&self) -> Database {
        let path = self.folder.path().join("database");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        let file = FileBackend::new(file).unwrap();
        // As small as a device's, so that a scan comes from the file.
        let mut builder = Builder::new();
        builder.set_cache_size(16 << 20);
        match &self.key {
            Some(key) => builder.create_with_backend(Encrypted::new(file, key)),
            None => builder.create_with_backend(file),
        }
        .unwrap()
    }
}

/// The medians of both sides.
fn by_turns(turns: u64, mut turn: impl FnMut(usize, u64) -> Duration) -> [Duration; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..turns {
        for (side, times) in times.iter_mut().enumerate() {
            times.push(turn(side, number));
        }
    }
    times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    })
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn scan(database: &Database) {
    let table = database.begin_read().unwrap().open_table(TABLE).unwrap();
    let bytes: usize = table.iter().unwrap().map(|row| row.unwrap().1.value().len()).sum();
    assert!(bytes >= ROWS as usize * ROW);
}

fn put(database: &Database, rows: std::ops::Range<u64>) {
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(TABLE).unwrap();
        for row in rows {
            let value: Vec<u8> = (0..ROW).map(|at| (at as u64 * row) as u8).collect();
            table.insert(row, value.as_slice()).unwrap();
        }
    }
    transaction.commit().unwrap();
}

fn ratio(of: Duration, to: Duration) -> f64 {
    of.as_secs_f64() / to.as_secs_f64()
}
