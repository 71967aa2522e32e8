//! Figures for a large book, by hand: `cargo test --release -p ties-book --test scale -- --ignored --nocapture`

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use ties_book::api::{Environment, ExportFormat, Init, Reply, Request, Silent};
use ties_book::{Book, sample};

#[test]
#[ignore = "takes a while and proves nothing"]
fn ten_thousand_people_and_thirty_thousand_notes() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let init = Init { device_name: "laptop".into(), recovery: false };
    let (book, _) = Book::create(&dir, init, Environment::default()).unwrap();
    let file = sample::vcards_with_notes(10_000, 3, 1);
    println!("file {} KiB", file.len() / 1024);
    let import = Request::Import { file_name: "a.vcf".into(), bytes: file.into_bytes(), dry_run: false };
    let reply = timed("import", || book.answer(import.clone(), &mut Silent).unwrap());
    let Reply::Imported(report) = reply else { panic!("no report") };
    println!("{} people, {} notes", report.people_created, report.notes_created);
    drop(book);

    let open = || Book::open(&dir, Environment::default()).unwrap();
    let book = timed("open", open);
    let list = |filter: Vec<String>, limit, cards| Request::List { filter, offset: 0, limit, cards };
    let Reply::People(page) = book.answer(list(vec![], Some(50), false), &mut Silent).unwrap() else {
        panic!("no list")
    };
    let who = page.people[25].handle.clone();
    for (what, request) in [
        ("list 50", list(vec![], Some(50), false)),
        ("list all", list(vec![], None, false)),
        ("list tag", list(vec!["+rust".into()], Some(50), false)),
        ("show", Request::Show { who: who.clone() }),
        ("find", Request::Find { words: vec!["coffee".into()], limit: Some(20) }),
        ("new", Request::New { words: vec!["Ada Lovelace".into(), "+maths".into()] }),
        ("note", Request::Note { who, text: "Likes tea".into(), kind: Default::default() }),
        ("status", Request::Status),
        ("export json", Request::Export { options: ExportFormat::Json.into(), filter: vec![] }),
        ("import again", import),
    ] {
        let again = timed(what, || book.answer(request, &mut Silent).unwrap());
        drop(again);
    }
    let bytes: u64 = std::fs::read_dir(&dir).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    println!("folder {} MiB", bytes >> 20);
}

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = run();
    let took: Duration = began.elapsed();
    println!("{what:>14} {:>9.2} ms", took.as_secs_f64() * 1e3);
    done
}
