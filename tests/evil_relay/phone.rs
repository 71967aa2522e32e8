//! A device: the real engine over the real database, calling one of several relays.

use std::collections::BTreeSet;
use std::time::Duration;

use automerge::ROOT;
use automerge::transaction::Transactable;
use ties_engine::{
    AlertKind, Conversation, ConversationError, DocumentId, EditError, Environment, Input, News, Refusal, Road,
    SessionError, Space,
};
use ties_sealed_log::{EntryName, Log, Vector};
use ties_sync::{Channel, ExpectHello, ExpectWelcome, Message};
use ties_tests::{Clock, CrashingDisk, Dice, Lines, open};

use crate::relay::HOST;

pub(crate) struct Phone {
    pub(crate) disk: CrashingDisk,
    pub(crate) space: Option<Space>,
    /// Marks that it wrote and that must be everywhere at the end.
    pub(crate) marks: Vec<(DocumentId, String)>,
    /// What was here when it was last looked at.
    pub(crate) looked: Vector,
    clock: Clock,
}

const BEGINNING: u64 = 1_760_000_000_000;

pub(crate) fn environment(clock: &Clock, dice: &mut Dice) -> Environment {
    let clock = clock.clone();
    Environment::new(move || BEGINNING + clock.now(), dice.generator())
}

impl Phone {
    pub(crate) fn new(disk: CrashingDisk, space: Space, clock: &Clock) -> Self {
        Self { disk, space: Some(space), marks: Vec::new(), looked: Vector::default(), clock: clock.clone() }
    }

    pub(crate) fn space(&self) -> &Space {
        self.space.as_ref().expect("it runs")
    }

    /// Ends the program, and starts it on this disk.
    pub(crate) fn restart(&mut self, image: Option<Vec<u8>>, dice: &mut Dice) {
        self.space = None;
        if let Some(image) = image {
            self.disk = CrashingDisk::of(image);
        }
        let store = open(&self.disk).unwrap();
        self.space = Some(Space::open_in(store, Lines, environment(&self.clock, dice)).unwrap());
    }

    pub(crate) fn write(&mut self, dice: &mut Dice, number: u64) {
        let id = DocumentId([1 + dice.below(5) as u8; 16]);
        let (key, mark) = (["name", "met", "city"][dice.index(3)], format!("mark/{number}"));
        let value = dice.below(1000);
        let written = self.space().write(|edit| {
            edit.change(id, |tx| {
                tx.put(ROOT, key, value)?;
                tx.put(ROOT, &mark, true).map_err(EditError::from)
            })
        });
        written.unwrap();
        self.marks.push((id, mark));
    }

    pub(crate) fn vector(&self) -> Vector {
        self.space().offline().vector().unwrap()
    }

    /// The names of the entries that are new since an earlier vector.
    pub(crate) fn news(&self, since: &Vector) -> BTreeSet<EntryName> {
        let vector = self.vector();
        let changed: Vec<_> = vector.logs().filter(|log| !vector.tips(log).eq(since.tips(log))).collect();
        if changed.is_empty() {
            return BTreeSet::new();
        }
        let store = open(&self.disk).unwrap();
        let snapshot = store.read().unwrap();
        let mut names = BTreeSet::new();
        for log in changed {
            // Of a forked log all of it: its branches may be anywhere.
            let from =
                if vector.tips(&log).count() > 1 { 0 } else { since.tips(&log).map(|tip| tip.seq).max().unwrap_or(0) };
            names.extend(
                snapshot.log(0).after(&log, from, usize::MAX).unwrap().iter().map(ties_sealed_log::Entry::name),
            );
        }
        names
    }

    /// The names of all entries here.
    pub(crate) fn entries(&self) -> BTreeSet<EntryName> {
        let store = open(&self.disk).unwrap();
        let snapshot = store.read().unwrap();
        let log = snapshot.log(0);
        let mut names = BTreeSet::new();
        for id in log.vector().unwrap().logs() {
            names.extend(log.after(&id, 0, usize::MAX).unwrap().iter().map(ties_sealed_log::Entry::name));
        }
        names
    }

    /// What it says about a relay.
    pub(crate) fn alerts(&self, road: &Road) -> BTreeSet<AlertKind> {
        let status = self.space().status().unwrap();
        let its = status.roads.iter().filter(|one| one.road.mailbox == road.mailbox);
        its.flat_map(|one| one.alerts.iter().map(|alert| alert.kind)).collect()
    }
}

/// A phone's end of a call.
pub(crate) struct Calling {
    pub(crate) phone: usize,
    road: Road,
    stage: Stage,
    store: [u8; 16],
    restored: bool,
    began: Duration,
}

