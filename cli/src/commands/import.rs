//! `ties import`: takes in contacts from files.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use ties_book::api::{ImportReport, Reject, Reply, Request};

use super::SCHEMA;
use crate::desk::{Desk, unexpected};
use crate::errors::{Failure, Kind, Outcome};
use crate::grammar::is_dash;
use crate::render::{amount, inline, palette};

/// The words of `ties import`.
#[derive(Debug, Args)]
#[command(
    after_help = "The same file twice changes nothing, also on two devices that have not met since. What cannot be
read is listed by line; the rest goes in, and the exit code is 6.

Examples:
  ties import contacts.vcf
  ties import *.vcf --dry-run
  ssh old-laptop cat contacts.vcf | ties import -"
)]
pub(crate) struct Import {
    /// vCard files, 2.1, 3.0 or 4.0; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Say what would happen and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        // A misspelt second name should stop the command before the first file is in.
        for file in self.files.iter().filter(|file| !is_dash(file.as_os_str())) {
            File::open(file).map_err(|error| unreadable(file, &error))?;
        }
        let mut reports = Vec::new();
        for file in &self.files {
            let report = import(desk, file, self.dry_run)?;
            if !desk.shell.json() {
                show(desk, &report)?;
            }
            reports.push(report);
        }
        if desk.shell.json() {
            desk.shell.value(&json!({"schema": SCHEMA, "files": reports}))?;
        }
        match reports.iter().map(|report| report.rejects.len() as u64).sum() {
            0 => Ok(()),
            rejects => Err(rejected(rejects, self.dry_run)),
        }
    }
}

fn rejected(rejects: u64, dry_run: bool) -> Failure {
    let verb = if rejects == 1 { "was" } else { "were" };
    let cards = amount::counted(rejects, "card", "cards");
    let failure = Failure::new(Kind::Rejects, format!("{cards} {verb} rejected"));
    if dry_run { failure } else { failure.hint("everything else is in; mend those and import again") }
}

fn import(desk: &mut Desk<'_>, file: &Path, dry_run: bool) -> Outcome<ImportReport> {
    let (file_name, bytes) = if is_dash(file.as_os_str()) {
        ("-".to_owned(), read(io::stdin().lock(), file)?)
    } else {
        let opened = File::open(file).map_err(|error| unreadable(file, &error))?;
        (file.display().to_string(), read(opened, file)?)
    };
    match desk.answer(Request::Import { file_name, bytes, dry_run })? {
        Reply::Imported(report) => Ok(report),
        _ => Err(unexpected()),
    }
}

fn read(source: impl io::Read, file: &Path) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| unreadable(file, &error))?;
    if bytes.len() as u64 > LARGEST {
        let most = amount::bytes(LARGEST);
        return Err(Failure::failed(format!("{} is larger than {most}", file.display()))
            .hint("split it; nothing of it was taken in"));
    }
    Ok(bytes)
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::io(format!("cannot read {}", file.display()), error)
}

fn show(desk: &mut Desk<'_>, report: &ImportReport) -> Outcome {
    let name = inline(&report.file_name).into_owned();
    for Reject { line, reason } in &report.rejects {
        let place = palette::bad(&format!("{name}:{line}:"));
        desk.shell.complain(format!("{place} {}", inline(reason)));
    }
    for Reject { line, reason } in &report.warnings {
        let place = palette::warning(&format!("{name}:{line}:"));
        desk.shell.remark(format!("{place} {}", inline(reason)));
    }
    for gone in &report.removed_before {
        desk.shell.remark(format!("{name}: {} was deleted here before, and stays so", inline(gone)));
    }
    desk.shell.line(format!("{}: {}", palette::strong(&name), summary(report)))
}

fn summary(report: &ImportReport) -> String {
    let new = if report.dry_run { "would be new" } else { "new" };
    let mut parts = vec![format!("{} {new}", amount::counted(report.people_created as u64, "person", "people"))];
    let mut part = |number: usize, one: &str, many: &str, what: &str| {
        if number > 0 {
            parts.push(format!("{}{what}", amount::counted(number as u64, one, many)));
        }
    };
    part(report.notes_created, "note", "notes", "");
    part(report.people_known, "person", "people", " known already");
    part(report.removed_before.len(), "person", "people", " deleted before, left out");
    part(report.rejects.len(), "card", "cards", " rejected");
    parts.join(", ")
}

/// The largest file that is taken in, in bytes.
const LARGEST: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_only_what_happened() {
        let mut report = ImportReport { people_created: 1000, notes_created: 1, ..ImportReport::default() };
        assert_eq!(summary(&report), "1,000 people new, 1 note");
        report.dry_run = true;
        report.people_known = 2;
        report.rejects = vec![Reject { line: 3, reason: String::new() }];
        assert_eq!(summary(&report), "1,000 people would be new, 1 note, 2 people known already, 1 card rejected");
    }
}
