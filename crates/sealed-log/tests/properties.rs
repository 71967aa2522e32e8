//! What holds for any bytes and any value.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::Read as _;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use serde_bytes::ByteBuf;
use support::{Cast, rng};
use ties_sealed_log::{
    AccessStatement, Add, Change, Changes, Dep, DeviceCert, Entry, EntryName, EpochId, EpochKey, Genesis,
    KnownPseudonym, LogId, LogOpening, MAX_ENTRY, MAX_UNPACKED, MailboxId, OpenLog, Payload, Position, Pseudonym,
    RecoveryCert, RecoveryEnvelope, RecoveryWords, RelayKey, RelayRoad, Roads, Role, Rotate, Sealed, Secret, Share,
    SpaceId, StatementBody, UnpackError, WRAP_LEN, Wrap, decode, encode, pack, padme, seed_change, unpack,
};

static CAST: LazyLock<Cast> = LazyLock::new(Cast::new);

fn name() -> impl Strategy<Value = EntryName> {
    any::<[u8; 32]>().prop_map(EntryName)
}

fn bytes(length: usize) -> impl Strategy<Value = ByteBuf> {
    vec(any::<u8>(), length).prop_map(ByteBuf::from)
}

fn parents() -> impl Strategy<Value = Vec<EntryName>> {
    btree_set(name(), 0..5).prop_map(|set| set.into_iter().collect())
}

fn device() -> impl Strategy<Value = ties_sealed_log::DeviceId> {
    any::<[u8; 32]>().prop_map(ties_sealed_log::DeviceId)
}

fn wrap() -> impl Strategy<Value = Wrap> {
    (device(), bytes(WRAP_LEN)).prop_map(|(recipient, bytes)| Wrap { recipient, bytes })
}

fn certificate() -> impl Strategy<Value = DeviceCert> {
    any::<bool>().prop_map(|founder| if founder { CAST.founder.certificate() } else { CAST.guest.certificate() })
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Reader), Just(Role::Writer), Just(Role::Admin)]
}

fn changes() -> impl Strategy<Value = Payload> {
    vec(any::<[u8; 16]>(), 0..4).prop_flat_map(|nonces| {
        let most = nonces.len() as u16;
        let item = (any::<[u8; 16]>(), 0..=most, vec(any::<u8>(), 0..300))
            .prop_map(|(document, nonce, chunk)| Change { document, nonce, chunk: chunk.into() });
        vec(item, 0..6).prop_map(move |items| Payload::Changes(Changes { nonces: nonces.clone(), items }))
    })
}

fn rotate() -> impl Strategy<Value = Payload> {
    let parts =
        (parents(), any::<[u8; 32]>(), any::<u32>(), any::<[u8; 32]>(), vec(wrap(), 0..3), vec(any::<u8>(), 0..99));
    parts.prop_map(|(parents, random, generation, check, mut wraps, earlier)| {
        wraps.sort_unstable_by_key(|wrap| wrap.recipient);
        wraps.dedup_by_key(|wrap| wrap.recipient);
        Payload::Rotate(Rotate { parents, random, generation, check, wraps, earlier: earlier.into() })
    })
}

fn roads() -> impl Strategy<Value = Payload> {
    let road = (
        "[ -~]{0,40}",
        any::<[u8; 32]>(),
        any::<[u8; 32]>(),
        vec(vec(any::<u8>(), 0..99).prop_map(ByteBuf::from), 0..3),
    );
    let road = road.prop_map(|(address, relay, mailbox, statements)| RelayRoad {
        address,
        relay: RelayKey(relay),
        mailbox: MailboxId(mailbox),
        statements,
    });
    let known = (device(), any::<[u8; 32]>(), any::<[u8; 32]>(), bytes(64));
    let known = known.prop_map(|(device, relay, pseudonym, signature)| KnownPseudonym {
        device,
        relay: RelayKey(relay),
        pseudonym: Pseudonym(pseudonym),
        signature,
    });
    (parents(), vec(road, 0..3), vec(known, 0..3), vec(bytes(LogOpening::LEN), 0..3)).prop_map(
        |(parents, relays, pseudonyms, openings)| Payload::Roads(Roads { parents, relays, pseudonyms, openings }),
    )
}

