//! `ties status`: how things are.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use ties_book::Book;
use ties_book::api::{
    Candidate, CheckpointRow, DeviceLogs, DeviceRow, Key, RelayRow, RemovedRow, Reply, Request, Status as State,
};

use super::{SCHEMA, device, lock};
use crate::desk::{Desk, unexpected};
use crate::errors::{Failure, Outcome};
use crate::render::{amount, inline, palette};
use crate::screen::road;
use crate::settings::{SYNC_AUTO, Settings};

/// The words of `ties status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Says of each road when it was met, what it lacks, how many bytes wait for it and when it is tried next, and of each \
device what it is not known to have and what it has that is not here. The exit code is 1 when something needs your hand, or has been \
stuck for a day.

Examples:
  ties status
  ties status --json"
)]
pub(crate) struct Status {}

impl Status {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let (reply, notices) = desk.answer_with_notices(Request::Status)?;
        let Reply::Status(state) = reply else { return Err(unexpected()) };
        let key = Book::key(desk.home())?;
        let keeper = Keeper::of(desk.home());
        if desk.shell.json() {
            let mut answer = json(&state, &notices);
            answer["key"] = json!(key);
            answer["agent"] = keeper.json();
            desk.shell.value(&answer)?;
        } else {
            show(desk, &state, &key, &keeper)?;
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
        "parked": state.parked,
        "newer": state.newer,
        "removed": state.removed,
        "quarantined": state.quarantined,
        "checkpoints": state.checkpoints,
        "contested": state.contested,
        "conflictCount": state.conflict_count,
        "conflicts": state.conflicts,
        "stuck": state.stuck,
        "notices": notices,
    })
}

fn show(desk: &mut Desk<'_>, state: &State, key: &Key, keeper: &Keeper) -> Outcome {
    let home = desk.home().display().to_string();
    let people = amount::counted(state.people as u64, "person", "people");
    let notes = amount::counted(state.notes as u64, "note", "notes");
    let (width, now) = (desk.shell.width(), desk.now());
    let shell = &mut *desk.shell;
    shell.line(format!("{} · {people} · {notes}", palette::strong(&inline(&state.device_name))))?;
    shell.line(palette::faint(&format!("{} · key: {}", inline(&home), lock::kept(key, now))))?;
    shell.line("")?;
    shell.lines(device::table(&state.devices, now).lines(width))?;
    shell.lines(below(state, now, keeper))
}

/// Everything below the table of devices.
fn below(state: &State, now: Timestamp, keeper: &Keeper) -> Vec<String> {
    let mut lines: Vec<String> = state.logs.iter().flat_map(|device| logs(device, now)).collect();
    lines.extend(state.devices.iter().flat_map(exchanged));
    lines.push(String::new());
    lines.extend(roads_kept(state, now, keeper));
    lines.extend(keeper.line(state));
    lines.extend(troubles(state));
    lines.extend(checkpoints(state, now));
    lines.extend(contested(state));
    lines.extend(conflicts(state));
    lines
}

/// Who meets the roads when nobody asks.
enum Keeper {
    /// The agent, which says so.
    #[cfg(unix)]
    Agent(crate::agent::state::State),
    /// Nobody but commands; with `auto` those that write bring it to the relays.
    Commands { auto: bool },
}

impl Keeper {
    fn of(home: &Path) -> Self {
        #[cfg(unix)]
        if let Some(state) = crate::agent::state_of(home) {
            return Self::Agent(state);
        }
        let set = Settings::of(home).is_ok_and(|settings| settings.is_on(SYNC_AUTO));
        Self::Commands { auto: cfg!(unix) && set && std::env::var_os("TIES_NO_AUTO").is_none_or(|off| off.is_empty()) }
    }

    fn json(&self) -> Value {
        match self {
            #[cfg(unix)]
            Self::Agent(state) => json!(state),
            Self::Commands { .. } => Value::Null,
        }
    }

