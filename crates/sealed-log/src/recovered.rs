//! The bodies that the recovery key signs: they count without any admin.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::bodies::Role;
use crate::device::DeviceCert;
use crate::encode;
use crate::ids::{DeviceId, EntryName, SpaceId};
use crate::keys::KeyError;
use crate::recovery::{RecoveryCert, RecoveryKeys};

/// Says anew who belongs, and overrules everything that does not follow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// All maximal membership entries that the author knew, sorted.
    pub parents: Vec<EntryName>,
    /// All members from now on, sorted by id; not none, and at most [`crate::Members::MAX`].
    pub members: Vec<Listed>,
    /// By the recovery key: 64 bytes.
    pub signature: ByteBuf,
}

/// A member as a reset lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The device's keys.
    pub certificate: DeviceCert,
    /// What it may do.
    pub role: Role,
    /// What its owner calls it.
    pub name: String,
}

/// A device let in by the twelve words; it stands in that device's own log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admit {
    /// All maximal membership entries that the author knew, sorted.
    pub parents: Vec<EntryName>,
    /// The device's keys.
    pub certificate: DeviceCert,
    /// What it may do.
    pub role: Role,
    /// What its owner calls it.
    pub name: String,
    /// By the recovery key: 64 bytes.
    pub signature: ByteBuf,
}

/// New words take the place of the old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecovery {
    /// All maximal membership entries that the author knew, sorted.
    pub parents: Vec<EntryName>,
    /// The new recovery key.
    pub certificate: RecoveryCert,
    /// By the recovery key that is replaced: 64 bytes.
    pub signature: ByteBuf,
}

impl Reset {
    const LABEL: &str = "ties1/reset";

    /// Makes a reset that counts in the log of `author` alone; puts the members in order.
    #[must_use]
    pub fn sign(
        keys: &RecoveryKeys,
        space: &SpaceId,
        author: &DeviceId,
        parents: Vec<EntryName>,
        mut members: Vec<Listed>,
    ) -> Self {
        members.sort_by_cached_key(|listed| listed.certificate.id());
        members.dedup_by_key(|listed| listed.certificate.id());
        let mut reset = Self { parents, members, signature: ByteBuf::new() };
        reset.signature = keys.sign(Self::LABEL, space, author, &reset.signed()).to_vec().into();
        reset
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// When it is not by that recovery key, for that space and author.
    pub fn verify(&self, key: &RecoveryCert, space: &SpaceId, author: &DeviceId) -> Result<(), KeyError> {
        key.verify(Self::LABEL, space, author, &self.signed(), &self.signature)
    }

    fn signed(&self) -> Vec<u8> {
        encode(&(&self.parents, &self.members))
    }
}

impl Admit {
    const LABEL: &str = "ties1/admit";

    /// Lets a device in, in its own log.
    #[must_use]
    pub fn sign(
        keys: &RecoveryKeys,
        space: &SpaceId,
        parents: Vec<EntryName>,
        certificate: DeviceCert,
        role: Role,
        name: String,
    ) -> Self {
        let author = certificate.id();
        let mut admit = Self { parents, certificate, role, name, signature: ByteBuf::new() };
        admit.signature = keys.sign(Self::LABEL, space, &author, &admit.signed()).to_vec().into();
        admit
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// When it is not by that recovery key, for that space.
    pub fn verify(&self, key: &RecoveryCert, space: &SpaceId) -> Result<(), KeyError> {
        key.verify(Self::LABEL, space, &self.certificate.id(), &self.signed(), &self.signature)
    }

    fn signed(&self) -> Vec<u8> {
        encode(&(&self.parents, &self.certificate, self.role, &self.name))
    }
}

impl ChangeRecovery {
    const LABEL: &str = "ties1/recovery-change";

    /// Replaces a recovery key, of which these are the keys, by a new one, in the log of `author` alone.
    #[must_use]
    pub fn sign(
        old: &RecoveryKeys,
        space: &SpaceId,
        author: &DeviceId,
        parents: Vec<EntryName>,
        certificate: RecoveryCert,
    ) -> Self {
        let mut change = Self { parents, certificate, signature: ByteBuf::new() };
        change.signature = old.sign(Self::LABEL, space, author, &change.signed()).to_vec().into();
        change
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// When it is not by that recovery key, for that space and author.
    pub fn verify(&self, old: &RecoveryCert, space: &SpaceId, author: &DeviceId) -> Result<(), KeyError> {
        old.verify(Self::LABEL, space, author, &self.signed(), &self.signature)
    }

    fn signed(&self) -> Vec<u8> {
        encode(&(&self.parents, &self.certificate))
    }
}
