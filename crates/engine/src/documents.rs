//! The documents that one transaction touches.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Automerge, Change};
use ties_store::{Read, Transaction};

use crate::document::{BadChange, DocumentId, Projection, Row, apply_change, is_deleted};
use crate::records::Fault;

/// Documents that are open in a transaction. They are loaded when first needed and written back by [`Self::flush`].
#[derive(Default)]
pub(crate) struct Documents {
    open: BTreeMap<DocumentId, OpenDocument>,
    changed: BTreeSet<DocumentId>,
}

#[derive(Default)]
struct OpenDocument {
    /// Whether anything is stored or waits to be: an empty document does not exist.
    exists: bool,
    /// Loaded when first needed: a seed is written, and its rows made, without.
    document: Option<Automerge>,
    /// Change chunks that are not stored yet.
    fresh: Vec<Vec<u8>>,
    /// Rows that were made already, of the present state.
    rows: Option<Vec<Row>>,
}

/// A document is written as one piece again when it has more pieces than this.
const MAX_PIECES: u32 = 24;

impl Documents {
    /// A document as it is now, with everything not yet flushed; empty if there is none.
    pub(crate) fn open(&mut self, read: &dyn Read, id: DocumentId) -> Result<&mut Automerge, Fault> {
        self.entry(read, id)?.document(read, id)
    }

    /// Whether there is a document, be it a deleted one.
    pub(crate) fn exists(&mut self, read: &dyn Read, id: DocumentId) -> Result<bool, Fault> {
        Ok(self.entry(read, id)?.exists)
    }

    /// How many documents are open.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Notes a change that was made in the open document already.
    pub(crate) fn made(&mut self, id: DocumentId, chunk: Vec<u8>) {
        if let Some(open) = self.open.get_mut(&id) {
            open.note(chunk);
            self.changed.insert(id);
        }
    }

    /// Takes the first change of a document that does not exist, with the rows of the state it makes.
    pub(crate) fn begin(&mut self, id: DocumentId, chunk: Vec<u8>, rows: Vec<Row>) {
        self.open.insert(id, OpenDocument { exists: true, document: None, fresh: vec![chunk], rows: Some(rows) });
        self.changed.insert(id);
    }

    /// Applies changes from elsewhere: all of them, or none.
    pub(crate) fn apply(
        &mut self,
        read: &dyn Read,
        changes: Vec<(DocumentId, Change)>,
    ) -> Result<Result<(), BadChange>, Fault> {
        let mut before: BTreeMap<DocumentId, usize> = BTreeMap::new();
        for (id, change) in changes {
            let open = self.entry(read, id)?;
            before.entry(id).or_insert(open.fresh.len());
            let document = open.document(read, id)?;
            if document.get_change_meta_by_hash(&change.hash()).is_some() {
                continue;
            }
            let chunk = change.raw_bytes().to_vec();
            if let Err(bad) = apply_change(document, change) {
                self.roll_back(read, &before)?;
                return Ok(Err(bad));
            }
            open.note(chunk);
            self.changed.insert(id);
        }
        Ok(Ok(()))
    }

    /// Writes what is new, with the rows of the documents that changed.
    pub(crate) fn flush(&mut self, transaction: &mut Transaction, projection: &dyn Projection) -> Result<(), Fault> {
        for id in std::mem::take(&mut self.changed) {
            let Some(open) = self.open.get_mut(&id) else { continue };
            // Several changes of one transaction are one piece: chunks follow one another in a file too.
            let piece = open.fresh.drain(..).flatten().collect::<Vec<u8>>();
            if piece.is_empty() {
                continue;
            }
            let pieces = transaction.append_to_document(&id.0, &piece)?;
            if pieces > MAX_PIECES {
                let whole = open.document(transaction, id)?.save();
                transaction.put_document(&id.0, &whole)?;
            }
            match open.rows.take() {
                Some(rows) => put_rows(transaction, id, rows)?,
                None => write_rows(transaction, projection, id, open.document(transaction, id)?)?,
            }
        }
        Ok(())
    }

    fn entry(&mut self, read: &dyn Read, id: DocumentId) -> Result<&mut OpenDocument, Fault> {
        use std::collections::btree_map::Entry;
        match self.open.entry(id) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(place) => {
                let exists = read.document(&id.0)?.is_some();
                Ok(place.insert(OpenDocument { exists, ..OpenDocument::default() }))
            }
        }
    }

    /// Throws away what a bad change may have left half done; the documents are loaded again when they are needed.
    fn roll_back(&mut self, read: &dyn Read, before: &BTreeMap<DocumentId, usize>) -> Result<(), Fault> {
        for (id, kept) in before {
            if let Some(mut open) = self.open.remove(id) {
                open.fresh.truncate(*kept);
                let exists = !open.fresh.is_empty() || read.document(&id.0)?.is_some();
                let rows = None;
                self.open.insert(*id, OpenDocument { exists, document: None, rows, ..open });
            }
        }
        Ok(())
    }
}

impl OpenDocument {
    fn document(&mut self, read: &dyn Read, id: DocumentId) -> Result<&mut Automerge, Fault> {
        let document = match self.document.take() {
            Some(document) => document,
            None => load(read, id, &self.fresh)?,
        };
        Ok(self.document.insert(document))
    }

    fn note(&mut self, chunk: Vec<u8>) {
        self.exists = true;
        self.rows = None;
        self.fresh.push(chunk);
    }
}

/// Makes the rows of a document what its present state demands; none when it is deleted.
pub(crate) fn write_rows(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    id: DocumentId,
    document: &Automerge,
) -> Result<(), Fault> {
    let rows = if is_deleted(document) { Vec::new() } else { projection.rows(id, document) };
    put_rows(transaction, id, rows)
}

fn put_rows(transaction: &mut Transaction, id: DocumentId, rows: Vec<Row>) -> Result<(), Fault> {
    let rows: Vec<_> = rows.into_iter().map(|row| (row.key, row.value)).collect();
    Ok(transaction.put_rows(&id.0, &rows)?)
}

/// Loads a stored document; `None` if nothing is stored.
pub(crate) fn load_stored(read: &dyn Read, id: DocumentId) -> Result<Option<Automerge>, Fault> {
    let stored = read.document(&id.0)?;
    stored.map(|bytes| Automerge::load(&bytes).map_err(|_| Fault::Damaged("a document"))).transpose()
}

fn load(read: &dyn Read, id: DocumentId, fresh: &[Vec<u8>]) -> Result<Automerge, Fault> {
    let mut bytes = read.document(&id.0)?.unwrap_or_default();
    fresh.iter().for_each(|chunk| bytes.extend_from_slice(chunk));
    if bytes.is_empty() {
        return Ok(Automerge::new());
    }
    Automerge::load(&bytes).map_err(|_| Fault::Damaged("a document"))
}
