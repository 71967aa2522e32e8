//! Changing who belongs: shutting a lost device out, signing this one off, roles and names.

use ties_sealed_log::{Dep, DeviceId, EntryName, Manner, Member, Members, Payload, Remove, Rename, Role, SetRole};
use ties_store::{Read, Transaction};

use crate::absorb::absorb;
use crate::author::{append, applied};
use crate::epochs::rotate_now;
use crate::knowledge::first_to_know;
use crate::records::Fault;
use crate::roads::{mislisted, roads};
use crate::roster::Roster;
use crate::secrets::device_keys;
use crate::space::Space;

/// Why who belongs is not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemberError {
    /// This device's database.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Only an admin can do this.
    #[error("only a device that is an admin can do this")]
    NotAdmin,
    /// There is no such member.
    #[error("no such device belongs to the space")]
    NoMember,
    /// Nobody would be left to decide who belongs.
    #[error("no admin would be left")]
    LastAdmin,
    /// Nothing would change.
    #[error("it is so already")]
    Unchanged,
    /// A level that this program has not got.
    #[error("this program does not know that level itself")]
    Level,
}

/// A device that was shut out, or signed off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedDevice {
    /// Which.
    pub id: DeviceId,
    /// What its owner called it.
    pub name: String,
    /// Whether it is this one.
    pub this: bool,
    /// Who removed it.
    pub by: Vec<DeviceId>,
    /// When, in milliseconds since 1970, as the remover says.
    pub removed: u64,
    /// Whether it signed itself off.
    pub retired: bool,
    /// Other members that have not shown yet that they know. What they write meanwhile it may still be able to read.
    pub unaware: Vec<DeviceId>,
}

impl Space {
    /// Shuts out a lost or stolen device: what it wrote beyond what is known here goes to quarantine, a new epoch begins
    /// without it, and the relays' lists close its pseudonyms. All of it is durable when this returns; the others learn of
    /// it by the next sync.
    ///
    /// # Errors
    /// When this device is no admin, or there is no such other member. Nothing has changed then.
    pub fn revoke(&self, device: &DeviceId) -> Result<(), MemberError> {
        self.decide(|transaction, members, own| {
            let (_, member) = the_other(members, own, device)?;
            if member.role == Role::Admin && admins(members) == 1 {
                return Err(MemberError::LastAdmin);
            }
            let pins = pins(transaction, device)?;
            Ok(Payload::Remove(Remove {
                parents: members.heads().to_vec(),
                device: *device,
                manner: Manner::Revoke { pins },
            }))
        })
    }

    /// Signs this device off. Everything it wrote counts; it writes no more. Sync afterwards, or nobody hears of it.
    ///
    /// # Errors
    /// When it is no member, or the only admin of several members.
    pub fn retire(&self) -> Result<(), MemberError> {
        let inner = &self.inner;
        let mut transaction = inner.store.write().map_err(Fault::from)?;
        let own = device_keys(&transaction)?.ok_or(Fault::NoKey)?.id();
        let members = Roster::load(&transaction)?.members.ok_or(Fault::NoKey)?;
        let role = members.get(&own).ok_or(MemberError::NoMember)?.role;
        if role == Role::Admin && admins(&members) == 1 && members.iter().count() > 1 {
            return Err(MemberError::LastAdmin);
        }
        let remove = Remove { parents: members.heads().to_vec(), device: own, manner: Manner::Retire };
        let entry = append(&mut transaction, &mut inner.environment(), &Payload::Remove(remove))?;
        absorb(&mut transaction, &*inner.projection, vec![entry])?;
        transaction.commit().map_err(Fault::from)?;
        inner.committed();
        Ok(())
    }

    /// Changes what a member may do.
    ///
    /// # Errors
    /// When this device is no admin, there is no such member, it may do just that, or no admin would be left.
    pub fn set_role(&self, device: &DeviceId, role: Role) -> Result<(), MemberError> {
        self.decide(|_, members, _| {
            let member = members.get(device).ok_or(MemberError::NoMember)?;
            if member.role == role {
                return Err(MemberError::Unchanged);
            }
            if member.role == Role::Admin && admins(members) == 1 {
                return Err(MemberError::LastAdmin);
            }
            Ok(Payload::SetRole(SetRole { parents: members.heads().to_vec(), device: *device, role }))
        })
    }

    /// Gives a member another name; a device may always name itself.
    ///
    /// # Errors
    /// When this device is neither an admin nor the one to be named, or there is no such member.
    pub fn rename_device(&self, device: &DeviceId, name: &str) -> Result<(), MemberError> {
        self.decide(|_, members, _| {
            let member = members.get(device).ok_or(MemberError::NoMember)?;
            if member.name == name {
                return Err(MemberError::Unchanged);
            }
            Ok(Payload::Rename(Rename { parents: members.heads().to_vec(), device: *device, name: name.to_owned() }))
        })
    }

