//! Real sockets on loopback: what a link carries, what it binds, and what it refuses.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use ties_sealed_log::RelayKey;

use ties_net::{
    AcceptError, Accepted, Acceptor, ClosingReason, ConnectError, Heartbeat, Link, LinkError, MAX_FRAME, RelayAddress,
    Scheme, connect,
};

const SEED: [u8; 32] = [7; 32];

fn key_of(seed: [u8; 32]) -> RelayKey {
    let key = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
    RelayKey(key.to_bytes())
}

/// A listener whose connections come out as links or as the reasons why not.
struct Server {
    address: RelayAddress,
    accepted: mpsc::UnboundedReceiver<Result<Accepted, AcceptError>>,
}

impl Server {
    async fn start(scheme: Scheme) -> Self {
        let acceptor = match scheme {
            Scheme::Pinned => Acceptor::pinned(&SEED).expect("any seed will do"),
            _ => Acceptor::plain(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let (sender, accepted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    let _ = sender.send(acceptor.accept(tcp).await);
                });
            }
        });
        let address = RelayAddress::new(scheme, "127.0.0.1", port, key_of(SEED)).expect("loopback is allowed");
        Self { address, accepted }
    }

    async fn outcome(&mut self) -> Result<Accepted, AcceptError> {
        timeout(Duration::from_secs(10), self.accepted.recv()).await.expect("in time").expect("a listener never ends")
    }

    async fn link(&mut self) -> Link {
        match self.outcome().await {
            Ok(Accepted::Link(link)) => link,
            other => panic!("no link: {other:?}"),
        }
    }

    async fn raw(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.address.port())).await.expect("the listener is there")
    }

    async fn ask(&self, request: &str) -> String {
        let mut tcp = self.raw().await;
        tcp.write_all(request.as_bytes()).await.expect("the listener reads");
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.expect("the answer is text");
        answer
    }
}

async fn pair(scheme: Scheme) -> (Link, Link) {
    let mut server = Server::start(scheme).await;
    let dialed = connect(&server.address).await.expect("the relay is there");
    (dialed, server.link().await)
}

#[tokio::test]
async fn frames_of_every_size_go_both_ways_under_every_scheme() {
    for scheme in [Scheme::Loopback, Scheme::Pinned] {
        let (mut dialed, mut accepted) = pair(scheme).await;
        for size in [0, 1, 125, 126, 65_535, 65_536, 300_000, MAX_FRAME] {
            let frame: Vec<u8> = (0..size).map(|at| at as u8).collect();
            let (sent, received) = tokio::join!(dialed.send(frame.clone()), accepted.recv());
            sent.expect("sent");
            assert!(received.expect("received").expect("a frame") == frame, "{size} bytes up");
            let (sent, received) = tokio::join!(accepted.send(frame.clone()), dialed.recv());
            sent.expect("sent");
            assert!(received.expect("received").expect("a frame") == frame, "{size} bytes down");
        }
    }
}

#[tokio::test]
async fn both_ends_of_a_pinned_link_export_the_same_secret_and_each_link_another() {
    let (first_dialed, first_accepted) = pair(Scheme::Pinned).await;
    let (second_dialed, second_accepted) = pair(Scheme::Pinned).await;
    assert_eq!(first_dialed.exporter(), first_accepted.exporter());
    assert_eq!(second_dialed.exporter(), second_accepted.exporter());
    assert_ne!(first_dialed.exporter(), second_dialed.exporter());
    assert_ne!(first_dialed.exporter(), &[0; 32]);
}

#[tokio::test]
async fn a_plain_link_exports_zeros_and_both_ends_name_one_host() {
    let (dialed, accepted) = pair(Scheme::Loopback).await;
    assert_eq!((dialed.exporter(), accepted.exporter()), (&[0; 32], &[0; 32]));
    assert_eq!((dialed.host(), accepted.host()), ("127.0.0.1", "127.0.0.1"));
}

#[tokio::test]
async fn a_stranger_with_another_key_is_noticed() {
    let server = Server::start(Scheme::Pinned).await;
    let address = RelayAddress::new(Scheme::Pinned, "127.0.0.1", server.address.port(), key_of([8; 32]));
    let refused = connect(&address.expect("a well-formed address")).await;
    assert!(matches!(refused, Err(ConnectError::WrongKey)), "{refused:?}");
}

