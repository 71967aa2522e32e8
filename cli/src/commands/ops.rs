//! `ties ops`: lists what was done on this device.

use clap::Args;
use serde_json::json;
use ties_book::api::{OperationRow, Reply, Request};

use super::{SCHEMA, status};
use crate::desk::{Desk, unexpected};
use crate::errors::Outcome;
use crate::grammar::at_least_one;
use crate::render::{Column, Table, amount, inline, palette};

/// The words of `ties ops`.
#[derive(Debug, Args)]
#[command(after_help = "Newest first. What other devices did is listed, and undone, there.

Examples:
  ties ops
  ties ops --limit 100
  ties ops --json | jq '.operations[0].id'")]
pub(crate) struct Ops {
    /// How many at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = at_least_one)]
    limit: usize,
}

impl Ops {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let Reply::Operations { operations, more } = desk.answer(Request::Operations { limit: Some(self.limit) })?
        else {
            return Err(unexpected());
        };
        if desk.shell.json() {
            return desk.shell.value(&json!({"schema": SCHEMA, "operations": operations, "more": more}));
        }
        if operations.is_empty() {
            desk.shell.remark("Nothing was done on this device yet.");
            return Ok(());
        }
        let (width, now) = (desk.shell.width(), desk.now());
        desk.shell.lines(table(&operations, now).lines(width))?;
        if more {
            desk.shell.remark(palette::faint("and more: raise --limit"));
        }
        Ok(())
    }
}

fn table(operations: &[OperationRow], now: jiff::Timestamp) -> Table {
    let mut table = Table::new(vec![
        Column::whole("id").painted(palette::code),
        Column::whole("when").dispensable(2),
        Column::flexible("what").painted(palette::strong),
        Column::flexible("about").dispensable(1),
        Column::whole("records").dispensable(3),
        Column::whole("state").painted(palette::warning),
    ]);
    for operation in operations {
        let when = operation.at.as_ref().map(|at| status::since(at, now)).unwrap_or_default();
        let state = match operation {
            OperationRow { undone: true, .. } => "undone",
            OperationRow { unfinished: true, .. } => "unfinished",
            _ => "",
        };
        table.row([
            short(&operation.id),
            when,
            what(operation),
            about(operation),
            amount::count(operation.records as u64),
            state.to_owned(),
        ]);
    }
    table
}

/// `note`, or `undo 3f2a91c0` for what took something back.
fn what(operation: &OperationRow) -> String {
    let undoes: Vec<String> = operation.undoes.iter().map(|id| short(id)).collect();
    [inline(&operation.what).into_owned(), undoes.join(" ")].join(" ").trim_end().to_owned()
}

/// Whom an operation was about: `Ada Lovelace, Grace Hopper and 3 more`.
fn about(operation: &OperationRow) -> String {
    let names: Vec<String> = operation.about.iter().map(|name| inline(name).into_owned()).collect();
    match operation.records.saturating_sub(names.len()) {
        more if more > 0 && operation.records > MOST_NAMED => {
            format!("{} and {} more", names.join(", "), amount::count(more as u64))
        }
        _ => names.join(", "),
    }
}

fn short(id: &str) -> String {
    inline(id.get(..SHOWN).unwrap_or(id)).into_owned()
}

/// How many digits of an id are shown: as good as unique, and soon typed.
const SHOWN: usize = 8;
/// Up to so many records are all named; two of them may have one name.
const MOST_NAMED: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_records_are_named_and_many_counted() {
        let mut row = OperationRow { about: vec!["Ada".into(), "Bob".into()], records: 2, ..OperationRow::default() };
        assert_eq!(about(&row), "Ada, Bob");
        row.records = 1_002;
        assert_eq!(about(&row), "Ada, Bob and 1,000 more");
    }
}
