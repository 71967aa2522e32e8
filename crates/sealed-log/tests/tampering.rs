//! Nothing that was altered, cut, lengthened, moved or made with a weak key passes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use ed25519_dalek::{Signer, SigningKey};
use support::{Cast, OTHER_WORDS, flips, rng};
use ties_sealed_log::{
    AccessError, AccessStatement, ChangeRecovery, DecodeError, Dep, DeviceCert, ENVELOPE_SEALED, Entry, EntryError,
    EntryName, EpochId, EpochKey, FLOOR, KEM_KEY_LEN, KeyError, Kind, LogId, LogKey, LogOpening, MAX_ENTRY, MAX_PINS,
    MailboxId, Manner, OpenError, Payload, Position, Pseudonym, RecoveryCert, RecoveryWords, Rename, Reset,
    SEAL_OVERHEAD, SealError, Sealed, Secret, SpaceId, StatementBody, WrapContext, decode, encode, padme,
};

#[test]
fn every_flip_of_an_entry_is_refused() {
    let entry = Cast::new().beacon();
    for (bit, flipped) in flips(entry.bytes()) {
        assert!(Entry::verify(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn every_flip_of_an_entry_is_refused_by_the_seal_alone() {
    let cast = Cast::new();
    let entry = cast.second();
    for (bit, flipped) in flips(&entry.bytes()[..entry.bytes().len() - 64]) {
        // As if the signature had been made anew.
        let bytes = [&flipped, &entry.bytes()[flipped.len()..]].concat();
        let opened = Entry::from_store(&bytes).map(|entry| entry.open(&cast.space, [(&cast.epoch, &cast.key)]));
        assert!(!matches!(opened, Ok(Ok(_))), "bit {bit}");
    }
}

#[test]
fn every_flip_of_an_envelope_is_refused() {
    let cast = Cast::new();
    let entry = cast.envelope();
    for (bit, flipped) in flips(entry.bytes()) {
        assert!(Entry::verify(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn every_flip_of_an_envelope_is_refused_by_the_seal_alone() {
    let cast = Cast::new();
    let entry = cast.envelope();
    // One bit of each byte: each of them costs a decapsulation.
    for (bit, flipped) in flips(&entry.bytes()[..entry.bytes().len() - 64]).filter(|(bit, _)| bit % 8 == bit / 8 % 8) {
        let bytes = [&flipped, &entry.bytes()[flipped.len()..]].concat();
        let opened = Entry::from_store(&bytes).map(|entry| entry.open_envelope(&cast.recovery));
        assert!(!matches!(opened, Ok(Ok(_))), "bit {bit}");
    }
}

#[test]
fn every_flip_of_a_certificate_is_refused() {
    let cast = Cast::new();
    for (bit, flipped) in flips(cast.founder.certificate().as_bytes()) {
        assert!(DeviceCert::parse(&flipped).is_err(), "device, bit {bit}");
    }
    for (bit, flipped) in flips(cast.recovery.certificate().as_bytes()) {
        assert!(RecoveryCert::parse(&flipped).is_err(), "recovery, bit {bit}");
    }
}

#[test]
fn every_flip_of_a_wrap_is_refused() {
    let cast = Cast::new();
    let (author, recipient) = (cast.founder.id(), cast.guest.id());
    let context = WrapContext { space: &cast.space, epoch: &cast.epoch, recipient: &recipient, author: &author };
    for (bit, flipped) in flips(&cast.share().wrap.bytes) {
        assert_eq!(cast.guest.unwrap(&flipped, context).err(), Some(SealError::Altered), "bit {bit}");
    }
}

#[test]
fn every_flip_of_an_opening_is_refused() {
    let cast = Cast::new();
    for (bit, flipped) in flips(cast.opening().as_bytes()) {
        assert!(LogOpening::verify(&flipped, &cast.mailbox).is_err(), "bit {bit}");
    }
}

#[test]
fn every_flip_of_a_statement_is_refused() {
    for statement in [Cast::new().first_statement(), Cast::new().second_statement()] {
        for (bit, flipped) in flips(statement.bytes()) {
            assert!(AccessStatement::verify(&flipped).is_err(), "bit {bit}");
        }
    }
}

/// Whatever is flipped in what the recovery key signed, it does not decode or does not verify.
#[test]
fn no_flip_of_what_the_recovery_key_signed_passes() {
    let cast = Cast::new();
    let (key, author) = (cast.recovery.certificate(), cast.founder.id());
    let passes = |kind: Kind, body: Vec<u8>| {
        let sealed = Sealed { kind: kind as u16, deps: vec![], time: 0, body };
        match sealed.payload() {
            Ok(Some(Payload::Reset(reset))) => reset.verify(&key, &cast.space, &author).is_ok(),
            Ok(Some(Payload::Admit(admit))) => admit.verify(&key, &cast.space).is_ok(),
            Ok(Some(Payload::ChangeRecovery(change))) => change.verify(&key, &cast.space, &author).is_ok(),
            _ => false,
        }
    };
    let signed =
        [Payload::Reset(cast.reset()), Payload::Admit(cast.admit()), Payload::ChangeRecovery(cast.change_recovery())];
    for payload in signed {
        let body = Sealed::new(&payload, vec![], 0).body;
        assert!(passes(payload.kind(), body.clone()));
        // Certificates are flipped bit by bit above; one step here is five bits, so that each place in a byte is met.
        for (bit, flipped) in flips(&body).step_by(5) {
            assert!(!passes(payload.kind(), flipped), "{:?}, bit {bit}", payload.kind());
        }
    }
}

#[test]
fn what_the_recovery_key_signed_holds_for_one_space_one_author_one_key() {
    let cast = Cast::new();
    let (key, author, space) = (cast.recovery.certificate(), cast.founder.id(), cast.space);
    let other = RecoveryWords::parse(OTHER_WORDS).unwrap().keys().certificate();
    let (reset, admit, change) = (cast.reset(), cast.admit(), cast.change_recovery());
    assert!(reset.verify(&key, &space, &author).is_ok() && change.verify(&key, &space, &author).is_ok());
    for (key, space, author) in
        [(&other, space, author), (&key, SpaceId([1; 32]), author), (&key, space, cast.guest.id())]
    {
        assert!(reset.verify(key, &space, &author).is_err());
        assert!(change.verify(key, &space, &author).is_err());
    }
    assert!(admit.verify(&other, &space).is_err() && admit.verify(&key, &SpaceId([1; 32])).is_err());
    // A signature under one label says nothing under another.
    let swapped = Reset { signature: change.signature.clone(), ..reset };
    assert!(swapped.verify(&key, &space, &author).is_err());
    assert!(ChangeRecovery { signature: admit.signature, ..change }.verify(&key, &space, &author).is_err());
}

#[test]
fn lists_of_members_and_pins_keep_their_order_and_bounds() {
    let cast = Cast::new();
    let refuses = |payload: &Payload| Sealed::new(payload, vec![], 0).payload().err();
    let mut reset = cast.reset();
    assert!(reset.members[0].certificate.id() < reset.members[1].certificate.id());
    reset.members.reverse();
    assert_eq!(refuses(&Payload::Reset(reset.clone())), Some(DecodeError::Bounds), "members out of order");
    reset.members[1] = reset.members[0].clone();
    assert_eq!(refuses(&Payload::Reset(reset.clone())), Some(DecodeError::Bounds), "a member twice");
    reset.members.clear();
    assert_eq!(refuses(&Payload::Reset(reset.clone())), Some(DecodeError::Bounds), "nobody");
    let short = Reset { signature: vec![0; 63].into(), ..cast.reset() };
    assert_eq!(refuses(&Payload::Reset(short)), Some(DecodeError::Bounds), "half a signature");
    let long = Rename { name: "n".repeat(201), ..cast.rename() };
    assert_eq!(refuses(&Payload::Rename(long)), Some(DecodeError::Bounds), "a long name");
    let pinned = |count: u64, reversed: bool| {
        let mut pins: Vec<Dep> = (0..count).map(|seq| Dep { seq: u64::MAX - count + seq, ..cast.dep() }).collect();
        if reversed {
            pins.reverse();
        }
        Payload::Remove(cast.remove(Manner::Revoke { pins }))
    };
    assert_eq!(refuses(&pinned(MAX_PINS as u64, false)), None, "the most that there may be fit into an entry");
    assert_eq!(refuses(&pinned(MAX_PINS as u64 + 1, false)), Some(DecodeError::Bounds));
    assert_eq!(refuses(&pinned(2, true)), Some(DecodeError::Bounds), "pins out of order");
}

#[test]
fn every_flip_of_the_earlier_keys_is_refused() {
    let cast = Cast::new();
    let (epoch, key) = (EpochId([1; 32]), EpochKey::new(Secret::new([2; 32])));
    let sealed = cast.key.seal_earlier(&cast.space, &cast.epoch, [(&epoch, 0, &key)], &mut rng(1));
    for (bit, flipped) in flips(&sealed) {
        assert!(cast.key.open_earlier(&cast.space, &cast.epoch, &flipped).is_err(), "bit {bit}");
    }
    assert!(cast.key.open_earlier(&cast.space, &epoch, &sealed).is_err(), "they are another epoch's");
    assert!(key.open_earlier(&cast.space, &cast.epoch, &sealed).is_err(), "they are under another key");
}

#[test]
fn every_truncation_and_every_trailing_byte_is_refused() {
    let cast = Cast::new();
    let (author, recipient) = (cast.founder.id(), cast.guest.id());
    let context = WrapContext { space: &cast.space, epoch: &cast.epoch, recipient: &recipient, author: &author };
    type Check<'c> = Box<dyn Fn(&[u8]) -> bool + 'c>;
    let objects: Vec<(&str, Vec<u8>, Check<'_>)> = vec![
        ("entry", cast.beacon().bytes().to_vec(), Box::new(|bytes| Entry::verify(bytes).is_ok())),
        ("envelope", cast.envelope().bytes().to_vec(), Box::new(|bytes| Entry::verify(bytes).is_ok())),
        (
            "device certificate",
            cast.founder.certificate().as_bytes().to_vec(),
            Box::new(|bytes| DeviceCert::parse(bytes).is_ok()),
        ),
        (
            "recovery certificate",
            cast.recovery.certificate().as_bytes().to_vec(),
            Box::new(|bytes| RecoveryCert::parse(bytes).is_ok()),
        ),
        ("wrap", cast.share().wrap.bytes.to_vec(), Box::new(|bytes| cast.guest.unwrap(bytes, context).is_ok())),
        (
            "opening",
            cast.opening().as_bytes().to_vec(),
            Box::new(|bytes| LogOpening::verify(bytes, &cast.mailbox).is_ok()),
        ),
        (
            "statement",
            cast.second_statement().bytes().to_vec(),
            Box::new(|bytes| AccessStatement::verify(bytes).is_ok()),
        ),
        (
            "sealed bytes",
            cast.key.seal(&[1; 32], b"here", b"content"),
            Box::new(|bytes| cast.key.open(b"here", bytes).is_ok()),
        ),
    ];
    for (name, bytes, passes) in objects {
        assert!(passes(&bytes), "{name}");
        for length in 0..bytes.len() {
            assert!(!passes(&bytes[..length]), "{name} cut to {length} bytes");
        }
        for last in 0..=u8::MAX {
            let longer = [&bytes[..], &[last]].concat();
            assert!(!passes(&longer), "{name} and a byte {last}");
        }
    }
}

#[test]
fn every_payload_is_refused_when_cut_or_lengthened() {
    for (name, payload) in Cast::new().payloads() {
        let mut sealed = Sealed::new(&payload, vec![], 0);
        let body = std::mem::take(&mut sealed.body);
        for length in (0..body.len()).step_by(1 + body.len() / 200) {
            sealed.body = body[..length].to_vec();
            assert!(sealed.payload().is_err(), "{name} cut to {length} bytes");
        }
        sealed.body = [&body[..], &[0]].concat();
        assert_eq!(sealed.payload(), Err(DecodeError::Trailing(1)), "{name}");
    }
}

/// Puts what stands at `range` in one object into another and tells whether the result passes.
fn swapped(into: &[u8], from: &[u8], range: std::ops::Range<usize>) -> Vec<u8> {
    let mut bytes = into.to_vec();
    bytes[range.clone()].copy_from_slice(&from[range]);
    bytes
}

#[test]
fn no_field_of_an_entry_passes_in_another() {
    let cast = Cast::new();
    let other = {
        let position = Position { seq: 3, prev: EntryName([1; 32]) };
        let content = Sealed::new(&Payload::Beacon, vec![], 1);
        let epoch = (&cast.epoch, &cast.key);
        Entry::seal(&cast.other_log, position, &cast.space, epoch, &content, &mut rng(9)).unwrap()
    };
    let one = {
        let position = Position { seq: 2, prev: EntryName([2; 32]) };
        cast.seal(position, &Sealed::new(&Payload::Beacon, vec![], 0), 8)
    };
    assert_eq!(one.bytes().len(), other.bytes().len());
    let end = one.bytes().len() - 64;
    let fields = [
        ("log", 1..33),
        ("seq", 33..41),
        ("prev", 41..73),
        ("salt", 73..105),
        ("commitment", 105..137),
        ("text", 137..end),
    ];
    for (name, range) in fields {
        let bytes = swapped(one.bytes(), other.bytes(), range);
        assert_eq!(Entry::verify(&bytes), Err(EntryError::Key(KeyError::Signature)), "{name}");
        let opened = Entry::from_store(&bytes).unwrap().open(&cast.space, [(&cast.epoch, &cast.key)]);
        assert!(opened.is_err(), "{name}, signed anew");
    }
    let bytes = swapped(one.bytes(), other.bytes(), end..one.bytes().len());
    assert_eq!(Entry::verify(&bytes), Err(EntryError::Key(KeyError::Signature)), "signature");
}

#[test]
fn an_entry_opens_in_its_own_space_and_epoch_alone() {
    let cast = Cast::new();
    let entry = cast.beacon();
    let elsewhere = [
        entry.open(&SpaceId([1; 32]), [(&cast.epoch, &cast.key)]),
        entry.open(&cast.space, [(&EpochId([1; 32]), &cast.key)]),
        entry.open(&cast.space, [(&cast.epoch, &EpochKey::new(Secret::new([9; 32])))]),
        entry.open(&cast.space, []),
    ];
    for opened in elsewhere {
        assert_eq!(opened, Err(OpenError::NoKey));
    }
}

/// A member who may begin epochs could begin two with one key; the order in which a device tries them must not matter.
#[test]
fn one_key_for_two_epochs_confuses_nobody() {
    let cast = Cast::new();
    let (entry, twin) = (cast.beacon(), EpochId([1; 32]));
    let opened = entry.open(&cast.space, [(&twin, &cast.key), (&cast.epoch, &cast.key)]).unwrap();
    assert_eq!(opened.0, cast.epoch);
    assert_eq!(opened, entry.open(&cast.space, [(&cast.epoch, &cast.key), (&twin, &cast.key)]).unwrap());
}

#[test]
fn a_wrap_opens_in_its_own_context_alone() {
    let cast = Cast::new();
    let (author, recipient) = (cast.founder.id(), cast.guest.id());
    let wrap = cast.share().wrap.bytes;
    let right = WrapContext { space: &cast.space, epoch: &cast.epoch, recipient: &recipient, author: &author };
    let (space, epoch) = (SpaceId([1; 32]), EpochId([1; 32]));
    assert!(cast.guest.unwrap(&wrap, right).is_ok());
    let wrong = [
        WrapContext { space: &space, ..right },
        WrapContext { epoch: &epoch, ..right },
        WrapContext { recipient: &author, ..right },
        WrapContext { author: &recipient, ..right },
    ];
    for context in wrong {
        assert_eq!(cast.guest.unwrap(&wrap, context).err(), Some(SealError::Altered), "{context:?}");
    }
    assert_eq!(cast.founder.unwrap(&wrap, right).err(), Some(SealError::Altered), "for another device");
    assert_eq!(cast.recovery.unwrap(&wrap, right).err(), Some(SealError::Altered), "for the recovery key");
}

#[test]
fn claims_hold_for_one_space_one_log_one_relay_one_device() {
    let cast = Cast::new();
    let (mine, yours) = (cast.founder.certificate(), cast.guest.certificate());
    let (log, other, space) = (cast.log.id(), cast.other_log.id(), SpaceId([1; 32]));
    let claim = cast.founder.sign_log(&cast.space, &log);
    mine.verify_log(&cast.space, &log, &claim).unwrap();
    assert!(mine.verify_log(&space, &log, &claim).is_err());
    assert!(mine.verify_log(&cast.space, &other, &claim).is_err());
    assert!(yours.verify_log(&cast.space, &log, &claim).is_err());
    let (pseudonym, relay) = (cast.pseudonym.id(), cast.relay);
    let claim = cast.founder.sign_pseudonym(&cast.space, &relay, &pseudonym);
    mine.verify_pseudonym(&cast.space, &relay, &pseudonym, &claim).unwrap();
    assert!(mine.verify_pseudonym(&space, &relay, &pseudonym, &claim).is_err());
    assert!(mine.verify_pseudonym(&cast.space, &relay, &Pseudonym([1; 32]), &claim).is_err());
    assert!(yours.verify_pseudonym(&cast.space, &relay, &pseudonym, &claim).is_err());
}

#[test]
fn an_opening_opens_one_log_in_one_mailbox_under_one_pseudonym() {
    let cast = Cast::new();
    let other = LogOpening::new(&cast.mailbox, &cast.other_log, &cast.guest.pseudonym(&cast.space, &cast.relay));
    let opening = cast.opening();
    assert_eq!(LogOpening::verify(opening.as_bytes(), &MailboxId([1; 32])), Err(AccessError::Mailbox));
    for range in [32..64, 64..96, 96..160, 160..224, 32..96, 96..224] {
        let bytes = swapped(opening.as_bytes(), other.as_bytes(), range.clone());
        assert!(LogOpening::verify(&bytes, &cast.mailbox).is_err(), "{range:?}");
    }
}

#[test]
fn the_recovery_envelope_is_for_the_words_alone() {
    let cast = Cast::new();
    let entry = cast.envelope();
    let others = RecoveryWords::random(&mut rng(1)).keys();
    assert_eq!(entry.open_envelope(&others).err(), Some(OpenError::NoKey));
    assert_eq!(cast.beacon().open_envelope(&cast.recovery).err(), Some(OpenError::NoKey));
}

#[test]
fn no_entry_but_an_envelope_is_as_long_as_one() {
    let length = ENVELOPE_SEALED - SEAL_OVERHEAD;
    assert!((0..=length).all(|content| padme(content) != length));
}

#[test]
fn positions_that_cannot_be_are_refused() {
    let cast = Cast::new();
    let content = Sealed::new(&Payload::Beacon, vec![], 0);
    let somewhere = EntryName([1; 32]);
    for (seq, prev) in [(0, EntryName::NONE), (0, somewhere), (1, somewhere), (2, EntryName::NONE)] {
        let position = Position { seq, prev };
        let epoch = (&cast.epoch, &cast.key);
        let entry = Entry::seal(&cast.log, position, &cast.space, epoch, &content, &mut rng(1));
        assert_eq!(entry, Err(EntryError::Position), "{position:?}");
    }
}

#[test]
fn lengths_and_versions_that_are_none_are_refused() {
    let cast = Cast::new();
    assert_eq!(Entry::verify(&[]), Err(EntryError::Length(0)));
    assert_eq!(Entry::verify(&[1; 216]), Err(EntryError::Length(216)));
    assert_eq!(Entry::verify(&vec![1; MAX_ENTRY + 1]), Err(EntryError::Length(MAX_ENTRY + 1)));
    let mut bytes = cast.beacon().bytes().to_vec();
    for version in (0..=u8::MAX).filter(|version| *version != 1) {
        bytes[0] = version;
        assert_eq!(Entry::verify(&bytes), Err(EntryError::Version(version)));
    }
}

#[test]
fn what_would_not_open_is_not_sealed() {
    let cast = Cast::new();
    let seal = |content: &Sealed| {
        let epoch = (&cast.epoch, &cast.key);
        Entry::seal(&cast.log, Position::FIRST, &cast.space, epoch, content, &mut rng(1))
    };
    let large = Sealed { kind: 2, deps: vec![], time: 0, body: vec![0; 9 << 20] };
    assert!(matches!(seal(&Sealed { kind: 99, ..large }), Err(EntryError::Length(_))), "it compresses, and is a bomb");
    let broken = Sealed { kind: 2, deps: vec![], time: 0, body: vec![1] };
    assert_eq!(seal(&broken), Err(EntryError::Content(DecodeError::Malformed)));
    let unsorted = Sealed { kind: 3, deps: vec![cast.dep(), cast.dep()], time: 0, body: vec![] };
    assert_eq!(seal(&unsorted), Err(EntryError::Content(DecodeError::Bounds)));
}

#[test]
fn padding_that_is_not_zero_is_refused_after_opening() {
    let cast = Cast::new();
    let content = encode(&Sealed::new(&Payload::Beacon, vec![], 0));
    let mut plain = vec![0];
    plain.extend_from_slice(&(content.len() as u32).to_le_bytes());
    plain.extend_from_slice(&content);
    let used = plain.len();
    plain.resize(FLOOR, 0);
    assert!(sealed_by_hand(&cast, &plain).is_ok());
    for at in [used, FLOOR - 1] {
        let mut dirty = plain.clone();
        dirty[at] = 1;
        assert!(matches!(sealed_by_hand(&cast, &dirty), Err(OpenError::Packing(_))), "byte {at}");
    }
    plain.extend_from_slice(&[0; 16]);
    assert!(matches!(sealed_by_hand(&cast, &plain), Err(OpenError::Packing(_))), "longer than it must be");
}

/// Seals and signs a plaintext that this crate would not, as another program might.
fn sealed_by_hand(cast: &Cast, plain: &[u8]) -> Result<(EpochId, Sealed), OpenError> {
    let log = SigningKey::from_bytes(cast.log.secret().expose());
    let mut bytes = vec![1];
    bytes.extend_from_slice(log.verifying_key().as_bytes());
    bytes.extend_from_slice(&1u64.to_be_bytes());
    bytes.extend_from_slice(&[0; 32]);
    let context = [b"ties1/entry\0", &cast.space.0[..], &cast.epoch.0, &bytes].concat();
    let sealed = cast.key.seal(&[7; 32], &context, plain);
    bytes.extend_from_slice(&sealed);
    let signature = log.sign(&[b"ties1/entry\0", &bytes[..]].concat());
    bytes.extend_from_slice(&signature.to_bytes());
    Entry::verify(&bytes).unwrap().open(&cast.space, [(&cast.epoch, &cast.key)])
}

/// All encodings of the eight points of small order of edwards25519, and two of them that are not canonical.
const WEAK: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// Strong points in an encoding that is not theirs: y = p + 3 and so on would be second names of real keys.
fn not_canonical() -> impl Iterator<Item = [u8; 32]> {
    (0xed..=0xff_u8).flat_map(|low| {
        let mut bytes = [0xff; 32];
        bytes[0] = low;
        bytes[31] = 0x7f;
        let mut negative = bytes;
        negative[31] = 0xff;
        [bytes, negative]
    })
}

fn weak_keys() -> impl Iterator<Item = [u8; 32]> {
    WEAK.iter().map(|text| support::unhex(text).try_into().unwrap()).chain(not_canonical())
}

/// The signature R = identity, s = 0, which a lenient verifier accepts from weak keys for many messages.
fn lenient() -> [u8; 64] {
    let mut signature = [0; 64];
    signature[0] = 1;
    signature
}

#[test]
fn weak_keys_sign_nothing() {
    let cast = Cast::new();
    for key in weak_keys() {
        let mut entry = cast.beacon().bytes().to_vec();
        entry[1..33].copy_from_slice(&key);
        let end = entry.len() - 64;
        entry[end..].copy_from_slice(&lenient());
        assert_eq!(Entry::verify(&entry), Err(EntryError::Key(KeyError::Weak)), "log {}", support::hex(&key));

        let pseudonym = Pseudonym(key);
        assert_eq!(pseudonym.verify("ties1/example", &[b"x"], &lenient()), Err(KeyError::Weak), "pseudonym");

        let mut opening = cast.opening().as_bytes().to_vec();
        opening[64..96].copy_from_slice(&key);
        opening[96..160].copy_from_slice(&lenient());
        let refused = LogOpening::verify(&opening, &cast.mailbox);
        assert_eq!(refused, Err(AccessError::Key(KeyError::Weak)), "opening");

        let mut certificate = cast.founder.certificate().as_bytes().to_vec();
        certificate[1..33].copy_from_slice(&key);
        certificate[1281..].copy_from_slice(&lenient());
        assert_eq!(DeviceCert::parse(&certificate), Err(KeyError::Weak), "signing key");
        assert_eq!(DeviceCert::parse(&certified(33..65, &key)), Err(KeyError::Weak), "TLS key");
    }
}

#[test]
fn keys_to_wrap_for_are_strong() {
    let mut u_coordinates: Vec<[u8; 32]> = vec![[0; 32], [0; 32]];
    u_coordinates[1][0] = 1;
    for text in [
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        u_coordinates.push(support::unhex(text).try_into().unwrap());
    }
    u_coordinates.extend(not_canonical());
    let high_bit = u_coordinates.clone().into_iter().map(|mut bytes| {
        bytes[31] |= 0x80;
        bytes
    });
    for key in u_coordinates.iter().copied().chain(high_bit) {
        let end = 65 + KEM_KEY_LEN;
        assert_eq!(DeviceCert::parse(&certified(end - 32..end, &key)), Err(KeyError::Weak), "{}", support::hex(&key));
    }
    // ML-KEM's own check: coefficients below q.
    assert_eq!(DeviceCert::parse(&certified(65..97, &[0xff; 32])), Err(KeyError::Weak));
    DeviceCert::parse(&certified(0..0, &[])).unwrap();
}

/// A certificate with other bytes at `range`, signed by a key that its maker does have.
fn certified(range: std::ops::Range<usize>, bytes: &[u8]) -> Vec<u8> {
    let signing = SigningKey::from_bytes(&[20; 32]);
    let mut certificate = Cast::new().founder.certificate().as_bytes()[..1281].to_vec();
    certificate[1..33].copy_from_slice(signing.verifying_key().as_bytes());
    certificate[range].copy_from_slice(bytes);
    let signature = signing.sign(&[b"ties1/device-cert\0", &certificate[..]].concat());
    certificate.extend_from_slice(&signature.to_bytes());
    certificate
}

#[test]
fn a_signature_has_one_form() {
    // s + L is the same number modulo L.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut bytes = Cast::new().beacon().bytes().to_vec();
    let end = bytes.len() - 32;
    let mut carry = 0;
    for (byte, more) in bytes[end..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(more) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert_eq!(Entry::verify(&bytes), Err(EntryError::Key(KeyError::Signature)));
}

#[test]
fn a_check_is_to_one_key_and_one_epoch() {
    let cast = Cast::new();
    let check = cast.key.check(&cast.epoch);
    assert!(cast.key.matches(&cast.epoch, &check));
    assert!(!cast.key.matches(&EpochId([1; 32]), &check));
    assert!(!EpochKey::new(Secret::new([9; 32])).matches(&cast.epoch, &check));
}

#[test]
fn redundant_numbers_and_lists_out_of_order_are_refused() {
    assert_eq!(decode::<u32>(&[0x80, 0x00]), Err(DecodeError::NotCanonical));
    assert_eq!(decode::<Vec<u8>>(&[0x81, 0x00, 7]), Err(DecodeError::NotCanonical));
    assert_eq!(decode::<u32>(&[5, 0]), Err(DecodeError::Trailing(1)));
    assert_eq!(decode::<Vec<[u8; 32]>>(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Err(DecodeError::Malformed));

    let cast = Cast::new();
    let mut rotate = cast.rotate();
    let refuses = |payload: &Payload| Sealed::new(payload, vec![], 0).payload().err();
    assert_eq!(refuses(&Payload::Rotate(rotate.clone())), None);
    rotate.wraps.reverse();
    assert_eq!(refuses(&Payload::Rotate(rotate.clone())), Some(DecodeError::Bounds), "wraps out of order");
    rotate.wraps[1] = rotate.wraps[0].clone();
    assert_eq!(refuses(&Payload::Rotate(rotate.clone())), Some(DecodeError::Bounds), "a recipient twice");
    rotate.wraps.truncate(1);
    rotate.wraps[0].bytes.push(0);
    assert_eq!(refuses(&Payload::Rotate(rotate)), Some(DecodeError::Bounds), "a wrap of another length");
    let mut share = cast.share();
    share.parents = vec![EntryName([2; 32]), EntryName([1; 32])];
    assert_eq!(refuses(&Payload::Share(share.clone())), Some(DecodeError::Bounds), "parents out of order");
    share.parents = vec![EntryName([1; 32]); 2];
    assert_eq!(refuses(&Payload::Share(share.clone())), Some(DecodeError::Bounds), "a parent twice");
    share.parents = (0..65).map(|n| EntryName([n; 32])).collect();
    assert_eq!(refuses(&Payload::Share(share)), Some(DecodeError::Bounds), "too many parents");
}

#[test]
fn a_statement_out_of_bounds_or_order_is_refused() {
    let cast = Cast::new();
    let good = cast.second_statement().body().clone();
    type Spoil = fn(&mut StatementBody);
    let signed = |change: Spoil| {
        let mut body = good.clone();
        change(&mut body);
        // By hand: signing through the crate would put things in order.
        let key = SigningKey::from_bytes(&[21; 32]);
        body.signer = Pseudonym(key.verifying_key().to_bytes());
        let mut bytes = encode(&body);
        let signature = key.sign(&[b"ties1/access\0", &bytes[..]].concat());
        bytes.extend_from_slice(&signature.to_bytes());
        AccessStatement::verify(&bytes).err()
    };
    assert_eq!(signed(|_| {}), None);
    let wrong: [(&str, Spoil); 9] = [
        ("another version", |body| body.version = 2),
        ("grants out of order", |body| body.grants = vec![(Pseudonym([2; 32]), 1), (Pseudonym([1; 32]), 1)]),
        ("somebody twice", |body| body.grants = vec![(Pseudonym([1; 32]), 1), (Pseudonym([1; 32]), 2)]),
        ("too many grants", |body| body.grants = (0..81).map(|n| (Pseudonym([n; 32]), 1)).collect()),
        ("a flag that does not exist", |body| body.grants = vec![(Pseudonym([1; 32]), 16)]),
        ("no parents", |body| body.parents = vec![]),
        ("a parent twice", |body| body.parents = vec![body.parents[0]; 2]),
        ("parents of a first statement", |body| body.mailbox = None),
        ("a mark by who does not say to be the recovery key", |body| body.grants = vec![(Pseudonym([2; 32]), 17)]),
    ];
    for (name, change) in wrong {
        assert_eq!(signed(change), Some(AccessError::Shape), "{name}");
    }
}

#[test]
fn another_log_key_or_certificate_has_another_name() {
    assert_ne!(LogKey::from_secret(&Secret::new([1; 32])).id(), LogId([1; 32]));
    let cast = Cast::new();
    assert_ne!(cast.founder.id(), cast.guest.id());
    assert_ne!(cast.founder.pseudonym(&cast.space, &cast.relay).id(), {
        let elsewhere = SpaceId([1; 32]);
        cast.founder.pseudonym(&elsewhere, &cast.relay).id()
    });
}
