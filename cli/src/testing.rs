//! The command line's readers without a terminal, for fuzzing.

use std::ffi::OsString;

use clap::Parser as _;

use crate::grammar::{self, Grammar, ScreenOptions};
use crate::render;

/// Reads words up to where they would be carried out.
pub fn read_words(words: &[String]) {
    let line: Vec<OsString> = std::iter::once("ties".into()).chain(words.iter().map(OsString::from)).collect();
    let _ = ScreenOptions::glimpse(&line);
    if let Err(error) = Grammar::try_parse_from(&line)
        && error.use_stderr()
    {
        assert!(!grammar::failure(&error).message.is_empty());
    }
}

/// A piece of foreign text as it is shown.
#[must_use]
pub fn shown(text: &str) -> String {
    render::escape::inline(text).into_owned()
}
