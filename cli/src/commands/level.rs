//! `ties device level`: programs of different ages in one network.

use clap::Args;
use serde_json::json;
use ties_book::api::{Levels, Reply, Request};

use super::SCHEMA;
use crate::desk::{Desk, unexpected};
use crate::errors::{Failure, Outcome};
use crate::render::{Column, Table, inline, palette};

/// The words of `ties device level`.
#[derive(Debug, Args)]
#[command(
    after_help = "Devices need not run the same version of ties. What a program does not know it keeps and passes on, and \
reads once it is updated. New kinds of records are used from a level on that all programs know; only you raise it, and are \
told first which devices would be cut off: they read on, and write again once they are updated.

Examples:
  ties device level
  ties device level --json"
)]
pub(crate) struct Level {
    /// Use what programs of this level know, from now on
    #[arg(long, value_name = "LEVEL")]
    raise: Option<u16>,

    /// Do not ask, even if devices are cut off
    #[arg(short, long, requires = "raise")]
    yes: bool,
}

impl Level {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let levels = match self.raise {
            None => levels(desk, Request::DeviceLevels)?,
            Some(level) => {
                let anyway = self.yes || asked(desk, level)?;
                levels(desk, Request::RaiseLevel { level, anyway })?
            }
        };
        if desk.shell.json() {
            return desk.shell.value(&json!({"schema": SCHEMA, "levels": levels}));
        }
        desk.shell.line(format!(
            "The network asks for level {}; this program knows up to {}.",
            levels.network, levels.program
        ))?;
        if levels.newer > 0 {
            desk.shell.line(format!("{} entries are kept here for a newer ties.", levels.newer))?;
        }
        let mut table =
            Table::new(vec![Column::flexible("device").painted(palette::strong), Column::flexible("knows up to")]);
        for device in &levels.devices {
            let own = if device.this { " (this device)" } else { "" };
            let below = if device.level < levels.network { ", cut off until it is updated" } else { "" };
            table.row([inline(&device.name).into_owned(), format!("{}{own}{below}", device.level)]);
        }
        let lines = table.lines(desk.shell.width());
        desk.shell.lines(lines)
    }
}

fn levels(desk: &mut Desk<'_>, request: Request) -> Outcome<Levels> {
    match desk.answer(request)? {
        Reply::Levels(levels) => Ok(levels),
        _ => Err(unexpected()),
    }
}

/// Names the devices that a level cuts off, and asks; without a terminal the book refuses.
fn asked(desk: &mut Desk<'_>, level: u16) -> Outcome<bool> {
    let known = levels(desk, Request::DeviceLevels)?;
    let below = known.devices.iter().filter(|device| device.level < level);
    let below: Vec<String> = below.map(|device| palette::strong(&inline(&device.name)).to_string()).collect();
    if below.is_empty() || !desk.shell.can_ask() || level <= known.network || level > known.program {
        return Ok(false);
    }
    desk.shell.remark(format!("Cut off until ties is updated there: {}.", below.join(", ")));
    desk.shell.remark("They read on, and can write no more.");
    if desk.shell.confirm(&format!("Raise the level to {level}?"))? == Some(true) {
        return Ok(true);
    }
    Err(Failure::failed("nothing was changed"))
}
