//! Devices are shut out, sign off, are demoted and renamed; what each wrote counts or is held, the same on every device.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use automerge::transaction::Transactable;
use automerge::{ROOT, ReadDoc};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_engine::{
    Conversation, CreateOptions, DeviceId, DocumentId, EditError, Environment, Fault, Input, MemberError, Road, Role,
    Space, Turn, WriteError,
};
use ties_store::Store;

const DAY: u64 = 24 * 60 * 60 * 1000;

/// Devices at one mailbox that no relay keeps: they meet in pairs.
struct World {
    now: Arc<AtomicU64>,
    road: Road,
    devices: Vec<Space>,
}

impl World {
    /// A founder and others, all admins, who have all met.
    fn of(names: &[&str]) -> Self {
        let now = Arc::new(AtomicU64::new(1_760_000_000_000));
        let options = CreateOptions { device_name: names[0].into(), recovery: true };
        let environment = |seed| environment(&now, seed);
        let store = Store::in_memory().unwrap();
        let (founder, _) = Space::create_in(store, (), &options, environment(1)).unwrap();
        let relay = ties_sealed_log::RelaySecret::from_secret(&ties_sealed_log::Secret::new([7; 32])).id();
        let address = ties_engine::RelayAddress::new(ties_net::Scheme::Loopback, "127.0.0.1", 7700, relay).unwrap();
        let road = founder.offline().add_relay(&address.to_string()).unwrap();
        let mut world = Self { now, road, devices: vec![founder] };
        for (at, name) in names.iter().enumerate().skip(1) {
            world.admit(name, Role::Admin, at as u64 + 1);
        }
        world.all_meet();
        world
    }

