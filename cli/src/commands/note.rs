//! `ties note`: writes a note about a person or an organization.

use clap::Args;
use serde_json::json;
use ties_book::api::{NoteKind, NoteView, Reply, Request};

use super::SCHEMA;
use crate::desk::{Desk, unexpected};
use crate::editor;
use crate::errors::{Failure, Outcome};
use crate::render::{card, inline, palette};
use crate::terminal::read_stdin;

/// The words of `ties note`.
#[derive(Debug, Args)]
#[command(
    after_help = "Text on the command line stays in the shell's history; `-` and the editor leave no trace there.

Examples:
  ties note ada \"wants to hear about the sync paper\"
  ties note ada                        (in your editor)
  pbpaste | ties note ada -
  ties note ada --topic \"ask about the new lab\""
)]
pub(crate) struct Note {
    /// Whom it is about: handle, mail, phone, short id, or a unique part of a name in quotes
    who: String,

    /// The text, Markdown; `-` reads standard input; nothing opens your editor
    text: Vec<String>,

    /// A lasting fact
    #[arg(long, group = "kind")]
    fact: bool,

    /// Something to talk about next time
    #[arg(long, group = "kind")]
    topic: bool,

    /// An idea for a gift
    #[arg(long, group = "kind")]
    gift: bool,

    /// An open question
    #[arg(long, group = "kind")]
    question: bool,
}

impl Note {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let kind = self.kind();
        let (who, text) = match self.text.as_slice() {
            [] => compose(desk, &self.who)?,
            [dash] if dash == "-" => (self.who.clone(), read_stdin(LONGEST)?),
            words => (self.who.clone(), words.join(" ")),
        };
        if text.trim().is_empty() {
            return Err(Failure::failed("the note is empty; nothing was written"));
        }
        let request = |who| Request::Note { who, text: text.clone(), kind };
        let (note, person) = match desk.answer_about(&who, request)? {
            Reply::NoteAdded { note, person } => (note, person),
            Reply::OrganizationNoteAdded { note, organization } => {
                return added(
                    desk,
                    &note,
                    &super::org::headline(&organization),
                    &json!({"organization": organization}),
                );
            }
            _ => return Err(unexpected()),
        };
        added(desk, &note, &card::title(&person), &json!({"person": person}))
    }

    fn kind(&self) -> NoteKind {
        match (self.fact, self.topic, self.gift, self.question) {
            (true, ..) => NoteKind::Fact,
            (_, true, ..) => NoteKind::Topic,
            (_, _, true, _) => NoteKind::GiftIdea,
            (_, _, _, true) => NoteKind::Question,
            _ => NoteKind::Note,
        }
    }
}

/// Says what was written; `about` is what it is about, under its name.
fn added(desk: &mut Desk<'_>, note: &NoteView, title: &str, about: &serde_json::Value) -> Outcome {
    if desk.shell.json() {
        let mut value = json!({"schema": SCHEMA, "note": note});
        if let (Some(value), Some(about)) = (value.as_object_mut(), about.as_object()) {
            value.extend(about.clone());
        }
        return desk.shell.value(&value);
    }
    desk.shell.line(format!(
        "{} about {title}  {}",
        palette::good(&format!("+ {}", card::kind(note.kind))),
        palette::faint(&format!("[{}]", inline(&note.short)))
    ))
}

/// Lets the user write in the editor, once it is clear about whom; gives the exact id and the text.
fn compose(desk: &mut Desk<'_>, who: &str) -> Outcome<(String, String)> {
    if !editor::available() {
        return Err(Failure::usage("there is no text, and no terminal for an editor")
            .hint("ties note WHO TEXT, or ties note WHO - to read standard input"));
    }
    let reply = desk.answer_about(who, |who| Request::Show { who })?;
    let (id, about) = match reply {
        Reply::Person(person) => {
            let about = format!("{} (@{})", inline(&person.row.name), inline(&person.row.handle));
            (person.row.id, about)
        }
        Reply::Organization(view) => {
            let about = inline(&view.row.name).into_owned();
            (view.row.id.unwrap_or_else(|| who.to_owned()), about)
        }
        _ => {
            let failure = Failure::usage(format!("\"{who}\" is a note, nobody to write about"));
            return Err(failure.hint(format!("ties edit {who}")));
        }
    };
    let banner = format!("A note about {about}, in Markdown, below these lines. Leave it empty to write nothing.");
    let text = editor::edit("\n", &[banner])?;
    Ok((id, text.trim_end().trim_start_matches('\n').to_owned()))
}

/// The largest text that is read from standard input, in bytes.
const LONGEST: u64 = 1024 * 1024;
