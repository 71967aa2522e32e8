//! A new device is admitted by ticket: by the one that made it, once, and only with a yes.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_bytes::ByteBuf;
use ties_sealed_log::{
    DeviceKeys, EntryName, EpochId, EpochKey, KnownPseudonym, MailboxId, PseudonymKey, RelayKey, RelayRoad,
    RelaySecret, Secret, SpaceId,
};
use ties_sync::{
    Accepted, Guest, GuestStep, Host, HostStep, MAX_NAME, MAX_PASS, PairingError, Ticket, Welcome, share_keys,
};

const SPACE: SpaceId = SpaceId([1; 32]);
const EPOCHS: [EpochId; 2] = [EpochId([2; 32]), EpochId([3; 32])];

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn device(number: u8) -> DeviceKeys {
    DeviceKeys::from_seed(Secret::new([number; 32]))
}

fn relay(number: u8) -> RelayKey {
    RelaySecret::from_secret(&Secret::new([number; 32])).id()
}

fn epoch_key(number: u8) -> EpochKey {
    EpochKey::new(Secret::new([0x60 + number; 32]))
}

fn ticket(host: &DeviceKeys) -> Ticket {
    Ticket::new("ws://127.0.0.1:7700".to_owned(), host.id(), 2_000_000_000, Secret::new([4; 32]))
}

fn road(number: u8) -> RelayRoad {
    RelayRoad {
        address: "ws://127.0.0.1:7700".to_owned(),
        relay: relay(number),
        mailbox: MailboxId([5; 32]),
        statements: vec![ByteBuf::from([8; 300])],
    }
}

/// What a host says to a guest, about two epochs and two relays.
fn welcome(host: &DeviceKeys, guest: &DeviceKeys) -> Welcome {
    let (first, second) = (epoch_key(0), epoch_key(1));
    let keys = [(&EPOCHS[0], 0, &first), (&EPOCHS[1], 1, &second)];
    let shares = share_keys(&SPACE, host, &guest.certificate(), &[EntryName([7; 32])], keys, &mut rng(30)).unwrap();
    Welcome {
        certificate: host.certificate(),
        space: SPACE,
        genesis: EntryName([6; 32]),
        shares,
        roads: vec![road(70), road(71)],
    }
}

fn pseudonym_at(guest: &DeviceKeys, relay: RelayKey) -> KnownPseudonym {
    let pseudonym = guest.pseudonym(&SPACE, &relay).id();
    let signature = guest.sign_pseudonym(&SPACE, &relay, &pseudonym);
    KnownPseudonym { device: guest.id(), relay, pseudonym, signature: ByteBuf::from(signature) }
}

fn welcomed(step: GuestStep) -> Accepted {
    match step {
        GuestStep::Welcome(accepted) => *accepted,
        GuestStep::Done | GuestStep::Again => panic!("a welcome was expected"),
    }
}

fn refused<T>(handled: Result<T, PairingError>) -> PairingError {
    handled.err().expect("it is refused")
}

/// The four messages of a pairing in order, and the two sides that exchanged them.
fn paired<'d>(host_keys: &DeviceKeys, guest_keys: &'d DeviceKeys) -> (Host, Guest<'d>, [Vec<u8>; 4]) {
    let ticket = ticket(host_keys);
    let mut host = Host::new(&ticket);
    let (mut guest, hello) = Guest::greet(&ticket, guest_keys, "thinkpad", &mut rng(10));
    let HostStep::Ask(asked) = host.handle(&hello).unwrap() else { panic!("the owner is asked") };
    assert_eq!((asked.certificate.id(), asked.name.as_str()), (guest_keys.id(), "thinkpad"));
    let said = host.welcome(welcome(host_keys, guest_keys), host_keys, &mut rng(11));
    let accepted = welcomed(guest.handle(&said).unwrap());
    assert_eq!(accepted.welcome, welcome(host_keys, guest_keys));
    for (number, (epoch, generation, key)) in accepted.keys.iter().enumerate() {
        assert_eq!((*epoch, *generation as usize), (EPOCHS[number], number));
        assert_eq!(key.expose(), epoch_key(number as u8).expose());
    }
    let known = pseudonym_at(guest_keys, relay(70));
    let ready = guest.ready(known.clone(), &mut rng(12));
    assert_eq!(host.handle(&ready).unwrap(), HostStep::Enlist(known));
    let done = host.done(&mut rng(13));
    assert!(matches!(guest.handle(&done).unwrap(), GuestStep::Done));
    (host, guest, [hello, said, ready, done])
}

