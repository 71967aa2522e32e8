//! One seed: how many devices, what they write, and everything that befalls them.

use ties_relay::Limits;
use ties_tests::{Counts, Ending, Place, Weather, World};

use crate::checks::{SOON, check};
use crate::edits::{operate, operate_at_large};
use crate::ledger::Ledger;

/// Plays a seed to its end; panics if something is not as it must be.
pub(crate) fn live(seed: u64) -> Counts {
    Story::new(World::new(seed), None).play()
}

/// Plays a seed in which devices make checkpoints after a few entries, and mostly the relay drops what lies below two of
/// them; at its end a device joins that has nothing.
pub(crate) fn live_with_checkpoints(seed: u64) -> Counts {
    let mut dice = ties_tests::Dice::new(seed ^ 0x0f10_0125);
    let limits = Limits { prunes: dice.per_mille(700), ..Limits::default() };
    let mut world = World::with_limits(seed, limits);
    world.tends = true;
    Story::new(world, Some([3, 8, 20][dice.index(3)])).play()
}

struct Story {
    world: World,
    ledger: Ledger,
    devices: usize,
    acts: u64,
    /// The longest pause between two acts.
    pace: u64,
    /// Of a thousand acts that are trouble, how many befall each.
    trouble: u64,
    writes: u64,
    /// Which device is restored from backups, if any. Were it several, they could lose what somebody else's entries
    /// build upon, and no program could help.
    restored: Option<usize>,
    backup: Option<Vec<u8>>,
    rollbacks: u64,
    /// How many of the devices are copies of others, and how many may be.
    copies: usize,
    most_copies: usize,
    relay_backup: Option<Vec<u8>>,
    /// After how many entries a device makes a checkpoint, if that is not left to the engine.
    checkpoint_after: Option<u64>,
}

/// Together with the copies, so many that a log gets no more ends than are kept.
const MOST_ROLLBACKS: u64 = 3;

impl Story {
    fn play(mut self) -> Counts {
        while self.acts > 0 {
            self.acts -= 1;
            self.act();
            let pause = self.world.dice.range(1..self.pace);
            self.world.run(pause);
        }
        while self.joined() < self.devices {
            self.join();
            self.world.run(1000);
        }
        if self.checkpoint_after.is_some() {
            self.meet_late();
        }
        check(self.world, &self.ledger)
    }

    /// When all trouble is over somebody joins who has nothing.
    fn meet_late(&mut self) {
        self.world.settle(SOON);
        self.join();
    }

    fn new(mut world: World, checkpoint_after: Option<u64>) -> Self {
        if let Some(entries) = checkpoint_after {
            ties_engine::testing::checkpoint_after(world.devices[0].space.as_ref().unwrap(), entries).unwrap();
        }
        let dice = &mut world.dice;
        // Most faults need two or three devices and a few acts; more worlds find them sooner than larger ones.
        let (devices, acts) = if dice.per_mille(100) {
            (dice.range(3..6), dice.range(30..80))
        } else {
            (dice.range(2..4), dice.range(6..26))
        };
        let (devices, pace) = (devices as usize, [2, 500, 5000, 60_000][dice.index(4)]);
        let trouble = [0, 200, 400, 650][dice.index(4)];
        let restored = dice.per_mille(450).then(|| dice.index(devices));
        let most_copies = if dice.per_mille(300) { dice.range(1..3) as usize } else { 0 };
        let weather = if dice.per_mille(150) { Weather::fair() } else { Weather::foul(dice) };
        world.weather = weather;
        Self {
            world,
            ledger: Ledger::default(),
            devices,
            acts,
            pace,
            trouble,
            writes: 0,
            restored,
            backup: None,
            rollbacks: 0,
            copies: 0,
            most_copies,
            relay_backup: None,
            checkpoint_after,
        }
    }

    fn act(&mut self) {
        if self.joined() < self.devices && self.world.dice.per_mille(300) {
            self.join();
        } else if self.copies < self.most_copies && self.world.dice.per_mille(150) {
            self.copy();
        } else if self.world.dice.per_mille(self.trouble) {
            self.make_trouble();
        } else if self.restored.is_some() && self.world.dice.per_mille(200) {
            self.go_back();
        } else {
            let number = self.some_device();
            self.write(number);
        }
    }

    fn join(&mut self) {
        if let (true, Some(entries)) = (self.world.join(), self.checkpoint_after) {
            let device = self.world.devices.last().unwrap();
            ties_engine::testing::checkpoint_after(device.space.as_ref().unwrap(), entries).unwrap();
        }
    }

