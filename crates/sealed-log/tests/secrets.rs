//! Nothing secret is printed by accident.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fmt::Debug;

use support::{Cast, WORDS, hex, rng};
use ties_sealed_log::{EarlierKey, EpochId, EpochKey, PseudonymKey, RecoveryWords, RelaySecret, Secret};

#[test]
fn no_key_shows_itself() {
    let cast = Cast::new();
    let secret = || Secret::new([0xc5; 32]);
    let earlier = EarlierKey { epoch: EpochId([1; 32]), generation: 0, key: EpochKey::new(secret()) };
    let log = ties_sealed_log::LogKey::from_secret(&secret());
    let device = ties_sealed_log::DeviceKeys::from_seed(secret());
    let words = RecoveryWords::parse(WORDS).unwrap();
    let mut envelope = cast.envelope_body();
    envelope.key = [0xc5; 32];
    let shown: [&dyn Debug; 9] = [
        &secret(),
        &EpochKey::new(secret()),
        &earlier,
        &log,
        &device,
        &PseudonymKey::from_secret(&secret()),
        &cast.recovery,
        &words,
        &envelope,
    ];
    for one in shown {
        let text = format!("{one:?} {one:#?}").to_lowercase();
        assert!(!text.contains("c5c5") && !text.contains("197, 197"), "{text}");
        assert!(!WORDS.split(' ').any(|word| text.contains(word)), "{text}");
    }
    let _ = RelaySecret::from_secret(&secret());
}

#[test]
fn words_are_twelve_and_checked() {
    let words = RecoveryWords::random(&mut rng(1));
    assert_eq!(words.words().count(), 12);
    let text = words.words().collect::<Vec<_>>().join(" ");
    assert!(RecoveryWords::parse(&text).is_ok());
    let wrong = [
        String::new(),
        text.split(' ').take(11).collect::<Vec<_>>().join(" "),
        text.split(' ').rev().collect::<Vec<_>>().join(" "),
        format!("{text} abandon"),
        text.replacen(text.split(' ').next().unwrap(), "ties", 1),
        // Valid, and of another length: 24 words.
        format!("{}art", "abandon ".repeat(23)),
    ];
    for text in wrong {
        assert!(RecoveryWords::parse(&text).is_err(), "{text}");
    }
}

#[test]
fn keys_drawn_from_one_seed_are_one_and_from_two_are_two() {
    let draw = |seed| hex(Secret::random(&mut rng(seed)).expose());
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}
