//! x
use crate::desk::Desk;
use crate::errors::Outcome;
use clap::Args;
/// x
#[derive(Debug, Args)]
#[command(after_help = "ties demo\nties demo")]
pub(crate) struct Demo {}
impl Demo {
    pub(super) fn run(self, _: &mut Desk<'_>) -> Outcome {
        Ok(())
    }
}
