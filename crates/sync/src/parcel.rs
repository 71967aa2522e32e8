//! Parcels: entries in one file, for folders that anything may carry. PROTOCOL.md has the layout.
//!
//! A parcel says at its beginning what is in it and at its end that all of it is there, so that a file that was copied by
//! half is known from one that is whole. It proves nothing about who wrote what is in it: whoever takes an entry verifies it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ties_sealed_log::{Entry, EntryName, LogId, MAX_BRANCHES, MAX_ENTRY, Tip, decode, encode, hash};

/// The longest parcel: eight entries of full size, less what stands around them.
pub const MAX_PARCEL: usize = 8 << 20;

/// Most runs in one parcel.
pub const MAX_RUNS: usize = 4096;

/// Bytes at the beginning that say whether a file is a parcel and how long it is.
pub const PARCEL_HEAD: usize = MAGIC.len() + 1 + 4 + 4;

const MAGIC: &[u8; 8] = b"ties\0pcl";
const PARCEL_VERSION: u8 = 1;
const SUM: usize = 32;

/// Why a file is not read as a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParcelError {
    /// It is something else, which is nobody's business here.
    #[error("not a parcel")]
    Foreign,
    /// It was written by a newer program.
    #[error("of version {0}, which this program cannot read")]
    Version(u8),
    /// It ends early, or has not arrived as a whole yet.
    #[error("not all of it is here ({here} of {whole} bytes)")]
    Incomplete {
        /// How long it is.
        here: u64,
        /// How long it says that it is.
        whole: u64,
    },
    /// Its sum is wrong: it was altered, or is being copied.
    #[error("its content is not what was written")]
    Damaged,
    /// Whole, and no parcel that this program would write.
    #[error("malformed")]
    Malformed,
}

/// A stretch of one log, or of one branch of it, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Run {
    /// The log.
    pub log: LogId,
    /// The place of its first entry.
    pub first: u64,
    /// The entry before that one, or [`EntryName::NONE`].
    pub prev: EntryName,
    /// Its last entry.
    pub tip: Tip,
}

impl Run {
    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.tip.seq.saturating_sub(self.first).saturating_add(1)
    }

    /// Never: a run has at least one entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// A run and its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub run: Run,
    /// Exact bytes in order. Form and chain were checked, signatures were not.
    pub entries: Vec<Vec<u8>>,
}

/// Entries in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    parts: Vec<Part>,
}

