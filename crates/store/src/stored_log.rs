//! The logs of a space or a mailbox in the database.

use std::ops::{Bound, ControlFlow};

use ties_sealed_log::{Appended, Entry, EntryName, Log, LogId, Tip, Vector, judge};

use crate::tables::{LAST_LOG, Read, Table, end_of, number};
use crate::{StoreError, Transaction};

/// [`Log`] over a snapshot or, lent per call, over a transaction.
///
/// Many of them share a database: a device has one, number 0; a relay has one for each mailbox.
/// Bytes are stored as they are and not verified again, but a damaged one is noticed by whoever
/// verifies the entries it is sent.
pub struct StoredLog<'a> {
    access: Access<'a>,
    space: u32,
}

enum Access<'a> {
    Reading(&'a dyn Read),
    Writing(&'a mut Transaction),
}

impl<'a> StoredLog<'a> {
    /// The logs of one space or mailbox, to read, over whatever is being read.
    pub fn reading(read: &'a dyn Read, space: u32) -> Self {
        Self { access: Access::Reading(read), space }
    }

    pub(crate) fn writing(transaction: &'a mut Transaction, space: u32) -> Self {
        Self { access: Access::Writing(transaction), space }
    }

    /// Forgets every log of this space or mailbox.
    ///
    /// # Errors
    /// If the database cannot be read or written, or is only being read.
    pub fn clear(&mut self) -> Result<(), StoreError> {
        let space = self.space.to_be_bytes();
        let transaction = self.transaction()?;
        for (_, row) in transaction.pairs(Table::LOGS, &space)? {
            let row = LogRow::parse(&row)?;
            transaction.remove_all(Table::ENTRIES, &row.index.to_be_bytes())?;
        }
        transaction.remove_all(Table::LOGS, &space)
    }

    fn read(&self) -> &dyn Read {
        match &self.access {
            Access::Reading(read) => *read,
            Access::Writing(transaction) => &**transaction,
        }
    }

    fn transaction(&mut self) -> Result<&mut Transaction, StoreError> {
        match &mut self.access {
            Access::Reading(_) => Err(StoreError::ReadOnly),
            Access::Writing(transaction) => Ok(transaction),
        }
    }

    fn row(&self, log: &LogId) -> Result<Option<LogRow>, StoreError> {
        let row = self.read().get(Table::LOGS, &log_key(self.space, log))?;
        row.map(|row| LogRow::parse(&row)).transpose()
    }

    /// A number for a log seen for the first time; it keeps the keys of entries short.
    fn new_row(&mut self) -> Result<LogRow, StoreError> {
        let transaction = self.transaction()?;
        let index = number(transaction.get(Table::META, LAST_LOG)?)? + 1;
        transaction.put(Table::META, LAST_LOG, &index.to_le_bytes())?;
        let index = u32::try_from(index).map_err(|_| StoreError::TooLarge)?;
        Ok(LogRow { index, forked_at: 0, tips: Vec::new() })
    }

    fn entries_at(&self, index: u32, seq: u64) -> Result<Vec<Entry>, StoreError> {
        let pairs = self.read().pairs(Table::ENTRIES, &entry_key(index, seq, 0)[..12])?;
        pairs.iter().map(|(_, bytes)| entry(bytes)).collect()
    }

    fn names_at(&self, index: u32, seq: u64) -> Result<Vec<EntryName>, StoreError> {
        Ok(self.entries_at(index, seq)?.iter().map(Entry::name).collect())
    }
}

impl Log for StoredLog<'_> {
    type Error = StoreError;

    fn vector(&self) -> Result<Vector, StoreError> {
        let mut vector = Vector::default();
        for (key, row) in self.read().pairs(Table::LOGS, &self.space.to_be_bytes())? {
            let log = key[4..].try_into().map_err(|_| damaged("the key of a log has a wrong length"))?;
            for tip in LogRow::parse(&row)?.tips {
                vector.insert(LogId(log), tip);
            }
        }
        Ok(vector)
    }

    fn tips(&self, log: &LogId) -> Result<Vec<Tip>, StoreError> {
        Ok(self.row(log)?.map_or_else(Vec::new, |row| row.tips))
    }

    fn names(&self, log: &LogId, seq: u64) -> Result<Vec<EntryName>, StoreError> {
        self.row(log)?.map_or(Ok(Vec::new()), |row| self.names_at(row.index, seq))
    }

    fn after(&self, log: &LogId, seq: u64, budget: usize) -> Result<Vec<Entry>, StoreError> {
        let (Some(row), Some(next)) = (self.row(log)?, seq.checked_add(1)) else { return Ok(Vec::new()) };
        let mut places = Places { budget, ..Places::default() };
        let mut failed = None;
        let end = end_of(&row.index.to_be_bytes());
        let start = entry_key(row.index, next, 0);
        let range = (Bound::Included(&start[..]), end.as_ref().map(Vec::as_slice));
        self.read().visit(Table::ENTRIES, range, &mut |_, bytes| match entry(bytes) {
            Ok(entry) => places.take(entry),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or_else(|| Ok(places.finish()), Err)
    }

    fn forked_at(&self, log: &LogId) -> Result<Option<u64>, StoreError> {
        Ok(self.row(log)?.map(|row| row.forked_at).filter(|&seq| seq != 0))
    }

    fn append(&mut self, entry: &Entry) -> Result<Appended, StoreError> {
        let log = entry.log();
        let known = self.row(&log)?;
        let (here, verdict) = match &known {
            None => (0, judge(entry, &[], &[], &[])),
            Some(row) => {
                // What the tips already tell is not read again: nothing lies beyond all of them,
                // and an entry right after one of them has its predecessor here.
                let beyond = row.tips.iter().all(|tip| tip.seq < entry.seq());
                let here = if beyond { Vec::new() } else { self.names_at(row.index, entry.seq())? };
                let before = Tip { seq: entry.seq() - 1, name: entry.prev() };
                let follows = row.tips.contains(&before);
                let before = if follows { vec![before.name] } else { self.names_at(row.index, before.seq)? };
                (here.len(), judge(entry, &here, &before, &row.tips))
            }
        };
        if !verdict.is_new() {
            return Ok(verdict);
        }
        let mut row = known.map_or_else(|| self.new_row(), Ok)?;
        let branch = u8::try_from(here).map_err(|_| damaged("a place holds too many entries"))?;
        row.advance(entry, verdict);
        let (key, space) = (entry_key(row.index, entry.seq(), branch), self.space);
        let transaction = self.transaction()?;
        transaction.put(Table::ENTRIES, &key, entry.bytes())?;
        transaction.put(Table::LOGS, &log_key(space, &log), &row.to_bytes())?;
        Ok(verdict)
    }
}

impl std::fmt::Debug for StoredLog<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredLog({})", self.space)
    }
}

