//! The same of a relay's store: after any crash it opens and holds every entry and statement that was acknowledged,
//! and a batch that was not is there whole or not at all.
//!
//! `TIES_RELAY_CRASHES` says how many times (200 by default).

use std::collections::BTreeMap;

use ties_relay::{Batch, Storage as _};
use ties_sealed_log::{
    AccessStatement, Appended, Entry, EpochId, EpochKey, GET, LogKey, LogOpening, MANAGE, MailboxId, PUT, Payload,
    Position, PseudonymKey, Sealed, Secret, SpaceId, StatementBody,
};
use ties_store::StoreError;
use ties_tests::{CrashingDisk, Dice, new_disk, open};

use crate::{kind, number};

/// Crashes in the life of one relay.
const PER_LIFE: u64 = 20;
const ENOUGH: u64 = 200;

/// What must have happened in two hundred crashes, or they prove too little.
const KINDS: [&str; 7] = [
    "killed between two writes",
    "power lost, every write kept",
    "power lost, writes torn",
    "power lost, all unflushed writes dropped",
    "while it was opened",
    "unacknowledged batch is there whole",
    "unacknowledged batch is not there",
];

#[test]
fn a_relay_holds_every_entry_that_it_acknowledged_after_a_crash_at_any_write() {
    let crashes = number("TIES_RELAY_CRASHES").unwrap_or(ENOUGH);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for life in 0..crashes.div_ceil(PER_LIFE) {
        println!("life {life}");
        let mut host = Host::new(life);
        for _ in 0..PER_LIFE {
            host.crash();
        }
        for (kind, many) in host.counts {
            *counts.entry(kind).or_default() += many;
        }
    }
    println!("{counts:#?}");
    if crashes >= ENOUGH {
        for kind in KINDS {
            assert!(counts.contains_key(kind), "{kind}: never happened");
        }
    }
}

/// A relay's machine, which works from crash to crash.
struct Host {
    dice: Dice,
    disk: CrashingDisk,
    held: Held,
    counts: BTreeMap<&'static str, u64>,
}

/// What a relay was told and what it holds, mailbox by mailbox.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Held(BTreeMap<MailboxId, Mailbox>);

#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Mailbox {
    statements: Vec<Vec<u8>>,
    openings: Vec<Vec<u8>>,
    /// The entries of each log, in order.
    logs: BTreeMap<u8, Vec<Entry>>,
}

impl Host {
    fn new(life: u64) -> Self {
        let dice = Dice::new(life ^ 0x5e1a);
        Self { dice, disk: new_disk(), held: Held::default(), counts: BTreeMap::new() }
    }

    fn crash(&mut self) {
        let bound = [10, 60, 400][self.dice.index(3)];
        self.disk.fail_after(self.dice.below(bound));
        let doubt = self.work();
        let fate = self.dice.range(0..u64::MAX);
        if self.dice.per_mille(300) {
            self.disk.recover();
            self.count("killed between two writes");
        } else {
            let survivors = self.disk.crash(fate);
            self.count(kind(survivors));
        }
        if self.dice.per_mille(300) {
            // The power may fail again while the database recovers from the last time.
            self.disk.fail_after(self.dice.below(12));
            if open(&self.disk).is_err() {
                self.count("while it was opened");
            }
            self.disk.crash(self.dice.range(0..u64::MAX));
        }
        self.check(doubt);
    }

    /// Takes batches until the disk fails, and gives what the failed one would have left.
    fn work(&mut self) -> Option<Held> {
        let Ok(store) = open(&self.disk) else {
            self.count("while it was opened");
            return None;
        };
        loop {
            let mut held = self.held.clone();
            let batch = Batch::begin(&store);
            let written = batch.and_then(|batch| take_in(batch, &mut held, &mut self.dice));
            if let Err(error) = written {
                assert!(self.disk.has_failed(), "a batch fails on a disk that works: {error:?}");
                return Some(held);
            }
            self.held = held;
            self.count("batches acknowledged");
        }
    }

