//! One seed: some devices, an honest relay, a hostile one with its lie, and everything that befalls them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::OnceLock;
use std::time::Duration;

use automerge::Automerge;
use ties_engine::{AlertKind, CreateOptions, Road, Role, Space};
use ties_sealed_log::{Entry, EntryName, Log};
use ties_store::{Read, Store, Table};
use ties_tests::{Clock, Counts, CrashingDisk, Dice, Lines, new_disk, open};

use crate::phone::{Calling, Phone, Said, environment};
use crate::relay::{Down, Host, Lie};

/// Which of the two relays.
const EVIL: usize = 0;
const HONEST: usize = 1;

const DAY: u64 = 25 * 60 * 60 * 1000;

/// More frames than any meeting needs.
const MOST_STEPS: usize = 20_000;

pub(crate) struct Story {
    dice: Dice,
    clock: Clock,
    phones: Vec<Phone>,
    relays: [Host; 2],
    roads: [Road; 2],
    counts: Counts,
    lie: Lie,
    /// The names of all entries that a device of the space wrote.
    written: BTreeSet<EntryName>,
    next_call: u64,
    next_mark: u64,
    restored: Option<usize>,
    backup: Option<(Vec<u8>, usize)>,
    /// What the hostile relay was accused of by now.
    accused: BTreeSet<AlertKind>,
}

