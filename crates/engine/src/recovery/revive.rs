//! A device made by the words alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ties_sealed_log::{
    Admit, DeviceId, DeviceKeys, Entry, EntryName, EpochId, EpochKey, Genesis, Log, LogId, Manner, OpenLog, Payload,
    RecoveryKeys, RecoveryWords, Remove, Role, Rotate, Sealed, Secret, SpaceId, WrapContext, decode,
};
use ties_store::{Read, Sharing, Store, Table, Transaction};

use super::copy::CipherCopy;
use super::mailboxes::{Word, speak};
use super::{RecoverOptions, RecoveryError, Source};
use crate::absorb::{absorb, absorb_waiting, keep_opening, keep_statement};
use crate::author::{Keyring, SPACE_NUMBER, append, keep_key, keyring, open_log};
use crate::document::Projection;
use crate::environment::Environment;
use crate::epochs::{reconsider, rotate_now};
use crate::records::{
    DEVICE, DeviceRecord, EPOCHS, Fault, MEMBERSHIP, MembershipRecord, PROJECTION, ROADS, RoadRecord, SPACE,
    SpaceRecord, put_record, record,
};
use crate::removal::pins;
use crate::roads::heads;
use crate::roster::Roster;
use crate::space::Space;

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Entries that were there.
    pub entries: usize,
    /// The devices that were members, this one not among them.
    pub devices: Vec<String>,
}

