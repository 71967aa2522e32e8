//! Two devices on loopback: what a link between them proves, and whom it turns away.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use ties_net::{
    Caller, DialError, LinkError, MAX_FRAME, PeerAcceptor, PeerAddress, PeerDial, PeerKey, PeerLink, PeerListener,
    connect_peer,
};

const HOST: [u8; 32] = [7; 32];
const GUEST: [u8; 32] = [8; 32];
const STRANGER: [u8; 32] = [9; 32];
const NAME: &str = "0123456789abcdef.p.invalid";

fn key_of(seed: [u8; 32]) -> PeerKey {
    ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes()
}

async fn listener() -> (PeerListener, PeerAddress) {
    let acceptor = PeerAcceptor::new(&HOST, |name| name == NAME).unwrap();
    let listener = PeerListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), acceptor).await.unwrap();
    let address = PeerAddress::from(listener.address().unwrap());
    (listener, address)
}

async fn dial(address: &PeerAddress, name: &str, expected: PeerKey, seed: [u8; 32]) -> Result<PeerLink, DialError> {
    connect_peer(&PeerDial { address, name, expected: Some(BTreeSet::from([expected])), seed: &seed }).await
}

async fn pair() -> (PeerLink, Caller) {
    let (mut listener, address) = listener().await;
    let (dialled, caller) = tokio::join!(dial(&address, NAME, key_of(HOST), GUEST), listener.next());
    (dialled.unwrap(), caller)
}

#[tokio::test]
async fn who_expects_no_key_takes_any_that_is_proved() {
    let (mut listener, address) = listener().await;
    let dial = PeerDial { address: &address, name: NAME, expected: None, seed: &GUEST };
    let (dialled, caller) = tokio::join!(connect_peer(&dial), listener.next());
    assert_eq!((dialled.unwrap().key, caller.key), (key_of(HOST), key_of(GUEST)));
}

/// Nobody is handed up by a listener for so long that nobody will be.
async fn nobody(listener: &mut PeerListener) {
    let came = timeout(Duration::from_millis(300), listener.next()).await;
    assert!(came.is_err(), "{came:?}");
}

#[tokio::test]
async fn both_ends_prove_their_keys_and_export_the_same_secret() {
    let (mut dialled, mut caller) = pair().await;
    assert_eq!((dialled.key, caller.key), (key_of(HOST), key_of(GUEST)));
    assert_eq!((dialled.name.as_str(), caller.name.as_str()), (NAME, NAME));
    assert_eq!(dialled.link.exporter(), caller.link.exporter());
    assert_ne!(dialled.link.exporter(), &[0; 32]);
    dialled.link.send(b"first".to_vec()).await.unwrap();
    assert_eq!(caller.first_frame().await.unwrap(), b"first");
    let mut accepted = caller.welcome();
    let large = vec![3; MAX_FRAME];
    let (sent, received) = tokio::join!(accepted.send(large.clone()), dialled.link.recv());
    sent.unwrap();
    assert!(received.unwrap().unwrap() == large);
    assert!(matches!(dialled.link.send(vec![0; MAX_FRAME + 1]).await, Err(LinkError::TooLong)));

    let (other, _) = pair().await;
    assert_ne!(other.link.exporter(), dialled.link.exporter());
}

#[tokio::test]
async fn a_device_that_answers_with_another_key_never_sees_ours() {
    let (mut listener, address) = listener().await;
    let (refused, ()) = tokio::join!(dial(&address, NAME, key_of(STRANGER), GUEST), nobody(&mut listener));
    assert!(matches!(refused, Err(DialError::Stranger(key)) if key == key_of(HOST)), "{refused:?}");
}

#[tokio::test]
async fn who_dials_an_unknown_name_sees_no_key() {
    let (mut listener, address) = listener().await;
    for name in ["other.p.invalid", "0123456789abcdee.p.invalid"] {
        let (refused, ()) = tokio::join!(dial(&address, name, key_of(HOST), GUEST), nobody(&mut listener));
        assert!(matches!(refused, Err(DialError::NotRecognised)), "{refused:?}");
    }
    let config = Prober::config(Some((key_of(GUEST), GUEST)), b"ties-p2p/1");
    let (seen, ()) = tokio::join!(config.dial(&address, "127.0.0.1"), nobody(&mut listener));
    assert!(seen.is_err() && config.shown().is_none(), "without any name");
}

