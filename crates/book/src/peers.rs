//! Meeting other devices with no relay in between.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use ties_engine::{
    ConversationError, DialError, Doors, FolderNews, NearDoor, News, PEER_PORT, PeerAddress, PeerEvent, PeerFailure,
    PeerNews, PeerReport, PeerRoads, PeerWatchError, RelayAddress, SyncEvent,
};

use crate::api::{Answer, BookError, ErrorKind, Event, Face, Guest, Nearby, PeerSync, Reply, SyncReport};
use crate::book::Book;
use crate::engine::fault;
use crate::network::in_one_line;

impl Book {
    /// Exchanges everything with whom is named, or with every relay, folder and device that there is: all at once.
    pub(crate) async fn meet(&self, nearby: &Nearby, face: &mut dyn Face) -> Result<SyncReport, BookError> {
        let addresses = addresses(&nearby.peers)?;
        let is_named = !nearby.peers.is_empty() || !nearby.folders.is_empty();
        let has_roads =
            !self.space.roads().map_err(fault)?.is_empty() || !self.space.standing_folders().map_err(fault)?.is_empty();
        let shared = Shared(Mutex::new(face));
        let roads = async {
            match (nearby.folders.is_empty(), is_named || !has_roads) {
                (false, _) => self.sync_folders(&nearby.folders, &mut &shared).await,
                (true, false) => self.sync(&mut &shared).await,
                (true, true) => Ok(SyncReport::default()),
            }
        };
        let peers = self.space.sync_peers(&addresses, nearby.lan && !is_named, |event| tell(&shared, event));
        let (roads, peers) = tokio::join!(roads, peers);
        let (roads, peers) = (roads?, peers.map_err(fault)?);
        if roads.relays.is_empty() && peers.is_empty() {
            return Err(no_road());
        }
        // A device may bring what the roads did not.
        self.tell_newcomers(&mut &shared)?;
        self.tell_logs(&mut &shared)?;
        if roads.relays.is_empty() {
            // With relays it was done in between, so that they have what came of it.
            self.space.tend_checkpoints().map_err(fault)?;
        }
        let report = SyncReport { devices: peers.into_iter().map(report).collect(), ..roads };
        self.and_guests(report, shared.0.into_inner().unwrap_or_else(PoisonError::into_inner)).await
    }

    /// Stays in touch with every relay and folder, with devices that are met directly, and with those that come.
    pub(crate) async fn watch(&self, nearby: &Nearby, face: &mut dyn Face) -> Result<Reply, BookError> {
        let listen = nearby.listen.as_deref().map(listening_place).transpose()?;
        let roads = PeerRoads { dial: addresses(&nearby.peers)?, listen, lan: nearby.lan };
        let has_relays = !self.space.roads().map_err(fault)?.is_empty();
        let has_folders = !self.space.standing_folders().map_err(fault)?.is_empty();
        if !nearby.waits && !has_relays && !has_folders && roads == PeerRoads::default() {
            return Err(no_road());
        }
        let shared = Shared(Mutex::new(face));
        let relays = async { self.watch_relays(&mut &shared).await };
        let folders = async {
            let watched = |event| {
                let received = matches!(event, SyncEvent::Folder(_, FolderNews::Received { .. }));
                self.tell(&mut &shared, event);
                if received {
                    let _ = self.tell_newcomers(&mut &shared);
                    let _ = self.tell_logs(&mut &shared);
                    let _ = self.tell_conflicts(&mut &shared);
                }
            };
            self.space.watch_folders(watched).await.map_err(fault)
        };
        let peers = async {
            let watched = |event: PeerEvent| {
                let received = matches!(event.news, PeerNews::News(News::Received { .. }));
                tell(&shared, event);
                if received {
                    // What cannot be read now is told by the next command.
                    let _ = self.tell_newcomers(&mut &shared);
                    let _ = self.tell_logs(&mut &shared);
                    let _ = self.tell_conflicts(&mut &shared);
                }
            };
            self.space.watch_peers(&roads, watched).await.map_err(|error| unheard(&roads, error))
        };
        // Either goes on until the request is dropped, or has nothing to do, or cannot begin.
        let network = async {
            ties_engine::watch_network().await;
            Ok(())
        };
        tokio::try_join!(relays, folders, peers, network)?;
        Err(BookError::new(ErrorKind::Failed, "watching ended by itself"))
    }
}

/// One face for two who speak in turns.
struct Shared<'f>(Mutex<&'f mut dyn Face>);

impl Face for &Shared<'_> {
    fn event(&mut self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).event(event);
    }

    fn listens(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).listens()
    }

    // A sync lets nobody in.
    fn confirm(&mut self, _: Guest) -> Answer<'_> {
        Box::pin(std::future::ready(false))
    }
}

pub(crate) fn addresses(peers: &[String]) -> Result<Vec<PeerAddress>, BookError> {
    let parse = |peer: &String| {
        peer.parse().map_err(|_| {
            BookError::new(ErrorKind::Usage, format!("{peer:?} is no address of a device"))
                .hint("write HOST or HOST:PORT, as in 192.168.1.5:7701 or laptop.local; IPv6 in brackets")
        })
    };
    peers.iter().map(parse).collect()
}

/// Where a new device may come.
pub(crate) fn doors(relay: Option<String>, lan: bool, listen: Option<&str>) -> Result<Doors, BookError> {
    // The one spelling under which the address is kept.
    let relay = relay.map(|url| url.trim().parse::<RelayAddress>().map_or(url, |url| url.to_string()));
    let listen = listen.map(listening_place).transpose()?;
    let near = (lan || listen.is_some()).then_some(NearDoor { listen, announce: lan });
    Ok(Doors { relay, near })
}

