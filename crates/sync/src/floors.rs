//! How two replicas come to the same floor: who shows it, who takes its chunks, and what waits for that.

use std::collections::{BTreeSet, VecDeque};

use serde_bytes::ByteBuf;
use ties_sealed_log::{
    ChunkName, FloorName, FloorRecord, LogId, MAX_CHUNKS, Tip, TipRecord, Vector, hash, is_outgrown,
};

use crate::replica::{FloorTaken, Replica};
use crate::sending::Gathering;
use crate::session::{Event, Fallible, Output, PeerMisbehaved, Session, SessionError, Standing};
use crate::wire::{FloorWord, Message, Refusal, WINDOW};

/// What a session knows of floors.
#[derive(Debug, Default)]
pub(crate) struct Floors {
    /// What the other side holds, as far as it said.
    theirs: Option<FloorName>,
    /// What it was shown, and how that stands.
    shown: Option<(FloorRecord, Shown)>,
    /// What this side held at the beginning, where its entries say more: that is not shown.
    dispensable: Option<FloorName>,
    /// All that it was shown.
    told: BTreeSet<FloorName>,
    /// Chunks of that which it asked for.
    owed: VecDeque<ChunkName>,
    /// Whether it holds one that it has not shown yet.
    expected: bool,
    /// What it showed and this side is taking.
    taking: Option<Taking>,
    /// What it showed last and this side passed on.
    passed: Option<FloorRecord>,
    /// Logs of which it cannot give what this side lacks: only a checkpoint has it.
    needed: BTreeSet<LogId>,
    /// The same the other way round: logs of which the other side was told so.
    withheld: BTreeSet<LogId>,
    /// Whether what it passed on was shown again for that.
    again: bool,
    /// Whether it lacked entries below what it passed on: with them it may keep the record, and compare.
    catches_up: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// It has not answered.
    Asked,
    /// It wants chunks.
    Sending,
    /// It has them all, and is reading them.
    Reading,
    /// It stands at the cut or beyond.
    Held,
    /// It goes on without.
    Passed,
}

#[derive(Debug)]
struct Taking {
    record: FloorRecord,
    /// Chunks that were asked for and have not come; with none left, the host is loading it.
    missing: BTreeSet<ChunkName>,
}

impl Floors {
    fn is_open(&self) -> bool {
        self.shown.as_ref().is_some_and(|(_, shown)| matches!(shown, Shown::Asked | Shown::Sending | Shown::Reading))
    }

    /// Whether nothing is under way.
    pub(crate) fn are_settled(&self) -> bool {
        !self.is_open() && !self.expected && self.needed.is_empty() && self.taking.is_none()
    }

    /// Whether one of the two is reading a checkpoint, which may take a while.
    pub(crate) fn are_being_read(&self) -> bool {
        let reading = |taking: &Taking| taking.missing.is_empty();
        matches!(self.shown, Some((_, Shown::Reading))) || self.taking.as_ref().is_some_and(reading)
    }

    /// Both sides said the same about everything they hold.
    pub(crate) fn are_equal(&mut self, floor: Option<FloorName>) {
        self.theirs = floor;
    }

    /// What the other side's digest says of its floor, besides the entries that it named: it is ours, it has none, or it will
    /// show one, which is worth waiting for.
    pub(crate) fn compare(&mut self, peer: &Vector, own: Option<FloorName>, theirs: &[u8; 32]) {
        if own.is_some() && *theirs == digest(peer, own) {
            self.theirs = own;
        } else {
            self.expected = *theirs != digest(peer, None);
        }
    }

    /// Whether entries of a log wait for an answer: the other side, which has `peer`, may not want them at all.
    pub(crate) fn hold_back(&self, log: &LogId, peer: &Vector) -> bool {
        let shown = self.shown.as_ref().filter(|_| self.is_open());
        shown.is_some_and(|(record, _)| is_short_of(record, log, peer))
    }

    /// Notes that what is here of a log does not follow on what the other side has; `false` if it was told.
    pub(crate) fn withhold(&mut self, log: LogId) -> bool {
        self.withheld.insert(log)
    }

    /// Whether what the other side passed on is to be shown again, now that it knows that nothing else will do.
    pub(crate) fn is_shown_again(&mut self) -> bool {
        let passed = matches!(self.shown, Some((_, Shown::Passed)));
        if self.again || self.withheld.is_empty() || !passed {
            return false;
        }
        self.again = true;
        self.told.clear();
        true
    }

