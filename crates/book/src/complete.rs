//! How the word under the cursor may go on: for completing command lines, from rows alone.

use crate::api::{BookError, Completable, Completion};
use crate::book::Book;
use crate::devices;
use crate::engine::fault;
use crate::handle::{self, Shown};
use crate::id::Id;
use crate::rows::{self, Index, Rows};

impl Book {
    pub(crate) fn complete(&self, what: Completable, beginning: &str) -> Result<Vec<Completion>, BookError> {
        match what {
            Completable::Handle => handles(&self.view()?, beginning),
            Completable::Tag => tags(&self.view()?, beginning),
            Completable::Relay => {
                let roads = self.space.roads().map_err(fault)?;
                let urls = roads.into_iter().map(|road| road.address).filter(|url| url.starts_with(beginning));
                Ok(urls.map(plain).collect())
            }
            Completable::Device => {
                let devices = self.space.devices().map_err(fault)?;
                let devices = devices.into_iter().filter(|device| device.name.starts_with(beginning));
                let about = |role: Option<_>| role.map(devices::role).unwrap_or_default().to_owned();
                Ok(devices.map(|device| Completion { about: about(device.role), word: device.name }).collect())
            }
        }
    }
}

/// All handles that begin so. None is left out, since a shell goes on as far as the given ones agree; their people are
/// looked up only where somebody may read that.
fn handles(rows: &dyn Rows, beginning: &str) -> Result<Vec<Completion>, BookError> {
    let beginning = handle::normal(beginning);
    let mut stored = stored_handles(rows, &Index::Handle.beginning(&beginning))?;
    if let Some((base, _)) = beginning.rsplit_once('-') {
        // `ada-2` may be nobody's handle and stand for the second `ada`.
        let shared = stored_handles(rows, &Index::Handle.exactly(base))?;
        stored.extend(shared.into_iter().skip(1));
    }
    let described = stored.len() <= MOST_DESCRIBED;
    let mut shown = Shown::new(rows);
    let mut found = Vec::with_capacity(stored.len());
    for (place, (handle, id)) in stored.iter().enumerate() {
        let first = place == 0 || stored[place - 1].0 != *handle;
        let word = if first && handle.starts_with(&beginning) { handle.clone() } else { shown.of(*id, handle)? };
        if word.starts_with(&beginning) {
            let about = if described { about(rows, *id)? } else { String::new() };
            found.push(Completion { word, about });
        }
    }
    found.sort_by(|a, b| a.word.cmp(&b.word));
    found.dedup_by(|a, b| a.word == b.word);
    Ok(found)
}

fn stored_handles(rows: &dyn Rows, prefix: &[u8]) -> Result<Vec<(String, Id)>, BookError> {
    let mut stored = Vec::new();
    for row in rows.scan(prefix)? {
        let (key, _) = row?;
        stored.push((text_of(&key), rows::id_of(&key)?));
    }
    Ok(stored)
}

fn about(rows: &dyn Rows, id: Id) -> Result<String, BookError> {
    let entry = rows::person(rows, id)?.unwrap_or_default();
    Ok(match entry.organizations.first() {
        Some(organization) => format!("{}, {organization}", entry.name),
        None => entry.name,
    })
}

fn tags(rows: &dyn Rows, beginning: &str) -> Result<Vec<Completion>, BookError> {
    let mut tags: Vec<String> = Vec::new();
    for row in rows.scan(&Index::Tag.beginning(&crate::fold::fold(beginning)))? {
        let tag = text_of(&row?.0);
        if tags.last() != Some(&tag) {
            tags.push(tag);
        }
    }
    Ok(tags.into_iter().map(plain).collect())
}

/// The text in the key of an index.
fn text_of(key: &[u8]) -> String {
    String::from_utf8_lossy(key.get(1..key.len().saturating_sub(17)).unwrap_or_default()).into_owned()
}

fn plain(word: String) -> Completion {
    Completion { word, about: String::new() }
}

/// Nobody reads the descriptions of more.
const MOST_DESCRIBED: usize = 200;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::projection::person_rows;
    use crate::rows::PersonEntry;

    fn book(people: &[(u8, &str, &str)]) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut rows = BTreeMap::new();
        for &(n, name, handle) in people {
            let mut entry = PersonEntry { name: name.into(), handle: handle.into(), ..Default::default() };
            entry.tags = vec![format!("t{handle}"), "all".into()];
            rows.extend(person_rows(Id([n; 16]), &entry));
        }
        rows
    }

    fn words(found: Vec<Completion>) -> Vec<String> {
        found.into_iter().map(|one| one.word).collect()
    }

    #[test]
    fn handles_go_on_as_they_are_shown() {
        let rows = book(&[(1, "Ada", "ada"), (2, "Ada Byron", "ada"), (3, "Adam", "adam"), (4, "Bob", "bob")]);
        let found = |beginning| words(handles(&rows, beginning).unwrap());
        assert_eq!(found(""), ["ada", "ada-2", "adam", "bob"]);
        assert_eq!(found("@AD"), ["ada", "ada-2", "adam"]);
        assert_eq!(found("ada-"), ["ada-2"]);
        assert_eq!(found("ada-2"), ["ada-2"]);
        assert_eq!(found("c"), [""; 0]);
        assert_eq!(handles(&rows, "bo").unwrap()[0].about, "Bob");
    }

    #[test]
    fn a_tag_that_many_have_is_given_once() {
        let rows = book(&[(1, "Ada", "ada"), (2, "Bob", "bob")]);
        assert_eq!(words(tags(&rows, "").unwrap()), ["all", "tada", "tbob"]);
        assert_eq!(words(tags(&rows, "A").unwrap()), ["all"]);
    }
}
