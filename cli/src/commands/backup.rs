//! `ties backup` and `ties restore`: everything in one encrypted file, and a device made of it.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use ties_book::api::{BackupLock, BackupReport, Restored, Secret};
use ties_book::{BackupKey, BackupReader, Book};

use super::{SCHEMA, status, words};
use crate::desk::Desk;
use crate::errors::{Failure, Kind, Outcome};
use crate::passphrase;
use crate::render::{amount, inline, palette};
use crate::screen::Screen;

/// The words of `ties backup`.
#[derive(Debug, Args)]
#[command(
    after_help = "The file holds all that this device has, its keys too, and is encrypted: the twelve recovery words open it, so that \
nothing has to be thought of or typed now. With --passphrase, or where there are no words, a passphrase does.

Examples:
  ties backup /media/stick/ties.backup
  ties backup today.backup --force
  ties backup today.backup --passphrase - < secret.txt"
)]
pub(crate) struct Backup {
    /// The file to write; beside it, until it is whole, FILE.part
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Put it under a passphrase instead of the recovery words
    #[arg(long)]
    passphrase: bool,

    /// Replace a file of that name
    #[arg(long)]
    force: bool,

    /// `-`: read the passphrase from standard input
    #[arg(value_name = "-")]
    from: Option<String>,
}

/// The words of `ties restore`.
#[derive(Debug, Args)]
#[command(
    after_help = "Restores into an empty data folder (--home DIR names one), as a whole or not at all. The device goes on in a new log: \
what it wrote after the backup was made, and what others wrote, comes back by ties sync. Is the device itself still in use? Then \
pair a new one instead: ties device join.

Examples:
  ties restore /media/stick/ties.backup
  ties restore today.backup - < words.txt"
)]
pub(crate) struct Restore {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// `-`: read the recovery words, or the passphrase, from standard input
    #[arg(value_name = "-")]
    from: Vec<String>,
}

impl Backup {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let piped = passphrase::from_input(self.from.as_deref())?;
        let environment = desk.environment();
        let (book, shell) = desk.parts()?;
        let words = book.has_words()?;
        let secret = match (self.passphrase || piped || !words, piped) {
            (false, _) => None,
            (true, true) => passphrase::lines(1)?.pop(),
            (true, false) => {
                if !words && !self.passphrase && !shell.can_ask() {
                    return Err(Failure::usage("this network has no recovery words to seal a backup to")
                        .hint("`ties backup FILE -` reads a passphrase from standard input"));
                }
                if !words {
                    shell.remark("This network has no recovery words, so a passphrase opens the backup.");
                }
                Some(passphrase::ask_twice(shell)?)
            }
        };
        let mut screen = Screen::new(shell);
        let written = book.back_up(&self.file, self.force, secret.as_ref(), &environment, &mut screen);
        drop(screen);
        show_backup(desk, &written?)
    }
}

fn show_backup(desk: &mut Desk<'_>, report: &BackupReport) -> Outcome {
    if desk.shell.json() {
        return desk.shell.value(&json!({"schema": SCHEMA, "backup": report}));
    }
    desk.shell.line(format!(
        "{} {}: {} and {}, {}.",
        palette::good("Backed up to"),
        palette::strong(&inline(&report.path)),
        amount::counted(report.people as u64, "person", "people"),
        amount::counted(report.notes as u64, "note", "notes"),
        amount::bytes(report.bytes),
    ))?;
    desk.shell.remark(match report.lock {
        BackupLock::Words => "The twelve recovery words of today open it: ties restore FILE",
        BackupLock::Passphrase => "That passphrase opens it, and nobody can reset it: ties restore FILE",
    });
    Ok(())
}

impl Restore {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        if self.from.len() > 1 || self.from.first().is_some_and(|word| word != "-") {
            return Err(Failure::usage("words and passphrases are secrets and do not belong on the command line")
                .hint("ties restore FILE asks for them, ties restore FILE - reads them from standard input"));
        }
        if desk.has_book() {
            return Err(Failure::new(Kind::Guard, format!("{} is not empty", desk.home().display())).hint(
                "a backup is restored into an empty folder: --home DIR names one; what other devices have comes by ties sync",
            ));
        }
        let backup = BackupReader::open(&self.file)?;
        let key = self.unlock(desk, &backup)?;
        let (home, environment) = (desk.home().to_owned(), desk.environment());
        let mut screen = Screen::new(desk.shell);
        let restored = Book::restore(&home, backup, &key, environment, &mut screen);
        drop(screen);
        let (_, restored) = restored?;
        show_restored(desk, &restored)
    }

    fn unlock(&self, desk: &mut Desk<'_>, backup: &BackupReader) -> Outcome<BackupKey> {
        let piped = !self.from.is_empty();
        let shell = &mut *desk.shell;
        let open = |secret: &Secret| Ok(backup.unlock(secret)?);
        match backup.lock() {
            BackupLock::Words => {
                let question = "The twelve recovery words, on one line or on several:";
                open(&words::read(shell, piped, question, "ties restore FILE")?)
            }
            BackupLock::Passphrase if piped => {
                let secret = passphrase::lines(1)?.pop();
                open(&secret.ok_or_else(|| Failure::usage("no passphrase was given"))?)
            }
            BackupLock::Passphrase => passphrase::until_it_opens(shell, open),
        }
    }
}

fn show_restored(desk: &mut Desk<'_>, restored: &Restored) -> Outcome {
    if desk.shell.json() {
        return desk.shell.value(&json!({"schema": SCHEMA, "restored": restored}));
    }
    let made = restored
        .made
        .as_deref()
        .map_or_else(String::new, |made| format!(", as they were {}", status::since(made, desk.now())));
    desk.shell.line(format!(
        "{} {} and {} are here again{made}.",
        palette::good("Restored."),
        amount::counted(restored.people as u64, "person", "people"),
        amount::counted(restored.notes as u64, "note", "notes"),
    ))?;
    desk.shell.line(format!(
        "This device is {} and goes on in a new log; what it wrote since then comes back from other devices and relays.",
        palette::strong(&inline(&restored.device_name)),
    ))?;
    if restored.relays > 0 {
        desk.shell.remark(format!("Next: {}", palette::code("ties sync")));
    }
    if restored.passphrase {
        desk.shell.remark(format!(
            "The data were under a passphrase and are not any more: {} sets one.",
            palette::code("ties passphrase")
        ));
    }
    Ok(())
}
