//! Checkpoints at a mailbox: which are kept, and what is dropped when two signatures stand behind them.

use std::collections::BTreeSet;

use ties_fault::{Point, pass};
use ties_sealed_log::{CLOSED, ChunkName, FloorRecord, LogId, PUT, Tip};
use ties_sync::{FloorTaken, Refusal};

use crate::limits::Limits;
use crate::mailbox::Mailbox;
use crate::storage::Storage;

/// How many checkpoints may be on their way at a time; a further one takes the place of the oldest.
const STAGED: usize = 4;

/// The floors of a mailbox.
#[derive(Debug, Default)]
pub(crate) struct Floors {
    /// With two signatures, the older first: two at most. Nothing above the older one's cut is ever dropped.
    cosigned: Vec<FloorRecord>,
    /// The newest with one, if it reaches further.
    single: Option<FloorRecord>,
    /// Those whose chunks are still coming, or that wait for entries; the oldest first.
    staged: Vec<FloorRecord>,
    /// The chunks that are here.
    chunks: BTreeSet<ChunkName>,
}

/// How far the logs here reach, measured by a cut.
#[derive(PartialEq, Eq)]
enum Reach {
    Whole,
    Short,
    /// Another entry stands where the cut has a tip.
    Differs,
}

impl Floors {
    pub(crate) fn load<S: Storage>(mailbox: &ties_sealed_log::MailboxId, storage: &S) -> Result<Self, S::Error> {
        let mut floors = Self::default();
        for (staged, bytes) in storage.floors(mailbox)? {
            // What no longer verifies on a failing disk is as good as not there: a device will bring it again.
            let Ok(record) = FloorRecord::verify(&bytes) else { continue };
            match (staged, record.cosigner()) {
                (true, _) => floors.staged.push(record),
                (false, Some(_)) => floors.cosigned.push(record),
                (false, None) => floors.single = Some(record),
            }
        }
        floors.chunks = storage.chunks(mailbox)?.into_iter().collect();
        Ok(floors)
    }

    pub(crate) fn newest(&self) -> Option<&FloorRecord> {
        self.single.as_ref().or(self.cosigned.last())
    }

    pub(crate) fn newest_cosigned(&self) -> Option<&FloorRecord> {
        self.cosigned.last()
    }

    fn missing(&self, record: &FloorRecord) -> Vec<ChunkName> {
        record.chunks().iter().map(|(name, _)| *name).filter(|name| !self.chunks.contains(name)).collect()
    }

    /// Bytes that have yet to come for everything that is staged, and for `further`.
    fn to_come(&self, further: &FloorRecord) -> u64 {
        let all = self.staged.iter().chain([further]).flat_map(FloorRecord::chunks);
        let missing: BTreeSet<_> = all.filter(|(name, _)| !self.chunks.contains(name)).collect();
        missing.iter().map(|(_, len)| u64::from(*len)).sum::<u64>() + further.bytes().len() as u64
    }

    /// What the records that are kept already make of a further one, if that settles it.
    fn settled_by_kept(&self, record: &FloorRecord) -> Option<FloorTaken> {
        let rank_of = |kept: &FloorRecord| {
            if kept.name() == record.name() || kept.is_of_the_same(record) && kept.cosigner().is_some() {
                return Some(FloorTaken::Held);
            }
            match (record.covers(kept), kept.covers(record)) {
                (true, false) => None,
                (true, true) if record.supersedes(kept) => None,
                (_, true) => Some(FloorTaken::Held),
                (false, false) => Some(FloorTaken::Passed),
            }
        };
        let single = self.single.as_ref().filter(|_| record.cosigner().is_none());
        self.cosigned.last().and_then(rank_of).or_else(|| single.and_then(rank_of))
    }

