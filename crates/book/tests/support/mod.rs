//! Books on two devices and a relay between them, in one process over real sockets.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "each test file is a crate of its own")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use ties_book::Book;
use ties_book::api::{
    Answer, BookError, Environment, Event, Face, Guest, Init, Join, Joined, Pairing, PersonView, Reply, Request,
    Secret, Silent, SyncReport,
};
use tokio::sync::oneshot;

/// A laptop and a phone that know each other and a relay.
pub struct Devices {
    pub laptop: Book,
    pub phone: Book,
    pub folder: TempDir,
}

impl Devices {
    pub async fn paired() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = relay(&folder.path().join("relay")).await;
        let laptop = create(&folder.path().join("laptop"));
        let added = laptop.handle(Request::RelayAdd { url: address.clone(), token: None }, &mut Silent).await;
        assert_eq!(added, Ok(Reply::RelayAdded { url: address }));
        sync(&laptop).await;
        let (_, joined, _) = pair(&laptop, &folder.path().join("phone"), true).await;
        let phone = joined.unwrap().0;
        Self { laptop, phone, folder }
    }
}

/// A face that hands on the ticket and says yes or no.
struct Host {
    ticket: Option<oneshot::Sender<Secret>>,
    guest: Arc<Mutex<Option<Guest>>>,
    yes: bool,
}

impl Face for Host {
    fn event(&mut self, event: Event) {
        if let (Event::Ticket { ticket, expires, .. }, Some(tell)) = (event, self.ticket.take()) {
            assert!(expires.is_some());
            tell.send(ticket).unwrap();
        }
    }

    fn confirm(&mut self, guest: Guest) -> Answer<'_> {
        *self.guest.lock().unwrap() = Some(guest);
        Box::pin(std::future::ready(self.yes))
    }
}

pub async fn relay(data: &Path) -> String {
    let mut config = ties_relay::Config::new(data);
    config.open = true;
    let server = ties_relay::Server::open(config).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.address(listener.local_addr().unwrap()).unwrap().to_string();
    tokio::spawn(server.run(listener, std::future::pending()));
    address
}

pub fn create(dir: &Path) -> Book {
    let init = Init { device_name: "laptop".into(), recovery: false };
    Book::create(dir, init, Environment::default()).unwrap().0
}

pub async fn pair(
    host: &Book,
    dir: &Path,
    yes: bool,
) -> (Result<Reply, BookError>, Result<(Book, Joined), BookError>, Guest) {
    let (tell, told) = oneshot::channel();
    let guest = Arc::new(Mutex::new(None));
    let mut face = Host { ticket: Some(tell), guest: Arc::clone(&guest), yes };
    let adding =
        host.handle(Request::DeviceAdd { by: Pairing::Ticket, relay: None, lan: false, listen: None }, &mut face);
    let joining = async {
        let join =
            Join { invitation: told.await.unwrap(), device_name: "phone".into(), relay: None, peer: None, lan: false };
        Book::join(dir, join, Environment::default(), &mut Silent).await
    };
    let (added, joined) = tokio::join!(adding, joining);
    let guest = guest.lock().unwrap().take().unwrap();
    (added, joined, guest)
}

pub async fn sync(book: &Book) -> SyncReport {
    let Reply::Synced(report) = book.handle(Request::Sync, &mut Silent).await.unwrap() else { panic!("no report") };
    assert!(report.relays.iter().all(|relay| relay.error.is_none()), "{report:?}");
    report
}

pub fn ask(book: &Book, request: Request) -> Reply {
    book.answer(request, &mut Silent).unwrap()
}

pub fn show(book: &Book, who: &str) -> PersonView {
    let Reply::Person(view) = ask(book, Request::Show { who: who.into() }) else { panic!("{who} is nobody") };
    *view
}

pub fn edit(book: &Book, what: &str, from: &str, to: &str) {
    let Reply::EditText(text) = ask(book, Request::EditText { what: what.into() }) else { panic!("no text") };
    assert!(text.text.contains(from), "{}", text.text);
    let after = text.text.replace(from, to);
    ask(book, Request::EditApply { id: text.id, before: text.text, after });
}
