//! The documents that one transaction touches.

use std::collections::BTreeMap;

use automerge::{Automerge, Change};
use ties_store::{Read, Transaction};

use crate::document::{BadChange, DocumentId, Projection, apply_change, is_deleted};
use crate::records::Fault;

/// Documents that are open in a transaction. They are loaded when first touched and written back by [`Self::flush`].
#[derive(Default)]
pub(crate) struct Documents {
    open: BTreeMap<DocumentId, OpenDocument>,
}

struct OpenDocument {
    document: Automerge,
    /// Whether anything is stored or waits to be: an empty document does not exist.
    exists: bool,
    /// Change chunks that are not stored yet.
    fresh: Vec<Vec<u8>>,
}

/// A document is written as one piece again when it has more pieces than this.
const MAX_PIECES: u32 = 24;

impl Documents {
    /// A document as it is now, with everything not yet flushed; empty if there is none.
    pub(crate) fn open(&mut self, read: &dyn Read, id: DocumentId) -> Result<&mut Automerge, Fault> {
        Ok(&mut self.entry(read, id)?.document)
    }

    pub(crate) fn exists(&mut self, read: &dyn Read, id: DocumentId) -> Result<bool, Fault> {
        Ok(self.entry(read, id)?.exists)
    }

    /// Notes a change that was made in the open document already.
    pub(crate) fn made(&mut self, id: DocumentId, chunk: Vec<u8>) {
        if let Some(open) = self.open.get_mut(&id) {
            open.exists = true;
            open.fresh.push(chunk);
        }
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
            let known = open.document.get_change_meta_by_hash(&change.hash()).is_some();
            let chunk = change.raw_bytes().to_vec();
            match apply_change(&mut open.document, change) {
                Ok(()) if known => {}
                Ok(()) => {
                    open.exists = true;
                    open.fresh.push(chunk);
                }
                Err(bad) => {
                    self.roll_back(read, &before)?;
                    return Ok(Err(bad));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Writes what is new, with the rows of the documents that changed.
    pub(crate) fn flush(&mut self, transaction: &mut Transaction, projection: &dyn Projection) -> Result<(), Fault> {
        for (id, open) in &mut self.open {
            if open.fresh.is_empty() {
                continue;
            }
            let mut pieces = 0;
            // Several changes of one transaction are one piece: chunks follow one another in a file too.
            let piece = open.fresh.drain(..).flatten().collect::<Vec<u8>>();
            if !piece.is_empty() {
                pieces = transaction.append_to_document(&id.0, &piece)?;
            }
            if pieces > MAX_PIECES {
                transaction.put_document(&id.0, &open.document.save())?;
            }
            write_rows(transaction, projection, *id, &open.document)?;
        }
        Ok(())
    }

    fn entry(&mut self, read: &dyn Read, id: DocumentId) -> Result<&mut OpenDocument, Fault> {
        use std::collections::btree_map::Entry;
        match self.open.entry(id) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(load(read, id, &[])?)),
        }
    }

    /// Throws away what a bad change may have left half done, and builds the documents again.
    fn roll_back(&mut self, read: &dyn Read, before: &BTreeMap<DocumentId, usize>) -> Result<(), Fault> {
        for (id, kept) in before {
            if let Some(mut open) = self.open.remove(id) {
                open.fresh.truncate(*kept);
                self.open.insert(*id, load(read, *id, &open.fresh)?);
            }
        }
        Ok(())
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
    let rows: Vec<_> = rows.into_iter().map(|row| (row.key, row.value)).collect();
    Ok(transaction.put_rows(&id.0, &rows)?)
}

/// Loads a stored document; `None` if nothing is stored.
pub(crate) fn load_stored(read: &dyn Read, id: DocumentId) -> Result<Option<Automerge>, Fault> {
    let stored = read.document(&id.0)?;
    stored.map(|bytes| Automerge::load(&bytes).map_err(|_| Fault::Damaged("a document"))).transpose()
}

fn load(read: &dyn Read, id: DocumentId, fresh: &[Vec<u8>]) -> Result<OpenDocument, Fault> {
    let mut bytes = read.document(&id.0)?.unwrap_or_default();
    fresh.iter().for_each(|chunk| bytes.extend_from_slice(chunk));
    let document = if bytes.is_empty() {
        Automerge::new()
    } else {
        Automerge::load(&bytes).map_err(|_| Fault::Damaged("a document"))?
    };
    Ok(OpenDocument { document, exists: !bytes.is_empty(), fresh: fresh.to_vec() })
}
