//! The export of LinkedIn: `Connections.csv` of every year, and the notes that came in 2026.
//!
//! A connection is known by the last part of its profile's address. Before mid-2023 the file had no addresses; then it
//! is name and day. Company and position are those of the day of the export, not of the day of the connection.

use std::collections::BTreeMap;

use ties_model::{Email, Link, OnlineService, Organization, PartialDate, Person, Title, mail_key, text_key};

use super::incoming::{Incoming, IncomingNote, Piece, joined, keep_field, put, suffixes};
use super::table::{Row, Table};

/// What of an export is taken in.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) connections: Option<Table>,
    pub(crate) notes: Option<Table>,
}

/// Whether the names of columns (in lower case) are those of `Connections.csv`, whole or as a spreadsheet left it.
pub(crate) fn is_connections(names: &[String]) -> bool {
    ["first name", "connected on"].iter().all(|name| names.iter().any(|there| there == name))
}

/// Whether the names of columns (in lower case) are those of `Notes.csv`.
pub(crate) fn is_notes(names: &[String]) -> bool {
    ["connection first name", "note"].iter().all(|name| names.iter().any(|there| there == name))
}

/// Another file of the export that these columns (in lower case) are of.
pub(crate) fn other_file(names: &[String]) -> Option<&'static str> {
    let there = |name: &str| names.iter().any(|column| column == name);
    OTHER_FILES.iter().find(|(_, columns)| columns.iter().all(|column| there(column))).map(|(name, _)| *name)
}

/// The name of a file for comparison: exports of some years write it with spaces, capitals or underscores.
pub(crate) fn plain_name(name: &str) -> String {
    name.to_lowercase().replace([' ', '_'], "")
}

impl Export {
    /// How many rows there are.
    pub(crate) fn total(&self) -> u64 {
        [&self.connections, &self.notes].into_iter().flatten().map(|table| table.total).sum()
    }

    /// The people, each with the notes about them; then people of whom there are only notes.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        let (mut notes, bad) = self.notes();
        let mut connections = self.connections.iter().flat_map(Table::rows);
        let mut rest: Option<std::vec::IntoIter<Incoming>> = None;
        let people = std::iter::from_fn(move || match connections.next() {
            Some(Ok(row)) => Some(match connection(&row) {
                Some(mut incoming) => {
                    incoming.notes = notes.remove(&incoming.key).map(|about| about.notes).unwrap_or_default();
                    Piece::Record(Box::new(incoming))
                }
                None => Piece::Hidden,
            }),
            Some(Err(reject)) => Some(Piece::Reject(reject.line, reject.reason)),
            None => {
                let left = std::mem::take(&mut notes);
                let rest = rest.get_or_insert_with(|| left.into_values().collect::<Vec<_>>().into_iter());
                rest.next().map(|incoming| Piece::Record(Box::new(incoming)))
            }
        });
        people.chain(bad)
    }

    /// The notes by the key of the person they are about, and what cannot be read of them.
    fn notes(&self) -> (BTreeMap<String, Incoming>, Vec<Piece>) {
        let mut notes: BTreeMap<String, Incoming> = BTreeMap::new();
        let mut bad = Vec::new();
        for row in self.notes.iter().flat_map(Table::rows) {
            let row = match row {
                Ok(row) => row,
                Err(reject) => {
                    bad.push(Piece::Reject(reject.line, format!("Notes.csv: {}", reject.reason)));
                    continue;
                }
            };
            let (first, last) = (row.get("connection first name"), row.get("connection last name"));
            let (body, url) = (row.get("note"), row.get("connection profile url"));
            let person = person(first, last, url);
            let Some(key) = slug(url).map(|slug| slug_key(&slug)).or(name_key(&person, "")) else {
                bad.push(Piece::Reject(row.line, "Notes.csv: it does not say whom the note is about".to_owned()));
                continue;
            };
            if !body.is_empty() {
                let new = || Incoming { partial: true, ..Incoming::person(row.line, person, key.clone()) };
                let about = notes.entry(key.clone()).or_insert_with(new);
                about.notes.push(IncomingNote {
                    body: body.to_owned(),
                    at: instant(row.get("created on")),
                    ..IncomingNote::default()
                });
            }
        }
        (notes, bad)
    }
}

