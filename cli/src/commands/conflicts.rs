//! `ties conflicts` and `ties resolve`: fields that two devices set to different values.

use clap::Args;
use serde_json::json;
use ties_book::api::{
    Candidate, ConflictRow, ConflictValue, Conflicts as Found, HandleConflict, Reply, Request, Resolution,
};

use super::{SCHEMA, status};
use crate::desk::{Desk, unexpected};
use crate::errors::{Failure, Kind, Outcome};
use crate::render::{amount, inline, palette, width};

/// The words of `ties conflicts`.
#[derive(Debug, Args)]
#[command(
    after_help = "When two devices set one field to different values while apart, one of them counts on all devices and \
the other waits here. So do handles that several people hold. Nothing is lost, and nothing has to be done.

Examples:
  ties conflicts
  ties conflicts ada
  ties conflicts --json"
)]
pub(crate) struct Conflicts {
    /// Of one record: a person, an organization, or the short id of a note
    #[arg(value_name = "REF")]
    what: Option<String>,
}

/// The words of `ties resolve`.
#[derive(Debug, Args)]
#[command(
    after_help = "The value counts on every device from then on. What was settled apart on two devices once more is listed once \
more. `ties undo` gives the field what it held before.

Examples:
  ties resolve ada title --take 2
  ties resolve ada mail.label --value work
  ties resolve ada-2 handle --value ada-b      (where two people are called @ada)"
)]
pub(crate) struct Resolve {
    /// Whose: a handle or any other name of the record that ties conflicts shows
    #[arg(value_name = "REF")]
    what: String,

    /// Which field, as ties conflicts calls it
    #[arg(value_name = "FIELD")]
    field: String,

    /// Take the value with this number in ties conflicts
    #[arg(long, value_name = "N", conflicts_with = "value")]
    take: Option<usize>,

    /// Take this value instead
    #[arg(long, value_name = "TEXT")]
    value: Option<String>,
}

impl Conflicts {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let reply = match &self.what {
            Some(what) => desk.answer_about(what, |what| Request::Conflicts { what: Some(what) })?,
            None => desk.answer(Request::Conflicts { what: None })?,
        };
        let Reply::Conflicts(found) = reply else { return Err(unexpected()) };
        if desk.shell.json() {
            let Found { fields, handles, me } = &*found;
            return desk.shell.value(&json!({"schema": SCHEMA, "fields": fields, "handles": handles, "me": me}));
        }
        if found.fields.is_empty() && found.handles.is_empty() && found.me.is_empty() {
            return desk.shell.line("No conflicts.");
        }
        let (now, columns) = (desk.now(), desk.shell.width());
        let of_record = |record: &[ConflictRow]| -> Vec<String> {
            let heading = record.first().map(|one| palette::strong(&inline(&one.label)));
            heading.into_iter().chain(record.iter().flat_map(|row| field(row, now, columns))).collect()
        };
        let lines: Vec<String> = found.fields.chunk_by(|a, b| a.id == b.id).flat_map(of_record).collect();
        desk.shell.lines(lines)?;
        desk.shell.lines(found.handles.iter().flat_map(handle))?;
        desk.shell.lines(me(&found.me))?;
        desk.shell.remark(palette::faint(&advice(&found)));
        Ok(())
    }
}

