//! Writing: an entry, the documents it changes and their rows, all of it or nothing.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};

use redb::{ReadableTable, WriteTransaction};

use crate::shield::{shield, shielded_drop};
use crate::tables::{Bytes, Pair, Read, SERIAL, Table, Visitor, end_of};
use crate::{StoreError, StoredLog};

/// A change of the database that others see once it is committed. Dropping it undoes all of it.
///
/// After an error in writing it can only be dropped.
pub struct Transaction {
    /// There until it is committed or dropped.
    redb: Option<WriteTransaction>,
    failed: bool,
}

impl Transaction {
    pub(crate) fn new(transaction: WriteTransaction) -> Self {
        Self { redb: Some(transaction), failed: false }
    }

    /// Makes everything written durable and visible at once: when this returns, it survives a
    /// power failure (as far as the disk keeps its promise of a flush).
    ///
    /// # Errors
    /// If the operating system refuses; then nothing was changed.
    pub fn commit(mut self) -> Result<(), StoreError> {
        // Asked first: after a failure redb may answer anything, or nothing but that failure again.
        if self.failed {
            shielded_drop(self.redb.take());
            return Err(StoreError::Unfinished);
        }
        let serial = self.serial()? + 1;
        self.put(Table::META, SERIAL, &serial.to_le_bytes())?;
        self.failed = true;
        let redb = self.redb.take().ok_or(StoreError::Unfinished)?;
        shield(|| Ok(redb.commit()?))
    }

    /// The logs of one space (a device has one: 0) or of one mailbox, to read and extend.
    pub fn log(&mut self, space: u32) -> StoredLog<'_> {
        StoredLog::writing(self, space)
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.change(|redb| {
            redb.open_table(table.definition())?.insert(key, value)?;
            Ok(())
        })
    }

    /// Takes a key away; tells whether it was there.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn remove(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        self.change(|redb| Ok(redb.open_table(table.definition())?.remove(key)?.is_some()))
    }

    /// Takes all keys with this prefix away.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn remove_all(&mut self, table: Table, prefix: &[u8]) -> Result<(), StoreError> {
        self.change(|redb| {
            if prefix.is_empty() {
                redb.delete_table(table.definition())?;
                return Ok(());
            }
            let end = end_of(prefix);
            let range = (Bound::Included(prefix), end.as_ref().map(Vec::as_slice));
            redb.open_table(table.definition())?.retain_in::<&[u8], _>(range, |_, _| false)?;
            Ok(())
        })
    }

    /// Stores a document in one piece, in place of whatever is stored of it.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn put_document(&mut self, id: &[u8; 16], bytes: &[u8]) -> Result<(), StoreError> {
        let chunks = self.chunks(id)?;
        for chunk in 1..chunks {
            self.remove(Table::DOCUMENTS, &chunk_key(id, chunk))?;
        }
        self.put(Table::DOCUMENTS, &chunk_key(id, 0), bytes)
    }

    /// Adds a piece to a document (the first one, if there is none); returns how many it has now.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn append_to_document(&mut self, id: &[u8; 16], bytes: &[u8]) -> Result<u32, StoreError> {
        let chunks = self.chunks(id)?;
        self.put(Table::DOCUMENTS, &chunk_key(id, chunks), bytes)?;
        Ok(chunks + 1)
    }

    /// Takes a document away. Its rows stay; see [`Self::put_rows`].
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn remove_document(&mut self, id: &[u8; 16]) -> Result<(), StoreError> {
        self.remove_all(Table::DOCUMENTS, id)
    }

    /// Makes these the rows of a document: the ones it had and has no longer disappear, the same
    /// ones are not written again. No rows: the document is gone for whoever reads rows.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn put_rows(&mut self, document: &[u8; 16], rows: &[Pair]) -> Result<(), StoreError> {
        let keys: BTreeSet<&[u8]> = rows.iter().map(|(key, _)| &key[..]).collect();
        let before = self.row_keys(document)?;
        for key in before.iter().filter(|key| !keys.contains(&key[..])) {
            self.remove(Table::ROWS, key)?;
        }
        for (key, value) in rows {
            if self.get(Table::ROWS, key)?.as_ref() != Some(value) {
                self.put(Table::ROWS, key, value)?;
            }
        }
        if before.iter().map(|key| &key[..]).eq(keys.iter().copied()) {
            return Ok(());
        }
        if keys.is_empty() {
            self.remove(Table::ROW_KEYS, document)?;
            return Ok(());
        }
        let list: Vec<&serde_bytes::Bytes> = keys.into_iter().map(serde_bytes::Bytes::new).collect();
        self.put(Table::ROW_KEYS, document, &postcard::to_stdvec(&list).map_err(|_| StoreError::TooLarge)?)
    }

    /// Takes all rows of all documents away, to make them anew.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn clear_rows(&mut self) -> Result<(), StoreError> {
        self.remove_all(Table::ROWS, &[])?;
        self.remove_all(Table::ROW_KEYS, &[])
    }

    /// The keys of a document's rows, sorted.
    fn row_keys(&self, document: &[u8; 16]) -> Result<Vec<serde_bytes::ByteBuf>, StoreError> {
        let Some(list) = self.get(Table::ROW_KEYS, document)? else { return Ok(Vec::new()) };
        postcard::from_bytes(&list).map_err(|_| StoreError::Damaged("a list of row keys does not parse".into()))
    }

    /// How many pieces a document has; they are numbered from 0.
    fn chunks(&self, id: &[u8; 16]) -> Result<u32, StoreError> {
        let mut chunks = 0;
        let end = end_of(id);
        let range = (Bound::Included(&id[..]), end.as_ref().map(Vec::as_slice));
        self.visit(Table::DOCUMENTS, range, &mut |_, _| {
            chunks += 1;
            ControlFlow::Continue(())
        })?;
        Ok(chunks)
    }
}

