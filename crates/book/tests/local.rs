//! A book on one device, in a folder of its own.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use tempfile::TempDir;
use ties_book::api::{
    Environment, ErrorKind, ExportFormat, ImportReport, Init, NoteKind, PersonRow, PersonView, Reply, Request, Silent,
};
use ties_book::{Book, sample};

fn book(name: &str) -> (TempDir, Book) {
    let dir = tempfile::tempdir().unwrap();
    let init = Init { device_name: name.into(), recovery: false };
    let (book, _) = Book::create(&dir.path().join("data"), init, Environment::default()).unwrap();
    (dir, book)
}

fn ask(book: &Book, request: Request) -> Reply {
    book.answer(request, &mut Silent).unwrap()
}

fn new(book: &Book, words: &str) -> PersonRow {
    let words = words.split(' ').map(str::to_owned).collect();
    let Reply::PersonAdded(added) = ask(book, Request::New { words }) else { panic!("nobody was added") };
    added.person
}

fn show(book: &Book, who: &str) -> PersonView {
    let Reply::Person(view) = ask(book, Request::Show { who: who.into() }) else { panic!("{who} is nobody") };
    *view
}

fn import(book: &Book, file: &str) -> ImportReport {
    let request = Request::Import { file_name: "a.vcf".into(), bytes: file.into(), dry_run: false };
    let Reply::Imported(report) = ask(book, request) else { panic!("nothing was imported") };
    report
}

fn export(book: &Book, format: ExportFormat) -> String {
    let Reply::Exported(exported) = ask(book, Request::Export { options: format.into(), filter: Vec::new() }) else {
        panic!("nothing was exported")
    };
    String::from_utf8(exported.files[0].bytes.clone()).unwrap()
}

#[test]
fn what_was_written_is_there_after_opening_again() {
    let (dir, book) = book("laptop");
    let ada = new(&book, "Ada Lovelace ada@mail.example +maths");
    let note = Request::Note { who: "ada".into(), text: "Likes tea".into(), kind: NoteKind::Fact };
    ask(&book, note);
    drop(book);
    let book = Book::open(&dir.path().join("data"), Environment::default()).unwrap();
    let view = show(&book, "ada@mail.example");
    assert_eq!(view.row.id, ada.id);
    assert_eq!(view.notes[0].body, "Likes tea");
    assert!(view.updated.is_some());
    assert_eq!(view.row.card.as_ref().unwrap()["name"]["full"], "Ada Lovelace");
}

#[test]
fn a_folder_holds_one_book_or_none() {
    let (dir, _book) = book("laptop");
    let init = Init { device_name: "x".into(), recovery: false };
    let again = Book::create(&dir.path().join("data"), init, Environment::default()).map(drop);
    assert_eq!(again.unwrap_err().kind, ErrorKind::Usage);
    let none = Book::open(Path::new("/nowhere/at/all"), Environment::default()).map(drop);
    assert_eq!(none.unwrap_err().kind, ErrorKind::NotFound);
}

#[test]
fn an_edited_text_is_applied() {
    let (_dir, book) = book("laptop");
    let ada = new(&book, "Ada Lovelace");
    let Reply::EditText(text) = ask(&book, Request::EditText { what: "ada".into() }) else { panic!("no text") };
    let after = text.text.replace("how_met = \"\"", "how_met = \"at tea\"");
    let Reply::Edited { changed, .. } = ask(&book, Request::EditApply { id: text.id, before: text.text, after }) else {
        panic!("nothing was edited")
    };
    assert_eq!(changed, ["how met"]);
    assert_eq!(show(&book, &ada.short).how_met, "at tea");
}

#[test]
fn an_ambiguous_name_writes_nothing() {
    let (_dir, book) = book("laptop");
    new(&book, "Ada Lovelace @countess");
    new(&book, "Ada Byron @byron");
    let request = Request::Note { who: "ada".into(), text: "tea".into(), kind: NoteKind::Note };
    let error = book.answer(request, &mut Silent).unwrap_err();
    assert_eq!((error.kind, error.kind.exit_code(), error.candidates.len()), (ErrorKind::Ambiguous, 4, 2));
    assert!(["byron", "countess"].iter().all(|who| show(&book, who).notes.is_empty()));
}

