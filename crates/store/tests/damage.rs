//! Wrong keys, missing and damaged files, and disks that give back other bytes than they got.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use redb::backends::FileBackend;
use redb::{Database, TableDefinition};
use support::{Disk, History, below, key, read_everything};
use ties_store::{Encrypted, OpenError, Read, Sharing, Store, StoreError, Table};

/// A folder with a store in it, and what was in its files.
fn filled(folder: &Path) -> Vec<u8> {
    let store = Store::create(folder, Sharing::Processes).unwrap();
    History::new(3).write(&store, 1).unwrap();
    drop(store);
    fs::read(folder.join("database")).unwrap()
}

#[test]
fn a_database_is_not_opened_with_the_key_of_another() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = filled(one.path());
    filled(other.path());
    fs::copy(other.path().join("key"), one.path().join("key")).unwrap();
    for sharing in [Sharing::Processes, Sharing::Exclusive] {
        assert!(matches!(Store::open(one.path(), sharing), Err(OpenError::WrongKey(_))));
        assert!(matches!(Store::open_or_create(one.path(), sharing), Err(OpenError::WrongKey(_))));
    }
    assert!(fs::read(one.path().join("database")).unwrap() == before);
}

#[test]
fn what_is_missing_or_there_already_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::open(folder.path(), Sharing::Processes);
    assert!(matches!(open(), Err(OpenError::Missing(_))));
    let before = filled(folder.path());
    assert!(matches!(Store::create(folder.path(), Sharing::Processes), Err(OpenError::Exists(_))));
    let key = fs::read(folder.path().join("key")).unwrap();
    fs::write(folder.path().join("key"), &key[..40]).unwrap();
    assert!(matches!(open(), Err(OpenError::KeyDamaged(_))));
    fs::remove_file(folder.path().join("key")).unwrap();
    assert!(matches!(open(), Err(OpenError::KeyMissing(_))));
    assert!(matches!(Store::open_or_create(folder.path(), Sharing::Processes), Err(OpenError::KeyMissing(_))));
    assert!(fs::read(folder.path().join("database")).unwrap() == before);
}

#[test]
fn a_file_cut_short_is_refused_and_never_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let before = filled(folder.path());
    for length in [0, 1, 9, 16, 100, 320, 4096, 12_288, 40_960] {
        fs::write(folder.path().join("database"), &before[..length]).unwrap();
        let opened = Store::open(folder.path(), Sharing::Exclusive);
        let refused = matches!(opened, Err(OpenError::Damaged(_) | OpenError::WrongKey(_) | OpenError::Io { .. }));
        assert!(refused, "{length}: {opened:?}");
        let after = fs::read(folder.path().join("database")).unwrap();
        assert!(after.len() == length, "{length} became {}", after.len());
    }
}

#[test]
fn a_creation_that_was_interrupted_is_done_anew() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), b"ties-k").unwrap();
    fs::write(folder.path().join("database.new"), b"half a database").unwrap();
    let store = Store::open_or_create(folder.path(), Sharing::Processes).unwrap();
    History::new(1).write(&store, 1).unwrap();
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["database", "key"]);
}

#[cfg(unix)]
#[test]
fn folder_and_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made");
    drop(Store::create(&path, Sharing::Processes).unwrap());
    let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("key"), mode("database")), (0o700, 0o600, 0o600));
    // As a restored backup or a careless copy leaves them.
    for name in ["key", "database"] {
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    drop(Store::open(&path, Sharing::Processes).unwrap());
    assert_eq!((mode("key"), mode("database")), (0o600, 0o600));
}

