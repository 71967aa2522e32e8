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

use self::place::Place;
use self::state::State;

/// What the agent of a data folder says of itself, if one runs and answers.
pub(crate) fn state_of(home: &Path) -> Option<State> {
    let holder = Place::of(home).holder()?;
    serde_json::from_str(&control::ask(&holder, control::STATUS).ok()?).ok()
}

/// Has the agent, if one runs, look at once whether it may have the book open. Returns when it has let go of a locked one.
pub(crate) fn look(home: &Path) {
    if let Some(holder) = Place::of(home).holder() {
        // One that does not answer finds out by itself when the time is over.
        let _ = control::ask(&holder, control::LOOK);
    }
}
