//! The same of a relay's store: after any crash it opens and holds every entry, statement, checkpoint and chunk that was
//! acknowledged, has dropped what lies below a checkpoint or has not, and a batch that was not acknowledged is there whole
//! or not at all.
//!
//! `TIES_RELAY_CRASHES` says how many times (200 by default).

use std::collections::BTreeMap;

use ties_relay::{Batch, Storage as _};
use ties_sealed_log::{
    AccessStatement, Appended, ChunkName, Entry, EpochId, EpochKey, GET, LogKey, LogOpening, MANAGE, MailboxId, PUT,
    Payload, Position, PseudonymKey, Sealed, Secret, SpaceId, StatementBody, Tip,
};
use ties_store::StoreError;
use ties_tests::{CrashingDisk, Dice, new_disk, open};

use crate::{kind, number};

/// Crashes in the life of one relay.
const PER_LIFE: u64 = 20;
const ENOUGH: u64 = 200;

/// What must have happened in two hundred crashes, or they prove too little.
const KINDS: [&str; 8] = [
    "killed between two writes",
    "power lost, every write kept",
    "power lost, writes torn",
    "power lost, all unflushed writes dropped",
    "while it was opened",
    "unacknowledged batch is there whole",
    "unacknowledged batch is not there",
    "entries dropped below a checkpoint",
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
    /// The entries of each log, in order, those that were dropped too.
    logs: BTreeMap<u8, Vec<Entry>>,
    /// Up to which entry each log was dropped.
    bases: BTreeMap<u8, Tip>,
    floors: Vec<(bool, Vec<u8>)>,
    chunks: BTreeMap<ChunkName, Vec<u8>>,
}

impl Mailbox {
    /// The entries of a log that are still there.
    fn left(&self, number: u8) -> impl Iterator<Item = &Entry> {
        let base = self.bases.get(&number).map_or(0, |tip| tip.seq);
        self.logs.get(&number).into_iter().flatten().filter(move |entry| entry.seq() > base)
    }

    /// What the mailbox is charged with.
    fn bytes(&self) -> u64 {
        let entries = self.logs.keys().flat_map(|number| self.left(*number)).map(|entry| entry.bytes().len());
        let floors = self.floors.iter().map(|(_, bytes)| bytes.len());
        entries.chain(floors).chain(self.chunks.values().map(Vec::len)).sum::<usize>() as u64
    }
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
            let dropped = |held: &Held| held.0.values().flat_map(|mailbox| mailbox.bases.clone()).collect::<Vec<_>>();
            if dropped(&held) != dropped(&self.held) {
                self.count("entries dropped below a checkpoint");
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
            assert_eq!(
                batch.bytes(id).unwrap(),
                mailbox.bytes(),
                "the mailbox is charged with other bytes than it holds"
            );
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
        take_checkpoint(&mut batch, id, mailbox, old)?;
    }
    batch.commit()
}

/// Writes what a mailbox's checkpoints are now, and drops what lies below them.
fn take_checkpoint(
    batch: &mut Batch<'_>,
    id: &MailboxId,
    mailbox: &Mailbox,
    old: Option<&Mailbox>,
) -> Result<(), StoreError> {
    let none = Mailbox::default();
    let old = old.unwrap_or(&none);
    for (name, chunk) in mailbox.chunks.iter().filter(|(name, _)| !old.chunks.contains_key(*name)) {
        batch.put_chunk(id, name, chunk)?;
    }
    for (number, tip) in mailbox.bases.iter().filter(|(number, tip)| old.bases.get(*number) != Some(*tip)) {
        let freed = batch.rebase(id, &log_key(id, *number).id(), &[*tip])?;
        assert!(freed.is_some_and(|freed| freed.entries > 0), "the log is cut at an entry of its own");
    }
    for name in old.chunks.keys().filter(|name| !mailbox.chunks.contains_key(*name)) {
        batch.remove_chunk(id, name)?;
    }
    if mailbox.floors != old.floors {
        batch.set_floors(id, &mailbox.floors)?;
    }
    Ok(())
}

/// At times a mailbox gets a checkpoint: a record and chunks, of which it keeps those of two; and logs are cut short.
fn plan_checkpoint(mailbox: &mut Mailbox, dice: &mut Dice) {
    if !dice.per_mille(200) {
        return;
    }
    mailbox.floors.push((dice.per_mille(300), dice.bytes(300)));
    if mailbox.floors.len() > 2 {
        mailbox.floors.remove(0);
    }
    let chunk = dice.bytes(2_000);
    if mailbox.chunks.len() > 3 {
        mailbox.chunks.pop_first();
    }
    mailbox.chunks.insert(ChunkName::of(&chunk), chunk);
    for (number, entries) in &mailbox.logs {
        let at = &entries[dice.index(entries.len())];
        let base = mailbox.bases.get(number).map_or(0, |tip| tip.seq);
        if at.seq() > base {
            mailbox.bases.insert(*number, Tip { seq: at.seq(), name: at.name() });
        }
    }
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
        plan_checkpoint(mailbox, dice);
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
    let mut mailbox = Mailbox { statements, openings, floors: batch.floors(id).unwrap(), ..Mailbox::default() };
    for (number, entries) in &expected.logs {
        let log = log_key(id, *number).id();
        let base = batch.base(id, &log).unwrap().pop();
        let dropped = entries.iter().filter(|entry| base.is_some_and(|tip| entry.seq() <= tip.seq)).cloned();
        let found: Vec<Entry> = dropped.chain(batch.after(id, &log, 0, usize::MAX).unwrap()).collect();
        if !found.is_empty() {
            mailbox.logs.insert(*number, found);
        }
        mailbox.bases.extend(base.map(|tip| (*number, tip)));
    }
    for name in batch.chunks(id).unwrap() {
        mailbox.chunks.insert(name, batch.chunk(id, &name).unwrap().expect("a chunk that is listed is there"));
    }
    (mailbox != Mailbox::default()).then_some(mailbox)
}
