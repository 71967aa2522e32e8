//! `ties new`: adds a person.

use clap::Args;
use serde_json::json;
use ties_book::api::{Labelled, PersonAdded, Reply, Request};

use super::SCHEMA;
use crate::desk::{Desk, unexpected};
use crate::errors::{Outcome, candidate_line};
use crate::render::{card, inline, palette};

/// The words of `ties new`.
#[derive(Debug, Args)]
#[command(after_help = "Recognised anywhere: mail addresses, phone numbers, links, +TAG, org:NAME, title:TEXT, \
on:DATE (met on), via:WHO (met through), how:TEXT. Everything else is the name.

Examples:
  ties new \"Grace Hopper\" grace@navy.example +11 555 0100 org:Navy +compilers
  ties new Ada Lovelace https://ada.example on:2026-05 via:@grace
  ties new \"Bob\" \"how:sat beside me at the workshop\"")]
pub(crate) struct New {
    /// The name, and what is known
    #[arg(required = true, value_name = "NAME")]
    words: Vec<String>,
}

impl New {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let Reply::PersonAdded(added) = desk.answer(Request::New { words: self.words })? else {
            return Err(unexpected());
        };
        if desk.shell.json() {
            return desk.shell.value(&json!({
                "schema": SCHEMA,
                "person": added.person,
                "understood": added.understood,
                "similar": added.similar,
            }));
        }
        show(desk, &added)
    }
}

fn show(desk: &mut Desk<'_>, added: &PersonAdded) -> Outcome {
    let edit = palette::faint(&format!("ties edit {}", inline(&added.person.handle)));
    desk.shell.line(format!("{} {}   {edit}", palette::good("+ new person"), card::title(&added.person)))?;
    for Labelled { value, label } in &added.understood {
        let label = palette::faint(&format!("{:<12}", inline(label)));
        desk.shell.line(format!("  {label} {}", inline(value)))?;
    }
    if !added.similar.is_empty() {
        desk.shell.remark(palette::warning("There already is somebody like that:"));
        for candidate in &added.similar {
            desk.shell.remark(format!("  {}", candidate_line(candidate)));
        }
    }
    Ok(())
}
