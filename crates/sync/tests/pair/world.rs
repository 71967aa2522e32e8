//! Replicas, the links between them, and one clock that stands still until it is moved.

use std::collections::VecDeque;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use ties_sealed_log::{AccessStatement, Entry, Log, TipRecord};
use ties_sync::{Event, Input, MAX_FRAME, Message, Output, Session, SessionError, WINDOW};

use crate::replica::MemoryReplica;

pub(crate) const SUBJECT: [u8; 32] = [9; 32];

/// Any number of replicas and links. Frames of one link stay in order, as on TCP; a link that breaks loses what is
/// under way, and comes back a second later with two fresh sessions.
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) replicas: Vec<MemoryReplica>,
    pub(crate) links: Vec<Link>,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) weather: Weather,
}

/// What may go wrong, each as one frame in so many; 0 is never.
#[derive(Clone, Copy, Default)]
pub(crate) struct Weather {
    pub(crate) breaks: u64,
    /// A replica dies before what it did with a frame is durable.
    pub(crate) crashes: u64,
}

pub(crate) struct Link {
    pub(crate) ends: [End; 2],
    latency: Duration,
    /// When it comes back, while it is down.
    down: Option<Duration>,
    /// Breaks when this many more frames were delivered.
    pub(crate) breaks_in: Option<usize>,
    pub(crate) delivered: usize,
}

pub(crate) struct End {
    pub(crate) replica: usize,
    pub(crate) session: Session,
    /// Frames on their way to the other end, with their time of arrival.
    wire: VecDeque<(Duration, Vec<u8>)>,
    /// Everything that was ever sent from here.
    pub(crate) sent: Vec<Message>,
    pub(crate) bytes: usize,
    pub(crate) events: Vec<Event>,
    /// What the other side said is durable there, over all sessions.
    pub(crate) acknowledged: Vec<TipRecord>,
    in_flight: usize,
    pub(crate) most_in_flight: usize,
}

impl End {
    fn new(replica: usize) -> Self {
        Self {
            replica,
            session: Session::new(SUBJECT),
            wire: VecDeque::new(),
            sent: Vec::new(),
            bytes: 0,
            events: Vec::new(),
            acknowledged: Vec::new(),
            in_flight: 0,
            most_in_flight: 0,
        }
    }

    pub(crate) fn count(&self, kind: fn(&Message) -> bool) -> usize {
        self.sent.iter().filter(|message| kind(message)).count()
    }

    /// How many entries were sent from here.
    pub(crate) fn entries(&self) -> usize {
        let count = |message: &Message| if let Message::Entries(entries) = message { entries.len() } else { 0 };
        self.sent.iter().map(count).sum()
    }
}

impl World {
    pub(crate) fn new(replicas: Vec<MemoryReplica>) -> Self {
        let rng = ChaCha20Rng::seed_from_u64(0);
        Self { now: Duration::ZERO, replicas, links: Vec::new(), rng, weather: Weather::default() }
    }

    /// Two replicas and the link between them, not yet begun.
    pub(crate) fn pair(left: MemoryReplica, right: MemoryReplica) -> Self {
        let mut world = Self::new(vec![left, right]);
        world.join(0, 1);
        world
    }

    pub(crate) fn join(&mut self, left: usize, right: usize) -> usize {
        let latency = Duration::from_millis(1 + self.below(200));
        let ends = [End::new(left), End::new(right)];
        self.links.push(Link { ends, latency, down: Some(self.now), breaks_in: None, delivered: 0 });
        self.links.len() - 1
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        bound > 0 && self.below(bound) == 0
    }

    /// Writes an entry at a replica and tells its sessions.
    pub(crate) fn write(&mut self, replica: usize, entry: &Entry) {
        self.replicas[replica].write(entry);
        self.tell(replica, None);
    }

    /// Adds an access statement at a replica and tells its sessions.
    pub(crate) fn state(&mut self, replica: usize, statement: AccessStatement) {
        assert!(self.replicas[replica].list().add(statement).unwrap(), "a new statement");
        self.tell(replica, None);
    }

    /// Moves the clock until nothing is under way.
    pub(crate) fn run(&mut self) -> &mut Self {
        while self.step() {}
        self
    }

    /// Runs, and holds everybody to being settled and equal.
    pub(crate) fn settle(&mut self) -> &mut Self {
        self.run();
        for (number, link) in self.links.iter().enumerate() {
            for (side, end) in link.ends.iter().enumerate() {
                assert!(
                    end.session.is_settled(),
                    "link {number} side {side} is idle and not settled: {:?}",
                    end.session
                );
                assert_eq!(end.session.deadline(), None, "who is settled waits for nothing");
            }
        }
        self.equal();
        self
    }

    pub(crate) fn equal(&self) {
        let first = &self.replicas[0];
        for (number, replica) in self.replicas.iter().enumerate().skip(1) {
            let (one, other) = (first.vector().unwrap(), replica.vector().unwrap());
            assert_eq!(one, other, "replicas 0 and {number} have the same tips");
            for log in one.logs() {
                assert_eq!(first.entries(&log), replica.entries(&log), "replicas 0 and {number}, {log:?}");
            }
        }
        self.acknowledged_is_there();
    }

    /// Whatever a side was told is durable on the other, is there.
    pub(crate) fn acknowledged_is_there(&self) {
        for link in &self.links {
            for side in 0..2 {
                let other = &self.replicas[link.ends[1 - side].replica];
                for record in &link.ends[side].acknowledged {
                    assert!(other.holds(&record.log, &record.tip), "{record:?} was acknowledged and is lost");
                }
            }
        }
    }

