//! Checkpoints in a folder: whoever has not the entries below one leaves it there, and whoever needs it takes it.

use std::ffi::OsStr;

use ties_net::{Depot, DepotError, Listed};
use ties_sealed_log::{Chunk, ChunkName, FloorRecord, MAX_CHUNK};
use ties_store::Snapshot;
use ties_sync::{FLOOR_HEAD, FloorTaken, MAX_FLOOR_FILE, chunk_file, floor_file, is_floor_file, read_floor_file};

use super::FolderError;
use super::visit::Visit;
use crate::checkpoint::{Answer, consider, ground_floor, held, held_cosigned, load_now, shelf};
use crate::records::Fault;
use crate::sync::TURN;

/// The manifest first, then the rest, then all of it is here.
const STEPS: usize = 3;

impl Visit<'_> {
    /// Takes the newest checkpoint there that is wanted here; says whether it was loaded.
    pub(super) fn take_checkpoint(&mut self, listed: &[Listed]) -> Result<bool, FolderError> {
        let floors = floors(&self.depot, self.unread(listed))?;
        for floor in FloorRecord::newest_first(floors, |floor| floor) {
            if self.take_floor(&floor, listed)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The files that are no parcels.
    fn unread<'l>(&self, listed: &'l [Listed]) -> impl Iterator<Item = &'l Listed> {
        listed.iter().filter(|file| !self.files.contains_key(file.name.as_encoded_bytes()))
    }

    fn take_floor(&mut self, floor: &FloorRecord, listed: &[Listed]) -> Result<bool, FolderError> {
        let inner = &self.space.inner;
        for _ in 0..STEPS {
            let Answer { taken, keep } = consider(&inner.store.read().map_err(Fault::from)?, floor, false)?;
            let missing = match taken {
                FloorTaken::Wanted(missing) => missing,
                FloorTaken::Held if keep => Vec::new(),
                _ => return Ok(false),
            };
            if !keep && missing.is_empty() {
                load_now(self.space, floor, false)?;
                return Ok(true);
            }
            let mut transaction = inner.store.write().map_err(Fault::from)?;
            let mut bytes = 0;
            for name in &missing {
                let Some(chunk) = chunk(&self.depot, listed, floor, name)? else { return Ok(false) };
                bytes += chunk.bytes().len();
                shelf::put_chunk(&mut transaction, &chunk)?;
                if bytes >= TURN {
                    transaction.commit().map_err(Fault::from)?;
                    (transaction, bytes) = (inner.store.write().map_err(Fault::from)?, 0);
                }
            }
            if keep {
                shelf::put(&mut transaction, floor, None, inner.now())?;
            }
            transaction.commit().map_err(Fault::from)?;
            inner.committed();
        }
        Ok(false)
    }

    /// Leaves a checkpoint where entries below it cannot be left, unless one that reaches as far lies there as a whole.
    pub(super) fn leave_checkpoint(&mut self, snapshot: &Snapshot) -> Result<(), FolderError> {
        let Some(ground) = ground_floor(snapshot)? else { return Ok(()) };
        let Some(ground) = shelf::shelf(snapshot, &ground)? else { return Ok(()) };
        let listed = self.depot.list()?;
        let is_there = |name: &str, length: u64| listed.iter().any(|file| file.name == *name && file.length == length);
        let is_whole = |floor: &FloorRecord| {
            floor.chunks().iter().all(|(chunk, length)| is_there(&chunk_file(chunk), u64::from(*length)))
        };
        if floors(&self.depot, self.unread(&listed))?.iter().any(|floor| floor.covers(&ground.floor) && is_whole(floor))
        {
            return Ok(());
        }
        let newest = match held_cosigned(snapshot)? {
            Some(floor) => Some(floor),
            None => held(snapshot)?,
        };
        let floor = newest.filter(|floor| floor.covers(&ground.floor)).unwrap_or(ground.floor);
        // The record comes last: where it is, the pieces are.
        for (name, length) in floor.chunks() {
            let file = chunk_file(name);
            if !is_there(&file, u64::from(*length)) {
                let bytes = shelf::chunk(snapshot, name)?.ok_or(Fault::Damaged("a piece of a checkpoint"))?;
                self.put_file(&file, &bytes)?;
            }
        }
        let (name, bytes) = floor_file(&floor);
        self.put_file(&name, &bytes)
    }

    fn put_file(&mut self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        let passing = self.space.inner.environment().bytes();
        let Listed { length, .. } = self.depot.put(name, bytes, passing)?;
        self.tally.files_written += 1;
        self.tally.bytes_written += length;
        Ok(())
    }
}

/// The floor records among some files, those that verify.
pub(crate) fn floors<'l>(
    depot: &Depot,
    files: impl Iterator<Item = &'l Listed>,
) -> Result<Vec<FloorRecord>, DepotError> {
    let mut floors = Vec::new();
    for file in files {
        let is_one = (FLOOR_HEAD as u64..=MAX_FLOOR_FILE as u64).contains(&file.length)
            && depot.read(&file.name, FLOOR_HEAD)?.is_some_and(|head| is_floor_file(&head));
        if is_one {
            floors.extend(depot.read(&file.name, MAX_FLOOR_FILE)?.and_then(|bytes| read_floor_file(&bytes)));
        }
    }
    Ok(floors)
}

/// A chunk from its file. A carrier may have renamed it: then one of its length is it, if its name comes out.
pub(crate) fn chunk(
    depot: &Depot,
    listed: &[Listed],
    floor: &FloorRecord,
    name: &ChunkName,
) -> Result<Option<Chunk>, DepotError> {
    let Some(length) = floor.length_of(name) else { return Ok(None) };
    let own = chunk_file(name);
    let mut files: Vec<&OsStr> =
        listed.iter().filter(|file| file.length == u64::from(length)).map(|file| &*file.name).collect();
    files.sort_by_key(|file| *file != &*own);
    for file in files {
        let bytes = depot.read(file, MAX_CHUNK + 1)?.unwrap_or_default();
        if ChunkName::of(&bytes) == *name {
            return Ok(Chunk::new(bytes).ok());
        }
    }
    Ok(None)
}
