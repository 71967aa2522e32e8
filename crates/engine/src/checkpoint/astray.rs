//! Changes that went astray: of entries that go with a checkpoint that lacks what they say.
//!
//! A database that was set back, or copied, goes on in its log beside what others have of it. Where they dropped the entries
//! of that time nobody takes such a branch any more, for nothing tells it from what was dropped. What it says shows when its
//! device takes a checkpoint: changes that are in entries below the cut, and not in the checkpoint. Where these entries are gone
//! elsewhere, their device says them again in the log that it goes on with, and signs with the key of the log that they were
//! written in. Otherwise entries come and go one by one, and the branch with them. Changes of a log of which the key is not here
//! are not this device's to say: such a checkpoint is not taken.

use std::collections::BTreeSet;

use automerge::Change;
use ties_sealed_log::{Carried, Changes, Entry, Log, LogId, LogKey, Manifest, Payload, SpaceId, Tip};
use ties_store::{Read, StoredLog, Table, Transaction};

use crate::acceptance::{is_applied, visit, written_in};
use crate::author::{Keyring, SPACE_NUMBER, append, log_key, own_log};
use crate::checkpoint::kept;
use crate::checkpoint::load::{CheckpointError, documents_in, holds};
use crate::document::DocumentId;
use crate::environment::Environment;
use crate::incarnation::go_on;
use crate::records::{Fault, SPACE, SpaceRecord, record};
use crate::roster::Roster;

/// What is said again, with the key of the log that it was written in, and the entries that said it.
#[derive(Default)]
pub(crate) struct Astray {
    said: Vec<(LogKey, Changes)>,
    entries: Vec<Entry>,
}

impl Astray {
    /// What goes astray with a checkpoint, given the documents that say more here than there; an error if it should not be
    /// taken for that. `needed`: there is no other way.
    pub(super) fn below(
        read: &dyn Read,
        manifest: &Manifest,
        (keys, space): (&Keyring, &SpaceId),
        beyond: &BTreeSet<DocumentId>,
        needed: bool,
    ) -> Result<Self, CheckpointError> {
        let mut astray = Self::default();
        if beyond.is_empty() {
            return Ok(astray);
        }
        let roster = Roster::load(read)?;
        let there = documents_in(read, manifest, keys, space, beyond)?;
        for ends in manifest.cut.chunk_by(|one, next| one.log == next.log) {
            let log = ends[0].log;
            let tips: Vec<Tip> = ends.iter().map(|end| end.tip).collect();
            if !goes(read, &log, &tips)? {
                continue;
            }
            let mut foreign = false;
            visit(read, &log, |entry| {
                let Some((written, mut changes)) = written_in(&roster, keys, entry) else { return Ok(()) };
                changes.items.retain(|item| {
                    let id = DocumentId(item.document);
                    let hash = Change::from_bytes(item.chunk.to_vec()).map(|change| change.hash());
                    let is_there =
                        |hash| there.get(&id).is_some_and(|there| there.get_change_meta_by_hash(&hash).is_some());
                    beyond.contains(&id) && hash.is_ok_and(|hash| !is_there(hash))
                });
                if !changes.items.is_empty() && is_applied(read, entry)? {
                    match own_log(read, &written)? {
                        Some(key) => astray.said.push((key, changes)),
                        None => foreign = true,
                    }
                    astray.entries.push(entry.clone());
                }
                Ok(())
            })?;
            if foreign {
                return Err(CheckpointError::Foreign);
            }
        }
        if astray.said.is_empty() || needed { Ok(astray) } else { Err(CheckpointError::Costly) }
    }

    /// Keeps the entries beside their logs: what they did may still be taken back.
    pub(super) fn keep(&self, transaction: &mut Transaction) -> Result<(), Fault> {
        kept::keep(transaction, &self.entries)
    }

    /// Says all of it again. A device that may not write any more leaves it.
    pub(super) fn carry(self, transaction: &mut Transaction, environment: &mut Environment) -> Result<(), Fault> {
        for (key, changes) in self.said {
            match carry(transaction, environment, &key, changes) {
                Err(Fault::ReadOnly | Fault::Removed | Fault::NoKey | Fault::Outdated(_)) => return Ok(()),
                done => done?,
            }
        }
        Ok(())
    }
}

fn carry(
    transaction: &mut Transaction,
    environment: &mut Environment,
    key: &LogKey,
    mut changes: Changes,
) -> Result<(), Fault> {
    // What is signed names the log that it goes into, which may have to be opened first.
    go_on(transaction, environment)?;
    let into = log_key(transaction)?.ok_or(Fault::NoKey)?.id();
    let space: SpaceRecord = record(transaction, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    let carried = Carried::sign(key, &space.space, &into, changes.clone());
    match append(transaction, environment, &Payload::Carried(carried)) {
        // It has a little more around it than the entry that it comes from.
        Err(Fault::TooLarge) if changes.items.len() > 1 => {
            let second = changes.items.split_off(changes.items.len() / 2);
            let second = Changes { nonces: changes.nonces.clone(), items: second };
            carry(transaction, environment, key, changes)?;
            carry(transaction, environment, key, second)
        }
        appended => appended.map(drop),
    }
}

/// Whether what is here of a log goes when it begins at these tips.
fn goes(read: &dyn Read, log: &LogId, tips: &[Tip]) -> Result<bool, Fault> {
    let stored = StoredLog::reading(read, SPACE_NUMBER);
    if holds(&stored, log, tips)? {
        return Ok(false);
    }
    for tip in tips {
        let here = stored.names(log, tip.seq)?;
        if !here.is_empty() && !here.contains(&tip.name) {
            return Ok(false);
        }
    }
    Ok(true)
}
