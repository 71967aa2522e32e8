//! `ties device revoke`, `retire`, `role` and `rename`: whose devices they are.

use clap::{Args, ValueEnum};
use serde_json::json;
use ties_book::Book;
use ties_book::api::{DeviceRow, Reply, Request, SyncReport};

use super::{SCHEMA, status, sync};
use crate::desk::{self, Desk, unexpected};
use crate::errors::{Failure, Outcome};
use crate::render::{inline, palette};
use crate::screen::Screen;
use crate::signals;

/// The words of `ties device revoke`.
#[derive(Debug, Args)]
#[command(
    after_help = "For a device that is lost or stolen. It keeps what it holds, and reads nothing that is written from now on \
by devices that know of this; the relays close their doors to it. What it wrote and nobody here has seen goes to \
quarantine, where you may accept it. Asks first; without a terminal it needs --yes.

Examples:
  ties device revoke phone
  ties device revoke phone --yes --json"
)]
pub(crate) struct Revoke {
    /// The device, as ties device list names it, or the beginning of its id
    #[arg(value_name = "NAME")]
    device: String,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// The words of `ties device retire`.
#[derive(Debug, Args)]
#[command(
    after_help = "For a device that you give away or stop using; run it on that device. Everything it wrote is sent to the \
relays and counts; then its keys are destroyed, and what lies on its disk is unreadable. Asks first; without a terminal it \
needs --yes, and keeps the unreadable data unless --delete is given.

Examples:
  ties device retire
  ties device retire --yes --delete"
)]
pub(crate) struct Retire {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    /// Delete the data as well
    #[arg(long)]
    delete: bool,

    /// Do so even if no relay can be reached: what was not sent is lost, and nobody hears of it
    #[arg(long)]
    anyway: bool,
}

/// The words of `ties device role`.
#[derive(Debug, Args)]
#[command(after_help = "A reader reads; a writer writes too; an admin also decides whose devices belong.

Examples:
  ties device role tablet reader
  ties device role laptop admin")]
pub(crate) struct ChangeRole {
    /// The device, as ties device list names it, or the beginning of its id
    #[arg(value_name = "NAME")]
    device: String,

    /// What it may do
    role: Role,
}

/// What a device may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Read
    Reader,
    /// Read and write
    Writer,
    /// Read, write, and decide whose devices belong
    Admin,
}

/// The words of `ties device rename`.
#[derive(Debug, Args)]
#[command(after_help = "Any device may rename itself, an admin every device.

Examples:
  ties device rename phone old-phone
  ties device rename 3f2a91c0 \"living room\"")]
pub(crate) struct Rename {
    /// The device, as ties device list names it, or the beginning of its id
    #[arg(value_name = "NAME")]
    device: String,

    /// What to call it
    #[arg(value_name = "NEW")]
    name: String,
}

impl Revoke {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        if !self.yes && !desk.shell.can_ask() {
            return Err(Failure::usage("nobody is there to confirm it").hint("--yes revokes without asking"));
        }
        let (device, others) = changed(desk, Request::DeviceLookUp { device: self.device })?;
        if !self.yes && !device.this {
            let now = desk.now();
            let heard = device.last_heard.as_deref().map_or("never".to_owned(), |at| status::since(at, now));
            let name = palette::strong(&inline(&device.name));
            desk.shell.remark(format!("{name} was last heard {heard}."));
            desk.shell.remark(
                "It can still read: everything that it holds, and what the others write before they hear of this.",
            );
            desk.shell.remark(
                "It cannot read: anything written after they have heard. What it wrote unseen waits in quarantine.",
            );
            if !others.is_empty() {
                desk.shell.remark(format!("They hear of it at their next sync: {}.", names(&others)));
            }
            if desk.shell.confirm(&format!("Revoke {}?", inline(&device.name)))? != Some(true) {
                return Err(Failure::failed("nothing was changed"));
            }
        }
        let (device, _) = changed(desk, Request::DeviceRevoke { device: device.id })?;
        let report = exchanged(desk)?;
        // Who has answered meanwhile is known now.
        let unaware = unaware(desk, &device)?;
        if desk.shell.json() {
            return desk.shell.value(&json!({
                "schema": SCHEMA, "revoked": device, "unaware": unaware, "sync": report,
            }));
        }
        desk.shell.line(format!(
            "{} {} is shut out; the key was changed.",
            palette::good("Revoked."),
            palette::strong(&inline(&device.name))
        ))?;
        told(desk, &report, &unaware)
    }
}

