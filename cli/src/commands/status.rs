//! `ties status`: how things are.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use ties_book::api::{RelayRow, Reply, Request, Status as State};

use super::{SCHEMA, device};
use crate::desk::{Desk, unexpected};
use crate::errors::{Failure, Outcome};
use crate::render::{amount, inline, palette};
use crate::screen::road;

/// The words of `ties status`.
#[derive(Debug, Args)]
#[command(after_help = "The exit code is 1 when something needs your hand.

Examples:
  ties status
  ties status --json")]
pub(crate) struct Status {}

impl Status {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let Reply::Status(state) = desk.answer(Request::Status)? else { return Err(unexpected()) };
        if desk.shell.json() {
            desk.shell.value(&json(&state))?;
        } else {
            show(desk, &state)?;
        }
        if state.stuck {
            return Err(Failure::failed("something needs your hand").hint("the lines above say what and why"));
        }
        Ok(())
    }
}

/// The status for `--json`.
pub(super) fn json(state: &State) -> Value {
    json!({
        "schema": SCHEMA,
        "device": state.device_name,
        "people": state.people,
        "notes": state.notes,
        "devices": state.devices,
        "relays": state.relays,
        "waiting": state.waiting,
        "stuck": state.stuck,
    })
}

fn show(desk: &mut Desk<'_>, state: &State) -> Outcome {
    let home = desk.home().display().to_string();
    let people = amount::counted(state.people as u64, "person", "people");
    let notes = amount::counted(state.notes as u64, "note", "notes");
    let width = desk.shell.width();
    let shell = &mut *desk.shell;
    shell.line(format!("{} · {people} · {notes}", palette::strong(&inline(&state.device_name))))?;
    shell.line(palette::faint(&inline(&home)))?;
    shell.line("")?;
    shell.lines(device::table(&state.devices).lines(width))?;
    shell.line("")?;
    shell.lines(roads(state))?;
    shell.lines(troubles(state))
}

/// A line for each relay, or one that says there is none.
pub(super) fn roads(state: &State) -> Vec<String> {
    if state.relays.is_empty() {
        return vec![palette::faint("No relay: changes stay on this device (ties relay add URL).")];
    }
    state.relays.iter().map(relay).collect()
}

/// One relay in a line.
pub(super) fn relay(relay: &RelayRow) -> String {
    let contact = match &relay.last_contact {
        Some(instant) => format!("synced {}", since(instant)),
        None => "not synced yet".to_owned(),
    };
    let mut line = format!("{}  {contact}", palette::strong(&road(&relay.url)));
    if relay.to_send > 0 {
        let entries = amount::counted(relay.to_send, "change", "changes");
        line.push_str(&palette::warning(&format!(", {entries} to send")));
    }
    if let Some(error) = &relay.last_error {
        line.push_str(&format!("\n  {} {}", palette::bad("failed since:"), inline(error)));
    }
    line
}

/// A line for each thing that waits.
pub(super) fn troubles(state: &State) -> Vec<String> {
    let mark = if state.stuck { palette::bad("!") } else { palette::warning("waiting:") };
    state.waiting.iter().map(|what| format!("{mark} {}", inline(what))).collect()
}

/// How long ago an RFC 3339 instant was; one that cannot be read is shown as it is.
pub(super) fn since(instant: &str) -> String {
    let Ok(then) = instant.parse::<jiff::Timestamp>() else { return inline(instant).into_owned() };
    let passed = jiff::Timestamp::now().duration_since(then);
    // Another device's clock may be ahead of ours.
    amount::ago(Duration::try_from(passed).unwrap_or_default())
}
