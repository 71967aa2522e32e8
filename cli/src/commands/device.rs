//! `ties device`: pairs and lists devices.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use ties_book::Book;
use ties_book::api::{DeviceRow, Join, JoinByFolder, Joined, Pairing, Reply, Request, Secret};
use zeroize::Zeroizing;

use super::level::Level;
use super::members::{ChangeRole, Rename, Retire, Revoke};
use super::{SCHEMA, status, sync};
use crate::desk::{self, Desk, unexpected};
use crate::errors::{Failure, Outcome};
use crate::render::{Column, Table, inline, palette};
use crate::screen::Screen;
use crate::{home, signals, terminal};

/// The words of `ties device`.
#[derive(Debug, Subcommand)]
#[command(
    infer_subcommands = true,
    after_help = "Examples:
  ties device add
  ties device join 17-acid-zoo-lunch
  ties device list
  ties device revoke phone"
)]
pub(crate) enum Device {
    /// Let a new device in, from this one
    Add(Add),
    /// Join the network of another device, from the new one
    Join(JoinWords),
    /// List the devices
    List(List),
    /// Shut out a lost or stolen device
    Revoke(Revoke),
    /// Sign this device off, before you give it away
    Retire(Retire),
    /// Change what a device may do
    Role(ChangeRole),
    /// Give a device another name
    Rename(Rename),
    /// What the devices' programs know, and what the network asks for
    Level(Level),
}

impl Device {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        match self {
            Self::Add(add) => add.run(desk),
            Self::Join(join) => join.run(desk),
            Self::List(_) => list(desk),
            Self::Revoke(revoke) => revoke.run(desk),
            Self::Retire(retire) => retire.run(desk),
            Self::Role(role) => role.run(desk),
            Self::Rename(rename) => rename.run(desk),
            Self::Level(level) => level.run(desk),
        }
    }
}

/// The words of `ties device add`.
#[derive(Debug, Args)]
#[command(
    after_help = "It prints a code of a number and three words, to be typed on the new device while this waits: one \
attempt within ten minutes. A ticket is long, for pasting or piping, and good for an hour. Either way whoever has it may \
ask to be let in, and you are asked. The two meet on this network, where the new device finds this one by itself and no relay is \
needed, or at a relay if you have one. With --folder they meet in a folder instead: both need not be there at the \
same time, and the ticket is good for three days.

Examples:
  ties device add
  ties device add --for 2m
  ties device add --listen 7750
  ties device add --ticket --folder /media/stick --no-wait
  ties device add --ticket --yes | ssh phone ties device join -"
)]
pub(crate) struct Add {
    /// Print a ticket to paste instead of a code to type
    #[arg(long)]
    ticket: bool,

    /// Let the device in without asking, for scripts
    #[arg(short, long)]
    yes: bool,

    /// Wait so long at most, such as 90s or 10m
    #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = duration)]
    patience: Duration,

    /// Meet at this relay (default: the first one added)
    #[arg(long, value_name = "URL")]
    relay: Option<String>,

    /// Wait there for a device of this network (default: all addresses of this machine, port 7701 or a free one)
    #[arg(long, value_name = "[ADDR:]PORT")]
    listen: Option<String>,

    /// Neither wait on this network nor tell it of this device, unless with --listen (as if TIES_NO_LAN were set)
    #[arg(long)]
    no_lan: bool,

    /// Meet in this folder: a stick, a synced folder, a network drive
    #[arg(long, value_name = "DIR", requires = "ticket", conflicts_with_all = ["relay", "listen", "no_lan"])]
    folder: Option<PathBuf>,

    /// Do not wait for the new device: the next `ties sync` with the folder asks about it
    #[arg(long, requires = "folder", conflicts_with = "patience")]
    no_wait: bool,
}

