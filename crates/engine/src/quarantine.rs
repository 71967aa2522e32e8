//! What a device wrote that counts no more, and that nobody vouched for: shown, taken in, or put away.

use std::collections::{BTreeMap, BTreeSet};

use automerge::Automerge;
use ties_sealed_log::{Changes, Decision, Dep, DeviceId, LogId, Payload, Tip, actor};
use ties_store::{Read, Table, Transaction};

use crate::absorb::absorb;
use crate::acceptance::{QUARANTINE, is_held, opened, visit, written_in};
use crate::author::{append_naming, keyring};
use crate::document::{DocumentId, apply_change, check_change, is_deleted};
use crate::documents::load_stored;
use crate::lineage::Lineage;
use crate::records::{Fault, parse_place, place_key, put_record, record};
use crate::removal::MemberError;
use crate::roster::Roster;
use crate::space::Space;

/// Of each log, up to where what is held was put away.
const DISCARDED: Table = Table::named("engine/discarded");

/// What is held of one device.
#[derive(Debug, Clone)]
pub struct Quarantined {
    /// Whose it is.
    pub device: DeviceId,
    /// What its owner called it.
    pub name: String,
    /// How many entries.
    pub entries: u64,
    /// The times that it gives the first and the last of them, in milliseconds since 1970.
    pub times: Option<(u64, u64)>,
    /// Whether a member put all of it away.
    pub discarded: bool,
    /// The documents that it would change.
    pub documents: Vec<QuarantinedDocument>,
}

/// A document that entries in quarantine would change.
#[derive(Debug, Clone)]
pub struct QuarantinedDocument {
    /// Which.
    pub id: DocumentId,
    /// As it is; nothing if there is none.
    pub before: Option<Automerge>,
    /// As it would be.
    pub after: Option<Automerge>,
}

impl Space {
    /// What is held in quarantine, by device.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn quarantine(&self) -> Result<Vec<Quarantined>, Fault> {
        let snapshot = self.inner.store.read()?;
        let roster = Roster::load(&snapshot)?;
        let mut held = Vec::new();
        for (device, logs) in held_logs(&snapshot, &roster)? {
            held.push(shown(&snapshot, &roster, device, &logs)?);
        }
        held.sort_by(|a: &Quarantined, b: &Quarantined| (&a.name, a.device).cmp(&(&b.name, b.device)));
        Ok(held)
    }

    /// How many entries are held that nobody put away.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn quarantined(&self) -> Result<u64, Fault> {
        count(&self.inner.store.read()?)
    }

    /// Takes in what is held of a device, for all members: it counts as if they had read it when it was written.
    ///
    /// # Errors
    /// When nothing is held of it.
    pub fn accept(&self, device: &DeviceId) -> Result<(), MemberError> {
        self.settle_quarantine(device, Decision::Accept)
    }

    /// Puts away what is held of a device, for all members. It stays where it is, is not shown any more, and can still be
    /// accepted.
    ///
    /// # Errors
    /// When nothing is held of it.
    pub fn discard(&self, device: &DeviceId) -> Result<(), MemberError> {
        self.settle_quarantine(device, Decision::Discard)
    }

    fn settle_quarantine(&self, device: &DeviceId, decision: Decision) -> Result<(), MemberError> {
        let inner = &self.inner;
        let mut transaction = inner.store.write().map_err(Fault::from)?;
        let roster = Roster::load(&transaction)?;
        let logs = held_logs(&transaction, &roster)?.remove(device).ok_or(MemberError::NoMember)?;
        let mut tips = Vec::new();
        for log in &logs {
            tips.extend(held_tips(&transaction, log)?);
        }
        let payload = Payload::Decision(decision);
        let entry = append_naming(&mut transaction, &mut inner.environment(), &payload, tips)?;
        absorb(&mut transaction, &*inner.projection, vec![entry])?;
        transaction.commit().map_err(Fault::from)?;
        inner.committed();
        Ok(())
    }
}

/// Notes that a member put away what these name.
pub(crate) fn put_away(transaction: &mut Transaction, deps: &[Dep]) -> Result<(), Fault> {
    for dep in deps {
        // Whether it is held is known only once everything of the batch was read.
        let lineage = Lineage::of(transaction, &dep.log)?;
        let mut tips = discarded(transaction, &dep.log)?;
        lineage.raise(&mut tips, Tip { seq: dep.seq, name: dep.name });
        put_record(transaction, DISCARDED, &dep.log.0, &tips)?;
    }
    Ok(())
}

