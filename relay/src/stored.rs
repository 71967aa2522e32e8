//! The storage of a relay that stays, in the tables of `ties-store`.
//!
//! | table | key | value |
//! |---|---|---|
//! | `relay/mailboxes` | mailbox | its number (u32), bytes of its entries, chunks and floor records (u64), bytes it may hold (u64; 0: as any other) |
//! | `relay/statements` | number, name of the statement | its exact bytes |
//! | `relay/openings` | number, log | its exact bytes |
//! | `relay/floors` | number, place in their order (u32) | 0 kept or 1 staged (u8), the floor record's exact bytes |
//! | `relay/chunks` | number, name of the chunk | its exact bytes |
//! | `relay/members` | pseudonym, mailbox | nothing |
//! | `relay/makers` | pseudonym | mailboxes that it made without a token (u32) |
//! | `relay/tokens` | hash of the token | mailboxes left (u32), end and beginning in seconds since 1970 (u64 each), mailboxes allowed (u32), bytes for each (u64; 0: as any other), label (UTF-8) |
//! | `relay/about` | `store` | 16 random bytes that name this store |
//! | `relay/about` | `mailboxes` | the last number given to a mailbox (u32) |
//!
//! Numbers are big-endian. A mailbox's logs are those of `ties-store` under its number; numbers begin with 1.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::time::Duration;

use ties_sealed_log::{
    AccessStatement, Appended, ChunkName, Entry, EntryName, Freed, Log, LogId, LogOpening, MailboxId, Prune, Pseudonym,
    Tip, Vector,
};
use ties_store::{Read, Snapshot, Store, StoreError, StoredLog, Table, Transaction};

use crate::storage::Storage;
use crate::token::{TokenHash, TokenRecord};

/// One batch of reads and writes on a relay's database.
///
/// Reads see one snapshot until the first write; only that opens a transaction.
pub struct Batch<'s> {
    store: &'s Store,
    access: RefCell<Access>,
    rows: RefCell<BTreeMap<MailboxId, Option<MailboxRow>>>,
}

enum Access {
    Reading(Snapshot),
    Writing(Box<Transaction>),
}

#[derive(Clone, Copy)]
struct MailboxRow {
    number: u32,
    bytes: u64,
    /// 0: as any other.
    quota: u64,
    unsaved: bool,
}