#[tokio::test]
async fn tls_against_a_plain_listener_and_plain_against_tls_fail_cleanly() {
    let plain = Server::start(Scheme::Loopback).await;
    let address = RelayAddress::new(Scheme::Pinned, "127.0.0.1", plain.address.port(), key_of(SEED));
    assert!(matches!(connect(&address.expect("well formed")).await, Err(ConnectError::Tls(_))));

    let pinned = Server::start(Scheme::Pinned).await;
    let address = RelayAddress::new(Scheme::Loopback, "127.0.0.1", pinned.address.port(), key_of(SEED));
    let refused = connect(&address.expect("well formed")).await;
    assert!(matches!(refused, Err(ConnectError::NotARelay(_) | ConnectError::Unreachable(_))), "{refused:?}");
}

#[tokio::test]
async fn nobody_at_the_address_is_said_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let address = RelayAddress::new(Scheme::Loopback, "127.0.0.1", port, key_of(SEED)).expect("well formed");
    assert!(matches!(connect(&address).await, Err(ConnectError::Unreachable(_))));
}

#[tokio::test]
async fn a_frame_beyond_the_limit_is_neither_sent_nor_accepted() {
    let (mut dialed, _accepted) = pair(Scheme::Loopback).await;
    assert!(matches!(dialed.send(vec![0; MAX_FRAME + 1]).await, Err(LinkError::TooLong)));

    let mut server = Server::start(Scheme::Loopback).await;
    let mut raw = server.raw().await;
    raw.write_all(UPGRADE.as_bytes()).await.expect("sent");
    let mut link = server.link().await;
    // A masked binary frame that announces one byte too many, and none of them.
    let mut announcement = vec![0x82, 0xff];
    announcement.extend_from_slice(&(MAX_FRAME as u64 + 1).to_be_bytes());
    announcement.extend_from_slice(&[0; 4]);
    raw.write_all(&announcement).await.expect("sent");
    assert!(matches!(link.recv().await, Err(LinkError::TooLong)));
    drop(link);
    let mut answer = Vec::new();
    raw.read_to_end(&mut answer).await.expect("answered");
    assert!(answer.ends_with(&[0x88, 2, 0x03, 0xf1]), "close frame 1009");
}

#[tokio::test]
async fn fragments_cannot_add_up_beyond_the_limit() {
    let mut server = Server::start(Scheme::Loopback).await;
    let mut raw = server.raw().await;
    raw.write_all(UPGRADE.as_bytes()).await.expect("sent");
    let mut link = server.link().await;
    let received = tokio::spawn(async move { link.recv().await });
    for opcode in [0x02, 0x00, 0x00] {
        let mut fragment = vec![opcode, 0xff];
        fragment.extend_from_slice(&(600_000_u64).to_be_bytes());
        fragment.extend_from_slice(&[0; 4 + 600_000]);
        if raw.write_all(&fragment).await.is_err() {
            break;
        }
    }
    assert!(matches!(received.await.expect("no panic"), Err(LinkError::TooLong)));
}

#[tokio::test]
async fn text_is_refused() {
    let mut server = Server::start(Scheme::Loopback).await;
    let mut raw = server.raw().await;
    raw.write_all(UPGRADE.as_bytes()).await.expect("sent");
    let mut link = server.link().await;
    raw.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.expect("sent");
    assert!(matches!(link.recv().await, Err(LinkError::NotBinary)));
}

