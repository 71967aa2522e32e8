//! Checkpoints: who is shown a floor, what travels then, and what no longer does.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_bytes::ByteBuf;
use ties_sealed_log::conformance::Scribe;
use ties_sealed_log::{
    Chunk, ChunkSeal, Entry, EpochId, EpochKey, FloorRecord, Log, LogKey, MANIFEST_VERSION, Manifest, Part, Secret,
    SpaceId, Vector,
};
use ties_sync::{Event, FloorWord, Input, Message, Output, PeerMisbehaved, Refusal, Session, SessionError};

use crate::replica::{MemoryReplica, Policy};
use crate::world::{SUBJECT, Weather, World};

/// A floor at these tips with this many chunks beside the manifest, and the chunks.
pub(crate) fn checkpoint(at: &Vector, chunks: u64, seed: u64) -> (FloorRecord, Vec<Chunk>) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let noise = |rng: &mut ChaCha20Rng| {
        let mut bytes = vec![0; 200_000];
        rng.fill_bytes(&mut bytes);
        Chunk::new(bytes).unwrap()
    };
    let mut sealed: Vec<Chunk> = (0..chunks).map(|_| noise(&mut rng)).collect();
    let part = |chunk: &Chunk| Part { kind: 3, chunk: chunk.name(), len: chunk.len(), items: 1 };
    let parts = sealed.iter().map(part).collect();
    let (space, epoch, key) = (SpaceId([1; 32]), EpochId([2; 32]), EpochKey::new(Secret::new([3; 32])));
    let manifest = Manifest { version: MANIFEST_VERSION, space, cut: at.records().collect(), root: [4; 32], parts };
    sealed.push(manifest.seal(ChunkSeal { space: &space, epoch: &epoch, key: &key }, &mut rng).unwrap());
    let record = FloorRecord::sign(&LogKey::from_secret(&Secret::new([5; 32])), &manifest, &sealed[sealed.len() - 1]);
    (record.unwrap().cosign(&LogKey::from_secret(&Secret::new([6; 32]))).unwrap(), sealed)
}

/// Three logs of ten entries, a checkpoint of them, and two more of the first.
struct Story {
    below: Vec<Entry>,
    above: Vec<Entry>,
    floor: FloorRecord,
    chunks: Vec<Chunk>,
}

impl Story {
    fn new() -> Self {
        let mut scribes: Vec<Scribe> = (500..503).map(Scribe::new).collect();
        let chains: Vec<Vec<Entry>> = scribes.iter_mut().map(|scribe| scribe.chain(None, 10)).collect();
        let above = scribes[0].chain(chains[0].last(), 2);
        let mut all = MemoryReplica::default();
        let below: Vec<Entry> = chains.into_iter().flatten().collect();
        all.write_all(&below);
        let (floor, chunks) = checkpoint(&all.vector().unwrap(), 6, 1);
        Self { below, above, floor, chunks }
    }

    /// Who has the entries, and the checkpoint.
    fn holder(&self, policy: Policy) -> MemoryReplica {
        let mut replica = self.reader(policy);
        replica.floor = Some(self.floor.clone());
        replica.chunks = self.chunks.iter().map(|chunk| (chunk.name(), chunk.bytes().to_vec())).collect();
        replica
    }

    /// Who has the entries alone.
    fn reader(&self, policy: Policy) -> MemoryReplica {
        let mut replica = newcomer(policy);
        replica.write_all(self.below.iter().chain(&self.above));
        replica
    }

    /// Who has the checkpoint, and of the entries those above.
    fn pruned(&self, policy: Policy) -> MemoryReplica {
        let mut replica = self.holder(policy);
        replica.prune(&self.floor);
        replica
    }
}

fn newcomer(policy: Policy) -> MemoryReplica {
    MemoryReplica::with_policy(policy)
}

fn chunks_sent(world: &World, side: usize) -> usize {
    let count = |message: &Message| if let Message::Chunks(chunks) = message { chunks.len() } else { 0 };
    world.links[0].ends[side].sent.iter().map(count).sum()
}

