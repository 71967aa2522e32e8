//! No `Debug` output of anything secret holds its secret.

use std::fmt::Debug;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use ties_book::api;
use ties_relay::InviteToken;
use ties_sealed_log::{
    DeviceKeys, EarlierKey, EntryName, EpochId, EpochKey, LogKey, MailboxId, PseudonymKey, RecoveryEnvelope,
    RecoveryWords, RelaySecret, Secret, SpaceId,
};
use ties_store::{Cost, Encrypted, Passphrase, StorageKey, Store};
use ties_sync::{Code, Guest, Host, Ticket};

/// Seldom enough to be recognised in any form.
const BYTE: u8 = 0xc5;
const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
const PHRASE: &str = "xyzzy-plugh";

#[test]
fn no_secret_shows_itself() {
    let secret = || Secret::new([BYTE; 32]);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let device = DeviceKeys::from_seed(secret());
    let words = RecoveryWords::parse(WORDS).unwrap();
    let recovery = words.keys();
    let earlier = EarlierKey { epoch: EpochId([1; 32]), generation: 0, key: EpochKey::new(secret()) };
    let envelope = RecoveryEnvelope {
        space: SpaceId([1; 32]),
        genesis: EntryName([2; 32]),
        epoch: EpochId([3; 32]),
        generation: 0,
        key: [BYTE; 32],
        mailboxes: vec![("ties://relay".into(), MailboxId([4; 32]))],
        checkpoint: None,
    };
    let ticket = || Ticket::new("ws://relay".into(), device.id(), 0, secret());
    let code = Code::parse("17-abandon-ability-able").unwrap();
    let (guest, _) = Guest::greet(&ticket(), &device, "phone", &mut rng);
    let storage = || StorageKey::from_bytes(&std::array::from_fn(|n| if n < 63 { BYTE } else { 1 })).unwrap();
    let encrypted = Encrypted::new(redb::backends::InMemoryBackend::new(), &storage());
    let store = Store::in_memory().unwrap();
    let said = || api::Secret::new(PHRASE);
    let passphrase = Passphrase::new(PHRASE).unwrap();
    let join = api::Join { invitation: said(), relay: None, peer: None, lan: false, device_name: "phone".into() };
    let created = api::Created { device_name: "phone".into(), recovery_words: Some(said()) };
    let add = api::Request::RelayAdd { url: "ws://relay".into(), token: Some(said()) };
    let event = api::Event::Ticket { ticket: said(), peer: None, expires: None };
    let shown: [(&str, &dyn Debug); 23] = [
        ("Secret", &secret()),
        ("EpochKey", &EpochKey::new(secret())),
        ("EarlierKey", &earlier),
        ("LogKey", &LogKey::from_secret(&secret())),
        ("DeviceKeys", &device),
        ("PseudonymKey", &PseudonymKey::from_secret(&secret())),
        ("RecoveryKeys", &recovery),
        ("RecoveryWords", &words),
        ("RecoveryEnvelope", &envelope),
        ("Ticket", &ticket()),
        ("Code", &code),
        ("Guest", &guest),
        ("StorageKey", &storage()),
        ("Passphrase", &passphrase),
        ("Encrypted", &encrypted),
        ("Store", &store),
        ("Cost", &Cost::STRONG),
        ("InviteToken", &InviteToken::from_bytes([BYTE; 16])),
        ("api::Secret", &said()),
        ("Join", &join),
        ("Created", &created),
        ("RelayAdd", &add),
        ("Ticket event", &event),
    ];
    for (name, one) in shown {
        let text = format!("{one:?} {one:#?}").to_lowercase();
        for trace in ["c5c5", "197, 197", "197,\n", "xyzzy", "plugh", "abandon", "ability", "about"] {
            assert!(!text.contains(trace), "{name} shows {trace:?}: {text}");
        }
    }
    // These have no `Debug` at all, or only one that names them.
    let _ = (RelaySecret::from_secret(&secret()), std::any::type_name::<Host>());
}
