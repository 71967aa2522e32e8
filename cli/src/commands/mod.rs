//! One file for each command: its words, its request, its answer.

#[cfg(unix)]
mod agent;
mod backup;
mod completions;
mod config;
mod conflicts;
mod demo;
mod device;
mod doctor;
mod edit;
mod export;
mod find;
pub(crate) mod help;
mod import;
mod init;
mod key;
mod level;
mod lock;
mod ls;
mod man;
mod members;
mod new;
mod note;
mod ops;
mod org;
mod overview;
mod passphrase;
mod quarantine;
mod recover;
mod relay;
mod reset;
mod rm;
mod show;
mod status;
mod sync;
mod undo;
mod words;

use clap::Subcommand;

use crate::desk::Desk;
use crate::errors::Outcome;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a network on this device
    Init(init::Init),
    /// Add a person
    New(new::New),
    /// Show a person with all notes
    Show(show::Show),
    /// List people
    Ls(ls::Ls),
    /// Search people and notes
    Find(find::Find),
    /// Write a note about a person
    Note(note::Note),
    /// Show an organization and its people, or write about it
    Org(org::Org),
    /// Edit a person or a note
    Edit(edit::Edit),
    /// Delete a person or a note
    Rm(rm::Rm),
    /// Take back the last operation, or another one
    Undo(undo::Undo),
    /// Bring back what was undone last
    Redo(undo::Redo),
    /// List what was done on this device
    Ops(ops::Ops),
    /// List fields that two devices set to different values
    Conflicts(conflicts::Conflicts),
    /// Settle a field that two devices set apart
    Resolve(conflicts::Resolve),
    /// Take in contacts from vCard files, LinkedIn, Google
    Import(import::Import),
    /// Write contacts for other programs
    Export(export::Export),
    /// Pair and list devices
    #[command(subcommand)]
    Device(device::Device),
    /// Show, accept or put away what a lost device wrote unseen
    Quarantine(quarantine::Quarantine),
    /// Use, list or run relays
    #[command(subcommand)]
    Relay(relay::Relay),
    /// Make a device by the twelve recovery words
    Recover(recover::Recover),
    /// Overrule a takeover with the recovery words
    Reset(reset::Reset),
    /// Show the keys, or replace the recovery words
    Key(key::Key),
    /// Write everything to one encrypted file
    Backup(backup::Backup),
    /// Make this device of a backup
    Restore(backup::Restore),
    /// Exchange changes with the other devices
    Sync(sync::Sync),
    /// Keep this device in sync in the background
    #[cfg(unix)]
    #[command(subcommand)]
    Agent(agent::Agent),
    /// Say how things are: devices, relays, what waits and why
    Status(status::Status),
    /// Look everything over, and repair what can be
    Doctor(doctor::Doctor),
    /// Show or set what this device does by itself
    Config(config::Config),
    /// Set, change or remove the passphrase that opens this device's data
    Passphrase(passphrase::Passphrase),
    /// Ask for the passphrase again from now on
    Lock(lock::Lock),
    /// Open the data without the passphrase for a while
    Unlock(lock::Unlock),
    /// Show it all at work: a relay, two devices, 1,000 people
    Demo(demo::Demo),
    /// Teach your shell to complete the words of ties
    Completions(completions::Completions),
    /// Show or write the manual pages
    Man(man::Man),
}

impl Command {
    /// Whether what it writes is for the other devices and does not reach them by itself.
    #[cfg(unix)]
    fn writes(&self) -> bool {
        matches!(
            self,
            Self::New(_)
                | Self::Note(_)
                | Self::Org(_)
                | Self::Edit(_)
                | Self::Rm(_)
                | Self::Undo(_)
                | Self::Redo(_)
                | Self::Resolve(_)
                | Self::Import(_)
                | Self::Device(_)
                | Self::Quarantine(_)
                | Self::Reset(_)
                | Self::Key(_)
        )
    }

    /// Whether this is a server, whose log is its output.
    pub(crate) fn serves(&self) -> bool {
        matches!(self, Self::Relay(relay::Relay::Serve(_)))
    }
}

/// Runs one command; no command at all is the overview.
pub(crate) fn run(command: Option<Command>, desk: &mut Desk<'_>) -> Outcome {
    #[cfg(unix)]
    let writes = command.as_ref().is_some_and(Command::writes);
    let outcome = dispatch(command, desk);
    #[cfg(unix)]
    if writes {
        desk.push_later();
    }
    // A command that failed half way may have written, too: then one wants to know all the more.
    desk.hint_at_undo();
    outcome
}

fn dispatch(command: Option<Command>, desk: &mut Desk<'_>) -> Outcome {
    match command {
        None => overview::run(desk),
        Some(Command::Init(init)) => init.run(desk),
        Some(Command::New(new)) => new.run(desk),
        Some(Command::Show(show)) => show.run(desk),
        Some(Command::Ls(ls)) => ls.run(desk),
        Some(Command::Find(find)) => find.run(desk),
        Some(Command::Note(note)) => note.run(desk),
        Some(Command::Org(org)) => org.run(desk),
        Some(Command::Edit(edit)) => edit.run(desk),
        Some(Command::Rm(rm)) => rm.run(desk),
        Some(Command::Undo(undo)) => undo.run(desk),
        Some(Command::Redo(redo)) => redo.run(desk),
        Some(Command::Ops(ops)) => ops.run(desk),
        Some(Command::Conflicts(conflicts)) => conflicts.run(desk),
        Some(Command::Resolve(resolve)) => resolve.run(desk),
        Some(Command::Import(import)) => import.run(desk),
        Some(Command::Export(export)) => export.run(desk),
        Some(Command::Device(device)) => device.run(desk),
        Some(Command::Quarantine(quarantine)) => quarantine.run(desk),
        Some(Command::Relay(relay)) => relay.run(desk),
        Some(Command::Recover(recover)) => recover.run(desk),
        Some(Command::Reset(reset)) => reset.run(desk),
        Some(Command::Key(key)) => key.run(desk),
        Some(Command::Backup(backup)) => backup.run(desk),
        Some(Command::Restore(restore)) => restore.run(desk),
        Some(Command::Sync(sync)) => sync.run(desk),
        #[cfg(unix)]
        Some(Command::Agent(agent)) => agent.run(desk),
        Some(Command::Config(config)) => config.run(desk),
        Some(Command::Status(status)) => status.run(desk),
        Some(Command::Doctor(doctor)) => doctor.run(desk),
        Some(Command::Passphrase(passphrase)) => passphrase.run(desk),
        Some(Command::Lock(lock)) => lock.run(desk),
        Some(Command::Unlock(unlock)) => unlock.run(desk),
        Some(Command::Demo(demo)) => demo.run(desk),
        Some(Command::Completions(completions)) => completions.run(desk),
        Some(Command::Man(man)) => man.run(desk),
    }
}

/// The version of what `--json` prints; it changes when a field changes its meaning or goes away.
pub(crate) const SCHEMA: u32 = 1;
