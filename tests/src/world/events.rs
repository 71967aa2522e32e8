//! What happens as time passes, one thing after another.

use std::ops::Range;

use ties_engine::News;
use ties_net::ClosingReason;
use ties_relay::{ConnectionId, Input, Output};
use ties_sync::Channel;

use crate::device::Failure;
use crate::disk::mix;
use crate::link::{LossyLink, Packet, Side};
use crate::relay::HOST;
use crate::world::World;
use crate::world::frames::tell;

#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
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
    /// A device that was at rest for a while looks after its checkpoints.
    Tend(usize),
    /// A device's program starts again.
    Start(usize),
    RelayTurn,
    RelayDeadline,
    RelayStart,
}

/// How long a device is at rest before it looks after its checkpoints; see the engine's watcher.
const REST: Range<u64> = 2_000..60_000;

/// How long a relay may take to prove itself, as in the engine.
const ANSWER: u64 = 20_000;

impl World {
    pub(super) fn happen(&mut self, event: Event) {
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
            Event::Tend(number) => self.tend(number),
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

    /// Looks over the checkpoints that came, and makes one if it is time.
    fn tend(&mut self, number: usize) {
        self.devices[number].tending_is_due = false;
        let Some(space) = self.devices[number].space.clone() else { return };
        let tended = match self.devices[number].road() {
            Some(road) => space.offline().tidy(&road).and_then(|()| space.tend_checkpoints()),
            None => Ok(false),
        };
        drop(space);
        match tended {
            Ok(news) => {
                if news {
                    self.counts.add("checkpoints made or signed");
                }
                self.look_for_changes(number);
            }
            Err(fault) => self.fail(number, &format!("{fault}: {fault:?}")),
        }
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
        if self.tends && said.news.contains(&News::Settled) && !self.devices[number].tending_is_due {
            self.devices[number].tending_is_due = true;
            let after = self.dice.range(REST);
            self.schedule(after, Event::Tend(number));
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
            tell(now, link.device, to, frame);
            let first = frame.iter().take(64).fold(frame.len() as u64, |sum, byte| mix(sum ^ u64::from(*byte)));
            self.trace = mix(self.trace ^ first);
        }
        if let Some(arrival) = link.send(to, packet, now, &self.weather, &mut self.dice) {
            self.schedule(arrival - now, Event::Arrival(id, to));
        }
    }

    /// Ends a call in good order, and dials again after a while.
    pub(super) fn hang_up(&mut self, number: usize) {
        if let Some(link) = self.devices[number].link() {
            self.devices[number].hang_up();
            self.send(link, Side::Relay, Packet::Goodbye);
        }
        self.dial_later(number);
    }

    /// Ends a call because the program ends.
    pub(super) fn drop_call(&mut self, number: usize) {
        if let Some(link) = self.devices[number].link() {
            self.devices[number].hang_up();
            self.break_link(link);
        }
    }

    pub(super) fn look_for_changes(&mut self, number: usize) {
        if self.devices[number].has_something_to_do() {
            self.turn_later(number);
        }
    }

    pub(super) fn turn_later(&mut self, number: usize) {
        if !self.devices[number].turn_is_due {
            self.devices[number].turn_is_due = true;
            let after = self.dice.range(self.weather.busy.clone());
            self.schedule(after, Event::Turn(number));
        }
    }

    pub(super) fn dial_later(&mut self, number: usize) {
        let after = self.dice.range(self.weather.redial.clone());
        self.schedule(after, Event::Dial(number));
    }

    pub(super) fn schedule(&mut self, after: u64, event: Event) {
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
            Event::Tend(number) => (11, number as u64),
        };
        self.trace = mix(self.trace ^ mix(self.now()) ^ mix(code.0 << 56 | code.1));
    }
}
