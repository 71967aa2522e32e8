//! Making and opening a database: a folder with a key and the file it opens.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use redb::StorageBackend;
use redb::backends::FileBackend;
use ties_fault::{Point, pass};

use crate::custody::{Custody, KEY, UNFINISHED};
use crate::database::{Access, Database, Storage};
use crate::memory::Memory;
use crate::tables::{self, Read, Table};
use crate::{OpenError, Sharing, Snapshot, StorageKey, StoreError, Transaction, install, private};

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
        Self::create_with(folder, sharing, |_| Ok(())).map(|(store, ())| store)
    }

    /// Makes a database with something in it, and opens it: there is no moment at which there is a database without what
    /// `fill` writes. Whoever is stopped before that may simply begin again.
    ///
    /// # Errors
    /// [`OpenError::Exists`] if there is one, and what `fill` says; there is no database then.
    pub fn create_with<T, E: From<OpenError>>(
        folder: &Path,
        sharing: Sharing,
        fill: impl FnOnce(&mut Transaction) -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        let failed = |error| OpenError::io(folder, error);
        private::folder(folder).map_err(failed)?;
        pass(Point::FolderMade);
        let filled = {
            let _alone = private::lock_folder(folder).map_err(failed)?;
            if Self::exists(folder) {
                return Err(OpenError::Exists(folder.to_owned()).into());
            }
            let key = Custody::of(folder).key_or_new()?;
            // Made under another name, so that what is called the database is always whole.
            let new = folder.join(NEW);
            let _ = fs::remove_file(&new);
            private::create_new(&new).map_err(failed)?;
            pass(Point::DatabaseBegun);
            let filled = file(new.clone(), key, Sharing::Exclusive).initialise_with(fill)?;
            pass(Point::DatabaseFilled);
            fs::rename(&new, folder.join(DATABASE)).map_err(failed)?;
            pass(Point::DatabaseNamed);
            private::sync_folder(folder).map_err(failed)?;
            pass(Point::DatabaseKept);
            filled
        };
        Ok((Self::open(folder, sharing)?, filled))
    }

    /// Where a device that waits to be let in keeps its keys, in the folder that is to hold its store.
    pub const JOINING: &str = "joining";

    /// Whether a folder has nothing in it but what a [`Store::create`] leaves that was stopped before its end.
    #[must_use]
    pub fn is_beginning(folder: &Path) -> bool {
        let Ok(mut entries) = fs::read_dir(folder) else { return false };
        entries.all(|entry| {
            entry.is_ok_and(|entry| [KEY, UNFINISHED, NEW, Self::JOINING].iter().any(|name| entry.file_name() == *name))
        })
    }

    /// Takes away what a [`Store::create_with`] left that failed, if there is nothing else in the folder.
    pub fn abandon(folder: &Path) {
        if Self::is_beginning(folder) {
            for name in [NEW, UNFINISHED, KEY] {
                let _ = fs::remove_file(folder.join(name));
            }
        }
    }

    /// Opens the database in a folder, with the key as its file has it or, under a passphrase, as [`Custody::unlock`]
    /// left it.
    ///
    /// # Errors
    /// [`OpenError::Locked`] where the passphrase is wanted, and whatever else is missing, wrong or in the way. With
    /// [`Sharing::Processes`] nothing is written before something is written, unless a power failure left work to do.
    pub fn open(folder: &Path, sharing: Sharing) -> Result<Self, OpenError> {
        if !Self::exists(folder) {
            return Err(OpenError::Missing(folder.to_owned()));
        }
        Self::open_with_key(folder, sharing, Custody::of(folder).key()?)
    }

    /// Opens the database in a folder with a key that [`Custody::unseal`] gave.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with_key(folder: &Path, sharing: Sharing, key: StorageKey) -> Result<Self, OpenError> {
        Self::open_storage(file(folder.join(DATABASE), key, sharing))
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

    /// Opens the database in a storage of one's own, or makes one if it is empty: for simulations
    /// that crash, and for programs that keep their bytes elsewhere. `open` gives a new handle on
    /// the storage each time; with [`Sharing::Processes`] it needs byte-range locks.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn with_storage<B: StorageBackend>(
        open: impl Fn() -> io::Result<B> + Send + Sync + 'static,
        sharing: Sharing,
        key: StorageKey,
    ) -> Result<Self, OpenError> {
        let path = PathBuf::from("the storage");
        let name = path.clone();
        let open = move |_| match open() {
            Ok(storage) => Ok(Box::new(storage) as Box<dyn StorageBackend>),
            Err(error) => Err(OpenError::io(&name, error)),
        };
        let storage = Storage { path, key, sharing, open: Box::new(open) };
        if storage.is_empty()? {
            storage.initialise_with(|_| Ok::<_, OpenError>(()))?;
        }
        Self::open_storage(storage)
    }

    /// Makes a database that ends with the process, for tests.
    ///
    /// # Errors
    /// If the operating system gives no random bytes for a key.
    pub fn in_memory() -> Result<Self, OpenError> {
        let key = StorageKey::generate().map_err(|error| OpenError::io(Path::new("the key"), error))?;
        let memory = Memory::default();
        Self::with_storage(move || Ok(memory.clone()), Sharing::Exclusive, key)
    }

    /// Begins to read the state that was committed last, here or by another process.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn read(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::new(self.database.begin_read()?))
    }

    /// Begins to write, after the transactions of others, here and in other processes, have ended.
    ///
    /// # Errors
    /// If the database cannot be read or opened for writing.
    pub fn write(&self) -> Result<Transaction, StoreError> {
        Ok(Transaction::new(self.database.begin_write()?))
    }

    /// Tells whether a folder holds a database.
    #[must_use]
    pub fn exists(folder: &Path) -> bool {
        folder.join(DATABASE).exists()
    }

    /// The file of the database in a folder: its processes open and close it.
    #[must_use]
    pub fn file(folder: &Path) -> PathBuf {
        folder.join(DATABASE)
    }

    /// A mark that changes when the database in a folder is copied, restored or taken to another
    /// machine: its logs must then not be continued (two devices would write one log). While the
    /// database is being made, within [`Self::create_with`], it is the mark that it will have.
    ///
    /// # Errors
    /// If there is no database.
    pub fn install_mark(folder: &Path) -> io::Result<[u8; 32]> {
        match install::mark(&folder.join(DATABASE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => install::mark(&folder.join(NEW)),
            mark => mark,
        }
    }

    fn open_storage(storage: Storage) -> Result<Self, OpenError> {
        let path = storage.path.clone();
        Ok(Self { database: Database::open(storage, |snapshot| check_format(snapshot, &path))? })
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store(..)")
    }
}