    /// The devices that were shut out or signed off, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn removed_devices(&self) -> Result<Vec<RemovedDevice>, Fault> {
        removed_devices(&self.inner.store.read()?)
    }

    /// Writes one act of this device, and in the same transaction what follows from it: a new epoch where someone was shut
    /// out, and the relays' lists.
    pub(crate) fn decide(
        &self,
        act: impl FnOnce(&Transaction, &Members, &DeviceId) -> Result<Payload, MemberError>,
    ) -> Result<(), MemberError> {
        let inner = &self.inner;
        let mut transaction = inner.store.write().map_err(Fault::from)?;
        let own = device_keys(&transaction)?.ok_or(Fault::NoKey)?.id();
        let members = Roster::load(&transaction)?.members.ok_or(Fault::NoKey)?;
        let payload = act(&transaction, &members, &own)?;
        let names_itself = matches!(&payload, Payload::Rename(rename) if rename.device == own);
        let role = members.get(&own).map(|member| member.role);
        if role != Some(Role::Admin) && !(names_itself && role.is_some()) {
            return Err(MemberError::NotAdmin);
        }
        let entry = append(&mut transaction, &mut inner.environment(), &payload)?;
        absorb(&mut transaction, &*inner.projection, vec![entry])?;
        if matches!(payload, Payload::Remove(_)) {
            rotate_now(&mut transaction, &mut inner.environment())?;
        }
        inner.tidy_lists(&mut transaction)?;
        transaction.commit().map_err(Fault::from)?;
        inner.committed();
        Ok(())
    }
}

impl crate::space::Inner {
    /// Brings the lists of all mailboxes to what the members may do now, where this device may.
    pub(crate) fn tidy_lists(&self, transaction: &mut Transaction) -> Result<(), Fault> {
        for road in roads(transaction)? {
            let key = crate::roads::own_key(transaction, &road.relay)?;
            let grants = mislisted(transaction, &road, &key.id())?;
            if !grants.is_empty() {
                self.enlist(transaction, &road, &key, &grants, Vec::new())?;
            }
        }
        Ok(())
    }
}

fn the_other<'m>(
    members: &'m Members,
    own: &DeviceId,
    device: &DeviceId,
) -> Result<(DeviceId, &'m Member), MemberError> {
    let member = members.get(device).filter(|_| device != own);
    member.map(|member| (*device, member)).ok_or(MemberError::NoMember)
}

fn admins(members: &Members) -> usize {
    members.iter().filter(|(_, member)| member.role == Role::Admin).count()
}

/// The tips of a device's logs, as far as they were read here.
pub(crate) fn pins(read: &dyn Read, device: &DeviceId) -> Result<Vec<Dep>, Fault> {
    let mut pins = Vec::new();
    for log in Roster::load(read)?.logs_of(device) {
        pins.extend(applied(read, &log)?.into_iter().map(|tip| Dep { log, seq: tip.seq, name: tip.name }));
    }
    pins.sort_unstable();
    pins.truncate(ties_sealed_log::MAX_PINS);
    Ok(pins)
}

pub(crate) fn removed_devices(read: &dyn Read) -> Result<Vec<RemovedDevice>, Fault> {
    let roster = Roster::load(read)?;
    let own = device_keys(read)?.ok_or(Fault::NoKey)?.id();
    let Some(members) = &roster.members else { return Ok(Vec::new()) };
    let mut removed = Vec::new();
    for (id, removal) in members.removed() {
        removed.push(RemovedDevice {
            id: *id,
            name: removal.member.name.clone(),
            this: *id == own,
            by: removal.by.clone(),
            removed: removal.time,
            retired: removal.retired,
            unaware: unaware(read, &roster, members, &own, &removal.entries)?,
        });
    }
    removed.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    Ok(removed)
}

/// The other members of whose logs no entry shows that they know one of these.
fn unaware(
    read: &dyn Read,
    roster: &Roster,
    members: &Members,
    own: &DeviceId,
    entries: &[EntryName],
) -> Result<Vec<DeviceId>, Fault> {
    let mut unaware = Vec::new();
    for (id, _) in members.iter().filter(|(id, _)| *id != own) {
        let mut knows = false;
        for log in roster.logs_of(id) {
            for entry in entries {
                knows = knows || !first_to_know(read, entry, &log)?.is_empty();
            }
        }
        if !knows {
            unaware.push(*id);
        }
    }
    Ok(unaware)
}

/// Whether there is a removal, or a change of what somebody may do, of which this device has not shown yet that it knows.
pub(crate) fn owes_word(read: &dyn Read) -> Result<bool, Fault> {
    let subjects = crate::roster::subjects(read)?;
    if subjects.is_empty() {
        return Ok(false);
    }
    let own = device_keys(read)?.ok_or(Fault::NoKey)?.id();
    let roster = Roster::load(read)?;
    if roster.members.as_ref().is_none_or(|members| members.get(&own).is_none()) {
        return Ok(false);
    }
    let logs = roster.logs_of(&own);
    for subject in &subjects {
        let mut told = false;
        for log in &logs {
            told = told || !first_to_know(read, subject, log)?.is_empty();
        }
        if !told {
            return Ok(true);
        }
    }
    Ok(false)
}
