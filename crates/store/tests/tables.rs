//! Documents, rows and tables in snapshots and transactions.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use proptest::prelude::*;
use ties_sealed_log::conformance::Scribe;
use ties_sealed_log::{Appended, Log};
use ties_store::{Pair, Read, Store, Table};

const MARKS: Table = Table::named("test/marks");

fn row(key: &str, value: &str) -> Pair {
    (key.into(), value.into())
}

#[test]
fn an_entry_its_document_and_its_rows_appear_together_or_not_at_all() {
    let store = Store::in_memory().unwrap();
    let entry = Scribe::new(1).write(None, 0);
    let write = |commit: bool| {
        let mut transaction = store.write().unwrap();
        assert_eq!(transaction.log(0).append(&entry).unwrap(), Appended::Extended);
        transaction.put_document(&[1; 16], b"document").unwrap();
        transaction.put_rows(&[1; 16], &[row("a", "1"), row("b", "2")]).unwrap();
        transaction.put(Table::SETTINGS, b"name", b"value").unwrap();
        if commit {
            transaction.commit().unwrap();
        }
    };
    let seen = || {
        let snapshot = store.read().unwrap();
        (
            snapshot.log(0).tips(&entry.log()).unwrap().len(),
            snapshot.document(&[1; 16]).unwrap(),
            snapshot.pairs(Table::ROWS, b"").unwrap().len(),
            snapshot.get(Table::SETTINGS, b"name").unwrap(),
        )
    };
    write(false);
    assert_eq!(seen(), (0, None, 0, None));
    write(true);
    assert_eq!(seen(), (1, Some(b"document".to_vec()), 2, Some(b"value".to_vec())));
}

#[test]
fn a_snapshot_stays_what_it_was() {
    let store = Store::in_memory().unwrap();
    let put = |value: &[u8]| {
        let mut transaction = store.write().unwrap();
        transaction.put(MARKS, b"key", value).unwrap();
        transaction.commit().unwrap();
    };
    put(b"one");
    let (before, serial) = (store.read().unwrap(), store.read().unwrap().serial().unwrap());
    put(b"two");
    assert_eq!(before.get(MARKS, b"key").unwrap().unwrap(), b"one");
    assert_eq!(before.serial().unwrap(), serial);
    assert_eq!(store.read().unwrap().get(MARKS, b"key").unwrap().unwrap(), b"two");
    assert_eq!(store.read().unwrap().serial().unwrap(), serial + 1);
}

#[test]
fn a_document_is_its_pieces_in_order() {
    let store = Store::in_memory().unwrap();
    let mut transaction = store.write().unwrap();
    assert_eq!(transaction.document(&[1; 16]).unwrap(), None);
    for n in 0..40_u8 {
        assert_eq!(transaction.append_to_document(&[1; 16], &[n, n]).unwrap(), u32::from(n) + 1);
    }
    transaction.append_to_document(&[2; 16], b"other").unwrap();
    let pieces: Vec<u8> = (0..40).flat_map(|n| [n, n]).collect();
    assert_eq!(transaction.document(&[1; 16]).unwrap(), Some(pieces));
    assert_eq!(transaction.document_ids().unwrap(), [[1; 16], [2; 16]]);
    transaction.put_document(&[1; 16], b"whole").unwrap();
    assert_eq!(transaction.document(&[1; 16]).unwrap(), Some(b"whole".to_vec()));
    assert_eq!(transaction.append_to_document(&[1; 16], b"!").unwrap(), 2);
    transaction.remove_document(&[1; 16]).unwrap();
    assert_eq!(transaction.document_ids().unwrap(), [[2; 16]]);
}

#[test]
fn ids_at_the_end_of_the_key_space_have_documents_too() {
    let store = Store::in_memory().unwrap();
    let mut transaction = store.write().unwrap();
    transaction.append_to_document(&[0xff; 16], b"a").unwrap();
    transaction.append_to_document(&[0xff; 16], b"b").unwrap();
    assert_eq!(transaction.document(&[0xff; 16]).unwrap(), Some(b"ab".to_vec()));
    transaction.remove_document(&[0xff; 16]).unwrap();
    assert_eq!(transaction.document_ids().unwrap(), <[[u8; 16]; 0]>::default());
}

