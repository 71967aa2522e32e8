//! A device: the real engine over the real database, on a disk that crashes; calling a relay as `Space::sync` does.

use std::collections::VecDeque;

use automerge::{Automerge, ReadDoc, ScalarValue, Value};
use ties_engine::{
    Conversation, ConversationError, DocumentId, Environment, Input, News, Projection, Refusal, Road, Row,
    SessionError, Space, Turn,
};
use ties_sync::{Channel, ExpectHello, ExpectWelcome, Message};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::dice::Dice;
use crate::disk::CrashingDisk;
use crate::relay::{HOST, new_disk, open};

/// A device's machine: its disk stays, the program on it comes and goes.
#[derive(Debug)]
pub struct Device {
    /// Its disk.
    pub disk: CrashingDisk,
    /// The program, while it runs.
    pub space: Option<Space>,
    /// Whether the network lets it call anybody.
    pub reachable: bool,
    /// Whether it stays in touch, or hangs up when both sides have the same.
    pub stays: bool,
    clock: Clock,
    /// Its clock is ahead by so many milliseconds.
    ahead: u64,
    /// Where its disk is, as the machine can tell.
    pub(crate) mark: [u8; 32],
    call: Option<Call>,
    pub(crate) inbox: Vec<Vec<u8>>,
    changes: Option<watch::Receiver<u64>>,
    pub(crate) turn_is_due: bool,
    pub(crate) tending_is_due: bool,
}

/// A call to the relay.
#[derive(Debug)]
struct Call {
    link: u64,
    stage: Stage,
    road: Road,
    store: [u8; 16],
    /// The relay lost its mailbox or its list, and got it back in this call.
    restored: bool,
}

#[derive(Debug)]
enum Stage {
    Dialling(Box<ExpectHello>),
    Proving(Box<ExpectWelcome>),
    Creating,
    Talking(Box<Conversation>),
    Over,
}

/// What came of a turn.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) news: Vec<News>,
    pub(crate) restored: bool,
    pub(crate) done: bool,
}

/// Why a turn failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The call is over, as it may be.
    HangUp,
    /// The disk, or something that must not happen; the disk knows.
    Broken(String),
}

impl Device {
    pub(crate) fn new(clock: &Clock, dice: &mut Dice) -> Self {
        Self {
            disk: new_disk(),
            space: None,
            reachable: true,
            stays: true,
            clock: clock.clone(),
            ahead: dice.below(100_000_000),
            mark: some_mark(dice),
            call: None,
            inbox: Vec::new(),
            changes: None,
            turn_is_due: false,
            tending_is_due: false,
        }
    }

    pub(crate) fn environment(&self, dice: &mut Dice) -> Environment {
        let (clock, ahead) = (self.clock.clone(), self.ahead);
        Environment::new(move || clock.wall(ahead), dice.generator()).installed_as(self.mark)
    }

    /// Starts the program.
    pub(crate) fn start(&mut self, dice: &mut Dice) -> Result<(), Failure> {
        let environment = self.environment(dice);
        let store = open(&self.disk).map_err(|error| Failure::Broken(format!("{error}: {error:?}")))?;
        let space = Space::open_in(store, Lines, environment);
        let space = space.map_err(|error| Failure::Broken(format!("{error}: {error:?}")))?;
        space.set_prunes(true);
        self.space = Some(space);
        Ok(())
    }

    /// Ends the program as if it were killed.
    pub(crate) fn stop(&mut self) {
        self.disk.fail_after(0);
        (self.call, self.changes, self.space) = (None, None, None);
        self.inbox.clear();
        self.disk.recover();
    }