impl<'s> Batch<'s> {
    /// Begins a batch.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn begin(store: &'s Store) -> Result<Self, StoreError> {
        let access = RefCell::new(Access::Reading(store.read()?));
        Ok(Self { store, access, rows: RefCell::default() })
    }

    /// Makes what was written durable, if anything was.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing of the batch has happened.
    pub fn commit(self) -> Result<(), StoreError> {
        let Access::Writing(mut transaction) = self.access.into_inner() else { return Ok(()) };
        for (mailbox, row) in self.rows.into_inner() {
            if let Some(row) = row.filter(|row| row.unsaved) {
                transaction.put(MAILBOXES, mailbox.as_bytes(), &row.to_bytes())?;
            }
        }
        transaction.commit()
    }

    /// Whether anything was written.
    pub(crate) fn has_written(&self) -> bool {
        matches!(*self.access.borrow(), Access::Writing(_))
    }

    /// The 16 bytes that name this store, drawn once.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn name(&mut self, fresh: [u8; 16]) -> Result<[u8; 16], StoreError> {
        if let Some(name) = self.read().get(ABOUT, STORE)? {
            return name.try_into().map_err(|_| damaged("the store's name has a wrong length"));
        }
        self.write()?.put(ABOUT, STORE, &fresh)?;
        Ok(fresh)
    }

    /// Every invite token that was not revoked.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn tokens(&self) -> Result<Vec<(TokenHash, TokenRecord)>, StoreError> {
        let pairs = self.read().pairs(TOKENS, &[])?;
        let token = |(key, row): (Vec<u8>, Vec<u8>)| {
            let key = key.try_into().map_err(|_| damaged("a token's key has a wrong length"))?;
            Ok((TokenHash::from_bytes(key), parse_token(&row)?))
        };
        pairs.into_iter().map(token).collect()
    }

    /// Forgets an invite token; the mailboxes made with it stay.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn remove_token(&mut self, token: &TokenHash) -> Result<bool, StoreError> {
        self.write()?.remove(TOKENS, token.as_bytes())
    }

    fn read(&self) -> Ref<'_, dyn Read> {
        Ref::map(self.access.borrow(), |access| match access {
            Access::Reading(snapshot) => snapshot as &dyn Read,
            Access::Writing(transaction) => &**transaction as &dyn Read,
        })
    }

    fn write(&mut self) -> Result<&mut Transaction, StoreError> {
        let access = self.access.get_mut();
        if let Access::Reading(_) = access {
            *access = Access::Writing(Box::new(self.store.write()?));
        }
        match access {
            Access::Writing(transaction) => Ok(transaction),
            Access::Reading(_) => Err(StoreError::ReadOnly),
        }
    }

    /// Reads the logs of a mailbox; `T::default()` if there is none.
    fn with_log<T: Default>(
        &self,
        mailbox: &MailboxId,
        ask: impl FnOnce(&StoredLog<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(row) = self.row(mailbox)? else { return Ok(T::default()) };
        let mut access: RefMut<'_, Access> = self.access.borrow_mut();
        match &mut *access {
            Access::Reading(snapshot) => ask(&snapshot.log(row.number)),
            Access::Writing(transaction) => ask(&transaction.log(row.number)),
        }
    }

    fn row(&self, mailbox: &MailboxId) -> Result<Option<MailboxRow>, StoreError> {
        if let Some(row) = self.rows.borrow().get(mailbox) {
            return Ok(*row);
        }
        let row = self.read().get(MAILBOXES, mailbox.as_bytes())?;
        let row = row.map(|bytes| MailboxRow::parse(&bytes)).transpose()?;
        self.rows.borrow_mut().insert(*mailbox, row);
        Ok(row)
    }

    /// The row of a mailbox, which is made if need be.
    fn make_row(&mut self, mailbox: &MailboxId) -> Result<MailboxRow, StoreError> {
        if let Some(row) = self.row(mailbox)? {
            return Ok(row);
        }
        let last = self.read().get(ABOUT, LAST_NUMBER)?;
        let last = last.map_or(Ok(0), |bytes| bytes.try_into().map(u32::from_be_bytes));
        let last = last.map_err(|_| damaged("the last number of a mailbox has a wrong length"))?;
        let number = last.checked_add(1).ok_or(StoreError::TooLarge)?;
        self.write()?.put(ABOUT, LAST_NUMBER, &number.to_be_bytes())?;
        let row = MailboxRow { number, bytes: 0, quota: 0, unsaved: true };
        self.rows.get_mut().insert(*mailbox, Some(row));
        Ok(row)
    }

    /// Takes bytes off a mailbox's account and puts others on it.
    fn charge(&mut self, mailbox: &MailboxId, less: u64, more: u64) -> Result<(), StoreError> {
        let mut row = self.make_row(mailbox)?;
        row.bytes = row.bytes.saturating_sub(less) + more;
        row.unsaved = true;
        self.rows.get_mut().insert(*mailbox, Some(row));
        Ok(())
    }

    fn values(&self, table: Table, mailbox: &MailboxId) -> Result<Vec<Vec<u8>>, StoreError> {
        let Some(row) = self.row(mailbox)? else { return Ok(Vec::new()) };
        let pairs = self.read().pairs(table, &row.number.to_be_bytes())?;
        Ok(pairs.into_iter().map(|(_, value)| value).collect())
    }
}

