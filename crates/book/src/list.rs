//! Lists of people from rows alone.

use std::collections::BTreeSet;

use ties_model::Note;

use crate::api::{BookError, ErrorKind, NoteView, PersonRow};
use crate::capture::key_and_value;
use crate::fold::{fold, words};
use crate::handle::Shown;
use crate::id::Id;
use crate::projection::{note_kind, note_organizations, note_people, note_time};
use crate::rows::{self, Index, PersonEntry, Rows};

/// Which people a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    tags: Vec<String>,
    organizations: Vec<String>,
    /// Folded words that a place (town, region or country) must begin with.
    places: Vec<String>,
    /// Folded words that a title must hold next to one another.
    titles: Vec<String>,
    texts: Vec<String>,
}

impl Filter {
    /// Reads the words of a filter: `+tag`, `tag:x`, `org:x`, `city:x`, `title:x`, and texts.
    pub(crate) fn of(filter: &[String]) -> Result<Self, BookError> {
        let mut parsed = Self::default();
        for word in filter {
            let word = word.trim();
            if let Some(tag) = word.strip_prefix('+').filter(|tag| tag.starts_with(char::is_alphabetic)) {
                parsed.tags.push(fold(tag));
                continue;
            }
            match key_and_value(word) {
                Some(("tag", tag)) => parsed.tags.push(fold(tag)),
                Some(("org", name)) => parsed.organizations.push(words(name).join(" ")),
                Some(("city", name)) => parsed.places.push(words(name).join(" ")),
                Some(("title", name)) => parsed.titles.push(words(name).join(" ")),
                Some((key, _)) => {
                    return Err(BookError::new(ErrorKind::Usage, format!("{key}: is no filter"))
                        .hint("filters are +tag, org:NAME, city:NAME, title:TEXT and text"));
                }
                None => parsed.texts.push(fold(word.strip_prefix('\\').unwrap_or(word))),
            }
        }
        parsed.texts.retain(|text| !text.is_empty());
        Ok(parsed)
    }

    /// The people that tags and organizations leave; `None` for all.
    fn chosen(&self, rows: &dyn Rows) -> Result<Option<BTreeSet<Id>>, BookError> {
        let mut chosen: Option<BTreeSet<Id>> = None;
        let tags = self.tags.iter().map(|tag| vec![Index::Tag.exactly(tag)]);
        // A company is named by its whole name or by whole words at its beginning (`acme` for Acme GmbH), never by a
        // piece of a word.
        let organizations = self
            .organizations
            .iter()
            .map(|name| vec![Index::Organization.exactly(name), Index::Organization.beginning(&format!("{name} "))]);
        for prefixes in tags.chain(organizations) {
            let mut with = BTreeSet::new();
            for prefix in prefixes {
                with.extend(rows::ids(rows, &prefix)?);
            }
            chosen = Some(match chosen {
                Some(chosen) => chosen.intersection(&with).copied().collect(),
                None => with,
            });
        }
        Ok(chosen)
    }

    /// Whether a person is where, and does, what the filter says.
    fn fits(&self, entry: &PersonEntry) -> bool {
        // Spaces around make whole words of pieces: `city:wien` is not Wiener Neustadt.
        let padded = |text: &String| format!(" {} ", words(text).join(" "));
        let place = |name: &String| entry.places.iter().any(|one| padded(one).starts_with(&padded(name)));
        let title = |name: &String| entry.titles.iter().any(|one| padded(one).contains(&padded(name)));
        self.places.iter().all(place) && self.titles.iter().all(title) && self.texts_occur(entry)
    }

    fn texts_occur(&self, entry: &PersonEntry) -> bool {
        self.texts.is_empty() || {
            let searched = searched_text(entry);
            self.texts.iter().all(|text| searched.contains(text.as_str()))
        }
    }
}

/// The people that pass, by name, and whether there are more.
pub(crate) fn people(
    rows: &dyn Rows,
    filter: &Filter,
    offset: usize,
    limit: Option<usize>,
) -> Result<(Vec<(Id, PersonEntry)>, bool), BookError> {
    let chosen = filter.chosen(rows)?;
    let mut skipped = 0;
    let mut page = Vec::new();
    for row in rows.scan(&[Index::Order as u8])? {
        let id = rows::id_of(&row?.0)?;
        if chosen.as_ref().is_some_and(|chosen| !chosen.contains(&id)) {
            continue;
        }
        let Some(entry) = rows::person(rows, id)? else { continue };
        if !filter.fits(&entry) {
            continue;
        }
        if skipped < offset {
            skipped += 1;
        } else if limit.is_some_and(|limit| page.len() >= limit) {
            return Ok((page, true));
        } else {
            page.push((id, entry));
        }
    }
    Ok((page, false))
}

