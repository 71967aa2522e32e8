//! A code agrees on a ticket: with who knows it, and with nobody else.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_sealed_log::{DeviceKeys, RelayKey, RelaySecret, Secret};
use ties_sync::{
    Agreed, Code, ExpectConfirm, ExpectHail, ExpectOffer, ExpectProof, Guest, Hello, Host, HostStep, Invited, MAX_NOTE,
    MeetingPlace, PairingError, Ticket, plate,
};

const CODE: &str = "17-acid-zoo-lunch";

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn device(number: u8) -> DeviceKeys {
    DeviceKeys::from_seed(Secret::new([number; 32]))
}

fn relay(number: u8) -> RelayKey {
    RelaySecret::from_secret(&Secret::new([number; 32])).id()
}

fn code(text: &str) -> Code {
    Code::parse(text).unwrap()
}

fn hello(device: &DeviceKeys, name: &str) -> Hello {
    Hello { certificate: device.certificate(), name: name.to_owned() }
}

fn host(seed: u64) -> (ExpectHail, ChaCha20Rng) {
    (ExpectHail::new(code(CODE), hello(&device(1), "laptop")), rng(seed))
}

/// Both sides after the offer: the host awaits a proof, the guest the offer that is there.
fn offered(guest_code: &str, guest_relay: RelayKey) -> (ExpectProof, ExpectOffer, [Vec<u8>; 2]) {
    let (waiting, mut dice) = host(1);
    let (guest, hail) = ExpectOffer::hail(code(guest_code), guest_relay, &mut rng(2));
    let (waiting, offer) = waiting.handle(relay(70), &hail, &mut dice).unwrap();
    (waiting, guest, [hail, offer])
}

/// Both sides after the proof.
fn proven(guest_code: &str) -> (ExpectProof, ExpectConfirm, [Vec<u8>; 3]) {
    let (waiting, guest, [hail, offer]) = offered(guest_code, relay(70));
    let (guest, proof) = guest.handle(&offer, &device(2).certificate(), &mut rng(4)).unwrap();
    (waiting, guest, [hail, offer, proof])
}

fn agreed() -> (Agreed, Invited, [Vec<u8>; 4]) {
    let (waiting, guest, [hail, offer, proof]) = proven(CODE);
    let (agreed, confirm) = waiting.handle(&proof, &mut rng(5));
    let invited = guest.handle(&confirm).unwrap();
    (agreed.unwrap(), invited, [hail, offer, proof, confirm])
}

fn tickets(agreed: &Agreed, invited: &Invited) -> [Ticket; 2] {
    let relay = || "ws://127.0.0.1:7700".to_owned();
    [agreed.ticket(relay(), 2_000_000_000), invited.ticket(relay(), 2_000_000_000)]
}

#[test]
fn the_right_code_gives_both_sides_one_ticket_and_shows_who_is_who() {
    let (agreed, invited, words) = agreed();
    let [a, b] = tickets(&agreed, &invited);
    assert_eq!((a.room(), a.host), (b.room(), b.host));
    assert_eq!((a.host, invited.host.name.as_str()), (device(1).id(), "laptop"));
    assert!(agreed.guest.is_of(&device(2).certificate()) && !agreed.guest.is_of(&device(3).certificate()));
    assert!(words.iter().all(|word| word.len() <= MAX_NOTE));
    // The ticket lets in the device that proved the code.
    let mut host = Host::of(&a, agreed.guest);
    let keys = device(2);
    let (_, frame) = Guest::greet(&b, &keys, "phone", &mut rng(6));
    assert_eq!(host.handle(&frame), Ok(HostStep::Ask(hello(&keys, "phone"))));
}

#[test]
fn the_ticket_lets_in_no_other_device_than_the_one_that_proved_the_code() {
    let (agreed, invited, _) = agreed();
    let [a, b] = tickets(&agreed, &invited);
    let keys = device(3);
    let (_, frame) = Guest::greet(&b, &keys, "phone", &mut rng(6));
    assert_eq!(Host::of(&a, agreed.guest).handle(&frame), Err(PairingError::WrongGuest));
}

#[test]
fn every_run_agrees_on_another_ticket() {
    let (first, _, _) = agreed();
    let (waiting, mut dice) = host(8);
    let (guest, hail) = ExpectOffer::hail(code(CODE), relay(70), &mut rng(9));
    let (waiting, offer) = waiting.handle(relay(70), &hail, &mut dice).unwrap();
    let (_, proof) = guest.handle(&offer, &device(2).certificate(), &mut rng(10)).unwrap();
    let second = waiting.handle(&proof, &mut rng(11)).0.unwrap();
    assert_ne!(first.ticket(String::new(), 1).room(), second.ticket(String::new(), 1).room());
}

