//! The engine's readers without a space, for fuzzing: they take what other members and damaged disks give. And a member
//! that writes what no honest one would.

use automerge::Automerge;
use ties_sealed_log::{Carried, Change, Changes, Entry, EntryName, Log, LogId, Payload, Sealed, actor, decode};

use crate::absorb::absorb;
use crate::author::{SPACE_NUMBER, append, keyring, log_key};
pub use crate::checkpoint::lie::Lie;
use crate::checkpoint::{FEWEST_HERE, Tail, shelf};
use crate::document::{DocumentId, apply_change, check_change};
use crate::records::{
    ClaimRecord, ContactRecord, DeviceRecord, EpochRecord, Fault, MembershipRecord, RoadRecord, SPACE, SpaceRecord,
    parse_place, put_record, record,
};
use crate::space::Space;

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the document.
    Taken {
        /// How many operations it holds.
        operations: usize,
    },
    /// It breaks a rule; the document is as it was.
    Refused,
}

/// Takes a change from elsewhere as an entry's changes are taken. `actor` is the one it must have, `None` for a seed.
pub fn take_change(document: &mut Automerge, chunk: &[u8], actor: Option<[u8; 16]>) -> Verdict {
    let Ok(change) = check_change(chunk, actor) else { return Verdict::Refused };
    let operations = change.len();
    match apply_change(document, change) {
        Ok(()) => Verdict::Taken { operations },
        Err(_) => Verdict::Refused,
    }
}

/// Seals chunks into one entry of a space's log as if they were changes: nobody looks what they are, and they are not
/// applied here. `chunks` is given the actor that they must have; a seed has none. Gives the entry's name.
///
/// # Errors
/// When the database cannot be read or written, or they do not fit into one entry.
pub fn forge(space: &Space, chunks: impl FnOnce([u8; 16]) -> Vec<Forged>) -> Result<EntryName, Fault> {
    let mut transaction = space.inner.store.write()?;
    let log = log_key(&transaction)?.ok_or(Fault::NoKey)?.id();
    let nonce: [u8; 16] = space.inner.environment().bytes();
    let items = chunks(actor(&log, &nonce)).into_iter().map(|forged| Change {
        document: forged.document.0,
        nonce: u16::from(!forged.seed),
        chunk: forged.chunk.into(),
    });
    let changes = Changes { nonces: vec![nonce], items: items.collect() };
    let entry = append(&mut transaction, &mut space.inner.environment(), &Payload::Changes(changes))?;
    transaction.commit()?;
    Ok(entry.name())
}

/// Says in a space's log that it carries changes of a log: of its own, or of another one that it has no key of.
///
/// # Errors
/// When the database cannot be read or written.
pub fn carry(space: &Space, of: Option<LogId>) -> Result<(), Fault> {
    let mut transaction = space.inner.store.write()?;
    let own = log_key(&transaction)?.ok_or(Fault::NoKey)?;
    let network: SpaceRecord =
        record(&transaction, ties_store::Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    let mut carried = Carried::sign(&own, &network.space, &own.id(), Changes::default());
    carried.log = of.unwrap_or(carried.log);
    append(&mut transaction, &mut space.inner.environment(), &Payload::Carried(carried))?;
    transaction.commit()?;
    Ok(())
}

/// Makes a checkpoint that says something else than this device's entries; gives `false` where there is nothing to make it of.
///
/// # Errors
/// When the database cannot be read or written, or has not the document.
pub fn make_false_checkpoint(space: &Space, lie: Lie) -> Result<bool, Fault> {
    space.make_false_checkpoint(lie)
}

/// From now on takes so many entries above the last checkpoint for enough to make another, so that it takes no thousands.
///
/// # Errors
/// When the database cannot be written.
pub fn checkpoint_after(space: &Space, entries: u64) -> Result<(), Fault> {
    let mut transaction = space.inner.store.write()?;
    put_record(&mut transaction, ties_store::Table::SETTINGS, FEWEST_HERE, &entries)?;
    Ok(transaction.commit()?)
}

/// A chunk that [`forge`] writes.
#[derive(Debug)]
pub struct Forged {
    /// Which document it says it changes.
    pub document: DocumentId,
    /// Whether it says that it is a seed change.
    pub seed: bool,
    /// Its bytes.
    pub chunk: Vec<u8>,
}

/// Reads bytes as each kind of record that the engine keeps.
pub fn read_records(bytes: &[u8]) {
    let _ = (decode::<DeviceRecord>(bytes), decode::<SpaceRecord>(bytes), decode::<EpochRecord>(bytes));
    let _ = (decode::<ClaimRecord>(bytes), decode::<MembershipRecord>(bytes), decode::<RoadRecord>(bytes));
    let _ = (decode::<ContactRecord>(bytes), parse_place(bytes));
}

/// From now on takes kinds of entries for unknown, as an earlier program would that they came after.
///
/// # Errors
/// When the database cannot be written.
pub fn ignore_kinds(space: &Space, kinds: &[u16]) -> Result<(), Fault> {
    let mut transaction = space.inner.store.write()?;
    put_record(&mut transaction, ties_store::Table::SETTINGS, crate::level::IGNORED, &kinds)?;
    transaction.commit()?;
    Ok(())
}

/// All entries of one log, in order of place.
///
/// # Errors
/// When the database cannot be read.
pub fn entries(space: &Space, log: &LogId) -> Result<Vec<Entry>, Fault> {
    Ok(space.inner.store.read()?.log(SPACE_NUMBER).after(log, 0, usize::MAX)?)
}

/// What was sealed into entries: those that open here.
///
/// # Errors
/// When the database cannot be read.
pub fn contents(space: &Space, entries: &[Entry]) -> Result<Vec<Sealed>, Fault> {
    let read = space.inner.store.read()?;
    let place: SpaceRecord = record(&read, ties_store::Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    let keys = keyring(&read)?;
    let open = |entry: &Entry| entry.open(&place.space, keys.iter().map(|(id, _, key)| (id, key))).ok();
    Ok(entries.iter().filter_map(open).map(|(_, content)| content).collect())
}

/// Bytes of the entries here that no checkpoint here has.
///
/// # Errors
/// When the database cannot be read.
pub fn tail(space: &Space) -> Result<u64, Fault> {
    let read = space.inner.store.read()?;
    Tail::above(&read, shelf::newest(&read)?.as_ref())?.bytes(&read, u64::MAX)
}

/// Takes in entries as a session does, whatever else there is that they build upon.
///
/// # Errors
/// When the database cannot be read or written.
pub fn take(space: &Space, entries: Vec<Entry>) -> Result<(), Fault> {
    let mut transaction = space.inner.store.write()?;
    for entry in &entries {
        transaction.log(SPACE_NUMBER).append(entry)?;
    }
    absorb(&mut transaction, &*space.inner.projection, entries)?;
    Ok(transaction.commit()?)
}

/// The database of a space.
#[must_use]
pub fn store(space: &Space) -> &ties_store::Store {
    &space.inner.store
}
