//! What the twelve words can do: make a device of any copy of the ciphertext, overrule a takeover, be replaced.
//!
//! Each of them is one transaction, so it has happened or it has not; whoever was stopped begins again.

mod base;
mod copy;
mod mailboxes;
mod replace;
mod reset;
mod revive;

use std::path::PathBuf;

use ties_sealed_log::{DeviceId, RecoveryCert, RecoveryKeys, RecoveryWords, SpaceId};
use ties_sync::SessionError;

use crate::author::keyring;
use crate::records::Fault;
use crate::relay_link::LinkFailure;
use crate::roads::RoadError;
use crate::roster::Roster;
use crate::secrets::device_keys;
use crate::space::{OpenError, Space};

pub use reset::Candidate;
pub use revive::Recovered;

/// Where the ciphertext is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// At a relay, in whichever mailboxes the words belong to.
    Relay(String),
    /// In the folder of another device, or one in which devices left changes for each other. It is only read.
    Folder(PathBuf),
}

/// How a device is made by the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoverOptions {
    /// What the owner calls this device.
    pub device_name: String,
    /// Whether all other devices are gone, and are to be shut out.
    pub lost: bool,
}

/// Why the words did not do it. Nothing has happened then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The words are well formed and open nothing there.
    #[error("these words open nothing there")]
    Nothing,
    /// The words opened this space once, and others have taken their place.
    #[error("these words were replaced by others")]
    Replaced,
    /// The words are those of another space.
    #[error("these are not the words of this network")]
    WrongWords,
    /// The space has no words.
    #[error("this network was started without recovery words")]
    NoWords,
    /// The copy does not reach back to the beginning of the space.
    #[error("what is kept there does not reach back to the beginning; try another relay or device")]
    Incomplete,
    /// The words open more than one space there, so that somebody has made one of them to mislead.
    #[error("the words open {} networks there", .0.len())]
    Several(Vec<SpaceId>),
    /// A device to keep is none that ever belonged.
    #[error("no device {0} ever belonged to this network")]
    Unknown(DeviceId),
    /// What the words wrote does not count: a reset or an admission that the members' rule refuses.
    #[error("what the words wrote does not count")]
    Refused,
    /// The relay, or the way to it.
    #[error(transparent)]
    Road(#[from] RoadError),
    /// The session with the relay.
    #[error(transparent)]
    Session(#[from] SessionError<std::convert::Infallible>),
    /// A folder that carries changes.
    #[error(transparent)]
    Depot(#[from] ties_net::DepotError),
    /// A folder.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// This device's database.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<LinkFailure> for RecoveryError {
    fn from(failure: LinkFailure) -> Self {
        Self::Road(failure.into())
    }
}

impl From<ties_store::OpenError> for RecoveryError {
    fn from(error: ties_store::OpenError) -> Self {
        Self::Open(error.into())
    }
}

impl From<ties_store::StoreError> for RecoveryError {
    fn from(error: ties_store::StoreError) -> Self {
        Self::Fault(error.into())
    }
}

/// Which keys a device has; none of them is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReport {
    /// This device.
    pub device: DeviceId,
    /// The recovery keys that stand, by the ids that they have among recipients.
    pub recovery: Vec<DeviceId>,
    /// The generation of the newest epoch.
    pub generation: u32,
    /// How many epochs' keys are here.
    pub epochs: usize,
}

impl Space {
    /// Which keys this device has.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn keys(&self) -> Result<KeyReport, Fault> {
        let snapshot = self.inner.store.read()?;
        let epochs = keyring(&snapshot)?;
        let members = Roster::load(&snapshot)?.members;
        Ok(KeyReport {
            device: device_keys(&snapshot)?.ok_or(Fault::NoKey)?.id(),
            recovery: members.iter().flat_map(|members| members.recovery().iter().map(RecoveryCert::id)).collect(),
            generation: epochs.first().map_or(0, |(_, generation, _)| *generation),
            epochs: epochs.len(),
        })
    }

    /// Whether these words are those of this space now.
    ///
    /// # Errors
    /// When they are not, or the database cannot be read.
    pub fn check_words(&self, words: &RecoveryWords) -> Result<(), RecoveryError> {
        check(&Roster::load(&self.inner.store.read()?)?, &words.keys())
    }
}

/// Refuses words that do not rule the space as it is known here.
fn check(roster: &Roster, keys: &RecoveryKeys) -> Result<(), RecoveryError> {
    let members = roster.members.as_ref().ok_or(RecoveryError::Incomplete)?;
    let certificate = keys.certificate();
    if members.recovery().contains(&certificate) {
        return Ok(());
    }
    Err(if members.recovery().is_empty() { RecoveryError::NoWords } else { RecoveryError::WrongWords })
}
