//! What a command says when it cannot do what was asked, and the exit code that scripts see.

use std::io;

use serde_json::{Value, json};
use ties_book::api::{BookError, Candidate, ErrorKind};

use crate::render::{inline, palette};

/// Why a command stopped. The numbers are agreed with every script that calls `ties`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something went wrong that is none of the others.
    Failed,
    /// The command line makes no sense, or needs an answer that nobody is there to give.
    Usage,
    /// No such person, file or space.
    NotFound,
    /// Several things match; the candidates are listed.
    Ambiguous,
    /// The data are locked or the key is wrong.
    Locked,
    /// Done, but some of the input was rejected.
    Rejects,
    /// Refused by a guard that `--anyway` overrides.
    Guard,
}

impl Kind {
    /// The process exit code.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Ambiguous => 4,
            Self::Locked => 5,
            Self::Rejects => 6,
            Self::Guard => 7,
        }
    }

    /// The word that stands for this kind in `--json` errors.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not-found",
            Self::Ambiguous => "ambiguous",
            Self::Locked => "locked",
            Self::Rejects => "rejects",
            Self::Guard => "guard",
        }
    }
}

/// A refusal or failure: kind, message, causes, hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) causes: Vec<String>,
    pub(crate) hint: Option<String>,
    pub(crate) candidates: Vec<Candidate>,
}

/// What a command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message, causes: Vec::new(), hint: None, candidates: Vec::new() }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A failure of the system to do something with a file.
    pub(crate) fn io(message: impl Into<String>, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => Kind::NotFound,
            _ => Kind::Failed,
        };
        Self::new(kind, message).because(error)
    }

    /// An error and what is beneath it.
    pub(crate) fn chain(error: &dyn std::error::Error) -> Self {
        let failure = Self::failed(error.to_string());
        match error.source() {
            Some(source) => failure.because(source),
            None => failure,
        }
    }

    /// The same failure with what the reader can do about it.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same failure with a hint, if it has none.
    pub(crate) fn hint_if_none(mut self, hint: &str) -> Self {
        self.hint.get_or_insert_with(|| hint.to_owned());
        self
    }

    /// The failure that another process of this program told of as [`Self::json`].
    pub(crate) fn of_json(error: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let kinds =
            [Kind::Failed, Kind::Usage, Kind::NotFound, Kind::Ambiguous, Kind::Locked, Kind::Rejects, Kind::Guard];
        let kind = kinds.into_iter().find(|kind| Some(kind.word()) == error["kind"].as_str())?;
        let causes = error["causes"].as_array().into_iter().flatten().filter_map(text).collect();
        let message = text(&error["message"])?;
        Some(Self { kind, message, causes, hint: text(&error["hint"]), candidates: Vec::new() })
    }

    /// The same failure with the chain of errors beneath it.
    pub(crate) fn because(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Errors that print their source themselves would say everything twice.
            if !self.causes.last().is_some_and(|last| last.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// The lines for a person, ready for standard error.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{} {}", palette::bad("Error:"), inline(&self.message))];
        for cause in &self.causes {
            lines.push(format!("{} {}", palette::faint("Caused by:"), inline(cause)));
        }
        for candidate in &self.candidates {
            lines.push(format!("  {}", candidate_line(candidate)));
        }
        if let Some(hint) = &self.hint {
            lines.push(format!("{} {}", palette::good("Hint:"), inline(hint)));
        }
        lines
    }

    /// The object that `--json` prints on standard error.
    pub(crate) fn json(&self) -> Value {
        json!({
            "error": {
                "kind": self.kind.word(),
                "message": self.message,
                "causes": self.causes,
                "hint": self.hint,
                "candidates": self.candidates,
            }
        })
    }
}

/// One candidate as a person picks it: what to type, the name, what tells it from the others.
pub(crate) fn candidate_line(candidate: &Candidate) -> String {
    let Candidate { short, handle, name, detail, .. } = candidate;
    let typed = if handle.is_empty() { short } else { handle };
    let mut line = format!("{}  {}", palette::code(&inline(typed)), inline(name));
    if !detail.is_empty() {
        line.push_str("  ");
        line.push_str(&palette::faint(&inline(detail)));
    }
    line
}

impl From<BookError> for Failure {
    fn from(error: BookError) -> Self {
        let kind = match error.kind {
            ErrorKind::Failed => Kind::Failed,
            ErrorKind::Usage => Kind::Usage,
            ErrorKind::NotFound => Kind::NotFound,
            ErrorKind::Ambiguous => Kind::Ambiguous,
            ErrorKind::Locked => Kind::Locked,
            ErrorKind::Guard => Kind::Guard,
        };
        Self {
            kind,
            message: error.message,
            causes: error.cause.into_iter().collect(),
            hint: error.hint,
            candidates: error.candidates,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::failed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_exit_code_and_word() {
        let kinds =
            [Kind::Failed, Kind::Usage, Kind::NotFound, Kind::Ambiguous, Kind::Locked, Kind::Rejects, Kind::Guard];
        let codes: Vec<u8> = kinds.iter().map(|kind| kind.exit_code()).collect();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7]);
        let words: std::collections::BTreeSet<_> = kinds.iter().map(|kind| kind.word()).collect();
        assert_eq!(words.len(), kinds.len());
    }

    #[test]
    fn a_failure_reads_as_error_causes_candidates_hint() {
        let mut failure =
            Failure::new(Kind::Ambiguous, "\"ada\" may be any of 2 people").hint("name one by its handle");
        failure.candidates.push(Candidate {
            handle: "ada-2".into(),
            name: "Ada\u{1b}[2J".into(),
            detail: "Acme".into(),
            ..Candidate::default()
        });
        let text = anstream::adapter::strip_str(&failure.lines().join("\n")).to_string();
        assert_eq!(
            text,
            "Error: \"ada\" may be any of 2 people\n  ada-2  Ada\\u{1b}[2J  Acme\nHint: name one by its handle"
        );
        assert_eq!(failure.json()["error"]["candidates"][0]["handle"], "ada-2");
    }

    #[test]
    fn a_cause_that_repeats_its_own_source_is_said_once() {
        let inner = io::Error::other("disk full");
        let outer = io::Error::other(inner);
        let failure = Failure::failed("cannot write").because(&outer);
        assert_eq!(failure.causes, ["disk full"]);
    }
}
