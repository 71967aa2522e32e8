//! `ties`: a professional network on your own devices.

use std::alloc::System;
use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// Wipes all memory that is given back: keys and people's data pass through buffers of the database, of parsers and of
/// documents that wipe nothing themselves.
#[global_allocator]
static MEMORY: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    ties_cli::run(std::env::args_os())
}