fn floors_sent(world: &World, side: usize) -> usize {
    world.links[0].ends[side].count(|message| matches!(message, Message::Floor(_)))
}

/// Runs, and holds both to the same vector and floor, and to having nothing to say any more.
fn meet(world: &mut World) {
    world.run();
    for end in &world.links[0].ends {
        assert!(end.session.is_settled(), "{:?}", end.session);
        assert_eq!(end.session.deadline(), None, "who is settled waits for nothing");
    }
    world.acknowledged_is_there();
    let [left, right] = [&world.replicas[0], &world.replicas[1]];
    assert_eq!(left.vector().unwrap(), right.vector().unwrap(), "both have the same tips");
    assert_eq!(left.floor, right.floor, "both hold the same floor");
}

#[test]
fn with_the_same_floor_nothing_to_do_costs_two_messages() {
    let story = Story::new();
    let mut world = World::pair(story.holder(Policy::Loads), story.pruned(Policy::Keeps));
    meet(&mut world);
    for end in &world.links[0].ends {
        assert_eq!((end.sent.len(), end.bytes), (1, 98));
        assert_eq!(end.session.other_floor(), Some(story.floor.name()));
    }
}

#[test]
fn a_newcomer_takes_the_checkpoint_and_of_the_entries_those_above() {
    let story = Story::new();
    for holder in [story.pruned(Policy::Keeps), story.holder(Policy::Loads)] {
        let mut world = World::pair(holder, newcomer(Policy::Loads));
        meet(&mut world);
        assert_eq!(chunks_sent(&world, 0), story.chunks.len());
        assert_eq!(world.links[0].ends[0].entries(), story.above.len(), "what lies below stays where it is");
        let staged = world.links[0].ends[1].events.iter().rev().find_map(|event| match event {
            Event::Staged { missing, .. } => Some(*missing),
            _ => None,
        });
        assert_eq!(staged, Some(0), "the host hears how far it is");
        assert!(
            world.links[0].ends[1].events.contains(&Event::Checkpoint { record: story.floor.clone(), needed: false })
        );
        assert_eq!(floors_sent(&world, 1), 0, "nobody is shown what it showed");
    }
}

#[test]
fn who_has_everything_keeps_the_record_alone() {
    let story = Story::new();
    let mut world = World::pair(story.holder(Policy::Loads), story.reader(Policy::Loads));
    meet(&mut world);
    assert_eq!((floors_sent(&world, 0), chunks_sent(&world, 0)), (1, 0));
    assert_eq!((world.links[0].ends[0].entries(), world.links[0].ends[1].entries()), (0, 0));
}

#[test]
fn a_relay_takes_the_chunks_that_it_lacks() {
    let story = Story::new();
    let mut relay = story.reader(Policy::Keeps);
    for chunk in &story.chunks[2..5] {
        relay.chunks.insert(chunk.name(), chunk.bytes().to_vec());
    }
    let mut world = World::pair(relay, story.holder(Policy::Loads));
    meet(&mut world);
    assert_eq!(chunks_sent(&world, 1), story.chunks.len() - 3, "and no others");
}

#[test]
fn a_checkpoint_made_while_they_talk_is_shown_at_once() {
    let story = Story::new();
    let mut world = World::pair(story.reader(Policy::Loads), story.reader(Policy::Keeps));
    meet(&mut world);
    world.replicas[0] = story.holder(Policy::Loads);
    world.tell(0, None);
    meet(&mut world);
    assert_eq!(chunks_sent(&world, 0), story.chunks.len());
}

#[test]
fn a_link_that_breaks_anywhere_costs_no_chunk_that_was_staged() {
    let story = Story::new();
    let mut whole = World::pair(story.pruned(Policy::Keeps), newcomer(Policy::Loads));
    meet(&mut whole);
    let frames = whole.links[0].delivered;
    assert!(frames > 10, "{frames}");
    for at in 0..=frames {
        let mut world = World::pair(story.pruned(Policy::Keeps), newcomer(Policy::Loads));
        world.links[0].breaks_in = Some(at);
        meet(&mut world);
        let mut staged = world.replicas[1].staged.clone();
        assert_eq!(staged.len(), story.chunks.len(), "broken after {at} frames: each came once");
        staged.sort_unstable();
        staged.dedup();
        assert_eq!(staged.len(), story.chunks.len());
    }
}

