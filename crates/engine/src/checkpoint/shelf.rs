//! The checkpoints that this device holds: floor records, their chunks, and what is thought of them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use ties_sealed_log::{Chunk, ChunkName, EpochId, EpochKey, FloorRecord, Manifest, SpaceId, decode};
use ties_store::{Read, Table, Transaction};

use crate::author::Keyring;
use crate::checkpoint::ground::ground_floor;
use crate::records::{Fault, put_record, record};

/// Floor records, by the names of their manifests.
const FLOORS: Table = Table::named("engine/floors");
/// Sealed pieces of checkpoints, by name.
const CHUNKS: Table = Table::named("engine/chunks");

/// How many checkpoints with two signatures are kept.
const GENERATIONS: usize = 2;

/// What this device thinks of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Opinion {
    /// It was not compared with what is here.
    None,
    /// This device made it, or came to the same from its own entries.
    Same,
    /// It started from it, and can compare nothing.
    Believed,
    /// What is here says something else.
    Differs,
    /// With it changes of this device would go astray: it is taken where there is no other way.
    Aside,
    /// With it changes of another device would: it is not taken.
    Foreign,
}

impl Opinion {
    /// Whether it may be begun with, and shown to others.
    pub(crate) fn is_good(self) -> bool {
        matches!(self, Self::None | Self::Same | Self::Believed)
    }
}

/// A checkpoint, as it stands on the shelf.
#[derive(Clone)]
pub(crate) struct Shelved {
    pub(crate) floor: FloorRecord,
    /// When it came, in milliseconds since 1970.
    pub(crate) since: u64,
    pub(crate) opinion: Opinion,
}

#[derive(Serialize, Deserialize)]
struct ShelfRecord {
    floor: ByteBuf,
    since: u64,
    opinion: Opinion,
}

/// All that is held.
pub(crate) fn shelved(read: &dyn Read) -> Result<Vec<Shelved>, Fault> {
    let mut found = Vec::new();
    for (_, bytes) in read.pairs(FLOORS, &[])? {
        let kept: ShelfRecord = decode(&bytes).map_err(|_| Fault::Damaged("a checkpoint's record"))?;
        let floor = FloorRecord::verify(&kept.floor).map_err(|_| Fault::Damaged("a checkpoint's record"))?;
        found.push(Shelved { floor, since: kept.since, opinion: kept.opinion });
    }
    Ok(found)
}

/// One of them.
pub(crate) fn shelf(read: &dyn Read, manifest: &ChunkName) -> Result<Option<Shelved>, Fault> {
    let kept: Option<ShelfRecord> = record(read, FLOORS, &manifest.0, "a checkpoint's record")?;
    let Some(kept) = kept else { return Ok(None) };
    let floor = FloorRecord::verify(&kept.floor).map_err(|_| Fault::Damaged("a checkpoint's record"))?;
    Ok(Some(Shelved { floor, since: kept.since, opinion: kept.opinion }))
}

/// The one to start from: none that differs from what is here, and none of which a piece is missing.
pub(crate) fn newest(read: &dyn Read) -> Result<Option<Shelved>, Fault> {
    let mut newest: Option<Shelved> = None;
    for one in shelved(read)? {
        let better = newest.as_ref().is_none_or(|best| one.floor.supersedes(&best.floor));
        if one.opinion.is_good() && better && is_whole(read, &one.floor)? {
            newest = Some(one);
        }
    }
    Ok(newest)
}