impl Parcel {
    /// How long a file says that it is, from its first [`PARCEL_HEAD`] bytes (or all, if it is shorter).
    ///
    /// # Errors
    /// When it is no parcel, or one that this program cannot read.
    pub fn length(head: &[u8]) -> Result<u64, ParcelError> {
        let magic = head.iter().zip(MAGIC).all(|(one, other)| one == other);
        if !magic || head.is_empty() {
            return Err(ParcelError::Foreign);
        }
        let Some(fixed) = head.first_chunk::<PARCEL_HEAD>() else {
            return Err(ParcelError::Incomplete { here: head.len() as u64, whole: (PARCEL_HEAD + SUM) as u64 });
        };
        if fixed[8] != PARCEL_VERSION {
            return Err(ParcelError::Version(fixed[8]));
        }
        let whole = number(&fixed[9..13]);
        if !(PARCEL_HEAD + SUM..=MAX_PARCEL).contains(&whole) || number(&fixed[13..]) > whole - PARCEL_HEAD - SUM {
            return Err(ParcelError::Malformed);
        }
        Ok(whole as u64)
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// Says why it is none, or not yet.
    pub fn decode(bytes: &[u8]) -> Result<Self, ParcelError> {
        let whole = Self::length(&bytes[..bytes.len().min(PARCEL_HEAD)])?;
        if bytes.len() as u64 != whole {
            return Err(ParcelError::Incomplete { here: bytes.len() as u64, whole });
        }
        let (said, sum) = bytes.split_at(bytes.len() - SUM);
        if Sha256::digest(said)[..] != *sum {
            return Err(ParcelError::Damaged);
        }
        let (table, mut rest) =
            said[PARCEL_HEAD..].split_at_checked(number(&said[13..PARCEL_HEAD])).ok_or(ParcelError::Malformed)?;
        let runs: Vec<Run> = decode(table).map_err(|_| ParcelError::Malformed)?;
        if runs.is_empty() || runs.len() > MAX_RUNS || !runs.is_sorted_by(|one, other| one < other) {
            return Err(ParcelError::Malformed);
        }
        let parts = runs.into_iter().map(|run| read_part(run, &mut rest)).collect::<Option<Vec<_>>>();
        match parts {
            Some(parts) if rest.is_empty() => Ok(Self { parts }),
            _ => Err(ParcelError::Malformed),
        }
    }

    /// The bytes of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let runs: Vec<Run> = self.parts.iter().map(|part| part.run).collect();
        let table = encode(&runs);
        let entries = self.parts.iter().flat_map(|part| &part.entries);
        let whole = PARCEL_HEAD + table.len() + entries.clone().map(|entry| 4 + entry.len()).sum::<usize>() + SUM;
        let mut bytes = Vec::with_capacity(whole);
        bytes.extend_from_slice(MAGIC);
        bytes.push(PARCEL_VERSION);
        bytes.extend_from_slice(&(whole as u32).to_be_bytes());
        bytes.extend_from_slice(&(table.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&table);
        for entry in entries {
            bytes.extend_from_slice(&(entry.len() as u32).to_be_bytes());
            bytes.extend_from_slice(entry);
        }
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }

    /// What is in it, sorted.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The same, to keep.
    #[must_use]
    pub fn into_parts(self) -> Vec<Part> {
        self.parts
    }

    /// The name of the file with these bytes: nobody writes another one under it.
    #[must_use]
    pub fn file_name(bytes: &[u8]) -> String {
        format!("{}.{PARCEL_ENDING}", hex(&hash("ties1/parcel", &[bytes])))
    }
}

/// How the names of parcels end.
const PARCEL_ENDING: &str = "ties";

fn read_part(run: Run, rest: &mut &[u8]) -> Option<Part> {
    let mut prev = run.prev;
    let mut entries = Vec::new();
    for seq in run.first..=run.tip.seq {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let (bytes, after) = after.split_at_checked(length).filter(|_| length <= MAX_ENTRY)?;
        *rest = after;
        // The signature is looked at when the entry is taken; most are known already.
        let entry = Entry::from_store(bytes).ok()?;
        if entry.log() != run.log || entry.seq() != seq || entry.prev() != prev {
            return None;
        }
        prev = entry.name();
        entries.push(bytes.to_vec());
    }
    (prev == run.tip.name && !entries.is_empty()).then_some(Part { run, entries })
}

/// Fills a parcel.
#[derive(Debug, Default)]
pub struct Packing {
    parts: Vec<Part>,
    bytes: usize,
}

/// A run in the table is at most so long: three times 32 bytes, two numbers.
const RUN: usize = 3 * 32 + 2 * 10;

impl Packing {
    /// Puts an entry in, if there is still room. Entries of a log, or of one branch of it, come in their order.
    #[must_use]
    pub fn add(&mut self, entry: &Entry) -> bool {
        // Branches of a forked log come place by place, so each goes on with one of the last few runs.
        let before = Tip { seq: entry.seq() - 1, name: entry.prev() };
        let part = self
            .parts
            .iter_mut()
            .rev()
            .take(MAX_BRANCHES)
            .find(|part| part.run.log == entry.log() && part.run.tip == before);
        let more = 4 + entry.bytes().len() + if part.is_some() { 0 } else { RUN };
        let around = PARCEL_HEAD + 5 + SUM;
        if around + self.bytes + more > MAX_PARCEL {
            return false;
        }
        let tip = Tip { seq: entry.seq(), name: entry.name() };
        if let Some(part) = part {
            part.run.tip = tip;
            part.entries.push(entry.bytes().to_vec());
        } else if self.parts.len() < MAX_RUNS {
            let run = Run { log: entry.log(), first: entry.seq(), prev: entry.prev(), tip };
            self.parts.push(Part { run, entries: vec![entry.bytes().to_vec()] });
        } else {
            return false;
        }
        self.bytes += more;
        true
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The parcel.
    #[must_use]
    pub fn finish(mut self) -> Parcel {
        self.parts.sort_unstable_by_key(|part| part.run);
        self.parts.dedup_by_key(|part| part.run);
        Parcel { parts: self.parts }
    }
}

/// The name of the file with a word of a pairing.
#[must_use]
pub fn word_name(word: &[u8]) -> String {
    format!("{}.word", hex(&hash("ties1/pair-word", &[word])))
}

/// The name of the place in a folder for what is named by this: 128 bits that say nothing to others.
#[must_use]
pub fn place_name(label: &str, secret: &[u8; 32]) -> String {
    hex(&hash(label, &[secret])[..16])
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
