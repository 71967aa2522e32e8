//! Doing without entries: what lies below a checkpoint that two devices made alike is said by its documents.
//!
//! The older of two such checkpoints is what this device stands on then, so that a third that meets it with the one before
//! is not left without. Logs with branches stay whole, as do those with something below the cut that is not decided here, or
//! not understood.

use std::sync::atomic::Ordering;

use ties_fault::{Point, pass};
use ties_sealed_log::{Entry, FloorRecord, Freed, Log, LogId, Prune, Tip, TipRecord};
use ties_store::{Read, StoredLog, Table, Transaction};

use crate::acceptance::QUARANTINE;
use crate::author::{SPACE_NUMBER, keyring};
use crate::checkpoint::cut::has_all;
use crate::checkpoint::ground::{ground_floor, stand_at};
use crate::checkpoint::kept::{self, Carried, entry_at};
use crate::checkpoint::shelf::{self, Opinion, Shelved};
use crate::checkpoint::signers::Signers;
use crate::level::NEWER;
use crate::lineage::Lineage;
use crate::records::{BAD, Fault, SPACE, SpaceRecord, parse_place, record};
use crate::space::Space;

impl Space {
    /// Drops the entries below the older of the two newest checkpoints that two devices signed and this one found to be
    /// right. Gives what went; nothing if there are no two.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn prune(&self) -> Result<Freed, Fault> {
        if due(&self.inner.store.read()?)?.is_none() {
            return Ok(Freed::default());
        }
        let mut transaction = self.inner.store.write()?;
        // Another process may have done it in between.
        let Some(below) = due(&transaction)? else { return Ok(Freed::default()) };
        pass(Point::PruneDue);
        let freed = drop_below(&mut transaction, &below)?;
        shelf::clear(&mut transaction)?;
        pass(Point::PrunePut);
        transaction.commit()?;
        pass(Point::Pruned);
        self.inner.committed();
        tracing::debug!(entries = freed.entries, bytes = freed.bytes, "entries below a checkpoint were dropped");
        Ok(freed)
    }

    /// Drops entries below checkpoints after a sync from now on, or does not; it does not unless it is told to, each time it is
    /// opened. What was dropped does not come back.
    pub fn set_prunes(&self, prunes: bool) {
        self.inner.prunes.store(prunes, Ordering::Relaxed);
    }

    pub(crate) fn prunes(&self) -> bool {
        self.inner.prunes.load(Ordering::Relaxed)
    }
}

/// The checkpoint to stand on instead of what lies below it, if there is one further up than where this device stands.
fn due(read: &dyn Read) -> Result<Option<Shelved>, Fault> {
    let mut sure = Vec::new();
    for one in shelf::shelved(read)? {
        let by_two = one.floor.cosigner().is_some() && Signers::of(read, &one.floor)?.second.is_some();
        if by_two && one.opinion == Opinion::Same && shelf::is_whole(read, &one.floor)? {
            sure.push(one);
        }
    }
    let sure = FloorRecord::newest_first(sure, |one| &one.floor);
    let Some(older) = sure.into_iter().nth(1) else { return Ok(None) };
    if let Some(ground) = ground_floor(read)? {
        let higher = shelf::shelf(read, &ground)?.is_some_and(|ground| older.floor.supersedes(&ground.floor));
        if ground == older.floor.manifest() || !higher {
            return Ok(None);
        }
    }
    // What waits below it may yet be told apart from what counts.
    Ok(has_all(read, older.floor.cut())?.then_some(older))
}

fn drop_below(transaction: &mut Transaction, below: &Shelved) -> Result<Freed, Fault> {
    let space: SpaceRecord = record(transaction, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    let keys = keyring(transaction)?;
    let manifest = shelf::manifest(transaction, &below.floor, &space.space, &keys)?;
    let cut = manifest.ok_or(Fault::Damaged("a checkpoint's record"))?.cut;
    let carried = Carried::below(transaction, &cut)?;
    kept::keep(transaction, &carried.openings)?;
    kept::keep(transaction, &carried.membership)?;
    let mut freed = Freed::default();
    for ends in cut.chunk_by(|one, next| one.log == next.log) {
        let ([TipRecord { log, tip }], false) = (ends, is_branched(transaction, ends)?) else { continue };
        if something_aside(transaction, log, *tip)? {
            continue;
        }
        // When a device wrote last is told by its last entry.
        let last: Vec<Entry> = entry_at(transaction, log, *tip)?.into_iter().collect();
        kept::keep(transaction, &last)?;
        let dropped = transaction.log(SPACE_NUMBER).rebase(log, &[*tip], &mut |_| false)?.unwrap_or_default();
        freed.entries += dropped.entries;
        freed.bytes += dropped.bytes;
    }
    stand_at(transaction, &below.floor.manifest(), &cut)?;
    Ok(freed)
}

fn is_branched(read: &dyn Read, ends: &[TipRecord]) -> Result<bool, Fault> {
    let Some(end) = ends.first() else { return Ok(true) };
    Ok(StoredLog::reading(read, SPACE_NUMBER).forked_at(&end.log)?.is_some())
}

/// Whether something at or below a place of a log is not decided, not understood, or of no use here: it is kept as it came.
fn something_aside(read: &dyn Read, log: &LogId, end: Tip) -> Result<bool, Fault> {
    let lineage = Lineage::of(read, log)?;
    for table in [Table::PARKED, QUARANTINE, BAD, NEWER] {
        for (key, _) in read.pairs(table, &log.0)? {
            if lineage.is_below(parse_place(&key)?.1, end) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
