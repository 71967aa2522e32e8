//! Making a checkpoint of everything that counts here.

use serde_bytes::ByteBuf;
use ties_fault::{Point, pass};
use ties_sealed_log::{
    Chunk, ChunkSeal, DocumentPiece, Entry, EpochId, FloorRecord, Kind, MANIFEST_VERSION, Manifest, Part, PartKind,
    Payload,
};
use ties_store::Read;

use crate::author::{append, keyring, log_key, unnamed};
use crate::checkpoint::cut::{cut, knows_all};
use crate::checkpoint::kept::Carried;
use crate::checkpoint::shelf::{self, Opinion};
use crate::checkpoint::state::{HEARD, KEYS, State, on_all_cores, pack};
use crate::document::DocumentId;
use crate::epochs::{seal_under, write_envelopes};
use crate::knowledge::heard_below;
use crate::records::{Fault, SPACE, SpaceRecord, record};
use crate::secrets::device_keys;
use crate::space::Space;

/// Documents that are packed at once, so that memory stays bounded.
const AT_A_TIME: usize = 4_096;
/// How often another process may come in between before this is left for another time.
const TRIES: u32 = 3;

impl Space {
    /// Makes a checkpoint of everything that was read and counts here, and keeps it for others to start from. Gives `false`
    /// where there is nothing to make it of, or something else writes all the while.
    ///
    /// # Errors
    /// When the database cannot be read or written, or this device may not write.
    pub fn make_checkpoint(&self) -> Result<bool, Fault> {
        if !knows_all(&self.inner.store.read()?)? {
            return Ok(false);
        }
        for _ in 0..TRIES {
            pass(Point::CheckpointDue);
            let epoch = self.name_all()?;
            pass(Point::CheckpointNamed);
            let snapshot = self.inner.store.read()?;
            // The cut is the past of this device's last entry, so that it counts for everybody for whom that one does.
            if !unnamed(&snapshot)?.is_empty() {
                continue;
            }
            let Some((floor, chunks)) = self.seal_all(&snapshot, &epoch)? else { return Ok(false) };
            pass(Point::CheckpointSealed);
            drop(snapshot);
            self.keep_own(&epoch, &floor, &chunks)?;
            tracing::debug!(chunks = chunks.len(), bytes = floor.size(), "a checkpoint was made");
            return Ok(true);
        }
        Ok(false)
    }

    /// Puts a checkpoint of this device's own on the shelf.
    pub(super) fn keep_own(&self, epoch: &EpochId, floor: &FloorRecord, chunks: &[Chunk]) -> Result<(), Fault> {
        let mut transaction = self.inner.store.write()?;
        chunks.iter().try_for_each(|chunk| shelf::put_chunk(&mut transaction, chunk))?;
        shelf::put(&mut transaction, floor, Some(Opinion::Same), self.now())?;
        shelf::clear(&mut transaction)?;
        // The envelopes of before lie below the cut, and go with the entries there.
        let manifest = Some(floor.manifest().0);
        write_envelopes(&mut transaction, &mut self.inner.environment(), epoch, manifest)?;
        pass(Point::CheckpointPut);
        transaction.commit()?;
        pass(Point::CheckpointMade);
        self.inner.committed();
        Ok(())
    }

    /// Names everything that was read in an entry of this device, where it has not done so; gives the epoch to seal under.
    pub(super) fn name_all(&self) -> Result<EpochId, Fault> {
        let mut transaction = self.inner.store.write()?;
        let mut environment = self.inner.environment();
        if !unnamed(&transaction)?.is_empty() {
            append(&mut transaction, &mut environment, &Payload::Beacon)?;
        }
        let mut keys = keyring(&transaction)?;
        let chosen = seal_under(&mut transaction, &mut environment, Kind::Checkpoint, &mut keys)?;
        let epoch = keys[chosen].0;
        transaction.commit()?;
        drop(environment);
        self.inner.committed();
        Ok(epoch)
    }

