//! The documents that one transaction touches, and the rows made of them.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Automerge, Change};
use ties_store::{Read, Table, Transaction};

use crate::document::{BadChange, DocumentId, Projection, Row, apply_change, is_deleted};
use crate::records::Fault;
use crate::view::Pair;

/// Documents that are open in a transaction. They are loaded when first needed. What is new in them, and their rows, stay
/// in memory until [`Self::flush`] writes all of it in the order of the keys, which costs a fraction of writing each.
#[derive(Default)]
pub(crate) struct Documents {
    open: BTreeMap<DocumentId, OpenDocument>,
    /// Those whose rows were not made since they were changed.
    unsettled: BTreeSet<DocumentId>,
    /// Rows that are not stored yet; nothing where one is to disappear.
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    weight: usize,
}

#[derive(Default)]
struct OpenDocument {
    /// Whether anything is stored or waits to be: an empty document does not exist.
    exists: bool,
    /// Loaded when first needed: a seed is written, and its rows made, without.
    document: Option<Automerge>,
    /// Change chunks that are not stored yet.
    fresh: Vec<Vec<u8>>,
    /// The rows it has, stored or waiting to be; they are known of a document that was loaded or begun here.
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A change from elsewhere that was checked.
pub(crate) struct Checked {
    pub(crate) id: DocumentId,
    pub(crate) change: Change,
    /// The rows of the document, should this be all there is of it.
    pub(crate) rows: Option<Vec<Row>>,
}

/// A document is written as one piece again when it has more pieces than this.
const MAX_PIECES: u32 = 24;

/// About what a loaded document of the usual size takes in memory, in bytes.
const LOADED: usize = 16 << 10;
/// About what an operation takes in a loaded document; a chunk of a hundred bytes can hold a hundred thousand.
const OPERATION: usize = 64;

impl Documents {
    /// A document as it is now, with everything not yet flushed; empty if there is none.
    pub(crate) fn open(
        &mut self,
        read: &dyn Read,
        projection: &dyn Projection,
        id: DocumentId,
    ) -> Result<&mut Automerge, Fault> {
        self.load(read, projection, id)?.document.as_mut().ok_or(Fault::Damaged("a document"))
    }

    /// Whether there is a document, be it a deleted one.
    pub(crate) fn exists(&mut self, read: &dyn Read, id: DocumentId) -> Result<bool, Fault> {
        Ok(self.entry(read, id)?.exists)
    }

    /// About how many bytes are kept in memory.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// Notes a change that was made in the open document already.
    pub(crate) fn made(&mut self, id: DocumentId, chunk: Vec<u8>) {
        if let Some(open) = self.open.get_mut(&id) {
            self.weight += chunk.len();
            open.note(chunk);
            self.unsettled.insert(id);
        }
    }

    /// Takes the first change of a document that does not exist, with the rows of the state it makes.
    pub(crate) fn begin(&mut self, id: DocumentId, chunk: Vec<u8>, rows: Vec<Row>) {
        self.weight += chunk.len();
        let mut open = OpenDocument { exists: true, fresh: vec![chunk], ..OpenDocument::default() };
        self.weight += replace_rows(&mut self.rows, &mut open, rows);
        self.open.insert(id, open);
    }

    /// Applies changes from elsewhere: all of them, or none.
    pub(crate) fn apply(
        &mut self,
        read: &dyn Read,
        projection: &dyn Projection,
        changes: Vec<Checked>,
    ) -> Result<Result<(), BadChange>, Fault> {
        let mut before: BTreeMap<DocumentId, usize> = BTreeMap::new();
        for Checked { id, change, rows } in changes {
            let open = self.entry(read, id)?;
            before.entry(id).or_insert(open.fresh.len());
            if let (false, Some(rows)) = (open.exists, rows) {
                self.begin(id, change.raw_bytes().to_vec(), rows);
                continue;
            }
            let document = self.open(read, projection, id)?;
            if document.get_change_meta_by_hash(&change.hash()).is_some() {
                continue;
            }
            let (chunk, operations) = (change.raw_bytes().to_vec(), change.len());
            if let Err(bad) = apply_change(document, change) {
                self.roll_back(read, &before)?;
                return Ok(Err(bad));
            }
            self.weight += operations * OPERATION;
            self.made(id, chunk);
        }
        Ok(Ok(()))
    }

    /// Makes the rows of the documents that were changed.
    pub(crate) fn settle(&mut self, read: &dyn Read, projection: &dyn Projection) -> Result<(), Fault> {
        for id in std::mem::take(&mut self.unsettled) {
            let open = self.load(read, projection, id)?;
            let rows = open.document.as_ref().map_or_else(Vec::new, |document| live_rows(projection, id, document));
            if let Some(open) = self.open.get_mut(&id) {
                self.weight += replace_rows(&mut self.rows, open, rows);
            }
        }
        Ok(())
    }

    /// A row, as of the last [`Self::settle`].
    pub(crate) fn row(&self, read: &dyn Read, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match self.rows.get(key) {
            Some(row) => Ok(row.clone()),
            None => Ok(read.get(Table::ROWS, key)?),
        }
    }

