//! One visit: what is new there is taken, then what is missing there is left.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ties_net::{Depot, Listed};
use ties_sealed_log::{Appended, Entry, Log, LogId};
use ties_sync::{MAX_PARCEL, PARCEL_HEAD, Packing, Parcel, ParcelError, Replica, Run, Taken, place_name};

use super::holdings::{self, Files};
use super::{
    Asked, FOLDER_FILES, FOLDERS, FileRecord, FolderError, FolderKey, FolderNews, FolderRecord, FolderTally,
    folder_record, key_of, knowledge,
};
use crate::absorb::absorb_warily;
use crate::attempts::Attempts;
use crate::checkpoint::note_short;
use crate::records::{Fault, put_record};
use crate::replica::DeviceReplica;
use crate::space::Space;
use crate::sync::TURN;

/// A visit to one folder.
pub(super) struct Visit<'s> {
    pub(super) space: &'s Space,
    path: PathBuf,
    pub(super) depot: Depot,
    key: FolderKey,
    kept: FolderRecord,
    /// What was remembered of its files, and what is known of them now.
    before: Files,
    pub(super) files: Files,
    pub(super) tally: FolderTally,
    /// Whether something there does not follow on what is here.
    gaps: bool,
}

/// A stretch of a log in a file, which is to be taken.
struct Piece {
    file: OsString,
    run: Run,
    /// Its entries; read again when they are wanted, where there was too much to hold.
    entries: Option<Vec<Vec<u8>>>,
}

/// Bytes of entries that are held in memory before they are taken.
const HELD: usize = 64 << 20;

impl<'s> Visit<'s> {
    pub(super) fn begin(space: &'s Space, path: &Path, asked: Asked) -> Result<Self, FolderError> {
        let depot = Depot::at(path, &place_name("ties1/folder", &space.id()?.0))?;
        let key = key_of(path);
        let snapshot = space.inner.store.read().map_err(Fault::from)?;
        let kept = folder_record(&snapshot, &key, path)?;
        if asked == Asked::Always && kept.last_contact > 0 && depot.is_bare() {
            return Err(FolderError::Bare(path.to_owned()));
        }
        let before = holdings::files(&snapshot, &key)?;
        let files = before.clone();
        Ok(Self {
            space,
            path: path.to_owned(),
            depot,
            key,
            kept,
            before,
            files,
            tally: FolderTally::default(),
            gaps: false,
        })
    }

    pub(super) fn run(
        mut self,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(FolderNews),
    ) -> Result<FolderTally, FolderError> {
        let done = self.exchange(stop, tell);
        // What was read and written is remembered, however it ended.
        self.remember(done.is_ok())?;
        done?;
        tell(FolderNews::Settled);
        Ok(self.tally)
    }

    fn exchange(&mut self, stop: &AtomicBool, tell: &mut dyn FnMut(FolderNews)) -> Result<(), FolderError> {
        loop {
            let before = self.tally.entries_received;
            let listed = self.depot.list()?;
            let mut loaded = self.take_checkpoint(&listed)?;
            let pieces = self.look(&listed, stop, tell)?;
            self.take_all(pieces, stop, tell)?;
            if self.gaps && !loaded {
                // What would fill them is not there, unless as a checkpoint.
                note_short(self.space)?;
                loaded = self.take_checkpoint(&listed)?;
            }
            // A file that was left at an earlier visit may have waited for what came just now.
            let news = loaded || self.tally.entries_received != before;
            if !news || !self.files.values().any(|file| file.left) {
                break;
            }
        }
        // What was just learnt may call for an answer: that a removal is known here, or a key for who lacks it.
        self.space.inner.tidy_everywhere()?;
        self.leave(stop, tell)
    }

    /// Reads what is new in the folder, and forgets what is gone from it.
    fn look(
        &mut self,
        listed: &[Listed],
        stop: &AtomicBool,
        tell: &mut dyn FnMut(FolderNews),
    ) -> Result<Vec<Piece>, FolderError> {
        let there: BTreeSet<&[u8]> = listed.iter().map(|file| file.name.as_encoded_bytes()).collect();
        self.files.retain(|name, _| there.contains(&name[..]));
        let snapshot = self.space.inner.store.read().map_err(Fault::from)?;
        let known = knowledge(&snapshot)?;
        let again = std::mem::replace(&mut self.kept.tried, known) != known;
        let (mut pieces, mut held) = (Vec::new(), 0);
        for file in listed {
            going_on(stop)?;
            let name = file.name.as_encoded_bytes();
            let same = |kept: &FileRecord| kept.length == file.length && kept.modified == file.modified;
            if self.files.get(name).is_some_and(|kept| same(kept) && !(kept.left && again)) {
                continue;
            }
            self.files.remove(name);
            let Some(parcel) = self.open(file, tell)? else { continue };
            let runs = parcel.parts().iter().map(|part| part.run).collect();
            let kept = FileRecord { length: file.length, modified: file.modified, runs, left: false };
            self.files.insert(name.to_vec(), kept);
            for part in parcel.into_parts() {
                if snapshot
                    .log(crate::author::SPACE_NUMBER)
                    .names(&part.run.log, part.run.tip.seq)
                    .map_err(Fault::from)?
                    .contains(&part.run.tip.name)
                {
                    continue;
                }
                held += part.entries.iter().map(Vec::len).sum::<usize>();
                let entries = (held <= HELD).then_some(part.entries);
                pieces.push(Piece { file: file.name.clone(), run: part.run, entries });
            }
        }
        Ok(pieces)
    }

