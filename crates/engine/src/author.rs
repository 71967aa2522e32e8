//! Writing this device's own log.

use std::collections::BTreeMap;

use ties_sealed_log::{
    Change, Changes, Decision, Dep, DeviceKeys, Entry, EntryError, EpochId, EpochKey, Log, LogId, LogKey, OpenLog,
    Payload, Position, Sealed, Secret, Tip, TipRecord, decode, encode,
};
use ties_store::{Read, Table, Transaction};

use crate::document::{DocumentId, MAX_OPERATIONS};
use crate::environment::Environment;
use crate::epochs::{reconsider, seal_under};
use crate::incarnation;
use crate::knowledge::learn;
use crate::records::{
    CLAIMS, ClaimRecord, EPOCHS, EpochRecord, Fault, LOG, NAMED, OWN_LOGS, SPACE, SpaceRecord, epoch_id, put_record,
    record,
};
use crate::roster::subjects;

/// The one space that a device's database holds.
pub(crate) const SPACE_NUMBER: u32 = 0;

/// Documents' changes before sealing, in the order in which they apply, with how many operations each holds.
pub(crate) type Items = Vec<(DocumentId, Made, Vec<u8>, usize)>;

/// How a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// Alike on every device.
    Seed,
    /// By this process.
    Here,
}

/// Raw bytes of changes that go into one entry; compressed they stay far below an entry's bound.
const BATCH: usize = 2 << 20;

/// How many operations the changes of one entry may hold. Text takes a byte for each; a hundred bytes more can delete
/// thousands of letters, and thousands of such changes fit into one entry: that is what is bounded here.
pub(crate) fn most_operations(bytes: usize) -> usize {
    MAX_OPERATIONS + bytes
}

/// Seals changes into as many entries of this device's log as they need; gives the entries.
pub(crate) fn write_changes(
    transaction: &mut Transaction,
    environment: &mut Environment,
    nonce: &[u8; 16],
    items: Items,
) -> Result<Vec<Entry>, Fault> {
    let mut written = Vec::new();
    let mut batch: Items = Vec::new();
    let (mut bytes, mut excess) = (0, 0);
    for item in items {
        let more = item.3.saturating_sub(item.2.len());
        if (bytes + item.2.len() > BATCH || excess + more > MAX_OPERATIONS) && !batch.is_empty() {
            write_batch(transaction, environment, nonce, std::mem::take(&mut batch), &mut written)?;
            (bytes, excess) = (0, 0);
        }
        bytes += item.2.len() + 20;
        excess += more;
        batch.push(item);
    }
    if !batch.is_empty() {
        write_batch(transaction, environment, nonce, batch, &mut written)?;
    }
    Ok(written)
}

fn write_batch(
    transaction: &mut Transaction,
    environment: &mut Environment,
    nonce: &[u8; 16],
    mut batch: Items,
    written: &mut Vec<Entry>,
) -> Result<(), Fault> {
    match append(transaction, environment, &Payload::Changes(changes(nonce, &batch))) {
        // What does not compress is halved until it fits.
        Err(Fault::TooLarge) if batch.len() > 1 => {
            let second = batch.split_off(batch.len() / 2);
            write_batch(transaction, environment, nonce, batch, written)?;
            write_batch(transaction, environment, nonce, second, written)
        }
        entry => {
            written.push(entry?);
            Ok(())
        }
    }
}

fn changes(nonce: &[u8; 16], batch: &Items) -> Changes {
    let here = batch.iter().any(|(_, made, ..)| *made == Made::Here);
    Changes {
        nonces: if here { vec![*nonce] } else { Vec::new() },
        items: batch
            .iter()
            .map(|(id, made, chunk, _)| Change {
                document: id.0,
                nonce: u16::from(*made == Made::Here),
                chunk: chunk.clone().into(),
            })
            .collect(),
    }
}

