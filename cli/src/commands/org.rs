//! `ties org`: organizations, who belongs there, and what is known of them.

use clap::Args;
use serde_json::json;
use ties_book::api::{OrganizationRow, OrganizationView, Reply, Request};

use super::{SCHEMA, ls};
use crate::desk::{Desk, unexpected};
use crate::errors::Outcome;
use crate::render::table::{Column, Table};
use crate::render::{amount, card, inline, palette};

/// The words of `ties org`.
#[derive(Debug, Args)]
#[command(
    after_help = "Two names are one organization if they differ in case, accents, punctuation or legal form alone \
(Acme, ACME Inc.). There is a record only once you write something: kind: (company, association, \
nonprofit, school, government, community, forum, team, other), domain:, industry:, location:, \
alias:, link:, name: (how it is shown), +tag. key:- empties a field. `ties note NAME TEXT` writes \
a note about it, `ties rm NAME` deletes the record.

Examples:
  ties org
  ties org \"Acme GmbH\"
  ties org acme kind:company domain:acme.example location:Graz +client
  ties org acme --json"
)]
pub(crate) struct Org {
    /// The name, and what to write about it; nothing lists the organizations
    #[arg(value_name = "NAME")]
    words: Vec<String>,
}

impl Org {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let (name, words) = parted(self.words);
        if name.is_empty() && words.is_empty() {
            return list(desk);
        }
        match desk.answer(Request::Organization { name, words })? {
            Reply::Organization(view) => show(desk, &view, false),
            _ => Err(unexpected()),
        }
    }
}

/// The name, of as many words as it takes, and what is to be written.
fn parted(words: Vec<String>) -> (String, Vec<String>) {
    let is_field = |word: &String| {
        let named = word.split_once(':').is_some_and(|(key, value)| {
            !key.is_empty() && !value.is_empty() && key.chars().all(|c| c.is_ascii_lowercase())
        });
        named || word.starts_with('+')
    };
    let (fields, name): (Vec<String>, Vec<String>) = words.into_iter().partition(is_field);
    (name.join(" "), fields)
}

fn list(desk: &mut Desk<'_>) -> Outcome {
    let Reply::Organizations { organizations } = desk.answer(Request::Organizations { filter: Vec::new() })? else {
        return Err(unexpected());
    };
    if desk.shell.json() {
        return desk.shell.value(&json!({"schema": SCHEMA, "organizations": organizations}));
    }
    if organizations.is_empty() {
        desk.shell.remark(palette::faint("No organizations yet. `ties org NAME kind:company` begins one."));
        return Ok(());
    }
    let mut table = Table::new(vec![
        Column::flexible("organization").painted(palette::strong),
        Column::whole("people"),
        Column::flexible("kind").dispensable(2),
        Column::flexible("industry").dispensable(4),
        Column::flexible("location").dispensable(3),
        Column::flexible("tags").painted(palette::good).dispensable(1),
        Column::whole("id").painted(palette::faint),
    ]);
    for one in &organizations {
        let short = one.short.as_deref().unwrap_or_default();
        let people = amount::count(one.people as u64);
        let cells = [&one.name, &people, &one.kind, &one.industry, &one.location, &tags(one), short];
        table.row(cells.map(|cell| inline(cell).into_owned()));
    }
    let lines = table.lines(desk.shell.width());
    desk.shell.lines(lines)
}

/// Shows an organization; `all` shows the fields kept for other programs as well.
pub(super) fn show(desk: &mut Desk<'_>, view: &OrganizationView, all: bool) -> Outcome {
    if desk.shell.json() {
        return desk.shell.value(&json!({"schema": SCHEMA, "organization": view}));
    }
    let row = &view.row;
    let short = row.short.iter().map(|short| palette::faint(&format!("  [{}]", inline(short))));
    desk.shell.line(format!("{}{}", palette::strong(&inline(&row.name)), short.collect::<String>()))?;
    let said = [row.kind.as_str(), &row.industry, &row.location].into_iter().filter(|text| !text.is_empty());
    let said = said.map(inline).collect::<Vec<_>>().join(" · ");
    let tags = tags(row);
    let heading = [said, if tags.is_empty() { tags } else { palette::good(&inline(&tags)) }];
    desk.shell.lines(heading.into_iter().filter(|line| !line.is_empty()))?;
    let lines = card::organization(view, all, desk.shell.width());
    desk.shell.lines(lines)?;
    if !view.people.is_empty() {
        desk.shell.line("")?;
        let lines = ls::table(&view.people).lines(desk.shell.width());
        desk.shell.lines(lines)?;
    }
    for note in &view.notes {
        desk.shell.line("")?;
        let lines = card::note(note, "  ", desk.shell.width());
        desk.shell.lines(lines)?;
    }
    Ok(())
}

/// The name, what it is and where, and how many people, in one line.
pub(super) fn headline(row: &OrganizationRow) -> String {
    let mut parts = vec![amount::counted(row.people as u64, "person", "people")];
    let said = [&row.kind, &row.industry, &row.location].into_iter().filter(|text| !text.is_empty());
    parts.extend(said.map(|text| inline(text).into_owned()));
    let short = row.short.iter().map(|short| palette::faint(&format!("  [{}]", inline(short))));
    format!("{}  {}{}", palette::strong(&inline(&row.name)), parts.join(" · "), short.collect::<String>())
}

fn tags(row: &OrganizationRow) -> String {
    row.tags.iter().map(|tag| format!("+{tag}")).collect::<Vec<_>>().join(" ")
}
