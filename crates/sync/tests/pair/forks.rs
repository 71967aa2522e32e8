//! Logs with more than one branch.

use ties_sealed_log::conformance::Scribe;
use ties_sealed_log::{Entry, Log, MAX_BRANCHES};
use ties_sync::{Event, Message, Refusal};

use crate::replica::MemoryReplica;
use crate::world::World;

/// A trunk and branches that leave it at its end.
fn tree(seed: u64, trunk: usize, branches: &[usize]) -> (Scribe, Vec<Entry>, Vec<Vec<Entry>>) {
    let mut scribe = Scribe::new(seed);
    let trunk = scribe.chain(None, trunk);
    let branches = branches.iter().map(|length| scribe.chain(trunk.last(), *length)).collect();
    (scribe, trunk, branches)
}

fn holding(parts: &[&[Entry]]) -> MemoryReplica {
    let mut replica = MemoryReplica::default();
    parts.iter().for_each(|part| replica.write_all(*part));
    replica
}

fn is_probe(message: &Message) -> bool {
    matches!(message, Message::Probe { .. })
}

#[test]
fn a_forked_log_ends_equal_on_both_sides() {
    for trunk in [0, 1, 2, 7] {
        for (left, right) in [(1, 1), (1, 9), (9, 1), (20, 20), (3, 40), (40, 33)] {
            let (scribe, trunk, branches) = tree(1, trunk, &[left, right]);
            let mut world = World::pair(holding(&[&trunk, &branches[0]]), holding(&[&trunk, &branches[1]]));
            world.settle();
            let all = trunk.len() + left + right;
            assert_eq!(world.replicas[0].entries(&scribe.log()).len(), all, "both branches are on both sides");
            for end in &world.links[0].ends {
                assert!(end.events.contains(&Event::Forked { log: scribe.log() }), "both sides learn of the fork");
            }
        }
    }
}

#[test]
fn both_sides_may_probe_at_once_and_send_each_entry_once() {
    // Branches of 16: the probe at distance 16 from place 32 meets the trunk's last entry to the place.
    let (_, trunk, branches) = tree(2, 16, &[16, 16]);
    let mut world = World::pair(holding(&[&trunk, &branches[0]]), holding(&[&trunk, &branches[1]]));
    world.settle();
    for end in &world.links[0].ends {
        assert_eq!(end.count(is_probe), 1, "both are at the same place, so both probe");
        assert_eq!(end.entries(), 16, "and each branch travels once");
    }
}

#[test]
fn a_branch_that_left_below_the_common_place_travels_too() {
    let mut scribe = Scribe::new(3);
    let trunk = scribe.chain(None, 10);
    let low = scribe.chain(Some(&trunk[1]), 2);
    let (left, right) = (scribe.chain(trunk.last(), 3), scribe.chain(trunk.last(), 3));
    let mut world = World::pair(holding(&[&trunk, &low, &left]), holding(&[&trunk, &right]));
    world.settle();
    assert_eq!(world.replicas[1].entries(&scribe.log()).len(), 10 + 2 + 3 + 3);

    let mut world = World::pair(holding(&[&trunk, &right]), holding(&[&trunk, &low, &left]));
    world.settle();
}

#[test]
fn one_side_may_know_more_branches_than_the_other() {
    let (_, trunk, branches) = tree(4, 5, &[4, 6, 8, 2]);
    let [a, b, c, d] = [&branches[0][..], &branches[1], &branches[2], &branches[3]];
    let full = [&trunk[..], a, b, c, d];
    for few in [&[&trunk[..]][..], &[&trunk[..3]], &[&trunk, a], &[&trunk, b, d], &[&trunk, &a[..2], &c[..7]], &[]] {
        for (left, right) in [(&full[..], few), (few, &full[..]), (&[&trunk[..], c][..], few)] {
            World::pair(holding(left), holding(right)).settle();
        }
    }
}

#[test]
fn a_new_entry_on_a_forked_log_travels_alone() {
    let (mut scribe, trunk, branches) = tree(5, 4, &[30, 30]);
    let both = [&trunk[..], &branches[0], &branches[1]];
    let mut world = World::pair(holding(&both), holding(&both));
    world.settle().count_anew();
    let next = scribe.write(branches[1].last(), 0);
    world.write(0, &next);
    world.settle();
    assert_eq!(world.links[0].ends[0].entries(), 1, "the entries since the fork are not sent again");
}

#[test]
fn a_fork_that_comes_from_a_third_reaches_all() {
    let (_, trunk, branches) = tree(6, 4, &[12, 9]);
    let mut world = World::new(vec![
        holding(&[&trunk, &branches[0]]),
        holding(&[&trunk, &branches[0]]),
        holding(&[&trunk, &branches[1]]),
    ]);
    world.join(0, 1);
    world.run();
    world.join(1, 2);
    world.settle();
}

#[test]
fn a_copied_device_that_writes_on_both_sides_stays_equal() {
    let (mut scribe, trunk, _) = tree(7, 3, &[]);
    let mut world = World::pair(holding(&[&trunk]), holding(&[&trunk]));
    world.settle();
    // Both write before they hear of each other, again and again on their own branch.
    let (mut left, mut right) = (trunk[2].clone(), trunk[2].clone());
    for _ in 0..6 {
        left = scribe.write(Some(&left), 0);
        right = scribe.write(Some(&right), 0);
        world.write(0, &left);
        world.write(1, &right);
        world.step();
    }
    world.settle();
}

#[test]
fn a_ninth_branch_is_refused_and_the_rest_goes_on() {
    let lengths = [2; MAX_BRANCHES];
    let (mut scribe, trunk, ours) = tree(8, 3, &lengths);
    let theirs: Vec<Vec<Entry>> = lengths.iter().map(|length| scribe.chain(trunk.last(), *length)).collect();
    let mut other = Scribe::new(9);
    let plain = other.chain(None, 5);
    let parts = |branches: &[Vec<Entry>]| {
        let mut replica = holding(&[&trunk]);
        branches.iter().for_each(|branch| replica.write_all(branch));
        replica
    };
    let (mut left, right) = (parts(&ours), parts(&theirs));
    left.write_all(&plain);
    let mut world = World::pair(left, right);
    world.run();
    assert!(world.replicas[1].tips(&other.log()).unwrap() == world.replicas[0].tips(&other.log()).unwrap());
    for end in &world.links[0].ends {
        assert!(end.events.contains(&Event::Refused { log: scribe.log(), reason: Refusal::Branches }));
        assert!(end.session.is_settled(), "nobody waits for a ninth branch");
    }
    for replica in &world.replicas {
        assert_eq!(replica.tips(&scribe.log()).unwrap().len(), MAX_BRANCHES, "what was there stays");
    }
}
