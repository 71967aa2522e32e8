//! Writing: an entry, the documents it changes and their rows, all of it or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};

use redb::{ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};
use ties_fault::{Point, pass};

use crate::packs::{Pack, PackCache, Place, Stored};
use crate::shield::{shield, shielded_drop};
use crate::tables::{Bytes, LAST_PACK, Pair, Read, SERIAL, Table, Visitor, end_of, number};
use crate::{StoreError, StoredLog};

/// A change of the database that others see once it is committed. Dropping it undoes all of it.
///
/// After an error in writing it can only be dropped.
pub struct Transaction {
    /// There until it is committed or dropped.
    redb: Option<WriteTransaction>,
    failed: bool,
    /// The highest number of a pack given out; 0 until one is made.
    last_pack: u64,
    /// Values in packs that nothing refers to any more.
    taken_out: BTreeMap<(Table, u32), BTreeSet<u16>>,
    /// Packs do not change before the end, and numbers are given out once.
    cache: PackCache,
}

impl Transaction {
    pub(crate) fn new(transaction: WriteTransaction) -> Self {
        Self {
            redb: Some(transaction),
            failed: false,
            last_pack: 0,
            taken_out: BTreeMap::new(),
            cache: PackCache::default(),
        }
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
        self.clean_packs()?;
        let serial = self.serial()? + 1;
        self.put(Table::META, SERIAL, &serial.to_le_bytes())?;
        self.failed = true;
        let redb = self.redb.take().ok_or(StoreError::Unfinished)?;
        pass(Point::CommitBegun);
        shield(|| Ok(redb.commit()?))?;
        pass(Point::Committed);
        Ok(())
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
        self.put_all(table, vec![(key.to_vec(), Some(value.to_vec()))])
    }

