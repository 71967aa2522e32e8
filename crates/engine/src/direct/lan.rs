//! Devices of the local network: announcing this one, and hearing others.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ties_net::{Announcement, LanCall, LanEars, LanHeard, PeerAddress};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use crate::direct::keys::{DiscoveryKeys, day};
use crate::records::Fault;
use crate::space::Space;

/// Announcements that are no news: this process's own, and those of devices that are being met.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heeded(Arc<Mutex<BTreeSet<[u8; 16]>>>);

impl Heeded {
    /// Heeds an announcement until dropped; `None` if it is heeded already, or too many are.
    fn heed(&self, nonce: [u8; 16]) -> Option<Heed> {
        let mut all = self.all();
        (all.len() < MOST_HEEDED && all.insert(nonce)).then(|| Heed { all: self.clone(), nonce })
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeSet<[u8; 16]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Heed {
    all: Heeded,
    nonce: [u8; 16],
}

impl Drop for Heed {
    fn drop(&mut self) {
        self.all.all().remove(&self.nonce);
    }
}

/// A device of the space that listens near by. While this lives, its announcement is no news.
#[derive(Debug)]
pub(crate) struct Near {
    pub(crate) places: Vec<PeerAddress>,
    _heed: Heed,
}

impl Space {
    /// Hands on where devices of the space listen on the local network, each once: until a time, or until nobody wants to
    /// know any more.
    pub(crate) async fn hear_lan(self, heeded: Heeded, until: Option<Instant>, found: mpsc::UnboundedSender<Near>) {
        let ears = match LanEars::open() {
            Ok(ears) => ears,
            // A machine without a network has nobody near.
            Err(error) => return tracing::debug!(%error, "nobody is looked for"),
        };
        loop {
            let heard = match until {
                Some(until) => match timeout_at(until, ears.next()).await {
                    Ok(heard) => heard,
                    Err(_) => return,
                },
                None => ears.next().await,
            };
            let LanHeard { call, addresses } = heard;
            let recognised = self.snapshot().and_then(|snapshot| DiscoveryKeys::load(&snapshot));
            if addresses.is_empty() || !recognised.is_ok_and(|keys| keys.hear(&call)) {
                continue;
            }
            let Some(heed) = heeded.heed(call.nonce) else { continue };
            let places = addresses.into_iter().map(|address| SocketAddr::from((address, call.port)).into());
            if found.send(Near { places: places.collect(), _heed: heed }).is_err() {
                return;
            }
        }
    }

    /// Announces that this device listens, under its newest key: anew each day, and whenever there is a newer key.
    pub(crate) async fn announce(&self, port: u16, heeded: &Heeded) -> Result<(), Fault> {
        let mut changes = self.changes();
        loop {
            let (call, epoch) = {
                let keys = DiscoveryKeys::load(&self.snapshot()?)?;
                let nonce = self.inner.environment().bytes();
                let Some(tag) = keys.call(&nonce, port) else { return Ok(()) };
                (LanCall { nonce, tag, port }, keys.newest())
            };
            // This device shall not dial itself.
            let _heed = heeded.heed(call.nonce);
            let today = day(self.now());
            let announcement = match Announcement::new(&call) {
                Ok(announcement) => announcement,
                Err(error) => {
                    tracing::debug!(%error, "this device is not announced");
                    return Ok(());
                }
            };
            while day(self.now()) == today && DiscoveryKeys::load(&self.snapshot()?)?.newest() == epoch {
                tokio::select! {
                    () = sleep(LOOK) => {}
                    _ = changes.changed() => {}
                }
            }
            drop(announcement);
        }
    }
}

/// How often it is looked whether a day has begun.
const LOOK: Duration = Duration::from_secs(60);
/// Announcements that are heeded at a time.
const MOST_HEEDED: usize = 64;
