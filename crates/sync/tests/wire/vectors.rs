//! Frozen vectors: what stands here is read and written the same for ever.
//!
//! `TIES_FREEZE=1 cargo test -p ties-sync --test wire` writes the files anew, which is a change of the protocol.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_bytes::ByteBuf;
use ties_sealed_log::{
    ChunkName, DeviceId, DeviceKeys, Entry, EntryName, EpochId, EpochKey, FloorName, KnownPseudonym, LogId, LogKey,
    MailboxId, Payload, Position, PseudonymKey, RelayRoad, RelaySecret, Sealed, Secret, SpaceId, Tip, TipRecord,
};
use ties_sync::{
    Channel, Code, ExpectAuth, ExpectHail, ExpectHello, ExpectOffer, FloorWord, Guest, GuestStep, Hello, Host,
    HostStep, MAX_FRAME, MeetingPlace, Message, Packing, Parcel, PeerError, PeerHandshake, Refusal, Ticket, VERSION,
    Welcome, place_name, plate, share_keys,
};

/// Names and their bytes, in the order of a file's lines.
struct Frozen(Vec<(String, Vec<u8>)>);

impl Frozen {
    fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Self(lines.map(|line| line.split_once(' ').unwrap()).map(|(name, hex)| (name.to_owned(), unhex(hex))).collect())
    }

    fn write(&self, about: &str) -> String {
        let mut text = format!("# {about}\n");
        self.0.iter().for_each(|(name, bytes)| writeln!(text, "{name} {}", hex(bytes)).unwrap());
        text
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Compares with the file, or writes it where that is asked for by name.
#[allow(clippy::disallowed_methods, reason = "tests keep their vectors in files; the crate itself touches none")]
fn hold(file: &str, about: &str, made: &Frozen) {
    let path = format!("{}/tests/wire/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var("TIES_FREEZE").is_ok_and(|value| value == "1") {
        std::fs::create_dir_all(format!("{}/tests/wire/vectors", env!("CARGO_MANIFEST_DIR"))).unwrap();
        std::fs::write(&path, made.write(about)).unwrap();
    }
    let kept = Frozen::read(&std::fs::read_to_string(&path).unwrap());
    let names = |frozen: &Frozen| frozen.0.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(made), names(&kept), "{file} lists what there is");
    for ((name, made), (_, kept)) in made.0.iter().zip(&kept.0) {
        assert_eq!(hex(made), hex(kept), "{name} of {file}");
    }
}

/// 32 bytes that count up from `first`.
fn id(first: u8) -> [u8; 32] {
    std::array::from_fn(|at| first.wrapping_add(at as u8))
}

fn record(log: u8, seq: u64, name: u8) -> TipRecord {
    TipRecord { log: LogId(id(log)), tip: Tip { seq, name: EntryName(id(name)) } }
}

fn buf(bytes: &[u8]) -> ByteBuf {
    ByteBuf::from(bytes)
}

fn on_floor(word: FloorWord) -> Message {
    Message::OnFloor { floor: FloorName(id(64)), word }
}

