//! Under which epoch a device seals.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::ids::{DeviceId, EpochId};
use crate::members::Members;

/// An epoch whose key a device has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEpoch {
    /// Its id.
    pub id: EpochId,
    /// Its generation.
    pub generation: u32,
    /// For whom the rotate that began it wrapped the key.
    pub recipients: Vec<DeviceId>,
    /// Whether that rotate counts ([`Members::rotate_counts`]).
    pub counts: bool,
}

impl Members {
    /// The epoch to seal under: of those whose recipients all belong now, the one that covers most members, then the
    /// highest generation, then the lowest id. `None` means that a new one must begin first.
    #[must_use]
    pub fn epoch_to_seal<'e>(&self, epochs: impl IntoIterator<Item = &'e KnownEpoch>) -> Option<EpochId> {
        let recovery: BTreeSet<DeviceId> = self.recovery().iter().map(crate::RecoveryCert::id).collect();
        let belongs = |id: &DeviceId| self.get(id).is_some() || recovery.contains(id);
        let usable = |epoch: &&KnownEpoch| epoch.counts && epoch.recipients.iter().all(belongs);
        let covers = |epoch: &KnownEpoch| epoch.recipients.iter().filter(|id| self.get(id).is_some()).count();
        let usable = epochs.into_iter().filter(usable);
        usable.max_by_key(|epoch| (covers(epoch), epoch.generation, Reverse(epoch.id))).map(|epoch| epoch.id)
    }
}
