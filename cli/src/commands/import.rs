//! `ties import`: takes in contacts from files.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use ties_book::api::{FolderFile, ImportChange, ImportReport, Reject, Reply, Request};

use super::SCHEMA;
use crate::desk::{Desk, unexpected};
use crate::errors::{Failure, Kind, Outcome};
use crate::grammar::is_dash;
use crate::render::width::fit;
use crate::render::{amount, inline, palette};

/// The words of `ties import`.
#[derive(Debug, Args)]
#[command(
    after_help = "What a file is, is told by what it holds: vCard 2.1 to 4.0; LinkedIn's archive (zip, unpacked \
folder, or its Connections.csv of any year); Google Contacts' CSV.

The same file twice changes nothing, also on two devices that have not met since. A newer file \
brings what changed, and reports it; what you edited here stays. What cannot be read is listed by \
line; the rest goes in, and the exit code is 6.

Examples:
  ties import contacts.vcf
  ties import Basic_LinkedInDataExport.zip --dry-run
  ties import *.vcf google.csv
  ssh old-laptop cat contacts.vcf | ties import -"
)]
pub(crate) struct Import {
    /// Address books of other programs; a folder is an unpacked archive of LinkedIn's; `-` reads standard input
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
        let cards = reports.iter().all(|report| report.kind == "vCard");
        match reports.iter().map(|report| report.rejects.len() as u64).sum() {
            0 => Ok(()),
            rejects => Err(rejected(rejects, cards, self.dry_run)),
        }
    }
}

fn rejected(rejects: u64, cards: bool, dry_run: bool) -> Failure {
    let verb = if rejects == 1 { "was" } else { "were" };
    let (one, many) = if cards { ("card", "cards") } else { ("row", "rows") };
    let cards = amount::counted(rejects, one, many);
    let failure = Failure::new(Kind::Rejects, format!("{cards} {verb} rejected"));
    if dry_run { failure } else { failure.hint("everything else is in; mend those and import again") }
}

fn import(desk: &mut Desk<'_>, file: &Path, dry_run: bool) -> Outcome<ImportReport> {
    if !is_dash(file.as_os_str()) && file.is_dir() {
        let request = Request::ImportFolder { folder_name: file.display().to_string(), files: folder(file)?, dry_run };
        return imported(desk.answer(request)?);
    }
    let (file_name, bytes) = if is_dash(file.as_os_str()) {
        ("-".to_owned(), read(io::stdin().lock(), file)?)
    } else {
        let opened = File::open(file).map_err(|error| unreadable(file, &error))?;
        (file.display().to_string(), read(opened, file)?)
    };
    imported(desk.answer(Request::Import { file_name, bytes, dry_run })?)
}

fn imported(reply: Reply) -> Outcome<ImportReport> {
    match reply {
        Reply::Imported(report) => Ok(report),
        _ => Err(unexpected()),
    }
}

/// The files of a folder and of the folders in it; only those are opened that an import looks into.
fn folder(folder: &Path) -> Outcome<Vec<FolderFile>> {
    let (mut files, inner) = listed(folder)?;
    for inner in inner {
        files.append(&mut listed(&inner)?.0);
    }
    Ok(files)
}

