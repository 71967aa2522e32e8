//! What two replicas say to each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_bytes::ByteBuf;
use ties_sealed_log::{Appended, DecodeError, Entry, EntryError, LogId, Tip, TipRecord, Vector};

use crate::replica::{Replica, Taken};
use crate::wire::{Message, Refusal, VERSION, WINDOW};

/// One conversation between two replicas over one link, from both sides alike.
///
/// There are four kinds of method. [`Session::start`] and [`Session::handle`] take what happened and give what to do.
/// [`Session::deadline`] says when to call with [`Input::Tick`]. [`Session::is_settled`] and the [`Event`]s tell the
/// host how things stand. Nothing here waits, reads a clock or touches a socket.
///
/// What a call returns must be sent only after what it wrote to the replica is durable (see [`Replica`]).
#[derive(Debug)]
pub struct Session {
    subject: [u8; 32],
    stage: Stage,
    /// Tips that the other side has, or will have once what was sent arrives.
    peer: Vector,
    /// Tips that the other side announced and that are not here yet.
    wanted: BTreeSet<TipRecord>,
    /// Logs being sent: everything after this place.
    sending: BTreeMap<LogId, u64>,
    /// Logs whose common past is being looked for.
    probing: BTreeSet<LogId>,
    /// Logs of which the other side takes nothing more.
    refused: BTreeSet<LogId>,
    access: [u8; 32],
    /// Bytes of entries sent and not yet acknowledged; at most [`WINDOW`], or one oversized place.
    in_flight: u32,
    settled: bool,
    deadline: Option<Duration>,
}

#[derive(Debug)]
enum Stage {
    /// Our open is out; this is what it spoke of.
    Opening { mine: Vector },
    /// The digests differ; our vector is out.
    Comparing,
    /// Both know what the other has.
    Live,
}

/// What happened.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A frame arrived.
    Frame(&'a [u8]),
    /// The replica gained entries or statements from elsewhere.
    Changed,
    /// The deadline has come.
    Tick,
}

/// What to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this frame.
    Send(Vec<u8>),
    /// Know this.
    Event(Event),
}

/// What the host may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// New entries are in the replica.
    Received {
        /// How many.
        entries: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// The other side has these durably.
    Acknowledged(Vec<TipRecord>),
    /// Both sides have the same, durably. Comes again after every further exchange.
    Settled,
    /// The other side takes nothing more of this log, in this session.
    Refused {
        /// The log.
        log: LogId,
        /// Why.
        reason: Refusal,
    },
    /// A log has two entries at one place.
    Forked {
        /// The log.
        log: LogId,
    },
}

/// Why a session ends.
#[derive(Debug, thiserror::Error)]
pub enum SessionError<E> {
    /// The other side broke the protocol.
    #[error("the other side broke the protocol: {0}")]
    Peer(#[from] PeerMisbehaved),
    /// The other side will not talk about this subject.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// Nothing came back in time.
    #[error("the other side stopped answering")]
    Stalled,
    /// The storage failed.
    #[error(transparent)]
    Storage(E),
}

/// A fault of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerMisbehaved {
    /// A frame that does not parse.
    #[error("a malformed frame ({0})")]
    Frame(#[from] DecodeError),
    /// An entry that does not verify.
    #[error("a bad entry ({0})")]
    Entry(#[from] EntryError),
    /// A message that has no place at this stage.
    #[error("a message out of turn")]
    OutOfTurn,
    /// Talks of other logs than agreed.
    #[error("another subject")]
    Subject,
    /// More entries than there was credit for.
    #[error("more than it had credit for")]
    Credit,
}

const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(60);
/// Entries are gathered into frames of about this size; a single larger entry has a frame of its own.
const FRAME_FILL: usize = 256 << 10;

type Step<R> = Result<Vec<Output>, SessionError<<R as ties_sealed_log::Log>::Error>>;

impl Session {
    /// Begins a session about `subject`.
    #[must_use]
    pub fn new(subject: [u8; 32]) -> Self {
        Self {
            subject,
            stage: Stage::Opening { mine: Vector::default() },
            peer: Vector::default(),
            wanted: BTreeSet::new(),
            sending: BTreeMap::new(),
            probing: BTreeSet::new(),
            refused: BTreeSet::new(),
            access: [0; 32],
            in_flight: 0,
            settled: false,
            deadline: None,
        }
    }

    /// Says the first word. Both sides do.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn start<R: Replica>(&mut self, now: Duration, replica: &R) -> Step<R> {
        let mine = replica.vector().map_err(SessionError::Storage)?;
        self.access = replica.access_digest().map_err(SessionError::Storage)?;
        let open =
            Message::Open { version: VERSION, subject: self.subject, access: self.access, digest: mine.digest() };
        self.stage = Stage::Opening { mine };
        self.deadline = Some(now + OPEN_TIMEOUT);
        Ok(vec![Output::Send(open.encode())])
    }

    /// Takes what happened and says what to do.
    ///
    /// # Errors
    /// Any error ends the session; what was appended before it stays valid.
    pub fn handle<R: Replica>(&mut self, now: Duration, input: Input<'_>, replica: &mut R) -> Step<R> {
        let mut out = Vec::new();
        match input {
            Input::Frame(frame) => {
                let message = Message::decode(frame).map_err(PeerMisbehaved::from)?;
                self.receive(message, replica, &mut out)?;
                self.deadline = Some(now + PROGRESS_TIMEOUT);
            }
            Input::Changed => {}
            Input::Tick if self.deadline.is_some_and(|deadline| deadline <= now) => return Err(SessionError::Stalled),
            Input::Tick => {}
        }
        if matches!(self.stage, Stage::Live) {
            self.push(replica, &mut out)?;
        }
        self.conclude(now, &mut out);
        Ok(out)
    }

    /// When to call with [`Input::Tick`], on the clock of `now`.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Whether both sides have the same, durably, as far as was said.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.stage, Stage::Live)
            && self.in_flight == 0
            && self.wanted.is_empty()
            && self.sending.is_empty()
            && self.probing.is_empty()
    }