/// Whether all chunks of a checkpoint are here.
pub(crate) fn is_whole(read: &dyn Read, floor: &FloorRecord) -> Result<bool, Fault> {
    for (name, _) in floor.chunks() {
        if !has_chunk(read, name)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Puts a checkpoint on the shelf, or what is known better of it: a record with a second signature replaces one without.
pub(crate) fn put(
    transaction: &mut Transaction,
    floor: &FloorRecord,
    opinion: Option<Opinion>,
    now: u64,
) -> Result<(), Fault> {
    let before = shelf(transaction, &floor.manifest())?;
    let keeps = before.as_ref().is_some_and(|kept| kept.floor.cosigner().is_some() && floor.cosigner().is_none());
    let kept = ShelfRecord {
        floor: ByteBuf::from(if let (true, Some(kept)) = (keeps, &before) {
            kept.floor.bytes()
        } else {
            floor.bytes()
        }),
        since: before.as_ref().map_or(now, |kept| kept.since),
        opinion: opinion.or(before.map(|kept| kept.opinion)).unwrap_or(Opinion::None),
    };
    put_record(transaction, FLOORS, &floor.manifest().0, &kept)
}

/// Takes away what is not needed any more: all but two generations with two signatures, the newest, and those that differ
/// (their records alone).
pub(crate) fn clear(transaction: &mut Transaction) -> Result<(), Fault> {
    let all = FloorRecord::newest_first(shelved(transaction)?, |one| &one.floor);
    let newest = newest(transaction)?.map(|one| one.floor.manifest());
    let ground = ground_floor(transaction)?;
    let mut wanted: BTreeSet<ChunkName> = BTreeSet::new();
    let (mut cosigned, mut differing, mut open) = (0, 0, 0);
    for one in all {
        let manifest = one.floor.manifest();
        let keep = match one.opinion {
            Opinion::Differs | Opinion::Foreign if Some(manifest) != ground => {
                differing += 1;
                if differing > MAX_DIFFERING {
                    transaction.remove(FLOORS, &manifest.0)?;
                }
                continue;
            }
            // What this device stands on is all there is of the entries below it.
            _ if Some(manifest) == newest || Some(manifest) == ground => true,
            _ if one.floor.cosigner().is_some() => cosigned < GENERATIONS,
            // One that is on its way.
            _ => open == 0 && cosigned == 0,
        };
        cosigned += usize::from(keep && one.floor.cosigner().is_some());
        open += usize::from(keep && one.floor.cosigner().is_none());
        if keep {
            wanted.extend(one.floor.chunks().iter().map(|(name, _)| *name));
        } else {
            transaction.remove(FLOORS, &manifest.0)?;
        }
    }
    let mut unwanted = Vec::new();
    transaction.visit_keys(CHUNKS, (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded), &mut |key| {
        if !key.try_into().is_ok_and(|name| wanted.contains(&ChunkName(name))) {
            unwanted.push(key.to_vec());
        }
        std::ops::ControlFlow::Continue(())
    })?;
    unwanted.iter().try_for_each(|key| transaction.remove(CHUNKS, key).map(drop))?;
    Ok(())
}

/// So many that differ are remembered, so that they are not looked over again.
const MAX_DIFFERING: usize = 16;

pub(crate) fn chunk(read: &dyn Read, name: &ChunkName) -> Result<Option<Vec<u8>>, Fault> {
    Ok(read.get(CHUNKS, &name.0)?)
}

pub(crate) fn has_chunk(read: &dyn Read, name: &ChunkName) -> Result<bool, Fault> {
    let mut found = false;
    let range = (std::ops::Bound::Included(&name.0[..]), std::ops::Bound::Included(&name.0[..]));
    read.visit_keys(CHUNKS, range, &mut |_| {
        found = true;
        std::ops::ControlFlow::Break(())
    })?;
    Ok(found)
}

pub(crate) fn put_chunk(transaction: &mut Transaction, chunk: &Chunk) -> Result<(), Fault> {
    Ok(transaction.put(CHUNKS, &chunk.name().0, chunk.bytes())?)
}

/// A chunk that is here, to be opened.
pub(crate) fn sealed_chunk(read: &dyn Read, name: &ChunkName) -> Result<Option<Chunk>, Fault> {
    let Some(bytes) = chunk(read, name)? else { return Ok(None) };
    let chunk = Chunk::new(bytes).map_err(|_| Fault::Damaged("a piece of a checkpoint"))?;
    if chunk.name() == *name { Ok(Some(chunk)) } else { Err(Fault::Damaged("a piece of a checkpoint")) }
}

/// The manifest of a checkpoint, if it is here and opens.
pub(crate) fn manifest(
    read: &dyn Read,
    floor: &FloorRecord,
    space: &SpaceId,
    keys: &Keyring,
) -> Result<Option<Manifest>, Fault> {
    let Some(chunk) = sealed_chunk(read, &floor.manifest())? else { return Ok(None) };
    Ok(Manifest::open(&chunk, space, pairs(keys)).ok().filter(|manifest| floor.matches(manifest)))
}

/// A keyring as chunks are opened with it.
pub(crate) fn pairs(keys: &Keyring) -> impl Iterator<Item = (&EpochId, &EpochKey)> {
    keys.iter().map(|(id, _, key)| (id, key))
}
