//! Seed changes: first states of documents that every device makes alike.
//!
//! The actor of a seed change is the hash of the change with its actor zeroed, so two devices that import one file
//! while offline make the same change, once. This module reads just enough of an Automerge change chunk to find the
//! 16 bytes of the actor (source: Automerge binary format specification, "Change chunk").

use sha2::{Digest, Sha256};

use crate::ids::hash;

/// Bytes that are no uncompressed change chunk with a 16-byte actor and no dependencies, the first of its actor, of no
/// time and no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a seed change")]
pub struct NotASeed;

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const CHANGE: u8 = 1;
const ACTOR: usize = 16;
/// What follows the actor: seq 1, first operation 1, time 0, no message, no other actors. Whatever else stood there
/// would make a second change of the same content, and the content would be there twice.
const AFTER_ACTOR: [u8; 5] = [1, 1, 0, 0, 0];

/// The actor that a change must be made with before [`stamp`].
pub const BLANK_ACTOR: [u8; ACTOR] = [0; ACTOR];

/// Puts the computed actor into a change that was made by [`BLANK_ACTOR`], and mends the checksum.
///
/// # Errors
/// When `chunk` is not such a change.
pub fn stamp(chunk: &mut [u8]) -> Result<(), NotASeed> {
    let (body, actor) = locate(chunk)?;
    if chunk[actor..actor + ACTOR] != BLANK_ACTOR {
        return Err(NotASeed);
    }
    let computed = actor_of(&chunk[body..]);
    chunk[actor..actor + ACTOR].copy_from_slice(&computed);
    let sum = checksum(chunk);
    chunk[4..8].copy_from_slice(&sum);
    Ok(())
}

/// Checks that a chunk is a seed change with the actor that its other bytes demand.
///
/// # Errors
/// When it is not.
pub fn check(chunk: &[u8]) -> Result<(), NotASeed> {
    let (body, actor) = locate(chunk)?;
    let mut blank = chunk[body..].to_vec();
    blank[actor - body..actor - body + ACTOR].fill(0);
    let matches = chunk[actor..actor + ACTOR] == actor_of(&blank) && chunk[4..8] == checksum(chunk);
    if matches { Ok(()) } else { Err(NotASeed) }
}

fn actor_of(blank_body: &[u8]) -> [u8; ACTOR] {
    let digest = hash("ties1/seed-actor", &[blank_body]);
    digest[..ACTOR].try_into().expect("sixteen of thirty-two bytes")
}

fn checksum(chunk: &[u8]) -> [u8; 4] {
    let digest = Sha256::digest(&chunk[8..]);
    [digest[0], digest[1], digest[2], digest[3]]
}

/// Offsets of the chunk's body and of the actor within the chunk.
fn locate(chunk: &[u8]) -> Result<(usize, usize), NotASeed> {
    if chunk.len() < 9 || chunk[..4] != MAGIC || chunk[8] != CHANGE {
        return Err(NotASeed);
    }
    let (length, body) = leb128(chunk, 9)?;
    if body.checked_add(length) != Some(chunk.len()) {
        return Err(NotASeed);
    }
    let (deps, at) = leb128(chunk, body)?;
    let (actor_len, actor) = leb128(chunk, at)?;
    let after = chunk.get(actor + ACTOR..).ok_or(NotASeed)?;
    if deps != 0 || actor_len != ACTOR || !after.starts_with(&AFTER_ACTOR) {
        return Err(NotASeed);
    }
    Ok((body, actor))
}

/// Reads an unsigned LEB128 number in its one shortest form. The chunk's length lies outside what the actor is computed
/// from: two forms of it would make two changes with one actor and seq, and those refuse to merge for ever.
fn leb128(bytes: &[u8], mut at: usize) -> Result<(usize, usize), NotASeed> {
    let mut value = 0usize;
    for shift in (0..28).step_by(7) {
        let byte = *bytes.get(at).ok_or(NotASeed)?;
        at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return if byte == 0 && shift > 0 { Err(NotASeed) } else { Ok((value, at)) };
        }
    }
    // Four bytes count to 256 MiB; an entry holds 1 MiB.
    Err(NotASeed)
}
