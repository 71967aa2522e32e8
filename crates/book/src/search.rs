//! Full text over people and notes: one pass over the rows in memory, so that no index of plain words lies on disk.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ties_model::Note;

use crate::api::{BookError, ErrorKind, Hit};
use crate::fold::{fold, words};
use crate::handle::Shown;
use crate::id::Id;
use crate::list::{note_view, person_row_among, searched_text};
use crate::projection::{note_people, note_time};
use crate::rows::{self, PersonEntry, Rows};

/// The people and notes in which all words occur, best first, and whether the limit cut some off.
///
/// The words may be spread over a person and one note about them: `ada crdt` finds the note on CRDTs about Ada.
pub(crate) fn find(rows: &dyn Rows, asked: &[String], limit: Option<usize>) -> Result<(Vec<Hit>, bool), BookError> {
    let query = Query::of(asked)?;
    let mut matches = query.people(rows)?;
    let mut alone = Vec::new();
    for row in rows.scan(b"n")? {
        let (key, value) = row?;
        let (id, note) = (rows::id_of(&key)?, rows::decoded::<Note>(&value)?);
        let found = query.found_in(&fold(&note.body));
        if found == 0 {
            continue;
        }
        let at = note_time(&note);
        let mut of_nobody = true;
        for person in note_people(&note) {
            if let Some(one) = matches.get_mut(&person) {
                of_nobody = false;
                if found | one.found == query.all() && one.note.is_none_or(|best| best < (at, id)) {
                    one.note = Some((at, id));
                }
            }
        }
        if of_nobody && found == query.all() {
            alone.push((at, id));
        }
    }
    query.hits(rows, matches, alone, limit)
}

/// The folded words of a query; a set of them is a bit each.
struct Query(Vec<String>);

/// What was found of a person.
struct Match {
    found: u64,
    /// 0 at the beginning of the name's words, 1 within the name, 2 elsewhere; of those with all words alone.
    rank: u8,
    entry: PersonEntry,
    note: Option<(Option<i64>, Id)>,
}

impl Query {
    fn of(asked: &[String]) -> Result<Self, BookError> {
        let words = asked.iter().flat_map(|text| text.split_whitespace()).map(fold);
        let folded: Vec<String> = words.filter(|word| !word.is_empty()).collect();
        match folded.len() {
            0 => Err(BookError::new(ErrorKind::Usage, "there is nothing to look for").hint("ties find WORDS")),
            1..=MOST_WORDS => Ok(Self(folded)),
            _ => Err(BookError::new(ErrorKind::Usage, format!("more than {MOST_WORDS} words to look for"))),
        }
    }

    fn all(&self) -> u64 {
        u64::MAX >> (64 - self.0.len())
    }

    fn found_in(&self, folded: &str) -> u64 {
        self.0.iter().enumerate().filter(|(_, word)| folded.contains(word.as_str())).map(|(n, _)| 1 << n).sum()
    }

    fn people(&self, rows: &dyn Rows) -> Result<BTreeMap<Id, Match>, BookError> {
        let mut people = BTreeMap::new();
        for row in rows.scan(b"p")? {
            let (key, value) = row?;
            let entry: PersonEntry = rows::decoded(&value)?;
            let found = self.found_in(&searched_text(&entry));
            let rank = if found == self.all() { self.rank(&entry.name) } else { u8::MAX };
            people.insert(rows::id_of(&key)?, Match { found, rank, entry, note: None });
        }
        Ok(people)
    }

    fn rank(&self, name: &str) -> u8 {
        let (folded, parts) = (fold(name), words(name));
        if self.0.iter().all(|word| parts.iter().any(|part| part.starts_with(word.as_str()))) {
            0
        } else {
            2 - u8::from(self.found_in(&folded) == self.all())
        }
    }

    fn hits(
        &self,
        rows: &dyn Rows,
        matches: BTreeMap<Id, Match>,
        mut alone: Vec<(Option<i64>, Id)>,
        limit: Option<usize>,
    ) -> Result<(Vec<Hit>, bool), BookError> {
        let (mut people, mut by_note): (Vec<_>, Vec<_>) = matches
            .into_iter()
            .filter(|(_, one)| one.found == self.all() || one.note.is_some())
            .partition(|(_, one)| one.found == self.all());
        people.sort_by_cached_key(|(id, one)| (one.rank, fold(&one.entry.name), *id));
        by_note.sort_by_key(|(id, one)| (Reverse(one.note), *id));
        alone.sort_by_key(|&note| Reverse(note));
        let limit = limit.unwrap_or(usize::MAX);
        let more = people.len() + by_note.len() + alone.len() > limit;
        let mut shown = Shown::new(rows);
        let mut hits = Vec::new();
        for (id, one) in people.into_iter().chain(by_note).take(limit) {
            hits.push(self.hit(&mut shown, Some((id, &one.entry)), one.note)?);
        }
        for note in alone.into_iter().take(limit - hits.len()) {
            hits.push(self.hit(&mut shown, None, Some(note))?);
        }
        Ok((hits, more))
    }

