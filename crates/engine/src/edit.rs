//! Writing documents.

use std::collections::{BTreeMap, BTreeSet};

use automerge::transaction::{CommitOptions, Transactable, Transaction as Changing};
use automerge::{ActorId, Automerge, AutomergeError, Change, ChangeHash, ROOT, ReadDoc, ScalarValue, ValueRef};
use ties_sealed_log::{actor, seed_change};
use ties_store::Transaction;

use crate::author::{Items, Made, log_key, write_changes};
use crate::document::{DELETED, DocumentId, MAX_MESSAGE, MAX_OPERATIONS, MAX_TIME, Projection, Row, is_deleted};
use crate::documents::Documents;
use crate::environment::Environment;
use crate::incarnation;
use crate::operations::Ongoing;
use crate::records::Fault;
use crate::take_back::{Plan, TakenBack, unbegun};
use crate::view::Pair;

/// Why an edit fails. The whole of it is undone then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// Below the engine.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Automerge refused what the closure did.
    #[error("the document cannot take this: {0}")]
    Document(#[from] AutomergeError),
    /// A seed must be the whole first state of a document, in one change by nobody.
    #[error("not a seed change")]
    Seed,
    /// No other device would take a change of this size.
    #[error("one change of a document is too large: at most {MAX_OPERATIONS} characters or fields at once")]
    TooMuch,
}

/// Changes of documents that become durable together, as one operation.
pub struct Edit<'s> {
    transaction: Transaction,
    documents: Documents,
    items: Items,
    projection: &'s dyn Projection,
    environment: &'s mut Environment,
    nonce: [u8; 16],
    actor: ActorId,
}

impl<'s> Edit<'s> {
    pub(crate) fn begin(
        mut transaction: Transaction,
        projection: &'s dyn Projection,
        environment: &'s mut Environment,
        nonce: [u8; 16],
    ) -> Result<Self, Fault> {
        // Before anything is changed: the log is part of what changes are made under.
        incarnation::go_on(&mut transaction, environment)?;
        let log = log_key(&transaction)?.ok_or(Fault::NoKey)?.id();
        let actor = ActorId::from(actor(&log, &nonce));
        Ok(Self {
            transaction,
            documents: Documents::default(),
            items: Vec::new(),
            projection,
            environment,
            nonce,
            actor,
        })
    }

