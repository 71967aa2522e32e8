//! What was promised to be kept, and by whom it may have been lost.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Automerge, ROOT, ReadDoc};
use ties_engine::DocumentId;
use ties_relay::Storage;
use ties_sealed_log::{Log, MailboxId, Tip, TipRecord, Vector};
use ties_store::{Read, Snapshot, Store};
use ties_tests::{CrashingDisk, Device, World};

use crate::edits::Done;

/// Every write that returned.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) kept: Vec<Promise>,
    /// Whose checkpoints may be found to be wrong.
    pub(crate) liar: Option<String>,
    seeders: BTreeMap<DocumentId, BTreeSet<usize>>,
    writers: BTreeMap<DocumentId, BTreeSet<usize>>,
    note_writers: BTreeMap<DocumentId, BTreeSet<usize>>,
}

/// A write that returned: its last entry, and where it shows in the documents.
#[derive(Debug)]
pub(crate) struct Promise {
    pub(crate) tips: Vec<TipRecord>,
    pub(crate) marks: Vec<(DocumentId, String)>,
}

impl Promise {
    /// Whether all of it is in the documents of a device.
    fn shows(&self, snapshot: &Snapshot) -> bool {
        self.marks.iter().all(|(id, mark)| {
            let stored = snapshot.document(&id.0).unwrap().map(|bytes| Automerge::load(&bytes).unwrap());
            stored.is_some_and(|document| document.get(ROOT, mark).unwrap().is_some())
        })
    }
}

/// Whether a log that begins with these tips may have an entry below them.
pub(crate) fn is_above(base: &[Tip], record: &TipRecord) -> bool {
    base.iter().any(|tip| tip.seq >= record.tip.seq)
}

impl Ledger {
    pub(crate) fn enter(&mut self, device: usize, before: &Vector, after: &Vector, done: Done) {
        let before: BTreeSet<_> = before.records().collect();
        let tips = after.records().filter(|record| !before.contains(record)).collect();
        for id in done.seeded {
            self.seeders.entry(id).or_default().insert(device);
        }
        for (id, _) in &done.marks {
            self.writers.entry(*id).or_default().insert(device);
        }
        for id in done.notes {
            self.note_writers.entry(id).or_default().insert(device);
        }
        self.kept.push(Promise { tips, marks: done.marks });
    }

    /// Strikes out what nobody has any more: a backup was restored, or the relay lost its disk, before it had gone
    /// anywhere else. Gives how many promises that were.
    pub(crate) fn forgive(&mut self, world: &World, mailbox: &MailboxId) -> usize {
        let stores: Vec<_> = world.devices.iter().map(store).collect();
        let snapshots: Vec<_> = stores.iter().map(|store| store.read().unwrap()).collect();
        let has = |promise: &Promise| {
            let whole = |record: &TipRecord| {
                let at_relay = || {
                    world.relay.look(|batch| {
                        batch.names(mailbox, &record.log, record.tip.seq).unwrap().contains(&record.tip.name)
                            || is_above(&batch.base(mailbox, &record.log).unwrap(), record)
                    })
                };
                let has_it = |snapshot: &Snapshot| {
                    let log = snapshot.log(0);
                    log.names(&record.log, record.tip.seq).unwrap().contains(&record.tip.name)
                        // Where it came by a checkpoint, the documents tell.
                        || is_above(&log.base(&record.log).unwrap(), record) && promise.shows(snapshot)
                };
                snapshots.iter().any(has_it) || at_relay()
            };
            promise.tips.iter().all(whole)
        };
        let before = self.kept.len();
        self.kept.retain(has);
        before - self.kept.len()
    }

    /// What several devices had a hand in.
    pub(crate) fn shared(&self) -> [(&'static str, u64); 3] {
        let several = |hands: &BTreeMap<_, BTreeSet<usize>>| hands.values().filter(|who| who.len() > 1).count() as u64;
        [
            ("documents seeded on two devices", several(&self.seeders)),
            ("documents with several writers", several(&self.writers)),
            ("notes with several writers", several(&self.note_writers)),
        ]
    }
}

/// What a device's disk holds for certain, whether or not its program runs.
pub(crate) fn store(device: &Device) -> Store {
    ties_tests::open(&CrashingDisk::of(device.disk.image())).unwrap()
}