    fn line(&self, state: &State) -> Option<String> {
        Some(match self {
            #[cfg(unix)]
            Self::Agent(agent) if agent.locked => Line::AgentLocked.is(format!(
                "{} the agent (process {}) waits for ties unlock, and exchanges nothing",
                palette::warning("waiting:"),
                agent.process
            )),
            #[cfg(unix)]
            Self::Agent(agent) => {
                Line::Agent.is(palette::faint(&format!("The agent (process {}) keeps the roads open.", agent.process)))
            }
            Self::Commands { .. } if state.relays.is_empty() && state.devices.len() < 2 => return None,
            Self::Commands { auto: true } => Line::NoAgent.is(palette::faint(
                "No agent runs (ties agent start): ties sync exchanges, and a change is brought to the relays.",
            )),
            Self::Commands { auto: false } => {
                Line::NoAgentNorAuto.is(palette::faint("No agent runs (ties agent start): ties sync alone exchanges."))
            }
        })
    }

    /// When a road is tried next, if something waits for it.
    fn next(&self, relay: &RelayRow, now: Timestamp) -> Option<String> {
        match self {
            #[cfg(unix)]
            Self::Agent(agent) => {
                let road = agent.roads.iter().find(|road| road.url == relay.url)?;
                let lost = road.state == crate::agent::state::RoadState::Lost;
                lost.then(|| Line::NextByAgent.is(format!("  next: {}", super::agent::next(road, now))))
            }
            Self::Commands { .. } if relay.to_send == 0 && relay.last_error.is_none() => None,
            Self::Commands { auto: true } if !relay.url.starts_with("folder:") => {
                Some(Line::NextByChange.is("  next: with the next change, or ties sync".to_owned()))
            }
            Self::Commands { .. } => Some(Line::NextBySync.is("  next: with ties sync".to_owned())),
        }
    }
}

/// What is to be known of a device that has several logs.
fn logs(device: &DeviceLogs, now: Timestamp) -> Vec<String> {
    let last = device.opened.iter().flatten().next_back();
    let last = last.map_or_else(String::new, |instant| format!(", the last begun {}", since(instant, now)));
    let count = amount::counted(device.opened.len() as u64, "incarnation", "incarnations");
    let name = inline(&device.name);
    let mut lines =
        vec![Line::Incarnations.is(format!("{name} has {count}{last}: its folder was copied, moved or restored."))];
    if device.copied {
        let advice = "Should a copy of it stay in use, pair it anew as a device of its own: ties device add";
        lines.push(Line::Copied.is(advice.to_owned()));
    }
    lines.iter().map(|line| palette::faint(line)).collect()
}

/// What another device lacks of what is here, and the reverse.
fn exchanged(device: &DeviceRow) -> Vec<String> {
    let name = inline(&device.name);
    let mut lines = Vec::new();
    if let Some(lacks) = device.lacks.filter(|lacks| *lacks > 0) {
        let changes = amount::counted(lacks, "change", "changes");
        lines.push(Line::DeviceLacks.is(palette::faint(&format!("{name} is not known to have {changes} yet."))));
    }
    if device.ahead > 0 {
        let changes = amount::counted(device.ahead, "change", "changes");
        let are = if device.ahead == 1 { "that is" } else { "that are" };
        lines.push(Line::DeviceAhead.is(format!("{name} has {changes} {are} not here yet.")));
    }
    lines
}

/// A line for the newest checkpoint, and one for each of which something must be known.
fn checkpoints(state: &State, now: Timestamp) -> Vec<String> {
    let newest = state.checkpoints.iter().position(|one| one.standing != "differs");
    let rows = state.checkpoints.iter().enumerate();
    let shown = rows.filter(|(at, one)| Some(*at) == newest || ["differs", "unverified"].contains(&&*one.standing));
    let line = |(_, one): (usize, &CheckpointRow)| {
        let since = one.since.as_ref().map_or_else(String::new, |instant| format!(" ({})", since(instant, now)));
        let text = format!("{}{since}", inline(&one.text));
        match &*one.standing {
            "differs" => Line::CheckpointDiffers.is(format!("{} {text}", palette::bad("!"))),
            "unverified" => Line::CheckpointUnverified.is(format!("{} {text}", palette::warning("waiting:"))),
            _ => Line::Checkpoint.is(palette::faint(&text)),
        }
    };
    shown.map(line).collect()
}