#[test]
fn who_passes_on_the_checkpoint_gets_the_entries() {
    let story = Story::new();
    for policy in [Policy::Passes, Policy::Refuses] {
        let mut world = World::pair(story.holder(Policy::Loads), newcomer(policy));
        world.run();
        assert!(world.links[0].ends.iter().all(|end| end.session.is_settled()));
        assert_eq!(world.replicas[1].vector().unwrap(), world.replicas[0].vector().unwrap());
        assert_eq!(world.links[0].ends[0].entries(), story.below.len() + story.above.len());
        let refused = Event::FloorRefused { floor: story.floor.name(), reason: Refusal::Floor };
        let heard = world.links[0].ends[0].events.contains(&refused);
        assert_eq!(heard, policy == Policy::Refuses, "a refusal is told");
    }
}

#[test]
fn who_was_away_takes_the_checkpoint_and_gives_its_own() {
    let story = Story::new();
    let mut own = Scribe::new(600);
    let written = own.chain(None, 4);
    let mut world = World::pair(story.pruned(Policy::Keeps), newcomer(Policy::Loads));
    // It knew a part of each log, and has written alone since.
    let known = story.below.iter().filter(|entry| entry.seq() <= 3);
    world.replicas[1].write_all(known);
    world.replicas[1].write_all(&written);
    meet(&mut world);
    assert_eq!(world.links[0].ends[1].entries(), written.len(), "its own, and nothing that the other has");
    assert_eq!(world.replicas[0].entries(&own.log()).len(), 4);
}

#[test]
fn who_passes_on_what_the_other_cut_short_is_told_of_the_gap() {
    let story = Story::new();
    let mut world = World::pair(story.pruned(Policy::Keeps), newcomer(Policy::Passes));
    world.replicas[1].write_all(story.below.iter().filter(|entry| entry.seq() <= 3));
    world.run();
    let [left, right] = &world.links[0].ends;
    let log = story.above[0].log();
    assert!(left.events.contains(&Event::Refused { log, reason: Refusal::Gap }), "{:?}", left.events);
    assert!(right.events.contains(&Event::Declined { log, reason: Refusal::Gap }));
}

#[test]
fn who_passed_on_the_checkpoint_takes_it_after_all_where_the_entries_are_gone() {
    let story = Story::new();
    for known in [0, 3, 9] {
        let mut reader = newcomer(Policy::PassesUnlessNeeded);
        reader.write_all(story.below.iter().filter(|entry| entry.seq() <= known));
        let mut world = World::pair(story.pruned(Policy::Keeps), reader);
        meet(&mut world);
        assert_eq!(floors_sent(&world, 0), 2, "it is shown again once it is known to be needed");
        assert!(world.links[0].ends[1].events.iter().all(|event| !matches!(event, Event::Refused { .. })));
    }
    let mut world = World::pair(story.holder(Policy::Loads), newcomer(Policy::PassesUnlessNeeded));
    meet(&mut world);
    assert_eq!(chunks_sent(&world, 0), 0, "where the entries are there, they come");
}

/// Otherwise a checkpoint that is made while all are online would be signed by nobody until a link breaks.
#[test]
fn who_passed_on_the_checkpoint_is_shown_it_again_with_the_last_entry_below() {
    let story = Story::new();
    let mut reader = newcomer(Policy::PassesUnlessNeeded);
    reader.write_all(&story.below[..story.below.len() - 1]);
    let mut world = World::pair(story.holder(Policy::Loads), reader);
    meet(&mut world);
    assert_eq!((floors_sent(&world, 0), chunks_sent(&world, 0)), (2, 0));
}

