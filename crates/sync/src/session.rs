//! What two replicas say to each other: the session, what it takes in, and when it ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_bytes::ByteBuf;
use ties_sealed_log::{
    Appended, DecodeError, Entry, EntryError, EntryName, FloorError, FloorName, FloorRecord, LogId, MAX_STATEMENTS,
    Tip, TipRecord, Vector,
};

use crate::floors::{Floors, digest};
use crate::replica::{Replica, Taken};
use crate::wire::{MAX_LOGS, MAX_TIPS, Message, Refusal, VERSION};

/// One conversation between two replicas over one link, from both sides alike.
///
/// There are four kinds of method. [`Session::start`] and [`Session::handle`] take what happened and give what to do.
/// [`Session::deadline`] says when to call with [`Input::Tick`]. [`Session::is_settled`] and the [`Event`]s tell the
/// host how things stand. Nothing here waits, reads a clock or touches a socket.
///
/// What a call returns must be sent only after what it wrote to the replica is durable (see [`Replica`]).
#[derive(Debug)]
pub struct Session {
    pub(crate) subject: [u8; 32],
    pub(crate) stage: Stage,
    /// Tips that the other side has, or will have once what was sent arrives.
    pub(crate) peer: Vector,
    /// What the other side said that it has, if that differed from what is here.
    announced: Option<Vector>,
    /// Tips that the other side announced and that are not here yet.
    pub(crate) wanted: BTreeSet<TipRecord>,
    /// Tips that it announced and that lie below where their logs begin here: before that, or on branches that left.
    below: BTreeSet<TipRecord>,
    /// What is said of checkpoints.
    pub(crate) floors: Floors,
    /// Logs whose openings the other side was sent.
    pub(crate) introduced: BTreeSet<LogId>,
    /// Logs being sent: everything after this place.
    pub(crate) sending: BTreeMap<LogId, u64>,
    /// Logs whose common past was asked for.
    pub(crate) probing: BTreeSet<LogId>,
    /// Logs of which the other side takes nothing more.
    pub(crate) refused: BTreeSet<LogId>,
    /// Whether the replica may hold what was not weighed against the other side's tips yet.
    pub(crate) news: bool,
    /// Whether the other side is ahead in some log, so that what it lacks of it shows only from what it sends.
    pub(crate) behind: bool,
    /// Digest of the access statements that the other side was told of.
    pub(crate) access: [u8; 32],
    /// Bytes of entries and chunks sent and not yet acknowledged; at most [`crate::WINDOW`], or one oversized place.
    pub(crate) in_flight: u32,
    /// The sizes of those, in the order in which they went, and whether they are entries.
    pub(crate) flying: VecDeque<(u32, bool)>,
    /// Bytes that were acknowledged of the first of them.
    landed: u32,
    /// Entries that arrived and of which the host was not told yet.
    arrived: usize,
    pub(crate) settled: bool,
    /// Whether this side only takes, for now.
    holding_back: bool,
    deadline: Option<Duration>,
}

#[derive(Debug)]
pub(crate) enum Stage {
    /// Nothing was said yet.
    New,
    /// Our open is out; this is what it spoke of.
    Opening { mine: Vector, floor: Option<FloorName> },
    /// The digests differ; our vector is out. Our floor, and their digest.
    Comparing { floor: Option<FloorName>, theirs: [u8; 32] },
    /// Both know what the other has.
    Live,
}