#[test]
fn a_wrong_code_is_noticed_by_the_host_and_told_to_the_guest() {
    for wrong in ["17-acid-zoo-zone", "17-zoo-acid-lunch", "18-acid-zoo-lunch"] {
        let (waiting, guest, [_, _, proof]) = proven(wrong);
        let (outcome, answer) = waiting.handle(&proof, &mut rng(5));
        assert_eq!(outcome.err(), Some(PairingError::WrongCode), "{wrong}");
        assert_eq!(answer.len(), 1, "nothing that depends on the code");
        assert_eq!(guest.handle(&answer).err(), Some(PairingError::WrongCode));
    }
}

#[test]
fn the_code_is_bound_to_the_relay() {
    let (waiting, guest, [_, offer]) = offered(CODE, relay(71));
    let (_, proof) = guest.handle(&offer, &device(2).certificate(), &mut rng(4)).unwrap();
    assert_eq!(waiting.handle(&proof, &mut rng(5)).0.err(), Some(PairingError::WrongCode));
}

#[test]
fn the_code_is_bound_to_the_link_and_to_a_link() {
    let said = |at_host: MeetingPlace, at_guest: MeetingPlace| {
        let (waiting, mut dice) = host(1);
        let (guest, hail) = ExpectOffer::hail(code(CODE), at_guest, &mut rng(2));
        let (waiting, offer) = waiting.handle(at_host, &hail, &mut dice).unwrap();
        let (_, proof) = guest.handle(&offer, &device(2).certificate(), &mut rng(4)).unwrap();
        waiting.handle(&proof, &mut rng(5)).0.err()
    };
    let (one, other) = (MeetingPlace::Link([1; 32]), MeetingPlace::Link([2; 32]));
    assert_eq!(said(one, one), None);
    // Somebody in between, with a TLS session to each of the two, hands on every word as it is.
    assert_eq!(said(one, other), Some(PairingError::WrongCode));
    let relay = MeetingPlace::Relay(RelayKey([1; 32]));
    assert_eq!(said(relay, one), Some(PairingError::WrongCode), "the same 32 bytes of another meaning");
}

#[test]
fn a_number_is_recognised_by_itself_alone_and_never_looks_the_same() {
    let name = plate(17).name(0, [1; 8]);
    assert!(plate(17).recognises(0, &name) && !plate(18).recognises(0, &name));
    assert_ne!(name, plate(17).name(0, [2; 8]));
}

#[test]
fn no_flipped_bit_passes() {
    let (_, _, words) = agreed();
    for (number, word) in words.iter().enumerate() {
        for bit in 0..word.len() * 8 {
            let mut flipped = word.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (waiting, guest, frames) = proven(CODE);
            let passed = match number {
                // A flipped hail or offer is another run on one side; the proofs show it.
                0 => host(1).0.handle(relay(70), &flipped, &mut host(1).1).is_ok_and(|(waiting, offer)| {
                    offer == frames[1] || waiting.handle(&frames[2], &mut rng(5)).0.is_ok()
                }),
                1 => {
                    let (waiting, guest, _) = offered(CODE, relay(70));
                    guest
                        .handle(&flipped, &device(2).certificate(), &mut rng(4))
                        .is_ok_and(|(_, proof)| waiting.handle(&proof, &mut rng(5)).0.is_ok())
                }
                2 => waiting.handle(&flipped, &mut rng(5)).0.is_ok(),
                _ => guest.handle(&flipped).is_ok(),
            };
            assert!(!passed, "bit {bit} of word {number}");
        }
    }
}

#[test]
fn no_word_that_is_cut_short_or_drawn_out_passes() {
    let (_, _, words) = agreed();
    for (number, word) in words.iter().enumerate() {
        let longer = [word.as_slice(), &[0]].concat();
        for frame in (0..word.len()).map(|length| &word[..length]).chain([longer.as_slice()]) {
            let (waiting, offered_guest, _) = offered(CODE, relay(70));
            let (_, guest, _) = proven(CODE);
            let failed = match number {
                0 => host(1).0.handle(relay(70), frame, &mut rng(1)).is_err(),
                1 => offered_guest.handle(frame, &device(2).certificate(), &mut rng(4)).is_err(),
                2 => waiting.handle(frame, &mut rng(5)).0.is_err(),
                _ => guest.handle(frame).is_err(),
            };
            assert!(failed, "{} bytes of word {number}", frame.len());
        }
    }
}

#[test]
fn nobody_is_answered_with_their_own_words_or_out_of_turn() {
    let (_, _, words) = agreed();
    for (number, word) in words.iter().enumerate() {
        let (waiting, offered_guest, _) = offered(CODE, relay(70));
        let (_, guest, _) = proven(CODE);
        assert_eq!(host(1).0.handle(relay(70), word, &mut rng(1)).is_ok(), number == 0, "hail {number}");
        let offer = offered_guest.handle(word, &device(2).certificate(), &mut rng(4));
        assert_eq!(offer.is_ok(), number == 1, "offer {number}");
        assert_eq!(waiting.handle(word, &mut rng(5)).0.is_ok(), number == 2, "proof {number}");
        assert_eq!(guest.handle(word).is_ok(), number == 3, "confirmation {number}");
    }
}

