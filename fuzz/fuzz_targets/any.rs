//! Fuzzes one of the targets of `tests/fuzz/targets`, the one that `TIES_FUZZ` names: one program to build, not twenty.
#![no_main]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock};

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/fuzz/targets/mod.rs"]
mod targets;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();
/// What the last panic said.
static LAST: Mutex<String> = Mutex::new(String::new());

fuzz_target!(
    init: {
        let name = std::env::var("TIES_FUZZ").unwrap_or_default();
        let found = targets::TARGETS.iter().find(|(known, _)| *known == name);
        let names: Vec<_> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
        let (_, target) = found.unwrap_or_else(|| panic!("TIES_FUZZ is none of {names:?}"));
        let _ = TARGET.set(*target);
        // Automerge panics over some hostile changes, and the engine catches that: only what nobody catches is a finding.
        // libFuzzer's own hook would end the process at either.
        std::panic::set_hook(Box::new(|panic| *LAST.lock().expect("nothing panics here") = panic.to_string()));
    },
    |bytes: &[u8]| {
        let target = TARGET.get().expect("init has run");
        if catch_unwind(AssertUnwindSafe(|| target(bytes))).is_err() {
            eprintln!("a panic that nobody catches: {}", LAST.lock().expect("nothing panics here"));
            std::process::abort();
        }
    }
);
