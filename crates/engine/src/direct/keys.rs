//! The keys by which devices of the space recognise each other, one of each epoch.

use ties_net::LanCall;
use ties_sealed_log::{DiscoveryKey, EpochId};
use ties_store::Read;

use crate::author::keyring;
use crate::records::Fault;

/// The discovery keys that this device has, newest first.
pub(crate) struct DiscoveryKeys(Vec<(EpochId, DiscoveryKey)>);

impl DiscoveryKeys {
    pub(crate) fn load(read: &dyn Read) -> Result<Self, Fault> {
        Ok(Self(keyring(read)?.iter().map(|(id, _, key)| (*id, key.discovery())).collect()))
    }

    /// The key under which a name was made.
    pub(crate) fn of_name(&self, day: u64, name: &str) -> Option<&DiscoveryKey> {
        self.keys().find(|key| key.recognises(day, name))
    }

    /// The keys to try, one after the other, on a device that may have heard less: the newest ones, and the oldest, which
    /// every device was given.
    pub(crate) fn to_try(&self) -> impl Iterator<Item = &DiscoveryKey> {
        let oldest = self.keys().last().filter(|_| self.0.len() > NEWEST);
        self.keys().take(NEWEST).chain(oldest)
    }

    /// The epoch of the newest key.
    pub(crate) fn newest(&self) -> Option<EpochId> {
        self.0.first().map(|(id, _)| *id)
    }

    /// What this device announces at a port.
    pub(crate) fn call(&self, nonce: &[u8; 16], port: u16) -> Option<[u8; 8]> {
        self.keys().next().map(|key| key.call(nonce, port))
    }

    /// Whether a device of the space announces this.
    pub(crate) fn hear(&self, call: &LanCall) -> bool {
        self.keys().any(|key| key.hears(&call.nonce, call.port, &call.tag))
    }

    fn keys(&self) -> impl Iterator<Item = &DiscoveryKey> {
        self.0.iter().map(|(_, key)| key)
    }
}

/// Days since 1970.
pub(crate) fn day(now: u64) -> u64 {
    now / (24 * 60 * 60 * 1000)
}

/// A device that has heard of none of so many rotations is found by its oldest key.
const NEWEST: usize = 7;
