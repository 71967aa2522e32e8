//! How every story must end.

use std::collections::{BTreeMap, BTreeSet};

use automerge::transaction::Transactable;
use automerge::{Automerge, ChangeHash, ROOT, ReadDoc, Value};
use ties_engine::{CheckpointStanding, DocumentId, EditError, Space};
use ties_relay::Storage;
use ties_sealed_log::{Log, LogId, Tip, TipRecord, Vector};
use ties_store::{Pair, Read, Table};
use ties_tests::{Counts, Device, World, print};

use crate::ledger::{Ledger, is_above, store};

/// Virtual time within which everybody must have finished once all trouble has ended.
pub(crate) const SOON: u64 = 3_600_000;

/// Within so many rounds of writing and meeting everybody must have been told of everything.
const ROUNDS: u64 = 6;

/// What makes two of one device.
const SPLIT: [&str; 4] = ["device rollbacks", "devices restored elsewhere", "folders copied", "machines cloned"];

/// Ends all trouble and looks at what is left; gives what happened.
pub(crate) fn check(mut world: World, ledger: &Ledger) -> Counts {
    assert!(world.settle(SOON), "somebody never finishes");
    if SPLIT.iter().any(|what| world.counts.0.contains_key(what)) {
        check_logs(&mut world);
    }
    world.write_notes();
    let first = Contents::of(&world.devices[0]);
    for (number, device) in world.devices.iter().enumerate() {
        assert!(device.is_settled(), "device {number} is not settled");
        check_status(number, device.space.as_ref().unwrap(), ledger);
        let contents = Contents::of(device);
        contents.assert_equals(&first, number);
        check_promises(number, device, &contents, ledger);
    }
    let at_relay = first.without_lost_branches(&world.relay.vector(&world.mailbox()));
    assert_eq!(at_relay, first.without_lost_branches(&first.vector), "the relay has other entries");
    check_rebuilding(&mut world, &first, ledger);
    count(&mut world, &first, ledger);
    count_floors(&mut world);
    world.counts
}

/// Everybody is told once what there is to tell; and whoever has heard from all others writes a log of its own.
fn check_logs(world: &mut World) {
    for round in 0..ROUNDS {
        for number in 0..world.devices.len() {
            world.tell(number);
            assert_eq!(world.tell(number), None, "device {number} tells more than once");
            let written = world.write(number, |edit, _| {
                let key = format!("mark/last/{number}");
                edit.change(DocumentId([1; 16]), |tx| tx.put(ROOT, key, round).map_err(EditError::from))
            });
            assert!(written.is_some(), "device {number} does not write");
        }
        assert!(world.settle(SOON), "somebody never finishes");
        // A copy that hears only now that it was one parts from its log, and that is news to the others.
        let quiet = |device: &Device| device.space.as_ref().unwrap().log_news().unwrap().is_none();
        if round > 0 && world.devices.iter().all(quiet) {
            break;
        }
    }
    let mut present = BTreeSet::new();
    for (number, device) in world.devices.iter().enumerate() {
        let space = device.space.as_ref().unwrap();
        let logs: Vec<_> = space.incarnations().unwrap().into_values().flatten().collect();
        let present_here: Vec<_> = logs.iter().filter(|one| one.present).map(|one| one.log).collect();
        assert_eq!(present_here.len(), 1, "device {number}");
        assert!(present.insert(present_here[0]), "device {number} writes the log of another");
        world.counts.add_many("logs", logs.len() as u64);
        assert_eq!(space.log_news().unwrap(), None, "device {number} tells what it told already");
    }
}

fn check_status(number: usize, space: &Space, ledger: &Ledger) {
    let status = space.status().unwrap();
    assert_eq!(status.waiting, [], "entries wait at device {number}");
    assert_eq!(status.bad, 0, "entries were refused at device {number}");
    for checkpoint in &status.checkpoints {
        let accused = checkpoint.standing == CheckpointStanding::Differs && checkpoint.maker != ledger.liar;
        assert!(!accused, "device {number} accuses {:?}", checkpoint.maker);
    }
    for road in &status.roads {
        assert_eq!(road.to_send, 0, "device {number} thinks that the relay lacks something");
        assert_eq!(road.error, None);
    }
}

fn check_promises(number: usize, device: &Device, contents: &Contents, ledger: &Ledger) {
    let store = store(device);
    let snapshot = store.read().unwrap();
    let log = snapshot.log(0);
    for promise in &ledger.kept {
        for record in &promise.tips {
            let here = log.names(&record.log, record.tip.seq).unwrap().contains(&record.tip.name)
                || is_above(&log.base(&record.log).unwrap(), record);
            assert!(here, "device {number} lacks an acknowledged entry: {record:?}");
        }
        for (id, mark) in &promise.marks {
            let document = contents.documents.get(id).unwrap_or_else(|| panic!("device {number} lacks {id}"));
            assert!(document.text.contains(&format!("{mark} = ")), "device {number} lacks {mark} of {id}");
        }
    }
}

