//! `ties completions`: teaches a shell the words of `ties`.

use clap::Args;

use crate::completion::Shell;
use crate::desk::Desk;
use crate::errors::Outcome;

/// The words of `ties completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "From then on Tab completes commands, options, and the handles, tags and relays of your network. Put the \
line for your shell into its start file:

  bash   ~/.bashrc                     source <(ties completions bash)
  zsh    ~/.zshrc, after compinit      source <(ties completions zsh)
  fish   ~/.config/fish/config.fish    ties completions fish | source

Examples:
  ties completions bash > ~/.ties-completions
  ties completions fish"
)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        desk.shell.file(self.shell.script().as_bytes())
    }
}
