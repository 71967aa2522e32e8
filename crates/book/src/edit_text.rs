//! Records as editable text, and what an edited text changes.
//!
//! What is written is the difference between the text that was given out and the text that came back, so an editor
//! left open over lunch does not undo what another device did meanwhile.

use std::collections::BTreeSet;

use automerge::Automerge;
use serde::{Deserialize, Serialize};
use ties_model::{Note, NoteKind as ModelKind, Person, Reference};

use crate::api::{BookError, EditText, ErrorKind, NoteKind};
use crate::desk::Desk;
use crate::front_matter::{self, mistake};
use crate::handle;
use crate::id::Id;
use crate::people::{self, PERSON};
use crate::person_form::PersonForm;
use crate::projection::model_kind;
use crate::resolve::{self, Record};
use crate::rows::{self, Rows};
use crate::{notes, time};

/// The text to edit of a record.
pub(crate) fn text(rows: &dyn Rows, record: Record) -> Result<EditText, BookError> {
    match record {
        Record::Person(id) => {
            let (document, entry) = people::loaded(rows, id)?;
            let label = people::label(rows, id, &entry)?;
            let mut person = Person::read(&document);
            person.tie.met_through = met_through_shown(rows, &person.tie.met_through)?;
            let title = format!("{label} [{}]", id.short(rows)?);
            let advice = [
                title.as_str(),
                "Save and close to apply; an empty file changes nothing.",
                "A new item goes into a table of its own: [emails.new] and below it address = \"…\"; likewise phones (number),",
                "profiles (service, user, uri), links (uri), organizations (name, units), titles (name), dates (kind, date),",
                "addresses (street, postcode, locality, region, country). Text below the second line of +++ becomes a note.",
            ];
            let text = front_matter::written(&advice, &PersonForm::of(&person), "")?;
            Ok(EditText { id: id.to_string(), label, text })
        }
        Record::Organization(_) => Err(BookError::new(ErrorKind::Usage, "an organization is edited by its fields")
            .hint("ties org NAME kind:company location:Wien; ties help org names the fields")),
        Record::Note(id) => {
            let label = notes::label(rows, id)?;
            let note = Note::read(&document(rows, id)?);
            let mut body = note.body.clone();
            if !body.ends_with('\n') {
                body.push('\n');
            }
            let advice = [label.as_str(), "Save and close to apply; an empty file changes nothing."];
            let text = front_matter::written(&advice, &NoteForm::of(rows, &note)?, &body)?;
            Ok(EditText { id: id.to_string(), label, text })
        }
    }
}

/// Applies an edited text; gives the record's label and the fields that changed.
pub(crate) fn apply(
    desk: &mut dyn Desk,
    id: Id,
    before: &str,
    after: &str,
) -> Result<(String, Vec<String>), BookError> {
    if after.trim().is_empty() {
        return Err(BookError::new(ErrorKind::Failed, "the text is empty; nothing was changed"));
    }
    if rows::person(desk, id)?.is_some() {
        apply_to_person(desk, id, before, after)
    } else if rows::note(desk, id)?.is_some() {
        apply_to_note(desk, id, before, after)
    } else {
        Err(BookError::new(ErrorKind::NotFound, "the record was deleted while you edited it"))
    }
}

fn apply_to_person(desk: &mut dyn Desk, id: Id, before: &str, after: &str) -> Result<(String, Vec<String>), BookError> {
    let (document, entry) = people::loaded(desk, id)?;
    let label = people::label(desk, id, &entry)?;
    let present = Person::read(&document);
    let (base, _) = front_matter::read::<PersonForm>(before)?;
    let (edited, note) = front_matter::read::<PersonForm>(after)?;
    let (mut base, mut edited) = (base.applied_to(&present)?, edited.applied_to(&present)?);
    for person in [&mut base, &mut edited] {
        person.tie.met_through = met_through_stored(desk, &person.tie.met_through, &present.tie.met_through)?;
    }
    if edited.handle != base.handle
        && let Some(holder) = handle::holder(desk, &edited.handle)?
        && holder != id
    {
        let holder = rows::person(desk, holder)?.unwrap_or_default().name;
        return Err(mistake(format!("@{} is {holder} already", edited.handle)));
    }
    let mut changed = PersonForm::changed(&base, &edited);
    if !changed.is_empty() {
        desk.change(id, &mut |tx| edited.write_since(&base, tx).map(drop))?;
    }
    if !note.trim().is_empty() {
        notes::write(desk, Reference::person(id), &note, NoteKind::Note)?;
        changed.push("note".to_owned());
    }
    Ok((label, changed))
}

