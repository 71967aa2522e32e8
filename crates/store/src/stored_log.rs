//! The logs of a space or a mailbox in the database.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use ties_sealed_log::{Appended, Entry, EntryName, Freed, Log, LogId, Prune, Tip, Vector, judge, rebase};

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
            transaction.remove(Table::BASES, &row.index.to_be_bytes())?;
            transaction.remove_all(Table::KEPT, &row.index.to_be_bytes())?;
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

    /// The names at a place: what the log begins with, and entries in order of arrival; and the next branch's number.
    fn place(&self, index: u32, seq: u64) -> Result<(Vec<EntryName>, u8), StoreError> {
        let base = self.base_of(index)?.into_iter().filter(|tip| tip.seq == seq);
        let mut names: Vec<EntryName> = base.map(|tip| tip.name).collect();
        let mut branch = 0;
        for (key, bytes) in self.read().pairs(Table::ENTRIES, &entry_key(index, seq, 0)[..12])? {
            names.push(entry(&bytes)?.name());
            let last = key.last().ok_or_else(|| damaged("the key of an entry has a wrong length"))?;
            branch = last.checked_add(1).ok_or_else(|| damaged("a place holds too many entries"))?;
        }
        Ok((names, branch))
    }

    fn names_at(&self, index: u32, seq: u64) -> Result<Vec<EntryName>, StoreError> {
        Ok(self.place(index, seq)?.0)
    }

    fn base_of(&self, index: u32) -> Result<Vec<Tip>, StoreError> {
        self.read().get(Table::BASES, &index.to_be_bytes())?.map_or(Ok(Vec::new()), |bytes| parse_tips(&bytes))
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

    fn base(&self, log: &LogId) -> Result<Vec<Tip>, StoreError> {
        self.row(log)?.map_or(Ok(Vec::new()), |row| self.base_of(row.index))
    }

    fn forked_at(&self, log: &LogId) -> Result<Option<u64>, StoreError> {
        Ok(self.row(log)?.map(|row| row.forked_at).filter(|&seq| seq != 0))
    }

    fn append(&mut self, entry: &Entry) -> Result<Appended, StoreError> {
        let log = entry.log();
        let known = self.row(&log)?;
        let (branch, verdict) = match &known {
            None => (0, judge(entry, &[], &[], &[], &[])),
            Some(row) => {
                // What the tips already tell is not read again: nothing lies beyond all of them,
                // and an entry right after one of them has its predecessor here.
                let beyond = row.tips.iter().all(|tip| tip.seq < entry.seq());
                let (here, branch) = if beyond { (Vec::new(), 0) } else { self.place(row.index, entry.seq())? };
                let before = Tip { seq: entry.seq() - 1, name: entry.prev() };
                let follows = row.tips.contains(&before);
                let base = if follows { Vec::new() } else { self.base_of(row.index)? };
                let before = if follows { vec![before.name] } else { self.names_at(row.index, before.seq)? };
                (branch, judge(entry, &here, &before, &row.tips, &base))
            }
        };
        if !verdict.is_new() {
            return Ok(verdict);
        }
        let mut row = known.map_or_else(|| self.new_row(), Ok)?;
        row.advance(entry, verdict);
        let (key, space) = (entry_key(row.index, entry.seq(), branch), self.space);
        let transaction = self.transaction()?;
        transaction.put(Table::ENTRIES, &key, entry.bytes())?;
        transaction.put(Table::LOGS, &log_key(space, &log), &row.to_bytes())?;
        Ok(verdict)
    }
}

impl Prune for StoredLog<'_> {
    fn rebase(
        &mut self,
        log: &LogId,
        tips: &[Tip],
        keep: &mut dyn FnMut(&Entry) -> bool,
    ) -> Result<Option<Freed>, StoreError> {
        let known = self.row(log)?;
        let mut row = known.map_or_else(|| self.new_row(), Ok)?;
        let base = self.base_of(row.index)?;
        let mut dropping = Dropping { freed: Freed::default(), kept: Vec::new(), keep };
        let (base, tips) = match (&row.tips[..], tips) {
            // A straight log is cut through at one place: what stays of it need not be read.
            ([last], [onto]) if row.forked_at == 0 => {
                let Some(rebased) = self.straight(&row, *last, &base, *onto)? else { return Ok(None) };
                if rebased.0 != base {
                    self.drop_up_to(row.index, onto.seq, &mut dropping)?;
                }
                rebased
            }
            _ => {
                let places = self.places(row.index)?;
                let names = |place: &Vec<(u8, Entry)>| place.iter().map(|(_, one)| (one.name(), one.prev())).collect();
                let names = places.iter().map(|(seq, place)| (*seq, names(place))).collect();
                let Some(rebased) = rebase(&names, &row.tips, &base, tips) else { return Ok(None) };
                let goes = |entry: &Entry| rebased.dropped.contains(&Tip { seq: entry.seq(), name: entry.name() });
                for (branch, entry) in places.into_values().flatten().filter(|(_, entry)| goes(entry)) {
                    self.transaction()?.remove(Table::ENTRIES, &entry_key(row.index, entry.seq(), branch))?;
                    dropping.take(entry);
                }
                (rebased.base, rebased.tips)
            }
        };
        let Dropping { freed, kept, .. } = dropping;
        if row.forked_at == 0 && base.len() > 1 {
            row.forked_at = base[0].seq;
        }
        row.tips = tips;
        let (key, index) = (log_key(self.space, log), row.index);
        let transaction = self.transaction()?;
        for entry in &kept {
            transaction.put(Table::KEPT, &kept_key(index, entry), entry.bytes())?;
        }
        transaction.put(Table::BASES, &index.to_be_bytes(), &tips_to_bytes(&base))?;
        transaction.put(Table::LOGS, &key, &row.to_bytes())?;
        Ok(Some(freed))
    }

    fn keep(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let row = self.row(&entry.log())?;
        let Some(row) = row else { return Err(damaged("nothing is kept beside a log that is not here")) };
        self.transaction()?.put(Table::KEPT, &kept_key(row.index, entry), entry.bytes())
    }

    fn kept(&self, log: &LogId) -> Result<Vec<Entry>, StoreError> {
        let Some(row) = self.row(log)? else { return Ok(Vec::new()) };
        let pairs = self.read().pairs(Table::KEPT, &row.index.to_be_bytes())?;
        pairs.iter().map(|(_, bytes)| entry(bytes)).collect()
    }
}

