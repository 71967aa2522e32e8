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
const WRITES: usize = 60;
const TURNS: usize = 5;

/// Ratios of times, with and without the cipher.
pub(crate) fn cipher(report: &Report) {
    let (plain, encrypted) = (measure(None), measure(Some(&StorageKey::generate().unwrap())));
    let figures = [
        ("durable write of one row", plain.write, encrypted.write),
        ("write of 50 MB", plain.fill, encrypted.fill),
        ("scan of 50 MB", plain.scan, encrypted.scan),
    ];
    for (name, plain, encrypted) in figures {
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

struct Times {
    fill: Duration,
    write: Duration,
    scan: Duration,
}

fn measure(key: Option<&StorageKey>) -> Times {
    let folder = tempfile::tempdir().unwrap();
    let database = || -> Database {
        let path = folder.path().join("database");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        let file = FileBackend::new(file).unwrap();
        // As small as a device's, so that a scan comes from the file.
        let mut builder = Builder::new();
        builder.set_cache_size(16 << 20);
        match key {
            Some(key) => builder.create_with_backend(Encrypted::new(file, key)),
            None => builder.create_with_backend(file),
        }
        .unwrap()
    };
    let began = Instant::now();
    put(&database(), 0..ROWS);
    let fill = began.elapsed();
    let writing = database();
    let mut next = ROWS;
    let write = median(WRITES, || {
        let began = Instant::now();
        put(&writing, next..next + 1);
        next += 1;
        began.elapsed()
    });
    drop(writing);
    let scan = median(TURNS, || {
        let reading = database();
        let began = Instant::now();
        let table = reading.begin_read().unwrap().open_table(TABLE).unwrap();
        let bytes: usize = table.iter().unwrap().map(|row| row.unwrap().1.value().len()).sum();
        assert!(bytes >= ROWS as usize * ROW);
        began.elapsed()
    });
    Times { fill, write, scan }
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