    /// Takes a key away; tells whether it was there.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn remove(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        let before = self.change(|redb| {
            let mut table = redb.open_table(table.definition())?;
            let before = table.remove(key)?;
            Ok(before.map(|value| value.value().to_vec()))
        })?;
        if let Some(before) = &before {
            self.take_out(table, before)?;
        }
        Ok(before.is_some())
    }

    /// Sets the values of keys, and takes away the keys that get none. The keys must ascend, none twice: then thousands
    /// cost a fraction of what they cost one by one, and take half the room.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn put_all(&mut self, table: Table, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        debug_assert!(changes.is_sorted_by(|one, other| one.0 < other.0));
        let changes = if table.packs().is_some() { self.pack(table, changes)? } else { changes };
        let mut replaced = Vec::new();
        self.change(|redb| {
            let mut open = redb.open_table(table.definition())?;
            if changes.len() >= MANY && (open.len()? < 2 * changes.len() as u64 || is_behind(&open, &changes)?) {
                return write_runs(&mut open, &changes, &mut replaced);
            }
            for (key, value) in &changes {
                let before = match value {
                    Some(value) => open.insert(&key[..], &value[..])?,
                    None => open.remove(&key[..])?,
                };
                replaced.extend(before.map(|value| value.value().to_vec()));
            }
            Ok(())
        })?;
        replaced.iter().try_for_each(|before| self.take_out(table, before))
    }

    /// Puts pairs into a table exactly as another database had them; the keys must ascend.
    pub(crate) fn put_as_stored(
        &mut self,
        table: TableDefinition<'_, &'static [u8], &'static [u8]>,
        pairs: &[Change],
    ) -> Result<(), StoreError> {
        self.change(|redb| write_runs(&mut redb.open_table(table)?, pairs, &mut Vec::new()))
    }

    /// Takes all keys with this prefix away.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn remove_all(&mut self, table: Table, prefix: &[u8]) -> Result<(), StoreError> {
        if prefix.is_empty() {
            return self.change(|redb| {
                redb.delete_table(table.definition())?;
                if let Some(packs) = table.packs() {
                    redb.delete_table(packs.definition())?;
                }
                Ok(())
            });
        }
        let mut removed = Vec::new();
        self.change(|redb| {
            let end = end_of(prefix);
            let range = (Bound::Included(prefix), end.as_ref().map(Vec::as_slice));
            redb.open_table(table.definition())?.retain_in::<&[u8], _>(range, |_, value| {
                removed.push(value.to_vec());
                false
            })?;
            Ok(())
        })?;
        removed.iter().try_for_each(|before| self.take_out(table, before))
    }

    /// Takes away the pairs of a range, in order of their keys, and shows each value. Not for tables with packs.
    pub(crate) fn drain(
        &mut self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        shown: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StoreError> {
        debug_assert!(table.packs().is_none());
        self.change(|redb| {
            redb.open_table(table.definition())?.retain_in::<&[u8], _>(range, |_, value| {
                shown(value);
                false
            })?;
            Ok(())
        })
    }

    /// Stores a document in one piece, in place of whatever is stored of it.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn put_document(&mut self, id: &[u8; 16], bytes: &[u8]) -> Result<(), StoreError> {
        let pieces = self.pieces(id)?;
        for piece in 1..pieces {
            self.remove(Table::DOCUMENTS, &piece_key(id, piece))?;
        }
        self.put(Table::DOCUMENTS, &piece_key(id, 0), bytes)
    }

    /// Adds a piece to a document (the first one, if there is none); returns how many it has now.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn append_to_document(&mut self, id: &[u8; 16], bytes: &[u8]) -> Result<u32, StoreError> {
        Ok(self.append_to_documents(vec![(*id, bytes.to_vec())])?[0])
    }

    /// Adds a piece to each of many documents, whose ids must ascend; returns how many each has now.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn append_to_documents(&mut self, pieces: Vec<([u8; 16], Vec<u8>)>) -> Result<Vec<u32>, StoreError> {
        let mut counts = Vec::with_capacity(pieces.len());
        let mut changes = Vec::with_capacity(pieces.len());
        for (id, piece) in pieces {
            let before = self.pieces(&id)?;
            counts.push(before + 1);
            changes.push((piece_key(&id, before).to_vec(), Some(piece)));
        }
        self.put_all(Table::DOCUMENTS, changes)?;
        Ok(counts)
    }

    /// Stores documents of which nothing is stored yet, each in one piece; their ids must ascend.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn begin_documents(&mut self, documents: Vec<([u8; 16], Vec<u8>)>) -> Result<(), StoreError> {
        let begun = documents.into_iter().map(|(id, bytes)| (piece_key(&id, 0).to_vec(), Some(bytes)));
        self.put_all(Table::DOCUMENTS, begun.collect())
    }

    /// Takes a document away. Its rows stay.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn remove_document(&mut self, id: &[u8; 16]) -> Result<(), StoreError> {
        self.remove_all(Table::DOCUMENTS, id)
    }

    /// Takes all documents away, to make them anew. Their rows stay.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub fn clear_documents(&mut self) -> Result<(), StoreError> {
        self.remove_all(Table::DOCUMENTS, &[])
    }

    /// How many pieces a document has; they are numbered from 0.
    fn pieces(&self, id: &[u8; 16]) -> Result<u32, StoreError> {
        let mut pieces = 0;
        let end = end_of(id);
        let range = (Bound::Included(&id[..]), end.as_ref().map(Vec::as_slice));
        self.visit_keys(Table::DOCUMENTS, range, &mut |_| {
            pieces += 1;
            ControlFlow::Continue(())
        })?;
        Ok(pieces)
    }
}

/// A key and what it gets: a value, or none.
type Change = (Vec<u8>, Option<Vec<u8>>);

