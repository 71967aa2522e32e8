//! Exports of LinkedIn of every year and of Google Contacts with both headers, and the people that come of them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use ties_book::Book;
use ties_book::api::{
    BookError, Environment, ExportFormat, FolderFile, ImportReport, Init, NoteKind, PersonView, Reply, Request, Silent,
};

fn book() -> (TempDir, Book) {
    let dir = tempfile::tempdir().unwrap();
    let init = Init { device_name: "laptop".into(), recovery: false };
    let (book, _) = Book::create(&dir.path().join("data"), init, Environment::default()).unwrap();
    (dir, book)
}

fn ask(book: &Book, request: Request) -> Reply {
    book.answer(request, &mut Silent).unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn imported(reply: Result<Reply, BookError>) -> ImportReport {
    match reply {
        Ok(Reply::Imported(report)) => report,
        other => panic!("nothing was imported: {other:?}"),
    }
}

fn import_bytes(book: &Book, bytes: Vec<u8>, dry_run: bool) -> ImportReport {
    // The name says something else on purpose.
    imported(book.answer(Request::Import { file_name: "contacts.vcf".into(), bytes, dry_run }, &mut Silent))
}

fn import(book: &Book, name: &str) -> ImportReport {
    import_bytes(book, std::fs::read(fixture(name)).unwrap(), false)
}

fn era(book: &Book, year: &str) -> ImportReport {
    import(book, &format!("linkedin/{year}/Connections.csv"))
}

fn folder(path: &Path, files: &mut Vec<FolderFile>) {
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            folder(&path, files);
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = if FolderFile::is_read(&name) { std::fs::read(&path).unwrap() } else { Vec::new() };
        files.push(FolderFile { name, bytes });
    }
}

fn import_folder(book: &Book, name: &str) -> ImportReport {
    let mut files = Vec::new();
    folder(&fixture(name), &mut files);
    let request = Request::ImportFolder { folder_name: name.into(), files, dry_run: false };
    imported(book.answer(request, &mut Silent))
}

fn show(book: &Book, who: &str) -> PersonView {
    let Reply::Person(view) = ask(book, Request::Show { who: who.into() }) else { panic!("{who} is nobody") };
    *view
}

fn people(book: &Book) -> Vec<String> {
    let Reply::People(page) = ask(book, Request::List { filter: vec![], offset: 0, limit: None, cards: false }) else {
        panic!("no list")
    };
    page.people.into_iter().map(|person| person.name).collect()
}

fn export(book: &Book, format: ExportFormat) -> String {
    let Reply::Exported(exported) = ask(book, Request::Export { options: format.into(), filter: vec![] }) else {
        panic!("nothing was exported")
    };
    String::from_utf8(exported.files[0].bytes.clone()).unwrap()
}

/// (new, changed, known, hidden, rejected)
fn counts(report: &ImportReport) -> (usize, usize, usize, usize, usize) {
    (report.people_created, report.records_changed, report.people_known, report.hidden, report.rejects.len())
}

#[test]
fn linkedin_2020_has_no_preamble_and_no_profiles() {
    let (_dir, book) = book();
    let report = era(&book, "2020");
    assert_eq!((report.kind.as_str(), counts(&report)), ("LinkedIn", (3, 0, 0, 1, 0)));
    assert_eq!(people(&book), ["Ada Lovelace", "Zoë Müller", "李 小龍"]);
    let ada = show(&book, "ada");
    assert_eq!((ada.row.organization.as_str(), ada.row.title.as_str()), ("Analytical Engines", "Programmer"));
    assert_eq!((ada.row.email.as_str(), ada.met_on.as_str()), ("ada@analytical.example", "2018-04-04"));
    let zoe = show(&book, "zoe müller");
    assert_eq!((zoe.row.organization.as_str(), zoe.met_on.as_str()), ("Bäckerei \"Zur Krone\", Wien", "2020-02-29"));
    let card = zoe.row.card.unwrap().to_string();
    assert!(card.contains("PhD"), "{card}");
    assert_eq!(counts(&era(&book, "2020")), (0, 0, 3, 1, 0), "the same twice");
}