#[test]
fn a_new_device_learns_the_space_its_keys_and_its_roads() {
    let (host, guest) = (device(1), device(2));
    let (_, _, frames) = paired(&host, &guest);
    assert!(frames.iter().all(|frame| frame.len() <= MAX_PASS));
}

#[test]
fn without_a_relay_a_guest_says_that_it_has_taken_what_it_was_given() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let ticket = Ticket::new("lan:".to_owned(), host_keys.id(), 2_000_000_000, Secret::new([4; 32]));
    let mut host = Host::new(&ticket);
    let (mut guest, hello) = Guest::greet(&ticket, &guest_keys, "thinkpad", &mut rng(10));
    let taken = guest.taken(&mut rng(12));
    assert_eq!(refused(host.handle(&taken)), PairingError::OutOfTurn, "before anybody asked");
    host.handle(&hello).unwrap();
    assert_eq!(refused(host.handle(&taken)), PairingError::OutOfTurn, "before anybody said yes");
    let bare = Welcome { roads: Vec::new(), ..welcome(&host_keys, &guest_keys) };
    let said = host.welcome(bare, &host_keys, &mut rng(11));
    welcomed(guest.handle(&said).unwrap());
    assert_eq!(host.handle(&taken).unwrap(), HostStep::Taken);
    let done = host.done(&mut rng(13));
    assert!(matches!(guest.handle(&done).unwrap(), GuestStep::Done));
    // It did not hear that, and says so once more.
    assert_eq!(host.handle(&taken).unwrap(), HostStep::Repeat(done));
    assert_eq!(
        refused(host.handle(&guest.ready(pseudonym_at(&guest_keys, relay(70)), &mut rng(14)))),
        PairingError::OutOfTurn
    );
}

#[test]
fn who_was_given_a_relay_has_to_be_put_on_its_list() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let (mut host, guest, _) = paired(&host_keys, &guest_keys);
    assert_eq!(refused(host.handle(&guest.taken(&mut rng(14)))), PairingError::OutOfTurn);
}

#[test]
fn every_flipped_bit_of_every_message_is_foreign() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let (mut host, mut guest, frames) = paired(&host_keys, &guest_keys);
    for (number, frame) in frames.iter().enumerate() {
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = if number % 2 == 0 { refused(host.handle(&flipped)) } else { refused(guest.handle(&flipped)) };
            assert_eq!(error, PairingError::Foreign, "bit {bit} of message {number}");
        }
    }
}

#[test]
fn cut_messages_and_any_other_bytes_are_foreign() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let (mut host, mut guest, frames) = paired(&host_keys, &guest_keys);
    for frame in &frames {
        for end in (0..frame.len()).step_by(7) {
            assert_eq!(refused(host.handle(&frame[..end])), PairingError::Foreign);
            assert_eq!(refused(guest.handle(&frame[..end])), PairingError::Foreign);
        }
    }
}

#[test]
fn a_message_sent_back_to_its_sender_is_foreign() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let (mut host, mut guest, [hello, said, ready, done]) = paired(&host_keys, &guest_keys);
    for frame in [said, done] {
        assert_eq!(refused(host.handle(&frame)), PairingError::Foreign);
    }
    for frame in [hello, ready] {
        assert_eq!(refused(guest.handle(&frame)), PairingError::Foreign);
    }
}

