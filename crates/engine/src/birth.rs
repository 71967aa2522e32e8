//! How a space, and a device's place in it, comes to be.

use ties_sealed_log::{
    DeviceKeys, Entry, EntryName, EpochKey, Genesis, Payload, RecoveryCert, RecoveryEnvelope, RecoveryWords, Rotate,
    Secret, Wrap, WrapContext, encode, epoch_id,
};
use ties_store::{Table, Transaction};

use crate::absorb::absorb;
use crate::author::{append, keep_key, open_log, seal_next};
use crate::document::Projection;
use crate::environment::Environment;
use crate::records::{DEVICE, DeviceRecord, Fault, PROJECTION, SPACE, SpaceRecord, put_record};

/// Makes a new space in an empty database: the founder's log with opening, genesis, first epoch, recovery envelope.
pub(crate) fn found(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    environment: &mut Environment,
    name: &str,
    recovery: bool,
) -> Result<Option<RecoveryWords>, Fault> {
    let device = DeviceKeys::from_seed(Secret::random(environment.randomness()));
    let words = recovery.then(|| RecoveryWords::random(environment.randomness()));
    let recovery = words.as_ref().map(|words| words.keys().certificate());
    let genesis = Genesis {
        random: environment.bytes(),
        founder: device.certificate(),
        name: name.to_owned(),
        recovery: recovery.clone(),
    };
    let space = genesis.space();
    // The genesis entry's name is known only once it is sealed; nothing reads it before.
    put_record(transaction, Table::SETTINGS, SPACE, &SpaceRecord { space, genesis: EntryName::NONE })?;
    let (rotate, key) = first_epoch(&genesis, &device, environment)?;
    let epoch = rotate.epoch(&space, &device.id());
    keep_key(transaction, &epoch, 0, &key)?;
    let opening = settle(transaction, projection, environment, &device, name)?;

    let birth = append(transaction, environment, &Payload::Genesis(genesis))?;
    put_record(transaction, Table::SETTINGS, SPACE, &SpaceRecord { space, genesis: birth.name() })?;
    let rotated = append(transaction, environment, &Payload::Rotate(rotate))?;
    absorb(transaction, projection, vec![opening, birth.clone(), rotated])?;
    if let Some(recovery) = recovery {
        let envelope = RecoveryEnvelope {
            space,
            genesis: birth.name(),
            epoch,
            generation: 0,
            key: *key.expose(),
            mailboxes: Vec::new(),
            checkpoint: None,
        };
        write_envelope(transaction, environment, &recovery, &envelope)?;
    }
    Ok(words)
}

/// Gives a device its place in a database: its keys, its name, and a log of its own, opened.
pub(crate) fn settle(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    environment: &mut Environment,
    device: &DeviceKeys,
    name: &str,
) -> Result<Entry, Fault> {
    let kept = DeviceRecord { seed: *device.seed().expose(), name: name.to_owned() };
    put_record(transaction, Table::SETTINGS, DEVICE, &kept)?;
    put_record(transaction, Table::SETTINGS, PROJECTION, &projection.version())?;
    open_log(transaction, environment, device)
}

/// Seals a recovery envelope into this device's log. All envelopes have one size: of more mailboxes than fit, the first ones
/// lead to the entries that name the others.
pub(crate) fn write_envelope(
    transaction: &mut Transaction,
    environment: &mut Environment,
    recovery: &RecoveryCert,
    envelope: &RecoveryEnvelope,
) -> Result<Entry, Fault> {
    let mut envelope = envelope.clone();
    while !envelope.mailboxes.is_empty() && zeroize::Zeroizing::new(encode(&envelope)).len() > ENVELOPE {
        envelope.mailboxes.pop();
    }
    seal_next(transaction, environment, |log, position, environment| {
        Entry::seal_envelope(log, position, recovery, &envelope, environment.randomness())
    })
}

/// Bytes that an envelope holds at most (FORMAT.md, recovery envelope).
const ENVELOPE: usize = 1996;

/// The first epoch. Its id must be fixed before the genesis entry is sealed under its key, so it names no parents.
fn first_epoch(
    genesis: &Genesis,
    device: &DeviceKeys,
    environment: &mut Environment,
) -> Result<(Rotate, EpochKey), Fault> {
    let (space, author) = (genesis.space(), device.id());
    let key = EpochKey::random(environment.randomness());
    let random = environment.bytes();
    let mut recipients = vec![author];
    recipients.extend(genesis.recovery.as_ref().map(RecoveryCert::id));
    recipients.sort_unstable();
    let epoch = epoch_id(&space, &author, &[], &recipients, &random);
    let mut wraps = Vec::new();
    for recipient in recipients {
        let context = WrapContext { space: &space, epoch: &epoch, recipient: &recipient, author: &author };
        let wrapped = match genesis.recovery.as_ref().filter(|recovery| recovery.id() == recipient) {
            Some(recovery) => recovery.wrap(&key, context, environment.randomness()),
            None => genesis.founder.wrap(&key, context, environment.randomness()),
        };
        let bytes = wrapped.map_err(|_| Fault::Damaged("a certificate made here"))?.into();
        wraps.push(Wrap { recipient, bytes });
    }
    let rotate = Rotate {
        parents: Vec::new(),
        random,
        generation: 0,
        check: key.check(&epoch),
        wraps,
        earlier: Vec::new().into(),
    };
    Ok((rotate, key))
}