#[test]
fn a_newer_format_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let file = move || {
        FileBackend::new(fs::File::options().read(true).write(true).open(&path)?).map_err(std::io::Error::other)
    };
    fs::write(folder.path().join("file"), b"").unwrap();
    drop(Store::with_storage(file.clone(), Sharing::Processes, key()).unwrap());
    let redb = Database::builder().create_with_backend(Encrypted::new(file().unwrap(), &key())).unwrap();
    let transaction = redb.begin_write().unwrap();
    let meta = TableDefinition::<&[u8], &[u8]>::new("meta");
    transaction.open_table(meta).unwrap().insert(&b"format"[..], &99_u64.to_le_bytes()[..]).unwrap();
    transaction.commit().unwrap();
    drop(redb);
    let before = fs::read(folder.path().join("file")).unwrap();
    for sharing in [Sharing::Processes, Sharing::Exclusive] {
        let opened = Store::with_storage(file.clone(), sharing, key());
        assert!(matches!(opened, Err(OpenError::Newer { found: 99, known: 2 })), "{opened:?}");
    }
    assert!(fs::read(folder.path().join("file")).unwrap() == before);
}

#[test]
fn no_word_that_was_written_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), Sharing::Processes).unwrap();
    let mut transaction = store.write().unwrap();
    transaction.put(Table::SETTINGS, b"canary-key", b"canary-value").unwrap();
    transaction.put_document(&[1; 16], &b"canary-document ".repeat(1000)).unwrap();
    transaction.put(Table::ROWS, b"canary-row", b"canary").unwrap();
    transaction.commit().unwrap();
    drop(store);
    let bytes = fs::read(folder.path().join("database")).unwrap();
    for word in [&b"canary"[..], b"settings", b"documents", b"redb"] {
        assert!(!bytes.windows(word.len()).any(|window| window == word));
    }
}

/// Says nothing about what is read then: what a store gives back after damage is verified by
/// whoever uses it.
#[test]
fn a_flipped_bit_anywhere_never_panics() {
    let history = History::new(30);
    let disk = Disk::default();
    let store = disk.open(Sharing::Processes).unwrap();
    (1..=29).for_each(|number| history.write(&store, number).unwrap());
    drop(store);
    let bytes = disk.bytes();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut refused = 0;
    // redb's panics are caught; without their messages the output of this test stays readable.
    std::panic::set_hook(Box::new(|_| {}));
    for turn in 0..1500 {
        let bit = match turn {
            // The header, wholly; then anywhere.
            0..320 => turn * 8 + below(&mut rng, 8),
            _ => below(&mut rng, bytes.len() as u64 * 8),
        };
        let mut bytes = bytes.clone();
        bytes[bit as usize / 8] ^= 1 << (bit % 8);
        let disk = Disk::of(bytes);
        let sharing = if turn % 2 == 0 { Sharing::Exclusive } else { Sharing::Processes };
        let used = std::panic::catch_unwind(AssertUnwindSafe(|| use_it(&disk, sharing)));
        let Ok(used) = used else {
            let _ = std::panic::take_hook();
            panic!("bit {bit} panics");
        };
        refused += u32::from(used.is_err());
    }
    let _ = std::panic::take_hook();
    assert!(refused > 100, "damage was noticed {refused} times");
}

fn use_it(disk: &Disk, sharing: Sharing) -> Result<(), Box<dyn std::error::Error>> {
    let store = disk.open(sharing)?;
    read_everything(&store)?;
    let mut transaction = store.write()?;
    transaction.put_document(&[9; 16], &[9; 5000])?;
    transaction.put(Table::ROWS, &[9], &[9])?;
    transaction.commit()?;
    read_everything(&store)?;
    Ok(())
}

#[test]
fn a_transaction_in_which_something_failed_is_not_committed() {
    let disk = Disk::default();
    let store = disk.open(Sharing::Exclusive).unwrap();
    let mut transaction = store.write().unwrap();
    transaction.put(Table::SETTINGS, b"a", b"1").unwrap();
    disk.cut_power_after(0);
    let too_long_for_the_file = vec![0; 1 << 20];
    assert!(matches!(transaction.put(Table::SETTINGS, b"b", &too_long_for_the_file), Err(StoreError::Io(_))));
    disk.cut_power_after(u64::MAX);
    assert!(matches!(transaction.commit(), Err(StoreError::Unfinished)));
    drop(store);
    let store = disk.open(Sharing::Exclusive).unwrap();
    assert_eq!(store.read().unwrap().pairs(Table::SETTINGS, b"").unwrap(), []);
}
