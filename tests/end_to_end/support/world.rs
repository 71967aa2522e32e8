//! A folder with devices and a relay in it, all gone with the test.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::device::Device;
use super::relay::Relay;

/// Where a test takes place.
pub(crate) struct World {
    folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A device that holds nothing yet.
    pub(crate) fn device(&self, name: &str) -> Device {
        Device::in_folder(self.path(name))
    }

    /// A device with a network of its own.
    pub(crate) fn started(&self, name: &str) -> Device {
        let device = self.device(name);
        device.run(&["init", "--name", name, "--no-recovery"]).ok();
        device
    }

    /// A running relay at which anybody may make a mailbox.
    pub(crate) fn open_relay(&self) -> Relay {
        self.relay(&["--open"])
    }

    /// Another running relay, with another key.
    pub(crate) fn second_relay(&self) -> Relay {
        let mut relay = Relay::in_folder(self.path("second relay"), &["--open"]);
        relay.start();
        relay
    }

    /// A running relay with these further words on its command line.
    pub(crate) fn relay(&self, words: &[&'static str]) -> Relay {
        let mut relay = Relay::in_folder(self.path("relay"), words);
        relay.start();
        relay
    }

    /// Two paired devices and the relay they share.
    pub(crate) fn pair(&self) -> (Device, Device, Relay) {
        let (laptop, phone, relay) = (self.started("laptop"), self.device("phone"), self.open_relay());
        laptop.run(&["relay", "add", relay.url()]).ok();
        pair(&laptop, &phone, "phone");
        (laptop, phone, relay)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Has a new device join by a code, at the relay of that address; gives the code.
#[track_caller]
pub(crate) fn pair_by_code(host: &Device, guest: &Device, name: &str, url: &str) -> String {
    let hosting = host.start(&["device", "add", "--yes"], "");
    let code = hosting.line("-");
    let joined = guest.run(&["device", "join", &code, "--relay", url, "--name", name]).ok();
    assert!(joined.out.contains(name), "{joined}");
    hosting.finish().ok();
    code
}

/// Hands a ticket from a device to a new one, which joins; gives the ticket.
#[track_caller]
pub(crate) fn pair(host: &Device, guest: &Device, name: &str) -> String {
    let hosting = host.start(&["device", "add", "--ticket", "--yes"], "");
    let ticket = hosting.line("ties1-");
    let joined = guest.run_with(&["device", "join", "-", "--name", name], &format!("{ticket}\n")).ok();
    assert!(joined.out.contains(name), "{joined}");
    hosting.finish().ok();
    ticket
}
