//! The few colours, named after what they mean.
//!
//! Callers always paint; [`Shell`](crate::terminal::Shell) strips the paint where it is not wanted
//! (a pipe, `NO_COLOR`, `--color never`).

use owo_colors::OwoColorize as _;

/// A heading or a name that the eye should find first.
pub(crate) fn strong(text: &str) -> String {
    text.bold().to_string()
}

/// What helps but is not the answer: labels, ids, dates.
pub(crate) fn faint(text: &str) -> String {
    text.dimmed().to_string()
}

/// Something that went as it should.
pub(crate) fn good(text: &str) -> String {
    text.green().to_string()
}

/// Something that needs a look.
pub(crate) fn warning(text: &str) -> String {
    text.yellow().to_string()
}

/// Something that failed.
pub(crate) fn bad(text: &str) -> String {
    text.red().bold().to_string()
}

/// Something to type: a command, a handle.
pub(crate) fn code(text: &str) -> String {
    text.cyan().to_string()
}
