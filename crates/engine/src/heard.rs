//! How far each device has read the logs of the others, as its own entries show.
//!
//! An entry names the tips that its author had read and that had moved since its last one. Of each log the furthest place
//! that it has named of every other is kept: what its device is known to have. It may have more and not have written since.

use std::collections::BTreeMap;

use ties_sealed_log::{Dep, LogId};
use ties_store::{Read, Table, Transaction};

use crate::records::{Fault, mailbox_key};

/// The furthest place named, by the log that names it and the log that is named.
const HEARD: Table = Table::named("engine/heard");

/// Notes what an entry of a log names. It may name what is not here.
pub(crate) fn hear(transaction: &mut Transaction, log: &LogId, deps: &[Dep]) -> Result<(), Fault> {
    for dep in deps {
        let key = key(log, &dep.log);
        if place(transaction.get(HEARD, &key)?)? < dep.seq {
            transaction.put(HEARD, &key, &dep.seq.to_be_bytes())?;
        }
    }
    Ok(())
}

/// The furthest place of each log that entries of these logs name.
pub(crate) fn heard_by<'a>(
    read: &dyn Read,
    logs: impl IntoIterator<Item = &'a LogId>,
) -> Result<BTreeMap<LogId, u64>, Fault> {
    let mut heard = BTreeMap::new();
    for log in logs {
        for (key, seq) in read.pairs(HEARD, &log.0)? {
            let named =
                key.get(32..).and_then(|named| named.try_into().ok()).ok_or(Fault::Damaged("what was heard"))?;
            let seq = place(Some(seq))?;
            let furthest = heard.entry(LogId(named)).or_insert(0);
            *furthest = seq.max(*furthest);
        }
    }
    Ok(heard)
}

/// The furthest place of each log that any entry here names.
pub(crate) fn known_of(read: &dyn Read) -> Result<BTreeMap<LogId, u64>, Fault> {
    let mut known = BTreeMap::new();
    for (key, seq) in read.pairs(HEARD, &[])? {
        let named = key.get(32..).and_then(|named| named.try_into().ok()).ok_or(Fault::Damaged("what was heard"))?;
        let seq = place(Some(seq))?;
        let furthest = known.entry(LogId(named)).or_insert(0);
        *furthest = seq.max(*furthest);
    }
    Ok(known)
}

fn place(bytes: Option<Vec<u8>>) -> Result<u64, Fault> {
    let Some(bytes) = bytes else { return Ok(0) };
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| Fault::Damaged("what was heard"))
}

fn key(by: &LogId, named: &LogId) -> [u8; 64] {
    mailbox_key(&ties_sealed_log::MailboxId(by.0), &named.0)
}