impl Add {
    fn run(self, desk: &mut Desk<'_>) -> Outcome {
        if let Some(folder) = &self.folder {
            let folder = folder.clone();
            return self.run_by_folder(desk, folder);
        }
        if !self.yes && !desk.shell.can_ask() {
            return Err(Failure::usage("nobody is there to let the new device in")
                .hint("--yes lets in whoever shows the code or ticket"));
        }
        let (by, void) = match self.ticket {
            true => (Pairing::Ticket, "the ticket is void; ties device add --ticket makes a new one"),
            false => (Pairing::Code, "the code is void; ties device add makes a new one"),
        };
        let (book, shell) = desk.parts()?;
        let mut screen = Screen::pairing(shell, self.yes);
        let reply = desk::wait(async {
            let lan = sync::may_use_lan(self.no_lan);
            let request = Request::DeviceAdd { by, relay: self.relay, lan, listen: self.listen };
            tokio::select! {
                reply = book.handle(request, &mut screen) => reply.map_err(Failure::from),
                () = tokio::time::sleep(self.patience) => Err(
                    Failure::failed("no device came in time").hint(void)
                ),
                () = signals::stop_requested() => Err(Failure::failed("stopped; nothing was changed").hint(void)),
            }
        });
        if screen.refused() {
            return Err(Failure::failed("the device was turned away; nothing was changed"));
        }
        drop(screen);
        let Reply::DeviceAdded { name } = reply? else { return Err(unexpected()) };
        if shell.json() {
            return shell.record(&json!({"schema": SCHEMA, "added": name}));
        }
        shell.remark(format!(
            "{} {} is one of your devices now.",
            palette::good("Added."),
            palette::strong(&inline(&name))
        ));
        Ok(())
    }
}

impl Add {
    fn run_by_folder(self, desk: &mut Desk<'_>, folder: PathBuf) -> Outcome {
        if !self.yes && !self.no_wait && !desk.shell.can_ask() {
            return Err(Failure::usage("nobody is there to let the new device in")
                .hint("--yes lets in whoever shows the ticket; with --no-wait a later ties sync asks"));
        }
        const LATER: &str = "the ticket stays good: ties sync --folder DIR asks about a device that came";
        let (book, shell) = desk.parts()?;
        let mut screen = Screen::new(shell).letting_in(self.yes);
        let reply = desk::wait(async {
            let request = Request::DeviceAddByFolder { folder, wait: !self.no_wait };
            tokio::select! {
                reply = book.handle(request, &mut screen) => reply.map_err(Failure::from),
                () = tokio::time::sleep(self.patience) => Err(Failure::failed("no device came in time").hint(LATER)),
                () = signals::stop_requested() => Err(Failure::failed("stopped waiting").hint(LATER)),
            }
        });
        drop(screen);
        match reply? {
            Reply::DeviceAdded { name } if shell.json() => shell.record(&json!({"schema": SCHEMA, "added": name})),
            Reply::DeviceAdded { name } => {
                let name = palette::strong(&inline(&name));
                shell.remark(format!("{} {name} is one of your devices now.", palette::good("Added.")));
                Ok(())
            }
            Reply::DeviceInvited { expires } if shell.json() => {
                shell.record(&json!({"schema": SCHEMA, "invited": true, "expires": expires}))
            }
            Reply::DeviceInvited { .. } => {
                shell.remark(format!("Next, when it came: {}", palette::code("ties sync --folder DIR")));
                Ok(())
            }
            _ => Err(unexpected()),
        }
    }
}

/// The words of `ties device join`.
#[derive(Debug, Args)]
#[command(
    after_help = "A code comes from the other device's `ties device add`; it may be typed with spaces or hyphens, and is used up by \
the first attempt. The other device is looked for on this network; if the two are not on one, name the relay that it shows. A ticket comes from `ties device add --ticket`, by standard input \
alone: on the command line it would stay in the shell's history.

Examples:
  ties device join 17 acid zoo lunch --name phone
  ties device join 17-acid-zoo-lunch --relay ties://KEY@relay.example:7700
  ties device join 17-acid-zoo-lunch --peer 192.168.1.5:7701
  ties device join -
  ties device join - --name phone < ticket.txt
  ties device join - --folder /media/stick --no-wait < ticket.txt
  ssh laptop ties device add --ticket --yes | ties device join -"
)]
pub(crate) struct JoinWords {
    /// The code that the other device shows, or `-`: read a code or ticket from standard input
    #[arg(value_name = "CODE", required = true)]
    invitation: Vec<String>,

