//! `ties find`: searches people and notes.

use clap::Args;
use serde_json::json;
use ties_book::api::{Hit, Reply, Request};

use super::SCHEMA;
use crate::desk::{Desk, unexpected};
use crate::errors::{Failure, Kind, Outcome};
use crate::grammar::at_least_one;
use crate::render::width::fit;
use crate::render::{card, inline, palette};

/// The words of `ties find`.
#[derive(Debug, Args)]
#[command(after_help = "Every word must occur, whatever its case and accents. Nothing found: exit code 3.

Examples:
  ties find crdt grant
  ties find muller --limit 5
  ties find \"rust lead\" --json")]
pub(crate) struct Find {
    /// The words to look for
    #[arg(required = true)]
    words: Vec<String>,

    /// Show so many at most (default: 50 on a terminal, all otherwise)
    #[arg(short = 'n', long, value_name = "N", value_parser = at_least_one)]
    limit: Option<usize>,
}

impl Find {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let limit = self.limit.or(desk.shell.width().map(|_| SCREENFUL));
        let asked = self.words.join(" ");
        let reply = desk.answer(Request::Find { words: self.words, limit })?;
        let Reply::Found { hits, more } = reply else { return Err(unexpected()) };
        if desk.shell.json() {
            desk.shell.value(&json!({"schema": SCHEMA, "hits": hits, "more": more}))?;
        }
        if hits.is_empty() {
            return Err(Failure::new(Kind::NotFound, format!("nothing found for \"{asked}\"")));
        }
        if desk.shell.json() {
            return Ok(());
        }
        for hit in &hits {
            show(desk, hit)?;
        }
        if more {
            desk.shell.remark(palette::faint("There are more: raise --limit."));
        }
        Ok(())
    }
}

fn show(desk: &mut Desk<'_>, hit: &Hit) -> Outcome {
    let title = match (&hit.person, &hit.organization, &hit.note) {
        (Some(person), ..) => card::headline(person),
        (None, Some(organization), _) => super::org::headline(organization),
        (None, None, Some(note)) => format!("note {}", palette::faint(&inline(&note.short))),
        (None, None, None) => return Ok(()),
    };
    desk.shell.line(title)?;
    if hit.excerpt.is_empty() {
        return Ok(());
    }
    let id = hit.note.as_ref().map(|note| inline(&note.short).into_owned()).unwrap_or_default();
    let mut excerpt = inline(&hit.excerpt).into_owned();
    if let Some(width) = desk.shell.width() {
        excerpt = fit(&excerpt, width.saturating_sub(id.len() + 6));
    }
    desk.shell.line(format!("    {}  {excerpt}", palette::faint(&id)))
}

/// How many hits a terminal gets unless asked otherwise.
const SCREENFUL: usize = 50;