    /// Gives a document its first state: the same bytes on every device, so that an import of one file on two of them
    /// is one change. Returns `false`, and changes nothing, if the document exists already, even if it was deleted;
    /// one whose beginning was undone is begun anew.
    ///
    /// # Errors
    /// When the closure fails, or does nothing.
    pub fn seed<T>(
        &mut self,
        id: DocumentId,
        first: impl FnOnce(&mut Changing<'_>) -> Result<T, AutomergeError>,
    ) -> Result<bool, EditError> {
        if self.documents.exists(&self.transaction, id)? {
            return self.begin_anew(id, || {
                let mut blank = Automerge::new();
                let mut changing = blank.transaction();
                first(&mut changing)?;
                changing.commit();
                Ok(blank)
            });
        }
        let mut blank = Automerge::new().with_actor(ActorId::from(seed_change::BLANK_ACTOR));
        let mut changing = blank.transaction();
        first(&mut changing)?;
        let operations = changing.pending_ops();
        if operations > MAX_OPERATIONS {
            return Err(EditError::TooMuch);
        }
        changing.commit_with(CommitOptions::default().with_time(0));
        let mut chunk = blank.get_last_local_change().ok_or(EditError::Seed)?.raw_bytes().to_vec();
        seed_change::stamp(&mut chunk).map_err(|_| EditError::Seed)?;
        // The stamp changes nothing that a row could show, so the rows are made of what is in hand.
        let rows = self.projection.rows(id, &blank);
        self.documents.begin(id, chunk.clone(), rows);
        self.items.push((id, Made::Seed, chunk, operations));
        Ok(true)
    }

    /// Gives a document whose beginning was undone its first state again, or another one. Returns `false` if there is
    /// more in it than an undone beginning.
    fn begin_anew(
        &mut self,
        id: DocumentId,
        first: impl FnOnce() -> Result<Automerge, AutomergeError>,
    ) -> Result<bool, EditError> {
        let document = self.documents.open(&self.transaction, self.projection, id)?;
        let Some(undos) = is_deleted(document).then(|| unbegun(document)).flatten() else { return Ok(false) };
        self.take_back(id, &undos)?;
        let blank = first()?;
        self.change(id, |changing| Ok::<_, EditError>(put_scalars(&blank, changing)?))?;
        Ok(true)
    }

    /// As [`Self::seed`], for a change that was made without a document, with the rows that the document has: for imports
    /// of thousands. The change must be one that [`Self::seed`] could make, by [`seed_change::BLANK_ACTOR`].
    ///
    /// # Errors
    /// When the change is none.
    pub fn seed_change(&mut self, id: DocumentId, first: &Change, rows: Vec<Row>) -> Result<bool, EditError> {
        if self.documents.exists(&self.transaction, id)? {
            return self.begin_anew(id, || {
                let mut blank = Automerge::new();
                blank.apply_changes([first.clone()])?;
                Ok(blank)
            });
        }
        if first.is_empty() || first.timestamp() != 0 || !first.deps().is_empty() {
            return Err(EditError::Seed);
        }
        if first.len() > MAX_OPERATIONS {
            return Err(EditError::TooMuch);
        }
        let mut chunk = first.raw_bytes().to_vec();
        seed_change::stamp(&mut chunk).map_err(|_| EditError::Seed)?;
        debug_assert!(
            Automerge::load(&chunk).is_ok_and(|document| {
                let made: BTreeSet<Row> = self.projection.rows(id, &document).into_iter().collect();
                made == rows.iter().cloned().collect()
            }),
            "rows must be those of the document"
        );
        self.documents.begin(id, chunk.clone(), rows);
        self.items.push((id, Made::Seed, chunk, first.len()));
        Ok(true)
    }

    /// Changes a document; one that does not exist yet is made by it. A closure that changes nothing writes nothing.
    ///
    /// # Errors
    /// When the closure fails; what it did is undone.
    pub fn change<T, E: From<EditError>>(
        &mut self,
        id: DocumentId,
        change: impl FnOnce(&mut Changing<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.change_saying(id, None, change)
    }

    /// Takes back what these changes of a document did to it, as far as nothing later builds upon it.
    pub(crate) fn take_back(&mut self, id: DocumentId, changes: &[ChangeHash]) -> Result<TakenBack, EditError> {
        let document = self.documents.open(&self.transaction, self.projection, id)?;
        let plan = Plan::of(document, changes)?;
        if let Some(message) = plan.message() {
            self.change_saying(id, Some(message), |changing| Ok::<_, EditError>(plan.carry_out(changing)?))?;
        }
        Ok(plan.report(id))
    }

    /// As [`Self::change`], with a message that stays with the change.
    fn change_saying<T, E: From<EditError>>(
        &mut self,
        id: DocumentId,
        message: Option<String>,
        change: impl FnOnce(&mut Changing<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let time = i64::try_from(self.environment.now() / 1000).unwrap_or(MAX_TIME).min(MAX_TIME);
        let document = self.documents.open(&self.transaction, self.projection, id).map_err(EditError::from)?;
        document.set_actor(self.actor.clone());
        let mut changing = document.transaction();
        let done = match change(&mut changing) {
            Ok(done) => done,
            Err(error) => {
                changing.rollback();
                return Err(error);
            }
        };
        let operations = changing.pending_ops();
        if operations > MAX_OPERATIONS || message.as_ref().is_some_and(|message| message.len() > MAX_MESSAGE) {
            changing.rollback();
            return Err(EditError::TooMuch.into());
        }
        let mut options = CommitOptions::default().with_time(time);
        options.message = message;
        let (hash, _) = changing.commit_with(options);
        if hash.is_some()
            && let Some(made) = document.get_last_local_change()
        {
            let chunk = made.raw_bytes().to_vec();
            self.documents.made(id, chunk.clone());
            self.items.push((id, Made::Here, chunk, operations));
        }
        Ok(done)
    }

    /// Deletes a document: it stays, marked, so that later changes from elsewhere do not bring it back. Returns `false`
    /// if there is no live one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn delete(&mut self, id: DocumentId) -> Result<bool, EditError> {
        if self.document(id)?.is_none() {
            return Ok(false);
        }
        self.change(id, |changing| Ok::<_, EditError>(changing.put(ROOT, DELETED, true)?))?;
        Ok(true)
    }

    /// A live document as it stands within this edit.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn document(&mut self, id: DocumentId) -> Result<Option<&Automerge>, EditError> {
        let exists = self.documents.exists(&self.transaction, id)?;
        let document = self.documents.open(&self.transaction, self.projection, id)?;
        Ok(Some(&*document).filter(|document| exists && !is_deleted(document)))
    }

    /// Whether a document exists, even if it was deleted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn exists(&mut self, id: DocumentId) -> Result<bool, EditError> {
        Ok(self.documents.exists(&self.transaction, id)?)
    }

