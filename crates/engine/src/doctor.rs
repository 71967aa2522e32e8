//! Looking everything over: entries against their signatures, documents against entries, rows against documents.
//!
//! Each of these can be made anew from the one before, so nothing is lost by a repair; entries themselves come back only
//! from another device or a relay.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};
use std::time::Duration;

use automerge::{Change, ChangeHash};
use ties_net::RelayAddress;
use ties_sealed_log::{Entry, EntryName, Log, LogId, Tip};
use ties_store::{Read, StoredLog, Table};

use crate::acceptance::{changes_of, is_applied, visit};
use crate::author::{SPACE_NUMBER, applied, keyring, log_key};
use crate::checkpoint::{entry_at, ground, is_grounded};
use crate::document::DocumentId;
use crate::documents::{live_rows, load_stored};
use crate::records::Fault;
use crate::relay_link::LinkFailure;
use crate::roads::{Road, RoadError};
use crate::roster::Roster;
use crate::space::Space;

/// What was found of the logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogCheck {
    /// How many logs there are.
    pub logs: usize,
    /// How many entries were read.
    pub entries: u64,
    /// Entries whose bytes or signature are not right, or that follow nothing: their logs, and how many.
    pub broken: BTreeMap<LogId, u64>,
}

/// What was found of the documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentCheck {
    /// How many there are.
    pub documents: usize,
    /// Those that lack what their entries say, or cannot be read.
    pub lacking: BTreeSet<DocumentId>,
    /// Those that hold what no entry says: made anew they would lose it.
    pub surplus: BTreeSet<DocumentId>,
}

/// What was found of the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCheck {
    /// How many there are.
    pub rows: u64,
    /// How many are missing, others than they should be, or of nobody.
    pub differing: u64,
}

/// Tells how far a check is: so many of so many.
pub(crate) type Tell<'t> = dyn FnMut(u64, u64) + 't;