    fn check(&mut self, doubt: Option<Held>) {
        let store = open(&self.disk).unwrap();
        let batch = Batch::begin(&store).unwrap();
        let failing = doubt.as_ref().unwrap_or(&self.held);
        let found =
            Held(failing.0.iter().filter_map(|(id, mailbox)| Some((*id, found(&batch, id, mailbox)?))).collect());
        let after = doubt.filter(|doubt| *doubt != self.held);
        if found == self.held {
            if after.is_some() {
                self.count("unacknowledged batch is not there");
            }
        } else {
            assert_eq!(Some(&found), after.as_ref(), "neither what was acknowledged nor that and the whole last batch");
            self.count("unacknowledged batch is there whole");
            self.held = found;
        }
        for (id, mailbox) in &self.held.0 {
            let bytes = mailbox.logs.values().flatten().map(|entry| entry.bytes().len() as u64).sum::<u64>();
            assert_eq!(batch.bytes(id).unwrap(), bytes, "the mailbox is charged with other bytes than it holds");
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

/// One batch as a relay's: entries of several devices in several mailboxes, at times a new mailbox; committed at once.
fn take_in(mut batch: Batch<'_>, held: &mut Held, dice: &mut Dice) -> Result<(), StoreError> {
    // What the batch would have left is settled before the first write, which may be the one that fails.
    let before = held.clone();
    if held.0.len() < 4 && (held.0.is_empty() || dice.per_mille(150)) {
        let (id, statement) = new_mailbox(dice);
        held.0.entry(id).or_default().statements.push(statement.bytes().to_vec());
        plan(held, dice);
        batch.put_statement(&id, &statement)?;
    } else {
        plan(held, dice);
    }
    for (id, mailbox) in &held.0 {
        let old = before.0.get(id);
        for (number, entries) in &mailbox.logs {
            let known = old.and_then(|old| old.logs.get(number)).map_or(0, Vec::len);
            if known == 0 {
                batch.put_opening(id, &opening(id, *number))?;
            }
            for entry in &entries[known..] {
                assert_eq!(batch.append(id, entry)?, Appended::Extended);
            }
        }
    }
    batch.commit()
}

/// Adds entries to some logs of some mailboxes.
fn plan(held: &mut Held, dice: &mut Dice) {
    for (id, mailbox) in &mut held.0 {
        for _ in 0..dice.below(3) {
            let number = dice.index(3) as u8;
            if !mailbox.logs.contains_key(&number) {
                mailbox.openings.push(opening(id, number).as_bytes().to_vec());
                mailbox.openings.sort();
            }
            let entries = mailbox.logs.entry(number).or_default();
            for _ in 0..=dice.below(4) {
                entries.push(next(id, number, entries.last(), dice));
            }
        }
    }
}

fn new_mailbox(dice: &mut Dice) -> (MailboxId, AccessStatement) {
    let manager = pseudonym(0);
    let mut random = [0; 32];
    random.copy_from_slice(&dice.bytes(32));
    let body = StatementBody {
        version: 1,
        mailbox: None,
        parents: vec![],
        grants: vec![(manager.id(), PUT | GET | MANAGE)],
        recovery: None,
        random,
        signer: manager.id(),
    };
    let statement = AccessStatement::sign(body, &manager);
    let list = ties_sealed_log::AccessList::begin(statement.clone()).expect("a first statement");
    (list.mailbox(), statement)
}

fn pseudonym(number: u8) -> PseudonymKey {
    PseudonymKey::from_secret(&Secret::new([number + 1; 32]))
}

/// Each log of each mailbox has a key of its own.
fn log_key(mailbox: &MailboxId, number: u8) -> LogKey {
    let mut secret = mailbox.0;
    secret[0] = number;
    LogKey::from_secret(&Secret::new(secret))
}

fn opening(mailbox: &MailboxId, number: u8) -> LogOpening {
    LogOpening::new(mailbox, &log_key(mailbox, number), &pseudonym(number))
}

fn next(mailbox: &MailboxId, number: u8, last: Option<&Entry>, dice: &mut Dice) -> Entry {
    let position = last.map_or(Position::FIRST, |last| Position { seq: last.seq() + 1, prev: last.name() });
    let epoch = (&EpochId([2; 32]), &EpochKey::new(Secret::new([3; 32])));
    let content = Sealed::new(&Payload::Beacon, vec![], 0);
    Entry::seal(&log_key(mailbox, number), position, &SpaceId([1; 32]), epoch, &content, &mut dice.generator())
        .expect("a beacon fits")
}

/// What is there of a mailbox of which so much may be; nothing if it is not there at all.
fn found(batch: &Batch<'_>, id: &MailboxId, expected: &Mailbox) -> Option<Mailbox> {
    let statements = batch.statements(id).unwrap();
    let mut openings = batch.openings(id).unwrap();
    openings.sort();
    let logs = expected.logs.keys().filter_map(|number| {
        let entries = batch.after(id, &log_key(id, *number).id(), 0, usize::MAX).unwrap();
        (!entries.is_empty()).then_some((*number, entries))
    });
    let mailbox = Mailbox { statements, openings, logs: logs.collect() };
    (mailbox != Mailbox::default()).then_some(mailbox)
}
