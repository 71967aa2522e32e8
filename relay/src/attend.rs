//! What one connection's task does: bring it up, carry frames both ways, end it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ties_net::{Accepted, Acceptor, ClosingReason, LinkReader, LinkWriter};
use ties_sync::Channel;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout};
use tracing::debug;

use crate::connection::ConnectionId;
use crate::keeper::{Clock, Job, Outlet, Stranger, Strangers, Word};
use crate::limits::Limits;
use crate::metrics::Door;
use crate::origin::Origin;
use crate::relay::Input;

/// What all connections share.
pub(crate) struct Reception {
    /// Exchanged when the certificate is.
    pub(crate) acceptor: RwLock<Acceptor>,
    pub(crate) hosts: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) behind_proxy: bool,
    pub(crate) jobs: Sender<Job>,
    pub(crate) clock: Clock,
    pub(crate) strangers: Strangers,
    pub(crate) door: Door,
    /// How many may be told at once that there is no place for them.
    pub(crate) regrets: Arc<Semaphore>,
    /// KiB of frames that may wait for the keeper, from all connections together.
    pub(crate) room: Arc<Semaphore>,
}

impl Reception {
    /// A place for one more connection that has proved nothing, if its address has one left.
    pub(crate) fn admit(&self, from: SocketAddr) -> Option<Stranger> {
        // Behind a proxy every connection comes from the proxy.
        let limit = if self.behind_proxy { usize::MAX } else { self.limits.strangers_per_address };
        self.strangers.admit(Origin::from(from.ip()), limit)
    }

    /// Tells a connection for which there is no place that it may come again, where that costs nothing: without TLS.
    pub(crate) fn turn_away(&self, mut tcp: TcpStream) {
        let is_plain = self.acceptor.read().unwrap_or_else(PoisonError::into_inner).is_plain();
        let Some(place) = Arc::clone(&self.regrets).try_acquire_owned().ok().filter(|_| is_plain) else { return };
        tokio::spawn(async move {
            let regret = async {
                tcp.write_all(NO_PLACE).await?;
                tcp.shutdown().await?;
                // Dropping a socket with unread bytes resets it, and the answer might be lost.
                tokio::io::copy(&mut (&mut tcp).take(MAX_UNREAD), &mut tokio::io::sink()).await
            };
            let _ = timeout(Duration::from_secs(1), regret).await;
            drop(place);
        });
    }

    /// Attends to one connection until it ends.
    pub(crate) async fn attend(&self, id: ConnectionId, tcp: TcpStream, from: SocketAddr, stranger: Stranger) {
        let since = self.clock.now();
        let _ = tcp.set_nodelay(true);
        // In a box of its own, for what it takes to come up is more than what an idle connection needs ever after.
        let acceptor = self.acceptor.read().unwrap_or_else(PoisonError::into_inner).clone();
        let link = match Box::pin(acceptor.accept(tcp)).await {
            Ok(Accepted::Link(link)) => link,
            Ok(Accepted::HealthCheck) => return,
            Err(error) => {
                self.door.failed.fetch_add(1, Ordering::Relaxed);
                return debug!(%error, "a connection came to nothing");
            }
        };
        drop(acceptor);
        if !self.hosts.is_empty() && !self.hosts.iter().any(|host| host == link.host()) {
            self.door.failed.fetch_add(1, Ordering::Relaxed);
            debug!("a connection was made for another host");
            return link.close(ClosingReason::Refused).await;
        }

        let (words, mut waiting) = mpsc::unbounded_channel();
        let (pause, mut paused) = watch::channel(Instant::now());
        let (cut, was_cut) = oneshot::channel();
        let backlog = Arc::new(AtomicUsize::new(0));
        let outlet = Outlet { words, backlog: Arc::clone(&backlog), pause, cut, stranger: Some(stranger) };
        // Behind a proxy every connection comes from the proxy.
        let from = (!self.behind_proxy).then_some(from.ip());
        let channel = Channel { host: link.host().to_owned(), exporter: *link.exporter() };
        if self.jobs.send(Job::Opened(id, Input::Opened { channel, since, from }, outlet)).is_err() {
            return link.close(ClosingReason::GoingAway).await;
        }

        let (mut reader, mut writer) = link.split();
        let ended = tokio::select! {
            () = self.listen(id, &mut reader, &mut paused) => None,
            reason = self.speak(&mut writer, &mut waiting, &backlog) => reason,
            Ok(()) = was_cut => None,
        };
        let _ = self.jobs.send(Job::Closed(id));
        if let Some(reason) = ended {
            writer.close(reason).await;
            // Dropping a socket with unread bytes resets it, and the last words might be lost.
            let drain = async { while let Ok(Some(_)) = reader.recv().await {} };
            let _ = timeout(FAREWELL, drain).await;
        }
    }

    /// Hands frames to the keeper, no faster than it takes them.
    async fn listen(&self, id: ConnectionId, reader: &mut LinkReader, paused: &mut watch::Receiver<Instant>) {
        let own = Arc::new(Semaphore::new(IN_FLIGHT));
        loop {
            let until = *paused.borrow_and_update();
            sleep_until(until.into()).await;
            let Ok(place) = Arc::clone(&own).acquire_owned().await else { return };
            let frame = match reader.recv().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => return debug!(%error, "a connection ended"),
            };
            let size = u32::try_from(frame.len() / 1024 + 1).unwrap_or(u32::MAX);
            let Ok(room) = Arc::clone(&self.room).acquire_many_owned(size).await else { return };
            if self.jobs.send(Job::Frame(id, frame, [place, room])).is_err() {
                return;
            }
        }
    }

    /// Sends what the keeper has to say; gives why to end, or `None` if the link is dead.
    async fn speak(
        &self,
        writer: &mut LinkWriter,
        waiting: &mut mpsc::UnboundedReceiver<Word>,
        backlog: &AtomicUsize,
    ) -> Option<ClosingReason> {
        while let Some(word) = waiting.recv().await {
            match word {
                Word::Close(reason) => return Some(reason),
                Word::Frame(frame) => {
                    let size = frame.len();
                    timeout(self.limits.send_within, writer.send(frame)).await.ok()?.ok()?;
                    backlog.fetch_sub(size, Ordering::Relaxed);
                }
            }
        }
        // The keeper is gone.
        Some(ClosingReason::GoingAway)
    }
}

/// Frames of one connection that may wait for the keeper.
const IN_FLIGHT: usize = 8;
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const MAX_UNREAD: u64 = 8 << 10;
const FAREWELL: Duration = Duration::from_secs(2);
