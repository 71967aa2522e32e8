//! Seed changes are the same bytes on every device, and Automerge takes them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use automerge::transaction::{CommitOptions, Transactable, Transaction};
use automerge::{ActorId, Automerge, ObjType, ROOT, ReadDoc};
use ties_sealed_log::seed_change::{BLANK_ACTOR, NotASeed, check, stamp};

/// What a device does that imports a person with a note.
fn person(tx: &mut Transaction<'_>) {
    tx.put(ROOT, "kind", "person").unwrap();
    tx.put(ROOT, "name/full", "Ada Lovelace").unwrap();
    tx.put(ROOT, "emails/9f2c41d07a6be315/address", "ada@example.org").unwrap();
    tx.put(ROOT, "met/year", 1833_i64).unwrap();
    let body = tx.put_object(ROOT, "body", ObjType::Text).unwrap();
    tx.splice_text(&body, 0, 0, "Met at a soirée; owes me a letter.").unwrap();
}

fn made(options: CommitOptions, actor: &[u8], make: impl FnOnce(&mut Transaction<'_>)) -> Vec<u8> {
    let mut document = Automerge::new().with_actor(ActorId::from(actor));
    let mut tx = document.transaction();
    make(&mut tx);
    tx.commit_with(options);
    document.get_last_local_change().unwrap().raw_bytes().to_vec()
}

fn blank() -> Vec<u8> {
    made(CommitOptions::default().with_time(0), &BLANK_ACTOR, person)
}

fn seed() -> Vec<u8> {
    let mut chunk = blank();
    stamp(&mut chunk).unwrap();
    chunk
}

#[test]
fn a_stamped_change_loads_and_says_what_it_said() {
    let chunk = seed();
    check(&chunk).unwrap();
    let mut document = Automerge::new();
    document.load_incremental(&chunk).unwrap();
    assert_eq!(document.get(ROOT, "name/full").unwrap().unwrap().0.as_str(), Some("Ada Lovelace"));
    let (_, body) = document.get(ROOT, "body").unwrap().unwrap();
    assert_eq!(document.text(&body).unwrap(), "Met at a soirée; owes me a letter.");
    let change = document.get_changes(&[]).pop().unwrap();
    assert_eq!(change.raw_bytes(), chunk, "the change is kept as it came");
    assert_eq!(change.seq(), 1);
    assert_ne!(change.actor_id().to_bytes(), BLANK_ACTOR);
}

#[test]
fn two_makers_make_equal_bytes_and_merge_to_one_change() {
    let (mine, yours) = (seed(), seed());
    assert_eq!(mine, yours);
    let (mut here, mut there) = (Automerge::new(), Automerge::new());
    here.load_incremental(&mine).unwrap();
    there.load_incremental(&yours).unwrap();
    here.merge(&mut there).unwrap();
    assert_eq!(here.get_changes(&[]).len(), 1);
    let (_, body) = here.get(ROOT, "body").unwrap().unwrap();
    assert_eq!(here.text(&body).unwrap(), "Met at a soirée; owes me a letter.", "no text is there twice");
}

#[test]
fn other_content_has_another_actor() {
    let mut other = made(CommitOptions::default().with_time(0), &BLANK_ACTOR, |tx| {
        tx.put(ROOT, "kind", "organization").unwrap();
    });
    stamp(&mut other).unwrap();
    let actor = |chunk: &[u8]| {
        let mut document = Automerge::new();
        document.load_incremental(chunk).unwrap();
        document.get_changes(&[])[0].actor_id().clone()
    };
    assert_ne!(actor(&seed()), actor(&other));
}

#[test]
fn edits_go_on_from_a_seed_on_both_sides() {
    let (mut here, mut there) =
        (Automerge::new().with_actor(ActorId::from([1; 16])), Automerge::new().with_actor(ActorId::from([2; 16])));
    for (document, key) in [(&mut here, "emails/a/label"), (&mut there, "emails/b/label")] {
        document.load_incremental(&seed()).unwrap();
        document.transact::<_, _, automerge::AutomergeError>(|tx| tx.put(ROOT, key, "work")).unwrap();
    }
    here.merge(&mut there).unwrap();
    assert!(here.get(ROOT, "emails/a/label").unwrap().is_some() && here.get(ROOT, "emails/b/label").unwrap().is_some());
    assert_eq!(here.get_changes(&[]).len(), 3);
}

#[test]
fn every_single_bit_flip_of_a_seed_is_refused() {
    let chunk = seed();
    for bit in 0..chunk.len() * 8 {
        let mut flipped = chunk.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check(&flipped), Err(NotASeed), "bit {bit}");
    }
}

#[test]
fn every_truncation_and_every_trailing_byte_is_refused() {
    let chunk = seed();
    for length in 0..chunk.len() {
        assert_eq!(check(&chunk[..length]), Err(NotASeed), "{length} bytes");
    }
    let mut longer = chunk;
    longer.push(0);
    assert_eq!(check(&longer), Err(NotASeed));
}

/// With the checksum mended, as somebody would who means harm.
fn forged(mut chunk: Vec<u8>) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let sum = Sha256::digest(&chunk[8..]);
    chunk[4..8].copy_from_slice(&sum[..4]);
    chunk
}

/// The length lies outside what the actor is computed from. Two forms of it would be two changes of one actor and seq,
/// and Automerge never merges those.
#[test]
fn a_longer_form_of_the_length_is_refused() {
    let chunk = seed();
    let length = chunk[9..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let mut longer = chunk.clone();
    longer[9 + length - 1] |= 0x80;
    longer.insert(9 + length, 0);
    assert_eq!(check(&forged(longer)), Err(NotASeed));
    assert_eq!(check(&forged(chunk)), Ok(()), "forging alone changes nothing");
}

#[test]
fn every_flip_with_a_mended_checksum_is_refused() {
    let chunk = seed();
    for bit in 64..chunk.len() * 8 {
        let mut flipped = chunk.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check(&forged(flipped)), Err(NotASeed), "bit {bit}");
    }
}

#[test]
fn a_change_with_a_time_a_message_a_past_or_an_actor_of_its_own_is_no_seed() {
    let timed = made(CommitOptions::default().with_time(1), &BLANK_ACTOR, person);
    let told = made(CommitOptions::default().with_time(0).with_message("hi"), &BLANK_ACTOR, person);
    let own = made(CommitOptions::default().with_time(0), &[7; 16], person);
    let short = made(CommitOptions::default().with_time(0), &[0; 8], person);
    for mut chunk in [timed, told, own, short] {
        assert_eq!(stamp(&mut chunk), Err(NotASeed));
        assert_eq!(check(&chunk), Err(NotASeed));
    }
    let mut document = Automerge::new().with_actor(ActorId::from(BLANK_ACTOR));
    for key in ["a", "b"] {
        let mut tx = document.transaction();
        tx.put(ROOT, key, 1).unwrap();
        tx.commit_with(CommitOptions::default().with_time(0));
    }
    let mut second = document.get_last_local_change().unwrap().raw_bytes().to_vec();
    assert_eq!(stamp(&mut second), Err(NotASeed));
}

#[test]
fn a_seed_is_stamped_once() {
    let mut chunk = seed();
    assert_eq!(stamp(&mut chunk), Err(NotASeed));
}

#[test]
fn a_deflated_chunk_is_no_seed() {
    let mut chunk = blank();
    chunk[8] = 2;
    assert_eq!(stamp(&mut forged(chunk)), Err(NotASeed));
}
