//! TLS 1.3 to a relay whose raw public key is known, with no authority in between.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::{ClientConfig, Error, ServerConfig};
use ties_sealed_log::RelayKey;

use crate::raw_key::{IdentityError, RawKeys, certified, provider};

/// The name of our protocol inside TLS, so that a key of ours never answers for another protocol.
pub(crate) const PROTOCOL: &[u8] = b"ties-relay/1";

/// How a relay answers: with the raw public key of `seed`.
pub(crate) fn server_config(seed: &[u8; 32]) -> Result<ServerConfig, IdentityError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(seed)?)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// How a device dials a relay that must prove `key`.
pub(crate) fn client_config(key: RelayKey) -> Result<ClientConfig, Error> {
    let provider = provider();
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(RawKeys::among(BTreeSet::from([key.0]), provider))
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.resumption = Resumption::disabled();
    // The key says who answers; the name would only tell onlookers.
    config.enable_sni = false;
    Ok(config)
}