/// Everything of a person that a search looks at but notes, folded.
pub(crate) fn searched_text(entry: &PersonEntry) -> String {
    let parts = [
        &entry.nicknames,
        &entry.organizations,
        &entry.titles,
        &entry.mails,
        &entry.phones,
        &entry.urls,
        &entry.tags,
        &entry.places,
        &entry.more,
    ];
    let mut text = format!("{}\n{}", entry.name, entry.handle);
    for part in parts.into_iter().flatten() {
        text.push('\n');
        text.push_str(part);
    }
    fold(&text)
}

/// A person as lists show one.
pub(crate) fn person_row(rows: &dyn Rows, id: Id, entry: &PersonEntry) -> Result<PersonRow, BookError> {
    person_row_among(&mut Shown::new(rows), id, entry)
}

/// The same for one of many.
pub(crate) fn person_row_among(shown: &mut Shown<'_>, id: Id, entry: &PersonEntry) -> Result<PersonRow, BookError> {
    let first = |texts: &[String]| texts.first().cloned().unwrap_or_default();
    Ok(PersonRow {
        id: id.to_string(),
        short: id.short(shown.rows)?,
        handle: shown.of(id, &entry.handle)?,
        name: entry.name.clone(),
        organization: first(&entry.organizations),
        title: first(&entry.titles),
        email: first(&entry.mails),
        phone: first(&entry.phones),
        tags: entry.tags.clone(),
        card: None,
    })
}

/// A note as it is shown.
pub(crate) fn note_view(rows: &dyn Rows, id: Id, note: Note) -> Result<NoteView, BookError> {
    Ok(NoteView {
        id: id.to_string(),
        short: id.short(rows)?,
        kind: note_kind(&note.kind),
        people: note_people(&note).map(|person| person.to_string()).collect(),
        organizations: note_organizations(&note).map(|organization| organization.to_string()).collect(),
        created: note_time(&note).and_then(crate::time::rfc3339),
        body: note.body,
    })
}

/// The notes about a person or an organization, oldest first.
pub(crate) fn notes_about(rows: &dyn Rows, about: Id) -> Result<Vec<(Id, Note)>, BookError> {
    let mut notes = Vec::new();
    for id in rows::ids(rows, &rows::notes_about(about))? {
        if let Some(note) = rows::note(rows, id)? {
            notes.push((id, note));
        }
    }
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::projection::person_rows;

    fn book() -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut rows = BTreeMap::new();
        for (n, name, organization, tag) in [
            (3, "Émile Zola", "L'Aurore", "press"),
            (1, "ada Lovelace", "Acme GmbH", "rust"),
            (2, "Bob Ross", "Acmeology", "rust"),
        ] {
            let entry = PersonEntry {
                name: name.into(),
                handle: fold(&name[..2]),
                organizations: vec![organization.into()],
                tags: vec![tag.into()],
                titles: vec!["Head of Painting".into()],
                places: vec![if n == 3 { "Paris" } else { "Wiener Neustadt" }.into(), "Österreich".into()],
                ..PersonEntry::default()
            };
            rows.extend(person_rows(Id([n; 16]), &entry));
        }
        rows
    }

    fn names(filter: &[&str], offset: usize, limit: Option<usize>) -> (Vec<String>, bool) {
        let filter = filter.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let (page, more) = people(&book(), &Filter::of(&filter).unwrap(), offset, limit).unwrap();
        (page.into_iter().map(|(_, entry)| entry.name).collect(), more)
    }

    #[test]
    fn names_sort_whatever_their_case_and_accents() {
        assert_eq!(names(&[], 0, None).0, ["ada Lovelace", "Bob Ross", "Émile Zola"]);
    }

    #[test]
    fn a_page_says_whether_there_are_more() {
        assert_eq!(names(&[], 1, Some(1)), (vec!["Bob Ross".into()], true));
        assert_eq!(names(&[], 2, Some(1)), (vec!["Émile Zola".into()], false));
        assert_eq!(names(&[], 9, Some(1)), (vec![], false));
    }

    #[test]
    fn filters_hold_all_together() {
        assert_eq!(names(&["+Rust"], 0, None).0.len(), 2);
        assert_eq!(names(&["+rust", "org:acme"], 0, None).0, ["ada Lovelace"], "never by a piece of a word");
        assert_eq!(names(&["zola", "aurore"], 0, None).0, ["Émile Zola"]);
        assert_eq!(names(&["+rust", "zola"], 0, None).0, [""; 0]);
        assert_eq!(names(&["city:paris"], 0, None).0, ["Émile Zola"]);
        assert_eq!(names(&["city:wien"], 0, None).0, [""; 0], "never by a piece of a word");
        assert_eq!(names(&["city:osterreich", "city:wiener", "+rust"], 0, None).0.len(), 2);
        assert_eq!(names(&["title:painting", "city:Paris"], 0, None).0, ["Émile Zola"]);
        assert_eq!(names(&["title:paint"], 0, None).0, [""; 0]);
        assert!(Filter::of(&["colour:red".into()]).is_err());
    }
}