#[test]
fn linkedin_2021_has_a_preamble() {
    let (_dir, book) = book();
    assert_eq!(counts(&era(&book, "2021")), (3, 0, 0, 1, 0));
    assert_eq!(people(&book), ["Ada Lovelace", "Grace Hopper 🚀", "Zoë Müller"]);
    assert_eq!(show(&book, "grace").row.handle, "grace-hopper");
}

#[test]
fn linkedin_mid_2023_has_profiles() {
    let (_dir, book) = book();
    assert_eq!(counts(&era(&book, "mid-2023")), (3, 0, 0, 2, 0));
    let zoe = show(&book, "https://linkedin.com/in/zo%C3%AB-m%C3%BCller-1a2b3c/?trk=x");
    assert_eq!(zoe.row.name, "Zoë Müller");
    assert_eq!(zoe.profiles[0].label, "LinkedIn");
}

#[test]
fn linkedin_2025_in_a_folder_leaves_the_rest_for_later() {
    let (_dir, book) = book();
    let report = import_folder(&book, "linkedin/2025");
    assert_eq!(counts(&report), (3, 0, 0, 1, 0));
    assert_eq!(report.left, ["Invitations.csv", "messages.csv"]);
    assert_eq!(people(&book), ["Ada Lovelace", "Ada Lovelace", "Martin King Jr."]);
    let martin = show(&book, "martin");
    assert_eq!(martin.row.title, "Speaker,\nWriter");
    assert_eq!(martin.profiles[0].value, "https://www.linkedin.com/in/MLK-Jr");
}

#[test]
fn linkedin_2026_brings_notes_also_about_people_who_left() {
    let (_dir, book) = book();
    let report = import_folder(&book, "linkedin/2026");
    assert_eq!((counts(&report), report.notes_created), ((3, 0, 0, 1, 0), 2), "{report:?}");
    assert_eq!(
        report.left,
        ["Endorsement_Received_Info.csv", "Job Applications.csv", "Rich_Media.csv", "messages.csv"]
    );
    let ada = show(&book, "ada");
    assert_eq!(ada.notes[0].body, "Wants a\nnew engine");
    assert_eq!(ada.notes[0].created.as_deref(), Some("2026-03-04T10:11:12Z"));
    assert_eq!(show(&book, "babbage").notes.len(), 1);
    assert_eq!(show(&book, "bob").row.name, "Bob O'Neil");
    let again = import_folder(&book, "linkedin/2026");
    assert_eq!((counts(&again), again.notes_created), ((0, 0, 3, 1, 0), 0), "{again:?}");
    // Its notes alone take nothing from anybody.
    let notes = import(&book, "linkedin/2026/Notes.csv");
    assert_eq!((counts(&notes), notes.changes.len()), ((0, 0, 2, 0, 0), 0), "{notes:?}");
}

#[test]
fn linkedin_saved_again_by_a_spreadsheet_is_read() {
    let (_dir, book) = book();
    let report = era(&book, "excel");
    assert_eq!(counts(&report), (3, 0, 0, 1, 0), "{report:?}");
    assert_eq!(show(&book, "ada").met_on, "2018-04-04");
    let dora = show(&book, "dora");
    assert_eq!((dora.met_on.as_str(), dora.extra.len()), ("", 1), "what may be April or May is not guessed");
    assert_eq!(report.warnings.len(), 1);
    let report = era(&book, "excel-1252");
    assert_eq!(counts(&report), (0, 1, 0, 0, 0), "Zoë is known, her company is new: {report:?}");
    assert_eq!(show(&book, "zoe").row.organization, "Bäckerei");
}

#[test]
fn every_year_goes_on_from_the_one_before() {
    let (_dir, book) = book();
    era(&book, "2020");
    let report = era(&book, "2021");
    assert_eq!(counts(&report), (1, 1, 1, 1, 0), "Grace is new, Ada leads: {report:?}");
    let report = era(&book, "mid-2023");
    assert_eq!(counts(&report), (0, 3, 0, 2, 0), "all have profiles now: {report:?}");
    let job = report.changes.iter().find(|change| change.field == "organization").unwrap();
    assert_eq!(
        (job.name.as_str(), job.before.as_str(), job.now.as_str()),
        ("Ada Lovelace", "Analytical Engines", "Difference Ltd")
    );
    assert_eq!(people(&book).len(), 4, "and nobody is there twice: {:?}", people(&book));
    let report = era(&book, "2020");
    assert_eq!(report.people_created, 0, "also when an old file comes once more: {report:?}");
}