    /// The same, now that it has been sent all entries below.
    pub(crate) fn is_caught_up(&mut self, peer: &Vector) -> bool {
        let Some((record, Shown::Passed)) = &self.shown else { return false };
        if !self.catches_up || record.logs().any(|log| is_short_of(record, &log, peer)) {
            return false;
        }
        self.catches_up = false;
        self.told.remove(&record.name());
        true
    }

    /// The other side cannot give a log from where it ends here, with these tips. `true` if a checkpoint has it that this
    /// side passed on: that will be shown again.
    pub(crate) fn need(&mut self, log: LogId, tips: &[Tip]) -> bool {
        let has_it =
            |passed: &FloorRecord| passed.cut_of(&log).iter().any(|cut| tips.iter().all(|tip| tip.seq < cut.seq));
        self.passed.as_ref().is_some_and(has_it) && self.needed.insert(log)
    }

    /// Whether a floor still has to be shown.
    fn is_news(&self, record: &FloorRecord) -> bool {
        !self.told.contains(&record.name()) && self.theirs != Some(record.name())
    }
}

/// Whether what is known of a log ends before a floor.
fn is_short_of(record: &FloorRecord, log: &LogId, vector: &Vector) -> bool {
    record.cut_of(log).iter().any(|cut| !vector.tips(log).any(|tip| tip.seq >= cut.seq))
}

/// Whether entries say all that a checkpoint does and more, and all of them are here.
fn is_dispensable<R: Replica>(record: &FloorRecord, replica: &R) -> Result<bool, R::Error> {
    for log in record.logs() {
        if !replica.base(&log)?.is_empty() {
            return Ok(false);
        }
    }
    is_outgrown(record.cut(), replica)
}

/// What [`Message::Open`] says of what a replica holds.
pub(crate) fn digest(vector: &Vector, floor: Option<FloorName>) -> [u8; 32] {
    let entries = vector.digest();
    floor.map_or(entries, |floor| hash("ties1/held", &[&entries, &floor.0]))
}

impl Session {
    /// What is said of the floor that is held here when the session begins.
    pub(crate) fn floor_to_show<R: Replica>(
        &mut self,
        replica: &R,
    ) -> Result<Option<FloorName>, SessionError<R::Error>> {
        let Some(record) = replica.floor().map_err(SessionError::Storage)? else { return Ok(None) };
        let name = record.name();
        self.floors.dispensable = is_dispensable(&record, replica).map_err(SessionError::Storage)?.then_some(name);
        Ok(Some(name).filter(|_| self.floors.dispensable.is_none()))
    }

    /// Shows the floor that is held here, if the other side may not know it.
    pub(crate) fn show_floor<R: Replica>(&mut self, replica: &R, out: &mut Vec<Output>) -> Fallible<R> {
        if self.floors.is_open() {
            return Ok(());
        }
        let newest = replica.floor().map_err(SessionError::Storage)?;
        let passed = newest.as_ref().is_some_and(|record| !self.floors.is_news(record));
        let mut shown = newest.filter(|_| !passed);
        if passed {
            // Where the newest was taken, or is not needed, nothing is short of the one before.
            let before = replica.cosigned_floor().map_err(SessionError::Storage)?;
            let is_needed = |record: &FloorRecord| record.logs().any(|log| is_short_of(record, &log, &self.peer));
            shown = before.filter(|record| self.floors.is_news(record) && is_needed(record));
        }
        let Some(record) = shown else { return Ok(()) };
        if self.floors.dispensable == Some(record.name()) {
            return Ok(());
        }
        out.push(Output::Send(Message::Floor(ByteBuf::from(record.bytes())).encode()));
        self.floors.told.insert(record.name());
        self.floors.shown = Some((record, Shown::Asked));
        self.settled = false;
        Ok(())
    }

