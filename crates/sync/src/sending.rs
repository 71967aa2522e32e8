//! What a live session sends: which entries the other side lacks, and how much of them the window admits.

use serde_bytes::ByteBuf;
use ties_sealed_log::{Entry, LogId, MAX_STATEMENTS, Tip, Vector};

use crate::replica::Replica;
use crate::session::{Fallible, Output, Session, SessionError};
use crate::wire::{MAX_LOGS, Message, Refusal, WINDOW};

/// Entries are gathered into frames of about this size; a single larger entry has a frame of its own.
const FRAME_FILL: usize = 256 << 10;

/// How far back a new tip of a forked log is followed to one that the other side has, before the fork or a probe
/// decides instead.
const WALK: usize = 256;

impl Session {
    /// Sends what the other side lacks, as far as there is credit.
    pub(crate) fn push<R: Replica>(&mut self, replica: &mut R, out: &mut Vec<Output>) -> Fallible<R> {
        if std::mem::take(&mut self.news) {
            self.weigh(replica, out)?;
        }
        let mut entries = Gathering::new(Message::Entries, usize::MAX);
        for (log, from) in std::mem::take(&mut self.sending) {
            self.send_log(log, from, replica, &mut entries, out)?;
        }
        entries.finish(out);
        if self.sending.is_empty() && (self.floors.is_caught_up(&self.peer) || self.floors.is_shown_again()) {
            self.show_floor(replica, out)?;
        }
        self.send_chunks(replica, out)
    }

    /// Finds out what the other side lacks. Most frames change nothing about that: what it sends, it has.
    fn weigh<R: Replica>(&mut self, replica: &mut R, out: &mut Vec<Output>) -> Fallible<R> {
        let access = replica.access_digest().map_err(SessionError::Storage)?;
        if access != self.access {
            self.access = access;
            self.tell_access(replica, out)?;
        }
        let mine = replica.vector().map_err(SessionError::Storage)?;
        self.behind = false;
        self.introduce(&mine, replica, out)?;
        self.show_floor(replica, out)?;
        for log in mine.logs() {
            self.consider(log, &mine, replica, out)?;
        }
        if self.floors.is_shown_again() {
            self.show_floor(replica, out)?;
        }
        Ok(())
    }

    /// Sends the openings of logs that the other side does not know: without them it takes neither their entries nor a
    /// floor that their keys signed.
    fn introduce<R: Replica>(&mut self, mine: &Vector, replica: &mut R, out: &mut Vec<Output>) -> Fallible<R> {
        let mut openings = Gathering::new(Message::Openings, MAX_LOGS);
        for log in mine.logs().filter(|log| !self.peer.knows(log)) {
            if self.introduced.insert(log)
                && let Some(opening) = replica.opening(&log).map_err(SessionError::Storage)?
            {
                openings.add(&opening, out);
            }
        }
        openings.finish(out);
        Ok(())
    }

    pub(crate) fn tell_access<R: Replica>(&self, replica: &R, out: &mut Vec<Output>) -> Fallible<R> {
        let mut statements = Gathering::new(Message::Access, MAX_STATEMENTS);
        for statement in replica.statements().map_err(SessionError::Storage)? {
            statements.add(&statement, out);
        }
        statements.finish(out);
        Ok(())
    }

    /// Answers with the highest place of a probe that is known here, and sends what lies above it.
    pub(crate) fn answer_probe<R: Replica>(
        &mut self,
        log: LogId,
        points: &[Tip],
        replica: &R,
        out: &mut Vec<Output>,
    ) -> Fallible<R> {
        let mut common = 0;
        for point in points {
            let here = replica.names(&log, point.seq).map_err(SessionError::Storage)?;
            if point.seq > common && here.contains(&point.name) {
                common = point.seq;
            }
        }
        out.push(Output::Send(Message::Common { log, seq: common }.encode()));
        self.resume(log, common, replica)
    }

    /// Sends a log from a place where the other side has one of this side's entries.
    pub(crate) fn resume<R: Replica>(&mut self, log: LogId, common: u64, replica: &R) -> Fallible<R> {
        let mine = replica.tips(&log).map_err(SessionError::Storage)?;
        // Both sides may probe at once; whichever answer comes first has sent everything.
        if self.refused.contains(&log) || self.peer_has(&log, &mine) {
            return Ok(());
        }
        // The common entry may stand on one branch of several: all that left the trunk below it are sent too.
        let fork = replica.forked_at(&log).map_err(SessionError::Storage)?;
        let from = fork.map_or(common, |fork| common.min(fork.saturating_sub(1)));
        // Both places are safe to begin at, so the higher one is.
        let place = self.sending.entry(log).or_insert(from);
        *place = from.max(*place);
        Ok(())
    }

