//! Aligned columns that fit the terminal, or that keep every character when there is none.

use super::palette;
use super::width::{columns, fit, pad};

/// One column of a [`Table`].
pub(crate) struct Column {
    title: &'static str,
    /// Narrowest width this column may be cut to; `None` keeps every cell whole.
    least: Option<usize>,
    /// Columns of a higher rank leave a narrow terminal first; those of rank 0 stay.
    rank: u8,
    paint: fn(&str) -> String,
}

impl Column {
    /// A column whose cells are cut with `…` when the terminal is too narrow.
    pub(crate) fn flexible(title: &'static str) -> Self {
        Self { title, least: Some(LEAST), rank: 0, paint: str::to_owned }
    }

    /// A column whose cells must stay whole, such as an id that will be copied.
    pub(crate) fn whole(title: &'static str) -> Self {
        Self { title, least: None, rank: 0, paint: str::to_owned }
    }

    /// The same column, left out when the terminal is too narrow for it beside those of lower rank.
    pub(crate) fn dispensable(self, rank: u8) -> Self {
        Self { rank, ..self }
    }

    /// The same column with its cells painted.
    pub(crate) fn painted(self, paint: fn(&str) -> String) -> Self {
        Self { paint, ..self }
    }
}

/// Rows of cells under titles. Cells must already be escaped.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// The lines of the table, at most `width` columns wide if there is a terminal.
    ///
    /// Columns in which every cell is empty are left out, and so are dispensable ones for which a
    /// terminal has no room.
    pub(crate) fn lines(&self, width: Option<usize>) -> Vec<String> {
        let shown = self.shown(width);
        let widths = self.widths(&shown, width);
        let title = |column: usize| self.columns[column].title.to_owned();
        let mut lines = vec![self.line(&shown, &widths, title, |_| palette::faint)];
        for row in &self.rows {
            let cell = |column: usize| row[column].clone();
            lines.push(self.line(&shown, &widths, cell, |column| self.columns[column].paint));
        }
        lines
    }

    fn line(
        &self,
        shown: &[usize],
        widths: &[usize],
        cell: impl Fn(usize) -> String,
        paint: impl Fn(usize) -> fn(&str) -> String,
    ) -> String {
        let mut line = String::new();
        for (place, (&column, &width)) in shown.iter().zip(widths).enumerate() {
            let text = fit(&cell(column), width);
            let space = width - columns(&text).min(width);
            let last = place + 1 == shown.len();
            if !text.is_empty() {
                line.push_str(&paint(column)(&text));
            }
            if !last {
                line.push_str(&pad("", space + GAP));
            }
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// The columns that are shown, by their places.
    fn shown(&self, width: Option<usize>) -> Vec<usize> {
        let mut shown: Vec<usize> =
            (0..self.columns.len()).filter(|&column| self.rows.iter().any(|row| !row[column].is_empty())).collect();
        let Some(width) = width else { return shown };
        let comfort = |column: usize| match self.columns[column].least {
            Some(_) => self.natural(column).min(COMFORT),
            None => self.natural(column),
        };
        while shown.iter().map(|&column| comfort(column) + GAP).sum::<usize>() > width + GAP {
            let ranked = shown.iter().enumerate().filter(|&(_, &column)| self.columns[column].rank > 0);
            let Some((place, _)) = ranked.max_by_key(|&(_, &column)| self.columns[column].rank) else { break };
            shown.remove(place);
        }
        shown
    }

    /// The width of a column in which nothing is cut.
    fn natural(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| columns(&row[column]));
        cells.chain([columns(self.columns[column].title)]).max().unwrap_or(0)
    }

    /// The width of each shown column: natural, then the widest flexible ones shrunk in turn.
    fn widths(&self, shown: &[usize], width: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = shown.iter().map(|&column| self.natural(column)).collect();
        let Some(width) = width else { return widths };
        let gaps = GAP * shown.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > width {
            let widest = (0..shown.len())
                .filter(|&place| self.columns[shown[place]].least.is_some_and(|least| widths[place] > least))
                .max_by_key(|&place| widths[place]);
            // At the very last even what should stay whole is cut, for a broken line is worse.
            let wide = || (0..shown.len()).filter(|&place| widths[place] > 1).max_by_key(|&place| widths[place]);
            let Some(place) = widest.or_else(wide) else { break };
            widths[place] -= 1;
        }
        widths
    }
}

/// Spaces between two columns.
const GAP: usize = 2;
/// The narrowest a flexible column becomes.
const LEAST: usize = 8;
/// The width below which a flexible column is worth less than the absence of another.
const COMFORT: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> Table {
        let mut table = Table::new(vec![
            Column::whole("handle"),
            Column::flexible("name"),
            Column::flexible("empty"),
            Column::flexible("org"),
        ]);
        table.row(["grace", "Grace Brewster Murray Hopper", "", "United States Navy"].map(String::from));
        table.row(["taro", "山田太郎", "", ""].map(String::from));
        table
    }

    fn plain(lines: Vec<String>) -> Vec<String> {
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    #[test]
    fn without_a_terminal_nothing_is_cut() {
        let lines = plain(people().lines(None));
        assert_eq!(lines[0], "handle  name                          org");
        assert_eq!(lines[1], "grace   Grace Brewster Murray Hopper  United States Navy");
        assert_eq!(lines[2], "taro    山田太郎");
    }

    #[test]
    fn a_narrow_terminal_leaves_out_what_is_dispensable_rather_than_cut_everything() {
        let mut table = Table::new(vec![
            Column::flexible("name"),
            Column::flexible("mail").dispensable(1),
            Column::flexible("phone").dispensable(2),
            Column::whole("id"),
        ]);
        table.row(["Grace Brewster Hopper", "grace@navy.example", "+11 555 0100", "1dd9"].map(String::from));
        let titles = |width| plain(table.lines(width)).remove(0).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(titles(None), "name mail phone id");
        assert_eq!(titles(Some(60)), "name mail phone id");
        assert_eq!(titles(Some(50)), "name mail id");
        assert_eq!(titles(Some(30)), "name id");
    }

    #[test]
    fn every_line_fits_the_terminal_and_whole_columns_stay_whole() {
        for width in 28..60 {
            for line in plain(people().lines(Some(width))) {
                assert!(columns(&line) <= width, "{line:?} is wider than {width}");
            }
        }
        assert!(plain(people().lines(Some(28)))[1].starts_with("grace "));
    }
}
