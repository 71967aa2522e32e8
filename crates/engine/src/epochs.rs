//! Under which key this device seals, and when it makes a new one.
//!
//! Content is sealed only under an epoch whose recipients are all members still; where there is none, a new epoch comes first.
//! Epochs grow old: after a month, or ten thousand entries of this device, the next entry begins another.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use ties_sealed_log::{
    DeviceId, EntryName, EpochId, EpochKey, Kind, Members, Payload, RecoveryEnvelope, Role, Rotate, Share, Wrap,
    WrapContext, epoch_id,
};
use ties_store::{Read, Table, Transaction};

use crate::acceptance::is_content;
use crate::author::{Keyring, append, append_under, keep_key, keyring};
use crate::birth::write_envelope;
use crate::environment::Environment;
use crate::incarnation;
use crate::records::{Fault, put_record, record};
use crate::roads::roads;
use crate::roster::{Epoch, Roster, note_membership};
use crate::secrets::device_keys;
use crate::space::Space;

/// The epoch that this device seals under, until something is learnt of keys or members.
const SENDING: &[u8] = b"sending";

/// How long an epoch serves, in milliseconds.
const MONTH: u64 = 30 * 24 * 60 * 60 * 1000;
/// How many entries of one device an epoch serves.
const ENTRIES: u32 = 10_000;

/// What this device may write.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum May {
    /// It was shut out, or signed off.
    Nothing,
    /// No content.
    Read,
    /// Everything.
    Write,
    /// No content, since the space asks for a program of this level.
    Outdated(u16),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct SendingRecord {
    may: May,
    /// None if there is none that serves.
    epoch: Option<EpochId>,
    /// When it began, as its author says, or was chosen here if that lies ahead: milliseconds since 1970.
    since: u64,
    /// Entries that this device sealed under it.
    sealed: u32,
}

/// Forgets which epoch was chosen, since keys or members came or went.
pub(crate) fn reconsider(transaction: &mut Transaction) -> Result<(), Fault> {
    transaction.remove(Table::SETTINGS, SENDING)?;
    Ok(())
}

/// The place in a keyring of the key to seal the next entry under. May begin an epoch for it, and then reads the keyring anew.
pub(crate) fn seal_under(
    transaction: &mut Transaction,
    environment: &mut Environment,
    kind: Kind,
    keys: &mut Keyring,
) -> Result<usize, Fault> {
    let now = environment.now();
    let sending = match record(transaction, Table::SETTINGS, SENDING, "the epoch to seal under")? {
        Some(kept) => kept,
        None => {
            let roster = Roster::load(transaction)?;
            let sending = consider(transaction, &roster, keys, now, environment.level())?;
            // What is known before the genesis entry is known says nothing.
            if roster.members.is_some() {
                put_record(transaction, Table::SETTINGS, SENDING, &sending)?;
            }
            sending
        }
    };
    // What says who belongs is read by those whom it shuts out, and a log's opening comes before everything in it.
    let at_once = Kind::is_membership(kind as u16) || kind == Kind::OpenLog;
    match sending.may {
        May::Nothing if !at_once => return Err(Fault::Removed),
        May::Read if is_content(kind as u16) => return Err(Fault::ReadOnly),
        May::Outdated(level) if is_content(kind as u16) => return Err(Fault::Outdated(level)),
        May::Nothing | May::Read | May::Write | May::Outdated(_) => {}
    }
    let worn = sending.sealed >= ENTRIES || now.saturating_sub(sending.since) > MONTH;
    let rotates = (worn || sending.epoch.is_none()) && !at_once && sending.may == May::Write;
    let epoch = match sending.epoch {
        _ if rotates => rotate_now(transaction, environment)?,
        None => return if keys.is_empty() { Err(Fault::NoKey) } else { Ok(0) },
        Some(epoch) => {
            let counted = SendingRecord { sealed: sending.sealed.saturating_add(1), ..sending };
            put_record(transaction, Table::SETTINGS, SENDING, &counted)?;
            epoch
        }
    };
    if rotates {
        *keys = keyring(transaction)?;
    }
    place_of(keys, &epoch)
}

/// Of a keyring the keys of the newest epochs: of those that count, where one is known to. Anybody who ever had a key can begin
/// an epoch that does not, and give its key to all.
pub(crate) fn newest(read: &dyn Read, mut keys: Keyring) -> Result<Keyring, Fault> {
    let roster = Roster::load(read)?;
    let counting: BTreeSet<EpochId> =
        roster.epochs.iter().filter(|epoch| epoch.facts.counts).map(|epoch| epoch.facts.id).collect();
    if keys.iter().any(|(id, ..)| counting.contains(id)) {
        keys.retain(|(id, ..)| counting.contains(id));
    }
    let last = keys.iter().map(|(_, generation, _)| *generation).max();
    keys.retain(|(_, generation, _)| Some(*generation) == last);
    Ok(keys)
}