/// Where to listen: an address and a port, a port alone, or nothing.
fn listening_place(text: &str) -> Result<SocketAddr, BookError> {
    let everywhere = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let text = text.trim();
    if text.is_empty() {
        return Ok(everywhere(PEER_PORT));
    }
    let place = text.parse::<SocketAddr>().ok();
    let place = place.or_else(|| text.parse::<IpAddr>().ok().map(|address| SocketAddr::from((address, PEER_PORT))));
    let place = place.or_else(|| text.trim_start_matches(':').parse::<u16>().ok().map(everywhere));
    place.ok_or_else(|| {
        BookError::new(ErrorKind::Usage, format!("{text:?} is no address to listen at"))
            .hint("write an address of this machine and a port, as in 192.168.1.5:7701, or a port alone")
    })
}

fn unheard(roads: &PeerRoads, error: PeerWatchError) -> BookError {
    match error {
        PeerWatchError::Fault(error) => fault(error),
        error => {
            let place = roads.listen.map_or_else(String::new, |place| format!(" at {place}"));
            BookError::new(ErrorKind::Failed, format!("cannot listen{place}"))
                .caused_by(in_one_line(&error))
                .hint("is another ties listening there? --listen PORT takes another port")
        }
    }
}

fn no_road() -> BookError {
    BookError::new(ErrorKind::Failed, "there is nobody to sync with")
        .hint("ties relay add URL, ties sync --folder DIR, or with ties sync --listen on another device: ties sync --peer HOST")
}

fn tell(shared: &Shared<'_>, event: PeerEvent) {
    if let Some(event) = said(event) {
        (&mut &*shared).event(event);
    }
}

/// What a step is to the user.
fn said(event: PeerEvent) -> Option<Event> {
    let PeerEvent { device, address, news } = event;
    let url = shown(device.as_deref(), &address);
    Some(match news {
        PeerNews::Listening => Event::Listening { address },
        PeerNews::Connected => Event::Connected { url },
        PeerNews::Lost(reason, pause) => {
            let retry_ms = pause.and_then(|pause| u64::try_from(pause.as_millis()).ok());
            Event::Disconnected { url, reason, retry_ms }
        }
        PeerNews::News(News::Received { entries, .. }) => Event::Exchanged { url, sent: 0, received: entries as u64 },
        PeerNews::News(News::Acknowledged { entries: 0 } | News::Forked { .. } | News::Alert(_)) => return None,
        PeerNews::News(News::Acknowledged { entries }) => Event::Exchanged { url, sent: entries as u64, received: 0 },
        PeerNews::News(News::Settled) => Event::UpToDate { url },
        PeerNews::News(News::Refused { reason, .. }) => {
            Event::Notice { text: format!("{url} takes nothing more of a device's log: {reason}") }
        }
    })
}

/// A device and where it is.
fn shown(device: Option<&str>, address: &str) -> String {
    device.map_or_else(|| address.to_owned(), |device| format!("{device} ({address})"))
}

pub(crate) fn report(report: PeerReport) -> PeerSync {
    let PeerReport { device, address, outcome } = report;
    match outcome {
        Ok(tally) => PeerSync {
            device,
            address,
            sent: tally.entries_sent as u64,
            received: tally.entries_received as u64,
            bytes_out: tally.bytes_sent as u64,
            bytes_in: tally.bytes_received as u64,
            error: tally.refusal.map(|reason| format!("the other device takes no more: {reason}")),
            hint: None,
        },
        Err(error) => PeerSync {
            device,
            address,
            hint: help(&error).map(str::to_owned),
            error: Some(in_one_line(&error)),
            ..PeerSync::default()
        },
    }
}

/// What helps when a device cannot be met.
fn help(error: &PeerFailure) -> Option<&'static str> {
    match error {
        PeerFailure::Dial(DialError::NotRecognised | DialError::Stranger(_)) => {
            Some("is that a device of this network? ties device list shows them; ties device add pairs one")
        }
        PeerFailure::Dial(_) => Some("on the other device: ties sync --listen"),
        PeerFailure::ShutOut(_) => Some("what this device holds stays here; ties status says more"),
        PeerFailure::Outsider(_) | PeerFailure::Conversation(ConversationError::Outsider(_)) => {
            Some("it was given nothing; ties status names the devices that were shut out")
        }
        PeerFailure::NotKnownHere => Some("sync with the device that let it in, then with this one"),
        PeerFailure::NotKnownThere => Some("sync with the device that let this one in, then with that one"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_to_listen_at_may_be_a_port_an_address_both_or_none() {
        let place = |text| listening_place(text).map(|place| place.to_string());
        assert_eq!(place("").unwrap(), "[::]:7701");
        assert_eq!(place("9000").unwrap(), "[::]:9000");
        assert_eq!(place(":9000").unwrap(), "[::]:9000");
        assert_eq!(place("127.0.0.1").unwrap(), "127.0.0.1:7701");
        assert_eq!(place("127.0.0.1:0").unwrap(), "127.0.0.1:0");
        assert_eq!(place("[::1]:9").unwrap(), "[::1]:9");
        for bad in ["laptop", "1.2.3", "99999", "1.2.3.4:x"] {
            assert_eq!(listening_place(bad).unwrap_err().kind, ErrorKind::Usage, "{bad}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_device_is_a_fault_of_usage() {
        assert_eq!(addresses(&["laptop.local".into()]).unwrap()[0].to_string(), "laptop.local:7701");
        for bad in ["", "a b", "ties://key@host:1", "host:0"] {
            assert_eq!(addresses(&[bad.into()]).unwrap_err().kind, ErrorKind::Usage, "{bad}");
        }
    }
}