    /// Puts a record among those that are kept.
    fn keep(&mut self, record: &FloorRecord) {
        if record.cosigner().is_none() {
            self.single = Some(record.clone());
        } else {
            // One that reaches no further takes the other's place; it makes no second generation.
            if self.cosigned.last().is_some_and(|last| last.covers(record)) {
                self.cosigned.pop();
            }
            self.cosigned.push(record.clone());
            if self.cosigned.len() > 2 {
                self.cosigned.remove(0);
            }
            self.single.take_if(|single| !single.supersedes(record));
        }
        self.staged.retain(|staged| staged.name() != record.name() && !record.covers(staged));
    }

    fn all(&self) -> impl Iterator<Item = (bool, &FloorRecord)> {
        let kept = self.cosigned.iter().chain(&self.single).map(|record| (false, record));
        kept.chain(self.staged.iter().map(|record| (true, record)))
    }
}

impl Mailbox {
    /// Decides about a floor that a device brings; `needed` if it has said that it has not all entries below.
    pub(crate) fn take_floor<S: Storage>(
        &mut self,
        record: &FloorRecord,
        needed: bool,
        storage: &mut S,
        limits: &Limits,
    ) -> Result<FloorTaken, S::Error> {
        if let Some(settled) = self.floors.settled_by_kept(record) {
            return Ok(settled);
        }
        if let Err(reason) = self.is_signed_well(record) {
            return Ok(FloorTaken::Refused(reason));
        }
        let reach = self.reach(record, storage)?;
        if reach == Reach::Differs {
            return Ok(FloorTaken::Refused(Refusal::Floor));
        }
        if self.bytes + self.floors.to_come(record) > self.quota.unwrap_or(limits.mailbox_bytes) {
            return Ok(FloorTaken::Refused(Refusal::Quota));
        }
        let missing = self.floors.missing(record);
        // On the word of one, nothing is passed over: it waits until the entries are here. A log of which nothing is here
        // begins at the cut only where its entries do not come: whoever passes on the checkpoint asks this relay for them.
        let begins = |log: &LogId| self.opener(log).is_some() && !self.vector.knows(log);
        let waits = reach == Reach::Short || (!needed && record.logs().any(|log| begins(&log)));
        let waits = waits && record.cosigner().is_none();
        if !missing.is_empty() || waits {
            self.stage(record, storage)?;
            return Ok(if missing.is_empty() { FloorTaken::Passed } else { FloorTaken::Wanted(missing) });
        }
        self.adopt(record, storage, limits)?;
        Ok(FloorTaken::Held)
    }

    /// Looks again at checkpoints that waited for entries.
    pub(crate) fn reconsider_floors<S: Storage>(&mut self, storage: &mut S, limits: &Limits) -> Result<(), S::Error> {
        let waiting = self.floors.staged.iter().filter(|record| self.floors.missing(record).is_empty());
        for record in waiting.cloned().collect::<Vec<_>>() {
            let _ = self.take_floor(&record, false, storage, limits)?;
        }
        Ok(())
    }

    /// Keeps a chunk of a checkpoint that is on its way.
    pub(crate) fn put_chunk<S: Storage>(
        &mut self,
        name: &ChunkName,
        bytes: &[u8],
        storage: &mut S,
    ) -> Result<(), S::Error> {
        let wanted = self.floors.staged.iter().any(|record| record.length_of(name).is_some());
        if wanted && self.floors.chunks.insert(*name) {
            storage.put_chunk(&self.id(), name, bytes)?;
            pass(Point::RelayPiece);
            self.bytes = storage.bytes(&self.id())?;
        }
        Ok(())
    }

    /// Whether those who signed opened their logs here under pseudonyms that are listed still, and different ones.
    fn is_signed_well(&self, record: &FloorRecord) -> Result<(), Refusal> {
        let opener = |log: &LogId| {
            let pseudonym = self.opener(log).ok_or(Refusal::NotOpened)?;
            let listed = self.flags(&pseudonym) & (PUT | CLOSED) == PUT;
            if listed { Ok(pseudonym) } else { Err(Refusal::Floor) }
        };
        let author = opener(&record.author())?;
        match record.cosigner() {
            Some(cosigner) if opener(&cosigner)? == author => Err(Refusal::Floor),
            _ => Ok(()),
        }
    }

