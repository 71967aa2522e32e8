//! Reading one state of the database, whatever is written meanwhile.

use std::borrow::Cow;
use std::ops::{Bound, ControlFlow};

use redb::{OwnedRange, ReadOnlyTable, ReadTransaction, ReadableTable, TableError};

use crate::packs::{PackCache, Stored};
use crate::shield::shield;
use crate::tables::{Bytes, Pair, Read, Table, Visitor, end_of};
use crate::{StoreError, StoredLog};

/// One state of the database, for as long as it is held.
///
/// Pages that it needs are not reused while it lives, in any process; hold it briefly.
pub struct Snapshot {
    redb: ReadTransaction,
    cache: Box<PackCache>,
}

impl Snapshot {
    pub(crate) fn new(transaction: ReadTransaction) -> Self {
        Self { redb: transaction, cache: Box::default() }
    }

    /// What is beneath it, for copying the tables as they are.
    pub(crate) fn redb(&self) -> &ReadTransaction {
        &self.redb
    }

    /// The logs of one space (a device has one: 0) or of one mailbox, to read.
    pub fn log(&self, space: u32) -> StoredLog<'_> {
        StoredLog::reading(self, space)
    }

    /// The pairs whose keys begin with `prefix`, in the order of their keys, one at a time.
    ///
    /// # Errors
    /// If the database cannot be read, now or at the next pair.
    pub fn iter(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Result<impl Iterator<Item = Result<Pair, StoreError>> + use<>, StoreError> {
        self.range(table, (Bound::Included(prefix), end_of(prefix).as_ref().map(Vec::as_slice)))
    }

    /// The pairs of a range, in the order of their keys, one at a time.
    ///
    /// # Errors
    /// If the database cannot be read, now or at the next pair.
    pub fn range(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Result<impl Iterator<Item = Result<Pair, StoreError>> + use<>, StoreError> {
        let pairs: Option<OwnedRange<&[u8], &[u8]>> =
            shield(|| Ok(self.table(table)?.map(|table| table.range_owned::<&[u8]>(range)).transpose()?))?;
        let mut pairs = pairs.into_iter().flatten();
        let packs = shield(|| self.packs(table))?;
        let cache = PackCache::default();
        let next = move || {
            let Some(pair) = pairs.next() else { return Ok(None) };
            let (key, value) = pair?;
            Ok(Some((key.value().to_vec(), packs.resolve(value.value(), &cache)?.into_owned())))
        };
        Ok(Shielded { next, failed: false })
    }

    /// A table; one that nothing was ever written to does not exist.
    fn table(&self, table: Table) -> Result<Option<ByteTable>, StoreError> {
        match self.redb.open_table(table.definition()) {
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            table => Ok(Some(table?)),
        }
    }

    fn packs(&self, table: Table) -> Result<Packs, StoreError> {
        match table.packs() {
            None => Ok(Packs::None),
            Some(packs) => Ok(Packs::In(packs, self.table(packs)?)),
        }
    }

    /// The pairs of a range as the table holds them. Its errors are redb's alone.
    fn visit_stored(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        visitor: &mut StoredVisitor<'_>,
    ) -> Result<(), StoreError> {
        let Some(table) = shield(|| self.table(table))? else { return Ok(()) };
        let mut pairs = shield(|| Ok(ReadableTable::range::<&[u8]>(&table, range)?))?;
        while let Some((key, value)) = shield(|| Ok(pairs.next().transpose()?))? {
            if visitor(key.value(), value.value())?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Takes a key and what the table holds under it.
type StoredVisitor<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError> + 'a;

/// Where the values of a table lie.
enum Packs {
    /// In the table.
    None,
    /// There, or in this table, which does not exist before the first pack.
    In(Table, Option<ByteTable>),
}

impl Packs {
    fn resolve<'a>(&self, stored: &'a [u8], cache: &PackCache) -> Result<Cow<'a, [u8]>, StoreError> {
        let Self::In(table, packs) = self else { return Ok(Cow::Borrowed(stored)) };
        match Stored::parse(stored)? {
            Stored::Here(value) => Ok(Cow::Borrowed(value)),
            Stored::Packed(place) => {
                let read = || packs.as_ref().map_or(Ok(None), |packs| packs.copy(&place.pack.to_be_bytes()));
                cache.value(*table, place, read).map(Cow::Owned)
            }
        }
    }
}

impl Read for Snapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        shield(|| {
            let Some(open) = self.table(table)? else { return Ok(None) };
            let Some(stored) = open.get(key)? else { return Ok(None) };
            Ok(Some(self.packs(table)?.resolve(stored.value(), &self.cache)?.into_owned()))
        })
    }

    fn visit(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        visitor: &mut Visitor<'_>,
    ) -> Result<(), StoreError> {
        let packs = shield(|| self.packs(table))?;
        self.visit_stored(table, range, &mut |key, stored| {
            let value = shield(|| packs.resolve(stored, &self.cache))?;
            Ok(visitor(key, &value))
        })
    }

    fn visit_keys(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        visitor: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.visit_stored(table, range, &mut |key, _| Ok(visitor(key)))
    }
}

type ByteTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Pairs until the end or an error.
struct Shielded<F> {
    next: F,
    failed: bool,
}

impl<F: FnMut() -> Result<Option<Pair>, StoreError>> Iterator for Shielded<F> {
    type Item = Result<Pair, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let pair = shield(&mut self.next).transpose();
        self.failed = matches!(pair, Some(Err(_)));
        pair
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Snapshot(..)")
    }
}