#[tokio::test]
async fn a_slow_head_is_dropped_after_five_seconds() {
    let mut server = Server::start(Scheme::Loopback).await;
    let mut raw = server.raw().await;
    let drip = async {
        for byte in UPGRADE.bytes() {
            if raw.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        () = drip => panic!("the whole head was read"),
        outcome = server.outcome() => assert!(matches!(outcome, Err(AcceptError::TooSlow))),
    }
}

#[tokio::test]
async fn a_head_without_end_is_dropped_at_eight_kibibytes() {
    let mut server = Server::start(Scheme::Loopback).await;
    let mut raw = server.raw().await;
    let _ = raw.write_all("GET / HTTP/1.1\r\nX: ".as_bytes()).await;
    let _ = raw.write_all(&[b'x'; 9000]).await;
    assert!(matches!(server.outcome().await, Err(AcceptError::Head)));
}

#[tokio::test]
async fn a_health_check_is_answered_on_the_same_port() {
    let mut server = Server::start(Scheme::Loopback).await;
    let answer = server.ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
    assert!(matches!(server.outcome().await, Ok(Accepted::HealthCheck)));
}

#[tokio::test]
async fn other_requests_are_declined_with_a_status() {
    let mut server = Server::start(Scheme::Loopback).await;
    let from_page = UPGRADE.replace("\r\n\r\n", "\r\nOrigin: https://page.example\r\n\r\n");
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        ("POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", 400),
        (from_page.as_str(), 403),
    ] {
        let answer = server.ask(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(matches!(server.outcome().await, Err(AcceptError::Declined(code)) if code == status));
    }
}

#[tokio::test]
async fn closing_in_good_order_ends_the_stream_of_frames() {
    let (dialed, mut accepted) = pair(Scheme::Pinned).await;
    let closing = tokio::spawn(dialed.close(ClosingReason::Done));
    assert!(accepted.recv().await.expect("in good order").is_none());
    drop(accepted);
    closing.await.expect("no panic");
}

#[tokio::test]
async fn what_was_sent_before_the_close_still_arrives() {
    let (mut dialed, mut accepted) = pair(Scheme::Loopback).await;
    for _ in 0..3 {
        dialed.send(vec![1; 50_000]).await.expect("sent");
    }
    tokio::spawn(dialed.close(ClosingReason::GoingAway));
    for _ in 0..3 {
        assert_eq!(accepted.recv().await.expect("received").expect("a frame").len(), 50_000);
    }
    assert!(accepted.recv().await.expect("in good order").is_none());
}

#[tokio::test]
async fn a_refusal_reaches_the_other_end_with_its_code() {
    let (mut dialed, accepted) = pair(Scheme::Loopback).await;
    tokio::spawn(accepted.close(ClosingReason::Refused));
    assert!(matches!(dialed.recv().await, Err(LinkError::Refused { code: 1008 })));
}

#[tokio::test]
async fn a_broken_connection_is_an_error_and_not_an_end() {
    let (mut dialed, accepted) = pair(Scheme::Loopback).await;
    drop(accepted);
    assert!(matches!(dialed.recv().await, Err(LinkError::Lost(_))));
}

#[tokio::test]
async fn a_quiet_link_lives_while_the_other_end_answers_pings() {
    let (mut dialed, mut accepted) = pair(Scheme::Loopback).await;
    let quick = Heartbeat { ping_after: Duration::from_millis(50), answer_within: Duration::from_millis(500) };
    dialed.set_heartbeat(quick);
    let answering = tokio::spawn(async move { accepted.recv().await });
    assert!(timeout(Duration::from_millis(400), dialed.recv()).await.is_err(), "nothing came and nothing broke");
    dialed.send(b"still here".to_vec()).await.expect("sent");
    assert_eq!(answering.await.expect("no panic").expect("received").expect("a frame"), b"still here");
}

#[tokio::test]
async fn a_dead_link_is_noticed_by_its_silence() {
    let (mut dialed, _nobody_reads) = pair(Scheme::Loopback).await;
    let quick = Heartbeat { ping_after: Duration::from_millis(50), answer_within: Duration::from_millis(50) };
    dialed.set_heartbeat(quick);
    let silent = timeout(Duration::from_secs(5), dialed.recv()).await.expect("in time");
    assert!(matches!(silent, Err(LinkError::Silent)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_may_send_at_once_without_reading_first() {
    let (dialed, accepted) = pair(Scheme::Pinned).await;
    let ends = [dialed, accepted].map(|link| {
        let (mut reader, mut writer) = link.split();
        let sending = tokio::spawn(async move {
            for _ in 0..40 {
                writer.send(vec![3; 500_000]).await.expect("sent");
            }
            writer
        });
        let receiving = tokio::spawn(async move {
            for _ in 0..40 {
                assert_eq!(reader.recv().await.expect("received").expect("a frame").len(), 500_000);
            }
            reader
        });
        async move { (sending.await.expect("no panic"), receiving.await.expect("no panic")) }
    });
    let [first, second] = ends;
    timeout(Duration::from_secs(20), async { tokio::join!(first, second) }).await.expect("no deadlock");
}

/// A request for a WebSocket as our own client writes it.
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
