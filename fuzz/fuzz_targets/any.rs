//! Fuzzes one of the targets of `tests/fuzz/targets`, the one that `TIES_FUZZ` names: one program to build, not twenty.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/fuzz/targets/mod.rs"]
mod targets;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("TIES_FUZZ").unwrap_or_default();
        let found = targets::TARGETS.iter().find(|(known, _)| *known == name);
        let names: Vec<_> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
        let (_, target) = found.unwrap_or_else(|| panic!("TIES_FUZZ is none of {names:?}"));
        let _ = TARGET.set(*target);
    },
    |bytes: &[u8]| (TARGET.get().expect("init has run"))(bytes)
);