enum Stage {
    Dialling(Box<ExpectHello>),
    Proving(Box<ExpectWelcome>),
    Creating,
    Talking(Box<Conversation>),
    Over,
}

/// What comes of a turn.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) alerts: Vec<AlertKind>,
    pub(crate) settled: bool,
    /// It hangs up, for this reason if any.
    pub(crate) over: Option<Option<String>>,
}

impl Calling {
    pub(crate) fn new(phone: usize, road: Road, clock: &Clock) -> Self {
        let expected = ExpectHello::new(Channel { host: HOST.to_owned(), exporter: [0; 32] }, road.relay);
        let stage = Stage::Dialling(Box::new(expected));
        Self { phone, road, stage, store: [0; 16], restored: false, began: clock.elapsed() }
    }

    /// When it wants to look at the time.
    pub(crate) fn deadline(&self) -> Duration {
        let Stage::Talking(conversation) = &self.stage else { return self.began + Duration::from_secs(20) };
        conversation.deadline().unwrap_or(Duration::MAX)
    }

    /// Takes a frame, or the time if there is none.
    pub(crate) fn turn(&mut self, space: &Space, frame: Option<&[u8]>, clock: &Clock, dice: &mut Dice) -> Said {
        let mut said = Said::default();
        match (std::mem::replace(&mut self.stage, Stage::Over), frame) {
            (Stage::Dialling(expected), Some(frame)) => {
                let key = space.offline().pseudonym(&self.road).unwrap();
                match expected.handle(frame, &key, &mut dice.generator()) {
                    Ok((expected, proof)) => {
                        said.frames.push(proof);
                        self.stage = Stage::Proving(Box::new(expected));
                    }
                    Err(error) => said.over = Some(Some(error.to_string())),
                }
            }
            (Stage::Proving(expected), Some(frame)) => match expected.handle(frame) {
                Ok(greeted) => {
                    self.store = greeted.store;
                    self.begin(space, clock, &mut said);
                }
                Err(error) => said.over = Some(Some(error.to_string())),
            },
            (Stage::Creating, Some(frame)) => match Message::decode(frame) {
                Ok(Message::Created { mailbox }) if mailbox == self.road.mailbox => self.bring(space, clock, &mut said),
                _ => said.over = Some(Some("no mailbox".into())),
            },
            (Stage::Talking(conversation), frame) => {
                self.stage = Stage::Talking(conversation);
                self.converse(space, frame, clock, &mut said);
            }
            (_, None) => said.over = Some(Some("no answer".into())),
            (Stage::Over, Some(_)) => {}
        }
        said
    }

    fn begin(&mut self, space: &Space, clock: &Clock, said: &mut Said) {
        let mut conversation = Conversation::new(space, self.road.mailbox, self.road.relay).at_store(self.store);
        said.frames.extend(conversation.start(clock.elapsed()).unwrap().frames);
        self.stage = Stage::Talking(Box::new(conversation));
    }

    fn converse(&mut self, space: &Space, frame: Option<&[u8]>, clock: &Clock, said: &mut Said) {
        let Stage::Talking(conversation) = &mut self.stage else { return };
        let input = frame.map_or(Input::Tick, Input::Frame);
        match conversation.handle(clock.elapsed(), &[input]) {
            Ok(turn) => {
                said.frames.extend(turn.frames);
                said.alerts.extend(turn.news.iter().filter_map(|news| match news {
                    News::Alert(kind) => Some(*kind),
                    _ => None,
                }));
                if turn.news.contains(&News::Settled) {
                    space.offline().note(&self.road, self.store, conversation).unwrap();
                    said.settled = true;
                }
            }
            Err(ConversationError::Session(SessionError::Refused(reason))) if !self.restored => {
                self.restored = true;
                match reason {
                    Refusal::NoMailbox => {
                        let statements = space.offline().statements(&self.road).unwrap();
                        let create = Message::Create { statement: statements[0].clone().into(), token: None };
                        said.frames.push(create.encode());
                        self.stage = Stage::Creating;
                    }
                    Refusal::NotPermitted => self.bring(space, clock, said),
                    other => said.over = Some(Some(other.to_string())),
                }
            }
            Err(ConversationError::Session(SessionError::Storage(error))) => panic!("{error}"),
            Err(ConversationError::Fault(fault)) => panic!("{fault}"),
            Err(error) => said.over = Some(Some(error.to_string())),
        }
    }

    fn bring(&mut self, space: &Space, clock: &Clock, said: &mut Said) {
        let statements = space.offline().statements(&self.road).unwrap();
        if let [_, later @ ..] = &statements[..]
            && !later.is_empty()
        {
            said.frames.push(Message::Access(later.iter().map(|one| one.clone().into()).collect()).encode());
        }
        self.begin(space, clock, said);
    }
}
