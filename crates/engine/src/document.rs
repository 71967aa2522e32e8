//! Documents, the rows made of them, and what a change must be before it touches one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{Automerge, Change, ROOT, ReadDoc, ScalarValue, Value};
use ties_sealed_log::seed_change;

use crate::actions::has_marks;

/// A document: 16 bytes, a UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId(pub [u8; 16]);

impl std::fmt::Display for DocumentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for DocumentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DocumentId({self})")
    }
}

/// Not 32 hexadecimal digits, with or without hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a document id")]
pub struct NotAnId;

impl std::str::FromStr for DocumentId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(NotAnId);
        }
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NotAnId)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotAnId)?;
        }
        Ok(Self(id))
    }
}

/// A line of what a program keeps about a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Where it sorts. Unique over all documents: put the document's id in it.
    pub key: Vec<u8>,
    /// What it says.
    pub value: Vec<u8>,
}

/// What a program keeps about its documents, so that it can answer without loading them.
pub trait Projection: Send + Sync + 'static {
    /// Changes whenever [`Self::rows`] does; on a mismatch at open all rows are made anew from the documents.
    fn version(&self) -> u32;

    /// The rows of one live document, from nothing but the document: every device makes the same ones. A document that
    /// was deleted has none.
    fn rows(&self, id: DocumentId, document: &Automerge) -> Vec<Row>;

    /// The rows of the document that one seed change makes, if the change itself tells them; otherwise the document is
    /// loaded. They must be those of [`Self::rows`]. A first sync brings tens of thousands of seeds.
    fn rows_of_seed(&self, _id: DocumentId, _seed: &Change) -> Option<Vec<Row>> {
        None
    }
}

/// No rows at all: for programs that read documents alone.
impl Projection for () {
    fn version(&self) -> u32 {
        0
    }

    fn rows(&self, _: DocumentId, _: &Automerge) -> Vec<Row> {
        Vec::new()
    }
}

/// The root key that marks a document as deleted.
pub(crate) const DELETED: &str = "deleted";

pub(crate) fn is_deleted(document: &Automerge) -> bool {
    let value = document.get(ROOT, DELETED);
    matches!(value, Ok(Some((Value::Scalar(scalar), _))) if *scalar == ScalarValue::Boolean(true))
}

/// Why a change from elsewhere is not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadChange {
    #[error("not an uncompressed change chunk")]
    Form,
    #[error("more than {MAX_OPERATIONS} operations in one change")]
    Operations,
    #[error("operations with numbers that cannot be theirs")]
    Numbers,
    #[error("an impossible time, or a message that is too long")]
    Words,
    #[error("marks of text, which are not read")]
    Marks,
    #[error("not by the actor that its log and session demand")]
    Actor,
    #[error("not continuous with what is known of its document")]
    Discontinuous,
    #[error("not applicable")]
    Unapplicable,
}

/// A valid change of a hundred bytes can hold millions of operations.
pub(crate) const MAX_OPERATIONS: usize = 100_000;
/// Automerge counts operations in 32 bits and does not look whether a change from elsewhere does.
const MAX_NUMBER: u64 = i32::MAX as u64;
/// Seconds since 1970: some thousands of years.
pub(crate) const MAX_TIME: i64 = 1 << 40;
/// An undo names what it undoes, 17 bytes each.
pub(crate) const MAX_MESSAGE: usize = 256 << 10;
const CHUNK_TYPE: usize = 8;
const UNCOMPRESSED: u8 = 1;

/// Parses a change from elsewhere, within bounds. `actor` is the one it must have, or `None` for a seed change.
pub(crate) fn check_change(chunk: &[u8], actor: Option<[u8; 16]>) -> Result<Change, BadChange> {
    if chunk.get(CHUNK_TYPE) != Some(&UNCOMPRESSED) {
        return Err(BadChange::Form);
    }
    if actor.is_none() {
        seed_change::check(chunk).map_err(|_| BadChange::Actor)?;
    }
    let change = check_bounds(chunk)?;
    let expected = match actor {
        Some(actor) => change.actor_id().to_bytes() == actor,
        None => change.seq() == 1 && change.timestamp() == 0,
    };
    if expected { Ok(change) } else { Err(BadChange::Actor) }
}

/// The same whoever's it is.
pub(crate) fn check_bounds(chunk: &[u8]) -> Result<Change, BadChange> {
    if chunk.get(CHUNK_TYPE) != Some(&UNCOMPRESSED) {
        return Err(BadChange::Form);
    }
    if has_marks(chunk).ok_or(BadChange::Form)? {
        return Err(BadChange::Marks);
    }
    let parsed = catch_unwind(|| Change::from_bytes(chunk.to_vec()));
    let change = parsed.map_err(|_| BadChange::Form)?.map_err(|_| BadChange::Form)?;
    if change.len() > MAX_OPERATIONS {
        return Err(BadChange::Operations);
    }
    if change.max_op() > MAX_NUMBER {
        return Err(BadChange::Numbers);
    }
    if !(0..=MAX_TIME).contains(&change.timestamp())
        || change.message().is_some_and(|message| message.len() > MAX_MESSAGE)
    {
        return Err(BadChange::Words);
    }
    Ok(change)
}

/// Applies a checked change. After an error the document must be thrown away.
pub(crate) fn apply_change(document: &mut Automerge, change: Change) -> Result<(), BadChange> {
    if document.get_change_meta_by_hash(&change.hash()).is_some() {
        return Ok(());
    }
    let mut last_number = 0;
    for dep in change.deps() {
        let known = document.get_change_meta_by_hash(dep).ok_or(BadChange::Discontinuous)?;
        last_number = last_number.max(known.max_op);
    }
    // A gap would use up the numbers of everybody who comes after; the deps alone decide, whatever else is known here.
    if change.start_op().get() != last_number + 1 {
        return Err(BadChange::Numbers);
    }
    if !continuous(document, &change) {
        return Err(BadChange::Discontinuous);
    }
    // The library panics on some hostile changes; the document is discarded then, the process lives on.
    let applied = catch_unwind(AssertUnwindSafe(|| document.apply_changes([change])));
    applied.map_err(|_| BadChange::Unapplicable)?.map_err(|_| BadChange::Unapplicable)
}

/// An actor's changes are numbered, and so are its operations: none may come twice.
fn continuous(document: &Automerge, change: &Change) -> bool {
    let changes = document.get_changes_meta(&[]);
    let its = changes.iter().filter(|known| known.actor.as_ref() == change.actor_id());
    let (seq, number) = its.map(|known| (known.seq, known.max_op)).max().unwrap_or_default();
    change.seq() == seq + 1 && change.start_op().get() > number
}