fn file(path: PathBuf, key: StorageKey, sharing: Sharing) -> Storage {
    let opened = path.clone();
    Storage { path, key, sharing, open: Box::new(move |access| open_file(&opened, access)) }
}

fn open_file(path: &Path, access: Access) -> Result<Box<dyn StorageBackend>, OpenError> {
    let file = match OpenOptions::new().read(true).write(access == Access::Write).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenError::Missing(path.to_owned())),
        opened => opened.map_err(|error| OpenError::io(path, error))?,
    };
    private::restrict(&file, path)?;
    Ok(Box::new(FileBackend::new(file).map_err(|error| OpenError::redb(path, error))?))
}

impl Storage {
    /// As [`Storage::initialise`], with the format's name and what `fill` writes; with nothing at all if it fails.
    fn initialise_with<T, E: From<OpenError>>(
        &self,
        fill: impl FnOnce(&mut Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut filled = None;
        self.initialise(|transaction| {
            let mut transaction = Transaction::new(transaction);
            transaction.put(Table::META, tables::FORMAT, &FORMAT.to_le_bytes())?;
            let result = fill(&mut transaction);
            if result.is_ok() {
                transaction.commit()?;
            }
            filled = Some(result);
            Ok(())
        })?;
        filled.expect("initialise has called its closure once it returns well")
    }
}

fn check_format(snapshot: &Snapshot, path: &Path) -> Result<(), OpenError> {
    let format = snapshot.get(Table::META, tables::FORMAT).and_then(tables::number);
    match format.map_err(|error| OpenError::store(path, error))? {
        FORMAT => Ok(()),
        0 => Err(OpenError::Damaged("it names no format".into())),
        found if found < FORMAT => Err(OpenError::Older { found }),
        found => Err(OpenError::Newer { found, known: FORMAT }),
    }
}

/// The format that this version reads and writes (SCHEMA.md).
pub(crate) const FORMAT: u64 = 2;

pub(crate) const DATABASE: &str = "database";
pub(crate) const NEW: &str = "database.new";
