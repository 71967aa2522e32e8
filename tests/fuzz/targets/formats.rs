//! Bytes that are signed, sealed or stored.

use automerge::Automerge;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use ties_engine::testing::{self as engine, Verdict};
use ties_sealed_log::{
    AccessList, AccessStatement, Chunk, ChunkSeal, DeviceCert, Entry, EpochId, EpochKey, FloorRecord, LogOpening,
    MailboxId, Manifest, PartKind, RecoveryCert, RecoveryWords, Sealed, Secret, SpaceId, decode, encode, entries_of,
    pack, pieces_of, unpack,
};

/// An entry as it comes from a peer, and as it lies in a store.
pub(super) fn entry(bytes: &[u8]) {
    let _ = Entry::verify(bytes);
    if let Ok(entry) = Entry::from_store(bytes) {
        assert_eq!(entry.bytes(), bytes);
        let key = EpochKey::new(Secret::new([3; 32]));
        let _ = entry.open(&SpaceId([1; 32]), [(&EpochId([2; 32]), &key)]);
    }
}

/// What is inside an entry, from a member who breaks the rules.
pub(super) fn content(bytes: &[u8]) {
    if let Ok(sealed) = decode::<Sealed>(bytes) {
        assert_eq!(encode(&sealed), bytes, "one content has one form");
        if let Ok(Some(payload)) = sealed.payload() {
            let again = Sealed::new(&payload, sealed.deps.clone(), sealed.time);
            assert_eq!(again.body, sealed.body, "one body has one form");
        }
    }
}

pub(super) fn packing(bytes: &[u8]) {
    if let Ok(plain) = unpack(bytes) {
        assert_eq!(unpack(&pack(&plain)).as_ref(), Ok(&plain));
    }
}

pub(super) fn certificates(bytes: &[u8]) {
    if let Ok(certificate) = DeviceCert::parse(bytes) {
        assert_eq!(certificate.as_bytes(), bytes);
    }
    if let Ok(certificate) = RecoveryCert::parse(bytes) {
        assert_eq!(certificate.as_bytes(), bytes);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = RecoveryWords::parse(text);
    }
}

/// A floor record, as anybody may bring one; and what a member who breaks the rules may put into chunks.
pub(super) fn checkpoint(bytes: &[u8]) {
    if let Ok(record) = FloorRecord::verify(bytes) {
        assert_eq!(record.bytes(), bytes, "one record has one form");
        assert!(record.covers(&record) && !record.supersedes(&record));
    }
    let (space, epoch, key) = (SpaceId([1; 32]), EpochId([2; 32]), EpochKey::new(Secret::new([3; 32])));
    let keys = || [(&epoch, &key)];
    if let Ok(chunk) = Chunk::new(bytes.to_vec()) {
        let _ = Manifest::open(&chunk, &space, keys());
    }
    let seal = ChunkSeal { space: &space, epoch: &epoch, key: &key };
    let sealed = |kind| Chunk::seal(seal, kind, bytes, &mut ChaCha20Rng::from_seed([1; 32]));
    if let Ok(chunk) = sealed(PartKind::Manifest)
        && let Ok(manifest) = Manifest::open(&chunk, &space, keys())
    {
        assert_eq!(encode(&manifest), bytes, "one manifest has one form");
    }
    if let Ok(chunk) = sealed(PartKind::Documents) {
        let _ = pieces_of(&chunk, &space, keys());
    }
    if let Ok(chunk) = sealed(PartKind::Membership) {
        let _ = entries_of(&chunk, PartKind::Membership, &space, keys());
    }
}

/// Access statements in a row, each after two bytes of its length, and log openings.
pub(super) fn statements(bytes: &[u8]) {
    let _ = LogOpening::verify(bytes, &MailboxId([5; 32]));
    let statements = parts(bytes).filter_map(|part| AccessStatement::verify(part).ok());
    if let Ok(list) = AccessList::from_statements(statements) {
        let again = AccessList::from_statements(list.statements().into_iter().cloned());
        assert_eq!(again.map(|again| again.digest()).ok(), Some(list.digest()));
    }
}

/// An Automerge change: as it is, and with its checksum mended, so that the rest is read too.
pub(super) fn change(bytes: &[u8]) {
    take_change(bytes);
    let mut mended = bytes.to_vec();
    if mended.len() > 8 {
        let sum = Sha256::digest(&mended[8..]);
        mended[4..8].copy_from_slice(&sum[..4]);
        take_change(&mended);
    }
}

fn take_change(bytes: &[u8]) {
    let mut document = Automerge::new();
    let _ = engine::take_change(&mut document, bytes, Some([7; 16]));
    let mut document = Automerge::new();
    if let Verdict::Taken { operations } = engine::take_change(&mut document, bytes, None) {
        assert!(operations <= 100_000);
        let saved = Automerge::load(&document.save()).expect("what was taken can be loaded again");
        assert_eq!(saved.get_heads(), document.get_heads());
    }
}

/// Values as they lie in the database.
pub(super) fn records(bytes: &[u8]) {
    ties_store::testing::read_records(bytes);
    engine::read_records(bytes);
}

/// A backup: its beginning, and what somebody who knows its key put behind the seal.
pub(super) fn backup(bytes: &[u8]) {
    ties_store::testing::read_backup(bytes);
}

/// Pieces of the input, each after two bytes of its length.
pub(super) fn parts(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (part, rest) = rest.split_at(length);
        bytes = rest;
        Some(part)
    })
}