#[test]
fn a_sample_goes_in_once_and_comes_out_the_same_on_two_devices() {
    let file = sample::vcards(60, 7);
    let ((_one_dir, one), (_other_dir, other)) = (book("laptop"), book("phone"));
    let report = import(&one, &file);
    assert_eq!((report.people_created, report.people_known, report.rejects.len()), (60, 0, 0));
    import(&other, &file);
    assert_eq!(export(&one, ExportFormat::Json), export(&other, ExportFormat::Json));
    assert_eq!(export(&one, ExportFormat::Vcf), export(&other, ExportFormat::Vcf));
    let again = import(&one, &file);
    assert_eq!((again.people_created, again.people_known, again.notes_created), (0, 60, 0));
}

#[test]
fn what_is_exported_can_be_imported_elsewhere() {
    let ((_one_dir, one), (_other_dir, other)) = (book("laptop"), book("phone"));
    import(&one, &sample::vcards(40, 8));
    let report = import(&other, &export(&one, ExportFormat::Vcf));
    assert_eq!((report.people_created, report.rejects), (40, vec![]));
}

#[test]
fn a_preview_writes_nothing() {
    let (_dir, book) = book("laptop");
    let request = Request::Import { file_name: "a.vcf".into(), bytes: sample::vcards(20, 7).into(), dry_run: true };
    let Reply::Imported(report) = ask(&book, request) else { panic!("no report") };
    assert_eq!((report.people_created, report.dry_run), (20, true));
    let Reply::People(page) = ask(&book, Request::List { filter: vec![], offset: 0, limit: None, cards: false }) else {
        panic!("no list")
    };
    assert_eq!(page.people, []);
}

#[test]
fn deleting_is_for_good_and_said_at_the_next_import() {
    let (_dir, book) = book("laptop");
    import(&book, "BEGIN:VCARD\nVERSION:4.0\nUID:a\nFN:Ada Lovelace\nNOTE:tea\nEND:VCARD\n");
    let Reply::Removed(removed) = ask(&book, Request::Remove { what: "ada-lovelace".into() }) else {
        panic!("still there")
    };
    assert_eq!(removed.notes, 1);
    let report = import(&book, "BEGIN:VCARD\nVERSION:4.0\nUID:a\nFN:Ada Lovelace\nNOTE:tea\nEND:VCARD\n");
    assert_eq!(report.removed_before, ["Ada Lovelace"]);
    let Reply::Found { hits, .. } = ask(&book, Request::Find { words: vec!["tea".into()], limit: None }) else {
        panic!("no answer")
    };
    assert_eq!(hits, []);
}

#[test]
fn status_and_devices_are_answered_without_a_relay() {
    let (_dir, book) = book("laptop");
    new(&book, "Ada Lovelace");
    let Reply::Status(status) = ask(&book, Request::Status) else { panic!("no status") };
    assert_eq!((status.device_name.as_str(), status.people, status.stuck), ("laptop", 1, false));
    let Reply::Devices { devices } = ask(&book, Request::DeviceList) else { panic!("no devices") };
    assert_eq!((devices.len(), devices[0].this, devices[0].name.as_str()), (1, true, "laptop"));
    assert_eq!(devices[0].role, "admin");
}

#[test]
fn a_recovery_key_is_twelve_words_and_not_shown_by_debug() {
    let dir = tempfile::tempdir().unwrap();
    let init = Init { device_name: "laptop".into(), recovery: true };
    let (_book, created) = Book::create(&dir.path().join("data"), init, Environment::default()).unwrap();
    let words = created.recovery_words.as_ref().unwrap();
    assert_eq!(words.expose().split(' ').count(), 12);
    // One word alone may stand there by chance: key, record, laptop's own name.
    let shown = format!("{created:?}");
    let words: Vec<&str> = words.expose().split(' ').collect();
    assert!(words.windows(2).all(|pair| !shown.contains(&pair.join(" "))), "{shown}");
    assert!(words.iter().filter(|word| shown.contains(**word)).count() < 6, "{shown}");
}
