//! The relay's process.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use ties_net::RelayAddress;

/// A running relay in a folder of its own; both go when this is dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: RelayAddress,
    data: TempDir,
}

impl Server {
    /// Starts an open relay at a free port.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with limits of its own, each as `NAME=VALUE`.
    pub(crate) fn start_with(limits: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut process = Command::new(program())
            .args(["--listen", "127.0.0.1:0", "--open"])
            // All of it comes from one address here.
            .args(["--limit", "mailboxes-per-address=100000"])
            .args(limits.iter().flat_map(|limit| ["--limit", limit]))
            .arg("--data")
            .arg(data.path().join("relay"))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .env("RUST_LOG", "warn")
            .spawn()
            .expect("a started relay");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let address = line.trim_end().strip_prefix("ready ").expect("a relay that is ready").parse();
        Self { process, address: address.expect("an address"), data }
    }

    /// Where it keeps everything.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Bytes of memory that it has now.
    pub(crate) fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("Linux's /proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line about memory");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
    }

    /// The same once it has come to rest.
    pub(crate) async fn resident_when_quiet(&self) -> f64 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.resident()
    }

    /// Seconds of processor time that it has used.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("Linux's /proc");
        // The name of the program, in parentheses, may hold anything; user and system time are the 12th and 13th after.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
        (ticks(11) + ticks(12)) / rustix::param::clock_ticks_per_second() as f64
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Raises the number of files that this process and its children may have open to what the system permits.
pub(crate) fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// The relay's program beside this one, built from the sources as they are.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let here = env::current_exe().expect("a path of this program");
        // target/<profile>/deps/<this program>
        let folder = here.ancestors().nth(2).expect("a target folder").to_owned();
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(profile) => profile,
        };
        let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--package", "ties-relay", "--bins", "--profile", profile, "--target-dir"])
            .arg(folder.parent().expect("a target folder"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.expect("a started cargo").success(), "the relay does not build");
        folder.join("ties-relay")
    })
}
