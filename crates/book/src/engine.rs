//! How a book stands on the engine: its rows, its reads, its transactions.

use std::cell::RefCell;

use automerge::{Automerge, AutomergeError, Change};
use ties_engine::{BLANK_ACTOR, DocumentId, Edit, EditError, Fault, Projection, Row, View};
use ties_model::{Seed, WriteError};

use crate::api::{BookError, ErrorKind};
use crate::desk::{Desk, Here, Write};
use crate::id::Id;
use crate::network::in_one_line;
use crate::opening;
use crate::projection;
use crate::rows::{Rows, Scan, note_key, person_key};

/// The rows that a book keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BookRows;

impl Projection for BookRows {
    fn version(&self) -> u32 {
        projection::VERSION
    }

    fn rows(&self, id: DocumentId, document: &Automerge) -> Vec<Row> {
        engine_rows(projection::rows(Id(id.0), document))
    }

    fn rows_of_seed(&self, id: DocumentId, seed: &Change) -> Option<Vec<Row>> {
        Some(engine_rows(projection::rows_of_seed(Id(id.0), &Seed::read(seed)?)))
    }
}

fn engine_rows(rows: Vec<projection::Row>) -> Vec<Row> {
    rows.into_iter().map(|(key, value)| Row { key, value }).collect()
}

impl Rows for View {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BookError> {
        self.row(key).map_err(fault)
    }

    fn scan(&self, prefix: &[u8]) -> Result<Scan<'_>, BookError> {
        Ok(Box::new(self.rows(prefix).map_err(fault)?.map(|row| row.map_err(fault))))
    }

    fn document(&self, id: Id) -> Result<Option<Automerge>, BookError> {
        View::document(self, DocumentId(id.0)).map_err(fault)
    }
}

/// One transaction of the engine. Reading from it writes rows first, hence the cell.
pub(crate) struct Transaction<'e, 's> {
    edit: RefCell<&'e mut Edit<'s>>,
    here: Here,
}

impl<'e, 's> Transaction<'e, 's> {
    /// The transaction that an edit is, on the device of this name.
    pub(crate) fn new(edit: &'e mut Edit<'s>, device: &str) -> Self {
        let now_ms = i64::try_from(edit.now()).unwrap_or(i64::MAX);
        Self { edit: RefCell::new(edit), here: Here { now_ms, device: device.to_owned() } }
    }
}

impl Rows for Transaction<'_, '_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BookError> {
        self.edit.borrow_mut().row(key).map_err(refused)
    }

    fn scan(&self, prefix: &[u8]) -> Result<Scan<'_>, BookError> {
        let rows = self.edit.borrow_mut().rows(prefix).map_err(refused)?;
        Ok(Box::new(rows.into_iter().map(Ok)))
    }

    fn document(&self, id: Id) -> Result<Option<Automerge>, BookError> {
        Ok(self.edit.borrow_mut().document(DocumentId(id.0)).map_err(refused)?.cloned())
    }
}

impl Desk for Transaction<'_, '_> {
    fn seed(&mut self, id: Id, write: &mut Write<'_>) -> Result<bool, BookError> {
        let mut failure = None;
        let seeded = self.edit.get_mut().seed(DocumentId(id.0), |tx| {
            write(tx).map_err(|error| match error {
                WriteError::Document(error) => error,
                other => {
                    failure = Some(other);
                    AutomergeError::Fail
                }
            })
        });
        match failure {
            Some(failure) => Err(unwritable(failure)),
            None => seeded.map_err(refused),
        }
    }

    fn seed_record(&mut self, id: Id, record: &Seed) -> Result<bool, BookError> {
        // Most of a file that is imported again is here, and rows tell so without a document.
        let key = match record {
            Seed::Person(_) => person_key(id),
            Seed::Note(_) => note_key(id),
        };
        if self.get(&key)?.is_some() {
            return Ok(false);
        }
        let (change, written) = record.change(BLANK_ACTOR).map_err(unwritable)?;
        let rows = engine_rows(projection::rows_of_seed(id, &written));
        self.edit.get_mut().seed_change(DocumentId(id.0), &change, rows).map_err(refused)
    }

    fn change(&mut self, id: Id, write: &mut Write<'_>) -> Result<(), BookError> {
        let changed = self.edit.get_mut().change(DocumentId(id.0), |tx| write(tx).map_err(Refusal::Record));
        changed.map_err(|refusal| match refusal {
            Refusal::Record(error) => unwritable(error),
            Refusal::Edit(error) => refused(error),
        })
    }

    fn delete(&mut self, id: Id) -> Result<(), BookError> {
        self.edit.get_mut().delete(DocumentId(id.0)).map(drop).map_err(refused)
    }

    fn fresh_id(&mut self) -> Result<Id, BookError> {
        Ok(Id(self.edit.get_mut().fresh_id().0))
    }

    fn here(&self) -> &Here {
        &self.here
    }
}

/// Why a change was refused: by the record, or below it.
enum Refusal {
    Record(WriteError),
    Edit(EditError),
}

impl From<EditError> for Refusal {
    fn from(error: EditError) -> Self {
        Self::Edit(error)
    }
}

/// A failure below the engine, for the user.
pub(crate) fn fault(error: Fault) -> BookError {
    if let Fault::Outdated(_) = error {
        return BookError::new(ErrorKind::Guard, "this program is too old to write here")
            .caused_by(in_one_line(&error))
            .hint("update ties on this device; nothing is lost, and reading and syncing go on");
    }
    if let Fault::Dropped = error {
        return BookError::new(ErrorKind::Failed, "this cannot be undone any more")
            .caused_by(in_one_line(&error))
            .hint(
                "ties edit changes what is there; ties config checkpoint.prune off keeps single changes from now on",
            );
    }
    let hint = match error {
        Fault::NoKey => Some("ties sync"),
        _ => opening::advice(&error),
    };
    let failed = BookError::new(ErrorKind::Failed, "the network's data cannot be used").caused_by(in_one_line(&error));
    BookError { hint: hint.map(str::to_owned), ..failed }
}

/// An edit that the engine refused, for the user.
pub(crate) fn refused(error: EditError) -> BookError {
    match error {
        EditError::Fault(error) => fault(error),
        other => BookError::new(ErrorKind::Failed, "the change could not be written").caused_by(in_one_line(&other)),
    }
}

fn unwritable(error: WriteError) -> BookError {
    BookError::new(ErrorKind::Failed, "the record cannot hold this").caused_by(error)
}
