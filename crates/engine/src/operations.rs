//! What this device did, one operation after the other: the list that undoing walks along.
//!
//! An operation is one [`Space::write`], or all the writes of one [`Ongoing`]. Its record is written in the same
//! transaction as its entries and names them; what was changed stands in the entries alone. Records stay on this device.

use std::collections::BTreeSet;

use ties_sealed_log::{Change, Entry, Payload, Tip};
use ties_store::{Read, Table, Transaction};

use crate::author::keyring;
use crate::checkpoint::{entry_at, is_in_ground};
use crate::document::DocumentId;
use crate::edit::{Edit, EditError};
use crate::records::{
    EntryPlace, Fault, OPERATION_COUNT, OPERATIONS, OperationRecord, SPACE, SpaceRecord, put_record, record,
};
use crate::space::{Space, WriteError};

/// Names an operation: the first bytes of its first entry's name. Shown as eight hexadecimal digits or more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub [u8; 8]);

impl std::fmt::Display for OperationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for OperationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OperationId({self})")
    }
}

/// Something that this device did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its name.
    pub id: OperationId,
    /// Counts this device's operations from 1.
    pub number: u64,
    /// When it began, in milliseconds since 1970.
    pub time: u64,
    /// What its writer called it.
    pub label: String,
    /// How many documents it changed.
    pub documents: u32,
    /// The first few of them.
    pub first: Vec<DocumentId>,
    /// The numbers of the operations that it takes back, if it is an undo (or the redo of one).
    pub undoes: Vec<u64>,
    /// Whether it was carried to its end; only an undo in many parts can be cut short.
    pub complete: bool,
    /// Whether it is taken back at present.
    pub undone: bool,
}

/// One operation in as many writes as it needs, for what is too much for one transaction.
///
/// Each write is durable on its own; what is there when it is cut short counts as the operation.
#[derive(Debug)]
pub struct Ongoing {
    space: Space,
    label: String,
    undoes: Vec<u64>,
    complete: bool,
    number: Option<u64>,
}

impl Space {
    /// Begins an operation of this name. It is listed as soon as something is written.
    #[must_use]
    pub fn operation(&self, label: impl Into<String>) -> Ongoing {
        let (space, label) = (self.clone(), label.into());
        Ongoing { space, label, undoes: Vec::new(), complete: true, number: None }
    }

    /// Shows this device's operations, newest first, until told to stop.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn operations(&self, mut show: impl FnMut(Operation) -> bool) -> Result<(), Fault> {
        let snapshot = self.inner.store.read()?;
        each(&snapshot, |number, found, undone| show(shown(number, found, undone)))
    }
}

impl Ongoing {
    /// Changes documents: everything the closure does is durable when this returns, or nothing is.
    ///
    /// # Errors
    /// As [`Space::write`].
    pub fn write<T, E: From<EditError>>(
        &mut self,
        edit: impl FnOnce(&mut Edit<'_>) -> Result<T, E>,
    ) -> Result<T, WriteError<E>> {
        let space = self.space.clone();
        space.write_as(self, edit)
    }

    /// Whether anything was written.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.number.is_some()
    }

    /// An operation that takes others back. They count as undone once it is complete: with its one write, or when it is
    /// [finished](Self::finish).
    pub(crate) fn undoing(space: &Space, label: String, undoes: Vec<u64>, complete: bool) -> Self {
        Self { undoes, complete, ..space.operation(label) }
    }

    /// Marks an undo as carried to its end.
    pub(crate) fn finish(mut self) -> Result<OperationId, Fault> {
        if let (Some(number), true) = (self.number, self.complete) {
            return Ok(OperationId(stored(&self.space.inner.store.read()?, number)?.id));
        }
        self.complete = true;
        let space = self.space.clone();
        let mut transaction = space.inner.store.write()?;
        let number = self.note(&mut transaction, space.now(), &[], &[])?;
        let found = stored(&transaction, number)?;
        transaction.commit()?;
        space.inner.committed();
        Ok(OperationId(found.id))
    }

