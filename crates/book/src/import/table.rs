//! A CSV file: where its header is, and its rows by the names of the columns.

use std::collections::BTreeMap;

use csv::{Reader, ReaderBuilder, StringRecord};

use crate::api::Reject;

/// A text with a header and rows.
#[derive(Debug)]
pub(crate) struct Table {
    text: String,
    delimiter: u8,
    /// The names of the columns as they stand.
    pub(crate) header: Vec<String>,
    /// Where each column is, by its name in lower case; the first of a name counts.
    columns: BTreeMap<String, usize>,
    /// How many records precede the rows, the header among them.
    before: usize,
    /// How many rows there are.
    pub(crate) total: u64,
}

impl Table {
    /// Finds the first row that is a header in the eyes of `is_header`, which is given names in lower case, whatever the
    /// delimiter: a comma, or what a spreadsheet of another country writes.
    pub(crate) fn find(text: String, is_header: impl Fn(&[String]) -> bool) -> Result<Self, String> {
        for delimiter in DELIMITERS {
            let records = reader(&text, delimiter).into_records().flatten().take(PREAMBLE);
            for (before, record) in records.enumerate() {
                let names: Vec<String> = record.iter().map(|cell| cell.trim().to_lowercase()).collect();
                if is_header(&names) {
                    let header = record.iter().map(|cell| cell.trim().to_owned()).collect();
                    return Ok(Self::new(text, delimiter, header, before + 1));
                }
            }
        }
        Err(text)
    }

    /// What seems to be the header of a text of no known kind: the first row with several cells.
    pub(crate) fn likely_header(text: &str) -> Option<Vec<String>> {
        let headers = DELIMITERS.into_iter().filter_map(|delimiter| {
            let mut records = reader(text, delimiter).into_records().flatten().take(PREAMBLE);
            let header = records.find(|record| record.iter().filter(|cell| !cell.trim().is_empty()).count() > 1)?;
            Some(header.iter().map(|cell| cell.trim().to_owned()).collect::<Vec<_>>())
        });
        headers.max_by_key(Vec::len)
    }

    fn new(text: String, delimiter: u8, header: Vec<String>, before: usize) -> Self {
        let mut columns = BTreeMap::new();
        for (at, name) in header.iter().enumerate() {
            columns.entry(name.to_lowercase()).or_insert(at);
        }
        let mut table = Self { text, delimiter, header, columns, before, total: 0 };
        table.total = table.rows().count() as u64;
        table
    }

    /// The rows in their order; what cannot be read is said why.
    pub(crate) fn rows(&self) -> Rows<'_> {
        let mut reader = reader(&self.text, self.delimiter);
        let mut record = StringRecord::new();
        for _ in 0..self.before {
            let _ = reader.read_record(&mut record);
        }
        Rows { table: self, reader, taken: 0 }
    }
}

/// The rows of a table.
pub(crate) struct Rows<'a> {
    table: &'a Table,
    reader: Reader<&'a [u8]>,
    taken: usize,
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Row<'a>, Reject>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut record = StringRecord::new();
            let line = usize::try_from(self.reader.position().line()).unwrap_or(usize::MAX);
            match self.reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(Reject { line, reason: error.to_string() })),
            }
            if record.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            let begin = record.position().map_or(0, csv::Position::byte) as usize;
            let line = record.position().map_or(line, |at| usize::try_from(at.line()).unwrap_or(usize::MAX));
            // Empty lines before a record are counted to it.
            let blank = self.table.text.as_bytes().get(begin..).unwrap_or_default().iter();
            let blank = blank.take_while(|byte| matches!(byte, b'\r' | b'\n'));
            let line = line.saturating_add(blank.filter(|byte| **byte == b'\n').count());
            self.taken += 1;
            return match self.taken {
                ..=ROW_LIMIT => Some(self.checked(line, begin, record)),
                _ if self.taken == ROW_LIMIT + 1 => {
                    let reason = format!("more than {ROW_LIMIT} rows; the rest was left out");
                    Some(Err(Reject { line, reason }))
                }
                _ => None,
            };
        }
    }
}