/// One line for the fields that two devices set apart.
fn contested(state: &State) -> Option<String> {
    let fields = amount::counted(state.contested as u64, "field", "fields");
    let verb = if state.contested == 1 { "has" } else { "have" };
    (state.contested > 0).then(|| {
        Line::Contested.is(palette::warning(&format!("{fields} {verb} another value waiting: ties conflicts")))
    })
}

/// The handles that several people hold, and how to settle it.
fn conflicts(state: &State) -> Vec<String> {
    if state.conflicts.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), Line::Handles.is(palette::warning(&shared_handles(state)))];
    for conflict in &state.conflicts {
        let people: Vec<String> = conflict.people.iter().map(holder).collect();
        let more = and_more(conflict.holders.saturating_sub(people.len()));
        lines.push(Line::Handle.is(format!("  {}{more}", people.join(", "))));
    }
    let left = state.conflict_count.saturating_sub(state.conflicts.len());
    if left > 0 {
        lines.push(Line::MoreHandles.is(format!(" {}", and_more(left))));
    }
    let example = state.conflicts.first().and_then(|conflict| conflict.people.last());
    let example = example.map(|person| inline(&person.handle).into_owned()).unwrap_or_default();
    lines.push(Line::HandleAdvice.is(palette::faint(&format!("ties edit {example} gives another handle"))));
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
        return vec![Line::NoRelay.is(palette::faint(
            "No relay: changes stay on this device (ties relay add URL, or ties sync --folder DIR).",
        ))];
    }
    state.relays.iter().map(|one| relay(one, now)).collect()
}

/// The same, each with when it is tried next.
fn roads_kept(state: &State, now: Timestamp, keeper: &Keeper) -> Vec<String> {
    if state.relays.is_empty() {
        return roads(state, now);
    }
    let kept = |one: &RelayRow| [Some(relay(one, now)), keeper.next(one, now)];
    state.relays.iter().flat_map(kept).flatten().collect()
}

/// One relay in a line.
pub(super) fn relay(relay: &RelayRow, now: Timestamp) -> String {
    let contact = match &relay.last_contact {
        Some(instant) => Line::Synced.is(format!("synced {}", since(instant, now))),
        None => Line::NeverSynced.is("not synced yet".to_owned()),
    };
    let mut line = format!("{}  {contact}", palette::strong(&road(&relay.url)));
    if relay.to_send > 0 {
        let changes = amount::counted(relay.to_send, "change", "changes");
        let over = if relay.more_to_send { "over " } else { "" };
        let bytes = match relay.bytes_to_send {
            0 => String::new(),
            bytes => format!(" ({over}{})", amount::bytes(bytes)),
        };
        line.push_str(&Line::ToSend.is(palette::warning(&format!(", {changes} to send{bytes}"))));
    }
    if let Some(instant) = relay.unsent_since.as_ref().filter(|_| relay.overdue) {
        line.push_str(&Line::Overdue.is(palette::bad(&format!(", stuck: written {}", since(instant, now)))));
    }
    if relay.left > 0 {
        let files = amount::counted(relay.left as u64, "file", "files");
        let verb = if relay.left == 1 { "waits" } else { "wait" };
        line.push_str(&Line::Left.is(format!(", {files} there {verb} for what is not here yet")));
    }
    for alert in &relay.alerts {
        line.push_str(&Line::Alert.is(format!(
            "\n  {} it {}",
            palette::bad(&format!("{}:", inline(&alert.kind))),
            inline(&alert.text)
        )));
    }
    if let Some(error) = &relay.last_error {
        line.push_str(&Line::Failed.is(format!("\n  {} {}", palette::bad("failed since:"), inline(error))));
    }
    line
}

