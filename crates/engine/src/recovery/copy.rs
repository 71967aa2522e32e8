//! A copy of a space's ciphertext, gathered from wherever there is one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use ties_net::{Depot, RelayAddress};
use ties_sealed_log::{
    AccessList, AccessStatement, Appended, ChunkName, Entry, EntryName, FloorRecord, Log, LogId, LogOpening, MailboxId,
    MemoryLog, Prune, RecoveryKeys, Tip, TipRecord, Vector,
};
use ties_store::{Read, Sharing, Snapshot, Store};
use ties_sync::{
    Event, FloorTaken, Input, MAX_PARCEL, Message, Output, PARCEL_HEAD, Parcel, Part, Refusal, Replica, Session, Taken,
};

use super::RecoveryError;
use super::base::Base;
use crate::author::SPACE_NUMBER;
use crate::environment::Environment;
use crate::folder::checkpoint::{chunk, floors};
use crate::records::{ACCESS, Fault, OPENINGS};
use crate::relay_link::{LinkFailure, RelayLink};
use crate::roads::{Road, roads};

/// Verified entries, in memory until it is known what they are, and what stands around them.
#[derive(Default)]
pub(super) struct CipherCopy {
    pub(super) log: MemoryLog,
    pub(super) boxes: BTreeMap<MailboxId, Box>,
    /// Whether anybody may have put logs into it: it was carried in a folder.
    pub(super) carried: bool,
    bytes: usize,
    /// Checkpoints that logs in it stand on.
    pub(super) bases: Vec<Base>,
}

/// What belongs to one mailbox.
#[derive(Default)]
pub(super) struct Box {
    /// Where it was met, if it was.
    pub(super) road: Option<Road>,
    pub(super) statements: Vec<Vec<u8>>,
    pub(super) openings: BTreeMap<LogId, Vec<u8>>,
}

/// Bytes of entries that are taken at most: whoever keeps the copy shall not fill the memory.
const MOST: usize = 1 << 30;

