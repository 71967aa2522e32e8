//! Meeting other devices directly: those whose addresses are given, and those that come.

use std::net::SocketAddr;
use std::time::Duration;

use ties_net::{Backoff, Caller, LAN_WAIT, Link, PeerAcceptor, PeerAddress, PeerKey, PeerListener, rest};
use ties_sync::peer_subject;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::conversation::News;
use crate::direct::greeting::{Met, PeerFailure};
use crate::direct::keys::{DiscoveryKeys, day};
use crate::direct::lan::{Heeded, Near};
use crate::direct::meeting::{Claim, Links, PeerMeeting, Until};
use crate::direct::standing::{Known, known, own_seed};
use crate::door::{listen, reachable};
use crate::records::Fault;
use crate::secrets::device_keys;
use crate::space::Space;
use crate::sync::Tally;

/// How other devices are met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerRoads {
    /// Where devices listen.
    pub dial: Vec<PeerAddress>,
    /// Where this one listens, if it does.
    pub listen: Option<SocketAddr>,
    /// Whether devices are looked for on the local network, and told of this one while it listens.
    pub lan: bool,
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
    /// Exchanges everything with the devices at these addresses, and with `lan` with those that listen on the local network,
    /// all at once, until both sides have the same. Who is near is waited for no longer than [`ties_net::LAN_WAIT`].
    ///
    /// # Errors
    /// When the database cannot be read; what goes wrong with a device stands in its report.
    pub async fn sync_peers(
        &self,
        addresses: &[PeerAddress],
        lan: bool,
        mut events: impl FnMut(PeerEvent),
    ) -> Result<Vec<PeerReport>, Fault> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let (find, mut found) = mpsc::unbounded_channel();
        let links = Links::default();
        let mut meetings: JoinSet<Option<PeerReport>> = JoinSet::new();
        let spawn = |meetings: &mut JoinSet<_>, places: Vec<PeerAddress>, near, tell| {
            let (space, links) = (self.clone(), links.clone());
            meetings.spawn(async move { space.meet_at(&places, near, &links, &tell).await });
        };
        for address in addresses {
            spawn(&mut meetings, vec![address.clone()], false, tell.clone());
        }
        if lan {
            tokio::spawn(self.clone().hear_lan(Heeded::default(), Some(Instant::now() + LAN_WAIT), find));
        } else {
            // Nobody will be heard.
            drop(find);
        }
        let (mut tell, mut near) = (Some(tell), Vec::new());
        loop {
            tokio::select! {
                event = told.recv() => match event {
                    Some(event) => events(event),
                    None => break,
                },
                heard = found.recv(), if tell.is_some() => match (heard, &tell) {
                    (Some(one), Some(tell)) => {
                        spawn(&mut meetings, one.places.clone(), true, tell.clone());
                        near.push(one);
                    }
                    // Nobody else is near; what is under way goes on.
                    _ => tell = None,
                },
            }
        }
        let mut reports = Vec::new();
        while let Some(ended) = meetings.join_next().await {
            reports.extend(ended.ok().flatten());
        }
        reports.sort_by(|one: &PeerReport, other| one.address.cmp(&other.address));
        Ok(reports)
    }

    /// Meets the device at an address, or at the first of several of one device that answers, until both have the same; more
    /// than once if what came the first time makes more readable. `None` if there is nothing to say of it: it is met
    /// already, or nobody named it and it is not there, or it is this device.
    async fn meet_at(
        &self,
        places: &[PeerAddress],
        near: bool,
        links: &Links,
        tell: &mpsc::UnboundedSender<PeerEvent>,
    ) -> Option<PeerReport> {
        let mut report = PeerReport { device: None, address: String::new(), outcome: Ok(Tally::default()) };
        for place in places {
            report = self.meet_there(place, near, links, tell).await;
            if !matches!(report.outcome, Err(PeerFailure::Dial(_))) {
                break;
            }
        }
        let is_nothing = match &report.outcome {
            Err(PeerFailure::Already) => true,
            Err(PeerFailure::Dial(_)) => near,
            _ => false,
        };
        (!is_nothing).then_some(report)
    }

    async fn meet_there(
        &self,
        address: &PeerAddress,
        near: bool,
        links: &Links,
        tell: &mpsc::UnboundedSender<PeerEvent>,
    ) -> PeerReport {
        let place = address.to_string();
        let mut device = None;
        let tell = |device, news| _ = tell.send(PeerEvent { device, address: place.clone(), news });
        let outcome = self.meet_often(address, near, links, &mut device, &tell).await;
        PeerReport { device, address: place, outcome }
    }

    async fn meet_often(
        &self,
        address: &PeerAddress,
        near: bool,
        links: &Links,
        device: &mut Option<String>,
        tell: &(impl Fn(Option<String>, PeerNews) + Sync),
    ) -> Result<Tally, PeerFailure> {
        let mut all = Tally::default();
        for _ in 0..MEETINGS {
            self.inner.tidy_everywhere()?;
            let met = self.dial_peer(address).await?;
            let _claim = self.claim(links, &met, near)?;
            *device = name(&met.who).or(device.take());
            tell(device.clone(), PeerNews::Connected);
            let mut news = |news| tell(device.clone(), PeerNews::News(news));
            let (tally, more) = PeerMeeting::hold(self, met, Until::Settled, &mut news).await?;
            all = all.and(tally);
            // What was just learnt may call for an answer: that a removal is known here, or a key for who lacks it.
            let more = more || self.inner.tidy_everywhere()?;
            // What is not there as entries is asked for as a checkpoint.
            let lacks = self.inner.lacks_entries()?;
            if !lacks && (!more || tally.entries_sent + tally.entries_received == 0) {
                break;
            }
        }
        Ok(all)
    }

    /// Exchanges everything over a link on which this device has just paired with the one of that key.
    pub(crate) async fn meet_paired(&self, link: Link, key: PeerKey, address: String, until: Until) -> PeerReport {
        let outcome = async {
            let subject = peer_subject(&self.id()?, link.exporter());
            let who = known(&self.snapshot()?, &key)?;
            let (tally, _) = PeerMeeting::hold(self, Met { link, key, subject, who }, until, &mut |_| ()).await?;
            Ok(tally)
        };
        let outcome = outcome.await;
        let who = self.snapshot().and_then(|snapshot| known(&snapshot, &key));
        PeerReport { device: who.ok().and_then(|who| name(&who)), address, outcome }
    }

    /// The place of the one link with a device. One that was found near by and has this device's key is this device, as far
    /// as anybody can tell; a copy of it has to be named.
    fn claim(&self, links: &Links, met: &Met, near: bool) -> Result<Claim, PeerFailure> {
        let own = device_keys(&self.snapshot()?)?.ok_or(Fault::NoKey)?.certificate().tls();
        let claim = links.dialled(met.key).filter(|_| !near || met.key != own);
        claim.ok_or(PeerFailure::Already)
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
        let (find, mut found) = mpsc::unbounded_channel();
        let (links, heeded) = (Links::default(), Heeded::default());
        let mut tasks = JoinSet::new();
        if let Some(at) = roads.listen {
            let listener = self.listen(at).await?;
            let address = listener.address().map_err(PeerWatchError::Listen)?;
            let shown = reachable(address).to_string();
            let _ = tell.send(PeerEvent { device: None, address: shown, news: PeerNews::Listening });
            if roads.lan && !address.ip().is_loopback() {
                let (space, heeded) = (self.clone(), heeded.clone());
                tasks.spawn(async move { _ = space.announce(address.port(), &heeded).await });
            }
            let (space, links, tell) = (self.clone(), links.clone(), tell.clone());
            tasks.spawn(async move { space.answer_all(listener, links, tell).await });
        }
        let stay = |tasks: &mut JoinSet<()>, places: Vec<PeerAddress>, near: Option<Near>| {
            let (space, links, tell) = (self.clone(), links.clone(), tell.clone());
            tasks.spawn(async move { space.stay_with(&places, near.is_some(), &links, &tell).await });
        };
        for address in &roads.dial {
            stay(&mut tasks, vec![address.clone()], None);
        }
        if roads.lan {
            tasks.spawn(self.clone().hear_lan(heeded, None, find));
        }
        if tasks.is_empty() {
            return Ok(());
        }
        let _ears = self.ears();
        loop {
            tokio::select! {
                Some(event) = told.recv() => events(event),
                Some(near) = found.recv() => stay(&mut tasks, near.places.clone(), Some(near)),
                _ = tasks.join_next() => {}
            }
        }
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
        listen(at, acceptor).await.map_err(PeerWatchError::Listen)
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
        let Some(_claim) = links.answered(met.key) else {
            return met.link.close(ties_net::ClosingReason::Busy).await;
        };
        let device = name(&met.who);
        let tell = |news| _ = tell.send(PeerEvent { device: device.clone(), address: address.clone(), news });
        // One that is not known may only have come to see whether this device holds a key of the space.
        if device.is_some() {
            tell(PeerNews::Connected);
        }
        match PeerMeeting::hold(self, met, Until::Broken, &mut |news| tell(PeerNews::News(news))).await {
            // It came, exchanged and went.
            Ok(_) => {}
            Err(PeerFailure::Closed) if device.is_none() => {}
            Err(error) => tell(PeerNews::Lost(crate::sync::chain(&error), None)),
        }
    }

    /// Dials a device again and again; one that was found near by only until it is given up: it will be heard again.
    async fn stay_with(
        &self,
        places: &[PeerAddress],
        near: bool,
        links: &Links,
        tell: &mpsc::UnboundedSender<PeerEvent>,
    ) {
        let mut backoff = Backoff::new();
        if near {
            // Two that hear each other at once shall not dial each other at once.
            tokio::time::sleep(backoff.after_failure_now() / 2).await;
        }
        let mut failures = 0;
        for place in places.iter().cycle() {
            // What cannot be written now is written before the next meeting.
            let _ = self.inner.tidy_everywhere();
            let mut device = None;
            let say = |device: &Option<String>, news| {
                let _ = tell.send(PeerEvent { device: device.clone(), address: place.to_string(), news });
            };
            let outcome = async {
                let met = self.dial_peer(place).await?;
                let _claim = self.claim(links, &met, near)?;
                device = name(&met.who);
                say(&device, PeerNews::Connected);
                failures = 0;
                PeerMeeting::hold(self, met, Until::Broken, &mut |news| say(&device, PeerNews::News(news))).await
            };
            let outcome = outcome.await;
            if device.is_some() {
                backoff.reset();
            }
            let pause = backoff.after_failure_now();
            match outcome {
                // What was left out is asked for at once.
                Ok((_, true)) => continue,
                Ok((_, false)) => say(&device, PeerNews::Lost("the other device ended it".to_owned(), Some(pause))),
                Err(PeerFailure::Already) if near => return,
                Err(PeerFailure::Already) => {}
                Err(PeerFailure::Dial(_)) if near => failures += 1,
                Err(error) => say(&device, PeerNews::Lost(crate::sync::chain(&error), Some(pause))),
            }
            if failures > GIVE_UP {
                return;
            }
            if rest(pause).await {
                backoff.reset();
            }
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

/// How many failures in a row a device near by is dialled through.
const GIVE_UP: usize = 8;
/// How often one device is met in a row while each meeting brings something.
const MEETINGS: usize = 4;