    /// Sends chunks that the other side asked for, as far as there is credit.
    pub(crate) fn send_chunks<R: Replica>(&mut self, replica: &R, out: &mut Vec<Output>) -> Fallible<R> {
        let mut chunks = Gathering::new(Message::Chunks, usize::MAX);
        while let Some(name) = self.floors.owed.front().copied() {
            let chunk = replica.chunk(&name).map_err(SessionError::Storage)?;
            let Some(chunk) = chunk.filter(|chunk| ChunkName::of(chunk) == name) else {
                // Whoever took the record alone, or lost the chunk, cannot help with it.
                chunks.finish(out);
                self.close_shown(Shown::Passed, FloorWord::Pass, out);
                return Ok(());
            };
            let size = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            if self.in_flight > 0 && size > WINDOW.saturating_sub(self.in_flight) {
                break;
            }
            self.floors.owed.pop_front();
            self.in_flight = self.in_flight.saturating_add(size);
            self.flying.push_back((size, false));
            chunks.add(&chunk, out);
        }
        chunks.finish(out);
        if let Some((_, shown @ Shown::Sending)) = &mut self.floors.shown
            && self.floors.owed.is_empty()
        {
            *shown = Shown::Reading;
        }
        Ok(())
    }

    fn close_shown(&mut self, how: Shown, word: FloorWord, out: &mut Vec<Output>) {
        self.floors.owed.clear();
        self.news = true;
        if let Some((record, shown)) = &mut self.floors.shown {
            *shown = how;
            out.push(Output::Send(Message::OnFloor { floor: record.name(), word }.encode()));
        }
    }

    /// The other side shows what it holds.
    pub(crate) fn shown_floor<R: Replica>(
        &mut self,
        bytes: &[u8],
        replica: &mut R,
        out: &mut Vec<Output>,
    ) -> Fallible<R> {
        if self.floors.taking.is_some() {
            return Err(PeerMisbehaved::OutOfTurn.into());
        }
        let record = FloorRecord::verify(bytes).map_err(PeerMisbehaved::from)?;
        self.floors.theirs = Some(record.name());
        self.floors.expected = false;
        self.count_cut(&record);
        self.settled = false;
        self.take_floor(record, replica, out)
    }

    /// Asks the host about a floor, and says what it says.
    fn take_floor<R: Replica>(&mut self, record: FloorRecord, replica: &mut R, out: &mut Vec<Output>) -> Fallible<R> {
        let floor = record.name();
        let needed = !self.floors.needed.is_empty();
        let word = match replica.take_floor(&record, needed).map_err(SessionError::Storage)? {
            FloorTaken::Held => {
                self.name_what_stays_missing(&record, replica, out)?;
                // A host may have read it within this very call.
                self.forget_wanted(replica)?;
                FloorWord::Have
            }
            FloorTaken::Passed => {
                self.go_without(out);
                // It is shown again once at most.
                self.floors.passed = Some(record).filter(|_| !needed);
                FloorWord::Pass
            }
            FloorTaken::Refused(reason) => {
                self.go_without(out);
                out.push(Output::Event(Event::FloorDeclined { floor, reason }));
                FloorWord::Refuse(reason)
            }
            FloorTaken::Wanted(missing) => {
                let wanted: BTreeSet<ChunkName> = missing.iter().copied().collect();
                let tell = self.floors.taking.as_ref().is_none_or(|taking| taking.missing != wanted);
                if missing.is_empty() && tell {
                    out.push(Output::Event(Event::Checkpoint { record: record.clone(), needed }));
                } else if tell {
                    let word = FloorWord::Want(wanted.iter().copied().collect());
                    out.push(Output::Send(Message::OnFloor { floor, word }.encode()));
                }
                self.floors.taking = Some(Taking { record, missing: wanted });
                return Ok(());
            }
        };
        self.floors.taking = None;
        self.news = true;
        out.push(Output::Send(Message::OnFloor { floor, word }.encode()));
        Ok(())
    }

    /// Names the logs that do not come even so: here they went another way, which the checkpoint knows nothing of.
    fn name_what_stays_missing<R: Replica>(
        &mut self,
        record: &FloorRecord,
        replica: &R,
        out: &mut Vec<Output>,
    ) -> Fallible<R> {
        for log in std::mem::take(&mut self.floors.needed) {
            for tip in record.cut_of(&log) {
                if self.standing_of(&TipRecord { log, tip }, replica)? == Standing::Missing {
                    self.floors.needed.insert(log);
                }
            }
        }
        self.go_without(out);
        Ok(())
    }

    /// Names the logs that do not come, since the checkpoint that has them is not taken.
    fn go_without(&mut self, out: &mut Vec<Output>) {
        for log in std::mem::take(&mut self.floors.needed) {
            self.wanted.retain(|wanted| wanted.log != log);
            out.push(Output::Event(Event::Refused { log, reason: Refusal::Withheld }));
        }
    }

