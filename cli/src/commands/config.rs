//! `ties config`: what this device does by itself.

use clap::Args;
use serde_json::{Map, Value, json};

use super::SCHEMA;
use crate::desk::Desk;
use crate::errors::Outcome;
use crate::render::{inline, palette};
use crate::settings::{ALL, Setting, Settings, unknown};

/// The words of `ties config`.
#[derive(Debug, Args)]
#[command(after_help = "The settings are this device's own and stand in the file settings.toml of its data folder.

  sync.auto   on (the default) or off: after a command that wrote something, bring the relays what they lack, in the
              background and for at most 2 seconds. It needs a relay; a running agent (ties agent) does it at once instead.
  checkpoint.prune
              off (the default) or on: drop the single changes that lie below two checkpoints, each made by one device and
              found right by another. The records say everything that came of them; ties undo reaches no further back.
  on-sync     a program, by its whole path, that runs after each sync which brought something. On its standard input it
              gets JSON: {\"schema\":1,\"event\":\"on-sync\",\"device\":…,\"at\":…,\"changed\":[{\"kind\":\"person\",\"id\":…,\"handle\":…,
              \"name\":…}, …]}; kind is person, note, organization or removed. It may run ties; it is ended after a minute.

Examples:
  ties config
  ties config sync.auto off
  ties config --unset on-sync")]
pub(crate) struct Config {
    /// The setting; all without it
    name: Option<String>,

    /// What to set it to
    #[arg(conflicts_with = "unset")]
    value: Option<String>,

    /// Give it back its default
    #[arg(long, requires = "name")]
    unset: bool,
}

impl Config {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        if !desk.has_book() {
            return Err(desk.no_book());
        }
        let mut settings = Settings::of(desk.home())?;
        let chosen: Vec<&Setting> = match &self.name {
            None => ALL.iter().collect(),
            Some(name) => vec![ALL.iter().find(|one| one.name == name).ok_or_else(|| unknown(name))?],
        };
        if let Some(name) = self.name.as_deref().filter(|_| self.unset || self.value.is_some()) {
            settings.set(name, self.value.as_deref())?;
        }
        if desk.shell.json() {
            let all: Map<String, Value> =
                chosen.iter().map(|one| (one.name.to_owned(), json!(value(&settings, one)))).collect();
            return desk.shell.value(&json!({"schema": SCHEMA, "settings": all}));
        }
        for one in chosen {
            let shown = value(&settings, one);
            let shown = if shown.is_empty() { palette::faint("not set") } else { inline(&shown).into_owned() };
            desk.shell.line(format!("{:<10}  {shown}  {}", one.name, palette::faint(one.about)))?;
        }
        Ok(())
    }
}

fn value(settings: &Settings, one: &Setting) -> String {
    settings.get(one.name).unwrap_or_else(|| one.default.to_owned())
}