    /// Whether the program runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.space.is_some()
    }

    /// The link it is calling over.
    #[must_use]
    pub fn link(&self) -> Option<u64> {
        self.call.as_ref().map(|call| call.link)
    }

    /// Whether it is in touch with the relay and both have the same, as far as it knows.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match &self.call {
            Some(Call { stage: Stage::Talking(conversation), .. }) => conversation.is_settled(),
            _ => false,
        }
    }

    /// What it knows of the relay; nothing if it knows none yet, or does not run.
    #[must_use]
    pub fn road(&self) -> Option<Road> {
        self.space.as_ref()?.roads().ok()?.pop()
    }

    pub(crate) fn dial(&mut self, link: u64) -> Result<(), Failure> {
        let (Some(space), Some(road)) = (&self.space, self.road()) else { return Err(Failure::HangUp) };
        space.offline().tidy(&road).map_err(|fault| Failure::Broken(fault.to_string()))?;
        let expected = ExpectHello::new(Channel { host: HOST.to_owned(), exporter: [0; 32] }, road.relay);
        let stage = Stage::Dialling(Box::new(expected));
        self.call = Some(Call { link, stage, road, store: [0; 16], restored: false });
        Ok(())
    }

    pub(crate) fn hang_up(&mut self) {
        (self.call, self.changes) = (None, None);
        self.inbox.clear();
    }

    /// When the call wants a tick, in milliseconds.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let Some(Call { stage: Stage::Talking(conversation), .. }) = &self.call else { return None };
        Some(u64::try_from(conversation.deadline()?.as_millis()).expect("a near time"))
    }

    /// Whether the call still waits for the relay to prove itself or to answer a request.
    pub(crate) fn is_waiting_for_an_answer(&self) -> bool {
        self.call.as_ref().is_some_and(|call| !matches!(call.stage, Stage::Talking(_)))
    }

    /// Whether there is something to take a turn for.
    pub(crate) fn has_something_to_do(&self) -> bool {
        self.call.is_some() && (!self.inbox.is_empty() || self.has_changed())
    }

    fn has_changed(&self) -> bool {
        self.changes.as_ref().is_some_and(|changes| changes.has_changed().unwrap_or(false))
    }

    /// Takes everything that came, or what was written here, or the time.
    pub(crate) fn turn(&mut self, dice: &mut Dice) -> Result<Said, Failure> {
        let mut said = Said::default();
        let mut frames = VecDeque::from(std::mem::take(&mut self.inbox));
        if !frames.is_empty() {
            while let Some(frame) = frames.pop_front() {
                self.hear(frame, &mut frames, dice, &mut said)?;
            }
        } else if self.has_changed() {
            self.changes.as_mut().map(watch::Receiver::mark_unchanged);
            self.converse(&[Input::Changed], &mut said)?;
        } else {
            self.converse(&[Input::Tick], &mut said)?;
        }
        if said.news.contains(&News::Settled) && !self.stays {
            self.write_note()?;
            said.done = true;
        }
        Ok(said)
    }

    /// Writes down how far the relay is, if it is being talked to.
    pub(crate) fn write_note(&self) -> Result<(), Failure> {
        let (Some(space), Some(call)) = (&self.space, &self.call) else { return Ok(()) };
        let Stage::Talking(conversation) = &call.stage else { return Ok(()) };
        let noted = space.offline().note(&call.road, call.store, conversation);
        noted.map_err(|fault| Failure::Broken(fault.to_string()))
    }

    fn hear(
        &mut self,
        frame: Vec<u8>,
        later: &mut VecDeque<Vec<u8>>,
        dice: &mut Dice,
        said: &mut Said,
    ) -> Result<(), Failure> {
        let (Some(space), Some(call)) = (&self.space, &mut self.call) else { return Ok(()) };
        let broken = |error: &dyn std::error::Error| Failure::Broken(error.to_string());
        match std::mem::replace(&mut call.stage, Stage::Over) {
            Stage::Dialling(expected) => {
                let key = space.offline().pseudonym(&call.road).map_err(|fault| broken(&fault))?;
                let (expected, proof) = expected.handle(&frame, &key, dice.rng()).map_err(|error| broken(&error))?;
                said.frames.push(proof);
                call.stage = Stage::Proving(Box::new(expected));
            }
            Stage::Proving(expected) => {
                call.store = expected.handle(&frame).map_err(|error| broken(&error))?.store;
                self.begin(said)?;
            }
            Stage::Creating => match Message::decode(&frame).map_err(|error| broken(&error))? {
                Message::Created { mailbox } if mailbox == call.road.mailbox => self.bring(said)?,
                other => return Err(Failure::Broken(format!("no mailbox but {other:?}"))),
            },
            Stage::Talking(conversation) => {
                call.stage = Stage::Talking(conversation);
                let frames: Vec<_> = std::iter::once(frame).chain(later.drain(..)).collect();
                let inputs: Vec<_> = frames.iter().map(|frame| Input::Frame(frame)).collect();
                self.converse(&inputs, said)?;
            }
            Stage::Over => {}
        }
        Ok(())
    }

    fn begin(&mut self, said: &mut Said) -> Result<(), Failure> {
        let (Some(space), Some(call)) = (&self.space, &mut self.call) else { return Ok(()) };
        let mut conversation = Conversation::new(space, call.road.mailbox, call.road.relay).at_store(call.store);
        self.changes = Some(space.changes());
        let started = conversation.start(self.clock.elapsed());
        let Turn { frames, .. } = started.map_err(|error| Failure::Broken(error.to_string()))?;
        said.frames.extend(frames);
        call.stage = Stage::Talking(Box::new(conversation));
        Ok(())
    }

    fn converse(&mut self, inputs: &[Input<'_>], said: &mut Said) -> Result<(), Failure> {
        let Some(call) = &mut self.call else { return Ok(()) };
        let Stage::Talking(conversation) = &mut call.stage else { return Ok(()) };
        match conversation.handle(self.clock.elapsed(), inputs) {
            Ok(Turn { frames, news }) => {
                said.frames.extend(frames);
                said.news.extend(news);
                Ok(())
            }
            Err(ConversationError::Session(SessionError::Refused(reason))) if !call.restored => {
                self.restore(reason, said)
            }
            Err(ConversationError::Session(SessionError::Refused(_) | SessionError::Stalled)) => Err(Failure::HangUp),
            Err(error) => Err(Failure::Broken(format!("{error}: {error:?}"))),
        }
    }

    /// Gives the relay back what it lost.
    fn restore(&mut self, reason: Refusal, said: &mut Said) -> Result<(), Failure> {
        let (Some(space), Some(call)) = (&self.space, &mut self.call) else { return Ok(()) };
        call.restored = true;
        match reason {
            Refusal::NoMailbox => {
                let statements = space.offline().statements(&call.road);
                let statements = statements.map_err(|fault| Failure::Broken(fault.to_string()))?;
                let first = statements.first().ok_or(Failure::Broken("a road without statements".into()))?;
                said.frames.push(Message::Create { statement: first.clone().into(), token: None }.encode());
                said.restored = true;
                call.stage = Stage::Creating;
                Ok(())
            }
            Refusal::NotPermitted => self.bring(said),
            _ => Err(Failure::HangUp),
        }
    }

    fn bring(&mut self, said: &mut Said) -> Result<(), Failure> {
        let (Some(space), Some(call)) = (&self.space, &self.call) else { return Ok(()) };
        let statements = space.offline().statements(&call.road);
        let statements = statements.map_err(|fault| Failure::Broken(fault.to_string()))?;
        if let [_, later @ ..] = &statements[..]
            && !later.is_empty()
        {
            said.frames.push(Message::Access(later.iter().map(|one| one.clone().into()).collect()).encode());
        }
        self.begin(said)
    }
}

