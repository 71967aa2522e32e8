//! Documents, rows and tables in snapshots and transactions.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use proptest::prelude::*;
use ties_sealed_log::conformance::Scribe;
use ties_sealed_log::{Appended, Log};
use ties_store::{Pair, Read, Store, Table};

const MARKS: Table = Table::named("test/marks");

fn set(key: &str, value: &str) -> (Vec<u8>, Option<Vec<u8>>) {
    (key.into(), Some(value.into()))
}

#[test]
fn an_entry_its_document_and_its_rows_appear_together_or_not_at_all() {
    let store = Store::in_memory().unwrap();
    let entry = Scribe::new(1).write(None, 0);
    let write = |commit: bool| {
        let mut transaction = store.write().unwrap();
        assert_eq!(transaction.log(0).append(&entry).unwrap(), Appended::Extended);
        transaction.put_document(&[1; 16], b"document").unwrap();
        transaction.put_all(Table::ROWS, vec![set("a", "1"), set("b", "2")]).unwrap();
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

/// So many rows that they go into packs, with values that say whose and how often they were written.
fn many(numbers: impl Iterator<Item = u32>, round: u32) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let value = |n: u32| format!("{n} {round} ").repeat(1 + n as usize % 40).into_bytes();
    numbers.map(|n| (n.to_be_bytes().to_vec(), Some(value(n)))).collect()
}

fn as_pairs(rows: &[(Vec<u8>, Option<Vec<u8>>)]) -> Vec<Pair> {
    rows.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect()
}

#[test]
fn thousands_of_values_come_back_from_their_packs_one_by_one_and_in_order() {
    let store = Store::in_memory().unwrap();
    let rows = many(0..3000, 1);
    let mut transaction = store.write().unwrap();
    transaction.put_all(Table::ROWS, rows.clone()).unwrap();
    assert_eq!(transaction.pairs(Table::ROWS, b"").unwrap(), as_pairs(&rows));
    transaction.commit().unwrap();
    let snapshot = store.read().unwrap();
    assert_eq!(snapshot.pairs(Table::ROWS, b"").unwrap(), as_pairs(&rows));
    let streamed: Vec<Pair> = snapshot.iter(Table::ROWS, b"").unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(streamed, as_pairs(&rows));
    for (key, value) in rows.iter().step_by(7) {
        assert_eq!(snapshot.get(Table::ROWS, key).unwrap(), *value);
    }
}

#[test]
fn what_lay_in_packs_can_be_replaced_and_removed() {
    let store = Store::in_memory().unwrap();
    let mut expected: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
    for (round, changes) in [
        many(0..2000, 1),
        many((0..2000).step_by(3), 2),
        many((1000..4000).step_by(2), 3),
        (500..1500_u32).map(|n| (n.to_be_bytes().to_vec(), None)).collect(),
        many(700..710, 4),
        (0..4000_u32).map(|n| (n.to_be_bytes().to_vec(), None)).collect(),
        many(5..9, 5),
    ]
    .into_iter()
    .enumerate()
    {
        let mut transaction = store.write().unwrap();
        transaction.put_all(Table::ROWS, changes.clone()).unwrap();
        expected.extend(changes);
        let left: Vec<_> = expected.clone().into_iter().collect();
        assert_eq!(transaction.pairs(Table::ROWS, b"").unwrap(), as_pairs(&left), "round {round}");
        transaction.commit().unwrap();
        assert_eq!(store.read().unwrap().pairs(Table::ROWS, b"").unwrap(), as_pairs(&left), "round {round}");
    }
    let mut transaction = store.write().unwrap();
    transaction.remove_all(Table::ROWS, b"").unwrap();
    transaction.put_all(Table::ROWS, many(0..300, 6)).unwrap();
    transaction.remove_all(Table::ROWS, &[0, 0, 1]).unwrap();
    transaction.commit().unwrap();
    assert_eq!(store.read().unwrap().pairs(Table::ROWS, b"").unwrap(), as_pairs(&many(0..256, 6)));
}

#[test]
fn documents_begun_together_go_on_alone() {
    let store = Store::in_memory().unwrap();
    let id = |n: u8| [n; 16];
    let mut transaction = store.write().unwrap();
    let pieces =
        |text: &str| (0..200).map(|n| (id(n), format!("{n} {text}").repeat(9).into_bytes())).collect::<Vec<_>>();
    assert_eq!(transaction.append_to_documents(pieces("one")).unwrap(), vec![1; 200]);
    transaction.commit().unwrap();
    let mut transaction = store.write().unwrap();
    assert_eq!(transaction.append_to_documents(pieces("two")).unwrap(), vec![2; 200]);
    assert_eq!(transaction.append_to_document(&id(7), b"three").unwrap(), 3);
    transaction.put_document(&id(8), b"whole").unwrap();
    transaction.remove_document(&id(9)).unwrap();
    transaction.commit().unwrap();
    let snapshot = store.read().unwrap();
    let whole = |n: usize| [&pieces("one")[n].1[..], &pieces("two")[n].1].concat();
    assert_eq!(snapshot.document(&id(6)).unwrap(), Some(whole(6)));
    assert_eq!(snapshot.document(&id(7)).unwrap(), Some([&whole(7)[..], b"three"].concat()));
    assert_eq!(snapshot.document(&id(8)).unwrap(), Some(b"whole".to_vec()));
    assert_eq!(snapshot.document(&id(9)).unwrap(), None);
    assert!(!snapshot.has_document(&id(9)).unwrap() && snapshot.has_document(&id(10)).unwrap());
    assert_eq!(snapshot.document_ids().unwrap().len(), 199);
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
