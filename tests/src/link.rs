//! A connection that keeps order, takes its time and breaks.

use std::collections::VecDeque;
use std::ops::Range;

use crate::dice::Dice;

/// How bad things are on the way.
#[derive(Debug, Clone)]
pub struct Weather {
    /// Milliseconds that a frame mostly takes.
    pub latency: Range<u64>,
    /// How many frames in a thousand are held up.
    pub held_up: u64,
    /// For how long.
    pub hold_up: Range<u64>,
    /// At how many frames in a thousand the link breaks.
    pub breaks: u64,
    /// After how long a side notices that its link is broken.
    pub notice: Range<u64>,
    /// How long a device waits before it dials again.
    pub redial: Range<u64>,
    /// How long frames may lie before somebody who has other things to do takes all of them at once.
    pub busy: Range<u64>,
}

impl Weather {
    /// Nothing breaks.
    #[must_use]
    pub fn fair() -> Self {
        Self { latency: 5..50, held_up: 0, hold_up: 0..1, breaks: 0, notice: 0..1000, redial: 500..5000, busy: 0..20 }
    }

    /// Bad in a way that the dice choose.
    pub fn foul(dice: &mut Dice) -> Self {
        let latest = dice.range(20..3000);
        Self {
            latency: 1..latest,
            held_up: dice.below(80),
            hold_up: 1000..dice.range(2000..90_000),
            breaks: [0, 5, 20, 60, 150][dice.index(5)],
            notice: 0..dice.range(1..60_000),
            redial: 200..dice.range(1000..30_000),
            busy: 0..dice.range(1..2000),
        }
    }
}

/// Who is at an end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Device,
    Relay,
}

#[derive(Debug)]
pub(crate) enum Packet {
    Frame(Vec<u8>),
    /// The sender is done.
    Goodbye,
}

/// One connection between a device and a relay. Each way keeps its order and its own time; when it breaks, everything
/// under way is lost.
#[derive(Debug)]
pub struct LossyLink {
    /// Which device dialled.
    pub device: usize,
    /// Which start of the relay took the call.
    pub(crate) incarnation: u64,
    pub(crate) proven: bool,
    up: Way,
    down: Way,
    broken: bool,
}

#[derive(Debug, Default)]
struct Way {
    packets: VecDeque<Packet>,
    last_arrival: u64,
}

impl LossyLink {
    pub(crate) fn new(device: usize, incarnation: u64) -> Self {
        let (up, down) = (Way::default(), Way::default());
        Self { device, incarnation, proven: false, up, down, broken: false }
    }

    /// Whether it carries anything.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.broken
    }

    /// Puts a packet on its way; gives when it arrives, unless the link is broken.
    pub(crate) fn send(
        &mut self,
        to: Side,
        packet: Packet,
        now: u64,
        weather: &Weather,
        dice: &mut Dice,
    ) -> Option<u64> {
        if self.broken {
            return None;
        }
        let mut takes = dice.range(weather.latency.clone());
        if dice.per_mille(weather.held_up) {
            takes += dice.range(weather.hold_up.clone());
        }
        let way = self.way(to);
        way.last_arrival = way.last_arrival.max(now + takes);
        way.packets.push_back(packet);
        Some(way.last_arrival)
    }

    /// The next packet for a side.
    pub(crate) fn arrive(&mut self, to: Side) -> Option<Packet> {
        self.way(to).packets.pop_front()
    }

    /// Loses everything under way, for good; gives how many packets that were.
    pub(crate) fn sever(&mut self) -> usize {
        self.broken = true;
        let lost = self.up.packets.len() + self.down.packets.len();
        self.up.packets.clear();
        self.down.packets.clear();
        lost
    }

    fn way(&mut self, to: Side) -> &mut Way {
        match to {
            Side::Device => &mut self.down,
            Side::Relay => &mut self.up,
        }
    }
}