/// Opens a new log for this device.
pub(crate) fn open_log(
    transaction: &mut Transaction,
    environment: &mut Environment,
    device: &DeviceKeys,
) -> Result<Entry, Fault> {
    let space: SpaceRecord = record(transaction, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    let log = LogKey::random(environment.randomness());
    put_record(transaction, Table::SETTINGS, LOG, log.secret().expose())?;
    incarnation::settle(transaction, environment)?;
    let signature = device.sign_log(&space.space, &log.id()).to_vec();
    let claim = ClaimRecord { device: device.id(), signature: signature.clone().into() };
    put_record(transaction, CLAIMS, &log.id().0, &claim)?;
    append(transaction, environment, &Payload::OpenLog(OpenLog { device: device.id(), signature: signature.into() }))
}

/// The key of one of this device's logs, whether or not it is the present one.
pub(crate) fn own_log(read: &dyn Read, log: &LogId) -> Result<Option<LogKey>, Fault> {
    if let Some(key) = log_key(read)?.filter(|key| key.id() == *log) {
        return Ok(Some(key));
    }
    let secret: Option<[u8; 32]> = record(read, OWN_LOGS, &log.0, "a log key")?;
    Ok(secret.map(|secret| LogKey::from_secret(&Secret::new(secret))))
}

/// Seals one payload into the next entry of this device's log.
pub(crate) fn append(
    transaction: &mut Transaction,
    environment: &mut Environment,
    payload: &Payload,
) -> Result<Entry, Fault> {
    append_naming(transaction, environment, payload, Vec::new())
}

/// As [`append`], for an entry that names others beside what its author has read.
pub(crate) fn append_naming(
    transaction: &mut Transaction,
    environment: &mut Environment,
    payload: &Payload,
    others: Vec<Dep>,
) -> Result<Entry, Fault> {
    incarnation::go_on(transaction, environment)?;
    let mut keys = keyring(transaction)?;
    let chosen = seal_under(transaction, environment, payload.kind(), &mut keys)?;
    append_under(transaction, environment, payload, others, &keys[chosen])
}

/// As [`append_naming`], under a key of one's choice.
pub(crate) fn append_under(
    transaction: &mut Transaction,
    environment: &mut Environment,
    payload: &Payload,
    others: Vec<Dep>,
    (epoch, _, key): &(EpochId, u32, EpochKey),
) -> Result<Entry, Fault> {
    // What a decision to discard names is what it is about, and nothing else.
    let about = matches!(payload, Payload::Decision(Decision::Discard));
    let mut deps = if about { Vec::new() } else { unnamed(transaction)? };
    deps.extend(others);
    let content = Sealed::new(payload, deps.clone(), environment.now());
    let space: SpaceRecord = record(transaction, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    let entry = seal_next(transaction, environment, |log, position, environment| {
        Entry::seal(log, position, &space.space, (epoch, key), &content, environment.randomness())
    })?;
    learn(transaction, &subjects(transaction)?, &entry, &deps)?;
    if !deps.is_empty() {
        name(transaction, &deps)?;
    }
    Ok(entry)
}

/// Puts whatever `seal` makes at the end of this device's log.
pub(crate) fn seal_next(
    transaction: &mut Transaction,
    environment: &mut Environment,
    seal: impl FnOnce(&LogKey, Position, &mut Environment) -> Result<Entry, EntryError>,
) -> Result<Entry, Fault> {
    let key = log_key(transaction)?.ok_or(Fault::NoKey)?;
    let tips = transaction.log(SPACE_NUMBER).tips(&key.id())?;
    let position = tips.last().map_or(Position::FIRST, |tip| Position { seq: tip.seq + 1, prev: tip.name });
    let entry = seal(&key, position, environment).map_err(|_| Fault::TooLarge)?;
    transaction.log(SPACE_NUMBER).append(&entry)?;
    mark_applied(transaction, &entry)?;
    incarnation::wrote(transaction, &entry)?;
    Ok(entry)
}

/// The key of this device's log.
pub(crate) fn log_key(read: &dyn Read) -> Result<Option<LogKey>, Fault> {
    let secret: Option<[u8; 32]> = record(read, Table::SETTINGS, LOG, "the log key")?;
    Ok(secret.map(|secret| LogKey::from_secret(&Secret::new(secret))))
}

/// All epoch keys, newest first: by generation, then by id.
pub(crate) type Keyring = Vec<(EpochId, u32, EpochKey)>;

pub(crate) fn keyring(read: &dyn Read) -> Result<Keyring, Fault> {
    let mut keys = Vec::new();
    for (id, bytes) in read.pairs(EPOCHS, &[])? {
        let found: EpochRecord = decode(&bytes).map_err(|_| Fault::Damaged("an epoch"))?;
        keys.push((epoch_id(&id)?, found.generation, EpochKey::new(Secret::new(found.key))));
    }
    keys.sort_by_key(|(id, generation, _)| (std::cmp::Reverse(*generation), *id));
    Ok(keys)
}

/// Remembers an epoch's key; `false` if it was here.
pub(crate) fn keep_key(
    transaction: &mut Transaction,
    epoch: &EpochId,
    generation: u32,
    key: &EpochKey,
) -> Result<bool, Fault> {
    if transaction.get(EPOCHS, &epoch.0)?.is_some() {
        return Ok(false);
    }
    put_record(transaction, EPOCHS, &epoch.0, &EpochRecord { generation, key: *key.expose() })?;
    reconsider(transaction)?;
    Ok(true)
}

/// The applied tips of one log, as far as deps may name them.
pub(crate) fn applied(read: &dyn Read, log: &LogId) -> Result<Vec<Tip>, Fault> {
    Ok(record(read, Table::APPLIED, &log.0, "applied tips")?.unwrap_or_default())
}

pub(crate) fn mark_applied(transaction: &mut Transaction, entry: &Entry) -> Result<(), Fault> {
    let mut tips = applied(transaction, &entry.log())?;
    tips.retain(|tip| tip.name != entry.prev());
    tips.push(Tip { seq: entry.seq(), name: entry.name() });
    tips.sort_unstable();
    tips.dedup();
    put_record(transaction, Table::APPLIED, &entry.log().0, &tips)
}

/// Tips of other logs that were applied here and that this log has not named yet, sorted.
pub(crate) fn unnamed(read: &dyn Read) -> Result<Vec<Dep>, Fault> {
    let own = log_key(read)?.map(|key| key.id());
    let named = named(read)?;
    let mut deps = Vec::new();
    for (log, tips) in read.pairs(Table::APPLIED, &[])? {
        let log = LogId(log.try_into().map_err(|_| Fault::Damaged("applied tips"))?);
        let tips: Vec<Tip> = decode(&tips).map_err(|_| Fault::Damaged("applied tips"))?;
        if Some(log) == own {
            continue;
        }
        let news = tips.into_iter().filter(|tip| !named.get(&log).is_some_and(|known| known.contains(tip)));
        deps.extend(news.map(|tip| Dep { log, seq: tip.seq, name: tip.name }));
    }
    Ok(deps)
}

fn named(read: &dyn Read) -> Result<BTreeMap<LogId, Vec<Tip>>, Fault> {
    let records: Vec<TipRecord> = record(read, Table::SETTINGS, NAMED, "named tips")?.unwrap_or_default();
    let mut named: BTreeMap<LogId, Vec<Tip>> = BTreeMap::new();
    records.iter().for_each(|record| named.entry(record.log).or_default().push(record.tip));
    Ok(named)
}

fn name(transaction: &mut Transaction, deps: &[Dep]) -> Result<(), Fault> {
    let mut named = named(transaction)?;
    // The applied tips replace what was named of a log: what lies below them needs no second naming.
    for dep in deps {
        named.insert(dep.log, applied(transaction, &dep.log)?);
    }
    let records: Vec<TipRecord> =
        named.into_iter().flat_map(|(log, tips)| tips.into_iter().map(move |tip| TipRecord { log, tip })).collect();
    Ok(transaction.put(Table::SETTINGS, NAMED, &encode(&records))?)
}
