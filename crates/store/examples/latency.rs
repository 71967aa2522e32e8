//! What a command pays the store: `cargo run --release -p ties-store --example latency [FOLDER]`.
//!
//! Fills a database as 10,000 people with 30,000 notes would, then opens it anew for each read
//! and for each write, as commands do.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ties_sealed_log::Log;
use ties_sealed_log::conformance::Scribe;
use ties_store::{Pair, Read, Sharing, Store, Table};

const DOCUMENTS: u32 = 40_000;
const TURNS: u32 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = given.unwrap_or_else(|| std::env::temp_dir().join(format!("ties-store-{}", std::process::id())));
    let store = Store::create(&folder, Sharing::Processes)?;
    let start = Instant::now();
    let mut transaction = store.write()?;
    let mut ids: Vec<_> = (0..DOCUMENTS).map(id).collect();
    ids.sort_unstable();
    transaction.append_to_documents(ids.into_iter().map(|id| (id, vec![id[7]; 700])).collect())?;
    let mut all: Vec<_> = (0..DOCUMENTS).flat_map(rows).map(|(key, value)| (key, Some(value))).collect();
    all.sort_unstable();
    transaction.put_all(Table::ROWS, all)?;
    transaction.commit()?;
    println!("{DOCUMENTS} documents with three rows each, in one transaction: {:?}", start.elapsed());
    drop(store);
    let size = std::fs::metadata(folder.join("database"))?.len();
    println!("the database has {:.1} MB", size as f64 / 1e6);

    report("open, read one row, close", |n| {
        let store = Store::open(&folder, Sharing::Processes)?;
        let found = store.read()?.get(Table::ROWS, &rows(n * 397)[0].0)?;
        assert!(found.is_some());
        Ok(())
    })?;
    let chain = Scribe::new(1).chain(None, 2 * TURNS as usize);
    let (first, second) = chain.split_at(TURNS as usize);
    report("open, write an entry, a document and three rows, close", |n| {
        let store = Store::open(&folder, Sharing::Processes)?;
        let mut transaction = store.write()?;
        transaction.log(0).append(&first[n as usize])?;
        transaction.put_document(&id(n * 397), &[1; 800])?;
        for (key, value) in rows(n) {
            transaction.put(Table::ROWS, &key, &value)?;
        }
        Ok(transaction.commit()?)
    })?;
    let store = Store::open(&folder, Sharing::Processes)?;
    report("the same in an open store", |n| {
        let mut transaction = store.write()?;
        transaction.log(0).append(&second[n as usize])?;
        transaction.put_document(&id(n * 397), &[2; 800])?;
        for (key, value) in rows(n) {
            transaction.put(Table::ROWS, &key, &value)?;
        }
        Ok(transaction.commit()?)
    })?;
    let start = Instant::now();
    let rows = store.read()?.iter(Table::ROWS, b"")?.filter(Result::is_ok).count();
    println!("{rows} rows read in {:?}", start.elapsed());
    drop(store);
    Ok(std::fs::remove_dir_all(&folder)?)
}

fn report(what: &str, mut turn: impl FnMut(u32) -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let mut times: Vec<Duration> = Vec::new();
    for n in 0..TURNS {
        let start = Instant::now();
        turn(n)?;
        times.push(start.elapsed());
    }
    times.sort();
    println!("{what}: median {:?}, worst {:?}", times[times.len() / 2], times[times.len() - 1]);
    Ok(())
}

fn id(n: u32) -> [u8; 16] {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b9).to_be_bytes());
    id[4..8].copy_from_slice(&n.to_be_bytes());
    id
}

fn rows(n: u32) -> Vec<Pair> {
    ["person", "name", "recent"].map(|kind| (format!("{kind}/{n:08}").into_bytes(), vec![7; 120])).to_vec()
}
