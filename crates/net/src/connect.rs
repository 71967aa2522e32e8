//! Dialing a relay.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error as WsError;

use crate::address::{RelayAddress, Scheme};
use crate::certified;
use crate::link::{Link, websocket_config};
use crate::pinned;
use crate::raw_key::exporter;
use crate::replayed::Stream;

/// Dials a relay, as its address says: 15 seconds at most for name, TCP, TLS and the WebSocket's upgrade.
///
/// A `ties://` relay has proved its key when this returns; for the other schemes the handshake above the link must ask
/// for that proof.
pub async fn connect(address: &RelayAddress) -> Result<Link, ConnectError> {
    connect_trusting(address, public_authorities).await
}

/// Why a relay could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host has no address, or none of the right kind.
    #[error("the relay's host {host:?} cannot be found")]
    Unknown {
        /// The host of the relay's address.
        host: String,
        /// What the resolver said.
        #[source]
        source: Option<io::Error>,
    },
    /// Nobody answers at the address.
    #[error("the relay cannot be reached")]
    Unreachable(#[source] io::Error),
    /// The machine that answers does not hold the key in the relay's address.
    #[error("a stranger answers: it does not hold the key in the relay's address")]
    WrongKey,
    /// What answers is a web server or a proxy, and no public authority vouches for its certificate.
    #[error("the certificate of what answers is not to be trusted: {0}")]
    Certificate(String),
    /// The relay has no place for this connection now.
    #[error("the relay is too busy for another connection")]
    Busy,
    /// TLS failed for another reason.
    #[error("no secure connection to the relay")]
    Tls(#[source] io::Error),
    /// What answers refused the upgrade to a WebSocket, with this HTTP status.
    #[error("what answers is not a relay (HTTP status {0})")]
    Declined(u16),
    /// What answers does not speak WebSocket.
    #[error("what answers is not a relay")]
    NotARelay(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took longer than 15 seconds.
    #[error("the relay did not answer in time")]
    TimedOut,
}

async fn connect_trusting(address: &RelayAddress, authorities: fn() -> RootCertStore) -> Result<Link, ConnectError> {
    let dial = async {
        // `localhost` is whatever the resolver says; plain bytes must stay on this machine all the same.
        let allowed = |at: &SocketAddr| address.scheme() != Scheme::Loopback || at.ip().is_loopback();
        let tcp = reach(address.host(), address.port(), allowed).await?;
        let request = format!("ws://{}{}", address.authority(), address.path());
        match address.scheme() {
            Scheme::Loopback => upgrade(&request, address.host(), Box::new(tcp), NO_EXPORTER).await,
            Scheme::WebPki => {
                let (config, shown) = certified::client_config(authorities()).map_err(tls_error)?;
                let tls = secure(address, tcp, Ok(config)).await?;
                let (_, session) = tls.get_ref();
                let exporter = if session.alpn_protocol() == Some(pinned::PROTOCOL) {
                    // The relay itself: it will prove its key for this very session, which no stranger in between can
                    // pass on, whatever certificate that one shows.
                    exporter(session).map_err(tls_error)?
                } else if let Some(fault) = shown.fault() {
                    return Err(ConnectError::Certificate(fault.to_string()));
                } else {
                    // A proxy ends TLS before the relay, so neither end counts on the exporter.
                    NO_EXPORTER
                };
                upgrade(&request, address.host(), Box::new(tls), exporter).await
            }
            Scheme::Pinned => {
                let tls = secure(address, tcp, pinned::client_config(address.key())).await?;
                let (_, session) = tls.get_ref();
                if session.alpn_protocol() != Some(pinned::PROTOCOL) {
                    return Err(ConnectError::Tls(io::Error::other("the other end speaks another protocol")));
                }
                let exporter = exporter(session).map_err(|error| ConnectError::Tls(io::Error::other(error)))?;
                upgrade(&request, address.host(), Box::new(tls), exporter).await
            }
        }
    };
    timeout(CONNECT_WITHIN, dial).await.map_err(|_| ConnectError::TimedOut)?
}

/// A TCP connection to the first of a host's addresses that answers.
pub(crate) async fn reach(
    host: &str,
    port: u16,
    allowed: impl Fn(&SocketAddr) -> bool,
) -> Result<TcpStream, ConnectError> {
    let unknown = |source| ConnectError::Unknown { host: host.to_owned(), source };
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| unknown(Some(error)))?;

    let mut failure = None;
    for at in found.filter(allowed) {
        match timeout(TCP_WITHIN, TcpStream::connect(at)).await {
            Ok(Ok(tcp)) => {
                tcp.set_nodelay(true).map_err(ConnectError::Unreachable)?;
                return Ok(tcp);
            }
            Ok(Err(error)) => failure = Some(error),
            Err(_) => failure = Some(io::ErrorKind::TimedOut.into()),
        }
    }
    Err(failure.map_or_else(|| unknown(None), ConnectError::Unreachable))
}

async fn secure(
    address: &RelayAddress,
    tcp: TcpStream,
    config: Result<ClientConfig, rustls::Error>,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let config = config.map_err(|error| ConnectError::Tls(io::Error::other(error)))?;
    let name =
        ServerName::try_from(address.host().to_owned()).map_err(|error| ConnectError::Tls(io::Error::other(error)))?;
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(tls_failure)
}

fn tls_failure(error: io::Error) -> ConnectError {
    use rustls::{CertificateError, Error};
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match cause {
        Some(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) => ConnectError::WrongKey,
        _ => ConnectError::Tls(error),
    }
}

pub(crate) async fn upgrade(
    request: &str,
    host: &str,
    stream: Box<dyn Stream>,
    exporter: [u8; 32],
) -> Result<Link, ConnectError> {
    match client_async_with_config(request, stream, Some(websocket_config(READ_BUFFER))).await {
        Ok((socket, _response)) => Ok(Link::new(socket, exporter, host.to_owned())),
        Err(WsError::Http(response)) if response.status().as_u16() == 503 => Err(ConnectError::Busy),
        Err(WsError::Http(response)) => Err(ConnectError::Declined(response.status().as_u16())),
        Err(WsError::Io(error)) => Err(tls_failure_or_lost(error)),
        Err(error) => Err(ConnectError::NotARelay(Box::new(error))),
    }
}

/// In TLS 1.3 the other end's refusal arrives with the first read after the handshake.
fn tls_failure_or_lost(error: io::Error) -> ConnectError {
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        tls_failure(error)
    } else {
        ConnectError::Unreachable(error)
    }
}

