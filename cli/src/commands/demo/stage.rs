//! The temporary folder and the processes in it.

use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::errors::{Failure, Outcome};
use crate::signals::{self, Registration};
use crate::temporary::Folder;

/// A folder with one subfolder for each device and the relay, and everything that runs in it.
pub(super) struct Stage {
    // In this order when dropped: first the processes end, then their folder goes.
    running: End,
    _registration: Registration,
    folder: Folder,
    program: PathBuf,
}

impl Stage {
    /// An empty stage.
    pub(super) fn set() -> Outcome<Self> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::failed("this program does not know where it lies").because(&error))?;
        let folder = Folder::inside(&std::env::temp_dir(), "ties-demo-")?;
        let running = Running::none_yet();
        let on_interrupt = running.clone();
        let registration = signals::on_interrupt(move || on_interrupt.kill());
        Ok(Self { running: End(running), _registration: registration, folder, program })
    }

    /// A path in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `ties` on the device `home` to its end; it must succeed.
    pub(super) fn ties<S: AsRef<OsStr>>(&self, home: &str, words: &[S], input: &str) -> Outcome<Finished> {
        self.start(home, words, input)?.finish()
    }

    /// Runs `ties --json` on the device `home` and reads its answer.
    pub(super) fn ask<S: AsRef<OsStr>>(&self, home: &str, words: &[S]) -> Outcome<(Value, Duration)> {
        let words: Vec<&OsStr> = [OsStr::new("--json")].into_iter().chain(words.iter().map(AsRef::as_ref)).collect();
        let finished = self.ties(home, &words, "")?;
        let value = serde_json::from_str(&finished.output)
            .map_err(|error| Failure::failed(format!("`ties` on {home} answered no JSON")).because(&error))?;
        Ok((value, finished.took))
    }

    /// Starts `ties` on the device `home`.
    pub(super) fn start<S: AsRef<OsStr>>(&self, home: &str, words: &[S], input: &str) -> Outcome<Actor> {
        let mut command = Command::new(&self.program);
        command.arg("--home").arg(self.path(home)).args(["--color", "never"]).args(words);
        // What the user set for their own network must not reach these.
        for variable in ["TIES_HOME", "TIES_NOW", "TIES_SEED", "TIES_LEVEL", "TIES_LOG"] {
            command.env_remove(variable);
        }
        // Nor shall invented devices look for anybody.
        command.env("TIES_NO_LAN", "1").env("TIES_NO_AUTO", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let line = words.iter().map(|word| word.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ");
        let name = format!("`ties {line}` on {home}");
        let started = self.running.0.start(&mut command);
        let (child, (stdin, stdout, stderr)) =
            started.map_err(|error| Failure::failed(format!("cannot start {name}")).because(&error))?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(Failure::failed(format!("{name} has no pipes")));
        };
        let input = input.to_owned();
        // A process that ends without reading its input is judged by its exit code.
        thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let errors = thread::spawn(move || read_all(stderr));
        Ok(Actor { name, child, started: Instant::now(), output: BufReader::new(stdout), errors })
    }

    /// Ends everything; removes the folder or says where it is kept.
    pub(super) fn strike(self, keep: bool) -> Option<PathBuf> {
        self.running.0.kill();
        keep.then(|| self.folder.keep())
    }
}

/// A process on the stage.
pub(super) struct Actor {
    name: String,
    child: Shared,
    started: Instant,
    output: BufReader<ChildStdout>,
    errors: JoinHandle<String>,
}

/// What a process left behind.
pub(super) struct Finished {
    pub(super) output: String,
    pub(super) errors: String,
    pub(super) took: Duration,
}

impl Actor {
    /// The next line that the process prints.
    pub(super) fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(read) if read > 0 => Ok(line.trim_end().to_owned()),
            _ => {
                let status = self.ended()?;
                Err(Failure::failed(format!("{} ended early ({status})", self.name)))
            }
        }
    }

    /// Waits for the process to end well.
    pub(super) fn finish(mut self) -> Outcome<Finished> {
        let output = thread::spawn(move || read_all(self.output));
        let status = ended(&self.child, &self.name, self.started)?;
        let took = self.started.elapsed();
        let output = output.join().unwrap_or_default();
        let errors = std::mem::replace(&mut self.errors, thread::spawn(String::new)).join().unwrap_or_default();
        if status.success() {
            return Ok(Finished { output, errors, took });
        }
        let mut failure = Failure::failed(format!("{} failed ({status})", self.name));
        failure.causes = errors.lines().map(str::to_owned).collect();
        Err(failure)
    }

    /// Asks the process to end, as a service manager does, and waits until it has ended well.
    pub(super) fn stop(self) -> Outcome<Finished> {
        terminate(&self.child);
        self.finish()
    }

    fn ended(&self) -> Outcome<ExitStatus> {
        ended(&self.child, &self.name, self.started)
    }
}

fn ended(child: &Shared, name: &str, started: Instant) -> Outcome<ExitStatus> {
    loop {
        let status = lock(child).try_wait();
        match status {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if started.elapsed() > PATIENCE => {
                // Failing to kill what is ending by itself is no failure.
                let _ = lock(child).kill();
                return Err(Failure::failed(format!("{name} does not come to an end")));
            }
            Ok(None) => thread::sleep(Duration::from_millis(2)),
            Err(error) => return Err(Failure::failed(format!("cannot wait for {name}")).because(&error)),
        }
    }
}

fn read_all(mut source: impl Read) -> String {
    let mut bytes = Vec::new();
    // What was read before an error is still worth showing.
    let _ = source.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

type Shared = Arc<Mutex<Child>>;

fn lock(child: &Shared) -> std::sync::MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every process ever started on the stage; `None` once no more may be.
#[derive(Clone)]
struct Running(Arc<Mutex<Option<Vec<Shared>>>>);

impl Running {
    fn none_yet() -> Self {
        Self(Arc::new(Mutex::new(Some(Vec::new()))))
    }

    /// Starts a process, unless everything is being ended at this moment: it would be left over.
    fn start(&self, command: &mut Command) -> io::Result<(Shared, Pipes)> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let running = running.as_mut().ok_or_else(|| io::Error::other("the demo is being ended"))?;
        let mut child = command.spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let child = Arc::new(Mutex::new(child));
        running.push(Arc::clone(&child));
        Ok((child, pipes))
    }

    fn kill(&self) {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        for child in running.into_iter().flatten() {
            let mut child = lock(&child);
            // Both fail only for processes that have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

type Pipes = (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>);

/// Ends everything when it goes.
struct End(Running);

impl Drop for End {
    fn drop(&mut self) {
        self.0.kill();
    }
}

#[cfg(unix)]
fn terminate(child: &Shared) {
    let mut child = lock(child);
    // Only a process that has not been waited for still owns its number.
    if let Ok(None) = child.try_wait() {
        let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }
}

#[cfg(not(unix))]
fn terminate(child: &Shared) {
    let _ = lock(child).kill();
}

/// The bytes of all files under a folder.
pub(super) fn size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// How long any one step may take.
const PATIENCE: Duration = Duration::from_secs(300);
