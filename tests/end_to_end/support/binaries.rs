//! The programs under test: those that cargo built beside this test, or builds now.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The path of the program `ties`.
pub(super) fn ties() -> PathBuf {
    built().join(format!("ties{}", env::consts::EXE_SUFFIX))
}

/// The path of the program `ties-relay`.
pub(super) fn ties_relay() -> PathBuf {
    built().join(format!("ties-relay{}", env::consts::EXE_SUFFIX))
}

/// The program `ties` with points at which it can be killed.
pub(super) fn mortal_ties() -> &'static str {
    env!("CARGO_BIN_EXE_ties-mortal")
}

/// The program `ties-relay` with such points.
pub(super) fn mortal_relay() -> &'static str {
    env!("CARGO_BIN_EXE_ties-relay-mortal")
}

/// The folder of the programs, which are up to date once this returns.
fn built() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = env::current_exe().expect("a path of this test");
        // target/<profile>/deps/<this test>
        let folder = test.ancestors().nth(2).expect("a target folder").to_owned();
        // A build replaces programs that other tests may just be starting, so it happens only if it must.
        if !["ties", "ties-relay"].iter().all(|name| is_fresh(&folder, name)) {
            build(&folder);
        }
        folder
    })
}

/// Whether a program is newer than everything it was made of, by the list that cargo leaves beside it.
fn is_fresh(folder: &Path, name: &str) -> bool {
    let built = modified(&folder.join(format!("{name}{}", env::consts::EXE_SUFFIX)));
    let sources = fs::read_to_string(folder.join(format!("{name}.d"))).unwrap_or_default();
    let Some((_, sources)) = sources.split_once(": ") else { return false };
    // A space inside a path is written with a backslash before it.
    let sources = sources.trim_end().replace("\\ ", "\0");
    let mut sources = sources.split(' ').map(|path| PathBuf::from(path.replace('\0', " ")));
    sources.all(|source| modified(&source).is_some_and(|source| built.is_some_and(|built| source <= built)))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|about| about.modified()).ok()
}

fn build(folder: &Path) {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let target = folder.parent().expect("a target folder");
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", "ties-cli", "--package", "ties-relay", "--bins"])
        .args(["--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("a started cargo");
    assert!(status.success(), "the programs do not build");
}