    /// The replica changed: what was being loaded may be.
    pub(crate) fn look_at_loading<R: Replica>(&mut self, replica: &mut R, out: &mut Vec<Output>) -> Fallible<R> {
        match &self.floors.taking {
            Some(taking) if taking.missing.is_empty() => {
                let record = taking.record.clone();
                self.take_floor(record, replica, out)
            }
            _ => Ok(()),
        }
    }

    /// The other side answers what it was shown, or cannot give what it showed.
    pub(crate) fn answered_floor(
        &mut self,
        floor: FloorName,
        word: FloorWord,
        out: &mut Vec<Output>,
    ) -> Result<(), PeerMisbehaved> {
        if matches!(word, FloorWord::Pass) && self.floors.taking.as_ref().is_some_and(|one| one.record.name() == floor)
        {
            self.floors.taking = None;
            return Ok(());
        }
        let open = self.floors.is_open();
        let Some((record, shown)) = self.floors.shown.as_mut().filter(|(record, _)| open && record.name() == floor)
        else {
            return Err(PeerMisbehaved::OutOfTurn);
        };
        match word {
            FloorWord::Want(chunks) => {
                let known = chunks.iter().all(|chunk| record.length_of(chunk).is_some());
                if *shown == Shown::Sending {
                    return Err(PeerMisbehaved::OutOfTurn);
                }
                if chunks.is_empty() || chunks.len() > MAX_CHUNKS || !known || !chunks.is_sorted_by(|a, b| a < b) {
                    return Err(PeerMisbehaved::Bounds);
                }
                *shown = Shown::Sending;
                self.floors.owed = chunks.into();
                return Ok(());
            }
            FloorWord::Have => {
                *shown = Shown::Held;
                let record = record.clone();
                self.count_cut(&record);
            }
            FloorWord::Pass => {
                *shown = Shown::Passed;
                self.floors.catches_up = record.logs().any(|log| is_short_of(record, &log, &self.peer));
            }
            FloorWord::Refuse(reason) => {
                *shown = Shown::Passed;
                out.push(Output::Event(Event::FloorRefused { floor, reason }));
            }
        }
        self.floors.owed.clear();
        self.news = true;
        Ok(())
    }

    /// Whoever shows a floor, or has it, stands at its cut or beyond. Where it said before that it is beyond, its tips stay what
    /// it said: one more below them would look like the end of another branch.
    fn count_cut(&mut self, record: &FloorRecord) {
        for log in record.logs() {
            let highest = self.peer.tips(&log).map(|tip| tip.seq).max();
            let cut = record.cut_of(&log).into_iter().filter(|tip| highest.is_none_or(|highest| highest < tip.seq));
            cut.for_each(|tip| self.peer.insert(log, tip));
        }
    }

    /// Takes chunks that were asked for.
    pub(crate) fn take_chunks<R: Replica>(
        &mut self,
        chunks: &[ByteBuf],
        replica: &mut R,
        out: &mut Vec<Output>,
    ) -> Fallible<R> {
        let Some(taking) = self.floors.taking.as_mut().filter(|_| !chunks.is_empty()) else {
            return Err(PeerMisbehaved::OutOfTurn.into());
        };
        let mut credit = 0_u32;
        for chunk in chunks {
            let name = ChunkName::of(chunk);
            if !taking.missing.remove(&name) || taking.record.length_of(&name) != u32::try_from(chunk.len()).ok() {
                return Err(PeerMisbehaved::Chunk.into());
            }
            replica.put_chunk(&name, chunk).map_err(SessionError::Storage)?;
            credit = credit.saturating_add(u32::try_from(chunk.len()).unwrap_or(u32::MAX));
        }
        self.settled = false;
        out.push(Output::Send(Message::Ack { tips: Vec::new(), credit }.encode()));
        out.push(Output::Event(Event::Staged { bytes: credit as usize, missing: taking.missing.len() }));
        if taking.missing.is_empty()
            && let Some(taking) = self.floors.taking.take()
        {
            return self.take_floor(taking.record, replica, out);
        }
        Ok(())
    }

    /// The floor that the other side said it holds.
    #[must_use]
    pub fn other_floor(&self) -> Option<FloorName> {
        self.floors.theirs
    }
}