    /// Does whatever comes next; false when nothing is under way.
    pub(crate) fn step(&mut self) -> bool {
        let Some((at, link, side)) = self.next() else { return false };
        self.now = self.now.max(at);
        if self.links[link].down.is_some() {
            self.connect(link);
            return true;
        }
        let Some((_, frame)) = self.links[link].ends[side].wire.pop_front() else { return false };
        let breaks = self.links[link].breaks_in == Some(0) || self.one_in(self.weather.breaks);
        if breaks {
            self.break_link(link);
            return true;
        }
        self.links[link].breaks_in = self.links[link].breaks_in.map(|left| left - 1);
        self.links[link].delivered += 1;
        self.deliver(link, 1 - side, &frame);
        true
    }

    fn next(&self) -> Option<(Duration, usize, usize)> {
        let each = self.links.iter().enumerate().flat_map(|(number, link)| {
            let arrival = |side: usize| link.ends[side].wire.front().map(|(at, _)| *at);
            (0..2).filter_map(move |side| Some((link.down.or_else(|| arrival(side))?, number, side)))
        });
        each.min()
    }

    pub(crate) fn break_link(&mut self, link: usize) {
        let link = &mut self.links[link];
        link.breaks_in = None;
        link.down = Some(self.now + Duration::from_secs(1));
        link.ends.iter_mut().for_each(|end| end.wire.clear());
    }

    fn connect(&mut self, link: usize) {
        self.links[link].down = None;
        for side in 0..2 {
            let end = &mut self.links[link].ends[side];
            end.session = Session::new(SUBJECT);
            end.in_flight = 0;
            let replica = end.replica;
            let out = self.links[link].ends[side].session.start(self.now, &self.replicas[replica]).unwrap();
            self.act(link, side, out);
        }
    }

    fn deliver(&mut self, link: usize, side: usize, frame: &[u8]) {
        let number = self.links[link].ends[side].replica;
        let before = self.replicas[number].clone();
        let end = &mut self.links[link].ends[side];
        if let Ok(Message::Ack { credit, .. }) = Message::decode(frame) {
            end.in_flight -= credit as usize;
        }
        let handled = end.session.handle(self.now, Input::Frame(frame), &mut self.replicas[number]);
        let out = handled.unwrap_or_else(|error| panic!("link {link} side {side}: {error}"));
        if self.one_in(self.weather.crashes) {
            self.crash(number, before);
            return;
        }
        let changed = before.mark() != self.replicas[number].mark();
        let staged = out.iter().find_map(|output| match output {
            Output::Event(Event::Checkpoint { record, .. }) => Some(record.clone()),
            _ => None,
        });
        self.act(link, side, out);
        if let Some(record) = staged {
            self.replicas[number].load(&record);
            self.tell(number, None);
        } else if changed {
            self.tell(number, Some((link, side)));
        }
    }

    /// What was not durable is lost, and nothing of it was sent; all links of the replica break.
    fn crash(&mut self, number: usize, before: MemoryReplica) {
        self.replicas[number] = before;
        for link in 0..self.links.len() {
            if self.links[link].ends.iter().any(|end| end.replica == number) && self.links[link].down.is_none() {
                self.break_link(link);
            }
        }
    }

    /// Tells the sessions of a replica that it changed.
    pub(crate) fn tell(&mut self, replica: usize, but: Option<(usize, usize)>) {
        for link in 0..self.links.len() {
            for side in 0..2 {
                let at = &mut self.links[link];
                if at.ends[side].replica != replica || at.down.is_some() || but == Some((link, side)) {
                    continue;
                }
                let out = at.ends[side].session.handle(self.now, Input::Changed, &mut self.replicas[replica]).unwrap();
                self.act(link, side, out);
            }
        }
    }

    fn act(&mut self, link: usize, side: usize, out: Vec<Output>) {
        let arrival = self.now + self.links[link].latency;
        let end = &mut self.links[link].ends[side];
        for output in out {
            match output {
                Output::Send(frame) => {
                    assert!(frame.len() <= MAX_FRAME, "a frame of {} bytes", frame.len());
                    let message = Message::decode(&frame).unwrap();
                    if let Message::Entries(entries) | Message::Chunks(entries) = &message {
                        end.in_flight += entries.iter().map(|entry| entry.len()).sum::<usize>();
                        assert!(end.in_flight <= WINDOW as usize, "{} bytes are in flight", end.in_flight);
                        end.most_in_flight = end.most_in_flight.max(end.in_flight);
                    }
                    end.bytes += frame.len();
                    end.sent.push(message);
                    end.wire.push_back((arrival, frame));
                }
                Output::Event(event) => {
                    if let Event::Acknowledged { tips, .. } = &event {
                        end.acknowledged.extend(tips);
                    }
                    end.events.push(event);
                }
            }
        }
    }

    /// Moves the clock to a session's deadline; what it says there.
    pub(crate) fn tick(
        &mut self,
        link: usize,
        side: usize,
    ) -> Result<Vec<Output>, SessionError<std::convert::Infallible>> {
        let end = &mut self.links[link].ends[side];
        self.now = end.session.deadline().expect("it waits for something");
        end.session.handle(self.now, Input::Tick, &mut self.replicas[end.replica])
    }

    /// Forgets what was counted so far.
    pub(crate) fn count_anew(&mut self) {
        for end in self.links.iter_mut().flat_map(|link| &mut link.ends) {
            end.sent.clear();
            end.events.clear();
            end.bytes = 0;
        }
    }
}
