//! Meeting other devices directly: those whose addresses are given, and those that come.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ties_net::{Backoff, Caller, PeerAcceptor, PeerAddress, PeerListener};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::conversation::News;
use crate::direct::greeting::PeerFailure;
use crate::direct::keys::{DiscoveryKeys, day};
use crate::direct::meeting::{Links, PeerMeeting, Until};
use crate::direct::standing::{Known, own_seed};
use crate::records::Fault;
use crate::space::Space;
use crate::sync::Tally;

/// How other devices are met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerRoads {
    /// Where devices listen.
    pub dial: Vec<PeerAddress>,
    /// Where this one listens, if it does.
    pub listen: Option<SocketAddr>,
}

/// Something that happened between this device and another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerEvent {
    /// What the other one is called, where that is known.
    pub device: Option<String>,
    /// Where it is, or came from; where this one listens.
    pub address: String,
    /// What happened.
    pub news: PeerNews,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerNews {
    /// This device listens.
    Listening,
    /// Both proved who they are.
    Connected,
    /// Something happened in the conversation.
    News(News),
    /// It came to nothing, or broke off; if it is dialled again, after this time.
    Lost(String, Option<Duration>),
}

/// What came of one device.
#[derive(Debug)]
pub struct PeerReport {
    /// What it is called, where that is known.
    pub device: Option<String>,
    /// Where it is.
    pub address: String,
    /// What was exchanged, or why not.
    pub outcome: Result<Tally, PeerFailure>,
}