    /// Decides from which place on a log must be sent, or that the common past must be looked for first.
    fn consider<R: Replica>(&mut self, log: LogId, mine: &Vector, replica: &R, out: &mut Vec<Output>) -> Fallible<R> {
        let mine: Vec<Tip> = mine.tips(&log).collect();
        let busy = self.sending.contains_key(&log) || self.probing.contains(&log) || self.refused.contains(&log);
        if busy || self.peer_has(&log, &mine) || self.floors.hold_back(&log, &self.peer) {
            return Ok(());
        }
        let theirs: Vec<Tip> = self.peer.tips(&log).collect();
        if theirs.is_empty() {
            match self.lies_above(&log, &theirs, replica)? {
                Some(from) => self.withhold(log, from, &mine, replica, out)?,
                None => _ = self.sending.insert(log, 0),
            }
            return Ok(());
        }
        let fork = replica.forked_at(&log).map_err(SessionError::Storage)?;
        let (known, foreign) = self.standing(log, &theirs, replica)?;
        if known.is_some()
            && (fork.is_some() || foreign.is_some())
            && let Some(from) = self.follows(log, &mine, &theirs, fork.unwrap_or(0), replica)?
        {
            self.sending.insert(log, from);
        } else if let Some(tip) = foreign {
            self.probe(log, tip, replica, out)?;
        } else if let Some(known) = known {
            self.sending.insert(log, fork.map_or(known, |fork| known.min(fork.saturating_sub(1))));
        } else if let Some(from) = self.lies_above(&log, &theirs, replica)? {
            self.withhold(log, from, &mine, replica, out)?;
        } else {
            // With no tip known the other side is ahead: it sees our tip in its own log, or probes.
            self.behind = true;
        }
        Ok(())
    }

    /// The place of the highest of their tips that is known here, and one that stands where this side has another.
    fn standing<R: Replica>(
        &self,
        log: LogId,
        theirs: &[Tip],
        replica: &R,
    ) -> Result<Standing, SessionError<R::Error>> {
        let (mut known, mut foreign) = (None, None);
        for tip in theirs {
            let here = replica.names(&log, tip.seq).map_err(SessionError::Storage)?;
            if here.contains(&tip.name) {
                known = known.max(Some(tip.seq));
            } else if !here.is_empty() {
                foreign = Some(*tip);
            }
        }
        Ok((known, foreign))
    }

    /// What is here of a log begins above all that the other side has of it, and the checkpoint below was passed on: says so
    /// before anything else. The next time it is sent all the same: a road between them may have filled the gap; otherwise
    /// the other side says that it does not follow, and the log is named.
    fn withhold<R: Replica>(
        &mut self,
        log: LogId,
        from: u64,
        mine: &[Tip],
        replica: &R,
        out: &mut Vec<Output>,
    ) -> Fallible<R> {
        let base = replica.base(&log).map_err(SessionError::Storage)?;
        if self.floors.withhold(log) {
            out.push(Output::Send(Message::Refused { log, reason: Refusal::Withheld }.encode()));
        } else if mine.iter().all(|tip| base.contains(tip)) {
            mine.iter().for_each(|tip| self.peer.insert(log, *tip));
        } else {
            self.sending.insert(log, from);
        }
        Ok(())
    }

    /// Where the log begins here, if that is above all that the other side has of it.
    fn lies_above<R: Replica>(
        &self,
        log: &LogId,
        theirs: &[Tip],
        replica: &R,
    ) -> Result<Option<u64>, SessionError<R::Error>> {
        let base = replica.base(log).map_err(SessionError::Storage)?;
        let above = base.last().is_some_and(|tip| theirs.iter().all(|their| their.seq <= tip.seq));
        Ok(base.first().map(|tip| tip.seq).filter(|_| above))
    }

    fn peer_has(&self, log: &LogId, mine: &[Tip]) -> bool {
        mine.iter().all(|tip| self.peer.tips(log).any(|theirs| theirs == *tip))
    }

