//! `ties edit`: edits a person or a note as text.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use ties_book::api::{EditText, Reply, Request};

use super::SCHEMA;
use crate::desk::{Desk, unexpected};
use crate::editor;
use crate::errors::{Failure, Kind, Outcome};
use crate::grammar::is_dash;
use crate::render::{inline, palette};
use crate::terminal::read_stdin;

/// The words of `ties edit`.
#[derive(Debug, Args)]
#[command(
    after_help = "The text is TOML between two lines of +++, then Markdown. Only what you change is written, so \
that what another device changed meanwhile stays. An empty text changes nothing.

Examples:
  ties edit ada
  ties edit 3f2a
  ties edit ada --print | sed s/Acme/Initech/ | ties edit ada --from -"
)]
pub(crate) struct Edit {
    /// The person, or the short id of a note
    #[arg(required = true, value_name = "WHO")]
    what: Vec<String>,

    /// Take the new text from a file (`-`: standard input) instead of an editor
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// Print the text that would be edited, and change nothing
    #[arg(long, conflicts_with = "from")]
    print: bool,
}

impl Edit {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let by_hand = self.from.is_none() && !self.print;
        if by_hand && !editor::available() {
            return Err(Failure::usage("there is no terminal for an editor")
                .hint("ties edit WHO --print shows the text, --from FILE takes the new one"));
        }
        // The new text is read first: the text before must be as fresh as it can be.
        let after = self.from.as_ref().map(read).transpose()?;
        let reply = desk.answer_about(&self.what.join(" "), |what| Request::EditText { what })?;
        let Reply::EditText(before) = reply else { return Err(unexpected()) };
        if self.print {
            return print(desk, &before);
        }
        match after {
            Some(after) => apply(desk, &before, after).and_then(|edited| edited.show(desk)),
            None => by_editor(desk, &before),
        }
    }
}

fn read(file: &PathBuf) -> Outcome<String> {
    if is_dash(file.as_os_str()) {
        return read_stdin(LONGEST);
    }
    fs::read_to_string(file).map_err(|error| Failure::io(format!("cannot read {}", file.display()), &error))
}

fn print(desk: &mut Desk<'_>, before: &EditText) -> Outcome {
    if desk.shell.json() {
        return desk
            .shell
            .value(&json!({"schema": SCHEMA, "id": before.id, "label": before.label, "text": before.text}));
    }
    desk.shell.file(before.text.as_bytes())
}

/// Opens the editor, and again with the message on top as long as the text has a mistake.
fn by_editor(desk: &mut Desk<'_>, before: &EditText) -> Outcome {
    let mut text = before.text.clone();
    let mut banner =
        vec![format!("{}: save to keep your changes; leave the text empty to change nothing.", inline(&before.label))];
    loop {
        let after = editor::edit(&text, &banner)?;
        if after == before.text {
            desk.shell.remark("Nothing changed.");
            return Ok(());
        }
        match apply(desk, before, after.clone()) {
            Ok(edited) => return edited.show(desk),
            // The same text with the same mistake: the user has given up on it.
            Err(failure) if failure.kind != Kind::Usage || after == text => return Err(failure),
            Err(failure) => banner = remarks(&failure),
        }
        text = after;
    }
}

fn remarks(failure: &Failure) -> Vec<String> {
    let mut remarks = vec![format!("Error: {}", inline(&failure.message))];
    remarks.extend(failure.causes.iter().map(|cause| format!("Caused by: {}", inline(cause))));
    remarks.extend(failure.hint.iter().map(|hint| format!("Hint: {}", inline(hint))));
    remarks.push("Mend it and save; save it as it is, or empty, to give up.".to_owned());
    remarks
}

struct Edited {
    label: String,
    changed: Vec<String>,
}

impl Edited {
    fn show(&self, desk: &mut Desk<'_>) -> Outcome {
        let Self { label, changed } = self;
        if desk.shell.json() {
            return desk.shell.value(&json!({"schema": SCHEMA, "label": label, "changed": changed}));
        }
        if changed.is_empty() {
            desk.shell.remark("Nothing changed.");
            return Ok(());
        }
        desk.shell.line(format!(
            "{} {}: {}",
            palette::good("Changed"),
            palette::strong(&inline(label)),
            inline(&changed.join(", "))
        ))
    }
}

fn apply(desk: &mut Desk<'_>, before: &EditText, after: String) -> Outcome<Edited> {
    let after = editor::without_banner(&after);
    if after.trim().is_empty() {
        return Err(Failure::failed("the text is empty; nothing was changed"));
    }
    let request = Request::EditApply { id: before.id.clone(), before: before.text.clone(), after: after.to_owned() };
    match desk.answer(request)? {
        Reply::Edited { label, changed } => Ok(Edited { label, changed }),
        _ => Err(unexpected()),
    }
}

/// The largest text that is taken in, in bytes.
const LONGEST: u64 = 4 * 1024 * 1024;
