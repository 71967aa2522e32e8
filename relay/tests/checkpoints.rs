//! Checkpoints at a relay: which it keeps, what it drops upon them, and on whose word.

mod common;

use common::{Device, World, first_statement, key};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use ties_relay::{Input, Limits, Storage};
use ties_sealed_log::{
    Chunk, ChunkSeal, Entry, EpochId, EpochKey, FloorRecord, GET, Log, LogId, LogKey, LogOpening, MANIFEST_VERSION,
    Manifest, PUT, Part, Secret, SpaceId, Tip, TipRecord,
};
use ties_sync::{FloorWord, Message, Refusal, Session};

/// Drops what two devices signed for.
fn pruning() -> Limits {
    Limits { prunes: true, ..Limits::default() }
}

/// Three devices on one list; the first manages.
fn three(limits: Limits) -> (World, Device, Device, Device) {
    let mut world = World::new(true, limits);
    let first = first_statement(&key(1), &[(key(2).id(), PUT | GET), (key(3).id(), PUT | GET)]);
    let devices = [1, 2, 3].map(|number| Device::new(number, &first));
    let id = world.connect(&devices[0].key);
    world.create(id, &first);
    let [one, two, three] = devices;
    (world, one, two, three)
}

/// A checkpoint of what a device holds, with two chunks beside its manifest, which the device keeps.
fn checkpoint(device: &mut Device, seed: u64) -> FloorRecord {
    let cut = device.vector().records().collect();
    checkpoint_at(device, cut, seed)
}

fn checkpoint_at(device: &mut Device, cut: Vec<TipRecord>, seed: u64) -> FloorRecord {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut parts = Vec::new();
    for _ in 0..2 {
        let mut bytes = vec![0; 10_000];
        rng.fill_bytes(&mut bytes);
        let chunk = Chunk::new(bytes).expect("a chunk");
        parts.push(Part { kind: 3, chunk: chunk.name(), len: chunk.len(), items: 1 });
        device.chunks.insert(chunk.name(), chunk.into_bytes());
    }
    let (space, epoch, key) = (SpaceId([1; 32]), EpochId([2; 32]), EpochKey::new(Secret::new([3; 32])));
    let manifest = Manifest { version: MANIFEST_VERSION, space, cut, root: [0; 32], parts };
    let sealed = manifest.seal(ChunkSeal { space: &space, epoch: &epoch, key: &key }, &mut rng).expect("it fits");
    let record = FloorRecord::sign(&device.log_key, &manifest, &sealed).expect("a floor");
    device.chunks.insert(sealed.name(), sealed.into_bytes());
    device.floor = Some(record.clone());
    record
}

/// The same, signed by another device too.
fn cosigned(device: &mut Device, other: &Device, seed: u64) -> FloorRecord {
    let record = checkpoint(device, seed).cosign(&other.log_key).expect("another log");
    device.floor = Some(record.clone());
    record
}

fn stored(world: &World, device: &Device, log: &LogId) -> Vec<Entry> {
    world.storage.after(&device.mailbox(), log, 0, usize::MAX).expect("memory never fails")
}

fn kept(world: &World, device: &Device) -> Vec<FloorRecord> {
    let rows = world.storage.floors(&device.mailbox()).expect("memory never fails");
    let kept = rows.iter().filter(|(staged, _)| !staged);
    kept.map(|(_, bytes)| FloorRecord::verify(bytes).expect("what was stored verifies")).collect()
}

/// The mailbox is charged with what it holds.
fn is_accounted_for(world: &World, device: &Device) {
    let (storage, id) = (&world.storage, device.mailbox());
    let vector = storage.vector(&id).expect("memory never fails");
    let entries = vector.logs().flat_map(|log| stored(world, device, &log));
    let entries = entries.map(|entry| entry.bytes().len() as u64).sum::<u64>();
    let names = storage.chunks(&id).expect("memory never fails");
    let chunks =
        names.iter().map(|name| storage.chunk(&id, name).expect("memory never fails").expect("a chunk").len() as u64);
    let floors = storage.floors(&id).expect("memory never fails");
    let floors = floors.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
    assert_eq!(storage.bytes(&id).expect("memory never fails"), entries + chunks.sum::<u64>() + floors);
}