/// A line for each thing that waits.
pub(super) fn troubles(state: &State) -> Vec<String> {
    let mark = if state.stuck { palette::bad("!") } else { palette::warning("waiting:") };
    let waits = |what: &String| Line::Waits.is(format!("{mark} {}", inline(what)));
    let mut lines: Vec<String> = state.waiting.iter().map(waits).collect();
    if state.newer > 0 {
        let entries = amount::counted(state.newer as u64, "entry", "entries");
        let what = "of a newer version of ties: kept, passed on, and read once this one is upgraded";
        lines.push(Line::Newer.is(format!("{} {entries} {what}", palette::warning("waiting:"))));
    }
    if state.quarantined > 0 {
        let changes = amount::counted(state.quarantined, "change", "changes");
        let line = format!("{} {changes} of a device that was shut out: ties quarantine", palette::bad("!"));
        lines.push(Line::Quarantined.is(line));
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
        let line = format!("{} this device does not belong any more. {by}.", palette::bad("!"));
        return Some(Line::NoMember.is(line));
    }
    if one.unaware.is_empty() || devices < 2 {
        return None;
    }
    let who = one.unaware.iter().map(|name| inline(name).into_owned()).collect::<Vec<_>>().join(", ");
    let what = if one.retired { "signed off" } else { "was shut out; what they write it may still read" };
    let line = format!("{} {name} {what}. Not heard of it yet: {who}", palette::warning("waiting:"));
    Some(Line::Unaware.is(line))
}

/// Lists the lines once, so that none can be printed which the test of all of them does not know.
macro_rules! lines {
    ($($name:ident)*) => {
        /// What `ties status` can print below its tables, line by line or part by part.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        enum Line {
            $($name,)*
        }

        #[cfg(test)]
        const LINES: &[Line] = &[$(Line::$name,)*];
    };
}

lines! {
    Incarnations Copied DeviceLacks DeviceAhead NoRelay Synced NeverSynced ToSend Overdue Left Alert Failed NextByAgent
    NextByChange NextBySync Agent AgentLocked NoAgent NoAgentNorAuto Waits Newer Quarantined NoMember Unaware Checkpoint CheckpointUnverified
    CheckpointDiffers Contested Handles
    Handle MoreHandles HandleAdvice
}

impl Line {
    /// The text, as this line.
    fn is(self, text: String) -> String {
        #[cfg(test)]
        tests::PRINTED.with_borrow_mut(|printed| printed.insert(self));
        text
    }
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
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use ties_book::api::{HandleConflict, RelayAlert};

    use super::*;

    thread_local! {
        /// The lines that this test printed.
        pub(super) static PRINTED: RefCell<BTreeSet<Line>> = const { RefCell::new(BTreeSet::new()) };
    }

    fn plain(lines: &[String]) -> String {
        anstream::adapter::strip_str(&lines.join("\n")).to_string()
    }

    fn troubled_relay() -> RelayRow {
        RelayRow {
            url: "ws://127.0.0.1:1#k".into(),
            last_contact: Some("2026-11-20T12:00:00Z".into()),
            last_error: Some("no answer".into()),
            to_send: 3,
            bytes_to_send: 2048,
            unsent_since: Some("2026-11-20T12:00:00Z".into()),
            overdue: true,
            alerts: vec![RelayAlert { kind: "forked".into(), since: None, text: "hides something".into() }],
            ..RelayRow::default()
        }
    }

    fn troubled() -> State {
        let device = |name: &str| DeviceRow { name: name.into(), lacks: Some(2), ahead: 1, ..DeviceRow::default() };
        let removed = |this, retired| RemovedRow {
            name: "old phone".into(),
            this,
            retired,
            by: vec!["laptop".into()],
            unaware: vec!["tablet".into()],
            ..RemovedRow::default()
        };
        let handle = HandleConflict { handle: "ada".into(), holders: 3, people: vec![Candidate::default()] };
        let folder =
            RelayRow { url: "folder:/stick".into(), to_send: 1, left: 2, more_to_send: true, ..RelayRow::default() };
        State {
            devices: vec![device("phone"), device("tablet")],
            logs: vec![DeviceLogs {
                name: "phone".into(),
                copied: true,
                opened: vec![None, None],
                ..DeviceLogs::default()
            }],
            relays: vec![troubled_relay(), folder],
            waiting: vec!["1 entry waiting for a key that this device has not got yet".into()],
            newer: 2,
            removed: vec![removed(true, false), removed(false, true)],
            quarantined: 1,
            contested: 1,
            conflict_count: 2,
            conflicts: vec![handle],
            stuck: true,
            ..State::default()
        }
    }

