//! `ties passphrase`: how the key that encrypts the data is kept.

use clap::Args;
use serde_json::json;
use ties_book::Book;
use ties_book::api::{Key, Secret};

use super::SCHEMA;
use crate::desk::Desk;
use crate::errors::{Failure, Outcome};
use crate::passphrase;
use crate::render::palette;

/// The words of `ties passphrase`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without a passphrase the key of the data lies in a file beside them: whoever takes both reads them. \
With one it opens nothing for somebody who cannot guess it. Nobody can reset it: whoever forgets it needs \
another device, or the recovery words. Other devices have passphrases of their own, or none.

An older copy of the data folder, in a backup say, goes on opening with the passphrase of its time.

Examples:
  ties passphrase                  set or change it; asks
  ties passphrase - < secret.txt   one line: the new one; if there is one already, two: that one first
  ties passphrase --remove"
)]
pub(crate) struct Passphrase {
    /// Keep the key in a file again, as it is
    #[arg(long)]
    remove: bool,

    /// `-`: read it from standard input, a line for each passphrase that would be asked for
    #[arg(value_name = "-")]
    from: Option<String>,
}

impl Passphrase {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let is_set = desk.key()? != Key::File;
        if self.remove && !is_set {
            return Err(Failure::usage("there is no passphrase: a file keeps the key").hint("ties passphrase sets one"));
        }
        let secrets = self.secrets(desk, is_set)?;
        let current = secrets.first().filter(|_| is_set);
        match (&secrets[..], current) {
            ([.., new], current) if !self.remove => {
                Book::set_passphrase(desk.home(), current, new, &desk.environment())?;
            }
            (_, Some(current)) => Book::remove_passphrase(desk.home(), current)?,
            _ => return Err(Failure::usage("no passphrase was given")),
        }
        #[cfg(unix)]
        crate::agent::look(desk.home());
        self.tell(desk, is_set, secrets.last())
    }

    /// The current passphrase, if there is one, and the new one, unless there is to be none.
    fn secrets(&self, desk: &mut Desk<'_>, is_set: bool) -> Outcome<Vec<Secret>> {
        if passphrase::from_input(self.from.as_deref())? {
            return passphrase::lines(usize::from(is_set) + usize::from(!self.remove));
        }
        let mut secrets = Vec::new();
        if is_set {
            let current = passphrase::ask(desk.shell, "Current passphrase: ")?;
            // Before anybody thinks of a new one; it is asked for again where the change is made.
            Book::check_passphrase(desk.home(), &current)?;
            secrets.push(current);
        }
        if !self.remove {
            secrets.push(passphrase::ask_twice(desk.shell)?);
        }
        Ok(secrets)
    }

    fn tell(&self, desk: &mut Desk<'_>, was_set: bool, new: Option<&Secret>) -> Outcome {
        if desk.shell.json() {
            let key = Book::key(desk.home())?;
            return desk.shell.value(&json!({"schema": SCHEMA, "key": key}));
        }
        if self.remove {
            desk.shell.line("The passphrase is gone: a file beside the data keeps their key.")?;
            return Ok(());
        }
        desk.shell.line(if was_set { "The passphrase is changed." } else { "The data are under a passphrase now." })?;
        if new.is_some_and(|new| new.expose().chars().count() < SHORT) {
            desk.shell
                .remark(palette::warning("It is short. A few unrelated words are easier to keep and harder to guess."));
        }
        if was_set {
            desk.shell.remark("An older copy of the data folder still opens with the old one.");
        } else {
            desk.shell
                .remark("Nobody can reset it. Copies of the data folder made before, in backups say, open without it.");
        }
        desk.shell.remark(format!(
            "{} opens them for a working day; otherwise each command asks.",
            palette::code("ties unlock")
        ));
        Ok(())
    }
}

/// Characters below which a passphrase is called short.
const SHORT: usize = 12;