/// Writes, meets the relay, and leaves.
fn write_and_sync(world: &mut World, device: &mut Device, entries: usize) {
    (0..entries).for_each(|_| drop(device.write()));
    let (id, session) = world.sync(device);
    assert!(session.is_settled(), "{session:?}");
    world.happen(id, Input::Closed);
}

#[test]
fn two_generations_are_kept_and_entries_go_below_the_older_one() {
    let (mut world, mut one, mut two, mut three) = three(pruning());
    write_and_sync(&mut world, &mut one, 6);
    write_and_sync(&mut world, &mut two, 4);
    write_and_sync(&mut world, &mut one, 0);
    let log = one.log_key.id();
    let mut made = Vec::new();
    for generation in 0..4_usize {
        let record = cosigned(&mut one, &two, generation as u64);
        write_and_sync(&mut world, &mut one, 3);
        write_and_sync(&mut world, &mut two, 2);
        write_and_sync(&mut world, &mut one, 0);
        made.push(record);
        let from = generation.saturating_sub(1);
        assert_eq!(kept(&world, &one), made[from..], "two generations at most");
        let lowest = stored(&world, &one, &log).first().map(Entry::seq);
        let below = if generation == 0 { 0 } else { made[from].cut_of(&log)[0].seq };
        assert_eq!(lowest, Some(below + 1), "everything above the older one is here, and nothing else");
        let chunks: usize = made[from..].iter().map(|record| record.chunks().len()).sum();
        assert_eq!(world.storage.chunks(&one.mailbox()).expect("memory").len(), chunks, "and no other chunks");
        is_accounted_for(&world, &one);
    }
    write_and_sync(&mut world, &mut three, 0);
    assert_eq!(three.vector(), one.vector(), "a newcomer has everything");
    assert_eq!(
        three.log.after(&log, 0, usize::MAX).expect("memory").first().map(Entry::seq),
        Some(made[3].cut_of(&log)[0].seq + 1)
    );
    assert_eq!(three.floor, one.floor);
}

#[test]
fn nothing_is_dropped_upon_one_signature_nor_where_it_is_turned_off() {
    for (twice, limits) in [(false, pruning()), (true, Limits::default())] {
        let (mut world, mut one, mut two, mut three) = three(limits);
        for generation in 0..3 {
            write_and_sync(&mut world, &mut one, 4);
            write_and_sync(&mut world, &mut two, 1);
            if twice {
                drop(cosigned(&mut one, &two, generation))
            } else {
                drop(checkpoint(&mut one, generation))
            }
            write_and_sync(&mut world, &mut one, 0);
        }
        assert_eq!(stored(&world, &one, &one.log_key.id()).len(), 12);
        assert_eq!(kept(&world, &one).len(), if twice { 2 } else { 1 }, "of those with one signature the newest");
        assert_eq!(kept(&world, &one).last(), one.floor.as_ref());
        is_accounted_for(&world, &one);
        write_and_sync(&mut world, &mut three, 0);
        assert_eq!(three.floor, one.floor, "it may be started from all the same");
    }
}

#[test]
fn a_second_signature_takes_the_place_of_one_without_and_costs_no_chunk() {
    let (mut world, mut one, mut two, _) = three(pruning());
    write_and_sync(&mut world, &mut one, 4);
    write_and_sync(&mut world, &mut two, 1);
    checkpoint(&mut one, 1);
    write_and_sync(&mut world, &mut one, 0);
    // The other device hears of it, agrees, and has none of its chunks.
    write_and_sync(&mut world, &mut two, 0);
    two.floor = Some(two.floor.take().expect("it was shown").cosign(&two.log_key).expect("another log"));
    let (id, session) = world.sync(&mut two);
    assert!(session.is_settled());
    assert_eq!(kept(&world, &one), [two.floor.clone().expect("it signed")]);
    world.happen(id, Input::Closed);
    write_and_sync(&mut world, &mut one, 0);
    assert_eq!(one.floor, two.floor, "and its author hears of it");
    is_accounted_for(&world, &one);
}

