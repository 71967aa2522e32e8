//! Relays: the real core over a storage in memory. The hostile one has the key and the store's name of an honest one, keeps
//! several storages, and alters what goes over the wire.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use serde_bytes::ByteBuf;
use ties_net::{RelayAddress, Scheme};
use ties_relay::{ConnectionId, Identity, Input, Limits, MemoryStorage, Output, Relay, Storage};
use ties_sealed_log::{
    AccessStatement, Entry, EntryName, LogId, LogOpening, MailboxId, RelaySecret, Secret, Tip, TipRecord, Vector,
};
use ties_sync::{Channel, Message};
use ties_tests::{Counts, Dice};

pub(crate) const HOST: &str = "127.0.0.1";

/// What a hostile relay does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lie {
    /// Takes its time.
    Delay,
    /// Gives entries twice.
    Duplicate,
    /// Announces entries and drops them on the way to devices.
    Drop,
    /// Takes entries and drops them.
    Swallow,
    /// Keeps entries and never says so.
    NeverAck,
    /// Says that it keeps entries, and does not.
    Forget,
    /// Gives entries in another order.
    Reorder,
    /// Shows an old state of the mailbox.
    Replay,
    /// Goes back to an old state for good.
    RollBack,
    /// Shows each device a history of its own.
    Fork,
    /// Cuts the ends of others' logs off.
    Truncate,
    /// Hides one device's log from the others.
    Hide,
    /// Gives what belongs to another mailbox.
    Swap,
    /// Speaks of another mailbox.
    WrongIds,
    /// Announces a tip that nobody wrote.
    Promise,
    /// Repeats the device's own digest: it has whatever the device has.
    Echo,
    /// Alters entries.
    Corrupt,
}

impl Lie {
    pub(crate) const ALL: [Self; 17] = [
        Self::Delay,
        Self::Duplicate,
        Self::Drop,
        Self::Swallow,
        Self::NeverAck,
        Self::Forget,
        Self::Reorder,
        Self::Replay,
        Self::RollBack,
        Self::Fork,
        Self::Truncate,
        Self::Hide,
        Self::Swap,
        Self::WrongIds,
        Self::Promise,
        Self::Echo,
        Self::Corrupt,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Delay => "lie: delay",
            Self::Duplicate => "lie: duplicate",
            Self::Drop => "lie: drop",
            Self::Swallow => "lie: swallow",
            Self::NeverAck => "lie: never acknowledge",
            Self::Forget => "lie: forget",
            Self::Reorder => "lie: reorder",
            Self::Replay => "lie: replay",
            Self::RollBack => "lie: roll back",
            Self::Fork => "lie: fork by client",
            Self::Truncate => "lie: truncate",
            Self::Hide => "lie: hide a log",
            Self::Swap => "lie: swap mailboxes",
            Self::WrongIds => "lie: wrong ids",
            Self::Promise => "lie: promise later tips",
            Self::Echo => "lie: echo the digest",
            Self::Corrupt => "lie: corrupt",
        }
    }
}

/// One storage, and the core that speaks for it.
struct Face {
    core: Relay,
    storage: MemoryStorage,
}

/// A relay and all that is under way at it.
pub(crate) struct Host {
    seed: [u8; 32],
    store: [u8; 16],
    rng: ChaCha20Rng,
    now: Duration,
    pub(crate) truth: MemoryStorage,
    faces: BTreeMap<u64, Face>,
    calls: BTreeMap<u64, Call>,
    /// What it does now; nothing if it is honest.
    pub(crate) lie: Option<Lie>,
    /// An old state, to go back to.
    pub(crate) old: Option<MemoryStorage>,
    forks: BTreeMap<usize, MemoryStorage>,
    /// Whose log is hidden, and from which place on.
    pub(crate) hidden: Option<(LogId, u64, usize)>,
    /// Entries of another space.
    pub(crate) foreign: Vec<Entry>,
}

#[derive(Default)]
struct Call {
    phone: usize,
    mailbox: Option<MailboxId>,
    /// The vector that it pretends to have.
    pretended: Option<Vector>,
    /// The digest that the device sent.
    theirs: [u8; 32],
}

