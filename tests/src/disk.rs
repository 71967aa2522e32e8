//! A disk that forgets what was not flushed when its power fails, in part and in no order.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

/// A disk in memory; clones are the same disk. One process at a time uses it, so every lock is free.
#[derive(Clone, Default)]
pub struct CrashingDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// What survives a power failure for certain.
    flushed: Vec<u8>,
    /// What reads see.
    seen: Vec<u8>,
    unflushed: Vec<Change>,
    /// After so many more changes or flushes nothing works any more.
    power: Option<u64>,
    failed: bool,
}

/// What a power failure left of the writes that were not flushed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Survivors {
    /// Writes that came through.
    pub whole: u64,
    /// Writes of which some sectors came through.
    pub torn: u64,
    /// Writes of which nothing came through.
    pub lost: u64,
}

enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

const SECTOR: usize = 512;

impl CrashingDisk {
    /// A disk that holds these bytes.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { flushed: bytes.clone(), seen: bytes, ..State::default() })))
    }

    /// What would be there after a power failure that lost everything it could: good enough for a backup.
    #[must_use]
    pub fn image(&self) -> Vec<u8> {
        self.state().flushed.clone()
    }

    /// Lets the power fail after so many more changes and flushes.
    pub fn fail_after(&self, operations: u64) {
        self.state().power = Some(operations);
    }

    /// Whether the power has failed in the middle of something.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// Works again, with all that was written: a process was killed, the machine goes on.
    pub fn recover(&self) {
        let mut state = self.state();
        (state.power, state.failed) = (None, false);
    }

    /// Loses power and gets it back. Each sector that was written since the last flush is as it was, or as any of the
    /// writes left it; each change of length has happened or not. `fate` decides which.
    /// Tells how many writes came through whole, in part and not at all.
    pub fn crash(&self, fate: u64) -> Survivors {
        let mut state = self.state();
        // At times all of it survives, at times none, mostly a random part.
        let odds = [0, 25, 50, 75, 100][(mix(fate) % 5) as usize];
        // Fate is asked by place, not in order, so that a database that writes its pages in another order meets the
        // same one where it matters.
        let mut asked: BTreeMap<u64, u64> = BTreeMap::new();
        let mut survives = |place: u64| {
            let times = asked.entry(place).or_default();
            *times += 1;
            mix(fate ^ mix(place) ^ mix(*times << 32)) % 100 < odds
        };
        let mut bytes = std::mem::take(&mut state.flushed);
        let mut survivors = Survivors::default();
        for change in std::mem::take(&mut state.unflushed) {
            match change {
                Change::Length(length) if survives(u64::MAX) => bytes.resize(length as usize, 0),
                Change::Length(_) => {}
                Change::Write(offset, data) => {
                    let mut written = 0;
                    for (n, sector) in data.chunks(SECTOR).enumerate() {
                        let at = offset as usize + n * SECTOR;
                        if at + sector.len() <= bytes.len() && survives(at as u64) {
                            bytes[at..at + sector.len()].copy_from_slice(sector);
                            written += sector.len();
                        }
                    }
                    match written {
                        0 => survivors.lost += 1,
                        whole if whole == data.len() => survivors.whole += 1,
                        _ => survivors.torn += 1,
                    }
                }
            }
        }
        *state = State { flushed: bytes.clone(), seen: bytes, ..State::default() };
        survivors
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A permutation of 64 bits in which nothing can be recognised (SplitMix64, Steele et al. 2014).
pub(crate) fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl State {
    fn spend(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.power {
            let Some(rest) = left.checked_sub(1) else {
                self.failed = true;
                return Err(io::Error::other("the power failed"));
            };
            *left = rest;
        }
        Ok(())
    }
}

impl std::fmt::Debug for CrashingDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CrashingDisk")
    }
}

impl StorageBackend for CrashingDisk {
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
        for change in std::mem::take(&mut state.unflushed) {
            match change {
                Change::Length(length) => state.flushed.resize(length as usize, 0),
                Change::Write(offset, data) => {
                    let offset = offset as usize;
                    state.flushed[offset..offset + data.len()].copy_from_slice(&data);
                }
            }
        }
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
