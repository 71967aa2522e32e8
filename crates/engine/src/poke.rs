//! A word between processes that share a database: something was committed.
//!
//! Whoever stays binds a datagram socket in the data folder; whoever commits sends one empty datagram to each. Nothing waits
//! for it and nothing depends on it. A process that dies between the two says nothing, but lets go of the database's file,
//! and that is heard too (on Linux). So nobody has to look into the database again and again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ties_store::Read as _;

use crate::space::{Inner, Space};

/// Where watchers listen.
#[derive(Debug)]
pub(crate) struct Pokes {
    folder: Option<PathBuf>,
    /// The names of the sockets of these pokes: they need not be told what this space itself commits.
    own: Own,
}

type Own = Arc<Mutex<BTreeSet<String>>>;

const FOLDER: &str = "watchers";

impl Pokes {
    pub(crate) fn of(data: Option<&Path>) -> Self {
        Self { folder: data.map(|data| data.join(FOLDER)), own: Own::default() }
    }

    fn own(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what other processes commit is heard here.
    pub(crate) fn are_heard(&self) -> bool {
        !self.own().is_empty()
    }
}

/// Hears what other processes commit, until dropped.
#[derive(Debug)]
pub(crate) struct Ears(tokio::task::JoinHandle<()>);

impl Drop for Ears {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Space {
    /// Wakes [`Self::changes`] whenever another process has written, for as long as the answer is held by somebody. `None`
    /// where that cannot be heard (a path longer than a socket's may be): then whoever watches has to look by itself.
    pub(crate) fn ears(&self) -> Option<Arc<Ears>> {
        let mut kept = self.inner.ears.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ears) = kept.upgrade() {
            return Some(ears);
        }
        let listener = self.inner.pokes.listen()?;
        let releases = self.inner.folder.as_deref().map(Releases::of);
        let mut serial = serial(&self.inner);
        let inner = Arc::downgrade(&self.inner);
        let task = tokio::spawn(async move {
            loop {
                let poked = tokio::select! {
                    () = listener.heard() => true,
                    () = released(releases.as_ref()) => false,
                };
                let Some(inner) = inner.upgrade() else { return };
                // Whoever merely reads lets go of the database as well.
                let now = self::serial(&inner);
                let moved = now.is_none() || std::mem::replace(&mut serial, now) != now;
                if poked || moved {
                    inner.noticed();
                }
            }
        });
        let ears = Arc::new(Ears(task));
        *kept = Arc::downgrade(&ears);
        Some(ears)
    }
}

fn serial(inner: &Inner) -> Option<u64> {
    inner.store.read().ok().and_then(|read| read.serial().ok())
}

async fn released(releases: Option<&Releases>) {
    match releases {
        Some(releases) => releases.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(unix)]
mod unix {
    use std::io::ErrorKind;
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    use std::os::unix::net::UnixDatagram;
    use std::path::PathBuf;
    use std::sync::PoisonError;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Own, Pokes};

    /// Tells several listeners of one process apart.
    static NEXT: AtomicU64 = AtomicU64::new(1);

    impl Pokes {
        /// Tells every watcher; forgets those that are gone.
        pub(crate) fn send(&self) {
            let Some(entries) = self.folder.as_ref().and_then(|folder| std::fs::read_dir(folder).ok()) else { return };
            let Ok(socket) = UnixDatagram::unbound() else { return };
            let _ = socket.set_nonblocking(true);
            let own = self.own().clone();
            for entry in entries.flatten() {
                if entry.file_name().to_str().is_some_and(|name| own.contains(name)) {
                    continue;
                }
                let sent = socket.send_to(&[], entry.path());
                if sent.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
                    let _ = std::fs::remove_file(entry.path());
                }
            }
        }

        /// The processes that listen. Asking is a poke, which does no harm.
        pub(crate) fn watchers(&self) -> Vec<u32> {
            let Some(entries) = self.folder.as_ref().and_then(|folder| std::fs::read_dir(folder).ok()) else {
                return Vec::new();
            };
            let Ok(socket) = UnixDatagram::unbound() else { return Vec::new() };
            let _ = socket.set_nonblocking(true);
            let listens = |path: &PathBuf| match socket.send_to(&[], path) {
                // One that has not read its pokes yet has a full queue.
                Err(error) => error.kind() == ErrorKind::WouldBlock,
                Ok(_) => true,
            };
            let living = entries.flatten().map(|entry| entry.path()).filter(listens);
            let process = |path: PathBuf| path.file_name()?.to_str()?.split('-').next()?.parse().ok();
            let mut processes: Vec<u32> = living.filter_map(process).collect();
            processes.sort_unstable();
            processes.dedup();
            processes
        }

        /// Listens for pokes, until dropped. `None` where that cannot be done (a path longer than a socket's may be).
        pub(crate) fn listen(&self) -> Option<Listener> {
            let folder = self.folder.as_ref()?;
            let made = std::fs::DirBuilder::new().mode(0o700).create(folder);
            if made.is_err_and(|error| error.kind() != ErrorKind::AlreadyExists) {
                return None;
            }
            let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = folder.join(&name);
            // A process of this number may have died here.
            let _ = std::fs::remove_file(&path);
            let socket = UnixDatagram::bind(&path).ok()?;
            let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600));
            socket.set_nonblocking(true).ok()?;
            let socket = tokio::net::UnixDatagram::from_std(socket).ok()?;
            self.own().insert(name.clone());
            Some(Listener { socket, path, name, own: self.own.clone() })
        }
    }

    /// Hears pokes.
    pub(crate) struct Listener {
        socket: tokio::net::UnixDatagram,
        path: PathBuf,
        name: String,
        own: Own,
    }

    impl Listener {
        /// Returns after the next poke, and takes all that came with it.
        pub(crate) async fn heard(&self) {
            let mut nothing = [0; 1];
            if self.socket.recv(&mut nothing).await.is_err() {
                std::future::pending::<()>().await;
            }
            while self.socket.try_recv(&mut nothing).is_ok() {}
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            self.own.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::future::pending;
    use std::path::Path;

    use rustix::fs::inotify;
    use tokio::net::unix::pipe::Receiver;

    /// Hears when a process that wrote the database, or could have, lets go of its file: by closing it, or by dying.
    pub(crate) struct Releases(Option<Receiver>);

    impl Releases {
        pub(crate) fn of(folder: &Path) -> Self {
            let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
            let watched = inotify::init(flags).and_then(|watch| {
                inotify::add_watch(&watch, ties_store::Store::file(folder), inotify::WatchFlags::CLOSE_WRITE)?;
                Ok(watch)
            });
            // It is read as a pipe is.
            Self(watched.ok().and_then(|watch| Receiver::from_owned_fd_unchecked(watch).ok()))
        }

        /// Returns after the next one, and takes all that came with it.
        pub(crate) async fn next(&self) {
            let Some(watch) = &self.0 else { return pending().await };
            if watch.readable().await.is_err() {
                return pending().await;
            }
            while watch.try_read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) {}
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::path::Path;
    use std::time::Duration;

    /// Nothing tells of it here, so it is looked now and then whether somebody died without a word.
    pub(crate) struct Releases;

    impl Releases {
        pub(crate) fn of(_: &Path) -> Self {
            Self
        }

        pub(crate) async fn next(&self) {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }
}

#[cfg(not(unix))]
mod other {
    use super::Pokes;

    impl Pokes {
        pub(crate) fn send(&self) {}

        pub(crate) fn watchers(&self) -> Vec<u32> {
            Vec::new()
        }

        pub(crate) fn listen(&self) -> Option<Listener> {
            None
        }
    }

    pub(crate) struct Listener;

    impl Listener {
        pub(crate) async fn heard(&self) {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(target_os = "linux"))]
use elsewhere::Releases;
#[cfg(target_os = "linux")]
use linux::Releases;
#[cfg(not(unix))]
use other::Listener;

#[cfg(all(test, unix))]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::{CreateOptions, Environment};

    fn space(folder: &Path) -> Space {
        let options = CreateOptions { device_name: "laptop".into(), recovery: false };
        Space::create(folder, (), &options, Environment::system()).expect("a new space").0
    }

    fn write(space: &Space) {
        let id = crate::DocumentId([7; 16]);
        space
            .write(|edit| {
                edit.change(id, |list| {
                    use automerge::transaction::Transactable as _;
                    list.put(automerge::ROOT, "n", space.now() as i64).map_err(crate::EditError::from)
                })
            })
            .expect("a durable write");
    }

    #[tokio::test]
    async fn two_that_watch_in_one_process_both_hear_a_third_and_each_other_and_not_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("data");
        let first = space(&home);
        let open = || Space::open(&home, (), Environment::system()).unwrap();
        let (second, writer) = (open(), open());
        let (_one, _two) = (first.ears().unwrap(), second.ears().unwrap());
        assert!(first.inner.pokes.are_heard() && !writer.inner.pokes.are_heard());
        assert_eq!(first.inner.pokes.watchers(), [std::process::id()]);
        let mut changes = [first.changes(), second.changes()];
        for change in &mut changes {
            // Asking who listens was a poke.
            let _ = timeout(Duration::from_millis(200), change.changed()).await;
        }
        write(&writer);
        for change in &mut changes {
            timeout(Duration::from_secs(5), change.changed()).await.unwrap().unwrap();
        }
        write(&first);
        timeout(Duration::from_secs(5), changes[1].changed()).await.unwrap().unwrap();
        changes[0].changed().await.unwrap();
        assert!(timeout(Duration::from_millis(100), changes[0].changed()).await.is_err(), "told of its own twice");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_was_committed_without_a_word_is_heard_when_its_writer_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("data");
        let watching = space(&home);
        let _ears = watching.ears().unwrap();
        let mut changes = watching.changes();
        {
            // As a process that is killed right after its commit: nobody is poked.
            let writer = ties_store::Store::open(&home, ties_store::Sharing::Processes).unwrap();
            let mut transaction = writer.write().unwrap();
            transaction.put(ties_store::Table::SETTINGS, b"test", b"x").unwrap();
            transaction.commit().unwrap();
        }
        timeout(Duration::from_secs(5), changes.changed()).await.unwrap().unwrap();
    }
}