/// What the relay answers to a floor that a device shows.
fn answer(world: &mut World, device: &mut Device) -> Option<FloorWord> {
    let id = world.connect(&device.key);
    let mut session = Session::new(device.mailbox().0);
    let mut frames: Vec<Vec<u8>> = Vec::new();
    let mut said = None;
    let mut outputs = session.start(world.now, device).expect("memory never fails");
    loop {
        frames.extend(outputs.drain(..).filter_map(|output| match output {
            ties_sync::Output::Send(frame) => Some(frame),
            ties_sync::Output::Event(_) => None,
        }));
        frames.drain(..).for_each(|frame| world.happen(id, Input::Frame(frame)));
        let Some(frame) = world.frame(id) else { break };
        if let Ok(Message::OnFloor { word, .. }) = Message::decode(&frame) {
            said = Some(word);
        }
        outputs = session.handle(world.now, ties_sync::Input::Frame(&frame), device).expect("a good relay");
    }
    world.happen(id, Input::Closed);
    said
}

#[test]
fn two_signatures_are_those_of_two_devices_on_the_list() {
    let refused = |reason| Some(FloorWord::Refuse(reason));
    let (mut world, mut one, mut two, _) = three(pruning());
    write_and_sync(&mut world, &mut one, 4);
    write_and_sync(&mut world, &mut two, 1);
    write_and_sync(&mut world, &mut one, 0);
    let record = checkpoint(&mut one, 1);
    let stranger = LogKey::from_secret(&Secret::new([200; 32]));
    one.floor = Some(record.cosign(&stranger).expect("another log"));
    assert_eq!(answer(&mut world, &mut one), refused(Refusal::NotOpened), "a log that nobody opened");

    // A second log of the same device.
    let again = LogKey::from_secret(&Secret::new([201; 32]));
    let opening = LogOpening::new(&one.mailbox(), &again, &one.key);
    let id = world.connect(&two.key);
    let mut session = Session::new(two.mailbox().0);
    drop(session.start(world.now, &two).expect("memory"));
    world.say(id, &Message::Open { version: 1, subject: two.mailbox().0, access: two.list.digest(), digest: [0; 32] });
    world.say(id, &Message::Vector(vec![]));
    world.say(id, &Message::Openings(vec![opening.as_bytes().to_vec().into()]));
    world.happen(id, Input::Closed);
    one.floor = Some(record.cosign(&again).expect("another log"));
    assert_eq!(answer(&mut world, &mut one), refused(Refusal::Floor), "one device twice");

    one.floor = Some(record.cosign(&two.log_key).expect("another log"));
    let statement = one.shut_out(two.key.id());
    drop(statement);
    assert_eq!(answer(&mut world, &mut one), refused(Refusal::Floor), "a device that was shut out");
    assert!(kept(&world, &one).is_empty());
    is_accounted_for(&world, &one);
}

#[test]
fn a_checkpoint_of_other_entries_is_refused() {
    let (mut world, mut one, two, _) = three(pruning());
    write_and_sync(&mut world, &mut one, 4);
    let mut cut: Vec<TipRecord> = one.vector().records().collect();
    cut[0].tip = Tip { seq: 3, ..cut[0].tip };
    let record = checkpoint_at(&mut one, cut, 1);
    one.floor = Some(record);
    assert_eq!(answer(&mut world, &mut one), Some(FloorWord::Refuse(Refusal::Floor)));
    assert_eq!(world.storage.chunks(&one.mailbox()).expect("memory"), [], "no chunk of it is asked for");
    drop(two);
}

