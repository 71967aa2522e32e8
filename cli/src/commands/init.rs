//! `ties init`: starts a network on this device.

use clap::Args;
use serde_json::json;
use ties_book::Book;
use ties_book::api::{self, Key, Secret};

use super::{SCHEMA, words};
use crate::desk::Desk;
use crate::errors::{Failure, Outcome};
use crate::home;
use crate::render::{inline, palette};

/// The words of `ties init`.
#[derive(Debug, Args)]
#[command(
    after_help = "The data are encrypted with a key that lies in a file beside them; `ties passphrase` puts it under a passphrase.

Examples:
  ties init
  ties init --name laptop
  ties --home ~/work-contacts init --no-recovery"
)]
pub(crate) struct Init {
    /// What to call this device (default: the host's name)
    #[arg(long)]
    name: Option<String>,

    /// Make no recovery words: if all devices are lost, so is the network, and a takeover is for good
    #[arg(long)]
    no_recovery: bool,

    /// Do not ask the recovery words back
    #[arg(long, conflicts_with = "no_recovery")]
    skip_check: bool,
}

impl Init {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        if desk.has_book() {
            return Err(Failure::usage(format!("{} is not empty", desk.home().display()))
                .hint("`ties status` shows what is there; --home DIR chooses another folder"));
        }
        let init = api::Init { device_name: self.name.unwrap_or_else(home::device_name), recovery: !self.no_recovery };
        let (_, created) = Book::create(desk.home(), init, desk.environment())?;
        let home = desk.home().display().to_string();
        if desk.shell.json() {
            return desk.shell.value(&json!({
                "schema": SCHEMA,
                "device": created.device_name,
                "home": home,
                "key": Key::File,
                "recoveryWords": created.recovery_words.as_ref().map(Secret::expose),
            }));
        }
        desk.shell.line(format!(
            "Started a network on {} in {}.",
            palette::strong(&inline(&created.device_name)),
            inline(&home)
        ))?;
        match &created.recovery_words {
            Some(words) => {
                words::show(desk.shell, words)?;
                words::ask_back(desk.shell, words, self.skip_check)?;
            }
            None => desk.shell.remark(format!(
                "{} there are no recovery words. If all devices are lost, everything is lost, and nothing overrules a thief \
                 who shuts the others out. This cannot be changed later.",
                palette::warning("Note:")
            )),
        }
        desk.shell.remark("");
        desk.shell.remark(format!(
            "A file beside the data keeps their key; {} puts it under a passphrase.",
            palette::code("ties passphrase")
        ));
        desk.shell.remark(format!("Next: {}", palette::code("ties import contacts.vcf")));
        Ok(())
    }
}
