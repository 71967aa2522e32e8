//! What an operator is told when something cannot be done: what, why, and what helps.

use std::error::Error;
use std::fmt;

use ties_relay::{RevokeError, ServerError, SettingsError};

/// A failure and the exit code that scripts see.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    causes: Vec<String>,
    hint: Option<&'static str>,
    code: u8,
}

impl Failure {
    pub(crate) fn failed(message: impl Into<String>, cause: &dyn Error) -> Self {
        Self { message: message.into(), causes: chain(Some(cause)), hint: None, code: FAILED }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        let hint = Some("ties-relay --help has every command and option; without a command it serves");
        Self { message: message.into(), causes: Vec::new(), hint, code: USAGE }
    }

    pub(crate) fn not_found(message: impl Into<String>, hint: &'static str) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: Some(hint), code: NOT_FOUND }
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    fn of(error: &dyn Error, hint: Option<&'static str>, code: u8) -> Self {
        Self { message: error.to_string(), causes: chain(error.source()), hint, code }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        let hint = match &error {
            SettingsError::NoData => Some("--data DIR, or data = \"DIR\" in the file that --config names"),
            SettingsError::Line { .. } => Some("relay/ties-relay.example.toml has every option with its default"),
            SettingsError::Limit { .. } => Some("--limit NAME=VALUE, such as --limit mailbox-size=\"1 GiB\""),
            _ => None,
        };
        Self::of(&error, hint, USAGE)
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let (hint, code) = match &error {
            ServerError::Certificate(_) | ServerError::TlsFile { .. } => {
                (Some("--tls-cert and --tls-key name two files in PEM, the certificate first in its chain"), USAGE)
            }
            ServerError::Metrics { .. } => (Some("--metrics ADDR takes another address"), FAILED),
            ServerError::Taken(_) => (Some("one relay serves a folder; `token` works beside it"), FAILED),
            _ => (None, FAILED),
        };
        Self::of(&error, hint, code)
    }
}

impl From<RevokeError> for Failure {
    fn from(error: RevokeError) -> Self {
        let (hint, code) = match &error {
            RevokeError::Unknown(_) => (Some("ties-relay token list shows what there is"), NOT_FOUND),
            RevokeError::Ambiguous { .. } => (Some("name one of them by its id"), AMBIGUOUS),
            RevokeError::Store(_) => (None, FAILED),
        };
        Self::of(&error, hint, code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Error: {}", self.message)?;
        self.causes.iter().try_for_each(|cause| writeln!(f, "Caused by: {cause}"))?;
        self.hint.iter().try_for_each(|hint| writeln!(f, "Hint: {hint}"))
    }
}

fn chain(mut cause: Option<&dyn Error>) -> Vec<String> {
    let mut causes = Vec::new();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    causes
}

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;
const AMBIGUOUS: u8 = 4;