#[test]
fn chunks_count_in_the_quota() {
    let (mut world, mut one, two, _) = three(Limits { mailbox_bytes: 20_000, ..Limits::default() });
    write_and_sync(&mut world, &mut one, 4);
    cosigned(&mut one, &two, 1);
    // The other's log has to be known for its signature.
    let mut two = two;
    write_and_sync(&mut world, &mut two, 1);
    assert_eq!(answer(&mut world, &mut one), Some(FloorWord::Refuse(Refusal::Quota)));
    assert_eq!(world.storage.chunks(&one.mailbox()).expect("memory"), []);
    is_accounted_for(&world, &one);
}

#[test]
fn on_the_word_of_one_nothing_is_passed_over() {
    let (mut world, mut one, mut two, _) = three(pruning());
    write_and_sync(&mut world, &mut one, 2);
    write_and_sync(&mut world, &mut two, 1);
    // The checkpoint reaches beyond what the relay has: it comes first, and the entries after it.
    (0..3).for_each(|_| drop(one.write()));
    let record = checkpoint(&mut one, 1);
    write_and_sync(&mut world, &mut one, 0);
    let log = one.log_key.id();
    assert_eq!(stored(&world, &one, &log).len(), 5, "every entry came");
    assert_eq!(kept(&world, &one), [record], "and then it was kept");
    is_accounted_for(&world, &one);
}

/// The log of a device that was let in on another road, or everything after the relay was wiped: whoever is not far behind
/// passes on the checkpoint and asks for the entries.
#[test]
fn a_log_that_the_relay_has_not_heard_of_comes_entry_by_entry_too() {
    let (mut world, mut one, mut two, mut three) = three(pruning());
    write_and_sync(&mut world, &mut one, 2);
    two.write();
    one.take_all_of(&two);
    let record = checkpoint(&mut one, 1);
    write_and_sync(&mut world, &mut one, 0);
    assert_eq!(stored(&world, &one, &two.log_key.id()).len(), 1, "every entry came");
    assert_eq!(kept(&world, &one), [record], "and then it was kept");
    write_and_sync(&mut world, &mut three, 1);
    assert_eq!(three.names(&two.log_key.id(), 1).expect("memory").len(), 1);
    is_accounted_for(&world, &one);
}

#[test]
fn on_the_word_of_one_a_log_begins_at_the_cut_where_its_entries_are_gone() {
    let (mut world, mut one, mut two, _) = three(pruning());
    two.write();
    one.take_all_of(&two);
    write_and_sync(&mut world, &mut one, 2);
    let record = checkpoint(&mut one, 1);
    one.prune(&record);
    let first = first_statement(&key(1), &[(key(2).id(), PUT | GET), (key(3).id(), PUT | GET)]);
    world = World::open();
    let id = world.connect(&one.key);
    world.create(id, &first);
    world.happen(id, Input::Closed);
    write_and_sync(&mut world, &mut one, 1);
    assert_eq!(world.storage.vector(&one.mailbox()).expect("memory"), one.vector());
    assert_eq!(kept(&world, &one), [record]);
    is_accounted_for(&world, &one);
}

#[test]
fn a_relay_that_was_wiped_is_refilled_by_a_device_that_dropped_its_entries() {
    let (mut world, mut one, mut two, mut three) = three(pruning());
    write_and_sync(&mut world, &mut one, 5);
    write_and_sync(&mut world, &mut two, 5);
    write_and_sync(&mut world, &mut one, 0);
    let record = cosigned(&mut one, &two, 1);
    one.prune(&record);
    let first = first_statement(&key(1), &[(key(2).id(), PUT | GET), (key(3).id(), PUT | GET)]);
    world = World::open();
    let id = world.connect(&one.key);
    world.create(id, &first);
    world.happen(id, Input::Closed);
    write_and_sync(&mut world, &mut one, 2);
    assert_eq!(
        world.storage.vector(&one.mailbox()).expect("memory"),
        one.vector(),
        "logs of which nothing is left too"
    );
    write_and_sync(&mut world, &mut three, 1);
    write_and_sync(&mut world, &mut two, 1);
    write_and_sync(&mut world, &mut one, 0);
    write_and_sync(&mut world, &mut three, 0);
    assert_eq!((one.vector(), two.vector()), (three.vector(), three.vector()));
    is_accounted_for(&world, &one);
}

