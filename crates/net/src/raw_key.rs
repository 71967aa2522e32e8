//! Raw Ed25519 public keys in TLS (RFC 7250): making them, and judging those of the other end.
//!
//! One way to do it and nothing to negotiate: TLS 1.3, Ed25519, X25519MLKEM768, no tickets, no resumption and no early
//! data, so that every link proves the keys again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ConnectionCommon, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    SignatureScheme,
};
use zeroize::Zeroizing;

/// The label under which both ends export 32 bytes of the TLS session for the handshake above it; there is no context.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-ties1-link";

/// The seed cannot serve as a TLS identity.
#[derive(Debug, thiserror::Error)]
#[error("this key cannot be used for TLS")]
pub struct IdentityError(#[from] pub(crate) Error);

/// The key pair of a seed, as TLS shows it.
pub(crate) fn certified(seed: &[u8; 32]) -> Result<Arc<CertifiedKey>, Error> {
    let mut pkcs8 = Zeroizing::new(PKCS8_PREFIX.to_vec());
    pkcs8.extend_from_slice(seed);
    let key = aws_lc_rs::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()))?;
    let public = key.public_key().ok_or_else(|| Error::General("no public key".to_owned()))?;
    Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(public.to_vec())], key)))
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    let kx_groups = vec![aws_lc_rs::kx_group::X25519MLKEM768];
    Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
}

/// 32 bytes that only the two ends of this TLS session know.
pub(crate) fn exporter<D>(session: &ConnectionCommon<D>) -> Result<[u8; 32], Error> {
    session.export_keying_material([0; 32], EXPORTER_LABEL, None)
}

/// The key that the other end showed: exactly 44 bytes, since another encoding of the same key would be another key;
/// nothing beside it; and no point of small order, for which anybody can sign.
pub(crate) fn shown_key(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Option<[u8; 32]> {
    let key = end_entity.as_ref().strip_prefix(&SPKI_PREFIX)?.try_into().ok()?;
    (intermediates.is_empty() && is_strong(&key)).then_some(key)
}

/// Whether a public key is a point of the curve that is not of small order.
pub(crate) fn is_strong(key: &[u8; 32]) -> bool {
    ed25519_dalek::VerifyingKey::from_bytes(key).is_ok_and(|point| !point.is_weak())
}

/// Judges the key of the other end, whichever end that is.
#[derive(Debug)]
pub(crate) struct RawKeys {
    /// Which may be shown; `None` if whoever is above this decides.
    expected: Option<BTreeSet<[u8; 32]>>,
    /// The one that was shown and may not be.
    stranger: Mutex<Option<[u8; 32]>>,
    provider: Arc<CryptoProvider>,
}

impl RawKeys {
    /// Takes these keys and no other.
    pub(crate) fn among(expected: BTreeSet<[u8; 32]>, provider: Arc<CryptoProvider>) -> Arc<Self> {
        Arc::new(Self { expected: Some(expected), stranger: Mutex::new(None), provider })
    }

    /// Takes any key that is proved.
    pub(crate) fn any(provider: Arc<CryptoProvider>) -> Arc<Self> {
        Arc::new(Self { expected: None, stranger: Mutex::new(None), provider })
    }

    /// The key of an end that was turned away for it. It was claimed, and not proved.
    pub(crate) fn stranger(&self) -> Option<[u8; 32]> {
        *self.stranger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Result<(), Error> {
        let refused = CertificateError::ApplicationVerificationFailure;
        let key = shown_key(end_entity, intermediates).ok_or(refused.clone())?;
        if self.expected.as_ref().is_some_and(|expected| !expected.contains(&key)) {
            *self.stranger.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
            return Err(refused.into());
        }
        Ok(())
    }

    fn verify(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(cert.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for RawKeys {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for RawKeys {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// RFC 8410: an Ed25519 SubjectPublicKeyInfo up to the 32 bytes of the key.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// RFC 8410: an Ed25519 private key in PKCS #8 up to the 32 bytes of the seed.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_encoding_and_is_strong() {
        let strong = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
        let spki = |key: &[u8]| CertificateDer::from([&SPKI_PREFIX[..], key].concat());
        assert_eq!(shown_key(&spki(&strong), &[]), Some(strong));
        assert_eq!(shown_key(&spki(&strong), &[spki(&strong)]), None, "with another beside it");
        assert_eq!(shown_key(&spki(&strong[..31]), &[]), None);
        assert_eq!(shown_key(&spki(&[&strong[..], &[0]].concat()), &[]), None);
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(shown_key(&spki(&identity), &[]), None, "of small order");
        let mut other = spki(&strong).to_vec();
        other[8] = 0x71;
        assert_eq!(shown_key(&CertificateDer::from(other), &[]), None, "of another kind");
    }
}
