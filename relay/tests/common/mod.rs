//! Devices small enough to be read at a glance, and a relay without sockets for them to talk to.
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_net::ClosingReason;
use ties_relay::{ConnectionId, Identity, Input, Limits, MemoryStorage, Output, Relay};
use ties_sealed_log::{
    AccessList, AccessStatement, Appended, CLOSED, ChunkName, Entry, EntryName, EpochId, EpochKey, FloorRecord, GET,
    Log, LogId, LogKey, LogOpening, MANAGE, MailboxId, MemoryLog, PUT, Payload, Position, Prune, Pseudonym,
    PseudonymKey, RelaySecret, Sealed, Secret, SpaceId, StatementBody, Tip, Vector,
};
use ties_sync::{Channel, ExpectHello, FloorTaken, Message, Refusal, Replica, Session, Taken};

pub(crate) const ALL: u8 = PUT | GET | MANAGE;

/// The first statement of a mailbox that `manager` manages.
pub(crate) fn first_statement(manager: &PseudonymKey, others: &[(Pseudonym, u8)]) -> AccessStatement {
    let mut grants = others.to_vec();
    grants.push((manager.id(), ALL));
    let body = StatementBody {
        version: 1,
        mailbox: None,
        parents: vec![],
        grants,
        recovery: None,
        random: [5; 32],
        signer: manager.id(),
    };
    AccessStatement::sign(body, manager)
}

/// A device with one log, one pseudonym and what it holds of one mailbox.
pub(crate) struct Device {
    pub(crate) key: PseudonymKey,
    pub(crate) log_key: LogKey,
    pub(crate) log: MemoryLog,
    pub(crate) openings: BTreeMap<LogId, Vec<u8>>,
    pub(crate) list: AccessList,
    pub(crate) floor: Option<FloorRecord>,
    pub(crate) chunks: BTreeMap<ChunkName, Vec<u8>>,
    rng: ChaCha20Rng,
}

impl Device {
    pub(crate) fn new(number: u8, first: &AccessStatement) -> Self {
        let list = AccessList::begin(first.clone()).expect("a first statement");
        let key = key(number);
        let log_key = LogKey::from_secret(&Secret::new([number ^ 0x80; 32]));
        let opening = LogOpening::new(&list.mailbox(), &log_key, &key);
        let openings = BTreeMap::from([(log_key.id(), opening.as_bytes().to_vec())]);
        let rng = ChaCha20Rng::from_seed([number; 32]);
        let (floor, chunks) = (None, BTreeMap::new());
        Self { key, log_key, log: MemoryLog::default(), openings, list, floor, chunks, rng }
    }

    pub(crate) fn mailbox(&self) -> MailboxId {
        self.list.mailbox()
    }

    /// Appends an entry to its own log.
    pub(crate) fn write(&mut self) -> Entry {
        let tip = self.log.tips(&self.log_key.id()).expect("memory never fails").pop();
        let position = tip.map_or(Position::FIRST, |tip| Position { seq: tip.seq + 1, prev: tip.name });
        let epoch = (&EpochId([2; 32]), &EpochKey::new(Secret::new([3; 32])));
        let content = Sealed::new(&Payload::Beacon, vec![], 0);
        let entry = Entry::seal(&self.log_key, position, &SpaceId([1; 32]), epoch, &content, &mut self.rng);
        let entry = entry.expect("a beacon fits");
        assert!(self.log.append(&entry).expect("memory never fails").is_new());
        entry
    }

    /// Takes all that another device has, over another road.
    pub(crate) fn take_all_of(&mut self, other: &Self) {
        for log in other.vector().logs() {
            for entry in other.log.after(&log, 0, usize::MAX).expect("memory never fails") {
                self.log.append(&entry).expect("memory never fails");
            }
        }
        self.openings.extend(other.openings.clone());
    }

    /// Changes what a pseudonym may do.
    pub(crate) fn grant(&mut self, whom: Pseudonym, flags: u8) -> AccessStatement {
        let body = StatementBody {
            version: 1,
            mailbox: Some(self.mailbox()),
            parents: self.list.heads(),
            grants: vec![(whom, flags)],
            recovery: None,
            random: [0; 32],
            signer: self.key.id(),
        };
        let statement = AccessStatement::sign(body, &self.key);
        assert!(self.list.add(statement.clone()).expect("a manager"));
        statement
    }

    pub(crate) fn shut_out(&mut self, whom: Pseudonym) -> AccessStatement {
        self.grant(whom, CLOSED)
    }

    pub(crate) fn vector(&self) -> Vector {
        self.log.vector().expect("memory never fails")
    }
}

impl Log for Device {
    type Error = Infallible;

    fn vector(&self) -> Result<Vector, Infallible> {
        self.log.vector()
    }

