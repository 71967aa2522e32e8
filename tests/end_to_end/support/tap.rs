//! Listens in on the relay's socket: every byte that passes between the devices and the relay.

use std::io::{Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A forwarder between the devices and the relay that keeps a copy. Its address stays while the relay comes and goes.
pub(crate) struct Tap {
    address: SocketAddr,
    relay: Arc<Mutex<SocketAddr>>,
    connections: Arc<Mutex<Vec<Connection>>>,
}

/// The two directions of one connection, growing while it lasts.
#[derive(Clone, Default)]
struct Connection {
    to_relay: Recording,
    to_device: Recording,
}

type Recording = Arc<Mutex<Vec<u8>>>;

impl Tap {
    /// Begins to listen in before a relay.
    pub(crate) fn before(relay: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let tap = Self { address, relay: Arc::new(Mutex::new(relay)), connections: Arc::default() };
        let (relay, connections) = (Arc::clone(&tap.relay), Arc::clone(&tap.connections));
        thread::spawn(move || {
            for device in listener.incoming().filter_map(Result::ok) {
                let relay = *relay.lock().expect("no panic while it is held");
                // Without a relay the connection ends at once, as it would without us.
                let Ok(relay) = TcpStream::connect(relay) else { continue };
                let connection = Connection::default();
                connections.lock().expect("no panic while it is held").push(connection.clone());
                forward(&device, &relay, connection.to_relay);
                forward(&relay, &device, connection.to_device);
            }
        });
        tap
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads to a relay that listens somewhere else now.
    pub(crate) fn lead_to(&self, relay: SocketAddr) {
        *self.relay.lock().expect("no panic while it is held") = relay;
    }

    /// The relay's address with our port instead of its own: what the devices are told.
    pub(crate) fn url(&self, relay: &str) -> String {
        let (_, key) = relay.split_once('#').expect("an address with a key");
        format!("ws://{}#{key}", self.address)
    }

    /// Each direction of each connection, as it passed.
    pub(crate) fn raw(&self) -> Vec<Vec<u8>> {
        let connections = self.connections.lock().expect("no panic while it is held");
        let recordings = connections.iter().flat_map(|connection| [&connection.to_relay, &connection.to_device]);
        recordings.map(|recording| recording.lock().expect("no panic while it is held").clone()).collect()
    }

    /// The same as its two ends understood it: what devices send is masked, which would hide any word.
    pub(crate) fn understood(&self) -> Vec<Vec<u8>> {
        self.raw().iter().map(|stream| unmasked(stream)).collect()
    }

    /// How many bytes have passed.
    pub(crate) fn bytes(&self) -> usize {
        self.raw().iter().map(Vec::len).sum()
    }
}

fn forward(from: &TcpStream, to: &TcpStream, recording: Recording) {
    let (mut from, mut to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
    thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            recording.lock().expect("no panic while it is held").extend_from_slice(&bytes[..read]);
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        // The other side learns of the end by the end; it may be gone already.
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// One direction of a WebSocket connection with the payloads of its frames unmasked (RFC 6455 section 5.3), and as it is
/// where it is no whole frame.
fn unmasked(stream: &[u8]) -> Vec<u8> {
    let greeting = stream.windows(4).position(|window| window == b"\r\n\r\n").map_or(stream.len(), |end| end + 4);
    let (greeting, mut rest) = stream.split_at(greeting);
    let mut plain = greeting.to_vec();
    while let Some((payload, after)) = frame(rest) {
        plain.extend(payload);
        rest = after;
    }
    plain.extend_from_slice(rest);
    plain
}

/// The payload of the first frame, and what follows it; `None` if no whole frame is there.
fn frame(stream: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (&[_, second], rest) = stream.split_first_chunk()?;
    let (length, rest) = match second & 0x7f {
        126 => rest.split_first_chunk().map(|(bytes, rest)| (u64::from(u16::from_be_bytes(*bytes)), rest))?,
        127 => rest.split_first_chunk().map(|(bytes, rest)| (u64::from_be_bytes(*bytes), rest))?,
        short => (u64::from(short), rest),
    };
    let (mask, rest): ([u8; 4], &[u8]) = match second & 0x80 {
        0 => ([0; 4], rest),
        _ => rest.split_first_chunk().map(|(mask, rest)| (*mask, rest))?,
    };
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect(), rest))
}

#[test]
fn frames_of_every_length_are_unmasked() {
    // The masked "Hello" of RFC 6455 section 5.7, longer ones, then one that was cut off.
    let mut stream = b"GET / HTTP/1.1\r\n\r\n".to_vec();
    stream.extend([0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    stream.extend([0x82, 0xfe, 0x00, 0x80, 1, 2, 3, 4]);
    stream.extend([[b'a' ^ 1, b'a' ^ 2, b'a' ^ 3, b'a' ^ 4]; 32].as_flattened());
    stream.extend([0x82, 127, 0, 0, 0, 0, 0, 0, 0, 2, b'8', b'9']);
    stream.extend([0x82, 0x7e, 0x01]);
    let expected = format!("GET / HTTP/1.1\r\n\r\nHello{}89", "a".repeat(128));
    assert_eq!(unmasked(&stream), [expected.as_bytes(), &[0x82, 0x7e, 0x01]].concat());
}
