//! Where host and guest of a ticket say their words: a room at a relay, a link of their own on one network, or whichever of the
//! two the guest comes by.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ties_net::{Backoff, ClosingReason, Link, PeerAddress, RelayAddress};
use ties_sealed_log::{DiscoveryKey, PseudonymKey};
use ties_sync::{MAX_PASS, Message, Ticket};

use crate::door::{Door, dial_with_ticket, let_in};
use crate::environment::Environment;
use crate::pairing::PairError;
use crate::relay_link::{LinkFailure, RelayLink};
use crate::roads::RoadError;

/// The ways to the other one. Words repeat harmlessly, so that what a broken link loses is said again.
#[derive(Debug)]
pub(crate) struct Room {
    relay: Option<RelayRoom>,
    near: Option<NearRoom>,
    /// The last word came over a link of their own.
    is_near: bool,
}

impl Room {
    pub(crate) fn at_relay(relay: RelayRoom) -> Self {
        Self { relay: Some(relay), near: None, is_near: false }
    }

    pub(crate) fn near(near: NearRoom) -> Self {
        Self { relay: None, near: Some(near), is_near: true }
    }

    /// Of one or both.
    pub(crate) fn of(relay: Option<RelayRoom>, near: Option<NearRoom>) -> Self {
        Self { is_near: relay.is_none(), relay, near }
    }

    /// Says something the way that the last word came.
    pub(crate) async fn say(&mut self, frame: Vec<u8>) {
        match (self.is_near, &mut self.relay, &mut self.near) {
            (true, _, Some(near)) => near.say(frame).await,
            (_, Some(relay), _) => relay.say(frame).await,
            _ => {}
        }
    }