    fn tips(&self, log: &LogId) -> Result<Vec<Tip>, Infallible> {
        self.log.tips(log)
    }

    fn names(&self, log: &LogId, seq: u64) -> Result<Vec<EntryName>, Infallible> {
        self.log.names(log, seq)
    }

    fn after(&self, log: &LogId, seq: u64, budget: usize) -> Result<Vec<Entry>, Infallible> {
        self.log.after(log, seq, budget)
    }

    fn base(&self, log: &LogId) -> Result<Vec<Tip>, Infallible> {
        self.log.base(log)
    }

    fn forked_at(&self, log: &LogId) -> Result<Option<u64>, Infallible> {
        self.log.forked_at(log)
    }

    fn append(&mut self, entry: &Entry) -> Result<Appended, Infallible> {
        self.log.append(entry)
    }
}

impl Replica for Device {
    fn take(&mut self, entry: &Entry) -> Result<Taken, Infallible> {
        self.log.append(entry).map(Taken::Log)
    }

    fn opening(&mut self, log: &LogId) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.openings.get(log).cloned())
    }

    fn admit(&mut self, opening: &[u8]) -> Result<Result<(), Refusal>, Infallible> {
        let opening = LogOpening::verify(opening, &self.mailbox()).expect("a relay checks openings");
        self.openings.insert(opening.log(), opening.as_bytes().to_vec());
        Ok(Ok(()))
    }

    fn access_digest(&self) -> Result<[u8; 32], Infallible> {
        Ok(self.list.digest())
    }

    fn statements(&self) -> Result<Vec<Vec<u8>>, Infallible> {
        Ok(self.list.statements().into_iter().map(|statement| statement.bytes().to_vec()).collect())
    }

    fn state(&mut self, statement: &[u8]) -> Result<Result<(), Refusal>, Infallible> {
        let statement = AccessStatement::verify(statement).expect("a relay checks statements");
        Ok(self.list.add(statement).map(drop).map_err(|_| Refusal::Invalid))
    }

    fn floor(&self) -> Result<Option<FloorRecord>, Infallible> {
        Ok(self.floor.clone())
    }

    fn take_floor(&mut self, record: &FloorRecord, _: bool) -> Result<FloorTaken, Infallible> {
        let is_missing = |name: &ChunkName| !self.chunks.contains_key(name);
        if self.is_short_of(record) {
            let missing: Vec<_> = record.chunks().iter().map(|(name, _)| *name).filter(is_missing).collect();
            if !missing.is_empty() {
                return Ok(FloorTaken::Wanted(missing));
            }
            self.prune(record);
        }
        if self.floor.as_ref().is_none_or(|held| record.supersedes(held)) {
            self.floor = Some(record.clone());
        }
        Ok(FloorTaken::Held)
    }

    fn chunk(&self, name: &ChunkName) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.chunks.get(name).cloned())
    }

    fn put_chunk(&mut self, name: &ChunkName, bytes: &[u8]) -> Result<(), Infallible> {
        self.chunks.insert(*name, bytes.to_vec());
        Ok(())
    }
}

impl Device {
    fn is_short_of(&self, record: &FloorRecord) -> bool {
        record.cut().iter().any(|line| {
            let base = self.log.base(&line.log).expect("memory never fails");
            let here = self.log.names(&line.log, line.tip.seq).expect("memory never fails");
            !here.contains(&line.tip.name) && base.iter().all(|base| base.seq < line.tip.seq)
        })
    }

    /// Drops what a checkpoint holds.
    pub(crate) fn prune(&mut self, record: &FloorRecord) {
        for log in record.logs() {
            self.log.rebase(&log, &record.cut_of(&log), &mut |_| false).expect("memory never fails");
        }
    }
}

pub(crate) fn key(number: u8) -> PseudonymKey {
    PseudonymKey::from_secret(&Secret::new([number; 32]))
}

/// A relay in memory, its clock, and what it said to whom.
pub(crate) struct World {
    pub(crate) relay: Relay,
    pub(crate) storage: MemoryStorage,
    pub(crate) now: Duration,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) heard: BTreeMap<ConnectionId, VecDeque<Vec<u8>>>,
    pub(crate) closed: BTreeMap<ConnectionId, ClosingReason>,
    pub(crate) paused: Vec<(ConnectionId, Duration)>,
    /// Where those come from who dial.
    pub(crate) from: Option<std::net::IpAddr>,
    next: u64,
}

pub(crate) const RELAY_SEED: [u8; 32] = [77; 32];

pub(crate) fn channel() -> Channel {
    Channel { host: "relay.example".to_owned(), exporter: [4; 32] }
}

