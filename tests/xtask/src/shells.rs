//! Real shells complete the words of ties. Those that are not installed are skipped, loudly.

use std::env;
use std::process::Command;

use crate::{cargo, root, step};

pub(crate) fn run() -> Result<(), String> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |given| root().join(given));
    if !Command::new("python3").arg("--version").output().is_ok_and(|ran| ran.status.success()) {
        println!("!! SKIPPED: completion in shells, because there is no python3 to type at them");
        return Ok(());
    }
    step("programs", cargo(["build", "--quiet", "--bins", "--examples", "--workspace"]))?;
    let mut script = Command::new("python3");
    script.arg(root().join("tests/interop/shells.py")).arg(target.join("debug/ties"));
    step("completion, in bash, zsh and fish", script)
}
