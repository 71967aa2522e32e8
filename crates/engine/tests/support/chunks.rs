//! Changes written by hand, as no library makes them (Automerge's binary format).

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use sha2::{Digest, Sha256};

/// Kinds of chunks.
pub const DOCUMENT: u8 = 0;
/// An uncompressed change.
pub const CHANGE: u8 = 1;
/// A compressed one.
pub const DEFLATED_CHANGE: u8 = 2;

/// A valid change that sets the key "a" so many times (Automerge's binary format, "Change chunk").
pub fn change(actor: [u8; 16], operations: u64) -> Vec<u8> {
    let run = |value: &[u8]| [signed(operations), value.to_vec()].concat();
    let columns = [
        (KEY, run(b"\x01a")),
        (INSERT, unsigned(operations)),
        (ACTION, run(&[SET])),
        (VALUE_LENGTHS, run(&[NULL])),
        (PREDECESSORS, run(&[0])),
    ];
    with_columns(actor, &columns)
}

/// A change of these columns, whatever they hold.
pub fn with_columns(actor: [u8; 16], columns: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut body = vec![0, 16];
    body.extend(actor);
    // Seq 1, first operation 1, time 0, no message, no other actors.
    body.extend([1, 1, 0, 0, 0, columns.len() as u8]);
    for (name, data) in columns {
        body.push(*name);
        body.extend(unsigned(data.len() as u64));
    }
    body.extend(columns.iter().flat_map(|(_, data)| data));
    chunk(CHANGE, &body)
}

/// A chunk of some kind, with its checksum.
pub fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    let summed = [vec![kind], unsigned(body.len() as u64), body.to_vec()].concat();
    [&[0x85, 0x6f, 0x4a, 0x83], &Sha256::digest(&summed)[..4], &summed].concat()
}

/// So many zeros, deflated.
pub fn deflated(zeros: usize) -> Vec<u8> {
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

// Columns of a change's operations: id << 4 | type.
pub const KEY: u8 = 1 << 4 | 5;
const INSERT: u8 = 3 << 4 | 4;
const ACTION: u8 = 4 << 4 | 2;
const VALUE_LENGTHS: u8 = 5 << 4 | 6;
const PREDECESSORS: u8 = 7 << 4;
/// Of a column.
pub const DEFLATED: u8 = 8;
const SET: u8 = 1;
const NULL: u8 = 0;
