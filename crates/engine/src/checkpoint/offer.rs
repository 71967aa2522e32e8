//! What a device answers when another one shows it a checkpoint, and taking the one that was wanted.

use ties_fault::{Point, pass};
use ties_sealed_log::{ChunkName, FloorRecord};
use ties_store::{Read, Table};
use ties_sync::{Event, FloorTaken, Output, Refusal};

use crate::attempts::Attempts;
use crate::author::keyring;
use crate::checkpoint::ground::{ends_of, stands_at_ends};
use crate::checkpoint::load::{CheckpointError, load};
use crate::checkpoint::shelf::{self, Opinion, Shelved};
use crate::checkpoint::status::keeps;
use crate::checkpoint::tend::is_far_behind;
use crate::epochs;
use crate::records::{Fault, SPACE, SpaceRecord, put_record, record};
use crate::space::{Inner, Space};

/// An answer, and whether the record goes on the shelf.
pub(crate) struct Answer {
    pub(crate) taken: FloorTaken,
    pub(crate) keep: bool,
}

/// Decides about a checkpoint that another side holds. The manifest comes first: only who has a key of the space makes one
/// that opens, so that nobody else makes this device fetch more. `needed`: what is missing here comes by a checkpoint alone.
pub(crate) fn consider(read: &dyn Read, floor: &FloorRecord, needed: bool) -> Result<Answer, Fault> {
    let plain = |taken| Ok(Answer { taken, keep: false });
    if !keeps(read)? {
        return plain(FloorTaken::Passed);
    }
    let known = shelf::shelf(read, &floor.manifest())?;
    if known.as_ref().is_some_and(|known| known.opinion == Opinion::Differs) {
        return plain(FloorTaken::Refused(Refusal::Floor));
    }
    let needed = needed || is_short(read)?;
    match known.as_ref().map(|known| known.opinion) {
        Some(Opinion::Foreign) => return plain(FloorTaken::Passed),
        Some(Opinion::Aside) if !needed => return plain(FloorTaken::Passed),
        _ => {}
    }
    let reached = reaches(read, floor)?;
    let better = held(read)?.is_some_and(|own| own.name() == floor.name() || own.supersedes(floor));
    if reached && better {
        return plain(FloorTaken::Held);
    }
    if !reached && !needed && !is_far_behind(read, floor)? {
        return plain(FloorTaken::Passed);
    }
    if !shelf::has_chunk(read, &floor.manifest())? {
        return plain(FloorTaken::Wanted(vec![floor.manifest()]));
    }
    let space: SpaceRecord = record(read, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    let mut keys = keyring(read)?;
    if !reached {
        // Whoever was shut out has the keys of its time, and could make a checkpoint that knows nothing of that. What this
        // device begins with is sealed under the newest key that it was given.
        keys = epochs::newest(read, keys)?;
    }
    if shelf::manifest(read, floor, &space.space, &keys)?.is_none() {
        return plain(FloorTaken::Passed);
    }
    let mut missing: Vec<ChunkName> = Vec::new();
    for (name, _) in floor.chunks() {
        if !shelf::has_chunk(read, name)? {
            missing.push(*name);
        }
    }
    let keep = known.is_none_or(|known| known.floor.name() != floor.name());
    let taken = if reached && missing.is_empty() { FloorTaken::Held } else { FloorTaken::Wanted(missing) };
    Ok(Answer { taken, keep })
}

/// The newest checkpoint that this device stands at or beyond, and holds whole.
pub(crate) fn held(read: &dyn Read) -> Result<Option<FloorRecord>, Fault> {
    newest_of(read, |_| true)
}

/// The newest of them with two signatures.
pub(crate) fn held_cosigned(read: &dyn Read) -> Result<Option<FloorRecord>, Fault> {
    newest_of(read, |floor| floor.cosigner().is_some())
}

fn newest_of(read: &dyn Read, counts: impl Fn(&FloorRecord) -> bool) -> Result<Option<FloorRecord>, Fault> {
    let mut best: Option<FloorRecord> = None;
    for Shelved { floor, opinion, .. } in shelf::shelved(read)? {
        let better = best.as_ref().is_none_or(|best| floor.supersedes(best));
        let is_right = opinion.is_good() && counts(&floor);
        if is_right && better && shelf::is_whole(read, &floor)? && reaches(read, &floor)? {
            best = Some(floor);
        }
    }
    Ok(best)
}

/// Whether everything up to the cut is here, as entries or by a checkpoint.
fn reaches(read: &dyn Read, floor: &FloorRecord) -> Result<bool, Fault> {
    for (log, ends) in ends_of(floor.cut()) {
        if !stands_at_ends(read, &log, &ends)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether entries that are missing here were asked for where they are not kept any more: then a checkpoint is the only way
/// to what they said, however few they are.
fn is_short(read: &dyn Read) -> Result<bool, Fault> {
    Ok(record(read, Table::SETTINGS, SHORT, "whether entries are not to be had")?.unwrap_or(false))
}

const SHORT: &[u8] = b"short";

impl Inner {
    /// [`is_short`], now.
    pub(crate) fn lacks_entries(&self) -> Result<bool, Fault> {
        is_short(&self.store.read()?)
    }
}

/// Takes down that entries are not to be had where a session asked for them.
fn note_shortage(space: &Space, outputs: &[Output]) -> Result<(), Fault> {
    let is_missing = |output: &Output| match output {
        // The other side has the end of a log alone, or what it has does not follow on what is here.
        Output::Event(Event::Refused { reason, .. }) => matches!(reason, Refusal::Below | Refusal::Withheld),
        // What came does not follow on what is here, or is a branch that left it before: what it says comes with a checkpoint.
        Output::Event(Event::Declined { reason, .. }) => matches!(reason, Refusal::Gap | Refusal::Below),
        _ => false,
    };
    if outputs.iter().any(is_missing) { note_short(space) } else { Ok(()) }
}

/// Takes down that entries are not to be had.
pub(crate) fn note_short(space: &Space) -> Result<(), Fault> {
    if is_short(&space.inner.store.read()?)? {
        return Ok(());
    }
    let mut transaction = space.inner.store.write()?;
    put_record(&mut transaction, Table::SETTINGS, SHORT, &true)?;
    Ok(transaction.commit()?)
}

/// Takes the checkpoint that a session has all pieces of, if it has; the session must then be told that something changed.
/// One that is not what it says it is, is remembered as that, and the session goes on without.
pub(crate) fn load_offered(space: &Space, outputs: &[Output]) -> Result<bool, Fault> {
    note_shortage(space, outputs)?;
    let offered = outputs.iter().rev().find_map(|output| match output {
        Output::Event(Event::Checkpoint { record, needed }) => Some((record, *needed)),
        _ => None,
    });
    let Some((floor, needed)) = offered else { return Ok(false) };
    load_now(space, floor, needed).map(|()| true)
}

/// Takes a checkpoint whose pieces are all here. One that is not what it says it is, is remembered as that.
/// `needed`: there is no other way to what it holds.
pub(crate) fn load_now(space: &Space, floor: &FloorRecord, needed: bool) -> Result<(), Fault> {
    let inner = &space.inner;
    let mut transaction = inner.store.write()?;
    let mut attempts = Attempts::in_folder(inner.folder.as_deref());
    // Its documents are read by the same library that entries are: what kills the process is set aside alike.
    let begun = attempts.begin(&ties_sealed_log::EntryName(floor.manifest().0));
    pass(Point::LoadBegun);
    let loaded = if begun {
        let needed = needed || is_short(&transaction)?;
        load(&mut transaction, &*inner.projection, floor, (inner.now(), needed))
    } else {
        Err(CheckpointError::Wrong)
    };
    attempts.rest();
    match loaded {
        Ok(astray) => {
            astray.carry(&mut transaction, &mut inner.environment())?;
            transaction.remove(Table::SETTINGS, SHORT)?;
            tracing::debug!(bytes = floor.size(), "started from a checkpoint");
        }
        Err(CheckpointError::Fault(fault)) => return Err(fault),
        Err(wrong) => {
            tracing::warn!(%wrong, "a checkpoint was not taken");
            drop(transaction);
            transaction = inner.store.write()?;
            let opinion = match wrong {
                CheckpointError::Costly => Opinion::Aside,
                CheckpointError::Foreign => Opinion::Foreign,
                _ => Opinion::Differs,
            };
            shelf::put(&mut transaction, floor, Some(opinion), inner.now())?;
        }
    }
    shelf::clear(&mut transaction)?;
    pass(Point::LoadMerged);
    transaction.commit()?;
    pass(Point::Loaded);
    attempts.finish();
    inner.committed();
    Ok(())
}