fn payload() -> impl Strategy<Value = Payload> {
    let genesis = (any::<[u8; 32]>(), certificate(), "\\PC{0,40}", any::<bool>());
    let add = (parents(), certificate(), role(), "\\PC{0,40}");
    let share = (parents(), any::<[u8; 32]>(), any::<u32>(), any::<[u8; 32]>(), wrap());
    prop_oneof![
        Just(Payload::Beacon),
        changes(),
        rotate(),
        roads(),
        (device(), bytes(64)).prop_map(|(device, signature)| Payload::OpenLog(OpenLog { device, signature })),
        genesis.prop_map(|(random, founder, name, recovery)| {
            let recovery = recovery.then(|| CAST.recovery.certificate());
            Payload::Genesis(Genesis { random, founder, name, recovery })
        }),
        add.prop_map(|(parents, certificate, role, name)| Payload::Add(Add { parents, certificate, role, name })),
        share.prop_map(|(parents, epoch, generation, check, wrap)| {
            Payload::Share(Share { parents, epoch: EpochId(epoch), generation, check, wrap })
        }),
    ]
}

fn deps() -> impl Strategy<Value = Vec<Dep>> {
    let dep = (any::<[u8; 32]>(), any::<u64>(), name()).prop_map(|(log, seq, name)| Dep { log: LogId(log), seq, name });
    vec(dep, 0..6)
}

