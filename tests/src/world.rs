//! Everything that happens, in order.

use std::collections::BTreeMap;

use rand_core::Rng;
use ties_engine::{
    Conversation, ConversationError, CreateOptions, Edit, EditError, Input as Heard, LogNews, News, Parting, Role,
    Space, WriteError,
};
use ties_net::ClosingReason;
use ties_relay::{ConnectionId, Input, Output};
use ties_sealed_log::MailboxId;
use ties_sync::Channel;

use crate::clock::Clock;
use crate::device::{Device, Failure, Lines, some_mark};
use crate::dice::Dice;
use crate::disk::{CrashingDisk, mix};
use crate::link::{LossyLink, Packet, Side, Weather};
use crate::relay::{HOST, RelayHost, new_disk, open};

/// Some devices of one space, the relay they meet at, and the links between them.
///
/// [`World::run`] lets time pass; whoever makes trouble does so in between. [`World::settle`] ends all trouble and lets
/// everybody finish.
#[derive(Debug)]
pub struct World {
    /// The time.
    pub clock: Clock,
    /// What decides everything.
    pub dice: Dice,
    /// The relay.
    pub relay: RelayHost,
    /// The devices, the founder of the space first.
    pub devices: Vec<Device>,
    /// How bad it is on the way.
    pub weather: Weather,
    /// What has happened so far.
    pub counts: Counts,
    links: BTreeMap<u64, LossyLink>,
    next_link: u64,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    relay_turn_is_due: bool,
    mailbox: MailboxId,
    trace: u64,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    /// The next packet of a link is there.
    Arrival(u64, Side),
    /// A side notices that its link is broken.
    Notice(u64, Side),
    /// A device looks at what came.
    Turn(usize),
    /// A device dials, if it is not calling.
    Dial(usize),
    /// A call must have come to something.
    Timeout(usize, u64),
    /// A device's call has waited long enough.
    Deadline(usize),
    /// A device's program starts again.
    Start(usize),
    RelayTurn,
    RelayDeadline,
    RelayStart,
}

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The machine goes on.
    Killed,
    /// The machine loses power: what was not flushed is lost, in part and in no order.
    PowerLost,
}

/// Where a disk with earlier bytes is, as far as its machine can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Where it was.
    Same,
    /// Somewhere else.
    Other,
}

/// How often things happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<&'static str, u64>);

impl Counts {
    /// One more of these.
    pub fn add(&mut self, what: &'static str) {
        self.add_many(what, 1);
    }

    /// Some more of these.
    pub fn add_many(&mut self, what: &'static str, many: u64) {
        *self.0.entry(what).or_default() += many;
    }

    /// Everything of another count too.
    pub fn join(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, many)| self.add_many(what, *many));
    }
}

/// How often in a thousand restarts the disk fails soon again, mostly while the program starts.
const FAILS_AGAIN: u64 = 200;

/// How long a relay may take to prove itself, as in the engine.
const ANSWER: u64 = 20_000;

