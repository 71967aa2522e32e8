//! Encoding and decoding are each other's inverse, and no bytes make a decoder panic.

use proptest::collection::vec;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_bytes::ByteBuf;
use ties_sealed_log::{
    DeviceId, DeviceKeys, EntryName, LogId, MailboxId, Pseudonym, PseudonymKey, RelayKey, RelaySecret, Secret, Tip,
    TipRecord, decode, encode,
};
use ties_sync::{Channel, ExpectAuth, ExpectHello, Greeting, Guest, Host, MAX_FRAME, Message, Refusal, Ticket};

fn bytes() -> impl Strategy<Value = ByteBuf> {
    vec(any::<u8>(), 0..300).prop_map(ByteBuf::from)
}

fn several() -> impl Strategy<Value = Vec<ByteBuf>> {
    vec(bytes(), 0..5)
}

fn tip() -> impl Strategy<Value = Tip> {
    (any::<u64>(), any::<[u8; 32]>()).prop_map(|(seq, name)| Tip { seq, name: EntryName(name) })
}

fn tips() -> impl Strategy<Value = Vec<TipRecord>> {
    vec((any::<[u8; 32]>(), tip()).prop_map(|(log, tip)| TipRecord { log: LogId(log), tip }), 0..5)
}

fn refusal() -> impl Strategy<Value = Refusal> {
    use Refusal as R;
    proptest::sample::select(vec![
        R::Version,
        R::NoMailbox,
        R::NotPermitted,
        R::NotOpened,
        R::Gap,
        R::Branches,
        R::Quota,
        R::Invalid,
        R::Token,
        R::RoomTaken,
        R::Busy,
        R::NoNameplate,
        R::Below,
        R::Floor,
        R::Withheld,
    ])
}

fn message() -> impl Strategy<Value = Message> {
    let id = any::<[u8; 32]>();
    prop_oneof![
        (any::<u8>(), id, id, id).prop_map(|(version, subject, access, digest)| Message::Open {
            version,
            subject,
            access,
            digest
        }),
        several().prop_map(Message::Access),
        tips().prop_map(Message::Vector),
        several().prop_map(Message::Openings),
        several().prop_map(Message::Entries),
        (tips(), any::<u32>()).prop_map(|(tips, credit)| Message::Ack { tips, credit }),
        (id, vec(tip(), 0..5)).prop_map(|(log, points)| Message::Probe { log: LogId(log), points }),
        (id, any::<u64>()).prop_map(|(log, seq)| Message::Common { log: LogId(log), seq }),
        (id, refusal()).prop_map(|(log, reason)| Message::Refused { log: LogId(log), reason }),
        any::<u64>().prop_map(|cursor| Message::Since { cursor }),
        (bytes(), any::<Option<[u8; 16]>>()).prop_map(|(statement, token)| Message::Create { statement, token }),
        id.prop_map(|mailbox| Message::Created { mailbox: MailboxId(mailbox) }),
        Just(Message::Which),
        vec(id.prop_map(MailboxId), 0..5).prop_map(Message::Mailboxes),
        id.prop_map(|room| Message::Meet { room }),
        bytes().prop_map(Message::Pass),
        any::<u32>().prop_map(|number| Message::Nameplate { number }),
        any::<u32>().prop_map(|number| Message::Claim { number }),
        Just(Message::Reserve),
        Just(Message::Left),
        refusal().prop_map(Message::Sorry),
    ]
}

fn greeting() -> impl Strategy<Value = Greeting> {
    let id = any::<[u8; 32]>();
    prop_oneof![
        (any::<u8>(), id, id, any::<[u8; 16]>(), any::<u32>()).prop_map(|(version, relay, nonce, store, max_frame)| {
            Greeting::Hello { version, relay: RelayKey(relay), nonce, store, max_frame }
        }),
        (id, id, bytes()).prop_map(|(pseudonym, nonce, signature)| Greeting::Auth {
            pseudonym: Pseudonym(pseudonym),
            nonce,
            signature
        }),
        bytes().prop_map(|signature| Greeting::Welcome { signature }),
        refusal().prop_map(Greeting::Sorry),
    ]
}

