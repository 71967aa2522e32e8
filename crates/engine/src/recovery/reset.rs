//! A takeover is overruled: the words say anew who belongs.

use std::collections::BTreeSet;

use ties_sealed_log::{DeviceId, Listed, Payload, RecoveryWords, Reset, Role};
use ties_store::Table;

use super::mailboxes::{Word, speak};
use super::{RecoveryError, check};
use crate::absorb::{absorb, absorb_waiting};
use crate::author::append;
use crate::epochs::rotate_now;
use crate::records::{DEVICE, DeviceRecord, Fault, record};
use crate::roster::Roster;
use crate::secrets::device_keys;
use crate::space::Space;

/// A device that belongs or once did, to choose whom to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: DeviceId,
    /// What its owner calls it.
    pub name: String,
    /// What it may do, or might when it was shut out.
    pub role: Role,
    /// Whether it belongs now.
    pub belongs: bool,
    /// Whether it is this one.
    pub this: bool,
}

impl Space {
    /// Everybody who belongs or once did, this device first, then by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn candidates(&self) -> Result<Vec<Candidate>, Fault> {
        let snapshot = self.inner.store.read()?;
        let own = device_keys(&snapshot)?.ok_or(Fault::NoKey)?.id();
        let roster = Roster::load(&snapshot)?;
        let members = roster.members.as_ref().ok_or(Fault::NoKey)?;
        let present = members.iter().map(|(id, member)| (id, member, true));
        let past = members.removed().map(|(id, removed)| (id, &removed.member, false));
        let mut all: Vec<Candidate> = present
            .chain(past)
            .map(|(id, member, belongs)| Candidate {
                id: *id,
                name: member.name.clone(),
                role: member.role,
                belongs,
                this: *id == own,
            })
            .collect();
        all.sort_by(|a, b| (!a.this, &a.name, a.id).cmp(&(!b.this, &b.name, b.id)));
        Ok(all)
    }

    /// Says anew who belongs: this device, as an admin, and those to keep, in the roles they have or had. Whatever else
    /// was said of members, at whatever date, counts no more; the keys and the mailboxes' lists are renewed with it. It
    /// works from a device that was itself shut out.
    ///
    /// # Errors
    /// When the words are wrong or somebody to keep never belonged. Nothing has changed then.
    pub fn reset(&self, words: &RecoveryWords, keep: &[DeviceId]) -> Result<(), RecoveryError> {
        let inner = &self.inner;
        let projection = &*inner.projection;
        let mut transaction = inner.store.write()?;
        let roster = Roster::load(&transaction)?;
        let keys = words.keys();
        check(&roster, &keys)?;
        let members = roster.members.as_ref().ok_or(RecoveryError::Incomplete)?;
        let device = device_keys(&transaction)?.ok_or(Fault::NoKey)?;
        let own: DeviceRecord = record(&transaction, Table::SETTINGS, DEVICE, "this device")?.ok_or(Fault::NoKey)?;
        let name = members.get(&device.id()).map_or_else(|| own.name.clone(), |member| member.name.clone());
        let mut listed = vec![Listed { certificate: device.certificate(), role: Role::Admin, name }];
        let others: BTreeSet<&DeviceId> = keep.iter().filter(|id| **id != device.id()).collect();
        for id in others {
            let removed = || members.removed().find(|(removed, _)| *removed == id).map(|(_, removed)| &removed.member);
            let member = members.get(id).or_else(removed).ok_or(RecoveryError::Unknown(*id))?;
            let (certificate, name) = (member.certificate.clone(), member.name.clone());
            listed.push(Listed { certificate, role: member.role, name });
        }
        let parents = members.heads().to_vec();
        let reset = Reset::sign(&keys, &roster.space.space, &device.id(), parents, listed);
        let mut environment = inner.environment();
        let entry = append(&mut transaction, &mut environment, &Payload::Reset(reset))?;
        absorb(&mut transaction, projection, vec![entry])?;
        let after = Roster::load(&transaction)?;
        if after.members.as_ref().and_then(|members| members.role(&device.id())) != Some(Role::Admin) {
            return Err(RecoveryError::Refused);
        }
        rotate_now(&mut transaction, &mut environment)?;
        speak(&mut transaction, projection, &mut environment, &keys, Word::Renew)?;
        drop(environment);
        absorb_waiting(&mut transaction, projection)?;
        transaction.commit()?;
        inner.committed();
        Ok(())
    }
}