#[test]
fn what_was_edited_here_stays_and_their_job_change_is_reported() {
    let (_dir, book) = book();
    era(&book, "mid-2023");
    let Reply::EditText(text) = ask(&book, Request::EditText { what: "ada".into() }) else { panic!("no text") };
    let after = text.text.replace("Lead Programmer", "Countess");
    assert_ne!(after, text.text);
    ask(&book, Request::EditApply { id: text.id, before: text.text, after });
    let newer = std::fs::read_to_string(fixture("linkedin/mid-2023/Connections.csv")).unwrap();
    let newer = newer.replace("Ada,Lovelace", "Augusta Ada,Lovelace").replace("US Navy", "Navy");
    let report = import_bytes(&book, newer.clone().into_bytes(), true);
    assert_eq!((report.dry_run, report.records_changed), (true, 2));
    assert_eq!(show(&book, "grace").row.organization, "US Navy", "a preview writes nothing");
    let report = import_bytes(&book, newer.into_bytes(), false);
    assert_eq!(counts(&report), (0, 2, 1, 2, 0));
    let ada = show(&book, "ada lovelace");
    assert_eq!((ada.row.name.as_str(), ada.row.title.as_str()), ("Augusta Ada Lovelace", "Countess"));
    assert_eq!(show(&book, "grace").row.organization, "Navy");
}

#[test]
fn google_of_today_is_mapped_whole() {
    let (_dir, book) = book();
    let report = import(&book, "google/current.csv");
    assert_eq!((report.kind.as_str(), counts(&report)), ("Google Contacts CSV", (3, 0, 0, 0, 1)), "{report:?}");
    let ada = show(&book, "ada@byron.example");
    assert_eq!(ada.row.name, "Lady Ada King Lovelace Jr.");
    assert_eq!((ada.row.organization.as_str(), ada.row.title.as_str()), ("Analytical Engines", "Programmer"));
    assert_eq!(ada.organizations[0].value, "Analytical Engines, Numbers");
    assert_eq!(ada.nicknames, ["Countess", "Enchantress"]);
    assert_eq!(ada.row.tags, ["Maths"]);
    let labelled = |all: &[ties_book::api::Labelled]| {
        let mut all: Vec<_> = all.iter().map(|one| format!("{} {}", one.label, one.value)).collect();
        all.sort();
        all
    };
    assert_eq!(
        labelled(&ada.emails),
        ["work a.lovelace@analytical.example", "work ada@analytical.example", "ältere ada@byron.example"]
    );
    assert!(
        ["ada@analytical.example", "a.lovelace@analytical.example"].contains(&ada.row.email.as_str()),
        "the starred one first"
    );
    assert_eq!(labelled(&ada.phones), ["mobile +44 20 7946 0001", "work, fax +44 20 7946 0002"]);
    assert_eq!(labelled(&ada.dates), ["birth 1815-12-10", "wedding 1835-07-08"]);
    assert_eq!(labelled(&ada.links), ["Blog https://ada.example"]);
    assert_eq!(labelled(&ada.profiles), ["Jabber ada@jabber.example"]);
    assert_eq!(labelled(&ada.addresses), ["private 12 St James Sq, London SW1Y, GB"]);
    assert_eq!(ada.notes[0].body, "Likes \"tea\",\nand trains");
    let extra = ada.extra.join("\n");
    for kept in [
        "PHOTO:https://photos.example/ada.jpg",
        "X-TIES-FIELD;X-LABEL=\"Shoe size\":38",
        "X-TIES-FIELD;X-LABEL=\"Favourite Colour\":green",
    ] {
        assert!(extra.contains(kept), "{kept}: {extra}");
    }
    assert_eq!(labelled(&ada.relations), ["Tutor Mary Somerville", "spouse William King"]);
    let grace = show(&book, "grace");
    assert_eq!(labelled(&grace.dates), ["birth --12-09"]);
    assert_eq!(labelled(&grace.phones), ["main-number +1 555 0100"]);
    assert_eq!(show(&book, "Pizza Hut").phones.len(), 1);
    let vcf = export(&book, ExportFormat::Vcf);
    for (format, spouse) in [
        (ExportFormat::Vcf, "RELATED;TYPE=spouse;VALUE=text:William King"),
        (ExportFormat::Apple, "X-ABRELATEDNAMES;TYPE=spouse:William King"),
    ] {
        assert!(export(&book, format).contains(spouse), "{spouse}");
    }
    for text in ["FRS", "エイダ", "Lovelace, Ada", "Mary Somerville", "Shoe size", "green", "BDAY:--1209"] {
        assert!(vcf.contains(text), "{text}");
    }
    assert_eq!(counts(&import(&book, "google/current.csv")), (0, 0, 3, 0, 1));
}

