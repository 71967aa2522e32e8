//! A relay and a pseudonym prove themselves; whatever is altered, moved or said again is refused.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_sealed_log::{KeyError, Pseudonym, PseudonymKey, RelaySecret, Secret, decode, encode};
use ties_sync::{
    Channel, ExpectAuth, ExpectHello, ExpectWelcome, Greeted, Greeting, HandshakeError, MAX_FRAME, Refusal,
};

const STORE: [u8; 16] = [6; 16];

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn relay() -> RelaySecret {
    RelaySecret::from_secret(&Secret::new([1; 32]))
}

fn client() -> PseudonymKey {
    PseudonymKey::from_secret(&Secret::new([2; 32]))
}

fn channel() -> Channel {
    Channel { host: "relay.example".to_owned(), exporter: [3; 32] }
}

fn hello(channel: Channel, seed: u64) -> (ExpectAuth, Vec<u8>) {
    ExpectAuth::hello(&relay(), STORE, MAX_FRAME as u32, channel, &mut rng(seed))
}

fn answer(hello: &[u8], channel: Channel) -> Result<(ExpectWelcome, Vec<u8>), HandshakeError> {
    ExpectHello::new(channel, relay().id()).handle(hello, &client(), &mut rng(20))
}

/// The whole handshake, with whatever happens to the frames on their way.
fn shake(alter: impl Fn(usize, &mut Vec<u8>)) -> Result<(Pseudonym, Greeted), HandshakeError> {
    let (relay_side, mut frame) = hello(channel(), 10);
    alter(0, &mut frame);
    let (client_side, mut frame) = answer(&frame, channel())?;
    alter(1, &mut frame);
    let (pseudonym, mut frame) = relay_side.handle(&frame, &relay())?;
    alter(2, &mut frame);
    Ok((pseudonym, client_side.handle(&frame)?))
}

#[test]
fn both_sides_learn_who_the_other_is() {
    let greeted = Greeted { store: STORE, max_frame: MAX_FRAME as u32 };
    assert_eq!(shake(|_, _| {}), Ok((client().id(), greeted)));
}

#[test]
fn every_flipped_bit_of_every_frame_is_refused() {
    let mut lengths = [0; 3];
    let (relay_side, first) = hello(channel(), 10);
    let (_, second) = answer(&first, channel()).unwrap();
    let (_, third) = relay_side.handle(&second, &relay()).unwrap();
    for (length, frame) in lengths.iter_mut().zip([first, second, third]) {
        *length = frame.len();
    }
    for (number, length) in lengths.into_iter().enumerate() {
        for bit in 0..length * 8 {
            let flip = |which: usize, frame: &mut Vec<u8>| {
                if which == number {
                    frame[bit / 8] ^= 1 << (bit % 8);
                }
            };
            assert!(shake(flip).is_err(), "bit {bit} of frame {number}");
        }
    }
}

#[test]
fn frames_that_are_cut_or_longer_are_refused() {
    for number in 0..3 {
        for cut in 1..40 {
            let shorten = |which: usize, frame: &mut Vec<u8>| {
                if which == number {
                    frame.truncate(frame.len() - cut.min(frame.len()));
                }
            };
            assert!(matches!(shake(shorten), Err(HandshakeError::Frame(_))));
        }
        let lengthen = |which: usize, frame: &mut Vec<u8>| {
            if which == number {
                frame.push(0);
            }
        };
        assert!(matches!(shake(lengthen), Err(HandshakeError::Frame(_))));
    }
}

#[test]
fn a_relay_with_another_key_gets_no_proof() {
    let (_, frame) = hello(channel(), 10);
    let other = RelaySecret::from_secret(&Secret::new([9; 32])).id();
    let handled = ExpectHello::new(channel(), other).handle(&frame, &client(), &mut rng(20));
    assert_eq!(handled.unwrap_err(), HandshakeError::WrongRelay);
}

#[test]
fn a_relay_that_only_repeats_the_right_key_cannot_welcome() {
    // It says the pinned key in its hello, and has another one to sign with.
    let (impostor, frame) = hello(channel(), 10);
    let (client_side, proof) = answer(&frame, channel()).unwrap();
    let (_, welcome) = impostor.handle(&proof, &RelaySecret::from_secret(&Secret::new([9; 32]))).unwrap();
    assert_eq!(client_side.handle(&welcome).unwrap_err(), HandshakeError::Key(KeyError::Signature));
}