    /// The rows whose keys begin so, as of the last [`Self::settle`].
    pub(crate) fn rows(&self, read: &dyn Read, prefix: &[u8]) -> Result<Vec<Pair>, Fault> {
        let waiting = self.rows.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        let mut waiting = waiting.peekable();
        let stored = read.pairs(Table::ROWS, prefix)?;
        if waiting.peek().is_none() {
            return Ok(stored);
        }
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = stored.into_iter().collect();
        for (key, row) in waiting {
            match row {
                Some(row) => drop(rows.insert(key.clone(), row.clone())),
                None => drop(rows.remove(key)),
            }
        }
        Ok(rows.into_iter().collect())
    }

    /// Writes what is new, with the rows of the documents that changed.
    pub(crate) fn flush(&mut self, transaction: &mut Transaction, projection: &dyn Projection) -> Result<(), Fault> {
        self.settle(transaction, projection)?;
        let mut ids = Vec::new();
        let mut pieces = Vec::new();
        for (id, open) in self.open.iter_mut().filter(|(_, open)| !open.fresh.is_empty()) {
            ids.push(*id);
            // Several changes of one transaction are one piece: chunks follow one another in a file too.
            pieces.push((id.0, open.fresh.drain(..).flatten().collect::<Vec<u8>>()));
        }
        let counts = transaction.append_to_documents(pieces)?;
        for (id, _) in ids.into_iter().zip(counts).filter(|(_, count)| *count > MAX_PIECES) {
            let whole = self.open(transaction, projection, id)?.save();
            transaction.put_document(&id.0, &whole)?;
        }
        transaction.put_all(Table::ROWS, std::mem::take(&mut self.rows).into_iter().collect())?;
        self.weight = self.open.values().filter(|open| open.document.is_some()).count() * LOADED;
        Ok(())
    }

    fn entry(&mut self, read: &dyn Read, id: DocumentId) -> Result<&mut OpenDocument, Fault> {
        use std::collections::btree_map::Entry;
        match self.open.entry(id) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(place) => {
                let exists = read.has_document(&id.0)?;
                Ok(place.insert(OpenDocument { exists, ..OpenDocument::default() }))
            }
        }
    }

    fn load(
        &mut self,
        read: &dyn Read,
        projection: &dyn Projection,
        id: DocumentId,
    ) -> Result<&mut OpenDocument, Fault> {
        if self.entry(read, id)?.document.is_none() {
            self.weight += LOADED;
        }
        let open = self.entry(read, id)?;
        if open.document.is_none() {
            let stored = load_stored(read, id)?;
            // A document has the rows of the state in which it was stored; those of a begun one are known.
            if open.rows.is_empty()
                && let Some(stored) = &stored
            {
                open.rows = live_rows(projection, id, stored).into_iter().map(|row| (row.key, row.value)).collect();
            }
            let mut document = stored.unwrap_or_else(Automerge::new);
            for chunk in &open.fresh {
                document.load_incremental(chunk).map_err(|_| Fault::Damaged("a document"))?;
            }
            open.document = Some(document);
        }
        Ok(open)
    }

    /// Throws away what a bad change may have left half done; the documents are loaded again when they are needed.
    fn roll_back(&mut self, read: &dyn Read, before: &BTreeMap<DocumentId, usize>) -> Result<(), Fault> {
        for (id, kept) in before {
            if let Some(open) = self.open.get_mut(id) {
                open.fresh.truncate(*kept);
                open.exists = !open.fresh.is_empty() || read.has_document(&id.0)?;
                open.document = None;
                self.unsettled.insert(*id);
            }
        }
        Ok(())
    }
}

impl OpenDocument {
    fn note(&mut self, chunk: Vec<u8>) {
        self.exists = true;
        self.fresh.push(chunk);
    }
}

/// Puts down what must change in the stored rows, so that these become the rows of a document; gives the bytes of it.
fn replace_rows(waiting: &mut BTreeMap<Vec<u8>, Option<Vec<u8>>>, open: &mut OpenDocument, rows: Vec<Row>) -> usize {
    let rows: BTreeMap<Vec<u8>, Vec<u8>> = rows.into_iter().map(|row| (row.key, row.value)).collect();
    let mut weight = 0;
    for key in open.rows.keys().filter(|key| !rows.contains_key(*key)) {
        weight += key.len();
        waiting.insert(key.clone(), None);
    }
    for (key, value) in &rows {
        if open.rows.get(key) != Some(value) {
            weight += 2 * (key.len() + value.len());
            waiting.insert(key.clone(), Some(value.clone()));
        }
    }
    open.rows = rows;
    weight
}

/// The rows that the state of a document demands; none when it is deleted.
pub(crate) fn live_rows(projection: &dyn Projection, id: DocumentId, document: &Automerge) -> Vec<Row> {
    if is_deleted(document) { Vec::new() } else { projection.rows(id, document) }
}

/// Loads a stored document; `None` if nothing is stored.
pub(crate) fn load_stored(read: &dyn Read, id: DocumentId) -> Result<Option<Automerge>, Fault> {
    let stored = read.document(&id.0)?;
    stored.map(|bytes| Automerge::load(&bytes).map_err(|_| Fault::Damaged("a document"))).transpose()
}