/// Bytes that look like messages more often than chance would make them.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let altered = (message(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(message, at, byte)| {
        let mut frame = message.encode();
        let at = at.index(frame.len());
        frame[at] = byte;
        frame
    });
    prop_oneof![vec(any::<u8>(), 0..400), altered]
}

fn channel() -> Channel {
    Channel { host: "relay.example".to_owned(), exporter: [0; 32] }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_message_comes_back_from_its_frame(message in message()) {
        let frame = message.encode();
        prop_assert!(frame.len() <= MAX_FRAME);
        prop_assert_eq!(Message::decode(&frame).unwrap(), message);
    }

    #[test]
    fn a_greeting_comes_back_from_its_frame(greeting in greeting()) {
        prop_assert_eq!(decode::<Greeting>(&encode(&greeting)).unwrap(), greeting);
    }

    #[test]
    fn a_message_has_one_encoding(frame in frame()) {
        if let Ok(message) = Message::decode(&frame) {
            prop_assert_eq!(message.encode(), frame);
        }
    }

    #[test]
    fn a_message_followed_by_anything_is_none(message in message(), more in vec(any::<u8>(), 1..4)) {
        prop_assert!(Message::decode(&[message.encode(), more].concat()).is_err());
    }

    #[test]
    fn any_bytes_are_refused_in_a_handshake(frame in frame(), greeting in greeting(), well_formed in any::<bool>()) {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let frame = if well_formed { encode(&greeting) } else { frame };
        let relay = RelaySecret::from_secret(&Secret::new([1; 32]));
        let client = PseudonymKey::from_secret(&Secret::new([2; 32]));
        let (relay_side, hello) = ExpectAuth::hello(&relay, [0; 16], 0, channel(), &mut rng);
        prop_assert!(relay_side.handle(&frame, &relay).is_err());
        prop_assert!(ExpectHello::new(channel(), relay.id()).handle(&frame, &client, &mut rng).is_err());
        let (client_side, _) = ExpectHello::new(channel(), relay.id()).handle(&hello, &client, &mut rng).unwrap();
        prop_assert!(client_side.handle(&frame).is_err());
    }

    #[test]
    fn any_bytes_are_foreign_to_a_pairing(frame in frame()) {
        let keys = DeviceKeys::from_seed(Secret::new([3; 32]));
        let ticket = Ticket::new(String::new(), keys.id(), 1, Secret::new([4; 32]));
        prop_assert!(Host::new(&ticket).handle(&frame).is_err());
        let (mut guest, _) = Guest::greet(&ticket, &keys, "name", &mut ChaCha20Rng::seed_from_u64(1));
        prop_assert!(guest.handle(&frame).is_err());
    }

    #[test]
    fn any_text_is_no_ticket(text in ".{0,300}", prefixed in any::<bool>()) {
        let text = if prefixed { format!("ties1-{text}") } else { text };
        prop_assert!(Ticket::parse(&text, 0).is_err());
    }

    #[test]
    fn a_ticket_of_any_content_comes_back(relay in ".{0,200}", host in any::<[u8; 32]>(), expires in 1_u64.., secret in any::<[u8; 32]>()) {
        let ticket = Ticket::new(relay.clone(), DeviceId(host), expires, Secret::new(secret));
        let read = Ticket::parse(&ticket.to_text(), expires - 1).unwrap();
        prop_assert_eq!((read.relay.clone(), read.host, read.expires, read.room()), (relay, DeviceId(host), expires, ticket.room()));
    }
}

#[test]
fn entries_are_counted_without_reading_them() {
    for count in [1, 2, 127, 128, 300, 20_000] {
        let entries = Message::Entries(vec![serde_bytes::ByteBuf::from([7; 3]); count]);
        assert_eq!(ties_sync::entries_in(&entries.encode()), count);
    }
    for other in [Message::Which, Message::Openings(vec![serde_bytes::ByteBuf::from([7; 3])])] {
        assert_eq!(ties_sync::entries_in(&other.encode()), 0);
    }
    for cut in [&[][..], &[4], &[4, 0x80], &[4, 0xff, 0xff, 0xff, 0xff, 0xff]] {
        assert_eq!(ties_sync::entries_in(cut), 0);
    }
}
