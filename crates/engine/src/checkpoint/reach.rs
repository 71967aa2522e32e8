//! Whether every member can open a checkpoint: only then entries may go for it.
//!
//! The key of an epoch travels in an entry that is sealed under the one before. A device that was away when it began finds
//! its way by entries alone, so the second signature, below which they are dropped, waits until each member is known to have
//! heard of the epoch that the checkpoint is sealed under.

use std::collections::BTreeSet;

use ties_sealed_log::{Add, Admit, DeviceId, EpochId, LogId, Payload, Sealed, decode};
use ties_store::Read;

use crate::author::{keyring, log_key, unnamed};
use crate::checkpoint::shelf::{self, Shelved};
use crate::heard::heard_by;
use crate::records::{Fault, MEMBERSHIP, MembershipRecord};
use crate::roster::Roster;
use crate::secrets::device_keys;

/// Whether each member has heard of the epoch that a checkpoint is sealed under, as far as is known here.
pub(crate) fn all_can_open(read: &dyn Read, one: &Shelved) -> Result<bool, Fault> {
    let roster = Roster::load(read)?;
    let space = roster.space.space;
    let mut under = None;
    for key in keyring(read)? {
        let epoch = key.0;
        if shelf::manifest(read, &one.floor, &space, &vec![key])?.is_some() {
            under = Some(epoch);
        }
    }
    let Some(begun) = under.map(|epoch| beginning(read, &roster, &epoch)).transpose()?.flatten() else {
        return Ok(false);
    };
    let own = device_keys(read)?.ok_or(Fault::NoKey)?.id();
    let Some(members) = &roster.members else { return Ok(false) };
    let given = let_in_after(read, begun)?;
    for (member, _) in members.iter().filter(|(member, _)| **member != own && !given.contains(member)) {
        let logs = roster.logs_of(member);
        if !logs.contains(&begun.0) && heard_by(read, &logs)?.get(&begun.0).is_none_or(|seq| *seq < begun.1) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether this device has not said yet that it heard of an epoch that another one began.
pub(crate) fn owes_word(read: &dyn Read) -> Result<bool, Fault> {
    if log_key(read)?.is_none() {
        return Ok(false);
    }
    let roster = Roster::load(read)?;
    let Some((epoch, ..)) = keyring(read)?.into_iter().next() else { return Ok(false) };
    let Some((log, seq)) = beginning(read, &roster, &epoch)? else { return Ok(false) };
    let own = device_keys(read)?.ok_or(Fault::NoKey)?.id();
    let logs = roster.logs_of(&own);
    if logs.contains(&log)
        || let_in_after(read, (log, seq))?.contains(&own)
        || heard_by(read, &logs)?.get(&log).is_some_and(|heard| *heard >= seq)
    {
        return Ok(false);
    }
    Ok(unnamed(read)?.iter().any(|dep| dep.log == log && dep.seq >= seq))
}

/// The devices that were let in by whoever began an epoch, after that: they were given its key.
fn let_in_after(read: &dyn Read, begun: (LogId, u64)) -> Result<BTreeSet<DeviceId>, Fault> {
    let mut given = BTreeSet::new();
    each_membership(read, &mut |kept, payload| {
        if (kept.log, kept.seq > begun.1) == (begun.0, true)
            && let Payload::Add(Add { certificate, .. }) | Payload::Admit(Admit { certificate, .. }) = payload
        {
            given.insert(certificate.id());
        }
    })?;
    Ok(given)
}

/// Where an epoch began.
fn beginning(read: &dyn Read, roster: &Roster, epoch: &EpochId) -> Result<Option<(LogId, u64)>, Fault> {
    let mut begun = None;
    each_membership(read, &mut |kept, payload| {
        if let Payload::Rotate(rotate) = payload
            && rotate.epoch(&roster.space.space, &kept.author) == *epoch
        {
            begun = Some((kept.log, kept.seq));
        }
    })?;
    Ok(begun)
}

/// Shows every entry about members that says something to this program.
fn each_membership(read: &dyn Read, show: &mut dyn FnMut(&MembershipRecord, Payload)) -> Result<(), Fault> {
    for (_, bytes) in read.pairs(MEMBERSHIP, &[])? {
        let kept: MembershipRecord = decode(&bytes).map_err(|_| Fault::Damaged("a membership entry"))?;
        let sealed = Sealed { kind: kept.kind, deps: Vec::new(), time: kept.time, body: kept.body.to_vec() };
        if let Ok(Some(payload)) = sealed.payload() {
            show(&kept, payload);
        }
    }
    Ok(())
}
