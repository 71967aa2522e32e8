//! `ties man`: manual pages, made from the same words as the help.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use clap::{Arg, Args, CommandFactory as _};
use serde_json::json;

use super::SCHEMA;
use crate::desk::Desk;
use crate::errors::{Failure, Kind, Outcome};
use crate::grammar::Grammar;
use crate::render::{amount, inline, palette};
use crate::temporary::{self, Folder, write_private};
use crate::{editor, signals};

/// The words of `ties man`.
#[derive(Debug, Args)]
#[command(after_help = "On a terminal the page opens in `man`; otherwise it is printed as roff.

Examples:
  ties man device add | gzip > ties-device-add.1.gz
  ties man --dir ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// The command that the page is about (default: ties itself)
    command: Vec<String>,

    /// Write all pages into a folder
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let pages = pages();
        if let Some(dir) = &self.dir {
            return write_all(desk, dir, &pages);
        }
        let name = ["ties"].into_iter().chain(self.command.iter().map(String::as_str)).collect::<Vec<_>>().join("-");
        let Some(page) = pages.iter().find(|page| page.name == name) else {
            return Err(Failure::new(Kind::NotFound, format!("there is no command `{}`", self.command.join(" ")))
                .hint("ties help lists the commands"));
        };
        if desk.shell.json() {
            return desk.shell.value(&json!({"schema": SCHEMA, "page": page.name, "roff": page.roff}));
        }
        if editor::available() { read(page) } else { desk.shell.file(page.roff.as_bytes()) }
    }
}

/// Opens a page in the system's reader.
fn read(page: &Manual) -> Outcome {
    let folder = Folder::private("ties-man-")?;
    let path = folder.path().join(format!("{}.1", page.name));
    write_private(&path, page.roff.as_bytes())?;
    // The pager gets the terminal's Ctrl-C.
    let ignored = signals::ignore();
    let status = process::Command::new("man").arg("-l").arg(&path).status();
    drop(ignored);
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::failed(format!("`man` ended with {status}")).hint(INSTEAD)),
        Err(error) => Err(Failure::failed("cannot start `man`").because(&error).hint(INSTEAD)),
    }
}

fn write_all(desk: &mut Desk<'_>, dir: &Path, pages: &[Manual]) -> Outcome {
    fs::create_dir_all(dir).map_err(|error| Failure::io(format!("cannot make {}", dir.display()), &error))?;
    for page in pages {
        temporary::replace(&dir.join(format!("{}.1", page.name)), page.roff.as_bytes())?;
    }
    let dir = dir.display().to_string();
    if desk.shell.json() {
        let names: Vec<&str> = pages.iter().map(|page| page.name.as_str()).collect();
        return desk.shell.value(&json!({"schema": SCHEMA, "dir": dir, "pages": names}));
    }
    let count = amount::counted(pages.len() as u64, "page", "pages");
    desk.shell.remark(format!("{} {count} to {}", palette::good("Wrote"), inline(&dir)));
    Ok(())
}

/// A page: `ties-device-add` and its text.
struct Manual {
    name: String,
    roff: String,
}

fn pages() -> Vec<Manual> {
    let mut grammar = Grammar::command().disable_help_subcommand(true);
    grammar.build();
    let mut pages = Vec::new();
    add_pages(&grammar, None, &mut pages);
    pages
}

/// The page of a command and those of its own commands.
///
/// Not by clap_mangen, which fills the lines of examples and repeats the options of every command on each page.
fn add_pages(command: &clap::Command, parent: Option<&str>, pages: &mut Vec<Manual>) {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let about = about.strip_prefix("ties: ").unwrap_or(&about);
    let subcommands: Vec<&clap::Command> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).collect();
    let mut roff = format!(
        ".TH \"{}\" 1 {DATED} \"ties {}\" \"ties\"\n",
        escaped(&name.to_uppercase()),
        env!("CARGO_PKG_VERSION")
    );
    roff.push_str(&format!(".SH NAME\n{} \\- {}\n", escaped(&name), escaped(about)));
    let usage = command.clone().render_usage().to_string();
    section(&mut roff, "SYNOPSIS", usage.trim_start_matches("Usage: "));
    let (everywhere, own): (Vec<&Arg>, Vec<&Arg>) = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
        .partition(|argument| argument.is_global_set());
    arguments(&mut roff, "ARGUMENTS", own.iter().copied().filter(|argument| argument.is_positional()));
    arguments(&mut roff, "OPTIONS", own.iter().copied().filter(|argument| !argument.is_positional()));
    if !subcommands.is_empty() {
        roff.push_str(".SH COMMANDS\n");
        for sub in &subcommands {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            roff.push_str(&format!(".TP\n\\fB{}\\fR(1)\n{}\n", escaped(&page_of(sub)), escaped(&about)));
        }
    }
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (notes, examples) = after.split_once("Examples:\n").unwrap_or((after.as_str(), ""));
    prose(&mut roff, "NOTES", notes);
    section(&mut roff, "EXAMPLES", examples);
    match parent {
        None => {
            arguments(&mut roff, "OPTIONS OF EVERY COMMAND", everywhere.into_iter());
            section(&mut roff, "EXIT STATUS", EXIT_STATUS);
            section(&mut roff, "ENVIRONMENT", ENVIRONMENT);
        }
        Some(parent) => {
            roff.push_str(".SH \"SEE ALSO\"\n");
            for page in [parent, "ties"].iter().take(if parent == "ties" { 1 } else { 2 }) {
                roff.push_str(&format!("\\fB{}\\fR(1)\n", escaped(page)));
            }
            roff.push_str("\\(en the options of every command are told there\n");
        }
    }
    pages.push(Manual { name: name.clone(), roff });
    subcommands.into_iter().for_each(|sub| add_pages(sub, Some(&name), pages));
}