impl Storage for Batch<'_> {
    type Error = StoreError;

    fn statements(&self, mailbox: &MailboxId) -> Result<Vec<Vec<u8>>, StoreError> {
        self.values(STATEMENTS, mailbox)
    }

    fn put_statement(&mut self, mailbox: &MailboxId, statement: &AccessStatement) -> Result<(), StoreError> {
        let number = self.make_row(mailbox)?.number.to_be_bytes();
        let key = [&number[..], statement.name().as_bytes()].concat();
        self.write()?.put(STATEMENTS, &key, statement.bytes())
    }

    fn openings(&self, mailbox: &MailboxId) -> Result<Vec<Vec<u8>>, StoreError> {
        self.values(OPENINGS, mailbox)
    }

    fn put_opening(&mut self, mailbox: &MailboxId, opening: &LogOpening) -> Result<(), StoreError> {
        let number = self.make_row(mailbox)?.number.to_be_bytes();
        let key = [&number[..], opening.log().as_bytes()].concat();
        self.write()?.put(OPENINGS, &key, opening.as_bytes())
    }

    fn mailboxes_of(&self, pseudonym: &Pseudonym) -> Result<Vec<MailboxId>, StoreError> {
        let pairs = self.read().pairs(MEMBERS, pseudonym.as_bytes())?;
        let mailbox = |(key, _): (Vec<u8>, _)| key.get(32..)?.try_into().ok().map(MailboxId);
        pairs
            .into_iter()
            .map(|pair| mailbox(pair).ok_or_else(|| damaged("a member's key has a wrong length")))
            .collect()
    }

    fn set_member(&mut self, mailbox: &MailboxId, pseudonym: &Pseudonym, member: bool) -> Result<(), StoreError> {
        let key = [&pseudonym.as_bytes()[..], mailbox.as_bytes()].concat();
        if member { self.write()?.put(MEMBERS, &key, &[]) } else { self.write()?.remove(MEMBERS, &key).map(drop) }
    }

    fn token(&self, token: &TokenHash) -> Result<Option<TokenRecord>, StoreError> {
        self.read().get(TOKENS, token.as_bytes())?.map(|bytes| parse_token(&bytes)).transpose()
    }

    fn put_token(&mut self, token: &TokenHash, record: &TokenRecord) -> Result<(), StoreError> {
        self.write()?.put(TOKENS, token.as_bytes(), &token_row(record))
    }

    fn hold(&mut self) -> Result<(), StoreError> {
        self.write().map(drop)
    }

    fn quota(&self, mailbox: &MailboxId) -> Result<Option<u64>, StoreError> {
        Ok(self.row(mailbox)?.map(|row| row.quota).filter(|quota| *quota > 0))
    }

    fn set_quota(&mut self, mailbox: &MailboxId, bytes: u64) -> Result<(), StoreError> {
        let row = MailboxRow { quota: bytes, unsaved: true, ..self.make_row(mailbox)? };
        // The row is saved with the batch, which has to be a writing one.
        self.hold()?;
        self.rows.get_mut().insert(*mailbox, Some(row));
        Ok(())
    }

    fn made_by(&self, pseudonym: &Pseudonym) -> Result<u32, StoreError> {
        let count = self.read().get(MAKERS, pseudonym.as_bytes())?;
        let count = count.map_or(Ok(0), |bytes| bytes.try_into().map(u32::from_be_bytes));
        count.map_err(|_| damaged("a count of mailboxes has a wrong length"))
    }

    fn set_made_by(&mut self, pseudonym: &Pseudonym, mailboxes: u32) -> Result<(), StoreError> {
        self.write()?.put(MAKERS, pseudonym.as_bytes(), &mailboxes.to_be_bytes())
    }

    fn vector(&self, mailbox: &MailboxId) -> Result<Vector, StoreError> {
        self.with_log(mailbox, |log| log.vector())
    }

    fn bytes(&self, mailbox: &MailboxId) -> Result<u64, StoreError> {
        Ok(self.row(mailbox)?.map_or(0, |row| row.bytes))
    }

    fn tips(&self, mailbox: &MailboxId, log: &LogId) -> Result<Vec<Tip>, StoreError> {
        self.with_log(mailbox, |logs| logs.tips(log))
    }

    fn names(&self, mailbox: &MailboxId, log: &LogId, seq: u64) -> Result<Vec<EntryName>, StoreError> {
        self.with_log(mailbox, |logs| logs.names(log, seq))
    }

    fn after(&self, mailbox: &MailboxId, log: &LogId, seq: u64, budget: usize) -> Result<Vec<Entry>, StoreError> {
        self.with_log(mailbox, |logs| logs.after(log, seq, budget))
    }

    fn base(&self, mailbox: &MailboxId, log: &LogId) -> Result<Vec<Tip>, StoreError> {
        self.with_log(mailbox, |logs| logs.base(log))
    }

    fn forked_at(&self, mailbox: &MailboxId, log: &LogId) -> Result<Option<u64>, StoreError> {
        self.with_log(mailbox, |logs| logs.forked_at(log))
    }

    fn append(&mut self, mailbox: &MailboxId, entry: &Entry) -> Result<Appended, StoreError> {
        let mut row = self.make_row(mailbox)?;
        let verdict = self.write()?.log(row.number).append(entry)?;
        if verdict.is_new() {
            row.bytes += entry.bytes().len() as u64;
            row.unsaved = true;
            self.rows.get_mut().insert(*mailbox, Some(row));
        }
        Ok(verdict)
    }

    fn rebase(&mut self, mailbox: &MailboxId, log: &LogId, tips: &[Tip]) -> Result<Option<Freed>, StoreError> {
        let row = self.make_row(mailbox)?;
        let freed = self.write()?.log(row.number).rebase(log, tips, &mut |_| false)?;
        self.charge(mailbox, freed.map_or(0, |freed| freed.bytes), 0)?;
        Ok(freed)
    }

    fn floors(&self, mailbox: &MailboxId) -> Result<Vec<(bool, Vec<u8>)>, StoreError> {
        let floor = |row: Vec<u8>| match row.split_first() {
            Some((staged @ (0 | 1), bytes)) => Ok((*staged == 1, bytes.to_vec())),
            _ => Err(damaged("a floor's row does not parse")),
        };
        self.values(FLOORS, mailbox)?.into_iter().map(floor).collect()
    }

    fn set_floors(&mut self, mailbox: &MailboxId, floors: &[(bool, Vec<u8>)]) -> Result<(), StoreError> {
        let number = self.make_row(mailbox)?.number;
        let before = self.floors(mailbox)?;
        let transaction = self.write()?;
        transaction.remove_all(FLOORS, &number.to_be_bytes())?;
        for (place, (staged, bytes)) in (0_u32..).zip(floors) {
            let key = [number.to_be_bytes(), place.to_be_bytes()].concat();
            transaction.put(FLOORS, &key, &[&[u8::from(*staged)][..], bytes].concat())?;
        }
        let size = |floors: &[(bool, Vec<u8>)]| floors.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        self.charge(mailbox, size(&before), size(floors))
    }

    fn chunks(&self, mailbox: &MailboxId) -> Result<Vec<ChunkName>, StoreError> {
        let Some(row) = self.row(mailbox)? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        let (start, end) = (row.number.to_be_bytes(), row.number.checked_add(1).map(u32::to_be_bytes));
        let range =
            (Bound::Included(&start[..]), end.as_ref().map_or(Bound::Unbounded, |end| Bound::Excluded(&end[..])));
        self.read().visit_keys(CHUNKS, range, &mut |key| {
            names.extend(key.get(4..).and_then(|name| name.try_into().ok()).map(ChunkName));
            ControlFlow::Continue(())
        })?;
        Ok(names)
    }

    fn chunk(&self, mailbox: &MailboxId, name: &ChunkName) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(row) = self.row(mailbox)? else { return Ok(None) };
        self.read().get(CHUNKS, &chunk_key(row.number, name))
    }

    fn put_chunk(&mut self, mailbox: &MailboxId, name: &ChunkName, bytes: &[u8]) -> Result<(), StoreError> {
        let number = self.make_row(mailbox)?.number;
        self.write()?.put(CHUNKS, &chunk_key(number, name), bytes)?;
        self.charge(mailbox, 0, bytes.len() as u64)
    }

    fn remove_chunk(&mut self, mailbox: &MailboxId, name: &ChunkName) -> Result<(), StoreError> {
        let Some(chunk) = self.chunk(mailbox, name)? else { return Ok(()) };
        let number = self.make_row(mailbox)?.number;
        self.write()?.remove(CHUNKS, &chunk_key(number, name))?;
        self.charge(mailbox, chunk.len() as u64, 0)
    }
}