#[test]
fn a_device_that_was_away_goes_on_from_the_checkpoint() {
    let (mut world, mut one, mut two, mut three) = three(pruning());
    write_and_sync(&mut world, &mut three, 2);
    write_and_sync(&mut world, &mut one, 2);
    write_and_sync(&mut world, &mut three, 0);
    (0..3).for_each(|_| drop(three.write()));
    for generation in 0..3 {
        write_and_sync(&mut world, &mut two, 5);
        write_and_sync(&mut world, &mut one, 5);
        cosigned(&mut one, &two, generation);
        write_and_sync(&mut world, &mut one, 0);
    }
    write_and_sync(&mut world, &mut three, 0);
    write_and_sync(&mut world, &mut one, 0);
    assert_eq!(one.vector(), three.vector(), "it has what it missed, and the others have what it wrote");
    is_accounted_for(&world, &one);
}

#[test]
fn chunks_that_came_before_a_link_broke_are_not_asked_for_again() {
    let (mut world, mut one, mut two, _) = three(pruning());
    write_and_sync(&mut world, &mut one, 3);
    write_and_sync(&mut world, &mut two, 1);
    write_and_sync(&mut world, &mut one, 0);
    let record = cosigned(&mut one, &two, 1);
    let id = world.connect(&one.key);
    let digest = [0; 32];
    world.say(id, &Message::Open { version: 1, subject: one.mailbox().0, access: one.list.digest(), digest });
    world.say(id, &Message::Vector(one.vector().records().collect()));
    world.say(id, &Message::Floor(record.bytes().to_vec().into()));
    let (name, _) = record.chunks()[1];
    world.say(id, &Message::Chunks(vec![one.chunks[&name].clone().into()]));
    world.happen(id, Input::Closed);
    is_accounted_for(&world, &one);
    // Nobody is at the mailbox any more: what is remembered of it is what the storage has.
    let said = answer(&mut world, &mut one);
    assert_eq!(said, Some(FloorWord::Have), "it was taken in the end");
    assert_eq!(world.storage.chunks(&one.mailbox()).expect("memory").len(), record.chunks().len());
    is_accounted_for(&world, &one);
}

#[test]
fn checkpoints_that_are_never_finished_do_not_pile_up() {
    let (mut world, mut one, mut two, _) = three(pruning());
    write_and_sync(&mut world, &mut one, 3);
    write_and_sync(&mut world, &mut two, 1);
    write_and_sync(&mut world, &mut one, 0);
    for seed in 0..10 {
        let record = cosigned(&mut one, &two, seed);
        let id = world.connect(&one.key);
        let digest = [0; 32];
        world.say(id, &Message::Open { version: 1, subject: one.mailbox().0, access: one.list.digest(), digest });
        world.say(id, &Message::Vector(one.vector().records().collect()));
        world.say(id, &Message::Floor(record.bytes().to_vec().into()));
        let (name, _) = record.chunks()[0];
        world.say(id, &Message::Chunks(vec![one.chunks[&name].clone().into()]));
        world.happen(id, Input::Closed);
    }
    assert_eq!(world.storage.floors(&one.mailbox()).expect("memory").len(), 4);
    assert_eq!(world.storage.chunks(&one.mailbox()).expect("memory").len(), 4);
    is_accounted_for(&world, &one);
}

#[test]
fn a_reader_shows_none() {
    let (mut world, mut one, mut two, _) = three(pruning());
    write_and_sync(&mut world, &mut one, 3);
    write_and_sync(&mut world, &mut two, 1);
    let record = cosigned(&mut two, &one, 1);
    drop(one.grant(two.key.id(), GET));
    write_and_sync(&mut world, &mut one, 0);
    assert_eq!(answer(&mut world, &mut two), Some(FloorWord::Pass));
    assert!(kept(&world, &one).is_empty(), "{record:?}");
}