impl Space {
    /// Verifies the signature of every entry, and that each follows another one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn check_logs(&self, tell: &mut Tell<'_>) -> Result<LogCheck, Fault> {
        let snapshot = self.inner.store.read()?;
        let stored = StoredLog::reading(&snapshot, SPACE_NUMBER);
        let logs: Vec<LogId> = stored.vector()?.logs().collect();
        let mut lengths = 0;
        for log in &logs {
            lengths += stored.tips(log)?.last().map_or(0, |tip| tip.seq);
        }
        let mut found = LogCheck { logs: logs.len(), ..LogCheck::default() };
        for log in &logs {
            let mut before: BTreeSet<EntryName> = BTreeSet::new();
            let (mut names, mut seq) = (BTreeSet::new(), 0);
            let mut broken = 0;
            let ground = ground(&snapshot, log)?;
            visit(&snapshot, log, |entry| {
                if entry.seq() != seq {
                    (before, names, seq) = (std::mem::take(&mut names), BTreeSet::new(), entry.seq());
                }
                names.insert(entry.name());
                let follows = match seq {
                    1 => entry.prev() == EntryName::NONE,
                    // What a checkpoint stands for is not here any more, or never was.
                    _ => before.contains(&entry.prev()) || ground.contains(&Tip { seq: seq - 1, name: entry.prev() }),
                };
                broken += u64::from(!follows || Entry::verify(entry.bytes()).is_err());
                found.entries += 1;
                if found.entries.is_multiple_of(STEP) {
                    tell(found.entries, lengths);
                }
                Ok(())
            })?;
            if broken > 0 {
                found.broken.insert(*log, broken);
            }
        }
        Ok(found)
    }

    /// Compares every document with the entries that count.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn check_documents(&self, tell: &mut Tell<'_>) -> Result<DocumentCheck, Fault> {
        let snapshot = self.inner.store.read()?;
        let mut wanted = changes_in_entries(&snapshot)?;
        // What came with a checkpoint has no entries that would say it.
        let grounded = is_grounded(&snapshot)?;
        let ids = snapshot.document_ids()?;
        let (mut found, all) = (DocumentCheck { documents: ids.len(), ..DocumentCheck::default() }, ids.len() as u64);
        for (done, id) in (1u64..).zip(ids.into_iter().map(DocumentId)) {
            let wanted = wanted.remove(&id).unwrap_or_default();
            let there: Option<BTreeSet<ChangeHash>> = match load_stored(&snapshot, id) {
                Ok(document) => {
                    document.map(|one| one.get_changes_meta(&[]).iter().map(|change| change.hash).collect())
                }
                Err(Fault::Damaged(_)) => None,
                Err(fault) => return Err(fault),
            };
            match there {
                Some(there) if there == wanted || (grounded && there.is_superset(&wanted)) => {}
                Some(there) if !grounded && !there.is_subset(&wanted) => drop(found.surplus.insert(id)),
                _ => drop(found.lacking.insert(id)),
            }
            if done.is_multiple_of(STEP) {
                tell(done, all);
            }
        }
        found.lacking.extend(wanted.into_keys());
        Ok(found)
    }

    /// Compares every row with its document.
    ///
    /// # Errors
    /// When the database cannot be read, or a document ([`Self::check_documents`]).
    pub fn check_rows(&self, tell: &mut Tell<'_>) -> Result<RowCheck, Fault> {
        let snapshot = self.inner.store.read()?;
        let mut found = RowCheck::default();
        let mut right = 0u64;
        let ids = snapshot.document_ids()?;
        let all = ids.len() as u64;
        for (done, id) in (1u64..).zip(ids.into_iter().map(DocumentId)) {
            let Some(document) = load_stored(&snapshot, id)? else { continue };
            for row in live_rows(&*self.inner.projection, id, &document) {
                if snapshot.get(Table::ROWS, &row.key)?.is_some_and(|value| value == row.value) {
                    right += 1;
                } else {
                    found.differing += 1;
                }
            }
            if done.is_multiple_of(STEP) {
                tell(done, all);
            }
        }
        snapshot.visit_keys(Table::ROWS, (Bound::Unbounded, Bound::Unbounded), &mut |_| {
            found.rows += 1;
            ControlFlow::Continue(())
        })?;
        // Those that are there under a right key with another value were counted above.
        found.differing = found.differing.max(found.rows.saturating_sub(right));
        Ok(found)
    }

    /// Makes these documents, and their rows, anew from the entries that count.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn repair_documents(&self, ids: &BTreeSet<DocumentId>) -> Result<(), Fault> {
        let mut transaction = self.inner.store.write()?;
        let (roster, keys) = (Roster::load(&transaction)?, keyring(&transaction)?);
        for id in ids {
            // What cannot be read has no rows that could be told; all rows are made anew afterwards.
            if matches!(load_stored(&transaction, *id), Err(Fault::Damaged(_))) {
                transaction.remove_document(&id.0)?;
            }
        }
        crate::rebuild::some(&mut transaction, &*self.inner.projection, &roster, &keys, ids)?;
        transaction.commit()?;
        self.inner.committed();
        Ok(())
    }

    /// Whether a relay answers, proves itself and knows this device. Nothing is exchanged.
    ///
    /// # Errors
    /// When it does not, in this time.
    pub async fn reach(&self, road: &Road, patience: Duration) -> Result<(), RoadError> {
        let address: RelayAddress = road.address.parse()?;
        let key = self.inner.pseudonym(&road.relay)?;
        let link = tokio::time::timeout(patience, self.inner.dial(&address, &key)).await;
        link.map_err(|_| LinkFailure::TimedOut)??.close().await;
        Ok(())
    }

    /// When this device wrote the last entry of its log, by its own word then, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last_written(&self) -> Result<Option<u64>, Fault> {
        let snapshot = self.inner.store.read()?;
        let Some(log) = log_key(&snapshot)?.map(|key| key.id()) else { return Ok(None) };
        let (roster, keys) = (Roster::load(&snapshot)?, keyring(&snapshot)?);
        let Some(tip) = applied(&snapshot, &log)?.into_iter().max() else { return Ok(None) };
        let last = entry_at(&snapshot, &log, tip)?;
        Ok(last.and_then(|entry| crate::acceptance::opened(&roster, &keys, &entry)).map(|sealed| sealed.time))
    }
}

/// The hashes of all changes that count, by document.
fn changes_in_entries(read: &dyn Read) -> Result<BTreeMap<DocumentId, BTreeSet<ChangeHash>>, Fault> {
    let (roster, keys) = (Roster::load(read)?, keyring(read)?);
    let mut changes: BTreeMap<DocumentId, BTreeSet<ChangeHash>> = BTreeMap::new();
    let logs: Vec<LogId> = StoredLog::reading(read, SPACE_NUMBER).vector()?.logs().collect();
    for log in logs {
        visit(read, &log, |entry| {
            let Some(found) = changes_of(&roster, &keys, entry) else { return Ok(()) };
            if is_applied(read, entry)? {
                for item in found.items {
                    // It was checked when it was first applied.
                    if let Ok(change) = Change::from_bytes(item.chunk.into_vec()) {
                        changes.entry(DocumentId(item.document)).or_default().insert(change.hash());
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(changes)
}

/// Between two words on how far it is.
const STEP: u64 = 500;
