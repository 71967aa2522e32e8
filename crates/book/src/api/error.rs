//! What went wrong, and what helps.

use std::fmt;

use serde::Serialize;

use super::Candidate;

/// Why a request was not done: what a face shows as `Error:`, `Caused by:` and `Hint:`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct BookError {
    /// What kind, which decides the exit code.
    pub kind: ErrorKind,
    /// What went wrong, one sentence without a full stop.
    pub message: String,
    /// What was behind it, if that says more.
    pub cause: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Who could have been meant, when [`ErrorKind::Ambiguous`].
    pub candidates: Vec<Candidate>,
}

impl BookError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), cause: None, hint: None, candidates: Vec::new() }
    }

    /// The same with what was behind it.
    pub fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// The same with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The kinds of failure; each has its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// It did not work.
    Failed,
    /// The request makes no sense as it is.
    Usage,
    /// There is nobody and nothing of that name.
    NotFound,
    /// Several people or notes fit.
    Ambiguous,
    /// The book is locked, or the key is the wrong one.
    Locked,
    /// A guard refused; `--anyway` overrides it.
    Guard,
}

impl ErrorKind {
    /// The exit code of a process that ends with this.
    ///
    /// (6, done with rejects, is no error: see [`ImportReport::rejects`](super::ImportReport::rejects).)
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Ambiguous => 4,
            Self::Locked => 5,
            Self::Guard => 7,
        }
    }
}
