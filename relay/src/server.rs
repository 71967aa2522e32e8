//! A relay on real sockets and a real disk.

use std::fs::{File, TryLockError};
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::time::Duration;

use ties_net::{Acceptor, AddressError, CertificateError, RelayAddress, Scheme};
use ties_sealed_log::{RelayKey, RelaySecret};
use ties_store::{OpenError, Sharing, Store, StoreError};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::attend::Reception;
use crate::connection::ConnectionId;
use crate::keeper::{Clock, Job, Keeper, Strangers};
use crate::key_file::{self, KeyFileError};
use crate::limits::Limits;
use crate::metrics::{self, Door};
use crate::relay::{Identity, Relay};
use crate::stored::Batch;

/// How a relay is to be run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its folder: key and database.
    pub data: PathBuf,
    /// Whether anybody may make a mailbox, without an invite token.
    pub open: bool,
    /// Whether a proxy on another address ends TLS before it; then it speaks plain WebSocket anywhere.
    pub behind_proxy: bool,
    /// The names under which devices dial it, if only these are to be served; the first is the one it prints.
    pub hosts: Vec<String>,
    /// A certificate to answer with in place of the relay's own key, for `wss://` addresses.
    pub tls: Option<TlsFiles>,
    /// Where `/metrics` is to be had, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// Its bounds.
    pub limits: Limits,
}

impl Config {
    /// A relay in that folder which asks for invite tokens and is found under any name.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            open: false,
            behind_proxy: false,
            hosts: Vec::new(),
            tls: None,
            metrics: None,
            limits: Limits::default(),
        }
    }
}

/// A certificate chain and its private key, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The file with the chain, the relay's own certificate first.
    pub certificate: PathBuf,
    /// The file with the key.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Reads both files, as they are now.
    ///
    /// # Errors
    /// When they cannot be read or do not belong together.
    pub fn load(&self) -> Result<Acceptor, ServerError> {
        let read =
            |path: &Path| std::fs::read(path).map_err(|source| ServerError::TlsFile { path: path.to_owned(), source });
        let (chain, key) = (read(&self.certificate)?, Zeroizing::new(read(&self.key)?));
        Ok(Acceptor::certified(&chain, &key)?)
    }
}

