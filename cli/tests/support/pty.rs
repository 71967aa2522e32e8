//! A pseudo-terminal: what a user at a keyboard sees and types.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// A process on a terminal of 80 columns.
pub struct Terminal {
    child: Child,
    keyboard: File,
    seen: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
    /// How much of what was seen an expectation has passed already.
    passed: usize,
}

impl Terminal {
    /// Starts a command with all its streams on a new terminal.
    pub fn start(command: Command) -> Self {
        Self::start_sized(command, 80)
    }

    /// The same on a terminal of so many columns.
    pub fn start_sized(mut command: Command, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).expect("leave to use it");
        unlockpt(&master).expect("an unlocked terminal");
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).expect("a size");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let name = OsStr::from_bytes(name.to_bytes());
        let open = || OpenOptions::new().read(true).write(true).open(name).expect("the terminal's other side");
        command.stdin(open()).stdout(open()).stderr(open()).env("TERM", "xterm-256color");
        let child = command.spawn().expect("a started process");
        // The command holds the other side open; the reader would never come to an end.
        drop(command);
        let keyboard = File::from(master);
        let screen = keyboard.try_clone().expect("a second handle");
        let seen = Arc::new(Mutex::new(String::new()));
        let reader = thread::spawn({
            let seen = Arc::clone(&seen);
            move || read(screen, &seen)
        });
        Self { child, keyboard, seen, reader, passed: 0 }
    }

    /// Waits until the screen shows this after what was expected before.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let started = Instant::now();
        loop {
            {
                let seen = self.seen.lock().expect("the screen");
                if let Some(place) = seen[self.passed..].find(text) {
                    self.passed += place + text.len();
                    return;
                }
                let patient = started.elapsed() < Duration::from_secs(60) && !self.reader.is_finished();
                assert!(patient, "{text:?} does not show in {:?}", &seen[self.passed..]);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What stands between here and a text, once that has come.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        let start = self.passed;
        self.expect(text);
        let seen = self.seen.lock().expect("the screen");
        seen[start..self.passed - text.len()].to_owned()
    }

    /// What stands between here and the end of the line, once that has come.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let start = self.passed;
        self.expect("\n");
        let seen = self.seen.lock().expect("the screen");
        seen[start..self.passed].trim_end().to_owned()
    }

    /// Types.
    pub fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("typed");
    }

    /// Sends the process what Ctrl-C would.
    pub fn interrupt(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("a signal sent");
    }

    /// Whether the terminal is as a shell wants it back: it echoes, reads by lines, and shows its cursor.
    pub fn is_sane(&self) -> bool {
        let modes = tcgetattr(&self.keyboard).expect("the terminal's modes").local_modes;
        let seen = self.seen.lock().expect("the screen");
        let cursor = seen.rfind("\u{1b}[?25l") <= seen.rfind("\u{1b}[?25h");
        modes.contains(LocalModes::ECHO | LocalModes::ICANON) && cursor
    }

    /// Waits for the end; gives the exit code and the whole screen.
    pub fn finish(mut self) -> (i32, String) {
        let status = self.child.wait().expect("a finished process");
        self.reader.join().expect("a read screen");
        let seen = self.seen.lock().expect("the screen").clone();
        (status.code().unwrap_or(-1), seen)
    }
}

fn read(mut screen: File, seen: &Mutex<String>) {
    let mut bytes = [0; 4096];
    loop {
        match screen.read(&mut bytes) {
            Ok(0) => return,
            Ok(read) => seen.lock().expect("the screen").push_str(&String::from_utf8_lossy(&bytes[..read])),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Linux reports the other side's end as an input error.
            Err(_) => return,
        }
    }
}
