//! Devices that meet with no relay in between, over links on loopback and over a table.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use automerge::transaction::Transactable;
use automerge::{ROOT, ReadDoc};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use ties_engine::{
    CreateOptions, DeviceId, DialError, DocumentId, EditError, Environment, Input, PeerAddress, PeerConversation,
    PeerEvent, PeerFailure, PeerNews, PeerReport, PeerRoads, Road, Role, Space, Tally, Turn, WriteError,
};
use ties_store::Store;
use ties_sync::Message;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Devices of one space, of which each knows what it was told.
struct World {
    now: Arc<AtomicU64>,
    road: Road,
    devices: Vec<Space>,
}

impl World {
    /// A founder.
    fn new(seed: u64) -> Self {
        let now = Arc::new(AtomicU64::new(1_760_000_000_000));
        let options = CreateOptions { device_name: "device 0".into(), recovery: false };
        let environment = environment(&now, seed * 100);
        let (founder, _) = Space::create_in(Store::in_memory().unwrap(), (), &options, environment).unwrap();
        let relay = ties_sealed_log::RelaySecret::from_secret(&ties_sealed_log::Secret::new([7; 32])).id();
        let address = ties_engine::RelayAddress::new(ties_net::Scheme::Loopback, "127.0.0.1", 7700, relay).unwrap();
        let road = founder.offline().add_relay(&address.to_string()).unwrap();
        Self { now, road, devices: vec![founder] }
    }

    /// A device that device `host` lets in; nobody else knows of it.
    fn admit(&mut self, host: usize) -> usize {
        let at = self.devices.len();
        let environment = environment(&self.now, 1000 + at as u64);
        let (store, name) = (Store::in_memory().unwrap(), format!("device {at}"));
        let device = self.devices[host].offline().admit(&self.road, Role::Admin, store, (), &name, environment);
        self.devices.push(device.unwrap());
        at
    }

    /// A founder and others who have all met.
    fn of(count: usize) -> Self {
        let mut world = Self::new(1);
        (1..count).for_each(|_| _ = world.admit(0));
        world.all_meet();
        world
    }

    fn all_meet(&self) {
        for _ in 0..3 {
            for (one, other) in (0..self.devices.len()).flat_map(|one| (0..one).map(move |other| (one, other))) {
                self.meet(one, other);
            }
        }
    }

    /// Two devices exchange everything over a table.
    fn meet(&self, one: usize, other: usize) {
        let [a, b] = [&self.devices[one], &self.devices[other]];
        let _ = converse([(a, key(b)), (b, key(a))]);
    }

    fn id(&self, device: usize) -> DeviceId {
        self.devices[device].devices().unwrap().into_iter().find(|one| one.this).unwrap().id
    }
}

/// What each said, when both have nothing more to say.
fn converse(sides: [(&Space, [u8; 32]); 2]) -> [Vec<Message>; 2] {
    let mut sides = sides.map(|(space, peer)| PeerConversation::new(space, peer, [1; 32]).unwrap());
    let mut said = [Vec::new(), Vec::new()];
    let mut under_way = sides.each_mut().map(|side| side.start(Duration::ZERO).unwrap().frames);
    while !under_way.iter().all(Vec::is_empty) {
        let [from_one, from_other] = std::mem::take(&mut under_way);
        for (said, frames) in said.iter_mut().zip([&from_one, &from_other]) {
            said.extend(frames.iter().map(|frame| Message::decode(frame).unwrap()));
        }
        for (side, (frames, said)) in sides.iter_mut().zip([from_other, from_one].iter().zip(&mut under_way)) {
            let inputs: Vec<_> = frames.iter().map(|frame| Input::Frame(frame)).collect();
            let Turn { frames, .. } = side.handle(Duration::ZERO, &inputs).unwrap();
            *said = frames;
        }
    }
    said
}

/// The key that a device proves.
fn key(space: &Space) -> [u8; 32] {
    space.offline().peer_key().unwrap()
}

fn environment(now: &Arc<AtomicU64>, seed: u64) -> Environment {
    let now = Arc::clone(now);
    Environment::new(move || now.load(Ordering::Relaxed), ChaCha20Rng::seed_from_u64(seed))
}

fn put(space: &Space, document: u8, value: i64) {
    let put: Result<(), WriteError<EditError>> =
        space.write(|edit| edit.change(DocumentId([document; 16]), |tx| Ok::<_, EditError>(tx.put(ROOT, "a", value)?)));
    put.unwrap();
}

fn get(space: &Space, document: u8) -> Option<i64> {
    let read = |doc: &automerge::Automerge| doc.get(ROOT, "a").unwrap().and_then(|(value, _)| value.as_i64());
    space.read(DocumentId([document; 16]), read).unwrap().flatten()
}

