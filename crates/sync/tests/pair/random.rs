//! Seeded runs: anything may happen, and in the end all are equal.
//!
//! A failure prints its seed; `TIES_SYNC_SEED=<seed> cargo test -p ties-sync --test pair random` replays it.
//! `TIES_SYNC_RUNS=<count>` runs more of them.

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_sealed_log::conformance::Scribe;
use ties_sealed_log::{Appended, Entry, Log, LogId, MemoryLog};

use crate::replica::MemoryReplica;
use crate::world::{Weather, World};

const RUNS: u64 = 150;

#[test]
fn whatever_is_written_forked_broken_and_lost_all_replicas_end_equal() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse().ok());
    if let Some(seed) = number("TIES_SYNC_SEED") {
        run(seed);
        return;
    }
    for seed in 0..number("TIES_SYNC_RUNS").unwrap_or(RUNS) {
        if std::panic::catch_unwind(|| run(seed)).is_err() {
            panic!("seed {seed}; replay: TIES_SYNC_SEED={seed} cargo test -p ties-sync --test pair random");
        }
    }
}

/// The logs that are written, and everything that was, so that no log gets more branches than are kept.
struct Authors {
    scribes: Vec<Scribe>,
    written: BTreeMap<LogId, Vec<Entry>>,
    all: MemoryLog,
}

impl Authors {
    /// An entry that a replica could write: mostly after a tip that it has, at times after anything it has, which is
    /// how a copy of a device that was set back goes on.
    fn write(&mut self, world: &mut World, replica: usize) -> Option<Entry> {
        let scribe = world.below(self.scribes.len() as u64) as usize;
        let log = self.scribes[scribe].log();
        let held = world.replicas[replica].after(&log, 0, usize::MAX).unwrap();
        let tips = world.replicas[replica].tips(&log).unwrap();
        let before = if world.below(8) == 0 && !held.is_empty() {
            Some(held[world.below(held.len() as u64) as usize].clone())
        } else {
            let at = world.below(tips.len().max(1) as u64) as usize;
            tips.get(at).and_then(|tip| held.iter().find(|entry| entry.name() == tip.name)).cloned()
        };
        // A log is begun by one replica alone: two beginnings would need a key in two places.
        if before.is_none() && self.written.contains_key(&log) && world.below(20) > 0 {
            return None;
        }
        let entry = self.scribes[scribe].write(before.as_ref(), 0);
        if self.all.append(&entry).unwrap() == Appended::Full {
            return None;
        }
        self.written.entry(log).or_default().push(entry.clone());
        Some(entry)
    }
}

fn run(seed: u64) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let replicas = 2 + (seed % 3) as usize;
    let mut world = World::new(vec![MemoryReplica::default(); replicas]);
    std::mem::swap(&mut world.rng, &mut rng);
    world.weather = Weather { breaks: [0, 6, 30][(seed / 3 % 3) as usize], crashes: [0, 25][(seed / 9 % 2) as usize] };
    for number in 1..replicas {
        // A line, a star or a tree; and at times a second way round.
        let other = world.below(number as u64) as usize;
        world.join(other, number);
    }
    if replicas > 2 && world.below(2) == 0 {
        world.join(0, replicas - 1);
    }
    let scribes = (0..1 + world.below(4)).map(|number| Scribe::new(seed * 100 + number)).collect();
    let mut authors = Authors { scribes, written: BTreeMap::new(), all: MemoryLog::default() };
    for _ in 0..60 {
        for _ in 0..world.below(4) {
            world.step();
            world.acknowledged_is_there();
        }
        let replica = world.below(replicas as u64) as usize;
        if let Some(entry) = authors.write(&mut world, replica) {
            world.write(replica, &entry);
        }
        if world.below(40) == 0 {
            world.break_link(0);
        }
    }
    world.weather = Weather::default();
    world.settle();
    for entry in authors.written.values().flatten() {
        let names = world.replicas[0].names(&entry.log(), entry.seq()).unwrap();
        assert!(names.contains(&entry.name()), "{entry:?} is lost");
    }
}
