//! `ties doctor`: looks everything over, says what to do, and repairs what can be made anew.

use clap::Args;
use serde_json::json;
use ties_book::Book;
use ties_book::api::{Check, CheckState, Reply, Request};

use super::SCHEMA;
use crate::desk::{self, Desk, unexpected};
use crate::errors::{Failure, Kind, Outcome};
use crate::render::{amount, inline, palette, width};
use crate::screen::Screen;
use crate::signals;

/// The words of `ties doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Checks that the files are yours alone, that the database opens, the signature of every entry, records against entries, \
lists against records, what waits and why, the clock, and whether relays and folders can be reached. The exit code is 1 if a \
problem stays.

Examples:
  ties doctor
  ties doctor --offline
  ties doctor --repair"
)]
pub(crate) struct Doctor {
    /// Make anew what can be: lists from records, records from entries
    #[arg(long)]
    repair: bool,

    /// Ask no relay
    #[arg(long)]
    offline: bool,
}

impl Doctor {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        if !desk.has_book() {
            return Err(desk.no_book());
        }
        let mut checks = permissions(desk);
        match desk.open().map(drop) {
            Ok(()) => checks.extend(self.ask(desk)?),
            // A passphrase is not damage.
            Err(failure) if failure.kind == Kind::Locked => return Err(failure),
            Err(failure) => checks.push(closed(failure)),
        }
        if desk.shell.json() {
            desk.shell.value(&json!({"schema": SCHEMA, "checks": checks}))?;
        } else {
            let columns = desk.shell.width();
            desk.shell.lines(checks.iter().flat_map(|check| line(check, columns)))?;
        }
        let problems = checks.iter().filter(|check| check.state == CheckState::Problem).count() as u64;
        if problems == 0 {
            return Ok(());
        }
        let stay = if problems == 1 { "stays" } else { "stay" };
        Err(Failure::failed(format!("{} {stay}", amount::counted(problems, "problem", "problems")))
            .hint("the lines above say what to do"))
    }

    fn ask(&self, desk: &mut Desk<'_>) -> Outcome<Vec<Check>> {
        let request = Request::Doctor { repair: self.repair, offline: self.offline };
        let (book, shell) = desk.parts()?;
        let mut screen = Screen::new(shell);
        let reply = desk::wait(async {
            tokio::select! {
                reply = book.handle(request, &mut screen) => reply.map_err(Failure::from),
                () = signals::stop_requested() => Err(Failure::failed("stopped; what was repaired is kept")),
            }
        });
        drop(screen);
        match reply {
            Ok(Reply::Checked { checks }) => Ok(checks),
            Ok(_) => Err(unexpected()),
            // What cannot be read is what one asks a doctor about.
            Err(failure) if failure.kind == Kind::Failed => Ok(vec![closed(failure)]),
            Err(failure) => Err(failure),
        }
    }
}

/// Takes the permissions of others off the files, as every start does.
fn permissions(desk: &Desk<'_>) -> Vec<Check> {
    let check = |state, code: &str, text: String, hint: Option<String>| Check {
        code: code.to_owned(),
        check: "permissions".to_owned(),
        state,
        text,
        hint,
    };
    match Book::close_to_others(desk.home()) {
        Ok(loosened) if loosened.is_empty() => {
            vec![check(CheckState::Ok, "permissions", "the files are for you alone".to_owned(), None)]
        }
        Ok(loosened) => {
            let repaired = loosened.into_iter().map(|one| {
                let text = format!("{} was open to other users (mode {:04o}) and is not any more", one.path, one.mode);
                check(CheckState::Repaired, "permissions-repaired", text, Some("they may have used it".to_owned()))
            });
            repaired.collect()
        }
        Err(error) => vec![check(CheckState::Problem, "permissions-unrepaired", error.message, error.hint)],
    }
}

/// A database that does not open, or cannot be read.
fn closed(failure: Failure) -> Check {
    let causes: Vec<String> = std::iter::once(failure.message).chain(failure.causes).collect();
    let hint = failure.hint.unwrap_or_else(|| {
        "keep the folder; restore a backup into another one (ties restore), or pair this device anew (ties device join)".to_owned()
    });
    let text = causes.join(": ");
    Check {
        code: "database-closed".to_owned(),
        check: "database".to_owned(),
        state: CheckState::Problem,
        text,
        hint: Some(hint),
    }
}

fn line(check: &Check, columns: Option<usize>) -> Vec<String> {
    let state = match check.state {
        CheckState::Ok => palette::good("ok      "),
        CheckState::Warning => palette::warning("warning "),
        CheckState::Problem => palette::bad("problem "),
        CheckState::Repaired => palette::good("repaired"),
    };
    let mut lines = vec![format!("{state}  {:<11}  {}", inline(&check.check), inline(&check.text))];
    if let Some(hint) = check.hint.as_deref().filter(|_| check.state != CheckState::Ok) {
        let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(INDENT).max(20));
        lines.extend(
            width::wrap(&inline(hint), room).into_iter().map(|line| palette::faint(&format!("{:INDENT$}{line}", ""))),
        );
    }
    lines
}

const INDENT: usize = 23;
