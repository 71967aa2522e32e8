//! Links between two devices: TLS 1.3 in which both prove a raw public key, and a WebSocket inside.
//!
//! A name in the greeting (SNI) comes first. It is a token that only devices of one space can make and recognise; to
//! whoever shows none the listening device shows nothing, not even its public key. The dialling device shows its own
//! key only once the other one has proved a key that it expects. What a key means is decided above this.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ClientConfig, ConnectionCommon, Error, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::accept::{AcceptError, Accepted, upgrade as accept_upgrade};
use crate::address::{AddressError, Bracketed, Scheme, parse_authority};
use crate::connect::{self, ConnectError};
use crate::link::Link;
use crate::raw_key::{IdentityError, RawKeys, certified, exporter, provider, shown_key};

/// The public half of the key that a device proves in TLS.
pub type PeerKey = [u8; 32];

/// Where a device listens: `host:port`, `[IPv6]:port`, or a host alone for [`PEER_PORT`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    host: String,
    port: u16,
}

impl PeerAddress {
    /// The host name or IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl From<std::net::SocketAddr> for PeerAddress {
    fn from(at: std::net::SocketAddr) -> Self {
        Self { host: at.ip().to_canonical().to_string(), port: at.port() }
    }
}

impl FromStr for PeerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = parse_authority(Scheme::Pinned, text.trim())?;
        let port = port.unwrap_or(PEER_PORT);
        if port == 0 {
            return Err(AddressError::Port);
        }
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Bracketed(&self.host), self.port)
    }
}

/// How a device dials another.
#[derive(Debug)]
pub struct PeerDial<'a> {
    /// Where it listens.
    pub address: &'a PeerAddress,
    /// What it recognises: a name of one label of at most 63 characters, with whatever follows.
    pub name: &'a str,
    /// The keys that it may prove; `None` where none is known beforehand, and what is said on the link shows who it is.
    pub expected: Option<BTreeSet<PeerKey>>,
    /// The seed of the key that this end proves.
    pub seed: &'a [u8; 32],
}

/// A link to a device, and what it proved.
#[derive(Debug)]
pub struct PeerLink {
    /// The link.
    pub link: Link,
    /// The key that the other end proved.
    pub key: PeerKey,
    /// The name that was dialled.
    pub name: String,
}