fn envelope() -> impl Strategy<Value = RecoveryEnvelope> {
    let mailbox = ("[ -~]{0,60}", any::<[u8; 32]>()).prop_map(|(address, mailbox)| (address, MailboxId(mailbox)));
    let ids = (any::<[u8; 32]>(), name(), any::<[u8; 32]>(), any::<[u8; 32]>());
    (ids, any::<u32>(), vec(mailbox, 0..5), option::of(any::<[u8; 32]>())).prop_map(
        |((space, genesis, epoch, key), generation, mailboxes, checkpoint)| RecoveryEnvelope {
            space: SpaceId(space),
            genesis,
            epoch: EpochId(epoch),
            generation,
            key,
            mailboxes,
            checkpoint,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_payload_is_read_as_it_was_written(payload in payload(), deps in deps(), time: u64) {
        let sealed = Sealed::new(&payload, deps, time);
        prop_assert_eq!(&sealed.payload(), &Ok(Some(payload)));
        prop_assert_eq!(&decode::<Sealed>(&encode(&sealed)).unwrap(), &sealed);
        let entry = CAST.seal(Position::FIRST, &sealed, time);
        let (epoch, content) = Entry::verify(entry.bytes()).unwrap().open(&CAST.space, [(&CAST.epoch, &CAST.key)]).unwrap();
        prop_assert_eq!(epoch, CAST.epoch);
        prop_assert_eq!(content, sealed);
    }

    #[test]
    fn an_unknown_kind_is_kept_as_it_is(kind in prop_oneof![4u16..16, 28u16..33, 34u16..37, 39u16.., Just(0)], body: Vec<u8>) {
        let sealed = Sealed { kind, deps: vec![], time: 0, body };
        prop_assert_eq!(sealed.payload(), Ok(None));
        let entry = CAST.seal(Position::FIRST, &sealed, 1);
        prop_assert_eq!(entry.open(&CAST.space, [(&CAST.epoch, &CAST.key)]).unwrap().1, sealed);
    }

    #[test]
    fn an_envelope_is_read_as_it_was_written(envelope in envelope()) {
        let recovery = CAST.recovery.certificate();
        let entry = Entry::seal_envelope(&CAST.log, Position::FIRST, &recovery, &envelope, &mut rng(1)).unwrap();
        prop_assert!(entry.is_recovery_envelope());
        prop_assert!(Entry::verify(entry.bytes()).unwrap().open_envelope(&CAST.recovery).unwrap() == envelope);
    }

    #[test]
    fn packing_loses_nothing_and_shows_only_a_padded_length(body in vec(any::<u8>(), 0..5_000), repeat in 1usize..4) {
        let body = body.repeat(repeat);
        let packed = pack(&body);
        prop_assert_eq!(padme(packed.len()), packed.len());
        prop_assert!(packed.len() <= padme(body.len() + 5));
        prop_assert_eq!(unpack(&packed).unwrap(), body);
    }

    #[test]
    fn padding_costs_at_most_twelve_percent_and_keeps_the_order(length in 0usize..1 << 40, more in 0usize..5_000) {
        let padded = padme(length);
        prop_assert!(padded >= length);
        prop_assert!(padme(length + more) >= padded);
        prop_assert_eq!(padme(padded), padded);
        if length >= ties_sealed_log::FLOOR {
            prop_assert!((padded - length) * 100 <= length * 12);
        }
    }

    #[test]
    fn sealed_bytes_open_under_their_key_in_their_place(key: [u8; 32], salt: [u8; 32], context: Vec<u8>, plain: Vec<u8>) {
        let key = EpochKey::new(Secret::new(key));
        prop_assert_eq!(&*key.open(&context, &key.seal(&salt, &context, &plain)).unwrap(), &plain);
    }

    #[test]
    fn earlier_keys_come_back_sorted(lines in vec((any::<[u8; 32]>(), any::<u32>(), any::<[u8; 32]>()), 0..9)) {
        let keys: Vec<_> = lines.into_iter().map(|(id, generation, key)| (EpochId(id), generation, EpochKey::new(Secret::new(key)))).collect();
        let given = keys.iter().map(|(id, generation, key)| (id, *generation, key));
        let sealed = CAST.key.seal_earlier(&CAST.space, &CAST.epoch, given, &mut rng(1));
        prop_assert_eq!(sealed.is_empty(), keys.is_empty());
        let opened = CAST.key.open_earlier(&CAST.space, &CAST.epoch, &sealed).unwrap();
        let mut expected: Vec<_> = keys.iter().map(|(id, generation, key)| (*id, *generation, *key.expose())).collect();
        expected.sort_unstable();
        let opened: Vec<_> = opened.iter().map(|line| (line.epoch, line.generation, *line.key.expose())).collect();
        prop_assert_eq!(opened, expected);
    }

    #[test]
    fn words_are_read_however_they_are_typed(entropy: u64, upper: bool, space in "[ \t\n]{1,3}") {
        let words = RecoveryWords::random(&mut rng(entropy));
        let text = words.words().collect::<Vec<_>>().join(&space);
        let text = if upper { text.to_uppercase() } else { text };
        let again = RecoveryWords::parse(&format!(" {text}\n")).unwrap();
        prop_assert!(again.keys().certificate() == words.keys().certificate());
    }
}

/// Every decoder of bytes that come from elsewhere.
fn decode_everything(bytes: &[u8]) {
    let _ = Entry::verify(bytes);
    if let Ok(entry) = Entry::from_store(bytes) {
        let _ = entry.open(&CAST.space, [(&CAST.epoch, &CAST.key)]);
        let _ = entry.open_envelope(&CAST.recovery);
    }
    let _ = DeviceCert::parse(bytes);
    let _ = RecoveryCert::parse(bytes);
    let _ = LogOpening::verify(bytes, &CAST.mailbox);
    let _ = AccessStatement::verify(bytes);
    let _ = unpack(bytes);
    let _ = CAST.key.open(b"here", bytes);
    let _ = CAST.key.open_earlier(&CAST.space, &CAST.epoch, bytes);
    let _ = seed_change::check(bytes);
    let _ = seed_change::stamp(&mut bytes.to_vec());
    let _ = decode::<Sealed>(bytes);
    let _ = decode::<RecoveryEnvelope>(bytes);
    let _ = decode::<StatementBody>(bytes);
    let _ = RecoveryWords::parse(&String::from_utf8_lossy(bytes));
    for kind in 0..40 {
        let _ = Sealed { kind, deps: vec![], time: 0, body: bytes.to_vec() }.payload();
    }
}

/// Valid bytes of everything.
static VALID: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let cast = &*CAST;
    let mut all: Vec<Vec<u8>> =
        cast.payloads().iter().map(|(_, payload)| Sealed::new(payload, vec![], 0).body).collect();
    all.push(encode(&Sealed::new(&cast.changes(), vec![cast.dep()], 1)));
    all.push(encode(&cast.envelope_body()));
    all.push(encode(cast.second_statement().body()));
    all.extend([cast.beacon(), cast.second(), cast.envelope()].map(|entry| entry.bytes().to_vec()));
    all.push(cast.founder.certificate().as_bytes().to_vec());
    all.push(cast.recovery.certificate().as_bytes().to_vec());
    all.push(cast.opening().as_bytes().to_vec());
    all.push(cast.second_statement().bytes().to_vec());
    all.push(pack(&[7; 3_000]));
    all.push(support::unhex("856f4a8300000000011900100000000000000000000000000000000001010000000000"));
    all
});

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..600)) {
        decode_everything(&bytes);
    }

    #[test]
    fn mutated_valid_bytes_never_panic(
        which in 0..VALID.len(),
        edits in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in option::of(any::<prop::sample::Index>()),
        more in vec(any::<u8>(), 0..4),
    ) {
        let mut bytes = VALID[which].clone();
        if !bytes.is_empty() {
            edits.iter().for_each(|(at, byte)| { let at = at.index(bytes.len()); bytes[at] = *byte; });
            if let Some(cut) = cut { bytes.truncate(cut.index(bytes.len())); }
        }
        bytes.extend(more);
        decode_everything(&bytes);
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long it takes is what this shows")]
fn bombs_are_refused_at_once() {
    let started = Instant::now();
    let frame = |bytes: &[u8]| {
        let mut packed = vec![1];
        packed.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        packed.extend_from_slice(bytes);
        packed.resize(padme(packed.len()), 0);
        packed
    };
    let large = zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap();
    assert_eq!(unpack(&frame(&large)), Err(UnpackError::TooLarge), "states 64 MiB");

    // A frame of 64 MiB in a stream states no size at all.
    let silent = zstd::stream::encode_all(std::io::repeat(0).take(64 << 20), 1).unwrap();
    assert_eq!(unpack(&frame(&silent)), Err(UnpackError::Malformed), "states nothing");

    // One that states less than it holds: the field of four bytes after the descriptor.
    let mut lying = zstd::bulk::compress(&vec![0; 4 << 20], 3).unwrap();
    assert_eq!(lying[4] >> 6, 2, "the size stands in four bytes");
    let at = 5 + usize::from(lying[4] & 0x20 == 0);
    lying[at..at + 4].copy_from_slice(&1_000u32.to_le_bytes());
    assert_eq!(unpack(&frame(&lying)), Err(UnpackError::Malformed), "states too little");
    lying[at..at + 4].copy_from_slice(&(MAX_UNPACKED as u32).to_le_bytes());
    assert_eq!(unpack(&frame(&lying)), Err(UnpackError::Malformed), "states too much");

    let good = zstd::bulk::compress(&[7; 3_000], 3).unwrap();
    assert_eq!(unpack(&frame(&good)).unwrap(), [7; 3_000]);
    let skippable = [&good[..], &[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]].concat();
    assert_eq!(unpack(&frame(&skippable)), Err(UnpackError::Malformed), "a second frame that says nothing");
    assert_eq!(unpack(&frame(&good.repeat(2))), Err(UnpackError::Malformed), "a second frame");
    assert_eq!(
        unpack(&frame(&zstd::bulk::compress(b"short", 3).unwrap())),
        Err(UnpackError::Malformed),
        "longer packed"
    );
    assert!(unpack(&vec![0; MAX_ENTRY * 2]).is_err());
    assert!(started.elapsed() < Duration::from_secs(10), "took {:?}", started.elapsed());
}

#[test]
fn unknown_methods_and_lengths_that_lie_are_refused() {
    let mut packed = pack(b"content");
    for method in 2..=u8::MAX {
        packed[0] = method;
        assert_eq!(unpack(&packed), Err(UnpackError::Malformed));
    }
    let mut packed = pack(b"content");
    packed[1] = 0xff;
    assert_eq!(unpack(&packed), Err(UnpackError::Malformed), "longer than there is");
    packed[1] = 6;
    assert_eq!(unpack(&packed), Err(UnpackError::Padding), "the last byte would be padding");
}