impl CipherCopy {
    /// Fetches every mailbox of a relay on whose list the words stand.
    pub(super) async fn from_relay(
        address: &str,
        keys: &RecoveryKeys,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Self, RecoveryError> {
        let address: RelayAddress = address.trim().parse().map_err(crate::roads::RoadError::from)?;
        let pseudonym = keys.pseudonym();
        let dial = || async { RelayLink::open(&address, &pseudonym, &mut Environment::system()).await };
        let mut link = dial().await?;
        link.say(&Message::Which).await?;
        let Message::Mailboxes(mailboxes) = link.answer().await? else {
            return Err(LinkFailure::Protocol(ties_sealed_log::DecodeError::Malformed).into());
        };
        let mut copy = Self::default();
        let mut first = Some(link);
        for mailbox in mailboxes {
            // A link carries one session.
            let mut link = match first.take() {
                Some(link) => link,
                None => dial().await?,
            };
            let road = Road { address: address.to_string(), relay: address.key(), mailbox };
            copy.boxes.entry(mailbox).or_default().road = Some(road);
            let mut visit = Visit { copy: &mut copy, mailbox, list: None, checkpoints: None };
            let whole = fetch(&mut link, &mut visit, progress).await?;
            link.close().await;
            if !whole {
                // Entries say more than what was made of them: a checkpoint is asked for where they are not to be had.
                visit.checkpoints = Some(BTreeMap::new());
                let mut link = dial().await?;
                fetch(&mut link, &mut visit, progress).await?;
                link.close().await;
            }
        }
        Ok(copy)
    }

    /// Reads the folder of another device, or one in which devices left changes for each other.
    pub(super) fn from_folder(folder: &Path) -> Result<Self, RecoveryError> {
        if !Store::exists(folder) {
            let depots = Depot::all(folder)?;
            if !depots.is_empty() {
                return Self::from_depots(&depots);
            }
        }
        let store = Store::open(folder, Sharing::Processes)?;
        Self::from_snapshot(&store.read()?)
    }

    /// Reads another device's database.
    pub(super) fn from_snapshot(snapshot: &Snapshot) -> Result<Self, RecoveryError> {
        let mut copy = Self::default();
        let log = snapshot.log(SPACE_NUMBER);
        copy.bases.extend(Base::of(snapshot)?);
        for id in log.vector()?.logs() {
            let begins = log.base(&id)?;
            if !begins.is_empty() {
                let Ok(_) = copy.log.rebase(&id, &begins, &mut |_| false);
            }
            let mut last = 0;
            loop {
                let entries = log.after(&id, last, READ)?;
                let Some(end) = entries.last() else { break };
                last = end.seq();
                // Bytes on a disk are nobody's word.
                for entry in entries.iter().filter_map(|entry| Entry::verify(entry.bytes()).ok()) {
                    copy.append(&entry);
                }
            }
        }
        for road in roads(snapshot)? {
            let mailbox = road.mailbox;
            let kept = copy.boxes.entry(mailbox).or_default();
            kept.road = Some(road);
            kept.statements = snapshot.pairs(ACCESS, &mailbox.0)?.into_iter().map(|(_, bytes)| bytes).collect();
            for (_, bytes) in snapshot.pairs(OPENINGS, &mailbox.0)? {
                let opening = LogOpening::verify(&bytes, &mailbox).map_err(|_| Fault::Damaged("a log opening"))?;
                kept.openings.insert(opening.log(), bytes);
            }
        }
        Ok(copy)
    }

    /// Reads every whole parcel, whichever space it is of.
    fn from_depots(depots: &[Depot]) -> Result<Self, RecoveryError> {
        let mut copy = Self { carried: true, ..Self::default() };
        let (mut parts, mut read) = (Vec::new(), 0);
        for depot in depots {
            for file in depot.list()? {
                let Some(head) = depot.read(&file.name, PARCEL_HEAD)? else { continue };
                if Parcel::length(&head) != Ok(file.length) || read + file.length as usize > MOST {
                    continue;
                }
                let bytes = depot.read(&file.name, MAX_PARCEL)?.unwrap_or_default();
                read += bytes.len();
                parts.extend(Parcel::decode(&bytes).map(Parcel::into_parts).unwrap_or_default());
            }
        }
        // Stretches of one log in their order: each finds the one before it.
        parts.sort_unstable_by_key(|part| part.run);
        if !copy.append_all(&parts) {
            for depot in depots {
                copy.stand_on_any(depot)?;
            }
            copy.append_all(&parts);
        }
        Ok(copy)
    }

    /// Gives whether everything follows on something.
    fn append_all(&mut self, parts: &[Part]) -> bool {
        let mut whole = true;
        for part in parts {
            for entry in part.entries.iter().map_while(|bytes| Entry::verify(bytes).ok()) {
                whole &= self.append(&entry) != Appended::Gap;
            }
        }
        whole
    }

    /// Stands on the newest checkpoint in a folder that two devices signed and that is there as a whole.
    fn stand_on_any(&mut self, depot: &Depot) -> Result<(), RecoveryError> {
        let listed = depot.list()?;
        let mut floors = floors(depot, listed.iter())?;
        floors.retain(|floor| floor.cosigner().is_some());
        for floor in FloorRecord::newest_first(floors, |floor| floor) {
            let mut chunks = BTreeMap::new();
            for (name, _) in floor.chunks() {
                chunks.extend(chunk(depot, &listed, &floor, name)?.map(|chunk| (*name, chunk.into_bytes())));
            }
            if chunks.len() == floor.chunks().len() {
                self.stand_on(Base { floor, chunks });
                break;
            }
        }
        Ok(())
    }

    /// Has every log of a checkpoint begin where that ends.
    fn stand_on(&mut self, base: Base) {
        for ends in base.floor.cut().chunk_by(|one, next| one.log == next.log) {
            let tips: Vec<Tip> = ends.iter().map(|end| end.tip).collect();
            if let Some(end) = ends.first() {
                let Ok(_) = self.log.rebase(&end.log, &tips, &mut |_| false);
            }
        }
        self.bases.push(base);
    }

    fn append(&mut self, entry: &Entry) -> Appended {
        let Ok(appended) = self.log.append(entry);
        if appended.is_new() {
            self.bytes += entry.bytes().len();
        }
        appended
    }

    /// Every entry, each log from its beginning, or from where a checkpoint ends.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let Ok(vector) = self.log.vector();
        let logs: Vec<LogId> = vector.logs().collect();
        logs.into_iter().flat_map(|log| {
            let Ok(entries) = self.log.after(&log, 0, usize::MAX);
            entries
        })
    }

