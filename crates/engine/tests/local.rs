//! One device, no network.

#![allow(clippy::unwrap_used, reason = "tests")]

use automerge::transaction::Transactable;
use automerge::{Automerge, ObjType, ROOT, ReadDoc};
use ties_engine::{CreateOptions, DocumentId, EditError, Environment, Projection, Row, Space};

struct Titles;

impl Projection for Titles {
    fn version(&self) -> u32 {
        1
    }

    fn rows(&self, id: DocumentId, document: &Automerge) -> Vec<Row> {
        let Ok(Some((title, _))) = document.get(ROOT, "title") else { return Vec::new() };
        vec![Row { key: [b"title/", &id.0[..]].concat(), value: title.as_str().unwrap_or_default().into() }]
    }
}

fn options() -> CreateOptions {
    CreateOptions { device_name: "laptop".into(), recovery: true }
}

fn title(space: &Space, id: DocumentId, title: &str) {
    space.write(|edit| edit.change(id, |tx| tx.put(ROOT, "title", title).map_err(EditError::from))).unwrap();
}

fn titles(space: &Space) -> Vec<String> {
    let view = space.view().unwrap();
    let rows = view.rows(b"title/").unwrap();
    rows.map(|row| String::from_utf8(row.unwrap().1).unwrap()).collect()
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (space, words) = Space::create(folder.path(), Titles, &options(), Environment::system()).unwrap();
    assert_eq!(words.unwrap().words().count(), 12);
    let id = space.write(|edit| Ok::<_, EditError>(edit.fresh_id())).unwrap();
    title(&space, id, "milk");
    drop(space);
    let space = Space::open(folder.path(), Titles, Environment::system()).unwrap();
    assert_eq!(titles(&space), ["milk"]);
    title(&space, id, "oat milk");
    assert_eq!(titles(&space), ["oat milk"]);
    assert!(space.write(|edit| edit.delete(id)).unwrap());
    assert!(titles(&space).is_empty());
    assert!(space.read(id, |_| ()).unwrap().is_none());
}

#[test]
fn rows_come_back_from_documents_and_documents_from_entries() {
    let folder = tempfile::tempdir().unwrap();
    let (space, _) = Space::create(folder.path(), Titles, &options(), Environment::system()).unwrap();
    for n in 0..40 {
        let id = DocumentId([n; 16]);
        title(&space, id, &format!("title {n}"));
        title(&space, id, &format!("better title {n}"));
    }
    let before = titles(&space);
    assert_eq!(before.len(), 40);
    space.rebuild_rows().unwrap();
    assert_eq!(titles(&space), before);
    space.rebuild_documents().unwrap();
    assert_eq!(titles(&space), before);
}

#[test]
fn a_seed_is_made_once_and_never_over_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (space, _) = Space::create(folder.path(), Titles, &options(), Environment::system()).unwrap();
    let id = DocumentId([9; 16]);
    let seed = || {
        space.write(|edit| {
            edit.seed(id, |tx| {
                let body = tx.put_object(ROOT, "body", ObjType::Text)?;
                tx.splice_text(&body, 0, 0, "hello")?;
                tx.put(ROOT, "title", "seeded")
            })
        })
    };
    assert!(seed().unwrap());
    assert!(!seed().unwrap());
    assert_eq!(titles(&space), ["seeded"]);
    space.write(|edit| edit.delete(id)).unwrap();
    assert!(!seed().unwrap());
    assert!(titles(&space).is_empty());
    space.rebuild_documents().unwrap();
    assert!(titles(&space).is_empty());
}

#[test]
fn a_failing_edit_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (space, _) = Space::create(folder.path(), Titles, &options(), Environment::system()).unwrap();
    let failed = space.write(|edit| {
        edit.change(DocumentId([1; 16]), |tx| tx.put(ROOT, "title", "half").map_err(EditError::from))?;
        edit.seed(DocumentId([2; 16]), |_| Ok(()))
    });
    assert!(failed.is_err());
    assert!(titles(&space).is_empty());
    assert!(space.view().unwrap().document_ids().unwrap().is_empty());
}

#[test]
fn two_handles_write_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = Space::create(folder.path(), Titles, &options(), Environment::system()).unwrap();
    let two = Space::open(folder.path(), Titles, Environment::system()).unwrap();
    for n in 0..10 {
        title(&one, DocumentId([n; 16]), "one");
        title(&two, DocumentId([n; 16]), "two");
    }
    assert_eq!(titles(&one), vec!["two"; 10]);
}
