//! The suite that every log must pass, on the logs of a store.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use ties_sealed_log::conformance::{Scribe, cases, check, pruning_cases};
use ties_sealed_log::{Appended, Entry, EntryName, Log, LogId, Prune, Tip, Vector};
use ties_store::{Store, StoreError, StoredLog};

/// A log that commits each entry and reads snapshots.
struct Committing {
    store: Store,
    space: u32,
}

impl Committing {
    fn new() -> Self {
        Self { store: Store::in_memory().unwrap(), space: 0 }
    }
}

impl Log for Committing {
    type Error = StoreError;

    fn vector(&self) -> Result<Vector, StoreError> {
        self.store.read()?.log(self.space).vector()
    }

    fn tips(&self, log: &LogId) -> Result<Vec<Tip>, StoreError> {
        self.store.read()?.log(self.space).tips(log)
    }

    fn names(&self, log: &LogId, seq: u64) -> Result<Vec<EntryName>, StoreError> {
        self.store.read()?.log(self.space).names(log, seq)
    }

    fn after(&self, log: &LogId, seq: u64, budget: usize) -> Result<Vec<Entry>, StoreError> {
        self.store.read()?.log(self.space).after(log, seq, budget)
    }

    fn base(&self, log: &LogId) -> Result<Vec<Tip>, StoreError> {
        self.store.read()?.log(self.space).base(log)
    }

    fn forked_at(&self, log: &LogId) -> Result<Option<u64>, StoreError> {
        self.store.read()?.log(self.space).forked_at(log)
    }

    fn append(&mut self, entry: &Entry) -> Result<Appended, StoreError> {
        let mut transaction = self.store.write()?;
        let appended = transaction.log(self.space).append(entry)?;
        transaction.commit()?;
        Ok(appended)
    }
}

#[test]
fn a_log_inside_one_transaction_conforms() {
    for number in 0..cases::<StoredLog<'_>>().len() {
        let store = Store::in_memory().unwrap();
        let mut transaction = store.write().unwrap();
        let mut log = transaction.log(0);
        let (name, case) = cases()[number];
        println!("conformance: {name}");
        case(&mut log);
    }
}

#[test]
fn a_log_that_is_cut_short_conforms() {
    for number in 0..pruning_cases::<StoredLog<'_>>().len() {
        let store = Store::in_memory().unwrap();
        let mut transaction = store.write().unwrap();
        let (name, case) = pruning_cases()[number];
        println!("conformance: {name}");
        case(&mut transaction.log(0));
    }
}

#[test]
fn a_log_committed_after_every_entry_conforms() {
    check(Committing::new);
}

#[test]
fn a_log_between_those_of_other_mailboxes_conforms() {
    check(|| {
        let mut log = Committing::new();
        // The suite's own logs, known in the mailboxes before and after.
        for (space, seeds) in [(6, 1..10), (8, 20..24)] {
            log.space = space;
            for entry in seeds.flat_map(|seed| Scribe::new(seed).chain(None, 3)) {
                assert_eq!(log.append(&entry).unwrap(), Appended::Extended);
            }
        }
        log.space = 7;
        log
    });
}

#[test]
fn a_cleared_mailbox_is_empty_and_the_others_are_not() {
    let mut log = Committing::new();
    let chain = Scribe::new(1).chain(None, 3);
    for space in [1, 2] {
        log.space = space;
        chain.iter().for_each(|entry| assert_eq!(log.append(entry).unwrap(), Appended::Extended));
    }
    let mut transaction = log.store.write().unwrap();
    let (id, cut) = (chain[0].log(), Tip { seq: 2, name: chain[1].name() });
    transaction.log(1).rebase(&id, &[cut], &mut |_| true).unwrap();
    transaction.log(1).clear().unwrap();
    transaction.commit().unwrap();
    let after = |space| log.store.read().unwrap().log(space).after(&chain[0].log(), 0, usize::MAX).unwrap();
    assert_eq!(after(1), []);
    assert_eq!(after(2), chain);
    assert!(log.store.read().unwrap().log(1).vector().unwrap().is_empty());
    log.space = 1;
    assert_eq!(log.append(&chain[0]).unwrap(), Appended::Extended, "it begins anew");
}

#[test]
fn a_snapshot_takes_no_entries() {
    let store = Store::in_memory().unwrap();
    let entry = Scribe::new(1).write(None, 0);
    let snapshot = store.read().unwrap();
    assert!(matches!(snapshot.log(0).append(&entry), Err(StoreError::ReadOnly)));
}