    /// The entry of that name in a log.
    pub(super) fn find(&self, name: &EntryName) -> Option<Entry> {
        self.entries().find(|entry| entry.name() == *name)
    }
}

/// Entries of another device's log that are in memory twice while they are read.
const READ: usize = 4 << 20;

/// Gives whether every log was there from its beginning.
async fn fetch(
    link: &mut RelayLink,
    visit: &mut Visit<'_>,
    progress: &mut (dyn FnMut(usize) + Send),
) -> Result<bool, RecoveryError> {
    let mut whole = true;
    let mut session = Session::new(visit.mailbox.0);
    let mut outputs = session.start(link.now(), visit)?;
    loop {
        for output in outputs {
            match output {
                Output::Send(frame) => link.send(frame).await?,
                Output::Event(Event::Received { entries, .. }) => progress(entries),
                Output::Event(
                    Event::Declined { reason: Refusal::Gap, .. } | Event::Refused { reason: Refusal::Withheld, .. },
                ) => whole = false,
                Output::Event(_) => {}
            }
        }
        if session.is_settled() {
            return Ok(whole);
        }
        let wait = session.deadline().map_or(Duration::from_secs(60), |at| at.saturating_sub(link.now()));
        outputs = tokio::select! {
            frame = link.frame() => {
                let frame = frame?;
                session.handle(link.now(), Input::Frame(&frame), visit)?
            }
            () = tokio::time::sleep(wait) => session.handle(link.now(), Input::Tick, visit)?,
        };
    }
}

/// The copy, as the session about one mailbox sees it: it takes what was opened under a listed pseudonym, and gives
/// nothing.
struct Visit<'c> {
    copy: &'c mut CipherCopy,
    mailbox: MailboxId,
    list: Option<AccessList>,
    /// Pieces of checkpoints that came; none, if checkpoints are passed on.
    checkpoints: Option<BTreeMap<ChunkName, Vec<u8>>>,
}

impl Visit<'_> {
    fn kept(&mut self) -> &mut Box {
        self.copy.boxes.entry(self.mailbox).or_default()
    }
}

impl Log for Visit<'_> {
    type Error = Infallible;

    fn vector(&self) -> Result<Vector, Infallible> {
        self.copy.log.vector()
    }

    fn tips(&self, log: &LogId) -> Result<Vec<Tip>, Infallible> {
        self.copy.log.tips(log)
    }

    fn names(&self, log: &LogId, seq: u64) -> Result<Vec<EntryName>, Infallible> {
        self.copy.log.names(log, seq)
    }

    fn after(&self, log: &LogId, seq: u64, budget: usize) -> Result<Vec<Entry>, Infallible> {
        self.copy.log.after(log, seq, budget)
    }

    fn base(&self, log: &LogId) -> Result<Vec<Tip>, Infallible> {
        self.copy.log.base(log)
    }

    fn forked_at(&self, log: &LogId) -> Result<Option<u64>, Infallible> {
        self.copy.log.forked_at(log)
    }

    fn append(&mut self, entry: &Entry) -> Result<Appended, Infallible> {
        Ok(self.copy.append(entry))
    }
}