/// What the other side said it had, before it came to what it showed, is no less than what it has.
#[test]
fn who_takes_a_checkpoint_goes_on_hearing_of_logs_that_were_announced_lower() {
    let story = Story::new();
    let mut left = newcomer(Policy::Keeps);
    left.write_all(&story.below[..9]);
    left.write_all(&story.below[10..]);
    let mut world = World::pair(left, newcomer(Policy::Loads));
    while world.links[0].ends[0].count(|message| matches!(message, Message::Vector(_))) == 0 {
        assert!(world.step());
    }
    world.replicas[0] = newcomer(Policy::Keeps);
    world.replicas[0].write_all(&story.below);
    world.replicas[0].floor = Some(story.floor.clone());
    world.replicas[0].chunks = story.chunks.iter().map(|chunk| (chunk.name(), chunk.bytes().to_vec())).collect();
    world.tell(0, None);
    meet(&mut world);
    assert_eq!(world.links[0].ends[0].entries(), 0, "it begins with the checkpoint");
    world.replicas[0].write_all(&story.above);
    world.tell(0, None);
    meet(&mut world);
    assert!(world.links[0].ends.iter().all(|end| end.count(|message| matches!(message, Message::Refused { .. })) == 0));
}

/// Who has gone without entries that are gone on the other side takes later what comes of that log over another road.
#[test]
fn what_was_withheld_goes_on_once_another_road_has_filled_the_gap() {
    let story = Story::new();
    let log = story.above[0].log();
    let right = newcomer(Policy::Passes);
    let mut world = World::pair(story.pruned(Policy::Keeps), right);
    world.run();
    let withheld = Event::Refused { log, reason: Refusal::Withheld };
    assert!(world.links[0].ends[1].events.contains(&withheld), "{:?}", world.links[0].ends[1].events);
    let mut scribe = Scribe::new(500);
    let elsewhere: Vec<Entry> = scribe.chain(None, 15);
    world.replicas[1].write_all(&elsewhere);
    world.tell(1, None);
    world.run();
    let tips = |number: usize| world.replicas[number].tips(&log).unwrap();
    assert_eq!(tips(0), tips(1), "it gives what it has, though it was told that it does not get what it lacked");
}

/// A log that came to the other side over another road while they talked, and of which nothing is left there but its end.
#[test]
fn a_log_of_which_nothing_is_left_is_named_even_to_whoever_never_heard_of_it() {
    let mut session = Session::new(SUBJECT);
    let mut replica = newcomer(Policy::Passes);
    session.start(Duration::ZERO, &replica).unwrap();
    let open = Message::Open { version: 1, subject: SUBJECT, access: [0; 32], digest: [9; 32] };
    let log = Scribe::new(500).log();
    let withheld = Message::Refused { log, reason: Refusal::Withheld };
    let mut events = Vec::new();
    for message in [open, Message::Vector(Vec::new()), withheld] {
        let outputs = session.handle(Duration::ZERO, Input::Frame(&message.encode()), &mut replica).unwrap();
        events.extend(outputs.into_iter().filter(|output| matches!(output, Output::Event(Event::Refused { .. }))));
    }
    assert_eq!(events, [Output::Event(Event::Refused { log, reason: Refusal::Withheld })]);
}

#[test]
fn a_branch_that_left_below_the_floor_is_refused_by_name() {
    let story = Story::new();
    let mut scribe = Scribe::new(500);
    let trunk: Vec<Entry> = story.below.iter().filter(|entry| entry.log() == scribe.log()).take(3).cloned().collect();
    let branch = scribe.chain(trunk.last(), 2);
    let mut copy = story.holder(Policy::Loads);
    copy.write_all(&branch);
    let mut world = World::pair(story.pruned(Policy::Keeps), copy);
    world.run();
    let [left, right] = &world.links[0].ends;
    assert!(right.events.contains(&Event::Refused { log: scribe.log(), reason: Refusal::Below }), "{:?}", right.events);
    assert!(left.events.contains(&Event::Declined { log: scribe.log(), reason: Refusal::Below }));
    assert!(left.session.is_settled() && right.session.is_settled(), "and the rest is settled");
    assert_eq!(world.replicas[0].floor, world.replicas[1].floor);
}

