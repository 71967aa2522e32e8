//! Other programs read what this one writes, and this one reads what they write.
//!
//! They come from PyPI into the target folder. A machine without Python or without the registry skips them, loudly.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{cargo, output, root, step};

const PACKAGES: [&str; 3] = ["cryptography==50.0.2", "vobject==0.9.9", "khard==0.22.0"];

pub(crate) fn run() -> Result<(), String> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |given| root().join(given));
    let folder = target.join("interop");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let python = match python(&folder) {
        Ok(python) => python,
        Err(reason) => {
            println!("!! SKIPPED: no outside reader ran, because {reason}");
            return Ok(());
        }
    };
    let mut reader = Command::new(&python);
    reader.arg("-B").arg(root().join("tests/vectors/read.py")).arg(root().join("crates/sealed-log/tests/vectors"));
    step("sealed logs, with a reader written from FORMAT.md", reader)?;
    step("programs", cargo(["build", "--quiet", "--bins", "--examples", "--workspace"]))?;
    let mut script = Command::new(python);
    script.arg(root().join("tests/interop/vcards.py"));
    script.args([target.join("debug/ties"), target.join("debug/examples/sample"), corpus()?]);
    step("vCards, with vobject and khard", script)
}

/// The folder of cards from many programs that comes with the `calcard` crate.
fn corpus() -> Result<PathBuf, String> {
    let rustc = output({
        let mut rustc = Command::new("rustc");
        rustc.arg("-vV");
        rustc
    })?;
    // Without the platform cargo would want the packages of all others too.
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
    let metadata = output(cargo(["metadata", "--format-version", "1", "--filter-platform", host]))?;
    let mut manifests = metadata.split("\"manifest_path\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let manifest = manifests.find(|path| path.contains("/calcard-")).ok_or("the crate calcard is not there")?;
    Ok(Path::new(manifest).with_file_name("resources").join("vcard"))
}

/// A Python of its own with the packages, made once.
fn python(folder: &Path) -> Result<PathBuf, String> {
    let python = folder.join("venv/bin/python");
    let ready = folder.join("venv/ready");
    if fs::read_to_string(&ready).is_ok_and(|have| have == PACKAGES.join(" ")) {
        return Ok(python);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(folder.join("venv"));
    output(make)?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    output(install)?;
    fs::write(ready, PACKAGES.join(" ")).map_err(|error| error.to_string())?;
    Ok(python)
}
