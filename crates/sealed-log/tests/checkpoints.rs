//! Checkpoints: nothing altered passes, nothing is lost in cutting, and everybody prefers the same floor.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use proptest::prelude::*;
use rand_chacha::rand_core::Rng;
use serde_bytes::ByteBuf;
use support::{Cast, flips, noise, rng};
use ties_sealed_log::{
    Chunk, ChunkError, ChunkName, DecodeError, DocumentPiece, EntryName, EpochId, EpochKey, FloorError, FloorRecord,
    LogId, LogKey, MAX_BRANCHES, MAX_CHUNK, MAX_CHUNKS, MAX_CUT, MAX_PIECE, Manifest, PartKind, SEAL_OVERHEAD, Secret,
    SpaceId, StateRoot, Tip, TipRecord, decode, encode, entries_of, pieces_of,
};

#[test]
fn every_flip_of_a_floor_record_is_refused() {
    let cast = Cast::new();
    for floor in [cast.floor(), cast.floor().cosign(&cast.other_log).unwrap()] {
        for (bit, flipped) in flips(floor.bytes()) {
            assert!(FloorRecord::verify(&flipped).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn a_floor_record_that_ends_early_or_goes_on_is_refused() {
    let cast = Cast::new();
    let floor = cast.floor().cosign(&cast.other_log).unwrap();
    for end in 0..floor.bytes().len() {
        assert!(FloorRecord::verify(&floor.bytes()[..end]).is_err(), "{end} bytes");
    }
    let longer = [floor.bytes(), &[0]].concat();
    assert_eq!(FloorRecord::verify(&longer).unwrap_err(), FloorError::Shape(DecodeError::Trailing(1)));
}

#[test]
fn every_flip_of_a_chunk_is_refused_by_its_name_and_by_its_seal() {
    let cast = Cast::new();
    let (_, chunks) = cast.checkpoint();
    for (bit, flipped) in flips(chunks[2].bytes()) {
        assert_ne!(ChunkName::of(&flipped), chunks[2].name(), "bit {bit}");
        let opened = Manifest::open(&Chunk::new(flipped).unwrap(), &cast.space, [(&cast.epoch, &cast.key)]);
        assert!(matches!(opened, Err(ChunkError::NoKey | ChunkError::Altered)), "bit {bit}");
    }
}

#[test]
fn a_chunk_opens_in_its_space_under_its_key_and_as_what_it_is() {
    let cast = Cast::new();
    let (_, chunks) = cast.checkpoint();
    let other_key = EpochKey::new(Secret::new([99; 32]));
    let (other_space, other_epoch) = (SpaceId([1; 32]), EpochId([1; 32]));
    let open =
        |space: &SpaceId, epoch: &EpochId, key: &EpochKey| chunks[1].open(space, PartKind::Documents, [(epoch, key)]);
    assert!(open(&cast.space, &cast.epoch, &cast.key).is_ok());
    assert_eq!(open(&other_space, &cast.epoch, &cast.key), Err(ChunkError::NoKey));
    assert_eq!(open(&cast.space, &other_epoch, &cast.key), Err(ChunkError::NoKey));
    assert_eq!(open(&cast.space, &cast.epoch, &other_key), Err(ChunkError::NoKey));
    for kind in [PartKind::Manifest, PartKind::Membership, PartKind::Openings, PartKind::Rows, PartKind::Other(9)] {
        let opened = chunks[1].open(&cast.space, kind, [(&cast.epoch, &cast.key)]);
        assert_eq!(opened, Err(ChunkError::NoKey), "{kind:?}");
    }
    // An entry's key, epoch and bytes make no chunk, and the other way round.
    let entry = cast.beacon();
    let disguised = Chunk::new(entry.bytes().to_vec()).unwrap();
    assert_eq!(disguised.open(&cast.space, PartKind::Openings, [(&cast.epoch, &cast.key)]), Err(ChunkError::NoKey));
    for length in [0, 1, SEAL_OVERHEAD, MAX_CHUNK + 1] {
        assert_eq!(Chunk::new(vec![0; length]), Err(ChunkError::Length));
    }
}

#[test]
fn a_manifest_of_another_space_is_none_of_this_one() {
    let cast = Cast::new();
    let (manifest, _) = cast.checkpoint();
    let other = Manifest { space: SpaceId([1; 32]), ..manifest.clone() };
    assert_eq!(other.seal(cast.chunk_seal(), &mut rng(1)), Err(DecodeError::Bounds.into()));
    // Its key and its place are right, but what it says is not.
    let sealed = Chunk::seal(cast.chunk_seal(), PartKind::Manifest, &encode(&other), &mut rng(1)).unwrap();
    let opened = Manifest::open(&sealed, &cast.space, [(&cast.epoch, &cast.key)]);
    assert_eq!(opened, Err(DecodeError::Bounds.into()));
}

#[test]
fn a_manifest_out_of_bounds_is_neither_made_nor_read() {
    let cast = Cast::new();
    let (good, _) = cast.checkpoint();
    let part = good.parts[0];
    let with = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        manifest
    };
    let wrong = [
        with(&|manifest| manifest.version = 2),
        with(&|manifest| manifest.cut.clear()),
        with(&|manifest| manifest.cut.reverse()),
        with(&|manifest| manifest.cut.push(manifest.cut[1])),
        with(&|manifest| manifest.cut[0].tip.seq = 0),
        with(&|manifest| manifest.cut = cut_of(&[9], 1..=MAX_BRANCHES as u64 + 1)),
        with(&|manifest| manifest.cut = cut_of(&(0..=MAX_CUT as u32).collect::<Vec<_>>(), 1..=1)),
        with(&|manifest| manifest.parts.push(part)),
        with(&|manifest| manifest.parts[0].kind = 0),
        with(&|manifest| manifest.parts[0].len = MAX_CHUNK as u32 + 1),
        with(&|manifest| manifest.parts[0].items = 0),
        with(&|manifest| {
            let other = |number: u32| ties_sealed_log::Part { chunk: ChunkName(noise(&number.to_string())), ..part };
            manifest.parts = (0..MAX_CHUNKS as u32).map(other).collect();
        }),
    ];
    for (number, manifest) in wrong.iter().enumerate() {
        assert_eq!(manifest.seal(cast.chunk_seal(), &mut rng(1)), Err(DecodeError::Bounds.into()), "{number}");
        let sealed = Chunk::seal(cast.chunk_seal(), PartKind::Manifest, &encode(manifest), &mut rng(1));
        let Ok(sealed) = sealed else { continue };
        let opened = Manifest::open(&sealed, &cast.space, [(&cast.epoch, &cast.key)]);
        assert_eq!(opened, Err(DecodeError::Bounds.into()), "{number}");
    }
}

#[test]
fn the_largest_manifest_and_its_floor_fit() {
    let cast = Cast::new();
    let (mut manifest, _) = cast.checkpoint();
    manifest.cut = cut_of(&(0..MAX_CUT as u32).collect::<Vec<_>>(), 1..=1);
    let part = manifest.parts[0];
    let other = |number: u32| ties_sealed_log::Part { chunk: ChunkName(noise(&number.to_string())), ..part };
    manifest.parts = (1..MAX_CHUNKS as u32).map(other).collect();
    let sealed = manifest.seal(cast.chunk_seal(), &mut rng(1)).unwrap();
    let floor = FloorRecord::sign(&cast.log, &manifest, &sealed).unwrap().cosign(&cast.other_log).unwrap();
    assert!(floor.bytes().len() < MAX_CHUNK, "{}", floor.bytes().len());
    assert!(floor.matches(&manifest));
}

#[test]
fn a_floor_is_of_its_own_manifest_alone() {
    let cast = Cast::new();
    let (manifest, _) = cast.checkpoint();
    let floor = cast.floor();
    assert!(floor.matches(&manifest));
    let mut other = manifest.clone();
    other.cut[0].tip.seq += 1;
    assert!(!floor.matches(&other), "another cut");
    let mut other = manifest.clone();
    other.parts.pop();
    assert!(!floor.matches(&other), "a part less");
    let mut other = manifest;
    other.parts[0].chunk = ChunkName([1; 32]);
    assert!(!floor.matches(&other), "another chunk");
}

#[test]
fn nobody_signs_a_floor_twice_and_no_signature_serves_elsewhere() {
    let cast = Cast::new();
    let floor = cast.floor();
    assert_eq!(floor.cosign(&cast.log).unwrap_err(), FloorError::Twice);
    let twice = floor.cosign(&cast.other_log).unwrap();
    assert_eq!((twice.author(), twice.cosigner()), (cast.log.id(), Some(cast.other_log.id())));
    assert!(twice.is_of_the_same(&floor) && twice.name() != floor.name());
    let third = LogKey::from_secret(&Secret::new([77; 32]));
    let replaced = twice.cosign(&third).unwrap();
    assert_eq!(replaced.cosigner(), Some(third.id()), "one co-signature takes another's place");
    // The author's signature is not a co-signature, nor the other way round: their labels differ.
    let (manifest, chunks) = cast.checkpoint();
    let by_other = FloorRecord::sign(&cast.other_log, &manifest, &chunks[2]).unwrap();
    type Signed = (ByteBuf, ByteBuf, Option<(LogId, ByteBuf)>);
    let (body, signature, _): Signed = decode(floor.bytes()).unwrap();
    let (_, foreign, _): Signed = decode(by_other.bytes()).unwrap();
    let forged: Signed = (body, signature, Some((cast.other_log.id(), foreign)));
    assert!(FloorRecord::verify(&encode(&forged)).is_err());
}

#[test]
fn parts_are_cut_to_size_and_put_together_again() {
    let cast = Cast::new();
    let mut noise = vec![0; 5 * MAX_PIECE / 2];
    rng(3).fill_bytes(&mut noise);
    let documents: Vec<([u8; 16], &[u8])> =
        vec![([1; 16], &noise[..10]), ([2; 16], &noise[..]), ([3; 16], &noise[..MAX_PIECE]), ([4; 16], &noise[5..9])];
    let pieces: Vec<_> = documents.iter().flat_map(|(id, saved)| DocumentPiece::cut(*id, saved)).collect();
    let sealed = PartKind::Documents.seal(&pieces, cast.chunk_seal(), &mut rng(4)).unwrap();
    assert!(sealed.len() > 3, "{}", sealed.len());
    let mut read: Vec<([u8; 16], Vec<u8>)> = Vec::new();
    for (part, chunk) in &sealed {
        assert!(chunk.bytes().len() <= MAX_CHUNK && part.len == chunk.len() && part.chunk == chunk.name());
        let pieces = pieces_of(chunk, &cast.space, [(&cast.epoch, &cast.key)]).unwrap();
        assert_eq!(pieces.len(), part.items as usize);
        for piece in pieces {
            match read.last_mut().filter(|last| last.0 == piece.document) {
                Some(last) => last.1.extend_from_slice(&piece.bytes),
                None => read.push((piece.document, piece.bytes.into_vec())),
            }
        }
    }
    let expected: Vec<_> = documents.into_iter().map(|(id, saved)| (id, saved.to_vec())).collect();
    assert_eq!(read, expected);
    let too_long = [ByteBuf::from(vec![7; 9 << 20])];
    assert_eq!(PartKind::Rows.seal(&too_long, cast.chunk_seal(), &mut rng(5)).unwrap_err(), ChunkError::Length);
    assert_eq!(PartKind::Rows.seal::<ByteBuf>(&[], cast.chunk_seal(), &mut rng(5)).unwrap(), []);
}

#[test]
fn parts_that_hold_something_else_are_refused() {
    let cast = Cast::new();
    let keys = || [(&cast.epoch, &cast.key)];
    let seal = |kind: PartKind, plain: &[u8]| Chunk::seal(cast.chunk_seal(), kind, plain, &mut rng(6)).unwrap();
    let piece = |byte| DocumentPiece { document: [byte; 16], bytes: ByteBuf::from([1]) };
    let unsorted = seal(PartKind::Documents, &encode(&vec![piece(2), piece(1)]));
    assert_eq!(pieces_of(&unsorted, &cast.space, keys()).unwrap_err(), DecodeError::Bounds.into());
    let mut altered = cast.beacon().bytes().to_vec();
    *altered.last_mut().unwrap() ^= 1;
    let altered = seal(PartKind::Membership, &encode(&vec![ByteBuf::from(altered)]));
    let read = entries_of(&altered, PartKind::Membership, &cast.space, keys());
    assert_eq!(read.unwrap_err(), DecodeError::Bounds.into());
    let garbage = seal(PartKind::Openings, b"\xff\xff\xff\xff\xff");
    let read = entries_of(&garbage, PartKind::Openings, &cast.space, keys());
    assert!(matches!(read, Err(ChunkError::Content(_))));
}

#[test]
fn the_state_root_is_of_documents_and_heads_whatever_the_heads_order() {
    let root = |documents: &[([u8; 16], &[[u8; 32]])]| {
        let mut root = StateRoot::new();
        documents.iter().for_each(|(id, heads)| root.add(*id, heads));
        root.finish()
    };
    let all = [([1; 16], &[[5; 32], [6; 32]][..]), ([2; 16], &[[7; 32]][..])];
    assert_eq!(root(&all), root(&[([1; 16], &[[6; 32], [5; 32]]), ([2; 16], &[[7; 32]])]));
    assert_ne!(root(&all), root(&all[..1]));
    assert_ne!(root(&all), root(&[([1; 16], &[[5; 32]]), ([2; 16], &[[6; 32], [7; 32]])]), "heads are each document's");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn of_two_floors_everybody_prefers_the_same(one in cuts(), other in cuts(), twice in any::<(bool, bool)>()) {
        let (one, other) = (floor(&one, twice.0), floor(&other, twice.1));
        prop_assert!(one.covers(&one));
        prop_assert!(!one.supersedes(&one));
        if one.name() != other.name() {
            prop_assert_ne!(one.supersedes(&other), other.supersedes(&one));
        }
        if one.covers(&other) && !other.covers(&one) {
            prop_assert!(one.supersedes(&other));
        }
        for log in one.logs() {
            let its: Vec<_> = one.cut().iter().filter(|record| record.log == log).map(|record| record.tip).collect();
            prop_assert_eq!(one.cut_of(&log), its);
        }
    }

    #[test]
    fn covering_goes_on(cuts in [cuts(), cuts(), cuts()]) {
        let [one, other, third] = cuts.map(|cut| floor(&cut, false));
        if one.covers(&other) && other.covers(&third) {
            prop_assert!(one.covers(&third));
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = FloorRecord::verify(&bytes);
        let cast = Cast::new();
        if let Ok(chunk) = Chunk::new(bytes) {
            prop_assert!(Manifest::open(&chunk, &cast.space, [(&cast.epoch, &cast.key)]).is_err());
        }
    }
}

/// Places of the tips of three logs, two of the last; 0 for a log or branch that is not there.
fn cuts() -> impl Strategy<Value = [u64; 4]> {
    [0..4_u64, 0..4_u64, 1..4_u64, 0..4_u64]
}

fn floor(places: &[u64; 4], twice: bool) -> FloorRecord {
    let cast = Cast::new();
    let (mut manifest, _) = cast.checkpoint();
    let records = [(1_u8, places[0], 1), (2, places[1], 2), (3, places[2], 3), (3, places[3], 4)];
    let record = |(log, seq, branch): (u8, u64, u8)| TipRecord {
        log: LogId([log; 32]),
        tip: Tip { seq, name: EntryName([branch * 16 + seq as u8; 32]) },
    };
    manifest.cut = records.into_iter().filter(|(_, seq, _)| *seq > 0).map(record).collect();
    manifest.cut.sort_unstable();
    let sealed = manifest.seal(cast.chunk_seal(), &mut rng(7)).unwrap();
    let floor = FloorRecord::sign(&cast.log, &manifest, &sealed).unwrap();
    if twice { floor.cosign(&cast.other_log).unwrap() } else { floor }
}

fn cut_of(logs: &[u32], places: std::ops::RangeInclusive<u64>) -> Vec<TipRecord> {
    let log = |number: &u32| {
        let mut log = [0; 32];
        log[..4].copy_from_slice(&number.to_be_bytes());
        LogId(log)
    };
    let name = |number: &u32, seq: u64| EntryName(noise(&format!("{number} {seq}")));
    let of = |number| {
        places.clone().map(move |seq| TipRecord { log: log(number), tip: Tip { seq, name: name(number, seq) } })
    };
    logs.iter().flat_map(of).collect()
}
