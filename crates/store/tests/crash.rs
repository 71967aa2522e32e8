//! Power failures at any moment, on a disk that tears writes at its 512-byte sectors.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use support::{Disk, History, below};
use ties_store::{Sharing, StoreError};

/// Rerun one seed with `TIES_SEED=<seed> cargo test -p ties-store --test crash`; try more with
/// `TIES_SEEDS=<count>`.
#[test]
fn what_was_committed_survives_and_nothing_else_half() {
    let history = History::new(400);
    let seeds = match std::env::var("TIES_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..std::env::var("TIES_SEEDS").map_or(40, |seeds| seeds.parse().unwrap())).collect(),
    };
    for seed in seeds {
        println!("seed {seed}");
        live_through_power_failures(&history, &mut ChaCha20Rng::seed_from_u64(seed));
    }
}

fn live_through_power_failures(history: &History, rng: &mut ChaCha20Rng) {
    let disk = Disk::default();
    drop(disk.open(Sharing::Exclusive).unwrap());
    let mut committed = 0;
    for _ in 0..8 {
        let sharing = if below(rng, 3) == 0 { Sharing::Exclusive } else { Sharing::Processes };
        disk.cut_power_after(below(rng, 150));
        // Opening may be interrupted too.
        if let Ok(store) = disk.open(sharing) {
            while committed < history.len() && history.write(&store, committed + 1).is_ok() {
                committed += 1;
            }
        }
        disk.crash(rng);
        let sharing = if below(rng, 3) == 0 { Sharing::Exclusive } else { Sharing::Processes };
        let store = disk.open(sharing).unwrap();
        let found = history.check_store(&store).unwrap();
        assert!(found == committed || found == committed + 1, "found {found} of {committed}");
        committed = found;
    }
}

/// A command of its own for each write, and a process that is killed while writing.
#[test]
fn a_process_may_end_at_any_write() {
    let history = History::new(60);
    for seed in 0..20 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let disk = Disk::default();
        drop(disk.open(Sharing::Processes).unwrap());
        let mut committed = 0;
        while committed < history.len() {
            let store = disk.open(Sharing::Processes).unwrap();
            let found = history.check_store(&store).unwrap();
            assert!(found == committed || found == committed + 1, "seed {seed}: found {found} of {committed}");
            committed = found;
            let killed = below(&mut rng, 2) == 0;
            if killed {
                // What a killed process has written is there for the next one; no power is lost.
                disk.cut_power_after(below(&mut rng, 40));
            }
            if committed < history.len() && history.write(&store, committed + 1).is_ok() {
                committed += 1;
            }
            drop(store);
            disk.cut_power_after(u64::MAX);
        }
    }
}

#[test]
fn a_store_goes_on_when_the_disk_works_again() {
    for sharing in [Sharing::Processes, Sharing::Exclusive] {
        let history = History::new(40);
        let disk = Disk::default();
        let store = disk.open(sharing).unwrap();
        history.write(&store, 1).unwrap();
        let mut committed = 1;
        for operations in 0..20 {
            disk.cut_power_after(operations);
            let written = history.write(&store, committed + 1);
            assert!(matches!(written, Ok(()) | Err(StoreError::Io(_) | StoreError::Open(_))), "{written:?}");
            disk.cut_power_after(u64::MAX);
            let found = history.check_store(&store).unwrap();
            assert!(found == committed && written.is_err() || found == committed + 1);
            committed = found;
        }
        assert!(committed < 20, "some of them failed");
        history.write(&store, committed + 1).unwrap();
        assert_eq!(history.check_store(&store).unwrap(), committed + 1);
    }
}

/// Flushes are what a command that writes pays for; a disk without a battery takes about a
/// millisecond for each.
#[test]
fn reading_flushes_nothing_and_writing_little() {
    let history = History::new(12);
    let disk = Disk::default();
    let store = disk.open(Sharing::Processes).unwrap();
    (1..=8).for_each(|number| history.write(&store, number).unwrap());
    drop(store);
    let flushes = |work: &dyn Fn()| {
        let before = disk.flushes();
        work();
        disk.flushes() - before
    };
    let read = || assert!(history.check_store(&disk.open(Sharing::Processes).unwrap()).unwrap() >= 8);
    assert_eq!(flushes(&read), 0);
    assert_eq!(flushes(&|| history.write(&disk.open(Sharing::Processes).unwrap(), 9).unwrap()), 4);
    assert_eq!(flushes(&read), 0);
    let store = disk.open(Sharing::Processes).unwrap();
    history.write(&store, 10).unwrap();
    assert_eq!(flushes(&|| history.write(&store, 11).unwrap()), 2);
}
