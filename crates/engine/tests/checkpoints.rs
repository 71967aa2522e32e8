//! Checkpoints between devices: a fresh one starts from them, a second one signs them, a lying one is named.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use automerge::transaction::Transactable;
use automerge::{Automerge, ROOT, ReadDoc};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_engine::{
    Checkpoint, CheckpointStanding, Conversation, CreateOptions, DeviceId, DocumentId, EditError, Environment, Input,
    Looked, Pair, Projection, Road, Role, Row, Space, Turn,
};
use ties_store::Store;

const DAY: u64 = 24 * 60 * 60 * 1000;

/// Rows that tell everything of a document.
struct Everything;

impl Projection for Everything {
    fn version(&self) -> u32 {
        1
    }

    fn rows(&self, id: DocumentId, document: &Automerge) -> Vec<Row> {
        let row = |key: String| {
            let value = document.get(ROOT, &key).unwrap().unwrap().0;
            Row { key: [&id.0[..], key.as_bytes()].concat(), value: value.to_string().into_bytes() }
        };
        document.keys(ROOT).map(row).collect()
    }
}

/// Devices at one mailbox that no relay keeps: they meet in pairs.
struct World {
    now: Arc<AtomicU64>,
    road: Road,
    devices: Vec<Space>,
    /// How many rounds of edits there were: a value that is there already would make no entry.
    rounds: AtomicU64,
}

impl World {
    /// A founder and others, all admins, who have all met.
    fn of(names: &[&str]) -> Self {
        let now = Arc::new(AtomicU64::new(1_760_000_000_000));
        let options = CreateOptions { device_name: names[0].into(), recovery: true };
        let store = Store::in_memory().unwrap();
        let (founder, _) = Space::create_in(store, Everything, &options, environment(&now, 1)).unwrap();
        let relay = ties_sealed_log::RelaySecret::from_secret(&ties_sealed_log::Secret::new([7; 32])).id();
        let address = ties_engine::RelayAddress::new(ties_net::Scheme::Loopback, "127.0.0.1", 7700, relay).unwrap();
        let road = founder.offline().add_relay(&address.to_string()).unwrap();
        let mut world = Self { now, road, devices: vec![founder], rounds: AtomicU64::new(0) };
        for name in &names[1..] {
            world.admit(name, Role::Admin);
            world.meet(0, world.devices.len() - 1);
        }
        world.all_meet();
        world
    }

    /// Lets in a device that has met nobody.
    fn admit(&mut self, name: &str, role: Role) -> usize {
        let environment = environment(&self.now, self.devices.len() as u64 + 1);
        let store = Store::in_memory().unwrap();
        let device = self.devices[0].offline().admit(&self.road, role, store, Everything, name, environment).unwrap();
        self.devices.push(device);
        self.devices.len() - 1
    }

    fn id(&self, device: usize) -> DeviceId {
        self.devices[device].devices().unwrap().into_iter().find(|one| one.this).unwrap().id
    }

    fn all_meet(&self) {
        for _ in 0..2 {
            for one in 0..self.devices.len() {
                for other in one + 1..self.devices.len() {
                    self.meet(one, other);
                }
            }
        }
    }

    /// Gives the bytes that each of the two said.
    fn meet(&self, one: usize, other: usize) -> [usize; 2] {
        let pair = [&self.devices[one], &self.devices[other]];
        pair.iter().for_each(|space| space.offline().tidy(&self.road).unwrap());
        let mut sides = pair.map(|space| Conversation::new(space, self.road.mailbox, self.road.relay));
        let mut under_way = sides.each_mut().map(|side| side.start(Duration::ZERO).unwrap().frames);
        let mut bytes = [0; 2];
        while !under_way.iter().all(Vec::is_empty) {
            let [from_one, from_other] = std::mem::take(&mut under_way);
            bytes[0] += from_one.iter().map(Vec::len).sum::<usize>();
            bytes[1] += from_other.iter().map(Vec::len).sum::<usize>();
            for (side, (frames, said)) in sides.iter_mut().zip([from_other, from_one].iter().zip(&mut under_way)) {
                let inputs: Vec<_> = frames.iter().map(|frame| Input::Frame(frame)).collect();
                let Turn { frames, .. } = side.handle(Duration::ZERO, &inputs).unwrap();
                *said = frames;
            }
        }
        assert!(sides.iter().all(Conversation::is_settled), "they wait for each other");
        bytes
    }