impl Resolve {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let with = match (self.take, self.value.clone()) {
            (Some(number), _) => Resolution::Take(number),
            (None, Some(value)) => Resolution::Value(value),
            (None, None) => self.ask(desk)?,
        };
        let field = self.field;
        let reply =
            desk.answer_about(&self.what, |what| Request::Resolve { what, field: field.clone(), with: with.clone() })?;
        let Reply::Resolved(resolved) = reply else { return Err(unexpected()) };
        if desk.shell.json() {
            return desk.shell.value(&json!({"schema": SCHEMA, "resolved": resolved}));
        }
        let (label, field) = (palette::strong(&inline(&resolved.label)), inline(&resolved.field));
        desk.shell.line(format!("{label}: {field} is {} now.", inline(&resolved.value)))?;
        if resolved.left > 0 {
            let left = amount::counted(resolved.left as u64, "more field", "more fields");
            desk.shell.remark(palette::faint(&format!("{left} of it to settle: ties conflicts")));
        }
        Ok(())
    }

    /// Lets somebody who is there choose.
    fn ask(&self, desk: &mut Desk<'_>) -> Outcome<Resolution> {
        let missing = || {
            Failure::usage("which value is it to be?")
                .hint("--take N takes the one with that number in ties conflicts, --value TEXT another one")
        };
        if desk.shell.json() || !desk.shell.can_ask() {
            return Err(missing());
        }
        let reply = desk.answer_about(&self.what, |what| Request::Conflicts { what: Some(what) })?;
        let Reply::Conflicts(found) = reply else { return Err(unexpected()) };
        let wanted = self.field.to_lowercase();
        let Some(row) = found.fields.iter().find(|row| row.field == wanted || row.key == self.field) else {
            return Err(Failure::new(Kind::NotFound, format!("{:?} has no other value waiting", self.field))
                .hint("ties conflicts lists what is to be settled"));
        };
        let (now, columns) = (desk.now(), desk.shell.width());
        field(row, now, columns).into_iter().for_each(|line| desk.shell.complain(line));
        let last = row.values.len();
        match desk.shell.pick(&format!("Which one? [1-{last}, Enter for none] "), last)? {
            Some(place) => Ok(Resolution::Take(place + 1)),
            None => Err(Failure::failed("nothing was settled")),
        }
    }
}

/// A field and its values.
fn field(row: &ConflictRow, now: jiff::Timestamp, columns: Option<usize>) -> Vec<String> {
    let of = if row.of.is_empty() { String::new() } else { format!(" of {}", inline(&row.of)) };
    let mut lines = vec![format!("  {}{of}", palette::code(&inline(&row.field)))];
    for (number, value) in (1..).zip(&row.values) {
        let line = format!("    {number}  {}  {}", inline(&value.value), palette::faint(&origin(value, number, now)));
        lines.push(columns.map_or(line.clone(), |columns| width::fit(&line, columns.max(20))));
    }
    lines
}

fn origin(value: &ConflictValue, number: usize, now: jiff::Timestamp) -> String {
    let device = match &value.device {
        Some(device) if value.this => format!("{}, this device", inline(device)),
        Some(device) => inline(device).into_owned(),
        None if value.at.is_none() => "from an import".to_owned(),
        None => "a device that is not known here".to_owned(),
    };
    let when = value.at.as_deref().map_or_else(String::new, |at| format!(", {}", status::since(at, now)));
    let counts = if number == 1 { "; counts now" } else { "" };
    format!("({device}{when}{counts})")
}

fn handle(conflict: &HandleConflict) -> Vec<String> {
    let people = conflict.people.iter().map(|person| format!("    {}", holder(person)));
    let handle = palette::code(&format!("@{}", inline(&conflict.handle)));
    let many = amount::counted(conflict.holders as u64, "person", "people");
    [format!("{handle} is the handle of {many}, shown as")].into_iter().chain(people).collect()
}

fn me(people: &[Candidate]) -> Vec<String> {
    if people.is_empty() {
        return Vec::new();
    }
    let people = people.iter().map(|person| format!("    {}", holder(person)));
    ["Several people are said to be you:".to_owned()].into_iter().chain(people).collect()
}

fn holder(person: &Candidate) -> String {
    format!("{} {}", palette::code(&format!("@{}", inline(&person.handle))), inline(&person.name))
}

/// How to settle the first of them.
fn advice(found: &Found) -> String {
    if let Some(row) = found.fields.first() {
        return format!("ties resolve {} {} --take 1 (or 2, or --value TEXT) settles it", row.word, row.field);
    }
    let last = |people: &[Candidate]| people.last().map(|one| one.handle.clone()).unwrap_or_default();
    match found.handles.first() {
        Some(conflict) => format!("ties resolve {} handle --value NEW gives another handle", last(&conflict.people)),
        None => format!("ties resolve {} me --value no settles it", last(&found.me)),
    }
}
