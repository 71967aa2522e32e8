//! Whose a change is: from the actor that made it back to the device.
//!
//! An actor is a hash of a log and a session's nonce, so nobody can forge one; and nobody can read the log from it. What
//! is looked for is found in the entries, the newest first: somebody asks about what was merged lately.

use std::collections::{BTreeMap, BTreeSet};

use ties_sealed_log::{Entry, Log, LogId, actor};
use ties_store::{Read, StoredLog};

use crate::acceptance::written_in;
use crate::author::{SPACE_NUMBER, keyring};
use crate::records::Fault;
use crate::roster::Roster;
use crate::secrets::device_keys;
use crate::space::Space;

/// Who wrote a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// What its device is called, or was.
    pub device: String,
    /// Whether it is this one.
    pub this: bool,
}

impl Space {
    /// The devices behind Automerge actors. Actors that no device has (those of seed changes) are left out; so are those
    /// of a device that was never admitted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn writers(&self, wanted: impl IntoIterator<Item = Vec<u8>>) -> Result<BTreeMap<Vec<u8>, Writer>, Fault> {
        let mut wanted: BTreeSet<Vec<u8>> = wanted.into_iter().collect();
        let mut found = BTreeMap::new();
        if wanted.is_empty() {
            return Ok(found);
        }
        let snapshot = self.inner.store.read()?;
        let mut roster = Roster::load(&snapshot)?;
        let this = device_keys(&snapshot)?.map(|keys| keys.id());
        for (actor, log) in logs_of(&snapshot, &roster, &mut wanted)? {
            let Some(device) = roster.author(&log) else { continue };
            let name = roster.name_of(&device).unwrap_or_default();
            found.insert(actor, Writer { device: name, this: this == Some(device) });
        }
        Ok(found)
    }
}

/// Goes through all logs from their ends, window by window side by side, until every actor is found.
fn logs_of(read: &dyn Read, roster: &Roster, wanted: &mut BTreeSet<Vec<u8>>) -> Result<Vec<(Vec<u8>, LogId)>, Fault> {
    let mut found = Vec::new();
    let keys = keyring(read)?;
    let stored = StoredLog::reading(read, SPACE_NUMBER);
    let mut ends: Vec<(LogId, u64)> = Vec::new();
    for log in stored.vector()?.logs() {
        let last = stored.tips(&log)?.last().map_or(0, |tip| tip.seq);
        ends.push((log, last));
    }
    while !wanted.is_empty() && !ends.is_empty() {
        for (log, end) in &mut ends {
            let begin = end.saturating_sub(WINDOW);
            let mut from = begin;
            while from < *end && !wanted.is_empty() {
                let part = stored.after(log, from, PART)?;
                let Some(last) = part.last().map(Entry::seq) else { break };
                for entry in part.iter().filter(|entry| entry.seq() <= *end) {
                    let Some((log, changes)) = written_in(roster, &keys, entry) else { continue };
                    for nonce in changes.nonces {
                        let actor = actor(&log, &nonce).to_vec();
                        if wanted.remove(&actor) {
                            found.push((actor, log));
                        }
                    }
                }
                from = last;
            }
            *end = begin;
        }
        ends.retain(|(_, end)| *end > 0);
    }
    Ok(found)
}

/// Entries of a log that are looked at before the next log is.
const WINDOW: u64 = 256;
/// About how many bytes of entries are in memory at once.
const PART: usize = 1 << 20;