/// The files and the folders in a folder, by name.
fn listed(folder: &Path) -> Outcome<(Vec<FolderFile>, Vec<PathBuf>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.take(MOST_FILES).map(|entry| Ok(entry?.path())).collect())
        .map_err(|error| unreadable(folder, &error))?;
    paths.sort();
    let (folders, plain): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let mut files = Vec::new();
    for path in plain {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = match FolderFile::is_read(&name) {
            true => read(File::open(&path).map_err(|error| unreadable(&path, &error))?, &path)?,
            false => Vec::new(),
        };
        files.push(FolderFile { name, bytes });
    }
    Ok((files, folders))
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
    let rejects = report.rejects.iter().map(|reject| (reject, true));
    let mut remarks: Vec<_> = rejects.chain(report.warnings.iter().map(|warning| (warning, false))).collect();
    remarks.sort_by_key(|(Reject { line, .. }, _)| *line);
    for (Reject { line, reason }, rejected) in remarks {
        let (place, reason) = (format!("{name}:{line}:"), inline(reason));
        match rejected {
            true => desk.shell.complain(format!("{} rejected: {reason}", palette::bad(&place))),
            false => desk.shell.remark(format!("{} taken in all the same: {reason}", palette::warning(&place))),
        }
    }
    for gone in &report.removed_before {
        desk.shell.remark(format!("{name}: {} was deleted here before, and stays so", inline(gone)));
    }
    if !report.left.is_empty() {
        let left = report.left.iter().map(|name| inline(name)).collect::<Vec<_>>().join(", ");
        desk.shell.remark(format!("{name}: left alone, since nothing is made of them yet: {left}"));
    }
    desk.shell.line(format!("{}: {}", palette::strong(&name), summary(report)))?;
    for change in report.changes.iter().take(CHANGES_SHOWN) {
        desk.shell.line(changed(change))?;
    }
    match report.changes.len().saturating_sub(CHANGES_SHOWN) {
        0 => Ok(()),
        more => {
            let more = amount::counted(more as u64, "more change", "more changes");
            desk.shell.line(palette::faint(&format!("  and {more} (--json has them)")))
        }
    }
}

/// What a source says now that it did not say before: `Ada Lovelace: organization Acme → Beta`.
fn changed(change: &ImportChange) -> String {
    let ImportChange { name, field, before, now, kept } = change;
    let value = |text: &str| if text.is_empty() { palette::faint("(nothing)") } else { fit(&inline(text), VALUE) };
    let line = format!("  {}: {} {} → {}", palette::strong(&inline(name)), inline(field), value(before), value(now));
    match kept {
        Some(mine) => format!("{line}  {}", palette::warning(&format!("yours stays: {}", value(mine)))),
        None => line,
    }
}

fn summary(report: &ImportReport) -> String {
    let would = if report.dry_run { "would be " } else { "" };
    let mut parts = vec![format!("{} {would}new", amount::counted(report.people_created as u64, "person", "people"))];
    if report.dry_run && !report.examples.is_empty() {
        let names = report.examples.iter().map(|name| inline(name)).collect::<Vec<_>>().join(", ");
        let more = report.people_created + report.organizations_created > report.examples.len();
        parts[0].push_str(&format!(" ({names}{})", if more { ", …" } else { "" }));
    }
    let mut part = |number: usize, one: &str, many: &str, what: &str| {
        if number > 0 {
            parts.push(format!("{}{what}", amount::counted(number as u64, one, many)));
        }
    };
    part(report.organizations_created, "organization", "organizations", &format!(" {would}new"));
    part(report.notes_created, "note", "notes", "");
    part(report.records_changed, "record", "records", &format!(" {would}changed"));
    part(report.records_kept, "record", "records", " changed there but kept as edited here");
    part(report.people_known, "person", "people", " known already");
    part(report.organizations_known, "organization", "organizations", " known already");
    part(report.removed_before.len(), "record", "records", " deleted before, left out");
    part(report.hidden, "row", "rows", " without a name, left out");
    let (one, many) = if report.kind == "vCard" { ("card", "cards") } else { ("row", "rows") };
    part(report.rejects.len(), one, many, " rejected");
    parts.join(", ")
}

/// The largest file that is taken in, in bytes.
const LARGEST: u64 = 64 * 1024 * 1024;
/// The most files of a folder that are looked at.
const MOST_FILES: usize = 10_000;
/// How many changes are shown.
const CHANGES_SHOWN: usize = 20;
/// How much of a value is shown, in columns.
const VALUE: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_only_what_happened() {
        let mut report =
            ImportReport { kind: "vCard".into(), people_created: 1000, notes_created: 1, ..ImportReport::default() };
        assert_eq!(summary(&report), "1,000 people new, 1 note");
        report.dry_run = true;
        report.people_known = 2;
        report.examples = vec!["Ada".into(), "Grace".into()];
        report.rejects = vec![Reject { line: 3, reason: String::new() }];
        assert_eq!(
            summary(&report),
            "1,000 people would be new (Ada, Grace, …), 1 note, 2 people known already, 1 card rejected"
        );
    }
}
