//! A space on this device: open it, read it, write it, watch it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use ties_sealed_log::{RecoveryWords, SpaceId};
use ties_store::{OpenError as StoreOpenError, Sharing, StorageKey, Store, Table};
use tokio::sync::watch;

use crate::birth::found;
use crate::document::{DocumentId, Projection};
use crate::edit::{Edit, EditError};
use crate::environment::{Clock, Environment};
use crate::operations::Ongoing;
use crate::poke::{Ears, Pokes};
use crate::records::{Fault, PROJECTION, SPACE, SpaceRecord, put_record, record};
use crate::view::View;

/// A space of documents on this device. Clones share it.
#[derive(Clone)]
pub struct Space {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) projection: Box<dyn Projection>,
    pub(crate) pokes: Pokes,
    /// While somebody watches.
    pub(crate) ears: Mutex<Weak<Ears>>,
    /// Beside the environment, so that the time can be told while an edit holds it.
    clock: Clock,
    environment: Mutex<Environment>,
    nonce: OnceLock<[u8; 16]>,
    changes: watch::Sender<u64>,
    /// What came from other devices, while somebody wants to know.
    arrivals: Mutex<Option<BTreeSet<DocumentId>>>,
    /// Whether entries go when a checkpoint says all that they said.
    pub(crate) prunes: AtomicBool,
}

/// How a new space is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOptions {
    /// What the owner calls this device.
    pub device_name: String,
    /// Whether there are twelve words that outrank every device.
    pub recovery: bool,
}

/// Why a space is not made or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder or its database.
    #[error(transparent)]
    Store(#[from] StoreOpenError),
    /// What the database holds.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl OpenError {
    /// Whether all is there but the key that opens it.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        use StoreOpenError::{KeyDamaged, KeyMissing, Locked, WrongKey, WrongPassphrase};
        matches!(self, Self::Store(KeyMissing(_) | KeyDamaged(_) | WrongKey(_) | Locked(_) | WrongPassphrase(_)))
    }
}

