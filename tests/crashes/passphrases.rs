//! The power fails, or the process is killed, at a random step of a changed passphrase: the database opens afterwards
//! with exactly one of the two, and with the new one if the change was acknowledged.

use std::collections::BTreeMap;

use ties_store::testing::{Folder as _, key_file, key_in, replace};
use ties_store::{Cost, Passphrase, Sharing, StorageKey, Store};
use ties_tests::{CrashingDisk, Dice};

use crate::folder::CrashingFolder;
use crate::{ENOUGH, number};

const KEY: &str = "key";
const NEW: &str = "key.new";

/// What must have happened in a thousand crashes, or they prove too little.
const KINDS: [&str; 5] = [
    "killed, the old one opens",
    "killed, the new one opens",
    "power lost, the old one opens",
    "power lost, the new one opens",
    "acknowledged",
];

#[test]
fn a_crash_at_any_step_of_a_new_passphrase_leaves_one_that_opens() {
    let crashes = number("TIES_CRASHES").unwrap_or(ENOUGH);
    let mut dice = Dice::new(4);
    let key = StorageKey::from_bytes(dice.bytes(64).first_chunk().unwrap()).unwrap();
    let disk = CrashingDisk::default();
    let on_disk = disk.clone();
    let database = move |key| Store::with_storage(move || Ok(on_disk.clone()), Sharing::Processes, key);
    drop(database.clone()(key.again()).unwrap());
    let files = files(&key);

    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut now = 0;
    // A process that is killed after its rename shows a change that nobody has acknowledged; until the folder is synced, a
    // power failure takes that back.
    let mut unsynced = Vec::new();
    let mut folder = CrashingFolder::with(KEY, &files[now].0);
    for _ in 0..crashes {
        let next = dice.index(files.len());
        folder.fail_after(dice.below(14));
        let changed = replace(&folder, KEY, NEW, &files[next].0);
        assert!(changed.is_ok() || folder.has_failed(), "{changed:?}");
        let killed = dice.per_mille(300);
        if killed {
            folder.recover();
        } else {
            folder.crash(&mut dice);
        }
        let bytes = folder.read(KEY).expect("the key file is gone");
        let found = files.iter().position(|file| file.0 == bytes).expect("half of a key file");
        let may_be = |file| file == now || file == next || (!killed && unsynced.contains(&file));
        assert!(may_be(found), "a key file of some other time");
        assert!(found == next || changed.is_err(), "an acknowledged passphrase is gone");
        // What a matching file opens was tried out once; that the key is the database's, each time.
        let opened = key_in(&files[0].0, None).expect("the file without a passphrase");
        assert!(files[found].2.same_as(&opened));
        database.clone()(opened).unwrap();
        *counts
            .entry(match (killed, found == next) {
                (true, false) => "killed, the old one opens",
                (true, true) => "killed, the new one opens",
                (false, false) => "power lost, the old one opens",
                (false, true) => "power lost, the new one opens",
            })
            .or_default() += 1;
        *counts.entry("acknowledged").or_default() += u64::from(changed.is_ok());
        unsynced = if killed && changed.is_err() { [unsynced, vec![now]].concat() } else { Vec::new() };
        now = found;
        if dice.per_mille(50) {
            // What crashes left lying about does not pile up.
            folder = CrashingFolder::with(KEY, &files[now].0);
            unsynced.clear();
        }
    }
    println!("{counts:#?}");
    if crashes >= ENOUGH {
        for kind in KINDS {
            assert!(counts.get(kind).is_some_and(|many| *many > 0), "{kind}: never happened");
        }
    }
}

/// Key files with no passphrase and with several, each opened by its own and by no other.
fn files(key: &StorageKey) -> Vec<(Vec<u8>, Option<&'static str>, Opened)> {
    let passphrases = [None, Some("first"), Some("second"), Some("third"), Some("first")];
    let made = passphrases.map(|passphrase| {
        let words = passphrase.and_then(Passphrase::new);
        (key_file(key, words.as_ref(), Cost::LEAST).unwrap().to_vec(), passphrase)
    });
    let files: Vec<_> = made
        .into_iter()
        .map(|(bytes, own)| {
            let opens = |tried: Option<&str>| key_in(&bytes, tried.and_then(Passphrase::new).as_ref());
            let openers = passphrases[..4].iter().filter(|tried| opens(**tried).is_some()).collect::<Vec<_>>();
            assert_eq!(openers, [&own], "exactly one opens it");
            let opened = Opened(opens(own).expect("its own opens it"));
            (bytes, own, opened)
        })
        .collect();
    assert_ne!(files[1].0, files[4].0, "the same passphrase twice is two files");
    files
}

/// A key that came out of a file.
struct Opened(StorageKey);

impl Opened {
    fn same_as(&self, other: &StorageKey) -> bool {
        let bytes = |key: &StorageKey| key_file(key, None, Cost::LEAST).unwrap();
        *bytes(&self.0) == *bytes(other)
    }
}

/// A harness that forgives everything proves nothing.
#[test]
fn a_replacement_without_its_syncs_is_found_out() {
    let mut dice = Dice::new(5);
    let mut broken = 0;
    for _ in 0..200 {
        let folder = CrashingFolder::with(KEY, b"the old content of the file");
        let mut file = folder.create(NEW).unwrap();
        folder.write(&mut file, b"the new content of the file").unwrap();
        folder.rename(NEW, KEY).unwrap();
        folder.crash(&mut dice);
        let bytes = folder.read(KEY).unwrap();
        broken += u64::from(bytes != b"the old content of the file" && bytes != b"the new content of the file");
    }
    assert!(broken > 20, "{broken} of 200");
}