    /// Reads a file that may be a parcel.
    fn open(&mut self, file: &Listed, tell: &mut dyn FnMut(FolderNews)) -> Result<Option<Parcel>, FolderError> {
        let Some(head) = self.depot.read(&file.name, PARCEL_HEAD)? else { return Ok(None) };
        let read = match Parcel::length(&head) {
            Ok(whole) if whole == file.length => match self.depot.read(&file.name, MAX_PARCEL + 1)? {
                Some(bytes) => Parcel::decode(&bytes),
                None => return Ok(None),
            },
            Ok(whole) => Err(ParcelError::Incomplete { here: file.length, whole }),
            Err(error) => Err(error),
        };
        match read {
            Ok(parcel) => {
                self.tally.files_read += 1;
                self.tally.bytes_read += file.length;
                Ok(Some(parcel))
            }
            Err(ParcelError::Foreign) => Ok(None),
            Err(why) => {
                let name = file.name.to_string_lossy().into_owned();
                if self.tally.unreadable.iter().all(|(told, _)| *told != name) {
                    tell(FolderNews::Unreadable { name: name.clone(), why });
                    self.tally.unreadable.push((name, why));
                }
                Ok(None)
            }
        }
    }

    /// Takes what can be taken, again and again while something comes: a key in one file may open what lies in another.
    fn take_all(
        &mut self,
        mut pieces: Vec<Piece>,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(FolderNews),
    ) -> Result<(), FolderError> {
        while !pieces.is_empty() {
            pieces.sort_unstable_by_key(|piece| piece.run);
            let before = self.tally.entries_received;
            pieces = self.take_once(pieces, stop, tell)?;
            if self.tally.entries_received == before {
                break;
            }
        }
        for piece in &pieces {
            if let Some(file) = self.files.get_mut(piece.file.as_encoded_bytes()) {
                file.left = true;
            }
        }
        self.tally.left = pieces.iter().map(|piece| piece.run.log).collect::<BTreeSet<LogId>>().len();
        Ok(())
    }

    /// Goes through the pieces once, in transactions of bounded size; gives those that could not be taken yet.
    fn take_once(
        &mut self,
        pieces: Vec<Piece>,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(FolderNews),
    ) -> Result<Vec<Piece>, FolderError> {
        let store = &self.space.inner.store;
        let mut left = Vec::new();
        let (mut replica, mut bytes) = (DeviceReplica::without_relay(store)?, 0);
        self.gaps = false;
        for mut piece in pieces {
            going_on(stop)?;
            let held = piece.entries.take();
            let entries = match &held {
                Some(entries) => entries,
                None => &self.read_again(&piece)?,
            };
            match take(&mut replica, &piece.run, entries)? {
                Outcome::Done => bytes += entries.iter().map(Vec::len).sum::<usize>(),
                outcome @ (Outcome::Left | Outcome::Gap) => {
                    self.gaps |= matches!(outcome, Outcome::Gap);
                    piece.entries = held;
                    left.push(piece);
                }
            }
            if bytes >= TURN {
                self.keep(replica, tell)?;
                (replica, bytes) = (DeviceReplica::without_relay(store)?, 0);
            }
        }
        self.keep(replica, tell)?;
        Ok(left)
    }

    /// The entries of a piece, from its file. Whatever is wrong with that by now shows at the next visit.
    fn read_again(&self, piece: &Piece) -> Result<Vec<Vec<u8>>, FolderError> {
        let bytes = self.depot.read(&piece.file, MAX_PARCEL + 1)?.unwrap_or_default();
        let parts = Parcel::decode(&bytes).map(Parcel::into_parts).unwrap_or_default();
        Ok(parts.into_iter().find(|part| part.run == piece.run).map(|part| part.entries).unwrap_or_default())
    }