    fn hit(
        &self,
        shown: &mut Shown<'_>,
        person: Option<(Id, &PersonEntry)>,
        note: Option<(Option<i64>, Id)>,
    ) -> Result<Hit, BookError> {
        let mut hit =
            Hit { person: person.map(|(id, entry)| person_row_among(shown, id, entry)).transpose()?, ..Hit::default() };
        if let Some((_, id)) = note
            && let Some(entry) = rows::note(shown.rows, id)?
        {
            hit.excerpt = self.excerpt(&entry.body);
            hit.note = Some(note_view(shown.rows, id, entry)?);
        }
        Ok(hit)
    }

    /// The words of the text around the first one found.
    fn excerpt(&self, body: &str) -> String {
        let tokens: Vec<&str> = body.split_whitespace().collect();
        let at = tokens.iter().position(|token| self.found_in(&fold(token)) != 0).unwrap_or(0);
        let (from, to) = (at.saturating_sub(WORDS_BEFORE), (at + WORDS_AFTER).min(tokens.len()));
        let mut excerpt = tokens[from..to].join(" ");
        if from > 0 {
            excerpt.insert_str(0, "… ");
        }
        if to < tokens.len() {
            excerpt.push_str(" …");
        }
        excerpt
    }
}

/// One bit each.
const MOST_WORDS: usize = 64;
const WORDS_BEFORE: usize = 5;
const WORDS_AFTER: usize = 12;

#[cfg(test)]
mod tests {
    use ties_model::Reference;

    use super::*;
    use crate::projection::{note_rows, person_rows};

    fn book() -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut rows = BTreeMap::new();
        for (n, name, organization) in
            [(1, "Ada Lovelace", "Acme"), (2, "Björn Adams", ""), (3, "Grace", "Adalbert KG")]
        {
            let entry =
                PersonEntry { name: name.into(), organizations: vec![organization.into()], ..Default::default() };
            rows.extend(person_rows(Id([n; 16]), &entry));
        }
        for (n, person, at, body) in [
            (11, 1, 5_000, "Wants a grant for CRDT work"),
            (12, 1, 9_000, "Asked about the Grant\nagain and again"),
            (13, 9, 1_000, "grant of somebody deleted"),
        ] {
            let note = Note {
                body: body.into(),
                refs: [Reference::person(Id([person; 16]))].into(),
                at: crate::time::rfc3339(at).unwrap(),
                ..Default::default()
            };
            rows.extend(note_rows(Id([n; 16]), &note));
        }
        rows
    }

    fn found(query: &[&str], limit: Option<usize>) -> (Vec<(String, String)>, bool) {
        let query = query.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let (hits, more) = find(&book(), &query, limit).unwrap();
        (hits.into_iter().map(|hit| (hit.person.map(|row| row.name).unwrap_or_default(), hit.excerpt)).collect(), more)
    }

    #[test]
    fn names_come_before_other_fields_and_those_before_notes() {
        let names: Vec<_> = found(&["ada"], None).0.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Ada Lovelace", "Björn Adams", "Grace"]);
        assert_eq!(found(&["BJORN"], None).0[0].0, "Björn Adams");
    }

    #[test]
    fn words_may_be_spread_over_a_person_and_a_note() {
        assert_eq!(found(&["lovelace crdt"], None).0, [("Ada Lovelace".into(), "Wants a grant for CRDT work".into())]);
        assert_eq!(found(&["grace", "crdt"], None).0, []);
    }

    #[test]
    fn the_newest_note_is_shown_and_notes_about_nobody_come_last() {
        let (hits, more) = found(&["grant"], None);
        assert_eq!(hits[0], ("Ada Lovelace".into(), "Asked about the Grant again and again".into()));
        assert_eq!(hits[1], (String::new(), "grant of somebody deleted".into()));
        assert!(!more);
        assert!(found(&["grant"], Some(1)).1);
    }

    #[test]
    fn nothing_to_look_for_is_refused() {
        assert!(find(&book(), &[" ".into()], None).is_err());
    }
}