    /// The place after which everything new here begins, if every new tip follows closely on one of theirs.
    fn follows<R: Replica>(
        &self,
        log: LogId,
        mine: &[Tip],
        theirs: &[Tip],
        fork: u64,
        replica: &R,
    ) -> Result<Option<u64>, SessionError<R::Error>> {
        let mut lowest = u64::MAX;
        for tip in mine {
            let mut at = *tip;
            let mut steps = 0;
            while !theirs.contains(&at) {
                steps += 1;
                if steps > WALK || at.seq <= fork.max(1) {
                    return Ok(None);
                }
                let place = replica.after(&log, at.seq - 1, 1).map_err(SessionError::Storage)?;
                let Some(entry) = place.iter().find(|entry| entry.seq() == at.seq && entry.name() == at.name) else {
                    return Ok(None);
                };
                at = Tip { seq: at.seq - 1, name: entry.prev() };
            }
            if steps > 0 {
                lowest = lowest.min(at.seq);
            }
        }
        Ok(Some(lowest))
    }

    fn probe<R: Replica>(&mut self, log: LogId, tip: Tip, replica: &R, out: &mut Vec<Output>) -> Fallible<R> {
        let mut points = Vec::new();
        let mut distance = 1_u64;
        while let Some(seq) = tip.seq.checked_sub(distance).filter(|seq| *seq > 0) {
            for name in replica.names(&log, seq).map_err(SessionError::Storage)? {
                points.push(Tip { seq, name });
            }
            distance = distance.saturating_mul(2);
        }
        // Below its base a log has no names; the base itself may be what both have.
        let base = replica.base(&log).map_err(SessionError::Storage)?;
        points.extend(base.into_iter().filter(|base| base.seq < tip.seq));
        points.sort_unstable_by(|a, b| b.cmp(a));
        points.dedup();
        self.probing.insert(log);
        out.push(Output::Send(Message::Probe { log, points }.encode()));
        Ok(())
    }

    fn send_log<R: Replica>(
        &mut self,
        log: LogId,
        mut from: u64,
        replica: &R,
        frames: &mut Gathering,
        out: &mut Vec<Output>,
    ) -> Fallible<R> {
        loop {
            let batch = replica.after(&log, from, FRAME_FILL).map_err(SessionError::Storage)?;
            let Some(last) = batch.last().map(Entry::seq) else {
                // All of it is on its way: the other side will have our tips beside its own. Of one that the log begins with
                // there are no bytes: whoever went another way below it waits in vain.
                let base = replica.base(&log).map_err(SessionError::Storage)?;
                for tip in replica.tips(&log).map_err(SessionError::Storage)? {
                    let lacks = base.contains(&tip) && !self.peer.tips(&log).any(|theirs| theirs == tip);
                    if lacks && self.floors.withhold(log) {
                        out.push(Output::Send(Message::Refused { log, reason: Refusal::Withheld }.encode()));
                    }
                    self.peer.insert(log, tip);
                }
                return Ok(());
            };
            let size = batch.iter().map(|entry| entry.bytes().len()).sum::<usize>();
            let size = u32::try_from(size).unwrap_or(u32::MAX);
            // A place that exceeds the whole window (eight branches of full size) goes out alone.
            if self.in_flight > 0 && size > WINDOW.saturating_sub(self.in_flight) {
                self.sending.insert(log, from);
                return Ok(());
            }
            self.in_flight = self.in_flight.saturating_add(size);
            for entry in batch {
                self.peer.advance(log, entry.prev(), Tip { seq: entry.seq(), name: entry.name() });
                self.flying.push_back((u32::try_from(entry.bytes().len()).unwrap_or(u32::MAX), true));
                frames.add(entry.bytes(), out);
            }
            self.settled = false;
            from = last;
        }
    }
}

type Standing = (Option<u64>, Option<Tip>);

/// Gathers byte strings into frames of about [`FRAME_FILL`] bytes.
pub(crate) struct Gathering {
    message: fn(Vec<ByteBuf>) -> Message,
    most: usize,
    items: Vec<ByteBuf>,
    bytes: usize,
}

impl Gathering {
    pub(crate) fn new(message: fn(Vec<ByteBuf>) -> Message, most: usize) -> Self {
        Self { message, most, items: Vec::new(), bytes: 0 }
    }

    pub(crate) fn add(&mut self, item: &[u8], out: &mut Vec<Output>) {
        if self.bytes + item.len() > FRAME_FILL || self.items.len() >= self.most {
            self.finish(out);
        }
        self.bytes += item.len();
        self.items.push(ByteBuf::from(item));
    }

    pub(crate) fn finish(&mut self, out: &mut Vec<Output>) {
        if !self.items.is_empty() {
            out.push(Output::Send((self.message)(std::mem::take(&mut self.items)).encode()));
            self.bytes = 0;
        }
    }
}