    /// Judges what was taken, and makes it durable.
    fn keep(&mut self, replica: DeviceReplica<'_>, tell: &mut dyn FnMut(FolderNews)) -> Result<(), Fault> {
        let inner = &self.space.inner;
        let (transaction, fresh) = replica.finish();
        let entries = fresh.len();
        let Some(mut transaction) = transaction.filter(|_| entries > 0) else { return Ok(()) };
        let mut attempts = Attempts::in_folder(inner.folder.as_deref());
        absorb_warily(&mut transaction, &*inner.projection, fresh, &mut attempts)?;
        attempts.rest();
        transaction.commit()?;
        inner.arrived(attempts.finish());
        inner.committed();
        self.tally.entries_received += entries;
        tell(FolderNews::Received { entries });
        Ok(())
    }

    /// Writes what is here and in no readable file there. It is durable here: it was read from what was committed.
    fn leave(&mut self, stop: &AtomicBool, tell: &mut dyn FnMut(FolderNews)) -> Result<(), FolderError> {
        let snapshot = self.space.inner.store.read().map_err(Fault::from)?;
        self.leave_checkpoint(&snapshot)?;
        if self.kept.complete == holdings::digest(&snapshot, &self.files)? {
            return Ok(());
        }
        let mut packing = Packing::default();
        for (log, missing) in holdings::missing(&snapshot, &self.files)? {
            holdings::each_missing(&snapshot, &log, &missing, &mut |entry| {
                going_on(stop)?;
                if packing.add(entry) {
                    return Ok(());
                }
                self.put(std::mem::take(&mut packing), tell)?;
                if packing.add(entry) { Ok(()) } else { Err(FolderError::Fault(Fault::TooLarge)) }
            })?;
        }
        if !packing.is_empty() {
            self.put(packing, tell)?;
        }
        self.kept.complete = holdings::digest(&snapshot, &self.files)?;
        Ok(())
    }

    fn put(&mut self, packing: Packing, tell: &mut dyn FnMut(FolderNews)) -> Result<(), FolderError> {
        let parcel = packing.finish();
        let bytes = parcel.encode();
        let name = Parcel::file_name(&bytes);
        let passing = self.space.inner.environment().bytes();
        let Listed { length, modified, .. } = self.depot.put(&name, &bytes, passing)?;
        let runs: Vec<Run> = parcel.parts().iter().map(|part| part.run).collect();
        let entries: usize = parcel.parts().iter().map(|part| part.entries.len()).sum();
        self.files.insert(name.into_bytes(), FileRecord { length, modified, runs, left: false });
        self.tally.entries_sent += entries;
        self.tally.files_written += 1;
        self.tally.bytes_written += length;
        tell(FolderNews::Left { entries });
        Ok(())
    }

    /// Writes down what lies in the folder, and that it was visited.
    fn remember(&mut self, whole: bool) -> Result<(), Fault> {
        let mut transaction = self.space.inner.store.write()?;
        let name = |name: &[u8]| [&self.key[..], name].concat();
        for gone in self.before.keys().filter(|known| !self.files.contains_key(*known)) {
            transaction.remove(FOLDER_FILES, &name(gone))?;
        }
        for (known, file) in self.files.iter().filter(|(known, file)| self.before.get(*known) != Some(file)) {
            put_record(&mut transaction, FOLDER_FILES, &name(known), file)?;
        }
        // Another process may have added or removed it meanwhile.
        let mut kept = folder_record(&transaction, &self.key, &self.path)?;
        (kept.tried, kept.complete) = (self.kept.tried, self.kept.complete);
        if whole {
            (kept.last_contact, kept.error) = (self.space.now(), None);
        }
        put_record(&mut transaction, FOLDERS, &self.key, &kept)?;
        Ok(transaction.commit()?)
    }
}

fn going_on(stop: &AtomicBool) -> Result<(), FolderError> {
    if stop.load(Ordering::Relaxed) { Err(FolderError::Stopped) } else { Ok(()) }
}

/// What became of a piece.
enum Outcome {
    /// All of it is here, or never will be.
    Done,
    /// It does not open yet.
    Left,
    /// What comes before it is missing.
    Gap,
}

fn take(replica: &mut DeviceReplica<'_>, run: &Run, entries: &[Vec<u8>]) -> Result<Outcome, Fault> {
    for (seq, bytes) in (run.first..).zip(entries) {
        // Whoever has the name has the bytes, and those were verified.
        if replica.names(&run.log, seq)?.contains(&ties_sealed_log::EntryName::of(bytes)) {
            continue;
        }
        let Ok(entry) = Entry::verify(bytes) else { return Ok(Outcome::Done) };
        match replica.take(&entry)? {
            Taken::Log(Appended::Extended | Appended::Forked | Appended::Known | Appended::Below) => {}
            Taken::Log(Appended::Full) => return Ok(Outcome::Done),
            Taken::Log(Appended::Gap) => return Ok(Outcome::Gap),
            Taken::Refused(_) => return Ok(Outcome::Left),
        }
    }
    Ok(Outcome::Done)
}
