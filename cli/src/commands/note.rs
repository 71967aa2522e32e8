//! `ties note`: writes a note about a person.

use clap::Args;
use serde_json::json;
use ties_book::api::{NoteKind, Reply, Request};

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
        let Reply::NoteAdded { note, person } = desk.answer_about(&who, request)? else {
            return Err(unexpected());
        };
        if desk.shell.json() {
            return desk.shell.value(&json!({"schema": SCHEMA, "note": note, "person": person}));
        }
        desk.shell.line(format!(
            "{} about {}  {}",
            palette::good(&format!("+ {}", card::kind(note.kind))),
            card::title(&person),
            palette::faint(&format!("[{}]", inline(&note.short)))
        ))
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

/// Lets the user write in the editor, once it is clear about whom; gives the exact id and the text.
fn compose(desk: &mut Desk<'_>, who: &str) -> Outcome<(String, String)> {
    if !editor::available() {
        return Err(Failure::usage("there is no text, and no terminal for an editor")
            .hint("ties note WHO TEXT, or ties note WHO - to read standard input"));
    }
    let reply = desk.answer_about(who, |who| Request::Show { who })?;
    let Reply::Person(person) = reply else {
        return Err(Failure::usage(format!("\"{who}\" is a note, not a person")).hint(format!("ties edit {who}")));
    };
    let banner = format!(
        "A note about {} (@{}), in Markdown, below these lines. Leave it empty to write nothing.",
        inline(&person.row.name),
        inline(&person.row.handle)
    );
    let text = editor::edit("\n", &[banner])?;
    Ok((person.row.id, text.trim_end().trim_start_matches('\n').to_owned()))
}

/// The largest text that is read from standard input, in bytes.
const LONGEST: u64 = 1024 * 1024;
