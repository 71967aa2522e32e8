//! The rows in which a book answers without loading documents: their keys, what they hold, how they are read.
//!
//! Every key ends in the id of its document, so that no two documents ever write one row:
//!
//! | key                            | value           | for                                     |
//! |--------------------------------|-----------------|-----------------------------------------|
//! | `p` id                         | [`PersonEntry`] | lists, search                           |
//! | `c` id                         | [`OrganizationEntry`] | organizations that have a record  |
//! | `n` id                         | [`Note`]        | notes, search, export                           |
//! | `a` record time id             |                 | the notes about a record, oldest first  |
//! | `x` id                         | keys            | fields that two devices set apart               |
//! | index letter, text, zero, id   |                 | looking up; see [`Index`]               |

use automerge::Automerge;
use serde::{Deserialize, Serialize};
use ties_model::Note;

use crate::api::{BookError, ErrorKind};
use crate::id::Id;

/// What a reader of rows stands on: a snapshot, or a transaction under way.
pub(crate) trait Rows {
    /// The row under exactly this key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BookError>;

    /// The rows whose keys begin so, in the order of their keys.
    fn scan(&self, prefix: &[u8]) -> Result<Scan<'_>, BookError>;

    /// The document of a record; nothing if it was deleted or never was.
    fn document(&self, id: Id) -> Result<Option<Automerge>, BookError>;
}

/// Rows as they are read: key and value.
pub(crate) type Scan<'a> = Box<dyn Iterator<Item = Result<(Vec<u8>, Vec<u8>), BookError>> + 'a>;

/// What lists and searches need of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PersonEntry {
    pub(crate) name: String,
    /// What to sort by instead of the name, or empty.
    pub(crate) sort_as: String,
    pub(crate) nicknames: Vec<String>,
    /// As stored; what is shown may have a number behind it.
    pub(crate) handle: String,
    /// The current ones first.
    pub(crate) organizations: Vec<String>,
    pub(crate) titles: Vec<String>,
    /// The preferred one first, here and below.
    pub(crate) mails: Vec<String>,
    pub(crate) phones: Vec<String>,
    /// Profiles, chat accounts, links.
    pub(crate) urls: Vec<String>,
    pub(crate) tags: Vec<String>,
    /// Towns, regions and countries.
    pub(crate) places: Vec<String>,
    /// Other texts worth searching: places, departments, how we met.
    pub(crate) more: Vec<String>,
}

/// What lists and searches need of an organization.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrganizationEntry {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) kind: String,
    pub(crate) industry: String,
    pub(crate) location: String,
    pub(crate) tags: Vec<String>,
    /// Other texts worth searching: domains, addresses, numbers.
    pub(crate) more: Vec<String>,
    /// What tells it from others in the source that it was imported from, or empty.
    pub(crate) source_key: String,
}

/// What can be looked up, with the letter its rows begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Index {
    /// The stored handle.
    Handle = b'h',
    /// A mail address as [`points::mail`](crate::points::mail) gives it.
    Mail = b'm',
    /// A phone number as [`points::phone`](crate::points::phone) gives it.
    Phone = b't',
    /// A profile or link as [`points::url`](crate::points::url) gives it.
    Url = b'u',
    /// A folded word of a name or nickname.
    Word = b'w',
    /// A folded tag.
    Tag = b'g',
    /// The folded words of the name of an organization: of a person's, or with the value `c` of a record's own.
    Organization = b'o',
    /// The folded name by which lists are sorted.
    Order = b's',
    /// Whoever is said to be the user, under no text.
    Me = b'e',
    /// The short id; the value is `p`, `n` or `c`.
    Short = b'i',
}

impl Index {
    /// The beginning of all rows with exactly this text.
    pub(crate) fn exactly(self, text: &str) -> Vec<u8> {
        let mut key = self.beginning(text);
        key.push(0);
        key
    }

    /// The beginning of all rows whose text begins so.
    pub(crate) fn beginning(self, text: &str) -> Vec<u8> {
        let mut key = Vec::with_capacity(text.len() + 18);
        key.push(self as u8);
        key.extend(clipped(text).bytes().map(|byte| if byte == 0 { b' ' } else { byte }));
        key
    }

    /// The key of one row.
    pub(crate) fn key(self, text: &str, id: Id) -> Vec<u8> {
        let mut key = self.exactly(text);
        key.extend_from_slice(&id.0);
        key
    }
}

/// The key of a person's entry.
pub(crate) fn person_key(id: Id) -> Vec<u8> {
    [&b"p"[..], &id.0].concat()
}

/// The key of an organization's entry.
pub(crate) fn organization_key(id: Id) -> Vec<u8> {
    [&b"c"[..], &id.0].concat()
}

/// The key of a note.
pub(crate) fn note_key(id: Id) -> Vec<u8> {
    [&b"n"[..], &id.0].concat()
}

