//! Listens in on the relay's socket: what passes here is all that the relay ever gets to see.
//!
//! The relay's own files are encrypted at rest, so that finding nothing in them would prove little.
//! On this host the devices speak to it without TLS, so the bytes here are those it works with.

use std::io::{Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::errors::{Failure, Outcome};

/// A forwarder between the devices and the relay that keeps a copy.
pub(super) struct Tap {
    address: SocketAddr,
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
    /// Begins to listen in before the relay at this address.
    pub(super) fn before(relay: SocketAddr) -> Outcome<Self> {
        let failed = |error: std::io::Error| Failure::failed("cannot listen in on the relay").because(&error);
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let connections = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&connections);
        thread::spawn(move || {
            for device in listener.incoming().filter_map(Result::ok) {
                // With the relay gone, the device finds nobody, as it would without us.
                let Ok(relay) = TcpStream::connect(relay) else { continue };
                let connection = Connection::default();
                lock(&kept).push(connection.clone());
                forward(&device, &relay, connection.to_relay);
                forward(&relay, &device, connection.to_device);
            }
        });
        Ok(Self { address, connections })
    }

    /// Where the devices are to dial.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there were.
    pub(super) fn connections(&self) -> usize {
        lock(&self.connections).len()
    }

    /// Everything that passed, in both directions, as the two ends understood it.
    pub(super) fn heard(&self) -> Vec<u8> {
        let mut heard = Vec::new();
        for connection in lock(&self.connections).iter() {
            for recording in [&connection.to_relay, &connection.to_device] {
                heard.extend(unmasked(&lock(recording)));
            }
        }
        heard
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn forward(from: &TcpStream, to: &TcpStream, recording: Recording) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            lock(&recording).extend_from_slice(&bytes[..read]);
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        // The other side learns of the end by the end; it may be gone already.
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// One direction of a WebSocket connection with the payloads of its frames as they were meant.
///
/// A device masks what it sends (RFC 6455 section 5.3), which would hide any word from a search.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_word_is_heard_as_it_was_meant() {
        // The masked "Hello" of RFC 6455 section 5.7, then an unmasked one, then a frame that was cut off.
        let mut stream = b"GET / HTTP/1.1\r\n\r\n".to_vec();
        stream.extend([0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        stream.extend([0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        stream.extend([0x82, 0x7e, 0x01]);
        assert_eq!(unmasked(&stream), b"GET / HTTP/1.1\r\n\r\nHelloHello\x82\x7e\x01");
    }

    #[test]
    fn long_frames_have_longer_lengths() {
        let mut stream = vec![0x82, 126, 0x01, 0x00];
        stream.extend([7; 256]);
        stream.extend([0x82, 127, 0, 0, 0, 0, 0, 0, 0, 2, 8, 9]);
        let (payload, rest) = frame(&stream).unwrap();
        assert_eq!(payload, [7; 256]);
        assert_eq!(frame(rest), Some((vec![8, 9], &[][..])));
    }

    #[test]
    fn what_passes_is_forwarded_and_kept() {
        let relay = TcpListener::bind("127.0.0.1:0").unwrap();
        let tap = Tap::before(relay.local_addr().unwrap()).unwrap();
        let mut device = TcpStream::connect(tap.address()).unwrap();
        let (mut accepted, _) = relay.accept().unwrap();
        device.write_all(b"question").unwrap();
        device.shutdown(Shutdown::Write).unwrap();
        let mut heard = String::new();
        accepted.read_to_string(&mut heard).unwrap();
        accepted.write_all(b"answer").unwrap();
        drop(accepted);
        let mut answer = String::new();
        device.read_to_string(&mut answer).unwrap();
        assert_eq!((heard.as_str(), answer.as_str()), ("question", "answer"));
        assert_eq!((tap.connections(), tap.heard()), (1, b"questionanswer".to_vec()));
    }
}
