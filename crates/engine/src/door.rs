//! Meeting on one network to pair, with no relay: the door at which a host waits, and how a guest finds it.
//!
//! Both ends draw the keys that TLS shows for this once: who listens to the network or knocks at the door sees nothing that it
//! could know again. Who the two are is said within, under the code or the ticket.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand_core::Rng as _;
use ties_net::{
    Announcement, Caller, ClosingReason, DialError, LanCall, LanEars, LanHeard, Link, PEER_PORT, PeerAcceptor,
    PeerAddress, PeerDial, PeerListener, connect_peer,
};
use ties_sealed_log::DiscoveryKey;
use ties_sync::PeerHandshake;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use crate::environment::system_randomness;
use crate::pairing::PairError;
use crate::records::Fault;

/// Where a host waits for a new device that is on the same network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NearDoor {
    /// Where it listens; `None` for every address of the machine, and [`PEER_PORT`] unless that is taken.
    pub listen: Option<SocketAddr>,
    /// Whether the network hears of it, so that the new device finds it by itself.
    pub announce: bool,
}

/// A listening host. Whoever dials under the key of the moment may say something; others are turned away at once, also while
/// the host waits for its owner.
pub(crate) struct Door {
    callers: mpsc::Receiver<(Caller, Vec<u8>)>,
    known: Known,
    announcement: Option<Announcement>,
    address: PeerAddress,
    /// Ends with this.
    _listening: JoinSet<()>,
}

type Known = Arc<Mutex<Option<Arc<DiscoveryKey>>>>;

impl Door {
    /// Listens.
    pub(crate) async fn open(near: &NearDoor, key: Arc<DiscoveryKey>) -> Result<Self, PairError> {
        let known: Known = Arc::new(Mutex::new(Some(Arc::clone(&key))));
        let held = Arc::clone(&known);
        let recognised = move |name: &str| current(&held).is_some_and(|key| key.recognises(NO_DAY, name));
        let seed = drawn::<32>();
        let acceptor = PeerAcceptor::new(&seed, recognised).map_err(|_| Fault::Damaged("a drawn key"))?;
        let everywhere = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let listener = match near.listen {
            Some(at) => listen(at, acceptor).await,
            None => match listen(everywhere(PEER_PORT), acceptor.clone()).await {
                // This device, or another program of this machine, waits there for others.
                Err(error) if error.kind() == ErrorKind::AddrInUse => listen(everywhere(0), acceptor).await,
                bound => bound,
            },
        };
        let listener = listener.map_err(PairError::Listen)?;
        let at = listener.address().map_err(PairError::Listen)?;
        let announcement = (near.announce && !at.ip().is_loopback()).then(|| announce(&key, at.port())).flatten();
        let (tell, callers) = mpsc::channel(CALLERS);
        let mut listening = JoinSet::new();
        listening.spawn(attend(listener, tell));
        Ok(Self { callers, known, announcement, address: reachable(at).into(), _listening: listening })
    }

    /// Where others reach it.
    pub(crate) fn address(&self) -> &PeerAddress {
        &self.address
    }

    /// Lets in from now on who dials under this key, and nobody else; the network need not hear of it any more.
    pub(crate) fn recognise(&mut self, key: Arc<DiscoveryKey>) {
        self.shut();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }

    /// Lets nobody in for now. Who was about to say something hears that it came too late.
    pub(crate) fn shut(&mut self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.announcement = None;
        while let Ok((caller, _)) = self.callers.try_recv() {
            tokio::spawn(caller.welcome().close(ClosingReason::Busy));
        }
    }

    /// The next one that came and said something. Safe to cancel.
    pub(crate) async fn knock(&mut self) -> (Caller, Vec<u8>) {
        match self.callers.recv().await {
            Some(caller) => caller,
            None => std::future::pending().await,
        }
    }
}