fn place_of(keys: &Keyring, epoch: &EpochId) -> Result<usize, Fault> {
    keys.iter().position(|(id, ..)| id == epoch).ok_or(Fault::Damaged("the epoch to seal under"))
}

/// What this device may do, and under which epoch it seals by the rule of the format.
fn consider(read: &dyn Read, roster: &Roster, keys: &Keyring, now: u64, program: u16) -> Result<SendingRecord, Fault> {
    // Whoever was just let in does not know of it yet, and writes under the newest key it was given.
    let newest = keys.first().map(|(id, ..)| *id);
    let guest = SendingRecord { may: May::Write, epoch: newest, since: now, sealed: 0 };
    let Some(members) = &roster.members else { return Ok(guest) };
    let own = device_keys(read)?.ok_or(Fault::NoKey)?.id();
    let may = match members.get(&own).map(|member| member.role) {
        Some(Role::Writer | Role::Admin) if members.level() > program => May::Outdated(members.level()),
        Some(Role::Writer | Role::Admin) => May::Write,
        Some(Role::Reader) => May::Read,
        None if members.removed().any(|(id, _)| *id == own) => May::Nothing,
        None => return Ok(guest),
    };
    // Whoever was removed may have been given the keys of earlier epochs, whoever their recipients were.
    let mut removals: BTreeSet<EntryName> =
        members.removed().flat_map(|(_, removed)| removed.entries.iter().copied()).collect();
    removals.extend(roster.resets());
    let usable = |epoch: &&Epoch| {
        let held = keys.iter().any(|(id, ..)| *id == epoch.facts.id);
        held && (removals.is_empty() || roster.past(&epoch.entry).is_superset(&removals))
    };
    let usable: Vec<&Epoch> = roster.epochs.iter().filter(usable).collect();
    let chosen = members.epoch_to_seal(usable.iter().map(|epoch| &epoch.facts));
    let began = usable.iter().find(|epoch| Some(epoch.facts.id) == chosen).map(|epoch| epoch.time);
    Ok(SendingRecord { may, epoch: chosen, since: began.unwrap_or(now).min(now), sealed: 0 })
}

/// Begins an epoch: a fresh key for all members and the recovery key, with every earlier key sealed under it, and the
/// envelope that the twelve words open. This device seals under it from now on.
pub(crate) fn rotate_now(transaction: &mut Transaction, environment: &mut Environment) -> Result<EpochId, Fault> {
    let roster = Roster::load(transaction)?;
    let members = roster.members.as_ref().ok_or(Fault::NoKey)?;
    let device = device_keys(transaction)?.ok_or(Fault::NoKey)?;
    let earlier = keyring(transaction)?;
    let generation = earlier.iter().map(|(_, generation, _)| *generation).max().map_or(0, |last| last + 1);
    let key = EpochKey::random(environment.randomness());
    let random = environment.bytes();
    let recipients = recipients(members);
    let space = roster.space.space;
    let epoch = epoch_id(&space, &device.id(), members.heads(), &recipients, &random);
    let mut wraps = Vec::new();
    for recipient in recipients {
        let context = WrapContext { space: &space, epoch: &epoch, recipient: &recipient, author: &device.id() };
        let wrapped = match members.get(&recipient) {
            Some(member) => member.certificate.wrap(&key, context, environment.randomness()),
            None => {
                let recovery = members.recovery().iter().find(|recovery| recovery.id() == recipient);
                recovery.ok_or(Fault::Damaged("a recipient"))?.wrap(&key, context, environment.randomness())
            }
        };
        wraps.push(Wrap { recipient, bytes: wrapped.map_err(|_| Fault::Damaged("a certificate"))?.into() });
    }
    let sealed = key.seal_earlier(
        &space,
        &epoch,
        earlier.iter().map(|(id, generation, key)| (id, *generation, key)),
        environment.randomness(),
    );
    let rotate = Rotate {
        parents: members.heads().to_vec(),
        random,
        generation,
        check: key.check(&epoch),
        wraps,
        earlier: sealed.into(),
    };
    let payload = Payload::Rotate(rotate);
    let entry = append(transaction, environment, &payload)?;
    note_membership(transaction, &entry, device.id(), environment.now(), &payload)?;
    keep_key(transaction, &epoch, generation, &key)?;
    let chosen = SendingRecord { may: May::Write, epoch: Some(epoch), since: environment.now(), sealed: 0 };
    put_record(transaction, Table::SETTINGS, SENDING, &chosen)?;
    write_envelopes(transaction, environment, &epoch, None)?;
    Ok(epoch)
}

