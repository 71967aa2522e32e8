//! Parcels: what was packed comes out, and nothing else.

use proptest::collection::vec;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use ties_sealed_log::{Entry, EpochId, EpochKey, LogKey, Payload, Position, Sealed, Secret, SpaceId};
use ties_sync::{PARCEL_HEAD, Packing, Parcel, ParcelError};

/// The next entry of a log after another one; `time` tells branches apart.
fn entry(log: u8, after: Option<&Entry>, time: u64) -> Entry {
    let position = after.map_or(Position::FIRST, |entry| Position { seq: entry.seq() + 1, prev: entry.name() });
    let (epoch, key) = (EpochId([2; 32]), EpochKey::new(Secret::new([3; 32])));
    let content = Sealed::new(&Payload::Beacon, Vec::new(), time);
    let mut rng = ChaCha20Rng::seed_from_u64(time);
    let log = LogKey::from_secret(&Secret::new([log; 32]));
    Entry::seal(&log, position, &SpaceId([1; 32]), (&epoch, &key), &content, &mut rng).unwrap()
}

/// So many entries of each log.
fn logs(lengths: &[usize]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (log, length) in lengths.iter().enumerate() {
        let mut last: Option<Entry> = None;
        for time in 0..*length {
            let next = entry(log as u8 + 1, last.as_ref(), time as u64);
            entries.push(next.clone());
            last = Some(next);
        }
    }
    entries
}

fn pack(entries: &[Entry]) -> Parcel {
    let mut packing = Packing::default();
    assert!(entries.iter().all(|entry| packing.add(entry)));
    packing.finish()
}

/// Puts the right sum under altered bytes.
fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() - 32);
    let sum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_was_packed_comes_out(lengths in vec(1..6usize, 1..5), skip in 0..4usize) {
        let entries = logs(&lengths);
        let some = &entries[skip.min(entries.len() - 1)..];
        let parcel = pack(some);
        let bytes = parcel.encode();
        let read = Parcel::decode(&bytes).unwrap();
        prop_assert_eq!(&read, &parcel);
        let mut out: Vec<Vec<u8>> = read.parts().iter().flat_map(|part| part.entries.clone()).collect();
        let mut put: Vec<Vec<u8>> = some.iter().map(|entry| entry.bytes().to_vec()).collect();
        out.sort();
        put.sort();
        prop_assert_eq!(out, put);
        for part in read.parts() {
            prop_assert_eq!(part.run.len(), part.entries.len() as u64);
        }
    }

    #[test]
    fn a_part_of_a_file_is_noticed_whatever_its_length(cut in 0.0..1.0f64) {
        let bytes = pack(&logs(&[3, 2])).encode();
        let cut = (bytes.len() as f64 * cut) as usize;
        let error = Parcel::decode(&bytes[..cut]).unwrap_err();
        let expected = if cut == 0 { error == ParcelError::Foreign } else { matches!(error, ParcelError::Incomplete { .. }) };
        prop_assert!(expected, "{error:?} at {cut}");
        let longer = [&bytes[..], &[0]].concat();
        let incomplete = matches!(Parcel::decode(&longer), Err(ParcelError::Incomplete { .. }));
        prop_assert!(incomplete);
    }

    #[test]
    fn an_altered_byte_is_noticed_with_and_without_the_right_sum(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let bytes = pack(&logs(&[2, 2])).encode();
        let mut altered = bytes.clone();
        altered[at.index(bytes.len())] ^= 1 << bit;
        prop_assert!(Parcel::decode(&altered).is_err());
        // Whoever makes the sum right has made another parcel, or none; the entries in it still have to verify.
        if let Ok(other) = Parcel::decode(&summed(altered.clone())) {
            let sound = other.parts().iter().flat_map(|part| &part.entries).all(|entry| Entry::verify(entry).is_ok());
            prop_assert!(!sound || other.encode() == bytes);
        }
    }

    #[test]
    fn any_bytes_are_read_without_harm(body in vec(any::<u8>(), 0..400), table in 0..300u32) {
        let _ = Parcel::decode(&body);
        let whole = (PARCEL_HEAD + body.len() + 32) as u32;
        let head = [&b"ties\0pcl\x01"[..], &whole.to_be_bytes(), &table.to_be_bytes()].concat();
        let _ = Parcel::decode(&summed([head, body, vec![0; 32]].concat()));
    }
}

#[test]
fn branches_that_come_place_by_place_are_a_run_each() {
    let trunk = logs(&[2]);
    let (mut one, mut other) = (trunk[1].clone(), trunk[1].clone());
    let mut all = trunk;
    for time in 10..15 {
        (one, other) = (entry(1, Some(&one), time), entry(1, Some(&other), 100 + time));
        all.extend([one.clone(), other.clone()]);
    }
    let parcel = pack(&all);
    assert_eq!(parcel.parts().len(), 2);
    assert_eq!(Parcel::decode(&parcel.encode()).unwrap(), parcel);
}

#[test]
fn a_file_of_another_kind_or_version_is_told_from_one_that_is_broken() {
    let bytes = pack(&logs(&[1])).encode();
    assert_eq!(Parcel::decode(b"PK\x03\x04 an archive"), Err(ParcelError::Foreign));
    let mut newer = bytes.clone();
    newer[8] = 2;
    assert_eq!(Parcel::decode(&newer), Err(ParcelError::Version(2)));
    let mut endless = bytes.clone();
    endless[9] = 0xff;
    assert_eq!(Parcel::decode(&endless), Err(ParcelError::Malformed));
    assert_eq!(Parcel::length(&bytes[..PARCEL_HEAD]), Ok(bytes.len() as u64));
}

#[test]
fn a_full_parcel_takes_no_more() {
    let mut packing = Packing::default();
    let mut last: Option<Entry> = None;
    let mut count = 0;
    loop {
        // Large entries, to be full soon.
        let position =
            last.as_ref().map_or(Position::FIRST, |entry| Position { seq: entry.seq() + 1, prev: entry.name() });
        let (epoch, key) = (EpochId([2; 32]), EpochKey::new(Secret::new([3; 32])));
        let mut body = vec![0; 900_000];
        rand_chacha::rand_core::Rng::fill_bytes(&mut ChaCha20Rng::seed_from_u64(count), &mut body);
        let content = Sealed { kind: 9_999, deps: Vec::new(), time: 0, body };
        let log = LogKey::from_secret(&Secret::new([1; 32]));
        let mut rng = ChaCha20Rng::seed_from_u64(count);
        let next = Entry::seal(&log, position, &SpaceId([1; 32]), (&epoch, &key), &content, &mut rng).unwrap();
        if !packing.add(&next) {
            break;
        }
        count += 1;
        last = Some(next);
    }
    let bytes = packing.finish().encode();
    assert!(count >= 8 && bytes.len() <= ties_sync::MAX_PARCEL);
    assert_eq!(Parcel::decode(&bytes).unwrap().parts()[0].run.len(), count);
}
