//! Who is meant: from what a user types to one record, or to all that could be meant.
//!
//! Tried in this order, and the first that fits anybody decides: handle (`ada`, `@ada`), full id, mail address, phone
//! number, profile address, name by whole words, short id, organization, name by beginnings of words.

use std::collections::BTreeSet;

use crate::api::{BookError, Candidate, ErrorKind};
use crate::fold::{fold, words};
use crate::handle;
use crate::id::{Id, SHORTEST};
use crate::organizations;
use crate::points;
use crate::rows::{self, Index, Rows};

/// A record that a user may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Record {
    /// A person.
    Person(Id),
    /// A note.
    Note(Id),
    /// An organization that has a record.
    Organization(Id),
}

/// The one person that is meant.
pub(crate) fn person(rows: &dyn Rows, who: &str) -> Result<Id, BookError> {
    let found = record(rows, who)?;
    match found {
        Record::Person(id) => Ok(id),
        Record::Note(_) => Err(BookError::new(ErrorKind::NotFound, format!("{who} is a note, not a person"))),
        Record::Organization(_) => {
            Err(BookError::new(ErrorKind::NotFound, format!("{who} is an organization, not a person")))
        }
    }
}

/// The one record that is meant.
pub(crate) fn record(rows: &dyn Rows, what: &str) -> Result<Record, BookError> {
    let found = matches(rows, what.trim())?;
    match found.len() {
        0 => Err(BookError::new(ErrorKind::NotFound, format!("nobody and nothing is called {what:?}"))
            .hint("ties ls lists people, ties find searches")),
        1 => Ok(found[0]),
        many => Err(BookError {
            candidates: candidates(rows, &found)?,
            ..BookError::new(ErrorKind::Ambiguous, format!("{what:?} fits {many} records"))
                .hint("name one by its handle or id")
        }),
    }
}

/// Every record that fits, by the first kind of match that fits any.
fn matches(rows: &dyn Rows, what: &str) -> Result<Vec<Record>, BookError> {
    if let Some(person) = handle::holder(rows, what)? {
        return Ok(vec![Record::Person(person)]);
    }
    if what.is_empty() || what.starts_with('@') {
        return Ok(Vec::new());
    }
    if let Ok(id) = what.parse::<Id>() {
        return whole_id(rows, id);
    }
    let people = |ids: Vec<Id>| ids.into_iter().map(Record::Person).collect::<Vec<_>>();
    for found in [by_point(rows, what)?, by_name(rows, what, Index::exactly)?] {
        if !found.is_empty() {
            return Ok(people(found));
        }
    }
    let found = by_short_id(rows, what)?;
    if !found.is_empty() {
        return Ok(found);
    }
    let found = organizations::of_name(rows, what)?.records;
    if !found.is_empty() {
        return Ok(found.into_iter().map(Record::Organization).collect());
    }
    Ok(people(by_name(rows, what, Index::beginning)?))
}

fn whole_id(rows: &dyn Rows, id: Id) -> Result<Vec<Record>, BookError> {
    Ok(of_id(rows, id)?.into_iter().collect())
}

/// The live record with this id.
pub(crate) fn of_id(rows: &dyn Rows, id: Id) -> Result<Option<Record>, BookError> {
    Ok(if rows::person(rows, id)?.is_some() {
        Some(Record::Person(id))
    } else if rows::note(rows, id)?.is_some() {
        Some(Record::Note(id))
    } else if rows::organization(rows, id)?.is_some() {
        Some(Record::Organization(id))
    } else {
        None
    })
}

/// The people with this mail address, phone number or profile.
pub(crate) fn by_point(rows: &dyn Rows, point: &str) -> Result<Vec<Id>, BookError> {
    if let Some(url) = points::url(point) {
        return rows::ids(rows, &Index::Url.exactly(&url));
    }
    if let Some(mail) = points::mail(point) {
        return rows::ids(rows, &Index::Mail.exactly(&mail));
    }
    let Some(phone) = points::phone(point) else { return Ok(Vec::new()) };
    let mut found = BTreeSet::new();
    for row in rows.scan(&Index::Phone.beginning(points::phone_stem(&phone)))? {
        let (key, _) = row?;
        let stored = key.get(1..key.len().saturating_sub(17)).unwrap_or_default();
        if points::same_phone(&phone, &String::from_utf8_lossy(stored)) {
            found.insert(rows::id_of(&key)?);
        }
    }
    Ok(found.into_iter().collect())
}

/// The people in whose names all words occur, as wholes or as beginnings; if some are called exactly so, only those.
pub(crate) fn by_name(rows: &dyn Rows, name: &str, how: fn(Index, &str) -> Vec<u8>) -> Result<Vec<Id>, BookError> {
    let mut found: Option<BTreeSet<Id>> = None;
    for word in words(name) {
        let with: BTreeSet<Id> = rows::ids(rows, &how(Index::Word, &word))?.into_iter().collect();
        found = Some(match found {
            Some(found) => found.intersection(&with).copied().collect(),
            None => with,
        });
    }
    let found: Vec<Id> = found.unwrap_or_default().into_iter().collect();
    if found.len() < 2 {
        return Ok(found);
    }
    let wanted = fold(name.trim());
    let mut exact = Vec::new();
    for &id in &found {
        if rows::person(rows, id)?.is_some_and(|entry| fold(&entry.name) == wanted) {
            exact.push(id);
        }
    }
    Ok(if exact.is_empty() { found } else { exact })
}

