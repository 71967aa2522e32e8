//! Small changes that grow without bound where they are believed: refused at once, in little memory.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::time::Duration;

use automerge::Automerge;
use support::chunks::{DEFLATED, DEFLATED_CHANGE, DOCUMENT, KEY, change, chunk, deflated, with_columns};
use support::{peak_memory, processor_time};
use ties_engine::testing::{Verdict, take_change};

const ACTOR: [u8; 16] = [7; 16];
const SHORT: Duration = Duration::from_secs(1);
const LITTLE: u64 = 64 << 20;

/// One test: the memory of a process is one for all of its tests.
#[test]
fn bombs_are_refused_at_once_in_little_memory() {
    // The rule is about size alone: the same change with three operations is taken.
    assert_eq!(take(&change(ACTOR, 3)), Verdict::Taken { operations: 3 });
    let many = change(ACTOR, 2_000_001);
    assert!(many.len() < 120, "{} bytes", many.len());
    let zeros = deflated(400 << 20);
    assert!(zeros.len() < 450_000, "{} bytes", zeros.len());
    let bombs = [
        ("two million operations", many),
        ("a deflated change", chunk(DEFLATED_CHANGE, &zeros)),
        ("a document", chunk(DOCUMENT, &zeros)),
        ("a change with a deflated column", with_columns(ACTOR, &[(KEY | DEFLATED, zeros)])),
    ];
    for (what, bomb) in bombs {
        let (before, began) = (peak_memory(), processor_time());
        assert_eq!(take(&bomb), Verdict::Refused, "{what}");
        let took = processor_time() - began;
        assert!(took < SHORT, "{what} took {took:?}");
        let grown = peak_memory() - before;
        assert!(grown < LITTLE, "{what} took {} MiB", grown >> 20);
    }
}

fn take(chunk: &[u8]) -> Verdict {
    take_change(&mut Automerge::new(), chunk, Some(ACTOR))
}
