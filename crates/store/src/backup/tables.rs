//! What the chunks of a backup hold: the tables, as they are.

use redb::{ReadTransaction, ReadableTableMetadata, TableDefinition, TableHandle};

use crate::backup::chunks::{Opener, Sealer};
use crate::backup::{BackupError, Progress};
use crate::shield::shield;
use crate::store::FORMAT;
use crate::tables::{self, Table};
use crate::{Snapshot, StoreError, Transaction};

/// Writes what is said about the database, and its tables by name.
pub(super) fn dump(
    snapshot: &Snapshot,
    about: &[u8],
    sealer: &mut Sealer<'_>,
    progress: &mut Progress<'_>,
) -> Result<(), BackupError> {
    let redb = snapshot.redb();
    let names = shield(|| names(redb))?;
    let mut all = 0;
    for name in &names {
        all += shield(|| Ok(redb.open_table(definition(name))?.len()?))?;
    }
    let length = u16::try_from(about.len()).map_err(|_| StoreError::TooLarge)?;
    sealer.put(&length.to_le_bytes())?;
    sealer.put(about)?;
    sealer.put(&all.to_le_bytes())?;
    let mut done = 0u64;
    for name in &names {
        sealer.put(&[TABLE])?;
        sealer.put(&u16::try_from(name.len()).map_err(|_| StoreError::TooLarge)?.to_le_bytes())?;
        sealer.put(name.as_bytes())?;
        let table = shield(|| Ok(redb.open_table(definition(name))?))?;
        let mut pairs = shield(|| Ok(table.range::<&[u8]>(..)?))?;
        while let Some((key, value)) = shield(|| Ok(pairs.next().transpose()?))? {
            let (key, value) = (key.value(), value.value());
            sealer.put(&[PAIR])?;
            for part in [key, value] {
                sealer.put(&u32::try_from(part.len()).map_err(|_| StoreError::TooLarge)?.to_le_bytes())?;
            }
            sealer.put(key)?;
            sealer.put(value)?;
            done += 1;
            if done.is_multiple_of(STEP) {
                progress(done, all);
            }
        }
    }
    sealer.put(&[END])?;
    progress(all, all);
    Ok(())
}

/// Reads what is said about the database, and how many pairs it has.
pub(super) fn about(opener: &mut Opener<'_>) -> Result<(Vec<u8>, u64), BackupError> {
    let length = u16::from_le_bytes(opener.array()?);
    let about = opener.take(usize::from(length))?;
    Ok((about, u64::from_le_bytes(opener.array()?)))
}

/// Puts all pairs into a database that has none of them.
pub(super) fn load(
    opener: &mut Opener<'_>,
    all: u64,
    transaction: &mut Transaction,
    progress: &mut Progress<'_>,
) -> Result<(), BackupError> {
    let mut table = String::new();
    let mut batch = Batch::default();
    let mut done = 0u64;
    loop {
        match opener.array()? {
            [TABLE] => {
                batch.write(transaction, &table)?;
                let length = usize::from(u16::from_le_bytes(opener.array()?));
                let name = String::from_utf8(opener.take(length)?);
                let name = name.map_err(|_| BackupError::Damaged("a table has no name"))?;
                if name <= table {
                    return Err(BackupError::Damaged("tables out of order"));
                }
                (table, batch) = (name, Batch::default());
            }
            [PAIR] if !table.is_empty() => {
                let [key, value] = [opener.array()?, opener.array()?].map(u32::from_le_bytes);
                if key > LONGEST_KEY {
                    return Err(BackupError::Damaged("a key has an impossible length"));
                }
                let pair = (opener.take(key as usize)?, opener.take(value as usize)?);
                check_format(&table, &pair.0, &pair.1)?;
                batch.add(pair)?;
                if batch.weight > FULL {
                    batch.write(transaction, &table)?;
                }
                done += 1;
                if done.is_multiple_of(STEP) {
                    progress(done, all);
                }
            }
            [END] if done == all => {
                batch.write(transaction, &table)?;
                progress(all, all);
                return Ok(());
            }
            _ => return Err(BackupError::Damaged("something that is no table")),
        }
    }
}

/// Pairs of one table that wait to be written.
#[derive(Default)]
struct Batch {
    pairs: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    weight: usize,
    /// The last key that was written.
    last: Option<Vec<u8>>,
}

impl Batch {
    fn add(&mut self, (key, value): (Vec<u8>, Vec<u8>)) -> Result<(), BackupError> {
        let last = self.pairs.last().map(|(key, _)| key).or(self.last.as_ref());
        if last.is_some_and(|last| *last >= key) {
            return Err(BackupError::Damaged("keys out of order"));
        }
        self.weight += key.len() + value.len() + 64;
        self.pairs.push((key, Some(value)));
        Ok(())
    }

    fn write(&mut self, transaction: &mut Transaction, table: &str) -> Result<(), BackupError> {
        if self.pairs.is_empty() {
            return Ok(());
        }
        let pairs = std::mem::take(&mut self.pairs);
        self.last = pairs.last().map(|(key, _)| key.clone());
        self.weight = 0;
        Ok(transaction.put_as_stored(definition(table), &pairs)?)
    }
}

/// Only what this version understands is put into a database that says so.
fn check_format(table: &str, key: &[u8], value: &[u8]) -> Result<(), BackupError> {
    if table != Table::META.name() || key != tables::FORMAT {
        return Ok(());
    }
    match tables::number(Some(value.to_vec()))? {
        FORMAT => Ok(()),
        other => Err(BackupError::Format(other)),
    }
}

fn names(redb: &ReadTransaction) -> Result<Vec<String>, StoreError> {
    let mut names: Vec<String> = redb.list_tables()?.map(|table| table.name().to_owned()).collect();
    names.sort_unstable();
    Ok(names)
}

fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

const END: u8 = 0;
const TABLE: u8 = 1;
const PAIR: u8 = 2;
/// Pairs between two reports of progress.
const STEP: u64 = 1_000;
/// Bytes that are written at once.
const FULL: usize = 8 << 20;
const LONGEST_KEY: u32 = 1 << 20;