fn apply_to_note(desk: &mut dyn Desk, id: Id, before: &str, after: &str) -> Result<(String, Vec<String>), BookError> {
    let present = Note::read(&document(desk, id)?);
    let (base_form, base_body) = front_matter::read::<NoteForm>(before)?;
    let (form, body) = front_matter::read::<NoteForm>(after)?;
    let base = Note { body: base_body.trim_end().to_owned(), ..base_form.applied_to(desk, &present)? };
    let edited = Note { body: body.trim_end().to_owned(), ..form.applied_to(desk, &present)? };
    let differences = [
        ("kind", base.kind != edited.kind),
        ("pinned", base.pinned != edited.pinned),
        ("at", base.at != edited.at),
        ("people", base.refs != edited.refs),
        ("text", base.body != edited.body),
    ];
    let changed: Vec<String> =
        differences.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()).collect();
    if !changed.is_empty() {
        desk.change(id, &mut |tx| edited.write_since(&base, tx).map(drop))?;
    }
    Ok((notes::label(desk, id)?, changed))
}

fn document(rows: &dyn Rows, id: Id) -> Result<Automerge, BookError> {
    let document = rows.document(id)?;
    document.ok_or_else(|| BookError::new(ErrorKind::NotFound, format!("the record {id} is gone")))
}

/// A reference as `@ada`, if it is to a person with a handle.
fn met_through_shown(rows: &dyn Rows, stored: &str) -> Result<String, BookError> {
    match stored.strip_prefix(PERSON).and_then(|id| id.parse().ok()) {
        Some(id) => person_shown(rows, id).map(|shown| shown.unwrap_or_else(|| stored.to_owned())),
        None => Ok(stored.to_owned()),
    }
}

/// The reference behind `@ada`. What is not touched stays, though the handle may mean somebody else by now.
fn met_through_stored(rows: &dyn Rows, shown: &str, present: &str) -> Result<String, BookError> {
    if shown == met_through_shown(rows, present)? {
        return Ok(present.to_owned());
    }
    match shown.strip_prefix('@') {
        Some(handle) => Ok(format!("{PERSON}{}", resolve::person(rows, handle)?)),
        None => Ok(shown.trim().to_owned()),
    }
}

fn person_shown(rows: &dyn Rows, id: Id) -> Result<Option<String>, BookError> {
    let Some(entry) = rows::person(rows, id)? else { return Ok(None) };
    let handle = handle::shown(rows, id, &entry.handle)?;
    Ok(Some(if handle.is_empty() { id.to_string() } else { format!("@{handle}") }))
}

/// The fields of a note that a user edits beside its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoteForm {
    kind: NoteKind,
    #[serde(default)]
    pinned: bool,
    #[serde(default)]
    at: String,
    #[serde(default)]
    people: Vec<String>,
}

impl NoteForm {
    fn of(rows: &dyn Rows, note: &Note) -> Result<Self, BookError> {
        let mut people = Vec::new();
        for id in note.refs.iter().filter_map(person_id) {
            people.push(person_shown(rows, id)?.unwrap_or_else(|| id.to_string()));
        }
        Ok(Self { kind: crate::projection::note_kind(&note.kind), pinned: note.pinned, at: note.at.clone(), people })
    }

    /// The note with what the form says, its text aside.
    fn applied_to(self, rows: &dyn Rows, present: &Note) -> Result<Note, BookError> {
        let mut note = present.clone();
        // A kind of a later version is shown as a plain note; left so, it stays what it is.
        if !(matches!(note.kind, ModelKind::Unknown(_)) && self.kind == NoteKind::Note) {
            note.kind = model_kind(self.kind);
        }
        note.pinned = self.pinned;
        if !self.at.is_empty() && time::milliseconds(&self.at).is_none() {
            return Err(mistake(format!("at: {:?} is no time like 2026-11-22T10:00:00Z", self.at)));
        }
        note.at = self.at;
        let mut people = BTreeSet::new();
        for who in &self.people {
            let id = match who.parse() {
                Ok(id) => id,
                Err(()) => resolve::person(rows, who)?,
            };
            people.insert(Reference::person(id));
        }
        note.refs.retain(|one| person_id(one).is_none());
        note.refs.extend(people);
        Ok(note)
    }
}

