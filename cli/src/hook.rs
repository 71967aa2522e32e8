//! The owner's program that is told what other devices changed.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use ties_book::Book;
use ties_book::api::ChangedRecord;

use crate::commands::SCHEMA;
use crate::errors::{Failure, Outcome};
use crate::settings::{ON_SYNC, Settings};

/// A program, and whose it is.
pub(crate) struct Hook {
    program: PathBuf,
    home: PathBuf,
}

/// What the program is told, on its standard input.
pub(crate) fn telling(book: &Book, changed: &[ChangedRecord]) -> String {
    let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let device = book.own_name().unwrap_or_default();
    json!({"schema": SCHEMA, "event": ON_SYNC, "device": device, "at": at, "changed": changed}).to_string() + "\n"
}

impl Hook {
    /// The program of a data folder. None for a command that such a program runs: it would be told of its own doing.
    pub(crate) fn of(home: &Path) -> Outcome<Option<Self>> {
        if std::env::var_os(WITHIN).is_some() {
            return Ok(None);
        }
        let program = Settings::of(home)?.get(ON_SYNC);
        Ok(program.map(|program| Self { program: program.into(), home: home.to_owned() }))
    }

    /// Runs it with this on its standard input, for a minute at most.
    pub(crate) fn run(&self, told: &str) -> Outcome {
        let mut command = Command::new(&self.program);
        command.env("TIES_HOME", &self.home).env(WITHIN, ON_SYNC).current_dir(&self.home);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let failed = |what: &str| Failure::failed(format!("{} {what}", self.program.display()));
        let mut child = command.spawn().map_err(|error| failed("does not start").because(&error))?;
        if let Some(mut input) = child.stdin.take() {
            let told = told.to_owned();
            // One that has read enough closes its end.
            thread::spawn(move || drop(input.write_all(told.as_bytes())));
        }
        let began = Instant::now();
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(failed(&format!("ended badly ({status})"))),
                Ok(None) if began.elapsed() < PATIENCE => thread::sleep(STEP),
                Ok(None) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(failed("took more than a minute, and was ended"));
                }
                Err(error) => return Err(failed("cannot be waited for").because(&error)),
            }
        }
    }
}

/// Runs the program of a data folder whenever something came, until dropped.
pub(crate) async fn follow(book: &Book, home: &Path, mut failed: impl FnMut(Failure)) {
    loop {
        let changed = match book.next_arrivals().await {
            Ok(changed) => changed,
            Err(error) => {
                failed(error.into());
                return std::future::pending().await;
            }
        };
        // It is looked up each time, so that a change of the settings needs no restart.
        let hook = match Hook::of(home) {
            Ok(Some(hook)) => hook,
            Ok(None) => continue,
            Err(failure) => {
                failed(failure);
                continue;
            }
        };
        let told = telling(book, &changed);
        if let Ok(Err(failure)) = tokio::task::spawn_blocking(move || hook.run(&told)).await {
            failed(failure);
        }
    }
}

/// Set for the program and whatever it runs.
const WITHIN: &str = "TIES_HOOK";
const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);