    /// The relay to meet at, as the other device shows it beside the code
    #[arg(long, value_name = "URL")]
    relay: Option<String>,

    /// Where the other device waits on this network, as it shows it; it is not looked for then
    #[arg(long, value_name = "HOST[:PORT]", conflicts_with = "relay")]
    peer: Option<String>,

    /// Do not look for the other device on this network (as if TIES_NO_LAN were set)
    #[arg(long)]
    no_lan: bool,

    /// What to call this device (default: the host's name)
    #[arg(long)]
    name: Option<String>,

    /// Meet in this folder, with a ticket from `ties device add --ticket --folder DIR`; by its path here
    #[arg(long, value_name = "DIR", conflicts_with_all = ["relay", "peer", "no_lan"])]
    folder: Option<PathBuf>,

    /// Wait so long at most for the other device, in a folder
    #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = duration, requires = "folder")]
    patience: Duration,

    /// Leave the question in the folder and do not wait; the same command again goes on
    #[arg(long, requires = "folder", conflicts_with = "patience")]
    no_wait: bool,
}

impl JoinWords {
    fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let word = Zeroizing::new(self.invitation.join(" "));
        let is_code = word.starts_with(|first: char| first.is_ascii_digit());
        if word.as_str() != "-" && !is_code && !word.starts_with("ties1-") {
            return Err(Failure::usage("this is no code").hint(
                "a code is a number and three words, such as 17-acid-zoo-lunch; a ticket goes to standard input: ties device join -",
            ));
        }
        if word.as_str() != "-" && !is_code {
            return Err(Failure::usage("a ticket is a secret and does not belong on the command line")
                .hint("ties device join -, then paste it; have the other device make a new one, for this one is in your shell's history"));
        }
        if desk.has_book() {
            return Err(Failure::usage(format!("{} is not empty", desk.home().display()))
                .hint("one folder is one device: --home DIR chooses another"));
        }
        if let Some(folder) = self.folder.clone() {
            if is_code {
                return Err(Failure::usage("a folder goes with a ticket, not with a code")
                    .hint("on the other device: ties device add --ticket --folder DIR"));
            }
            return self.run_by_folder(desk, folder);
        }
        let join = Join {
            invitation: if is_code { Secret::new(word.as_str()) } else { read_invitation(desk)? },
            device_name: self.name.unwrap_or_else(home::device_name),
            relay: self.relay,
            peer: self.peer,
            lan: sync::may_use_lan(self.no_lan),
        };
        let (dir, environment) = (desk.home().to_owned(), desk.environment());
        let mut screen = Screen::new(desk.shell);
        let joined = desk::wait(async {
            tokio::select! {
                joined = Book::join(&dir, join, environment, &mut screen) => Ok(joined?.1),
                () = signals::stop_requested() => Err(Failure::failed("stopped before the other device let this one in")),
            }
        });
        drop(screen);
        show_joined(desk, &joined?)
    }
}

impl JoinWords {
    fn run_by_folder(self, desk: &mut Desk<'_>, folder: PathBuf) -> Outcome {
        const AGAIN: &str = "once the other device has let this one in, the same command with the same ticket goes on";
        let join = JoinByFolder {
            invitation: read_invitation(desk)?,
            device_name: self.name.unwrap_or_else(home::device_name),
            folder,
            patience: if self.no_wait { Duration::ZERO } else { self.patience },
        };
        let (dir, environment) = (desk.home().to_owned(), desk.environment());
        let mut screen = Screen::new(desk.shell);
        let joined = desk::wait(async {
            tokio::select! {
                joined = Book::join_by_folder(&dir, join, environment, &mut screen) => Ok(joined?.map(|joined| joined.1)),
                () = signals::stop_requested() => Err(Failure::failed("stopped waiting").hint(AGAIN)),
            }
        });
        drop(screen);
        match joined? {
            Some(joined) => show_joined(desk, &joined),
            None if !self.no_wait => Err(Failure::failed("the other device has not answered in time").hint(AGAIN)),
            None if desk.shell.json() => desk.shell.record(&json!({"schema": SCHEMA, "asked": true})),
            None => {
                desk.shell.remark(format!("Asked. {}{}.", AGAIN[..1].to_uppercase(), &AGAIN[1..]));
                Ok(())
            }
        }
    }
}

