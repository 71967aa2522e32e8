//! Devices: one seed, three key pairs, one certificate.

use ed25519_dalek::SigningKey;
use hpke::{Kem as _, Serializable, kem::XWing};

use crate::ids::{DeviceId, LogId, Pseudonym, RelayKey, SpaceId, hash};
use crate::keys::{
    KEM_KEY_LEN, KemPublic, KemSecret, KeyError, PseudonymKey, Secret, sign, strong_kem_key, strong_key, verify,
};

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
        id(&self.body())
    }

    /// The self-signed statement of this device's public keys.
    #[must_use]
    pub fn certificate(&self) -> DeviceCert {
        let mut bytes = self.body();
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

    /// Vouches for everything that a new device is told when it is admitted: `welcome` are the exact bytes.
    #[must_use]
    pub fn sign_welcome(&self, guest: &DeviceId, welcome: &[u8]) -> [u8; 64] {
        sign(&self.signing, "ties1/welcome", &[&guest.0, welcome])
    }

    /// The key that this device is known by at a relay, for one space.
    #[must_use]
    pub fn pseudonym(&self, space: &SpaceId, relay: &RelayKey) -> PseudonymKey {
        let secret = self.seed.derive32("ties1/device/pseudonym", &[&space.0, &relay.0]);
        PseudonymKey::from_secret(&secret)
    }

    /// The seed of the Ed25519 key that this device proves to others of the space in TLS.
    #[must_use]
    pub fn tls_seed(&self) -> Secret {
        Secret::new(self.tls.to_bytes())
    }

    pub(crate) fn kem(&self) -> &KemSecret {
        &self.kem
    }

    /// What the certificate states.
    fn body(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(DeviceCert::LEN);
        bytes.push(1);
        bytes.extend_from_slice(self.signing.verifying_key().as_bytes());
        bytes.extend_from_slice(self.tls.verifying_key().as_bytes());
        bytes.extend_from_slice(&self.kem_public.to_bytes());
        bytes
    }
}

impl std::fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceKeys({:?})", self.id())
    }
}

fn id(body: &[u8]) -> DeviceId {
    DeviceId(hash("ties1/device-id", &[body]))
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
        id(&self.0[..Self::LEN - 64])
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

    /// Checks that the device vouches for what a new device was told.
    ///
    /// # Errors
    /// When the signature is not this device's.
    pub fn verify_welcome(&self, guest: &DeviceId, welcome: &[u8], signature: &[u8; 64]) -> Result<(), KeyError> {
        verify(&self.signing(), "ties1/welcome", &[&guest.0, welcome], signature)
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
