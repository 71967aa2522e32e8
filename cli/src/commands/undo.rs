//! `ties undo` and `ties redo`: take back what was done, and bring it back.

use clap::Args;
use serde_json::json;
use ties_book::api::{OperationRow, Reply, Request, Undo as Which, UndoReport, UndoneRecord};

use super::{SCHEMA, status};
use crate::desk::{Desk, unexpected};
use crate::errors::{Failure, Kind, Outcome};
use crate::render::{amount, inline, palette};

/// The words of `ties undo`.
#[derive(Debug, Args)]
#[command(
    after_help = "One command is one operation, an import too. Every field that it changed gets its value of before; what \
was changed later, here or on another device, is left and listed (exit code 6). Undoing again goes further \
back; `ties redo` brings back what was undone last.

Examples:
  ties undo
  ties undo 3                          (the last three)
  ties undo 3f2a91c0                   (one that ties ops lists)"
)]
pub(crate) struct Undo {
    /// How many of the last operations (1 to 999), or the id of one; nothing is the last one
    #[arg(value_name = "N|ID")]
    which: Option<String>,
}

/// The words of `ties redo`.
#[derive(Debug, Args)]
#[command(after_help = "Goes as far forward as `ties undo` went back, one at a time, until something new is done.

Examples:
  ties redo
  ties undo && ties redo               (changes nothing)")]
pub(crate) struct Redo {}

impl Undo {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let which = match self.which {
            None => Which::Last(1),
            Some(word) => which(word),
        };
        let report = answer(desk, which)?;
        show(desk, &report, "Undone", "redo: ties redo")
    }
}

impl Redo {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let report = answer(desk, Which::Undo)?;
        show(desk, &report, "Redone", "undo: ties undo")
    }
}

/// A short number is a count; an id has four digits at least.
fn which(word: String) -> Which {
    match word.parse() {
        Ok(count) if word.len() < 4 => Which::Last(count),
        _ => Which::One(word),
    }
}

fn answer(desk: &mut Desk<'_>, which: Which) -> Outcome<UndoReport> {
    match desk.answer(Request::Undo { which })? {
        Reply::Undone(report) => Ok(report),
        _ => Err(unexpected()),
    }
}

fn show(desk: &mut Desk<'_>, report: &UndoReport, done: &str, back: &str) -> Outcome {
    if desk.shell.json() {
        desk.shell.value(&json!({
            "schema": SCHEMA,
            "operation": report.operation,
            "undone": report.undone,
            "removed": report.removed,
            "revived": report.revived,
            "changed": report.changed,
            "kept": report.kept,
            "records": report.records,
        }))?;
    } else {
        if report.operation.is_some() {
            for operation in &report.undone {
                let line = headline(desk, operation, done);
                desk.shell.line(line)?;
            }
        }
        // Of many records only those are named of which something was left.
        let many = report.removed + report.revived + report.changed > NAMED;
        let named = report.records.iter().filter(|record| !many || !record.kept.is_empty()).take(NAMED);
        desk.shell.lines(named.map(record))?;
        if many || report.kept > NAMED {
            desk.shell.line(summary(report))?;
        }
    }
    match (report.kept as u64, &report.operation) {
        (0, _) => {}
        (_, None) => {
            return Err(Failure::failed("nothing was undone, for all of it was changed later")
                .hint("ties ops lists what was done since; ties undo ID takes back one of them"));
        }
        (kept, Some(_)) => {
            let records = amount::counted(kept, "record", "records");
            return Err(Failure::new(Kind::Rejects, format!("something of {records} was changed later and is left"))
                .hint("the rest is undone; ties edit changes what is left"));
        }
    }
    desk.shell.remark(palette::faint(back));
    Ok(())
}

/// `Undone: note · 2 minutes ago`
fn headline(desk: &Desk<'_>, operation: &OperationRow, done: &str) -> String {
    let mut parts = vec![format!("{} {}", palette::good(&format!("{done}:")), inline(&operation.what))];
    if let Some(at) = &operation.at {
        parts.push(palette::faint(&status::since(at, desk.now())));
    }
    parts.join(" · ")
}

/// What became of one record.
fn record(record: &UndoneRecord) -> String {
    let mark = match record.effect.as_str() {
        "removed" => palette::warning("-"),
        "revived" => palette::good("+"),
        "left" => palette::bad("!"),
        _ => palette::code("~"),
    };
    let mut line = format!("  {mark} {}", inline(&record.label));
    if !record.restored.is_empty() {
        line.push_str(&palette::faint(&format!("  {}", inline(&record.restored.join(", ")))));
    }
    if !record.kept.is_empty() {
        let kept = format!("  left, for it was changed later: {}", inline(&record.kept.join(", ")));
        line.push_str(&palette::warning(&kept));
    }
    line
}

fn summary(report: &UndoReport) -> String {
    let mut parts = Vec::new();
    for (number, what) in [
        (report.removed, "deleted"),
        (report.revived, "there again"),
        (report.changed, "as before"),
        (report.kept, "changed later and left"),
    ] {
        if number > 0 {
            parts.push(format!("{} {what}", amount::counted(number as u64, "record", "records")));
        }
    }
    format!("  {}", parts.join(", "))
}

/// How many records are named before they are only counted.
const NAMED: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_number_is_a_count_and_all_else_an_id() {
        assert_eq!(which("2".into()), Which::Last(2));
        assert_eq!(which("999".into()), Which::Last(999));
        for id in ["1000", "12345678", "3f2a"] {
            assert_eq!(which(id.into()), Which::One(id.into()));
        }
    }

    #[test]
    fn a_record_says_what_came_back_and_what_was_left() {
        let one = UndoneRecord {
            label: "Ada\u{1b}".into(),
            effect: "changed".into(),
            restored: vec!["emails".into(), "tags".into()],
            kept: vec!["name".into()],
            ..UndoneRecord::default()
        };
        let line = anstream::adapter::strip_str(&record(&one)).to_string();
        assert_eq!(line, "  ~ Ada\\u{1b}  emails, tags  left, for it was changed later: name");
    }
}
