//! The words of the command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use anstream::ColorChoice;
use clap::error::{ContextKind, ContextValue, ErrorKind as ClapError};
use clap::{CommandFactory as _, Parser, ValueEnum};

use crate::commands::{Command, help};
use crate::errors::{Failure, Kind};
use crate::terminal::Shell;

/// A professional network on your own devices.
#[derive(Debug, Parser)]
#[command(
    name = "ties",
    version,
    about,
    infer_subcommands = true,
    override_help = help::overview(),
    max_term_width = 100
)]
pub(crate) struct Grammar {
    /// Folder that holds this device's data (default: $TIES_HOME, else the platform's data folder).
    #[arg(long, global = true, value_name = "DIR", help_heading = EVERYWHERE)]
    pub(crate) home: Option<PathBuf>,

    /// Print answers and errors as JSON.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,

    /// Print nothing but the answer.
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    quiet: bool,

    /// When to use colours.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = EVERYWHERE)]
    color: Color,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

impl Grammar {
    /// Whether the command is a server, whose log is its output.
    pub(crate) fn serves(&self) -> bool {
        self.command.as_ref().is_some_and(Command::serves)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

/// The options that decide how anything is shown, including a mistake in the command line itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScreenOptions {
    pub(crate) json: bool,
    quiet: bool,
    colour: ColorChoice,
}

impl ScreenOptions {
    /// Looks for the options without understanding the rest, which may be wrong.
    pub(crate) fn glimpse(words: &[OsString]) -> Self {
        let mut options = Self { json: false, quiet: false, colour: ColorChoice::Auto };
        let words = words.iter().skip(1).take_while(|word| word.as_os_str() != "--");
        let mut after_color = false;
        for word in words.filter_map(|word| word.to_str()) {
            let value = if after_color { Some(word) } else { word.strip_prefix("--color=") };
            match value {
                Some("always") => options.colour = ColorChoice::Always,
                Some("never") => options.colour = ColorChoice::Never,
                _ => {}
            }
            after_color = word == "--color";
            options.json |= word == "--json";
            options.quiet |= word == "-q" || word == "--quiet";
        }
        options
    }

    /// A shell that speaks as asked; `auto` heeds `NO_COLOR` and whether there is a terminal.
    pub(crate) fn shell(&self) -> Shell {
        // clap prints its own texts through the same switch.
        self.colour.write_global();
        Shell::new(self.json, self.quiet, self.colour)
    }
}

/// A mistake in the command line as a failure like any other.
pub(crate) fn failure(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let message = lines.join(" ");
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    match error.kind() {
        ClapError::DisplayHelpOnMissingArgumentOrSubcommand => return no_subcommand(usage.unwrap_or_default()),
        ClapError::InvalidSubcommand => return wrong_subcommand(error, usage.unwrap_or_default()),
        _ => {}
    }
    let failure = Failure::new(Kind::Usage, message.strip_prefix("error: ").unwrap_or(&message));
    let suggestion = [ContextKind::SuggestedArg, ContextKind::SuggestedValue].iter().find_map(|&kind| error.get(kind));
    match (suggestion, usage) {
        (Some(ContextValue::String(one)), _) => failure.hint(format!("did you mean `{one}`?")),
        (Some(ContextValue::Strings(some)), _) if !some.is_empty() => {
            failure.hint(format!("did you mean `{}`?", some.join("` or `")))
        }
        (_, Some(usage)) => failure.hint(format!("usage: {usage}")),
        _ => failure.hint("`ties help COMMAND` shows how it is used"),
    }
}

/// A command of commands that stands alone: `ties device`.
fn no_subcommand(usage: &str) -> Failure {
    let (path, names) = commands_of(usage);
    Failure::usage(format!("`{path}` needs a command: {}", names.join(", "))).hint(format!("{path} --help"))
}

/// A command that there is not, or the beginning of several.
fn wrong_subcommand(error: &clap::Error, usage: &str) -> Failure {
    let word = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) => word.as_str(),
        _ => "",
    };
    let (path, names) = commands_of(usage);
    let several: Vec<&str> = names.iter().map(String::as_str).filter(|name| name.starts_with(word)).collect();
    if several.len() > 1 && !word.is_empty() {
        return Failure::usage(format!("`{path} {word}` begins several commands: {}", several.join(", ")));
    }
    let failure = Failure::usage(format!("there is no command `{path} {word}`"));
    match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::String(one)) => failure.hint(format!("did you mean `{one}`?")),
        Some(ContextValue::Strings(some)) if !some.is_empty() => {
            failure.hint(format!("did you mean `{}`?", some.join("` or `")))
        }
        _ => failure.hint(format!("{path} --help lists the commands")),
    }
}