/// How many entries are held that nobody put away.
pub(crate) fn count(read: &dyn Read) -> Result<u64, Fault> {
    let mut count = 0;
    for (place, _) in read.pairs(QUARANTINE, &[])? {
        let (log, at) = parse_place(&place)?;
        count += u64::from(!is_put_away(read, &log, at)?);
    }
    Ok(count)
}

fn discarded(read: &dyn Read, log: &LogId) -> Result<Vec<Tip>, Fault> {
    Ok(record(read, DISCARDED, &log.0, "what was put away")?.unwrap_or_default())
}

fn is_put_away(read: &dyn Read, log: &LogId, at: Tip) -> Result<bool, Fault> {
    let tips = discarded(read, log)?;
    if tips.is_empty() {
        return Ok(false);
    }
    let lineage = Lineage::of(read, log)?;
    Ok(tips.into_iter().any(|tip| lineage.is_below(at, tip)))
}

/// The logs of which something is held, by device.
fn held_logs(read: &dyn Read, roster: &Roster) -> Result<BTreeMap<DeviceId, BTreeSet<LogId>>, Fault> {
    let mut logs: BTreeMap<DeviceId, BTreeSet<LogId>> = BTreeMap::new();
    for (place, _) in read.pairs(QUARANTINE, &[])? {
        let (log, _) = parse_place(&place)?;
        if let Some(device) = roster.claimant(&log) {
            logs.entry(device).or_default().insert(log);
        }
    }
    Ok(logs)
}

/// The last entries that are held of a log, one for each branch.
fn held_tips(read: &dyn Read, log: &LogId) -> Result<Vec<Dep>, Fault> {
    let lineage = Lineage::of(read, log)?;
    let mut tips = Vec::new();
    for (place, _) in read.pairs(QUARANTINE, &log.0)? {
        lineage.raise(&mut tips, parse_place(&place)?.1);
    }
    Ok(tips.into_iter().map(|tip| Dep { log: *log, seq: tip.seq, name: tip.name }).collect())
}

fn shown(read: &dyn Read, roster: &Roster, device: DeviceId, logs: &BTreeSet<LogId>) -> Result<Quarantined, Fault> {
    let keys = keyring(read)?;
    let name = roster.name_of(&device).unwrap_or_default();
    let mut held = Quarantined { device, name, entries: 0, times: None, discarded: true, documents: Vec::new() };
    let mut documents: BTreeMap<DocumentId, Automerge> = BTreeMap::new();
    for log in logs {
        visit(read, log, |entry| {
            let at = Tip { seq: entry.seq(), name: entry.name() };
            if !is_held(read, &place_key(log, at))? {
                return Ok(());
            }
            held.entries += 1;
            held.discarded &= is_put_away(read, log, at)?;
            if let Some(sealed) = opened(roster, &keys, entry) {
                let (first, last) = held.times.unwrap_or((sealed.time, sealed.time));
                held.times = Some((first.min(sealed.time), last.max(sealed.time)));
            }
            match written_in(roster, &keys, entry) {
                Some((log, changes)) => try_on(read, &log, &changes, &mut documents),
                None => Ok(()),
            }
        })?;
    }
    for (id, after) in documents {
        let before = load_stored(read, id)?.filter(|document| !is_deleted(document));
        let after = Some(after).filter(|document| !is_deleted(document) && !document.get_heads().is_empty());
        held.documents.push(QuarantinedDocument { id, before, after });
    }
    Ok(held)
}

/// Applies an entry's changes to copies of their documents, as far as they apply.
fn try_on(
    read: &dyn Read,
    log: &LogId,
    changes: &Changes,
    documents: &mut BTreeMap<DocumentId, Automerge>,
) -> Result<(), Fault> {
    for item in &changes.items {
        let id = DocumentId(item.document);
        let nonce = usize::from(item.nonce).checked_sub(1).and_then(|at| changes.nonces.get(at));
        let Ok(change) = check_change(&item.chunk, nonce.map(|nonce| actor(log, nonce))) else { continue };
        let document = match documents.remove(&id) {
            Some(document) => document,
            None => load_stored(read, id)?.unwrap_or_else(Automerge::new),
        };
        let mut tried = document.clone();
        let kept = if apply_change(&mut tried, change).is_ok() { tried } else { document };
        documents.insert(id, kept);
    }
    Ok(())
}
