//! The handles on one redb database: a reader that costs nothing, a writer once something is written.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{
    Builder, ConcurrencyMode, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, StorageBackend, WriteTransaction,
};

use crate::at_rest::Encrypted;
use crate::crash_only::{Reading, Writing};
use crate::shield::{shield, shielded_drop};
use crate::storage_key::scrub_stack;
use crate::{OpenError, Snapshot, StorageKey, StoreError};

/// Who may have the database open beside this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Any number of processes, one write transaction at a time: a command and a background sync.
    Processes,
    /// Nobody: a relay.
    Exclusive,
}

/// A database. Reading opens it read-only: no fsync, nothing written. The writer, whose opening
/// and recovery cost two fsyncs, is opened by the first write.
pub(crate) struct Database {
    storage: Storage,
    handles: Mutex<Handles>,
    closing: Arc<AtomicBool>,
}

#[derive(Default)]
struct Handles {
    reader: Option<Arc<ReadOnlyDatabase>>,
    writer: Option<Arc<redb::Database>>,
}

/// Where a database is and what it takes to open it.
pub(crate) struct Storage {
    /// Its name in errors.
    pub(crate) path: PathBuf,
    pub(crate) key: StorageKey,
    pub(crate) sharing: Sharing,
    pub(crate) open: Box<OpenStorage>,
}

/// Opens a storage to read, or to write too.
pub(crate) type OpenStorage = dyn Fn(Access) -> Result<Box<dyn StorageBackend>, OpenError> + Send + Sync;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Database {
    /// Opens a storage. `check` looks at the database before anything is opened for writing.
    pub(crate) fn open(
        storage: Storage,
        check: impl Fn(&Snapshot) -> Result<(), OpenError>,
    ) -> Result<Self, OpenError> {
        let closing = Arc::default();
        let mut handles = storage.handles(&closing)?;
        let snapshot = handles.begin_read().map_err(|error| OpenError::store(&storage.path, error))?;
        check(&Snapshot::new(snapshot))?;
        if storage.sharing == Sharing::Exclusive {
            // Its reader's lock would keep the writer out.
            handles.reader = None;
            handles.open_writer(&storage, &closing)?;
        }
        Ok(Self { storage, handles: Mutex::new(handles), closing })
    }

    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        let mut handles = self.handles();
        handles.begin_read().or_else(|_| {
            self.reopen(&mut handles)?;
            handles.begin_read()
        })
    }

    /// Waits for the write transactions of others, here and in other processes.
    pub(crate) fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        // Not under the lock on the handles: others go on reading while this waits.
        let writer = self.writer()?;
        begin_write(&writer).or_else(|_| {
            drop(writer);
            self.reopen(&mut self.handles())?;
            begin_write(&*self.writer()?)
        })
    }

    fn writer(&self) -> Result<Arc<redb::Database>, StoreError> {
        Ok(self.handles().open_writer(&self.storage, &self.closing).map_err(Box::new)?)
    }

    /// After an error of the operating system (a disk that was full for a while) redb refuses
    /// everything until the database is opened anew; a process that goes on for months does that.
    fn reopen(&self, handles: &mut Handles) -> Result<(), StoreError> {
        self.closing.store(true, Ordering::Release);
        shielded_drop(std::mem::take(handles));
        self.closing.store(false, Ordering::Release);
        *handles = self.storage.handles(&self.closing).map_err(Box::new)?;
        Ok(())
    }

    fn handles(&self) -> MutexGuard<'_, Handles> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        shielded_drop(std::mem::take(&mut *self.handles()));
        // Whoever used the database read keys out of it, too.
        scrub_stack::<256>();
    }
}

impl Handles {
    /// Snapshots that were taken from the reader keep it open as long as they live.
    fn open_writer(&mut self, storage: &Storage, closing: &Arc<AtomicBool>) -> Result<Arc<redb::Database>, OpenError> {
        if let Some(writer) = &self.writer {
            return Ok(Arc::clone(writer));
        }
        let writer = Arc::new(storage.writer(closing)?);
        self.writer = Some(Arc::clone(&writer));
        self.reader = None;
        Ok(writer)
    }

    fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        shield(|| match (&self.writer, &self.reader) {
            (Some(writer), _) => Ok(writer.begin_read()?),
            (None, Some(reader)) => Ok(reader.begin_read()?),
            (None, None) => Err(StoreError::Io(io::Error::other("the database is closed"))),
        })
    }
}

impl Storage {
    /// Makes a database in a storage of no bytes, lets `fill` write the first transaction, and
    /// closes it.
    pub(crate) fn initialise(
        &self,
        fill: impl FnOnce(WriteTransaction) -> Result<(), StoreError>,
    ) -> Result<(), OpenError> {
        let storage = Encrypted::over((self.open)(Access::Write)?, &self.key);
        let create = || builder(ConcurrencyMode::ExclusiveWriter).create_with_backend(storage);
        let database = self.shielded(create)?;
        begin_write(&database).and_then(fill).map_err(|error| OpenError::store(&self.path, error))?;
        self.shielded(|| database.close())
    }

    pub(crate) fn is_empty(&self) -> Result<bool, OpenError> {
        let storage = (self.open)(Access::Read)?;
        Ok(storage.len().map_err(|error| OpenError::io(&self.path, error))? == 0)
    }

    /// The least that reads: a reader, or after a power failure a writer, which recovers.
    fn handles(&self, closing: &Arc<AtomicBool>) -> Result<Handles, OpenError> {
        let mut handles = Handles::default();
        match self.reader()? {
            Some(reader) => handles.reader = Some(Arc::new(reader)),
            None => drop(handles.open_writer(self, closing)?),
        }
        Ok(handles)
    }

    /// Opens for reading, or says that a writer must recover the database first.
    fn reader(&self) -> Result<Option<ReadOnlyDatabase>, OpenError> {
        let storage = Reading::new(self.decrypted(Access::Read)?);
        self.shielded(|| match self.builder().open_read_only_with_backend(storage) {
            Ok(reader) => Ok(Some(reader)),
            Err(redb::DatabaseError::RepairAborted) => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn writer(&self, closing: &Arc<AtomicBool>) -> Result<redb::Database, OpenError> {
        let storage = Writing::new(self.decrypted(Access::Write)?, Arc::clone(closing));
        self.shielded(|| self.builder().create_with_backend(storage))
    }

    fn shielded<T>(&self, open: impl FnOnce() -> Result<T, redb::DatabaseError>) -> Result<T, OpenError> {
        shield(|| Ok(open()))
            .map_err(|error| OpenError::store(&self.path, error))?
            .map_err(|error| OpenError::redb(&self.path, error))
    }

    /// The decrypted storage, once its key is known to be right: redb is never given another one.
    /// (Left to itself it would also make a new database in a storage of no bytes.)
    fn decrypted(&self, access: Access) -> Result<Encrypted, OpenError> {
        let storage = Encrypted::over((self.open)(access)?, &self.key);
        let io = |error| OpenError::io(&self.path, error);
        if storage.len().map_err(io)? == 0 {
            return Err(OpenError::Damaged("it is empty".into()));
        }
        if !storage.opens().map_err(io)? {
            return Err(OpenError::WrongKey(self.path.clone()));
        }
        Ok(storage)
    }

    fn builder(&self) -> Builder {
        builder(match self.sharing {
            Sharing::Processes => ConcurrencyMode::MultiWriter,
            Sharing::Exclusive => ConcurrencyMode::ExclusiveWriter,
        })
    }
}

fn begin_write(database: &redb::Database) -> Result<WriteTransaction, StoreError> {
    let mut transaction = shield(|| Ok(database.begin_write()?))?;
    // Two-phase commits that record the allocator state, as the multi-process mode demands
    // anyway: whoever opens the database after a crash need not walk it, and recovery never has to
    // tell a torn commit from a whole one by a checksum that is not cryptographic.
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn builder(mode: ConcurrencyMode) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_concurrency_mode(mode);
    builder
}

/// redb would take up to a gigabyte. Pages of branches and of what is being changed fit in this.
const CACHE: usize = 16 << 20;
