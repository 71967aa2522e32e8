//! `ties demo`: a relay, two devices and 1,000 people as real processes in a temporary folder.
//!
//! It does what a user would do, through this same program, and checks every claim it makes: if one
//! does not hold it fails.

mod evidence;
mod relay;
mod script;
mod stage;
mod tap;
mod told;

use std::thread;
use std::time::Duration;

use clap::Args;

use crate::desk::Desk;
use crate::errors::Outcome;
use crate::render::inline;
use crate::signals;

use stage::Stage;
use told::Told;

/// The words of `ties demo`.
#[derive(Debug, Args)]
#[command(after_help = "Touches nothing of yours: everything happens in a temporary folder that is removed afterwards.

Examples:
  ties demo
  ties demo --people 200 --keep
  ties demo --json")]
pub(crate) struct Demo {
    /// How many people the sample has
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    people: u32,

    /// Keep the folder, to look around in it
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let mut stage = Stage::set()?;
        let mut told = Told::new(desk.shell);
        let played = script::play(&mut stage, &mut told, self.people);
        if played.is_err() {
            // Ctrl-C reaches the processes on the stage as well; it may be on its way to us.
            thread::sleep(Duration::from_millis(100));
            signals::settle();
        }
        // The folder goes before the verdict, so that whoever reads it finds nothing left.
        let kept = stage.strike(self.keep);
        let verdict = played.and_then(|()| told.end(kept.as_deref()));
        if let Some(folder) = kept.filter(|_| !desk.shell.json()) {
            desk.shell.complain(format!("Kept in {}", inline(&folder.display().to_string())));
        }
        verdict
    }
}
