//! Processes that end as if they were killed, and readers that need no writer's farewell.
//!
//! In redb's multi-process mode every commit is two-phase and carries the allocator state, so a
//! database is complete after each commit, whether its writer closes it or is killed. redb's own
//! close nevertheless makes another commit, trims the file and writes a "clean" flag: four
//! fsyncs (and a fifth when the next command grows the file again) for every command that writes
//! one thing. And a read-only open refuses a file without that flag when no writer is alive.
//!
//! Here a writer is closed as redb closes one while another process holds the writer lock
//! (skipping all of that), and a reader vouches for the file's consistency itself. What a killed
//! process leaves behind is thereby the everyday state of the file, not a rare one.

use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{BackendError, StorageBackend};

/// Delegates every lock method but one to `self.inner`.
macro_rules! delegate_locks {
    () => {
        fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
            self.inner.try_lock_shared_range(start, end)
        }

        fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
            self.inner.lock_range(start, end)
        }

        fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
            self.inner.lock_shared_range(start, end)
        }

        fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
            self.inner.unlock_range(start, end)
        }
    };
}

/// Delegates the data methods but reading to `self.inner`.
macro_rules! delegate_data {
    () => {
        fn len(&self) -> io::Result<u64> {
            self.inner.len()
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.inner.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.inner.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.inner.write(offset, data)
        }

        fn close(&self) -> io::Result<()> {
            self.inner.close()
        }
    };
}

/// A writer's storage that can be told that the database is about to close.
#[derive(Debug)]
pub(crate) struct Writing<B> {
    inner: B,
    closing: Arc<AtomicBool>,
}

impl<B> Writing<B> {
    /// Sets `closing` before the database is dropped to skip redb's maintenance at close.
    pub(crate) fn new(inner: B, closing: Arc<AtomicBool>) -> Self {
        Self { inner, closing }
    }
}

impl<B: StorageBackend> StorageBackend for Writing<B> {
    delegate_data!();
    delegate_locks!();

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    /// Refused while closing: redb then takes it that a peer is writing, skips its maintenance
    /// ("multi-writer commits are durable and record allocator state") and releases its locks.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        if self.closing.load(Ordering::Acquire) {
            return Ok(false);
        }
        self.inner.try_lock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}

/// A reader's storage that calls the file consistent although its last writer did not say goodbye.
///
/// One case is left to a writer: the flag *primary unflushed*, with which a power loss can leave
/// a commit that is durable but not yet shown. Readers would be served the commit before it, so
/// redb is told the truth, refuses, and the database is opened for writing, which recovers it.
#[derive(Debug)]
pub(crate) struct Reading<B> {
    inner: B,
    unflushed: AtomicBool,
}

impl<B> Reading<B> {
    pub(crate) fn new(inner: B) -> Self {
        Self { inner, unflushed: AtomicBool::new(false) }
    }
}

impl<B: StorageBackend> StorageBackend for Reading<B> {
    delegate_data!();
    delegate_locks!();

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)?;
        if let (0, Some(god_byte)) = (offset, out.get(GOD_BYTE)) {
            let unflushed = god_byte & PRIMARY_UNFLUSHED != 0;
            self.unflushed.store(unflushed, Ordering::Release);
        }
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        let held = self.inner.query_lock_range(start, end)?;
        let asks_consistent = start == Bound::Included(CONSISTENT_BYTE) && end == Bound::Included(CONSISTENT_BYTE);
        Ok(held || (asks_consistent && !self.unflushed.load(Ordering::Acquire)))
    }
}

/// redb's design.md, "Database header": the byte after the magic, and its fourth bit.
const GOD_BYTE: usize = 9;
const PRIMARY_UNFLUSHED: u8 = 8;
/// redb's design.md, "Lock bytes": held while a writer that has recovered the file is alive. Were
/// redb to move it, reads would go through a writer's open: slower, never wrong.
const CONSISTENT_BYTE: u64 = (1 << 62) + 4;
