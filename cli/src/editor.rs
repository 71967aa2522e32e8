//! The user's own editor, on a file that nobody else can read and that is gone afterwards.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::{Command, ExitStatus};

use crate::errors::{Failure, Outcome};
use crate::signals;
use crate::temporary::{Folder, write_private};

/// Whether an editor can be used: it needs the whole terminal.
pub(crate) fn available() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Lets the user edit `text` under a banner of remarks, and gives back what was saved.
///
/// The banner's lines begin with [`MARK`] and are taken off again.
pub(crate) fn edit(text: &str, banner: &[String]) -> Outcome<String> {
    let folder = Folder::private("ties-edit-")?;
    let path = folder.path().join("edit.md");
    write_private(&path, with_banner(text, banner).as_bytes())?;
    run(&path)?;
    let saved = fs::read_to_string(&path)
        .map_err(|error| Failure::failed("cannot read what the editor saved").because(&error))?;
    Ok(without_banner(&saved).to_owned())
}

/// What the lines of a banner begin with.
pub(crate) const MARK: &str = "#>";

fn with_banner(text: &str, banner: &[String]) -> String {
    let mut marked = String::new();
    for line in banner.iter().flat_map(|remark| remark.lines()) {
        marked.push_str(MARK);
        marked.push(' ');
        marked.push_str(line);
        marked.push('\n');
    }
    marked + text
}

/// The text below the marked lines at its top.
pub(crate) fn without_banner(text: &str) -> &str {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while rest.starts_with(MARK) {
        rest = rest.split_once('\n').map_or("", |(_, below)| below);
    }
    rest
}

fn run(path: &Path) -> Outcome {
    let editor = chosen();
    // The editor gets the terminal's Ctrl-C; it must not take us from under it.
    let ignored = signals::ignore();
    let status = start(&editor, path);
    drop(ignored);
    let name = editor.to_string_lossy();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::failed(format!("the editor `{name}` ended with {status}"))
            .hint("nothing was changed; set VISUAL or EDITOR to choose another editor")),
        Err(error) => Err(Failure::failed(format!("cannot start the editor `{name}`"))
            .because(&error)
            .hint("set VISUAL or EDITOR to the editor that you like")),
    }
}

fn chosen() -> OsString {
    ["VISUAL", "EDITOR"]
        .iter()
        .filter_map(std::env::var_os)
        .find(|editor| !editor.is_empty())
        .unwrap_or_else(|| if cfg!(windows) { "notepad" } else { "vi" }.into())
}

/// The variables hold a command line, such as `code --wait`, which is the shell's to take apart.
#[cfg(unix)]
fn start(editor: &OsString, path: &Path) -> io::Result<ExitStatus> {
    let mut line = editor.clone();
    line.push(" \"$1\"");
    Command::new("sh").arg("-c").arg(line).arg("sh").arg(path).status()
}

#[cfg(not(unix))]
fn start(editor: &OsString, path: &Path) -> io::Result<ExitStatus> {
    let line = editor.to_string_lossy();
    let mut words = line.split_whitespace();
    Command::new(words.next().unwrap_or("notepad")).args(words).arg(path).status()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banner_goes_on_and_comes_off_again() {
        let banner = vec!["Error: line 3\nsays no".to_owned(), "Save to try again.".to_owned()];
        let text = "+++\nname = \"Ada\"\n+++\n#> not a banner: not at the top\n";
        let marked = with_banner(text, &banner);
        assert_eq!(marked.lines().next(), Some("#> Error: line 3"));
        assert_eq!(without_banner(&marked), text);
        assert_eq!(without_banner("#> only"), "");
        assert_eq!(without_banner("plain"), "plain");
    }
}