impl StoredLog<'_> {
    /// Base and tips of a log without forks that is to begin with `onto`.
    fn straight(&self, row: &LogRow, last: Tip, base: &[Tip], onto: Tip) -> Result<Option<BaseAndTips>, StoreError> {
        if base.iter().any(|own| own.seq >= onto.seq) {
            return Ok(Some((base.to_vec(), row.tips.clone())));
        }
        if onto.seq <= last.seq && !self.names_at(row.index, onto.seq)?.contains(&onto.name) {
            return Ok(None);
        }
        let tip = if onto.seq < last.seq { last } else { onto };
        Ok(Some((vec![onto], vec![tip])))
    }

    fn drop_up_to(&mut self, index: u32, seq: u64, dropping: &mut Dropping<'_>) -> Result<(), StoreError> {
        let (start, end) = (entry_key(index, 0, 0), entry_key(index, seq, u8::MAX));
        let range = (Bound::Included(&start[..]), Bound::Included(&end[..]));
        let mut failed = None;
        self.transaction()?.drain(Table::ENTRIES, range, &mut |bytes| match entry(bytes) {
            Ok(entry) => dropping.take(entry),
            Err(error) => failed = Some(error),
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// All entries of a log with the numbers of their branches.
    fn places(&self, index: u32) -> Result<Branches, StoreError> {
        let mut places = BTreeMap::<u64, Vec<(u8, Entry)>>::new();
        for (key, bytes) in self.read().pairs(Table::ENTRIES, &index.to_be_bytes())? {
            let branch = key.last().ok_or_else(|| damaged("the key of an entry has a wrong length"))?;
            let entry = entry(&bytes)?;
            places.entry(entry.seq()).or_default().push((*branch, entry));
        }
        Ok(places)
    }
}

/// What goes while a log is cut short: counted, and held on to only as far as it is to be kept.
struct Dropping<'k> {
    freed: Freed,
    kept: Vec<Entry>,
    keep: &'k mut dyn FnMut(&Entry) -> bool,
}

impl Dropping<'_> {
    fn take(&mut self, entry: Entry) {
        self.freed.entries += 1;
        self.freed.bytes += entry.bytes().len() as u64;
        if (self.keep)(&entry) {
            self.kept.push(entry);
        }
    }
}

type BaseAndTips = (Vec<Tip>, Vec<Tip>);
type Branches = BTreeMap<u64, Vec<(u8, Entry)>>;

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
        bytes.extend(tips_to_bytes(&self.tips));
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let wrong = || damaged("what is known of a log has a wrong length");
        let (index, rest) = bytes.split_first_chunk().ok_or_else(wrong)?;
        let (forked_at, rest) = rest.split_first_chunk().ok_or_else(wrong)?;
        Ok(Self {
            index: u32::from_be_bytes(*index),
            forked_at: u64::from_be_bytes(*forked_at),
            tips: parse_tips(rest)?,
        })
    }
}

pub(crate) fn tips_to_bytes(tips: &[Tip]) -> Vec<u8> {
    tips.iter().flat_map(|tip| [&tip.seq.to_be_bytes()[..], tip.name.as_bytes()].concat()).collect()
}

pub(crate) fn parse_tips(bytes: &[u8]) -> Result<Vec<Tip>, StoreError> {
    let tip = |bytes: &[u8]| {
        let (seq, name) = bytes.split_first_chunk()?;
        Some(Tip { seq: u64::from_be_bytes(*seq), name: EntryName(name.try_into().ok()?) })
    };
    let tips: Option<Vec<Tip>> = bytes.chunks(TIP).map(tip).collect();
    tips.ok_or_else(|| damaged("what is known of a log has a wrong length"))
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

fn kept_key(index: u32, entry: &Entry) -> [u8; 44] {
    let mut key = [0; 44];
    key[..4].copy_from_slice(&index.to_be_bytes());
    key[4..12].copy_from_slice(&entry.seq().to_be_bytes());
    key[12..].copy_from_slice(entry.name().as_bytes());
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