    pub(super) fn seal_all(
        &self,
        read: &dyn Read,
        epoch: &EpochId,
    ) -> Result<Option<(FloorRecord, Vec<Chunk>)>, Fault> {
        let (Some(author), Some(_)) = (log_key(read)?, device_keys(read)?) else { return Ok(None) };
        let space: SpaceRecord = record(read, ties_store::Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
        let cut = cut(read)?;
        let keys = keyring(read)?;
        let (epoch, _, key) = keys.iter().find(|(id, ..)| id == epoch).ok_or(Fault::NoKey)?;
        let seal = ChunkSeal { space: &space.space, epoch, key };
        if !cut.iter().any(|end| end.log == author.id()) {
            return Ok(None);
        }
        let mut sealing = Sealing { space: self, seal, parts: Vec::new(), chunks: Vec::new() };
        let before = keys.iter().filter(|(id, ..)| id != epoch).map(|(id, generation, key)| (id, *generation, key));
        let before = key.seal_earlier(&space.space, epoch, before, self.inner.environment().randomness());
        if !before.is_empty() {
            sealing.put(PartKind::of(KEYS), &[ByteBuf::from(before)])?;
        }
        let carried = Carried::below(read, &cut)?;
        sealing.put(PartKind::Openings, &exact(&carried.openings))?;
        sealing.put(PartKind::Membership, &exact(&carried.membership))?;
        let mut state = State { heard: heard_below(read, &cut)?, ..State::default() };
        sealing.put(PartKind::of(HEARD), &state.heard)?;
        sealing.documents(read, &mut state)?;
        let Sealing { parts, mut chunks, .. } = sealing;
        let manifest = Manifest { version: MANIFEST_VERSION, space: space.space, cut, root: state.root(), parts };
        let mut environment = self.inner.environment();
        let sealed = manifest.seal(seal, environment.randomness()).map_err(|_| Fault::TooLarge)?;
        let floor = FloorRecord::sign(&author, &manifest, &sealed).map_err(|_| Fault::TooLarge)?;
        chunks.push(sealed);
        Ok(Some((floor, chunks)))
    }
}

/// Parts, as they are sealed one after the other.
struct Sealing<'s> {
    space: &'s Space,
    seal: ChunkSeal<'s>,
    parts: Vec<Part>,
    chunks: Vec<Chunk>,
}

impl Sealing<'_> {
    fn put<T: serde::Serialize>(&mut self, kind: PartKind, items: &[T]) -> Result<(), Fault> {
        let mut environment = self.space.inner.environment();
        let sealed = kind.seal(items, self.seal, environment.randomness()).map_err(|_| Fault::TooLarge)?;
        for (part, chunk) in sealed {
            self.parts.push(part);
            self.chunks.push(chunk);
        }
        Ok(())
    }

    /// Seals every document that is stored, and takes down its heads.
    fn documents(&mut self, read: &dyn Read, state: &mut State) -> Result<(), Fault> {
        let ids = read.document_ids()?;
        let mut pieces: Vec<DocumentPiece> = Vec::new();
        let mut bytes = 0;
        for some in ids.chunks(AT_A_TIME) {
            let mut stored = Vec::with_capacity(some.len());
            for id in some {
                stored.extend(read.document(id)?.map(|bytes| (*id, bytes)));
            }
            for packed in on_all_cores(&stored, |(id, bytes)| pack(bytes).map(|packed| (*id, packed))) {
                let (id, (heads, saved)) = packed?;
                state.documents.insert(DocumentId(id), heads);
                if bytes + saved.len() > ties_sealed_log::PART_FILL {
                    self.put(PartKind::Documents, &std::mem::take(&mut pieces))?;
                    bytes = 0;
                }
                bytes += saved.len();
                pieces.extend(DocumentPiece::cut(id, &saved));
            }
        }
        self.put(PartKind::Documents, &pieces)
    }
}

fn exact(entries: &[Entry]) -> Vec<ByteBuf> {
    entries.iter().map(|entry| ByteBuf::from(entry.bytes())).collect()
}
