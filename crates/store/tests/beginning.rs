//! A database begins with what its maker puts in, or not at all.

use std::fs;

use ties_store::{OpenError, Read, Sharing, Store, Table};

#[test]
fn what_a_database_begins_with_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let made = Store::create_with(folder.path(), Sharing::Processes, |transaction| {
        transaction.put(Table::SETTINGS, b"name", b"laptop").unwrap();
        Ok::<_, OpenError>(7)
    });
    let (store, seven) = made.unwrap();
    assert_eq!(seven, 7);
    assert_eq!(store.read().unwrap().get(Table::SETTINGS, b"name").unwrap().unwrap(), b"laptop");
}

#[test]
fn a_beginning_that_fails_leaves_no_database_and_may_be_made_again() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Store::is_beginning(folder.path()), "an empty folder");
    let failed = Store::create_with(folder.path(), Sharing::Processes, |transaction| {
        transaction.put(Table::SETTINGS, b"name", b"laptop").unwrap();
        Err::<(), _>(OpenError::Busy)
    });
    assert!(matches!(failed, Err(OpenError::Busy)));
    assert!(!Store::exists(folder.path()) && Store::is_beginning(folder.path()));
    let store = Store::create(folder.path(), Sharing::Processes).unwrap();
    assert!(store.read().unwrap().get(Table::SETTINGS, b"name").unwrap().is_none());
    assert!(!Store::is_beginning(folder.path()));
}

#[test]
fn a_folder_of_something_else_is_no_beginning() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("letter.txt"), b"Dear all").unwrap();
    assert!(!Store::is_beginning(folder.path()));
    assert!(!Store::is_beginning(&folder.path().join("nowhere")));
}
