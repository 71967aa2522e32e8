//! What a peer or a relay says.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_engine::{Conversation, CreateOptions, Environment, Input, Road, Space};
use ties_relay::{ConnectionId, Identity, Input as RelayInput, Limits, MemoryStorage, Output, Relay};
use ties_sealed_log::{DeviceId, DeviceKeys, EpochKey, PseudonymKey, RelaySecret, Secret};
use ties_store::Store;
use ties_sync::{
    Channel, Code, ExpectAuth, ExpectHail, ExpectHello, ExpectOffer, Guest, Hello, Host, MeetingPlace, Message,
    PeerHandshake, Ticket,
};

use super::formats::parts;

pub(super) fn message(bytes: &[u8]) {
    if let Ok(message) = Message::decode(bytes) {
        assert_eq!(message.encode(), bytes, "one message has one form");
    }
}

/// Both sides of the relay's handshake.
pub(super) fn handshake(bytes: &[u8]) {
    let (relay, device) = (relay_key(), device_key());
    let (expected, _) = ExpectAuth::hello(&relay, [4; 16], 1 << 20, channel(), &mut rng());
    let _ = expected.handle(bytes, &relay);
    let _ = ExpectHello::new(channel(), relay.id()).handle(bytes, &device, &mut rng());
    let (expected, hello) = ExpectAuth::hello(&relay, [4; 16], 1 << 20, channel(), &mut rng());
    let (welcomed, proof) =
        ExpectHello::new(channel(), relay.id()).handle(&hello, &device, &mut rng()).expect("honest");
    assert!(expected.handle(&proof, &relay).is_ok());
    assert!(welcomed.handle(bytes).is_err(), "nobody else can welcome it");
}

/// A ticket as text; and what comes to a room, on either side.
pub(super) fn pairing(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(ticket) = Ticket::parse(text, 0)
    {
        assert_eq!(
            Ticket::parse(&ticket.to_text(), 0).map(|again| again.to_text().to_string()).ok(),
            Some(ticket.to_text().to_string())
        );
    }
    let ticket = Ticket::new("ws://127.0.0.1:7700".into(), DeviceId([1; 32]), u64::MAX, Secret::new([2; 32]));
    let keys = DeviceKeys::from_seed(Secret::new([3; 32]));
    let (mut host, (mut guest, _)) = (Host::new(&ticket), Guest::greet(&ticket, &keys, "guest", &mut rng()));
    for frame in parts(bytes) {
        let _ = host.handle(frame);
        let _ = guest.handle(frame);
    }
}

/// What two devices say before they know each other: by the key of a network, and by three words.
pub(super) fn greeting(bytes: &[u8]) {
    let key = EpochKey::new(Secret::new([1; 32])).discovery();
    let link = PeerHandshake::new(&key, [3; 32]);
    assert!(!key.recognises(20_000, &String::from_utf8_lossy(bytes)), "nobody else can make a name");
    assert!(link.hailed(bytes).is_err() && link.answered(bytes).is_err(), "nobody else can prove the key");
    let keys = DeviceKeys::from_seed(Secret::new([3; 32]));
    let code = || Code::parse("17-acid-zoo-lunch").expect("a code");
    let me = || Hello { certificate: keys.certificate(), name: "host".into() };
    let place = MeetingPlace::Link([3; 32]);
    let _ = ExpectHail::new(code(), me()).handle(place, bytes, &mut rng());
    let (guest, hail) = ExpectOffer::hail(code(), place, &mut rng());
    let (host, offer) = ExpectHail::new(code(), me()).handle(place, &hail, &mut rng()).expect("honest");
    let _ = guest.handle(bytes, &keys.certificate(), &mut rng());
    assert!(host.handle(bytes, &mut rng()).0.is_err(), "nobody else can prove the code");
    let (guest, _) = ExpectOffer::hail(code(), place, &mut rng());
    let (guest, _) = guest.handle(&offer, &keys.certificate(), &mut rng()).expect("honest");
    assert!(guest.handle(bytes).is_err(), "nobody else can confirm it");
}

/// A device that has proven its pseudonym says anything to a relay.
pub(super) fn relay(bytes: &[u8]) {
    let identity = Identity { secret: relay_key(), store: [4; 16], open: true };
    let (mut relay, mut storage, mut rng) = (Relay::new(identity, Limits::default()), MemoryStorage::default(), rng());
    let (now, id) = (Duration::from_secs(1_760_000_000), ConnectionId(1));
    let opened = RelayInput::Opened { channel: channel(), since: now, from: None };
    let outputs = relay.handle(now, id, opened, &mut storage, &mut rng).expect("memory never fails");
    let [Output::Send(_, hello)] = &outputs[..] else { panic!("a relay greets") };
    let (_, proof) =
        ExpectHello::new(channel(), relay_key().id()).handle(hello, &device_key(), &mut rng).expect("honest");
    let frames = std::iter::once(&proof[..]).chain(parts(bytes));
    for frame in frames {
        relay.handle(now, id, RelayInput::Frame(frame.to_vec()), &mut storage, &mut rng).expect("memory never fails");
        relay.finish(now, &mut storage).expect("memory never fails");
    }
    relay.handle(now, id, RelayInput::Closed, &mut storage, &mut rng).expect("memory never fails");
}

/// A relay says anything to a device.
pub(super) fn conversation(bytes: &[u8]) {
    thread_local! {
        static DEVICE: (Space, Road) = device();
    }
    DEVICE.with(|(space, road)| {
        let mut conversation = Conversation::new(space, road.mailbox, road.relay);
        conversation.start(Duration::ZERO).expect("memory never fails");
        for frame in parts(bytes) {
            if conversation.handle(Duration::from_secs(1), &[Input::Frame(frame)]).is_err() {
                break;
            }
        }
        assert_eq!(space.status().expect("memory never fails").bad, 0);
    });
}

fn device() -> (Space, Road) {
    let environment = Environment::new(|| 1_760_000_000_000, rng());
    let options = CreateOptions { device_name: "device".into(), recovery: false };
    let store = Store::in_memory().expect("memory");
    let (space, _) = Space::create_in(store, (), &options, environment).expect("memory");
    let relay = relay_key().id();
    let address = ties_net::RelayAddress::new(ties_net::Scheme::Loopback, "127.0.0.1", 7700, relay).expect("loopback");
    let road = space.offline().add_relay(&address.to_string()).expect("a founder");
    (space, road)
}

fn channel() -> Channel {
    Channel { host: "127.0.0.1".into(), exporter: [0; 32] }
}

fn relay_key() -> RelaySecret {
    RelaySecret::from_secret(&Secret::new([8; 32]))
}

fn device_key() -> PseudonymKey {
    PseudonymKey::from_secret(&Secret::new([9; 32]))
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([6; 32])
}