    fn put(&self, device: usize, document: u8, key: &str, value: &str) {
        let document = DocumentId([document; 16]);
        let space = &self.devices[device];
        space.write(|edit| edit.change(document, |list| list.put(ROOT, key, value).map_err(EditError::from))).unwrap();
    }

    fn edits(&self, device: usize) {
        for _ in 0..4 {
            let round = self.rounds.fetch_add(1, Ordering::Relaxed);
            for document in 0..20 {
                self.put(device, document, &format!("key {}", round % 3), &format!("value {round} {document}"));
            }
        }
    }

    /// Everything that a person would see: the rows, and what each document was made of.
    fn shown(&self, device: usize) -> (Vec<Pair>, Vec<Vec<automerge::ChangeHash>>) {
        let view = self.devices[device].view().unwrap();
        let rows = view.rows(&[]).unwrap().collect::<Result<_, _>>().unwrap();
        let heads = |id| view.document(DocumentId([id; 16])).unwrap().map(|document| document.get_heads());
        (rows, (0..40).filter_map(heads).collect())
    }

    #[track_caller]
    fn assert_equal(&self) {
        let first = self.shown(0);
        for device in 1..self.devices.len() {
            assert_eq!(self.shown(device), first, "device {device}");
            assert!(self.devices[device].status().unwrap().waiting.is_empty(), "device {device}");
        }
    }

    fn checkpoints(&self, device: usize) -> Vec<Checkpoint> {
        self.devices[device].checkpoints().unwrap()
    }

    fn standings(&self, device: usize) -> Vec<CheckpointStanding> {
        self.checkpoints(device).iter().map(|one| one.standing).collect()
    }

    /// How many entries are in a device's database.
    fn entries(&self, device: usize) -> u64 {
        let check = self.devices[device].check_logs(&mut |_, _| {}).unwrap();
        assert!(check.broken.is_empty());
        check.entries
    }

    fn pass(&self, time: u64) {
        self.now.fetch_add(time, Ordering::Relaxed);
    }
}

fn environment(now: &Arc<AtomicU64>, seed: u64) -> Environment {
    let now = now.clone();
    Environment::new(move || now.load(Ordering::Relaxed), ChaCha20Rng::seed_from_u64(seed))
}

#[test]
fn a_fresh_device_starts_from_a_checkpoint_and_ends_equal_to_one_that_read_every_entry() {
    let mut world = World::of(&["laptop", "phone"]);
    world.edits(0);
    world.meet(0, 1);
    world.put(1, 3, "phone", "was here");
    world.meet(0, 1);
    assert!(world.devices[0].make_checkpoint().unwrap());
    world.put(0, 4, "later", "above the cut");
    world.put(0, 30, "new", "above the cut");
    let fresh = world.admit("tablet", Role::Admin);
    world.meet(0, fresh);
    assert_eq!(world.standings(fresh), vec![CheckpointStanding::Unverified]);
    assert!(world.entries(fresh) * 4 < world.entries(0), "it was given the entries all the same");
    world.all_meet();
    world.assert_equal();
    // It goes on as any other, and the others with it.
    world.put(fresh, 5, "tablet", "writes too");
    world.put(1, 5, "phone", "as well");
    world.put(0, 6, "laptop", "as ever");
    world.all_meet();
    world.assert_equal();
    let documents = world.devices[fresh].check_documents(&mut |_, _| {}).unwrap();
    assert!(documents.lacking.is_empty() && documents.surplus.is_empty());
    assert_eq!(world.devices[fresh].devices().unwrap().len(), 3);
}

#[test]
fn a_second_device_signs_what_it_finds_right_and_that_reaches_whoever_started_from_it() {
    let mut world = World::of(&["laptop", "phone"]);
    world.edits(0);
    assert!(world.devices[0].make_checkpoint().unwrap());
    assert_eq!(world.devices[0].check_checkpoints().unwrap(), Looked::default(), "it signs its own");
    let fresh = world.admit("tablet", Role::Admin);
    world.meet(0, fresh);
    assert_eq!(world.standings(fresh), vec![CheckpointStanding::Unverified]);
    world.put(0, 4, "later", "above the cut");
    world.put(1, 4, "beside", "not known to the maker");
    // Entries come in the first meeting, and then it stands at the cut.
    world.meet(0, 1);
    world.meet(0, 1);
    assert_eq!(world.devices[1].check_checkpoints().unwrap(), Looked { same: 1, cosigned: 1, differing: 0 });
    world.meet(0, 1);
    world.meet(0, fresh);
    assert_eq!(world.standings(fresh), vec![CheckpointStanding::Started]);
    for device in 0..2 {
        let found = world.checkpoints(device);
        assert_eq!((found[0].maker.as_deref(), found[0].second.as_deref()), (Some("laptop"), Some("phone")));
        assert_eq!(found[0].standing, CheckpointStanding::Same);
    }
    world.all_meet();
    world.assert_equal();
    // With nothing to do, each says one short word.
    assert!(world.meet(0, 1).into_iter().max().unwrap() < 200);
    assert!(world.meet(0, fresh).into_iter().max().unwrap() < 200);
}

