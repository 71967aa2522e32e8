//! TLS 1.3 between two programs that know each other's raw public key (RFC 7250), with no authority in between.
//!
//! One way to do it and nothing to negotiate: Ed25519 keys, X25519MLKEM768, our own protocol name, no tickets, no
//! resumption and no early data, so that every link proves the key again.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, ConnectionCommon, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
};
use ties_sealed_log::RelayKey;
use zeroize::Zeroizing;

/// The label under which both ends export 32 bytes of the TLS session for the handshake above it; there is no context.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-ties1-link";

/// The name of our protocol inside TLS, so that a key of ours never answers for another protocol.
pub(crate) const PROTOCOL: &[u8] = b"ties-relay/1";

/// The seed cannot serve as a TLS identity.
#[derive(Debug, thiserror::Error)]
#[error("the relay's key cannot be used for TLS")]
pub struct IdentityError(#[from] Error);

/// How a relay answers: with the raw public key of `seed`.
pub(crate) fn server_config(seed: &[u8; 32]) -> Result<ServerConfig, IdentityError> {
    let mut pkcs8 = Zeroizing::new(PKCS8_PREFIX.to_vec());
    pkcs8.extend_from_slice(seed);
    let key = aws_lc_rs::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()))?;
    let public = key.public_key().ok_or_else(|| Error::General("no public key".to_owned()))?;
    let certified = CertifiedKey::new(vec![CertificateDer::from(public.to_vec())], key);

    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::new(certified))));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// How a device dials a relay that must prove `key`.
pub(crate) fn client_config(key: RelayKey) -> Result<ClientConfig, Error> {
    let provider = Arc::new(provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedKey { spki: spki(key), provider }))
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.resumption = Resumption::disabled();
    // The key says who answers; the name would only tell onlookers.
    config.enable_sni = false;
    Ok(config)
}

/// 32 bytes that only the two ends of this TLS session know.
pub(crate) fn exporter<D>(session: &ConnectionCommon<D>) -> Result<[u8; 32], Error> {
    session.export_keying_material([0; 32], EXPORTER_LABEL, None)
}

fn provider() -> CryptoProvider {
    CryptoProvider { kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768], ..aws_lc_rs::default_provider() }
}

fn spki(key: RelayKey) -> [u8; 44] {
    let mut spki = [0; 44];
    spki[..12].copy_from_slice(&SPKI_PREFIX);
    spki[12..].copy_from_slice(key.as_bytes());
    spki
}

/// Accepts one Ed25519 key and nothing else.
#[derive(Debug)]
struct PinnedKey {
    spki: [u8; 44],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // Exact bytes: another encoding of the same key would be another key.
        if end_entity.as_ref() != self.spki || !intermediates.is_empty() {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(cert.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.provider.signature_verification_algorithms)
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
