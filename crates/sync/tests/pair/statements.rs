//! Access statements and log openings on their way between replicas.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_sealed_log::{
    AccessList, AccessStatement, Entry, GET, Log, LogKey, LogOpening, MANAGE, MailboxId, PUT, Position, Pseudonym,
    PseudonymKey, Sealed, Secret, StatementBody,
};
use ties_sync::{Event, Message, Refusal, Replica};

use crate::replica::MemoryReplica;
use crate::world::World;

fn key(number: u8) -> PseudonymKey {
    PseudonymKey::from_secret(&Secret::new([number; 32]))
}

fn first(grants: &[(Pseudonym, u8)]) -> AccessList {
    let body = StatementBody {
        version: 1,
        mailbox: None,
        parents: vec![],
        grants: grants.to_vec(),
        recovery: None,
        random: [3; 32],
        signer: key(1).id(),
    };
    AccessList::begin(AccessStatement::sign(body, &key(1))).unwrap()
}

fn next(list: &AccessList, signer: u8, grants: &[(Pseudonym, u8)]) -> AccessStatement {
    let body = StatementBody {
        version: 1,
        mailbox: Some(list.mailbox()),
        parents: list.heads(),
        grants: grants.to_vec(),
        recovery: None,
        random: [4; 32],
        signer: key(signer).id(),
    };
    AccessStatement::sign(body, &key(signer))
}

fn two_managers() -> AccessList {
    first(&[(key(1).id(), PUT | GET | MANAGE), (key(2).id(), PUT | GET | MANAGE)])
}

/// A log with an opening under a pseudonym.
fn opened(mailbox: &MailboxId, seed: u64, under: u8) -> (LogOpening, Entry) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let log = LogKey::random(&mut rng);
    let (space, epoch) = (ties_sealed_log::SpaceId([1; 32]), ties_sealed_log::EpochId([2; 32]));
    let epoch_key = ties_sealed_log::EpochKey::random(&mut rng);
    let content = Sealed { kind: u16::MAX, deps: vec![], time: 0, body: vec![0; 20] };
    let entry = Entry::seal(&log, Position::FIRST, &space, (&epoch, &epoch_key), &content, &mut rng).unwrap();
    (LogOpening::new(mailbox, &log, &key(under)), entry)
}

fn digests(world: &World) -> Vec<[u8; 32]> {
    world.replicas.iter().map(|replica| replica.access_digest().unwrap()).collect()
}

#[test]
fn statements_of_both_sides_meet() {
    let (mut left, mut right) = (two_managers(), two_managers());
    left.add(next(&left.clone(), 1, &[(key(3).id(), PUT | GET)])).unwrap();
    right.add(next(&right.clone(), 2, &[(key(4).id(), GET)])).unwrap();
    let mut world = World::pair(MemoryReplica::with_list(left), MemoryReplica::with_list(right));
    world.settle();
    assert_eq!(world.replicas[0].list().members().len(), 4);
    assert_eq!(digests(&world)[0], digests(&world)[1]);
}

#[test]
fn a_replica_without_a_list_learns_it() {
    let mut list = two_managers();
    list.add(next(&list.clone(), 1, &[(key(3).id(), PUT | GET)])).unwrap();
    let mut world = World::pair(MemoryReplica::with_list(list), MemoryReplica::default());
    world.settle();
    assert_eq!(digests(&world)[0], digests(&world)[1]);
}

#[test]
fn a_statement_made_while_live_is_told_once() {
    let lists = [two_managers(), two_managers(), two_managers()];
    let mut world = World::new(lists.map(MemoryReplica::with_list).into());
    world.join(0, 1);
    world.join(1, 2);
    world.settle().count_anew();
    let statement = next(world.replicas[0].list(), 1, &[(key(3).id(), PUT | GET)]);
    world.state(0, statement);
    world.settle();
    let digests = digests(&world);
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    let told = |message: &Message| matches!(message, Message::Access(_));
    let sent: Vec<usize> = world.links.iter().flat_map(|link| &link.ends).map(|end| end.count(told)).collect();
    assert_eq!(sent, [1, 0, 1, 0], "it travels onwards, and not back");
}