/// The mark of one of a few places, so that a database may come back to where it was, or to where a copy of it was.
pub(crate) fn some_mark(dice: &mut Dice) -> [u8; 32] {
    [dice.below(4) as u8; 32]
}

/// A row for each field of a document, with everything that concurrent edits left there.
#[derive(Debug, Clone, Copy)]
pub struct Lines;

impl Projection for Lines {
    fn version(&self) -> u32 {
        1
    }

    fn rows(&self, id: DocumentId, document: &Automerge) -> Vec<Row> {
        let mut rows = Vec::new();
        for item in document.map_range(automerge::ROOT, ..) {
            let mut value = String::new();
            for (one, object) in document.get_all(automerge::ROOT, &*item.key).unwrap_or_default() {
                match one {
                    Value::Scalar(scalar) => value.push_str(&print(&scalar)),
                    Value::Object(_) => value.push_str(&document.text(object).unwrap_or_default()),
                }
                value.push('\n');
            }
            rows.push(Row { key: [&id.0[..], item.key.as_bytes()].concat(), value: value.into_bytes() });
        }
        rows
    }
}

/// A scalar as text; of bytes, what tells them from others.
#[must_use]
pub fn print(scalar: &ScalarValue) -> String {
    match scalar {
        ScalarValue::Bytes(bytes) => {
            let sum = bytes.iter().fold(bytes.len() as u64, |sum, byte| sum.rotate_left(7) ^ u64::from(*byte));
            format!("{} bytes, {sum:016x}", bytes.len())
        }
        scalar => scalar.to_string(),
    }
}
