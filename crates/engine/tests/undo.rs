//! Undoing on one device: what comes back, what is left, what is listed.

#![allow(clippy::unwrap_used, reason = "tests")]

use automerge::transaction::Transactable;
use automerge::{Automerge, ObjType, ROOT, ReadDoc};
use ties_engine::{
    CreateOptions, DocumentId, EditError, Effect, Environment, Operation, OperationId, Space, UndoError, Undone,
    last_change,
};

const ID: DocumentId = DocumentId([1; 16]);

fn space() -> (tempfile::TempDir, Space) {
    let folder = tempfile::tempdir().unwrap();
    let options = CreateOptions { device_name: "laptop".into(), recovery: false };
    let (space, _) = Space::create(&folder.path().join("data"), (), &options, Environment::system()).unwrap();
    (folder, space)
}

fn put(space: &Space, key: &str, value: &str) {
    let put =
        |edit: &mut ties_engine::Edit<'_>| edit.change(ID, |tx| tx.put(ROOT, key, value).map_err(EditError::from));
    space.operation(format!("put {key}")).write(put).unwrap();
}

fn seed(space: &Space, id: DocumentId, title: &str) -> bool {
    let seed = |edit: &mut ties_engine::Edit<'_>| {
        edit.seed(id, |tx| {
            let body = tx.put_object(ROOT, "body", ObjType::Text)?;
            tx.splice_text(&body, 0, 0, "hello")?;
            tx.put(ROOT, "title", title)
        })
    };
    space.operation("seed").write(seed).unwrap()
}

fn write(space: &Space, text: &str) {
    let write = |edit: &mut ties_engine::Edit<'_>| {
        edit.change(ID, |tx| {
            let (_, body) = tx.get(ROOT, "body").unwrap().unwrap();
            tx.update_text(&body, text).map_err(EditError::from)
        })
    };
    space.operation("write").write(write).unwrap();
}

/// Everything that a reader sees of a document: its scalars, its body, and when it was changed last.
fn shown(document: &Automerge) -> String {
    let mut shown = format!("{:?}", last_change(document));
    for item in document.map_range(ROOT, ..) {
        shown.push_str(&format!(" {}={:?}", item.key, item.value));
    }
    if let Some((_, body)) = document.get(ROOT, "body").unwrap() {
        shown.push_str(&document.text(&body).unwrap_or_default());
    }
    shown
}

fn all(space: &Space) -> Vec<Option<String>> {
    let ids = space.view().unwrap().document_ids().unwrap();
    ids.into_iter().map(|id| space.read(id, shown).unwrap()).collect()
}

fn undo(space: &Space, count: usize) -> Undone {
    let which = space.undoable(count).unwrap();
    assert_eq!(which.len(), count);
    space.undo("undo", &which, &mut |_, _| {}).unwrap()
}

fn redo(space: &Space) -> Undone {
    let which = space.redoable().unwrap().unwrap();
    space.undo("redo", &[which], &mut |_, _| {}).unwrap()
}

fn operations(space: &Space) -> Vec<Operation> {
    let mut found = Vec::new();
    space
        .operations(|operation| {
            found.push(operation);
            true
        })
        .unwrap();
    found
}

fn named(space: &Space, number: u64) -> OperationId {
    operations(space).into_iter().find(|one| one.number == number).unwrap().id
}

#[test]
fn undo_walks_back_step_by_step_and_redo_forward_again() {
    let (_folder, space) = space();
    let mut states = vec![all(&space)];
    for (key, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")] {
        put(&space, key, value);
        states.push(all(&space));
    }
    for state in states.iter().rev().skip(1) {
        undo(&space, 1);
        let now = all(&space);
        // A document that is not there yet and one that is gone again look the same.
        assert_eq!(now.iter().flatten().collect::<Vec<_>>(), state.iter().flatten().collect::<Vec<_>>());
    }
    assert_eq!(space.undoable(1).unwrap(), []);
    for state in states.iter().skip(1) {
        redo(&space);
        assert_eq!(&all(&space), state);
    }
    assert_eq!(space.redoable().unwrap(), None);
    undo(&space, 3);
    assert_eq!(all(&space), states[1]);
    redo(&space);
    assert_eq!(all(&space), states[4]);
}

#[test]
fn a_key_that_changed_later_is_left_and_named() {
    let (_folder, space) = space();
    put(&space, "a", "1");
    space
        .write(|edit| {
            edit.change(ID, |tx| {
                tx.put(ROOT, "a", "2")?;
                tx.put(ROOT, "b", "2").map_err(EditError::from)
            })
        })
        .unwrap();
    put(&space, "b", "3");
    let undone = space.undo("undo", &[named(&space, 2)], &mut |_, _| {}).unwrap();
    assert_eq!(
        (undone.documents[0].restored.as_slice(), undone.documents[0].kept.as_slice()),
        (&["a".to_owned()][..], &["b".to_owned()][..])
    );
    let value =
        |key: &str| space.read(ID, |doc| doc.get(ROOT, key).unwrap().map(|(v, _)| v.to_string())).unwrap().unwrap();
    assert_eq!((value("a").as_deref(), value("b").as_deref()), (Some("\"1\""), Some("\"3\"")));
    // With the later change undone, what is left of the undone one stands in nobody's way.
    undo(&space, 1);
    assert_eq!(value("b").as_deref(), Some("\"2\""));
    let undone = undo(&space, 1);
    assert_eq!((undone.operation, undone.documents[0].kept.as_slice()), (None, &["b".to_owned()][..]), "b is in use");
}