    /// The logs of which the other side takes nothing more.
    pub fn refused(&self) -> impl Iterator<Item = LogId> + '_ {
        self.refused.iter().copied()
    }

    fn receive<R: Replica>(
        &mut self,
        message: Message,
        replica: &mut R,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError<R::Error>> {
        match message {
            Message::Open { version, subject, access, digest } => {
                if version != VERSION {
                    return Err(SessionError::Refused(Refusal::Version));
                }
                if subject != self.subject {
                    return Err(PeerMisbehaved::Subject.into());
                }
                self.opened(access, digest, replica, out)
            }
            Message::Vector(records) => self.compare(records, replica),
            Message::Access(statements) => self.learn_access(&statements, replica),
            Message::Openings(openings) => {
                for opening in &openings {
                    // A refused opening shows when its log's entries come; there is nothing to answer before.
                    let _ = replica.admit(opening).map_err(SessionError::Storage)?;
                }
                Ok(())
            }
            Message::Entries(entries) => self.take(&entries, replica, out),
            Message::Ack { tips, credit } => {
                if credit > self.in_flight {
                    return Err(PeerMisbehaved::Credit.into());
                }
                self.in_flight -= credit;
                out.push(Output::Event(Event::Acknowledged(tips)));
                Ok(())
            }
            Message::Probe { log, points } => self.answer_probe(log, &points, replica, out),
            Message::Common { log, seq } => {
                if !self.probing.remove(&log) {
                    return Err(PeerMisbehaved::OutOfTurn.into());
                }
                self.sending.insert(log, seq);
                Ok(())
            }
            Message::Refused { log, reason } => {
                self.refused.insert(log);
                self.sending.remove(&log);
                self.probing.remove(&log);
                out.push(Output::Event(Event::Refused { log, reason }));
                Ok(())
            }
            Message::Sorry(reason) => Err(SessionError::Refused(reason)),
            _ => Err(PeerMisbehaved::OutOfTurn.into()),
        }
    }

    fn opened<R: Replica>(
        &mut self,
        access: [u8; 32],
        digest: [u8; 32],
        replica: &R,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError<R::Error>> {
        let Stage::Opening { mine } = std::mem::replace(&mut self.stage, Stage::Comparing) else {
            return Err(PeerMisbehaved::OutOfTurn.into());
        };
        if access != self.access {
            self.tell_access(replica, out)?;
        }
        if digest == mine.digest() {
            self.peer = mine;
            self.stage = Stage::Live;
        } else {
            out.push(Output::Send(Message::Vector(mine.records().collect()).encode()));
        }
        Ok(())
    }

    /// Learns what the other side has. Only from here on is anything sent.
    fn compare<R: Replica>(&mut self, records: Vec<TipRecord>, replica: &R) -> Result<(), SessionError<R::Error>> {
        if !matches!(self.stage, Stage::Comparing) {
            return Err(PeerMisbehaved::OutOfTurn.into());
        }
        for record in &records {
            let here = replica.names(&record.log, record.tip.seq).map_err(SessionError::Storage)?;
            if !here.contains(&record.tip.name) {
                self.wanted.insert(*record);
            }
        }
        self.peer = records.into_iter().collect();
        self.stage = Stage::Live;
        Ok(())
    }

    fn tell_access<R: Replica>(&self, replica: &R, out: &mut Vec<Output>) -> Result<(), SessionError<R::Error>> {
        let statements = replica.statements().map_err(SessionError::Storage)?;
        if !statements.is_empty() {
            let statements = statements.into_iter().map(ByteBuf::from).collect();
            out.push(Output::Send(Message::Access(statements).encode()));
        }
        Ok(())
    }

    fn learn_access<R: Replica>(
        &mut self,
        statements: &[ByteBuf],
        replica: &mut R,
    ) -> Result<(), SessionError<R::Error>> {
        for statement in statements {
            // What is not valid is not kept; the other side may well hold more than this one accepts.
            let _ = replica.state(statement).map_err(SessionError::Storage)?;
        }
        self.access = replica.access_digest().map_err(SessionError::Storage)?;
        Ok(())
    }

    fn take<R: Replica>(
        &mut self,
        entries: &[ByteBuf],
        replica: &mut R,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError<R::Error>> {
        if matches!(self.stage, Stage::Opening { .. }) {
            return Err(PeerMisbehaved::OutOfTurn.into());
        }
        let credit = entries.iter().map(|entry| entry.len()).sum::<usize>();
        let mut taken = Vector::default();
        let mut refused = BTreeMap::new();
        let (mut count, mut bytes) = (0, 0);
        for exact in entries {
            let entry = Entry::verify(exact).map_err(PeerMisbehaved::from)?;
            let (log, tip) = (entry.log(), Tip { seq: entry.seq(), name: entry.name() });
            match replica.take(&entry).map_err(SessionError::Storage)? {
                Taken::Log(Appended::Gap) => drop(refused.insert(log, Refusal::Gap)),
                Taken::Log(Appended::Full) => drop(refused.insert(log, Refusal::Branches)),
                Taken::Refused(reason) => drop(refused.insert(log, reason)),
                Taken::Log(verdict) => {
                    if verdict == Appended::Forked {
                        out.push(Output::Event(Event::Forked { log }));
                    }
                    if verdict.is_new() {
                        count += 1;
                        bytes += exact.len();
                    }
                    self.peer.advance(log, entry.prev(), tip);
                    self.wanted.remove(&TipRecord { log, tip });
                    taken.advance(log, entry.prev(), tip);
                }
            }
        }
        // Waiting for what was refused would never end.
        self.wanted.retain(|wanted| !refused.contains_key(&wanted.log));
        for (log, reason) in refused {
            out.push(Output::Send(Message::Refused { log, reason }.encode()));
        }
        let credit = u32::try_from(credit).map_err(|_| PeerMisbehaved::Credit)?;
        out.push(Output::Send(Message::Ack { tips: taken.records().collect(), credit }.encode()));
        if count > 0 {
            out.push(Output::Event(Event::Received { entries: count, bytes }));
        }
        self.settled = false;
        Ok(())
    }

    /// Sends what the other side lacks, as far as there is credit.
    fn push<R: Replica>(&mut self, replica: &mut R, out: &mut Vec<Output>) -> Result<(), SessionError<R::Error>> {
        let access = replica.access_digest().map_err(SessionError::Storage)?;
        if access != self.access {
            self.access = access;
            self.tell_access(replica, out)?;
        }
        self.forget_wanted(replica)?;
        let mine = replica.vector().map_err(SessionError::Storage)?;
        for log in mine.logs() {
            self.consider(log, &mine, replica, out)?;
        }
        let mut frame = Gathering::default();
        for (log, from) in std::mem::take(&mut self.sending) {
            self.send_log(log, from, replica, &mut frame, out)?;
        }
        frame.finish(out);
        Ok(())
    }

    /// Drops from the wanted what arrived over another link meanwhile.
    fn forget_wanted<R: Replica>(&mut self, replica: &R) -> Result<(), SessionError<R::Error>> {
        for record in self.wanted.clone() {
            if replica.names(&record.log, record.tip.seq).map_err(SessionError::Storage)?.contains(&record.tip.name) {
                self.wanted.remove(&record);
            }
        }
        Ok(())
    }

    /// Decides from which place on a log must be sent, or that the common past must be looked for first.
    fn consider<R: Replica>(
        &mut self,
        log: LogId,
        mine: &Vector,
        replica: &mut R,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError<R::Error>> {
        let busy = self.sending.contains_key(&log) || self.probing.contains(&log) || self.refused.contains(&log);
        let theirs: Vec<Tip> = self.peer.tips(&log).collect();
        if busy || mine.tips(&log).all(|tip| theirs.contains(&tip)) {
            return Ok(());
        }
        if theirs.is_empty() {
            if let Some(opening) = replica.opening(&log).map_err(SessionError::Storage)? {
                out.push(Output::Send(Message::Openings(vec![ByteBuf::from(opening)]).encode()));
            }
            self.sending.insert(log, 0);
            return Ok(());
        }
        let mut from = replica.forked_at(&log).map_err(SessionError::Storage)?.map(|fork| fork - 1);
        for tip in &theirs {
            let here = replica.names(&log, tip.seq).map_err(SessionError::Storage)?;
            if here.contains(&tip.name) {
                from = Some(from.map_or(tip.seq, |from| from.min(tip.seq)));
            } else if !here.is_empty() {
                return self.probe(log, *tip, replica, out);
            }
        }
        // With no known tip the other side is ahead: it sees our tip in its own log, or probes.
        if let Some(from) = from {
            self.sending.insert(log, from);
        }
        Ok(())
    }

    fn probe<R: Replica>(
        &mut self,
        log: LogId,
        tip: Tip,
        replica: &R,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError<R::Error>> {
        let mut points = Vec::new();
        let mut distance = 1;
        while let Some(seq) = tip.seq.checked_sub(distance).filter(|seq| *seq > 0) {
            for name in replica.names(&log, seq).map_err(SessionError::Storage)? {
                points.push(Tip { seq, name });
            }
            distance *= 2;
        }
        self.probing.insert(log);
        out.push(Output::Send(Message::Probe { log, points }.encode()));
        Ok(())
    }

    fn answer_probe<R: Replica>(
        &mut self,
        log: LogId,
        points: &[Tip],
        replica: &R,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError<R::Error>> {
        if points.len() > 64 * ties_sealed_log::MAX_BRANCHES {
            return Err(PeerMisbehaved::OutOfTurn.into());
        }
        let mut common = 0;
        for point in points {
            if point.seq > common
                && replica.names(&log, point.seq).map_err(SessionError::Storage)?.contains(&point.name)
            {
                common = point.seq;
            }
        }
        out.push(Output::Send(Message::Common { log, seq: common }.encode()));
        self.sending.insert(log, common);
        Ok(())
    }

    fn send_log<R: Replica>(
        &mut self,
        log: LogId,
        mut from: u64,
        replica: &R,
        frame: &mut Gathering,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError<R::Error>> {
        loop {
            let batch = replica.after(&log, from, FRAME_FILL).map_err(SessionError::Storage)?;
            let Some(last) = batch.last().map(Entry::seq) else {
                // All of it is on its way: the other side will have our tips beside its own.
                for tip in replica.tips(&log).map_err(SessionError::Storage)? {
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
                frame.add(&entry, out);
            }
            self.settled = false;
            from = last;
        }
    }

    fn conclude(&mut self, now: Duration, out: &mut Vec<Output>) {
        if !self.is_settled() {
            let waits = self.deadline.is_none() && (self.in_flight > 0 || !self.probing.is_empty());
            if waits {
                self.deadline = Some(now + PROGRESS_TIMEOUT);
            }
            return;
        }
        self.deadline = None;
        if !self.settled {
            self.settled = true;
            out.push(Output::Event(Event::Settled));
        }
    }
}

/// Gathers entries into frames of about [`FRAME_FILL`] bytes.
#[derive(Default)]
struct Gathering {
    entries: Vec<ByteBuf>,
    bytes: usize,
}

impl Gathering {
    fn add(&mut self, entry: &Entry, out: &mut Vec<Output>) {
        if self.bytes + entry.bytes().len() > FRAME_FILL {
            self.finish(out);
        }
        self.bytes += entry.bytes().len();
        self.entries.push(ByteBuf::from(entry.bytes()));
    }

    fn finish(&mut self, out: &mut Vec<Output>) {
        if !self.entries.is_empty() {
            out.push(Output::Send(Message::Entries(std::mem::take(&mut self.entries)).encode()));
            self.bytes = 0;
        }
    }
}