fn show_joined(desk: &mut Desk<'_>, joined: &Joined) -> Outcome {
    if desk.shell.json() {
        return desk.shell.record(&json!({
            "schema": SCHEMA, "device": joined.device_name, "host": joined.host_name, "sync": joined.sync,
        }));
    }
    desk.shell.line(format!(
        "{} {} has joined the network of {}.",
        palette::good("Welcome."),
        palette::strong(&inline(&joined.device_name)),
        palette::strong(&inline(&joined.host_name))
    ))?;
    let relays = joined.sync.relays.iter().map(sync::line);
    let lines: Vec<String> = relays.chain(joined.sync.devices.iter().map(sync::device_line)).collect();
    desk.shell.lines(lines)?;
    sync::outcome(&joined.sync)
}

/// Reads one line: the other end of a pipe may stay open for as long as it waits for us.
fn read_invitation(desk: &mut Desk<'_>) -> Outcome<Secret> {
    if desk.shell.can_ask() {
        desk.shell.prompt("Paste the ticket, or type the code, then press Enter: ");
    }
    loop {
        let line = Zeroizing::new(terminal::read_answer()?);
        if line.is_empty() {
            return Err(Failure::usage("there is no ticket and no code on standard input")
                .hint("on the other device: ties device add, or ties device add --ticket"));
        }
        if !line.trim().is_empty() {
            return Ok(Secret::new(line.trim()));
        }
    }
}

/// The words of `ties device list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ties device list
  ties device list --json")]
pub(crate) struct List {}

fn list(desk: &mut Desk<'_>) -> Outcome {
    let Reply::Devices { devices } = desk.answer(Request::DeviceList)? else {
        return Err(unexpected());
    };
    if desk.shell.json() {
        return desk.shell.value(&json!({"schema": SCHEMA, "devices": devices}));
    }
    let lines = table(&devices, desk.now()).lines(desk.shell.width());
    desk.shell.lines(lines)
}

/// Devices as a table, one to a row.
pub(super) fn table(devices: &[DeviceRow], now: jiff::Timestamp) -> Table {
    // When devices last met with no relay in between, for those who do so.
    let meet = devices.iter().any(|device| device.last_met.is_some());
    let mut columns = vec![
        Column::flexible("device").painted(palette::strong),
        Column::whole("role"),
        Column::whole("last heard"),
        Column::flexible("let in").painted(palette::faint),
        Column::flexible("id").painted(palette::faint),
    ];
    if meet {
        columns.insert(3, Column::whole("last met"));
    }
    let mut table = Table::new(columns);
    for device in devices {
        let heard = match (&device.last_heard, device.this) {
            (_, true) => "this device".to_owned(),
            (Some(instant), _) => status::since(instant, now),
            (None, _) => "never".to_owned(),
        };
        let added = match (&device.added, device.added_by == device.name) {
            (Some(instant), false) => format!("{} by {}", status::since(instant, now), device.added_by),
            (Some(instant), true) => status::since(instant, now),
            (None, _) => String::new(),
        };
        let met = device.last_met.as_ref().map_or_else(String::new, |instant| status::since(instant, now));
        let mut cells = vec![&device.name, &device.role, &heard, &added, &device.id];
        if meet {
            cells.insert(3, &met);
        }
        table.row(cells.into_iter().map(|cell| inline(cell).into_owned()));
    }
    table
}

/// Reads a time such as `90s`, `10m`, `1h 30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "give a time such as 90s or 10m".to_owned();
    let time: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(time).ok().filter(|time| !time.is_zero()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_the_usual_spellings() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "10", "-5m", "0s", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