fn person_id(reference: &Reference) -> Option<Id> {
    (reference.kind == "person").then(|| reference.id.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::testing::MemoryDesk;

    fn desk() -> (MemoryDesk, Id) {
        let mut desk = MemoryDesk::new();
        people::add(&mut desk, &["Grace".into()]).unwrap();
        let added = people::add(&mut desk, &["Ada".into(), "ada@mail.example".into(), "via:grace".into()]).unwrap();
        (desk, added.id)
    }

    fn edited(desk: &mut MemoryDesk, what: &str, from: &str, to: &str) -> Result<Vec<String>, BookError> {
        let record = resolve::record(desk, what).unwrap();
        let before = text(desk, record).unwrap();
        assert!(before.text.contains(from), "{}", before.text);
        let after = before.text.replace(from, to);
        apply(desk, before.id.parse().unwrap(), &before.text, &after).map(|(_, changed)| changed)
    }

    #[test]
    fn a_text_left_as_it_is_changes_nothing() {
        let (mut desk, id) = desk();
        let heads = desk.documents[&id].get_heads();
        assert_eq!(edited(&mut desk, "ada", "", "").unwrap(), [""; 0]);
        assert_eq!(desk.documents[&id].get_heads(), heads);
    }

    #[test]
    fn fields_and_a_note_are_taken_from_the_text() {
        let (mut desk, id) = desk();
        let changed = edited(&mut desk, "ada", "name = \"Ada\"", "name = \"Ada King\"").unwrap();
        assert_eq!(changed, ["name"]);
        let record = Record::Person(id);
        let before = text(&desk, record).unwrap().text;
        assert!(before.contains("met_through = \"@grace\""));
        let (_, changed) = apply(&mut desk, id, &before, &format!("{before}Likes *tea*\n")).unwrap();
        assert_eq!(changed, ["note"]);
        let view = people::show(&desk, id).unwrap();
        assert_eq!((view.row.name.as_str(), view.notes[0].body.as_str()), ("Ada King", "Likes *tea*"));
        assert_eq!(view.met_through, "Grace (@grace)");
    }

    #[test]
    fn what_changed_meanwhile_stays() {
        let (mut desk, id) = desk();
        let before = text(&desk, Record::Person(id)).unwrap().text;
        edited(&mut desk, "ada", "tags = []", "tags = [\"maths\"]").unwrap();
        edited(&mut desk, "ada", "handle = \"ada\"", "handle = \"countess\"").unwrap();
        let after = before.replace("how_met = \"\"", "how_met = \"at tea\"");
        apply(&mut desk, id, &before, &after).unwrap();
        let view = people::show(&desk, id).unwrap();
        assert_eq!(
            (view.row.tags, view.row.handle, view.how_met),
            (vec!["maths".into()], "countess".into(), "at tea".into())
        );
    }

    #[test]
    fn two_edits_of_one_note_are_both_in_it() {
        let (mut desk, _) = desk();
        let (id, _) = notes::add(&mut desk, "ada", "She likes tea.", NoteKind::Note).unwrap();
        let before = text(&desk, Record::Note(id)).unwrap().text;
        edited(&mut desk, &id.to_string(), "She", "Ada").unwrap();
        let (_, changed) = apply(&mut desk, id, &before, &before.replace("tea", "green tea")).unwrap();
        assert_eq!(changed, ["text"]);
        assert_eq!(notes::show(&desk, id).unwrap().body, "Ada likes green tea.");
    }

    #[test]
    fn a_note_can_be_about_more_people() {
        let (mut desk, _) = desk();
        let (id, _) = notes::add(&mut desk, "ada", "Tea", NoteKind::Note).unwrap();
        let changed =
            edited(&mut desk, &id.to_string(), "people = [\"@ada\"]", "people = [\"@ada\", \"grace\"]").unwrap();
        assert_eq!(changed, ["people"]);
        assert_eq!(notes::show(&desk, id).unwrap().people.len(), 2);
        assert_eq!(
            edited(&mut desk, &id.to_string(), "kind = \"note\"", "kind = \"poem\"").unwrap_err().kind,
            ErrorKind::Usage
        );
    }

    #[test]
    fn an_empty_text_and_a_taken_handle_are_refused() {
        let (mut desk, id) = desk();
        let before = text(&desk, Record::Person(id)).unwrap().text;
        assert_eq!(apply(&mut desk, id, &before, " \n").unwrap_err().kind, ErrorKind::Failed);
        let error = edited(&mut desk, "ada", "handle = \"ada\"", "handle = \"grace\"").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Usage);
    }
}
