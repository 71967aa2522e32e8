//! `ties reset`: overrules a takeover with the twelve words.

use clap::Args;
use serde_json::json;
use ties_book::api::ResetCandidate;

use super::{SCHEMA, words};
use crate::desk::Desk;
use crate::errors::{Failure, Kind, Outcome};
use crate::render::{Column, Table, inline, palette};

/// The words of `ties reset`.
#[derive(Debug, Args)]
#[command(
    after_help = "When somebody who has one of your devices shuts the others out, the recovery words say anew who belongs: this \
device, and those that you keep. Whatever else was said of members, at whatever date, counts no more. It works on a device \
that was itself shut out. What was written stays.

Examples:
  ties reset
  ties reset --keep phone --keep tablet
  ties reset --keep phone --yes - < words.txt"
)]
pub(crate) struct Reset {
    /// `-`: read the words from standard input
    #[arg(value_name = "-")]
    words: Vec<String>,

    /// Keep this device, by name or id; may be given again (default: you are asked about each)
    #[arg(long, value_name = "NAME")]
    keep: Vec<String>,

    /// Do not ask whether it is right, for scripts
    #[arg(short, long)]
    yes: bool,
}

impl Reset {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        words::never_on_the_command_line(&self.words, "ties reset")?;
        let piped = !self.words.is_empty();
        let (book, shell) = desk.parts()?;
        let asks = !self.yes && !piped && shell.can_ask();
        if !self.yes && !asks {
            return Err(Failure::usage("nobody is there to say who stays")
                .hint("--keep NAME for each device that stays beside this one, then --yes"));
        }
        let all = book.reset_candidates()?;
        let words = words::read(shell, piped, "The twelve recovery words, on one line or on several:", "ties reset")?;
        book.check_words(&words)?;
        let mut kept = chosen(&all, &self.keep)?;
        if asks && self.keep.is_empty() {
            for other in all.iter().filter(|other| !other.this) {
                let state = if other.belongs { "belongs" } else { "was shut out" };
                let question = format!("Keep {} ({}, {state}, {})?", inline(&other.name), other.role, short(&other.id));
                if shell.confirm(&question)? == Some(true) {
                    kept.push(other);
                }
            }
        }
        if asks {
            for line in table(&all, &kept).lines(shell.width()) {
                shell.complain(line);
            }
            if shell.confirm("Are these the devices of this network from now on?")? != Some(true) {
                return Err(Failure::failed("nothing was changed"));
            }
        }
        let ids: Vec<String> = kept.iter().map(|kept| kept.id.clone()).collect();
        book.reset(&words, &ids)?;
        let names: Vec<&str> = kept.iter().map(|kept| kept.name.as_str()).collect();
        if shell.json() {
            return shell.record(&json!({"schema": SCHEMA, "reset": true, "kept": names}));
        }
        let beside = if names.is_empty() { "alone".to_owned() } else { format!("and {}", inline(&names.join(", "))) };
        shell.line(format!("{} This device {beside} belong to the network now.", palette::good("Done.")))?;
        shell.remark(format!(
            "The others learn of it when this device meets them or a relay: {}",
            palette::code("ties sync")
        ));
        Ok(())
    }
}

/// The devices that are named, each one and no other.
fn chosen<'a>(all: &'a [ResetCandidate], names: &[String]) -> Outcome<Vec<&'a ResetCandidate>> {
    let mut kept = Vec::new();
    for name in names {
        let mut found: Vec<_> = all.iter().filter(|one| one.id == *name || one.name == *name).collect();
        if found.len() > 1 {
            // A takeover often brings devices with the names of others: the id has to say which.
            let ids: Vec<&str> = found.iter().map(|one| one.id.as_str()).collect();
            return Err(Failure::new(Kind::Ambiguous, format!("several devices are called {name}"))
                .hint(format!("name one by its id: {}", ids.join(", "))));
        }
        let one = found.pop().ok_or_else(|| {
            Failure::new(Kind::NotFound, format!("no device {name} ever belonged to this network"))
                .hint("ties reset on a terminal lists all of them")
        })?;
        kept.push(one);
    }
    Ok(kept)
}

fn table(all: &[ResetCandidate], kept: &[&ResetCandidate]) -> Table {
    let mut table = Table::new(vec![
        Column::flexible("device").painted(palette::strong),
        Column::whole("from now on"),
        Column::whole("until now"),
        Column::flexible("id").painted(palette::faint),
    ]);
    for one in all {
        let stays = one.this || kept.iter().any(|kept| kept.id == one.id);
        let then = match (one.this, stays) {
            (true, _) => "admin, this device",
            (_, true) => one.role.as_str(),
            (_, false) => "shut out",
        };
        let now = if one.belongs { one.role.as_str() } else { "shut out" };
        table.row([one.name.as_str(), then, now, &one.id].map(|cell| inline(cell).into_owned()));
    }
    table
}

fn short(id: &str) -> String {
    id.chars().take(8).collect()
}