#[tokio::test]
async fn whoever_proves_no_key_a_weak_one_or_anothers_is_turned_away() {
    let mut weak = [0; 32];
    weak[0] = 1;
    let no_key = Prober::config(None, b"ties-p2p/1");
    let weak = Prober::config(Some((weak, GUEST)), b"ties-p2p/1");
    let anothers = Prober::config(Some((key_of(STRANGER), GUEST)), b"ties-p2p/1");
    let other_protocol = Prober::config(Some((key_of(GUEST), GUEST)), b"ties-relay/1");
    for (what, prober) in [("none", no_key), ("weak", weak), ("another's", anothers), ("protocol", other_protocol)] {
        let (mut listener, address) = listener().await;
        let read = async {
            // In TLS 1.3 the dialling end is done first: the refusal comes with the first read.
            let mut tls = prober.dial(&address, NAME).await?;
            tls.write_all(UPGRADE).await?;
            let mut answer = Vec::new();
            tls.read_to_end(&mut answer).await.map(|_| answer)
        };
        let (answer, ()) = tokio::join!(read, nobody(&mut listener));
        assert!(answer.is_err(), "{what}: {answer:?}");
    }
    let honest = Prober::config(Some((key_of(GUEST), GUEST)), b"ties-p2p/1");
    let (mut listener, address) = listener().await;
    let (tls, caller) = tokio::join!(
        async {
            let mut tls = honest.dial(&address, NAME).await.unwrap();
            tls.write_all(UPGRADE).await.unwrap();
            tls
        },
        listener.next()
    );
    assert_eq!(caller.key, key_of(GUEST), "the prober itself can do it");
    drop(tls);
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let (mut listener, address) = listener().await;
    let mut tcp = TcpStream::connect((address.host(), address.port())).await.unwrap();
    // A ClientHello of TLS 1.2 with one cipher suite and no extensions.
    let mut hello = vec![0x03, 0x03];
    hello.extend_from_slice(&[0x11; 32]);
    hello.extend_from_slice(&[0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let mut record = vec![0x16, 0x03, 0x01, 0, hello.len() as u8 + 4, 1, 0, 0, hello.len() as u8];
    record.extend_from_slice(&hello);
    tcp.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    let (read, ()) = tokio::join!(tcp.read_to_end(&mut answer), nobody(&mut listener));
    read.unwrap();
    assert_eq!((answer.first(), answer.len()), (Some(&0x15), 7), "an alert and nothing else: {answer:02x?}");
}

#[tokio::test]
async fn whoever_says_nothing_is_dropped_after_five_seconds() {
    let (mut listener, address) = listener().await;
    let began = Instant::now();
    let mut silent = TcpStream::connect((address.host(), address.port())).await.unwrap();
    let mut byte = [0; 1];
    let proving = async {
        let mut link = dial(&address, NAME, key_of(HOST), GUEST).await.unwrap().link;
        let ended = link.recv().await;
        assert!(!matches!(ended, Ok(Some(_))), "{ended:?}");
    };
    let listening = async {
        let mut caller = listener.next().await;
        assert!(caller.first_frame().await.is_err(), "no frame came");
        drop(caller);
        timeout(Duration::from_secs(1), listener.next()).await
    };
    let (read, (), more) = tokio::join!(silent.read(&mut byte), proving, listening);
    assert!(matches!(read, Ok(0) | Err(_)) && more.is_err());
    let took = began.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(8)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_crowd_at_the_door_is_bounded() {
    let (mut listener, address) = listener().await;
    let serve = tokio::spawn(async move { listener.next().await });
    let mut crowd = Vec::new();
    for _ in 0..40 {
        crowd.push(TcpStream::connect((address.host(), address.port())).await.unwrap());
    }
    sleep(Duration::from_millis(200)).await;
    let mut dropped = 0;
    for tcp in &mut crowd {
        let mut byte = [0; 1];
        if matches!(timeout(Duration::from_millis(5), tcp.read(&mut byte)).await, Ok(Ok(0) | Err(_))) {
            dropped += 1;
        }
    }
    assert_eq!(dropped, 40 - 16);
    serve.abort();
}

/// A client of its own making, which trusts anybody.
struct Prober {
    config: Arc<ClientConfig>,
    seen: Arc<Trusting>,
}

impl Prober {
    fn config(key: Option<(PeerKey, [u8; 32])>, protocol: &[u8]) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let seen = Arc::new(Trusting::default());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&seen) as _);
        let mut config = match key {
            None => builder.with_no_client_auth(),
            Some((shown, seed)) => {
                let shown = CertificateDer::from([&SPKI_PREFIX[..], &shown].concat());
                let pkcs8 = [&PKCS8_PREFIX[..], &seed].concat();
                let signer = aws_lc_rs::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8)).unwrap();
                let certified = Arc::new(CertifiedKey::new(vec![shown], signer));
                builder.with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified)))
            }
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        config.resumption = Resumption::disabled();
        Self { config: Arc::new(config), seen }
    }

    async fn dial(
        &self,
        address: &PeerAddress,
        name: &str,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let tcp = TcpStream::connect((address.host(), address.port())).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::clone(&self.config)).connect(name, tcp).await
    }

    fn shown(&self) -> Option<Vec<u8>> {
        self.seen.0.lock().unwrap().clone()
    }
}

#[derive(Debug, Default)]
struct Trusting(std::sync::Mutex<Option<Vec<u8>>>);

impl rustls::client::danger::ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = Some(end_entity.to_vec());
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: peer.invalid\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
