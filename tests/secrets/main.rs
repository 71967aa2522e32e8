//! Secrets stay where they belong: not in `Debug` output, not in copies that nobody asked for, not in memory for longer
//! than they are needed.
//!
//! [`secret_types::BASIC`] names what is secret by its own account; whatever holds one of these is found in the sources.
#![allow(clippy::unwrap_used, reason = "tests")]

#[cfg(target_os = "linux")]
mod memory;
mod secret_types;
mod shown;

/// As in the program, so that what is found in memory here is what would be found there.
#[global_allocator]
static MEMORY: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);
