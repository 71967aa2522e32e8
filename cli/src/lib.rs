//! The command line of `ties`: reads words, asks the book, prints answers.
//!
//! It knows terminals and nothing of storage, documents or keys: every command is a request to
//! [`ties_book`], and everything shown is one of its replies. It never prompts without a terminal,
//! never prints a name without making it safe to show, and takes secrets from standard input or
//! files alone.
//!
//! One way in: [`run`]. Inside, `commands/` holds a file for each command, `render/` turns data into
//! lines, `terminal` is the only place that writes to the user.

#[cfg(unix)]
mod agent;
mod commands;
mod completion;
mod desk;
mod editor;
mod errors;
mod grammar;
mod home;
mod hook;
mod passphrase;
mod render;
mod screen;
mod settings;
mod signals;
mod temporary;
mod terminal;
#[cfg(feature = "test-support")]
pub mod testing;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use crate::desk::Desk;
use crate::errors::{Failure, Outcome};
use crate::grammar::{Grammar, ScreenOptions};
use crate::terminal::Shell;

/// Runs one command line, the first word of which is the program, and gives the exit code.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    if completion::answered(&words) {
        return ExitCode::SUCCESS;
    }
    let options = ScreenOptions::glimpse(&words);
    let mut shell = options.shell();
    let result = parse(&words).and_then(|grammar| execute(grammar, &mut shell));
    signals::settle();
    match result {
        Ok(()) | Err(Stop::Shown) => ExitCode::SUCCESS,
        Err(Stop::Failed(failure)) => {
            report(&failure, &mut shell);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// Why there is nothing more to do.
enum Stop {
    /// Everything was said, such as the help text.
    Shown,
    /// It did not work.
    Failed(Failure),
}

fn parse(words: &[OsString]) -> Result<Grammar, Stop> {
    Grammar::try_parse_from(words).map_err(|error| {
        if error.use_stderr() {
            return Stop::Failed(grammar::failure(&error));
        }
        // Nobody is left to tell when the stream itself is gone.
        let _ = error.print();
        Stop::Shown
    })
}

fn execute(grammar: Grammar, shell: &mut Shell) -> Result<(), Stop> {
    log(&grammar);
    let outcome: Outcome = home::choose(grammar.home.clone())
        .and_then(|home| Desk::new(home, shell))
        .and_then(|mut desk| commands::run(grammar.command, &mut desk));
    outcome.map_err(Stop::Failed)
}

/// Sends the program's own log to standard error: nothing but errors unless `TIES_LOG` asks.
fn log(grammar: &Grammar) {
    let default = if grammar.serves() { "info" } else { "error" };
    let filter = std::env::var("TIES_LOG").unwrap_or_else(|_| default.to_owned());
    let started = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
    // Only a second call in one process can fail, and then the first one's log serves.
    drop(started);
}

fn report(failure: &Failure, shell: &mut Shell) {
    if shell.json() {
        shell.complain(render::escape::json(&failure.json().to_string()));
    } else {
        failure.lines().iter().for_each(|line| shell.complain(line));
    }
}