/// Seals the key of an epoch, with what else it takes to begin anew, for the twelve words.
pub(crate) fn write_envelopes(
    transaction: &mut Transaction,
    environment: &mut Environment,
    epoch: &EpochId,
    checkpoint: Option<[u8; 32]>,
) -> Result<(), Fault> {
    let roster = Roster::load(transaction)?;
    let Some(members) = &roster.members else { return Ok(()) };
    let keys = keyring(transaction)?;
    let (epoch, generation, key) = keys.iter().find(|(id, ..)| id == epoch).ok_or(Fault::NoKey)?;
    for recovery in members.recovery() {
        let envelope = RecoveryEnvelope {
            space: roster.space.space,
            genesis: roster.space.genesis,
            epoch: *epoch,
            generation: *generation,
            key: *key.expose(),
            mailboxes: roads(transaction)?.into_iter().map(|road| (road.address, road.mailbox)).collect(),
            checkpoint,
        };
        write_envelope(transaction, environment, recovery, &envelope)?;
    }
    Ok(())
}

/// Whom an epoch's key is wrapped for, sorted.
fn recipients(members: &Members) -> Vec<DeviceId> {
    let mut recipients: Vec<DeviceId> = members.iter().map(|(id, _)| *id).collect();
    recipients.extend(members.recovery().iter().map(ties_sealed_log::RecoveryCert::id));
    recipients.sort_unstable();
    recipients
}

/// A key that a member cannot have: of an epoch that began beside its admission, and that nobody gave it yet.
pub(crate) struct Lack {
    member: DeviceId,
    epoch: EpochId,
}

/// The keys that members lack and that are here. Whoever lets a device in gives it every key there is; what another device
/// began meanwhile is lacking.
pub(crate) fn lacking(read: &dyn Read) -> Result<Vec<Lack>, Fault> {
    let roster = Roster::load(read)?;
    let Some(members) = &roster.members else { return Ok(Vec::new()) };
    let keys = keyring(read)?;
    let mut lacking = Vec::new();
    for (id, member) in members.iter() {
        let mut given = None;
        for epoch in &roster.epochs {
            let here = keys.iter().any(|(held, ..)| *held == epoch.facts.id);
            let known = epoch.facts.recipients.contains(id) || roster.shares.contains(&(epoch.facts.id, *id));
            if !here || known {
                continue;
            }
            let given = given.get_or_insert_with(|| roster.past(&member.entry));
            if !roster.precedes(epoch, given) && member.added_by != *id {
                lacking.push(Lack { member: *id, epoch: epoch.facts.id });
            }
        }
    }
    Ok(lacking)
}

/// Gives a member a key that it lacks.
pub(crate) fn share(transaction: &mut Transaction, environment: &mut Environment, lack: &Lack) -> Result<(), Fault> {
    let roster = Roster::load(transaction)?;
    let keys = keyring(transaction)?;
    let device = device_keys(transaction)?.ok_or(Fault::NoKey)?;
    let Some(members) = &roster.members else { return Ok(()) };
    let Some(member) = members.get(&lack.member) else { return Ok(()) };
    let (epoch, generation, key) = &keys[place_of(&keys, &lack.epoch)?];
    let space = roster.space.space;
    let context = WrapContext { space: &space, epoch, recipient: &lack.member, author: &device.id() };
    let bytes = member.certificate.wrap(key, context, environment.randomness());
    let payload = Payload::Share(Share {
        parents: members.heads().to_vec(),
        epoch: *epoch,
        generation: *generation,
        check: key.check(epoch),
        wrap: Wrap { recipient: lack.member, bytes: bytes.map_err(|_| Fault::Damaged("a certificate"))?.into() },
    });
    // Under a key that it has, or it could not read what it is given.
    let past = roster.past(&member.entry);
    let has = |id: &EpochId| {
        let known = roster.epochs.iter().find(|known| known.facts.id == *id);
        known.is_some_and(|known| {
            let shared = roster.shares.contains(&(*id, lack.member));
            shared || roster.precedes(known, &past) || known.facts.recipients.contains(&lack.member)
        })
    };
    let Some(readable) = keys.iter().find(|(id, ..)| has(id)) else { return Ok(()) };
    incarnation::go_on(transaction, environment)?;
    let entry = append_under(transaction, environment, &payload, Vec::new(), readable)?;
    note_membership(transaction, &entry, device.id(), environment.now(), &payload)
}

impl Space {
    /// How many epochs' keys are here.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn epochs(&self) -> Result<usize, Fault> {
        Ok(keyring(&self.inner.store.read()?)?.len())
    }
}
