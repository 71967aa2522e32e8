//! Devices and relays as hosts of a network that the drill makes for itself. Where that is forbidden it is skipped, loudly.

use std::env;
use std::process::Command;

use crate::{cargo, root, step};

pub(crate) fn run() -> Result<(), String> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |given| root().join(given));
    if !Command::new("python3").arg("--version").output().is_ok_and(|ran| ran.status.success()) {
        println!("!! SKIPPED: no hosts in network namespaces, because there is no python3 to drive them");
        return Ok(());
    }
    step("programs", cargo(["build", "--quiet", "--bins", "--examples", "--workspace"]))?;
    let mut script = Command::new("python3");
    script
        .arg(root().join("tests/interop/hosts.py"))
        .args(["ties", "ties-relay"].map(|name| target.join("debug").join(name)));
    step("hosts of one network", script)
}
