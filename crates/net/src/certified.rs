//! TLS 1.3 with a certificate, for `wss://` addresses: at the relay itself, or at a proxy before it.
//!
//! Who ends TLS shows in the protocol that is agreed on. A relay that ends it itself speaks [`pinned::PROTOCOL`]; then
//! both ends bind the handshake above the link to this one TLS session, so that the key in the address vouches for the
//! certificate, whoever made it: a private authority, the relay's operator, an authority long gone. A proxy speaks
//! `http/1.1`; there the certificate alone says who is at the other end, and a public authority must have signed it.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme};

use crate::pinned;

/// A certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The first file holds no certificate in PEM.
    #[error("there is no certificate in PEM form")]
    NoCertificate,
    /// The second file holds no private key in PEM.
    #[error("there is no private key in PEM form")]
    NoKey,
    /// They are malformed, or do not belong together.
    #[error("the certificate and the key cannot be used together")]
    Unusable(#[source] Error),
}

/// How a relay answers with a certificate chain and its key, both PEM.
pub(crate) fn server_config(chain: &[u8], key: &[u8]) -> Result<ServerConfig, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(CertificateError::NoCertificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(CertificateError::Unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(CertificateError::Unusable)?;
    config.alpn_protocols = vec![pinned::PROTOCOL.to_vec(), HTTP.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// How a device dials, and what it will know of the certificate that it was shown.
pub(crate) fn client_config(authorities: RootCertStore) -> Result<(ClientConfig, Arc<Shown>), Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let strict = WebPkiServerVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider))
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let shown = Arc::new(Shown { strict, fault: Mutex::new(None) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&shown) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    // A proxy that offered HTTP/2 could not upgrade.
    config.alpn_protocols = vec![pinned::PROTOCOL.to_vec(), HTTP.to_vec()];
    config.resumption = Resumption::disabled();
    Ok((config, shown))
}

/// Notes what is wrong with a certificate and leaves it to the caller whether that matters. That the other end holds
/// the certificate's key is checked in any case.
#[derive(Debug)]
pub(crate) struct Shown {
    strict: Arc<WebPkiServerVerifier>,
    fault: Mutex<Option<Error>>,
}

impl Shown {
    /// Why no public authority vouches for the other end, if none does.
    pub(crate) fn fault(&self) -> Option<Error> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let strict = self.strict.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = strict.err();
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
        self.strict.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}

const HTTP: &[u8] = b"http/1.1";
