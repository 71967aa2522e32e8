//! A proxy that counts what passes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Stands before a relay on this machine.
pub(crate) struct Proxy {
    address: String,
    bytes: Arc<AtomicU64>,
}

impl Proxy {
    /// Listens at a port of its own and passes everything on to the relay at `address` (`ws://127.0.0.1:PORT#KEY`).
    pub(crate) fn before(address: &str) -> Self {
        let (scheme, rest) = address.split_once("://").unwrap();
        let (host, key) = rest.split_once('#').unwrap();
        let host = host.trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let bytes = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&bytes);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                // A benchmark may go on without its relay.
                let Ok(relay) = TcpStream::connect(&host) else { continue };
                client.set_nodelay(true).unwrap();
                relay.set_nodelay(true).unwrap();
                for (from, to) in [(&client, &relay), (&relay, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let counter = Arc::clone(&counter);
                    thread::spawn(move || pass(from, to, &counter));
                }
            }
        });
        Self { address: format!("{scheme}://127.0.0.1:{port}#{key}"), bytes }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// How much has passed, both ways.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, counter: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        counter.fetch_add(read as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
