//! Runs the real binary on data folders of its own.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "each test file is a crate of its own")]

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

#[cfg(unix)]
pub mod pty;

/// One device: a data folder, and `ties` run on it.
pub struct Device {
    folder: TempDir,
}

/// What a run left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Device {
    /// A device whose folder does not exist yet.
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A device with a network of its own.
    pub fn started() -> Self {
        let device = Self::empty();
        device.run(["init", "--name", "laptop", "--no-recovery"]).ok();
        device
    }

    /// The data folder.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A path beside the data folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file beside the data folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a written file");
        path
    }

    /// The command, not yet run.
    pub fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ties"));
        command.arg("--home").arg(self.home()).args(words);
        for variable in ["TIES_HOME", "TIES_LOG", "NO_COLOR", "CLICOLOR_FORCE", "VISUAL", "EDITOR"] {
            command.env_remove(variable);
        }
        // Tests that run side by side shall not meet.
        command.env("TIES_NO_LAN", "1");
        // What goes over a wire is told by the test.
        command.env("TIES_NO_AUTO", "1");
        command
    }

    /// Runs to the end with empty input and no terminal.
    pub fn run<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Ran {
        self.run_with(words, "")
    }

    /// Runs to the end with this input and no terminal.
    pub fn run_with<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>, input: &str) -> Ran {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(command.spawn().expect("a started process"), input)
    }

    /// Runs with `--json` and reads the answer.
    pub fn json<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Value {
        let words = words.into_iter().map(|word| word.as_ref().to_owned());
        self.run(words.chain(["--json".into()])).ok().json()
    }
}

/// Waits for a process after handing it its input.
pub fn finish(mut child: Child, input: &str) -> Ran {
    let mut stdin = child.stdin.take().expect("a piped input");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().expect("a finished process");
    writer.join().expect("a written input");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

impl Ran {
    /// The same, having ended well.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// The same, having ended with this exit code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The answer as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {}", self.out))
    }

    /// The error as JSON.
    #[track_caller]
    pub fn error(&self) -> Value {
        let error: Value = serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error} in {}", self.err));
        error["error"].clone()
    }
}

/// The names of everything in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}