impl<'a> Rows<'a> {
    fn checked(&self, line: usize, begin: usize, record: StringRecord) -> Result<Row<'a>, Reject> {
        let refuse = |reason: String| Err(Reject { line, reason });
        let end = usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX).min(self.table.text.len());
        let rest = self.table.text.as_bytes().get(begin..).unwrap_or_default();
        let last = self.table.text.as_bytes().get(end..).is_none_or(|after| after.trim_ascii().is_empty());
        if last && rest.iter().filter(|byte| **byte == b'"').count() % 2 == 1 {
            return refuse(
                "a quotation mark is opened and never closed; from here on nothing could be read".to_owned(),
            );
        }
        if record.iter().any(|cell| cell.len() > FIELD_LIMIT) {
            return refuse(format!("a field is larger than {} KiB", FIELD_LIMIT >> 10));
        }
        if record.as_slice().len() > PERSON_LIMIT {
            return refuse(format!("it is too large for a person (more than {} KiB)", PERSON_LIMIT >> 10));
        }
        let columns = self.table.header.len();
        if record.iter().skip(columns).any(|cell| !cell.trim().is_empty()) {
            return refuse(format!("it has {} fields where the header has {columns}", record.len()));
        }
        Ok(Row { table: self.table, line, record })
    }
}

/// A row.
pub(crate) struct Row<'a> {
    table: &'a Table,
    /// The line in the file where it begins, from 1.
    pub(crate) line: usize,
    record: StringRecord,
}

impl Row<'_> {
    /// What stands in the column of that name (in lower case), without white space around it; empty if nothing does.
    pub(crate) fn get(&self, column: &str) -> &str {
        self.table.columns.get(column).and_then(|at| self.record.get(*at)).unwrap_or_default().trim()
    }

    /// The columns that hold something, as the header names them.
    pub(crate) fn filled(&self) -> impl Iterator<Item = (&str, &str)> {
        let cells = self.table.header.iter().map(String::as_str).zip(self.record.iter().map(str::trim));
        cells.filter(|(_, cell)| !cell.is_empty())
    }
}

fn reader(text: &str, delimiter: u8) -> Reader<&[u8]> {
    ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(text.as_bytes())
}

/// Spreadsheets write a semicolon where the comma is the decimal sign.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
/// How many records may come before the header.
const PREAMBLE: usize = 30;
/// The most rows of a file.
const ROW_LIMIT: usize = 100_000;
/// The most bytes of one cell.
const FIELD_LIMIT: usize = 64 << 10;
/// The most bytes of one row: a person has to fit into one sealed entry.
const PERSON_LIMIT: usize = 512 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(text: &str) -> Table {
        Table::find(text.to_owned(), |names| names.contains(&"name".to_owned())).unwrap()
    }

    fn names(text: &str) -> Vec<Result<(usize, String), usize>> {
        let row = |row: Result<Row<'_>, Reject>| match row {
            Ok(row) => Ok((row.line, row.get("name").to_owned())),
            Err(reject) => Err(reject.line),
        };
        table(text).rows().map(row).collect()
    }

    #[test]
    fn the_header_is_found_wherever_and_however_it_is() {
        let quoted = "Notes:\n\"two, words\"\n\nName,Mail\r\n\"Ada, \"\"A\"\"\nL\",x\n";
        assert_eq!(names(quoted), [Ok((5, "Ada, \"A\"\nL".into()))]);
        assert_eq!(names("Notes:;;\nName;Mail\nAda;x"), [Ok((3, "Ada".into()))]);
        assert_eq!(names("Mail\tName\n\n\t\nx\tAda"), [Ok((4, "Ada".into()))]);
        assert!(Table::find("a,b\n".into(), |_| false).is_err());
        assert_eq!(Table::likely_header("x\na;b;c\n1;2;3").unwrap(), ["a", "b", "c"]);
    }

    #[test]
    fn bad_rows_are_told_and_do_not_stop_the_rest() {
        assert_eq!(names("Name,Mail\nAda,x,y\nBob,x,\n"), [Err(2), Ok((3, "Bob".into()))]);
        assert_eq!(names("Name\nAda\n\"Bob\nCleo\nDora\n"), [Ok((2, "Ada".into())), Err(3)]);
        assert_eq!(names(&format!("Name\n{}\nBob", "x".repeat(FIELD_LIMIT + 1))), [Err(2), Ok((3, "Bob".into()))]);
        assert_eq!(names("Name\n5\" disk\nBob").len(), 2, "a mark within a cell is one");
    }

    #[test]
    fn rows_beyond_the_limit_are_told_once() {
        let rows = table(&format!("Name\n{}", "x\n".repeat(ROW_LIMIT + 5)));
        assert_eq!(rows.rows().filter(Result::is_err).count(), 1);
        assert_eq!(rows.total, ROW_LIMIT as u64 + 1);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\",;\n\ra-c\u{e9}]{0,60}") {
            let table = table(&format!("Name\n{text}"));
            prop_assert!(table.rows().count() as u64 == table.total);
            for row in table.rows().flatten() {
                let _ = (row.get("name"), row.filled().count());
            }
            Table::likely_header(&text);
        }
    }
}