impl Space {
    /// Exchanges everything with the devices at these addresses, all at once, until both sides have the same.
    ///
    /// # Errors
    /// When the database cannot be read; what goes wrong with a device stands in its report.
    pub async fn sync_peers(
        &self,
        addresses: &[PeerAddress],
        mut events: impl FnMut(PeerEvent),
    ) -> Result<Vec<PeerReport>, Fault> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let links = Links::default();
        let mut meetings = JoinSet::new();
        for address in addresses {
            let (space, address, links, tell) = (self.clone(), address.clone(), links.clone(), tell.clone());
            meetings.spawn(async move { space.meet_at(&address, &links, &tell).await });
        }
        drop(tell);
        while let Some(event) = told.recv().await {
            events(event);
        }
        let mut reports = Vec::new();
        while let Some(ended) = meetings.join_next().await {
            let Ok(report) = ended else { continue };
            // Two addresses of one device are one road.
            if !matches!(report.outcome, Err(PeerFailure::Already)) {
                reports.push(report);
            }
        }
        reports.sort_by(|one, other| one.address.cmp(&other.address));
        Ok(reports)
    }

    /// Meets the device at an address until both have the same; more than once if what came the first time makes more
    /// readable.
    async fn meet_at(
        &self,
        address: &PeerAddress,
        links: &Links,
        tell: &mpsc::UnboundedSender<PeerEvent>,
    ) -> PeerReport {
        let place = address.to_string();
        let mut device = None;
        let mut all = Tally::default();
        let mut outcome = Ok(all);
        for _ in 0..MEETINGS {
            if let Err(error) = self.inner.tidy_for_peers() {
                outcome = Err(error.into());
                break;
            }
            let met = match self.dial_peer(address).await {
                Ok(met) => met,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            };
            let Some(_claim) = links.claim(met.key) else {
                outcome = Err(PeerFailure::Already);
                break;
            };
            device = name(&met.who).or(device);
            let tell = |news| _ = tell.send(PeerEvent { device: device.clone(), address: place.clone(), news });
            tell(PeerNews::Connected);
            let held = PeerMeeting::hold(self, met, Until::Settled, &mut |news| tell(PeerNews::News(news))).await;
            match held {
                Ok((tally, more)) => {
                    all = all.and(tally);
                    outcome = Ok(all);
                    // What was just learnt may call for an answer: that a removal is known here, or a key for who lacks it.
                    let more = more || self.inner.tidy_for_peers().unwrap_or(false);
                    if !more || tally.entries_sent + tally.entries_received == 0 {
                        break;
                    }
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        PeerReport { device, address: place, outcome }
    }

    /// Stays in touch with other devices until dropped: dials those whose addresses are given, again and again, and
    /// answers those that come.
    ///
    /// # Errors
    /// When this device cannot listen where it should, or its database cannot be read.
    pub async fn watch_peers(
        &self,
        roads: &PeerRoads,
        mut events: impl FnMut(PeerEvent),
    ) -> Result<(), PeerWatchError> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let links = Links::default();
        let mut tasks = JoinSet::new();
        if let Some(at) = roads.listen {
            let listener = self.listen(at).await?;
            let address = listener.address().map_err(PeerWatchError::Listen)?.to_string();
            let _ = tell.send(PeerEvent { device: None, address, news: PeerNews::Listening });
            let (space, links, tell) = (self.clone(), links.clone(), tell.clone());
            tasks.spawn(async move { space.answer_all(listener, links, tell).await });
        }
        for address in &roads.dial {
            let (space, address, links, tell) = (self.clone(), address.clone(), links.clone(), tell.clone());
            tasks.spawn(async move { space.stay_with(&address, &links, &tell).await });
        }
        if tasks.is_empty() {
            return Ok(());
        }
        let space = self.clone();
        tasks.spawn(async move { space.hear_others().await });
        drop(tell);
        while let Some(event) = told.recv().await {
            events(event);
        }
        Ok(())
    }

    async fn listen(&self, at: SocketAddr) -> Result<PeerListener, PeerWatchError> {
        let seed = own_seed(&self.snapshot()?)?;
        let space = self.clone();
        // Keys come and go while it listens, so each name is held against those of the moment.
        let recognised = move |name: &str| {
            let found = space.snapshot().and_then(|snapshot| DiscoveryKeys::load(&snapshot));
            found.is_ok_and(|keys| keys.of_name(day(space.now()), name).is_some())
        };
        let acceptor = PeerAcceptor::new(seed.expose(), recognised).map_err(|_| Fault::Damaged("this device"))?;
        match PeerListener::bind(at, acceptor.clone()).await {
            // Not every machine has IPv6; what is meant is every address there is.
            Err(error) if at.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != ErrorKind::AddrInUse => {
                PeerListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, at.port())), acceptor).await
            }
            bound => bound,
        }
        .map_err(PeerWatchError::Listen)
    }

    async fn answer_all(self, mut listener: PeerListener, links: Links, tell: mpsc::UnboundedSender<PeerEvent>) {
        let mut meetings = JoinSet::new();
        loop {
            tokio::select! {
                caller = listener.next() => {
                    let (space, links, tell) = (self.clone(), links.clone(), tell.clone());
                    meetings.spawn(async move { space.answer_one(caller, &links, &tell).await });
                }
                Some(_) = meetings.join_next(), if !meetings.is_empty() => {}
            }
        }
    }

    async fn answer_one(&self, caller: Caller, links: &Links, tell: &mpsc::UnboundedSender<PeerEvent>) {
        let address = PeerAddress::from(caller.from).to_string();
        let met = match self.receive_peer(caller).await {
            Ok(met) => met,
            Err(error @ (PeerFailure::Outsider(_) | PeerFailure::Fault(_))) => {
                let news = PeerNews::Lost(error.to_string(), None);
                let _ = tell.send(PeerEvent { device: None, address, news });
                return;
            }
            // Whoever proves nothing is not worth a line.
            Err(error) => return tracing::debug!(%error, "somebody came who is no device of ours"),
        };
        let Some(_claim) = links.claim(met.key) else {
            return met.link.close(ties_net::ClosingReason::Busy).await;
        };
        let device = name(&met.who);
        let tell = |news| _ = tell.send(PeerEvent { device: device.clone(), address: address.clone(), news });
        tell(PeerNews::Connected);
        let held = PeerMeeting::hold(self, met, Until::Broken, &mut |news| tell(PeerNews::News(news))).await;
        let why = held.err().map_or_else(|| "done".to_owned(), |error| crate::sync::chain(&error));
        tell(PeerNews::Lost(why, None));
    }

    async fn stay_with(&self, address: &PeerAddress, links: &Links, tell: &mpsc::UnboundedSender<PeerEvent>) {
        let mut backoff = Backoff::new();
        let place = address.to_string();
        loop {
            // What cannot be written now is written before the next meeting.
            let _ = self.inner.tidy_for_peers();
            let mut device = None;
            let say = |device: &Option<String>, news| {
                let _ = tell.send(PeerEvent { device: device.clone(), address: place.clone(), news });
            };
            let outcome = match self.dial_peer(address).await {
                Err(error) => Err(error),
                Ok(met) => match links.claim(met.key) {
                    None => Err(PeerFailure::Already),
                    Some(_claim) => {
                        device = name(&met.who);
                        say(&device, PeerNews::Connected);
                        backoff.reset();
                        PeerMeeting::hold(self, met, Until::Broken, &mut |news| say(&device, PeerNews::News(news)))
                            .await
                    }
                },
            };
            let pause = backoff.after_failure_now();
            match outcome {
                // What was left out is asked for at once.
                Ok((_, true)) => continue,
                Ok((_, false)) => say(&device, PeerNews::Lost("the other device ended it".to_owned(), Some(pause))),
                Err(PeerFailure::Already) => {}
                Err(error) => say(&device, PeerNews::Lost(crate::sync::chain(&error), Some(pause))),
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Wakes the conversations of this process whenever another one has written.
    async fn hear_others(&self) {
        match self.inner.pokes.listen() {
            None => std::future::pending().await,
            Some(ears) => loop {
                ears.heard().await;
                self.inner.noticed();
            },
        }
    }
}

fn name(who: &Known) -> Option<String> {
    match who {
        Known::Member(_, name) | Known::Removed(_, name, _) => Some(name.clone()),
        Known::Nothing => None,
    }
}

/// Why this device cannot wait for others.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerWatchError {
    /// It cannot listen there.
    #[error("cannot listen there")]
    Listen(#[source] std::io::Error),
    /// Its database.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// How often one device is met in a row while each meeting brings something.
const MEETINGS: usize = 4;