    /// The value of a row, as of what was edited so far.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn row(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, EditError> {
        self.documents.settle(&self.transaction, self.projection)?;
        Ok(self.documents.row(&self.transaction, key)?)
    }

    /// The rows whose keys begin with `prefix`, as of what was edited so far.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn rows(&mut self, prefix: &[u8]) -> Result<Vec<Pair>, EditError> {
        self.documents.settle(&self.transaction, self.projection)?;
        Ok(self.documents.rows(&self.transaction, prefix)?)
    }

    /// A fresh id: UUID version 7 (RFC 9562).
    pub fn fresh_id(&mut self) -> DocumentId {
        let mut id: [u8; 16] = self.environment.bytes();
        id[..6].copy_from_slice(&self.environment.now().to_be_bytes()[2..]);
        id[6] = 0x70 | (id[6] & 0x0f);
        id[8] = 0x80 | (id[8] & 0x3f);
        DocumentId(id)
    }

    /// The time, in milliseconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.environment.now()
    }

    /// Seals what was changed and makes all of it durable, noted as part of an operation; `false` if nothing was changed.
    pub(crate) fn commit(mut self, operation: &mut Ongoing) -> Result<bool, Fault> {
        if self.items.is_empty() {
            return Ok(false);
        }
        self.documents.flush(&mut self.transaction, self.projection)?;
        let items = std::mem::take(&mut self.items);
        let documents: Vec<DocumentId> = items.iter().map(|(id, ..)| *id).collect();
        let entries = write_changes(&mut self.transaction, self.environment, &self.nonce, items)?;
        let number = operation.note(&mut self.transaction, self.environment.now(), &documents, &entries)?;
        self.transaction.commit()?;
        operation.noted(number);
        Ok(true)
    }
}

/// Gives a document the scalars of another at its root, and no others there.
fn put_scalars(wanted: &Automerge, changing: &mut Changing<'_>) -> Result<(), AutomergeError> {
    let (wanted, present) = (scalars(wanted), scalars(changing));
    for key in present.keys().filter(|key| !wanted.contains_key(*key)) {
        changing.delete(ROOT, key.as_str())?;
    }
    for (key, value) in wanted {
        if present.get(&key) != Some(&value) {
            changing.put(ROOT, key, value)?;
        }
    }
    Ok(())
}

fn scalars(document: &impl ReadDoc) -> BTreeMap<String, ScalarValue> {
    let values = document.map_range(ROOT, ..).filter_map(|item| match item.value {
        ValueRef::Scalar(value) => Some((item.key.into_owned(), value.into())),
        ValueRef::Object(_) => None,
    });
    values.collect()
}

impl std::fmt::Debug for Edit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Edit({} changes)", self.items.len())
    }
}