/// A device that listens on loopback.
struct Listening {
    address: PeerAddress,
    events: Arc<Mutex<Vec<PeerEvent>>>,
    task: JoinHandle<()>,
}

impl Listening {
    async fn start(space: &Space) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let (space, heard) = (space.clone(), Arc::clone(&events));
        let task = tokio::spawn(async move {
            let roads = PeerRoads { listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))), ..PeerRoads::default() };
            space.watch_peers(&roads, |event| heard.lock().unwrap().push(event)).await.unwrap();
        });
        let address = timeout(Duration::from_secs(10), async {
            loop {
                let first = events.lock().unwrap().first().cloned();
                if let Some(PeerEvent { address, news: PeerNews::Listening, .. }) = first {
                    return address.parse().unwrap();
                }
                sleep(Duration::from_millis(5)).await;
            }
        });
        Self { address: address.await.unwrap(), events, task }
    }

    async fn dialled_by(&self, space: &Space) -> PeerReport {
        let mut reports = space.sync_peers(std::slice::from_ref(&self.address), false, |_| {}).await.unwrap();
        reports.pop().unwrap()
    }

    fn connections(&self) -> usize {
        self.events.lock().unwrap().iter().filter(|event| event.news == PeerNews::Connected).count()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn tally(report: &PeerReport) -> Tally {
    *report.outcome.as_ref().unwrap_or_else(|error| panic!("{error:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_exchange_what_each_wrote_and_then_have_nothing_to_say() {
    let world = World::of(2);
    put(&world.devices[0], 1, 10);
    put(&world.devices[1], 2, 20);
    let listening = Listening::start(&world.devices[0]).await;
    let report = listening.dialled_by(&world.devices[1]).await;
    assert_eq!(report.device.as_deref(), Some("device 0"));
    let first = tally(&report);
    assert_eq!((first.entries_sent, first.entries_received), (1, 1));
    assert_eq!((get(&world.devices[0], 2), get(&world.devices[1], 1)), (Some(20), Some(10)));

    let again = tally(&listening.dialled_by(&world.devices[1]).await);
    assert_eq!((again.frames_sent, again.frames_received), (1, 1), "two messages when there is nothing to do");
    assert_eq!(again.bytes_sent + again.bytes_received, 196);
    let met =
        |space: &Space| space.devices().unwrap().iter().map(|device| device.last_met.is_some()).collect::<Vec<_>>();
    assert_eq!((met(&world.devices[0]), met(&world.devices[1])), (vec![false, true], vec![false, true]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_the_other_has_not_heard_of_is_let_in_by_what_it_brings_whoever_dials() {
    for dials in [true, false] {
        let mut world = World::of(2);
        put(&world.devices[1], 2, 20);
        let third = world.admit(0);
        world.meet(0, third);
        put(&world.devices[third], 3, 30);
        assert_eq!(world.devices[1].devices().unwrap().len(), 2, "nothing is known of the third");
        let (listener, dialler) = if dials { (1, third) } else { (third, 1) };
        let listening = Listening::start(&world.devices[listener]).await;
        let report = listening.dialled_by(&world.devices[dialler]).await;
        tally(&report);
        assert_eq!((get(&world.devices[third], 2), get(&world.devices[1], 3)), (Some(20), Some(30)), "{dials}");
        assert_eq!(world.devices[1].devices().unwrap().len(), 3);
    }
}

#[test]
fn who_is_not_known_is_given_no_entry_before_it_is_a_member() {
    let mut world = World::of(2);
    put(&world.devices[1], 2, 20);
    let third = world.admit(0);
    world.meet(0, third);
    let [known, new] = [&world.devices[1], &world.devices[third]];
    let entries = |said: &[Message]| said.iter().filter(|one| matches!(one, Message::Entries(_))).count();

    // It proved an unknown key, and brings nothing that names it.
    let [said, _] = converse([(known, [9; 32]), (new, key(known))]);
    assert_eq!(entries(&said), 0, "{said:?}");
    assert!(said.iter().any(|one| matches!(one, Message::Ack { .. })), "what it brought was taken");
    assert_eq!(known.devices().unwrap().len(), 3, "and read");

    put(known, 4, 40);
    let [said, _] = converse([(known, key(new)), (new, key(known))]);
    assert!(entries(&said) > 0);
    assert_eq!(get(new, 4), Some(40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_device_is_told_by_whom_and_given_nothing() {
    let world = World::of(3);
    world.devices[0].revoke(&world.id(2)).unwrap();
    put(&world.devices[0], 1, 10);
    put(&world.devices[2], 3, 30);
    let listening = Listening::start(&world.devices[0]).await;
    let refused = listening.dialled_by(&world.devices[2]).await.outcome;
    assert!(matches!(&refused, Err(PeerFailure::ShutOut(by)) if by == "device 0"), "{refused:?}");
    assert_eq!((get(&world.devices[2], 1), get(&world.devices[0], 3)), (None, None));
    assert_eq!(listening.connections(), 0);

    // The one that it dialled before it was heard of gives and takes; and then knows better.
    let listening = Listening::start(&world.devices[2]).await;
    let refused = listening.dialled_by(&world.devices[0]).await.outcome;
    assert!(matches!(&refused, Err(PeerFailure::Outsider(name)) if name == "device 2"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_reaches_a_device_that_had_not_heard_of_it() {
    let world = World::of(3);
    world.devices[0].revoke(&world.id(2)).unwrap();
    put(&world.devices[0], 1, 10);
    // The dialler knows more: it is recognised by a key from before.
    let listening = Listening::start(&world.devices[1]).await;
    tally(&listening.dialled_by(&world.devices[0]).await);
    assert_eq!(get(&world.devices[1], 1), Some(10));
    assert_eq!(world.devices[1].epochs().unwrap(), world.devices[0].epochs().unwrap());
    let knows = world.devices[1].devices().unwrap().len();
    assert_eq!(knows, 2, "the removed one is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_of_another_space_sees_nothing_and_is_shown_nothing() {
    let (world, other) = (World::of(2), World::new(9));
    let listening = Listening::start(&world.devices[0]).await;
    let refused = listening.dialled_by(&other.devices[0]).await.outcome;
    assert!(matches!(refused, Err(PeerFailure::Dial(DialError::NotRecognised))), "{refused:?}");
    let nobody = world.devices[0].sync_peers(&["127.0.0.1:1".parse().unwrap()], false, |_| {}).await.unwrap();
    assert!(matches!(nobody[0].outcome, Err(PeerFailure::Dial(DialError::Unreachable(_)))), "{nobody:?}");
    assert_eq!(listening.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_in_touch_hear_each_write_and_one_link_with_each_is_enough() {
    let world = World::of(3);
    let listening = Listening::start(&world.devices[0]).await;
    let addresses = vec![listening.address.clone(), listening.address.clone()];
    let watchers: Vec<_> = [1, 2]
        .map(|at| {
            let (space, roads) =
                (world.devices[at].clone(), PeerRoads { dial: addresses.clone(), ..PeerRoads::default() });
            tokio::spawn(async move { space.watch_peers(&roads, |_| {}).await.unwrap() })
        })
        .into();
    let arrives = async |at: usize, document: u8, value: i64| {
        let there = timeout(Duration::from_secs(20), async {
            while get(&world.devices[at], document) != Some(value) {
                sleep(Duration::from_millis(5)).await;
            }
        });
        there.await.unwrap_or_else(|_| panic!("device {at} has not heard of document {document}"));
    };
    put(&world.devices[1], 1, 1);
    arrives(0, 1, 1).await;
    arrives(2, 1, 1).await;
    put(&world.devices[2], 2, 2);
    arrives(1, 2, 2).await;
    assert!(listening.connections() <= 2 + 2, "{}", listening.connections());
    watchers.iter().for_each(JoinHandle::abort);
}

/// Devices write, meet, let others in and shut others out, in an order that a seed decides. All who remain end equal.
#[test]
fn whoever_meets_whom_first_all_end_equal() {
    for seed in 1..=8 {
        let mut dice = ChaCha20Rng::seed_from_u64(seed);
        let mut roll = |sides: usize| (dice.next_u64() % sides as u64) as usize;
        let mut world = World::new(seed);
        world.admit(0);
        world.meet(0, 1);
        for step in 0..40 {
            let count = world.devices.len();
            let (one, other) = (roll(count), roll(count));
            // Only who has heard of its own admission may write and let others in.
            let belongs = world.devices[one].devices().unwrap()[0].role.is_some();
            match (roll(8), belongs) {
                (0, true) if count < 5 => _ = world.admit(one),
                (1..=4, true) => put(&world.devices[one], roll(6) as u8, step),
                (5.., _) if one != other => world.meet(one, other),
                _ => {}
            }
        }
        world.all_meet();
        world.all_meet();
        let state = |space: &Space| (0..6).map(|document| get(space, document)).collect::<Vec<_>>();
        for device in &world.devices {
            assert_eq!(state(device), state(&world.devices[0]), "seed {seed}");
            assert_eq!(device.devices().unwrap().len(), world.devices.len(), "seed {seed}");
        }
    }
}
