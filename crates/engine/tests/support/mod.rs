//! Two devices that talk without a relay, and changes made by hand.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub, reason = "tests")]

pub mod chunks;
pub mod world;

use std::time::Duration;

use automerge::transaction::Transactable;
use automerge::{ROOT, ReadDoc};
use ties_engine::testing::{Forged, forge};
use ties_engine::{Conversation, CreateOptions, DocumentId, EditError, Environment, Input, Road, Role, Space, Turn};
use ties_store::Store;

pub const DOCUMENT: DocumentId = DocumentId([7; 16]);

/// A relay's address that nobody dials.
pub fn address() -> String {
    let relay = ties_sealed_log::RelaySecret::from_secret(&ties_sealed_log::Secret::new([7; 32])).id();
    ties_engine::RelayAddress::new(ties_net::Scheme::Loopback, "127.0.0.1", 7700, relay).unwrap().to_string()
}

/// Lets two devices talk until both have the same, as they would through a relay; each takes all that came in one turn.
pub fn meet(one: &Space, other: &Space, road: &Road) {
    let mut sides = [one, other].map(|space| Conversation::new(space, road.mailbox, road.relay));
    let mut under_way = sides.each_mut().map(|side| side.start(Duration::ZERO).unwrap().frames);
    while !under_way.iter().all(Vec::is_empty) {
        let [from_one, from_other] = std::mem::take(&mut under_way);
        for (side, (frames, said)) in sides.iter_mut().zip([from_other, from_one].iter().zip(&mut under_way)) {
            let inputs: Vec<_> = frames.iter().map(|frame| Input::Frame(frame)).collect();
            let Turn { frames, .. } = side.handle(Duration::ZERO, &inputs).unwrap();
            *said = frames;
        }
    }
    assert!(sides.iter().all(Conversation::is_settled));
}

/// The most memory this process ever had; 0 where the system does not tell.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

/// How long this process has had a processor: what another program takes meanwhile says nothing about ours.
pub fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may hold anything; after its parenthesis fields are numbered from 3.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(14) + ticks(15)) * 10)
}

/// A device and a hostile member, who met.
pub fn pair() -> (Space, Space, Road) {
    let options = CreateOptions { device_name: "one".into(), recovery: false };
    let (one, _) = Space::create_in(Store::in_memory().unwrap(), (), &options, Environment::system()).unwrap();
    let road = one.offline().add_relay(&address()).unwrap();
    let two = admit(&one, &road);
    meet(&one, &two, &road);
    (one, two, road)
}

pub fn admit(host: &Space, road: &Road) -> Space {
    let store = Store::in_memory().unwrap();
    host.offline().admit(road, Role::Writer, store, (), "two", Environment::system()).unwrap()
}

pub fn put(space: &Space, key: &str) {
    space.write(|edit| edit.change(DOCUMENT, |tx| tx.put(ROOT, key, true).map_err(EditError::from))).unwrap();
}

pub fn keys(space: &Space) -> Vec<String> {
    space.read(DOCUMENT, |document| document.keys(ROOT).collect()).unwrap().unwrap_or_default()
}

pub fn forge_one(space: &Space, make: impl FnOnce([u8; 16]) -> Vec<u8>) -> ties_engine::EntryName {
    forge(space, |actor| vec![Forged { document: DOCUMENT, seed: false, chunk: make(actor) }]).unwrap()
}
