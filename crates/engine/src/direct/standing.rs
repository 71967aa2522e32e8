//! Who a device is, by the key that it proved.

use std::collections::BTreeSet;

use ties_net::PeerKey;
use ties_sealed_log::{DeviceId, EntryName};
use ties_store::Read;

use crate::records::Fault;
use crate::roster::Roster;
use crate::secrets::device_keys;

/// What is known here of the device behind a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// It belongs. A copy of this device has its key, and belongs as well.
    Member(DeviceId, String),
    /// It belonged once. These entries shut it out.
    Removed(DeviceId, String, Vec<EntryName>),
    /// Nothing.
    Nothing,
}

/// Looks a key up.
pub(crate) fn known(read: &dyn Read, key: &PeerKey) -> Result<Known, Fault> {
    let roster = Roster::load(read)?;
    let Some(members) = &roster.members else { return Ok(Known::Nothing) };
    if let Some((id, member)) = members.iter().find(|(_, member)| member.certificate.tls() == *key) {
        return Ok(Known::Member(*id, member.name.clone()));
    }
    let removed = members.removed().find(|(_, removed)| removed.member.certificate.tls() == *key);
    Ok(removed.map_or(Known::Nothing, |(id, removed)| {
        Known::Removed(*id, removed.member.name.clone(), removed.entries.clone())
    }))
}

/// The keys of all members, which a device that is dialled may prove.
pub(crate) fn members_keys(read: &dyn Read) -> Result<BTreeSet<PeerKey>, Fault> {
    let roster = Roster::load(read)?;
    Ok(roster.members.iter().flat_map(|members| members.iter()).map(|(_, member)| member.certificate.tls()).collect())
}

/// What this device proves.
pub(crate) fn own_seed(read: &dyn Read) -> Result<ties_sealed_log::Secret, Fault> {
    Ok(device_keys(read)?.ok_or(Fault::NoKey)?.tls_seed())
}
