//! A year of three devices that write a little every day, and what is left of it at the relay.

use automerge::ROOT;
use automerge::transaction::Transactable;
use ties_engine::{DocumentId, EditError};
use ties_relay::Storage;
use ties_sealed_log::{Log, LogId, Tip};
use ties_tests::Counts;

use crate::checks::check;
use crate::fleet::{A_WHILE, Fleet};
use crate::ledger::store;

const DAY: u64 = 24 * 60 * 60 * 1000;
const EDITS_A_DAY: u64 = 20;
const RECORDS: u64 = 60;

/// So many days; a device makes a checkpoint `after` so many entries, if that is not left to the engine.
pub(crate) fn live(days: u64, after: Option<u64>) -> Counts {
    let mut fleet = Fleet::of(days, 3, after);
    let mut edits = 0;
    for day in 0..days {
        for _ in 0..EDITS_A_DAY {
            let (number, record) = (fleet.world.dice.index(3), fleet.world.dice.below(RECORDS));
            let key = ["name/full", "emails/a/label", "keywords/rust", "met"][fleet.world.dice.index(4)];
            edits += 1;
            let value = format!("what is known of it on day {day}, the edit {edits}");
            let id = DocumentId([1 + record as u8; 16]);
            let written = fleet
                .world
                .write(number, |edit, _| edit.change(id, |tx| tx.put(ROOT, key, value).map_err(EditError::from)));
            assert!(written.is_some());
            let pause = fleet.world.dice.range(1..2 * DAY / EDITS_A_DAY);
            fleet.world.run(pause);
        }
        if day % 5 == 0 {
            fleet.write((day % 3) as usize);
        }
    }
    fleet.world.run(A_WHILE);
    let held = Held::of(&fleet);
    println!("{days} days, {edits} edits: {held:?}");
    assert!(fleet.cut_short_at_relay() > 0, "nothing was ever dropped");
    assert!(held.relay <= 2 * (held.checkpoint + held.tail), "{held:?}");
    fleet.world.counts.add_many("edits of a year", edits);
    fleet.join();
    check(fleet.world, &fleet.ledger)
}

/// Bytes.
#[derive(Debug)]
#[allow(dead_code, reason = "it is printed")]
struct Held {
    /// Entries and checkpoints at the relay.
    relay: u64,
    /// The newest checkpoint with two signatures.
    checkpoint: u64,
    /// The entries above the one before.
    tail: u64,
    /// The devices' database files.
    databases: Vec<usize>,
    /// How many entries each device still has.
    entries: Vec<usize>,
}

impl Held {
    fn of(fleet: &Fleet) -> Self {
        let mailbox = fleet.world.mailbox();
        let kept: Vec<_> = fleet.kept().into_iter().filter(|floor| floor.cosigner().is_some()).collect();
        let [older, newest] = &kept[..] else { panic!("{} checkpoints with two signatures", kept.len()) };
        let relay = fleet.world.relay.look(|batch| batch.bytes(&mailbox).unwrap());
        let above = |log: &LogId| older.cut_of(log).iter().map(|Tip { seq, .. }| *seq).max().unwrap_or(0);
        let (mut tail, mut entries) = (0, Vec::new());
        for (number, device) in fleet.world.devices.iter().enumerate() {
            let store = store(device);
            let snapshot = store.read().unwrap();
            let stored = snapshot.log(0);
            let logs: Vec<LogId> = stored.vector().unwrap().logs().collect();
            entries.push(logs.iter().map(|log| stored.after(log, 0, usize::MAX).unwrap().len()).sum());
            if number == 0 {
                let bytes = |log: &LogId| -> usize {
                    stored.after(log, above(log), usize::MAX).unwrap().iter().map(|entry| entry.bytes().len()).sum()
                };
                tail = logs.iter().map(bytes).sum::<usize>() as u64;
            }
        }
        let databases = fleet.world.devices.iter().map(|device| device.disk.image().len()).collect();
        Self { relay, checkpoint: newest.size(), tail, databases, entries }
    }
}
