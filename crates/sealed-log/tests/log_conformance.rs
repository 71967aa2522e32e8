//! The memory log does what every log must.

use ties_sealed_log::{MemoryLog, conformance};

#[test]
fn the_memory_log_does_what_every_log_must() {
    conformance::check(MemoryLog::default);
}

#[test]
fn the_memory_log_is_cut_short_as_every_log_must_be() {
    for (name, case) in conformance::pruning_cases() {
        println!("conformance: {name}");
        case(&mut MemoryLog::default());
    }
}