/// What goes to a device.
pub(crate) enum Down {
    Frame(Vec<u8>),
    Goodbye,
}

impl Host {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let array = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).unwrap();
        let mut store = [0; 16];
        store.copy_from_slice(&dice.bytes(16));
        Self {
            seed: array(dice.bytes(32)),
            store,
            rng: dice.generator(),
            now: Duration::from_secs(1_760_000_000),
            truth: MemoryStorage::default(),
            faces: BTreeMap::new(),
            calls: BTreeMap::new(),
            lie: None,
            old: None,
            forks: BTreeMap::new(),
            hidden: None,
            foreign: Vec::new(),
        }
    }

    fn secret(&self) -> RelaySecret {
        RelaySecret::from_secret(&Secret::new(self.seed))
    }

    pub(crate) fn address(&self) -> String {
        RelayAddress::new(Scheme::Loopback, HOST, 7700, self.secret().id()).unwrap().to_string()
    }

    /// Tells the truth from now on, and nothing else.
    pub(crate) fn repent(&mut self) {
        (self.lie, self.old, self.hidden) = (None, None, None);
        self.forks.clear();
    }

    /// Which storage speaks to a phone, when it calls.
    fn face(&mut self, mailbox: &MailboxId, phone: usize) -> MemoryStorage {
        match self.lie {
            Some(Lie::Replay) => self.old.clone().unwrap_or_else(|| self.truth.clone()),
            Some(Lie::Fork) => self.forks.entry(phone).or_insert_with(|| self.truth.clone()).clone(),
            Some(Lie::Truncate) => cut(&self.truth, mailbox, |_, last| last.saturating_sub(1).max(1)),
            Some(Lie::Hide) => match self.hidden {
                Some((log, from, owner)) if owner != phone => {
                    cut(&self.truth, mailbox, |one, last| if *one == log { last.min(from) } else { last })
                }
                _ => self.truth.clone(),
            },
            Some(Lie::Swap) => {
                let mut other = cut(&self.truth, mailbox, |_, _| 0);
                for entry in &self.foreign {
                    other.append(mailbox, entry).unwrap();
                }
                other
            }
            _ => self.truth.clone(),
        }
    }

    /// Keeps what a call left behind, if it keeps anything.
    fn keep(&mut self, mailbox: &MailboxId, phone: usize, storage: MemoryStorage) {
        match self.lie {
            Some(Lie::Forget | Lie::Replay | Lie::Swap) => {}
            Some(Lie::Fork) => drop(self.forks.insert(phone, storage)),
            Some(Lie::Truncate | Lie::Hide) => merge(&mut self.truth, &storage, mailbox),
            _ => {
                self.truth = storage;
            }
        }
    }

    pub(crate) fn open(&mut self, id: u64, phone: usize, mailbox: MailboxId, counts: &mut Counts) -> Vec<Down> {
        let shared = self.lie.is_none_or(|lie| {
            !matches!(lie, Lie::Forget | Lie::Replay | Lie::Swap | Lie::Fork | Lie::Truncate | Lie::Hide)
        });
        let face = if shared { 0 } else { id };
        if !self.faces.contains_key(&face) {
            let identity = Identity { secret: self.secret(), store: self.store, open: true };
            let storage = self.face(&mailbox, phone);
            self.faces.insert(face, Face { core: Relay::new(identity, Limits::default()), storage });
            if !shared {
                self.count(counts);
            }
        }
        self.calls.insert(id, Call { phone, mailbox: Some(mailbox), ..Call::default() });
        let channel = Channel { host: HOST.to_owned(), exporter: [0; 32] };
        let outputs = self.tell(id, Input::Opened { channel, since: self.now, from: None });
        self.send(outputs, counts).into_iter().map(|(_, down)| down).collect()
    }

    pub(crate) fn close(&mut self, id: u64, counts: &mut Counts) -> Vec<(u64, Down)> {
        let outputs = self.tell(id, Input::Closed);
        let sent = self.send(outputs, counts);
        let call = self.calls.remove(&id);
        if let (Some(face), Some(Call { phone, mailbox: Some(mailbox), .. })) = (self.faces.remove(&id), call) {
            self.keep(&mailbox, phone, face.storage);
        }
        if self.calls.is_empty()
            && let Some(face) = self.faces.remove(&0)
        {
            self.truth = face.storage;
        }
        sent
    }

    pub(crate) fn hear(&mut self, id: u64, frame: Vec<u8>, dice: &mut Dice, counts: &mut Counts) -> Vec<(u64, Down)> {
        let Some(frame) = self.alter_up(id, frame, counts) else {
            return self.pretend(id);
        };
        self.now += Duration::from_millis(dice.below(50));
        let outputs = self.tell(id, Input::Frame(frame));
        self.send(outputs, counts)
    }

    fn tell(&mut self, id: u64, input: Input) -> Vec<Output> {
        let face = if self.faces.contains_key(&id) { id } else { 0 };
        let Some(Face { core, storage }) = self.faces.get_mut(&face) else { return Vec::new() };
        let mut outputs = core.handle(self.now, ConnectionId(id), input, storage, &mut self.rng).unwrap();
        outputs.extend(core.finish(self.now, storage).unwrap());
        outputs
    }

    fn send(&mut self, outputs: Vec<Output>, counts: &mut Counts) -> Vec<(u64, Down)> {
        let mut sent = Vec::new();
        for output in outputs {
            match output {
                Output::Send(ConnectionId(id), frame) => {
                    sent.extend(self.alter_down(id, frame, counts).into_iter().map(|frame| (id, Down::Frame(frame))));
                }
                Output::Close(ConnectionId(id), _) => sent.push((id, Down::Goodbye)),
                Output::Proven(..) | Output::Pause(..) => {}
            }
        }
        sent
    }

    /// What comes of a frame from a device; nothing if it goes no further.
    fn alter_up(&mut self, id: u64, frame: Vec<u8>, counts: &mut Counts) -> Option<Vec<u8>> {
        let message = Message::decode(&frame);
        match (self.lie, message) {
            (Some(Lie::Swallow), Ok(Message::Entries(_))) => {
                self.count(counts);
                None
            }
            (Some(Lie::Promise | Lie::Echo), Ok(Message::Open { digest, .. })) => {
                self.calls.get_mut(&id)?.theirs = digest;
                Some(frame)
            }
            // The core may think that both have the same, and expects no vector then.
            (Some(Lie::Promise), Ok(Message::Vector(_))) if self.is_equal(id) => None,
            // It pretends to have everything, and so asks for nothing and keeps nothing.
            (Some(Lie::Echo), Ok(Message::Vector(_) | Message::Entries(_) | Message::Openings(_))) => None,
            _ => Some(frame),
        }
    }

    fn is_equal(&self, id: u64) -> bool {
        self.calls.get(&id).is_some_and(|call| call.theirs == self.vector(id).digest())
    }

    fn vector(&self, id: u64) -> Vector {
        let face = self.faces.get(&id).or_else(|| self.faces.get(&0));
        let mailbox = self.calls.get(&id).and_then(|call| call.mailbox);
        face.zip(mailbox).map_or_else(Vector::default, |(face, mailbox)| face.storage.vector(&mailbox).unwrap())
    }

    /// Answers a vector that the core was not told of.
    fn pretend(&mut self, id: u64) -> Vec<(u64, Down)> {
        let Some(Lie::Promise) = self.lie else { return Vec::new() };
        let pretended = self.calls.get(&id).and_then(|call| call.pretended.clone());
        pretended
            .map(|vector| (id, Down::Frame(Message::Vector(vector.records().collect()).encode())))
            .into_iter()
            .collect()
    }

    /// What a device hears in place of what the core says.
    fn alter_down(&mut self, id: u64, frame: Vec<u8>, counts: &mut Counts) -> Vec<Vec<u8>> {
        let Some(lie) = self.lie else { return vec![frame] };
        let Ok(message) = Message::decode(&frame) else { return vec![frame] };
        let altered = match (lie, message) {
            (Lie::Delay, message) => {
                self.now += Duration::from_secs(5);
                vec![message]
            }
            (Lie::Duplicate, Message::Entries(entries)) => {
                vec![Message::Entries(entries.clone()), Message::Entries(entries)]
            }
            (Lie::Drop, Message::Entries(_)) | (Lie::NeverAck, Message::Ack { .. }) => Vec::new(),
            (Lie::Reorder, Message::Entries(entries)) if entries.len() > 1 => {
                vec![Message::Entries(entries.into_iter().rev().collect())]
            }
            (Lie::Corrupt, Message::Entries(entries)) => {
                vec![Message::Entries(entries.into_iter().map(flip).collect())]
            }
            (Lie::WrongIds, Message::Open { version, mut subject, access, digest }) => {
                subject[0] ^= 1;
                vec![Message::Open { version, subject, access, digest }]
            }
            (Lie::Promise, Message::Open { version, subject, access, .. }) => {
                let mut vector = self.vector(id);
                let first = vector.logs().next();
                if let Some(log) = first {
                    let last = vector.tips(&log).map(|tip| tip.seq).max().unwrap_or(0);
                    vector.insert(log, Tip { seq: last + 3, name: EntryName([9; 32]) });
                }
                let digest = vector.digest();
                if let Some(call) = self.calls.get_mut(&id) {
                    call.pretended = Some(vector);
                }
                vec![Message::Open { version, subject, access, digest }]
            }
            (Lie::Promise, Message::Vector(records)) => {
                let pretended = self.calls.get(&id).and_then(|call| call.pretended.clone());
                let records = pretended.map_or(records, |vector| vector.records().collect::<Vec<TipRecord>>());
                vec![Message::Vector(records)]
            }
            (Lie::Echo, Message::Open { version, subject, access, .. }) => {
                let digest = self.calls.get(&id).map_or([0; 32], |call| call.theirs);
                vec![Message::Open { version, subject, access, digest }]
            }
            (Lie::Echo, Message::Vector(_) | Message::Entries(_) | Message::Openings(_)) => Vec::new(),
            _ => return vec![frame],
        };
        self.count(counts);
        altered.iter().map(Message::encode).collect()
    }

    fn count(&self, counts: &mut Counts) {
        if let Some(lie) = self.lie {
            counts.add(lie.name());
        }
    }
}