#[test]
fn a_fork_above_the_floor_is_exchanged_by_both() {
    let story = Story::new();
    let mut scribe = Scribe::new(500);
    let branch = scribe.chain(story.above.first(), 300);
    let mut right = story.pruned(Policy::Keeps);
    right.write_all(&branch);
    let mut world = World::pair(story.pruned(Policy::Keeps), right);
    let more = scribe.chain(story.above.last(), 2);
    world.replicas[0].write_all(&more);
    meet(&mut world);
}

#[test]
fn who_lost_a_chunk_takes_its_word_back() {
    let story = Story::new();
    let mut holder = story.holder(Policy::Loads);
    holder.chunks.remove(&story.chunks[3].name());
    let mut world = World::pair(holder, newcomer(Policy::Loads));
    world.run();
    assert!(world.links[0].ends.iter().all(|end| end.session.is_settled()));
    assert_eq!(world.replicas[0].vector().unwrap(), world.replicas[1].vector().unwrap(), "the entries go instead");
}

#[test]
fn who_passes_on_the_newest_may_have_the_one_with_two_signatures() {
    let story = Story::new();
    let mut holder = story.pruned(Policy::Keeps);
    let (newest, chunks) = checkpoint(&holder.vector().unwrap(), 2, 9);
    holder.chunks.extend(chunks.into_iter().map(|chunk| (chunk.name(), chunk.into_bytes())).skip(1));
    holder.cosigned = holder.floor.replace(newest);
    // The newest has lost a chunk, so nobody can take it.
    let mut world = World::pair(holder, newcomer(Policy::Loads));
    world.run();
    assert_eq!(world.replicas[1].floor, Some(story.floor.clone()));
    assert_eq!(world.replicas[0].vector().unwrap(), world.replicas[1].vector().unwrap());
}

#[test]
fn a_peer_that_breaks_the_rules_of_floors_is_left() {
    let story = Story::new();
    let floor = story.floor.name();
    let bytes = |record: &FloorRecord| Message::Floor(ByteBuf::from(record.bytes()));
    let mut altered = story.floor.bytes().to_vec();
    altered[200] ^= 1;
    let word = |word| Message::OnFloor { floor, word };
    let known = story.chunks[0].name();
    let cases: Vec<(&str, Vec<Message>)> = vec![
        ("a record that does not verify", vec![Message::Floor(ByteBuf::from(altered))]),
        ("a second record before the first is answered", vec![bytes(&story.floor), bytes(&story.floor)]),
        ("a chunk that nobody asked for", vec![Message::Chunks(vec![ByteBuf::from(vec![1; 100])])]),
        (
            "another chunk than was asked for",
            vec![bytes(&story.floor), Message::Chunks(vec![ByteBuf::from(vec![1; 100])])],
        ),
        ("no chunk", vec![bytes(&story.floor), Message::Chunks(vec![])]),
        ("an answer to what was not shown", vec![word(FloorWord::Have)]),
        ("a wish for what was not shown", vec![word(FloorWord::Want(vec![known]))]),
    ];
    for (name, messages) in cases {
        let outcome = tell(&mut newcomer(Policy::Loads), &messages);
        assert!(matches!(outcome, Err(SessionError::Peer(_))), "{name}: {outcome:?}");
    }
    let wishes: Vec<(&str, Vec<Message>)> = vec![
        ("no chunk", vec![word(FloorWord::Want(vec![]))]),
        ("a chunk of something else", vec![word(FloorWord::Want(vec![ties_sealed_log::ChunkName([9; 32])]))]),
        ("a chunk twice", vec![word(FloorWord::Want(vec![known, known]))]),
        ("a second answer", vec![word(FloorWord::Have), word(FloorWord::Have)]),
    ];
    for (name, messages) in wishes {
        let outcome = tell(&mut story.holder(Policy::Loads), &messages);
        assert!(
            matches!(outcome, Err(SessionError::Peer(PeerMisbehaved::Bounds | PeerMisbehaved::OutOfTurn))),
            "{name}"
        );
    }
}

