//! Documents from entries alone: the proof that nothing else holds anything.

use ties_sealed_log::{Entry, Log, Tip};
use ties_store::{Read, Table, Transaction};

use crate::absorb::absorb_waiting;
use crate::author::SPACE_NUMBER;
use crate::document::Projection;
use crate::records::{BAD, Fault, Waiting, place_key, put_record};

/// Throws away every document and row, and takes in all entries once more.
pub(crate) fn documents(transaction: &mut Transaction, projection: &dyn Projection) -> Result<(), Fault> {
    for id in transaction.document_ids()? {
        transaction.remove_document(&id)?;
    }
    transaction.clear_rows()?;
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

const BATCH: usize = 4 << 20;