impl World {
    /// A relay, one device that founded a space, and a road between them.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let clock = Clock::default();
        let relay = RelayHost::new(&clock, &mut dice);
        let mut world = Self {
            clock,
            dice,
            relay,
            devices: Vec::new(),
            weather: Weather::fair(),
            counts: Counts::default(),
            links: BTreeMap::new(),
            next_link: 0,
            events: BTreeMap::new(),
            next_event: 0,
            relay_turn_is_due: false,
            mailbox: MailboxId([0; 32]),
            trace: mix(seed),
        };
        world.start_relay();
        let mut device = Device::new(&world.clock, &mut world.dice);
        let environment = device.environment(&mut world.dice);
        let options = CreateOptions { device_name: "device 0".into(), recovery: world.dice.per_mille(500) };
        let (space, _) = Space::create_in(open(&device.disk).expect("a new disk"), Lines, &options, environment)
            .expect("a new disk");
        world.mailbox = space.offline().add_relay(&world.relay.address()).expect("a founder").mailbox;
        device.space = Some(space);
        world.devices.push(device);
        world.schedule(0, Event::Dial(0));
        world
    }

    /// The founder admits a new device, if it runs.
    pub fn join(&mut self) -> bool {
        let Some(host) = self.devices[0].space.clone() else { return false };
        let Some(road) = self.devices[0].road() else { return false };
        let number = self.devices.len();
        let mut device = Device::new(&self.clock, &mut self.dice);
        let environment = device.environment(&mut self.dice);
        let store = open(&device.disk).expect("a new disk");
        let role = if self.dice.per_mille(300) { Role::Admin } else { Role::Writer };
        let joined = host.offline().admit(&road, role, store, Lines, &format!("device {number}"), environment);
        drop(host);
        match joined {
            Ok(space) => device.space = Some(space),
            Err(error) => {
                self.fail(0, &error.to_string());
                return false;
            }
        }
        self.devices.push(device);
        self.counts.add("joins");
        let dial = self.dice.below(5000);
        self.schedule(dial, Event::Dial(number));
        self.look_for_changes(0);
        true
    }

    /// Milliseconds since the world began.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// What has happened, in one number: worlds of one seed are alike to the byte.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// Lets so much time pass.
    pub fn run(&mut self, time: u64) {
        let until = self.now() + time;
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= until) {
            self.clock.advance_to(entry.key().0);
            let event = entry.remove();
            self.happen(event);
        }
        self.clock.advance_to(until);
    }

    /// Ends all trouble, and runs until nobody has anything to do any more; `false` if that takes too long.
    pub fn settle(&mut self, within: u64) -> bool {
        self.weather = Weather::fair();
        self.relay.disk.recover();
        if !self.relay.is_up() {
            self.schedule(0, Event::RelayStart);
        }
        for number in 0..self.devices.len() {
            let device = &mut self.devices[number];
            device.disk.recover();
            (device.reachable, device.stays) = (true, true);
            let event = if device.is_up() { Event::Dial(number) } else { Event::Start(number) };
            self.schedule(0, event);
        }
        let until = self.now() + within;
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > until {
                return false;
            }
            self.clock.advance_to(entry.key().0);
            let event = entry.remove();
            self.happen(event);
        }
        true
    }

    /// Writes on a device, if it runs; gives what came of it if that is durable.
    pub fn write<T>(
        &mut self,
        number: usize,
        edit: impl FnOnce(&mut Edit<'_>, &mut Dice) -> Result<T, EditError>,
    ) -> Option<T> {
        let space = self.devices[number].space.clone()?;
        let dice = &mut self.dice;
        let written = space.write(|editing| edit(editing, dice));
        drop(space);
        match written {
            Ok(done) => {
                self.look_for_changes(number);
                Some(done)
            }
            Err(error @ (WriteError::Edit(_) | WriteError::Fault(_))) => {
                self.fail(number, &format!("{error}: {error:?}"));
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Ends a device's program; it starts again after so many milliseconds.
    pub fn end(&mut self, number: usize, ending: Ending, starts_again: u64) {
        self.drop_call(number);
        let fate = self.dice.rng().next_u64();
        let device = &mut self.devices[number];
        device.stop();
        self.counts.add(match ending {
            Ending::Killed => "device kills",
            Ending::PowerLost => "device power losses",
        });
        if ending == Ending::PowerLost {
            device.disk.crash(fate);
        }
        if self.dice.per_mille(FAILS_AGAIN) {
            device.disk.fail_after(self.dice.below(10));
        }
        self.schedule(starts_again, Event::Start(number));
    }

    /// Ends the relay's program; it starts again after so many milliseconds.
    pub fn end_relay(&mut self, ending: Ending, starts_again: u64) {
        let fate = self.dice.rng().next_u64();
        self.stop_relay();
        self.counts.add(match ending {
            Ending::Killed => "relay kills",
            Ending::PowerLost => "relay power losses",
        });
        if ending == Ending::PowerLost {
            self.relay.disk.crash(fate);
        }
        if self.dice.per_mille(FAILS_AGAIN) {
            self.relay.disk.fail_after(self.dice.below(10));
        }
        self.schedule(starts_again, Event::RelayStart);
    }

    /// Puts another disk into the relay: one from before, or a new one.
    pub fn replace_relay_disk(&mut self, image: Option<Vec<u8>>, starts_again: u64) {
        self.stop_relay();
        self.counts.add(if image.is_none() { "relay wipes" } else { "relay rollbacks" });
        self.relay.disk = image.map_or_else(new_disk, CrashingDisk::of);
        self.schedule(starts_again, Event::RelayStart);
    }

    /// Restores a device from a backup: onto the same disk, as whoever sets back a whole machine does, or elsewhere.
    pub fn restore(&mut self, number: usize, image: Vec<u8>, place: Place, starts_again: u64) {
        self.drop_call(number);
        self.devices[number].stop();
        self.counts.add(match place {
            Place::Same => "device rollbacks",
            Place::Other => "devices restored elsewhere",
        });
        self.devices[number].disk = CrashingDisk::of(image);
        if place == Place::Other {
            self.devices[number].mark = some_mark(&mut self.dice);
        }
        self.schedule(starts_again, Event::Start(number));
    }

    /// Starts a copy of a device, which goes on beside it; gives its number. A clone of a whole machine is in the same
    /// place as far as it can tell.
    pub fn copy(&mut self, number: usize, image: Vec<u8>, place: Place, starts: u64) -> usize {
        let mut copy = Device::new(&self.clock, &mut self.dice);
        copy.disk = CrashingDisk::of(image);
        self.counts.add(match place {
            Place::Same => "machines cloned",
            Place::Other => "folders copied",
        });
        if place == Place::Same {
            copy.mark = self.devices[number].mark;
        }
        self.devices.push(copy);
        self.schedule(starts, Event::Start(self.devices.len() - 1));
        self.devices.len() - 1
    }

    /// Two devices meet without a relay, and exchange everything; `false` if one of them does not run or fails.
    pub fn meet(&mut self, one: usize, other: usize) -> bool {
        let spaces = [one, other].map(|number| self.devices[number].space.clone());
        let ([Some(first), Some(second)], Some(road)) = (spaces, self.devices[one].road()) else { return false };
        let now = self.clock.elapsed();
        let mut sides = [first, second].map(|space| Conversation::new(&space, road.mailbox, road.relay));
        let started = sides.each_mut().map(|side| side.start(now));
        let mut failed = None;
        let mut take = |number, turn: Result<ties_engine::Turn, ConversationError>| match turn {
            Ok(turn) => turn.frames,
            Err(error) => {
                failed = failed.take().or(Some((number, format!("{error}: {error:?}"))));
                Vec::new()
            }
        };
        let [first, second] = started;
        let mut under_way = [take(one, first), take(other, second)];
        while !under_way.iter().all(Vec::is_empty) {
            let [from_one, from_other] = std::mem::take(&mut under_way);
            for ((side, number), (frames, said)) in
                sides.iter_mut().zip([one, other]).zip([from_other, from_one].iter().zip(&mut under_way))
            {
                let inputs: Vec<_> = frames.iter().map(|frame| Heard::Frame(frame)).collect();
                *said = take(number, side.handle(now, &inputs));
            }
        }
        let settled = sides.iter().all(Conversation::is_settled);
        drop(sides);
        if let Some((number, why)) = failed {
            self.fail(number, &why);
            return false;
        }
        assert!(settled, "devices {one} and {other} do not finish");
        self.counts.add("meetings without a relay");
        self.look_for_changes(one);
        self.look_for_changes(other);
        true
    }

    /// A device tells its owner what there is to tell of its logs.
    pub fn tell(&mut self, number: usize) -> Option<LogNews> {
        let news = self.devices[number].space.as_ref()?.log_news();
        match news {
            Ok(news) => {
                self.counts.add(match news? {
                    LogNews::Parted(Parting::Moved) => "told: moved",
                    LogNews::Parted(Parting::Forked) => "told: forked",
                    LogNews::Parted(Parting::Continued) => "told: continued elsewhere",
                    LogNews::Copied => "told: copied",
                });
                news
            }
            Err(fault) => {
                self.fail(number, &fault.to_string());
                None
            }
        }
    }

    /// Cuts a device off from the network, or lets it in again.
    pub fn set_reachable(&mut self, number: usize, reachable: bool) {
        self.devices[number].reachable = reachable;
        if reachable {
            self.schedule(0, Event::Dial(number));
        } else if let Some(link) = self.devices[number].link() {
            self.break_link(link);
        }
    }

    /// The links that carry something.
    #[must_use]
    pub fn whole_links(&self) -> Vec<u64> {
        self.links.iter().filter(|(_, link)| link.is_whole()).map(|(id, _)| *id).collect()
    }

    /// Breaks a link: what is under way is lost, and both sides notice at some time.
    pub fn break_link(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.is_whole()) else { return };
        let lost = link.sever();
        self.counts.add("breaks");
        self.counts.add_many("frames lost", lost as u64);
        for side in [Side::Device, Side::Relay] {
            let after = self.dice.range(self.weather.notice.clone());
            self.schedule(after, Event::Notice(id, side));
        }
    }

    /// The mailbox that all meet at.
    #[must_use]
    pub fn mailbox(&self) -> MailboxId {
        self.mailbox
    }

    /// Every device writes down how far the relay is, as it does from time to time.
    pub fn write_notes(&mut self) {
        for device in &self.devices {
            device.write_note().expect("a disk that works");
        }
    }

    fn happen(&mut self, event: Event) {
        self.note(event);
        match event {
            Event::Arrival(link, side) => self.arrive(link, side),
            Event::Notice(id, Side::Device) => {
                let Some(link) = self.links.get(&id) else { return };
                let number = link.device;
                if self.devices[number].link() == Some(id) {
                    self.devices[number].hang_up();
                    self.dial_later(number);
                }
            }
            Event::Notice(id, Side::Relay) => self.tell_relay(id, Input::Closed),
            Event::Turn(number) => {
                self.devices[number].turn_is_due = false;
                if self.devices[number].has_something_to_do() {
                    self.take_turn(number);
                }
            }
            Event::Dial(number) => self.dial(number),
            Event::Timeout(number, link) => {
                let device = &self.devices[number];
                if device.link() == Some(link) && device.is_waiting_for_an_answer() {
                    self.counts.add("answers that did not come");
                    self.hang_up(number);
                }
            }
            Event::Deadline(number) => {
                if self.devices[number].deadline().is_some_and(|due| due <= self.now()) {
                    self.take_turn(number);
                }
            }
            Event::Start(number) => {
                if !self.devices[number].is_up() {
                    match self.devices[number].start(&mut self.dice) {
                        Ok(()) => self.dial_later(number),
                        Err(failure) => {
                            self.counts.add("device crashes while starting");
                            self.fail(number, &format!("{failure:?}"));
                        }
                    }
                }
            }
            Event::RelayTurn => {
                self.relay_turn_is_due = false;
                self.take_relay_turn();
            }
            Event::RelayDeadline => {
                if self.relay.deadline().is_some_and(|due| due <= self.now()) {
                    self.take_relay_turn();
                }
            }
            Event::RelayStart => {
                if !self.relay.is_up() {
                    self.start_relay();
                }
            }
        }
    }

    fn dial(&mut self, number: usize) {
        let device = &self.devices[number];
        if !device.is_up() || device.link().is_some() || !device.reachable {
            return;
        }
        if !self.relay.is_up() || device.road().is_none() {
            return self.dial_later(number);
        }
        let id = self.next_link;
        self.next_link += 1;
        match self.devices[number].dial(id) {
            Ok(()) => {}
            Err(Failure::HangUp) => return,
            Err(Failure::Broken(why)) => return self.fail(number, &why),
        }
        self.counts.add("calls");
        self.links.insert(id, LossyLink::new(number, self.relay.incarnation));
        let channel = Channel { host: HOST.to_owned(), exporter: [0; 32] };
        self.tell_relay(id, Input::Opened { channel, since: self.relay.now(), from: None });
        self.schedule(ANSWER, Event::Timeout(number, id));
    }

    fn take_turn(&mut self, number: usize) {
        let said = match self.devices[number].turn(&mut self.dice) {
            Ok(said) => said,
            Err(Failure::HangUp) => {
                self.counts.add("calls given up");
                return self.hang_up(number);
            }
            Err(Failure::Broken(why)) => return self.fail(number, &why),
        };
        let Some(link) = self.devices[number].link() else { return };
        for news in &said.news {
            self.counts.add(match news {
                News::Received { .. } => "batches received",
                News::Acknowledged { .. } => "acknowledgements",
                News::Settled => "times settled",
                News::Refused { .. } => "refusals",
                News::Forked { .. } => "forks seen",
                News::Alert(_) => "alerts",
            });
        }
        if said.restored {
            self.counts.add("mailboxes made again");
        }
        for frame in said.frames {
            self.send(link, Side::Relay, Packet::Frame(frame));
        }
        if said.done {
            return self.hang_up(number);
        }
        self.look_for_changes(number);
        if let Some(deadline) = self.devices[number].deadline() {
            self.schedule(deadline.saturating_sub(self.now()), Event::Deadline(number));
        }
    }

    fn take_relay_turn(&mut self) {
        let outputs = match self.relay.turn() {
            Ok(outputs) => outputs,
            Err(error) => {
                assert!(self.relay.disk.has_failed(), "the relay failed: {error}");
                self.counts.add("relay crashes while writing");
                let (ending, down) = (self.some_ending(), self.dice.range(100..20_000));
                return self.end_relay(ending, down);
            }
        };
        for output in outputs {
            match output {
                Output::Send(ConnectionId(id), frame) => self.send(id, Side::Device, Packet::Frame(frame)),
                Output::Close(ConnectionId(id), reason) => {
                    let proven = self.links.get(&id).is_some_and(|link| link.proven);
                    assert!(
                        !(proven && reason == ClosingReason::Refused),
                        "the relay thinks that a device broke the protocol"
                    );
                    self.send(id, Side::Device, Packet::Goodbye);
                }
                Output::Proven(ConnectionId(id), _) => {
                    if let Some(link) = self.links.get_mut(&id) {
                        link.proven = true;
                    }
                }
                Output::Pause(..) => self.counts.add("pauses"),
            }
        }
        if let Some(deadline) = self.relay.deadline() {
            self.schedule(deadline.saturating_sub(self.now()), Event::RelayDeadline);
        }
    }

    fn arrive(&mut self, id: u64, side: Side) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let (number, packet) = (link.device, link.arrive(side));
        match (side, packet) {
            (_, None) => {}
            (Side::Relay, Some(Packet::Frame(frame))) => self.tell_relay(id, Input::Frame(frame)),
            (Side::Relay, Some(Packet::Goodbye)) => {
                self.links.remove(&id);
                self.tell_relay(id, Input::Closed);
            }
            (Side::Device, _) if self.devices[number].link() != Some(id) => {}
            (Side::Device, Some(Packet::Frame(frame))) => {
                self.devices[number].inbox.push(frame);
                self.turn_later(number);
            }
            (Side::Device, Some(Packet::Goodbye)) => self.hang_up(number),
        }
    }

    fn tell_relay(&mut self, id: u64, input: Input) {
        // A relay that was started again knows nothing of earlier links.
        let known = self.links.get(&id).is_none_or(|link| link.incarnation == self.relay.incarnation);
        if !known || !self.relay.is_up() {
            return;
        }
        self.relay.put(ConnectionId(id), input);
        if !self.relay_turn_is_due {
            self.relay_turn_is_due = true;
            let after = self.dice.range(self.weather.busy.clone());
            self.schedule(after, Event::RelayTurn);
        }
    }

    fn send(&mut self, id: u64, to: Side, packet: Packet) {
        if self.dice.per_mille(self.weather.breaks) {
            return self.break_link(id);
        }
        let now = self.now();
        let Some(link) = self.links.get_mut(&id) else { return };
        if let Packet::Frame(frame) = &packet {
            self.counts.add("frames");
            let first = frame.iter().take(64).fold(frame.len() as u64, |sum, byte| mix(sum ^ u64::from(*byte)));
            self.trace = mix(self.trace ^ first);
        }
        if let Some(arrival) = link.send(to, packet, now, &self.weather, &mut self.dice) {
            self.schedule(arrival - now, Event::Arrival(id, to));
        }
    }

    /// Ends a call in good order, and dials again after a while.
    fn hang_up(&mut self, number: usize) {
        if let Some(link) = self.devices[number].link() {
            self.devices[number].hang_up();
            self.send(link, Side::Relay, Packet::Goodbye);
        }
        self.dial_later(number);
    }

    /// Ends a call because the program ends.
    fn drop_call(&mut self, number: usize) {
        if let Some(link) = self.devices[number].link() {
            self.devices[number].hang_up();
            self.break_link(link);
        }
    }

    fn start_relay(&mut self) {
        let mut name = [0; 16];
        name.copy_from_slice(&self.dice.bytes(16));
        if let Err(error) = self.relay.start(name) {
            assert!(self.relay.disk.has_failed(), "the relay does not start: {error}: {error:?}");
            self.counts.add("relay crashes while starting");
            let (ending, down) = (self.some_ending(), self.dice.range(100..20_000));
            self.end_relay(ending, down);
        }
    }

    fn stop_relay(&mut self) {
        self.relay.disk.fail_after(0);
        self.relay.stop();
        self.relay.disk.recover();
        self.whole_links().into_iter().for_each(|link| self.break_link(link));
    }

    /// A disk that failed ends the program; anything else that fails ends the test.
    fn fail(&mut self, number: usize, why: &str) {
        assert!(self.devices[number].disk.has_failed(), "device {number} failed: {why}");
        self.counts.add("device crashes while writing");
        let (ending, down) = (self.some_ending(), self.dice.range(100..20_000));
        self.end(number, ending, down);
    }

    fn some_ending(&mut self) -> Ending {
        if self.dice.per_mille(600) { Ending::PowerLost } else { Ending::Killed }
    }

    fn look_for_changes(&mut self, number: usize) {
        if self.devices[number].has_something_to_do() {
            self.turn_later(number);
        }
    }

    fn turn_later(&mut self, number: usize) {
        if !self.devices[number].turn_is_due {
            self.devices[number].turn_is_due = true;
            let after = self.dice.range(self.weather.busy.clone());
            self.schedule(after, Event::Turn(number));
        }
    }

    fn dial_later(&mut self, number: usize) {
        let after = self.dice.range(self.weather.redial.clone());
        self.schedule(after, Event::Dial(number));
    }

    fn schedule(&mut self, after: u64, event: Event) {
        self.events.insert((self.now() + after, self.next_event), event);
        self.next_event += 1;
    }

    fn note(&mut self, event: Event) {
        let code = match event {
            Event::Arrival(link, side) => (1, link << 1 | u64::from(side == Side::Relay)),
            Event::Notice(link, side) => (2, link << 1 | u64::from(side == Side::Relay)),
            Event::Turn(number) => (3, number as u64),
            Event::Dial(number) => (4, number as u64),
            Event::Timeout(_, link) => (5, link),
            Event::Deadline(number) => (6, number as u64),
            Event::Start(number) => (7, number as u64),
            Event::RelayTurn => (8, 0),
            Event::RelayDeadline => (9, 0),
            Event::RelayStart => (10, 0),
        };
        self.trace = mix(self.trace ^ mix(self.now()) ^ mix(code.0 << 56 | code.1));
    }
}
