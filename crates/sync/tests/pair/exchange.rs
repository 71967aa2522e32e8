//! What an exchange costs, and that it is whole.

use ties_sealed_log::conformance::Scribe;
use ties_sealed_log::{Entry, Log, MAX_ENTRY};
use ties_sync::{Event, Message, Refusal, WINDOW};

use crate::replica::MemoryReplica;
use crate::world::World;

fn scribes(count: u64) -> Vec<Scribe> {
    (0..count).map(|seed| Scribe::new(1_000 + seed)).collect()
}

fn holding(entries: &[Entry]) -> MemoryReplica {
    let mut replica = MemoryReplica::default();
    replica.write_all(entries);
    replica
}

fn total(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.bytes().len()).sum()
}

#[test]
fn nothing_to_do_costs_two_messages() {
    let logs: Vec<Entry> = scribes(20).iter_mut().flat_map(|scribe| scribe.chain(None, 3)).collect();
    let mut world = World::pair(holding(&logs), holding(&logs));
    world.settle();
    for end in &world.links[0].ends {
        assert_eq!(end.sent.len(), 1, "one message each way");
        assert_eq!(end.bytes, 98);
        assert_eq!(end.events, vec![Event::Settled]);
    }
}

#[test]
fn two_empty_replicas_settle() {
    let mut world = World::pair(MemoryReplica::default(), MemoryReplica::default());
    world.settle();
    assert!(world.links[0].ends.iter().all(|end| end.sent.len() == 1));
}

#[test]
fn a_difference_costs_about_72_bytes_a_log() {
    const LOGS: usize = 300;
    let mut scribes = scribes(LOGS as u64);
    let logs: Vec<Entry> = scribes.iter_mut().map(|scribe| scribe.write(None, 0)).collect();
    let more = scribes[7].write(Some(&logs[7]), 0);
    let mut left = holding(&logs);
    left.write(&more);
    let mut world = World::pair(left, holding(&logs));
    world.settle();
    let [left, right] = &world.links[0].ends;
    let beside = left.bytes + right.bytes - more.bytes().len();
    let a_log = beside.div_ceil(2 * LOGS);
    assert!((60..=72).contains(&a_log), "each side says {a_log} bytes for each log");
    assert_eq!((left.entries(), right.entries()), (1, 0), "and only what differs travels");
}

#[test]
fn one_new_entry_travels_with_one_frame_and_one_ack() {
    let mut scribe = Scribe::new(1);
    let logs = scribe.chain(None, 3);
    let mut world = World::pair(holding(&logs), holding(&logs));
    world.settle().count_anew();
    let next = scribe.write(logs.last(), 0);
    world.write(0, &next);
    world.settle();
    let [left, right] = &world.links[0].ends;
    assert!(matches!(left.sent[..], [Message::Entries(_)]), "{:?}", left.sent);
    assert!(matches!(right.sent[..], [Message::Ack { .. }]), "{:?}", right.sent);
    assert!(left.bytes <= next.bytes().len() + 8, "an entry costs itself and a few bytes");
    assert!(right.bytes <= 80, "an ack costs its tip");
    let tip = world.replicas[0].tips(&scribe.log()).unwrap()[0];
    assert_eq!(left.acknowledged, vec![ties_sealed_log::TipRecord { log: scribe.log(), tip }]);
    assert_eq!(left.events.last(), Some(&Event::Settled), "it is settled once more");
    assert_eq!(right.events, vec![Event::Received { entries: 1, bytes: next.bytes().len() }, Event::Settled]);
}

#[test]
fn each_side_gets_what_the_other_has() {
    let mut scribes = scribes(6);
    let logs: Vec<Vec<Entry>> = scribes.iter_mut().map(|scribe| scribe.chain(None, 12)).collect();
    let (mut left, mut right) = (MemoryReplica::default(), MemoryReplica::default());
    for (number, log) in logs.iter().enumerate() {
        // One side only, both alike, one ahead of the other, in turns.
        left.write_all(&log[..[12, 0, 12, 5, 12, 1][number]]);
        right.write_all(&log[..[0, 12, 12, 12, 4, 2][number]]);
    }
    let mut world = World::pair(left, right);
    world.settle();
    let [left, right] = &world.links[0].ends;
    assert_eq!(left.entries(), 12 + 8, "nothing is sent that is there already");
    assert_eq!(right.entries(), 12 + 7 + 1);
    assert_eq!(left.sent.len() + right.sent.len(), 2 * 4, "open, vector, one frame of entries, one ack; each way");
}

