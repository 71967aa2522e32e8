//! `ties status`: how things are.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use ties_book::Book;
use ties_book::api::{Candidate, DeviceLogs, Key, RelayRow, RemovedRow, Reply, Request, Status as State};

use super::{SCHEMA, device, lock};
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
        let (reply, notices) = desk.answer_with_notices(Request::Status)?;
        let Reply::Status(state) = reply else { return Err(unexpected()) };
        let key = Book::key(desk.home())?;
        if desk.shell.json() {
            let mut answer = json(&state, &notices);
            answer["key"] = json!(key);
            desk.shell.value(&answer)?;
        } else {
            show(desk, &state, &key)?;
        }
        if state.stuck {
            return Err(Failure::failed("something needs your hand").hint("the lines above say what and why"));
        }
        Ok(())
    }
}

/// The status for `--json`.
pub(super) fn json(state: &State, notices: &[String]) -> Value {
    json!({
        "schema": SCHEMA,
        "device": state.device_name,
        "people": state.people,
        "notes": state.notes,
        "devices": state.devices,
        "logs": state.logs,
        "relays": state.relays,
        "waiting": state.waiting,
        "removed": state.removed,
        "quarantined": state.quarantined,
        "contested": state.contested,
        "conflictCount": state.conflict_count,
        "conflicts": state.conflicts,
        "stuck": state.stuck,
        "notices": notices,
    })
}

fn show(desk: &mut Desk<'_>, state: &State, key: &Key) -> Outcome {
    let home = desk.home().display().to_string();
    let people = amount::counted(state.people as u64, "person", "people");
    let notes = amount::counted(state.notes as u64, "note", "notes");
    let (width, now) = (desk.shell.width(), desk.now());
    let shell = &mut *desk.shell;
    shell.line(format!("{} · {people} · {notes}", palette::strong(&inline(&state.device_name))))?;
    shell.line(palette::faint(&format!("{} · key: {}", inline(&home), lock::kept(key, now))))?;
    shell.line("")?;
    shell.lines(device::table(&state.devices, now).lines(width))?;
    shell.lines(state.logs.iter().flat_map(|device| logs(device, now)))?;
    shell.line("")?;
    shell.lines(roads(state, now))?;
    shell.lines(troubles(state))?;
    shell.lines(contested(state))?;
    shell.lines(conflicts(state))
}

/// What is to be known of a device that has several logs.
fn logs(device: &DeviceLogs, now: Timestamp) -> Vec<String> {
    let last = device.opened.iter().flatten().next_back();
    let last = last.map_or_else(String::new, |instant| format!(", the last begun {}", since(instant, now)));
    let count = amount::counted(device.opened.len() as u64, "incarnation", "incarnations");
    let name = inline(&device.name);
    let mut lines = vec![format!("{name} has {count}{last}: its folder was copied, moved or restored.")];
    if device.copied {
        lines.push("Should a copy of it stay in use, pair it anew as a device of its own: ties device add".to_owned());
    }
    lines.iter().map(|line| palette::faint(line)).collect()
}

/// One line for the fields that two devices set apart.
fn contested(state: &State) -> Option<String> {
    let fields = amount::counted(state.contested as u64, "field", "fields");
    let verb = if state.contested == 1 { "has" } else { "have" };
    (state.contested > 0).then(|| palette::warning(&format!("{fields} {verb} another value waiting: ties conflicts")))
}

/// The handles that several people hold, and how to settle it.
fn conflicts(state: &State) -> Vec<String> {
    if state.conflicts.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), palette::warning(&shared_handles(state))];
    for conflict in &state.conflicts {
        let people: Vec<String> = conflict.people.iter().map(holder).collect();
        lines.push(format!("  {}{}", people.join(", "), and_more(conflict.holders.saturating_sub(people.len()))));
    }
    let left = state.conflict_count.saturating_sub(state.conflicts.len());
    if left > 0 {
        lines.push(format!(" {}", and_more(left)));
    }
    let example = state.conflicts.first().and_then(|conflict| conflict.people.last());
    let example = example.map(|person| inline(&person.handle).into_owned()).unwrap_or_default();
    lines.push(palette::faint(&format!("ties edit {example} gives another handle")));
    lines
}

fn shared_handles(state: &State) -> String {
    let verb = if state.conflict_count == 1 { "is" } else { "are" };
    let handles = amount::counted(state.conflict_count as u64, "handle", "handles");
    format!("{handles} {verb} given to several people")
}

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" and {} more", amount::count(more as u64)) }
}

