//! Completes command lines: `ties completions SHELL` prints what a shell needs for it, and that calls
//! `ties __complete SHELL PLACE -- WORDS` at every Tab.
//!
//! The grammar is clap's own, so commands and options need no list of their own. Arguments are
//! completed by what their value name says: `WHO` (or `REF`) is a handle, `FILTER` may be a tag, paths are left
//! to the shell. Names come from a book that can be read as it is; where there is none, or it is
//! locked, there are none, and never an error, a question or a write: a Tab is not a command.

mod scripts;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use clap::{Arg, Command, CommandFactory as _, ValueEnum, ValueHint};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};
use ties_book::Book;
use ties_book::api::{Completable, Completion, Environment, Reply, Request, Silent};

use crate::grammar::Grammar;
use crate::home;
use crate::render::inline;

/// A shell that can be taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    /// The script to be read by the shell's start file.
    pub(crate) fn script(self) -> &'static str {
        match self {
            Self::Bash => scripts::BASH,
            Self::Zsh => scripts::ZSH,
            Self::Fish => scripts::FISH,
        }
    }

    /// One candidate as the shell's script reads it.
    fn line(self, word: &str, about: &str) -> String {
        match self {
            Self::Bash => word.to_owned(),
            // `_describe` takes a colon for the end of the word.
            Self::Zsh if about.is_empty() => word.replace(':', "\\:"),
            Self::Zsh => format!("{}:{about}", word.replace(':', "\\:")),
            Self::Fish => format!("{word}\t{about}"),
        }
    }
}

/// Whether the words are a shell's question, and if so answers it.
pub(crate) fn answered(words: &[OsString]) -> bool {
    if words.get(1).is_none_or(|word| word != WORD) {
        return false;
    }
    if let Some(answer) = answer(&words[2..]) {
        // A shell that has gone away needs no answer.
        let _ = std::io::stdout().write_all(answer.as_bytes());
    }
    true
}

/// The answer: a first line with what the shell has to add, then candidates.
fn answer(words: &[OsString]) -> Option<String> {
    let shell = Shell::from_str(words.first()?.to_str()?, false).ok()?;
    let place: usize = words.get(1)?.to_str()?.parse().ok()?;
    let mut line: Vec<OsString> = words.get(3..)?.to_vec();
    line.truncate(place.checked_add(1)?);
    line.resize(place + 1, OsString::new());
    let current = line[place].clone();
    let home = home_of(&line);
    let mut grammar = taught(Grammar::command(), &home);
    grammar.build();
    spell_out(&mut line, &grammar);
    let candidates = complete(&mut grammar, line, place, None).unwrap_or_default();
    let mut answer = format!("{}\n", Files::wanted().word());
    for candidate in candidates {
        let Some(word) = candidate.get_value().to_str() else { continue };
        // Options are offered once one is begun; before that they would hide what is meant.
        let unasked = word.starts_with('-') && !current.as_encoded_bytes().starts_with(b"-");
        if candidate.is_hide_set() || unasked || word.chars().any(char::is_control) {
            continue;
        }
        let about = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let about = inline(about.lines().next().unwrap_or_default()).into_owned();
        answer.push_str(&shell.line(word, &about));
        answer.push('\n');
    }
    Some(answer)
}

/// The data folder that the line being written is about.
fn home_of(line: &[OsString]) -> Option<PathBuf> {
    let words: Vec<&str> = line.iter().filter_map(|word| word.to_str()).collect();
    let given = words.iter().enumerate().find_map(|(place, word)| match *word {
        "--home" => words.get(place + 1).copied(),
        word => word.strip_prefix("--home="),
    });
    let given = given.map(|given| match (given.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(user)) => Path::new(&user).join(rest),
        _ => PathBuf::from(given),
    });
    home::choose(given).ok()
}

/// Writes the line as clap's completion understands it, which knows whole commands alone.
fn spell_out(line: &mut [OsString], grammar: &Command) {
    let mut command = grammar;
    let Some(last) = line.len().checked_sub(1) else { return };
    let mut place = 1;
    while place < last {
        let Some(word) = line[place].to_str().map(str::to_owned) else { return };
        if word.starts_with('-') {
            let takes_value = command.get_arguments().any(|option| {
                option.get_long().is_some_and(|long| word == format!("--{long}"))
                    && option.get_num_args().is_some_and(|number| number.takes_values())
            });
            if takes_value && place + 1 < last {
                // A folder called `sync` would be taken for the command.
                line[place + 1] = "_".into();
            }
            place += 1 + usize::from(takes_value);
            continue;
        }
        let exact = command.find_subcommand(&word);
        let mut begun = command.get_subcommands().filter(|sub| sub.get_name().starts_with(&word));
        let next = exact.or_else(|| begun.next().filter(|_| begun.next().is_none()));
        let Some(next) = next else { return };
        line[place] = next.get_name().into();
        command = next;
        place += 1;
    }
}