#[test]
fn a_checkpoint_that_lies_is_named_and_neither_signed_nor_passed_on() {
    let mut world = World::of(&["laptop", "phone"]);
    world.edits(0);
    world.meet(0, 1);
    ties_engine::testing::alter_unsaid(&world.devices[0], DocumentId([7; 16]), "key 1", "what nobody wrote").unwrap();
    assert!(world.devices[0].make_checkpoint().unwrap());
    world.meet(0, 1);
    world.meet(0, 1);
    assert_eq!(world.devices[1].check_checkpoints().unwrap(), Looked { same: 0, cosigned: 0, differing: 1 });
    let named = world.devices[1].status().unwrap().checkpoints;
    assert_eq!((named[0].standing, named[0].maker.as_deref()), (CheckpointStanding::Differs, Some("laptop")));
    assert_eq!(named[0].second, None);
    // Whoever asks the honest one is not given it.
    let fresh = world.admit("tablet", Role::Admin);
    world.meet(0, 1);
    world.meet(1, fresh);
    world.meet(1, fresh);
    assert_eq!(world.checkpoints(fresh), Vec::new());
    assert_eq!(world.shown(fresh), world.shown(1));
}

#[test]
fn a_device_that_was_away_merges_a_checkpoint_and_then_brings_its_own() {
    let world = World::of(&["laptop", "phone", "tablet"]);
    world.put(2, 1, "tablet", "before it went away");
    world.meet(2, 0);
    world.pass(20 * DAY);
    for _ in 0..15 {
        world.edits(0);
    }
    world.put(2, 1, "away", "written on a mountain");
    world.put(2, 35, "away", "a record of its own");
    assert!(world.devices[0].make_checkpoint().unwrap());
    let before = world.entries(2);
    world.meet(0, 2);
    assert_eq!(world.standings(2), vec![CheckpointStanding::Unverified]);
    assert!(world.entries(2) < before + 40, "it was given all of it entry by entry");
    world.all_meet();
    world.assert_equal();
    let (rows, _) = world.shown(0);
    assert!(rows.iter().any(|(_, value)| String::from_utf8_lossy(value).contains("written on a mountain")));
}

#[test]
fn a_removal_keeps_its_meaning_for_a_device_that_started_after_it() {
    let mut world = World::of(&["laptop", "phone", "thief"]);
    world.edits(0);
    world.all_meet();
    world.put(2, 2, "thief", "known to all");
    world.all_meet();
    let thief = world.id(2);
    world.put(2, 2, "thief", "known to nobody");
    world.devices[0].revoke(&thief).unwrap();
    world.meet(0, 1);
    assert!(world.devices[0].make_checkpoint().unwrap());
    let fresh = world.admit("tablet", Role::Admin);
    world.meet(0, fresh);
    assert_eq!(world.devices[fresh].devices().unwrap().len(), 3);
    assert!(world.devices[fresh].devices().unwrap().iter().all(|device| device.id != thief));
    // What the thief wrote unseen comes late, and is held there as anywhere.
    world.meet(2, 1);
    world.meet(1, fresh);
    world.meet(1, 0);
    world.meet(0, fresh);
    for device in [0, 1, fresh] {
        assert_eq!(world.devices[device].quarantined().unwrap(), 1, "device {device}");
        assert_eq!(world.shown(device), world.shown(0), "device {device}");
    }
}

#[test]
fn a_device_that_keeps_no_checkpoints_makes_and_takes_none() {
    let mut world = World::of(&["laptop", "phone"]);
    world.edits(0);
    assert!(world.devices[0].make_checkpoint().unwrap());
    let fresh = world.admit("tablet", Role::Admin);
    world.devices[fresh].keep_checkpoints(false).unwrap();
    assert!(!world.devices[fresh].keeps_checkpoints().unwrap());
    world.meet(0, fresh);
    assert_eq!(world.checkpoints(fresh), Vec::new());
    world.all_meet();
    world.assert_equal();
    assert!(!world.devices[fresh].tend_checkpoints().unwrap());
}
