//! One suite for every storage that a relay can stand on.

mod common;

use std::time::Duration;

use common::{ALL, Device, first_statement, key};
use ties_relay::{Batch, InviteToken, MemoryStorage, Storage, TokenRecord};
use ties_sealed_log::{Appended, ChunkName, GET, LogOpening, MailboxId, PUT, Tip};
use ties_store::Store;

#[expect(clippy::unwrap_used, reason = "a test")]
fn holds<S: Storage>(storage: &mut S) {
    let first = first_statement(&key(1), &[(key(2).id(), PUT | GET)]);
    let mut device = Device::new(1, &first);
    let (here, elsewhere) = (device.mailbox(), MailboxId([9; 32]));
    let log = device.log_key.id();

    assert!(storage.statements(&here).unwrap().is_empty());
    assert!(storage.openings(&here).unwrap().is_empty());
    assert!(storage.vector(&here).unwrap().is_empty());
    assert_eq!(storage.bytes(&here).unwrap(), 0);
    assert_eq!(storage.tips(&here, &log).unwrap(), []);
    assert_eq!(storage.forked_at(&here, &log).unwrap(), None);

    let second = device.grant(key(3).id(), ALL);
    storage.put_statement(&here, &first).unwrap();
    storage.put_statement(&here, &second).unwrap();
    storage.put_statement(&here, &second).unwrap();
    let mut statements = storage.statements(&here).unwrap();
    statements.sort();
    let mut expected = vec![first.bytes().to_vec(), second.bytes().to_vec()];
    expected.sort();
    assert_eq!(statements, expected);

    let opening = LogOpening::new(&here, &device.log_key, &device.key);
    storage.put_opening(&here, &opening).unwrap();
    assert_eq!(storage.openings(&here).unwrap(), [opening.as_bytes()]);

    let entries: Vec<_> = (0..3).map(|_| device.write()).collect();
    assert_eq!(storage.append(&here, &entries[1]).unwrap(), Appended::Gap);
    for entry in &entries {
        assert_eq!(storage.append(&here, entry).unwrap(), Appended::Extended);
    }
    assert_eq!(storage.append(&here, &entries[1]).unwrap(), Appended::Known);
    let tip = Tip { seq: 3, name: entries[2].name() };
    assert_eq!(storage.tips(&here, &log).unwrap(), [tip]);
    assert_eq!(storage.vector(&here).unwrap(), device.vector());
    assert_eq!(storage.names(&here, &log, 2).unwrap(), [entries[1].name()]);
    assert_eq!(storage.after(&here, &log, 1, usize::MAX).unwrap(), entries[1..]);
    assert_eq!(storage.after(&here, &log, 0, 1).unwrap(), entries[..1]);
    assert_eq!(storage.bytes(&here).unwrap(), entries.iter().map(|entry| entry.bytes().len() as u64).sum());

    assert!(storage.vector(&elsewhere).unwrap().is_empty());
    assert_eq!(storage.append(&elsewhere, &entries[0]).unwrap(), Appended::Extended);
    assert_eq!(storage.vector(&elsewhere).unwrap().records().count(), 1);
    assert_eq!(storage.tips(&here, &log).unwrap(), [tip]);

    let (one, two) = (key(1).id(), key(2).id());
    storage.set_member(&here, &one, true).unwrap();
    storage.set_member(&elsewhere, &one, true).unwrap();
    storage.set_member(&here, &two, true).unwrap();
    let mut both = vec![here, elsewhere];
    both.sort();
    assert_eq!(storage.mailboxes_of(&one).unwrap(), both);
    storage.set_member(&here, &one, false).unwrap();
    storage.set_member(&here, &one, false).unwrap();
    assert_eq!(storage.mailboxes_of(&one).unwrap(), [elsewhere]);
    assert_eq!(storage.mailboxes_of(&two).unwrap(), [here]);

    let token = InviteToken::from_bytes([1; 16]).hash();
    let seconds = Duration::from_secs;
    let record = TokenRecord {
        quota: Some(5 << 20),
        label: "the sailing club".to_owned(),
        ..TokenRecord::new(3, seconds(1_790_000_000), seconds(1_800_000_000))
    };
    assert_eq!(storage.token(&token).unwrap(), None);
    storage.put_token(&token, &record).unwrap();
    storage.hold().unwrap();
    assert_eq!(storage.token(&token).unwrap(), Some(record));

    let bytes = storage.bytes(&here).unwrap();
    assert_eq!(storage.base(&here, &log).unwrap(), []);
    let cut = Tip { seq: 2, name: entries[1].name() };
    assert_eq!(storage.rebase(&here, &log, &[Tip { seq: 2, name: entries[2].name() }]).unwrap(), None);
    let freed = storage.rebase(&here, &log, &[cut]).unwrap().unwrap();
    assert_eq!((freed.entries, storage.bytes(&here).unwrap()), (2, bytes - freed.bytes));
    assert_eq!(storage.base(&here, &log).unwrap(), [cut]);
    assert_eq!(storage.after(&here, &log, 0, usize::MAX).unwrap(), entries[2..]);
    assert_eq!(storage.append(&here, &entries[0]).unwrap(), Appended::Below);

    let bytes = storage.bytes(&here).unwrap();
    let chunks = [b"a chunk".to_vec(), b"another chunk".to_vec()];
    let names = chunks.each_ref().map(|chunk| ChunkName::of(chunk));
    assert_eq!(storage.chunks(&here).unwrap(), []);
    assert_eq!(storage.chunk(&here, &names[0]).unwrap(), None);
    for (name, chunk) in names.iter().zip(&chunks) {
        storage.put_chunk(&here, name, chunk).unwrap();
        assert_eq!(storage.chunk(&here, name).unwrap().as_ref(), Some(chunk));
    }
    let mut sorted = names.to_vec();
    sorted.sort();
    assert_eq!(storage.chunks(&here).unwrap(), sorted);
    assert_eq!(storage.chunks(&elsewhere).unwrap(), []);
    let floors = [(false, b"an older floor".to_vec()), (false, b"a floor".to_vec()), (true, b"a third".to_vec())];
    assert_eq!(storage.floors(&here).unwrap(), []);
    storage.set_floors(&here, &floors).unwrap();
    assert_eq!(storage.floors(&here).unwrap(), floors);
    assert_eq!(storage.bytes(&here).unwrap(), bytes + 7 + 13 + 14 + 7 + 7);
    storage.set_floors(&here, &floors[1..2]).unwrap();
    storage.remove_chunk(&here, &names[1]).unwrap();
    storage.remove_chunk(&here, &names[1]).unwrap();
    assert_eq!(storage.floors(&here).unwrap(), floors[1..2]);
    assert_eq!(storage.bytes(&here).unwrap(), bytes + 7 + 7);

    assert_eq!(storage.quota(&here).unwrap(), None);
    storage.set_quota(&here, 7 << 30).unwrap();
    assert_eq!((storage.quota(&here).unwrap(), storage.quota(&elsewhere).unwrap()), (Some(7 << 30), None));
    assert_eq!(storage.made_by(&one).unwrap(), 0);
    storage.set_made_by(&one, 5).unwrap();
    assert_eq!((storage.made_by(&one).unwrap(), storage.made_by(&two).unwrap()), (5, 0));
}

