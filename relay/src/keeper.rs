//! The one thread that has the database: it takes what came in, commits once, and only then lets answers go.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand_core::UnwrapErr;
use ties_fault::{Point, pass};
use ties_net::ClosingReason;
use ties_sealed_log::{Pseudonym, hash};
use ties_store::{Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tracing::{debug, trace, warn};

use crate::connection::ConnectionId;
use crate::metrics::{Measured, Work};
use crate::origin::Origin;
use crate::relay::{Input, Output, Relay};
use crate::stored::Batch;

/// What the sockets have for the keeper.
pub(crate) enum Job {
    /// A connection is up.
    Opened(ConnectionId, Input, Outlet),
    /// A frame came; the permits go back when it is dealt with.
    Frame(ConnectionId, Vec<u8>, [OwnedSemaphorePermit; 2]),
    /// A connection is no more.
    Closed(ConnectionId),
    /// Somebody wants to know how things stand.
    Measure(oneshot::Sender<Measured>),
    /// The relay stops.
    Stop,
}

/// What the keeper has for a connection.
pub(crate) enum Word {
    /// Send this.
    Frame(Vec<u8>),
    /// End, for this reason.
    Close(ClosingReason),
}

/// The way to one connection.
pub(crate) struct Outlet {
    pub(crate) words: mpsc::UnboundedSender<Word>,
    /// Bytes that wait in `words`.
    pub(crate) backlog: Arc<AtomicUsize>,
    /// Until when nothing is to be read from it.
    pub(crate) pause: watch::Sender<Instant>,
    /// Cuts it off at once, whatever waits.
    pub(crate) cut: oneshot::Sender<()>,
    /// Its place among those who have proved nothing.
    pub(crate) stranger: Option<Stranger>,
}

/// The relay with its database and its connections.
pub(crate) struct Keeper {
    relay: Relay,
    store: Store,
    clock: Clock,
    outlets: BTreeMap<ConnectionId, Outlet>,
    labels: Labels,
    backlog: usize,
    work: Work,
}

impl Keeper {
    pub(crate) fn new(relay: Relay, store: Store, clock: Clock, salt: [u8; 16], backlog: usize) -> Self {
        let labels = Labels { salt, known: BTreeMap::new() };
        Self { relay, store, clock, outlets: BTreeMap::new(), labels, backlog, work: Work::default() }
    }

    /// Works until it is told to stop, or the database fails.
    pub(crate) fn run(mut self, jobs: &Receiver<Job>) -> Result<(), StoreError> {
        loop {
            let first = match self.relay.deadline() {
                None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(deadline) => jobs.recv_timeout(deadline.saturating_sub(self.clock.now())),
            };
            let stopped = match first {
                Ok(first) => self.batch(Some(first), jobs)?,
                Err(RecvTimeoutError::Timeout) => self.batch(None, jobs)?,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if stopped {
                for (_, outlet) in std::mem::take(&mut self.outlets) {
                    let _ = outlet.words.send(Word::Close(ClosingReason::GoingAway));
                }
                return Ok(());
            }
        }
    }

    /// Deals with everything that has come in by now, within one transaction.
    fn batch(&mut self, first: Option<Job>, jobs: &Receiver<Job>) -> Result<bool, StoreError> {
        let mut batch = Batch::begin(&self.store)?;
        let (mut outputs, mut stopped, mut bytes) = (Vec::new(), false, 0);
        // The permits of these frames go back only after the commit: the disk sets the pace.
        let mut permits = Vec::new();
        for job in first.into_iter().chain(jobs.try_iter().take(BATCH)) {
            let (id, input) = match job {
                Job::Opened(id, input, outlet) => {
                    self.outlets.insert(id, outlet);
                    (id, input)
                }
                Job::Frame(id, frame, held) => {
                    trace!(connection = self.labels.of(id), bytes = frame.len(), "a frame");
                    bytes += frame.len();
                    permits.push(held);
                    (id, Input::Frame(frame))
                }
                Job::Closed(id) => {
                    self.outlets.remove(&id);
                    self.labels.known.remove(&id);
                    (id, Input::Closed)
                }
                Job::Measure(answer) => {
                    let (counts, census) = (self.relay.counts().clone(), self.relay.census());
                    let _ = answer.send(Measured { counts, census, work: self.work.clone() });
                    continue;
                }
                Job::Stop => {
                    stopped = true;
                    break;
                }
            };
            let rng = &mut UnwrapErr(getrandom::SysRng);
            outputs.extend(self.relay.handle(self.clock.now(), id, input, &mut batch, rng)?);
            if bytes > BATCH_BYTES {
                break;
            }
        }
        let now = self.clock.now();
        if self.relay.deadline().is_some_and(|deadline| deadline <= now) {
            outputs.extend(self.relay.tick(now, &mut batch)?);
        }
        outputs.extend(self.relay.finish(now, &mut batch)?);
        self.work.frames_received += permits.len() as u64;
        self.work.bytes_received += bytes as u64;
        let (writes, began) = (batch.has_written(), Instant::now());
        batch.commit()?;
        if writes {
            pass(Point::RelayKept);
            self.work.commits.add(permits.len() as u64);
            self.work.commit_time += began.elapsed();
        }
        for output in outputs {
            self.carry_out(output);
        }
        Ok(stopped)
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send(id, frame) => self.send(id, frame),
            Output::Proven(id, pseudonym) => {
                self.labels.name(id, &pseudonym);
                debug!(connection = self.labels.of(id), "proved its key");
                if let Some(outlet) = self.outlets.get_mut(&id) {
                    outlet.stranger = None;
                }
            }
            Output::Pause(id, wait) => {
                if let Some(outlet) = self.outlets.get(&id) {
                    outlet.pause.send_replace(Instant::now() + wait);
                }
            }
            Output::Close(id, reason) => {
                debug!(connection = self.labels.of(id), ?reason, "closing");
                if let Some(outlet) = self.outlets.remove(&id) {
                    let _ = outlet.words.send(Word::Close(reason));
                }
            }
        }
    }

    fn send(&mut self, id: ConnectionId, frame: Vec<u8>) {
        let Some(outlet) = self.outlets.get(&id) else { return };
        let size = frame.len();
        let waiting = outlet.backlog.fetch_add(size, Ordering::Relaxed) + size;
        if waiting <= self.backlog {
            self.work.frames_sent += 1;
            self.work.bytes_sent += size as u64;
            let _ = outlet.words.send(Word::Frame(frame));
            return;
        }
        warn!(connection = self.labels.of(id), waiting, "reads too slowly and is cut off");
        self.work.cut += 1;
        if let Some(outlet) = self.outlets.remove(&id) {
            // Its task ends and reports that the connection is closed.
            let _ = outlet.cut.send(());
        }
    }
}

/// Names for log lines that cannot be traced to a pseudonym, nor from one run of the relay to another.
struct Labels {
    salt: [u8; 16],
    known: BTreeMap<ConnectionId, String>,
}

impl Labels {
    fn name(&mut self, id: ConnectionId, pseudonym: &Pseudonym) {
        let digest = hash("ties-relay/label", &[&self.salt, pseudonym.as_bytes()]);
        self.known.insert(id, digest[..4].iter().map(|byte| format!("{byte:02x}")).collect());
    }

    fn of(&self, id: ConnectionId) -> &str {
        self.known.get(&id).map_or("stranger", String::as_str)
    }
}

/// The time since 1970 that never goes back.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    at: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), at }
    }

    pub(crate) fn now(&self) -> Duration {
        self.at + self.started.elapsed()
    }
}

