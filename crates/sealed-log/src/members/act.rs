//! Membership entries as the rule reads them.

use crate::bodies::{Add, Raise, Remove, Rename, SetRole};
use crate::ids::{DeviceId, EntryName};
use crate::payload::Payload;
use crate::recovered::{Admit, ChangeRecovery, Reset};

/// A membership entry that was opened, with the device behind the log it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipEntry {
    /// The entry.
    pub name: EntryName,
    /// Its author.
    pub author: DeviceId,
    /// When its author says it was written, for display.
    pub time: u64,
    /// How many membership entries there are along its log's chain up to this one, from 1. Those beyond
    /// [`crate::Members::MAX_ENTRIES`] say nothing.
    pub number: u32,
    /// What it says.
    pub act: MembershipAct,
}

/// What a membership entry says about who belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipAct {
    /// Admits a device.
    Add(Add),
    /// Changes a role.
    SetRole(SetRole),
    /// Changes a name.
    Rename(Rename),
    /// Shuts a device out.
    Remove(Remove),
    /// Says anew who belongs.
    Reset(Reset),
    /// A device let in by the recovery key.
    Admit(Admit),
    /// Another recovery key.
    ChangeRecovery(ChangeRecovery),
    /// The least level of programs that may write.
    Raise(Raise),
    /// A new epoch.
    Rotate {
        /// Its parents.
        parents: Vec<EntryName>,
        /// Who was given its key, sorted.
        recipients: Vec<DeviceId>,
    },
    /// Says nothing about who belongs, and is a parent of what follows: share, roads.
    Other {
        /// Its parents.
        parents: Vec<EntryName>,
    },
}

impl MembershipAct {
    /// What a payload says about who belongs; `None` for the genesis, which is the space itself, and for payloads that
    /// are not membership.
    #[must_use]
    pub fn of(payload: Payload) -> Option<Self> {
        Some(match payload {
            Payload::Add(add) => Self::Add(add),
            Payload::SetRole(set) => Self::SetRole(set),
            Payload::Rename(rename) => Self::Rename(rename),
            Payload::Remove(remove) => Self::Remove(remove),
            Payload::Reset(reset) => Self::Reset(reset),
            Payload::Admit(admit) => Self::Admit(admit),
            Payload::ChangeRecovery(change) => Self::ChangeRecovery(change),
            Payload::Raise(raise) => Self::Raise(raise),
            Payload::Rotate(rotate) => {
                let recipients = rotate.wraps.iter().map(|wrap| wrap.recipient).collect();
                Self::Rotate { parents: rotate.parents, recipients }
            }
            Payload::Share(share) => Self::Other { parents: share.parents },
            Payload::Roads(roads) => Self::Other { parents: roads.parents },
            Payload::OpenLog(_)
            | Payload::Changes(_)
            | Payload::Beacon
            | Payload::Genesis(_)
            | Payload::Decision(_)
            | Payload::Receipts(_)
            | Payload::Reads(_)
            | Payload::Carried(_) => {
                return None;
            }
        })
    }

    /// The membership entries that its author knew.
    #[must_use]
    pub fn parents(&self) -> &[EntryName] {
        match self {
            Self::Add(add) => &add.parents,
            Self::SetRole(set) => &set.parents,
            Self::Rename(rename) => &rename.parents,
            Self::Remove(remove) => &remove.parents,
            Self::Reset(reset) => &reset.parents,
            Self::Admit(admit) => &admit.parents,
            Self::ChangeRecovery(change) => &change.parents,
            Self::Raise(raise) => &raise.parents,
            Self::Rotate { parents, .. } | Self::Other { parents } => parents,
        }
    }
}