    fn admit(&mut self, name: &str, role: Role, seed: u64) {
        let environment = environment(&self.now, seed);
        let store = Store::in_memory().unwrap();
        let device = self.devices[0].offline().admit(&self.road, role, store, (), name, environment).unwrap();
        self.devices.push(device);
        self.meet(0, self.devices.len() - 1);
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

    fn meet(&self, one: usize, other: usize) {
        let pair = [&self.devices[one], &self.devices[other]];
        pair.iter().for_each(|space| space.offline().tidy(&self.road).unwrap());
        let mut sides = pair.map(|space| Conversation::new(space, self.road.mailbox, self.road.relay));
        let mut under_way = sides.each_mut().map(|side| side.start(Duration::ZERO).unwrap().frames);
        while !under_way.iter().all(Vec::is_empty) {
            let [from_one, from_other] = std::mem::take(&mut under_way);
            for (side, (frames, said)) in sides.iter_mut().zip([from_other, from_one].iter().zip(&mut under_way)) {
                let inputs: Vec<_> = frames.iter().map(|frame| Input::Frame(frame)).collect();
                let Turn { frames, .. } = side.handle(Duration::ZERO, &inputs).unwrap();
                *said = frames;
            }
        }
        assert!(sides.iter().all(Conversation::is_settled));
    }

    fn put(&self, device: usize, document: u8, key: &str, value: i64) {
        put(&self.devices[device], document, key, value).unwrap();
    }

    fn get(&self, device: usize, document: u8, key: &str) -> Option<i64> {
        get(&self.devices[device], document, key)
    }

    fn epochs(&self, device: usize) -> usize {
        self.devices[device].epochs().unwrap()
    }
}

fn environment(now: &Arc<AtomicU64>, seed: u64) -> Environment {
    let now = Arc::clone(now);
    Environment::new(move || now.load(Ordering::Relaxed), ChaCha20Rng::seed_from_u64(seed))
}

fn put(space: &Space, document: u8, key: &str, value: i64) -> Result<(), WriteError<EditError>> {
    space.write(|edit| edit.change(DocumentId([document; 16]), |tx| Ok::<_, EditError>(tx.put(ROOT, key, value)?)))
}

fn get(space: &Space, document: u8, key: &str) -> Option<i64> {
    let read = |doc: &automerge::Automerge| doc.get(ROOT, key).unwrap().and_then(|(value, _)| value.as_i64());
    space.read(DocumentId([document; 16]), read).unwrap().flatten()
}

#[test]
fn a_lost_device_is_shut_out_and_reads_nothing_sealed_afterwards() {
    let world = World::of(&["laptop", "phone", "tablet"]);
    world.put(1, 1, "before", 1);
    world.all_meet();
    world.devices[0].revoke(&world.id(1)).unwrap();
    world.put(0, 2, "after", 2);
    world.meet(0, 2);
    world.put(2, 3, "after", 3);

    // The lost phone gets everything there is, by whatever way, and has every key it ever had.
    world.meet(0, 2);
    world.meet(2, 1);
    world.meet(0, 1);
    assert_eq!(world.get(1, 1, "before"), Some(1));
    assert_eq!(world.get(1, 2, "after"), None);
    assert_eq!(world.get(1, 3, "after"), None);
    assert!(world.devices[1].status().unwrap().waiting.iter().any(|parked| parked.count >= 2));
    assert_eq!(world.get(2, 2, "after"), Some(2));
    assert_eq!(world.get(0, 3, "after"), Some(3));

    let refused = put(&world.devices[1], 4, "mine", 4).unwrap_err();
    assert!(matches!(refused, WriteError::Fault(Fault::Removed) | WriteError::Edit(EditError::Fault(Fault::Removed))));
    assert_eq!(world.devices[0].devices().unwrap().len(), 2);
}

#[test]
fn what_a_lost_device_wrote_unseen_waits_for_a_yes_and_comes_back_once() {
    let world = World::of(&["laptop", "phone", "tablet"]);
    world.put(1, 1, "name", 1);
    world.all_meet();
    // The phone is offline in a pocket, honest, and goes on.
    world.put(1, 1, "name", 2);
    world.put(1, 2, "note", 3);
    world.devices[0].revoke(&world.id(1)).unwrap();
    world.meet(2, 0);
    world.meet(2, 1);
    world.meet(2, 0);
    for device in [0, 2] {
        assert_eq!(world.get(device, 1, "name"), Some(1), "{device}");
        assert_eq!(world.get(device, 2, "note"), None, "{device}");
        assert_eq!(world.devices[device].quarantined().unwrap(), 2);
    }
    let held = world.devices[2].quarantine().unwrap();
    assert_eq!((held.len(), held[0].name.as_str(), held[0].entries), (1, "phone", 2));
    let shown = held[0].documents.iter().find(|document| document.id == DocumentId([1; 16])).unwrap();
    let name = |doc: &Option<automerge::Automerge>| {
        doc.as_ref().and_then(|doc| doc.get(ROOT, "name").unwrap()).and_then(|(value, _)| value.as_i64())
    };
    assert_eq!((name(&shown.before), name(&shown.after)), (Some(1), Some(2)));

    world.devices[2].accept(&world.id(1)).unwrap();
    assert_eq!(world.get(2, 1, "name"), Some(2));
    world.devices[0].discard(&world.id(1)).unwrap();
    assert_eq!(world.devices[0].quarantined().unwrap(), 0);
    world.meet(0, 2);
    for device in [0, 2] {
        assert_eq!(world.get(device, 1, "name"), Some(2), "accepting wins over putting away");
        assert_eq!(world.get(device, 2, "note"), Some(3));
        assert_eq!(world.devices[device].quarantined().unwrap(), 0);
        assert!(world.devices[device].quarantine().unwrap().is_empty());
    }
}

#[test]
fn what_somebody_built_upon_before_hearing_of_the_removal_counts_everywhere() {
    let world = World::of(&["laptop", "phone", "tablet"]);
    world.put(1, 1, "name", 1);
    world.put(1, 2, "other", 1);
    // The tablet reads it and builds upon it; the laptop has seen nothing of it.
    world.meet(1, 2);
    world.put(2, 1, "name", 2);
    world.put(1, 3, "later", 1);
    world.devices[0].revoke(&world.id(1)).unwrap();
    world.meet(0, 1);
    assert_eq!(world.get(0, 1, "name"), None, "nobody here has vouched for it yet");
    assert_eq!(world.devices[0].quarantined().unwrap(), 3);
    world.meet(0, 2);
    world.meet(0, 2);
    for device in [0, 2] {
        assert_eq!(world.get(device, 1, "name"), Some(2), "{device}");
        assert_eq!(world.get(device, 2, "other"), Some(1), "{device}");
        assert_eq!(world.get(device, 3, "later"), None, "{device}");
        assert_eq!(world.devices[device].quarantined().unwrap(), 1, "{device}");
    }
}

#[test]
fn a_removal_that_comes_late_takes_back_what_was_read_and_not_built_upon() {
    let world = World::of(&["laptop", "phone", "tablet"]);
    world.put(0, 1, "name", 1);
    world.all_meet();
    world.devices[0].revoke(&world.id(1)).unwrap();
    world.put(1, 1, "name", 2);
    world.put(1, 2, "new", 2);
    world.meet(1, 2);
    assert_eq!((world.get(2, 1, "name"), world.get(2, 2, "new")), (Some(2), Some(2)));
    world.meet(0, 2);
    for device in [0, 2] {
        assert_eq!(world.get(device, 1, "name"), Some(1), "{device}");
        assert_eq!(world.get(device, 2, "new"), None, "{device}");
        assert_eq!(world.devices[device].quarantined().unwrap(), 2, "{device}");
    }
}

#[test]
fn it_is_said_who_has_not_heard_of_a_removal_until_they_have() {
    let world = World::of(&["laptop", "phone", "tablet"]);
    world.devices[0].revoke(&world.id(1)).unwrap();
    let removed = world.devices[0].removed_devices().unwrap();
    assert_eq!((removed.len(), removed[0].name.as_str(), removed[0].retired), (1, "phone", false));
    assert_eq!(removed[0].unaware, [world.id(2)]);
    // The tablet hears of it, has nothing to write, and says so nevertheless.
    world.meet(0, 2);
    world.meet(0, 2);
    assert!(world.devices[0].removed_devices().unwrap()[0].unaware.is_empty());
    let before = world.devices[0].offline().vector().unwrap();
    world.meet(0, 2);
    assert_eq!(world.devices[0].offline().vector().unwrap(), before, "said once");
}

#[test]
fn a_device_that_signs_off_leaves_all_it_wrote_and_the_others_change_the_key() {
    let world = World::of(&["laptop", "phone"]);
    world.put(1, 1, "name", 1);
    world.devices[1].retire().unwrap();
    assert!(put(&world.devices[1], 1, "name", 2).is_err());
    world.meet(0, 1);
    assert_eq!(world.get(0, 1, "name"), Some(1));
    let removed = world.devices[0].removed_devices().unwrap();
    assert!(removed[0].retired && world.devices[0].quarantined().unwrap() == 0);
    let before = world.epochs(0);
    world.put(0, 2, "after", 1);
    assert_eq!(world.epochs(0), before + 1, "nothing is sealed for who has gone");
    world.meet(0, 1);
    assert_eq!(world.get(1, 2, "after"), None);
}

#[test]
fn who_decides_is_guarded() {
    let mut world = World::of(&["laptop"]);
    world.admit("phone", Role::Writer, 9);
    world.all_meet();
    let (laptop, phone) = (world.id(0), world.id(1));
    assert!(matches!(world.devices[1].revoke(&laptop), Err(MemberError::NotAdmin | MemberError::LastAdmin)));
    assert!(matches!(world.devices[1].set_role(&phone, Role::Admin), Err(MemberError::NotAdmin)));
    assert!(matches!(world.devices[0].revoke(&laptop), Err(MemberError::NoMember)), "not oneself: that is to retire");
    assert!(matches!(world.devices[0].retire(), Err(MemberError::LastAdmin)));
    assert!(matches!(world.devices[0].set_role(&laptop, Role::Writer), Err(MemberError::LastAdmin)));
    assert!(matches!(world.devices[0].rename_device(&laptop, "laptop"), Err(MemberError::Unchanged)));
    world.devices[1].rename_device(&phone, "pocket").unwrap();
    world.all_meet();
    let names = |device: usize| {
        let devices = world.devices[device].devices().unwrap();
        devices.into_iter().map(|one| one.name).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names(0), names(1));
    assert!(names(0).contains("pocket"));
}

#[test]
fn content_of_a_device_that_may_only_read_and_knows_it_counts_for_nobody() {
    let world = World::of(&["laptop", "phone"]);
    let phone = world.id(1);
    world.devices[0].set_role(&phone, Role::Reader).unwrap();
    // Written before it heard of it: it counts.
    world.put(1, 1, "name", 1);
    world.meet(0, 1);
    assert_eq!(world.get(0, 1, "name"), Some(1));
    assert!(put(&world.devices[1], 1, "name", 2).is_err(), "an honest reader is told");
    world.devices[0].set_role(&phone, Role::Writer).unwrap();
    world.all_meet();
    world.put(1, 1, "name", 3);
    world.all_meet();
    assert_eq!(world.get(0, 1, "name"), Some(3));
}

#[test]
fn two_devices_that_change_the_key_at_once_and_one_let_in_beside_all_read_on() {
    let mut world = World::of(&["laptop", "phone", "tablet"]);
    // The laptop lets somebody in while phone and tablet, unaware, begin an epoch each.
    world.now.fetch_add(40 * DAY, Ordering::Relaxed);
    world.put(1, 1, "a", 1);
    world.put(2, 2, "b", 2);
    world.admit("watch", Role::Writer, 9);
    world.put(3, 3, "c", 3);
    world.all_meet();
    world.all_meet();
    for device in 0..4 {
        let seen = (world.get(device, 1, "a"), world.get(device, 2, "b"), world.get(device, 3, "c"));
        assert_eq!(seen, (Some(1), Some(2), Some(3)), "{device}");
        assert!(world.devices[device].status().unwrap().waiting.is_empty(), "{device}");
    }
}

#[test]
fn an_epoch_serves_a_month() {
    let world = World::of(&["laptop", "phone"]);
    let began = world.epochs(0);
    world.put(0, 1, "a", 1);
    assert_eq!(world.epochs(0), began);
    world.now.fetch_add(31 * DAY, Ordering::Relaxed);
    world.put(0, 1, "a", 2);
    assert_eq!(world.epochs(0), began + 1);
    world.put(0, 1, "a", 3);
    assert_eq!(world.epochs(0), began + 1);
    world.meet(0, 1);
    assert_eq!(world.get(1, 1, "a"), Some(3));
}

#[test]
fn documents_made_anew_from_the_entries_are_those_that_acceptance_left() {
    let world = World::of(&["laptop", "phone", "tablet"]);
    world.put(1, 1, "name", 1);
    world.all_meet();
    world.put(1, 1, "name", 2);
    world.put(1, 2, "note", 3);
    world.devices[0].revoke(&world.id(1)).unwrap();
    world.meet(2, 1);
    world.meet(2, 0);
    let state = |device: usize| (world.get(device, 1, "name"), world.get(device, 2, "note"));
    let kept = state(2);
    assert_eq!(kept, (Some(1), None));
    world.devices[2].rebuild_documents().unwrap();
    assert_eq!(state(2), kept);
    assert_eq!(world.devices[2].quarantined().unwrap(), 2);
}