impl Retire {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        if !self.yes && !desk.shell.can_ask() {
            return Err(
                Failure::usage("nobody is there to confirm it").hint("--yes retires this device without asking")
            );
        }
        let Reply::Status(state) = desk.answer(Request::Status)? else { return Err(unexpected()) };
        let alone = state.devices.len() < 2;
        if !self.yes {
            if alone {
                desk.shell.remark(
                    "This is the only device: without another one, the recovery words and a relay, all is lost.",
                );
            }
            let question = format!("Retire {}? It cannot be used any more afterwards.", inline(&state.device_name));
            if desk.shell.confirm(&question)? != Some(true) {
                return Err(Failure::failed("nothing was changed"));
            }
        }
        let gone_before = state.removed.iter().any(|one| one.this);
        if !gone_before {
            changed(desk, Request::DeviceRetire)?;
        }
        if !alone || !state.relays.is_empty() {
            let report = exchanged(desk)?;
            let reached = report.relays.iter().any(|relay| relay.error.is_none());
            if !reached && !self.anyway {
                return Err(Failure::failed(
                    "this device has signed off, and could tell nobody yet; its keys are still here",
                )
                .hint("run it again when a relay can be reached; --anyway goes on, and what was not sent is lost"));
            }
        }
        let delete = self.delete || (!self.yes && desk.shell.confirm("Delete its data as well?")? == Some(true));
        let home = desk.home().to_owned();
        desk.close();
        #[cfg(unix)]
        crate::agent::leave(&home, delete)?;
        Book::give_up(&home, delete)?;
        if desk.shell.json() {
            return desk.shell.value(&json!({"schema": SCHEMA, "retired": state.device_name, "deleted": delete}));
        }
        let rest = if delete { "its data is deleted" } else { "what lies on its disk cannot be read any more" };
        desk.shell.line(format!("{} Its keys are destroyed, {rest}.", palette::good("Retired.")))
    }
}

impl ChangeRole {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let role = match self.role {
            Role::Reader => "reader",
            Role::Writer => "writer",
            Role::Admin => "admin",
        };
        let (device, _) = changed(desk, Request::DeviceRole { device: self.device, role: role.to_owned() })?;
        show(desk, &device, &format!("{} is {role} now.", palette::strong(&inline(&device.name))))
    }
}

impl Rename {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let request = Request::DeviceRename { device: self.device, name: self.name };
        let (device, _) = changed(desk, request)?;
        show(desk, &device, &format!("It is called {} now.", palette::strong(&inline(&device.name))))
    }
}

fn show(desk: &mut Desk<'_>, device: &DeviceRow, said: &str) -> Outcome {
    if desk.shell.json() {
        return desk.shell.value(&json!({"schema": SCHEMA, "device": device}));
    }
    desk.shell.line(said)?;
    desk.shell.remark("The other devices hear of it by ties sync.");
    Ok(())
}

fn changed(desk: &mut Desk<'_>, request: Request) -> Outcome<(DeviceRow, Vec<String>)> {
    match desk.answer(request)? {
        Reply::DeviceChanged { device, unaware } => Ok((device, unaware)),
        _ => Err(unexpected()),
    }
}

/// Tells the relays, as far as there are any: what was done here stands, whether or not they can be reached.
fn exchanged(desk: &mut Desk<'_>) -> Outcome<SyncReport> {
    let (book, shell) = desk.parts()?;
    let mut screen = Screen::new(shell);
    let reply = desk::wait(async {
        tokio::select! {
            reply = book.handle(Request::Sync, &mut screen) => reply.map_err(Failure::from),
            () = signals::stop_requested() => Err(Failure::failed("stopped")),
        }
    });
    Ok(match reply {
        Ok(Reply::Synced(report)) => report,
        _ => SyncReport::default(),
    })
}

fn unaware(desk: &mut Desk<'_>, device: &DeviceRow) -> Outcome<Vec<String>> {
    let Reply::Status(state) = desk.answer(Request::Status)? else { return Err(unexpected()) };
    Ok(state.removed.into_iter().find(|one| one.id == device.id).map(|one| one.unaware).unwrap_or_default())
}

/// Says who knows of it.
fn told(desk: &mut Desk<'_>, report: &SyncReport, unaware: &[String]) -> Outcome {
    desk.shell.lines(report.relays.iter().map(sync::line).collect::<Vec<_>>())?;
    if !unaware.is_empty() {
        desk.shell.line(format!("Not heard of it yet: {}. ties status says when they have.", names(unaware)))?;
    }
    Ok(())
}

fn names(devices: &[String]) -> String {
    devices.iter().map(|name| inline(name).into_owned()).collect::<Vec<_>>().join(", ")
}
