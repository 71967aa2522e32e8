//! `ties`: how things stand, or what to do first.

use ties_book::api::{Reply, Request};

use super::status;
use crate::desk::{Desk, unexpected};
use crate::errors::Outcome;
use crate::render::{amount, inline, palette};

/// Shows the overview of this device's network, or the first steps to one.
pub(crate) fn run(desk: &mut Desk<'_>) -> Outcome {
    if !desk.has_book() {
        return welcome(desk);
    }
    let (reply, notices) = desk.answer_with_notices(Request::Status)?;
    let Reply::Status(status) = reply else { return Err(unexpected()) };
    if desk.shell.json() {
        return desk.shell.value(&status::json(&status, &notices));
    }
    let width = desk.shell.width();
    let people = amount::counted(status.people as u64, "person", "people");
    let notes = amount::counted(status.notes as u64, "note", "notes");
    desk.shell.line(format!(
        "{} · {people} · {notes} · {}",
        palette::strong(&inline(&status.device_name)),
        amount::counted(status.devices.len() as u64, "device", "devices"),
    ))?;
    for line in status::troubles(&status) {
        desk.shell.line(line)?;
    }
    for line in status::roads(&status, desk.now()) {
        desk.shell.line(line)?;
    }
    if status.people == 0 {
        desk.shell.line("")?;
        desk.shell.lines(steps(
            width,
            &[
                ("ties import contacts.vcf", "take in the contacts you have"),
                ("ties new \"Grace Hopper\" grace@navy.example", "or add one by hand"),
            ],
        ))?;
    } else if status.devices.len() < 2 && status.relays.is_empty() {
        desk.shell.remark("");
        desk.shell.remark(palette::faint("A second device: ties relay add URL, then ties device add"));
    }
    Ok(())
}

fn welcome(desk: &mut Desk<'_>) -> Outcome {
    if desk.shell.json() {
        return Err(desk.no_book());
    }
    let width = desk.shell.width();
    desk.shell.line(palette::strong("Welcome to ties: your professional network, on your own devices."))?;
    desk.shell.line("")?;
    desk.shell.lines(steps(
        width,
        &[
            ("ties init", "start a network on this device"),
            ("ties device join CODE --relay URL", "or join the one on another device of yours"),
            ("ties demo", "or first see it all at work, in a temporary folder"),
        ],
    ))?;
    desk.shell.line("")?;
    let home = desk.home().display().to_string();
    desk.shell.line(palette::faint(&format!("Data will live in {} · ties help", inline(&home))))
}

/// Commands and what they do: side by side, or in a narrow terminal each below the other.
fn steps(width: Option<usize>, steps: &[(&str, &str)]) -> Vec<String> {
    let widest = steps.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    let longest = steps.iter().map(|(_, about)| about.len()).max().unwrap_or(0);
    let narrow = width.is_some_and(|width| 2 + widest + 3 + longest > width);
    steps
        .iter()
        .map(|(command, about)| {
            let space = widest - command.len();
            match narrow {
                true => format!("  {}\n      {about}", palette::code(command)),
                false => format!("  {}{:space$}   {about}", palette::code(command), ""),
            }
        })
        .collect()
}
