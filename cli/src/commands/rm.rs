//! `ties rm`: deletes a person or a note.

use clap::Args;
use serde_json::json;
use ties_book::api::{Reply, Request};

use super::SCHEMA;
use crate::desk::{Desk, unexpected};
use crate::errors::{Failure, Outcome};
use crate::render::{amount, inline, palette, width};

/// The words of `ties rm`.
#[derive(Debug, Args)]
#[command(after_help = "Asks first; without a terminal it needs --yes.

Examples:
  ties rm bob
  ties rm 9c1e
  ties rm bob@old.example --yes")]
pub(crate) struct Rm {
    /// The person, or the short id of a note
    #[arg(required = true, value_name = "WHO")]
    what: Vec<String>,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Rm {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        if !self.yes && !desk.shell.can_ask() {
            return Err(Failure::usage("nobody is there to confirm the deletion").hint("--yes deletes without asking"));
        }
        let found = desk.answer_about(&self.what.join(" "), |who| Request::Show { who })?;
        let (id, label) = match &found {
            Reply::Person(person) => {
                let notes = person.notes.len() as u64;
                let notes = match notes {
                    0 => String::new(),
                    _ => format!(" and {}", amount::counted(notes, "note", "notes")),
                };
                let (name, handle) = (inline(&person.row.name), inline(&person.row.handle));
                (person.row.id.clone(), format!("{name} (@{handle}){notes}"))
            }
            Reply::Note(note) => {
                let start = width::fit(&inline(note.body.trim()), 40);
                (note.id.clone(), format!("note {} \"{start}\"", inline(&note.short)))
            }
            _ => return Err(unexpected()),
        };
        if !self.yes && desk.shell.confirm(&format!("Delete {label}?"))? != Some(true) {
            return Err(Failure::failed("nothing was deleted"));
        }
        let Reply::Removed(removed) = desk.answer(Request::Remove { what: id })? else {
            return Err(unexpected());
        };
        if desk.shell.json() {
            return desk.shell.value(&json!({
                "schema": SCHEMA, "id": removed.id, "label": removed.label, "notes": removed.notes,
            }));
        }
        let notes = match removed.notes as u64 {
            0 => String::new(),
            notes => format!(" and {}", amount::counted(notes, "note", "notes")),
        };
        desk.shell.line(format!("{} {}{notes}", palette::good("Deleted"), inline(&removed.label)))
    }
}
