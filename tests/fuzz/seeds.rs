//! Valid inputs to begin with, for the targets whose inputs are bytes; those of text are written by hand.
//!
//! `cargo test -p ties-tests --test fuzz -- --ignored` writes them into the corpus, which is needed again only when a
//! format gets something new.

use std::fs;
use std::path::Path;

use automerge::ROOT;
use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, AutoCommit};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_net::{RelayAddress, Scheme};
use ties_sealed_log::{
    AccessStatement, DeviceKeys, Entry, EpochId, EpochKey, GET, LogKey, LogOpening, MANAGE, MailboxId, PUT, Payload,
    Position, PseudonymKey, RecoveryWords, RelaySecret, Sealed, Secret, SpaceId, StatementBody, encode, pack,
    seed_change,
};

#[test]
#[ignore = "writes the corpus"]
fn write_the_valid_inputs() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let device = DeviceKeys::from_seed(Secret::new([3; 32]));
    write(
        "entry",
        "beacon",
        Entry::seal(&log(), Position::FIRST, &SpaceId([1; 32]), epoch(), &beacon(), &mut rng).unwrap().bytes(),
    );
    write("content", "beacon", &encode(&beacon()));
    for (name, body) in hex_of_json("../crates/sealed-log/tests/vectors/bodies.json") {
        let kind = match &*name {
            "open_log" => 1,
            "changes" => 2,
            "genesis" => 16,
            "add" => 17,
            "rotate" => 21,
            "share" => 22,
            "roads" => 24,
            _ => continue,
        };
        write("content", &name, &encode(&Sealed { kind, deps: Vec::new(), time: 7, body }));
    }
    for (name, bytes) in hex_of_json("../crates/sealed-log/tests/vectors/checkpoints.json") {
        write("checkpoint", &name, &bytes);
    }
    write("packing", "text", &pack(&b"some text that repeats itself ".repeat(20)));
    write("packing", "short", &pack(b"no"));
    write("certificates", "device", device.certificate().as_bytes());
    let words = RecoveryWords::random(&mut rng);
    write("certificates", "recovery", words.keys().certificate().as_bytes());
    write("certificates", "words", words.words().collect::<Vec<_>>().join(" ").as_bytes());
    write("statements", "first", &part(statement().bytes()));
    let key = PseudonymKey::from_secret(&Secret::new([9; 32]));
    write("statements", "opening", LogOpening::new(&MailboxId([5; 32]), &log(), &key).as_bytes());
    write("change", "by-an-actor", &change([7; 16]));
    let mut seed = change(seed_change::BLANK_ACTOR);
    seed_change::stamp(&mut seed).unwrap();
    write("change", "seed", &seed);
    for (name, bytes) in [("log", vec![1; 92]), ("number", vec![1; 8]), ("list", vec![2, 1, b'a', 1, b'b'])] {
        write("records", name, &bytes);
    }
    let frames = hex_of_lines("../crates/sync/tests/wire/vectors/messages.txt");
    for (name, frame) in &frames {
        write("message", name, frame);
    }
    let parts: Vec<u8> = frames.iter().flat_map(|(_, frame)| part(frame)).collect();
    write("relay", "everything", &parts);
    write("conversation", "everything", &parts);
    for (name, frame) in hex_of_lines("../crates/sync/tests/wire/vectors/handshake.txt") {
        write("handshake", &name, &frame);
    }
    for file in ["peers", "code"] {
        for (name, frame) in hex_of_lines(&format!("../crates/sync/tests/wire/vectors/{file}.txt")) {
            write("greeting", &format!("{file}-{name}"), &frame);
        }
    }
    let pairing = hex_of_lines("../crates/sync/tests/wire/vectors/pairing.txt");
    write("pairing", "frames", &pairing.iter().flat_map(|(_, frame)| part(frame)).collect::<Vec<_>>());
    for (name, text) in hex_of_lines("../crates/sync/tests/wire/vectors/ticket.txt") {
        write("pairing", &format!("ticket-{name}"), &text);
    }
    for (name, bytes) in hex_of_lines("../crates/sync/tests/wire/vectors/parcel.txt") {
        write("parcel", &name, &bytes);
    }
    let key = RelaySecret::from_secret(&Secret::new([8; 32])).id();
    for (name, scheme, host) in [("pinned", Scheme::Pinned, "2001:db8::1"), ("loopback", Scheme::Loopback, "127.0.0.1")]
    {
        write("addresses", name, RelayAddress::new(scheme, host, 7700, key).unwrap().to_string().as_bytes());
    }
    write("vcard", "sample", ties_book::sample::vcards(4, 1).as_bytes());
    write("import", "sample.vcf", ties_book::sample::vcards(2, 2).as_bytes());
}

fn beacon() -> Sealed {
    Sealed::new(&Payload::Beacon, Vec::new(), 7)
}

fn epoch() -> (&'static EpochId, &'static EpochKey) {
    (Box::leak(Box::new(EpochId([2; 32]))), Box::leak(Box::new(EpochKey::new(Secret::new([3; 32])))))
}

fn log() -> LogKey {
    LogKey::from_secret(&Secret::new([4; 32]))
}

fn statement() -> AccessStatement {
    let key = PseudonymKey::from_secret(&Secret::new([9; 32]));
    let grants = vec![(key.id(), PUT | GET | MANAGE)];
    let (version, random, signer) = (1, [5; 32], key.id());
    AccessStatement::sign(
        StatementBody { version, mailbox: None, parents: vec![], grants, recovery: None, random, signer },
        &key,
    )
}

fn change(actor: [u8; 16]) -> Vec<u8> {
    let mut document = AutoCommit::new().with_actor(ActorId::from(actor));
    document.put(ROOT, "name/full", "Ada Lovelace").unwrap();
    document.put(ROOT, "met", 1815).unwrap();
    document.commit_with(CommitOptions::default().with_time(0));
    document.get_changes(&[]).pop().unwrap().raw_bytes().to_vec()
}

fn part(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_le_bytes(), bytes].concat()
}

fn hex_of_lines(path: &str) -> Vec<(String, Vec<u8>)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    lines.map(|(name, hex)| (name.to_owned(), bytes(hex))).collect()
}

fn hex_of_json(path: &str) -> Vec<(String, Vec<u8>)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    object.into_iter().filter_map(|(name, value)| Some((name, bytes(value.as_str()?)))).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
}
