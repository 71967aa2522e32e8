//! Full text over people and notes: one pass over the rows in memory, so that no index of plain words lies on disk.
//!
//! Everything is looked at where it lies: a row is read without copying its texts, and of the people only those are kept
//! that may be found. People and notes are looked at side by side.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::thread;

use memchr::memmem::Finder;
use serde::Deserialize;

use crate::api::{BookError, ErrorKind, Hit};
use crate::fold::{fold, words};
use crate::handle::Shown;
use crate::id::Id;
use crate::list::{note_view, person_row_among};
use crate::rows::{self, PersonEntry, Rows};
use crate::time::milliseconds;

/// The people and notes in which all words occur, best first, and whether the limit cut some off.
///
/// The words may be spread over a person and one note about them: `ada crdt` finds the note on CRDTs about Ada.
pub(crate) fn find(
    rows: &(dyn Rows + Sync),
    asked: &[String],
    limit: Option<usize>,
) -> Result<(Vec<Hit>, bool), BookError> {
    let query = Query::of(asked)?;
    // Notes are three quarters of the rows, and need nothing of the people until both are read.
    let (people, notes) = thread::scope(|scope| {
        let notes = scope.spawn(|| query.notes(rows));
        (query.people(rows), notes.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let People { all, mut matches } = people?;
    let mut alone = Vec::new();
    for FoundNote { id, at, found, about } in notes? {
        let mut of_nobody = true;
        for person in about {
            if all.binary_search(&person).is_err() {
                continue;
            }
            of_nobody = false;
            let before = matches.get(&person).map_or(0, |one| one.found);
            if found | before == query.all() {
                let one = matches.entry(person).or_default();
                if one.note.is_none_or(|best| best < (at, id)) {
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
struct Query {
    words: Vec<String>,
    finders: Vec<Finder<'static>>,
}

/// What was found of a person.
#[derive(Default)]
struct Match {
    found: u64,
    /// 0 at the beginning of the name's words, 1 within the name, 2 elsewhere; of those with all words alone.
    rank: u8,
    /// The folded name, to sort by; of those with all words alone.
    name: String,
    note: Option<(Option<i64>, Id)>,
}

struct People {
    /// Everybody, in order.
    all: Vec<Id>,
    /// Those with a word at least.
    matches: BTreeMap<Id, Match>,
}

/// A note with a word at least.
struct FoundNote {
    id: Id,
    at: Option<i64>,
    found: u64,
    about: Vec<Id>,
}

impl Query {
    fn of(asked: &[String]) -> Result<Self, BookError> {
        let words = asked.iter().flat_map(|text| text.split_whitespace()).map(fold);
        let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
        match words.len() {
            0 => Err(BookError::new(ErrorKind::Usage, "there is nothing to look for").hint("ties find WORDS")),
            1..=MOST_WORDS => {
                let finders = words.iter().map(|word| Finder::new(word.as_bytes()).into_owned()).collect();
                Ok(Self { words, finders })
            }
            _ => Err(BookError::new(ErrorKind::Usage, format!("more than {MOST_WORDS} words to look for"))),
        }
    }

    fn all(&self) -> u64 {
        u64::MAX >> (64 - self.words.len())
    }

    fn found_in(&self, folded: &str) -> u64 {
        let found = self.finders.iter().enumerate().filter(|(_, finder)| finder.find(folded.as_bytes()).is_some());
        found.map(|(n, _)| 1 << n).sum()
    }

    fn people(&self, rows: &dyn Rows) -> Result<People, BookError> {
        let mut folded = Folded::default();
        let mut people = People { all: Vec::new(), matches: BTreeMap::new() };
        for row in rows.scan(b"p")? {
            let (key, value) = row?;
            let id = rows::id_of(&key)?;
            people.all.push(id);
            let person: PersonGlance<'_> = rows::decoded(&value)?;
            let found = person.texts().fold(0, |found, text| found | self.found_in(folded.of(text)));
            if found == self.all() {
                let (rank, name) = (self.rank(person.name), fold(person.name));
                people.matches.insert(id, Match { found, rank, name, note: None });
            } else if found != 0 {
                people.matches.insert(id, Match { found, rank: u8::MAX, ..Match::default() });
            }
        }
        // They come in the order of their ids, as bytes sort.
        debug_assert!(people.all.is_sorted());
        Ok(people)
    }

    fn notes(&self, rows: &dyn Rows) -> Result<Vec<FoundNote>, BookError> {
        let mut folded = Folded::default();
        let mut notes = Vec::new();
        for row in rows.scan(b"n")? {
            let (key, value) = row?;
            let note: NoteGlance<'_> = rows::decoded(&value)?;
            let found = self.found_in(folded.of(note.body));
            if found != 0 {
                let id = rows::id_of(&key)?;
                notes.push(FoundNote { id, at: note.time(), found, about: note.people().collect() });
            }
        }
        Ok(notes)
    }

    fn rank(&self, name: &str) -> u8 {
        let (folded, parts) = (fold(name), words(name));
        if self.words.iter().all(|word| parts.iter().any(|part| part.starts_with(word.as_str()))) {
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
        people.sort_unstable_by(|(id, one), (other_id, other)| {
            (one.rank, &one.name, id).cmp(&(other.rank, &other.name, other_id))
        });
        by_note.sort_by_key(|(id, one)| (Reverse(one.note), *id));
        alone.sort_by_key(|&note| Reverse(note));
        let limit = limit.unwrap_or(usize::MAX);
        let more = people.len() + by_note.len() + alone.len() > limit;
        let mut shown = Shown::new(rows);
        let mut hits = Vec::new();
        for (id, one) in people.into_iter().chain(by_note).take(limit) {
            let entry = rows::person(rows, id)?.unwrap_or_default();
            hits.push(self.hit(&mut shown, Some((id, &entry)), one.note)?);
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

/// A text without case and accents, in a buffer that is used again.
#[derive(Default)]
struct Folded(String);

impl Folded {
    fn of(&mut self, text: &str) -> &str {
        if text.is_ascii() {
            self.0.clear();
            self.0.push_str(text);
            self.0.make_ascii_lowercase();
        } else {
            self.0 = fold(text);
        }
        &self.0
    }
}

/// A person's entry as it lies in its row: [`PersonEntry`] without copies.
#[derive(Deserialize)]
struct PersonGlance<'r> {
    name: &'r str,
    _sort_as: &'r str,
    #[serde(borrow)]
    nicknames: Vec<&'r str>,
    handle: &'r str,
    organizations: Vec<&'r str>,
    titles: Vec<&'r str>,
    mails: Vec<&'r str>,
    phones: Vec<&'r str>,
    urls: Vec<&'r str>,
    tags: Vec<&'r str>,
    places: Vec<&'r str>,
    more: Vec<&'r str>,
}

impl<'r> PersonGlance<'r> {
    /// What [`searched_text`](crate::list::searched_text) is made of.
    fn texts(&self) -> impl Iterator<Item = &'r str> {
        let lists = [
            &self.nicknames,
            &self.organizations,
            &self.titles,
            &self.mails,
            &self.phones,
            &self.urls,
            &self.tags,
            &self.places,
            &self.more,
        ];
        [self.name, self.handle].into_iter().chain(lists.into_iter().flatten().copied())
    }
}

/// A note as it lies in its row: the beginning of `ties_model::Note` without copies.
#[derive(Deserialize)]
struct NoteGlance<'r> {
    #[serde(borrow)]
    _kind: KindGlance<'r>,
    refs: Vec<(&'r str, &'r str)>,
    _pinned: bool,
    at: &'r str,
    body: &'r str,
    _group: &'r str,
    _params: &'r str,
    _source: (&'r str, &'r str, Option<u64>, &'r str, &'r str, &'r str),
    created: (&'r str, &'r str),
}

#[derive(Deserialize)]
enum KindGlance<'r> {
    Note,
    Fact,
    Topic,
    GiftIdea,
    Question,
    Unknown(#[allow(dead_code, reason = "only its length matters")] &'r str),
}

impl NoteGlance<'_> {
    fn people(&self) -> impl Iterator<Item = Id> {
        self.refs.iter().filter(|(kind, _)| *kind == "person").filter_map(|(_, id)| id.parse().ok())
    }

    fn time(&self) -> Option<i64> {
        [self.at, self.created.0].into_iter().find_map(milliseconds)
    }
}

/// One bit each.
const MOST_WORDS: usize = 64;
const WORDS_BEFORE: usize = 5;
const WORDS_AFTER: usize = 12;

#[cfg(test)]
mod tests {
    use ties_model::{Created, Note, NoteKind, Reference, Source};

    use super::*;
    use crate::list::searched_text;
    use crate::projection::{note_people, note_rows, note_time, person_rows};
    use crate::rows::encoded;

    #[test]
    fn a_glance_sees_what_the_row_holds() {
        let text = |n: usize| format!("Text number {n} ÄÖ");
        let texts = |n: usize| vec![text(n), text(n + 1)];
        let entry = PersonEntry {
            name: text(1),
            sort_as: text(2),
            nicknames: texts(3),
            handle: text(5),
            organizations: texts(6),
            titles: texts(8),
            mails: texts(10),
            phones: texts(12),
            urls: texts(14),
            tags: texts(16),
            places: texts(18),
            more: texts(20),
        };
        let row = encoded(&entry);
        let glance: PersonGlance<'_> = rows::decoded(&row).unwrap();
        let mut seen: Vec<String> = glance.texts().map(fold).collect();
        let mut expected: Vec<String> = searched_text(&entry).lines().map(str::to_owned).collect();
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected);

        for kind in [NoteKind::Note, NoteKind::GiftIdea, NoteKind::Question, NoteKind::Unknown("song".into())] {
            let note = Note {
                kind,
                refs: [Reference::person(Id([1; 16])), Reference { kind: "org".into(), id: text(1) }].into(),
                pinned: true,
                at: "2026-11-22T10:00:00Z".into(),
                body: text(2),
                group: text(3),
                params: text(4),
                source: Source {
                    kind: text(5),
                    file: text(6),
                    row: Some(300),
                    hash: text(7),
                    at: text(8),
                    revised: text(9),
                },
                created: Created { at: "2026-11-23T10:00:00Z".into(), device: text(10) },
            };
            for note in [Note { at: String::new(), ..note.clone() }, note] {
                let row = encoded(&note);
                let glance: NoteGlance<'_> = rows::decoded(&row).unwrap();
                assert_eq!(glance.body, note.body);
                assert_eq!(glance.time(), note_time(&note));
                assert!(glance.time().is_some());
                assert!(glance.people().eq(note_people(&note)));
            }
        }
    }

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