fn page_of(command: &clap::Command) -> String {
    command.get_display_name().unwrap_or(command.get_name()).to_owned()
}

fn arguments<'a>(roff: &mut String, title: &str, arguments: impl Iterator<Item = &'a Arg>) {
    let mut first = true;
    for argument in arguments {
        if std::mem::take(&mut first) {
            roff.push_str(&format!(".SH \"{title}\"\n"));
        }
        let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let values: Vec<String> = match argument.get_num_args().is_some_and(|number| number.takes_values()) {
            true => argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect(),
            false => Vec::new(),
        };
        let values = if values.is_empty() { String::new() } else { format!(": {}", values.join(", ")) };
        roff.push_str(&format!(".TP\n\\fB{}\\fR\n", escaped(&format!("{short}{argument}"))));
        roff.push_str(&format!("{}\n", escaped(&format!("{help}{values}"))));
    }
}

/// A section of paragraphs, which fill the page's width, and of lines set in, which stay as they are.
fn prose(roff: &mut String, title: &str, text: &str) {
    if text.trim().is_empty() {
        return;
    }
    roff.push_str(&format!(".SH \"{title}\"\n"));
    let mut as_it_is = false;
    for line in text.trim_end().lines() {
        let set_in = line.starts_with(' ');
        if set_in != as_it_is {
            roff.push_str(if set_in { ".nf\n" } else { ".fi\n" });
            as_it_is = set_in;
        }
        roff.push_str(&if line.is_empty() { ".PP".to_owned() } else { escaped(line) });
        roff.push('\n');
    }
    if as_it_is {
        roff.push_str(".fi\n");
    }
}

/// A section whose lines stay as they are, for they have columns and commands in them.
fn section(roff: &mut String, title: &str, text: &str) {
    if text.trim().is_empty() {
        return;
    }
    roff.push_str(&format!(".SH \"{title}\"\n.nf\n"));
    for line in text.trim_end().lines() {
        roff.push_str(&escaped(line));
        roff.push('\n');
    }
    roff.push_str(".fi\n");
}

/// Text in which roff sees no request and no escape.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// When the pages were last looked over; a build must not show in them.
const DATED: &str = "2026-11-23";

const INSTEAD: &str = "`ties help COMMAND` says the same; ties man COMMAND > FILE writes the page";

const EXIT_STATUS: &str = "\
0  done
1  failed
2  wrong usage
3  not found
4  ambiguous: the candidates are listed
5  locked, or the wrong key
6  done, but some of the input was rejected
7  refused by a guard
130  interrupted";

const ENVIRONMENT: &str = "\
TIES_HOME       the data folder of this device, as --home
TIES_LOG        what the program logs to standard error, such as debug
NO_COLOR        no colours
CLICOLOR_FORCE  colours also where there is no terminal
VISUAL, EDITOR  the editor of ties edit and ties note";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_examples() {
        let pages = pages();
        for name in ["ties", "ties-note", "ties-device", "ties-device-add"] {
            let page = pages.iter().find(|page| page.name == name).expect(name);
            assert!(page.roff.starts_with(".TH"), "{}", page.roff);
            assert!(page.roff.contains(".SH NAME") && page.roff.contains(".SH \"SYNOPSIS\""), "{name}");
            assert!(name == "ties" || page.roff.contains(".SH \"EXAMPLES\""), "{name}");
        }
    }

    #[test]
    fn no_line_of_a_text_is_a_request() {
        assert_eq!(escaped(".so /etc/passwd"), "\\&.so /etc/passwd");
        assert_eq!(escaped("a\\fB --x"), "a\\efB \\-\\-x");
    }
}
