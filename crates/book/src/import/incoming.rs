//! A record on its way in, whatever it came from.

use std::collections::BTreeMap;

use ties_model::{OrganizationRecord, Person, contact_key};

use crate::vcard::Group;

/// A record that a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Incoming {
    /// The line in the file where it begins, from 1.
    pub(crate) line: usize,
    /// What it is about.
    pub(crate) subject: Subject,
    /// The notes, in their order.
    pub(crate) notes: Vec<IncomingNote>,
    /// What tells it from all other records of this source, the same whenever it is imported.
    pub(crate) key: String,
    /// Under what else an earlier import from this source may have it.
    pub(crate) earlier: Vec<String>,
    /// Whether it may be less than the source has: then a record that is here already stays as it is.
    pub(crate) partial: bool,
    /// What was left out or guessed: the line and a sentence.
    pub(crate) notices: Vec<(usize, String)>,
}

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A person.
    Person(Box<Person>),
    /// An organization in its own right.
    Organization(Box<OrganizationRecord>),
}

/// A note on its way in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IncomingNote {
    pub(crate) body: String,
    /// What a vCard says beside the text, as [`Note`](ties_model::Note) has it.
    pub(crate) group: String,
    pub(crate) params: String,
    /// When it was written, RFC 3339, or empty.
    pub(crate) at: String,
}

/// What a file holds at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A record to take in.
    Record(Box<Incoming>),
    /// A group of people who are all in by now.
    Group(Group),
    /// Something that is left out on purpose: a row that says nothing of anybody.
    Hidden,
    /// Something that cannot be read: the line, and why.
    Reject(usize, String),
}

impl Incoming {
    /// A person of whom nothing else is known yet.
    pub(crate) fn person(line: usize, person: Person, key: String) -> Self {
        let subject = Subject::Person(Box::new(person));
        let (notes, earlier, notices) = (Vec::new(), Vec::new(), Vec::new());
        Self { line, subject, notes, key, earlier, partial: false, notices }
    }
}

/// Puts an item among others; what is there already stays one, another of the same key gets a number after it.
pub(crate) fn put<T: PartialEq>(items: &mut BTreeMap<String, T>, key: String, item: T) {
    if items.values().any(|there| *there == item) {
        return;
    }
    let mut slot = key.clone();
    for number in 2.. {
        if !items.contains_key(&slot) {
            break;
        }
        slot = format!("{key}-{number}");
    }
    items.insert(slot, item);
}

/// Keeps what has no place in the model as a vCard property, so that it is shown and comes out again.
pub(crate) fn keep(person: &mut Person, property: &str, value: &str) {
    let line = format!("{property}:{}", escape(value));
    person.extra.insert(contact_key("extra", &line), line);
}

/// Keeps a field of another program under the name that it has there.
pub(crate) fn keep_field(person: &mut Person, label: &str, value: &str) {
    keep(person, &format!("X-TIES-FIELD;X-LABEL=\"{}\"", quoted(label)), value);
}

/// The text as the value of a vCard property (RFC 6350 section 3.4).
fn escape(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.replace('\\', "\\\\").replace('\n', "\\n").replace(',', "\\,").replace(';', "\\;")
}

/// The text within the quotation marks of a parameter (RFC 6868).
fn quoted(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.replace('^', "^^").replace('"', "^'")
}

/// The name as it is shown, of its parts.
pub(crate) fn joined(parts: &[&str]) -> String {
    parts.iter().flat_map(|part| part.split_whitespace()).collect::<Vec<_>>().join(" ")
}

/// Sorts what follows a name: `Jr.` and `III` belong to it, `PhD` was earned.
pub(crate) fn suffixes(text: &str) -> (String, String) {
    let generation = |word: &&str| {
        let bare = word.trim_end_matches('.').to_ascii_lowercase();
        matches!(bare.as_str(), "jr" | "sr" | "ii" | "iii" | "iv" | "v")
    };
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let (generations, credentials): (Vec<&str>, Vec<&str>) = parts.partition(generation);
    (generations.join(" "), credentials.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_kept_as_one_line_each() {
        let mut person = Person::default();
        keep_field(&mut person, "Shoe \"size\"\n", "43; wide,\nleft\\right");
        let line = person.extra.into_values().next().unwrap();
        assert_eq!(line, r#"X-TIES-FIELD;X-LABEL="Shoe ^'size^' ":43\; wide\,\nleft\\right"#);
    }

    #[test]
    fn equal_keys_get_numbers_and_equal_items_are_one() {
        let mut items = BTreeMap::new();
        for item in [1, 1, 2, 3, 2] {
            put(&mut items, "k".to_owned(), item);
        }
        assert_eq!(items, [("k".to_owned(), 1), ("k-2".to_owned(), 2), ("k-3".to_owned(), 3)].into());
    }

    #[test]
    fn generations_are_told_from_credentials() {
        assert_eq!(suffixes("PhD, Jr., MBA"), ("Jr.".to_owned(), "PhD, MBA".to_owned()));
    }
}
