//! Handles: one short name per person, unique on every device whatever two devices gave out.
//!
//! Uniqueness is a rule of the rows, not of the documents: of all who hold `ada`, the one with the smallest id is
//! shown as `ada`, the others as `ada-2`, `ada-3` and so on, leaving out what somebody holds as it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::BookError;
use crate::fold::{fold, slug, words};
use crate::id::Id;
use crate::rows::{self, Index, Rows};

/// The handle as it is stored and compared: folded, letters, digits, `-`, `_` and `.` alone.
pub(crate) fn normal(handle: &str) -> String {
    let handle = fold(handle.trim().trim_start_matches('@'));
    handle.chars().filter(|&c| c.is_alphanumeric() || "-_.".contains(c)).take(40).collect()
}

/// Who holds the handle, stored or shown.
pub(crate) fn holder(rows: &dyn Rows, handle: &str) -> Result<Option<Id>, BookError> {
    let wanted = fold(handle.trim().trim_start_matches('@'));
    if wanted.is_empty() {
        return Ok(None);
    }
    if let Some(first) = rows.scan(&Index::Handle.exactly(&wanted))?.next() {
        return rows::id_of(&first?.0).map(Some);
    }
    let Some((base, number)) = wanted.rsplit_once('-') else { return Ok(None) };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let numbered = numbered(rows, base)?;
    Ok(numbered.into_iter().find(|(_, shown)| *shown == wanted).map(|(id, _)| id))
}

/// The handle under which a person is shown.
pub(crate) fn shown(rows: &dyn Rows, id: Id, stored: &str) -> Result<String, BookError> {
    Shown::new(rows).of(id, stored)
}

/// The handles under which people are shown, for many people at a time.
pub(crate) struct Shown<'r> {
    pub(crate) rows: &'r dyn Rows,
    /// What was found out for handles that several hold.
    numbered: BTreeMap<String, BTreeMap<Id, String>>,
}

impl<'r> Shown<'r> {
    /// Nothing found out yet.
    pub(crate) fn new(rows: &'r dyn Rows) -> Self {
        Self { rows, numbered: BTreeMap::new() }
    }

    /// The handle of one.
    pub(crate) fn of(&mut self, id: Id, stored: &str) -> Result<String, BookError> {
        if let Some(first) = self.rows.scan(&Index::Handle.exactly(stored))?.next()
            && rows::id_of(&first?.0)? == id
        {
            return Ok(stored.to_owned());
        }
        if !self.numbered.contains_key(stored) {
            self.numbered.insert(stored.to_owned(), numbered(self.rows, stored)?.into_iter().collect());
        }
        let shown = self.numbered.get(stored).and_then(|numbered| numbered.get(&id));
        Ok(shown.cloned().unwrap_or_else(|| stored.to_owned()))
    }
}

/// A handle for a new person of this name that nobody has: the first name, the whole name, or that with a number.
pub(crate) fn free(rows: &dyn Rows, name: &str) -> Result<String, BookError> {
    let whole = slug(name);
    let first = words(name).into_iter().next().map(|word| slug(&word));
    for handle in first.into_iter().chain([whole.clone()]) {
        if holder(rows, &handle)?.is_none() {
            return Ok(handle);
        }
    }
    let numbered: BTreeSet<String> = numbered(rows, &whole)?.into_iter().map(|(_, shown)| shown).collect();
    let mut number = 2u64;
    loop {
        let handle = format!("{whole}-{number}");
        if !numbered.contains(&handle) && rows.scan(&Index::Handle.exactly(&handle))?.next().is_none() {
            return Ok(handle);
        }
        number += 1;
    }
}

/// The handles that several people hold.
pub(crate) fn shared(rows: &dyn Rows) -> Result<Vec<String>, BookError> {
    let mut shared: Vec<String> = Vec::new();
    let mut last: Vec<u8> = Vec::new();
    for row in rows.scan(&[Index::Handle as u8])? {
        let (key, _) = row?;
        let stored = key.get(1..key.len().saturating_sub(17)).unwrap_or_default().to_vec();
        if stored == last {
            let handle = String::from_utf8_lossy(&stored).into_owned();
            if shared.last() != Some(&handle) {
                shared.push(handle);
            }
        }
        last = stored;
    }
    Ok(shared)
}

/// All holders of a handle but the first, with what each is shown as.
fn numbered(rows: &dyn Rows, stored: &str) -> Result<Vec<(Id, String)>, BookError> {
    let mut number = 1;
    let mut shown = Vec::new();
    for id in rows::ids(rows, &Index::Handle.exactly(stored))?.into_iter().skip(1) {
        let handle = loop {
            number += 1;
            let handle = format!("{stored}-{number}");
            if rows.scan(&Index::Handle.exactly(&handle))?.next().is_none() {
                break handle;
            }
        };
        shown.push((id, handle));
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(handles: &[&str]) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let ids = (1u8..).map(|n| Id([n; 16]));
        handles.iter().zip(ids).map(|(handle, id)| (Index::Handle.key(handle, id), Vec::new())).collect()
    }

    #[test]
    fn the_smallest_id_keeps_the_handle_and_the_others_get_numbers() {
        let rows = book(&["ada", "ada", "ada-2", "ada"]);
        let shown = [1, 2, 4].map(|n| shown(&rows, Id([n; 16]), "ada").unwrap());
        assert_eq!(shown, ["ada", "ada-3", "ada-4"], "ada-2 belongs to somebody");
        assert_eq!(super::shown(&rows, Id([3; 16]), "ada-2").unwrap(), "ada-2");
        let holders = ["ada", "ada-2", "ada-3", "@Ada-4"].map(|handle| holder(&rows, handle).unwrap());
        assert_eq!(holders, [1, 3, 2, 4].map(|n| Some(Id([n; 16]))));
        assert_eq!(holder(&rows, "ada-5").unwrap(), None);
        assert_eq!(shared(&rows).unwrap(), ["ada"]);
    }

    #[test]
    fn a_new_handle_is_the_first_one_free() {
        assert_eq!(free(&book(&[]), "Ada Lovelace").unwrap(), "ada");
        assert_eq!(free(&book(&["ada"]), "Ada Lovelace").unwrap(), "ada-lovelace");
        assert_eq!(free(&book(&["ada", "ada-lovelace"]), "Ada Lovelace").unwrap(), "ada-lovelace-2");
        assert_eq!(free(&book(&[]), "!!").unwrap(), "x");
    }
}
