//! Frozen vectors of every format. They are kept for ever: a program that cannot read them has lost its users' data.
//!
//! `TIES_FREEZE_VECTORS=1 cargo test -p ties-sealed-log --test vectors` writes them anew, which only a new version of
//! the format may ever do.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;

use support::{Cast, WORDS, hex, rng, unhex};
use ties_sealed_log::{
    AccessList, AccessStatement, Chunk, DeviceCert, Entry, EntryError, EntryName, EpochId, EpochKey, FloorRecord,
    LogId, LogOpening, Manifest, OpenError, PartKind, Payload, RecoveryCert, RecoveryWords, Sealed, Secret, Tip,
    TipRecord, Vector, WrapContext, actor, encode, entries_of, epoch_id, hash, pack, padme, pieces_of, seed_change,
    unpack,
};

type Table = BTreeMap<String, String>;

fn file(topic: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(topic).with_extension("json")
}

#[allow(clippy::disallowed_methods, reason = "a test reads its golden files")]
fn frozen(topic: &str) -> Table {
    serde_json::from_str(&std::fs::read_to_string(file(topic)).unwrap()).unwrap()
}

fn bytes(topic: &str, name: &str) -> Vec<u8> {
    unhex(&frozen(topic)[name])
}

/// Compares what is made now with what was made then.
#[allow(clippy::disallowed_methods, reason = "the one place that writes golden files, when told to")]
fn compare(topic: &str, made: &[(String, Vec<u8>)]) {
    let made: Table = made.iter().map(|(name, bytes)| (name.clone(), hex(bytes))).collect();
    if std::env::var_os("TIES_FREEZE_VECTORS").is_some() {
        std::fs::write(file(topic), serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    let frozen = frozen(topic);
    for (name, now) in &made {
        assert_eq!(Some(now), frozen.get(name), "{topic}: {name} is not what it was");
    }
    assert_eq!(made.len(), frozen.len(), "{topic}: a vector is no longer made");
}

fn named(name: &str, bytes: impl AsRef<[u8]>) -> (String, Vec<u8>) {
    (name.to_owned(), bytes.as_ref().to_vec())
}

#[test]
fn names_are_what_they_were() {
    let cast = Cast::new();
    let tip = |seq, byte| Tip { seq, name: EntryName([byte; 32]) };
    let record = |log, tip| TipRecord { log: LogId([log; 32]), tip };
    let vector: Vector = [record(2, tip(7, 3)), record(1, tip(2, 9)), record(1, tip(2, 4))].into_iter().collect();
    compare(
        "names",
        &[
            named("hash of a label and two parts", hash("ties1/example", &[b"one", b"two"])),
            named("device", cast.founder.id().0),
            named("recovery", cast.recovery.certificate().id().0),
            named("recovery mark", cast.recovery.certificate().mark(&cast.relay)),
            named("space", cast.space.0),
            named("epoch without parents", cast.epoch.0),
            named(
                "epoch with parents",
                epoch_id(
                    &cast.space,
                    &cast.founder.id(),
                    &[EntryName([1; 32]), EntryName([2; 32])],
                    &[cast.guest.id()],
                    &[4; 32],
                )
                .0,
            ),
            named("key check", cast.key.check(&cast.epoch)),
            named("actor", actor(&cast.log.id(), &[11; 16])),
            named("entry", cast.beacon().name().0),
            named("mailbox", cast.first_statement().name().0),
            named("vector digest", vector.digest()),
            named("vector digest of nothing", Vector::default().digest()),
            named("access digest", AccessList::begin(cast.first_statement()).unwrap().digest()),
            named("fingerprint", cast.founder.id().fingerprint()),
        ],
    );
}

#[test]
fn keys_are_what_they_were() {
    let cast = Cast::new();
    compare(
        "keys",
        &[
            named("device certificate", cast.founder.certificate().as_bytes()),
            named("recovery certificate", cast.recovery.certificate().as_bytes()),
            named("log", cast.log.id().0),
            named("relay", cast.relay.0),
            named("pseudonym", cast.pseudonym.id().0),
            named("log claim", cast.founder.sign_log(&cast.space, &cast.log.id())),
            named("pseudonym claim", cast.founder.sign_pseudonym(&cast.space, &cast.relay, &cast.pseudonym.id())),
            named("derived key", cast.key.derive("ties1/example").expose()),
        ],
    );
}

#[test]
fn certificates_of_then_are_read_now() {
    let cast = Cast::new();
    let device = DeviceCert::parse(&bytes("keys", "device certificate")).unwrap();
    assert_eq!(device, cast.founder.certificate());
    let claim = bytes("keys", "log claim").try_into().unwrap();
    device.verify_log(&cast.space, &cast.log.id(), &claim).unwrap();
    let claim = bytes("keys", "pseudonym claim").try_into().unwrap();
    device.verify_pseudonym(&cast.space, &cast.relay, &cast.pseudonym.id(), &claim).unwrap();
    let recovery = RecoveryCert::parse(&bytes("keys", "recovery certificate")).unwrap();
    assert_eq!(recovery, RecoveryWords::parse(WORDS).unwrap().keys().certificate());
}

#[test]
fn bodies_are_what_they_were() {
    let cast = Cast::new();
    let mut made: Vec<_> =
        cast.payloads().into_iter().map(|(name, payload)| named(name, Sealed::new(&payload, vec![], 0).body)).collect();
    let sealed = Sealed::new(&cast.changes(), vec![cast.dep()], 1_700_000_000_000);
    made.push(named("sealed content", encode(&sealed)));
    made.push(named("sealed content of an unknown kind", encode(&Sealed { kind: 300, body: vec![1, 2], ..sealed })));
    made.push(named("recovery envelope", encode(&cast.envelope_body())));
    compare("bodies", &made);
}

#[test]
fn bodies_of_then_are_read_now() {
    let cast = Cast::new();
    for (name, payload) in cast.payloads() {
        let sealed = Sealed { kind: payload.kind() as u16, deps: vec![], time: 0, body: bytes("bodies", name) };
        assert_eq!(sealed.payload(), Ok(Some(payload)), "{name}");
    }
}

#[test]
fn entries_are_what_they_were() {
    let cast = Cast::new();
    let content = Sealed::new(&cast.changes(), vec![cast.dep()], 1_700_000_000_000);
    assert_eq!(pack(&encode(&content))[0], 0, "the frozen content is one that does not compress");
    let salted = cast.key.seal(&[14; 32], b"where it stands", b"what it says");
    compare(
        "entries",
        &[
            named("sealed bytes", salted),
            named("beacon", cast.beacon().bytes()),
            named("changes", cast.second().bytes()),
            named("recovery envelope", cast.envelope().bytes()),
        ],
    );
}

#[test]
fn entries_of_then_are_read_now() {
    let cast = Cast::new();
    assert_eq!(*cast.key.open(b"where it stands", &bytes("entries", "sealed bytes")).unwrap(), b"what it says");
    let beacon = Entry::verify(&bytes("entries", "beacon")).unwrap();
    assert_eq!((beacon.log(), beacon.seq(), beacon.prev()), (cast.log.id(), 1, EntryName::NONE));
    let (epoch, content) = beacon.open(&cast.space, [(&cast.epoch, &cast.key)]).unwrap();
    assert_eq!((epoch, content.payload()), (cast.epoch, Ok(Some(Payload::Beacon))));
    let second = Entry::verify(&bytes("entries", "changes")).unwrap();
    assert_eq!((second.seq(), second.prev()), (2, beacon.name()));
    let (_, content) = second.open(&cast.space, [(&cast.epoch, &cast.key)]).unwrap();
    assert_eq!(content, Sealed::new(&cast.changes(), vec![cast.dep()], 1_700_000_000_000));
    let envelope = Entry::verify(&bytes("entries", "recovery envelope")).unwrap();
    assert_eq!(envelope.open(&cast.space, [(&cast.epoch, &cast.key)]), Err(OpenError::Recovery));
    assert_eq!(envelope.open_envelope(&cast.recovery).unwrap(), cast.envelope_body());
}

#[test]
fn wrapped_keys_are_what_they_were() {
    let cast = Cast::new();
    let (earlier, over) = (EpochKey::new(Secret::new([15; 32])), EpochId([19; 32]));
    let sealed = cast.key.seal_earlier(&cast.space, &cast.epoch, [(&over, 7, &earlier)], &mut rng(7));
    compare(
        "wraps",
        &[
            named("to a device", &cast.share().wrap.bytes),
            named("to the recovery key", {
                let recovery = cast.recovery.certificate().id();
                let rotate = cast.rotate();
                let wrap = rotate.wraps.iter().find(|wrap| wrap.recipient == recovery).unwrap();
                wrap.bytes.clone()
            }),
            named("earlier keys", sealed),
        ],
    );
}

#[test]
fn wrapped_keys_of_then_are_opened_now() {
    let cast = Cast::new();
    let (author, guest, recovery) = (cast.founder.id(), cast.guest.id(), cast.recovery.certificate().id());
    let context = |recipient| WrapContext { space: &cast.space, epoch: &cast.epoch, recipient, author: &author };
    let key = cast.guest.unwrap(&bytes("wraps", "to a device"), context(&guest)).unwrap();
    assert_eq!(key.expose(), cast.key.expose());
    let key = cast.recovery.unwrap(&bytes("wraps", "to the recovery key"), context(&recovery)).unwrap();
    assert!(key.matches(&cast.epoch, &cast.key.check(&cast.epoch)));
    let earlier = cast.key.open_earlier(&cast.space, &cast.epoch, &bytes("wraps", "earlier keys")).unwrap();
    assert_eq!(earlier.len(), 1);
    assert_eq!((earlier[0].epoch, earlier[0].generation, earlier[0].key.expose()), (EpochId([19; 32]), 7, &[15; 32]));
}

#[test]
fn what_a_relay_reads_is_what_it_was() {
    let cast = Cast::new();
    compare(
        "access",
        &[
            named("log opening", cast.opening().as_bytes()),
            named("first statement", cast.first_statement().bytes()),
            named("second statement", cast.second_statement().bytes()),
        ],
    );
    LogOpening::verify(&bytes("access", "log opening"), &cast.mailbox).unwrap();
    let read = |name| AccessStatement::verify(&bytes("access", name)).unwrap();
    let list = AccessList::from_statements([read("second statement"), read("first statement")]).unwrap();
    assert_eq!(list.members().len(), 2);
}

#[test]
fn checkpoints_are_what_they_were() {
    let cast = Cast::new();
    let (manifest, chunks) = cast.checkpoint();
    assert_eq!(pack(&encode(&manifest))[0], 0, "the frozen manifest is one that does not compress");
    compare(
        "checkpoints",
        &[
            named("state root", manifest.root),
            named("membership", chunks[0].bytes()),
            named("documents", chunks[1].bytes()),
            named("manifest", chunks[2].bytes()),
            named("content of the manifest", encode(&manifest)),
            named("floor record", cast.floor().bytes()),
            named("floor record signed twice", cast.floor().cosign(&cast.other_log).unwrap().bytes()),
        ],
    );
}

#[test]
fn checkpoints_of_then_are_read_now() {
    let cast = Cast::new();
    let keys = || [(&cast.epoch, &cast.key)];
    let chunk = |name| Chunk::new(bytes("checkpoints", name)).unwrap();
    let manifest = Manifest::open(&chunk("manifest"), &cast.space, keys()).unwrap();
    let read = entries_of(&chunk("membership"), PartKind::Membership, &cast.space, keys()).unwrap();
    assert_eq!(read, [cast.second()]);
    let pieces = pieces_of(&chunk("documents"), &cast.space, keys()).unwrap();
    assert_eq!((pieces[0].document, &pieces[0].bytes[..]), (support::short("one"), &support::noise("saved")[..]));
    for name in ["floor record", "floor record signed twice"] {
        let floor = FloorRecord::verify(&bytes("checkpoints", name)).unwrap();
        assert!(floor.matches(&manifest), "{name}");
        assert_eq!(floor.author(), cast.log.id());
    }
}

/// The table of FORMAT.md.
const PADDED: [(usize, usize); 18] = [
    (0, 208),
    (1, 208),
    (207, 208),
    (208, 208),
    (209, 224),
    (240, 240),
    (241, 256),
    (256, 256),
    (257, 272),
    (512, 512),
    (513, 544),
    (1_000, 1_024),
    (1_025, 1_088),
    (4_097, 4_352),
    (65_537, 67_584),
    (100_000, 100_352),
    (1_000_000, 1_015_808),
    (1_032_192, 1_032_192),
];

#[test]
fn padded_lengths_are_what_they_were() {
    for (length, padded) in PADDED {
        assert_eq!(padme(length), padded, "{length}");
    }
}

#[test]
fn packed_bytes_are_what_they_were() {
    // What a compressor makes may change with its version; what was once packed must always unpack.
    let long = "a long text that is here again and again; ".repeat(40);
    compare("packing", &[named("nothing", pack(b"")), named("short", pack(b"too short to compress"))]);
    let mut unpacked = vec![(pack(long.as_bytes()), long.clone().into_bytes())];
    unpacked.push((unhex(COMPRESSED), long.into_bytes()));
    unpacked.push((bytes("packing", "nothing"), vec![]));
    unpacked.push((bytes("packing", "short"), b"too short to compress".to_vec()));
    for (packed, body) in unpacked {
        assert_eq!(unpack(&packed).unwrap(), body);
    }
}

/// Packed by zstd 1.5.7 at level 3.
const COMPRESSED: &str = "013900000028b52ffd6090057d0100440261206c6f6e6720746578742074686174206973206865726520616761696e20616e643b200200\
    6336f5b18a9527000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn a_change_made_then_is_stamped_as_it_was() {
    // Automerge may one day write the same change with other bytes; the stamp of these bytes stays.
    let mut chunk = unhex(BLANK_SEED);
    seed_change::stamp(&mut chunk).unwrap();
    compare("seeds", &[named("stamped", &chunk)]);
    seed_change::check(&bytes("seeds", "stamped")).unwrap();
}

/// Made by Automerge 0.12 with the blank actor and time 0: `kind` = `note` and a text `body` = `hi` at the root.
const BLANK_SEED: &str = "856f4a83df0345c5015e00100000000000000000000000000000000001010000000a0104020411041305150d3402420556055706700200\
    0202000002020200037f0000027e00037e046b696e6404626f6479000202027e010402017e460002166e6f746568690400";

#[test]
fn the_next_version_is_refused_not_guessed() {
    let mut beacon = bytes("entries", "beacon");
    beacon[0] = 2;
    assert_eq!(Entry::verify(&beacon), Err(EntryError::Version(2)));
    for name in ["device certificate", "recovery certificate"] {
        let mut certificate = bytes("keys", name);
        certificate[0] = 2;
        assert!(DeviceCert::parse(&certificate).is_err() && RecoveryCert::parse(&certificate).is_err());
    }
}
