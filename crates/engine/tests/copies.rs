//! Device folders that were copied, moved, restored and rolled back: each program writes a log of its own, and all merge.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use automerge::transaction::Transactable;
use automerge::{ObjType, ROOT, ReadDoc};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_engine::{
    Conversation, CreateOptions, DocumentId, EditError, Effect, Environment, Input, LogNews, News, Parting, Refusal,
    Road, Role, Space, Turn,
};
use ties_store::{Sharing, Store};

const DOCUMENT: DocumentId = DocumentId([7; 16]);
const NOTE: DocumentId = DocumentId([8; 16]);

/// A device in a folder, two other devices, and the relay that they know of.
struct World {
    folder: tempfile::TempDir,
    one: Space,
    two: Space,
    three: Space,
    road: Road,
}

impl World {
    /// All know of each other, and have written something.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = CreateOptions { device_name: "one".into(), recovery: false };
        let (one, _) = Space::create(&folder.path().join("one"), (), &options, environment(1)).unwrap();
        let relay = ties_sealed_log::RelaySecret::from_secret(&ties_sealed_log::Secret::new([7; 32])).id();
        let address = ties_engine::RelayAddress::new(ties_net::Scheme::Loopback, "127.0.0.1", 7700, relay).unwrap();
        let road = one.offline().add_relay(&address.to_string()).unwrap();
        let [two, three] = ["two", "three"].map(|name| {
            let store = Store::in_memory().unwrap();
            one.offline().admit(&road, Role::Writer, store, (), name, environment(name.len() as u64)).unwrap()
        });
        let world = Self { folder, one, two, three, road };
        world.meet(&world.one, &world.two);
        world.meet(&world.one, &world.three);
        for (space, key) in [(&world.one, "one"), (&world.two, "two"), (&world.three, "three")] {
            put(space, key, 0);
        }
        world.one.write(|edit| edit.seed(NOTE, |tx| tx.put_object(ROOT, "body", ObjType::Text).map(drop))).unwrap();
        world.meet_all(&[]);
        for space in [&world.one, &world.two, &world.three] {
            assert_eq!(space.log_news().unwrap(), None);
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn meet(&self, one: &Space, other: &Space) {
        meet(one, other, &self.road);
    }

    /// Everybody has everything afterwards.
    fn meet_all(&self, copies: &[&Space]) {
        let all: Vec<&Space> = [&self.one, &self.two, &self.three].into_iter().chain(copies.iter().copied()).collect();
        for _ in 0..2 {
            all.iter().for_each(|one| all.iter().for_each(|other| self.meet(one, other)));
        }
    }

    /// Everybody has the same, and nothing is wrong with it.
    fn assert_equal(&self, copies: &[&Space]) {
        let all = [&self.one, &self.two, &self.three].into_iter().chain(copies.iter().copied());
        for space in all {
            let status = space.status().unwrap();
            assert_eq!((status.waiting, status.bad), (vec![], 0));
            assert_eq!(space.offline().vector().unwrap(), self.two.offline().vector().unwrap());
            assert_eq!(shown(space), shown(&self.two));
            let before = shown(space);
            space.rebuild_documents().unwrap();
            assert_eq!(shown(space), before);
        }
    }
}

fn environment(seed: u64) -> Environment {
    Environment::new(|| 1_760_000_000_000, ChaCha20Rng::seed_from_u64(seed))
}

fn open(folder: &Path, seed: u64) -> Space {
    Space::open(folder, (), environment(seed)).unwrap()
}

/// Opens a folder as if it were always the same, as it is to a machine whose disk is set back as a whole.
fn open_unmarked(folder: &Path, seed: u64) -> Space {
    let store = Store::open(folder, Sharing::Processes).unwrap();
    Space::open_in(store, (), environment(seed)).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in ["key", "database"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// Lets two devices talk until both have the same, as they would through a relay; gives what was news to either.
fn meet(one: &Space, other: &Space, road: &Road) -> Vec<News> {
    let mut told = Vec::new();
    let mut sides = [one, other].map(|space| Conversation::new(space, road.mailbox, road.relay));
    let mut under_way = sides.each_mut().map(|side| side.start(Duration::ZERO).unwrap().frames);
    while !under_way.iter().all(Vec::is_empty) {
        let [from_one, from_other] = std::mem::take(&mut under_way);
        for (side, (frames, said)) in sides.iter_mut().zip([from_other, from_one].iter().zip(&mut under_way)) {
            let inputs: Vec<_> = frames.iter().map(|frame| Input::Frame(frame)).collect();
            let Turn { frames, news } = side.handle(Duration::ZERO, &inputs).unwrap();
            *said = frames;
            told.extend(news);
        }
    }
    assert!(sides.iter().all(Conversation::is_settled));
    told
}

fn put(space: &Space, key: &str, value: i64) {
    space.write(|edit| edit.change(DOCUMENT, |tx| tx.put(ROOT, key, value).map_err(EditError::from))).unwrap();
}

fn value(space: &Space, key: &str) -> Option<i64> {
    let read = space.read(DOCUMENT, |document| document.get(ROOT, key).unwrap().and_then(|(value, _)| value.as_i64()));
    read.unwrap().flatten()
}

fn type_in(space: &Space, at: usize, text: &str) {
    space
        .write(|edit| {
            edit.change(NOTE, |tx| {
                let (_, body) = tx.get(ROOT, "body")?.unwrap();
                tx.splice_text(&body, at, 0, text).map_err(EditError::from)
            })
        })
        .unwrap();
}

fn text(space: &Space) -> String {
    let body = |document: &automerge::Automerge| {
        let (_, body) = document.get(ROOT, "body").unwrap().unwrap();
        document.text(body).unwrap()
    };
    space.read(NOTE, body).unwrap().unwrap()
}

/// Everything that can be read.
fn shown(space: &Space) -> String {
    let fields = |document: &automerge::Automerge| {
        document.map_range(ROOT, ..).map(|item| format!("{}={:?} ", item.key, item.value)).collect::<String>()
    };
    space.read(DOCUMENT, fields).unwrap().unwrap() + &text(space)
}

/// How many logs this device has, and how many ends these have.
fn logs(space: &Space) -> (usize, usize) {
    let devices = space.devices().unwrap();
    let this = devices.iter().find(|device| device.name == "one").unwrap();
    let logs = &space.incarnations().unwrap()[&this.id];
    let vector = space.offline().vector().unwrap();
    (logs.len(), logs.iter().map(|one| vector.tips(&one.log).count()).sum())
}

fn undo_last(space: &Space) -> Vec<Effect> {
    let which = space.undoable(1).unwrap();
    let undone = space.undo("undo", &which, &mut |_, _| {}).unwrap();
    undone.documents.iter().map(|one| one.effect).collect()
}

#[test]
fn a_copied_folder_goes_on_in_a_log_of_its_own_and_both_merge() {
    let world = World::new();
    copy(&world.path("one"), &world.path("copy"));
    let copied = open(&world.path("copy"), 20);
    // Both write before they hear of anybody, and each meets somebody else first.
    put(&world.one, "one", 1);
    put(&copied, "copy", 1);
    put(&copied, "copy", 2);
    world.meet(&world.one, &world.two);
    world.meet(&copied, &world.three);
    put(&world.two, "two", 1);
    put(&world.three, "three", 1);
    world.meet_all(&[&copied]);
    world.assert_equal(&[&copied]);
    assert_eq!([value(&copied, "one"), value(&world.one, "copy")], [Some(1), Some(2)]);
    assert_eq!(logs(&world.one), (2, 2), "no log has two ends");

    assert_eq!(copied.log_news().unwrap(), Some(LogNews::Parted(Parting::Moved)));
    assert_eq!(world.one.log_news().unwrap(), Some(LogNews::Copied));
    for space in [&copied, &world.one, &world.two, &world.three] {
        assert_eq!(space.log_news().unwrap(), None, "each is told once");
    }
}

#[test]
fn two_copies_that_cannot_know_of_each_other_part_when_they_meet_and_go_on_side_by_side_for_ever() {
    let world = World::new();
    copy(&world.path("one"), &world.path("copy"));
    let copied = open_unmarked(&world.path("copy"), 20);
    put(&world.one, "one", 1);
    put(&copied, "copy", 1);
    world.meet(&world.one, &world.two);
    world.meet(&copied, &world.three);
    world.meet_all(&[&copied]);
    for space in [&world.one, &copied] {
        assert_eq!(space.log_news().unwrap(), Some(LogNews::Parted(Parting::Forked)));
        assert_eq!(space.log_news().unwrap(), None);
    }
    for turn in 2..20 {
        put(&world.one, "one", turn);
        put(&copied, "copy", turn);
        if turn % 3 == 0 {
            world.meet(&world.one, &copied);
        }
        if turn % 5 == 0 {
            world.meet_all(&[&copied]);
        }
    }
    world.meet_all(&[&copied]);
    world.assert_equal(&[&copied]);
    assert_eq!([value(&copied, "one"), value(&world.one, "copy")], [Some(19), Some(19)]);
    assert_eq!(logs(&world.two), (3, 4), "the one that forked, and one for each copy");
    for space in [&world.one, &copied, &world.two, &world.three] {
        assert_eq!(space.log_news().unwrap(), None, "it was told when they parted");
    }
}

#[test]
fn a_device_that_was_set_back_hears_of_its_own_later_entries_and_does_not_write_beside_them() {
    let world = World::new();
    copy(&world.path("one"), &world.path("backup"));
    put(&world.one, "one", 1);
    put(&world.one, "one", 2);
    world.meet(&world.one, &world.two);
    let restored = open_unmarked(&world.path("backup"), 20);
    assert_eq!(restored.log_news().unwrap(), None, "nobody can know yet");
    world.meet(&restored, &world.two);
    assert_eq!(value(&restored, "one"), Some(2), "what was lost is back");
    assert_eq!(restored.log_news().unwrap(), Some(LogNews::Parted(Parting::Continued)));
    put(&restored, "one", 3);
    assert_eq!(restored.log_news().unwrap(), None);
    world.meet(&restored, &world.two);
    assert_eq!(value(&world.two, "one"), Some(3));
    assert_eq!(logs(&world.two), (2, 2), "no log has two ends");
    let status = world.two.status().unwrap();
    assert_eq!((status.waiting, status.bad), (vec![], 0));
}

#[test]
fn a_device_restored_from_backups_again_and_again_tells_so_once_each_time() {
    let mut world = World::new();
    copy(&world.path("one"), &world.path("backup"));
    for life in 1..12 {
        drop(std::mem::replace(&mut world.one, world.two.clone()));
        for name in ["key", "database"] {
            fs::remove_file(world.path("one").join(name)).unwrap();
        }
        copy(&world.path("backup"), &world.path("one"));
        world.one = open(&world.path("one"), 100 + life);
        // At times it writes first, at times it hears from others first.
        if life % 2 == 0 {
            world.meet(&world.one, &world.two);
            assert_eq!(world.one.log_news().unwrap(), Some(LogNews::Parted(Parting::Moved)), "life {life}");
        }
        put(&world.one, "one", life as i64);
        world.meet(&world.one, &world.two);
        let news = Some(LogNews::Parted(Parting::Moved)).filter(|_| life % 2 == 1);
        assert_eq!(world.one.log_news().unwrap(), news, "life {life}");
        world.meet_all(&[]);
        assert_eq!(world.one.log_news().unwrap(), None, "its earlier lives are no news");
        world.assert_equal(&[]);
    }
    assert_eq!(logs(&world.two), (12, 12));
}

#[test]
fn a_folder_that_was_moved_within_its_file_system_goes_on_in_its_log() {
    let mut world = World::new();
    drop(std::mem::replace(&mut world.one, world.two.clone()));
    fs::rename(world.path("one"), world.path("moved")).unwrap();
    world.one = open(&world.path("moved"), 20);
    put(&world.one, "one", 1);
    world.meet_all(&[]);
    assert_eq!(world.one.log_news().unwrap(), None);
    assert_eq!(logs(&world.two), (1, 1));
}

/// Two systems on one machine, or two machines with one home: each has a log that it comes back to.
#[test]
fn a_folder_that_is_used_in_two_places_by_turns_has_two_logs_and_tells_so_once() {
    let mut world = World::new();
    drop(std::mem::replace(&mut world.one, world.two.clone()));
    for turn in 0..10 {
        let store = Store::open(&world.path("one"), Sharing::Processes).unwrap();
        // The first place is where it was made.
        let here = environment(100 + turn);
        let here = if turn % 2 == 0 { here.installed_as([9; 32]) } else { here.installed_as(install_mark(&world)) };
        let one = Space::open_in(store, (), here).unwrap();
        let news = one.log_news().unwrap();
        assert_eq!(news, Some(LogNews::Parted(Parting::Moved)).filter(|_| turn == 0), "turn {turn}");
        put(&one, &format!("turn {turn}"), 1);
        put(&one, "turn", turn as i64);
        assert_eq!(one.log_news().unwrap(), None, "turn {turn}");
        world.one = one;
        if turn % 3 == 0 {
            world.meet_all(&[]);
        }
        world.one = world.two.clone();
    }
    world.one = open(&world.path("one"), 200);
    world.meet_all(&[]);
    world.assert_equal(&[]);
    assert_eq!((value(&world.three, "turn"), logs(&world.two)), (Some(9), (2, 2)));
}

fn install_mark(world: &World) -> [u8; 32] {
    Store::install_mark(&world.path("one")).unwrap()
}

#[test]
fn whoever_only_reads_a_copied_folder_writes_nothing() {
    let world = World::new();
    copy(&world.path("one"), &world.path("copy"));
    let before = fs::read(world.path("copy").join("database")).unwrap();
    let copied = open(&world.path("copy"), 20);
    assert_eq!(value(&copied, "one"), Some(0));
    assert!(copied.status().is_ok() && copied.incarnations().is_ok() && !copied.has_parted().unwrap());
    drop(copied);
    assert_eq!(fs::read(world.path("copy").join("database")).unwrap(), before);
}

#[test]
fn copies_of_one_folder_write_into_one_text_and_nothing_clashes() {
    let world = World::new();
    type_in(&world.one, 0, "boats");
    for (name, marked) in [("known", true), ("unknown", false)] {
        copy(&world.path("one"), &world.path(name));
        let (path, seed) = (world.path(name), name.len() as u64 + 20);
        let copied = if marked { open(&path, seed) } else { open_unmarked(&path, seed) };
        let end = text(&world.one).chars().count();
        for _ in 0..5 {
            type_in(&world.one, 0, "<");
            type_in(&copied, end, ">");
        }
        world.meet_all(&[&copied]);
        world.assert_equal(&[&copied]);
    }
    assert_eq!(text(&world.two), "<<<<<<<<<<boats>>>>>>>>>>");
}

#[test]
fn what_was_done_before_a_copy_can_be_undone_on_either_side_and_on_both() {
    for marked in [true, false] {
        let world = World::new();
        put(&world.one, "one", 5);
        copy(&world.path("one"), &world.path("copy"));
        let copied = if marked { open(&world.path("copy"), 20) } else { open_unmarked(&world.path("copy"), 20) };
        put(&world.one, "later", 1);
        put(&copied, "copy", 1);
        world.meet_all(&[&copied]);
        assert_eq!(logs(&world.two).0, if marked { 2 } else { 1 });
        // Its own last write, and then the one from before the copy.
        assert_eq!(undo_last(&copied), [Effect::Changed]);
        assert_eq!(undo_last(&copied), [Effect::Changed]);
        assert_eq!([value(&copied, "copy"), value(&copied, "one")], [None, Some(0)]);
        // The other side undoes the same without knowing of it.
        assert_eq!(undo_last(&world.one), [Effect::Changed]);
        assert_eq!(undo_last(&world.one), [Effect::Changed]);
        world.meet_all(&[&copied]);
        world.assert_equal(&[&copied]);
        let keys = ["one", "later", "copy", "two"];
        assert_eq!(keys.map(|key| value(&world.two, key)), [Some(0), None, None, Some(0)]);
        // And what was undone in one log can be redone in another.
        let redo = copied.redoable().unwrap().unwrap();
        copied.undo("redo", &[redo], &mut |_, _| {}).unwrap();
        world.meet_all(&[&copied]);
        world.assert_equal(&[&copied]);
    }
}

#[test]
fn a_device_that_wrote_before_its_mark_was_kept_takes_its_place_for_granted() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(&folder.path().join("data"), Sharing::Processes).unwrap();
    let options = CreateOptions { device_name: "one".into(), recovery: false };
    drop(Space::create_in(store, (), &options, environment(1)).unwrap());
    let one = open(&folder.path().join("data"), 2);
    put(&one, "one", 1);
    assert_eq!((one.log_news().unwrap(), logs(&one)), (None, (1, 1)));
    copy(&folder.path().join("data"), &folder.path().join("copy"));
    let copied = open(&folder.path().join("copy"), 3);
    put(&copied, "one", 2);
    assert_eq!(copied.log_news().unwrap(), Some(LogNews::Parted(Parting::Moved)));
}

/// A machine whose disk is set back to one state again and again, and on which something is written each time before it
/// hears of its earlier lives: a log has no more than eight ends. The ninth is refused aloud, and only that.
#[test]
fn a_disk_that_is_set_back_more_than_eight_times_is_told_that_nobody_takes_what_it_wrote() {
    let world = World::new();
    copy(&world.path("one"), &world.path("backup"));
    for life in 1..=9 {
        let folder = world.path(&format!("life {life}"));
        copy(&world.path("backup"), &folder);
        let one = open_unmarked(&folder, 100 + life);
        put(&one, &format!("life {life}"), 1);
        let refused = meet(&one, &world.two, &world.road).into_iter().filter_map(|news| match news {
            News::Refused { reason, .. } => Some(reason),
            _ => None,
        });
        let expected = [Refusal::Branches; 2];
        assert!(refused.eq(expected.into_iter().filter(|_| life == 9)), "life {life}");
        put(&one, &format!("life {life}, later"), 1);
        meet(&one, &world.two, &world.road);
    }
    for life in 1..=8 {
        let keys = [format!("life {life}"), format!("life {life}, later")];
        assert_eq!(keys.map(|key| value(&world.two, &key)), [Some(1), Some(1)], "life {life}");
    }
    assert_eq!(world.two.status().unwrap().bad, 0);
}
