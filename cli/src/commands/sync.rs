//! `ties sync`: exchanges changes with the other devices.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use ties_book::api::{RelaySync, Reply, Request, SyncReport};

use super::SCHEMA;
use crate::desk::{self, Desk, unexpected};
use crate::errors::{Failure, Outcome};
use crate::render::{amount, inline, palette};
use crate::screen::{Screen, road};
use crate::signals;

/// The words of `ties sync`.
#[derive(Debug, Args)]
#[command(
    after_help = "One line for each relay and folder; the exit code is 1 if one of them failed. In a folder (a stick, a synced \
folder, a network drive) changes are left in files that nobody else can read, for your other devices to take when they visit \
it; no relay is needed for that.

Examples:
  ties sync
  ties sync --watch
  ties sync --folder /media/stick
  ties sync --json"
)]
pub(crate) struct Sync {
    /// Stay connected and exchange changes as they come, until Ctrl-C
    #[arg(short, long)]
    watch: bool,

    /// Exchange with this folder, and with nothing else that was not named (may be repeated)
    #[arg(long, value_name = "DIR", conflicts_with = "watch")]
    folder: Vec<PathBuf>,
}

impl Sync {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let (book, shell) = desk.parts()?;
        if self.watch {
            let mut screen = Screen::watching(shell);
            return desk::wait(async {
                tokio::select! {
                    reply = book.handle(Request::SyncWatch, &mut screen) => reply.map(drop).map_err(Failure::from),
                    // Being stopped is how watching ends.
                    () = signals::stop_requested() => Ok(()),
                }
            });
        }
        let request = match self.folder.is_empty() {
            true => Request::Sync,
            false => Request::SyncFolders { folders: self.folder },
        };
        let mut screen = Screen::new(shell).keeping_notices();
        let reply = desk::wait(async {
            tokio::select! {
                reply = book.handle(request, &mut screen) => reply.map_err(Failure::from),
                () = signals::stop_requested() => Err(
                    Failure::failed("stopped; what was exchanged is kept, the next sync goes on from there")
                ),
            }
        });
        let notices = screen.notices();
        let Reply::Synced(report) = reply? else { return Err(unexpected()) };
        if shell.json() {
            shell.value(&json!({"schema": SCHEMA, "relays": report.relays, "notices": notices}))?;
        } else {
            shell.lines(report.relays.iter().map(line).collect::<Vec<_>>())?;
        }
        outcome(&report)
    }
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
    if report.relays.is_empty() {
        return Err(Failure::failed("there is no relay to sync through")
            .hint("ties relay add URL, or ties sync --folder DIR; ties relay serve runs a relay of your own"));
    }
    let failed = report.relays.iter().filter(|relay| relay.error.is_some()).count() as u64;
    match failed {
        0 => Ok(()),
        _ => {
            let folders = report.relays.iter().any(|one| one.url.starts_with("folder:"));
            let roads = match folders {
                true => amount::counted(failed, "road", "roads"),
                false => amount::counted(failed, "relay", "relays"),
            };
            let hint = report.relays.iter().find_map(|relay| relay.hint.as_deref());
            let hint = hint.unwrap_or("everything is kept here; ties status shows what waits");
            Err(Failure::failed(format!("{roads} of {} failed", report.relays.len())).hint(hint))
        }
    }
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
        assert!(outcome(&SyncReport { relays: vec![relay.clone()] }).is_ok());
        relay.error = Some("x".into());
        assert!(outcome(&SyncReport { relays: vec![relay] }).is_err());
    }
}