/// Writes sorted changes in runs between the keys that are there already: the pages of a run are filled to the brim.
fn write_runs(
    table: &mut redb::Table<'_, &'static [u8], &'static [u8]>,
    changes: &[Change],
    replaced: &mut Vec<Vec<u8>>,
) -> Result<(), StoreError> {
    let mut left = changes.iter().peekable();
    while let Some((key, value)) = left.next() {
        let Some(value) = value else {
            replaced.extend(table.remove(&key[..])?.map(|before| before.value().to_vec()));
            continue;
        };
        let mut cursor = table.lower_bound_mut(Bound::Included(&key[..]))?;
        let next = cursor.peek_next()?.map(|(key, _)| key.value().to_vec());
        if next.as_ref() == Some(key) {
            cursor.close()?;
            replaced.extend(table.insert(&key[..], &value[..])?.map(|before| before.value().to_vec()));
            continue;
        }
        cursor.insert_before(&key[..], &value[..]).map_err(out_of_order)?;
        while let Some((key, Some(value))) =
            left.next_if(|(key, value)| value.is_some() && next.as_ref().is_none_or(|next| key < next))
        {
            cursor.insert_before(&key[..], &value[..]).map_err(out_of_order)?;
        }
        cursor.close()?;
    }
    Ok(())
}

/// Whether all that is in the table comes before these changes.
fn is_behind(
    table: &redb::Table<'_, &'static [u8], &'static [u8]>,
    changes: &[Change],
) -> Result<bool, redb::StorageError> {
    let last = table.last()?;
    Ok(last.is_none_or(|(last, _)| changes.first().is_some_and(|(first, _)| last.value() < &first[..])))
}

fn out_of_order(error: redb::CursorError) -> StoreError {
    match error {
        redb::CursorError::Storage(error) => error.into(),
        other => StoreError::Damaged(other.to_string()),
    }
}

/// A thread costs as much as some packs.
const WORTH_SHARING: usize = 16;
/// From so many values on they go into packs, and keys into tables by runs.
const MANY: usize = 128;

impl Transaction {
    /// What the table is to hold for these values, once those that go into packs are there.
    fn pack(&mut self, table: Table, mut changes: Vec<Change>) -> Result<Vec<Change>, StoreError> {
        let mut packs: Vec<(u32, Pack)> = Vec::new();
        let many = changes.len() >= MANY;
        for (_, value) in &mut changes {
            let Some(value) = value else { continue };
            if !many || !Pack::wants(value) {
                *value = Stored::Here(value).to_bytes();
                continue;
            }
            if packs.last().is_none_or(|(_, pack)| pack.is_full()) {
                packs.push((self.next_pack()?, Pack::default()));
            }
            let Some((number, pack)) = packs.last_mut() else { continue };
            let slot = pack.push(value);
            *value = Stored::Packed(Place { pack: *number, slot }).to_bytes();
        }
        self.put_packs(table, &packs)?;
        Ok(changes)
    }

    /// Writes new packs. Compressing them is most of the work of writing much, and is shared by all cores.
    fn put_packs(&mut self, table: Table, packs: &[(u32, Pack)]) -> Result<(), StoreError> {
        if packs.is_empty() {
            return Ok(());
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let compress =
            |(number, pack): &(u32, Pack)| pack.to_bytes().map(|bytes| (number.to_be_bytes().to_vec(), Some(bytes)));
        let compressed: Result<Vec<Change>, StoreError> = if cores < 2 || packs.len() < WORTH_SHARING {
            packs.iter().map(compress).collect()
        } else {
            std::thread::scope(|scope| {
                let parts = packs.chunks(packs.len().div_ceil(cores));
                let parts: Vec<_> =
                    parts.map(|part| scope.spawn(move || part.iter().map(compress).collect::<Vec<_>>())).collect();
                let done = |part: std::thread::ScopedJoinHandle<'_, _>| {
                    part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                };
                parts.into_iter().flat_map(done).collect()
            })
        };
        let compressed = compressed?;
        let packs = table.packs().unwrap_or(table);
        self.change(|redb| write_runs(&mut redb.open_table(packs.definition())?, &compressed, &mut Vec::new()))
    }