    /// The next word of the other one; `None` after `patience`, or after a way had to be found again.
    pub(crate) async fn hear(&mut self, patience: Duration) -> Result<Option<Vec<u8>>, PairError> {
        match (&mut self.relay, &mut self.near) {
            (Some(relay), None) => relay.hear(patience).await,
            (None, Some(near)) => near.hear(patience).await,
            (None, None) => Err(PairError::NoRoad),
            (Some(relay), Some(near)) => {
                let (heard, is_near) = tokio::select! {
                    heard = near.hear(patience) => (heard, true),
                    heard = relay.hear(patience) => (heard, false),
                };
                match heard {
                    Ok(None) => Ok(None),
                    Ok(word) => {
                        self.is_near = is_near;
                        Ok(word)
                    }
                    // The other way is left.
                    Err(_) if !is_near => {
                        self.relay = None;
                        self.is_near = true;
                        Ok(None)
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Where the guest finds the host on this network, at the host.
    pub(crate) fn door(&self) -> Option<&PeerAddress> {
        match &self.near.as_ref()?.side {
            Side::Host(door) => Some(door.address()),
            Side::Guest { .. } => None,
        }
    }

    /// Leaves the way by which nobody came.
    pub(crate) fn settle(&mut self) {
        match self.is_near {
            true => self.relay = None,
            false => self.near = None,
        }
    }

    /// Whether the two have a link of their own.
    pub(crate) fn is_near(&self) -> bool {
        self.is_near
    }

    /// Whether the relay is away; [`Self::hear`] says when that lasts too long.
    pub(crate) fn is_cut(&self) -> bool {
        !self.is_near && self.relay.as_ref().is_some_and(|relay| relay.link.is_none())
    }

    pub(crate) async fn leave(self) {
        if let Some(link) = self.relay.and_then(|relay| relay.link) {
            link.close().await;
        }
        if let Some(link) = self.near.and_then(|near| near.link) {
            link.close(ClosingReason::Done).await;
        }
    }

    /// The link of their own, to go on with, and where the host is. Words that were said twice may still be on their way: an
    /// empty frame of each side ends them.
    pub(crate) async fn into_link(self) -> Option<(Link, String)> {
        let NearRoom { link, side, .. } = self.near?;
        let place = match side {
            Side::Host(_) => String::new(),
            Side::Guest { places, .. } => places.first().map(ToString::to_string).unwrap_or_default(),
        };
        let mut link = link?;
        link.send(Vec::new()).await.ok()?;
        for _ in 0..REPEATED {
            if tokio::time::timeout(CUT_FOR, link.recv()).await.ok()?.ok()??.is_empty() {
                return Some((link, place));
            }
        }
        None
    }
}

/// A room at a relay that is entered again whenever the link breaks.
#[derive(Debug)]
pub(crate) struct RelayRoom {
    address: RelayAddress,
    key: PseudonymKey,
    name: [u8; 32],
    link: Option<RelayLink>,
    backoff: Backoff,
    /// Since when there is no link, and how long that may be.
    cut: Option<Instant>,
    cut_for: Duration,
}

impl RelayRoom {
    pub(crate) fn new(address: RelayAddress, key: PseudonymKey, name: [u8; 32]) -> Self {
        Self { address, key, name, link: None, backoff: Backoff::new(), cut: None, cut_for: Duration::MAX }
    }

    /// Goes into a ticket's room with a link that is there already, which is dialled again for a while if it breaks.
    pub(crate) async fn over(address: RelayAddress, key: PseudonymKey, ticket: &Ticket, mut link: RelayLink) -> Self {
        let name = ticket.room();
        // A link that is broken shows at the next word.
        let entered = link.say(&Message::Meet { room: name }).await.is_ok();
        Self { link: entered.then_some(link), cut_for: CUT_FOR, ..Self::new(address, key, name) }
    }

    /// Enters. The first time, a relay that cannot be reached is an error; later it is dialled until it can.
    pub(crate) async fn connect(&mut self) -> Result<(), PairError> {
        let mut link = RelayLink::open(&self.address, &self.key, &mut Environment::system()).await?;
        link.say(&Message::Meet { room: self.name }).await?;
        self.link = Some(link);
        self.cut = None;
        self.backoff.reset();
        Ok(())
    }

    async fn say(&mut self, frame: Vec<u8>) {
        if let Some(link) = &mut self.link
            && link.say(&Message::Pass(frame.into())).await.is_err()
        {
            self.link = None;
        }
    }

    async fn hear(&mut self, patience: Duration) -> Result<Option<Vec<u8>>, PairError> {
        let Some(link) = &mut self.link else {
            return match self.connect().await {
                Ok(()) => Ok(None),
                Err(PairError::Road(RoadError::Link(
                    failure @ (LinkFailure::Connect(_) | LinkFailure::Link(_) | LinkFailure::Closed),
                ))) => {
                    if self.cut.get_or_insert_with(Instant::now).elapsed() >= self.cut_for {
                        return Err(PairError::Cut(Some(Box::new(failure))));
                    }
                    tokio::time::sleep(self.backoff.after_failure_now()).await;
                    Ok(None)
                }
                Err(error) => Err(error),
            };
        };
        let heard = tokio::select! {
            frame = link.frame() => frame,
            () = tokio::time::sleep(patience) => return Ok(None),
        };
        match heard.map(|frame| Message::decode(&frame)) {
            Ok(Ok(Message::Pass(word))) => Ok(Some(word.into_vec())),
            Ok(Ok(Message::Sorry(reason))) => Err(LinkFailure::Refused(reason).into()),
            Ok(_) => Ok(None),
            Err(_) => {
                self.link = None;
                Ok(None)
            }
        }
    }
}

/// A link between the two, which the guest dials again whenever it breaks.
#[derive(Debug)]
pub(crate) struct NearRoom {
    /// The ticket's.
    key: Arc<DiscoveryKey>,
    link: Option<Link>,
    side: Side,
}

#[derive(Debug)]
enum Side {
    Host(Door),
    Guest { places: Vec<PeerAddress>, backoff: Backoff, cut: Option<Instant> },
}

impl NearRoom {
    /// The host's, at a door to which the ticket's guest comes, or has come.
    pub(crate) fn of_host(mut door: Door, ticket: &Ticket, link: Option<Link>) -> Self {
        let key = Arc::new(ticket.discovery());
        if link.is_some() {
            door.recognise(Arc::clone(&key));
        }
        Self { key, link, side: Side::Host(door) }
    }

    /// The guest's, over a link to the first of these places.
    pub(crate) fn of_guest(places: Vec<PeerAddress>, ticket: &Ticket, link: Link) -> Self {
        let side = Side::Guest { places, backoff: Backoff::new(), cut: None };
        Self { key: Arc::new(ticket.discovery()), link: Some(link), side }
    }

    async fn say(&mut self, frame: Vec<u8>) {
        if let Some(link) = &mut self.link
            && link.send(frame).await.is_err()
        {
            self.link = None;
        }
    }

    async fn hear(&mut self, patience: Duration) -> Result<Option<Vec<u8>>, PairError> {
        let Self { key, link, side } = self;
        let frame = match (side, &mut *link) {
            (Side::Guest { places, backoff, cut }, None) => {
                match dial_with_ticket(places, key).await {
                    Ok((dialled, _)) => {
                        *link = Some(dialled);
                        *cut = None;
                        backoff.reset();
                    }
                    Err(_) if cut.get_or_insert_with(Instant::now).elapsed() >= CUT_FOR => {
                        return Err(PairError::PartnerLeft);
                    }
                    Err(_) => tokio::time::sleep(backoff.after_failure_now()).await,
                }
                return Ok(None);
            }
            (Side::Guest { .. }, Some(link)) => tokio::select! {
                frame = link.recv() => frame,
                () = tokio::time::sleep(patience) => return Ok(None),
            },
            (Side::Host(door), open) => {
                let said = async {
                    match open {
                        Some(link) => link.recv().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    frame = said => frame,
                    came = door.knock() => {
                        // Who comes again has lost the link of before, even if that is not known here yet.
                        if let Some(again) = let_in(came, key).await {
                            *link = Some(again);
                        }
                        return Ok(None);
                    }
                    () = tokio::time::sleep(patience) => return Ok(None),
                }
            }
        };
        match frame {
            Ok(Some(frame)) => Ok(Some(frame).filter(|frame| frame.len() <= MAX_PASS)),
            _ => {
                *link = None;
                Ok(None)
            }
        }
    }
}

/// So many words that were said twice are passed over at most.
const REPEATED: usize = 64;
/// How long a way may be away in the middle before a pairing by code, or on a link of their own, is given up.
const CUT_FOR: Duration = Duration::from_secs(20);