impl World {
    pub(crate) fn new(open: bool, limits: Limits) -> Self {
        let secret = RelaySecret::from_secret(&Secret::new(RELAY_SEED));
        Self {
            relay: Relay::new(Identity { secret, store: [6; 16], open }, limits),
            storage: MemoryStorage::default(),
            now: Duration::from_secs(1_000_000),
            rng: ChaCha20Rng::seed_from_u64(1),
            heard: BTreeMap::new(),
            closed: BTreeMap::new(),
            paused: Vec::new(),
            from: None,
            next: 0,
        }
    }

    pub(crate) fn open() -> Self {
        Self::new(true, Limits::default())
    }

    /// One input as a batch of its own.
    pub(crate) fn happen(&mut self, id: ConnectionId, input: Input) {
        let mut outputs =
            self.relay.handle(self.now, id, input, &mut self.storage, &mut self.rng).expect("memory never fails");
        outputs.extend(self.relay.finish(self.now, &mut self.storage).expect("memory never fails"));
        self.note(outputs);
    }

    /// Lets time pass and does what is due.
    pub(crate) fn pass_time(&mut self, time: Duration) {
        self.now += time;
        let mut outputs = self.relay.tick(self.now, &mut self.storage).expect("memory never fails");
        outputs.extend(self.relay.finish(self.now, &mut self.storage).expect("memory never fails"));
        self.note(outputs);
    }

    fn note(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send(id, frame) => self.heard.entry(id).or_default().push_back(frame),
                Output::Close(id, reason) => drop(self.closed.insert(id, reason)),
                Output::Pause(id, wait) => self.paused.push((id, wait)),
                Output::Proven(..) => {}
            }
        }
    }

    pub(crate) fn dial(&mut self) -> ConnectionId {
        let id = ConnectionId(self.next);
        self.next += 1;
        self.happen(id, Input::Opened { channel: channel(), since: self.now, from: self.from });
        id
    }

    /// Dials and proves a key.
    pub(crate) fn connect(&mut self, key: &PseudonymKey) -> ConnectionId {
        let id = self.dial();
        let hello = self.frame(id).expect("a hello");
        let expect = ExpectHello::new(channel(), self.relay.key());
        let (expect, auth) = expect.handle(&hello, key, &mut self.rng).expect("a good hello");
        self.happen(id, Input::Frame(auth));
        let welcome = self.frame(id).expect("a welcome");
        assert_eq!(expect.handle(&welcome).expect("a good welcome").store, [6; 16]);
        id
    }

    pub(crate) fn frame(&mut self, id: ConnectionId) -> Option<Vec<u8>> {
        self.heard.get_mut(&id)?.pop_front()
    }

    pub(crate) fn say(&mut self, id: ConnectionId, message: &Message) {
        self.happen(id, Input::Frame(message.encode()));
    }

    /// The next message to a connection.
    pub(crate) fn hear(&mut self, id: ConnectionId) -> Option<Message> {
        self.frame(id).map(|frame| Message::decode(&frame).expect("a relay speaks properly"))
    }

    pub(crate) fn ask(&mut self, id: ConnectionId, message: &Message) -> Message {
        self.say(id, message);
        self.hear(id).expect("an answer")
    }

    pub(crate) fn create(&mut self, id: ConnectionId, first: &AccessStatement) -> Message {
        self.ask(id, &Message::Create { statement: first.bytes().to_vec().into(), token: None })
    }

    /// Opens a session about the device's mailbox and runs it until nothing more is said.
    pub(crate) fn sync(&mut self, device: &mut Device) -> (ConnectionId, Session) {
        let id = self.connect(&device.key);
        let mut session = Session::new(device.mailbox().0);
        let outputs = session.start(self.now, device).expect("memory never fails");
        self.send(id, outputs);
        self.converse(id, &mut session, device);
        (id, session)
    }

    /// Lets a device hear what was said to it, and answer, until nothing more is said.
    pub(crate) fn converse(&mut self, id: ConnectionId, session: &mut Session, device: &mut Device) {
        while let Some(frame) = self.frame(id) {
            let outputs = session.handle(self.now, ties_sync::Input::Frame(&frame), device).expect("a good relay");
            self.send(id, outputs);
        }
    }

    /// Tells a device's session that the device wrote something.
    pub(crate) fn push(&mut self, id: ConnectionId, session: &mut Session, device: &mut Device) {
        let outputs = session.handle(self.now, ties_sync::Input::Changed, device).expect("memory never fails");
        self.send(id, outputs);
        self.converse(id, session, device);
    }

    fn send(&mut self, id: ConnectionId, outputs: Vec<ties_sync::Output>) {
        for output in outputs {
            if let ties_sync::Output::Send(frame) = output {
                self.happen(id, Input::Frame(frame));
            }
        }
    }
}
