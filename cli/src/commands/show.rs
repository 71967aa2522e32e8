//! `ties show`: one person with all notes, or one note.

use clap::Args;
use serde_json::json;
use ties_book::api::{Reply, Request};

use super::SCHEMA;
use crate::desk::{Desk, unexpected};
use crate::errors::Outcome;
use crate::render::card;

/// The words of `ties show`.
#[derive(Debug, Args)]
#[command(after_help = "With --json: the JSContact card (RFC 9553) with a block of our own.

Examples:
  ties show ada
  ties show grace@navy.example --all
  ties show 3f2a --json")]
pub(crate) struct Show {
    /// Handle, mail, phone, link, short id, or any unique part of a name; or the short id of a note
    #[arg(required = true)]
    who: Vec<String>,

    /// Show the fields kept for other programs as well
    #[arg(short, long)]
    all: bool,
}

impl Show {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        match desk.answer_about(&self.who.join(" "), |who| Request::Show { who })? {
            Reply::Person(person) if desk.shell.json() => match &person.row.card {
                Some(card) => desk.shell.value(card),
                None => desk.shell.value(&person),
            },
            Reply::Note(note) if desk.shell.json() => desk.shell.value(&json!({"schema": SCHEMA, "note": note})),
            Reply::Organization(view) => super::org::show(desk, &view, self.all),
            Reply::Person(person) => {
                let lines = card::person(&person, self.all, desk.shell.width());
                desk.shell.lines(lines)
            }
            Reply::Note(note) => {
                let lines = card::note(&note, "", desk.shell.width());
                desk.shell.lines(lines)
            }
            _ => Err(unexpected()),
        }
    }
}
