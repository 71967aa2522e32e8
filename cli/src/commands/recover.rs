//! `ties recover`: makes a device by the twelve words.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use ties_book::Book;
use ties_book::api::{self, CipherCopy, RecoveredBook};

use super::{SCHEMA, sync, words};
use crate::desk::{self, Desk};
use crate::errors::{Failure, Kind, Outcome};
use crate::render::{amount, inline, palette};
use crate::screen::Screen;
use crate::{home, signals, terminal};

/// The words of `ties recover`.
#[derive(Debug, Args)]
#[command(
    after_help = "The twelve words come from a prompt or, after `-`, from standard input; never from the command line. They find \
everything at a relay by its address alone, in the data folder of another device, or in a folder or on a stick that carried \
changes. This device joins as an admin; the \
others stay, unless they are gone for good (--lost): then they are shut out.

Examples:
  ties recover --relay ties://KEY@relay.example:7700
  ties recover --relay ties://KEY@relay.example:7700 --lost --name laptop - < words.txt
  ties recover --from /media/stick/old-laptop/ties
  ties recover --from /media/stick"
)]
pub(crate) struct Recover {
    /// `-`: read the words from standard input
    #[arg(value_name = "-")]
    words: Vec<String>,

    /// The relay that keeps a copy
    #[arg(long, value_name = "URL", conflicts_with = "from")]
    relay: Option<String>,

    /// The data folder of another device, or a folder that carried changes
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,

    /// All other devices are gone for good: shut them out
    #[arg(long)]
    lost: bool,

    /// What to call this device (default: the host's name)
    #[arg(long)]
    name: Option<String>,
}

impl Recover {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        words::never_on_the_command_line(&self.words, "ties recover")?;
        if desk.has_book() {
            return Err(Failure::new(Kind::Guard, format!("{} is not empty", desk.home().display())).hint(
                "recovery makes a new device: --home DIR names an empty folder; against a takeover there is `ties reset`",
            ));
        }
        let piped = !self.words.is_empty();
        let copy = match (self.relay, self.from) {
            (Some(url), _) => CipherCopy::Relay(url),
            (None, Some(folder)) => CipherCopy::Folder(folder),
            (None, None) => CipherCopy::Relay(ask_for_relay(desk, piped)?),
        };
        let words =
            words::read(desk.shell, piped, "The twelve recovery words, on one line or on several:", "ties recover")?;
        let lost = self.lost || (!piped && are_all_gone(desk)?);
        let device_name = self.name.unwrap_or_else(home::device_name);
        let recover = api::Recover { words, device_name, copy, lost };
        let (dir, environment) = (desk.home().to_owned(), desk.environment());
        let mut screen = Screen::new(desk.shell);
        let recovered = desk::wait(async {
            tokio::select! {
                recovered = Book::recover(&dir, recover, environment, &mut screen) => Ok(recovered?.1),
                () = signals::stop_requested() => Err(Failure::failed("stopped").hint("the same command does it again")),
            }
        });
        drop(screen);
        show(desk, &recovered?)
    }
}

fn ask_for_relay(desk: &mut Desk<'_>, piped: bool) -> Outcome<String> {
    let missing = || {
        Failure::usage("recovery needs a copy of the network to start from")
            .hint("--relay URL names a relay, --from DIR another device's data folder")
    };
    if piped || !desk.shell.can_ask() {
        return Err(missing());
    }
    desk.shell.prompt("Address of the relay: ");
    let url = terminal::read_answer()?;
    if url.trim().is_empty() { Err(missing()) } else { Ok(url.trim().to_owned()) }
}

fn are_all_gone(desk: &mut Desk<'_>) -> Outcome<bool> {
    let question = "Are all your other devices gone for good? Yes shuts them out.";
    Ok(desk.shell.confirm(question)?.unwrap_or(false))
}

fn show(desk: &mut Desk<'_>, recovered: &RecoveredBook) -> Outcome {
    if desk.shell.json() {
        return desk.shell.record(&json!({"schema": SCHEMA, "recovered": recovered}));
    }
    desk.shell.line(format!(
        "{} {} and {} are here again, on {}.",
        palette::good("Welcome back."),
        amount::counted(recovered.people as u64, "person", "people"),
        amount::counted(recovered.notes as u64, "note", "notes"),
        palette::strong(&inline(&recovered.device_name)),
    ))?;
    let mut others: Vec<String> = recovered.devices.iter().map(|name| inline(name).into_owned()).collect();
    others.sort_unstable();
    match (others.is_empty(), recovered.lost) {
        (true, _) => {}
        (false, true) => desk.shell.line(format!(
            "Shut out: {}. They keep what they had, and read nothing that is written from now on.",
            others.join(", ")
        ))?,
        (false, false) => {
            desk.shell.line(format!("Still devices of this network: {}.", others.join(", ")))?;
            desk.shell.remark("If one of them is lost or in other hands: ties device revoke NAME");
        }
    }
    let lines: Vec<String> = recovered.sync.relays.iter().map(sync::line).collect();
    desk.shell.lines(lines)?;
    if recovered.sync.relays.is_empty() {
        desk.shell.remark(format!("Next: {}", palette::code("ties relay add URL")));
        return Ok(());
    }
    sync::outcome(&recovered.sync)
}