/// Plays a seed to its end; panics if something is not as it must be.
pub(crate) fn live(seed: u64) -> Counts {
    let mut story = Story::new(seed);
    story.begin();
    story.be_lied_to();
    story.must_notice();
    story.end_well();
    story.counts
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let clock = Clock::default();
        let lie = Lie::ALL[(seed % Lie::ALL.len() as u64) as usize];
        let mut relays = [Host::new(&mut dice), Host::new(&mut dice)];
        relays[EVIL].foreign = strangers().to_vec();
        let options = CreateOptions { device_name: "phone 0".into(), recovery: false };
        let disk = new_disk();
        let from = environment(&clock, &mut dice);
        let (space, _) = Space::create_in(open(&disk).unwrap(), Lines, &options, from).unwrap();
        let roads = [EVIL, HONEST].map(|relay| space.offline().add_relay(&relays[relay].address()).unwrap());
        let phones = vec![Phone::new(disk, space, &clock)];
        let (written, counts) = (BTreeSet::new(), Counts::default());
        let mut story = Self {
            dice,
            clock,
            phones,
            relays,
            roads,
            counts,
            lie,
            written,
            next_call: 1,
            next_mark: 0,
            restored: None,
            backup: None,
            accused: BTreeSet::new(),
        };
        story.wrote(0);
        story
    }

    /// Everybody joins, and everybody has everything, at both relays.
    fn begin(&mut self) {
        let few = if self.lie == Lie::Hide { 3 } else { 2 };
        let many = if self.dice.per_mille(250) { self.dice.range(few..6) } else { self.dice.range(few..4) } as usize;
        while self.phones.len() < many {
            let number = self.phones.len();
            let disk = new_disk();
            let from = environment(&self.clock, &mut self.dice);
            let role = if self.dice.per_mille(300) { Role::Admin } else { Role::Writer };
            let host = self.phones[0].space().offline();
            let store = open(&disk).unwrap();
            let space = host.admit(&self.roads[HONEST], role, store, Lines, &format!("phone {number}"), from).unwrap();
            self.phones.push(Phone::new(disk, space, &self.clock));
            self.wrote(0);
            self.wrote(number);
            self.meet_one(0, HONEST);
            self.meet_one(number, HONEST);
        }
        for _ in 0..2 {
            (0..many).for_each(|phone| self.write(phone));
            self.meet_everybody(HONEST);
            self.meet_everybody(HONEST);
            self.meet_everybody(EVIL);
            self.meet_everybody(EVIL);
        }
        for (number, phone) in self.phones.iter().enumerate() {
            assert_eq!(phone.alerts(&self.roads[EVIL]), BTreeSet::new(), "phone {number} accuses an honest relay");
        }
        self.relays[EVIL].old = Some(self.relays[EVIL].truth.clone());
        self.restored = self.dice.per_mille(300).then(|| self.dice.index(many));
    }

    /// The relay lies for a while, and life goes on.
    fn be_lied_to(&mut self) {
        self.relays[EVIL].lie = Some(self.lie);
        let owner = self.dice.index(self.phones.len());
        self.hide(owner);
        for _ in 0..self.dice.range(3..14) {
            let phone = self.dice.index(self.phones.len());
            match self.dice.below(20) {
                0..=7 => self.write(phone),
                8..=12 => {
                    let some = (0..self.phones.len()).filter(|_| self.dice.per_mille(600)).collect();
                    let cut = self.dice.per_mille(250).then(|| self.dice.index(40));
                    self.meet(some, EVIL, cut);
                }
                13 | 14 => self.meet_one(phone, HONEST),
                15 => {
                    self.counts.add("restarts");
                    self.phones[phone].restart(None, &mut self.dice);
                }
                16 => {
                    self.backup =
                        self.restored.map(|phone| (self.phones[phone].disk.image(), self.phones[phone].marks.len()))
                }
                17 | 18 => self.restore(),
                _ => {
                    let time = self.dice.range(1000..DAY);
                    self.pass(time);
                }
            }
        }
    }

    /// What follows is enough for every lie to be seen.
    fn must_notice(&mut self) {
        if self.lie == Lie::Hide {
            self.miss_what_others_build_upon();
        } else {
            self.hear_from_elsewhere();
        }
        let accused = std::mem::take(&mut self.accused);
        for kind in &accused {
            self.counts.add(kind.name());
        }
        let expected = expected(self.lie);
        let seen = expected.is_empty() || expected.iter().any(|kind| accused.contains(kind));
        assert!(seen, "{:?} was not noticed: {accused:?}", self.lie);
        if matches!(self.lie, Lie::Delay | Lie::Duplicate) {
            assert_eq!(accused, BTreeSet::new(), "{:?} harms nobody", self.lie);
        }
    }

    /// All write, meet at the hostile relay, hear of one another at the other, and meet at the hostile one again.
    fn hear_from_elsewhere(&mut self) {
        let everybody = 0..self.phones.len();
        everybody.clone().for_each(|phone| self.write(phone));
        (0..2).for_each(|_| self.meet_everybody(EVIL));
        self.pass(DAY);
        if self.lie == Lie::Fork {
            // A device that wrote nothing since its last receipts has none to write, and these may be from before the lie.
            everybody.clone().for_each(|phone| self.write(phone));
        }
        (0..2).for_each(|_| self.meet_everybody(HONEST));
        if self.lie == Lie::RollBack {
            self.roll_back();
        }
        // What is dropped while all are there at once was never announced, and three sessions in a row must show it.
        for _ in 0..if self.lie == Lie::Drop { 4 } else { 3 } {
            everybody.clone().for_each(|phone| (0..3).for_each(|_| self.write(phone)));
            self.meet_everybody(EVIL);
            if self.lie == Lie::NeverAck {
                self.meet_everybody(EVIL);
            }
        }
    }

    /// One writes, another builds upon it, and a third hears of it at the hostile relay alone.
    fn miss_what_others_build_upon(&mut self) {
        self.meet_everybody(HONEST);
        self.meet_everybody(HONEST);
        self.meet_everybody(EVIL);
        self.hide(0);
        self.write(0);
        self.meet_one(0, HONEST);
        self.meet_one(1, HONEST);
        self.write(1);
        self.meet_one(1, EVIL);
        (0..2).for_each(|_| self.meet_one(2, EVIL));
    }

    /// Hides what a phone writes from now on.
    fn hide(&mut self, owner: usize) {
        let space = self.phones[owner].space();
        let before = space.offline().vector().unwrap();
        self.write(owner);
        let after = self.phones[owner].vector();
        let log = after.logs().find(|log| !before.tips(log).eq(after.tips(log))).expect("it wrote");
        let last = before.tips(&log).map(|tip| tip.seq).max().unwrap_or(0);
        self.relays[EVIL].hidden = Some((log, last, owner));
    }

    fn roll_back(&mut self) {
        if let Some(old) = self.relays[EVIL].old.clone() {
            self.relays[EVIL].truth = old;
            self.counts.add(Lie::RollBack.name());
        }
    }

    fn restore(&mut self) {
        let (Some(phone), Some((image, marks))) = (self.restored, self.backup.take()) else { return };
        self.counts.add("restores");
        self.phones[phone].restart(Some(image), &mut self.dice);
        // What it wrote since may be nowhere else.
        self.phones[phone].marks.truncate(marks);
        self.wrote(phone);
    }

    /// The relay tells the truth from now on, or is never seen again; everybody gets everything.
    fn end_well(&mut self) {
        let repents = self.dice.per_mille(500);
        self.relays[EVIL].repent();
        self.counts.add(if repents { "relays that repent" } else { "relays never seen again" });
        let mut rounds = 0;
        while !self.are_equal() {
            rounds += 1;
            assert!(rounds <= 8, "they do not converge");
            self.pass(1000);
            self.meet_everybody(if repents { EVIL } else { HONEST });
        }
        if repents {
            // Nothing is left to say of a relay that was honest for a whole session, in which it confirmed something.
            (0..self.phones.len()).for_each(|phone| self.write(phone));
            for _ in 0..3 {
                self.meet_everybody(EVIL);
            }
            for (number, phone) in self.phones.iter().enumerate() {
                assert_eq!(phone.alerts(&self.roads[EVIL]), BTreeSet::new(), "phone {number} bears a grudge");
            }
        }
        self.check();
    }

    fn are_equal(&self) -> bool {
        let first = self.phones[0].vector();
        self.phones.iter().all(|phone| phone.vector() == first)
    }

    fn check(&mut self) {
        let first = Contents::of(&self.phones[0]);
        for (number, phone) in self.phones.iter().enumerate() {
            let status = phone.space().status().unwrap();
            assert_eq!(status.waiting, [], "entries wait at phone {number}");
            assert_eq!(status.bad, 0, "entries were refused at phone {number}");
            let contents = Contents::of(phone);
            assert_eq!(contents.heads, first.heads, "phone {number} has other documents");
            assert_eq!(contents.rows, first.rows, "phone {number} has other rows");
            let forged: Vec<_> = phone.entries().difference(&self.written).copied().collect();
            assert_eq!(forged, [], "phone {number} has entries that nobody wrote");
        }
        for (id, mark) in self.phones.iter().flat_map(|phone| &phone.marks) {
            let key = [&id.0[..], mark.as_bytes()].concat();
            assert!(first.rows.contains_key(&key), "{mark} is lost");
        }
        self.counts.add_many("entries", self.written.len() as u64);
    }

    fn write(&mut self, phone: usize) {
        self.next_mark += 1;
        self.phones[phone].write(&mut self.dice, self.next_mark);
        self.counts.add("writes");
        self.wrote(phone);
    }

    /// Notes that what is new at a phone was written there.
    fn wrote(&mut self, phone: usize) {
        let phone = &mut self.phones[phone];
        self.written.extend(phone.news(&phone.looked));
        phone.looked = phone.vector();
    }

    /// What came over the wire was written by somebody.
    fn heard(&mut self, phone: usize) {
        let phone = &mut self.phones[phone];
        let forged: Vec<_> = phone.news(&phone.looked).difference(&self.written).copied().collect();
        assert_eq!(forged, [], "entries that nobody wrote");
        phone.looked = phone.vector();
    }

    fn pass(&mut self, time: u64) {
        self.clock.advance_to(self.clock.now() + time);
    }

    fn meet_one(&mut self, phone: usize, relay: usize) {
        self.meet(vec![phone], relay, None);
    }

    fn meet_everybody(&mut self, relay: usize) {
        let mut phones: Vec<usize> = (0..self.phones.len()).collect();
        if self.dice.per_mille(500) {
            phones.reverse();
        }
        if self.dice.per_mille(300) {
            return self.meet(phones, relay, None);
        }
        phones.into_iter().for_each(|phone| self.meet_one(phone, relay));
    }

    /// Lets phones meet at a relay at the same time, until they have nothing to say, or for so many frames.
    fn meet(&mut self, phones: Vec<usize>, relay: usize, cut: Option<usize>) {
        let mut meeting = Meeting::default();
        for phone in phones {
            let road = self.roads[relay].clone();
            self.phones[phone].space().offline().tidy(&road).unwrap();
            self.wrote(phone);
            let id = self.next_call;
            self.next_call += 1;
            let said = self.relays[relay].open(id, phone, road.mailbox, &mut self.counts);
            let calling = Calling::new(phone, road, &self.clock);
            meeting.calls.insert(id, (calling, VecDeque::from(said), VecDeque::new()));
        }
        for step in 0.. {
            assert!(step < MOST_STEPS, "they talk for ever");
            if cut.is_some_and(|cut| step >= cut) || !self.step(&mut meeting, relay) {
                break;
            }
        }
        for id in meeting.calls.keys().copied().collect::<Vec<_>>() {
            self.hang_up(&mut meeting, id, relay);
        }
    }

    /// Carries one frame, or lets the time pass; `false` when nothing is to be done any more.
    fn step(&mut self, meeting: &mut Meeting, relay: usize) -> bool {
        let busy: Vec<u64> = meeting
            .calls
            .iter()
            .filter(|(_, call)| !call.1.is_empty() || !call.2.is_empty())
            .map(|(id, _)| *id)
            .collect();
        if busy.is_empty() {
            return self.wait(meeting, relay);
        }
        let id = busy[self.dice.index(busy.len())];
        let Some((calling, down, up)) = meeting.calls.get_mut(&id) else { return false };
        let to_phone = up.is_empty() || (!down.is_empty() && self.dice.per_mille(500));
        if !to_phone {
            let frame = up.pop_front().unwrap_or_default();
            let sent = self.relays[relay].hear(id, frame, &mut self.dice, &mut self.counts);
            meeting.deliver(sent);
            return true;
        }
        match down.pop_front() {
            Some(Down::Frame(frame)) => {
                if self.lie == Lie::Delay && relay == EVIL {
                    self.clock.advance_to(self.clock.now() + 5000);
                }
                let space = self.phones[calling.phone].space();
                let said = calling.turn(space, Some(&frame), &self.clock, &mut self.dice);
                self.said(meeting, id, said, relay);
            }
            Some(Down::Goodbye) | None => self.hang_up(meeting, id, relay),
        }
        true
    }

    /// Nobody says anything: those that still wait for something do so to the end.
    fn wait(&mut self, meeting: &mut Meeting, relay: usize) -> bool {
        let next = meeting.calls.iter().map(|(id, (calling, ..))| (calling.deadline(), *id)).min();
        let Some((deadline, id)) = next.filter(|(deadline, _)| *deadline < Duration::MAX) else { return false };
        self.clock.advance_to(u64::try_from(deadline.as_millis()).unwrap() + 1);
        let Some((calling, ..)) = meeting.calls.get_mut(&id) else { return false };
        let said = calling.turn(self.phones[calling.phone].space(), None, &self.clock, &mut self.dice);
        self.said(meeting, id, said, relay);
        true
    }

    fn said(&mut self, meeting: &mut Meeting, id: u64, said: Said, relay: usize) {
        self.counts.add_many("alerts told", said.alerts.len() as u64);
        assert!(relay == EVIL || said.alerts.is_empty(), "the other relay is honest: {:?}", said.alerts);
        self.accused.extend(said.alerts);
        self.counts.add_many("times settled", u64::from(said.settled));
        if let Some((.., up)) = meeting.calls.get_mut(&id) {
            up.extend(said.frames);
        }
        if let Some(why) = said.over {
            self.counts.add("calls that failed");
            assert!(relay == EVIL, "a call to the honest relay failed: {why:?}");
            if let Some((calling, ..)) = meeting.calls.get(&id) {
                self.accused.extend(self.phones[calling.phone].alerts(&self.roads[relay]));
            }
            self.hang_up(meeting, id, relay);
        }
    }

    fn hang_up(&mut self, meeting: &mut Meeting, id: u64, relay: usize) {
        if let Some((calling, ..)) = meeting.calls.remove(&id) {
            self.heard(calling.phone);
            let sent = self.relays[relay].close(id, &mut self.counts);
            meeting.deliver(sent);
        }
    }
}