fn messages() -> Vec<(&'static str, Message)> {
    vec![
        ("open", Message::Open { version: VERSION, subject: id(0), access: id(32), digest: id(64) }),
        ("access", Message::Access(vec![buf(b"one"), buf(b"another")])),
        ("vector", Message::Vector(vec![record(0, 1, 32), record(64, 300, 96), record(64, u64::MAX, 128)])),
        ("vector-of-nothing", Message::Vector(vec![])),
        ("openings", Message::Openings(vec![buf(&[7; 224])])),
        ("entries", Message::Entries(vec![buf(b"an entry"), buf(&[9; 217])])),
        ("ack", Message::Ack { tips: vec![record(0, 128, 32)], credit: 4_194_304 }),
        ("probe", Message::Probe { log: LogId(id(0)), points: vec![Tip { seq: 9, name: EntryName(id(32)) }] }),
        ("common", Message::Common { log: LogId(id(0)), seq: 8 }),
        ("refused", Message::Refused { log: LogId(id(0)), reason: Refusal::Quota }),
        ("since", Message::Since { cursor: 1_000_000 }),
        ("create", Message::Create { statement: buf(b"a statement"), token: Some([5; 16]) }),
        ("create-without-token", Message::Create { statement: buf(b"a statement"), token: None }),
        ("created", Message::Created { mailbox: MailboxId(id(0)) }),
        ("which", Message::Which),
        ("mailboxes", Message::Mailboxes(vec![MailboxId(id(0)), MailboxId(id(32))])),
        ("meet", Message::Meet { room: id(0) }),
        ("pass", Message::Pass(buf(b"sealed"))),
        ("sorry-version", Message::Sorry(Refusal::Version)),
        ("sorry-no-mailbox", Message::Sorry(Refusal::NoMailbox)),
        ("sorry-not-permitted", Message::Sorry(Refusal::NotPermitted)),
        ("sorry-not-opened", Message::Sorry(Refusal::NotOpened)),
        ("sorry-gap", Message::Sorry(Refusal::Gap)),
        ("sorry-branches", Message::Sorry(Refusal::Branches)),
        ("sorry-quota", Message::Sorry(Refusal::Quota)),
        ("sorry-invalid", Message::Sorry(Refusal::Invalid)),
        ("sorry-token", Message::Sorry(Refusal::Token)),
        ("sorry-room-taken", Message::Sorry(Refusal::RoomTaken)),
        ("sorry-busy", Message::Sorry(Refusal::Busy)),
        ("sorry-no-nameplate", Message::Sorry(Refusal::NoNameplate)),
        ("reserve", Message::Reserve),
        ("nameplate", Message::Nameplate { number: 17 }),
        ("claim", Message::Claim { number: 4321 }),
        ("left", Message::Left),
        ("floor", Message::Floor(buf(b"a floor record"))),
        ("on-floor-want", on_floor(FloorWord::Want(vec![ChunkName(id(0)), ChunkName(id(32))]))),
        ("on-floor-have", on_floor(FloorWord::Have)),
        ("on-floor-pass", on_floor(FloorWord::Pass)),
        ("on-floor-refuse", on_floor(FloorWord::Refuse(Refusal::Floor))),
        ("chunks", Message::Chunks(vec![buf(b"a chunk"), buf(&[9; 81])])),
        ("refused-below", Message::Refused { log: LogId(id(0)), reason: Refusal::Below }),
        ("refused-withheld", Message::Refused { log: LogId(id(0)), reason: Refusal::Withheld }),
    ]
}

#[test]
fn every_message_is_written_as_it_always_was() {
    let made = Frozen(messages().into_iter().map(|(name, message)| (name.to_owned(), message.encode())).collect());
    hold("messages.txt", "Frames of a session and of what a relay offers beside it.", &made);
    for (name, message) in messages() {
        assert_eq!(Message::decode(&message.encode()).unwrap(), message, "{name}");
    }
    let numbers: BTreeMap<u8, ()> = made.0.iter().map(|(_, frame)| (frame[0], ())).collect();
    assert!(numbers.into_keys().eq(0..24), "every number of PROTOCOL.md has a vector");
}

#[test]
fn the_handshake_is_signed_as_it_always_was() {
    let relay = RelaySecret::from_secret(&Secret::new(id(1)));
    let client = PseudonymKey::from_secret(&Secret::new(id(2)));
    let channel = || Channel { host: "relay.example".to_owned(), exporter: id(3) };
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let (relay_side, hello) = ExpectAuth::hello(&relay, [4; 16], MAX_FRAME as u32, channel(), &mut rng);
    let (client_side, auth) = ExpectHello::new(channel(), relay.id()).handle(&hello, &client, &mut rng).unwrap();
    let (_, welcome) = relay_side.handle(&auth, &relay).unwrap();
    client_side.handle(&welcome).unwrap();
    let sorry = ties_sealed_log::encode(&ties_sync::Greeting::Sorry(Refusal::Busy));
    let frames = [("hello", hello), ("auth", auth), ("welcome", welcome), ("sorry", sorry)];
    let about =
        "Relay secret 01 02 .., pseudonym secret 02 03 .., exporter 03 04 .., host relay.example, ChaCha20 rng 7.";
    hold("handshake.txt", about, &Frozen(frames.map(|(name, frame)| (name.to_owned(), frame)).into()));
}

