//! The ground: the cut of the checkpoint that this device's documents stand on.
//!
//! A device that started from a checkpoint, or that dropped entries below one, has not the entries at or below its cut. They
//! were read by whoever made the checkpoint, and count: what names one of them finds it here.

use std::collections::BTreeMap;

use ties_sealed_log::{ChunkName, EntryName, Log, LogId, Tip, TipRecord, decode};
use ties_store::{Read, StoredLog, Table, Transaction};

use crate::author::SPACE_NUMBER;
use crate::lineage::Lineage;
use crate::records::{Fault, put_record, record};

/// Of each log, up to where it is in the checkpoint: all its ends there.
const GROUND: Table = Table::named("engine/ground");

/// The name of that checkpoint's manifest.
const GROUND_FLOOR: &[u8] = b"ground";

/// All ends of all logs in the ground.
pub(crate) fn grounds(read: &dyn Read) -> Result<Vec<(LogId, Vec<Tip>)>, Fault> {
    let mut all = Vec::new();
    for (log, tips) in read.pairs(GROUND, &[])? {
        let log = LogId(log.try_into().map_err(|_| Fault::Damaged("the ground of a log"))?);
        all.push((log, decode(&tips).map_err(|_| Fault::Damaged("the ground of a log"))?));
    }
    Ok(all)
}

/// Up to where a log lies in the ground.
pub(crate) fn ground(read: &dyn Read, log: &LogId) -> Result<Vec<Tip>, Fault> {
    Ok(record(read, GROUND, &log.0, "the ground of a log")?.unwrap_or_default())
}

/// Whether this device stands on a checkpoint at all.
pub(crate) fn is_grounded(read: &dyn Read) -> Result<bool, Fault> {
    Ok(!read.pairs(GROUND, &[])?.is_empty())
}

/// Whether the entry at a place lies in the ground. What a straight log had below its end there is told by the number alone.
pub(crate) fn is_in_ground(read: &dyn Read, log: &LogId, at: Tip) -> Result<bool, Fault> {
    let tips = ground(read, log)?;
    match tips[..] {
        [] => Ok(false),
        [tip] => Ok(Lineage::of(read, log)?.is_below(at, tip)),
        _ => {
            let (stored, lineage) = (StoredLog::reading(read, SPACE_NUMBER), Lineage::of(read, log)?);
            if tips.iter().any(|tip| lineage.is_below(at, *tip)) {
                return Ok(true);
            }
            // Of several branches below where the log begins here nothing is known but that they are there.
            let base = stored.base(log)?;
            let dropped = base.iter().any(|tip| tips.contains(tip) && at.seq < tip.seq);
            Ok(dropped && !stored.names(log, at.seq)?.contains(&at.name))
        }
    }
}

/// Whether an entry that another one names is here, itself or in the ground.
pub(crate) fn is_here(read: &dyn Read, log: &LogId, seq: u64, name: EntryName) -> Result<bool, Fault> {
    Ok(StoredLog::reading(read, SPACE_NUMBER).names(log, seq)?.contains(&name)
        || is_in_ground(read, log, Tip { seq, name })?)
}

/// Whether this device has a log up to these ends of a checkpoint's cut. Of one that is straight there, the number tells it
/// even of entries in the ground; with several ends each must be known by name, for one below where the log begins here may
/// be a branch that left it before.
pub(crate) fn stands_at_ends(read: &dyn Read, log: &LogId, ends: &[Tip]) -> Result<bool, Fault> {
    if let [end] = ends {
        return is_here(read, log, end.seq, end.name);
    }
    let ground = ground(read, log)?;
    for end in ends {
        let by_name = StoredLog::reading(read, SPACE_NUMBER).names(log, end.seq)?.contains(&end.name);
        if !by_name && !ground.contains(end) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The ends of each log in a cut.
pub(crate) fn ends_of(cut: &[TipRecord]) -> impl Iterator<Item = (LogId, Vec<Tip>)> + '_ {
    let logs = cut.chunk_by(|one, next| one.log == next.log);
    logs.map(|ends| (ends[0].log, ends.iter().map(|end| end.tip).collect()))
}

/// The checkpoint that this device stands on: its documents are what is left of entries that are not here.
pub(crate) fn ground_floor(read: &dyn Read) -> Result<Option<ChunkName>, Fault> {
    record(read, Table::SETTINGS, GROUND_FLOOR, "the checkpoint below")
}

/// Stands on a cut of a checkpoint from now on, and where a log is not in it on what was there before.
pub(crate) fn stand_at(transaction: &mut Transaction, manifest: &ChunkName, cut: &[TipRecord]) -> Result<(), Fault> {
    put_record(transaction, Table::SETTINGS, GROUND_FLOOR, manifest)?;
    let mut stands: BTreeMap<LogId, Vec<Tip>> = grounds(transaction)?.into_iter().collect();
    cut.iter().for_each(|end| stands.entry(end.log).or_default().clear());
    cut.iter().for_each(|end| stands.entry(end.log).or_default().push(end.tip));
    transaction.remove_all(GROUND, &[])?;
    for (log, mut tips) in stands {
        tips.sort_unstable();
        put_record(transaction, GROUND, &log.0, &tips)?;
    }
    Ok(())
}
