//! Words that people type or paste.

use std::str::FromStr;

use ties_model::PartialDate;
use ties_net::RelayAddress;

pub(super) fn addresses(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(address) = RelayAddress::from_str(text) {
        assert_eq!(RelayAddress::from_str(&address.to_string()).ok(), Some(address));
    }
}

pub(super) fn dates(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(date) = PartialDate::from_str(text) {
        assert_eq!(PartialDate::from_str(&date.to_string()).ok(), Some(date));
    }
}

/// A command line, a word on each line, up to where it would be carried out; and the words of its free text.
pub(super) fn command_line(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let words: Vec<String> = text.lines().map(str::to_owned).collect();
    ties_cli::testing::read_words(&words);
    ties_book::testing::read_words(&words);
}

/// Whatever a name holds, nothing reaches the terminal that could steer it.
pub(super) fn shown(bytes: &[u8]) {
    let shown = ties_cli::testing::shown(&String::from_utf8_lossy(bytes));
    let steers = |one: char| one.is_control() || matches!(one, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!shown.chars().any(steers), "{shown:?}");
}