/// Why a relay does not run, or not any longer.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Its database cannot be opened.
    #[error("the relay's database cannot be opened")]
    Open(#[from] OpenError),
    /// Its database failed. What was acknowledged is kept; start the relay again once there is room on the disk.
    #[error("the relay's database failed")]
    Store(#[from] StoreError),
    /// Its key cannot be read or made.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The certificate or its key cannot be read.
    #[error("cannot read {}", .path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The certificate or its key is not what it should be.
    #[error("the TLS certificate cannot be used")]
    Certificate(#[from] CertificateError),
    /// Another process serves this folder.
    #[error("another relay serves {}", .0.display())]
    Taken(PathBuf),
    /// It has no address that could be printed.
    #[error("the relay has no address that devices could use")]
    Address(#[from] AddressError),
    /// Nothing can listen where `/metrics` was to be had.
    #[error("cannot listen on {address} for /metrics")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The thread that has the database panicked, which is a bug.
    #[error("the relay's own thread ended without a word; this is a bug")]
    Panicked,
    /// The operating system refused.
    #[error("the operating system refused: {what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
}

/// A relay whose key and database are open.
pub struct Server {
    config: Config,
    secret: RelaySecret,
    pinned: Acceptor,
    certified: Option<Acceptor>,
    store: Store,
    name: [u8; 16],
    /// Held for as long as this lives, so that two relays never tell their devices different things.
    _lock: File,
}

impl Server {
    /// Opens the relay in a folder, or makes one there.
    ///
    /// # Errors
    /// Says what is missing, wrong or in the way.
    pub fn open(config: Config) -> Result<Self, ServerError> {
        // Before anything is made: a wrong path should leave nothing behind.
        let certified = config.tls.as_ref().map(TlsFiles::load).transpose()?;
        let store = Store::open_or_create(&config.data, Sharing::Processes)?;
        let lock = lock(&config.data)?;
        let seed = key_file::load_or_create(&config.data)?;
        let pinned = Acceptor::pinned(seed.expose())
            .map_err(|error| io("using the key for TLS", std::io::Error::other(error)))?;
        let mut batch = Batch::begin(&store)?;
        let name = batch.name(random()?)?;
        batch.commit()?;
        let secret = RelaySecret::from_secret(&seed);
        Ok(Self { config, secret, pinned, certified, store, name, _lock: lock })
    }

    /// The relay's public key.
    #[must_use]
    pub fn key(&self) -> RelayKey {
        self.secret.id()
    }

    /// The address by which devices reach it when it listens there: `ws://` on loopback, `wss://` behind a proxy,
    /// otherwise `ties://`.
    ///
    /// # Errors
    /// When a host that was configured is not one.
    pub fn address(&self, listening: SocketAddr) -> Result<RelayAddress, AddressError> {
        let ip = listening.ip().to_canonical().to_string();
        let host = self.config.hosts.first().map_or(ip.as_str(), String::as_str);
        let (scheme, host, port) = match (self.scheme(listening), self.config.hosts.is_empty()) {
            (Scheme::Loopback, _) => (Scheme::Loopback, ip.as_str(), listening.port()),
            // A proxy listens where browsers look.
            (Scheme::WebPki, false) if self.config.tls.is_none() => (Scheme::WebPki, host, 443),
            (scheme, _) => (scheme, host, listening.port()),
        };
        RelayAddress::new(scheme, host, port, self.key())
    }

    /// Serves until `shutdown` is there, then finishes what it has begun and says goodbye to everybody.
    ///
    /// # Errors
    /// When the database fails. Nothing was acknowledged that is not kept.
    pub async fn run(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let local = listener.local_addr().map_err(|error| io("asking for the listener's address", error))?;
        let metrics = match self.config.metrics {
            Some(address) => Some(listen_for_metrics(address).await?),
            None => None,
        };
        let (database, tls) = (self.config.data.join("database"), self.config.tls.clone());
        let mut renewal = Renewal::new(tls)?;
        let (reception, mut kept) = self.start(local)?;
        let serve = |listener| tokio::spawn(metrics::serve(listener, Arc::clone(&reception), database));
        let _watched = metrics.map(serve).map(Aborted);
        info!("listening");

        let mut shutdown = std::pin::pin!(shutdown);
        let mut attending = JoinSet::new();
        let mut next = 0;
        let ended = loop {
            tokio::select! {
                () = &mut shutdown => break None,
                failed = &mut kept => break Some(failed),
                Some(_) = attending.join_next(), if !attending.is_empty() => {}
                renewed = renewal.next() => {
                    if let Some(acceptor) = renewed {
                        *reception.acceptor.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
                    }
                }
                accepted = listener.accept() => {
                    let (tcp, from) = match accepted {
                        Ok(accepted) => accepted,
                        Err(error) => {
                            // Out of descriptors, most likely: others must end before one more can begin.
                            warn!(%error, "cannot accept a connection");
                            sleep(Duration::from_millis(100)).await;
                            continue;
                        }
                    };
                    let full = attending.len() >= reception.limits.connections;
                    let place = if full { None } else { reception.admit(from) };
                    let door = &reception.door;
                    let Some(stranger) = place else {
                        let turned = if full { &door.full } else { &door.crowded };
                        turned.fetch_add(1, Ordering::Relaxed);
                        reception.turn_away(tcp);
                        continue;
                    };
                    door.accepted.fetch_add(1, Ordering::Relaxed);
                    let (id, reception) = (ConnectionId(next), Arc::clone(&reception));
                    next += 1;
                    attending.spawn(async move { reception.attend(id, tcp, from, stranger).await });
                }
            }
        };
        drop(listener);
        let _ = reception.jobs.send(Job::Stop);
        let outcome = match ended {
            Some(outcome) => outcome,
            None => kept.await,
        };
        let _ = timeout(GOODBYE, async { while attending.join_next().await.is_some() {} }).await;
        attending.shutdown().await;
        info!("stopped");
        Ok(outcome.map_err(|_| ServerError::Panicked)??)
    }

    /// Starts the thread that has the database.
    fn start(self, local: SocketAddr) -> Result<(Arc<Reception>, Kept), ServerError> {
        let scheme = self.scheme(local);
        let Self { config, secret, pinned, certified, store, name, _lock: lock } = self;
        let (jobs, received) = mpsc::channel();
        let clock = Clock::start();
        let identity = Identity { secret, store: name, open: config.open };
        let relay = Relay::new(identity, config.limits.clone());
        let keeper = Keeper::new(relay, store, clock, random()?, config.limits.backlog);
        let (done, kept) = oneshot::channel();
        let work = move || {
            let outcome = keeper.run(&received);
            drop(lock);
            let _ = done.send(outcome);
        };
        std::thread::Builder::new()
            .name("ties-relay-keeper".to_owned())
            .spawn(work)
            .map_err(|error| io("starting a thread", error))?;
        let own = if scheme == Scheme::Pinned { pinned } else { Acceptor::plain() };
        let reception = Reception {
            acceptor: RwLock::new(certified.unwrap_or(own)),
            hosts: config.hosts,
            limits: config.limits,
            behind_proxy: config.behind_proxy,
            jobs,
            clock,
            strangers: Strangers::default(),
            door: Door::default(),
            regrets: Arc::new(Semaphore::new(REGRETS)),
            room: Arc::new(Semaphore::new(ROOM_KIB)),
        };
        Ok((Arc::new(reception), kept))
    }

    fn scheme(&self, listening: SocketAddr) -> Scheme {
        if self.config.tls.is_some() {
            return Scheme::WebPki;
        }
        match (self.config.behind_proxy, listening.ip().to_canonical().is_loopback()) {
            (true, false) => Scheme::WebPki,
            (true, true) if !self.config.hosts.is_empty() => Scheme::WebPki,
            (_, true) => Scheme::Loopback,
            (false, false) => Scheme::Pinned,
        }
    }
}

/// Reads the certificate anew whenever the operator says so, by SIGHUP.
struct Renewal {
    #[cfg(unix)]
    asked: Option<(TlsFiles, tokio::signal::unix::Signal)>,
}

#[cfg(unix)]
impl Renewal {
    /// Without a certificate SIGHUP is left as it is: it ends the program.
    fn new(tls: Option<TlsFiles>) -> Result<Self, ServerError> {
        use tokio::signal::unix::{SignalKind, signal};
        let asked = match tls {
            Some(files) => {
                let hangup = signal(SignalKind::hangup()).map_err(|error| io("listening for SIGHUP", error))?;
                Some((files, hangup))
            }
            None => None,
        };
        Ok(Self { asked })
    }

    /// The next certificate; `None` if it cannot be used, and the one there is goes on.
    async fn next(&mut self) -> Option<Acceptor> {
        let Some((files, hangup)) = &mut self.asked else { return std::future::pending().await };
        if hangup.recv().await.is_none() {
            return std::future::pending().await;
        }
        match files.load() {
            Ok(acceptor) => {
                info!("the certificate was read anew; it is for new connections");
                Some(acceptor)
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                warn!(%error, cause, "the new certificate cannot be used; the old one stays");
                None
            }
        }
    }
}

#[cfg(not(unix))]
impl Renewal {
    fn new(_tls: Option<TlsFiles>) -> Result<Self, ServerError> {
        Ok(Self {})
    }

    async fn next(&mut self) -> Option<Acceptor> {
        std::future::pending().await
    }
}

/// A task that ends with what it was started for.
struct Aborted(tokio::task::JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn listen_for_metrics(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| ServerError::Metrics { address, source })?;
    if !address.ip().is_loopback() {
        warn!(%address, "/metrics can be read by other machines");
    }
    let address = listener.local_addr().unwrap_or(address);
    info!("metrics at http://{address}/metrics");
    Ok(listener)
}

/// How the thread that has the database ended.
type Kept = oneshot::Receiver<Result<(), StoreError>>;

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("key", &self.key()).finish_non_exhaustive()
    }
}

/// Opens a relay, prints `ready <address>` on standard output and serves until `shutdown` is there.
///
/// # Errors
/// As [`Server::open`] and [`Server::run`].
pub async fn run(listener: TcpListener, config: Config, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
    let server = Server::open(config)?;
    let local = listener.local_addr().map_err(|error| io("asking for the listener's address", error))?;
    println!("ready {}", server.address(local)?);
    server.run(listener, shutdown).await
}

fn lock(data: &Path) -> Result<File, ServerError> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(data.join(LOCK)).map_err(|error| io("opening the lock file", error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ServerError::Taken(data.to_owned())),
        Err(TryLockError::Error(error)) => Err(io("locking the folder", error)),
    }
}

pub(crate) fn random() -> Result<[u8; 16], ServerError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| io("drawing random bytes", std::io::Error::other(error)))?;
    Ok(bytes)
}

fn io(what: &'static str, source: std::io::Error) -> ServerError {
    ServerError::Io { what, source }
}

const LOCK: &str = "serving.lock";
/// How many may be told at once that there is no place for them.
const REGRETS: usize = 64;
/// What may wait for the database: 64 MiB of frames.
const ROOM_KIB: usize = 64 << 10;
/// How long the last words to everybody may take.
const GOODBYE: Duration = Duration::from_secs(5);
