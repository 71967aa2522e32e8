//! Notes about people.

use ties_model::{Note, Reference};

use crate::api::{BookError, ErrorKind, NoteKind, NoteView, Removed};
use crate::desk::Desk;
use crate::id::Id;
use crate::list::note_view;
use crate::projection::model_kind;
use crate::resolve;
use crate::rows::{self, Rows};

/// Writes a note about the person that is meant; gives the ids of both.
pub(crate) fn add(desk: &mut dyn Desk, who: &str, text: &str, kind: NoteKind) -> Result<(Id, Id), BookError> {
    let person = resolve::person(desk, who)?;
    if text.trim().is_empty() {
        return Err(BookError::new(ErrorKind::Usage, "the note is empty"));
    }
    Ok((write(desk, Reference::person(person), text, kind)?, person))
}

/// Writes a note about a record.
pub(crate) fn write(desk: &mut dyn Desk, about: Reference, text: &str, kind: NoteKind) -> Result<Id, BookError> {
    let created = desk.here().created();
    let note = Note {
        kind: model_kind(kind),
        refs: [about].into(),
        at: created.at.clone(),
        body: text.trim().to_owned(),
        created,
        ..Note::default()
    };
    let id = desk.fresh_id()?;
    // A text object must come from a seed; with a fresh id nobody else can make the same one.
    desk.seed(id, &mut |tx| Note::seed(tx, &note))?;
    Ok(id)
}

/// One note.
pub(crate) fn show(rows: &dyn Rows, id: Id) -> Result<NoteView, BookError> {
    let entry = rows::note(rows, id)?;
    let entry = entry.ok_or_else(|| BookError::new(ErrorKind::NotFound, format!("the note {id} is gone")))?;
    note_view(rows, id, entry)
}

/// Deletes a note.
pub(crate) fn remove(desk: &mut dyn Desk, id: Id) -> Result<Removed, BookError> {
    let label = label(desk, id)?;
    desk.delete(id)?;
    Ok(Removed { id: id.to_string(), label, notes: 0 })
}

/// A note for a message: `note 3f2a`.
pub(crate) fn label(rows: &dyn Rows, id: Id) -> Result<String, BookError> {
    Ok(format!("note {}", id.short(rows)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::testing::MemoryDesk;
    use crate::people;

    fn desk() -> MemoryDesk {
        let mut desk = MemoryDesk::new();
        people::add(&mut desk, &["Ada".into()]).unwrap();
        people::add(&mut desk, &["Grace".into()]).unwrap();
        desk
    }

    #[test]
    fn a_note_is_shown_with_its_person() {
        let mut desk = desk();
        let (note, person) = add(&mut desk, "ada", " She *likes* tea\n", NoteKind::Fact).unwrap();
        let note = show(&desk, note).unwrap();
        assert_eq!((note.body.as_str(), note.kind), ("She *likes* tea", NoteKind::Fact));
        let view = people::show(&desk, person).unwrap();
        assert_eq!(view.notes, [note]);
        let grace = resolve::person(&desk, "grace").unwrap();
        assert_eq!(people::show(&desk, grace).unwrap().notes, []);
    }

    #[test]
    fn notes_go_with_the_only_person_they_are_about() {
        let mut desk = desk();
        let (note, person) = add(&mut desk, "ada", "tea", NoteKind::Note).unwrap();
        let short = note.short(&desk).unwrap();
        let removed = people::remove(&mut desk, person).unwrap();
        assert_eq!((removed.label.as_str(), removed.notes), ("Ada (@ada)", 1));
        assert_eq!(resolve::record(&desk, &short).unwrap_err().kind, ErrorKind::NotFound);
        assert_eq!(add(&mut desk, "ada", "tea", NoteKind::Note).unwrap_err().kind, ErrorKind::NotFound);
    }

    #[test]
    fn a_note_is_found_by_its_short_id_and_deleted() {
        let mut desk = desk();
        let (note, _) = add(&mut desk, "ada", "tea", NoteKind::Note).unwrap();
        let short = note.short(&desk).unwrap();
        assert_eq!(resolve::record(&desk, &short), Ok(resolve::Record::Note(note)));
        remove(&mut desk, note).unwrap();
        assert!(show(&desk, note).is_err());
    }
}
