//! `ties`: a professional network on your own devices.

use std::process::ExitCode;

fn main() -> ExitCode {
    ties_cli::run(std::env::args_os())
}
