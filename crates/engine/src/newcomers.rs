//! Devices that others let in: each member's owner is told once.

use std::collections::BTreeSet;

use ties_sealed_log::DeviceId;
use ties_store::{Read, Table, Transaction};

use crate::records::{Fault, TOLD, put_record, record};
use crate::roster::Roster;
use crate::space::Space;
use crate::status::{Device, devices};

impl Space {
    /// The devices that became members since this was last asked and were not let in here: each is given once, so that
    /// its arrival can be shown. The first time, whoever is there is taken as known.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn newcomers(&self) -> Result<Vec<Device>, Fault> {
        let snapshot = self.inner.store.read()?;
        let told = told(&snapshot)?;
        let members = members(&snapshot)?;
        if told.as_ref() == Some(&members) || (told.is_none() && members.is_empty()) {
            return Ok(Vec::new());
        }
        let new: Vec<Device> = match &told {
            None => Vec::new(),
            Some(told) => {
                let devices = devices(&snapshot)?.into_iter();
                devices.filter(|device| !device.this && device.role.is_some() && !told.contains(&device.id)).collect()
            }
        };
        drop(snapshot);
        let mut transaction = self.inner.store.write()?;
        put_record(&mut transaction, Table::SETTINGS, TOLD, &members)?;
        transaction.commit()?;
        Ok(new)
    }
}

/// Notes that a member was let in here, where its owner knows of it already.
pub(crate) fn know_member(transaction: &mut Transaction, device: &DeviceId) -> Result<(), Fault> {
    let mut told = match told(transaction)? {
        Some(told) => told,
        None => members(transaction)?,
    };
    told.insert(*device);
    put_record(transaction, Table::SETTINGS, TOLD, &told)
}

fn told(read: &dyn Read) -> Result<Option<BTreeSet<DeviceId>>, Fault> {
    record(read, Table::SETTINGS, TOLD, "the members told of")
}

fn members(read: &dyn Read) -> Result<BTreeSet<DeviceId>, Fault> {
    let members = Roster::load(read)?.members;
    Ok(members.iter().flat_map(|members| members.iter().map(|(id, _)| *id)).collect())
}
