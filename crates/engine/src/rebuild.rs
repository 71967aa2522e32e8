//! Documents from entries alone, above the checkpoint that a device stands on: the proof that nothing else holds anything.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Automerge, Change};
use ties_sealed_log::{Entry, Log, Tip};
use ties_store::{Read, StoredLog, Table, Transaction};

use crate::absorb::absorb_waiting;
use crate::acceptance::{QUARANTINE, changes_of, is_applied, visit};
use crate::author::{Keyring, SPACE_NUMBER};
use crate::checkpoint::{documents_of_ground, restore_ground};
use crate::document::{DocumentId, Projection, apply_change};
use crate::documents::{live_rows, load_stored};
use crate::level::NEWER;
use crate::records::{BAD, Fault, Waiting, place_key, put_record};
use crate::roster::Roster;

/// Throws away every document and row, and takes in all entries once more.
pub(crate) fn documents(transaction: &mut Transaction, projection: &dyn Projection) -> Result<(), Fault> {
    transaction.clear_documents()?;
    transaction.remove_all(Table::ROWS, &[])?;
    for table in [Table::APPLIED, Table::PARKED, BAD, QUARANTINE, NEWER] {
        transaction.remove_all(table, &[])?;
    }
    restore_ground(transaction, projection)?;
    // Whatever the order of the logs, each entry finds those it builds upon still waiting, and waits for them.
    let logs: Vec<_> = transaction.log(SPACE_NUMBER).vector()?.logs().collect();
    for log in logs {
        let mut from = 0;
        loop {
            let batch = transaction.log(SPACE_NUMBER).after(&log, from, BATCH)?;
            let Some(last) = batch.last().map(Entry::seq) else { break };
            for entry in batch {
                let place = place_key(&log, Tip { seq: entry.seq(), name: entry.name() });
                put_record(transaction, Table::PARKED, &place, &Waiting::Entry)?;
            }
            from = last;
        }
    }
    absorb_waiting(transaction, projection)?;
    Ok(())
}

/// Throws away every row, and makes all of them anew from the documents.
pub(crate) fn rows(transaction: &mut Transaction, projection: &dyn Projection) -> Result<(), Fault> {
    transaction.remove_all(Table::ROWS, &[])?;
    let mut rows = Vec::new();
    let mut weight = 0;
    for id in transaction.document_ids()?.into_iter().map(DocumentId) {
        let Some(document) = load_stored(transaction, id)? else { continue };
        let made = live_rows(projection, id, &document);
        weight += made.iter().map(|row| row.key.len() + row.value.len()).sum::<usize>();
        rows.extend(made.into_iter().map(|row| (row.key, Some(row.value))));
        if weight > BATCH {
            put_rows(transaction, std::mem::take(&mut rows))?;
            weight = 0;
        }
    }
    put_rows(transaction, rows)
}

fn put_rows(transaction: &mut Transaction, mut rows: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), Fault> {
    rows.sort_unstable();
    rows.dedup_by(|one, other| one.0 == other.0);
    Ok(transaction.put_all(Table::ROWS, rows)?)
}

const BATCH: usize = 16 << 20;

/// Throws away some documents and their rows, and makes them anew from the entries that count.
pub(crate) fn some(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    roster: &Roster,
    keys: &Keyring,
    ids: &BTreeSet<DocumentId>,
) -> Result<(), Fault> {
    let mut changes = changes_that_count(transaction, roster, keys, ids)?;
    let mut below = documents_of_ground(transaction, ids)?;
    for id in below.keys() {
        changes.entry(*id).or_default();
    }
    let mut rows = Vec::new();
    for id in ids {
        let before = load_stored(transaction, *id)?;
        let stale = before.map(|document| live_rows(projection, *id, &document)).unwrap_or_default();
        rows.extend(stale.into_iter().map(|row| (row.key, None)));
        transaction.remove_document(&id.0)?;
    }
    let mut fresh = BTreeMap::new();
    for (id, changes) in changes {
        let document = assembled(below.remove(&id).unwrap_or_else(Automerge::new), changes);
        if document.get_heads().is_empty() {
            continue;
        }
        transaction.put_document(&id.0, &document.save())?;
        fresh.extend(live_rows(projection, id, &document).into_iter().map(|row| (row.key, Some(row.value))));
    }
    rows.retain(|(key, _)| !fresh.contains_key(key));
    rows.extend(fresh);
    put_rows(transaction, rows)
}

/// The changes of some documents, of all entries that count.
fn changes_that_count(
    read: &dyn Read,
    roster: &Roster,
    keys: &Keyring,
    ids: &BTreeSet<DocumentId>,
) -> Result<BTreeMap<DocumentId, Vec<Change>>, Fault> {
    let mut changes: BTreeMap<DocumentId, Vec<Change>> = BTreeMap::new();
    let logs: Vec<_> = StoredLog::reading(read, SPACE_NUMBER).vector()?.logs().collect();
    for log in logs {
        visit(read, &log, |entry| {
            let found = changes_of(roster, keys, entry).unwrap_or_default();
            let mut wanted = found.items.iter().filter(|item| ids.contains(&DocumentId(item.document))).peekable();
            if wanted.peek().is_some() && is_applied(read, entry)? {
                for item in wanted {
                    // It was checked when it was first applied.
                    let change = Change::from_bytes(item.chunk.to_vec());
                    changes.entry(DocumentId(item.document)).or_default().extend(change.ok());
                }
            }
            Ok(())
        })?;
    }
    Ok(changes)
}

/// A document with these changes, each after those it builds upon.
fn assembled(mut document: Automerge, mut changes: Vec<Change>) -> Automerge {
    loop {
        let before = changes.len();
        changes.retain(|change| {
            let ready = change.deps().iter().all(|dep| document.get_change_meta_by_hash(dep).is_some());
            // What does not apply did not apply before either.
            if ready && document.get_change_meta_by_hash(&change.hash()).is_none() {
                let _ = apply_change(&mut document, change.clone());
            }
            !ready
        });
        if changes.len() == before {
            return document;
        }
    }
}
