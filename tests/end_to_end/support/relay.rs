//! A relay's process, which can be stopped, killed, wiped and started again.

use std::cell::RefCell;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::binaries;
use super::process::{Ran, Running, Signal};

/// A relay: its folder, and its process while it runs.
pub(crate) struct Relay {
    data: PathBuf,
    words: Vec<&'static str>,
    running: Option<(Running, String)>,
    /// Everything it ever wrote to its two streams.
    said: RefCell<String>,
}

impl Relay {
    /// A relay that was not started yet, with these further words on its command line.
    pub(super) fn in_folder(data: PathBuf, words: &[&'static str]) -> Self {
        Self { data, words: words.to_vec(), running: None, said: RefCell::default() }
    }

    /// Its folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Starts it, at any free port.
    pub(crate) fn start(&mut self) {
        let mut command = Command::new(binaries::ties_relay());
        command.env_clear();
        self.start_as(command);
    }

    /// Starts it so that it is killed at a point (see `ties_fault`).
    pub(crate) fn start_mortal(&mut self, point: &str) {
        let mut command = Command::new(binaries::mortal_relay());
        command.env_clear().env(ties_fault::AT, point);
        self.start_as(command);
    }

    fn start_as(&mut self, mut command: Command) {
        assert!(self.running.is_none(), "it runs already");
        // The most that it can be asked to tell.
        command.env("RUST_LOG", "trace");
        command.args(["--listen", "127.0.0.1:0"]).args(&self.words).arg("--data").arg(&self.data);
        let running = Running::start(command, "");
        let ready = running.line("ready ");
        self.running = Some((running, ready["ready ".len()..].to_owned()));
    }

    /// Its address as it printed it, key and all.
    pub(crate) fn url(&self) -> &str {
        &self.running.as_ref().expect("a relay that runs").1
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> SocketAddr {
        let location = self.url().trim_start_matches("ws://");
        location.split('#').next().and_then(|location| location.parse().ok()).expect("a socket's address")
    }

    /// Asks it to stop, and sees that it does so in good order.
    pub(crate) fn stop(&mut self) {
        let (running, _) = self.running.take().expect("a relay that runs");
        running.signal(Signal::TERM);
        self.ended(running.finish().ok());
    }

    /// Ends it as a power failure would.
    pub(crate) fn kill(&mut self) {
        let (running, _) = self.running.take().expect("a relay that runs");
        self.ended(running.kill());
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.running.as_mut().is_none_or(|(running, _)| running.has_ended())
    }

    /// Loses everything but the key that its address names, as after a restored backup of that key alone.
    pub(crate) fn wipe_store(&self) {
        for file in ["database", "key"] {
            fs::remove_file(self.data.join(file)).expect("a removed file");
        }
    }

    /// Everything it ever wrote to its two streams.
    pub(crate) fn said(&self) -> String {
        let mut said = self.said.borrow().clone();
        if let Some((running, _)) = &self.running {
            said.push_str(&running.said());
        }
        said
    }

    /// Makes an invite token, as its operator does.
    pub(crate) fn token(&self) -> String {
        let mut command = Command::new(binaries::ties_relay());
        command.env_clear().args(["token", "new", "--uses", "1", "--data"]).arg(&self.data);
        Running::start(command, "").finish().ok().out.trim().to_owned()
    }

    fn ended(&self, ran: Ran) {
        let mut said = self.said.borrow_mut();
        said.push_str(&ran.out);
        said.push_str(&ran.err);
    }
}