    /// Writes what the entries of one write add to the operation's record; gives the operation's number.
    pub(crate) fn note(
        &self,
        transaction: &mut Transaction,
        time: u64,
        documents: &[DocumentId],
        entries: &[Entry],
    ) -> Result<u64, Fault> {
        let number = match self.number {
            Some(number) => number,
            None => count(transaction)? + 1,
        };
        let mut kept = match self.number {
            Some(number) => stored(transaction, number)?,
            None => OperationRecord {
                id: id_of(number, entries),
                time,
                label: self.label.clone(),
                entries: Vec::new(),
                documents: 0,
                first: Vec::new(),
                undoes: self.undoes.clone(),
                complete: self.complete,
            },
        };
        kept.complete = self.complete;
        kept.entries.extend(entries.iter().map(|entry| EntryPlace {
            log: entry.log(),
            seq: entry.seq(),
            name: entry.name(),
        }));
        let mut seen = BTreeSet::new();
        for id in documents.iter().filter(|id| seen.insert(**id)) {
            if kept.first.len() < FIRST && !kept.first.contains(&id.0) {
                kept.first.push(id.0);
            }
        }
        kept.documents = kept.documents.saturating_add(u32::try_from(seen.len()).unwrap_or(u32::MAX));
        put_record(transaction, OPERATIONS, &number.to_be_bytes(), &kept)?;
        put_record(transaction, Table::SETTINGS, OPERATION_COUNT, &number.max(count(transaction)?))?;
        Ok(number)
    }

    /// Takes note that what was noted is durable.
    pub(crate) fn noted(&mut self, number: u64) {
        self.number = Some(number);
    }
}

/// Shows the records, newest first, with whether each is undone at present.
pub(crate) fn each(read: &dyn Read, mut show: impl FnMut(u64, OperationRecord, bool) -> bool) -> Result<(), Fault> {
    let mut taken_back = BTreeSet::new();
    for number in (1..=count(read)?).rev() {
        let found = stored(read, number)?;
        let undone = taken_back.contains(&number);
        if !undone && found.complete {
            taken_back.extend(found.undoes.iter().copied());
        }
        if !show(number, found, undone) {
            break;
        }
    }
    Ok(())
}

/// The changes that an operation wrote, in their order, one entry at a time.
pub(crate) fn each_change(
    read: &dyn Read,
    operation: &OperationRecord,
    mut show: impl FnMut(Change) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let space: SpaceRecord = record(read, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    let keys = keyring(read)?;
    for place in &operation.entries {
        let at = Tip { seq: place.seq, name: place.name };
        let entry = match entry_at(read, &place.log, at)? {
            Some(entry) => entry,
            None if is_in_ground(read, &place.log, at)? => return Err(Fault::Dropped),
            None => return Err(Fault::Damaged("an operation's entry")),
        };
        let (_, sealed) = entry
            .open(&space.space, keys.iter().map(|(id, _, key)| (id, key)))
            .map_err(|_| Fault::Damaged("an operation's entry"))?;
        if let Ok(Some(Payload::Changes(changes))) = sealed.payload() {
            changes.items.into_iter().try_for_each(&mut show)?;
        }
    }
    Ok(())
}

fn shown(number: u64, found: OperationRecord, undone: bool) -> Operation {
    Operation {
        id: OperationId(found.id),
        number,
        time: found.time,
        label: found.label,
        documents: found.documents,
        first: found.first.into_iter().map(DocumentId).collect(),
        undoes: found.undoes,
        complete: found.complete,
        undone,
    }
}

/// An undo that finds everything as it should be writes no entry; its number must do.
fn id_of(number: u64, entries: &[Entry]) -> [u8; 8] {
    let name = entries.first().and_then(|entry| entry.name().0.first_chunk().copied());
    name.unwrap_or(number.to_be_bytes())
}

fn count(read: &dyn Read) -> Result<u64, Fault> {
    Ok(record(read, Table::SETTINGS, OPERATION_COUNT, "the number of operations")?.unwrap_or(0))
}

pub(crate) fn stored(read: &dyn Read, number: u64) -> Result<OperationRecord, Fault> {
    record(read, OPERATIONS, &number.to_be_bytes(), "an operation")?.ok_or(Fault::Damaged("an operation"))
}

/// How many documents a record names, so that a list can say whom an operation was about.
const FIRST: usize = 3;