impl Read for Transaction {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.look(|redb| redb.open_table(table.definition())?.copy(key))
    }

    /// redb lends a table out once at a time; pairs are therefore copied before they are shown,
    /// some at a time, so that the visitor may read on.
    fn visit(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        visitor: &mut Visitor<'_>,
    ) -> Result<(), StoreError> {
        let mut start = range.0.map(<[u8]>::to_vec);
        loop {
            let pairs = self.some_pairs(table, (start.as_ref().map(Vec::as_slice), range.1))?;
            for (key, value) in &pairs {
                if visitor(key, value).is_break() {
                    return Ok(());
                }
            }
            match pairs.into_iter().nth(AT_A_TIME - 1) {
                Some((last, _)) => start = Bound::Excluded(last),
                None => return Ok(()),
            }
        }
    }
}

impl Transaction {
    fn some_pairs(&self, table: Table, range: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Vec<Pair>, StoreError> {
        self.look(|redb| {
            let table = redb.open_table(table.definition())?;
            let pairs = table.range::<&[u8]>(range)?.take(AT_A_TIME);
            pairs
                .map(|pair| {
                    let (key, value) = pair?;
                    Ok((key.value().to_vec(), value.value().to_vec()))
                })
                .collect()
        })
    }

    fn look<T>(&self, look: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let redb = self.redb.as_ref().ok_or(StoreError::Unfinished)?;
        shield(|| look(redb))
    }

    fn change<T>(&mut self, change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let changed = self.look(change);
        self.failed |= changed.is_err();
        changed
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        shielded_drop(self.redb.take());
    }
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transaction(..)")
    }
}

const AT_A_TIME: usize = 32;

fn chunk_key(id: &[u8; 16], chunk: u32) -> [u8; 20] {
    let mut key = [0; 20];
    key[..16].copy_from_slice(id);
    key[16..].copy_from_slice(&chunk.to_be_bytes());
    key
}
