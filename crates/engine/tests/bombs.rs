//! Small changes that grow without bound where they are believed: refused at once, in little memory.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::Write as _;
use std::time::{Duration, Instant};

use automerge::Automerge;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use sha2::{Digest, Sha256};
use ties_engine::testing::{Verdict, take_change};

const ACTOR: [u8; 16] = [7; 16];
const DEFLATED_CHANGE: u8 = 2;
const DOCUMENT: u8 = 0;
const CHANGE: u8 = 1;
const SHORT: Duration = Duration::from_secs(1);
const LITTLE: u64 = 64 << 20;

/// One test: the memory of a process is one for all of its tests.
#[test]
fn bombs_are_refused_at_once_in_little_memory() {
    // The rule is about size alone: the same change with three operations is taken.
    assert_eq!(take(&change(3, KEY)), Verdict::Taken { operations: 3 });
    let many = change(2_000_001, KEY);
    assert!(many.len() < 120, "{} bytes", many.len());
    let zeros = deflated(400 << 20);
    assert!(zeros.len() < 450_000, "{} bytes", zeros.len());
    let bombs = [
        ("two million operations", many),
        ("a deflated change", chunk(DEFLATED_CHANGE, &zeros)),
        ("a document", chunk(DOCUMENT, &zeros)),
        ("a change with a deflated column", with_columns(&[(KEY | DEFLATED, zeros)])),
    ];
    for (what, bomb) in bombs {
        let (before, began) = (peak_memory(), Instant::now());
        assert_eq!(take(&bomb), Verdict::Refused, "{what}");
        assert!(began.elapsed() < SHORT, "{what} took {:?}", began.elapsed());
        let grown = peak_memory() - before;
        assert!(grown < LITTLE, "{what} took {} MiB", grown >> 20);
    }
}

fn take(chunk: &[u8]) -> Verdict {
    take_change(&mut Automerge::new(), chunk, Some(ACTOR))
}

/// A valid change that sets the key "a" so many times (Automerge's binary format, "Change chunk").
fn change(operations: u64, key: u8) -> Vec<u8> {
    let run = |value: &[u8]| [signed(operations), value.to_vec()].concat();
    with_columns(&[
        (key, run(b"\x01a")),
        (INSERT, unsigned(operations)),
        (ACTION, run(&[SET])),
        (VALUE_LENGTHS, run(&[NULL])),
        (PREDECESSORS, run(&[0])),
    ])
}

fn with_columns(columns: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut body = vec![0, 16];
    body.extend(ACTOR);
    // Seq 1, first operation 1, time 0, no message, no other actors.
    body.extend([1, 1, 0, 0, 0, columns.len() as u8]);
    for (name, data) in columns {
        body.push(*name);
        body.extend(unsigned(data.len() as u64));
    }
    body.extend(columns.iter().flat_map(|(_, data)| data));
    chunk(CHANGE, &body)
}

fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    let summed = [vec![kind], unsigned(body.len() as u64), body.to_vec()].concat();
    [&[0x85, 0x6f, 0x4a, 0x83], &Sha256::digest(&summed)[..4], &summed].concat()
}

fn deflated(zeros: usize) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let piece = vec![0; 1 << 20];
    (0..zeros >> 20).for_each(|_| encoder.write_all(&piece).unwrap());
    encoder.finish().unwrap()
}

fn unsigned(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Signed LEB128 of a number that is not negative.
fn signed(number: u64) -> Vec<u8> {
    let mut bytes = unsigned(number);
    if let Some(last) = bytes.last_mut()
        && *last & 0x40 != 0
    {
        *last |= 0x80;
        bytes.push(0);
    }
    bytes
}

/// The most memory this process ever had; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

// Columns of a change's operations: id << 4 | type.
const KEY: u8 = 1 << 4 | 5;
const INSERT: u8 = 3 << 4 | 4;
const ACTION: u8 = 4 << 4 | 2;
const VALUE_LENGTHS: u8 = 5 << 4 | 6;
const PREDECESSORS: u8 = 7 << 4;
const DEFLATED: u8 = 8;
const SET: u8 = 1;
const NULL: u8 = 0;
