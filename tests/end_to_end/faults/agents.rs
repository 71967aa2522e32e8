//! An agent that dies while it sends, receives and makes checkpoints.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{COMMITS, Drill, Point, begin, drill, is_sound, newest};
use crate::support::{Device, World};

/// So many commits of an agent are died at, before and after.
const COMMITTED: u32 = 6;

#[test]
fn what_commands_wrote_is_sent_by_the_next_agent_wherever_one_dies() {
    let world = World::new();
    let (laptop, phone, _relay) = world.pair();
    let mut names = Vec::new();
    let making = Point::ALL.iter().filter(|point| drill(**point) == Drill::Making).map(|point| point.name().to_owned());
    let commits = COMMITS.iter().flat_map(|point| (1..=COMMITTED).map(|passage| format!("{}:{passage}", point.name())));
    for at in making.chain(commits) {
        let before = newest(&laptop)["since"].clone();
        live_until_killed(&laptop, &at, &mut names);
        is_sound(&laptop, &names, &at);
        phone.run(&["new", &format!("By phone before {at}")]).ok();
        names.push(format!("By phone before {at}"));
        phone.sync();

        let again = begin(&laptop, &["agent", "start", "--foreground"], "", None, Some(1));
        again.line("keeps this device in sync");
        until(&at, || {
            phone.sync();
            let arrived = phone.names().len() == names.len() && laptop.names().len() == names.len();
            arrived && newest(&laptop)["since"] != before
        });
        laptop.run(&["agent", "stop"]).ok();
        again.finish().ok();
        is_sound(&laptop, &names, &at);
        is_sound(&phone, &names, &at);
    }
}

/// Lets an agent work until it is killed, with commands giving it work.
#[track_caller]
fn live_until_killed(laptop: &Device, at: &str, names: &mut Vec<String>) {
    let mut agent = begin(laptop, &["agent", "start", "--foreground"], "", Some(at), Some(1));
    let mut written = 0;
    until(at, || {
        let name = format!("Person {written} before {at}");
        laptop.run(&["new", &name]).ok();
        names.push(name);
        written += 1;
        let began = Instant::now();
        while !agent.has_ended() && began.elapsed() < Duration::from_millis(500) {
            sleep(Duration::from_millis(5));
        }
        agent.has_ended()
    });
    let ran = agent.finish();
    assert!(super::was_killed(&ran, at), "{ran}");
}

/// Waits until something is so.
#[track_caller]
fn until(at: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "after {at}");
    }
}