fn holder(person: &Candidate) -> String {
    format!("{} {}", palette::code(&format!("@{}", inline(&person.handle))), inline(&person.name))
}

/// A line for each relay, or one that says there is none.
pub(super) fn roads(state: &State, now: Timestamp) -> Vec<String> {
    if state.relays.is_empty() {
        return vec![palette::faint(
            "No relay: changes stay on this device (ties relay add URL, or ties sync --folder DIR).",
        )];
    }
    state.relays.iter().map(|one| relay(one, now)).collect()
}

/// One relay in a line.
pub(super) fn relay(relay: &RelayRow, now: Timestamp) -> String {
    let contact = match &relay.last_contact {
        Some(instant) => format!("synced {}", since(instant, now)),
        None => "not synced yet".to_owned(),
    };
    let mut line = format!("{}  {contact}", palette::strong(&road(&relay.url)));
    if relay.to_send > 0 {
        let entries = amount::counted(relay.to_send, "change", "changes");
        line.push_str(&palette::warning(&format!(", {entries} to send")));
    }
    for alert in &relay.alerts {
        line.push_str(&format!(
            "\n  {} it {}",
            palette::bad(&format!("{}:", inline(&alert.kind))),
            inline(&alert.text)
        ));
    }
    if let Some(error) = &relay.last_error {
        line.push_str(&format!("\n  {} {}", palette::bad("failed since:"), inline(error)));
    }
    line
}

/// A line for each thing that waits.
pub(super) fn troubles(state: &State) -> Vec<String> {
    let mark = if state.stuck { palette::bad("!") } else { palette::warning("waiting:") };
    let mut lines: Vec<String> = state.waiting.iter().map(|what| format!("{mark} {}", inline(what))).collect();
    if state.quarantined > 0 {
        let changes = amount::counted(state.quarantined, "change", "changes");
        lines.push(format!("{} {changes} of a device that was shut out: ties quarantine", palette::bad("!")));
    }
    lines.extend(state.removed.iter().filter_map(|one| removed(one, state.devices.len())));
    lines
}

/// What is still to be known of a device that was shut out, if anything is.
fn removed(one: &RemovedRow, devices: usize) -> Option<String> {
    let name = palette::strong(&inline(&one.name));
    if one.this {
        let by = one.by.iter().map(|name| inline(name).into_owned()).collect::<Vec<_>>().join(", ");
        let by = if one.retired { "It has signed off".to_owned() } else { format!("{by} has shut it out") };
        return Some(format!("{} this device does not belong any more. {by}.", palette::bad("!")));
    }
    if one.unaware.is_empty() || devices < 2 {
        return None;
    }
    let who = one.unaware.iter().map(|name| inline(name).into_owned()).collect::<Vec<_>>().join(", ");
    let what = if one.retired { "signed off" } else { "was shut out; what they write it may still read" };
    Some(format!("{} {name} {what}. Not heard of it yet: {who}", palette::warning("waiting:")))
}

/// How long ago an RFC 3339 instant was; one that cannot be read is shown as it is.
pub(super) fn since(instant: &str, now: Timestamp) -> String {
    let Ok(then) = instant.parse::<Timestamp>() else { return inline(instant).into_owned() };
    let passed = now.duration_since(then);
    // Another device's clock may be ahead of ours.
    amount::ago(Duration::try_from(passed).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_says_when_it_was_reached_and_what_it_lacks() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let mut row = RelayRow { url: "ws://127.0.0.1:7700#key".into(), ..RelayRow::default() };
        let plain = |row: &RelayRow| anstream::adapter::strip_str(&relay(row, now)).to_string();
        assert_eq!(plain(&row), "ws://127.0.0.1:7700  not synced yet");
        row.last_contact = Some("2026-11-23T11:55:00Z".into());
        row.to_send = 1;
        assert_eq!(plain(&row), "ws://127.0.0.1:7700  synced 5 minutes ago, 1 change to send");
        row.last_contact = Some("2026-11-23T12:00:09Z".into());
        row.last_error = Some("no answer\u{1b}".into());
        assert_eq!(
            plain(&row),
            "ws://127.0.0.1:7700  synced just now, 1 change to send\n  failed since: no answer\\u{1b}"
        );
    }
}
