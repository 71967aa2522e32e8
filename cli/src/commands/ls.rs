//! `ties ls`: lists people.

use clap::Args;
use ties_book::api::{PeoplePage, PersonRow, Reply, Request};

use crate::desk::{Desk, unexpected};
use crate::errors::Outcome;
use crate::grammar::at_least_one;
use crate::render::{Column, Table, amount, inline, palette};

/// The words of `ties ls`.
#[derive(Debug, Args)]
#[command(after_help = "With --json: an array of JSContact cards (RFC 9553) with a block of our own.

Examples:
  ties ls
  ties ls +rust org:acme city:vienna
  ties ls vienna --limit 20 --json")]
pub(crate) struct Ls {
    /// +TAG, org:NAME, city:NAME (or a country), title:TEXT, or any text; all must match
    filter: Vec<String>,

    /// List so many at most (default: 50 on a terminal, all otherwise)
    #[arg(short = 'n', long, value_name = "N", value_parser = at_least_one)]
    limit: Option<usize>,

    /// Leave out so many at the beginning
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
}

impl Ls {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        if desk.shell.json() {
            return self.cards(desk);
        }
        let limit = self.limit.or(desk.shell.width().map(|_| SCREENFUL));
        let page = self.page(desk, self.offset, limit, false)?;
        if page.people.is_empty() {
            desk.shell.remark(if self.filter.is_empty() {
                "Nobody yet. `ties new NAME` adds a person, `ties import FILE` many."
            } else {
                "Nobody matches."
            });
            return Ok(());
        }
        let width = desk.shell.width();
        desk.shell.lines(table(&page.people).lines(width))?;
        let shown = amount::counted(page.people.len() as u64, "person", "people");
        let more = if page.more { " and more: +TAG, org:NAME or a word says whom, --limit how many" } else { "" };
        desk.shell.remark(palette::faint(&format!("{shown}{more}")));
        Ok(())
    }

    /// Prints the cards a page at a time, so that a large network needs little memory.
    fn cards(&self, desk: &mut Desk<'_>) -> Outcome {
        let mut offset = self.offset;
        let mut left = self.limit.unwrap_or(usize::MAX);
        let mut array = Array::default();
        loop {
            let page = self.page(desk, offset, Some(left.min(PAGE)), true)?;
            for person in &page.people {
                match &person.card {
                    Some(card) => array.push(desk, card)?,
                    None => array.push(desk, person)?,
                }
            }
            offset += page.people.len();
            left -= page.people.len().min(left);
            if !page.more || left == 0 || page.people.is_empty() {
                return array.end(desk);
            }
        }
    }

    fn page(&self, desk: &mut Desk<'_>, offset: usize, limit: Option<usize>, cards: bool) -> Outcome<PeoplePage> {
        let filter = self.filter.clone();
        match desk.answer(Request::List { filter, offset, limit, cards })? {
            Reply::People(page) => Ok(page),
            _ => Err(unexpected()),
        }
    }
}

/// People as a table, one to a row.
pub(super) fn table(people: &[PersonRow]) -> Table {
    let mut table = Table::new(vec![
        Column::whole("handle").painted(palette::code),
        Column::flexible("name").painted(palette::strong),
        Column::flexible("organization").dispensable(2),
        Column::flexible("title").dispensable(6),
        Column::flexible("mail").dispensable(3),
        Column::flexible("phone").dispensable(5),
        Column::flexible("tags").painted(palette::good).dispensable(4),
        Column::whole("id").painted(palette::faint).dispensable(1),
    ]);
    for person in people {
        let tags: Vec<String> = person.tags.iter().map(|tag| format!("+{tag}")).collect();
        let cells = [
            &person.handle,
            &person.name,
            &person.organization,
            &person.title,
            &person.email,
            &person.phone,
            &tags.join(" "),
            &person.short,
        ];
        table.row(cells.map(|cell| inline(cell).into_owned()));
    }
    table
}

/// A JSON array that is printed as it grows.
#[derive(Default)]
struct Array {
    items: usize,
}

impl Array {
    fn push(&mut self, desk: &mut Desk<'_>, item: &impl serde::Serialize) -> Outcome {
        desk.shell.item(item, self.items == 0)?;
        self.items += 1;
        Ok(())
    }

    fn end(&self, desk: &mut Desk<'_>) -> Outcome {
        desk.shell.end_of_items(self.items == 0)
    }
}

/// How many people a terminal gets unless it asks for more.
const SCREENFUL: usize = 50;
/// How many cards are read at a time.
const PAGE: usize = 500;