#[test]
fn new_rows_replace_those_of_the_same_document_alone() {
    let store = Store::in_memory().unwrap();
    let mut transaction = store.write().unwrap();
    transaction.put_rows(&[1; 16], &[row("a/1", "x"), row("b/1", "x")]).unwrap();
    transaction.put_rows(&[2; 16], &[row("a/2", "y")]).unwrap();
    transaction.put_rows(&[1; 16], &[row("b/1", "z"), row("c/1", "x")]).unwrap();
    let rows = transaction.pairs(Table::ROWS, b"").unwrap();
    assert_eq!(rows, [row("a/2", "y"), row("b/1", "z"), row("c/1", "x")]);
    transaction.put_rows(&[1; 16], &[]).unwrap();
    assert_eq!(transaction.pairs(Table::ROWS, b"").unwrap(), [row("a/2", "y")]);
    transaction.clear_rows().unwrap();
    assert_eq!(transaction.pairs(Table::ROWS, b"").unwrap(), []);
    transaction.put_rows(&[2; 16], &[row("a/2", "new")]).unwrap();
    assert_eq!(transaction.pairs(Table::ROWS, b"").unwrap(), [row("a/2", "new")]);
}

#[test]
fn a_visitor_may_read_on_and_stop() {
    let store = Store::in_memory().unwrap();
    let mut transaction = store.write().unwrap();
    for n in 0..100_u8 {
        transaction.put(MARKS, &[n], &[n]).unwrap();
    }
    let mut seen = Vec::new();
    let all = (Bound::Unbounded, Bound::Unbounded);
    transaction
        .visit(MARKS, all, &mut |key, value| {
            assert_eq!(transaction.get(MARKS, key).unwrap().unwrap(), value);
            seen.push(key[0]);
            if key[0] == 70 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert!(seen.into_iter().eq(0..=70));
}

#[test]
fn what_was_never_written_is_empty() {
    let store = Store::in_memory().unwrap();
    let snapshot = store.read().unwrap();
    assert_eq!(snapshot.get(MARKS, b"key").unwrap(), None);
    assert_eq!(snapshot.pairs(MARKS, b"").unwrap(), []);
    assert_eq!(snapshot.iter(MARKS, b"").unwrap().count(), 0);
    assert_eq!(snapshot.document_ids().unwrap(), <[[u8; 16]; 0]>::default());
}

#[test]
fn values_of_a_megabyte_come_back() {
    let store = Store::in_memory().unwrap();
    let value: Vec<u8> = (0..1 << 20).map(|n: u32| n.to_le_bytes()[n as usize % 3]).collect();
    let mut transaction = store.write().unwrap();
    transaction.put(MARKS, b"big", &value).unwrap();
    transaction.commit().unwrap();
    assert_eq!(store.read().unwrap().get(MARKS, b"big").unwrap(), Some(value));
}

#[derive(Clone, Debug)]
enum Act {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    RemoveAll(Vec<u8>),
}

fn act() -> impl Strategy<Value = Act> {
    // Few different bytes, so that prefixes meet; 0xff among them, which has no successor.
    let bytes = || prop::collection::vec(prop::sample::select(vec![0_u8, 1, 0xfe, 0xff]), 0..4);
    prop_oneof![
        4 => (bytes(), bytes()).prop_map(|(key, value)| Act::Put(key, value)),
        1 => bytes().prop_map(Act::Remove),
        1 => bytes().prop_map(Act::RemoveAll),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_table_behaves_as_a_sorted_map(acts in prop::collection::vec(act(), 1..80), prefix in prop::collection::vec(any::<u8>(), 0..2)) {
        let store = Store::in_memory().unwrap();
        let mut transaction = store.write().unwrap();
        let mut model = BTreeMap::new();
        for act in acts {
            match act {
                Act::Put(key, value) => {
                    transaction.put(MARKS, &key, &value).unwrap();
                    model.insert(key, value);
                }
                Act::Remove(key) => {
                    prop_assert_eq!(transaction.remove(MARKS, &key).unwrap(), model.remove(&key).is_some());
                }
                Act::RemoveAll(prefix) => {
                    transaction.remove_all(MARKS, &prefix).unwrap();
                    model.retain(|key, _| !key.starts_with(&prefix));
                }
            }
        }
        let expected: Vec<Pair> = model.into_iter().filter(|(key, _)| key.starts_with(&prefix)).collect();
        prop_assert_eq!(&transaction.pairs(MARKS, &prefix).unwrap(), &expected);
        transaction.commit().unwrap();
        let snapshot = store.read().unwrap();
        prop_assert_eq!(&snapshot.pairs(MARKS, &prefix).unwrap(), &expected);
        let streamed: Vec<Pair> = snapshot.iter(MARKS, &prefix).unwrap().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(&streamed, &expected);
    }
}