fn flip(entry: ByteBuf) -> ByteBuf {
    let mut bytes = entry.into_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    bytes.into()
}

/// A mailbox of which each log ends at some place: given the log and its last one.
fn cut(truth: &MemoryStorage, mailbox: &MailboxId, ends: impl Fn(&LogId, u64) -> u64) -> MemoryStorage {
    let mut storage = MemoryStorage::default();
    for statement in truth.statements(mailbox).unwrap() {
        let statement = AccessStatement::verify(&statement).unwrap();
        storage.put_statement(mailbox, &statement).unwrap();
        for (pseudonym, _) in &statement.body().grants {
            storage.set_member(mailbox, pseudonym, true).unwrap();
        }
    }
    for opening in truth.openings(mailbox).unwrap() {
        storage.put_opening(mailbox, &LogOpening::verify(&opening, mailbox).unwrap()).unwrap();
    }
    let vector = truth.vector(mailbox).unwrap();
    for log in vector.logs() {
        let last = vector.tips(&log).map(|tip| tip.seq).max().unwrap_or(0);
        let end = ends(&log, last);
        for entry in truth.after(mailbox, &log, 0, usize::MAX).unwrap() {
            if entry.seq() <= end {
                storage.append(mailbox, &entry).unwrap();
            }
        }
    }
    storage
}

/// Takes over what another storage has of a mailbox.
fn merge(truth: &mut MemoryStorage, other: &MemoryStorage, mailbox: &MailboxId) {
    for statement in other.statements(mailbox).unwrap() {
        truth.put_statement(mailbox, &AccessStatement::verify(&statement).unwrap()).unwrap();
    }
    for opening in other.openings(mailbox).unwrap() {
        truth.put_opening(mailbox, &LogOpening::verify(&opening, mailbox).unwrap()).unwrap();
    }
    for log in other.vector(mailbox).unwrap().logs() {
        for entry in other.after(mailbox, &log, 0, usize::MAX).unwrap() {
            truth.append(mailbox, &entry).unwrap();
        }
    }
}
