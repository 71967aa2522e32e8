//! Bombs that a member writes: its log is read on, in little memory.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use support::chunks::{CHANGE, DEFLATED, DEFLATED_CHANGE, KEY, change, chunk, deflated, with_columns};
use support::{DOCUMENT, admit, forge_one, keys, meet, pair, peak_memory, processor_time, put};
use ties_engine::Status;
use ties_engine::testing::{Forged, forge};

const SHORT: Duration = Duration::from_secs(1);
const LITTLE: u64 = 64 << 20;

/// One test: the memory of a process is one for all of its tests.
#[test]
fn bombs_cost_one_entry_at_once_and_in_little_memory_and_their_neighbours_apply() {
    let (one, two, road) = pair();
    let zeros = deflated(400 << 20);
    assert!(zeros.len() < 450_000);
    put(&two, "before");
    let bombs = [
        forge_one(&two, |actor| change(actor, 2_000_001)),
        forge_one(&two, |_| chunk(DEFLATED_CHANGE, &zeros)),
        forge_one(&two, |actor| with_columns(actor, &[(KEY | DEFLATED, zeros.clone())])),
        forge_one(&two, |actor| [chunk(CHANGE, &[]), change(actor, 1)].concat()),
    ];
    // Each is within the bounds of a change; together they are no entry.
    let many =
        |actor| (0..60).map(|_| Forged { document: DOCUMENT, seed: false, chunk: change(actor, 99_999) }).collect();
    let together = forge(&two, many).unwrap();
    let (before, began) = (peak_memory(), processor_time());
    meet(&one, &two, &road);
    let (took, grown) = (processor_time() - began, peak_memory() - before);
    assert!(took < SHORT * 2, "{took:?} for five");
    assert!(grown < LITTLE, "{} MiB", grown >> 20);
    // A change after its own, in the same log, still counts: none of the bombs is part of any document.
    put(&two, "after");
    meet(&one, &two, &road);
    assert_eq!(keys(&one), ["after", "before"]);
    let Status { bad, set_aside, waiting, .. } = one.status().unwrap();
    assert_eq!((bad, waiting), (5, vec![]));
    for bomb in bombs.iter().chain([&together]) {
        let named = set_aside.iter().find(|one| one.name == *bomb).unwrap();
        assert_eq!(named.device.as_deref(), Some("two"));
    }
    let reasons: Vec<&str> = set_aside.iter().map(|one| one.reason.as_str()).collect();
    assert!(reasons.iter().any(|why| why.contains("operations in one change")), "{reasons:?}");
    assert!(reasons.iter().any(|why| why.contains("operations in one entry")), "{reasons:?}");
    // Whoever gets it from here sets the same entries aside.
    let three = admit(&one, &road);
    meet(&one, &three, &road);
    assert_eq!((three.status().unwrap().bad, keys(&three)), (5, keys(&one)));
}