/// A call, with what is on its way down and up.
type Call = (Calling, VecDeque<Down>, VecDeque<Vec<u8>>);

#[derive(Default)]
struct Meeting {
    calls: BTreeMap<u64, Call>,
}

impl Meeting {
    fn deliver(&mut self, sent: Vec<(u64, Down)>) {
        for (id, down) in sent {
            if let Some((_, queue, _)) = self.calls.get_mut(&id) {
                queue.push_back(down);
            }
        }
    }
}

/// One of these must be raised.
fn expected(lie: Lie) -> &'static [AlertKind] {
    use AlertKind::{Disordered, Forked, Invalid, RolledBack, Unconfirmed, Unfulfilled, Withheld};
    match lie {
        // An echo claims no more than everybody knows, and so cannot be told from the truth.
        Lie::Delay | Lie::Duplicate | Lie::Echo => &[],
        Lie::Drop | Lie::Promise => &[Unfulfilled],
        Lie::Swallow | Lie::NeverAck => &[Unconfirmed],
        Lie::Forget | Lie::Replay | Lie::RollBack | Lie::Truncate => &[RolledBack],
        Lie::Reorder => &[Disordered],
        Lie::Fork => &[Forked],
        Lie::Hide => &[Withheld],
        Lie::Swap | Lie::WrongIds | Lie::Corrupt => &[Invalid],
    }
}