/// Entries of whole places, as many as the budget admits and those of one place at least.
#[derive(Default)]
struct Places {
    budget: usize,
    bytes: usize,
    taken: Vec<Entry>,
    /// Where the entries of the last place begin in `taken`; they may turn out not to fit.
    last: usize,
}

impl Places {
    fn take(&mut self, entry: Entry) -> ControlFlow<()> {
        if self.taken.last().is_some_and(|last| last.seq() != entry.seq()) {
            self.last = self.taken.len();
        }
        self.bytes += entry.bytes().len();
        self.taken.push(entry);
        if self.bytes > self.budget && self.last > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn finish(mut self) -> Vec<Entry> {
        if self.bytes > self.budget && self.last > 0 {
            self.taken.truncate(self.last);
        }
        self.taken
    }
}

/// What is known of a log as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogRow {
    /// Its number in the keys of its entries.
    index: u32,
    /// The lowest place with more than one entry; 0 if there is none.
    forked_at: u64,
    /// Sorted by place and name.
    tips: Vec<Tip>,
}

impl LogRow {
    fn advance(&mut self, entry: &Entry, verdict: Appended) {
        let tip = Tip { seq: entry.seq(), name: entry.name() };
        self.tips.retain(|known| known.name != entry.prev());
        let at = self.tips.partition_point(|known| *known < tip);
        self.tips.insert(at, tip);
        if verdict == Appended::Forked && (self.forked_at == 0 || entry.seq() < self.forked_at) {
            self.forked_at = entry.seq();
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(12 + TIP * self.tips.len());
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(&self.forked_at.to_be_bytes());
        for tip in &self.tips {
            bytes.extend_from_slice(&tip.seq.to_be_bytes());
            bytes.extend_from_slice(tip.name.as_bytes());
        }
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let wrong = || damaged("what is known of a log has a wrong length");
        let (index, rest) = bytes.split_first_chunk().ok_or_else(wrong)?;
        let (forked_at, rest) = rest.split_first_chunk().ok_or_else(wrong)?;
        if !rest.len().is_multiple_of(TIP) {
            return Err(wrong());
        }
        let tip = |bytes: &[u8]| {
            let (seq, name) = bytes.split_first_chunk()?;
            Some(Tip { seq: u64::from_be_bytes(*seq), name: EntryName(name.try_into().ok()?) })
        };
        Ok(Self {
            index: u32::from_be_bytes(*index),
            forked_at: u64::from_be_bytes(*forked_at),
            tips: rest.chunks(TIP).map(tip).collect::<Option<_>>().ok_or_else(wrong)?,
        })
    }
}

const TIP: usize = 8 + 32;

fn entry(bytes: &[u8]) -> Result<Entry, StoreError> {
    Entry::from_store(bytes).map_err(|error| StoreError::Damaged(error.to_string()))
}

fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(what.into())
}

fn log_key(space: u32, log: &LogId) -> [u8; 36] {
    let mut key = [0; 36];
    key[..4].copy_from_slice(&space.to_be_bytes());
    key[4..].copy_from_slice(log.as_bytes());
    key
}

fn entry_key(index: u32, seq: u64, branch: u8) -> [u8; 13] {
    let mut key = [0; 13];
    key[..4].copy_from_slice(&index.to_be_bytes());
    key[4..12].copy_from_slice(&seq.to_be_bytes());
    key[12] = branch;
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_keys_have_these_bytes() {
        let tip = |seq, name| Tip { seq, name: EntryName([name; 32]) };
        let row = LogRow { index: 0x0102, forked_at: 3, tips: vec![tip(4, 5), tip(6, 7)] };
        let mut bytes = vec![0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3];
        for (seq, name) in [(4, 5), (6, 7)] {
            bytes.extend([0, 0, 0, 0, 0, 0, 0, seq]);
            bytes.extend([name; 32]);
        }
        assert_eq!(row.to_bytes(), bytes);
        assert_eq!(LogRow::parse(&bytes).unwrap(), row);
        assert_eq!(entry_key(0x0102, 0x0304, 5), [0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4, 5]);
        assert_eq!(log_key(9, &LogId([8; 32]))[..6], [0, 0, 0, 9, 8, 8]);
    }

    #[test]
    fn rows_of_any_other_length_are_damage() {
        let lengths = (0..200).filter(|length| LogRow::parse(&vec![1; *length]).is_ok());
        assert!(lengths.eq([12, 52, 92, 132, 172]));
    }
}
