//! One device: a data folder, and `ties` run on it by a user who has a home and a temporary folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::binaries;
use super::process::{Ran, Running};

/// A device that belongs to a world.
pub(crate) struct Device {
    folder: PathBuf,
}

impl Device {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        for part in [USER, TEMPORARY] {
            fs::create_dir_all(folder.join(part)).expect("a made folder");
        }
        Self { folder }
    }

    /// The data folder.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Writes a file beside the data folder; gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("a written file");
        path.into_os_string().into_string().expect("a path in UTF-8")
    }

    /// The command, not yet run, in an environment that holds nothing of the tester's.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.prepare(Command::new(binaries::ties()), words)
    }

    /// The command as a program does it that has points at which it can be killed.
    pub(crate) fn mortal(&self, words: &[&str]) -> Command {
        self.prepare(Command::new(binaries::mortal_ties()), words)
    }

    fn prepare(&self, mut command: Command, words: &[&str]) -> Command {
        command.args(words).env_clear();
        command.env("HOME", self.folder.join(USER)).env("TMPDIR", self.folder.join(TEMPORARY));
        // Nobody shall wait for, or meet, who else is on the tester's network.
        // And when something goes over a wire is for the test to say.
        command.env("TIES_NO_AUTO", "1");
        command.env("TIES_NO_LAN", "1").env("TIES_HOME", self.home()).current_dir(self.folder.join(USER));
        command
    }

    /// Starts it with this as its standard input, and no terminal.
    pub(crate) fn start(&self, words: &[&str], input: &str) -> Running {
        Running::start(self.command(words), input)
    }

    /// Runs it to the end with this as its standard input, and no terminal.
    #[track_caller]
    pub(crate) fn run_with(&self, words: &[&str], input: &str) -> Ran {
        self.start(words, input).finish()
    }

    /// Runs it to the end with no input and no terminal.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        self.run_with(words, "")
    }

    /// Runs it and reads its answer as JSON.
    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        self.run(&[words, &["--json"]].concat()).ok().json()
    }

    /// Exchanges changes, well.
    #[track_caller]
    pub(crate) fn sync(&self) {
        let ran = self.run(&["sync"]).ok();
        assert!(ran.out.contains("up to date"), "{ran}");
    }

    /// Edits a person or note as in an editor.
    #[track_caller]
    pub(crate) fn edit(&self, what: &str, change: impl Fn(&str) -> String) {
        let before = self.run(&["edit", what, "--print"]).ok().out;
        let after = change(&before);
        assert_ne!(before, after, "an edit changes something");
        self.run_with(&["edit", what, "--from", "-"], &after).ok();
    }

    /// Everything that it holds, as other programs get it.
    #[track_caller]
    pub(crate) fn export(&self) -> String {
        self.run(&["export", "--to", "json"]).ok().out
    }

    /// The names that `ls` lists, sorted.
    #[track_caller]
    pub(crate) fn names(&self) -> Vec<String> {
        let cards = self.json(&["ls"]);
        let cards = cards.as_array().expect("an array of cards");
        let mut names: Vec<String> =
            cards.iter().map(|card| card["name"]["full"].as_str().unwrap_or_default().to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// What it wrote outside its data folder.
    pub(crate) fn strays(&self) -> BTreeSet<PathBuf> {
        [USER, TEMPORARY].iter().flat_map(|part| below(&self.folder.join(part))).collect()
    }
}

/// All files and folders below a folder.
pub(crate) fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

/// All files below a folder, each with its name and what it holds. What is no file, such as a socket, holds nothing.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let with_bytes = |path: PathBuf| {
        let bytes = if path.is_file() { fs::read(&path).expect("a readable file") } else { Vec::new() };
        (path.clone(), [path.as_os_str().as_encoded_bytes(), &bytes].concat())
    };
    below(folder).into_iter().map(with_bytes).collect()
}

const USER: &str = "user";
const TEMPORARY: &str = "tmp";
