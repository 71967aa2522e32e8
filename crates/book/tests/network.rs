//! Books on two devices and a relay between them, in one process over real sockets.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use support::{ask, create, edit, pair, relay, show, sync};
use ties_book::Book;
use ties_book::api::{Environment, ErrorKind, ExportFormat, Join, Pairing, Reply, Request, Secret, Silent};

fn import(book: &Book, file: &str) {
    ask(book, Request::Import { file_name: "a.vcf".into(), bytes: file.into(), dry_run: false });
}

fn export(book: &Book) -> Vec<u8> {
    let Reply::Exported(exported) = ask(book, Request::Export { options: ExportFormat::Json.into(), filter: vec![] })
    else {
        panic!("nothing was exported")
    };
    exported.files[0].bytes.clone()
}

const FILE: &str = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:a\r\nFN:Ada Lovelace\r\nEMAIL:ada@mail.example\r\nNOTE:She likes tea.\r\n\
    END:VCARD\r\nBEGIN:VCARD\r\nVERSION:4.0\r\nUID:b\r\nFN:Grace Hopper\r\nEND:VCARD\r\n";

#[tokio::test]
async fn two_offline_imports_and_edits_of_one_record_end_in_one_record_with_both() {
    let folder = tempfile::tempdir().unwrap();
    let address = relay(&folder.path().join("relay")).await;
    let laptop = create(&folder.path().join("laptop"));
    let added = laptop.handle(Request::RelayAdd { url: address.clone(), token: None }, &mut Silent).await;
    assert_eq!(added, Ok(Reply::RelayAdded { url: address }));
    sync(&laptop).await;
    let (added, joined, guest) = pair(&laptop, &folder.path().join("phone"), true).await;
    assert_eq!(added, Ok(Reply::DeviceAdded { name: "phone".into() }));
    assert_eq!((guest.name.as_str(), guest.fingerprint.split_whitespace().count()), ("phone", 4));
    let (phone, joined) = joined.unwrap();
    assert_eq!(joined.host_name, "laptop");

    for book in [&laptop, &phone] {
        import(book, FILE);
    }
    let note = show(&laptop, "ada-lovelace").notes[0].short.clone();
    edit(&laptop, "ada-lovelace", "address = \"ada@mail.example\"", "address = \"ada@mail.example\"\nlabel = \"Lab\"");
    edit(&phone, "ada-lovelace", "address = \"ada@mail.example\"", "address = \"ada@mail.example\"\nlabel = \"Home\"");
    edit(&laptop, &note, "She", "Ada");
    edit(&phone, &note, "tea", "green tea");
    edit(&phone, "grace-hopper", "tags = []", "tags = [\"navy\"]");
    sync(&laptop).await;
    sync(&phone).await;
    let report = sync(&laptop).await;
    assert!(report.relays[0].received > 0);

    assert_eq!(export(&laptop), export(&phone));
    let ada = show(&phone, "ada-lovelace");
    assert_eq!(ada.notes.len(), 1);
    assert_eq!(ada.notes[0].body, "Ada likes green tea.");
    assert_eq!(ada.emails.len(), 1);
    assert!(["Lab", "Home"].contains(&ada.emails[0].label.as_str()));
    assert_eq!(show(&laptop, "grace").row.tags, ["navy"]);

    let Reply::Status(status) = ask(&phone, Request::Status) else { panic!("no status") };
    assert_eq!((status.people, status.notes, status.devices.len(), status.stuck), (2, 1, 2, false), "{status:?}");
    assert!(status.relays[0].last_contact.is_some());
}

#[tokio::test]
async fn a_guest_who_is_turned_away_has_no_book() {
    let folder = tempfile::tempdir().unwrap();
    let laptop = create(&folder.path().join("laptop"));
    let url = relay(&folder.path().join("relay")).await;
    laptop.handle(Request::RelayAdd { url, token: None }, &mut Silent).await.unwrap();
    let (added, joined, _) = pair(&laptop, &folder.path().join("phone"), false).await;
    assert_eq!(added.unwrap_err().kind, ErrorKind::Failed);
    assert!(joined.is_err());
    let opened = Book::open(&folder.path().join("phone"), Environment::default());
    assert_eq!(opened.map(drop).unwrap_err().kind, ErrorKind::NotFound);
    let Reply::Devices { devices } = ask(&laptop, Request::DeviceList) else { panic!("no devices") };
    assert_eq!(devices.len(), 1);
}

#[tokio::test]
async fn what_needs_a_relay_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let laptop = create(&folder.path().join("laptop"));
    for request in [
        Request::Sync,
        Request::SyncWatch,
        Request::DeviceAdd { by: Pairing::Code, relay: None, lan: false, listen: None },
    ] {
        let error = laptop.handle(request, &mut Silent).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Failed);
        assert!(error.hint.is_some_and(|hint| hint.starts_with("ties relay add URL")));
    }
    let request = Request::RelayAdd { url: "http://relay.example".into(), token: None };
    assert_eq!(laptop.handle(request, &mut Silent).await.unwrap_err().kind, ErrorKind::Usage);
    let join =
        Join { invitation: Secret::new("nonsense"), device_name: "phone".into(), relay: None, peer: None, lan: false };
    let joined = Book::join(&folder.path().join("phone"), join, Environment::default(), &mut Silent).await;
    assert_eq!(joined.map(drop).unwrap_err().message, "the ticket cannot be used");
}
