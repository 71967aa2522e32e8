//! `ties sync`: exchanges changes with the other devices.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use ties_book::Book;
use ties_book::api::{Nearby, PeerSync, RelaySync, Reply, Request, SyncReport};

use super::SCHEMA;
use crate::desk::{self, Desk, unexpected};
use crate::errors::{Failure, Outcome};
use crate::hook::{self, Hook};
use crate::render::{amount, inline, palette};
use crate::screen::{Screen, road};
use crate::settings::{CHECKPOINT_PRUNE, Settings};
use crate::signals;
use crate::terminal::Shell;

/// The words of `ties sync`.
#[derive(Debug, Args)]
#[command(
    after_help = "One line for each relay, folder and device; the exit code is 1 if one of them failed. In a folder (a stick, a \
synced folder, a network drive) changes are left in files that nobody else can read, for your other devices to take when they visit \
it; no relay is needed for that. Two devices of one network need none either: one listens, and the other finds it, or is told where \
it is. Nobody else can make anything of what they say, and to strangers the one that listens shows nothing.

Examples:
  ties sync
  ties sync --watch
  ties sync --folder /media/stick
  ties sync --peer laptop.local
  ties sync --listen
  ties sync --json"
)]
pub(crate) struct Sync {
    /// Stay connected and exchange changes as they come, until Ctrl-C
    #[arg(short, long)]
    watch: bool,

    /// Exchange with this folder, and with nothing else that was not named (may be repeated)
    #[arg(long, value_name = "DIR", conflicts_with = "watch")]
    folder: Vec<PathBuf>,
    /// Meet the device that listens there, and nothing else that was not named unless with --watch (may be repeated)
    #[arg(long = "peer", value_name = "HOST[:PORT]")]
    peers: Vec<String>,
    /// Let the other devices come, at all addresses of this machine and port 7701 unless told otherwise; stays like --watch
    #[arg(long, value_name = "[ADDR:]PORT", num_args = 0..=1, default_missing_value = "", conflicts_with = "folder")]
    listen: Option<String>,

    /// Let in a device that waits in a folder without asking, for scripts
    #[arg(short, long, conflicts_with = "watch")]
    yes: bool,
    /// Neither look for devices on the local network nor tell them of this one (as if TIES_NO_LAN were set)
    #[arg(long)]
    no_lan: bool,
}

impl Sync {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let home = desk.home().to_owned();
        let (book, shell) = desk.parts()?;
        let Self { watch, folder, peers, listen, yes, no_lan } = self;
        let watch = watch || listen.is_some();
        let nearby = Nearby { peers, folders: folder, lan: may_use_lan(no_lan), listen, waits: false };
        let hook = Hook::of(&home)?;
        book.set_prunes(Settings::of(&home)?.is_on(CHECKPOINT_PRUNE));
        if watch {
            let mut screen = Screen::watching(shell);
            return desk::wait(async {
                tokio::select! {
                    () = hook::follow(book, &home, |failure| tracing::warn!("{}", failure.message)) => Ok(()),
                    reply = book.handle(Request::Watch(nearby), &mut screen) => reply.map(drop).map_err(Failure::from),
                    // Being stopped is how watching ends.
                    () = signals::stop_requested() => Ok(()),
                }
            });
        }
        if hook.is_some() {
            book.arrivals()?;
        }
        let mut screen = Screen::new(shell).letting_in(yes).keeping_notices();
        let reply = desk::wait(async {
            tokio::select! {
                reply = book.handle(Request::Meet(nearby), &mut screen) => reply.map_err(Failure::from),
                () = signals::stop_requested() => Err(
                    Failure::failed("stopped; what was exchanged is kept, the next sync goes on from there")
                ),
            }
        });
        let notices = screen.notices();
        if let Some(hook) = hook {
            tell(&hook, book, shell)?;
        }
        let Reply::Synced(report) = reply? else { return Err(unexpected()) };
        if shell.json() {
            shell.value(
                &json!({"schema": SCHEMA, "relays": report.relays, "devices": report.devices, "notices": notices}),
            )?;
        } else {
            let relays = report.relays.iter().map(line);
            shell.lines(relays.chain(report.devices.iter().map(device_line)).collect::<Vec<_>>())?;
        }
        outcome(&report)
    }
}