#[test]
fn a_message_made_with_another_ticket_is_foreign() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let other = Ticket::new("ws://127.0.0.1:7700".to_owned(), host_keys.id(), 2_000_000_000, Secret::new([5; 32]));
    let (_, hello) = Guest::greet(&other, &guest_keys, "thinkpad", &mut rng(10));
    let mut host = Host::new(&ticket(&host_keys));
    assert_eq!(refused(host.handle(&hello)), PairingError::Foreign);
    let (_, hello) = Guest::greet(&ticket(&host_keys), &guest_keys, "thinkpad", &mut rng(10));
    assert!(matches!(host.handle(&hello), Ok(HostStep::Ask(_))), "and the pairing goes on");
}

#[test]
fn a_second_guest_with_the_same_ticket_is_refused() {
    let (host_keys, guest_keys, second) = (device(1), device(2), device(3));
    let (mut host, _, [hello, said, ..]) = paired(&host_keys, &guest_keys);
    let (_, other) = Guest::greet(&ticket(&host_keys), &second, "thinkpad", &mut rng(20));
    assert_eq!(refused(host.handle(&other)), PairingError::Used);
    let (_, renamed) = Guest::greet(&ticket(&host_keys), &guest_keys, "macbook", &mut rng(21));
    assert_eq!(refused(host.handle(&renamed)), PairingError::Used, "nor does the first one change its name");
    assert_eq!(host.handle(&hello).unwrap(), HostStep::Repeat(said), "the first one is still welcome");
}

#[test]
fn another_device_than_the_ticket_names_is_refused() {
    let (host_keys, guest_keys, impostor) = (device(1), device(2), device(4));
    let ticket = ticket(&host_keys);
    let (mut guest, hello) = Guest::greet(&ticket, &guest_keys, "thinkpad", &mut rng(10));
    // Somebody who saw the ticket answers first.
    let mut other = Host::new(&ticket);
    other.handle(&hello).unwrap();
    let said = other.welcome(welcome(&impostor, &guest_keys), &impostor, &mut rng(11));
    assert_eq!(refused(guest.handle(&said)), PairingError::WrongHost);
    let copied = Welcome { certificate: host_keys.certificate(), ..welcome(&impostor, &guest_keys) };
    let said = other.welcome(copied.clone(), &impostor, &mut rng(11));
    assert_eq!(refused(guest.handle(&said)), PairingError::WrongHost, "the host's certificate is no signature of its");
    let said = other.welcome(copied, &host_keys, &mut rng(11));
    assert_eq!(refused(guest.handle(&said)), PairingError::Keys, "the wraps are bound to their author");
}

#[test]
fn keys_that_do_not_open_or_do_not_match_are_refused() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let ticket = ticket(&host_keys);
    let good = || welcome(&host_keys, &guest_keys);
    let mut bad = Vec::new();
    let mut alter = |change: fn(&mut Welcome)| {
        let mut altered = good();
        change(&mut altered);
        bad.push(altered);
    };
    alter(|welcome| welcome.shares[1].check[0] ^= 1);
    alter(|welcome| welcome.shares[0].epoch = EPOCHS[1]);
    alter(|welcome| welcome.space = SpaceId([9; 32]));
    alter(|welcome| welcome.shares[0].wrap.bytes[1_100] ^= 1);
    alter(|welcome| welcome.shares[0].wrap.bytes.truncate(100));
    alter(|welcome| welcome.shares[0].wrap.recipient = device(3).id());
    alter(|welcome| welcome.shares.clear());
    bad.push(welcome(&host_keys, &device(3)));
    for altered in bad {
        let mut host = Host::new(&ticket);
        let (mut guest, hello) = Guest::greet(&ticket, &guest_keys, "thinkpad", &mut rng(10));
        host.handle(&hello).unwrap();
        let said = host.welcome(altered, &host_keys, &mut rng(11));
        assert_eq!(refused(guest.handle(&said)), PairingError::Keys);
    }
}

