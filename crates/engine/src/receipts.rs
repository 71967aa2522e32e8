//! What relays confirmed, told to the other devices by another road: so a relay cannot show each of them a history of its own.

use serde::{Deserialize, Serialize};
use ties_sealed_log::{Log, LogId, MailboxId, Payload, Receipt, Receipts, Tip};
use ties_store::{Read, Table, Transaction};

use crate::author::{SPACE_NUMBER, append, log_key};
use crate::environment::Environment;
use crate::incarnation;
use crate::records::{CONTACTS, ContactRecord, Fault, RECEIPTED, RECEIPTS, mailbox_key, put_record, record};
use crate::roads::roads;

/// Receipts are written no more often than this, in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// What another device says that a relay confirmed of a log.
#[derive(Serialize, Deserialize)]
pub(crate) struct ReceiptRecord {
    pub(crate) store: [u8; 16],
    pub(crate) tip: Tip,
}

/// The receipts that were written last into a log.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Written {
    time: u64,
    /// The place of the entry with them: alone it is nothing to be confirmed.
    seq: u64,
    /// The last place that they tell of.
    told: u64,
}

/// Keeps what another device says about its own log.
pub(crate) fn learn(transaction: &mut Transaction, log: &LogId, receipts: &Receipts) -> Result<(), Fault> {
    for receipt in &receipts.relays {
        let kept = ReceiptRecord { store: receipt.store, tip: Tip { seq: receipt.seq, name: receipt.name } };
        put_record(transaction, RECEIPTS, &mailbox_key(&receipt.mailbox, &log.0), &kept)?;
    }
    Ok(())
}

/// The receipts that are due: where there are several relays, once a day, if anything was written and confirmed since.
pub(crate) fn due(read: &dyn Read, now: u64) -> Result<Option<Receipts>, Fault> {
    let roads = roads(read)?;
    let Some(log) = log_key(read)?.map(|key| key.id()).filter(|_| roads.len() > 1) else { return Ok(None) };
    let written: Option<Written> = record(read, Table::SETTINGS, &key(&log), "receipts")?;
    let last = ties_store::StoredLog::reading(read, SPACE_NUMBER).tips(&log)?.iter().map(|tip| tip.seq).max();
    if written.is_some_and(|written| last == Some(written.seq) || now.abs_diff(written.time) < DAY) {
        return Ok(None);
    }
    let mut relays = Vec::new();
    for road in roads {
        relays.extend(confirmed(read, &road.mailbox, &log)?);
    }
    relays.sort_unstable();
    let told = written.map_or(0, |written| written.told);
    Ok(relays.iter().any(|receipt| receipt.seq > told).then_some(Receipts { relays }))
}

fn confirmed(read: &dyn Read, mailbox: &MailboxId, log: &LogId) -> Result<Option<Receipt>, Fault> {
    let contact: ContactRecord = record(read, CONTACTS, &mailbox.0, "a contact")?.unwrap_or_default();
    let tips = contact.acknowledged.iter().filter(|one| one.log == *log).map(|one| one.tip);
    let (Some(store), Some(tip)) = (contact.store, tips.max()) else { return Ok(None) };
    Ok(Some(Receipt { mailbox: *mailbox, store, seq: tip.seq, name: tip.name }))
}

/// Writes the receipts that are due into this device's log. What they tell of is the log that they stand in, and the next
/// entry may open another one: so that is settled first.
pub(crate) fn write(transaction: &mut Transaction, environment: &mut Environment) -> Result<(), Fault> {
    incarnation::go_on(transaction, environment)?;
    let Some(receipts) = due(transaction, environment.now())? else { return Ok(()) };
    let told = receipts.relays.iter().map(|receipt| receipt.seq).max().unwrap_or(0);
    let entry = append(transaction, environment, &Payload::Receipts(receipts))?;
    let written = Written { time: environment.now(), seq: entry.seq(), told };
    put_record(transaction, Table::SETTINGS, &key(&entry.log()), &written)
}

/// Places begin anew in every log, and so does what was told of them.
fn key(log: &LogId) -> Vec<u8> {
    [RECEIPTED, &log.0].concat()
}