    fn reach<S: Storage>(&self, record: &FloorRecord, storage: &S) -> Result<Reach, S::Error> {
        let mut reach = Reach::Whole;
        for log in record.logs() {
            let (cut, branches) = (record.cut_of(&log), self.vector.tips(&log).count());
            for tip in cut.iter().filter(|_| branches > 0) {
                let names = storage.names(&self.id(), &log, tip.seq)?;
                if names.contains(&tip.name) || self.begins_above(&log, tip, storage)? {
                    continue;
                }
                // Of a forked log, another branch may be here first.
                if !names.is_empty() && cut.len() == 1 && branches == 1 {
                    return Ok(Reach::Differs);
                }
                reach = Reach::Short;
            }
        }
        Ok(reach)
    }

    fn begins_above<S: Storage>(&self, log: &LogId, tip: &Tip, storage: &S) -> Result<bool, S::Error> {
        Ok(storage.base(&self.id(), log)?.iter().any(|base| base.seq >= tip.seq))
    }

    fn stage<S: Storage>(&mut self, record: &FloorRecord, storage: &mut S) -> Result<(), S::Error> {
        if self.floors.staged.iter().any(|staged| staged.name() == record.name()) {
            return Ok(());
        }
        self.floors.staged.push(record.clone());
        if self.floors.staged.len() > STAGED {
            self.floors.staged.remove(0);
        }
        self.save_floors(storage)?;
        pass(Point::RelayStaged);
        Ok(())
    }

    /// Keeps a checkpoint that is here as a whole: logs stand at its cut from now on, and what lies at or below the cut
    /// of the generation before it is dropped.
    fn adopt<S: Storage>(&mut self, record: &FloorRecord, storage: &mut S, limits: &Limits) -> Result<(), S::Error> {
        let opened: Vec<LogId> = record.logs().filter(|log| self.opener(log).is_some()).collect();
        for log in opened {
            let cut = record.cut_of(&log);
            let known: Vec<Tip> = self.vector.tips(&log).collect();
            let mut short = known.is_empty();
            for tip in &cut {
                let here = storage.names(&self.id(), &log, tip.seq)?.contains(&tip.name);
                short |= !here && !self.begins_above(&log, tip, storage)?;
            }
            if short {
                self.cut_short(&log, &cut, storage)?;
            }
        }
        pass(Point::RelayAdopting);
        self.floors.keep(record);
        if limits.prunes && self.floors.cosigned.len() == 2 {
            let older = self.floors.cosigned[0].clone();
            let known: Vec<LogId> = older.logs().filter(|log| self.vector.knows(log)).collect();
            for log in known {
                self.cut_short(&log, &older.cut_of(&log), storage)?;
            }
            pass(Point::RelayPruned);
        }
        self.changed = true;
        self.save_floors(storage)
    }

    fn cut_short<S: Storage>(&mut self, log: &LogId, cut: &[Tip], storage: &mut S) -> Result<(), S::Error> {
        if storage.rebase(&self.id(), log, cut)?.is_some() {
            self.vector.set(*log, storage.tips(&self.id(), log)?);
            self.bytes = storage.bytes(&self.id())?;
        }
        Ok(())
    }

    /// Writes down which records there are, and lets go of chunks that belong to none of them.
    fn save_floors<S: Storage>(&mut self, storage: &mut S) -> Result<(), S::Error> {
        let id = self.id();
        let wanted: BTreeSet<ChunkName> =
            self.floors.all().flat_map(|(_, record)| record.chunks()).map(|(name, _)| *name).collect();
        let unwanted: Vec<ChunkName> = self.floors.chunks.difference(&wanted).copied().collect();
        for name in unwanted {
            self.floors.chunks.remove(&name);
            storage.remove_chunk(&id, &name)?;
        }
        let rows: Vec<(bool, Vec<u8>)> =
            self.floors.all().map(|(staged, record)| (staged, record.bytes().to_vec())).collect();
        storage.set_floors(&id, &rows)?;
        self.bytes = storage.bytes(&id)?;
        Ok(())
    }
}