#[test]
fn a_big_backlog_respects_the_window() {
    let mut scribe = Scribe::new(2);
    let mut chain: Vec<Entry> = Vec::new();
    for _ in 0..60 {
        let next = scribe.write(chain.last(), 150_000);
        chain.push(next);
    }
    assert!(total(&chain) > 2 * WINDOW as usize);
    let mut world = World::pair(holding(&chain), MemoryReplica::default());
    world.settle();
    let left = &world.links[0].ends[0];
    assert!(left.most_in_flight > WINDOW as usize / 2, "the window is used, at most {}", left.most_in_flight);
    assert_eq!(left.entries(), chain.len(), "each entry travels once");
    assert_eq!(left.events.iter().filter(|event| **event == Event::Settled).count(), 1, "settled when all is there");
}

#[test]
fn an_entry_of_nearly_full_size_has_a_frame_of_its_own() {
    let mut scribe = Scribe::new(3);
    // Padding rounds up; this is the largest that still fits.
    let first = scribe.write(None, 0);
    let large = scribe.write(Some(&first), MAX_ENTRY - (40 << 10));
    assert!(large.bytes().len() > MAX_ENTRY - (64 << 10));
    let last = scribe.write(Some(&large), 0);
    let mut world = World::pair(holding(&[first, large, last]), MemoryReplica::default());
    world.settle();
    assert_eq!(world.links[0].ends[0].count(|message| matches!(message, Message::Entries(_))), 3);
}

#[test]
fn a_refused_log_does_not_stop_others() {
    let mut scribes = scribes(5);
    let logs: Vec<Vec<Entry>> = scribes.iter_mut().map(|scribe| scribe.chain(None, 6)).collect();
    let left = holding(&logs.concat());
    let mut right = MemoryReplica::default();
    right.refuses.insert(scribes[2].log(), (4, Refusal::Quota));
    let mut world = World::pair(left, right);
    world.run();
    for (number, scribe) in scribes.iter().enumerate() {
        let there = world.replicas[1].entries(&scribe.log()).len();
        assert_eq!(there, if number == 2 { 3 } else { 6 }, "log {number}");
    }
    let refused = Event::Refused { log: scribes[2].log(), reason: Refusal::Quota };
    let left = &world.links[0].ends[0];
    assert!(left.events.contains(&refused), "the first reason is told, not the gaps that follow: {:?}", left.events);
    assert_eq!(left.session.refused().collect::<Vec<_>>(), vec![scribes[2].log()]);
    assert!(world.links[0].ends.iter().all(|end| end.session.is_settled()), "nobody waits for what is refused");
    world.acknowledged_is_there();

    world.count_anew();
    let next = scribes[2].write(logs[2].last(), 0);
    world.write(0, &next);
    assert!(!world.step(), "nothing more of a refused log is sent in this session");
    let next = scribes[0].write(logs[0].last(), 0);
    world.write(0, &next);
    world.run();
    assert!(world.replicas[1].entries(&scribes[0].log()).contains(&next.name()), "and the others live on");
}

#[test]
fn what_is_written_while_the_first_words_cross_is_not_forgotten() {
    for steps in 0..8 {
        let mut scribes = scribes(2);
        let logs: Vec<Vec<Entry>> = scribes.iter_mut().map(|scribe| scribe.chain(None, 3)).collect();
        let mut world = World::pair(holding(&logs[0]), holding(&logs[1]));
        (0..steps).for_each(|_| _ = world.step());
        let (left, right) = (scribes[0].write(logs[0].last(), 0), scribes[1].write(logs[1].last(), 0));
        world.write(0, &left);
        world.write(1, &right);
        world.settle();
    }
}

#[test]
fn three_replicas_through_one_in_the_middle_end_equal() {
    let mut scribes = scribes(3);
    let logs: Vec<Vec<Entry>> = scribes.iter_mut().map(|scribe| scribe.chain(None, 40)).collect();
    let mut world = World::new(logs.iter().map(|log| holding(log)).collect());
    world.join(0, 1);
    world.join(1, 2);
    world.settle().count_anew();
    let next = scribes[0].write(logs[0].last(), 0);
    world.write(0, &next);
    world.settle();
    let sent: usize = world.links.iter().flat_map(|link| &link.ends).map(|end| end.sent.len()).sum();
    assert_eq!(sent, 4, "an entry passes through with a frame and an ack on each link, and does not come back");
}

#[test]
fn a_ring_carries_an_entry_to_all_and_comes_to_rest() {
    let mut scribe = Scribe::new(4);
    let chain = scribe.chain(None, 2);
    let mut world = World::new((0..4).map(|_| holding(&chain)).collect());
    for number in 0..4 {
        world.join(number, (number + 1) % 4);
    }
    world.settle();
    let next = scribe.write(chain.last(), 0);
    world.write(2, &next);
    world.settle();
}
