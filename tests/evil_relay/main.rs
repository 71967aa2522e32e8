//! A relay that lies. Some devices have it beside an honest one; it does one of seventeen things that a relay must not do, with
//! restarts and restores in between. Nobody takes what no device of the space wrote, each lie is named, and all devices end
//! equal once the relay is honest, or is never seen again.
//!
//! Each seed is a world of its own, its number modulo 17 is its lie. `TIES_EVIL_SEEDS` says how many to play (510 by default, thirty for each lie),
//! `TIES_EVIL_SEED` plays one and tells what happened in it. A long run:
//!
//! ```text
//! TIES_EVIL_SEEDS=10000 nice cargo test --release -p ties-tests --test evil_relay -- --nocapture
//! ```

#![allow(clippy::unwrap_used, reason = "tests")]

mod phone;
mod relay;
mod story;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use relay::Lie;
use ties_engine::AlertKind;
use ties_tests::Counts;

const ENOUGH: u64 = 510;

#[test]
fn every_lie_is_named_and_nothing_comes_of_it() {
    if let Some(seed) = number("TIES_EVIL_SEED") {
        println!("{:#?}", story::live(seed));
        return;
    }
    let seeds = number("TIES_EVIL_SEEDS").unwrap_or(ENOUGH);
    let (next, total, failed) = (AtomicU64::new(0), Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    let play = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || failed.lock().unwrap().len() >= 20 {
                break;
            }
            match catch_unwind(AssertUnwindSafe(|| story::live(seed))) {
                Ok(counts) => total.lock().unwrap().join(&counts),
                Err(panic) => failed.lock().unwrap().push((seed, message(&*panic))),
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(play)));
    });
    let (total, mut failed) = (total.into_inner().unwrap(), failed.into_inner().unwrap());
    println!("{seeds} seeds: {total:#?}");
    failed.sort();
    for (seed, why) in &failed {
        println!("seed {seed}: {why}");
        println!("    TIES_EVIL_SEED={seed} cargo test -p ties-tests --test evil_relay -- --nocapture");
    }
    assert!(failed.is_empty(), "{} of {seeds} seeds failed; see above for the commands that play them", failed.len());
    if seeds >= ENOUGH {
        let lies = Lie::ALL.iter().map(|lie| lie.name());
        let alerts = AlertKind::ALL.iter().map(|kind| kind.name());
        let events = ["restarts", "restores", "relays that repent", "relays never seen again", "calls that failed"];
        let never: Vec<_> = lies.chain(alerts).chain(events).filter(|what| !total.0.contains_key(what)).collect();
        assert!(never.is_empty(), "never happened: {never:?}");
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
