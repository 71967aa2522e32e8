//! Starting from a checkpoint, or catching up by one: documents merge, nothing is replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{Automerge, ChangeHash};
use ties_sealed_log::{
    ChunkName, DocumentPiece, Entry, FloorRecord, Log, LogId, Manifest, PartKind, Prune, SpaceId, Tip, TipRecord,
    decode, entries_of, pieces_of,
};
use ties_store::{Read, StoredLog, Table, Transaction};

use crate::absorb::absorb_kept;
use crate::acceptance::QUARANTINE;
use crate::author::{Keyring, SPACE_NUMBER, applied, keyring};
use crate::checkpoint::astray::Astray;
use crate::checkpoint::ground::{ends_of, ground_floor, grounds, stand_at};
use crate::checkpoint::kept;
use crate::checkpoint::shelf::{self, Opinion, pairs};
use crate::checkpoint::signers::Signers;
use crate::checkpoint::state::{BadDocument, HEARD, Heard, State, Unpacked, on_all_cores, unpack};
use crate::document::{DocumentId, Projection, Row};
use crate::documents::live_rows;
use crate::knowledge::hear;
use crate::level::NEWER;
use crate::records::{BAD, Fault, SPACE, SpaceRecord, parse_place, put_record, record};

/// Why a checkpoint is not taken. Nothing of it stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Pieces are missing, or sealed under keys that are not here.
    #[error("the checkpoint cannot be read here")]
    Unreadable,
    /// Its pieces are not what its manifest says.
    #[error("the checkpoint is not what it says it is")]
    Wrong,
    /// Nobody who belongs stands behind it.
    #[error("nobody of the network stands behind the checkpoint")]
    Stranger,
    /// What this device wrote beside what it covers would have to be said again.
    #[error("the checkpoint lacks changes of this device")]
    Costly,
    /// What another device wrote beside what it covers would be here alone.
    #[error("the checkpoint lacks changes of another device that are here")]
    Foreign,
    /// Below the engine.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<ties_store::StoreError> for CheckpointError {
    fn from(error: ties_store::StoreError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<BadDocument> for CheckpointError {
    fn from(_: BadDocument) -> Self {
        Self::Wrong
    }
}

/// Takes a checkpoint whose chunks are all here, at this time. `needed`: there is no other way. Gives what has to be said again.
/// After an error the transaction must be thrown away.
pub(crate) fn load(
    transaction: &mut Transaction,
    projection: &dyn Projection,
    floor: &FloorRecord,
    (now, needed): (u64, bool),
) -> Result<Astray, CheckpointError> {
    let keys = keyring(transaction)?;
    let space: SpaceRecord = record(transaction, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    let manifest = shelf::manifest(transaction, floor, &space.space, &keys)?.ok_or(CheckpointError::Unreadable)?;
    let mut loading = Loading::new(transaction, projection, keys, space)?;
    loading.documents(&manifest)?;
    let entries = loading.carried(&manifest)?;
    if loading.state.root() != manifest.root {
        return Err(CheckpointError::Wrong);
    }
    let Loading { transaction, state, keys, space, beyond, .. } = loading;
    let astray = Astray::below(transaction, &manifest, (&keys, &space.space), &beyond, needed)?;
    astray.keep(transaction)?;
    begin_at(transaction, &floor.manifest(), &manifest.cut)?;
    shelf::put(transaction, floor, Some(Opinion::Believed), now)?;
    kept::keep(transaction, &entries)?;
    hear(transaction, &state.heard)?;
    absorb_kept(transaction, projection, &entries)?;
    if Signers::of(transaction, floor)?.maker.is_none() {
        return Err(CheckpointError::Stranger);
    }
    Ok(astray)
}

/// Puts the documents of the ground, with their rows, into a database that has no documents.
pub(crate) fn restore_ground(transaction: &mut Transaction, projection: &dyn Projection) -> Result<(), Fault> {
    let Some((manifest, keys, space)) = ground_manifest(transaction)? else { return Ok(()) };
    let mut loading = Loading::new(transaction, projection, keys, space)?;
    match loading.documents(&manifest) {
        Ok(()) => {}
        Err(CheckpointError::Fault(fault)) => return Err(fault),
        Err(_) => return Err(Fault::Damaged("the checkpoint below")),
    }
    for (log, tips) in grounds(transaction)? {
        put_record(transaction, Table::APPLIED, &log.0, &tips)?;
    }
    Ok(())
}

/// Some documents as they are in the ground.
pub(crate) fn documents_of_ground(
    read: &dyn Read,
    ids: &BTreeSet<DocumentId>,
) -> Result<BTreeMap<DocumentId, Automerge>, Fault> {
    match ground_manifest(read)? {
        Some((manifest, keys, space)) => documents_in(read, &manifest, &keys, &space.space, ids),
        None => Ok(BTreeMap::new()),
    }
}

/// Some documents as they are in a checkpoint whose chunks are here.
pub(super) fn documents_in(
    read: &dyn Read,
    manifest: &Manifest,
    keys: &Keyring,
    space: &SpaceId,
    ids: &BTreeSet<DocumentId>,
) -> Result<BTreeMap<DocumentId, Automerge>, Fault> {
    let damaged = || Fault::Damaged("the checkpoint below");
    let mut saved: BTreeMap<DocumentId, Vec<u8>> = BTreeMap::new();
    for part in manifest.parts.iter().filter(|part| part.kind() == PartKind::Documents) {
        let chunk = shelf::sealed_chunk(read, &part.chunk)?.ok_or_else(damaged)?;
        for piece in pieces_of(&chunk, space, pairs(keys)).map_err(|_| damaged())? {
            let id = DocumentId(piece.document);
            if ids.contains(&id) {
                saved.entry(id).or_default().extend_from_slice(&piece.bytes);
            }
        }
    }
    let open = |(id, bytes): (DocumentId, Vec<u8>)| {
        unpack(&bytes).and_then(Unpacked::open).map(|document| (id, document)).map_err(|_| damaged())
    };
    saved.into_iter().map(open).collect()
}

fn ground_manifest(read: &dyn Read) -> Result<Option<(Manifest, Keyring, SpaceRecord)>, Fault> {
    let Some(name) = ground_floor(read)? else { return Ok(None) };
    let damaged = || Fault::Damaged("the checkpoint below");
    let space: SpaceRecord = record(read, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
    let keys = keyring(read)?;
    let floor = shelf::shelf(read, &name)?.ok_or_else(damaged)?.floor;
    let manifest = shelf::manifest(read, &floor, &space.space, &keys)?.ok_or_else(damaged)?;
    Ok(Some((manifest, keys, space)))
}

struct Loading<'t> {
    transaction: &'t mut Transaction,
    projection: &'t dyn Projection,
    keys: Keyring,
    space: SpaceRecord,
    state: State,
    /// Whether there was no document at all.
    is_fresh: bool,
    /// Documents that say more here than in the checkpoint.
    beyond: BTreeSet<DocumentId>,
    /// Rows that are not written yet, and how many bytes they have. Written together they take a fraction of the time.
    rows: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    weight: usize,
}

/// Rows that are written at once, in bytes.
const ROWS_AT_ONCE: usize = 32 << 20;

/// What becomes of one document.
struct Taken {
    id: DocumentId,
    heads: Vec<ChangeHash>,
    /// What is stored of it from now on, in place of whatever is; nothing if that stays.
    stored: Option<Vec<u8>>,
    is_new: bool,
    /// Whether there are changes here that did not come.
    is_beyond: bool,
    /// Rows that it had, and those that it has now.
    stale: Vec<Row>,
    rows: Vec<Row>,
}

impl<'t> Loading<'t> {
    fn new(
        transaction: &'t mut Transaction,
        projection: &'t dyn Projection,
        keys: Keyring,
        space: SpaceRecord,
    ) -> Result<Self, Fault> {
        let is_fresh = !transaction.has_documents()?;
        let state = State::default();
        let (beyond, rows) = (BTreeSet::new(), Vec::new());
        Ok(Self { transaction, projection, keys, space, state, is_fresh, beyond, rows, weight: 0 })
    }

    /// Merges every document, one chunk at a time, so that memory stays bounded.
    fn documents(&mut self, manifest: &Manifest) -> Result<(), CheckpointError> {
        // A document may go on in the next chunk.
        let mut waiting: Option<([u8; 16], Vec<u8>)> = None;
        for part in manifest.parts.iter().filter(|part| part.kind() == PartKind::Documents) {
            let chunk = shelf::sealed_chunk(self.transaction, &part.chunk)?.ok_or(CheckpointError::Unreadable)?;
            let pieces = pieces_of(&chunk, &self.space.space, pairs(&self.keys)).map_err(|_| CheckpointError::Wrong)?;
            let mut whole = Vec::with_capacity(pieces.len());
            for DocumentPiece { document, bytes } in pieces {
                match &mut waiting {
                    Some((id, before)) if *id == document => before.extend_from_slice(&bytes),
                    _ => whole.extend(waiting.replace((document, bytes.into_vec()))),
                }
            }
            self.merge(whole)?;
        }
        self.merge(waiting.into_iter().collect())?;
        if !self.is_fresh {
            let here = self.transaction.document_ids()?.into_iter().map(DocumentId);
            self.beyond.extend(here.filter(|id| !self.state.documents.contains_key(id)));
        }
        Ok(self.write_rows()?)
    }

    fn merge(&mut self, documents: Vec<([u8; 16], Vec<u8>)>) -> Result<(), CheckpointError> {
        let mut beside = Vec::with_capacity(documents.len());
        for (id, bytes) in documents {
            // Sorted and none twice, or a document could stand for another one.
            if self.state.documents.last_key_value().is_some_and(|(last, _)| last.0 >= id) {
                return Err(CheckpointError::Wrong);
            }
            self.state.documents.insert(DocumentId(id), Vec::new());
            let is_here = !self.is_fresh && self.transaction.has_document(&id)?;
            let here = if is_here { self.transaction.document(&id)? } else { None };
            beside.push((DocumentId(id), bytes, here));
        }
        let projection = self.projection;
        let taken = on_all_cores(&beside, |(id, bytes, here)| take(projection, *id, bytes, here.as_deref()));
        let mut fresh = Vec::new();
        for one in taken {
            let one = one?;
            self.state.documents.insert(one.id, one.heads);
            self.beyond.extend(one.is_beyond.then_some(one.id));
            let stale = one.stale.into_iter().map(|row| (row.key, None));
            for (key, value) in stale.chain(one.rows.into_iter().map(|row| (row.key, Some(row.value)))) {
                self.weight += key.len() + value.as_ref().map_or(0, Vec::len);
                self.rows.push((key, value));
            }
            match (one.stored, one.is_new) {
                (Some(bytes), true) => fresh.push((one.id.0, bytes)),
                (Some(bytes), false) => self.transaction.put_document(&one.id.0, &bytes)?,
                (None, _) => {}
            }
        }
        self.transaction.begin_documents(fresh)?;
        if self.weight > ROWS_AT_ONCE {
            self.write_rows()?;
        }
        Ok(())
    }

    fn write_rows(&mut self) -> Result<(), Fault> {
        // What a document has now comes before what it had.
        self.rows.sort_unstable_by(|one, other| one.0.cmp(&other.0).then_with(|| other.1.cmp(&one.1)));
        self.rows.dedup_by(|next, first| next.0 == first.0);
        self.weight = 0;
        Ok(self.transaction.put_all(Table::ROWS, std::mem::take(&mut self.rows))?)
    }

    /// The entries that travel along, and who has heard of what.
    fn carried(&mut self, manifest: &Manifest) -> Result<Vec<Entry>, CheckpointError> {
        let mut entries = Vec::new();
        for part in &manifest.parts {
            let kind = part.kind();
            let heard = kind.number() == HEARD;
            if !heard && !matches!(kind, PartKind::Openings | PartKind::Membership) {
                continue;
            }
            let chunk = shelf::sealed_chunk(self.transaction, &part.chunk)?.ok_or(CheckpointError::Unreadable)?;
            if heard {
                let plain =
                    chunk.open(&self.space.space, kind, pairs(&self.keys)).map_err(|_| CheckpointError::Wrong)?;
                let heard: Vec<Heard> = decode(&plain).map_err(|_| CheckpointError::Wrong)?;
                self.state.heard.extend(heard);
            } else {
                let found = entries_of(&chunk, kind, &self.space.space, pairs(&self.keys));
                entries.extend(found.map_err(|_| CheckpointError::Wrong)?);
            }
        }
        // What does not lie below the cut comes as any other entry does.
        let below = |entry: &Entry| manifest.cut.iter().any(|end| end.log == entry.log() && end.tip.seq >= entry.seq());
        if entries.iter().all(below) { Ok(entries) } else { Err(CheckpointError::Wrong) }
    }
}

/// Makes one document of what came and what is here, with its rows.
fn take(
    projection: &dyn Projection,
    id: DocumentId,
    bytes: &[u8],
    here: Option<&[u8]>,
) -> Result<Taken, CheckpointError> {
    let came = unpack(bytes)?;
    let heads = came.heads();
    let (stale, rows) = (Vec::new(), Vec::new());
    let mut taken = Taken { id, heads, stored: None, is_new: here.is_none(), is_beyond: false, stale, rows };
    let Some(here) = here else {
        taken.stored = Some(bytes.to_vec());
        taken.rows = match &came {
            Unpacked::Lone(change) => {
                catch_unwind(AssertUnwindSafe(|| projection.rows_of_seed(id, change))).ok().flatten()
            }
            Unpacked::Whole(_) => None,
        }
        .map_or_else(|| came.open().map(|document| live_rows(projection, id, &document)), Ok)?;
        return Ok(taken);
    };
    let mut mine = Automerge::load(here).map_err(|_| Fault::Damaged("a document"))?;
    let differs = |mine: &Automerge, heads: &[ChangeHash]| {
        mine.get_heads().into_iter().collect::<BTreeSet<_>>() != heads.iter().copied().collect()
    };
    if taken.heads.iter().all(|head| mine.get_change_meta_by_hash(head).is_some()) {
        taken.is_beyond = differs(&mine, &taken.heads);
        return Ok(taken);
    }
    taken.stale = live_rows(projection, id, &mine);
    let mut theirs = came.open()?;
    let merged = catch_unwind(AssertUnwindSafe(|| mine.merge(&mut theirs)));
    merged.map_err(|_| BadDocument)?.map_err(|_| BadDocument)?;
    taken.rows = live_rows(projection, id, &mine);
    taken.is_beyond = differs(&mine, &taken.heads);
    taken.stored = Some(mine.save());
    Ok(taken)
}

/// Stands on a cut: a log of which less is here begins at its end there.
fn begin_at(transaction: &mut Transaction, manifest: &ChunkName, cut: &[TipRecord]) -> Result<(), Fault> {
    let mut stands: Vec<TipRecord> = Vec::new();
    for (log, tips) in ends_of(cut) {
        let stored = StoredLog::reading(transaction, SPACE_NUMBER);
        if !holds(&stored, &log, &tips)? {
            // Where it is not begun anew a copy of its device went another way in it, or it begins further up, above branches:
            // its entries stay, and the others come one by one if they are still to be had. The documents have what they say.
            if transaction.log(SPACE_NUMBER).rebase(&log, &tips, &mut |_| false)?.is_some() {
                forget_dropped(transaction, &log, &tips)?;
            }
        }
        stands.extend(tips.into_iter().map(|tip| TipRecord { log, tip }));
    }
    stand_at(transaction, manifest, &stands)
}

pub(super) fn holds(log: &StoredLog<'_>, id: &LogId, tips: &[Tip]) -> Result<bool, Fault> {
    for tip in tips {
        if !log.names(id, tip.seq)?.contains(&tip.name) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Forgets what was noted of the entries of a log that are not there any more, and notes that it counts up to its tips.
fn forget_dropped(transaction: &mut Transaction, log: &LogId, tips: &[Tip]) -> Result<(), Fault> {
    for table in [Table::PARKED, QUARANTINE, BAD, NEWER] {
        for (key, _) in transaction.pairs(table, &log.0)? {
            let at = parse_place(&key)?.1;
            if !holds(&StoredLog::reading(transaction, SPACE_NUMBER), log, &[at])? {
                transaction.remove(table, &key)?;
            }
        }
    }
    let mut counting = Vec::new();
    for tip in applied(transaction, log)?.into_iter().chain(tips.iter().copied()) {
        if !counting.contains(&tip) && holds(&StoredLog::reading(transaction, SPACE_NUMBER), log, &[tip])? {
            counting.push(tip);
        }
    }
    counting.sort_unstable();
    put_record(transaction, Table::APPLIED, &log.0, &counting)
}