impl Replica for Visit<'_> {
    fn take(&mut self, entry: &Entry) -> Result<Taken, Infallible> {
        if !self.kept().openings.contains_key(&entry.log()) {
            return Ok(Taken::Refused(Refusal::NotOpened));
        }
        if self.copy.bytes + entry.bytes().len() > MOST {
            return Ok(Taken::Refused(Refusal::Quota));
        }
        Ok(Taken::Log(self.copy.append(entry)))
    }

    fn take_floor(&mut self, floor: &FloorRecord, needed: bool) -> Result<FloorTaken, Infallible> {
        if needed && self.checkpoints.is_none() {
            self.checkpoints = Some(BTreeMap::new());
        }
        // Nothing is dropped anywhere below one that a single device made.
        let (Some(pieces), Some(_)) = (&mut self.checkpoints, floor.cosigner()) else { return Ok(FloorTaken::Passed) };
        let log = &self.copy.log;
        let has = |end: &TipRecord| log.names(&end.log, end.tip.seq).is_ok_and(|names| names.contains(&end.tip.name));
        if floor.cut().iter().all(has) {
            return Ok(FloorTaken::Held);
        }
        if usize::try_from(floor.size()).map_or(true, |size| self.copy.bytes + size > MOST) {
            return Ok(FloorTaken::Refused(Refusal::Quota));
        }
        let missing = |(name, _): &&(ChunkName, u32)| !pieces.contains_key(name);
        let missing: Vec<ChunkName> = floor.chunks().iter().filter(missing).map(|(name, _)| *name).collect();
        if !missing.is_empty() {
            return Ok(FloorTaken::Wanted(missing));
        }
        self.copy.bytes += usize::try_from(floor.size()).unwrap_or(MOST);
        self.copy.stand_on(Base { floor: floor.clone(), chunks: std::mem::take(pieces) });
        Ok(FloorTaken::Held)
    }

    fn put_chunk(&mut self, name: &ChunkName, bytes: &[u8]) -> Result<(), Infallible> {
        if let Some(pieces) = &mut self.checkpoints {
            pieces.insert(*name, bytes.to_vec());
        }
        Ok(())
    }

    fn opening(&mut self, log: &LogId) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.kept().openings.get(log).cloned())
    }

    fn admit(&mut self, opening: &[u8]) -> Result<Result<(), Refusal>, Infallible> {
        let Ok(parsed) = LogOpening::verify(opening, &self.mailbox) else { return Ok(Err(Refusal::Invalid)) };
        let listed = self.list.as_ref().is_some_and(|list| list.flags(&parsed.pseudonym()) != 0);
        if !listed {
            return Ok(Err(Refusal::NotPermitted));
        }
        self.kept().openings.insert(parsed.log(), opening.to_vec());
        Ok(Ok(()))
    }

    fn access_digest(&self) -> Result<[u8; 32], Infallible> {
        Ok(self.list.as_ref().map_or([0; 32], AccessList::digest))
    }

    fn statements(&self) -> Result<Vec<Vec<u8>>, Infallible> {
        let statements = self.list.iter().flat_map(AccessList::statements);
        Ok(statements.map(|statement| statement.bytes().to_vec()).collect())
    }

    fn state(&mut self, statement: &[u8]) -> Result<Result<(), Refusal>, Infallible> {
        let Ok(parsed) = AccessStatement::verify(statement) else { return Ok(Err(Refusal::Invalid)) };
        let taken = match &mut self.list {
            Some(list) => list.add(parsed).map(drop),
            none => AccessList::begin(parsed).and_then(|list| {
                let right = list.mailbox() == self.mailbox;
                right.then(|| *none = Some(list)).ok_or(ties_sealed_log::AccessError::Mailbox)
            }),
        };
        if taken.is_err() {
            return Ok(Err(Refusal::NotPermitted));
        }
        self.kept().statements.push(statement.to_vec());
        Ok(Ok(()))
    }
}