#[test]
fn a_declined_guest_stays_declined() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let ticket = ticket(&host_keys);
    let mut host = Host::new(&ticket);
    let (mut guest, hello) = Guest::greet(&ticket, &guest_keys, "thinkpad", &mut rng(10));
    host.handle(&hello).unwrap();
    let said = host.decline(&mut rng(11));
    assert_eq!(refused(guest.handle(&said)), PairingError::Declined);
    assert_eq!(host.handle(&hello).unwrap(), HostStep::Repeat(said));
    for number in [70, 71] {
        let ready = guest.ready(pseudonym_at(&guest_keys, relay(number)), &mut rng(12));
        assert_eq!(refused(host.handle(&ready)), PairingError::OutOfTurn, "it is put on no list");
    }
}

#[test]
fn a_guest_may_repeat_itself_at_every_step() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let ticket = ticket(&host_keys);
    let mut host = Host::new(&ticket);
    let (mut guest, hello) = Guest::greet(&ticket, &guest_keys, "thinkpad", &mut rng(10));
    assert!(matches!(host.handle(&hello), Ok(HostStep::Ask(_))));
    assert_eq!(host.handle(&hello).unwrap(), HostStep::Wait, "the owner is asked once");
    // Its link broke, or it was started anew: the same words under another seal.
    let (_, afresh) = Guest::greet(&ticket, &guest_keys, "thinkpad", &mut rng(20));
    assert_eq!(host.handle(&afresh).unwrap(), HostStep::Wait);

    let said = host.welcome(welcome(&host_keys, &guest_keys), &host_keys, &mut rng(11));
    for frame in [&hello, &afresh] {
        assert_eq!(host.handle(frame).unwrap(), HostStep::Repeat(said.clone()));
    }
    welcomed(guest.handle(&said).unwrap());
    welcomed(guest.handle(&said).unwrap());

    let known = pseudonym_at(&guest_keys, relay(70));
    let ready = guest.ready(known.clone(), &mut rng(12));
    assert_eq!(host.handle(&ready).unwrap(), HostStep::Enlist(known.clone()));
    assert_eq!(host.handle(&ready).unwrap(), HostStep::Wait, "it is being put on the list");
    let done = host.done(&mut rng(13));
    let again = guest.ready(known, &mut rng(21));
    assert_eq!(host.handle(&again).unwrap(), HostStep::Repeat(done.clone()));
    assert!(matches!(guest.handle(&done).unwrap(), GuestStep::Done));
    assert!(matches!(guest.handle(&done).unwrap(), GuestStep::Done));

    // One that was started anew after all this begins with hello, and is welcomed again.
    let (mut anew, hello) = Guest::greet(&ticket, &guest_keys, "thinkpad", &mut rng(22));
    assert_eq!(host.handle(&hello).unwrap(), HostStep::Repeat(said.clone()));
    welcomed(anew.handle(&said).unwrap());
}

#[test]
fn each_relay_gets_one_pseudonym_which_the_guest_has_signed() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let (mut host, guest, _) = paired(&host_keys, &guest_keys);
    let mut say = |known: KnownPseudonym| host.handle(&guest.ready(known, &mut rng(40)));
    let second = pseudonym_at(&guest_keys, relay(71));
    assert_eq!(say(second.clone()).unwrap(), HostStep::Enlist(second.clone()), "one at the other relay");

    let mut another = second.clone();
    another.pseudonym = PseudonymKey::from_secret(&Secret::new([9; 32])).id();
    assert_eq!(refused(say(another)), PairingError::Used, "not two at one");
    assert_eq!(refused(say(pseudonym_at(&guest_keys, relay(72)))), PairingError::OutOfTurn, "none elsewhere");
    assert_eq!(refused(say(pseudonym_at(&device(3), relay(71)))), PairingError::OutOfTurn, "none of another device");
}

