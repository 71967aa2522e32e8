//! The project's tasks: `cargo xtask test` is what CI runs, `cargo xtask interop` lets other programs read what this
//! one writes.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

mod bench;
mod hosts;
mod interop;
mod shells;

const USAGE: &str = "\
cargo xtask test       formatting, lints, documentation, dependencies, every test; needs only what cargo fetches
cargo xtask interop    other programs read what ties writes, and the reverse; installs them under target/interop. Devices and
                       relays on a network made of namespaces, where the machine allows that
cargo xtask bench [NAME...] [--against FILE] [--large]
                       what people wait for and what a relay bears; figures go to target/bench, to compare two runs";

fn main() -> ExitCode {
    let task = env::args().nth(1);
    let done = match task.as_deref() {
        Some("test") => test(),
        Some("bench") => bench::run(&env::args().skip(2).collect::<Vec<_>>()),
        Some("interop") => interop::run().and_then(|()| shells::run()).and_then(|()| hosts::run()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<(), String> {
    step("formatting", cargo(["fmt", "--all", "--check"]))?;
    step("lints", cargo(["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]))?;
    let mut documentation = cargo(["doc", "--workspace", "--no-deps", "--quiet"]);
    documentation.env("RUSTDOCFLAGS", "--deny warnings");
    step("documentation", documentation)?;
    the_relay_knows_no_content()?;
    no_fault_is_shipped()?;
    // The command-line tests and the end-to-end tests run this binary; cargo builds it for its own package alone.
    step("binaries", cargo(["build", "--quiet", "--bins", "--examples", "--workspace"]))?;
    step("tests", cargo(["test", "--workspace", "--quiet"]))
}

/// The compiler cannot say this, the dependency tree can: nothing that reads content is part of the relay.
fn the_relay_knows_no_content() -> Result<(), String> {
    let tree = output(cargo(["tree", "--package", "ties-relay", "--edges", "normal", "--prefix", "none"]))?;
    let forbidden = ["ties-engine", "ties-model", "ties-book", "automerge"];
    match tree.lines().find(|line| forbidden.iter().any(|name| line.split(' ').next() == Some(name))) {
        None => Ok(()),
        Some(line) => Err(format!("the relay depends on {line}")),
    }
}

/// Points at which a drill kills the programs are in builds of tests alone (and never without debug assertions).
fn no_fault_is_shipped() -> Result<(), String> {
    for package in ["ties-cli", "ties-relay"] {
        let words = ["tree", "--package", package, "--edges", "normal,features", "--prefix", "none"];
        let tree = output(cargo(words))?;
        if !tree.lines().any(|line| line.starts_with("ties-fault ")) {
            return Err(format!("{package} has no points at which it can be killed, or they are called otherwise"));
        }
        if let Some(line) = tree.lines().find(|line| line.starts_with("ties-fault ") && line.contains("armed")) {
            return Err(format!("{package} is built with {line}"));
        }
    }
    Ok(())
}

fn cargo<const N: usize>(words: [&str; N]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words).current_dir(root());
    command
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map_or_else(|| here.to_owned(), Path::to_owned)
}

fn step(name: &str, mut command: Command) -> Result<(), String> {
    println!("== {name}");
    let began = Instant::now();
    let status = command.status().map_err(|error| format!("{name}: {error}"))?;
    println!("== {name}: {:.1} s", began.elapsed().as_secs_f64());
    if status.success() { Ok(()) } else { Err(format!("{name} failed ({status})")) }
}

fn output(mut command: Command) -> Result<String, String> {
    let ran = command.output().map_err(|error| error.to_string())?;
    if !ran.status.success() {
        let program = Path::new(command.get_program()).file_name().map(OsStr::to_string_lossy);
        return Err(format!("{}: {}", program.unwrap_or_default(), String::from_utf8_lossy(&ran.stderr)));
    }
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
}