/// Entries of another space.
fn strangers() -> &'static [Entry] {
    static ENTRIES: OnceLock<Vec<Entry>> = OnceLock::new();
    ENTRIES.get_or_init(|| {
        let store = Store::in_memory().unwrap();
        let mut dice = Dice::new(u64::MAX);
        let options = CreateOptions { device_name: "stranger".into(), recovery: false };
        let from = environment(&Clock::default(), &mut dice);
        let disk = CrashingDisk::default();
        drop(store);
        let (space, _) = Space::create_in(open(&disk).unwrap(), Lines, &options, from).unwrap();
        let mut stranger = Phone::new(disk, space, &Clock::default());
        (0..3).for_each(|number| stranger.write(&mut dice, number));
        let store = open(&stranger.disk).unwrap();
        let snapshot = store.read().unwrap();
        let log = snapshot.log(0);
        let logs: Vec<_> = log.vector().unwrap().logs().collect();
        logs.iter().flat_map(|id| log.after(id, 0, usize::MAX).unwrap()).collect()
    })
}

/// What must be the same on all devices.
struct Contents {
    heads: BTreeMap<[u8; 16], Vec<automerge::ChangeHash>>,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Contents {
    fn of(phone: &Phone) -> Self {
        let store = open(&phone.disk).unwrap();
        let snapshot = store.read().unwrap();
        let mut heads = BTreeMap::new();
        for id in snapshot.document_ids().unwrap() {
            let mut its = Automerge::load(&snapshot.document(&id).unwrap().unwrap()).unwrap().get_heads();
            its.sort();
            heads.insert(id, its);
        }
        Self { heads, rows: snapshot.pairs(Table::ROWS, b"").unwrap().into_iter().collect() }
    }
}
