//! A checkpoint in a copy whose logs do not reach back to their beginnings: what it stands for is said by its documents.

use std::collections::BTreeMap;

use ties_sealed_log::{
    Chunk, ChunkName, Entry, EpochId, EpochKey, FloorRecord, Manifest, PartKind, SpaceId, entries_of,
};
use ties_store::{Read, Transaction};

use super::RecoveryError;
use crate::author::Keyring;
use crate::checkpoint::{CheckpointError, KEYS, ground_floor, load, shelf};
use crate::document::Projection;
use crate::records::Fault;

/// A checkpoint with all its pieces.
pub(super) struct Base {
    pub(super) floor: FloorRecord,
    pub(super) chunks: BTreeMap<ChunkName, Vec<u8>>,
}

/// What a checkpoint says to whoever has the key that it is sealed under.
pub(super) struct Told {
    /// The first entries of logs, and those about members.
    pub(super) entries: Vec<Entry>,
    /// The keys of the epochs before.
    pub(super) keys: Keyring,
}

impl Base {
    /// The one that a device stands on, if it does.
    pub(super) fn of(read: &dyn Read) -> Result<Option<Self>, Fault> {
        let Some(name) = ground_floor(read)? else { return Ok(None) };
        let damaged = || Fault::Damaged("the checkpoint below");
        let floor = shelf::shelf(read, &name)?.ok_or_else(damaged)?.floor;
        let mut chunks = BTreeMap::new();
        for (name, _) in floor.chunks() {
            let bytes = shelf::chunk(read, name)?.filter(|bytes| ChunkName::of(bytes) == *name);
            chunks.insert(*name, bytes.ok_or_else(damaged)?);
        }
        Ok(Some(Self { floor, chunks }))
    }

    /// What it says, if one of the keys opens it.
    pub(super) fn told(&self, space: &SpaceId, keys: &[(EpochId, u32, EpochKey)]) -> Option<Told> {
        let pairs = || keys.iter().map(|(epoch, _, key)| (epoch, key));
        let chunk = |name: &ChunkName| self.chunks.get(name).and_then(|bytes| Chunk::new(bytes.clone()).ok());
        let manifest = Manifest::open(&chunk(&self.floor.manifest())?, space, pairs()).ok()?;
        if !self.floor.matches(&manifest) {
            return None;
        }
        let mut told = Told { entries: Vec::new(), keys: Keyring::new() };
        for part in &manifest.parts {
            let (kind, piece) = (part.kind(), chunk(&part.chunk)?);
            if matches!(kind, PartKind::Openings | PartKind::Membership) {
                told.entries.extend(entries_of(&piece, kind, space, pairs()).ok()?);
            } else if kind.number() == KEYS {
                let sealed = piece.open(space, kind, pairs()).ok()?;
                told.keys.extend(earlier(&sealed, space, keys));
            }
        }
        Some(told)
    }

    /// Puts it into a database, and starts from it.
    pub(super) fn load(
        &self,
        transaction: &mut Transaction,
        projection: &dyn Projection,
        now: u64,
    ) -> Result<(), RecoveryError> {
        for bytes in self.chunks.values() {
            let chunk = Chunk::new(bytes.clone()).map_err(|_| RecoveryError::Incomplete)?;
            shelf::put_chunk(transaction, &chunk)?;
        }
        // Where nothing was before nothing goes astray.
        load(transaction, projection, &self.floor, (now, true)).map(drop).map_err(|error| match error {
            CheckpointError::Fault(fault) => fault.into(),
            _ => RecoveryError::Incomplete,
        })
    }
}

/// The keys of earlier epochs, as a checkpoint carries them. Anybody who has the key can have put others there: what no
/// rotation bears out is forgotten again.
fn earlier(part: &[u8], space: &SpaceId, keys: &[(EpochId, u32, EpochKey)]) -> Keyring {
    let sealed: Vec<serde_bytes::ByteBuf> = ties_sealed_log::decode(part).unwrap_or_default();
    let open = |(epoch, _, key): &(EpochId, u32, EpochKey)| {
        sealed.iter().find_map(|sealed| key.open_earlier(space, epoch, sealed).ok())
    };
    let found = keys.iter().filter_map(open).flatten();
    found.map(|earlier| (earlier.epoch, earlier.generation, earlier.key)).collect()
}
