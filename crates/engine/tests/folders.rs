//! Devices that exchange through folders, and what lies in such folders beside what was meant.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use support::{admit, keys, put};
use ties_engine::{CreateOptions, Environment, FolderError, FolderTally, ParcelError, Road, Space};
use ties_store::Store;

fn founder() -> (Space, Road) {
    let options = CreateOptions { device_name: "one".into(), recovery: false };
    let (one, _) = Space::create_in(Store::in_memory().unwrap(), (), &options, Environment::system()).unwrap();
    let road = one.offline().add_relay(&support::address()).unwrap();
    (one, road)
}

fn try_visit(space: &Space, folder: &Path) -> Result<FolderTally, FolderError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let folders = [folder.to_owned()];
    let mut reports = runtime.block_on(space.sync_folders(&folders, |_| ())).unwrap();
    reports.pop().unwrap().outcome
}

fn visit(space: &Space, folder: &Path) -> FolderTally {
    try_visit(space, folder).unwrap()
}

/// The one place in a folder that devices of a space use.
fn place(folder: &Path) -> PathBuf {
    fs::read_dir(folder.join("ties")).unwrap().next().unwrap().unwrap().path()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(place(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn same(one: &Space, other: &Space) -> bool {
    one.offline().vector().unwrap() == other.offline().vector().unwrap() && keys(one) == keys(other)
}

/// Visits until nobody takes or leaves anything; what is learnt may call for an answer, a few times at most.
fn settle(devices: &[&Space], folder: &Path) {
    for _ in 0..4 {
        devices.iter().for_each(|device| drop(visit(device, folder)));
    }
    for device in devices {
        assert!(same(device, devices[0]));
        assert_eq!(FolderTally { unreadable: Vec::new(), ..visit(device, folder) }, FolderTally::default());
    }
}

#[test]
fn two_devices_exchange_everything_and_then_nothing() {
    let (one, road) = founder();
    let two = admit(&one, &road);
    let folder = tempfile::tempdir().unwrap();
    put(&one, "by one");
    put(&two, "by two");
    let first = visit(&one, folder.path());
    assert_eq!((first.entries_received, first.files_written), (0, 1));
    visit(&two, folder.path());
    visit(&one, folder.path());
    visit(&two, folder.path());
    assert!(same(&one, &two));
    assert_eq!(keys(&one), ["by one", "by two"]);
    let before = files(folder.path());
    for space in [&one, &two, &one] {
        assert_eq!(visit(space, folder.path()), FolderTally::default());
    }
    assert_eq!(files(folder.path()), before);
    put(&one, "later");
    assert_eq!(visit(&one, folder.path()).entries_sent, 1);
    let taken = visit(&two, folder.path());
    assert_eq!((taken.entries_received, taken.files_read), (1, 1));
}

#[test]
fn devices_that_never_meet_exchange_through_a_third() {
    let (one, road) = founder();
    let (two, three) = (admit(&one, &road), admit(&one, &road));
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put(&one, "by one");
    put(&three, "by three");
    for _ in 0..4 {
        visit(&one, left.path());
        visit(&two, left.path());
        visit(&two, right.path());
        visit(&three, right.path());
    }
    assert_eq!(keys(&one), ["by one", "by three"]);
    assert!(same(&one, &three) && same(&one, &two));
}

#[test]
fn half_copies_renamed_copies_and_strangers_files_do_no_harm() {
    let (one, road) = founder();
    let two = admit(&one, &road);
    let folder = tempfile::tempdir().unwrap();
    put(&one, "first");
    visit(&one, folder.path());
    put(&one, "second");
    visit(&one, folder.path());
    let [first, second] = &files(folder.path())[..] else { panic!("two files") };
    let whole = fs::read(second).unwrap();
    // A conflict copy, a half copy, one that was given its length before its bytes, and files of other programs.
    fs::copy(first, first.with_file_name("file (conflicted copy).ties")).unwrap();
    fs::remove_file(first).unwrap();
    fs::write(second, &whole[..whole.len() / 2]).unwrap();
    let blank = second.with_file_name("blank");
    fs::write(&blank, [&whole[..whole.len() - 40], &[0; 40]].concat()).unwrap();
    for (name, bytes) in [("readme.txt", &b"hello"[..]), ("empty", b""), ("ties", b"ties\0pcl")] {
        fs::write(place(folder.path()).join(name), bytes).unwrap();
    }
    let tally = visit(&two, folder.path());
    let mut reasons: Vec<_> = tally.unreadable.into_iter().map(|(_, why)| why).collect();
    reasons.sort_by_key(|why| format!("{why:?}"));
    assert!(matches!(
        reasons[..],
        [ParcelError::Damaged, ParcelError::Incomplete { .. }, ParcelError::Incomplete { .. }]
    ));
    // What only the half copy held was not there to be taken; its author leaves it once more.
    assert!(!same(&one, &two));
    settle(&[&one, &two], folder.path());
    fs::write(second, &whole).unwrap();
    fs::remove_file(blank).unwrap();
    assert_eq!(visit(&two, folder.path()).entries_received, 0);
    assert!(place(folder.path()).join("readme.txt").exists());
}

#[test]
fn what_waited_for_a_file_that_came_later_is_taken_with_it() {
    let (one, road) = founder();
    let two = admit(&one, &road);
    let (folder, drawer) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put(&one, "first");
    visit(&one, folder.path());
    let [first] = &files(folder.path())[..] else { panic!("one file") };
    put(&one, "second");
    visit(&one, folder.path());
    let away = drawer.path().join("first");
    fs::rename(first, &away).unwrap();
    visit(&two, folder.path());
    assert!(!keys(&two).contains(&"second".to_owned()), "what comes before it is missing");
    fs::copy(&away, first).unwrap();
    visit(&two, folder.path());
    assert_eq!(keys(&two), ["first", "second"], "in the visit that found what was missing");
}

#[test]
fn what_vanished_is_left_again_by_whoever_has_it() {
    let (one, road) = founder();
    let two = admit(&one, &road);
    let folder = tempfile::tempdir().unwrap();
    put(&one, "by one");
    put(&two, "by two");
    for space in [&one, &two, &one] {
        visit(space, folder.path());
    }
    let all: usize = one.offline().vector().unwrap().records().map(|record| record.tip.seq as usize).sum();
    fs::remove_dir_all(folder.path().join("ties")).unwrap();
    let tally = visit(&one, folder.path());
    assert_eq!((tally.entries_sent, tally.files_written), (all, 1));
    assert_eq!(visit(&two, folder.path()).entries_sent, 0);
}

#[test]
fn a_stranger_makes_nobody_take_anything() {
    let (one, _) = founder();
    let (stranger, _) = founder();
    let (folder, foreign) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    visit(&one, folder.path());
    visit(&stranger, foreign.path());
    for file in files(foreign.path()) {
        fs::copy(&file, place(folder.path()).join(file.file_name().unwrap())).unwrap();
    }
    let before = one.offline().vector().unwrap();
    let tally = visit(&one, folder.path());
    assert_eq!((tally.entries_received, tally.left, tally.files_read), (0, 1, 1));
    assert_eq!(one.offline().vector().unwrap(), before);
    // It is not read again before something else is known here.
    assert_eq!(visit(&one, folder.path()).files_read, 0);
}

#[test]
fn a_standing_folder_that_is_away_is_told_and_one_that_is_bare_is_not_filled() {
    let (one, _) = founder();
    let outside = tempfile::tempdir().unwrap();
    let stick = outside.path().join("stick");
    fs::create_dir(&stick).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sync = || runtime.block_on(one.sync_standing_folders(|_| ())).unwrap().pop().map(|report| report.outcome);
    assert!(sync().is_none());
    one.add_folder(&stick).unwrap();
    assert_eq!(one.status().unwrap().folders[0].last_contact, None);
    assert!(one.status().unwrap().folders[0].to_send > 0);
    assert!(sync().unwrap().is_ok());
    assert_eq!(one.status().unwrap().folders[0].to_send, 0);
    put(&one, "more");
    assert_eq!(one.status().unwrap().folders[0].to_send, 1);
    fs::remove_dir_all(&stick).unwrap();
    assert!(matches!(sync().unwrap(), Err(FolderError::Depot(_))));
    fs::create_dir(&stick).unwrap();
    assert!(matches!(sync().unwrap(), Err(FolderError::Bare(_))));
    assert!(one.status().unwrap().folders[0].error.is_some());
    assert_eq!(fs::read_dir(&stick).unwrap().count(), 0);
    // Whoever names it means it.
    assert!(visit(&one, &stick).entries_sent > 1);
    assert_eq!(one.status().unwrap().folders[0].error, None);
    assert!(one.remove_folder(&stick).unwrap() && !one.remove_folder(&stick).unwrap());
    assert!(one.status().unwrap().folders.is_empty());
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_read_all_the_same() {
    use std::os::unix::fs::PermissionsExt;
    let (one, road) = founder();
    let two = admit(&one, &road);
    let folder = tempfile::tempdir().unwrap();
    put(&one, "by one");
    visit(&one, folder.path());
    put(&two, "by two");
    let place = place(folder.path());
    fs::set_permissions(&place, fs::Permissions::from_mode(0o500)).unwrap();
    // Root writes where nobody may; there is nothing to see then.
    if fs::write(place.join("probe"), b"").is_err() {
        assert!(matches!(try_visit(&two, folder.path()), Err(FolderError::Depot(_))));
        assert_eq!(keys(&two), ["by one", "by two"]);
    }
    fs::set_permissions(&place, fs::Permissions::from_mode(0o700)).unwrap();
    visit(&two, folder.path());
    visit(&one, folder.path());
    assert!(same(&one, &two));
}

/// What a carrier does to files on their way.
#[derive(Debug, Clone)]
enum Carried {
    Visit {
        device: usize,
        folder: usize,
    },
    Write {
        device: usize,
    },
    /// Copies a file from one folder to another: whole, or so many thousandths of it, perhaps under another name.
    Copy {
        from: usize,
        to: usize,
        which: usize,
        part: usize,
        renamed: bool,
    },
    Lose {
        folder: usize,
        which: usize,
    },
}

fn carried() -> impl Strategy<Value = Carried> {
    let (device, folder) = (0..3usize, 0..3usize);
    prop_oneof![
        3 => (device.clone(), folder.clone()).prop_map(|(device, folder)| Carried::Visit { device, folder }),
        2 => device.prop_map(|device| Carried::Write { device }),
        4 => (folder.clone(), folder.clone(), any::<usize>(), 1..1500usize, any::<bool>())
            .prop_map(|(from, to, which, part, renamed)| Carried::Copy { from, to, which, part, renamed }),
        1 => (folder, any::<usize>()).prop_map(|(folder, which)| Carried::Lose { folder, which }),
    ]
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    if folder.join("ties").exists() { files(folder) } else { Vec::new() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_carrier_does_devices_end_equal_once_it_is_honest(history in prop::collection::vec(carried(), 1..25)) {
        let (one, road) = founder();
        let devices = [one.clone(), admit(&one, &road), admit(&one, &road)];
        let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
        for (turn, what) in history.iter().enumerate() {
            match *what {
                Carried::Visit { device, folder } => drop(visit(&devices[device], folders[folder].path())),
                Carried::Write { device } => put(&devices[device], &format!("at {turn:02} by {device}")),
                Carried::Copy { from, to, which, part, renamed } => {
                    let there = listed(folders[from].path());
                    if there.is_empty() || listed(folders[to].path()).is_empty() {
                        continue;
                    }
                    let file = &there[which % there.len()];
                    let bytes = fs::read(file).unwrap();
                    let name = file.file_name().unwrap().to_string_lossy().into_owned();
                    let name = if renamed { format!("copy {turn} of {name}") } else { name };
                    let part = &bytes[..(bytes.len() * part / 1000).min(bytes.len())];
                    fs::write(place(folders[to].path()).join(name), part).unwrap();
                }
                Carried::Lose { folder, which } => {
                    let there = listed(folders[folder].path());
                    if !there.is_empty() {
                        fs::remove_file(&there[which % there.len()]).unwrap();
                    }
                }
            }
        }
        settle(&devices.each_ref(), folders[0].path());
        let writes = history.iter().filter(|what| matches!(what, Carried::Write { .. })).count();
        prop_assert_eq!(keys(&one).len(), writes);
    }
}
