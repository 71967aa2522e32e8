//! A device of its own folder, and the programs that are timed on it.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A device.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where its network is.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder().join("network")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(built("ties"));
        command.arg("--home").arg(self.path()).args(words).env("HOME", self.folder()).env("NO_COLOR", "1");
        command.env("XDG_RUNTIME_DIR", self.folder()).env("TIES_NO_LAN", "1").env("TIES_NO_AUTO", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs a command and gives what it printed.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        self.run_with(words, "")
    }

    /// The same, with something to read.
    pub(crate) fn run_with(&self, words: &[&str], input: &str) -> String {
        let mut command = self.command(words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let ran = child.wait_with_output().unwrap();
        assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }

    /// How long a command takes, from start to end.
    pub(crate) fn time(&self, words: &[&str]) -> Duration {
        let began = Instant::now();
        let status = self.command(words).status().unwrap();
        let took = began.elapsed();
        assert!(status.success(), "{words:?}");
        took
    }

    /// Runs a command and reads its answer as JSON, whatever its exit code says.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let mut command = self.command(&[words, &["--json"]].concat());
        let ran = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stderr)))
    }

    /// Starts a command that ends by itself, with something to read.
    pub(crate) fn begin(&self, words: &[&str], input: &str) -> Ending {
        let mut command = self.command(words);
        let began = Instant::now();
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let process = child.id();
        let measuring = thread::spawn(move || {
            let mut most = 0;
            // What is over has no memory any more.
            while let Some(now) = status_number(process, "VmHWM:") {
                most = most.max(now * 1024);
                thread::sleep(Duration::from_millis(5));
            }
            most
        });
        Ending { child, began, measuring }
    }

    /// Whether a command has something to list by now.
    pub(crate) fn lists(&self, words: &[&str]) -> bool {
        let mut command = self.command(words);
        let ran = command.stdout(Stdio::piped()).output().unwrap();
        ran.status.success() && !ran.stdout.trim_ascii().is_empty()
    }

    /// Bytes that the database takes on the disk.
    pub(crate) fn stored(&self) -> u64 {
        on_disk(&self.path().join("database"))
    }

    /// The same of one that may find nothing.
    pub(crate) fn try_time(&self, words: &[&str]) -> Duration {
        let began = Instant::now();
        self.command(words).status().unwrap();
        began.elapsed()
    }

    /// The most memory that a command has at once, in bytes, as GNU time tells it where there is one.
    pub(crate) fn peak_memory(&self, words: &[&str]) -> Option<u64> {
        let command = self.command(words);
        let mut timed = Command::new("/usr/bin/time");
        timed.args(["-f", "%M"]).arg(command.get_program()).args(command.get_args());
        timed.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let ran = timed.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output().ok()?;
        let said = String::from_utf8_lossy(&ran.stderr);
        said.lines().last()?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
    }

    /// The handle of one of the first people listed.
    pub(crate) fn first_handle(&self, at: usize) -> String {
        let printed = self.run(&["ls", "--limit", "50"]);
        let line = printed.lines().nth(at).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    }

    /// A word that few people have: a surname.
    pub(crate) fn rare_word(&self) -> String {
        let people: Value = serde_json::from_str(&self.run(&["ls", "--limit", "1", "--json"])).unwrap();
        let name = people[0]["name"]["full"].as_str().unwrap();
        name.split_whitespace().last().unwrap().to_owned()
    }

    /// Starts a command that goes on.
    pub(crate) fn start(&self, words: &[&str]) -> Going {
        let mut child = self.command(words).stdout(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let out = child.stdout.take().unwrap();
        let heard = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                heard.0.lock().unwrap().push(line);
                heard.1.notify_all();
            }
        });
        Going { child, lines }
    }
}

/// A command under way that ends by itself.
pub(crate) struct Ending {
    child: Child,
    began: Instant,
    measuring: thread::JoinHandle<u64>,
}

impl Ending {
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Waits for its end: how long it took, and the most memory that it had at once, in bytes.
    pub(crate) fn end(self) -> (Duration, u64) {
        let ran = self.child.wait_with_output().unwrap();
        let took = self.began.elapsed();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        (took, self.measuring.join().unwrap())
    }
}

/// A number that Linux tells of a process; none once it is over.
pub(crate) fn status_number(process: u32, name: &str) -> Option<u64> {
    number_in(&format!("/proc/{process}/status"), name)
}

/// How often the threads of a process have gone to sleep by themselves.
pub(crate) fn sleeps(process: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
    // A thread may end meanwhile.
    let sleeps = |task: std::fs::DirEntry| {
        number_in(&task.path().join("status").to_string_lossy(), "voluntary_ctxt_switches:").unwrap_or(0)
    };
    tasks.map(sleeps).sum()
}

fn number_in(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Bytes that a file or folder takes on the disk.
pub(crate) fn on_disk(path: &Path) -> u64 {
    let about = std::fs::symlink_metadata(path).unwrap();
    let own = std::os::unix::fs::MetadataExt::blocks(&about) * 512;
    if !about.is_dir() {
        return own;
    }
    own + std::fs::read_dir(path).unwrap().map(|entry| on_disk(&entry.unwrap().path())).sum::<u64>()
}

/// A command that goes on; it ends with this.
pub(crate) struct Going {
    child: Child,
    lines: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Going {
    /// Waits for a line.
    pub(crate) fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        let (lines, more) = &*self.lines;
        let mut lines = lines.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            lines = waited(more.wait_timeout(lines, PATIENCE).unwrap());
        }
    }

    /// How many lines it has printed.
    pub(crate) fn count(&self) -> usize {
        self.lines.0.lock().unwrap().len()
    }

    /// Waits for more lines than these.
    pub(crate) fn wait_beyond(&self, seen: usize) {
        let (lines, more) = &*self.lines;
        let mut lines = lines.lock().unwrap();
        while lines.len() <= seen {
            lines = waited(more.wait_timeout(lines, PATIENCE).unwrap());
        }
    }
}

fn waited<'l>(
    (lines, waited): (std::sync::MutexGuard<'l, Vec<String>>, std::sync::WaitTimeoutResult),
) -> std::sync::MutexGuard<'l, Vec<String>> {
    assert!(!waited.timed_out(), "nothing more came; so far: {lines:?}");
    lines
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long a program takes that does nothing.
pub(crate) fn hello() -> Duration {
    let mut command = Command::new(built("examples/hello"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    assert!(command.status().unwrap().success());
    began.elapsed()
}

pub(crate) fn median(turns: usize, mut turn: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..turns).map(|_| turn()).collect();
    times.sort();
    times[turns / 2]
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A program beside this benchmark: in the folder above `deps`.
fn built(name: &str) -> PathBuf {
    let here = env::current_exe().unwrap();
    let path = here.parent().unwrap().parent().unwrap().join(name);
    assert!(path.exists(), "{} is not built: cargo xtask bench builds it", path.display());
    path
}

const PATIENCE: Duration = Duration::from_secs(60);
