//! Content keys: sealing with a commitment, and wrapping for members with HPKE.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hpke::{Deserializable, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::XWing};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::device::{DeviceCert, DeviceKeys};
use crate::ids::{DeviceId, EpochId, SpaceId};
use crate::keys::{KemPublic, KemSecret, KeyError, Secret};
use crate::recovery::{RecoveryCert, RecoveryKeys};

type Encapped = <XWing as hpke::Kem>::EncappedKey;

/// Why a sealed thing does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The commitment is to another key or another place; nothing was decrypted.
    #[error("sealed under a key that is not here, or for another place")]
    OtherKey,
    /// Key and place are right, and the bytes are not.
    #[error("sealed bytes were altered")]
    Altered,
    /// Too short to be sealed bytes.
    #[error("too short to be sealed bytes")]
    Short,
    /// A public key in the way is weak.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Bytes that sealing adds: salt, commitment, tag.
pub const SEAL_OVERHEAD: usize = 32 + 32 + 16;

/// Length of an X-Wing ciphertext.
const ENCAPPED: usize = 1120;

/// Length of a wrapped 32-byte key: X-Wing ciphertext, key, tag.
pub const WRAP_LEN: usize = ENCAPPED + 32 + 16;

/// The content key of one epoch.
pub struct EpochKey(Secret);

impl EpochKey {
    /// Takes over key bytes.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// Draws a key.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        Self(Secret::random(rng))
    }

    /// The bytes, for storing at rest.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// A copy, for a second key ring in the same process.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(Secret::new(*self.0.expose()))
    }

    /// Seals `plain` as salt, commitment, ciphertext and tag. `salt` must be fresh: key, nonce and commitment derive
    /// from it, so no nonce is ever kept on disk. They derive from `bound_to` too: the commitment is to key and
    /// context, so that nobody, not even who knows the key, makes bytes that open in two places.
    #[must_use]
    pub fn seal(&self, salt: &[u8; 32], bound_to: &[u8], plain: &[u8]) -> Vec<u8> {
        let derived = Derived::new(&self.0, salt, bound_to);
        let mut sealed = Vec::with_capacity(plain.len() + SEAL_OVERHEAD);
        sealed.extend_from_slice(salt);
        sealed.extend_from_slice(derived.commitment());
        let ciphertext = derived
            .cipher()
            .encrypt(&derived.nonce(), Payload { msg: plain, aad: bound_to })
            .expect("lengths stay far below the cipher's bound of 256 GiB");
        sealed.extend_from_slice(&ciphertext);
        sealed
    }

    /// Opens what [`Self::seal`] made with the same key and `bound_to`.
    ///
    /// # Errors
    /// [`SealError::OtherKey`] when key or `bound_to` is another, from the commitment alone, before anything is
    /// decrypted; [`SealError::Altered`] when the rest was altered.
    pub fn open(&self, bound_to: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        if sealed.len() < SEAL_OVERHEAD {
            return Err(SealError::Short);
        }
        let (salt, rest) = sealed.split_at(32);
        let (commitment, ciphertext) = rest.split_at(32);
        let derived = Derived::new(&self.0, salt, bound_to);
        if !bool::from(derived.commitment().ct_eq(commitment)) {
            return Err(SealError::OtherKey);
        }
        derived
            .cipher()
            .decrypt(&derived.nonce(), Payload { msg: ciphertext, aad: bound_to })
            .map(Zeroizing::new)
            .map_err(|_| SealError::Altered)
    }

    /// What a member compares before trusting a key it was handed.
    #[must_use]
    pub fn check(&self, epoch: &EpochId) -> [u8; 32] {
        *self.0.derive32("ties1/key-check", &[&epoch.0]).expose()
    }

    /// Compares with a published check, in constant time.
    #[must_use]
    pub fn matches(&self, epoch: &EpochId, check: &[u8; 32]) -> bool {
        self.check(epoch).ct_eq(check).into()
    }

    /// Derives a key for another use than sealing entries.
    #[must_use]
    pub fn derive(&self, label: &str) -> Secret {
        self.0.derive32(label, &[])
    }
}

impl std::fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EpochKey(..)")
    }
}

/// Key, nonce and commitment for one salt and one context.
struct Derived(Zeroizing<[u8; 88]>);

