//! A relay on real sockets and a real disk.

mod common;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Device, first_statement, key};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_net::{ConnectError, Link, LinkError, RelayAddress, connect};
use ties_relay::{Config, Invites, NewToken, Server, ServerError};
use ties_sealed_log::{GET, PUT, PseudonymKey};
use ties_sync::{Channel, Event, ExpectHello, Input, Message, Output, Refusal, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A relay that runs until it is stopped.
struct Running {
    address: RelayAddress,
    local: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), ServerError>>,
}

impl Running {
    async fn start(data: &Path, open: bool) -> Self {
        Self::with(Config { open, ..Config::new(data) }, "127.0.0.1:0").await
    }

    async fn with(config: Config, listen: &str) -> Self {
        let server = Server::open(config).expect("a relay opens");
        let listener = TcpListener::bind(listen).await.expect("a free port");
        let local = listener.local_addr().expect("bound");
        let address = server.address(local).expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(server.run(listener, async { drop(stopped.await) }));
        Self { address, local, stop, ended }
    }

    async fn stop(self) {
        self.stop.send(()).expect("it runs");
        let ended = timeout(Duration::from_secs(10), self.ended).await.expect("it stops in time");
        ended.expect("no panic").expect("in good order");
    }
}

/// One device's link, after the handshake.
struct Client {
    link: Link,
    started: Instant,
}

impl Client {
    async fn connect(address: &RelayAddress, key: &PseudonymKey) -> Self {
        let mut link = connect(address).await.expect("the relay is there");
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let channel = Channel { host: link.host().to_owned(), exporter: *link.exporter() };
        let hello = link.recv().await.expect("a link").expect("a hello");
        let expect = ExpectHello::new(channel, address.key());
        let (expect, auth) = expect.handle(&hello, key, &mut rng).expect("a good hello");
        link.send(auth).await.expect("a link");
        let welcome = link.recv().await.expect("a link").expect("a welcome");
        expect.handle(&welcome).expect("a good welcome");
        Self { link, started: Instant::now() }
    }

    async fn ask(&mut self, message: &Message) -> Message {
        self.link.send(message.encode()).await.expect("a link");
        self.hear().await
    }

    async fn hear(&mut self) -> Message {
        let frame = self.link.recv().await.expect("a link").expect("an answer");
        Message::decode(&frame).expect("a relay speaks properly")
    }

    async fn open(&mut self, device: &Device) -> Session {
        let mut session = Session::new(device.mailbox().0);
        let outputs = session.start(self.started.elapsed(), device).expect("memory never fails");
        self.carry_out(outputs).await;
        session
    }

    /// Runs a session until both sides have the same.
    async fn settle(&mut self, session: &mut Session, device: &mut Device) {
        let outputs = session.handle(self.started.elapsed(), Input::Changed, device).expect("memory never fails");
        let mut settled = self.carry_out(outputs).await;
        while !settled || !session.is_settled() {
            let frame = timeout(Duration::from_secs(10), self.link.recv()).await.expect("it goes on");
            let frame = frame.expect("a link").expect("an answer");
            let outputs = session.handle(self.started.elapsed(), Input::Frame(&frame), device).expect("a good relay");
            settled |= self.carry_out(outputs).await;
        }
    }

    async fn carry_out(&mut self, outputs: Vec<Output>) -> bool {
        let mut settled = false;
        for output in outputs {
            match output {
                Output::Send(frame) => self.link.send(frame).await.expect("a link"),
                Output::Event(event) => settled |= event == Event::Settled,
            }
        }
        settled
    }
}

fn create(device_key: u8, token: Option<[u8; 16]>) -> Message {
    let first = first_statement(&key(device_key), &[(key(2).id(), PUT | GET)]);
    Message::Create { statement: first.bytes().to_vec().into(), token }
}

fn devices() -> (Device, Device) {
    let first = first_statement(&key(1), &[(key(2).id(), PUT | GET)]);
    (Device::new(1, &first), Device::new(2, &first))
}

#[tokio::test]
async fn two_devices_sync_and_the_relay_keeps_it_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Running::start(folder.path(), true).await;
    let (mut one, mut two) = devices();

    let mut first = Client::connect(&relay.address, &one.key).await;
    assert_eq!(first.ask(&create(1, None)).await, Message::Created { mailbox: one.mailbox() });
    let mut session = first.open(&one).await;
    (0..50).for_each(|_| drop(one.write()));
    first.settle(&mut session, &mut one).await;

    let mut second = Client::connect(&relay.address, &two.key).await;
    let mut other = second.open(&two).await;
    second.settle(&mut other, &mut two).await;
    assert_eq!(two.vector(), one.vector());

    // Live: what one writes, the other hears unasked.
    two.write();
    second.settle(&mut other, &mut two).await;
    first.settle(&mut session, &mut one).await;
    assert_eq!(two.vector(), one.vector());
    let address = relay.address.clone();
    relay.stop().await;
    assert!(matches!(first.link.recv().await, Ok(None)), "a relay that stops says goodbye");

    let relay = Running::start(folder.path(), true).await;
    assert_eq!(relay.address.key(), address.key());
    let (mut again, _) = devices();
    let mut third = Client::connect(&relay.address, &again.key).await;
    let mut session = third.open(&again).await;
    third.settle(&mut session, &mut again).await;
    assert_eq!(again.vector(), one.vector());
    relay.stop().await;
}

