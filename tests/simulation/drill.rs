//! One seed of the fork drill: a device is copied, all copies are written on, each meets somebody else first, and they go
//! on side by side.

use ties_tests::{Counts, Ending, Place, Weather, World};

use crate::checks::check;
use crate::edits::operate;
use crate::ledger::Ledger;

/// Plays a seed to its end; panics if something is not as it must be.
pub(crate) fn live(seed: u64) -> Counts {
    let mut drill = Drill::new(seed);
    drill.copy();
    drill.part();
    for _ in 0..drill.world.dice.range(4..16) {
        drill.act();
        let pause = drill.world.dice.range(1..drill.pace);
        drill.world.run(pause);
    }
    check(drill.world, &drill.ledger)
}

struct Drill {
    world: World,
    ledger: Ledger,
    /// The device that is copied, and its copies.
    same: Vec<usize>,
    /// What the device was before it was copied.
    backup: Vec<u8>,
    pace: u64,
    writes: u64,
    rollbacks: u64,
}

/// Every life of a log makes one end at most, and a log has eight.
const MOST_ROLLBACKS: u64 = 3;

impl Drill {
    /// Two or three devices that have all and know each other.
    fn new(seed: u64) -> Self {
        let mut world = World::new(!seed);
        let pace = [10, 1000, 30_000][world.dice.index(3)];
        let devices = world.dice.range(2..4) as usize;
        while world.devices.len() < devices {
            world.join();
        }
        let mut drill = Self {
            world,
            ledger: Ledger::default(),
            same: Vec::new(),
            backup: Vec::new(),
            pace,
            writes: 0,
            rollbacks: 0,
        };
        drill.world.run(60_000);
        (0..devices).for_each(|number| drill.write(number));
        drill.world.run(60_000);
        let copied = drill.world.dice.index(devices);
        drill.same.push(copied);
        drill.backup = drill.world.devices[copied].disk.image();
        if drill.world.dice.per_mille(500) {
            drill.world.weather = Weather::foul(&mut drill.world.dice);
        }
        drill
    }

    /// One to three copies, at times of a copy, at times of how the device was a while ago.
    fn copy(&mut self) {
        for _ in 0..self.world.dice.range(1..4) {
            for _ in 0..self.world.dice.below(3) {
                self.write(self.same[0]);
            }
            let of = self.same[self.world.dice.index(self.same.len())];
            let old = self.world.dice.per_mille(300);
            let image = if old { self.backup.clone() } else { self.world.devices[of].disk.image() };
            let place = self.some_place();
            self.same.push(self.world.copy(of, image, place, 0));
            self.world.run(10);
        }
    }

    /// All copies are cut off and written on; then one reaches the relay, and another a device that does not.
    fn part(&mut self) {
        for number in self.same.clone() {
            self.world.set_reachable(number, false);
            for _ in 0..self.world.dice.range(1..4) {
                self.write(number);
            }
        }
        let others: Vec<usize> = (0..self.world.devices.len()).filter(|number| !self.same.contains(number)).collect();
        let (first, second) = (self.same[0], self.same[1]);
        let other = others[self.world.dice.index(others.len())];
        self.world.set_reachable(other, false);
        let met = self.world.meet(second, other);
        self.world.set_reachable(first, true);
        self.world.run(30_000);
        if met && self.world.devices[first].is_settled() {
            self.world.counts.add("copies that met different peers first");
        }
        self.write(other);
        self.world.set_reachable(other, true);
        self.world.set_reachable(second, true);
    }

    fn act(&mut self) {
        let number = self.world.dice.index(self.world.devices.len());
        match self.world.dice.below(20) {
            0..=8 => self.write(number),
            9..=10 => {
                let other = self.world.dice.index(self.world.devices.len());
                if other != number {
                    self.world.meet(number, other);
                }
            }
            11..=13 => {
                let reachable = !self.world.devices[number].reachable;
                self.world.set_reachable(number, reachable);
            }
            14..=15 => {
                let ending = if self.world.dice.per_mille(500) { Ending::PowerLost } else { Ending::Killed };
                self.world.end(number, ending, 100);
            }
            16..=17 if self.rollbacks < MOST_ROLLBACKS => {
                // Only the first of them: were it several, they could lose what somebody else's entries build upon.
                self.rollbacks += 1;
                let (place, image) = (self.some_place(), self.backup.clone());
                self.world.restore(self.same[0], image, place, 100);
                let mailbox = self.world.mailbox();
                let lost = self.ledger.forgive(&self.world, &mailbox);
                self.world.counts.add_many("writes lost with their only copy", lost as u64);
                self.world.run(200);
                if self.world.dice.per_mille(500) {
                    self.write(self.same[0]);
                }
            }
            _ => {
                self.world.tell(number);
            }
        }
    }

    fn write(&mut self, number: usize) {
        self.writes += 1;
        let Some(space) = self.world.devices[number].space.clone() else { return };
        let before = space.offline().vector().unwrap();
        let mark = self.writes;
        let Some(done) = self.world.write(number, |edit, dice| operate(edit, dice, mark)) else { return };
        self.ledger.enter(number, &before, &space.offline().vector().unwrap(), done);
        self.world.counts.add("writes acknowledged");
    }

    fn some_place(&mut self) -> Place {
        if self.world.dice.per_mille(500) { Place::Same } else { Place::Other }
    }
}
