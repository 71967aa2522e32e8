//! Listening for other devices: how many may stand at the door, and for how long.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::accept::AcceptError;
use crate::link::{Link, LinkError};
use crate::peer::{PeerAcceptor, PeerKey, PeerLink};

/// A device that came, and has yet to say why.
#[derive(Debug)]
pub struct Caller {
    /// The link.
    pub link: Link,
    /// The key that it proved.
    pub key: PeerKey,
    /// The name that it dialled.
    pub name: String,
    /// Where it dialled from.
    pub from: SocketAddr,
    until: Instant,
    _place: Place,
}

impl Caller {
    /// The first frame, which must be there within five seconds of the connection.
    ///
    /// # Errors
    /// When it does not come, or the link breaks.
    pub async fn first_frame(&mut self) -> Result<Vec<u8>, LinkError> {
        timeout_at(self.until, self.link.recv()).await.map_err(|_| LinkError::Silent)??.ok_or(LinkError::Lost(None))
    }

    /// The link of a device that belongs here; its place at the door is free again.
    #[must_use]
    pub fn welcome(self) -> Link {
        self.link
    }
}

/// Listens for devices.
#[derive(Debug)]
pub struct PeerListener {
    tcp: TcpListener,
    acceptor: PeerAcceptor,
    door: Arc<Door>,
    arriving: JoinSet<Result<Caller, AcceptError>>,
}

impl PeerListener {
    /// Takes an address to listen at.
    ///
    /// # Errors
    /// When it is taken by another, or not one of this machine.
    pub async fn bind(at: SocketAddr, acceptor: PeerAcceptor) -> io::Result<Self> {
        let tcp = TcpListener::bind(at).await?;
        Ok(Self { tcp, acceptor, door: Arc::default(), arriving: JoinSet::new() })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The next device that proved a key. Safe to cancel.
    pub async fn next(&mut self) -> Caller {
        loop {
            tokio::select! {
                accepted = self.tcp.accept() => match accepted {
                    Ok((tcp, from)) => self.take(tcp, from),
                    // Out of file handles, say: the listener itself is whole.
                    Err(error) => {
                        tracing::debug!(%error, "cannot accept a connection");
                        sleep(Duration::from_millis(50)).await;
                    }
                },
                Some(arrived) = self.arriving.join_next(), if !self.arriving.is_empty() => match arrived {
                    Ok(Ok(caller)) => return caller,
                    Ok(Err(error)) => tracing::debug!(%error, "somebody came who is no device of ours"),
                    Err(_) => {}
                },
            }
        }
    }

    /// Who finds no place is dropped at once and without a word.
    fn take(&mut self, tcp: TcpStream, from: SocketAddr) {
        let Some(place) = Door::enter(&self.door, from.ip()) else { return };
        let (acceptor, until) = (self.acceptor.clone(), Instant::now() + PROVE_WITHIN);
        self.arriving.spawn(async move {
            let _ = tcp.set_nodelay(true);
            let accepted = timeout_at(until, acceptor.accept(tcp)).await.map_err(|_| AcceptError::TooSlow)?;
            let PeerLink { link, key, name } = accepted?;
            Ok(Caller { link, key, name, from, until, _place: place })
        });
    }
}

/// Who has connected and not proved what it must.
#[derive(Debug, Default)]
struct Door {
    waiting: Mutex<BTreeMap<IpAddr, usize>>,
}

impl Door {
    fn enter(door: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let from = origin(from);
        let mut waiting = door.waiting();
        let there = waiting.get(&from).copied().unwrap_or(0);
        if there >= PLACES_OF_ONE || waiting.values().sum::<usize>() >= PLACES {
            return None;
        }
        waiting.insert(from, there + 1);
        Some(Place { door: Arc::clone(door), from })
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place at the door, free again when this is dropped.
#[derive(Debug)]
struct Place {
    door: Arc<Door>,
    from: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.door.waiting();
        if let Some(count) = waiting.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.from);
            }
        }
    }
}

/// As much of an address as one machine cannot choose at will: 64 bits of IPv6.
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => IpAddr::from((address.to_bits() >> 64 << 64).to_be_bytes()),
    }
}

/// From the connection to the first frame.
const PROVE_WITHIN: Duration = Duration::from_secs(5);
/// Connections that have proved nothing yet.
const PLACES: usize = 64;
/// The same from one address.
const PLACES_OF_ONE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_at_the_door_are_few_and_come_back() {
        let door = Arc::new(Door::default());
        let one = |last: u8| IpAddr::from([192, 168, 1, last]);
        let mut places: Vec<Place> = (0..PLACES_OF_ONE).map(|_| Door::enter(&door, one(1)).unwrap()).collect();
        assert!(Door::enter(&door, one(1)).is_none(), "too many of one");
        places.extend((0..PLACES - PLACES_OF_ONE).map(|at| Door::enter(&door, one(2 + (at / 16) as u8)).unwrap()));
        assert!(Door::enter(&door, one(99)).is_none(), "too many in all");
        places.clear();
        assert!(door.waiting().is_empty());
        let six: IpAddr = "2001:db8::1:2:3:4".parse().unwrap();
        assert_eq!(origin(six), "2001:db8::".parse::<IpAddr>().unwrap());
        assert_eq!(origin("::ffff:10.0.0.1".parse().unwrap()), IpAddr::from([10, 0, 0, 1]));
    }
}