/// Tells a replica's session these messages, after the two have said what they have.
fn tell(replica: &mut MemoryReplica, messages: &[Message]) -> Result<(), SessionError<std::convert::Infallible>> {
    let (mut session, now) = (Session::new(SUBJECT), std::time::Duration::ZERO);
    session.start(now, replica).unwrap();
    let open = Message::Open { version: 1, subject: SUBJECT, access: [0; 32], digest: [8; 32] };
    for message in [open, Message::Vector(vec![])].iter().chain(messages) {
        session.handle(now, Input::Frame(&message.encode()), replica)?;
    }
    Ok(())
}

/// Everybody writes a log of its own; now and then somebody makes a checkpoint, and somebody cuts its logs short.
#[test]
fn whatever_is_written_broken_lost_and_cut_short_all_end_with_the_same_tips() {
    let only = std::env::var("TIES_SYNC_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in only.map_or(0..60, |seed: u64| seed..seed + 1) {
        let run = std::panic::catch_unwind(|| cut_short_at_random(seed));
        assert!(
            run.is_ok(),
            "seed {seed}; replay: TIES_SYNC_SEED={seed} cargo test -p ties-sync --test pair cut_short"
        );
    }
}

fn cut_short_at_random(seed: u64) {
    let replicas = 2 + (seed % 3) as usize;
    // The first is a relay to the others.
    let mut world =
        World::new((0..replicas).map(|at| newcomer(if at == 0 { Policy::Keeps } else { Policy::Loads })).collect());
    world.rng = ChaCha20Rng::seed_from_u64(seed);
    world.weather = Weather { breaks: [0, 8, 40][(seed / 3 % 3) as usize], crashes: [0, 25][(seed / 9 % 2) as usize] };
    (1..replicas).for_each(|number| _ = world.join(0, number));
    let mut scribes: Vec<(Scribe, Option<Entry>)> =
        (0..replicas as u64).map(|at| (Scribe::new(seed * 100 + at), None)).collect();
    for round in 0..80 {
        for _ in 0..world.below(5) {
            world.step();
        }
        world.acknowledged_is_there();
        let at = 1 + world.below(replicas as u64 - 1) as usize;
        let (scribe, last) = &mut scribes[at];
        let entry = scribe.write(last.as_ref(), 0);
        *last = Some(entry.clone());
        world.write(at, &entry);
        if world.below(12) == 0 {
            let vector = world.replicas[at].vector().unwrap();
            let (floor, chunks) = checkpoint(&vector, world.below(3), seed * 1_000 + round);
            // Two that are made apart and cut short upon would need both to be taken.
            let follows = |replica: &MemoryReplica| replica.floor.as_ref().is_none_or(|held| floor.covers(held));
            if world.replicas.iter().all(follows) {
                world.replicas[at].chunks.extend(chunks.into_iter().map(|chunk| (chunk.name(), chunk.into_bytes())));
                world.replicas[at].floor = Some(floor);
                world.tell(at, None);
            }
        }
        if world.below(12) == 0 {
            let at = world.below(replicas as u64) as usize;
            if let Some(floor) = world.replicas[at]
                .floor
                .clone()
                .filter(|floor| floor.chunks().iter().all(|(name, _)| world.replicas[at].chunks.contains_key(name)))
            {
                world.replicas[at].prune(&floor);
            }
        }
        if world.below(40) == 0 {
            world.break_link(0);
        }
    }
    world.weather = Weather::default();
    // Those that passed while something else was on its way are shown everything once more.
    for _ in 0..3 {
        world.run();
        (0..world.links.len()).for_each(|link| world.break_link(link));
    }
    world.run();
    for (number, link) in world.links.iter().enumerate() {
        assert!(link.ends.iter().all(|end| end.session.is_settled()), "link {number}: {:?}", link.ends[0].session);
    }
    world.acknowledged_is_there();
    for (number, replica) in world.replicas.iter().enumerate() {
        assert_eq!(replica.vector().unwrap(), world.replicas[0].vector().unwrap(), "replicas 0 and {number}");
    }
    for (scribe, last) in &scribes {
        let Some(last) = last else { continue };
        let tip = ties_sealed_log::Tip { seq: last.seq(), name: last.name() };
        assert!(world.replicas.iter().all(|replica| replica.holds(&scribe.log(), &tip)), "{last:?} is lost");
    }
}