    #[cfg(unix)]
    fn agent(locked: bool) -> Keeper {
        use crate::agent::state::{Road, RoadState, State};
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let road = Road {
            url: "ws://127.0.0.1:1#k".into(),
            state: RoadState::Lost,
            since: now,
            error: None,
            next_attempt: Some(now),
            sent: 0,
            received: 0,
        };
        Keeper::Agent(State { process: 7, since: now, locked, listening: None, roads: vec![road] })
    }

    /// Whoever adds a line adds what leads to it, and sees here how it reads.
    #[cfg(unix)]
    #[test]
    fn every_line_of_a_status_is_reached() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        PRINTED.with_borrow_mut(BTreeSet::clear);
        let text = plain(&below(&troubled(), now, &Keeper::Commands { auto: true }));
        for part in [
            "phone has 2 incarnations: its folder was copied, moved or restored.",
            "phone is not known to have 2 changes yet.",
            "phone has 1 change that is not here yet.",
            "ws://127.0.0.1:1  synced 3 days ago, 3 changes to send (2.0 KiB), stuck: written 3 days ago",
            "  forked: it hides something",
            "  failed since: no answer",
            "  next: with the next change, or ties sync",
            "folder:/stick  not synced yet, 1 change to send, 2 files there wait for what is not here yet",
            "  next: with ties sync",
            "No agent runs (ties agent start): ties sync exchanges, and a change is brought to the relays.",
            "! 1 entry waiting for a key that this device has not got yet",
            "waiting: 2 entries of a newer version of ties",
            "! 1 change of a device that was shut out: ties quarantine",
            "! this device does not belong any more. laptop has shut it out.",
            "old phone signed off. Not heard of it yet: tablet",
            "1 field has another value waiting: ties conflicts",
            "2 handles are given to several people",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let others = [Keeper::Commands { auto: false }, agent(false), agent(true)];
        let all = others.iter().flat_map(|keeper| below(&troubled(), now, keeper)).collect::<Vec<_>>();
        let checkpoint = |standing: &str| CheckpointRow { standing: standing.into(), ..CheckpointRow::default() };
        for standing in ["same", "unverified", "differs"] {
            checkpoints(&State { checkpoints: vec![checkpoint(standing)], ..State::default() }, now);
        }
        assert!(plain(&all).contains("  next: tried again now") && plain(&all).contains("keeps the roads open"));
        assert!(below(&State::default(), now, &Keeper::Commands { auto: true }).len() == 2);
        let listed: BTreeSet<Line> = LINES.iter().copied().collect();
        assert_eq!(PRINTED.with_borrow(BTreeSet::clone), listed);
    }

    #[test]
    fn the_newest_checkpoint_is_told_and_each_that_lies_or_stands_on_one_word() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let row = |standing: &str, text: &str| CheckpointRow {
            since: Some("2026-11-23T11:55:00Z".into()),
            standing: standing.into(),
            text: text.into(),
            ..CheckpointRow::default()
        };
        let rows = vec![row("differs", "one that lies"), row("same", "the newest"), row("same", "an older one")];
        let state = State { checkpoints: rows, ..State::default() };
        let lines: Vec<String> =
            checkpoints(&state, now).iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(lines, ["! one that lies (5 minutes ago)", "the newest (5 minutes ago)"]);
        let state = State { checkpoints: vec![row("unverified", "on one word")], ..State::default() };
        let lines = checkpoints(&state, now);
        assert_eq!(anstream::adapter::strip_str(&lines[0]).to_string(), "waiting: on one word (5 minutes ago)");
    }

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
