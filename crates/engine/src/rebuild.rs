//! Documents from entries alone: the proof that nothing else holds anything.

use ties_sealed_log::{Entry, Log, Tip};
use ties_store::{Read, Table, Transaction};

use crate::absorb::absorb_waiting;
use crate::author::SPACE_NUMBER;
use crate::document::{DocumentId, Projection};
use crate::documents::{live_rows, load_stored};
use crate::records::{BAD, Fault, Waiting, place_key, put_record};

/// Throws away every document and row, and takes in all entries once more.
pub(crate) fn documents(transaction: &mut Transaction, projection: &dyn Projection) -> Result<(), Fault> {
    transaction.clear_documents()?;
    transaction.remove_all(Table::ROWS, &[])?;
    for table in [Table::APPLIED, Table::PARKED, BAD] {
        transaction.remove_all(table, &[])?;
    }
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