impl Derived {
    fn new(key: &Secret, salt: &[u8], bound_to: &[u8]) -> Self {
        let mut out = Zeroizing::new([0; 88]);
        key.derive(salt, "ties1/seal", &[bound_to], &mut *out);
        Self(out)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new_from_slice(&self.0[..32]).expect("a key is 32 bytes")
    }

    fn nonce(&self) -> XNonce {
        XNonce::try_from(&self.0[32..56]).expect("a nonce is 24 bytes")
    }

    fn commitment(&self) -> &[u8] {
        &self.0[56..]
    }
}

/// Which epoch key goes from whom to whom; the wrap opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct WrapContext<'a> {
    /// The space.
    pub space: &'a SpaceId,
    /// The epoch whose key it is.
    pub epoch: &'a EpochId,
    /// For whom: a device, or the recovery key's id.
    pub recipient: &'a DeviceId,
    /// By whom.
    pub author: &'a DeviceId,
}

impl WrapContext<'_> {
    fn info(&self) -> Vec<u8> {
        [&b"ties1/wrap\0"[..], &self.space.0, &self.epoch.0, &self.recipient.0, &self.author.0].concat()
    }
}

impl DeviceCert {
    /// Wraps an epoch key to this device.
    ///
    /// # Errors
    /// When the certificate's encapsulation key is unusable.
    pub fn wrap(
        &self,
        key: &EpochKey,
        context: WrapContext<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        seal_to(&self.kem()?, &context.info(), key.expose(), rng)
    }
}

impl DeviceKeys {
    /// Opens a wrap made for this device.
    ///
    /// # Errors
    /// When it was made for another, in another context, or was altered.
    pub fn unwrap(&self, wrap: &[u8], context: WrapContext<'_>) -> Result<EpochKey, SealError> {
        unwrap_key(self.kem(), &context.info(), wrap)
    }
}

impl RecoveryCert {
    /// Wraps an epoch key to the recovery key.
    ///
    /// # Errors
    /// When the certificate's encapsulation key is unusable.
    pub fn wrap(
        &self,
        key: &EpochKey,
        context: WrapContext<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        seal_to(&self.kem()?, &context.info(), key.expose(), rng)
    }

    /// Seals bytes to the recovery key alone.
    ///
    /// # Errors
    /// When the certificate's encapsulation key is unusable.
    pub(crate) fn seal(&self, info: &[u8], plain: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, SealError> {
        seal_to(&self.kem()?, info, plain, rng)
    }
}

impl RecoveryKeys {
    /// Opens a wrap made for the recovery key.
    ///
    /// # Errors
    /// When it was made for another, in another context, or was altered.
    pub fn unwrap(&self, wrap: &[u8], context: WrapContext<'_>) -> Result<EpochKey, SealError> {
        unwrap_key(self.kem(), &context.info(), wrap)
    }

    pub(crate) fn open(&self, info: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        open_from(self.kem(), info, sealed)
    }
}

fn unwrap_key(kem: &KemSecret, info: &[u8], wrap: &[u8]) -> Result<EpochKey, SealError> {
    if wrap.len() != WRAP_LEN {
        return Err(SealError::Short);
    }
    let plain = open_from(kem, info, wrap)?;
    let key = <[u8; 32]>::try_from(plain.as_slice()).map_err(|_| SealError::Altered)?;
    Ok(EpochKey::new(Secret::new(key)))
}

fn seal_to(kem: &KemPublic, info: &[u8], plain: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, SealError> {
    let (encapped, ciphertext) = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeS::Base,
        kem,
        info,
        plain,
        &[],
        rng,
    )
    .map_err(|_| SealError::Key(KeyError::Weak))?;
    let mut sealed = encapped.to_bytes().to_vec();
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}

fn open_from(kem: &KemSecret, info: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    if sealed.len() < ENCAPPED + 16 {
        return Err(SealError::Short);
    }
    let (encapped, ciphertext) = sealed.split_at(ENCAPPED);
    let encapped = Encapped::from_bytes(encapped).map_err(|_| SealError::Altered)?;
    hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeR::Base, kem, &encapped, info, ciphertext, &[])
        .map(Zeroizing::new)
        .map_err(|_| SealError::Altered)
}