impl Stage {
    /// Whether a message has its place here. A link keeps order, so an honest peer never strays from this.
    fn admits(&self, message: &Message) -> bool {
        match self {
            Self::New => false,
            Self::Opening { .. } => matches!(message, Message::Open { .. } | Message::Sorry(_)),
            Self::Comparing { .. } => matches!(message, Message::Access(_) | Message::Vector(_) | Message::Sorry(_)),
            Self::Live => matches!(
                message,
                Message::Access(_)
                    | Message::Openings(_)
                    | Message::Entries(_)
                    | Message::Ack { .. }
                    | Message::Probe { .. }
                    | Message::Common { .. }
                    | Message::Refused { .. }
                    | Message::Floor(_)
                    | Message::OnFloor { .. }
                    | Message::Chunks(_)
                    | Message::Sorry(_)
            ),
        }
    }
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
    /// The other side has what was sent, durably.
    Acknowledged {
        /// The last of each log.
        tips: Vec<TipRecord>,
        /// How many entries arrived since the last such event.
        entries: usize,
    },
    /// Both sides have the same, durably, but for refused logs. Comes again after every further exchange.
    Settled,
    /// The other side takes nothing more of this log, in this session.
    Refused {
        /// The log.
        log: LogId,
        /// Why.
        reason: Refusal,
    },
    /// Entries of this log that the other side sent were not taken.
    Declined {
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
    /// Chunks of a checkpoint that was asked for are staged.
    Staged {
        /// Their bytes.
        bytes: usize,
        /// How many chunks have yet to come.
        missing: usize,
    },
    /// All chunks of this checkpoint are staged: load it, then say [`Input::Changed`].
    Checkpoint {
        /// Its floor.
        record: FloorRecord,
        /// Whether it is the only way to what this side lacks, as far as the other one can tell.
        needed: bool,
    },
    /// The other side's checkpoint was not taken.
    FloorDeclined {
        /// Which.
        floor: FloorName,
        /// Why.
        reason: Refusal,
    },
    /// The other side does not take the checkpoint that is here.
    FloorRefused {
        /// Which.
        floor: FloorName,
        /// Why.
        reason: Refusal,
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
    /// A floor record that does not verify.
    #[error("a bad floor record ({0})")]
    Floor(#[from] FloorError),
    /// A chunk that was not asked for.
    #[error("a chunk that nobody asked for")]
    Chunk,
    /// A message that has no place at this stage.
    #[error("a message out of turn")]
    OutOfTurn,
    /// Talks of other logs than agreed.
    #[error("another subject")]
    Subject,
    /// Acknowledges more than it was sent.
    #[error("more credit than was in flight")]
    Credit,
    /// A list that is empty, too long, or out of order.
    #[error("a list that is empty, too long or out of order")]
    Bounds,
}

const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(60);
/// A large checkpoint is read for a while, without a word.
const READING_TIMEOUT: Duration = Duration::from_secs(600);
/// Names at distances 1, 2, 4 …, which are at most 64 in a log of any length, of each branch.
const MAX_POINTS: usize = 64 * ties_sealed_log::MAX_BRANCHES;

pub(crate) type Fallible<R> = Result<(), SessionError<<R as ties_sealed_log::Log>::Error>>;
type Step<R> = Result<Vec<Output>, SessionError<<R as ties_sealed_log::Log>::Error>>;

impl Session {
    /// Begins a session about `subject`.
    #[must_use]
    pub fn new(subject: [u8; 32]) -> Self {
        Self {
            subject,
            stage: Stage::New,
            peer: Vector::default(),
            announced: None,
            wanted: BTreeSet::new(),
            below: BTreeSet::new(),
            floors: Floors::default(),
            introduced: BTreeSet::new(),
            sending: BTreeMap::new(),
            probing: BTreeSet::new(),
            refused: BTreeSet::new(),
            news: true,
            behind: false,
            access: [0; 32],
            in_flight: 0,
            flying: VecDeque::new(),
            landed: 0,
            arrived: 0,
            settled: false,
            holding_back: false,
            deadline: None,
        }
    }

    /// The same, with a side that may yet turn out not to belong: this one says what it has and takes what comes, and
    /// gives no entry until [`Self::release`].
    #[must_use]
    pub fn holding_back(self) -> Self {
        Self { holding_back: true, ..self }
    }

    /// The other side belongs: the next call to [`Self::handle`] sends what it lacks.
    pub fn release(&mut self) {
        self.holding_back = false;
        self.news = true;
    }

    /// Says the first word. Both sides do, once, before they handle anything.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn start<R: Replica>(&mut self, now: Duration, replica: &R) -> Step<R> {
        let mine = replica.vector().map_err(SessionError::Storage)?;
        self.access = replica.access_digest().map_err(SessionError::Storage)?;
        let floor = self.floor_to_show(replica)?;
        let digest = digest(&mine, floor);
        let open = Message::Open { version: VERSION, subject: self.subject, access: self.access, digest };
        self.stage = Stage::Opening { mine, floor };
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
                self.deadline = None;
            }
            Input::Changed => {
                self.news = true;
                self.look_at_loading(replica, &mut out)?;
                self.forget_wanted(replica)?;
            }
            Input::Tick if self.deadline.is_some_and(|deadline| deadline <= now) => return Err(SessionError::Stalled),
            Input::Tick => {}
        }
        if matches!(self.stage, Stage::Live) && !self.holding_back {
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

    /// Whether both sides have the same, durably, as far as was said and but for refused logs.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.stage, Stage::Live)
            && self.in_flight == 0
            && self.wanted.is_empty()
            && (self.sending.is_empty() || self.holding_back)
            && self.probing.is_empty()
            && self.floors.are_settled()
    }

    /// Whether both sides have said what they have.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live)
    }

