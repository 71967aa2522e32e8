//! Undoing operations, and undoing that.

use std::collections::BTreeMap;

use automerge::{Change, ChangeHash};
use ties_store::Read;

use crate::document::DocumentId;
use crate::edit::EditError;
use crate::operations::{Ongoing, OperationId, each, each_change, stored};
use crate::records::{Fault, OperationRecord};
use crate::space::{Space, WriteError};
use crate::take_back::{Effect, TakenBack};

/// What an undo did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The operation that the undo is, to be undone in its turn; `None` if nothing could be taken back.
    pub operation: Option<OperationId>,
    /// The documents concerned, the last touched first.
    pub documents: Vec<TakenBack>,
}

/// Why nothing is undone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UndoError {
    /// This device did no such thing.
    #[error("there is no such operation")]
    Unknown,
    /// It does not hold any more.
    #[error("it is undone already")]
    Already,
    /// A document could not be changed.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Below the engine.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Space {
    /// The newest operations that an undo would take back, newest first: those that are not undone, and no undos.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn undoable(&self, most: usize) -> Result<Vec<OperationId>, Fault> {
        let mut found = Vec::new();
        each(&self.inner.store.read()?, |_, operation, undone| {
            if !undone && operation.undoes.is_empty() && found.len() < most {
                found.push(OperationId(operation.id));
            }
            found.len() < most
        })?;
        Ok(found)
    }

    /// The newest undo that still holds, as long as nothing but undos and redos came after it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn redoable(&self) -> Result<Option<OperationId>, Fault> {
        let snapshot = self.inner.store.read()?;
        let mut held = Vec::new();
        each(&snapshot, |_, operation, undone| {
            let further = !operation.undoes.is_empty();
            if further && !undone {
                held.push(operation);
            }
            further
        })?;
        for operation in held {
            if is_undo(&snapshot, &operation)? {
                return Ok(Some(OperationId(operation.id)));
            }
        }
        Ok(None)
    }

    /// Takes operations of this device back, in one new operation of this name. An undo is taken back like any other.
    ///
    /// What something later touched is left and told. It is done in parts if there is much to do; cut short and begun
    /// again, it goes on where it was.
    ///
    /// # Errors
    /// When one of them is unknown or undone already, or the database cannot be read or written.
    pub fn undo(
        &self,
        label: &str,
        which: &[OperationId],
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Undone, UndoError> {
        let (numbers, documents) = self.concerned(which)?;
        let total = documents.len() as u64;
        let mut ongoing = Ongoing::undoing(self, label.to_owned(), numbers, documents.len() <= AT_A_TIME);
        let mut taken_back = Vec::with_capacity(documents.len());
        for some in documents.chunks(AT_A_TIME) {
            progress(taken_back.len() as u64, total);
            let done = ongoing.write(|edit| {
                some.iter().map(|(id, changes)| edit.take_back(*id, changes)).collect::<Result<Vec<_>, EditError>>()
            });
            taken_back.extend(done.map_err(|error| match error {
                WriteError::Edit(error) => UndoError::Edit(error),
                WriteError::Fault(error) => UndoError::Fault(error),
            })?);
        }
        progress(total, total);
        let nothing = taken_back.iter().all(|one| one.effect == Effect::None && !one.kept.is_empty());
        let operation = if nothing && total > 0 { None } else { Some(ongoing.finish()?) };
        Ok(Undone { operation, documents: taken_back })
    }

    /// The numbers of the operations, and what each document's changes of them are, the last touched first.
    #[expect(clippy::type_complexity, reason = "used once")]
    fn concerned(&self, which: &[OperationId]) -> Result<(Vec<u64>, Vec<(DocumentId, Vec<ChangeHash>)>), UndoError> {
        let snapshot = self.inner.store.read().map_err(Fault::from)?;
        let mut found: Vec<(u64, OperationRecord)> = Vec::new();
        let mut already = false;
        each(&snapshot, |number, operation, undone| {
            if which.contains(&OperationId(operation.id)) {
                already |= undone;
                found.push((number, operation));
            }
            found.len() < which.len()
        })?;
        if found.len() < which.len() {
            return Err(UndoError::Unknown);
        }
        if already {
            return Err(UndoError::Already);
        }
        found.reverse();
        let documents = changes(&snapshot, found.iter().map(|(_, operation)| operation))?;
        Ok((found.into_iter().map(|(number, _)| number).collect(), documents))
    }
}

/// Whether an operation takes back what was done; a redo takes back an undo.
fn is_undo(read: &dyn Read, operation: &OperationRecord) -> Result<bool, Fault> {
    let mut undo = false;
    let mut next = operation.undoes.first().copied();
    while let Some(number) = next {
        undo = !undo;
        next = stored(read, number)?.undoes.first().copied().filter(|earlier| *earlier < number);
    }
    Ok(undo)
}

/// The changes of operations by document, the last touched first.
fn changes<'a>(
    read: &dyn Read,
    operations: impl Iterator<Item = &'a OperationRecord>,
) -> Result<Vec<(DocumentId, Vec<ChangeHash>)>, Fault> {
    let mut changes: BTreeMap<DocumentId, Vec<ChangeHash>> = BTreeMap::new();
    let mut order = Vec::new();
    for operation in operations {
        each_change(read, operation, |change| {
            let parsed = Change::from_bytes(change.chunk.into_vec()).map_err(|_| Fault::Damaged("a change"))?;
            let id = DocumentId(change.document);
            let of_document = changes.entry(id).or_default();
            if of_document.is_empty() {
                order.push(id);
            }
            of_document.push(parsed.hash());
            Ok(())
        })?;
    }
    let last_first = order.into_iter().rev();
    Ok(last_first.map(|id| (id, changes.remove(&id).unwrap_or_default())).collect())
}

/// How many documents are taken back in one transaction.
const AT_A_TIME: usize = 500;