impl std::fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Batch(..)")
    }
}

impl MailboxRow {
    fn to_bytes(self) -> Vec<u8> {
        [&self.number.to_be_bytes()[..], &self.bytes.to_be_bytes(), &self.quota.to_be_bytes()].concat()
    }

    fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut numbers = Numbers(bytes);
        let row = (|| {
            let (number, bytes) = (numbers.u32()?, numbers.u64()?);
            // Rows of the first version end here.
            let quota = if numbers.0.is_empty() { 0 } else { numbers.u64()? };
            Some(Self { number, bytes, quota, unsaved: false })
        })();
        row.filter(|_| numbers.0.is_empty()).ok_or_else(|| damaged("a mailbox's row has a wrong length"))
    }
}

fn token_row(record: &TokenRecord) -> Vec<u8> {
    [
        &record.uses.to_be_bytes()[..],
        &record.expires.as_secs().to_be_bytes(),
        &record.made.as_secs().to_be_bytes(),
        &record.of.to_be_bytes(),
        &record.quota.unwrap_or(0).to_be_bytes(),
        record.label.as_bytes(),
    ]
    .concat()
}

fn parse_token(bytes: &[u8]) -> Result<TokenRecord, StoreError> {
    let mut numbers = Numbers(bytes);
    let record = (|| {
        let (uses, expires) = (numbers.u32()?, Duration::from_secs(numbers.u64()?));
        if numbers.0.is_empty() {
            // A row of the first version.
            return Some(TokenRecord::new(uses, Duration::ZERO, expires));
        }
        let (made, of) = (Duration::from_secs(numbers.u64()?), numbers.u32()?);
        let quota = Some(numbers.u64()?).filter(|quota| *quota > 0);
        let label = std::str::from_utf8(numbers.0).ok()?.to_owned();
        Some(TokenRecord { uses, of, made, expires, quota, label })
    })();
    record.ok_or_else(|| damaged("a token's row does not parse"))
}

/// Big-endian numbers, one after the other.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }
}

fn chunk_key(number: u32, name: &ChunkName) -> Vec<u8> {
    [&number.to_be_bytes()[..], name.as_bytes()].concat()
}

fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(what.to_owned())
}

const MAILBOXES: Table = Table::named("relay/mailboxes");
const STATEMENTS: Table = Table::named("relay/statements");
const OPENINGS: Table = Table::named("relay/openings");
const FLOORS: Table = Table::named("relay/floors");
const CHUNKS: Table = Table::named("relay/chunks");
const MEMBERS: Table = Table::named("relay/members");
const MAKERS: Table = Table::named("relay/makers");
const TOKENS: Table = Table::named("relay/tokens");
const ABOUT: Table = Table::named("relay/about");
const STORE: &[u8] = b"store";
const LAST_NUMBER: &[u8] = b"mailboxes";
