//! The handles on one redb file: a reader that costs nothing, a writer once something is written.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{
    Builder, ConcurrencyMode, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, StorageBackend, WriteTransaction,
};

use crate::at_rest::Encrypted;
use crate::crash_only::{Reading, Writing};
use crate::{OpenError, StorageKey, StoreError, private};

/// Who may have the database open beside this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Any number of processes, one write transaction at a time: a command and a background sync.
    Processes,
    /// Nobody: a relay.
    Exclusive,
}

/// A database and how to reach it. Reading opens it read-only: no fsync, nothing written. The
/// writer, whose opening and recovery cost two fsyncs, is opened by the first write.
pub(crate) struct Database {
    file: Option<DatabaseFile>,
    handles: Mutex<Handles>,
    closing: Arc<AtomicBool>,
}

#[derive(Default)]
struct Handles {
    reader: Option<Arc<ReadOnlyDatabase>>,
    writer: Option<Arc<redb::Database>>,
}

/// A database in a file, which can be opened again.
pub(crate) struct DatabaseFile {
    pub(crate) path: PathBuf,
    pub(crate) key: StorageKey,
    pub(crate) sharing: Sharing,
}

impl Database {
    /// Opens a file. `check` looks at the database before anything is opened for writing.
    pub(crate) fn open(
        file: DatabaseFile,
        check: impl Fn(&ReadTransaction) -> Result<(), OpenError>,
    ) -> Result<Self, OpenError> {
        let path = file.path.clone();
        let closing = Arc::new(AtomicBool::new(false));
        let mut handles = Handles::default();
        match file.reader()? {
            Some(reader) => handles.reader = Some(Arc::new(reader)),
            None => handles.writer = Some(Arc::new(file.writer(&closing)?)),
        }
        let snapshot = handles.begin_read().map_err(|error| OpenError::store(&path, error))?;
        check(&snapshot)?;
        drop(snapshot);
        if file.sharing == Sharing::Exclusive && handles.writer.is_none() {
            // Its reader's lock would keep the writer out.
            handles.reader = None;
            handles.writer = Some(Arc::new(file.writer(&closing)?));
        }
        Ok(Self { file: Some(file), handles: Mutex::new(handles), closing })
    }

    /// Takes a database that is open for writing and cannot be opened again.
    pub(crate) fn of(writer: redb::Database) -> Self {
        Self {
            file: None,
            handles: Mutex::new(Handles { reader: None, writer: Some(Arc::new(writer)) }),
            closing: Arc::default(),
        }
    }

    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        self.handles().begin_read()
    }

    /// Waits for the write transactions of others, here and in other processes.
    pub(crate) fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        let writer = self.writer()?;
        let mut transaction = writer.begin_write()?;
        // Two-phase commits that record the allocator state, as the multi-process mode demands
        // anyway: whoever opens the file after a crash need not walk it, and recovery never has to
        // tell a torn commit from a whole one by a checksum that is not cryptographic.
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    fn writer(&self) -> Result<Arc<redb::Database>, StoreError> {
        let mut handles = self.handles();
        if let Some(writer) = &handles.writer {
            return Ok(Arc::clone(writer));
        }
        let file = self
            .file
            .as_ref()
            .ok_or_else(|| StoreError::Io(io::Error::other("this database cannot be opened again")))?;
        let writer = Arc::new(file.writer(&self.closing).map_err(Box::new)?);
        handles.writer = Some(Arc::clone(&writer));
        // Snapshots that were taken from the reader keep it open as long as they live.
        handles.reader = None;
        Ok(writer)
    }

    fn handles(&self) -> MutexGuard<'_, Handles> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
    }
}

impl Handles {
    fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        match (&self.writer, &self.reader) {
            (Some(writer), _) => Ok(writer.begin_read()?),
            (None, Some(reader)) => Ok(reader.begin_read()?),
            (None, None) => Err(StoreError::Io(io::Error::other("the database is closed"))),
        }
    }
}

impl DatabaseFile {
    /// Opens for reading, or says that a writer must recover the file first.
    fn reader(&self) -> Result<Option<ReadOnlyDatabase>, OpenError> {
        let storage = self.storage(OpenOptions::new().read(true))?;
        match self.builder().open_read_only_with_backend(Reading::new(storage)) {
            Ok(reader) => Ok(Some(reader)),
            Err(redb::DatabaseError::RepairAborted) => Ok(None),
            Err(error) => Err(OpenError::redb(&self.path, error)),
        }
    }

    fn writer(&self, closing: &Arc<AtomicBool>) -> Result<redb::Database, OpenError> {
        let storage = self.storage(OpenOptions::new().read(true).write(true))?;
        self.builder()
            .create_with_backend(Writing::new(storage, Arc::clone(closing)))
            .map_err(|error| OpenError::redb(&self.path, error))
    }

    /// The decrypted file, once its key is known to be right: redb is never given another one.
    fn storage(&self, options: &OpenOptions) -> Result<Encrypted<FileBackend>, OpenError> {
        let path = &self.path;
        let file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::Missing(path.clone()));
            }
            opened => opened.map_err(|error| OpenError::io(path, error))?,
        };
        private::restrict(&file, path)?;
        let file = FileBackend::new(file).map_err(|error| OpenError::redb(path, error))?;
        let storage = Encrypted::new(file, &self.key);
        check_key(&storage, path)?;
        Ok(storage)
    }

    fn builder(&self) -> Builder {
        builder(match self.sharing {
            Sharing::Processes => ConcurrencyMode::MultiWriter,
            Sharing::Exclusive => ConcurrencyMode::ExclusiveWriter,
        })
    }
}

/// Makes a database of one's own in a storage (empty, or the storage of one made before).
pub(crate) fn exclusive(storage: impl StorageBackend) -> Result<redb::Database, redb::DatabaseError> {
    builder(ConcurrencyMode::ExclusiveWriter).create_with_backend(storage)
}

/// Refuses a storage that does not begin as redb's do when decrypted with this key. (Left to
/// itself redb would make a new database in a file of no bytes.)
pub(crate) fn check_key(storage: &Encrypted<impl StorageBackend>, path: &Path) -> Result<(), OpenError> {
    let io = |error| OpenError::io(path, error);
    if storage.len().map_err(io)? == 0 {
        return Err(OpenError::Damaged("the file is empty".into()));
    }
    if !storage.opens().map_err(io)? {
        return Err(OpenError::WrongKey(path.to_owned()));
    }
    Ok(())
}

fn builder(mode: ConcurrencyMode) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_concurrency_mode(mode);
    builder
}

/// redb would take up to a gigabyte. Pages of branches and of what is being changed fit in this.
const CACHE: usize = 16 << 20;