#[test]
fn google_until_2024_is_mapped_whole() {
    let (_dir, book) = book();
    assert_eq!(counts(&import(&book, "google/old.csv")), (2, 0, 0, 0, 0));
    let ada = show(&book, "ada@byron.example");
    assert_eq!((ada.row.name.as_str(), ada.phones.len(), ada.emails.len()), ("Lady Ada King Lovelace Jr.", 2, 2));
    assert_eq!(ada.row.tags, ["Maths"]);
    assert_eq!(ada.organizations[0].value, "Analytical Engines, Numbers");
    let extra = ada.extra.join("\n");
    for kept in ["\"Gender\":female", "HOBBY:whist", "Symbol\":AE", "\"Shoe size\":38"] {
        assert!(extra.contains(kept), "{kept}: {extra}");
    }
    assert_eq!((ada.relations[0].label.as_str(), ada.relations[0].value.as_str()), ("child", "Byron"));
    // A first address that changes makes nobody new: name and any other address still tell who it is.
    let newer = std::fs::read_to_string(fixture("google/old.csv")).unwrap().replace("ada@analytical", "ada@difference");
    let report = import_bytes(&book, newer.into_bytes(), false);
    assert_eq!(counts(&report), (0, 1, 1, 0, 0), "{report:?}");
}

#[test]
fn two_books_that_never_met_make_the_same_of_one_file() {
    let ((_one_dir, one), (_other_dir, other)) = (book(), book());
    for book in [&one, &other] {
        import_folder(book, "linkedin/2026");
        import(book, "google/current.csv");
    }
    assert_eq!(export(&one, ExportFormat::Json), export(&other, ExportFormat::Json));
}

#[test]
fn an_organization_is_deleted_and_begun_again() {
    let (_dir, book) = book();
    era(&book, "2025");
    let note = Request::Note { who: "Difference".into(), text: "Moved".into(), kind: NoteKind::Note };
    let Reply::OrganizationNoteAdded { organization, .. } = ask(&book, note) else { panic!("no note") };
    assert_eq!((organization.name.as_str(), organization.people), ("Difference Ltd", 1));
    let found = Request::Find { words: vec!["difference".into()], limit: None };
    let Reply::Found { hits, .. } = ask(&book, found) else { panic!("no hits") };
    assert_eq!(hits.iter().filter(|hit| hit.organization.is_some()).count(), 1);
    let Reply::Removed(removed) = ask(&book, Request::Remove { what: organization.short.unwrap() }) else {
        panic!("!")
    };
    assert_eq!(removed.notes, 1);
    let show = |words: &[&str]| {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        match ask(&book, Request::Organization { name: "difference".into(), words }) {
            Reply::Organization(view) => *view,
            _ => panic!("no organization"),
        }
    };
    assert_eq!((show(&[]).row.id, show(&[]).row.people), (None, 1));
    let again = show(&["location:London"]);
    assert_eq!((again.row.id, again.row.location.as_str(), again.notes.len()), (organization.id, "London", 0));
}
