//! Reading.

use std::ops::Bound;

use automerge::Automerge;
use ties_store::{Read, Snapshot, Table};

use crate::document::{DocumentId, is_deleted};
use crate::documents::load_stored;
use crate::records::Fault;

/// One state of a space, for as long as it is held. Hold it briefly.
#[derive(Debug)]
pub struct View(pub(crate) Snapshot);

/// A row as it is stored: key and value.
pub type Pair = (Vec<u8>, Vec<u8>);

impl View {
    /// The rows whose keys begin with `prefix`, in the order of their keys, read one at a time.
    ///
    /// # Errors
    /// When the database cannot be read, now or at the next row.
    pub fn rows(&self, prefix: &[u8]) -> Result<impl Iterator<Item = Result<Pair, Fault>> + use<>, Fault> {
        Ok(self.0.iter(Table::ROWS, prefix)?.map(|pair| pair.map_err(Fault::from)))
    }

    /// The rows of a range of keys, in their order, read one at a time.
    ///
    /// # Errors
    /// When the database cannot be read, now or at the next row.
    pub fn rows_from(
        &self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Result<impl Iterator<Item = Result<Pair, Fault>> + use<>, Fault> {
        Ok(self.0.range(Table::ROWS, range)?.map(|pair| pair.map_err(Fault::from)))
    }

    /// The value of a row.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.get(Table::ROWS, key)?)
    }

    /// A live document; `None` if it does not exist or was deleted.
    ///
    /// # Errors
    /// When the database cannot be read, or what it holds is damaged.
    pub fn document(&self, id: DocumentId) -> Result<Option<Automerge>, Fault> {
        Ok(load_stored(&self.0, id)?.filter(|document| !is_deleted(document)))
    }

    /// A document as it stands, even if it was deleted: to tell what was undone, or could be.
    ///
    /// # Errors
    /// As [`Self::document`].
    pub fn deleted_or_not(&self, id: DocumentId) -> Result<Option<Automerge>, Fault> {
        load_stored(&self.0, id)
    }

    /// The ids of all documents, deleted ones included, sorted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn document_ids(&self) -> Result<Vec<DocumentId>, Fault> {
        Ok(self.0.document_ids()?.into_iter().map(DocumentId).collect())
    }

    /// A number that grows with every commit, by whichever process.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn serial(&self) -> Result<u64, Fault> {
        Ok(self.0.serial()?)
    }
}