#[tokio::test]
async fn a_token_made_while_the_relay_runs_is_good_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Running::start(folder.path(), false).await;
    let mut client = Client::connect(&relay.address, &key(1)).await;
    assert_eq!(client.ask(&create(1, None)).await, Message::Sorry(Refusal::Token));
    let wanted = NewToken { uses: 1, lasts: Duration::from_secs(60), quota: None, label: String::new() };
    let token = Invites::open(folder.path()).unwrap().make(&wanted).unwrap();
    assert!(matches!(client.ask(&create(1, Some(*token.expose()))).await, Message::Created { .. }));
    assert_eq!(client.ask(&create(3, Some(*token.expose()))).await, Message::Sorry(Refusal::Spent));
    relay.stop().await;
}

#[tokio::test]
async fn off_loopback_it_speaks_tls_with_its_own_key() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Running::with(Config { open: true, ..Config::new(folder.path()) }, "0.0.0.0:0").await;
    let text = relay.address.to_string();
    assert!(text.starts_with("ties://") && text.contains("@0.0.0.0:"), "{text}");
    let near: RelayAddress = text.replace("0.0.0.0", "127.0.0.1").parse().unwrap();
    let mut client = Client::connect(&near, &key(1)).await;
    assert_ne!(client.link.exporter(), &[0; 32]);
    assert!(matches!(client.ask(&create(1, None)).await, Message::Created { .. }));

    let plain = format!("ws://127.0.0.1:{}#{}", near.port(), &text["ties://".len()..][..43]);
    assert!(connect(&plain.parse().unwrap()).await.is_err(), "no plain bytes off loopback");
    relay.stop().await;
}

#[tokio::test]
async fn it_serves_under_its_own_names_alone_if_it_has_any() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = vec!["localhost".to_owned()];
    let config = Config { hosts, open: true, ..Config::new(folder.path()) };
    let relay = Running::with(config, "127.0.0.1:0").await;
    let mut elsewhere = connect(&relay.address).await.unwrap();
    assert!(matches!(elsewhere.recv().await, Err(LinkError::Refused { code: 1008 })));
    let named: RelayAddress = relay.address.to_string().replace("127.0.0.1", "localhost").parse().unwrap();
    Client::connect(&named, &key(1)).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_stranger_is_dropped_after_five_seconds_and_others_are_served_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Running::start(folder.path(), true).await;
    let started = Instant::now();
    let mut silent = connect(&relay.address).await.unwrap();
    assert!(silent.recv().await.unwrap().is_some(), "a hello");
    let mut client = Client::connect(&relay.address, &key(1)).await;
    assert_eq!(client.ask(&Message::Which).await, Message::Mailboxes(vec![]));
    assert!(matches!(silent.recv().await, Err(LinkError::Refused { code: 1008 })));
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(8), "{took:?}");
    relay.stop().await;
}

#[tokio::test]
async fn strangers_from_one_address_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Running::start(folder.path(), true).await;
    let mut strangers = Vec::new();
    for _ in 0..64 {
        strangers.push(connect(&relay.address).await.unwrap());
    }
    let refused = connect(&relay.address).await;
    assert!(matches!(refused, Err(ConnectError::Busy)), "{refused:?}");
    drop(strangers.pop());
    let patience = Instant::now();
    while connect(&relay.address).await.is_err() {
        assert!(patience.elapsed() < Duration::from_secs(3), "the place is free again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_health_check_needs_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Running::start(folder.path(), true).await;
    let mut tcp = TcpStream::connect(relay.local).await.unwrap();
    tcp.write_all(b"GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    relay.stop().await;
}

#[tokio::test]
async fn one_folder_has_one_relay() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Running::start(folder.path(), true).await;
    assert!(matches!(Server::open(Config::new(folder.path())), Err(ServerError::Taken(_))));
    relay.stop().await;
    assert!(Server::open(Config::new(folder.path())).is_ok());
}

#[tokio::test]
async fn a_connection_that_reads_nothing_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config { open: true, ..Config::new(folder.path()) };
    config.limits.backlog = 64 << 10;
    config.limits.requests_per_second = 1_000_000;
    config.limits.burst = 1_000_000;
    let relay = Running::with(config, "127.0.0.1:0").await;
    let old = Client::connect(&relay.address, &key(1)).await;
    let mut new = Client::connect(&relay.address, &key(2)).await;
    let (mut reader, mut writer) = old.link.split();
    writer.send(Message::Meet { room: [1; 32] }.encode()).await.unwrap();
    new.link.send(Message::Meet { room: [1; 32] }.encode()).await.unwrap();
    // The sockets between them take some megabytes before anything waits.
    for _ in 0..1000 {
        new.link.send(Message::Pass(vec![0; 30 << 10].into()).encode()).await.unwrap();
    }
    let ended = async { while let Ok(Some(_)) = reader.recv().await {} };
    timeout(Duration::from_secs(10), ended).await.expect("it was cut off");
    new.link.send(Message::Which.encode()).await.unwrap();
    // Before the answer come the refusals of what no longer finds place in the room.
    while new.hear().await != Message::Mailboxes(vec![]) {}
    relay.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn its_files_are_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("relay");
    Running::start(&data, true).await.stop().await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in std::fs::read_dir(&data).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