fn by_short_id(rows: &dyn Rows, text: &str) -> Result<Vec<Record>, BookError> {
    let text = text.to_ascii_lowercase();
    if text.len() < SHORTEST || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for row in rows.scan(&Index::Short.beginning(&text))? {
        let (key, kind) = row?;
        let id = rows::id_of(&key)?;
        found.push(match kind.as_slice() {
            b"n" => Record::Note(id),
            b"c" => Record::Organization(id),
            _ => Record::Person(id),
        });
    }
    Ok(found)
}

fn candidates(rows: &dyn Rows, found: &[Record]) -> Result<Vec<Candidate>, BookError> {
    found.iter().take(MOST_CANDIDATES).map(|&record| candidate(rows, record)).collect()
}

/// A record as somebody who could have been meant.
pub(crate) fn candidate(rows: &dyn Rows, record: Record) -> Result<Candidate, BookError> {
    let (Record::Person(id) | Record::Note(id) | Record::Organization(id)) = record;
    let mut candidate = Candidate { id: id.to_string(), short: id.short(rows)?, ..Candidate::default() };
    match record {
        Record::Person(_) => {
            let entry = rows::person(rows, id)?.unwrap_or_default();
            candidate.handle = handle::shown(rows, id, &entry.handle)?;
            candidate.detail = entry.organizations.first().or(entry.mails.first()).cloned().unwrap_or_default();
            candidate.name = entry.name;
        }
        Record::Organization(_) => {
            let entry = rows::organization(rows, id)?.unwrap_or_default();
            candidate.name = entry.name;
            candidate.detail = "organization".to_owned();
        }
        Record::Note(_) => {
            let entry = rows::note(rows, id)?.unwrap_or_default();
            candidate.name = entry.body.lines().next().unwrap_or_default().chars().take(60).collect();
            candidate.detail = "note".to_owned();
        }
    }
    Ok(candidate)
}

/// More than this nobody reads.
const MOST_CANDIDATES: usize = 20;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::projection::person_rows;
    use crate::rows::PersonEntry;

    fn id(n: u8) -> Id {
        Id([n; 16])
    }

    fn book(people: &[(u8, &str, &str)]) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut rows = BTreeMap::new();
        for &(n, name, handle) in people {
            let mut entry = PersonEntry { name: name.into(), handle: handle.into(), ..Default::default() };
            entry.mails = vec![format!("{handle}@mail.example")];
            entry.phones = vec![format!("+43 1 51234{n:02}")];
            entry.urls = vec![format!("https://www.linkedin.com/in/{handle}")];
            rows.extend(person_rows(id(n), &entry));
        }
        rows
    }

    #[test]
    fn one_person_is_found_by_everything_that_names_them() {
        let rows = book(&[(0x1a, "Ada Lovelace", "ada"), (0x2b, "Grace Hopper", "grace")]);
        let ways = [
            "ada",
            "@Ada",
            "ada@MAIL.example",
            "+43 1 5123426",
            "01 5123426",
            "linkedin.com/in/ada/",
            "Ada Lovelace",
            "lovelace",
            "lovel",
            "ada l",
            "1a1a",
            "1a1a1a1a1a1a",
            "1a1a1a1a-1a1a-1a1a-1a1a-1a1a1a1a1a1a",
        ];
        for who in ways {
            assert_eq!(person(&rows, who), Ok(id(0x1a)), "{who}");
        }
        for who in ["", "@lovelace", "bob", "1a1", "1a1b", "ada grace"] {
            assert_eq!(person(&rows, who).unwrap_err().kind, ErrorKind::NotFound, "{who}");
        }
    }

    #[test]
    fn two_of_one_name_are_both_offered() {
        let rows = book(&[(1, "Ada Lovelace", "ada"), (2, "Ada Byron", "ada-byron")]);
        assert_eq!(person(&rows, "Ada B"), Ok(id(2)));
        let rows = book(&[(1, "Ada Lovelace", "countess"), (2, "Ada Byron", "byron")]);
        let error = person(&rows, "ada").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Ambiguous);
        let handles: Vec<_> = error.candidates.iter().map(|one| one.handle.as_str()).collect();
        assert_eq!(handles, ["countess", "byron"]);
    }

    #[test]
    fn somebody_called_exactly_so_comes_before_longer_names() {
        let rows = book(&[(1, "Ada King", "a"), (2, "Ada King Noel", "b")]);
        assert_eq!(person(&rows, "ada king"), Ok(id(1)));
    }
}
