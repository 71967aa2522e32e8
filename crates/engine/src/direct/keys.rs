//! The keys by which devices of the space recognise each other, one of each epoch.

use ties_sealed_log::DiscoveryKey;
use ties_store::Read;

use crate::author::keyring;
use crate::records::Fault;

/// The discovery keys that this device has, newest first.
pub(crate) struct DiscoveryKeys(Vec<DiscoveryKey>);

impl DiscoveryKeys {
    pub(crate) fn load(read: &dyn Read) -> Result<Self, Fault> {
        Ok(Self(keyring(read)?.iter().map(|(_, _, key)| key.discovery()).collect()))
    }

    /// The key under which a name was made.
    pub(crate) fn of_name(&self, day: u64, name: &str) -> Option<&DiscoveryKey> {
        self.0.iter().find(|key| key.recognises(day, name))
    }

    /// The keys to try, one after the other, on a device that may have heard less: the newest ones, and the oldest, which
    /// every device was given.
    pub(crate) fn to_try(&self) -> impl Iterator<Item = &DiscoveryKey> {
        let oldest = self.0.last().filter(|_| self.0.len() > NEWEST);
        self.0.iter().take(NEWEST).chain(oldest)
    }
}

/// Days since 1970.
pub(crate) fn day(now: u64) -> u64 {
    now / (24 * 60 * 60 * 1000)
}

/// A device that has heard of none of so many rotations is found by its oldest key.
const NEWEST: usize = 7;