/// A connection, or nothing if the row tells of nobody: LinkedIn leaves the day of people who hide or have gone.
fn connection(row: &Row<'_>) -> Option<Incoming> {
    let told = row.filled().any(|(column, _)| !column.eq_ignore_ascii_case("connected on"));
    if !told {
        return None;
    }
    let (url, mail, connected) = (row.get("url"), row.get("email address"), row.get("connected on"));
    let mut person = person(row.get("first name"), row.get("last name"), url);
    if !mail.is_empty() {
        let email = Email { address: mail.to_owned(), ..Email::default() };
        put(&mut person.emails, email.key(), email);
    }
    let (company, position) = (row.get("company"), row.get("position"));
    let mut held_at = String::new();
    if !company.is_empty() {
        let organization = Organization { name: company.to_owned(), ..Organization::default() };
        held_at = organization.key();
        put(&mut person.organizations, organization.key(), organization);
    }
    if !position.is_empty() {
        let title = Title { name: position.to_owned(), organization: held_at, ..Title::default() };
        put(&mut person.titles, title.key(), title);
    }
    let mut notices = Vec::new();
    person.tie.met_on = date(connected);
    if person.tie.met_on.is_none() && !connected.is_empty() {
        notices
            .push((row.line, format!("Connected On {connected:?} is no date like 04 Apr 2021; it is kept as a field")));
        keep_field(&mut person, "Connected On", connected);
    }
    for (column, cell) in row.filled().filter(|(column, _)| !COLUMNS.contains(&column.to_lowercase().as_str())) {
        keep_field(&mut person, column, cell);
    }
    if person.name.full.is_empty() {
        person.name.full =
            [mail, company, position, url].into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_owned();
    }
    let day = person.tie.met_on.map_or_else(|| connected.to_owned(), |day| day.to_string());
    let by_name = name_key(&person, &day);
    let by_mail = (!mail.is_empty()).then(|| format!("mail:{}", mail_key(mail)));
    let mut keys = slug(url).map(|slug| slug_key(&slug)).into_iter().chain(by_name).chain(by_mail);
    let key = keys.next()?;
    let earlier = keys.collect();
    Some(Incoming { earlier, notices, ..Incoming::person(row.line, person, key) })
}

/// A person of this name and profile.
fn person(first: &str, last: &str, url: &str) -> Person {
    let mut person = Person::default();
    // Many write what they have earned behind their last name.
    let (surname, after) = last.split_once(',').unwrap_or((last, ""));
    person.name.given = joined(&[first]);
    person.name.surname = joined(&[surname]);
    (person.name.generation, person.name.credential) = suffixes(after);
    person.name.full = joined(&[first, surname, &person.name.generation]);
    match profile(url) {
        Some(path) => {
            let uri = format!("https://www.linkedin.com/in/{path}");
            let service = OnlineService { service: "LinkedIn".to_owned(), uri, ..OnlineService::default() };
            put(&mut person.services, service.key(), service);
        }
        None if !url.is_empty() => {
            let link = Link { uri: url.to_owned(), ..Link::default() };
            put(&mut person.links, link.key(), link);
        }
        None => {}
    }
    person
}

/// The last part of a profile's address, as it is written there.
fn profile(url: &str) -> Option<&str> {
    let at = url.to_ascii_lowercase().find("/in/")?;
    let path = url.get(at + 4..)?.split(['/', '?', '#']).next()?.trim();
    (!path.is_empty()).then_some(path)
}

/// The same for comparison: in lower case, with its letters as letters.
fn slug(url: &str) -> Option<String> {
    let path = profile(url)?.as_bytes();
    let mut bytes = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        let digits = path.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| byte == b'%') {
            Some(decoded) => {
                bytes.push(decoded);
                at += 3;
            }
            None => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    Some(String::from_utf8_lossy(&bytes).to_lowercase())
}

fn slug_key(slug: &str) -> String {
    format!("in:{slug}")
}

fn name_key(person: &Person, day: &str) -> Option<String> {
    let name = joined(&[&person.name.given, &person.name.surname]);
    (!name.is_empty()).then(|| format!("name:{}\0{day}", text_key(&name)))
}