    /// Devices that are no copies.
    fn joined(&self) -> usize {
        self.world.devices.len() - self.copies
    }

    /// A device's disk is copied while its program runs, as a snapshot has it, and both go on.
    fn copy(&mut self) {
        self.copies += 1;
        let number = self.some_device();
        let image = self.world.devices[number].disk.image();
        let (place, starts) = (self.some_place(), self.world.dice.range(100..60_000));
        self.world.copy(number, image, place, starts);
    }

    fn some_place(&mut self) -> Place {
        if self.world.dice.per_mille(500) { Place::Same } else { Place::Other }
    }

    fn some_device(&mut self) -> usize {
        self.world.dice.index(self.world.devices.len())
    }

    fn write(&mut self, number: usize) {
        self.writes += 1;
        let Some(space) = self.world.devices[number].space.clone() else { return };
        let before = space.offline().vector().unwrap();
        let (mark, large) = (self.writes, self.world.dice.per_mille(2));
        let done = self.world.write(number, |edit, dice| {
            if large { operate_at_large(edit, dice, mark) } else { operate(edit, dice, mark) }
        });
        let Some(done) = done else { return };
        let after = space.offline().vector().unwrap();
        let entries = |vector: &ties_sealed_log::Vector| vector.records().map(|record| record.tip.seq).sum::<u64>();
        if entries(&after) > entries(&before) + 1 {
            self.world.counts.add("operations of many entries");
        }
        self.world.counts.add("writes acknowledged");
        self.world.counts.add_many("deletions", done.deleted.len() as u64);
        self.ledger.enter(number, &before, &after, done);
        if self.world.dice.per_mille(300) {
            self.world.tell(number);
        }
    }

    fn make_trouble(&mut self) {
        let number = self.some_device();
        let down = self.world.dice.range(100..60_000);
        let ending = if self.world.dice.per_mille(600) { Ending::PowerLost } else { Ending::Killed };
        match self.world.dice.below(22) {
            0..=5 => self.break_some_link(),
            6..=8 => self.world.end(number, ending, down),
            9..=11 => {
                let operations = self.world.dice.below(80);
                self.world.devices[number].disk.fail_after(operations);
            }
            12 => self.world.end_relay(ending, down),
            13..=14 => {
                let operations = self.world.dice.below(80);
                self.world.relay.disk.fail_after(operations);
            }
            15 => self.replace_relay_disk(None, down),
            16 => {
                if let Some(image) = self.relay_backup.take() {
                    self.replace_relay_disk(Some(image), down);
                }
            }
            17 => self.relay_backup = Some(self.world.relay.disk.image()),
            18..=19 => {
                let reachable = !self.world.devices[number].reachable;
                if !reachable {
                    self.world.counts.add("times cut off");
                }
                self.world.set_reachable(number, reachable);
            }
            20 => self.world.devices[number].stays ^= true,
            _ => self.world.weather = Weather::foul(&mut self.world.dice),
        }
    }

    fn break_some_link(&mut self) {
        let links = self.world.whole_links();
        if !links.is_empty() {
            let link = links[self.world.dice.index(links.len())];
            self.world.break_link(link);
        }
    }

    fn replace_relay_disk(&mut self, image: Option<Vec<u8>>, down: u64) {
        self.world.replace_relay_disk(image, down);
        self.forgive();
    }

    /// A backup from before the last device was admitted could forget a device, and nobody would know it any more.
    fn back_up(&mut self) {
        if let Some(number) = self.restored
            && self.joined() == self.devices
        {
            self.backup = Some(self.world.devices[number].disk.image());
        }
    }

    /// Restores a backup, or makes one to be restored later.
    fn go_back(&mut self) {
        let image = self.backup.clone().filter(|_| self.world.dice.per_mille(600));
        let (Some(number), Some(image)) = (self.restored, image) else { return self.back_up() };
        if self.rollbacks < MOST_ROLLBACKS {
            self.rollbacks += 1;
            let (place, down) = (self.some_place(), self.world.dice.range(100..2000));
            self.world.restore(number, image, place, down);
            self.forgive();
            // Mostly its owner does not wait until it has heard from the others.
            self.world.run(down);
            for _ in 0..self.world.dice.below(4) {
                self.write(number);
            }
        }
    }

    fn forgive(&mut self) {
        // The mailbox is the same for all; the founder's disk has it from the beginning.
        let mailbox = self.world.mailbox();
        let lost = self.ledger.forgive(&self.world, &mailbox);
        self.world.counts.add_many("writes lost with their only copy", lost as u64);
    }
}
