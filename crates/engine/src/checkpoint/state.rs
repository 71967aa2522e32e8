//! Documents as a checkpoint holds them, and the root that names all of them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{Automerge, Change, ChangeHash};
use serde::{Deserialize, Serialize};
use ties_sealed_log::{EntryName, StateRoot, TipRecord, encode, hash};

use crate::actions::operations_of_document;
use crate::document::{DocumentId, check_bounds};
use crate::records::Fault;

/// The first entry of a log that knows a subject (`knowledge.rs`): who has heard of what does not follow from documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Heard {
    pub(crate) subject: EntryName,
    pub(crate) first: TipRecord,
}

/// The number of the part kind that holds [`Heard`]s (FORMAT.md).
pub(crate) const HEARD: u8 = 5;

/// The number of the part kind that holds the keys of earlier epochs, sealed once more under the one that the checkpoint is
/// sealed under: who comes by the twelve words has that one alone.
pub(crate) const KEYS: u8 = 6;

/// A document that was taken out of a checkpoint.
pub(crate) enum Unpacked {
    /// All there is of it is one change.
    Lone(Box<Change>),
    Whole(Box<Automerge>),
}

/// A document of a checkpoint that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a document that cannot be read")]
pub(crate) struct BadDocument;

/// More operations than a person writes into one record in a lifetime; a hundred bytes can claim millions.
const MAX_OPERATIONS: usize = 4_000_000;

/// A stored document as a checkpoint holds it, one change or a saved document without compressed parts, after its heads.
pub(crate) fn pack(stored: &[u8]) -> Result<(Vec<ChangeHash>, Vec<u8>), Fault> {
    if let Some(change) = lone(stored) {
        return Ok((vec![change.hash()], stored.to_vec()));
    }
    let document = Automerge::load(stored).map_err(|_| Fault::Damaged("a document"))?;
    let bytes = document.save_nocompress();
    // What no reader would take is not written.
    if operations_of_document(&bytes).is_none_or(|operations| operations > MAX_OPERATIONS) {
        return Err(Fault::Damaged("a document"));
    }
    Ok((document.get_heads(), bytes))
}

/// The heads of a stored document.
pub(crate) fn heads(stored: &[u8]) -> Result<Vec<ChangeHash>, Fault> {
    if let Some(change) = lone(stored) {
        return Ok(vec![change.hash()]);
    }
    Ok(Automerge::load(stored).map_err(|_| Fault::Damaged("a document"))?.get_heads())
}

/// Reads a document that came from elsewhere, within bounds.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Unpacked, BadDocument> {
    if bytes.get(CHUNK_TYPE) == Some(&CHANGE) {
        let change = check_bounds(bytes).map_err(|_| BadDocument)?;
        let is_whole = is_alone(&change, bytes) && change.actor_id().to_bytes().len() == ACTOR;
        return if is_whole { Ok(Unpacked::Lone(Box::new(change))) } else { Err(BadDocument) };
    }
    if operations_of_document(bytes).is_none_or(|operations| operations > MAX_OPERATIONS) {
        return Err(BadDocument);
    }
    // The library panics on some malformed columns.
    let loaded = catch_unwind(AssertUnwindSafe(|| Automerge::load(bytes)));
    loaded.map_err(|_| BadDocument)?.map(|document| Unpacked::Whole(Box::new(document))).map_err(|_| BadDocument)
}

impl Unpacked {
    pub(crate) fn heads(&self) -> Vec<ChangeHash> {
        match self {
            Self::Lone(change) => vec![change.hash()],
            Self::Whole(document) => document.get_heads(),
        }
    }

    /// The document.
    pub(crate) fn open(self) -> Result<Automerge, BadDocument> {
        match self {
            Self::Whole(document) => Ok(*document),
            Self::Lone(change) => {
                let mut document = Automerge::new();
                let applied = catch_unwind(AssertUnwindSafe(|| document.apply_changes([*change])));
                applied.map_err(|_| BadDocument)?.map_err(|_| BadDocument)?;
                Ok(document)
            }
        }
    }
}

/// The change that is all of a stored document; most imported records are one seed.
fn lone(stored: &[u8]) -> Option<Change> {
    if stored.get(CHUNK_TYPE) != Some(&CHANGE) {
        return None;
    }
    let parsed = catch_unwind(|| Change::from_bytes(stored.to_vec())).ok()?.ok()?;
    is_alone(&parsed, stored).then_some(parsed)
}