    /// What the other side said at the beginning that it has; `None` if that was what is here.
    #[must_use]
    pub fn announced(&self) -> Option<&Vector> {
        self.announced.as_ref()
    }

    /// Whether the other side has a tip, or will have it once what was sent arrives.
    #[must_use]
    pub fn reaches(&self, record: &TipRecord) -> bool {
        self.peer.tips(&record.log).any(|tip| tip == record.tip)
    }

    /// Whether something that was sent has not been acknowledged.
    #[must_use]
    pub fn awaits_confirmation(&self) -> bool {
        self.in_flight > 0
    }

    /// Whether the other side owes entries that it announced, or an answer about them.
    #[must_use]
    pub fn awaits_entries(&self) -> bool {
        !self.wanted.is_empty() || !self.probing.is_empty()
    }

    /// The logs of which the other side takes nothing more.
    pub fn refused(&self) -> impl Iterator<Item = LogId> + '_ {
        self.refused.iter().copied()
    }

    fn receive<R: Replica>(&mut self, message: Message, replica: &mut R, out: &mut Vec<Output>) -> Fallible<R> {
        if !self.stage.admits(&message) {
            return Err(PeerMisbehaved::OutOfTurn.into());
        }
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
                bounded(&openings, MAX_LOGS)?;
                for opening in &openings {
                    // A refused opening shows when its log's entries come; there is nothing to answer before.
                    let _ = replica.admit(opening).map_err(SessionError::Storage)?;
                }
                Ok(())
            }
            Message::Entries(entries) => self.take(&entries, replica, out),
            Message::Ack { tips, credit } => self.acknowledged(tips, credit, replica, out),
            Message::Probe { log, points } => {
                if points.len() > MAX_POINTS {
                    return Err(PeerMisbehaved::Bounds.into());
                }
                self.answer_probe(log, &points, replica, out)
            }
            Message::Common { log, seq } => {
                if !self.probing.remove(&log) {
                    return Err(PeerMisbehaved::OutOfTurn.into());
                }
                self.resume(log, seq, replica)
            }
            Message::Refused { log, reason: Refusal::Withheld } => {
                let tips = replica.tips(&log).map_err(SessionError::Storage)?;
                if !self.floors.need(log, &tips) {
                    // Only the names of its end are there, or of its beginning: nobody waits for names. Otherwise what lies
                    // above comes with the checkpoint, after it.
                    self.wanted.retain(|wanted| wanted.log != log);
                    out.push(Output::Event(Event::Refused { log, reason: Refusal::Withheld }));
                }
                Ok(())
            }
            Message::Refused { log, reason } => {
                // Only what was sent or announced can be refused; anything else would grow the set without end.
                if !self.peer.knows(&log) {
                    return Err(PeerMisbehaved::OutOfTurn.into());
                }
                self.sending.remove(&log);
                if self.refused.insert(log) {
                    out.push(Output::Event(Event::Refused { log, reason }));
                }
                Ok(())
            }
            Message::Floor(bytes) => self.shown_floor(&bytes, replica, out),
            Message::OnFloor { floor, word } => Ok(self.answered_floor(floor, word, out)?),
            Message::Chunks(chunks) => self.take_chunks(&chunks, replica, out),
            Message::Sorry(reason) => Err(SessionError::Refused(reason)),
            _ => Err(PeerMisbehaved::OutOfTurn.into()),
        }
    }

    fn opened<R: Replica>(
        &mut self,
        access: [u8; 32],
        theirs: [u8; 32],
        replica: &R,
        out: &mut Vec<Output>,
    ) -> Fallible<R> {
        let Stage::Opening { mine, floor } = std::mem::replace(&mut self.stage, Stage::New) else {
            return Err(PeerMisbehaved::OutOfTurn.into());
        };
        if access != self.access {
            self.tell_access(replica, out)?;
        }
        if theirs == digest(&mine, floor) {
            self.floors.are_equal(floor);
            self.peer = mine;
            self.stage = Stage::Live;
        } else {
            self.stage = Stage::Comparing { floor, theirs };
            // A longer vector is cut: what is not on it is sent here once more, and known.
            let records = mine.records().take(MAX_TIPS).collect();
            out.push(Output::Send(Message::Vector(records).encode()));
        }
        Ok(())
    }

    /// Learns what the other side has. Only from here on is anything sent.
    fn compare<R: Replica>(&mut self, records: Vec<TipRecord>, replica: &R) -> Fallible<R> {
        let sorted = records.is_sorted_by(|a, b| a < b);
        if records.len() > MAX_TIPS || !sorted || records.iter().any(|record| record.tip.seq == 0) {
            return Err(PeerMisbehaved::Bounds.into());
        }
        for record in &records {
            match self.standing_of(record, replica)? {
                Standing::Here => {}
                Standing::Below => _ = self.below.insert(*record),
                Standing::Missing => _ = self.wanted.insert(*record),
            }
        }
        let is_cut = records.len() == MAX_TIPS;
        self.peer = records.into_iter().collect();
        if let (Stage::Comparing { floor, theirs }, false) = (&self.stage, is_cut) {
            self.floors.compare(&self.peer, *floor, theirs);
        }
        self.announced = Some(self.peer.clone());
        self.stage = Stage::Live;
        Ok(())
    }

    pub(crate) fn standing_of<R: Replica>(
        &self,
        record: &TipRecord,
        replica: &R,
    ) -> Result<Standing, SessionError<R::Error>> {
        if replica.names(&record.log, record.tip.seq).map_err(SessionError::Storage)?.contains(&record.tip.name) {
            return Ok(Standing::Here);
        }
        let base = replica.base(&record.log).map_err(SessionError::Storage)?;
        let below = base.iter().any(|tip| record.tip.seq <= tip.seq);
        Ok(if below { Standing::Below } else { Standing::Missing })
    }

    fn learn_access<R: Replica>(&mut self, statements: &[ByteBuf], replica: &mut R) -> Fallible<R> {
        bounded(statements, MAX_STATEMENTS)?;
        let before = replica.access_digest().map_err(SessionError::Storage)?;
        for statement in statements {
            // What is not valid is not kept; the other side may well hold more than this one accepts.
            let _ = replica.state(statement).map_err(SessionError::Storage)?;
        }
        if before == self.access {
            self.access = replica.access_digest().map_err(SessionError::Storage)?;
        } else {
            // What came from elsewhere meanwhile has still to be told.
            self.news = true;
        }
        Ok(())
    }

    fn take<R: Replica>(&mut self, entries: &[ByteBuf], replica: &mut R, out: &mut Vec<Output>) -> Fallible<R> {
        bounded(entries, usize::MAX)?;
        let credit = entries.iter().map(|entry| entry.len()).sum::<usize>();
        let mut taken = Vector::default();
        let mut refused = BTreeMap::new();
        // Below where a log begins here, by name: what nothing that came follows on.
        let mut lost: BTreeMap<EntryName, TipRecord> = BTreeMap::new();
        let (mut count, mut bytes) = (0, 0);
        for exact in entries {
            let entry = Entry::verify(exact).map_err(PeerMisbehaved::from)?;
            let (log, tip) = (entry.log(), Tip { seq: entry.seq(), name: entry.name() });
            // After a refusal come gaps; the first reason is the one that says something.
            let mut refuse = |reason| _ = refused.entry(log).or_insert(reason);
            let follows_lost = lost.remove(&entry.prev()).is_some();
            match replica.take(&entry).map_err(SessionError::Storage)? {
                Taken::Log(Appended::Gap) if follows_lost => _ = lost.insert(tip.name, TipRecord { log, tip }),
                Taken::Log(Appended::Gap) => refuse(Refusal::Gap),
                Taken::Log(Appended::Full) => refuse(Refusal::Branches),
                Taken::Refused(reason) => refuse(reason),
                // Whoever sends a log from below may send what lies before; a branch that ends there is not taken.
                Taken::Log(Appended::Below) if self.below.remove(&TipRecord { log, tip }) => refuse(Refusal::Below),
                Taken::Log(Appended::Below) => _ = lost.insert(tip.name, TipRecord { log, tip }),
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
        // It may go on in the next frame, so nothing is refused; but it may be a branch, of which the host should know.
        lost.retain(|_, record| !refused.contains_key(&record.log));
        self.wanted.retain(|wanted| lost.get(&wanted.tip.name) != Some(wanted));
        for log in lost.into_values().map(|record| record.log).collect::<BTreeSet<_>>() {
            out.push(Output::Event(Event::Declined { log, reason: Refusal::Below }));
        }
        for (log, reason) in refused {
            out.push(Output::Send(Message::Refused { log, reason }.encode()));
            out.push(Output::Event(Event::Declined { log, reason }));
        }
        let credit = u32::try_from(credit).map_err(|_| PeerMisbehaved::Bounds)?;
        out.push(Output::Send(Message::Ack { tips: taken.records().collect(), credit }.encode()));
        if count > 0 {
            out.push(Output::Event(Event::Received { entries: count, bytes }));
        }
        self.news |= self.behind;
        self.settled = false;
        Ok(())
    }

    fn acknowledged<R: Replica>(
        &mut self,
        mut tips: Vec<TipRecord>,
        credit: u32,
        replica: &R,
        out: &mut Vec<Output>,
    ) -> Fallible<R> {
        if credit == 0 || credit > self.in_flight {
            return Err(PeerMisbehaved::Credit.into());
        }
        self.in_flight -= credit;
        self.landed = self.landed.saturating_add(credit);
        while let Some((size, is_entry)) = self.flying.front().copied().filter(|(size, _)| *size <= self.landed) {
            self.flying.pop_front();
            self.landed -= size;
            self.arrived += usize::from(is_entry);
        }
        // The host may write down what the other side has; only what is here can have been sent.
        let mut known = Vec::with_capacity(tips.len());
        for record in tips.drain(..) {
            if replica.names(&record.log, record.tip.seq).map_err(SessionError::Storage)?.contains(&record.tip.name) {
                known.push(record);
            }
        }
        if !known.is_empty() {
            out.push(Output::Event(Event::Acknowledged { tips: known, entries: std::mem::take(&mut self.arrived) }));
        }
        Ok(())
    }

    /// Drops from the wanted what arrived over another link or in a checkpoint meanwhile.
    pub(crate) fn forget_wanted<R: Replica>(&mut self, replica: &R) -> Fallible<R> {
        for record in self.wanted.clone() {
            if self.standing_of(&record, replica)? != Standing::Missing {
                self.wanted.remove(&record);
            }
        }
        Ok(())
    }

    fn conclude(&mut self, now: Duration, out: &mut Vec<Output>) {
        if !self.is_settled() {
            // Whoever is not settled waits for the other side.
            let wait = if self.floors.are_being_read() { READING_TIMEOUT } else { PROGRESS_TIMEOUT };
            self.deadline = self.deadline.or(Some(now + wait));
            return;
        }
        self.deadline = None;
        if !self.settled {
            self.settled = true;
            out.push(Output::Event(Event::Settled));
        }
    }
}

/// How a tip that was announced stands to what is here.
#[derive(PartialEq, Eq)]
pub(crate) enum Standing {
    Here,
    Missing,
    Below,
}

fn bounded(list: &[ByteBuf], most: usize) -> Result<(), PeerMisbehaved> {
    if list.is_empty() || list.len() > most { Err(PeerMisbehaved::Bounds) } else { Ok(()) }
}