#[test]
fn a_pseudonym_that_the_guest_did_not_sign_is_refused() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let ticket = ticket(&host_keys);
    let mut host = Host::new(&ticket);
    let (guest, hello) = Guest::greet(&ticket, &guest_keys, "thinkpad", &mut rng(10));
    host.handle(&hello).unwrap();
    host.welcome(welcome(&host_keys, &guest_keys), &host_keys, &mut rng(11));
    let good = pseudonym_at(&guest_keys, relay(70));
    let elsewhere = guest_keys.sign_pseudonym(&SpaceId([9; 32]), &relay(70), &good.pseudonym);
    let strange = device(3).pseudonym(&SPACE, &relay(70)).id();
    let bad = [
        KnownPseudonym { signature: ByteBuf::from(elsewhere), ..good.clone() },
        KnownPseudonym { signature: ByteBuf::from([0; 63]), ..good.clone() },
        KnownPseudonym { pseudonym: strange, ..good.clone() },
    ];
    for known in bad {
        assert_eq!(refused(host.handle(&guest.ready(known, &mut rng(12)))), PairingError::Keys);
    }
    assert_eq!(host.handle(&guest.ready(good.clone(), &mut rng(12))).unwrap(), HostStep::Enlist(good));
}

#[test]
fn messages_before_their_time_are_out_of_turn() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let (_, _, [hello, _, ready, done]) = paired(&host_keys, &guest_keys);
    let ticket = ticket(&host_keys);
    let mut host = Host::new(&ticket);
    assert_eq!(refused(host.handle(&ready)), PairingError::OutOfTurn, "no pseudonym before a hello");
    host.handle(&hello).unwrap();
    assert_eq!(refused(host.handle(&ready)), PairingError::OutOfTurn, "nor before the owner's yes");
    let (mut guest, _) = Guest::greet(&ticket, &guest_keys, "thinkpad", &mut rng(10));
    assert_eq!(refused(guest.handle(&done)), PairingError::OutOfTurn, "nothing is done before a welcome");
}

#[test]
fn a_name_is_neither_empty_nor_endless() {
    let (host_keys, guest_keys) = (device(1), device(2));
    for (name, fits) in [("", false), (&*"n".repeat(MAX_NAME), true), (&*"n".repeat(MAX_NAME + 1), false)] {
        let mut host = Host::new(&ticket(&host_keys));
        let (_, hello) = Guest::greet(&ticket(&host_keys), &guest_keys, name, &mut rng(10));
        assert_eq!(host.handle(&hello).is_ok(), fits);
    }
}

#[test]
fn a_welcome_that_is_too_long_leaves_statements_to_the_first_session() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let ticket = ticket(&host_keys);
    let mut host = Host::new(&ticket);
    let (mut guest, hello) = Guest::greet(&ticket, &guest_keys, "thinkpad", &mut rng(10));
    host.handle(&hello).unwrap();
    let mut long = welcome(&host_keys, &guest_keys);
    long.roads[0].statements = vec![ByteBuf::from([8; 300]); 200];
    let said = host.welcome(long.clone(), &host_keys, &mut rng(11));
    assert!(said.len() <= MAX_PASS);
    long.roads.iter_mut().for_each(|road| road.statements.clear());
    assert_eq!(welcomed(guest.handle(&said).unwrap()).welcome, long);
}

#[test]
fn nothing_that_is_printed_for_debugging_holds_a_key() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let (host, mut guest, [_, said, ..]) = paired(&host_keys, &guest_keys);
    let accepted = welcomed(guest.handle(&said).unwrap());
    let shown = format!("{host:?} {guest:?} {accepted:?}");
    for secret in ["4, 4, 4, 4", "96, 96, 96", "97, 97, 97", "04040404", "60606060", "61616161"] {
        assert!(!shown.contains(secret));
    }
}

#[test]
fn a_guest_that_is_asked_says_its_last_word_again() {
    let (host_keys, guest_keys) = (device(1), device(2));
    let (host, mut guest, _) = paired(&host_keys, &guest_keys);
    let asked = host.is_there(&mut rng(14));
    assert!(matches!(guest.handle(&asked).unwrap(), GuestStep::Again));
    let (_, mut other, _) = paired(&host_keys, &guest_keys);
    assert!(matches!(other.handle(&asked).unwrap(), GuestStep::Again), "and changes nothing by it");
}