/// A relay that sends the host's own share back to it, or the guest's to the guest.
#[test]
fn a_share_that_is_sent_back_proves_nothing() {
    let (waiting, _, [_, offer]) = offered(CODE, relay(70));
    // Offer: variant, nonce, share, stake. Proof: variant, share, stake, proof.
    let mirrored = [&[2], &offer[17..81], &[0; 32]].concat();
    assert_eq!(waiting.handle(&mirrored, &mut rng(5)).0.err(), Some(PairingError::WrongCode));
    let (_, guest, [_, _, proof]) = proven(CODE);
    let mut mirrored = vec![3];
    mirrored.extend_from_slice(&proof[65..97]);
    mirrored.push(0);
    assert_eq!(guest.handle(&mirrored).err(), Some(PairingError::WrongCode));
}

#[test]
fn words_of_an_earlier_run_pass_in_no_other() {
    let (_, _, words) = agreed();
    let (waiting, mut dice) = host(50);
    let (waiting, offer) = waiting.handle(relay(70), &words[0], &mut dice).unwrap();
    assert_ne!(offer, words[1], "the host has fresh numbers of its own");
    assert_eq!(waiting.handle(&words[2], &mut rng(5)).0.err(), Some(PairingError::WrongCode));
    let (guest, _) = ExpectOffer::hail(code(CODE), relay(70), &mut rng(51));
    let (guest, _) = guest.handle(&words[1], &device(2).certificate(), &mut rng(52)).unwrap();
    assert_eq!(guest.handle(&words[3]).err(), Some(PairingError::WrongCode));
}

/// A relay between the two that does not know the code runs the exchange with either of them.
#[test]
fn a_relay_between_the_two_gets_one_guess_at_each_and_no_more() {
    let evil = device(9);
    // Towards the guest it is a host that guesses.
    let guess = ExpectHail::new(code("17-zone-zone-zone"), hello(&evil, "laptop"));
    let (guest, hail) = ExpectOffer::hail(code(CODE), relay(70), &mut rng(2));
    let (guess, offer) = guess.handle(relay(70), &hail, &mut rng(3)).unwrap();
    let (guest, proof) = guest.handle(&offer, &device(2).certificate(), &mut rng(4)).unwrap();
    let (outcome, answer) = guess.handle(&proof, &mut rng(5));
    assert_eq!(outcome.err(), Some(PairingError::WrongCode));
    assert_eq!(guest.handle(&answer).err(), Some(PairingError::WrongCode));
    // Towards the host it hands on the guest's words with a stake of its own.
    let (waiting, _, [_, _, mut proof]) = proven(CODE);
    proof[33..65].copy_from_slice(&[7; 32]);
    assert_eq!(waiting.handle(&proof, &mut rng(5)).0.err(), Some(PairingError::WrongCode));
}

#[test]
fn weak_and_malformed_shares_are_refused_by_both_sides() {
    let mut weak: Vec<[u8; 32]> =
        curve25519_dalek::constants::EIGHT_TORSION.iter().map(|point| point.compress().to_bytes()).collect();
    weak.extend([[0; 32], [0xff; 32]]);
    for share in weak {
        let (waiting, guest, [_, mut offer]) = offered(CODE, relay(70));
        offer[17..49].copy_from_slice(&share);
        let refused = guest.handle(&offer, &device(2).certificate(), &mut rng(4));
        assert_eq!(refused.err(), Some(PairingError::WrongCode));
        let proof = [&[2], share.as_slice(), &[0; 64]].concat();
        assert_eq!(waiting.handle(&proof, &mut rng(5)).0.err(), Some(PairingError::WrongCode));
    }
}

#[test]
fn another_version_is_told_apart_from_a_wrong_code() {
    let (waiting, mut dice) = host(1);
    let (_, mut hail) = ExpectOffer::hail(code(CODE), relay(70), &mut rng(2));
    hail[1] += 1;
    assert_eq!(waiting.handle(relay(70), &hail, &mut dice).err(), Some(PairingError::Version));
}

#[test]
fn nothing_shows_a_secret_by_accident() {
    let (agreed, invited, _) = agreed();
    let (waiting, guest, _) = proven(CODE);
    let shown = format!("{:?} {agreed:?} {waiting:?} {guest:?}", host(1).0);
    assert!(!shown.contains("acid") && shown.contains("Secret(..)"), "{shown}");
    assert!(format!("{invited:?}").contains("Secret(..)"));
}
