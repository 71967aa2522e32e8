//! A program while it runs, and what it leaves behind. Nothing here waits for ever.

use std::io::{Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;

/// A program that was started.
pub(crate) struct Running {
    child: Child,
    words: String,
    out: Output,
    err: Output,
}

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    words: String,
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Running {
    /// Starts a program with this as all of its standard input.
    pub(crate) fn start(mut command: Command, input: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let words = format!("{command:?}");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{error}: {words}"));
        let out = Output::of(child.stdout.take().expect("a piped output"));
        let err = Output::of(child.stderr.take().expect("a piped output"));
        let mut stdin = child.stdin.take().expect("a piped input");
        let input = input.to_owned();
        // A program that has read enough closes its end, which is no fault.
        thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        Self { child, words, out, err }
    }

    /// Waits for a line of standard output that holds a text.
    #[track_caller]
    pub(crate) fn line(&self, text: &str) -> String {
        self.nth_line(1, text)
    }

    /// Waits until a text was in so many lines of standard output; gives the last of them.
    #[track_caller]
    pub(crate) fn nth_line(&self, number: usize, text: &str) -> String {
        let found = self.out.wait(|all| {
            let whole = all.split_inclusive('\n').filter(|line| line.ends_with('\n') && line.contains(text));
            whole.map(str::trim_end).nth(number - 1).map(str::to_owned)
        });
        found.unwrap_or_else(|| panic!("no \"{text}\" in\n{}\n{}\n{}", self.words, self.out.text(), self.err.text()))
    }

    /// What it has written to both streams so far.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.out.text(), self.err.text())
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a delivered signal");
    }

    /// Ends it as a power failure would, and takes what it had written.
    pub(crate) fn kill(mut self) -> Ran {
        self.child.kill().expect("a delivered signal");
        self.finish()
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_some()
    }

    /// Waits for it to end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Ran {
        let began = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("a child of ours") {
                Some(status) => break status,
                None if began.elapsed() > PATIENCE => {
                    panic!("still running after {PATIENCE:?}\n{}\n{}", self.words, self.said())
                }
                None => thread::sleep(Duration::from_millis(2)),
            }
        };
        self.ran(status)
    }

    fn ran(&self, status: ExitStatus) -> Ran {
        let [out, err] = [&self.out, &self.err].map(Output::all);
        Ran { words: self.words.clone(), code: status.code(), out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, and then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ran {
    /// The same, having ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.code(0)
    }

    /// The same, having ended with this exit code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// The same, having said this on standard error.
    #[track_caller]
    pub(crate) fn complains(self, about: &str) -> Self {
        assert!(self.err.contains(about), "no \"{about}\" in\n{self}");
        self
    }

    /// The answer as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\nexit code {:?}\nstdout:\n{}\nstderr:\n{}", self.words, self.code, self.out, self.err)
    }
}

/// One stream of a program, read as it comes.
struct Output(Arc<Stream>);

#[derive(Default)]
struct Stream {
    read: Mutex<(Vec<u8>, bool)>,
    more: Condvar,
}

impl Output {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let shared = Arc::new(Stream::default());
        let kept = Arc::clone(&shared);
        thread::spawn(move || {
            let mut bytes = [0; 8 * 1024];
            loop {
                let read = stream.read(&mut bytes).unwrap_or(0);
                let mut state = kept.read.lock().expect("no panic while it is held");
                state.0.extend_from_slice(&bytes[..read]);
                state.1 = read == 0;
                kept.more.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Self(shared)
    }

    fn text(&self) -> String {
        let state = self.0.read.lock().expect("no panic while it is held");
        String::from_utf8_lossy(&state.0).into_owned()
    }

    /// Everything, once the stream has ended.
    fn all(&self) -> String {
        let state = self.0.read.lock().expect("no panic while it is held");
        let ended = self.0.more.wait_timeout_while(state, PATIENCE, |state| !state.1);
        drop(ended.expect("no panic while it is held"));
        self.text()
    }

    /// Waits until something is found, the stream ends, or patience does.
    fn wait<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.0.read.lock().expect("no panic while it is held");
        loop {
            if let Some(found) = find(&String::from_utf8_lossy(&state.0)) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                return None;
            }
            state = self.0.more.wait_timeout(state, left).expect("no panic while it is held").0;
        }
    }
}

/// How long anything may take. Far more than it does: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(45);