/// The grammar with a completer for every argument that has one.
fn taught(command: Command, home: &Option<PathBuf>) -> Command {
    let command = command.mut_args(|argument| match completer(&argument, home) {
        Some(completer) => argument.add(completer),
        None => argument,
    });
    let subcommands: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    subcommands.into_iter().fold(command, |command, name| command.mut_subcommand(name, |sub| taught(sub, home)))
}

fn completer(argument: &Arg, home: &Option<PathBuf>) -> Option<ArgValueCompleter> {
    let names = argument.get_value_names().unwrap_or_default();
    let name = names.first().map_or_else(|| argument.get_id().as_str().to_uppercase(), |name| name.to_string());
    let of = |what: Completable, mark: &'static str| {
        let home = home.clone();
        Some(ArgValueCompleter::new(move |current: &OsStr| from_book(home.as_deref(), what, mark, current)))
    };
    match name.as_str() {
        "WHO" | "REF" => of(Completable::Handle, "@"),
        "FILTER" => of(Completable::Tag, "+"),
        "RELAY" => of(Completable::Relay, ""),
        "DEVICE" => of(Completable::Device, ""),
        _ => {
            let files = match argument.get_value_hint() {
                ValueHint::DirPath => Files::Folders,
                _ if name == "DIR" => Files::Folders,
                ValueHint::AnyPath | ValueHint::FilePath => Files::All,
                _ => return None,
            };
            Some(ArgValueCompleter::new(move |_: &OsStr| {
                files.want();
                Vec::new()
            }))
        }
    }
}

/// Candidates from the book. A mark that stands before the beginning stays there; a tag always has one.
fn from_book(home: Option<&Path>, what: Completable, mark: &str, current: &OsStr) -> Vec<CompletionCandidate> {
    let (Some(home), Some(current)) = (home, current.to_str()) else { return Vec::new() };
    let marked = !mark.is_empty() && current.starts_with(mark);
    if what == Completable::Tag && !marked && !current.is_empty() {
        return Vec::new();
    }
    let beginning = if marked { &current[mark.len()..] } else { current };
    let mark = if marked || what == Completable::Tag { mark } else { "" };
    let words = Book::glance(home, Environment::default()).and_then(|book| {
        match book.answer(Request::Complete { what, beginning: beginning.to_owned() }, &mut Silent) {
            Ok(Reply::Completions { words }) => Some(words),
            _ => None,
        }
    });
    let candidate = |Completion { word, about }: Completion| {
        let about = inline(&about).into_owned();
        CompletionCandidate::new(format!("{mark}{word}")).help((!about.is_empty()).then(|| about.into()))
    };
    words.unwrap_or_default().into_iter().map(candidate).collect()
}

/// Which files the shell has to offer itself: it knows about quoting, `~` and hidden ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Files {
    None,
    All,
    Folders,
}

impl Files {
    fn want(self) {
        WANTED.store(self as u8, Ordering::Relaxed);
    }

    fn wanted() -> Self {
        match WANTED.load(Ordering::Relaxed) {
            1 => Self::All,
            2 => Self::Folders,
            _ => Self::None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::None => "words",
            Self::All => "files",
            Self::Folders => "folders",
        }
    }
}

/// A completer can give back nothing but words; one process completes one word.
static WANTED: AtomicU8 = AtomicU8::new(0);

/// The word that a shell's script says first.
const WORD: &str = "__complete";

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split(' ').collect();
        let place = (words.len() - 1).to_string();
        let asked = ["bash", &place, "--"].into_iter().chain(words).map(OsString::from);
        let answer = answer(&asked.collect::<Vec<_>>()).unwrap();
        answer.lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn commands_options_and_values_are_offered_as_they_are_begun() {
        assert_eq!(ask("ties sy"), ["sync"]);
        assert!(ask("ties ").contains(&"import".to_owned()));
        assert!(!ask("ties ").iter().any(|word| word.starts_with('-') || word.starts_with("__")));
        assert_eq!(ask("ties sync --w"), ["--watch"]);
        assert_eq!(ask("ties export --to v")[0], "vcf");
        assert_eq!(ask("ties --color ne"), ["never"]);
    }

    #[test]
    fn begun_commands_lead_on_and_a_folder_is_none() {
        assert_eq!(ask("ties dev li"), ["list"]);
        assert_eq!(ask("ties --home sync dev li"), ["list"]);
        assert_eq!(ask("ties --json dev add --tic"), ["--ticket"]);
    }

    #[test]
    fn nonsense_is_answered_with_nothing() {
        for words in [&[][..], &["bash"], &["tcsh", "0", "--"], &["bash", "x", "--", "ties"]] {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            assert_eq!(answer(&words), None);
        }
        assert!(ask("ties frobnicate x").is_empty());
    }
}
