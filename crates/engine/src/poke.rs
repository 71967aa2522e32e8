//! A word between processes that share a database: something was committed.
//!
//! Whoever watches binds a datagram socket in the data folder; whoever commits sends one empty datagram to each.
//! Nothing waits for it and nothing depends on it: a watcher also looks by itself now and then.

use std::path::{Path, PathBuf};

/// Where watchers listen.
#[derive(Debug)]
pub(crate) struct Pokes {
    folder: Option<PathBuf>,
}

const FOLDER: &str = "watchers";

impl Pokes {
    pub(crate) fn of(data: Option<&Path>) -> Self {
        Self { folder: data.map(|data| data.join(FOLDER)) }
    }
}

#[cfg(unix)]
mod unix {
    use std::io::ErrorKind;
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    use std::os::unix::net::UnixDatagram;
    use std::path::PathBuf;

    use super::Pokes;

    impl Pokes {
        /// Tells every watcher; forgets those that are gone.
        pub(crate) fn send(&self) {
            let Some(entries) = self.folder.as_ref().and_then(|folder| std::fs::read_dir(folder).ok()) else { return };
            let Ok(socket) = UnixDatagram::unbound() else { return };
            let _ = socket.set_nonblocking(true);
            let own = std::process::id().to_string();
            for path in entries.flatten().filter(|entry| *entry.file_name() != *own).map(|entry| entry.path()) {
                let sent = socket.send_to(&[], &path);
                if sent.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
                    let _ = std::fs::remove_file(path);
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
            living.filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect()
        }

        /// Listens for pokes, until dropped. `None` where that cannot be done (a path longer than a socket's may be).
        pub(crate) fn listen(&self) -> Option<Listener> {
            let folder = self.folder.as_ref()?;
            let made = std::fs::DirBuilder::new().mode(0o700).create(folder);
            if made.is_err_and(|error| error.kind() != ErrorKind::AlreadyExists) {
                return None;
            }
            let path = folder.join(std::process::id().to_string());
            let _ = std::fs::remove_file(&path);
            let socket = UnixDatagram::bind(&path).ok()?;
            let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600));
            socket.set_nonblocking(true).ok()?;
            let socket = tokio::net::UnixDatagram::from_std(socket).ok()?;
            Some(Listener { socket, path })
        }
    }

    /// Hears pokes.
    pub(crate) struct Listener {
        socket: tokio::net::UnixDatagram,
        path: PathBuf,
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
            let _ = std::fs::remove_file(&self.path);
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

#[cfg(not(unix))]
pub(crate) use other::Listener;
#[cfg(unix)]
pub(crate) use unix::Listener;