    fn next_pack(&mut self) -> Result<u32, StoreError> {
        if self.last_pack == 0 {
            self.last_pack = number(self.get(Table::META, LAST_PACK)?)?;
        }
        self.last_pack += 1;
        u32::try_from(self.last_pack).map_err(|_| StoreError::TooLarge)
    }

    fn put_pack(&mut self, table: Table, number: u32, pack: &Pack) -> Result<(), StoreError> {
        let packs = table.packs().unwrap_or(table);
        let bytes = pack.to_bytes()?;
        self.change(|redb| {
            redb.open_table(packs.definition())?.insert(&number.to_be_bytes()[..], &bytes[..])?;
            Ok(())
        })
    }

    /// Notes that a value of a table with packs was replaced or removed.
    fn take_out(&mut self, table: Table, before: &[u8]) -> Result<(), StoreError> {
        if table.packs().is_some()
            && let Stored::Packed(place) = Stored::parse(before)?
        {
            self.taken_out.entry((table, place.pack)).or_default().insert(place.slot);
        }
        Ok(())
    }

    /// Leaves nothing in packs that was replaced. All at once, since neighbours are often replaced together.
    fn clean_packs(&mut self) -> Result<(), StoreError> {
        for ((table, pack), slots) in std::mem::take(&mut self.taken_out) {
            let packs = table.packs().unwrap_or(table);
            let key = pack.to_be_bytes();
            // Gone with all others, if the whole table was emptied since.
            let Some(bytes) = self.get(packs, &key)? else { continue };
            match Pack::parse(&bytes)?.without(&slots) {
                Some(left) => self.put_pack(table, pack, &left)?,
                None => drop(self.remove(packs, &key)?),
            }
        }
        if self.last_pack != 0 {
            self.put(Table::META, LAST_PACK, &self.last_pack.to_le_bytes())?;
        }
        Ok(())
    }

    /// The value that a table holds the place of.
    fn resolve(&self, table: Table, stored: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let Some(packs) = table.packs() else { return Ok(stored) };
        match Stored::parse(&stored)? {
            Stored::Here(value) => Ok(value.to_vec()),
            Stored::Packed(place) => self.cache.value(packs, place, || self.get(packs, &place.pack.to_be_bytes())),
        }
    }
}

impl Read for Transaction {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let stored = self.look(|redb| redb.open_table(table.definition())?.copy(key))?;
        stored.map(|stored| self.resolve(table, stored)).transpose()
    }

    /// redb lends a table out once at a time; pairs are therefore copied before they are shown,
    /// some at a time, so that the visitor may read on.
    fn visit(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        visitor: &mut Visitor<'_>,
    ) -> Result<(), StoreError> {
        self.visit_stored(table, range, &mut |key, stored| {
            let value = self.resolve(table, stored)?;
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

type StoredVisitor<'a> = dyn FnMut(&[u8], Vec<u8>) -> Result<ControlFlow<()>, StoreError> + 'a;

impl Transaction {
    fn visit_stored(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        visitor: &mut StoredVisitor<'_>,
    ) -> Result<(), StoreError> {
        let mut start = range.0.map(<[u8]>::to_vec);
        loop {
            let pairs = self.some_pairs(table, (start.as_ref().map(Vec::as_slice), range.1))?;
            let last = pairs.get(AT_A_TIME - 1).map(|(key, _)| key.clone());
            for (key, stored) in pairs {
                if visitor(&key, stored)?.is_break() {
                    return Ok(());
                }
            }
            match last {
                Some(last) => start = Bound::Excluded(last),
                None => return Ok(()),
            }
        }
    }

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

fn piece_key(id: &[u8; 16], piece: u32) -> [u8; 20] {
    let mut key = [0; 20];
    key[..16].copy_from_slice(id);
    key[16..].copy_from_slice(&piece.to_be_bytes());
    key
}