/// Counts connections that have proved nothing, by where they come from.
#[derive(Clone, Default)]
pub(crate) struct Strangers(Arc<Mutex<BTreeMap<Origin, usize>>>);

/// A place among the strangers, given back when dropped.
pub(crate) struct Stranger {
    strangers: Strangers,
    origin: Origin,
}

impl Strangers {
    /// A place for one from there, unless `limit` are there already.
    pub(crate) fn admit(&self, origin: Origin, limit: usize) -> Option<Stranger> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(origin).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Stranger { strangers: self.clone(), origin })
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut counts = self.strangers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.origin) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.origin);
            }
        }
    }
}

/// Jobs and bytes in one transaction at most, so that nobody waits long for others.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_counted_by_where_they_come_from() {
        let strangers = Strangers::default();
        let origin = |text: &str| Origin::from(text.parse::<std::net::IpAddr>().unwrap());
        let near: Vec<_> = (0..2).map(|_| strangers.admit(origin("10.0.0.1"), 2).unwrap()).collect();
        assert!(strangers.admit(origin("10.0.0.1"), 2).is_none());
        assert!(strangers.admit(origin("::ffff:10.0.0.1"), 2).is_none());
        assert!(strangers.admit(origin("10.0.0.2"), 2).is_some());
        let _far = strangers.admit(origin("2001:db8::1"), 1).unwrap();
        assert!(strangers.admit(origin("2001:db8::ffff:1"), 1).is_none());
        assert!(strangers.admit(origin("2001:db8:0:1::1"), 1).is_some());
        drop(near);
        assert!(strangers.admit(origin("10.0.0.1"), 2).is_some());
    }
}
