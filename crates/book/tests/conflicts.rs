//! Two devices set one field to different values: both list the same, and what settles it on one settles it on both.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use support::{Devices, ask, edit, show, sync};
use ties_book::Book;
use ties_book::api::{
    Answer, BookError, ConflictRow, Conflicts, Environment, ErrorKind, Event, Face, Guest, Reply, Request, Resolution,
    Undo,
};

fn conflicts(book: &Book) -> Conflicts {
    let Reply::Conflicts(found) = ask(book, Request::Conflicts { what: None }) else { panic!("no conflicts") };
    *found
}

fn resolve(book: &Book, what: &str, field: &str, with: Resolution) -> Result<Reply, BookError> {
    book.answer(Request::Resolve { what: what.into(), field: field.into(), with }, &mut ties_book::api::Silent)
}

fn status(book: &Book) -> usize {
    let Reply::Status(status) = ask(book, Request::Status) else { panic!("no status") };
    status.contested
}

fn name(book: &Book, who: &str, from: &str, to: &str) {
    edit(book, who, &format!("name = \"{from}\""), &format!("name = \"{to}\""));
}

/// What differs from one device to the other: which of the devices is the one at hand.
fn anywhere(rows: &[ConflictRow]) -> Vec<ConflictRow> {
    let mut rows = rows.to_vec();
    rows.iter_mut().flat_map(|row| &mut row.values).for_each(|value| value.this = false);
    rows
}

/// Counts what is said of conflicts.
#[derive(Default)]
struct Ear(Vec<String>);

impl Face for Ear {
    fn event(&mut self, event: Event) {
        if let Event::Notice { text } = event
            && text.contains("ties conflicts")
        {
            self.0.push(text);
        }
    }

    fn confirm(&mut self, _: Guest) -> Answer<'_> {
        Box::pin(std::future::ready(false))
    }
}

#[tokio::test]
async fn what_two_devices_set_apart_is_listed_alike_and_settled_once_for_both() {
    for order in [[0, 1, 0], [1, 0, 1]] {
        let devices = Devices::paired().await;
        let both = [&devices.laptop, &devices.phone];
        ask(both[0], Request::New { words: ["Ada", "Lovelace"].map(String::from).to_vec() });
        for book in both {
            sync(book).await;
        }
        name(both[0], "ada", "Ada Lovelace", "Ada King");
        name(both[1], "ada", "Ada Lovelace", "Countess of Lovelace");
        let mut ear = Ear::default();
        for at in order {
            both[at].handle(Request::Sync, &mut ear).await.unwrap();
        }
        assert_eq!(ear.0.len(), 2, "each device says it once: {:?}", ear.0);

        let found = both.map(|book| conflicts(book).fields);
        assert_eq!(anywhere(&found[0]), anywhere(&found[1]));
        assert_eq!(both.map(status), [1, 1]);
        let [row] = &found[0][..] else { panic!("{found:?}") };
        assert_eq!((row.field.as_str(), row.word.as_str()), ("name", "ada"));
        assert_eq!(row.values[0].value, show(both[1], "ada").row.name, "the first is the one that counts");
        let mut said: Vec<_> =
            row.values.iter().map(|one| (one.value.as_str(), one.device.as_deref(), one.this)).collect();
        said.sort_unstable();
        assert_eq!(said, [("Ada King", Some("laptop"), true), ("Countess of Lovelace", Some("phone"), false)]);
        assert!(row.values.iter().all(|one| one.at.is_some()));
        assert_eq!(show(both[1], "ada").contested, ["name"]);

        // The one that counts settles it too.
        let other = row.values[1].value.clone();
        resolve(both[order[0]], "ada", "name", Resolution::Take(2)).unwrap();
        for at in order {
            sync(both[at]).await;
        }
        for book in both {
            assert_eq!((conflicts(book).fields.len(), status(book)), (0, 0));
            assert_eq!(show(book, "ada").row.name, other);
        }
    }
}

#[tokio::test]
async fn what_both_settle_apart_is_a_conflict_again_unless_they_agree() {
    let devices = Devices::paired().await;
    let both = [&devices.laptop, &devices.phone];
    ask(both[0], Request::New { words: ["Ada"].map(String::from).to_vec() });
    ask(both[0], Request::New { words: ["Grace"].map(String::from).to_vec() });
    for book in both {
        sync(book).await;
    }
    for (book, end) in both.into_iter().zip(["One", "Two"]) {
        name(book, "ada", "Ada", &format!("Ada {end}"));
        name(book, "grace", "Grace", &format!("Grace {end}"));
    }
    for at in [0, 1, 0] {
        sync(both[at]).await;
    }
    assert_eq!(both.map(status), [2, 2]);
    resolve(both[0], "ada", "name", Resolution::Take(1)).unwrap();
    resolve(both[1], "ada", "name", Resolution::Take(2)).unwrap();
    for book in both {
        resolve(book, "grace", "name", Resolution::Value("Grace Hopper".into())).unwrap();
    }
    for at in [0, 1, 0] {
        sync(both[at]).await;
    }
    let found = both.map(|book| conflicts(book).fields);
    assert_eq!(anywhere(&found[0]), anywhere(&found[1]));
    assert_eq!(found[0].iter().map(|row| row.word.as_str()).collect::<Vec<_>>(), ["ada"]);
    assert_eq!(show(both[1], "grace").row.name, "Grace Hopper");
}