/// Why a write fails. Nothing of it has happened then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError<E> {
    /// The closure said so.
    #[error(transparent)]
    Edit(E),
    /// Below the engine.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Space {
    /// Makes a new space in a folder, which is made too if need be.
    ///
    /// # Errors
    /// When there is one already, or the folder cannot be used. There is no half of a space: whoever is stopped may begin
    /// again.
    pub fn create(
        folder: &Path,
        projection: impl Projection,
        options: &CreateOptions,
        mut environment: Environment,
    ) -> Result<(Self, Option<RecoveryWords>), OpenError> {
        let CreateOptions { device_name, recovery } = options;
        environment.lives_in(folder);
        let (store, words) = Store::create_with(folder, Sharing::Processes, |transaction| {
            found(transaction, &projection, &mut environment, device_name, *recovery).map_err(OpenError::from)
        })?;
        Ok((Self::over(store, Some(folder.to_owned()), Box::new(projection), environment), words))
    }

    /// Makes a new space in a store of one's own, for simulations.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_in(
        store: Store,
        projection: impl Projection,
        options: &CreateOptions,
        mut environment: Environment,
    ) -> Result<(Self, Option<RecoveryWords>), OpenError> {
        let CreateOptions { device_name, recovery } = options;
        let mut transaction = store.write().map_err(Fault::from)?;
        let words = found(&mut transaction, &projection, &mut environment, device_name, *recovery)?;
        transaction.commit().map_err(Fault::from)?;
        Ok((Self::over(store, None, Box::new(projection), environment), words))
    }

    /// Opens the space in a folder.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(folder: &Path, projection: impl Projection, environment: Environment) -> Result<Self, OpenError> {
        let store = Store::open(folder, Sharing::Processes)?;
        Self::open_from(store, folder, projection, environment)
    }

    /// Opens the space in a folder whose key a passphrase brought out ([`Custody::unseal`](crate::Custody::unseal)).
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_key(
        folder: &Path,
        projection: impl Projection,
        environment: Environment,
        key: StorageKey,
    ) -> Result<Self, OpenError> {
        let store = Store::open_with_key(folder, Sharing::Processes, key)?;
        Self::open_from(store, folder, projection, environment)
    }

    fn open_from(
        store: Store,
        folder: &Path,
        projection: impl Projection,
        environment: Environment,
    ) -> Result<Self, OpenError> {
        let space = Self::over(store, Some(folder.to_owned()), Box::new(projection), environment);
        space.refresh_rows()?;
        space.read_anew()?;
        Ok(space)
    }

    /// Opens the space in a folder if its rows are as this program makes them, and writes nothing; `None` if they would
    /// have to be made anew first.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_as_it_is(
        folder: &Path,
        projection: impl Projection,
        environment: Environment,
    ) -> Result<Option<Self>, OpenError> {
        let store = Store::open(folder, Sharing::Processes)?;
        let space = Self::over(store, Some(folder.to_owned()), Box::new(projection), environment);
        Ok(space.has_present_rows()?.then_some(space))
    }

    /// Opens the space in a store of one's own, for simulations.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_in(store: Store, projection: impl Projection, environment: Environment) -> Result<Self, OpenError> {
        let space = Self::over(store, None, Box::new(projection), environment);
        space.refresh_rows()?;
        space.read_anew()?;
        Ok(space)
    }

    /// Whether a folder holds a space.
    #[must_use]
    pub fn exists(folder: &Path) -> bool {
        Store::exists(folder)
    }

    /// The processes that watch the space in a folder, and so have it open.
    #[must_use]
    pub fn watchers(folder: &Path) -> Vec<u32> {
        Pokes::of(Some(folder)).watchers()
    }

    /// Whether a folder has nothing in it but what a [`Self::create`] leaves that was stopped before its end.
    #[must_use]
    pub fn is_beginning(folder: &Path) -> bool {
        Store::is_beginning(folder)
    }

    pub(crate) fn over(
        store: Store,
        folder: Option<PathBuf>,
        projection: Box<dyn Projection>,
        mut environment: Environment,
    ) -> Self {
        if let Some(folder) = &folder {
            environment.lives_in(folder);
        }
        let inner = Inner {
            pokes: Pokes::of(folder.as_deref()),
            ears: Mutex::default(),
            store,
            folder,
            projection,
            clock: environment.clock(),
            environment: Mutex::new(environment),
            nonce: OnceLock::new(),
            changes: watch::Sender::new(0),
            arrivals: Mutex::default(),
            prunes: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The space's id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn id(&self) -> Result<SpaceId, Fault> {
        let snapshot = self.inner.store.read()?;
        let kept: Option<SpaceRecord> = record(&snapshot, Table::SETTINGS, SPACE, "the space")?;
        Ok(kept.ok_or(Fault::Damaged("the space"))?.space)
    }

    /// A consistent state to read.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn view(&self) -> Result<View, Fault> {
        Ok(View(self.inner.store.read()?))
    }

    /// Reads one live document.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn read<T>(&self, id: DocumentId, read: impl FnOnce(&automerge::Automerge) -> T) -> Result<Option<T>, Fault> {
        Ok(self.view()?.document(id)?.as_ref().map(read))
    }

    /// Changes documents in one operation: everything the closure does is durable when this returns, or nothing is.
    /// Waits while another writes, here or in another process. [`Self::operation`] gives it a name.
    ///
    /// # Errors
    /// Whatever the closure returns, or what went wrong below.
    pub fn write<T, E: From<EditError>>(
        &self,
        edit: impl FnOnce(&mut Edit<'_>) -> Result<T, E>,
    ) -> Result<T, WriteError<E>> {
        self.operation("").write(edit)
    }

    pub(crate) fn write_as<T, E: From<EditError>>(
        &self,
        operation: &mut Ongoing,
        edit: impl FnOnce(&mut Edit<'_>) -> Result<T, E>,
    ) -> Result<T, WriteError<E>> {
        let transaction = self.inner.store.write().map_err(Fault::from)?;
        let nonce = self.inner.nonce();
        let mut environment = self.inner.environment();
        let mut editing = Edit::begin(transaction, &*self.inner.projection, &mut environment, nonce)?;
        let done = edit(&mut editing).map_err(WriteError::Edit)?;
        if editing.commit(operation)? {
            drop(environment);
            self.inner.committed();
        }
        Ok(done)
    }

    /// Wakes whenever something was committed by this process: by a write, or by a sync.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Whether this process has committed anything, of its own or from elsewhere.
    #[must_use]
    pub fn has_committed(&self) -> bool {
        *self.inner.changes.borrow() > 0
    }

    /// The documents that entries from other devices changed in this process since this was asked last, the first few
    /// thousand of them. What comes before the first question is not kept.
    #[must_use]
    pub fn arrivals(&self) -> Vec<DocumentId> {
        let mut arrivals = self.inner.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.replace(BTreeSet::new()).into_iter().flatten().collect()
    }

    /// The time, in milliseconds since 1970, by this space's clock.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.inner.now()
    }

    /// Makes all rows anew from the documents.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn rebuild_rows(&self) -> Result<(), Fault> {
        let mut transaction = self.inner.store.write()?;
        crate::rebuild::rows(&mut transaction, &*self.inner.projection)?;
        put_record(&mut transaction, Table::SETTINGS, PROJECTION, &self.inner.projection.version())?;
        transaction.commit()?;
        self.inner.committed();
        Ok(())
    }

    /// Makes all documents, and their rows, anew from the entries.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn rebuild_documents(&self) -> Result<(), Fault> {
        let mut transaction = self.inner.store.write()?;
        crate::rebuild::documents(&mut transaction, &*self.inner.projection)?;
        transaction.commit()?;
        self.inner.committed();
        Ok(())
    }

    /// A program that makes other rows than the one that wrote the database starts by making all of them anew.
    pub(crate) fn refresh_rows(&self) -> Result<(), Fault> {
        if self.has_present_rows()? { Ok(()) } else { self.rebuild_rows() }
    }

    fn has_present_rows(&self) -> Result<bool, Fault> {
        let kept: Option<u32> =
            record(&self.inner.store.read()?, Table::SETTINGS, PROJECTION, "the projection's version")?;
        Ok(kept == Some(self.inner.projection.version()))
    }
}

impl Inner {
    pub(crate) fn environment(&self) -> MutexGuard<'_, Environment> {
        // A panic while it was held leaves a clock and a generator as good as before.
        self.environment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> u64 {
        (self.clock)()
    }

    /// What this process's changes are made under.
    fn nonce(&self) -> [u8; 16] {
        *self.nonce.get_or_init(|| self.environment().bytes())
    }

    /// Tells everybody who watches, here and in other processes, that something was committed.
    pub(crate) fn committed(&self) {
        self.changes.send_modify(|count| *count += 1);
        self.pokes.send();
    }

    /// Remembers what entries from elsewhere changed.
    pub(crate) fn arrived(&self, documents: BTreeSet<DocumentId>) {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(arrivals) = &mut *arrivals {
            let room = MOST_ARRIVALS.saturating_sub(arrivals.len());
            arrivals.extend(documents.into_iter().take(room));
        }
    }

    /// Tells everybody who watches here.
    pub(crate) fn noticed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl std::fmt::Debug for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Space").field("folder", &self.inner.folder).finish_non_exhaustive()
    }
}

/// Changed documents that are named.
const MOST_ARRIVALS: usize = 4096;