#[test]
fn memory_is_a_storage() {
    holds(&mut MemoryStorage::default());
}

#[test]
fn the_database_is_a_storage() {
    let store = Store::in_memory().unwrap();
    holds(&mut Batch::begin(&store).unwrap());
    holds(&mut Batch::begin(&store).unwrap());
}

#[test]
fn what_was_committed_is_there_in_the_next_batch() {
    let store = Store::in_memory().unwrap();
    let first = first_statement(&key(1), &[]);
    let mut device = Device::new(1, &first);
    for round in 1..=3 {
        let entry = device.write();
        let mut batch = Batch::begin(&store).unwrap();
        if round == 1 {
            batch.put_statement(&device.mailbox(), &first).unwrap();
        }
        batch.append(&device.mailbox(), &entry).unwrap();
        batch.commit().unwrap();
        let batch = Batch::begin(&store).unwrap();
        assert_eq!(batch.vector(&device.mailbox()).unwrap(), device.vector());
        assert_eq!(batch.bytes(&device.mailbox()).unwrap(), round * entry.bytes().len() as u64);
        assert_eq!(batch.statements(&device.mailbox()).unwrap(), [first.bytes()]);
    }
}

#[test]
fn a_store_keeps_its_name() {
    let store = Store::in_memory().unwrap();
    let mut batch = Batch::begin(&store).unwrap();
    assert_eq!(batch.name([1; 16]).unwrap(), [1; 16]);
    batch.commit().unwrap();
    assert_eq!(Batch::begin(&store).unwrap().name([2; 16]).unwrap(), [1; 16]);
}
