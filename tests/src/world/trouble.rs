//! What befalls machines, disks and links.

use rand_core::Rng;

use crate::device::{Device, some_mark};
use crate::disk::CrashingDisk;
use crate::link::Side;
use crate::relay::new_disk;
use crate::world::World;
use crate::world::events::Event;

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

/// How often in a thousand restarts the disk fails soon again, mostly while the program starts.
const FAILS_AGAIN: u64 = 200;

impl World {
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

    /// Cuts a device off from the network, or lets it in again.
    pub fn set_reachable(&mut self, number: usize, reachable: bool) {
        self.devices[number].reachable = reachable;
        if reachable {
            self.schedule(0, Event::Dial(number));
        } else if let Some(link) = self.devices[number].link() {
            self.break_link(link);
        }
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

    pub(super) fn start_relay(&mut self) {
        let mut name = [0; 16];
        name.copy_from_slice(&self.dice.bytes(16));
        if let Err(error) = self.relay.start(name) {
            assert!(self.relay.disk.has_failed(), "the relay does not start: {error}: {error:?}");
            self.counts.add("relay crashes while starting");
            let (ending, down) = (self.some_ending(), self.dice.range(100..20_000));
            self.end_relay(ending, down);
        }
    }

    pub(super) fn stop_relay(&mut self) {
        self.relay.disk.fail_after(0);
        self.relay.stop();
        self.relay.disk.recover();
        self.whole_links().into_iter().for_each(|link| self.break_link(link));
    }

    /// A disk that failed ends the program; anything else that fails ends the test.
    pub(super) fn fail(&mut self, number: usize, why: &str) {
        assert!(self.devices[number].disk.has_failed(), "device {number} failed: {why}");
        self.counts.add("device crashes while writing");
        let (ending, down) = (self.some_ending(), self.dice.range(100..20_000));
        self.end(number, ending, down);
    }

    pub(super) fn some_ending(&mut self) -> Ending {
        if self.dice.per_mille(600) { Ending::PowerLost } else { Ending::Killed }
    }
}
