//! Power failures at any moment, on a disk that tears writes at its 512-byte sectors.

mod support;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use support::{Disk, History, below};
use ties_store::Sharing;

/// Rerun one seed with `TIES_SEED=<seed> cargo test -p ties-store --test crash`; try more with
/// `TIES_SEEDS=<count>`.
#[test]
fn what_was_committed_survives_and_nothing_else_half() {
    let history = History::new(400);
    let seeds = match std::env::var("TIES_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..std::env::var("TIES_SEEDS").map_or(80, |seeds| seeds.parse().unwrap())).collect(),
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