/// Documents follow from entries, and rows from documents, on whichever device.
fn check_rebuilding(world: &mut World, before: &Contents, ledger: &Ledger) {
    let number = world.dice.index(world.devices.len());
    let device = &world.devices[number];
    let space = device.space.as_ref().unwrap();
    space.rebuild_documents().unwrap();
    let after = Contents::of(device);
    for (id, document) in &before.documents {
        assert_eq!(after.documents[id].heads, document.heads, "{id}, made anew on device {number}");
        assert_eq!(after.documents[id].text, document.text, "{id}, made anew on device {number}");
    }
    assert_eq!(after.documents.len(), before.documents.len());
    assert_eq!(after.rows, before.rows, "rows made anew on device {number}");
    check_status(number, space, ledger);
    space.rebuild_rows().unwrap();
    assert_eq!(Contents::of(device).rows, before.rows, "rows made anew on device {number}");
}

fn count(world: &mut World, contents: &Contents, ledger: &Ledger) {
    let conflicts = contents.documents.values().map(|document| document.conflicts).sum();
    world.counts.add_many("conflicts", conflicts);
    world.counts.add_many("documents", contents.documents.len() as u64);
    world.counts.add_many("entries", contents.vector.records().map(|record| record.tip.seq).sum());
    let forked = contents.vector.logs().filter(|log| contents.vector.tips(log).count() > 1).count();
    world.counts.add_many("forked logs", forked as u64);
    for (what, many) in ledger.shared() {
        world.counts.add_many(what, many);
    }
    world.counts.0.retain(|_, many| *many > 0);
}

fn count_floors(world: &mut World) {
    let mailbox = world.mailbox();
    let cut_short = world.relay.look(|batch| {
        let vector = batch.vector(&mailbox).unwrap();
        vector.logs().filter(|log| !batch.base(&mailbox, log).unwrap().is_empty()).count()
    });
    world.counts.add_many("logs that the relay cut short", cut_short as u64);
    for device in &world.devices {
        for checkpoint in device.space.as_ref().unwrap().checkpoints().unwrap() {
            let what = match checkpoint.standing {
                CheckpointStanding::Started => "checkpoints begun with, of two",
                CheckpointStanding::Unverified => "checkpoints begun with, of one",
                CheckpointStanding::Same if checkpoint.second.is_some() => "checkpoints made by two",
                CheckpointStanding::Same => "checkpoints made by one",
                CheckpointStanding::Unchecked | CheckpointStanding::Differs => continue,
            };
            world.counts.add(what);
        }
    }
    world.counts.0.retain(|_, many| *many > 0);
}

/// Everything a device's disk holds that must be the same on all of them.
pub(crate) struct Contents {
    vector: Vector,
    /// Where each log begins.
    bases: BTreeMap<LogId, Vec<Tip>>,
    documents: BTreeMap<DocumentId, Document>,
    rows: Vec<Pair>,
}

struct Document {
    heads: Vec<ChangeHash>,
    /// All that can be read in it, conflicting values too.
    text: String,
    conflicts: u64,
}

impl Contents {
    pub(crate) fn of(device: &Device) -> Self {
        let store = store(device);
        let snapshot = store.read().unwrap();
        let mut documents = BTreeMap::new();
        for id in snapshot.document_ids().unwrap() {
            let stored = Automerge::load(&snapshot.document(&id).unwrap().unwrap()).unwrap();
            documents.insert(DocumentId(id), Document::of(&stored));
        }
        let rows = snapshot.pairs(Table::ROWS, b"").unwrap();
        let log = snapshot.log(0);
        let vector = log.vector().unwrap();
        let bases = vector.logs().map(|id| (id, log.base(&id).unwrap())).collect();
        Self { vector, bases, documents, rows }
    }

    /// Tips without those of branches that left a log below where it begins here: nobody sees them who begins there, and what
    /// they say comes with a checkpoint.
    fn without_lost_branches(&self, vector: &Vector) -> Vector {
        let is_lost = |record: &TipRecord| {
            let base = self.bases.get(&record.log).map_or(&[][..], Vec::as_slice);
            base.iter().any(|tip| record.tip.seq <= tip.seq) && !base.contains(&record.tip)
        };
        vector.records().filter(|record| !is_lost(record)).collect()
    }

    /// A device has the same as another.
    pub(crate) fn assert_equals(&self, first: &Self, number: usize) {
        let vectors = [&self.vector, &first.vector];
        let [own, theirs] = vectors.map(|one| self.without_lost_branches(&first.without_lost_branches(one)));
        assert_eq!(own, theirs, "device {number} has other entries");
        assert_eq!(self.documents.keys().collect::<Vec<_>>(), first.documents.keys().collect::<Vec<_>>());
        for (id, document) in &self.documents {
            assert_eq!(document.heads, first.documents[id].heads, "device {number}, {id}");
            assert_eq!(document.text, first.documents[id].text, "device {number}, {id}");
        }
        assert_eq!(self.rows, first.rows, "device {number} has other rows");
    }

    /// Whether a mark stands in a document.
    pub(crate) fn shows(&self, id: &DocumentId, mark: &str) -> bool {
        self.documents.get(id).is_some_and(|document| document.text.contains(&format!("{mark} = ")))
    }
}

impl Document {
    fn of(stored: &Automerge) -> Self {
        let mut heads = stored.get_heads();
        heads.sort();
        let (mut text, mut conflicts) = (String::new(), 0);
        for key in stored.keys(ROOT) {
            let values = stored.get_all(ROOT, &key).unwrap();
            conflicts += u64::from(values.len() > 1);
            for (value, object) in values {
                let value = match value {
                    Value::Scalar(scalar) => print(&scalar),
                    Value::Object(_) => stored.text(object).unwrap(),
                };
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        Self { heads, text, conflicts }
    }
}
