//! What people do with their documents.

use automerge::transaction::{Transactable, Transaction};
use automerge::{AutomergeError, ObjType, ROOT, ReadDoc};
use ties_engine::{DocumentId, Edit, EditError};
use ties_tests::Dice;

/// What one operation did.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Documents and keys in them that no other operation sets, so that it can be found again.
    pub(crate) marks: Vec<(DocumentId, String)>,
    /// Documents that got their first state here.
    pub(crate) seeded: Vec<DocumentId>,
    /// Notes whose text was changed.
    pub(crate) notes: Vec<DocumentId>,
    pub(crate) deleted: Vec<DocumentId>,
}

const RECORDS: u64 = 8;
const NOTES: u64 = 3;
const FILES: u64 = 3;
const PEOPLE_PER_FILE: u8 = 4;

/// One operation of one person. `number` is used once in a world.
pub(crate) fn operate(edit: &mut Edit<'_>, dice: &mut Dice, number: u64) -> Result<Done, EditError> {
    let mut done = Done::default();
    match dice.below(20) {
        0..=9 => {
            for _ in 0..dice.range(1..4) {
                let id = record(dice);
                change(edit, dice, id, number, &mut done)?;
            }
        }
        10 => {
            let id = edit.fresh_id();
            change(edit, dice, id, number, &mut done)?;
        }
        11..=14 => write_note(edit, dice, number, &mut done)?,
        15..=17 => import(edit, dice, number, &mut done)?,
        _ => {
            let id = if dice.per_mille(700) { record(dice) } else { note(dice) };
            if edit.delete(id)? {
                done.deleted.push(id);
            }
        }
    }
    Ok(done)
}

/// An operation too large for one entry.
pub(crate) fn operate_at_large(edit: &mut Edit<'_>, dice: &mut Dice, number: u64) -> Result<Done, EditError> {
    let mut done = Done::default();
    for _ in 0..3 {
        let id = edit.fresh_id();
        let picture = dice.bytes(370_000);
        edit.change(id, |tx| tx.put(ROOT, "photo", picture).map_err(EditError::from))?;
        change(edit, dice, id, number, &mut done)?;
    }
    Ok(done)
}

fn record(dice: &mut Dice) -> DocumentId {
    DocumentId([1 + dice.below(RECORDS) as u8; 16])
}

fn note(dice: &mut Dice) -> DocumentId {
    DocumentId([100 + dice.below(NOTES) as u8; 16])
}

fn change(edit: &mut Edit<'_>, dice: &mut Dice, id: DocumentId, number: u64, done: &mut Done) -> Result<(), EditError> {
    let mark = format!("mark/{number}");
    edit.change(id, |tx| {
        for _ in 0..dice.range(1..4) {
            let key = ["name/full", "emails/a/label", "emails/b/label", "keywords/rust", "met"][dice.index(5)];
            if dice.per_mille(200) && tx.get(ROOT, key)?.is_some() {
                tx.delete(ROOT, key)?;
            } else {
                tx.put(ROOT, key, dice.below(1000))?;
            }
        }
        tx.put(ROOT, &mark, true).map_err(EditError::from)
    })?;
    done.marks.push((id, mark));
    Ok(())
}

/// The template of a note is the same everywhere, so that its text is one text however many begin it.
fn write_note(edit: &mut Edit<'_>, dice: &mut Dice, number: u64, done: &mut Done) -> Result<(), EditError> {
    let id = note(dice);
    if edit.seed(id, begin_note)? {
        done.seeded.push(id);
    }
    let mark = format!("mark/{number}");
    edit.change(id, |tx| {
        if let Some((_, body)) = tx.get(ROOT, "body")? {
            let length = tx.length(&body);
            let at = dice.index(length + 1);
            let gone = dice.index((length - at).min(4) + 1) as isize;
            tx.splice_text(&body, at, gone, &format!("<{number}>"))?;
        }
        tx.put(ROOT, &mark, true).map_err(EditError::from)
    })?;
    done.marks.push((id, mark));
    done.notes.push(id);
    Ok(())
}

fn begin_note(tx: &mut Transaction<'_>) -> Result<(), AutomergeError> {
    let body = tx.put_object(ROOT, "body", ObjType::Text)?;
    tx.splice_text(&body, 0, 0, "met at the harbour, spoke of boats")
}

/// Reads one of a few files, and at times corrects somebody in it at once.
fn import(edit: &mut Edit<'_>, dice: &mut Dice, number: u64, done: &mut Done) -> Result<(), EditError> {
    let file = dice.below(FILES) as u8;
    for person in 0..PEOPLE_PER_FILE {
        let id = DocumentId([150 + file * PEOPLE_PER_FILE + person; 16]);
        let seeded = edit.seed(id, |tx| {
            tx.put(ROOT, "name/full", format!("person {person} of file {file}"))?;
            tx.put(ROOT, "emails/a/address", format!("{person}@{file}.example"))?;
            begin_note(tx)
        })?;
        if seeded {
            done.seeded.push(id);
        }
        if dice.per_mille(250) {
            change(edit, dice, id, number, done)?;
        }
    }
    Ok(())
}