#[test]
fn a_proof_for_another_host_or_connection_is_refused() {
    let (_, frame) = hello(channel(), 10);
    let other_host = Channel { host: "other.example".to_owned(), ..channel() };
    let other_connection = Channel { exporter: [4; 32], ..channel() };
    let behind_a_proxy = Channel { exporter: [0; 32], ..channel() };
    let longer_host = Channel { host: "relay.example.".to_owned(), ..channel() };
    for dialled in [other_host, other_connection, behind_a_proxy, longer_host] {
        let (relay_side, _) = hello(channel(), 10);
        let (client_side, proof) = answer(&frame, dialled.clone()).unwrap();
        assert_eq!(relay_side.handle(&proof, &relay()).unwrap_err(), HandshakeError::Key(KeyError::Signature));
        // Nor does the client take a welcome made for what it did not dial.
        let (relay_side, _) = hello(channel(), 10);
        let (_, proof) = answer(&frame, channel()).unwrap();
        let (_, welcome) = relay_side.handle(&proof, &relay()).unwrap();
        assert_eq!(client_side.handle(&welcome).unwrap_err(), HandshakeError::Key(KeyError::Signature));
    }
}

#[test]
fn a_proof_said_again_on_another_connection_is_refused() {
    let (first, frame) = hello(channel(), 10);
    let (_, proof) = answer(&frame, channel()).unwrap();
    assert!(first.handle(&proof, &relay()).is_ok());
    let (second, _) = hello(channel(), 11);
    assert_eq!(second.handle(&proof, &relay()).unwrap_err(), HandshakeError::Key(KeyError::Signature));
}

#[test]
fn a_welcome_said_again_is_refused() {
    let (relay_side, frame) = hello(channel(), 10);
    let (_, proof) = answer(&frame, channel()).unwrap();
    let (_, welcome) = relay_side.handle(&proof, &relay()).unwrap();
    let again = ExpectHello::new(channel(), relay().id()).handle(&frame, &client(), &mut rng(21)).unwrap().0;
    assert_eq!(again.handle(&welcome).unwrap_err(), HandshakeError::Key(KeyError::Signature));
}

#[test]
fn a_proof_under_another_pseudonym_is_refused() {
    let (relay_side, frame) = hello(channel(), 10);
    let (_, proof) = answer(&frame, channel()).unwrap();
    let Greeting::Auth { nonce, signature, .. } = decode(&proof).unwrap() else { panic!("a proof") };
    let other = PseudonymKey::from_secret(&Secret::new([8; 32])).id();
    let proof = encode(&Greeting::Auth { pseudonym: other, nonce, signature });
    assert_eq!(relay_side.handle(&proof, &relay()).unwrap_err(), HandshakeError::Key(KeyError::Signature));
}

#[test]
fn a_weak_pseudonym_is_refused() {
    // The neutral element: everything verifies under it where weak keys are not refused.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = neutral.to_vec();
    signature.extend_from_slice(&[0; 32]);
    let proof = Greeting::Auth { pseudonym: Pseudonym(neutral), nonce: [0; 32], signature: signature.into() };
    let handled = hello(channel(), 10).0.handle(&encode(&proof), &relay());
    assert_eq!(handled.unwrap_err(), HandshakeError::Key(KeyError::Weak));
}

#[test]
fn another_version_is_refused_and_nothing_is_signed() {
    let hello = Greeting::Hello { version: 2, relay: relay().id(), nonce: [0; 32], store: STORE, max_frame: 1 };
    assert_eq!(answer(&encode(&hello), channel()).unwrap_err(), HandshakeError::Refused(Refusal::Version));
}

#[test]
fn a_message_in_another_place_is_out_of_turn() {
    let (relay_side, frame) = hello(channel(), 10);
    let (client_side, proof) = answer(&frame, channel()).unwrap();
    assert_eq!(answer(&proof, channel()).unwrap_err(), HandshakeError::OutOfTurn);
    assert_eq!(client_side.handle(&frame).unwrap_err(), HandshakeError::OutOfTurn);
    assert_eq!(relay_side.handle(&frame, &relay()).unwrap_err(), HandshakeError::OutOfTurn);
}

#[test]
fn a_relay_says_why_it_will_not_go_on() {
    let sorry = encode(&Greeting::Sorry(Refusal::Busy));
    assert_eq!(answer(&sorry, channel()).unwrap_err(), HandshakeError::Refused(Refusal::Busy));
    let (_, frame) = hello(channel(), 10);
    let (client_side, _) = answer(&frame, channel()).unwrap();
    assert_eq!(client_side.handle(&sorry).unwrap_err(), HandshakeError::Refused(Refusal::Busy));
}
