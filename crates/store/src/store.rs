//! Making and opening a database: a folder with a key and the file it opens.

use std::fs;
use std::path::Path;

use redb::backends::InMemoryBackend;
use redb::{ReadTransaction, StorageBackend, TableDefinition, TableError};

use crate::at_rest::Encrypted;
use crate::database::{self, Database, DatabaseFile, check_key};
use crate::{OpenError, Sharing, StorageKey, StoreError, private};

/// A database: sealed logs and the tables that programs keep beside them.
///
/// Any number of snapshots can be read while one transaction writes. With [`Sharing::Processes`]
/// this also holds between processes.
pub struct Store {
    database: Database,
}

impl Store {
    /// Makes a database in a folder, which is made too if need be, and opens it.
    ///
    /// # Errors
    /// [`OpenError::Exists`] if there is one.
    pub fn create(folder: &Path, sharing: Sharing) -> Result<Self, OpenError> {
        let io = |error| OpenError::io(folder, error);
        private::folder(folder).map_err(io)?;
        {
            let _alone = private::lock_folder(folder).map_err(io)?;
            if Self::exists(folder) {
                return Err(OpenError::Exists(folder.to_owned()));
            }
            let key = StorageKey::load_or_create(&folder.join(KEY))?;
            // Made under another name, so that what is called the database is always whole.
            let (new, path) = (folder.join(NEW), folder.join(DATABASE));
            let _ = fs::remove_file(&new);
            make_file(&new, &key)?;
            fs::rename(&new, &path).map_err(io)?;
            private::sync_folder(folder).map_err(io)?;
        }
        Self::open(folder, sharing)
    }

    /// Opens the database in a folder.
    ///
    /// # Errors
    /// [`OpenError`] says what is missing, wrong or in the way. With [`Sharing::Processes`]
    /// nothing is written before something is written, unless a power failure left work to do.
    pub fn open(folder: &Path, sharing: Sharing) -> Result<Self, OpenError> {
        if !Self::exists(folder) {
            return Err(OpenError::Missing(folder.to_owned()));
        }
        let file = DatabaseFile { path: folder.join(DATABASE), key: StorageKey::load(&folder.join(KEY))?, sharing };
        let database = Database::open(file, |snapshot| check_format(snapshot, folder))?;
        Ok(Self { database })
    }

    /// Opens the database in a folder, or makes one.
    ///
    /// # Errors
    /// As [`Store::open`] and [`Store::create`].
    pub fn open_or_create(folder: &Path, sharing: Sharing) -> Result<Self, OpenError> {
        match Self::open(folder, sharing) {
            Err(OpenError::Missing(_)) => {}
            opened => return opened,
        }
        match Self::create(folder, sharing) {
            Err(OpenError::Exists(_)) => Self::open(folder, sharing),
            made => made,
        }
    }

    /// Tells whether a folder holds a database.
    #[must_use]
    pub fn exists(folder: &Path) -> bool {
        folder.join(DATABASE).exists()
    }

    /// Opens the database in a storage of one's own, or makes one if it is empty: for simulations
    /// that crash, and for programs that keep their bytes elsewhere. The storage needs no locks.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn with_backend(backend: impl StorageBackend, key: &StorageKey) -> Result<Self, OpenError> {
        let path = Path::new("the storage");
        let storage = Encrypted::new(backend, key);
        let empty = storage.len().map_err(|error| OpenError::io(path, error))? == 0;
        if !empty {
            check_key(&storage, path)?;
        }
        let redb = database::exclusive(storage).map_err(|error| OpenError::redb(path, error))?;
        let database = Database::of(redb);
        if empty {
            initialise(&database).map_err(|error| OpenError::store(path, error))?;
        }
        let snapshot = database.begin_read().map_err(|error| OpenError::store(path, error))?;
        check_format(&snapshot, path)?;
        Ok(Self { database })
    }

    /// Makes a database that ends with the process, for tests.
    ///
    /// # Errors
    /// If the operating system gives no random bytes for a key.
    pub fn in_memory() -> Result<Self, OpenError> {
        let key = StorageKey::generate().map_err(|error| OpenError::io(Path::new("the storage"), error))?;
        Self::with_backend(InMemoryBackend::new(), &key)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store(..)")
    }
}

fn make_file(path: &Path, key: &StorageKey) -> Result<(), OpenError> {
    let file = private::create_new(path).map_err(|error| OpenError::io(path, error))?;
    let file = redb::backends::FileBackend::new(file).map_err(|error| OpenError::redb(path, error))?;
    let redb = database::exclusive(Encrypted::new(file, key)).map_err(|error| OpenError::redb(path, error))?;
    initialise(&Database::of(redb)).map_err(|error| OpenError::store(path, error))
}

fn initialise(database: &Database) -> Result<(), StoreError> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
    transaction.commit()?;
    Ok(())
}

fn check_format(snapshot: &ReadTransaction, path: &Path) -> Result<(), OpenError> {
    match read_meta(snapshot, FORMAT_KEY).map_err(|error| OpenError::store(path, error))? {
        FORMAT => Ok(()),
        0 => Err(OpenError::Damaged("it names no format".into())),
        found => Err(OpenError::Newer { found, known: FORMAT }),
    }
}

fn read_meta(snapshot: &ReadTransaction, key: &str) -> Result<u64, StoreError> {
    match snapshot.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => Ok(0),
        table => Ok(table?.get(key)?.map_or(0, |value| value.value())),
    }
}

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const FORMAT_KEY: &str = "format";
/// The format that this version reads and writes (SCHEMA.md).
const FORMAT: u64 = 1;

const KEY: &str = "key";
const DATABASE: &str = "database";
const NEW: &str = "database.new";
