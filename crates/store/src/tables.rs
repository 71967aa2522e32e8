//! Tables of bytes, and reading them alike in a snapshot and in a transaction.

use std::ops::{Bound, ControlFlow};

use redb::{AccessGuard, ReadableTable, TableDefinition};

use crate::StoreError;

/// A table: keys and values are bytes, in the order of the keys' bytes (SCHEMA.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table(&'static str);

impl Table {
    /// What a program keeps about its documents, so that it can answer without loading them.
    pub const ROWS: Self = Self("rows");
    /// Small things that have a name each.
    pub const SETTINGS: Self = Self("settings");
    /// Entries that wait for others before they can be applied.
    pub const PARKED: Self = Self("parked");
    /// How far each log has been applied to the documents.
    pub const APPLIED: Self = Self("applied");

    pub(crate) const META: Self = Self("meta");
    pub(crate) const LOGS: Self = Self("logs");
    pub(crate) const ENTRIES: Self = Self("entries");
    pub(crate) const BASES: Self = Self("bases");
    pub(crate) const KEPT: Self = Self("kept");
    pub(crate) const DOCUMENTS: Self = Self("documents");
    pub(crate) const DOCUMENT_PACKS: Self = Self("document_packs");
    pub(crate) const ROW_PACKS: Self = Self("row_packs");

    /// A further table, made by the first write to it. `name` says whose it is: `relay/tokens`.
    ///
    /// # Panics
    /// While compiling, if `name` has no `/` (names without one belong to this crate).
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        let (bytes, mut at) = (name.as_bytes(), 0);
        while bytes[at] != b'/' {
            at += 1;
        }
        Self(name)
    }

    pub(crate) const fn name(self) -> &'static str {
        self.0
    }

    /// Where values of this table may lie, if it is one with packs.
    pub(crate) fn packs(self) -> Option<Self> {
        match self {
            Self::DOCUMENTS => Some(Self::DOCUMENT_PACKS),
            Self::ROWS => Some(Self::ROW_PACKS),
            _ => None,
        }
    }

    pub(crate) const fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.0)
    }
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Takes a key and its value, and says whether to go on.
pub type Visitor<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Reading, in a [`crate::Snapshot`] as in a [`crate::Transaction`], which sees its own writes.
pub trait Read {
    /// The value of a key.
    ///
    /// # Errors
    /// If the database cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Shows the pairs of a range in the order of their keys, until told to stop.
    ///
    /// # Errors
    /// If the database cannot be read.
    fn visit(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        visitor: &mut Visitor<'_>,
    ) -> Result<(), StoreError>;

    /// Shows the keys of a range in their order, until told to stop; values are not looked at.
    ///
    /// # Errors
    /// If the database cannot be read.
    fn visit_keys(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        visitor: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// The pairs whose keys begin with `prefix`, in the order of their keys.
    ///
    /// # Errors
    /// If the database cannot be read.
    fn pairs(&self, table: Table, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let mut pairs = Vec::new();
        let end = end_of(prefix);
        let range = (Bound::Included(prefix), end.as_ref().map(Vec::as_slice));
        self.visit(table, range, &mut |key, value| {
            pairs.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
        Ok(pairs)
    }

    /// A document as it is stored: its chunks, one after the other.
    ///
    /// # Errors
    /// If the database cannot be read.
    fn document(&self, id: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut document = None;
        let end = end_of(id);
        let range = (Bound::Included(&id[..]), end.as_ref().map(Vec::as_slice));
        self.visit(Table::DOCUMENTS, range, &mut |_, chunk| {
            document.get_or_insert_with(Vec::new).extend_from_slice(chunk);
            ControlFlow::Continue(())
        })?;
        Ok(document)
    }

    /// Whether a document is stored.
    ///
    /// # Errors
    /// If the database cannot be read.
    fn has_document(&self, id: &[u8; 16]) -> Result<bool, StoreError> {
        let mut found = false;
        let end = end_of(id);
        let range = (Bound::Included(&id[..]), end.as_ref().map(Vec::as_slice));
        self.visit_keys(Table::DOCUMENTS, range, &mut |_| {
            found = true;
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// The ids of all documents, sorted.
    ///
    /// # Errors
    /// If the database cannot be read.
    fn document_ids(&self) -> Result<Vec<[u8; 16]>, StoreError> {
        let mut ids = Vec::new();
        self.visit_keys(Table::DOCUMENTS, (Bound::Unbounded, Bound::Unbounded), &mut |key| {
            if let Some(id) = key.first_chunk()
                && ids.last() != Some(id)
            {
                ids.push(*id);
            }
            ControlFlow::Continue(())
        })?;
        Ok(ids)
    }

    /// Whether there is any document.
    ///
    /// # Errors
    /// If the database cannot be read.
    fn has_documents(&self) -> Result<bool, StoreError> {
        let mut any = false;
        self.visit_keys(Table::DOCUMENTS, (Bound::Unbounded, Bound::Unbounded), &mut |_| {
            any = true;
            ControlFlow::Break(())
        })?;
        Ok(any)
    }

    /// How many transactions were committed before; another number means that something changed.
    ///
    /// # Errors
    /// If the database cannot be read.
    fn serial(&self) -> Result<u64, StoreError> {
        number(self.get(Table::META, SERIAL)?)
    }
}

/// Where the keys with this prefix end.
pub(crate) fn end_of(prefix: &[u8]) -> Bound<Vec<u8>> {
    let kept = prefix.iter().rposition(|&byte| byte != 0xff);
    kept.map_or(Bound::Unbounded, |last| {
        let mut end = prefix[..=last].to_vec();
        end[last] += 1;
        Bound::Excluded(end)
    })
}

/// Reads a number of the `meta` table, little-endian; 0 if it is not there.
pub(crate) fn number(value: Option<Vec<u8>>) -> Result<u64, StoreError> {
    let Some(value) = value else { return Ok(0) };
    let bytes = value.try_into().map_err(|_| StoreError::Damaged("a number is not eight bytes long".into()))?;
    Ok(u64::from_le_bytes(bytes))
}

pub(crate) const FORMAT: &[u8] = b"format";
pub(crate) const SERIAL: &[u8] = b"serial";
pub(crate) const LAST_LOG: &[u8] = b"last_log";
pub(crate) const LAST_PACK: &[u8] = b"last_pack";

/// The one kind of redb table there is here.
pub(crate) trait Bytes: ReadableTable<&'static [u8], &'static [u8]> {
    fn copy(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.get(key)?.map(|value: AccessGuard<'_, &[u8]>| value.value().to_vec()))
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Bytes for T {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_its_successor_begins() {
        assert_eq!(end_of(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(end_of(b"a\xff\xff"), Bound::Excluded(b"b".to_vec()));
        assert_eq!(end_of(b"\xff"), Bound::Unbounded);
        assert_eq!(end_of(b""), Bound::Unbounded);
    }
}