fn ticket(host: DeviceId) -> Ticket {
    Ticket::new("ws://127.0.0.1:7700#key".to_owned(), host, 1_800_000_000, Secret::new(id(5)))
}

#[test]
fn a_ticket_reads_as_it_always_did() {
    let text = ticket(DeviceId(id(6))).to_text().as_bytes().to_vec();
    let made = Frozen(vec![("text".to_owned(), text), ("room".to_owned(), ticket(DeviceId(id(6))).room().to_vec())]);
    hold("ticket.txt", "The text of a ticket, as bytes, and its room.", &made);
}

#[test]
fn a_pairing_says_what_it_always_did() {
    let (host_keys, guest_keys) =
        (DeviceKeys::from_seed(Secret::new(id(8))), DeviceKeys::from_seed(Secret::new(id(9))));
    let relay = RelaySecret::from_secret(&Secret::new(id(1))).id();
    let (space, epoch) = (SpaceId(id(10)), EpochId(id(11)));
    let ticket = ticket(host_keys.id());
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut host = Host::new(&ticket);
    let (mut guest, hello) = Guest::greet(&ticket, &guest_keys, "thinkpad", &mut rng);
    let HostStep::Ask(asked) = host.handle(&hello).unwrap() else { panic!("the owner is asked") };
    let key = EpochKey::new(Secret::new(id(12)));
    let shares =
        share_keys(&space, &host_keys, &asked.certificate, &[EntryName(id(13))], [(&epoch, 0, &key)], &mut rng)
            .unwrap();
    let road = RelayRoad {
        address: "ws://127.0.0.1:7700".to_owned(),
        relay,
        mailbox: MailboxId(id(14)),
        statements: vec![buf(b"a statement")],
    };
    let said =
        Welcome { certificate: host_keys.certificate(), space, genesis: EntryName(id(15)), shares, roads: vec![road] };
    let welcome = host.welcome(said, &host_keys, &mut rng);
    assert!(matches!(guest.handle(&welcome).unwrap(), GuestStep::Welcome(_)));
    let pseudonym = guest_keys.pseudonym(&space, &relay).id();
    let signature = ByteBuf::from(guest_keys.sign_pseudonym(&space, &relay, &pseudonym));
    let ready = guest.ready(KnownPseudonym { device: guest_keys.id(), relay, pseudonym, signature }, &mut rng);
    assert!(matches!(host.handle(&ready).unwrap(), HostStep::Enlist(_)));
    let done = host.done(&mut rng);
    assert!(matches!(guest.handle(&done).unwrap(), GuestStep::Done));
    let declined = host.decline(&mut rng);
    let there = host.is_there(&mut rng);
    let taken = guest.taken(&mut rng);
    let frames = [
        ("hello", hello),
        ("welcome", welcome),
        ("ready", ready),
        ("done", done),
        ("declined", declined),
        ("there", there),
        ("taken", taken),
    ];
    let about =
        "The frames of a pairing: host seed 08 09 .., guest seed 09 0a .., the ticket of ticket.txt, ChaCha20 rng 7.";
    hold("pairing.txt", about, &Frozen(frames.map(|(name, frame)| (name.to_owned(), frame)).into()));
}