impl Space {
    /// Makes a device in an empty folder by the words, from any copy of the ciphertext. It belongs as an admin from then
    /// on; the next sync tells the others.
    ///
    /// # Errors
    /// When there is no such copy, or the words do not open it. Nothing is kept then: there is no half of a device.
    pub async fn recover(
        folder: &Path,
        projection: impl Projection,
        words: &RecoveryWords,
        source: &Source,
        options: &RecoverOptions,
        mut environment: Environment,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<(Self, Recovered), RecoveryError> {
        crate::pairing::must_be_free(folder).map_err(|_| ties_store::OpenError::Exists(folder.to_owned()))?;
        let keys = words.keys();
        let copy = match source {
            Source::Relay(address) => CipherCopy::from_relay(address, &keys, progress).await?,
            Source::Folder(folder) => CipherCopy::from_folder(folder)?,
        };
        let found = find(&copy, &keys)?;
        let (store, recovered) = Store::create_with(folder, Sharing::Processes, |transaction| {
            revive(transaction, &projection, &mut environment, (&copy, &found), &keys, options)
        })?;
        Ok((Self::over(store, Some(folder.to_owned()), Box::new(projection), environment), recovered))
    }

    /// Makes a device by the words in a store of one's own, from another device's store, for simulations.
    ///
    /// # Errors
    /// As [`Self::recover`].
    pub fn recover_in(
        store: Store,
        projection: impl Projection,
        words: &RecoveryWords,
        from: &Store,
        options: &RecoverOptions,
        mut environment: Environment,
    ) -> Result<(Self, Recovered), RecoveryError> {
        let keys = words.keys();
        let copy = CipherCopy::from_snapshot(&from.read()?)?;
        let found = find(&copy, &keys)?;
        let mut transaction = store.write()?;
        let recovered = revive(&mut transaction, &projection, &mut environment, (&copy, &found), &keys, options)?;
        transaction.commit()?;
        Ok((Self::over(store, None, Box::new(projection), environment), recovered))
    }
}

/// The space that the words open in a copy, and the keys that lie in its envelopes.
struct Found {
    place: SpaceRecord,
    keys: Keyring,
}

/// Opens what looks like an envelope. Whoever knows the recovery key's public half can write one, so it is believed only
/// if it leads to the birth of its space.
fn find(copy: &CipherCopy, keys: &RecoveryKeys) -> Result<Found, RecoveryError> {
    let mut spaces: BTreeMap<SpaceId, BTreeMap<EntryName, Keyring>> = BTreeMap::new();
    for entry in copy.entries().filter(ties_sealed_log::Entry::is_recovery_envelope) {
        let Ok(envelope) = entry.open_envelope(keys) else { continue };
        let key = EpochKey::new(Secret::new(envelope.key));
        let genesis = spaces.entry(envelope.space).or_default().entry(envelope.genesis).or_default();
        genesis.push((envelope.epoch, envelope.generation, key));
    }
    if spaces.is_empty() {
        return Err(RecoveryError::Nothing);
    }
    let mut born = Vec::new();
    for (space, candidates) in spaces {
        for (genesis, mut keys) in candidates {
            if is_birth(copy, &space, &genesis, &mut keys) {
                born.push(Found { place: SpaceRecord { space, genesis }, keys });
            }
        }
    }
    match born.len() {
        0 => Err(RecoveryError::Incomplete),
        1 => born.pop().ok_or(RecoveryError::Incomplete),
        _ => Err(RecoveryError::Several(born.iter().map(|found| found.place.space).collect())),
    }
}

/// Whether an entry is the genesis of a space, in the log of its founder. The keys are those of envelopes; what the copy's
/// checkpoints say of earlier ones is added.
fn is_birth(copy: &CipherCopy, space: &SpaceId, name: &EntryName, keys: &mut Keyring) -> bool {
    let mut below = Vec::new();
    for told in copy.bases.iter().filter_map(|base| base.told(space, keys)).collect::<Vec<_>>() {
        below.extend(told.entries);
        let known: BTreeSet<EpochId> = keys.iter().map(|(epoch, ..)| *epoch).collect();
        keys.extend(told.keys.into_iter().filter(|(epoch, ..)| !known.contains(epoch)));
    }
    let open = |entry: &ties_sealed_log::Entry| -> Option<Payload> {
        let (_, sealed) = entry.open(space, keys.iter().map(|(epoch, _, key)| (epoch, key))).ok()?;
        sealed.payload().ok().flatten()
    };
    let found = copy.find(name).or_else(|| below.iter().find(|entry| entry.name() == *name).cloned());
    let Some(entry) = found else { return false };
    let Some(Payload::Genesis(genesis)) = open(&entry) else { return false };
    let Ok(mut first) = copy.log.after(&entry.log(), 0, 0);
    first.extend(below.iter().filter(|one| one.log() == entry.log()).cloned());
    first.retain(|one| one.seq() == 1);
    let claims = |claim: OpenLog| {
        let signature = <&[u8; 64]>::try_from(claim.signature.as_slice());
        signature.is_ok_and(|signature| genesis.founder.verify_log(space, &entry.log(), signature).is_ok())
    };
    let mut claimed = first.iter().filter_map(|first| match open(first) {
        Some(Payload::OpenLog(claim)) => Some(claim),
        _ => None,
    });
    Genesis::space(&genesis) == *space && claimed.any(claims)
}

fn revive(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    environment: &mut Environment,
    (copy, found): (&CipherCopy, &Found),
    keys: &RecoveryKeys,
    options: &RecoverOptions,
) -> Result<Recovered, RecoveryError> {
    let device = DeviceKeys::from_seed(Secret::random(environment.randomness()));
    let kept = DeviceRecord { seed: *device.seed().expose(), name: options.device_name.clone() };
    put_record(transaction, Table::SETTINGS, DEVICE, &kept)?;
    put_record(transaction, Table::SETTINGS, PROJECTION, &projection.version())?;
    put_record(transaction, Table::SETTINGS, SPACE, &found.place)?;
    for (epoch, generation, key) in &found.keys {
        keep_key(transaction, epoch, *generation, key)?;
    }
    let entries = take(transaction, projection, copy, environment.now())?;
    while learn_keys(transaction, keys)? {
        absorb_waiting(transaction, projection)?;
    }
    let roster = Roster::load(transaction)?;
    let members = roster.members.as_ref().ok_or(RecoveryError::Incomplete)?;
    if members.recovery().iter().all(|standing| *standing != keys.certificate()) {
        return Err(RecoveryError::Replaced);
    }
    let others: Vec<(DeviceId, String)> = members.iter().map(|(id, member)| (*id, member.name.clone())).collect();
    enter(transaction, projection, environment, (keys, &device), &options.device_name)?;
    for (other, _) in others.iter().filter(|_| options.lost) {
        shut_out(transaction, projection, environment, other)?;
    }
    let word = if options.lost { Word::Renew } else { Word::LetIn };
    rotate_now(transaction, environment)?;
    speak(transaction, projection, environment, keys, word)?;
    Ok(Recovered { entries, devices: others.into_iter().map(|(_, name)| name).collect() })
}

/// Takes in the whole copy; gives the number of its entries.
fn take(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    copy: &CipherCopy,
    now: u64,
) -> Result<usize, RecoveryError> {
    for (mailbox, kept) in &copy.boxes {
        for statement in &kept.statements {
            keep_statement(transaction, mailbox, statement)?;
        }
        for opening in kept.openings.values() {
            keep_opening(transaction, mailbox, opening)?;
        }
    }
    for base in &copy.bases {
        base.load(transaction, projection, now)?;
    }
    let mut entries = if copy.carried { opening(transaction, copy)? } else { copy.entries().collect() };
    let mut appended = Vec::with_capacity(entries.len());
    for entry in entries.drain(..) {
        if transaction.log(SPACE_NUMBER).append(&entry)?.is_new() {
            appended.push(entry);
        }
    }
    let entries = appended;
    let count = entries.len();
    absorb(transaction, projection, entries)?;
    // The address that was just met at is known to be good; what older entries say of that mailbox may not be.
    for (mailbox, road) in copy.boxes.iter().filter_map(|(mailbox, kept)| Some((mailbox, kept.road.as_ref()?))) {
        let kept = RoadRecord { address: road.address.clone(), relay: road.relay };
        put_record(transaction, ROADS, &mailbox.0, &kept)?;
    }
    Ok(count)
}

/// The entries of the logs that open under a key that is here: whoever could write to a folder may have put others there, and
/// other spaces may use it. Each rotation left an envelope, so that all epochs' keys are here.
fn opening(read: &dyn Read, copy: &CipherCopy) -> Result<Vec<Entry>, Fault> {
    let space = record(read, Table::SETTINGS, SPACE, "the space")?.map(|place: SpaceRecord| place.space);
    let (space, keys) = (space.ok_or(Fault::NoKey)?, keyring(read)?);
    // Those that begin with a checkpoint: it opened.
    let below = copy.bases.iter().flat_map(|base| base.floor.logs());
    let mut open: BTreeSet<LogId> = below.collect();
    for entry in copy.entries() {
        if entry.seq() == 1 && entry.open(&space, keys.iter().map(|(id, _, key)| (id, key))).is_ok() {
            open.insert(entry.log());
        }
    }
    Ok(copy.entries().filter(|entry| open.contains(&entry.log())).collect())
}

/// Goes through the rotates that are open by now: forgets keys that none of them bears out, since anybody can put one in
/// an envelope, and takes those that they hold, for the words and as earlier ones. Says whether one was new.
fn learn_keys(transaction: &mut Transaction, keys: &RecoveryKeys) -> Result<bool, Fault> {
    let space = Roster::load(transaction)?.space.space;
    let own = keys.certificate().id();
    let rotates = rotates(transaction, &space)?;
    for (epoch, _, key) in keyring(transaction)? {
        if !rotates.get(&epoch).is_some_and(|(_, rotate)| key.matches(&epoch, &rotate.check)) {
            transaction.remove(EPOCHS, &epoch.0)?;
            reconsider(transaction)?;
        }
    }
    let mut news = false;
    for (epoch, (author, rotate)) in &rotates {
        let Some(wrap) = rotate.wraps.iter().find(|wrap| wrap.recipient == own) else { continue };
        let context = WrapContext { space: &space, epoch, recipient: &own, author };
        let Ok(key) = keys.unwrap(&wrap.bytes, context) else { continue };
        if key.matches(epoch, &rotate.check) {
            news |= keep_key(transaction, epoch, rotate.generation, &key)?;
        }
    }
    for (epoch, _, key) in keyring(transaction)? {
        let Some((_, rotate)) = rotates.get(&epoch) else { continue };
        for earlier in key.open_earlier(&space, &epoch, &rotate.earlier).unwrap_or_default() {
            let known = rotates.get(&earlier.epoch);
            if known.is_none_or(|(_, rotate)| earlier.key.matches(&earlier.epoch, &rotate.check)) {
                news |= keep_key(transaction, &earlier.epoch, earlier.generation, &earlier.key)?;
            }
        }
    }
    Ok(news)
}

fn rotates(read: &dyn Read, space: &SpaceId) -> Result<BTreeMap<EpochId, (DeviceId, Rotate)>, Fault> {
    let mut rotates = BTreeMap::new();
    for (_, bytes) in read.pairs(MEMBERSHIP, &[])? {
        let kept: MembershipRecord = decode(&bytes).map_err(|_| Fault::Damaged("a membership entry"))?;
        let sealed = Sealed { kind: kept.kind, deps: Vec::new(), time: kept.time, body: kept.body.to_vec() };
        if let Ok(Some(Payload::Rotate(rotate))) = sealed.payload() {
            rotates.insert(rotate.epoch(space, &kept.author), (kept.author, rotate));
        }
    }
    Ok(rotates)
}

/// Opens this device's log and lets it in by the words.
fn enter(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    environment: &mut Environment,
    (keys, device): (&RecoveryKeys, &DeviceKeys),
    name: &str,
) -> Result<(), RecoveryError> {
    let opening = open_log(transaction, environment, device)?;
    absorb(transaction, projection, vec![opening])?;
    let space = Roster::load(transaction)?.space.space;
    let parents = heads(transaction)?;
    let admit = Admit::sign(keys, &space, parents, device.certificate(), Role::Admin, name.to_owned());
    let entry = append(transaction, environment, &Payload::Admit(admit))?;
    absorb(transaction, projection, vec![entry])?;
    let members = Roster::load(transaction)?.members.ok_or(RecoveryError::Incomplete)?;
    if members.role(&device.id()) != Some(Role::Admin) {
        return Err(RecoveryError::Refused);
    }
    Ok(())
}

/// Shuts out a device that is gone: what it wrote and nobody has seen until now is not taken on its word.
fn shut_out(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    environment: &mut Environment,
    device: &DeviceId,
) -> Result<(), Fault> {
    let pins = pins(transaction, device)?;
    let remove = Remove { parents: heads(transaction)?, device: *device, manner: Manner::Revoke { pins } };
    let entry = append(transaction, environment, &Payload::Remove(remove))?;
    absorb(transaction, projection, vec![entry]).map(drop)
}