fn tls_error(error: rustls::Error) -> ConnectError {
    ConnectError::Tls(io::Error::other(error))
}

fn public_authorities() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

const NO_EXPORTER: [u8; 32] = [0; 32];
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// Each read fills it with zeros first, so a larger one makes small frames slower.
const READ_BUFFER: usize = 4 << 10;
const TCP_WITHIN: Duration = Duration::from_secs(6);

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::{Accepted, Acceptor};

    fn test_authority() -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(&include_bytes!("../testdata/authority.der")[..])).unwrap();
        roots
    }

    /// Ends TLS as a proxy does and hands the plain stream to a relay.
    async fn proxied_relay() -> RelayAddress {
        let key = PrivatePkcs8KeyDer::from(&include_bytes!("../testdata/localhost.key.der")[..]);
        let certificate = CertificateDer::from(&include_bytes!("../testdata/localhost.der")[..]);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())
            .unwrap();
        let proxy = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let Ok(tls) = proxy.accept(tcp).await else {
                return;
            };
            let Ok(Accepted::Link(mut link)) = Acceptor::plain().accept(tls).await else {
                return;
            };
            assert_eq!((link.exporter(), link.host()), (&NO_EXPORTER, "localhost"));
            let frame = link.recv().await.unwrap().unwrap();
            link.send(frame).await.unwrap();
            let _ = link.recv().await;
        });
        format!("wss://localhost:{port}/relay#11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").parse().unwrap()
    }

    #[tokio::test]
    async fn a_relay_behind_a_web_proxy_is_reached_when_its_authority_is_trusted() {
        let address = proxied_relay().await;
        let mut link = connect_trusting(&address, test_authority).await.unwrap();
        assert_eq!((link.exporter(), link.host()), (&NO_EXPORTER, "localhost"));
        link.send(b"there and back".to_vec()).await.unwrap();
        assert_eq!(link.recv().await.unwrap().unwrap(), b"there and back");
    }

    #[tokio::test]
    async fn a_certificate_of_an_unknown_authority_is_refused() {
        let address = proxied_relay().await;
        let refused = connect_trusting(&address, public_authorities).await;
        assert!(matches!(refused, Err(ConnectError::Certificate(_))), "{refused:?}");
    }

    /// A relay that ends TLS itself, with a certificate that nobody vouches for.
    async fn relay_with_a_certificate() -> (u16, tokio::task::JoinHandle<Link>) {
        let made = rcgen::generate_simple_self_signed(vec!["relay.example".to_owned()]).unwrap();
        let key = made.signing_key.serialize_pem();
        let acceptor = Acceptor::certified(made.cert.pem().as_bytes(), key.as_bytes()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            match acceptor.accept(tcp).await.unwrap() {
                Accepted::Link(link) => link,
                Accepted::HealthCheck => panic!("a link was expected"),
            }
        });
        (port, accepting)
    }

    #[tokio::test]
    async fn a_relay_that_ends_tls_itself_needs_no_authority_and_binds_its_proof_to_the_session() {
        let (port, accepting) = relay_with_a_certificate().await;
        let address = format!("wss://localhost:{port}#11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let dialed = connect_trusting(&address.parse().unwrap(), public_authorities).await.unwrap();
        let accepted = accepting.await.unwrap();
        assert_ne!(dialed.exporter(), &NO_EXPORTER);
        assert_eq!(dialed.exporter(), accepted.exporter());
    }

    #[tokio::test]
    async fn a_stranger_in_between_cannot_make_both_ends_export_the_same() {
        // It ends TLS towards the device as a relay would, and dials the relay itself.
        let (port, accepting) = relay_with_a_certificate().await;
        let (between, stranger) = relay_with_a_certificate().await;
        let address = |port| format!("wss://localhost:{port}#11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let onwards = address(port).parse().unwrap();
        let onwards = connect_trusting(&onwards, public_authorities).await.unwrap();
        let dialed = connect_trusting(&address(between).parse().unwrap(), public_authorities).await.unwrap();
        assert_ne!(dialed.exporter(), accepting.await.unwrap().exporter());
        drop((onwards, stranger.await.unwrap()));
    }

    #[test]
    fn what_is_no_certificate_or_not_its_key_is_refused() {
        use crate::CertificateError;
        let made = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let (one, two) = (made("one.example"), made("two.example"));
        let (pem, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        let certified = |pem: &str, key: &str| Acceptor::certified(pem.as_bytes(), key.as_bytes()).err().unwrap();
        assert!(matches!(certified("", &key), CertificateError::NoCertificate));
        assert!(matches!(certified(&key, &key), CertificateError::NoCertificate));
        assert!(matches!(certified(&pem, &pem), CertificateError::NoKey));
        let foreign = two.signing_key.serialize_pem();
        assert!(matches!(certified(&pem, &foreign), CertificateError::Unusable(_)));
    }
}
