//! A disk whose power can fail, and a history of writes that can be checked after it did.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeMap;
use std::io;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, MutexGuard};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use redb::{BackendError, StorageBackend};
use ties_sealed_log::conformance::Scribe;
use ties_sealed_log::{Appended, Entry, Log};
use ties_store::{Pair, Read, Sharing, StorageKey, Store, StoreError, Table};

/// A disk that forgets what was not flushed, in part and in no order, when its power fails.
/// It is used by one process, so every lock is free.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// What survives a power failure for certain.
    flushed: Vec<u8>,
    /// What reads see.
    seen: Vec<u8>,
    unflushed: Vec<Change>,
    /// After so many more changes or flushes the power fails.
    power: Option<u64>,
    flushes: u64,
}

enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

const DISK_SECTOR: usize = 512;

impl Disk {
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { flushed: bytes.clone(), seen: bytes, ..State::default() })))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state().seen.clone()
    }

    pub(crate) fn flushes(&self) -> u64 {
        self.state().flushes
    }

    pub(crate) fn cut_power_after(&self, operations: u64) {
        self.state().power = Some(operations);
    }

    /// Takes the power away and gives it back. Each 512-byte sector written since the last flush is
    /// there or not; so is each change of length.
    pub(crate) fn crash(&self, rng: &mut ChaCha20Rng) {
        let mut state = self.state();
        // At times all of it survives, at times none, mostly a random part.
        let odds = [0, 25, 50, 75, 100][below(rng, 5) as usize];
        let mut kept = || below(rng, 100) < odds;
        let mut bytes = std::mem::take(&mut state.flushed);
        for change in std::mem::take(&mut state.unflushed) {
            match change {
                Change::Length(length) if kept() => bytes.resize(length as usize, 0),
                Change::Length(_) => {}
                Change::Write(offset, data) => {
                    for (n, sector) in data.chunks(DISK_SECTOR).enumerate() {
                        let at = offset as usize + n * DISK_SECTOR;
                        if at + sector.len() <= bytes.len() && kept() {
                            bytes[at..at + sector.len()].copy_from_slice(sector);
                        }
                    }
                }
            }
        }
        *state = State { flushed: bytes.clone(), seen: bytes, ..State::default() };
    }

    pub(crate) fn open(&self, sharing: Sharing) -> Result<Store, ties_store::OpenError> {
        let disk = self.clone();
        Store::with_storage(move || Ok(disk.clone()), sharing, key())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn spend(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.power {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("the power failed"))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = from.checked_add(out.len()).and_then(|to| state.seen.get(from..to));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.spend()?;
        state.seen.resize(len as usize, 0);
        state.unflushed.push(Change::Length(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.spend()?;
        state.flushed = state.seen.clone();
        state.unflushed.clear();
        state.flushes += 1;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.spend()?;
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = from.checked_add(data.len()).and_then(|to| state.seen.get_mut(from..to));
        bytes.ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(data);
        state.unflushed.push(Change::Write(offset, data.to_vec()));
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

pub(crate) fn key() -> StorageKey {
    StorageKey::from_bytes(&std::array::from_fn(|n| n as u8)).unwrap()
}

pub(crate) fn below(rng: &mut ChaCha20Rng, bound: u64) -> u64 {
    rng.next_u64() % bound
}

/// A series of transactions, each with an entry, a document, its rows and a setting, from whose
/// number everything in the database follows.
pub(crate) struct History {
    entries: Vec<Entry>,
}

const DOCUMENTS: u64 = 7;

impl History {
    pub(crate) fn new(length: usize) -> Self {
        Self { entries: Scribe::new(1).chain(None, length) }
    }

    pub(crate) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Writes transaction `number`, the first being 1.
    pub(crate) fn write(&self, store: &Store, number: u64) -> Result<(), StoreError> {
        assert_eq!(self.write_next(store)?, number);
        Ok(())
    }

    /// Writes the transaction after the last one; returns its number.
    pub(crate) fn write_next(&self, store: &Store) -> Result<u64, StoreError> {
        let mut transaction = store.write()?;
        let number = number(&transaction)? + 1;
        let appended = transaction.log(0).append(&self.entries[number as usize - 1])?;
        assert_eq!(appended, Appended::Extended);
        let id = id(number % DOCUMENTS);
        transaction.put_document(&id, &document(number))?;
        if number.is_multiple_of(3) {
            transaction.append_to_document(&id, b"more")?;
        }
        let before = number.checked_sub(DOCUMENTS).filter(|last| *last > 0).map_or_else(Vec::new, rows);
        let gone = before.into_iter().map(|(key, _)| (key, None));
        let here = rows(number).into_iter().map(|(key, value)| (key, Some(value)));
        let changes: BTreeMap<Vec<u8>, Option<Vec<u8>>> = gone.chain(here).collect();
        transaction.put_all(Table::ROWS, changes.into_iter().collect())?;
        transaction.put(Table::SETTINGS, b"number", &number.to_be_bytes())?;
        transaction.commit()?;
        Ok(number)
    }

    /// The number of the last transaction, once everything was found to be as it left it.
    pub(crate) fn check(
        &self,
        read: &(impl Read + ?Sized),
        log: &impl Log<Error = StoreError>,
    ) -> Result<u64, StoreError> {
        let number = number(read)?;
        let entries = log.after(&self.entries[0].log(), 0, usize::MAX)?;
        assert_eq!(entries, self.entries[..number as usize]);
        let mut expected_rows = Vec::new();
        for slot in 0..DOCUMENTS {
            let last = (1..=number).rev().find(|n| n % DOCUMENTS == slot);
            let mut expected = last.map(document);
            if let (Some(last), Some(document)) = (last, &mut expected)
                && last.is_multiple_of(3)
            {
                document.extend_from_slice(b"more");
            }
            assert_eq!(read.document(&id(slot))?, expected);
            expected_rows.extend(last.map_or_else(Vec::new, rows));
        }
        expected_rows.sort();
        assert_eq!(read.pairs(Table::ROWS, b"")?, expected_rows);
        Ok(number)
    }

    /// As [`Self::check`], of what was committed last.
    pub(crate) fn check_store(&self, store: &Store) -> Result<u64, StoreError> {
        let snapshot = store.read()?;
        self.check(&snapshot, &snapshot.log(0))
    }
}

/// Reads all there is; errors are the caller's.
pub(crate) fn read_everything(store: &Store) -> Result<(), StoreError> {
    let snapshot = store.read()?;
    for table in [Table::ROWS, Table::SETTINGS, Table::PARKED, Table::APPLIED] {
        snapshot.visit(table, (Bound::Unbounded, Bound::Unbounded), &mut |_, _| ControlFlow::Continue(()))?;
    }
    for id in snapshot.document_ids()? {
        snapshot.document(&id)?;
    }
    let log = snapshot.log(0);
    for id in log.vector()?.logs() {
        log.after(&id, 0, usize::MAX)?;
    }
    Ok(())
}

fn number(read: &(impl Read + ?Sized)) -> Result<u64, StoreError> {
    let number = read.get(Table::SETTINGS, b"number")?;
    Ok(number.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap())))
}

fn id(slot: u64) -> [u8; 16] {
    let mut id = [0; 16];
    id[0] = slot as u8 * 36;
    id
}

fn document(number: u64) -> Vec<u8> {
    let length = number.wrapping_mul(0x9e37_79b9) % 9_000;
    (0..length).map(|at| (at * number) as u8).collect()
}

fn rows(number: u64) -> Vec<Pair> {
    let slot = number % DOCUMENTS;
    let row = |n: u64| (format!("{}/{slot}", n * 7919 % 100).into_bytes(), number.to_be_bytes().to_vec());
    (0..number % 5).map(|n| row(n + number)).collect()
}
