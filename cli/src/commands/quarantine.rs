//! `ties quarantine`: what a device wrote before it heard that it was shut out.

use clap::{Args, Subcommand};
use serde_json::json;
use ties_book::api::{QuarantineRow, QuarantinedRecord, Reply, Request};

use super::{SCHEMA, status};
use crate::desk::{Desk, unexpected};
use crate::errors::Outcome;
use crate::render::{amount, inline, palette, width};

/// The words of `ties quarantine`.
#[derive(Debug, Args)]
#[command(
    infer_subcommands = true,
    args_conflicts_with_subcommands = true,
    after_help = "When a device is revoked, what it wrote and no other device had read is held here: perhaps you wrote it on \
the train, perhaps a thief did. It changes nothing until it is accepted.

Examples:
  ties quarantine
  ties quarantine accept phone
  ties quarantine discard"
)]
pub(crate) struct Quarantine {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show what is held
    List(List),
    /// Take it in, on all devices
    Accept(Accept),
    /// Put it away, on all devices; it can still be accepted
    Discard(Discard),
}

/// The words of `ties quarantine list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ties quarantine list
  ties quarantine list --json")]
struct List {}

/// The words of `ties quarantine accept`.
#[derive(Debug, Args)]
#[command(after_help = "Everything of the device is taken in, as if it had been read when it was written.

Examples:
  ties quarantine accept
  ties quarantine accept phone")]
struct Accept {
    /// Whose; may be left out where it is one device
    #[arg(value_name = "NAME")]
    device: Option<String>,
}

/// The words of `ties quarantine discard`.
#[derive(Debug, Args)]
#[command(after_help = "Where two devices decide otherwise at once, accepting wins.

Examples:
  ties quarantine discard
  ties quarantine discard phone")]
struct Discard {
    /// Whose; may be left out where it is one device
    #[arg(value_name = "NAME")]
    device: Option<String>,
}

impl Quarantine {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        match self.what {
            None | Some(What::List(_)) => list(desk),
            Some(What::Accept(Accept { device })) => settle(desk, device, true),
            Some(What::Discard(Discard { device })) => settle(desk, device, false),
        }
    }
}

fn settle(desk: &mut Desk<'_>, device: Option<String>, accept: bool) -> Outcome {
    let Reply::QuarantineSettled { name, entries, accepted } =
        desk.answer(Request::QuarantineSettle { device, accept })?
    else {
        return Err(unexpected());
    };
    if desk.shell.json() {
        let record = json!({"schema": SCHEMA, "device": name, "entries": entries, "accepted": accepted});
        return desk.shell.value(&record);
    }
    let changes = amount::counted(entries, "change", "changes");
    let (done, of) = if accepted { ("Accepted", "counts now") } else { ("Put away", "can still be accepted") };
    desk.shell.line(format!("{} {changes} of {}: it {of}.", palette::good(done), palette::strong(&inline(&name))))?;
    desk.shell.remark("The other devices hear of it by ties sync.");
    Ok(())
}

fn list(desk: &mut Desk<'_>) -> Outcome {
    let Reply::Quarantine { held } = desk.answer(Request::Quarantine)? else { return Err(unexpected()) };
    if desk.shell.json() {
        return desk.shell.value(&json!({"schema": SCHEMA, "held": held}));
    }
    if held.is_empty() {
        return desk.shell.line("Nothing is in quarantine.");
    }
    let columns = desk.shell.width();
    let lines: Vec<String> = held.iter().flat_map(|row| shown(row, desk.now(), columns)).collect();
    desk.shell.lines(lines)?;
    desk.shell.remark("ties quarantine accept NAME takes it in, ties quarantine discard NAME puts it away.");
    Ok(())
}

fn shown(row: &QuarantineRow, now: jiff::Timestamp, columns: Option<usize>) -> Vec<String> {
    let changes = amount::counted(row.entries, "change", "changes");
    let when = row.last.as_deref().map_or(String::new(), |last| format!(", the last {}", status::since(last, now)));
    let away = if row.discarded { " (put away)" } else { "" };
    let mut lines = vec![format!("{}: {changes}{when}{away}", palette::strong(&inline(&row.device)))];
    for record in row.records.iter().take(MOST) {
        lines.push(format!("  {} {}", effect(record), inline(&record.label)));
        for field in &record.fields {
            let before = field.before.as_deref().unwrap_or("nothing");
            let after = field.after.as_deref().unwrap_or("nothing");
            let text = match record.effect.as_str() {
                "new" => format!("    {}: {}", inline(&field.name), inline(after)),
                _ => format!("    {}: {} → {}", inline(&field.name), inline(before), inline(after)),
            };
            lines.push(columns.map_or(text.clone(), |columns| width::fit(&text, columns.max(20))));
        }
    }
    let more = row.records.len().saturating_sub(MOST) as u64;
    if more > 0 {
        lines.push(format!("  and {} more (--json lists all)", amount::counted(more, "record", "records")));
    }
    lines
}

fn effect(record: &QuarantinedRecord) -> String {
    match record.effect.as_str() {
        "new" => palette::good("+"),
        "removed" => palette::bad("-"),
        _ => palette::warning("~"),
    }
}

/// How many records of a device are shown.
const MOST: usize = 50;