/// Whether a change is all there is: whoever reads more has read another document.
fn is_alone(change: &Change, stored: &[u8]) -> bool {
    change.raw_bytes().len() == stored.len() && change.deps().is_empty()
}

const CHUNK_TYPE: usize = 8;
const CHANGE: u8 = 1;
/// Bytes of an actor.
const ACTOR: usize = 16;

/// Names a state: every document by its heads, and who has heard of what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) documents: BTreeMap<DocumentId, Vec<ChangeHash>>,
    /// Sorted.
    pub(crate) heard: Vec<Heard>,
}

impl State {
    /// The root of the documents, hashed with who has heard of what.
    pub(crate) fn root(&self) -> [u8; 32] {
        let mut documents = StateRoot::new();
        for (id, heads) in &self.documents {
            let heads: Vec<[u8; 32]> = heads.iter().map(|head| head.0).collect();
            documents.add(id.0, &heads);
        }
        hash("ties1/state", &[&documents.finish(), &encode(&self.heard)])
    }
}

/// Does the same with many things on all cores; the order stays.
pub(crate) fn on_all_cores<T: Sync, U: Send>(things: &[T], each: impl Fn(&T) -> U + Sync) -> Vec<U> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 || things.len() < WORTH_SHARING {
        return things.iter().map(each).collect();
    }
    let each = &each;
    std::thread::scope(|scope| {
        let parts = things.chunks(things.len().div_ceil(cores));
        let parts: Vec<_> = parts.map(|part| scope.spawn(move || part.iter().map(each).collect::<Vec<_>>())).collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// A thread costs as much as a few dozen documents.
const WORTH_SHARING: usize = 256;

#[cfg(test)]
mod tests {
    use automerge::ROOT;
    use automerge::transaction::Transactable;

    use super::*;

    fn document(changes: u32) -> Automerge {
        let mut document = Automerge::new();
        for count in 0..changes {
            let mut changing = document.transaction();
            changing.put(ROOT, "count", count).unwrap();
            changing.commit();
        }
        document
    }

    fn stored(document: &Automerge) -> Vec<u8> {
        document.get_changes(&[]).iter().flat_map(|change| change.raw_bytes().to_vec()).collect()
    }

    #[test]
    fn a_document_comes_out_of_a_checkpoint_as_it_went_in() {
        for changes in [1, 2, 40] {
            let document = document(changes);
            for bytes in [stored(&document), document.save()] {
                let (heads, packed) = pack(&bytes).unwrap();
                assert_eq!((&heads, heads.len()), (&document.get_heads(), 1));
                assert_eq!(super::heads(&bytes).unwrap(), heads);
                let unpacked = unpack(&packed).unwrap();
                assert_eq!(unpacked.heads(), heads);
                assert_eq!(unpacked.open().unwrap().get_heads(), heads);
            }
        }
    }

    #[test]
    fn bytes_that_are_no_such_document_are_refused() {
        let document = document(3);
        let pieces = stored(&document);
        let (_, good) = pack(&pieces).unwrap();
        let bad = |bytes: Vec<u8>| unpack(&bytes).is_err();
        assert!(bad(pieces), "several changes");
        assert!(bad(Vec::new()));
        assert!(bad([&good[..], &good[..]].concat()), "two documents");
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            assert!(bad(bytes), "byte {at}");
        }
    }

    #[test]
    fn a_root_tells_every_difference_and_no_order_of_heads() {
        let id = |byte| DocumentId([byte; 16]);
        let head = |byte| ChangeHash([byte; 32]);
        let state = |documents: &[(u8, &[u8])]| State {
            documents: documents
                .iter()
                .map(|(at, heads)| (id(*at), heads.iter().map(|one| head(*one)).collect()))
                .collect(),
            heard: Vec::new(),
        };
        let one = state(&[(1, &[1, 2]), (2, &[3])]);
        assert_eq!(one.root(), state(&[(1, &[2, 1]), (2, &[3])]).root());
        for other in [state(&[(1, &[1, 2])]), state(&[(1, &[1]), (2, &[3])]), state(&[(1, &[1, 2]), (3, &[3])])] {
            assert_ne!(one.root(), other.root());
        }
        let subject = EntryName([9; 32]);
        let tip = ties_sealed_log::Tip { seq: 1, name: EntryName([8; 32]) };
        let first = TipRecord { log: ties_sealed_log::LogId([7; 32]), tip };
        assert_ne!(one.root(), State { heard: vec![Heard { subject, first }], ..one.clone() }.root());
    }
}
