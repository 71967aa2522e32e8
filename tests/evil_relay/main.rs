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

use relay::Lie;
use ties_engine::AlertKind;
use ties_tests::Seeds;

const ENOUGH: u64 = 510;

/// 1386: a device that wrote nothing after its last receipts had none to write. 4162: receipts for a log that had just ended
/// stood in the next one, and an honest relay was accused.
#[test]
fn seeds_that_once_failed() {
    for seed in [1386, 4162] {
        drop(story::live(seed));
    }
}

#[test]
fn every_lie_is_named_and_nothing_comes_of_it() {
    let seeds = Seeds { prefix: "TIES_EVIL", usual: ENOUGH, test: "--test evil_relay -- --nocapture" };
    let Some((_, total)) = seeds.play(&story::live) else { return };
    let lies = Lie::ALL.iter().map(|lie| lie.name());
    let alerts = AlertKind::ALL.iter().map(|kind| kind.name());
    let events = ["restarts", "restores", "relays that repent", "relays never seen again", "calls that failed"];
    let never: Vec<_> = lies.chain(alerts).chain(events).filter(|what| !total.0.contains_key(what)).collect();
    assert!(never.is_empty(), "never happened: {never:?}");
}