#[test]
fn two_devices_greet_each_other_as_they_always_did() {
    let key = EpochKey::new(Secret::new(id(12))).discovery();
    let link = PeerHandshake::new(&key, id(3));
    let (hail, answer, removed) = (link.hail(), link.answer(), link.removed(b"an entry"));
    link.hailed(&hail).unwrap();
    link.answered(&answer).unwrap();
    assert_eq!(link.answered(&removed), Err(PeerError::Removed(b"an entry".to_vec())));
    let made = Frozen(vec![
        ("name".to_owned(), key.name(20_000, [7; 8]).into_bytes()),
        ("call".to_owned(), key.call(&[5; 16], 7701).to_vec()),
        ("hail".to_owned(), hail),
        ("answer".to_owned(), answer),
        ("removed".to_owned(), removed),
        ("subject".to_owned(), link.subject(&SpaceId(id(10))).to_vec()),
    ]);
    let about = "Epoch key 0c 0d .., exporter 03 04 .., day 20,000, nonces of 07 and 05, port 7701, space 0a 0b ... The name as text.";
    hold("peers.txt", about, &made);
}

#[test]
fn a_code_is_proved_as_it_always_was() {
    let (host_keys, guest_keys) =
        (DeviceKeys::from_seed(Secret::new(id(8))), DeviceKeys::from_seed(Secret::new(id(9))));
    let relay = RelaySecret::from_secret(&Secret::new(id(1))).id();
    let code = || Code::parse("17-acid-zoo-lunch").unwrap();
    let mut made = vec![("name".to_owned(), plate(17).name(0, [7; 8]).into_bytes())];
    for (at, place) in [("relay", MeetingPlace::Relay(relay)), ("link", MeetingPlace::Link(id(3)))] {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let me = Hello { certificate: host_keys.certificate(), name: "laptop".to_owned() };
        let (guest, hail) = ExpectOffer::hail(code(), place, &mut rng);
        let (host, offer) = ExpectHail::new(code(), me).handle(place, &hail, &mut rng).unwrap();
        let (guest, proof) = guest.handle(&offer, &guest_keys.certificate(), &mut rng).unwrap();
        let (agreed, confirm) = host.handle(&proof, &mut rng);
        let (agreed, invited) = (agreed.unwrap(), guest.handle(&confirm).unwrap());
        let rooms = [agreed.ticket(String::new(), 1).room(), invited.ticket(String::new(), 1).room()];
        assert_eq!(rooms[0], rooms[1]);
        let words =
            [("hail", hail), ("offer", offer), ("proof", proof), ("confirm", confirm), ("room", rooms[0].into())];
        made.extend(words.map(|(word, bytes)| (format!("{at}-{word}"), bytes)));
    }
    let about = "Code 17-acid-zoo-lunch: host seed 08 09 .., guest seed 09 0a .., relay secret 01 02 .., exporter 03 04 .., ChaCha20 rng 7 for each. The name, of day 0 and a nonce of 07, as text.";
    hold("code.txt", about, &Frozen(made));
}

#[test]
fn a_parcel_is_written_as_it_always_was() {
    let (space, epoch, key) = (SpaceId(id(10)), EpochId(id(11)), EpochKey::new(Secret::new(id(12))));
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let content = Sealed::new(&Payload::Beacon, Vec::new(), 7);
    let mut packing = Packing::default();
    for log in [16, 17] {
        let log = LogKey::from_secret(&Secret::new(id(log)));
        let mut position = Position::FIRST;
        for _ in 0..2 {
            let entry = Entry::seal(&log, position, &space, (&epoch, &key), &content, &mut rng).unwrap();
            position = Position { seq: entry.seq() + 1, prev: entry.name() };
            assert!(packing.add(&entry));
        }
    }
    let parcel = packing.finish();
    let bytes = parcel.encode();
    assert_eq!(Parcel::decode(&bytes).unwrap(), parcel);
    let made = Frozen(vec![
        ("place".to_owned(), place_name("ties1/folder", &space.0).into_bytes()),
        ("name".to_owned(), Parcel::file_name(&bytes).into_bytes()),
        ("parcel".to_owned(), bytes),
    ]);
    let about = "Two beacons of each of two logs (secrets 10 11 .., 11 12 ..) of space 0a 0b .., epoch 0b 0c .. with key 0c 0d ..; ChaCha20 rng 7. Names as text.";
    hold("parcel.txt", about, &made);
}
