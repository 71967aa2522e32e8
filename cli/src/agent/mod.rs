//! The process that keeps a book in sync in the background: one for each data folder, with nothing of its own.
//!
//! What it does is what `ties sync --watch` does. Around that: a lock that only one can hold ([`place`]), a socket that
//! commands ask it by ([`control`]), what it knows of its roads ([`state`]), a short log without content ([`journal`]), and
//! the loop that lets go of a book when that is locked ([`daemon`]).

pub(crate) mod control;
pub(crate) mod daemon;
pub(crate) mod journal;
pub(crate) mod place;
pub(crate) mod push;
pub(crate) mod state;

use std::path::Path;
use std::time::Duration;

use self::place::Place;
use self::state::State;
use crate::errors::{Failure, Outcome};

/// What the agent of a data folder says of itself, if one runs and answers.
pub(crate) fn state_of(home: &Path) -> Option<State> {
    let holder = Place::of(home).holder()?;
    serde_json::from_str(&control::ask(&holder, control::STATUS).ok()?).ok()
}

/// Ends the agent of a data folder, if one runs, and waits until it is gone; says whether there was one.
pub(crate) fn stop(home: &Path) -> Outcome<bool> {
    let place = Place::of(home);
    let Some(holder) = place.holder() else { return Ok(false) };
    if control::ask(&holder, control::STOP).is_err()
        && let Some(process) = i32::try_from(holder.process).ok().and_then(rustix::process::Pid::from_raw)
    {
        // Its socket was taken away, say by somebody who tidies temporary files. It has the lock: the number is its own.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
    }
    if place.wait_until_free(PATIENCE) {
        return Ok(true);
    }
    Err(Failure::failed(format!("the agent (process {}) does not end", holder.process))
        .hint("kill it: nothing is lost by that"))
}

/// Ends the agent of a data folder that is given up; with `delete` nothing of it stays there.
pub(crate) fn leave(home: &Path, delete: bool) -> Outcome {
    stop(home)?;
    if delete {
        let names = ["agent.log", "agent.log.1", "agent.lock", "push.lock", "push.next", "settings.toml"];
        // What cannot be removed says nothing about anybody.
        names.iter().for_each(|name| drop(std::fs::remove_file(home.join(name))));
    }
    Ok(())
}

/// How long an agent that was told to end may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Has the agent, if one runs, look at once whether it may have the book open. Returns when it has let go of a locked one.
pub(crate) fn look(home: &Path) {
    if let Some(holder) = Place::of(home).holder() {
        // One that does not answer finds out by itself when the time is over.
        let _ = control::ask(&holder, control::LOOK);
    }
}
