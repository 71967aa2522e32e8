//! `ties key`: which keys there are, and new recovery words.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{SCHEMA, words};
use crate::desk::Desk;
use crate::errors::{Failure, Outcome};
use crate::render::{amount, palette};

/// The words of `ties key`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ties key
  ties key --json
  ties key rotate-recovery")]
pub(crate) struct Key {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Put new recovery words in the place of the old ones
    RotateRecovery(Rotate),
}

/// The words of `ties key rotate-recovery`.
#[derive(Debug, Args)]
#[command(
    after_help = "It asks for the old words and shows new ones. What was written until now stays open to whoever has both the old \
words and a copy of it from before.

Examples:
  ties key rotate-recovery
  ties key rotate-recovery - < words.txt > new-words.txt"
)]
struct Rotate {
    /// `-`: read the old words from standard input
    #[arg(value_name = "-")]
    words: Vec<String>,

    /// Do not ask the new words back
    #[arg(long)]
    skip_check: bool,
}

impl Key {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        match self.what {
            Some(What::RotateRecovery(rotate)) => rotate.run(desk),
            None => show(desk),
        }
    }
}

fn show(desk: &mut Desk<'_>) -> Outcome {
    let (book, shell) = desk.parts()?;
    let keys = book.keys()?;
    if shell.json() {
        return shell.value(&json!({"schema": SCHEMA, "keys": keys}));
    }
    shell.line(format!("device    {}  {}", palette::strong(&keys.fingerprint), palette::faint(&keys.device)))?;
    let recovery = match keys.recovery.as_slice() {
        [] => "none: if all devices are lost, so is the network".to_owned(),
        [one] => format!("twelve words  {}", palette::faint(one)),
        several => format!("replaced at several places at once: {} stand", several.len()),
    };
    shell.line(format!("recovery  {recovery}"))?;
    let older = amount::counted(keys.epochs.saturating_sub(1), "earlier key", "earlier keys");
    shell.line(format!("content   generation {}, and {older}", keys.generation))
}

impl Rotate {
    fn run(self, desk: &mut Desk<'_>) -> Outcome {
        words::never_on_the_command_line(&self.words, "ties key rotate-recovery")?;
        let piped = !self.words.is_empty();
        let (book, shell) = desk.parts()?;
        let old = words::read(shell, piped, "The old recovery words:", "ties key rotate-recovery")?;
        book.check_words(&old)?;
        let new = book.draw_words();
        if shell.json() {
            book.replace_words(&old, &new)?;
            return shell.value(&json!({"schema": SCHEMA, "recoveryWords": new.expose()}));
        }
        words::show(shell, &new)?;
        words::ask_back(shell, &new, self.skip_check || piped)?;
        book.replace_words(&old, &new).map_err(|error| nothing_changed(error.into()))?;
        shell.remark(format!("{} The old words open nothing that is written from now on.", palette::good("Replaced.")));
        shell.remark(format!("Relays and devices learn of it with the next {}.", palette::code("ties sync")));
        Ok(())
    }
}

/// Words that were written down and mean nothing must not be kept.
fn nothing_changed(failure: Failure) -> Failure {
    failure.hint("nothing was changed: the old words are still good, the new ones are not")
}