/// Why a device could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The host has no address.
    #[error("the host {host:?} cannot be found")]
    Unknown {
        /// The host.
        host: String,
    },
    /// Nobody answers there.
    #[error("nobody answers there")]
    Unreachable(#[source] io::Error),
    /// What answers does not know the name.
    #[error("what answers there is no device of this network, or does not know its present key")]
    NotRecognised,
    /// What answers proves a key that was not expected, or claims to: it has not proved it yet.
    #[error("a stranger answers there")]
    Stranger(PeerKey),
    /// It turned this end away for its key.
    #[error("the other device turned this one away")]
    TurnedAway,
    /// TLS failed for another reason.
    #[error("no secure connection")]
    Tls(#[source] io::Error),
    /// It does not speak WebSocket inside.
    #[error("what answers there is not a device")]
    NotADevice(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took longer than ten seconds.
    #[error("no answer in time")]
    TimedOut,
}

/// Dials a device.
///
/// Nothing is certain yet when this returns: in TLS 1.3 the dialling end finishes first, so that a refusal of its key
/// may only come with the first read. The link is up once the first frame has come.
///
/// # Errors
/// See [`DialError`].
pub async fn connect_peer(dial: &PeerDial<'_>) -> Result<PeerLink, DialError> {
    timeout(CONNECT_WITHIN, dial_at_leisure(dial)).await.map_err(|_| DialError::TimedOut)?
}

async fn dial_at_leisure(dial: &PeerDial<'_>) -> Result<PeerLink, DialError> {
    let PeerAddress { host, port } = dial.address;
    let tcp = connect::reach(host, *port, |_| true).await.map_err(|error| match error {
        ConnectError::Unknown { host, .. } => DialError::Unknown { host },
        ConnectError::Unreachable(error) => DialError::Unreachable(error),
        _ => DialError::TimedOut,
    })?;
    let provider = provider();
    let keys = match &dial.expected {
        Some(expected) => RawKeys::among(expected.clone(), Arc::clone(&provider)),
        None => RawKeys::any(Arc::clone(&provider)),
    };
    let config =
        client_config(dial.seed, Arc::clone(&keys)).map_err(|error| DialError::Tls(io::Error::other(error)))?;
    let name = ServerName::try_from(dial.name.to_owned()).map_err(|error| DialError::Tls(io::Error::other(error)))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(|error| {
        match (keys.stranger(), alert(&error)) {
            (Some(stranger), _) => DialError::Stranger(stranger),
            (None, Some(AlertDescription::AccessDenied)) => DialError::NotRecognised,
            _ => DialError::Tls(error),
        }
    })?;
    let (_, session) = stream.get_ref();
    let (key, exporter) = proven(session).map_err(DialError::Tls)?;
    // The address stays out of the request: to the other end it says nothing.
    let link = connect::upgrade(REQUEST, HOST, Box::new(stream), exporter).await.map_err(|error| match error {
        ConnectError::Tls(error) if alert(&error).is_some() => DialError::TurnedAway,
        ConnectError::Tls(error) => DialError::Tls(error),
        ConnectError::Unreachable(error) => DialError::Unreachable(error),
        ConnectError::NotARelay(error) => DialError::NotADevice(error),
        error => DialError::NotADevice(Box::new(error)),
    })?;
    Ok(PeerLink { link, key, name: dial.name.to_owned() })
}

fn client_config(seed: &[u8; 32], keys: Arc<RawKeys>) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(keys)
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(seed)?)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// What the other end of a session proved, if it speaks our protocol.
fn proven<D>(session: &ConnectionCommon<D>) -> io::Result<(PeerKey, [u8; 32])> {
    if session.alpn_protocol() != Some(PROTOCOL) {
        return Err(io::Error::other("the other end speaks another protocol"));
    }
    let shown = session.peer_certificates().and_then(|shown| shown.split_first());
    let key = shown.and_then(|(key, others)| shown_key(key, others));
    let key = key.ok_or_else(|| io::Error::other("the other end proved no key"))?;
    Ok((key, exporter(session).map_err(io::Error::other)?))
}

fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// Turns accepted connections into links to devices that proved a key.
#[derive(Clone)]
pub struct PeerAcceptor {
    tls: TlsAcceptor,
}

impl PeerAcceptor {
    /// Answers with the key of `seed` whoever dials a name that `recognised` knows. Which keys may come is not decided
    /// here, only that they are Ed25519, strong, and proved.
    ///
    /// # Errors
    /// When the seed cannot serve.
    pub fn new(
        seed: &[u8; 32],
        recognised: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Result<Self, IdentityError> {
        let gate = Gate { key: certified(seed)?, recognised: Box::new(recognised) };
        let provider = provider();
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(RawKeys::any(provider))
            .with_cert_resolver(Arc::new(gate));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { tls: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Brings one connection up. It takes as long as the other end likes: whoever calls this bounds it.
    ///
    /// # Errors
    /// Whatever the other end does wrong.
    pub async fn accept(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<PeerLink, AcceptError> {
        let stream = self.tls.accept(stream).await.map_err(AcceptError::Tls)?;
        let (_, session) = stream.get_ref();
        let (key, exporter) = proven(session).map_err(AcceptError::Tls)?;
        let name = session.server_name().unwrap_or_default().to_owned();
        match accept_upgrade(Box::new(stream), exporter).await? {
            Accepted::Link(link) => Ok(PeerLink { link, key, name }),
            Accepted::HealthCheck => Err(AcceptError::Head),
        }
    }
}

impl fmt::Debug for PeerAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerAcceptor(..)")
    }
}

/// Shows the key to whoever dials a name that is recognised; to others the handshake ends before any key.
struct Gate {
    key: Arc<CertifiedKey>,
    recognised: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate(..)")
    }
}

impl ResolvesServerCert for Gate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?;
        (self.recognised)(name).then(|| Arc::clone(&self.key))
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

/// The port of a device that nobody told another.
pub const PEER_PORT: u16 = 7701;

/// The name of our protocol inside TLS.
pub(crate) const PROTOCOL: &[u8] = b"ties-p2p/1";
/// What is asked of every device alike.
const REQUEST: &str = "ws://peer.invalid/";
const HOST: &str = "peer.invalid";
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_perhaps_a_port() {
        let said = |text: &str| text.parse::<PeerAddress>().map(|address| address.to_string());
        assert_eq!(said("Laptop.local").unwrap(), "laptop.local:7701");
        assert_eq!(said("192.168.1.5:9").unwrap(), "192.168.1.5:9");
        assert_eq!(said("[FE80::1]:9").unwrap(), "[fe80::1]:9");
        for bad in ["", "a b", "host:0", "host:99999", "ties://x", "fe80::1:9", "host:"] {
            assert!(said(bad).is_err(), "{bad}");
        }
    }
}