#[test]
fn statements_that_cross_in_the_middle_reach_both_ends() {
    // Any interleaving at the one in the middle: what came over one link is told over the other.
    for steps in 0..6 {
        let mut world =
            World::new([two_managers(), two_managers(), two_managers()].map(MemoryReplica::with_list).into());
        world.join(0, 1);
        world.join(1, 2);
        world.settle();
        let left = next(world.replicas[0].list(), 1, &[(key(3).id(), PUT | GET)]);
        let right = next(world.replicas[2].list(), 2, &[(key(4).id(), PUT | GET)]);
        world.state(0, left);
        (0..steps).for_each(|_| _ = world.step());
        world.state(2, right);
        world.settle();
        let digests = digests(&world);
        assert!(digests.iter().all(|digest| *digest == digests[0]), "after {steps} steps");
    }
}

#[test]
fn a_statement_from_elsewhere_is_told_even_if_a_frame_of_statements_comes_first() {
    let mut world = World::pair(MemoryReplica::with_list(two_managers()), MemoryReplica::with_list(two_managers()));
    world.settle();
    let theirs = next(world.replicas[1].list(), 2, &[(key(4).id(), GET)]);
    world.state(1, theirs);
    // The host has not come to tell this session of it when the frame arrives.
    let elsewhere = next(world.replicas[0].list(), 1, &[(key(3).id(), GET)]);
    world.replicas[0].list().add(elsewhere).unwrap();
    world.settle();
    assert_eq!(digests(&world)[0], digests(&world)[1]);
}

#[test]
fn more_statements_than_a_frame_holds_take_several() {
    let mut list = two_managers();
    list.add(next(&list.clone(), 1, &[(key(3).id(), PUT | GET)])).unwrap();
    let mut left = MemoryReplica::with_list(list);
    // Whether they are valid makes no difference to how they travel.
    left.further_statements = (0..510).map(|number| vec![number as u8; 4_700]).collect();
    let mut world = World::pair(left, MemoryReplica::with_list(two_managers()));
    world.run();
    assert_eq!(digests(&world)[0], digests(&world)[1], "the valid ones are taken");
    let sent = &world.links[0].ends[0].sent;
    let held =
        |message: &Message| if let Message::Access(statements) = message { Some(statements.len()) } else { None };
    let frames: Vec<usize> = sent.iter().filter_map(held).collect();
    assert_eq!(frames.iter().sum::<usize>(), 512, "each travels once");
    assert!(frames.len() > 8, "{frames:?}");
}

#[test]
fn logs_that_the_other_side_does_not_know_travel_with_their_openings_in_one_frame() {
    let list = two_managers();
    let mut left = MemoryReplica::with_list(list.clone());
    for seed in 0..300 {
        let (opening, entry) = opened(&list.mailbox(), seed, 1 + (seed % 2) as u8);
        left.hold_opening(&opening);
        left.write(&entry);
    }
    let mut right = MemoryReplica::with_list(list);
    right.strict = true;
    let mut world = World::pair(left, right);
    world.settle();
    assert_eq!(world.replicas[1].openings(), 300);
    let end = &world.links[0].ends[0];
    assert_eq!(end.count(|message| matches!(message, Message::Openings(_))), 1, "a refill is no flood of messages");
}

#[test]
fn a_log_opened_under_a_stranger_is_refused_and_the_others_are_taken() {
    let list = two_managers();
    let mut left = MemoryReplica::with_list(list.clone());
    let (good, listed) = opened(&list.mailbox(), 1, 2);
    let (bad, stranger) = opened(&list.mailbox(), 2, 9);
    for (opening, entry) in [(good, &listed), (bad, &stranger)] {
        left.hold_opening(&opening);
        left.write(entry);
    }
    let mut right = MemoryReplica::with_list(list);
    right.strict = true;
    let mut world = World::pair(left, right);
    world.run();
    assert_eq!(world.replicas[1].vector().unwrap().logs().collect::<Vec<_>>(), vec![listed.log()]);
    let refused = Event::Refused { log: stranger.log(), reason: Refusal::NotOpened };
    assert!(world.links[0].ends[0].events.contains(&refused));
    assert!(world.links[0].ends.iter().all(|end| end.session.is_settled()));
}