/// The key of the list of a record's contested fields.
pub(crate) fn contested_key(id: Id) -> Vec<u8> {
    [CONTESTED, &id.0].concat()
}

/// What the keys of [`contested_key`] begin with.
pub(crate) const CONTESTED: &[u8] = b"x";

/// The keys of a record's contested fields, sorted.
pub(crate) fn contested(rows: &dyn Rows, id: Id) -> Result<Vec<String>, BookError> {
    Ok(rows.get(&contested_key(id))?.map(|value| decoded(&value)).transpose()?.unwrap_or_default())
}

/// The beginning of the rows of the notes about a person or an organization.
pub(crate) fn notes_about(person: Id) -> Vec<u8> {
    [&b"a"[..], &person.0].concat()
}

/// The key that puts a note among the notes about a record; those without a time come first.
pub(crate) fn note_about_key(person: Id, at: Option<i64>, note: Id) -> Vec<u8> {
    // Flipping the sign bit makes the order of the bytes the order of the numbers.
    let at = at.unwrap_or(i64::MIN) as u64 ^ (1 << 63);
    [&b"a"[..], &person.0, &at.to_be_bytes(), &note.0].concat()
}

/// The id at the end of a key.
pub(crate) fn id_of(key: &[u8]) -> Result<Id, BookError> {
    let tail = key.len().checked_sub(16).and_then(|at| key.get(at..)).and_then(|tail| tail.try_into().ok());
    tail.map(Id).ok_or_else(damaged)
}

/// The ids at the ends of the keys that begin so.
pub(crate) fn ids(rows: &dyn Rows, prefix: &[u8]) -> Result<Vec<Id>, BookError> {
    rows.scan(prefix)?.map(|row| id_of(&row?.0)).collect()
}

/// A person's entry, unless there is no such person.
pub(crate) fn person(rows: &dyn Rows, id: Id) -> Result<Option<PersonEntry>, BookError> {
    rows.get(&person_key(id))?.map(|value| decoded(&value)).transpose()
}

/// An organization's entry, unless it has no record.
pub(crate) fn organization(rows: &dyn Rows, id: Id) -> Result<Option<OrganizationEntry>, BookError> {
    rows.get(&organization_key(id))?.map(|value| decoded(&value)).transpose()
}

/// A note, unless there is no such one.
pub(crate) fn note(rows: &dyn Rows, id: Id) -> Result<Option<Note>, BookError> {
    rows.get(&note_key(id))?.map(|value| decoded(&value)).transpose()
}

/// What a row holds.
pub(crate) fn decoded<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, BookError> {
    postcard::from_bytes(value).map_err(|_| damaged())
}

/// A row's value.
pub(crate) fn encoded(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data can always be written to memory")
}

fn damaged() -> BookError {
    BookError::new(ErrorKind::Failed, "a record cannot be read")
}

/// Texts are looked up by their first bytes; a key need not hold a novel.
fn clipped(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

const LONGEST_TEXT: usize = 160;

#[cfg(test)]
pub(crate) mod testing {
    use std::collections::BTreeMap;

    use super::*;

    impl Rows for BTreeMap<Vec<u8>, Vec<u8>> {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BookError> {
            Ok(BTreeMap::get(self, key).cloned())
        }

        fn scan(&self, prefix: &[u8]) -> Result<Scan<'_>, BookError> {
            let prefix = prefix.to_vec();
            let rows = self.range(prefix.clone()..).take_while(move |(key, _)| key.starts_with(&prefix));
            Ok(Box::new(rows.map(|(key, value)| Ok((key.clone(), value.clone())))))
        }

        fn document(&self, _: Id) -> Result<Option<Automerge>, BookError> {
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn notes_sort_by_time_and_the_undated_come_first() {
        let (person, note) = (Id([1; 16]), Id([2; 16]));
        let keys = [None, Some(-5), Some(0), Some(7)].map(|at| note_about_key(person, at, note));
        assert!(keys.is_sorted());
        assert!(keys.iter().all(|key| key.starts_with(&notes_about(person)) && id_of(key).unwrap() == note));
    }

    #[test]
    fn long_and_odd_texts_make_usable_keys() {
        let key = Index::Mail.key(&"é\0".repeat(100), Id([3; 16]));
        assert_eq!(key.iter().filter(|&&byte| byte == 0).count(), 1);
        assert!(key.starts_with(&Index::Mail.exactly(&"é\0".repeat(100))));
        assert_eq!(id_of(&key).unwrap(), Id([3; 16]));
    }

    proptest! {
        #[test]
        fn damaged_rows_are_errors(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decoded::<PersonEntry>(&bytes);
            let _ = decoded::<Note>(&bytes);
            let _ = id_of(&bytes);
        }
    }
}