/// The command that a line of usage is about, and the names of its own commands.
fn commands_of(usage: &str) -> (String, Vec<String>) {
    let mut command = Grammar::command();
    let mut path = vec!["ties".to_owned()];
    for word in usage.split(' ').skip(1) {
        let Some(inner) = command.find_subcommand(word).cloned() else { break };
        path.push(word.to_owned());
        command = inner;
    }
    let names = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    (path.join(" "), names)
}

/// A number of things to show; none at all would look like there being none.
pub(crate) fn at_least_one(word: &str) -> Result<usize, &'static str> {
    match word.parse() {
        Ok(0) | Err(_) => Err("not a whole number of 1 or more"),
        Ok(number) => Ok(number),
    }
}

/// Whether a word stands for standard input or output.
pub(crate) fn is_dash(word: &OsStr) -> bool {
    word == "-"
}

/// The heading of the options that every command has.
const EVERYWHERE: &str = "Options of every command";

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_grammar_contradicts_itself_nowhere() {
        Grammar::command().debug_assert();
    }

    #[test]
    fn every_command_shows_at_least_two_examples() {
        fn check(command: &clap::Command, path: &str) {
            // What is hidden is for the program itself.
            for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
                let path = format!("{path} {}", sub.get_name());
                let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                let examples = help.lines().filter(|line| line.contains("ties ")).count();
                assert!(examples >= 2, "`{path}` shows {examples} examples");
                check(sub, &path);
            }
        }
        check(&Grammar::command(), "ties");
    }

    #[test]
    fn no_paragraph_of_the_help_is_broken_by_hand() {
        // The terminal's own breaks would come on top of those.
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = help.lines().collect();
            for pair in lines.windows(2) {
                let prose = pair.iter().all(|line| !line.is_empty() && !line.starts_with(' '));
                assert!(!prose, "{}: {:?}", command.get_name(), pair);
            }
            command.get_subcommands().for_each(check);
        }
        check(&Grammar::command());
    }

    #[test]
    fn the_overview_names_every_command() {
        let overview = help::overview();
        for command in Grammar::command().get_subcommands() {
            assert!(overview.contains(command.get_name()), "{}", command.get_name());
        }
    }

    #[test]
    fn a_unique_beginning_of_a_verb_is_enough() {
        for line in ["ties im a.vcf", "ties fi crdt", "ties dev li", "ties sy --watch"] {
            assert!(Grammar::try_parse_from(words(line)).is_ok(), "{line}");
        }
        assert!(Grammar::try_parse_from(words("ties e ada")).is_err(), "edit or export");
    }

    #[test]
    fn a_mistake_says_what_is_wrong_and_what_to_do() {
        let mistake = |line: &str| failure(&Grammar::try_parse_from(words(line)).expect_err(line));
        let missing = mistake("ties rm");
        assert_eq!(missing.message, "the following required arguments were not provided: <WHO>...");
        assert_eq!(missing.hint.as_deref(), Some("usage: ties rm <WHO>..."));
        assert_eq!(mistake("ties ex --to jsno").hint.as_deref(), Some("did you mean `json`?"));
        assert_eq!(mistake("ties lss").hint.as_deref(), Some("did you mean `ls`?"));
        assert_eq!(
            mistake("ties device").message,
            "`ties device` needs a command: add, join, list, revoke, retire, role, rename, level"
        );
        assert_eq!(mistake("ties device").hint.as_deref(), Some("ties device --help"));
        assert_eq!(mistake("ties e ada").message, "`ties e` begins several commands: edit, export");
        assert_eq!(mistake("ties relay frobnicate").message, "there is no command `ties relay frobnicate`");
        assert_eq!(mistake("ties help xyzzy").hint.as_deref(), Some("ties --help lists the commands"));
    }

    #[test]
    fn options_are_found_even_in_a_wrong_line() {
        let options = ScreenOptions::glimpse(&words("ties frobnicate --color always -q --json"));
        assert!(options.json && options.quiet && options.colour == ColorChoice::Always);
        let options = ScreenOptions::glimpse(&words("ties note ada -- --json --color=never"));
        assert!(!options.json && options.colour == ColorChoice::Auto);
    }
}
