//! The power fails, or the process is killed, at a random write of the database; afterwards everything that was
//! acknowledged is there, and of what was not, all or nothing.
//!
//! `TIES_CRASHES` says how many times (1,000 by default), `TIES_CRASH_LIFE` plays one device's life again.

#![allow(clippy::unwrap_used, reason = "tests")]

mod folder;
mod model;
mod passphrases;
mod relay;
mod removals;
mod words;

use std::collections::BTreeMap;

use ties_engine::{CreateOptions, Environment, OpenError, Space};
use ties_sealed_log::Vector;
use ties_tests::{CrashingDisk, Dice, Lines, Survivors, new_disk, open};

use crate::model::{Model, Plan};

/// Crashes in the life of one device: a fresh one begins before its log grows long.
const PER_LIFE: u64 = 25;

/// What must have happened in a thousand crashes, or they prove too little.
const KINDS: [&str; 10] = [
    "killed between two writes",
    "power lost, every write kept",
    "power lost, writes torn",
    "power lost, all unflushed writes dropped",
    "while a space was made",
    "while it was opened",
    "in a small edit",
    "in a bulk edit",
    "unacknowledged write is there whole",
    "unacknowledged write is not there",
];
const ENOUGH: u64 = 1000;

#[test]
fn a_crash_at_any_write_loses_nothing_acknowledged_and_leaves_no_half() {
    let crashes = number("TIES_CRASHES").unwrap_or(ENOUGH);
    let lives = crashes.div_ceil(PER_LIFE);
    let lives = number("TIES_CRASH_LIFE").map_or(0..lives, |life| life..life + 1);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for life in lives {
        println!("life {life}");
        let mut device = Device::new(life);
        for _ in 0..PER_LIFE {
            device.crash();
        }
        device.check_rebuilding();
        for (kind, many) in device.counts {
            *counts.entry(kind).or_default() += many;
        }
    }
    println!("{counts:#?}");
    if crashes >= ENOUGH && number("TIES_CRASH_LIFE").is_none() {
        for kind in KINDS {
            assert!(counts.contains_key(kind), "{kind}: never happened");
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// A device whose program lives from crash to crash.
struct Device {
    dice: Dice,
    disk: CrashingDisk,
    /// Whether its space was made.
    made: bool,
    /// What was acknowledged.
    model: Model,
    vector: Vector,
    counts: BTreeMap<&'static str, u64>,
}

/// What a failed write would have left.
enum Doubt {
    None,
    Creation,
    Write(Model),
}

impl Device {
    fn new(life: u64) -> Self {
        Self {
            dice: Dice::new(life),
            disk: new_disk(),
            made: false,
            model: Model::default(),
            vector: Vector::default(),
            counts: BTreeMap::new(),
        }
    }

    /// Works until the disk fails, crashes, and looks at what is left.
    fn crash(&mut self) {
        let bound = [15, 60, 300][self.dice.index(3)];
        let left = self.dice.below(bound);
        self.disk.fail_after(left);
        let doubt = self.work();
        let fate = self.dice.range(0..u64::MAX);
        if self.dice.per_mille(300) {
            self.disk.recover();
            self.count("killed between two writes");
        } else {
            let survivors = self.disk.crash(fate);
            self.count(kind(survivors));
        }
        self.check(doubt);
    }

    fn work(&mut self) -> Doubt {
        let Ok(store) = open(&self.disk) else {
            self.count("while it was opened");
            return Doubt::None;
        };
        let environment = self.environment();
        let opened = if self.made {
            Space::open_in(store, Lines, environment)
        } else {
            let options = CreateOptions { device_name: "laptop".into(), recovery: false };
            Space::create_in(store, Lines, &options, environment).map(|(space, _)| space)
        };
        let Ok(space) = opened else {
            self.count(if self.made { "while it was opened" } else { "while a space was made" });
            return if self.made { Doubt::None } else { Doubt::Creation };
        };
        self.made = true;
        self.vector = space.offline().vector().unwrap_or_else(|_| self.vector.clone());
        loop {
            let plan = Plan::roll(&mut self.dice);
            let mut model = self.model.clone();
            let written = space.write(|edit| model.carry_out(&plan, edit, &mut self.dice));
            if written.is_err() {
                assert!(self.disk.has_failed(), "a write fails on a disk that works: {written:?}");
                self.count(if plan.is_bulk() { "in a bulk edit" } else { "in a small edit" });
                return Doubt::Write(model);
            }
            self.model = model;
            self.count("writes acknowledged");
            // A disk that has failed tells nothing; what it told before has to be there still.
            if let Ok(vector) = space.offline().vector() {
                self.vector = vector;
            }
        }
    }

    /// The power may fail again while the database recovers from the last time.
    fn crash_while_recovering(&mut self) {
        self.disk.fail_after(self.dice.below(12));
        let opened = open(&self.disk);
        if opened.is_err() {
            self.count("while it was opened");
        }
        drop(opened);
        self.disk.crash(self.dice.range(0..u64::MAX));
    }

    fn check(&mut self, doubt: Doubt) {
        if self.dice.per_mille(300) {
            self.crash_while_recovering();
        }
        let store = open(&self.disk).unwrap();
        let environment = self.environment();
        let space = match Space::open_in(store, Lines, environment) {
            Ok(space) => space,
            Err(OpenError::Fault(_)) if !self.made => return,
            Err(error) => panic!("it does not open: {error:?}"),
        };
        let Ok(_) = space.id() else {
            assert!(!self.made, "the space is gone");
            return;
        };
        let vector = space.offline().vector().unwrap();
        let rows = rows(&space);
        match doubt {
            Doubt::Write(model) if rows != self.model.rows() => {
                assert_eq!(rows, model.rows(), "half of a write is there");
                assert_ne!(vector, self.vector, "a write is there without its entries");
                self.model = model;
                self.count("unacknowledged write is there whole");
            }
            Doubt::Write(_) => {
                self.count("unacknowledged write is not there");
                assert_eq!(rows, self.model.rows());
            }
            Doubt::Creation | Doubt::None => assert_eq!(rows, self.model.rows()),
        }
        for record in self.vector.records() {
            let now = vector.tips(&record.log).map(|tip| tip.seq).max();
            assert!(now >= Some(record.tip.seq), "acknowledged entries are gone");
        }
        self.vector = vector;
        self.made = true;
        let view = space.view().unwrap();
        assert_eq!(view.document_ids().unwrap(), self.model.ids(), "other documents");
        drop(view);
        drop(space);
        if self.dice.per_mille(40) {
            self.check_rebuilding();
        }
    }

    /// Documents follow from entries alone, and rows from documents; on a copy.
    fn check_rebuilding(&mut self) {
        if !self.made {
            return;
        }
        let copy = CrashingDisk::of(self.disk.image());
        let space = Space::open_in(open(&copy).unwrap(), Lines, self.environment()).unwrap();
        let before = rows(&space);
        space.rebuild_documents().unwrap();
        assert_eq!(rows(&space), before, "documents made anew are others");
        assert_eq!(space.view().unwrap().document_ids().unwrap(), self.model.ids());
        space.rebuild_rows().unwrap();
        assert_eq!(rows(&space), before, "rows made anew are others");
        self.count("times made anew");
    }

    fn environment(&mut self) -> Environment {
        Environment::new(|| 1_760_000_000_000, self.dice.generator())
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

fn kind(survivors: Survivors) -> &'static str {
    match survivors {
        Survivors { whole: 0, torn: 0, lost: 0 } => "power lost, nothing unflushed",
        Survivors { torn: 0, lost: 0, .. } => "power lost, every write kept",
        Survivors { whole: 0, torn: 0, .. } => "power lost, all unflushed writes dropped",
        Survivors { torn: 0, .. } => "power lost, some writes dropped",
        _ => "power lost, writes torn",
    }
}

fn rows(space: &Space) -> BTreeMap<Vec<u8>, Vec<u8>> {
    space.view().unwrap().rows(&[]).unwrap().map(Result::unwrap).collect()
}