/// Hands on who came and said something.
async fn attend(mut listener: PeerListener, tell: mpsc::Sender<(Caller, Vec<u8>)>) {
    let mut arriving: JoinSet<Option<(Caller, Vec<u8>)>> = JoinSet::new();
    loop {
        tokio::select! {
            mut caller = listener.next() => {
                arriving.spawn(async move {
                    let frame = caller.first_frame().await.ok()?;
                    Some((caller, frame))
                });
            }
            Some(arrived) = arriving.join_next(), if !arriving.is_empty() => {
                if let Ok(Some(arrived)) = arrived {
                    // Who finds no place is dropped.
                    let _ = tell.try_send(arrived);
                }
            }
        }
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Door(..)")
    }
}

/// The link of one that came, if it proves the ticket.
pub(crate) async fn let_in(came: (Caller, Vec<u8>), key: &DiscoveryKey) -> Option<Link> {
    let (caller, hail) = came;
    let handshake = PeerHandshake::new(key, *caller.link.exporter());
    let proved = handshake.hailed(&hail);
    let mut link = caller.welcome();
    if proved.is_err() {
        // It may be somebody who typed the same code a moment too late, and shall hear that.
        tokio::spawn(link.close(ClosingReason::Busy));
        return None;
    }
    link.send(handshake.answer()).await.ok()?;
    Some(link)
}

/// Listens at an address, or at all of IPv4 where a machine has no IPv6 and all were meant.
pub(crate) async fn listen(at: SocketAddr, acceptor: PeerAcceptor) -> std::io::Result<PeerListener> {
    match PeerListener::bind(at, acceptor.clone()).await {
        Err(error) if at.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != ErrorKind::AddrInUse => {
            PeerListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, at.port())), acceptor).await
        }
        bound => bound,
    }
}

/// Where others reach a device that listens at every address: the one that it would reach them from.
pub(crate) fn reachable(listening: SocketAddr) -> SocketAddr {
    if !listening.ip().is_unspecified() {
        return listening;
    }
    // Nothing is sent: the system only chooses the way. The address is one for examples (RFC 5737).
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    let chosen = socket.and_then(|socket| socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).and(socket.local_addr()));
    chosen.map_or(listening, |chosen| SocketAddr::from((chosen.ip(), listening.port())))
}

fn announce(key: &DiscoveryKey, port: u16) -> Option<Announcement> {
    let nonce = *drawn();
    let call = LanCall { nonce, tag: key.call(&nonce, port), port };
    // Whoever knows the address comes all the same.
    Announcement::new(&call).inspect_err(|error| tracing::debug!(%error, "nobody is told of the door")).ok()
}

/// Where a host waits: where it is said to, or else what the network says within [`LOOK`].
pub(crate) async fn find(key: &DiscoveryKey, told: &[PeerAddress], look: bool) -> Result<Vec<PeerAddress>, PairError> {
    if !look {
        return Ok(told.to_vec());
    }
    let ears = LanEars::open()?;
    let mut found: Option<LanHeard> = None;
    let mut until = Instant::now() + if told.is_empty() { LOOK } else { SECOND };
    while let Ok(heard) = timeout_at(until, ears.next()).await {
        if heard.addresses.is_empty() || !key.hears(&heard.call.nonce, heard.call.port, &heard.call.tag) {
            continue;
        }
        match &mut found {
            None => {
                found = Some(heard);
                // Only one is ever tried. If two say that they are the one, somebody has to say which.
                until = until.min(Instant::now() + SECOND);
            }
            Some(one) if one.call == heard.call => one.addresses = heard.addresses,
            Some(_) => return Err(PairError::SeveralNear),
        }
    }
    let heard = found.into_iter().flat_map(|LanHeard { call, addresses }| {
        addresses.into_iter().map(move |address| PeerAddress::from(SocketAddr::from((address, call.port))))
    });
    let mut places = told.to_vec();
    places.extend(heard.filter(|place| !told.contains(place)));
    if places.is_empty() { Err(PairError::NobodyNear) } else { Ok(places) }
}