#[tokio::test]
async fn settling_is_undone_and_wrong_words_settle_nothing() {
    let devices = Devices::paired().await;
    let both = [&devices.laptop, &devices.phone];
    ask(both[0], Request::New { words: ["Ada", "on:2026-05"].map(String::from).to_vec() });
    for book in both {
        sync(book).await;
    }
    edit(both[0], "ada", "2026-05", "2026-06");
    edit(both[1], "ada", "2026-05", "2026-07");
    for at in [0, 1, 0] {
        sync(both[at]).await;
    }
    let book = both[0];
    let before = show(book, "ada").met_on;
    let wrong = [
        ("ada", "name", Resolution::Take(1), ErrorKind::NotFound),
        ("bob", "met-on", Resolution::Take(1), ErrorKind::NotFound),
        ("ada", "met-on", Resolution::Take(3), ErrorKind::Usage),
        ("ada", "met-on", Resolution::Take(0), ErrorKind::Usage),
        ("ada", "met-on", Resolution::Value("soon".into()), ErrorKind::Usage),
        ("ada", "met-on", Resolution::Value(" ".into()), ErrorKind::Usage),
    ];
    for (what, field, with, kind) in wrong {
        let error = resolve(book, what, field, with.clone()).unwrap_err();
        assert_eq!((error.kind, error.hint.is_some()), (kind, true), "{what} {field} {with:?}: {error:?}");
    }
    assert_eq!(status(book), 1);
    resolve(book, "ada", "MET-ON", Resolution::Value("2026-08".into())).unwrap();
    assert_eq!((show(book, "ada").met_on.as_str(), status(book)), ("2026-08", 0));
    ask(book, Request::Undo { which: Undo::Last(1) });
    assert_eq!(show(book, "ada").met_on, before);
    for at in [0, 1] {
        sync(both[at]).await;
    }
    assert_eq!((show(both[1], "ada").met_on, status(both[1])), (before, 0));
}

#[tokio::test]
async fn a_rebuild_and_a_deletion_show_the_same() {
    let devices = Devices::paired().await;
    let both = [&devices.laptop, &devices.phone];
    for who in ["Ada", "Bob"] {
        ask(both[0], Request::New { words: vec![who.into()] });
    }
    for book in both {
        sync(book).await;
    }
    for (book, end) in both.into_iter().zip(["One", "Two"]) {
        name(book, "ada", "Ada", &format!("Ada {end}"));
        name(book, "bob", "Bob", &format!("Bob {end}"));
    }
    for at in [0, 1, 0] {
        sync(both[at]).await;
    }
    ask(both[1], Request::Remove { what: "bob".into() });
    for at in [1, 0] {
        sync(both[at]).await;
    }
    let before = conflicts(both[0]).fields;
    assert_eq!(before.len(), 1, "a deleted record has no conflicts: {before:?}");
    assert_eq!(anywhere(&before), anywhere(&conflicts(both[1]).fields));
    // A program that makes other rows throws these away, and this one makes them anew.
    let home = devices.folder.path().join("laptop");
    let other = ties_engine::Space::open(&home, (), ties_engine::Environment::system()).unwrap();
    assert_eq!(other.view().unwrap().rows(b"").unwrap().count(), 0);
    drop(other);
    let again = Book::open(&home, Environment::default()).unwrap();
    assert_eq!(conflicts(&again).fields, before);
}

#[tokio::test]
async fn one_handle_given_out_twice_is_listed_and_settled_by_another() {
    let devices = Devices::paired().await;
    let both = [&devices.laptop, &devices.phone];
    ask(both[0], Request::New { words: ["Ada", "Lovelace"].map(String::from).to_vec() });
    ask(both[1], Request::New { words: ["Ada", "Byron"].map(String::from).to_vec() });
    for at in [0, 1, 0] {
        sync(both[at]).await;
    }
    let found = both.map(|book| conflicts(book).handles);
    assert_eq!(found[0], found[1]);
    assert_eq!((found[0].len(), found[0][0].people[1].handle.as_str()), (1, "ada-2"));
    let taken = resolve(both[0], "ada-2", "handle", Resolution::Value("ada".into())).unwrap_err();
    assert_eq!(taken.kind, ErrorKind::Usage);
    resolve(both[0], "ada-2", "handle", Resolution::Value("Ada-B".into())).unwrap();
    for at in [0, 1] {
        sync(both[at]).await;
    }
    for book in both {
        assert!(conflicts(book).handles.is_empty());
        show(book, "ada-b");
    }
}
