//! What is done about checkpoints by itself, after a sync: looking over those that came, making one when it is time,
//! and doing without the entries below.

use ties_sealed_log::{Entry, Log, LogId, Payload, Role, Tip, is_outgrown};
use ties_store::{Read, StoredLog, Table};

use crate::author::{SPACE_NUMBER, append, keyring};
use crate::checkpoint::cut::cut;
use crate::checkpoint::ground::ends_of;
use crate::checkpoint::reach::owes_word;
use crate::checkpoint::shelf::{self, Shelved};
use crate::epochs;
use crate::lineage::PART;
use crate::records::{Fault, SPACE, SpaceRecord, record};
use crate::roster::Roster;
use crate::secrets::device_keys;
use crate::space::Space;

/// With fewer entries above the last checkpoint a fresh device is quick without another, unless they are large ones.
const FEWEST: u64 = 2_000;
/// So many bytes are worth a checkpoint however few entries they are: a whole address book comes in a few of a megabyte each.
const BULK: u64 = 2 << 20;

/// For tests: another number in its place.
#[cfg(feature = "test-support")]
pub(crate) const FEWEST_HERE: &[u8] = b"fewest-for-a-checkpoint";

impl Space {
    /// Compares checkpoints that came with what is here, makes one if what was written since the last one has outgrown it,
    /// and where that is wanted drops the entries below two that are sure. Gives whether there is something new for others.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn tend_checkpoints(&self) -> Result<bool, Fault> {
        if !self.keeps_checkpoints()? {
            return Ok(false);
        }
        let said = self.say_key_is_here()?;
        let looked = self.check_checkpoints()?;
        let due = is_due(&self.inner.store.read()?)?;
        let made = due && self.make_checkpoint()?;
        if self.prunes() {
            self.prune()?;
        }
        Ok(said || made || looked.cosigned > 0)
    }
}

impl Space {
    /// Names the beginning of an epoch that another device began, where nothing else was written since: others wait for it.
    fn say_key_is_here(&self) -> Result<bool, Fault> {
        if !owes_word(&self.inner.store.read()?)? {
            return Ok(false);
        }
        let mut transaction = self.inner.store.write()?;
        if !owes_word(&transaction)? {
            return Ok(false);
        }
        append(&mut transaction, &mut self.inner.environment(), &Payload::Beacon)?;
        transaction.commit()?;
        self.inner.committed();
        Ok(true)
    }
}

/// Whether this device may make a checkpoint, and what was written since the last one takes more room than that.
fn is_due(read: &dyn Read) -> Result<bool, Fault> {
    // One under an older key is nothing to begin with (`offer.rs`).
    let newest = shelf::newest(read)?;
    let newest = if is_under_newest_key(read, newest.as_ref())? { newest } else { None };
    let stored = StoredLog::reading(read, SPACE_NUMBER);
    if let Some(newest) = &newest
        && is_outgrown(newest.floor.cut(), &stored)?
        && !is_outgrown(&cut(read)?, &stored)?
    {
        // Whoever begins with it waits for what stands on the other branch.
        return may_make(read);
    }
    let tail = Tail::above(read, newest.as_ref())?;
    if let Some(every) = ties_fault::checkpoint_every() {
        return Ok(tail.entries >= every && may_make(read)?);
    }
    let mut most = newest.map_or(0, |newest| newest.floor.size());
    if tail.entries < fewest(read)? {
        most = most.max(BULK);
    }
    Ok(tail.entries > 0 && may_make(read)? && tail.bytes(read, most)? > most)
}

/// What was written since a checkpoint.
pub(crate) struct Tail {
    /// Logs, and after which entry of each, up to which.
    logs: Vec<(LogId, std::ops::Range<u64>)>,
    entries: u64,
}

impl Tail {
    /// All entries here that a new checkpoint would cover and an earlier one does not; what waits or is held is in neither.
    pub(crate) fn above(read: &dyn Read, checkpoint: Option<&Shelved>) -> Result<Self, Fault> {
        let cut = cut(read)?;
        let mut tail = Self { logs: Vec::new(), entries: 0 };
        for (log, tips) in ends_of(&cut) {
            let last = tips.iter().map(|tip| tip.seq).max().unwrap_or(0);
            let ends = checkpoint.map_or_else(Vec::new, |checkpoint| checkpoint.floor.cut_of(&log));
            let from = ends.iter().map(|Tip { seq, .. }| *seq).max().unwrap_or(0);
            if last > from {
                tail.entries += last - from;
                tail.logs.push((log, from..last));
            }
        }
        Ok(tail)
    }

    /// Their bytes; of more than `enough`, those of the first.
    pub(crate) fn bytes(&self, read: &dyn Read, enough: u64) -> Result<u64, Fault> {
        let stored = StoredLog::reading(read, SPACE_NUMBER);
        let mut bytes = 0;
        for (log, places) in &self.logs {
            let mut from = places.start;
            while from < places.end {
                let part = stored.after(log, from, PART)?;
                let Some(last) = part.last().map(Entry::seq) else { break };
                let covered = part.iter().filter(|entry| entry.seq() <= places.end);
                bytes += covered.map(|entry| entry.bytes().len() as u64).sum::<u64>();
                if bytes > enough {
                    return Ok(bytes);
                }
                from = last;
            }
        }
        Ok(bytes)
    }
}

fn fewest(read: &dyn Read) -> Result<u64, Fault> {
    if let Some(every) = ties_fault::checkpoint_every() {
        return Ok(every);
    }
    #[cfg(feature = "test-support")]
    return Ok(record(read, Table::SETTINGS, FEWEST_HERE, "the fewest for a checkpoint")?.unwrap_or(FEWEST));
    #[cfg(not(feature = "test-support"))]
    {
        let _ = read;
        Ok(FEWEST)
    }
}

fn is_under_newest_key(read: &dyn Read, newest: Option<&Shelved>) -> Result<bool, Fault> {
    let Some(newest) = newest else { return Ok(false) };
    let space: SpaceRecord = record(read, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    let keys = epochs::newest(read, keyring(read)?)?;
    Ok(shelf::manifest(read, &newest.floor, &space.space, &keys)?.is_some())
}

fn may_make(read: &dyn Read) -> Result<bool, Fault> {
    let roster = Roster::load(read)?;
    let own = device_keys(read)?.ok_or(Fault::NoKey)?.id();
    let role = roster.members.as_ref().and_then(|members| members.get(&own)).map(|member| member.role);
    Ok(matches!(role, Some(Role::Writer | Role::Admin)))
}

/// Whether a device that has nothing of this, or little, is better off with a checkpoint of so many bytes.
pub(crate) fn is_far_behind(read: &dyn Read, floor: &ties_sealed_log::FloorRecord) -> Result<bool, Fault> {
    let stored = StoredLog::reading(read, SPACE_NUMBER);
    let mut lacking = 0;
    for end in floor.cut() {
        let here = stored.tips(&end.log)?.iter().map(|tip| tip.seq).max().unwrap_or(0);
        lacking += end.tip.seq.saturating_sub(here);
    }
    let fresh = lacking > 0 && !read.has_documents()?;
    Ok(fresh || (lacking >= fewest(read)? / 2 && (floor.cosigner().is_some() || lacking * SMALL_ENTRY > floor.size())))
}

/// Bytes of an entry with one small change.
const SMALL_ENTRY: u64 = 400;