/// Dials a host at the first of its addresses that answers, under the key that both know it by.
pub(crate) async fn dial(places: &[PeerAddress], key: &DiscoveryKey) -> Result<(Link, PeerAddress), DialError> {
    let mut failure = DialError::TimedOut;
    for address in places {
        let (seed, name) = (drawn::<32>(), key.name(NO_DAY, *drawn()));
        match connect_peer(&PeerDial { address, name: &name, expected: None, seed: &seed }).await {
            Ok(peer) => return Ok((peer.link, address.clone())),
            // One that answers and knows nothing of this says more than one that does not answer.
            Err(_) if matches!(failure, DialError::NotRecognised) => {}
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// As [`dial`], and both ends prove a ticket.
pub(crate) async fn dial_with_ticket(
    places: &[PeerAddress],
    key: &DiscoveryKey,
) -> Result<(Link, PeerAddress), PairError> {
    let (mut link, place) = dial(places, key).await?;
    let handshake = PeerHandshake::new(key, *link.exporter());
    link.send(handshake.hail()).await?;
    let answer = tokio::time::timeout(ANSWER, link.recv()).await.map_err(|_| PairError::PartnerLeft)?;
    handshake.answered(&answer?.ok_or(PairError::PartnerLeft)?).map_err(|_| DialError::NotRecognised)?;
    Ok((link, place))
}

fn current(known: &Known) -> Option<Arc<DiscoveryKey>> {
    known.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Random bytes that a link uses up.
fn drawn<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    system_randomness().fill_bytes(&mut *bytes);
    bytes
}

/// Callers that said something and were not heard yet.
const CALLERS: usize = 8;
/// A new device's clock may be wrong, and what is dialled here is good for minutes: its name holds no day.
const NO_DAY: u64 = 0;
/// How long the network is asked for a host.
const LOOK: Duration = Duration::from_secs(15);
/// How long after the first answer a second one is waited for.
const SECOND: Duration = Duration::from_millis(500);
/// How long the other program may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use ties_sync::plate;

    use super::*;

    fn here() -> NearDoor {
        NearDoor { listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))), announce: true }
    }

    #[tokio::test]
    async fn a_door_opens_to_who_dials_its_number_and_shows_nothing_to_others() {
        let mut door = Door::open(&here(), Arc::new(plate(17))).await.unwrap();
        let place = [door.address().clone()];
        let (key, other) = (plate(17), plate(18));
        let guest = async {
            assert!(matches!(dial(&place, &other).await, Err(DialError::NotRecognised)));
            let (mut link, _) = dial(&place, &key).await.unwrap();
            link.send(b"hail".to_vec()).await.unwrap();
            link
        };
        let ((caller, frame), link) = tokio::join!(door.knock(), guest);
        assert_eq!((frame.as_slice(), caller.link.exporter()), (b"hail".as_slice(), link.exporter()));
        // From now on the number is void.
        door.recognise(Arc::new(plate(99)));
        assert!(matches!(dial(&place, &key).await, Err(DialError::NotRecognised)));
    }

    #[tokio::test]
    async fn who_knows_the_name_and_not_the_ticket_does_not_get_in() {
        let key = Arc::new(plate(17));
        let mut door = Door::open(&here(), Arc::clone(&key)).await.unwrap();
        let place = [door.address().clone()];
        let host = async {
            let first = let_in(door.knock().await, &key).await;
            (first, let_in(door.knock().await, &key).await)
        };
        let guest = async {
            let (mut link, _) = dial(&place, &key).await.unwrap();
            link.send(PeerHandshake::new(&plate(17), [0; 32]).hail()).await.unwrap();
            assert!(link.recv().await.is_err(), "the proof is of another link");
            dial_with_ticket(&place, &key).await.unwrap()
        };
        let ((first, second), (link, _)) = tokio::join!(host, guest);
        assert!(first.is_none());
        assert_eq!(second.unwrap().exporter(), link.exporter());
    }

    #[tokio::test]
    async fn who_answers_under_an_overheard_name_and_proves_nothing_is_left() {
        let door = Door::open(&here(), Arc::new(plate(17))).await.unwrap();
        let place = [door.address().clone()];
        let answers = async {
            let mut door = door;
            let (caller, _) = door.knock().await;
            let mut link = caller.welcome();
            link.send(PeerHandshake::new(&plate(18), *link.exporter()).answer()).await.unwrap();
            link
        };
        let key = plate(17);
        let (_link, refused) = tokio::join!(answers, dial_with_ticket(&place, &key));
        assert!(matches!(refused, Err(PairError::Dial(DialError::NotRecognised))), "{refused:?}");
    }
}