/// `04 Apr 2021`, as LinkedIn writes it, and `4-Apr-21` or `2021-04-04`, as spreadsheets do. What may be day or month
/// first is not guessed at.
fn date(text: &str) -> Option<PartialDate> {
    if let Ok(date) = text.parse::<PartialDate>() {
        return date.year().is_some().then_some(date);
    }
    let parts: Vec<&str> = text.split([' ', '-']).filter(|part| !part.is_empty()).collect();
    let &[day, month, year] = parts.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| month.get(..3).is_some_and(|begin| begin.eq_ignore_ascii_case(name)))?;
    let year = match (year.len(), year.parse::<u16>().ok()?) {
        // LinkedIn is younger than the century.
        (2, year) => 2000 + year,
        (4, year) => year,
        _ => return None,
    };
    PartialDate::new(Some(year), Some(month as u8 + 1), Some(day.parse().ok()?)).ok()
}

/// `2026-03-04 10:11:12 UTC`, or a day, as an instant; empty if it is neither. A day is its noon, which is that day
/// nearly everywhere.
fn instant(text: &str) -> String {
    let stamp = text.trim_end_matches("UTC").trim().replacen(' ', "T", 1);
    if let Ok(time) = stamp.parse::<jiff::civil::DateTime>()
        && stamp.contains('T')
    {
        return format!("{}Z", time.strftime("%Y-%m-%dT%H:%M:%S"));
    }
    date(text).filter(|date| date.day().is_some()).map(|date| format!("{date}T12:00:00Z")).unwrap_or_default()
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// What `Connections.csv` has had since mid-2023.
const COLUMNS: [&str; 7] = ["first name", "last name", "url", "email address", "company", "position", "connected on"];

/// Files of an export that nothing here is made of yet, and columns that only they have.
const OTHER_FILES: [(&str, &[&str]); 8] = [
    ("messages.csv", &["conversation id", "content"]),
    ("Invitations.csv", &["sent at", "direction"]),
    ("Endorsement_Received_Info.csv", &["endorsement date"]),
    ("Recommendations_Received.csv", &["job title", "text", "creation date"]),
    ("Company Follows.csv", &["organization", "followed on"]),
    ("Positions.csv", &["company name", "started on"]),
    ("Education.csv", &["school name"]),
    ("Profile.csv", &["headline", "summary"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_profile_have_one_key() {
        for url in [
            "https://www.linkedin.com/in/zo%C3%AB-m",
            "https://linkedin.com/in/ZO%c3%ab-m/",
            "http://www.linkedin.com/in/zoë-m?trk=x",
            "www.linkedin.com/in/zoë-m/details/#top",
        ] {
            assert_eq!(slug(url).as_deref(), Some("zoë-m"), "{url}");
        }
        assert_eq!(slug("https://www.linkedin.com/company/acme"), None);
        assert_eq!(slug("https://www.linkedin.com/in/"), None);
        assert_eq!(slug("/in/%zz%4"), Some("%zz%4".to_owned()));
    }

    #[test]
    fn days_are_read_as_linkedin_and_spreadsheets_write_them() {
        for text in ["04 Apr 2021", "4 April 2021", "4-Apr-21", "04-apr-2021", "2021-04-04"] {
            assert_eq!(date(text).map(|date| date.to_string()).as_deref(), Some("2021-04-04"), "{text}");
        }
        for text in ["", "04/05/2021", "31 Feb 2021", "4 Foo 2021", "Apr 2021", "--04-04"] {
            assert_eq!(date(text), None, "{text}");
        }
        assert_eq!(instant("2026-03-04 10:11:12 UTC"), "2026-03-04T10:11:12Z");
        assert_eq!(instant("04 Mar 2026"), "2026-03-04T12:00:00Z");
        assert_eq!(instant("soon"), "");
    }

    #[test]
    fn what_stands_behind_a_last_name_is_told_apart() {
        let person = person("Ada", "Smith, Jr., PhD", "");
        let name = &person.name;
        assert_eq!(
            [&name.full, &name.surname, &name.generation, &name.credential],
            ["Ada Smith Jr.", "Smith", "Jr.", "PhD"]
        );
    }
}
