//! Where passphrases come from: a terminal that does not show them, or standard input; never the command line.

use ties_book::api::Secret;

use crate::errors::{Failure, Kind, Outcome};
use crate::terminal::{self, Shell};

/// What is asked where the data are locked.
pub(crate) const QUESTION: &str = "Passphrase: ";

/// Whether passphrases are to be read from standard input, which `-` says.
///
/// # Errors
/// For any other word: it would be a passphrase that everybody on this computer can see. The error does not repeat it.
pub(crate) fn from_input(word: Option<&str>) -> Outcome<bool> {
    match word {
        None => Ok(false),
        Some("-") => Ok(true),
        Some(_) => Err(Failure::usage("a passphrase is not taken from the command line, where others can see it")
            .hint("leave it out to be asked, or write `-` and give it on standard input")),
    }
}

/// Asks for a passphrase at the terminal.
///
/// # Errors
/// Where there is no terminal: nothing waits for an answer that cannot come.
pub(crate) fn ask(shell: &mut Shell, question: &str) -> Outcome<Secret> {
    let answer = shell.ask_hidden(question)?.ok_or_else(nobody_to_ask)?;
    Ok(Secret::new(answer.as_str()))
}

/// Asks for a new passphrase, twice, until both are the same.
pub(crate) fn ask_twice(shell: &mut Shell) -> Outcome<Secret> {
    for _ in 0..ATTEMPTS {
        let first = ask(shell, "New passphrase: ")?;
        if first.expose().is_empty() {
            return Err(Failure::usage("the passphrase is empty").hint("nothing was changed"));
        }
        if first == ask(shell, "The same again: ")? {
            return Ok(first);
        }
        shell.complain("These were not the same.");
    }
    Err(Failure::usage("the passphrases were not the same").hint("nothing was changed"))
}

/// Reads so many passphrases from standard input, one a line.
pub(crate) fn lines(many: usize) -> Outcome<Vec<Secret>> {
    let text = terminal::read_hidden_stdin(MOST)?;
    let text = std::str::from_utf8(&text).map_err(|_| Failure::usage("standard input is not UTF-8 text"))?;
    let secrets: Vec<Secret> = text.lines().take(many).map(Secret::new).collect();
    if secrets.len() < many {
        return Err(Failure::usage("standard input has too few lines").hint("one passphrase a line"));
    }
    Ok(secrets)
}

/// Tries passphrases until one opens what is locked, as often as one may mistype.
pub(crate) fn until_it_opens<T>(shell: &mut Shell, mut open: impl FnMut(&Secret) -> Outcome<T>) -> Outcome<T> {
    for _ in 1..ATTEMPTS {
        let secret = ask(shell, QUESTION)?;
        match open(&secret) {
            Err(failure) if failure.kind == Kind::Locked => shell.complain("That is not it."),
            other => return other,
        }
    }
    open(&ask(shell, QUESTION)?)
}

fn nobody_to_ask() -> Failure {
    Failure::new(Kind::Locked, "there is no terminal to ask for the passphrase")
        .hint("`-` reads it from standard input")
}

const ATTEMPTS: usize = 3;
const MOST: usize = 64 * 1024;