#[test]
fn a_document_that_was_changed_later_is_not_taken_away() {
    let (_folder, space) = space();
    put(&space, "a", "1");
    put(&space, "b", "2");
    let before = all(&space);
    let undone = space.undo("undo", &[named(&space, 1)], &mut |_, _| {}).unwrap();
    assert_eq!((undone.operation, undone.documents[0].effect), (None, Effect::None));
    assert_eq!(undone.documents[0].kept, ["b"]);
    assert_eq!(all(&space), before);
    assert_eq!(space.undoable(9).unwrap().len(), 2, "what could not be undone is not undone");
}

#[test]
fn what_was_deleted_comes_back_and_what_was_seeded_goes() {
    let (_folder, space) = space();
    assert!(seed(&space, ID, "seeded"));
    write(&space, "hello world");
    let before = all(&space);
    space.write(|edit| edit.delete(ID)).unwrap();
    assert_eq!(all(&space), [None]);
    assert_eq!(undo(&space, 1).documents[0].effect, Effect::Revived);
    assert_eq!(all(&space), before);
    assert_eq!(undo(&space, 1).documents[0].restored, ["body"]);
    assert!(all(&space)[0].as_ref().unwrap().ends_with("hello"));
    assert_eq!(undo(&space, 1).documents[0].effect, Effect::Removed);
    assert_eq!(all(&space), [None]);
    (0..2).for_each(|_| drop(redo(&space)));
    assert_eq!(all(&space), before);
}

#[test]
fn what_was_undone_may_be_seeded_again_but_not_what_was_deleted() {
    let (_folder, space) = space();
    seed(&space, ID, "seeded");
    let before = all(&space);
    undo(&space, 1);
    assert!(seed(&space, ID, "seeded"), "as if it had never been");
    assert_eq!(all(&space), before);
    undo(&space, 1);
    assert!(seed(&space, ID, "otherwise"));
    assert!(all(&space)[0].as_ref().unwrap().contains("otherwise"));
    undo(&space, 1);
    assert_eq!(all(&space), [None]);
    redo(&space);
    assert!(all(&space)[0].as_ref().unwrap().contains("otherwise"));
    space.write(|edit| edit.delete(ID)).unwrap();
    assert!(!seed(&space, ID, "seeded"));
    assert_eq!(all(&space), [None]);
}

#[test]
fn the_list_tells_what_was_done_and_what_is_undone() {
    let (folder, space) = space();
    put(&space, "a", "1");
    let mut import = space.operation("import");
    for n in 2..6 {
        import.write(|edit| edit.seed(DocumentId([n; 16]), |tx| tx.put(ROOT, "title", i64::from(n)))).unwrap();
        // Another process may write between the parts.
        put(&space, "a", &n.to_string());
    }
    let last = space.undoable(1).unwrap()[0];
    space.undo("undo", &[last], &mut |_, _| {}).unwrap();
    drop(space);
    let space = Space::open(&folder.path().join("data"), (), Environment::system()).unwrap();
    let listed = operations(&space);
    assert_eq!(listed.iter().map(|one| one.number).collect::<Vec<_>>(), [7, 6, 5, 4, 3, 2, 1]);
    let import = &listed[5];
    assert_eq!((import.label.as_str(), import.documents, import.first.len()), ("import", 4, 3));
    assert_eq!(
        listed.iter().map(|one| one.undone).collect::<Vec<_>>(),
        [false, true, false, false, false, false, false]
    );
    assert!(matches!(space.undo("undo", &[last], &mut |_, _| {}), Err(UndoError::Already)));
    assert!(matches!(space.undo("undo", &[OperationId([0; 8])], &mut |_, _| {}), Err(UndoError::Unknown)));
    let undone = space.undo("undo", &[import.id], &mut |_, _| {}).unwrap();
    assert_eq!(undone.documents.len(), 4);
    assert_eq!(all(&space).iter().flatten().count(), 1);
}

#[test]
fn a_write_that_changes_nothing_or_fails_is_no_operation() {
    let (_folder, space) = space();
    space.write(|edit| edit.delete(ID)).unwrap();
    let failed = space.write(|edit| {
        edit.change(ID, |tx| tx.put(ROOT, "a", 1).map_err(EditError::from))?;
        Err::<(), _>(EditError::Seed)
    });
    assert!(failed.is_err());
    assert_eq!(operations(&space), []);
}

#[test]
fn a_large_operation_is_undone_in_parts_and_counts_as_one() {
    let (_folder, space) = space();
    let mut import = space.operation("import");
    for part in 0..3u8 {
        import
            .write(|edit| {
                for n in 0..400u16 {
                    let mut id = [part; 16];
                    id[..2].copy_from_slice(&n.to_be_bytes());
                    edit.seed(DocumentId(id), |tx| tx.put(ROOT, "title", i64::from(n)))?;
                }
                Ok::<_, EditError>(())
            })
            .unwrap();
    }
    let mut told = Vec::new();
    let which = space.undoable(1).unwrap();
    space.undo("undo", &which, &mut |done, total| told.push((done, total))).unwrap();
    assert_eq!(told, [(0, 1200), (500, 1200), (1000, 1200), (1200, 1200)]);
    assert_eq!(all(&space).iter().flatten().count(), 0);
    let listed = operations(&space);
    assert_eq!((listed.len(), listed[0].documents, listed[0].complete), (2, 1200, true));
    redo(&space);
    assert_eq!(all(&space).iter().flatten().count(), 1200);
}