/// Whether the local network may be asked, and told.
pub(crate) fn may_use_lan(no_lan: bool) -> bool {
    !no_lan && std::env::var_os("TIES_NO_LAN").is_none_or(|set| set.is_empty())
}

/// Has the owner's program told of what came. What it does is its own: a sync that went well has gone well.
fn tell(hook: &Hook, book: &Book, shell: &mut Shell) -> Outcome {
    let changed = book.arrivals()?;
    if !changed.is_empty()
        && let Err(failure) = hook.run(&hook::telling(book, &changed))
    {
        shell.complain(format!("{} on-sync: {}", palette::warning("Note:"), inline(&failure.message)));
    }
    Ok(())
}

/// One device's part of a sync in a line.
pub(super) fn device_line(peer: &PeerSync) -> String {
    let PeerSync { device, address, sent, received, bytes_out, bytes_in, error, .. } = peer.clone();
    let road = device.map_or_else(|| address.clone(), |device| format!("{device} ({address})"));
    line(&RelaySync { url: road, sent, received, bytes_out, bytes_in, error, hint: None })
}

/// One relay's part of a sync in a line.
pub(super) fn line(relay: &RelaySync) -> String {
    let road = road(&relay.url);
    if let Some(error) = &relay.error {
        return format!("{}  {road}  {}", palette::bad("failed    "), inline(error));
    }
    let state = palette::good("up to date");
    if relay.sent + relay.received == 0 {
        let bytes = amount::bytes(relay.bytes_in + relay.bytes_out);
        return format!("{state}  {road}  nothing new ({bytes})");
    }
    format!(
        "{state}  {road}  sent {} ({}), received {} ({})",
        amount::count(relay.sent),
        amount::bytes(relay.bytes_out),
        amount::count(relay.received),
        amount::bytes(relay.bytes_in)
    )
}

/// Fails if a road failed or there was none: nothing goes wrong in silence.
pub(super) fn outcome(report: &SyncReport) -> Outcome {
    if report.relays.is_empty() && report.devices.is_empty() {
        return Err(Failure::failed("there is no relay to sync through")
            .hint("ties relay add URL, or ties sync --folder DIR; ties relay serve runs a relay of your own"));
    }
    let relays = report.relays.iter().filter(|relay| relay.error.is_some()).count() as u64;
    let devices = report.devices.iter().filter(|device| device.error.is_some()).count() as u64;
    let folders = report.relays.iter().any(|one| one.url.starts_with("folder:"));
    let failed = match (report.relays.is_empty(), report.devices.is_empty()) {
        _ if relays + devices == 0 => return Ok(()),
        (true, _) => amount::counted(devices, "device", "devices"),
        (false, true) if !folders => amount::counted(relays, "relay", "relays"),
        (false, _) => amount::counted(relays + devices, "road", "roads"),
    };
    let hints = report.devices.iter().filter_map(|device| device.hint.as_deref());
    let hint = report.relays.iter().filter_map(|relay| relay.hint.as_deref()).chain(hints).next();
    let hint = hint.unwrap_or("everything is kept here; ties status shows what waits");
    let all = report.relays.len() + report.devices.len();
    Err(Failure::failed(format!("{failed} of {all} failed")).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(relay: &RelaySync) -> String {
        anstream::adapter::strip_str(&line(relay)).to_string()
    }

    #[test]
    fn a_road_says_what_went_over_it_and_whether_it_failed() {
        let mut relay =
            RelaySync { url: "ws://127.0.0.1:1#k".into(), bytes_in: 120, bytes_out: 80, ..RelaySync::default() };
        assert_eq!(plain(&relay), "up to date  ws://127.0.0.1:1  nothing new (200 B)");
        relay.sent = 2;
        assert_eq!(plain(&relay), "up to date  ws://127.0.0.1:1  sent 2 (80 B), received 0 (120 B)");
        relay.error = Some("refused\u{1b}".into());
        assert_eq!(plain(&relay), "failed      ws://127.0.0.1:1  refused\\u{1b}");
    }

    #[test]
    fn no_road_and_a_failed_road_are_failures() {
        assert!(outcome(&SyncReport::default()).is_err());
        let mut relay = RelaySync::default();
        assert!(outcome(&SyncReport { relays: vec![relay.clone()], ..SyncReport::default() }).is_ok());
        relay.error = Some("x".into());
        assert!(outcome(&SyncReport { relays: vec![relay], ..SyncReport::default() }).is_err());
    }
}
