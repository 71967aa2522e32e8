//! The recovery key: twelve words and what they stand for.

use ed25519_dalek::SigningKey;
use hpke::{Kem as _, Serializable, kem::XWing};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::ids::{DeviceId, Pseudonym, RelayKey, SpaceId, hash};
use crate::keys::{KEM_KEY_LEN, KemPublic, KemSecret, KeyError, PseudonymKey, Secret, sign, strong_kem_key, verify};

/// Why words are not recovery words. None of them says a word itself, which may be right and belongs to nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// The word at this place, counted from 1, is not on the list.
    #[error("word {0} is not on the list of recovery words")]
    Unknown(usize),
    /// There are more or fewer than twelve.
    #[error("there are twelve recovery words, and these are {0}")]
    Count(usize),
    /// All are on the list, and one of them is another one or stands in another place.
    #[error("the words do not fit together: one is wrong, or two have changed places")]
    Checksum,
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

    /// Reads words back; case, spacing and what stands between the words do not matter, and numbers before them are
    /// passed over, as they stand on paper.
    ///
    /// # Errors
    /// When a word is unknown, one is missing, or the checksum is wrong.
    pub fn parse(text: &str) -> Result<Self, WordsError> {
        let letters = Zeroizing::new(text.to_lowercase());
        let words: Vec<&str> = letters.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
        let language = bip39::Language::English;
        if let Some(unknown) = words.iter().position(|word| language.find_word(word).is_none()) {
            return Err(WordsError::Unknown(unknown + 1));
        }
        if words.len() != 12 {
            return Err(WordsError::Count(words.len()));
        }
        let normal = Zeroizing::new(words.join(" "));
        bip39::Mnemonic::parse_in_normalized(language, &normal).map(Self).map_err(|_| WordsError::Checksum)
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
        padded.expose_mut()[..16].copy_from_slice(&entropy[..16]);
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

    /// The name that relays know the recovery key by, once the words are used: the signing key itself, of which a
    /// mailbox's list holds the mark.
    #[must_use]
    pub fn pseudonym(&self) -> PseudonymKey {
        PseudonymKey::from_secret(&Secret::new(self.signing.to_bytes()))
    }

    /// Signs for one space and one author's log.
    pub(crate) fn sign(&self, label: &str, space: &SpaceId, author: &DeviceId, body: &[u8]) -> [u8; 64] {
        sign(&self.signing, label, &[&space.0, &author.0, body])
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

    /// Checks exact bytes, as [`crate::DeviceCert::parse`] does.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != Self::LEN || bytes[0] != 1 {
            return Err(KeyError::Malformed);
        }
        let cert = Self(bytes.to_vec());
        let (body, signature) = bytes.split_at(Self::LEN - 64);
        let signature = signature.try_into().map_err(|_| KeyError::Malformed)?;
        verify(cert.signing(), "ties1/recovery-cert", &[body], signature)?;
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
        Pseudonym(*self.signing()).recovery_mark(relay)
    }

    pub(crate) fn verify(
        &self,
        label: &str,
        space: &SpaceId,
        author: &DeviceId,
        body: &[u8],
        signature: &[u8],
    ) -> Result<(), KeyError> {
        let signature = signature.try_into().map_err(|_| KeyError::Malformed)?;
        verify(self.signing(), label, &[&space.0, &author.0, body], signature)
    }

    fn signing(&self) -> &[u8; 32] {
        self.0[1..33].try_into().expect("the length was checked")
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
