//! Everything that happens, in order.

use std::collections::BTreeMap;

use ties_engine::{
    Conversation, ConversationError, CreateOptions, Edit, EditError, Input, LogNews, Parting, Role, Space, WriteError,
};
use ties_relay::Limits;
use ties_sealed_log::MailboxId;

use crate::clock::Clock;
use crate::device::{Device, Lines};
use crate::dice::Dice;
use crate::disk::mix;
use crate::link::{LossyLink, Weather};
use crate::relay::{RelayHost, open};
use crate::world::events::Event;

mod counts;
mod events;
mod frames;
mod trouble;

pub use counts::Counts;
pub use trouble::{Ending, Place};

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
    /// Whether devices look after checkpoints when they have been at rest for a while, as they do outside.
    pub tends: bool,
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

impl World {
    /// A relay, one device that founded a space, and a road between them.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_limits(seed, Limits::default())
    }

    /// The same with a relay that has these bounds.
    #[must_use]
    pub fn with_limits(seed: u64, limits: Limits) -> Self {
        let mut dice = Dice::new(seed);
        let clock = Clock::default();
        let relay = RelayHost::new(&clock, &mut dice, limits);
        let mut world = Self {
            clock,
            dice,
            relay,
            devices: Vec::new(),
            weather: Weather::fair(),
            tends: false,
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
        space.set_prunes(true);
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
            Ok(space) => {
                space.set_prunes(true);
                device.space = Some(space);
            }
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
                let inputs: Vec<_> = frames.iter().map(|frame| Input::Frame(frame)).collect();
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

    /// A device did something behind the world's back; it may have news for others.
    pub fn poke(&mut self, number: usize) {
        self.look_for_changes(number);
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

    /// The links that carry something.
    #[must_use]
    pub fn whole_links(&self) -> Vec<u64> {
        self.links.iter().filter(|(_, link)| link.is_whole()).map(|(id, _)| *id).collect()
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
}
