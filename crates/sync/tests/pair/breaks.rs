//! Links that break, replicas that die, and peers that fall silent.

use std::time::Duration;

use ties_sealed_log::Entry;
use ties_sealed_log::conformance::Scribe;
use ties_sync::{Input, Message, Session, SessionError};

use crate::replica::MemoryReplica;
use crate::world::{SUBJECT, World};

/// Two sides with plenty to say: several logs each way, one of them forked.
fn busy_pair() -> World {
    let (mut left, mut right) = (MemoryReplica::default(), MemoryReplica::default());
    for seed in 0..4 {
        left.write_all(&Scribe::new(10 + seed).chain(None, 8));
        right.write_all(&Scribe::new(20 + seed).chain(None, 8));
    }
    let mut large = Scribe::new(30);
    let mut chain: Vec<Entry> = Vec::new();
    for _ in 0..10 {
        let next = large.write(chain.last(), 100_000);
        chain.push(next);
    }
    left.write_all(&chain);
    let mut forked = Scribe::new(31);
    let trunk = forked.chain(None, 5);
    for side in [&mut left, &mut right] {
        side.write_all(&trunk);
        side.write_all(&forked.chain(trunk.last(), 12));
    }
    World::pair(left, right)
}

#[test]
fn a_link_that_breaks_at_any_frame_loses_nothing() {
    let mut world = busy_pair();
    world.settle();
    let frames = world.links[0].delivered;
    assert!(frames > 12, "{frames} frames cross");
    for at in 0..frames {
        let mut world = busy_pair();
        world.links[0].breaks_in = Some(at);
        while world.links[0].breaks_in.is_some() {
            assert!(world.step(), "it breaks after {at} frames");
            world.acknowledged_is_there();
        }
        world.settle();
        assert!(world.links[0].delivered > at, "and the next session finishes");
    }
}

#[test]
fn a_replica_that_dies_before_its_writes_are_durable_has_acknowledged_none_of_them() {
    for seed in 0..40 {
        let mut world = busy_pair();
        world.rng = rand_chacha::rand_core::SeedableRng::seed_from_u64(seed);
        world.weather.crashes = 10;
        for _ in 0..400 {
            if !world.step() {
                break;
            }
            world.acknowledged_is_there();
        }
        world.weather.crashes = 0;
        world.settle();
    }
}

#[test]
fn a_peer_that_never_answers_is_given_up_at_the_deadline() {
    let mut world = busy_pair();
    let total = { busy_pair().settle().links[0].delivered };
    // Whatever was said before, silence ends the session; only who is settled waits for nothing.
    for heard in 0..total {
        let mut world = busy_pair();
        world.step();
        (0..heard).for_each(|_| _ = world.step());
        for side in 0..2 {
            let session = &world.links[0].ends[side].session;
            if session.is_settled() {
                assert_eq!(session.deadline(), None);
                continue;
            }
            let deadline = session.deadline().expect("who is not settled has a deadline");
            assert!(deadline <= world.now + Duration::from_secs(60));
            let (replica, early) = (&mut world.replicas[side], deadline - Duration::from_millis(1));
            let session = &mut world.links[0].ends[side].session;
            assert!(session.handle(early, Input::Tick, replica).unwrap().is_empty(), "nothing happens before");
            assert!(matches!(world.tick(0, side), Err(SessionError::Stalled)));
        }
    }
    world.step();
    let first = world.links[0].ends[0].session.deadline();
    assert_eq!(first, Some(Duration::from_secs(20)), "the first word is awaited for twenty seconds");
}

#[test]
fn an_entry_that_is_not_acknowledged_is_given_up_at_the_deadline() {
    let mut scribe = Scribe::new(40);
    let chain = scribe.chain(None, 2);
    let mut replicas = [MemoryReplica::default(), MemoryReplica::default()];
    replicas.iter_mut().for_each(|replica| replica.write_all(&chain));
    let [left, right] = replicas;
    let mut world = World::pair(left, right);
    world.settle();
    world.now += Duration::from_secs(1_000);
    let next = scribe.write(chain.last(), 0);
    world.write(0, &next);
    assert_eq!(world.links[0].ends[0].session.deadline(), Some(world.now + Duration::from_secs(60)));
    assert!(matches!(world.tick(0, 0), Err(SessionError::Stalled)));
}

/// What a side says first that has this log, with what its digest makes of that of the entries.
fn said(scribe: &Scribe, chain: &[Entry], digest: impl Fn([u8; 32]) -> [u8; 32]) -> [Message; 2] {
    let last = chain.last().unwrap();
    let tip = ties_sealed_log::Tip { seq: last.seq(), name: last.name() };
    let records = vec![ties_sealed_log::TipRecord { log: scribe.log(), tip }];
    let digest = digest(records.iter().copied().collect::<ties_sealed_log::Vector>().digest());
    [Message::Open { version: 1, subject: SUBJECT, access: [0; 32], digest }, Message::Vector(records)]
}

#[test]
fn a_floor_that_the_digest_tells_of_is_waited_for() {
    let mut scribe = Scribe::new(42);
    let chain = scribe.chain(None, 2);
    let mut replica = MemoryReplica::default();
    replica.write_all(&chain);
    let mut session = Session::new(SUBJECT);
    session.start(Duration::ZERO, &replica).unwrap();
    let with_floor = |entries: [u8; 32]| ties_sealed_log::hash("ties1/held", &[&entries, &[9; 32]]);
    for message in said(&scribe, &chain, with_floor) {
        session.handle(Duration::from_secs(5), Input::Frame(&message.encode()), &mut replica).unwrap();
    }
    assert!(!session.is_settled(), "it has all entries, and not heard of the floor");
    assert_eq!(session.deadline(), Some(Duration::from_secs(65)));
}

#[test]
fn tips_that_are_announced_and_never_come_end_at_the_deadline() {
    let mut scribe = Scribe::new(41);
    let chain = scribe.chain(None, 2);
    let mut replica = MemoryReplica::default();
    let mut session = Session::new(SUBJECT);
    session.start(Duration::ZERO, &replica).unwrap();
    for message in said(&scribe, &chain, |entries| entries) {
        session.handle(Duration::from_secs(5), Input::Frame(&message.encode()), &mut replica).unwrap();
    }
    assert!(!session.is_settled());
    assert_eq!(session.deadline(), Some(Duration::from_secs(65)));
    // They come over another link: that settles it.
    replica.write_all(&chain);
    session.handle(Duration::from_secs(6), Input::Changed, &mut replica).unwrap();
    assert!(session.is_settled());
    assert_eq!(session.deadline(), None);
}
