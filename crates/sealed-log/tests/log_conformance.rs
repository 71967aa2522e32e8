//! The memory log does what every log must.

use ties_sealed_log::{MemoryLog, conformance};

#[test]
fn the_memory_log_does_what_every_log_must() {
    conformance::check(MemoryLog::default);
}
