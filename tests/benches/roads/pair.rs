//! Devices of one network that meet at a relay, and what is in it.

use ties_book::sample;

use crate::home::{Ending, Going, Home};
use crate::proxy::Proxy;
use crate::server::Server;

/// People with three notes each and two very small ones, as cards.
pub(crate) fn cards(people: usize) -> String {
    let cards = sample::vcards_with_notes(people, 3, 1);
    let mut file = String::with_capacity(cards.len() + 80 * people);
    for (number, card) in cards.split_inclusive("END:VCARD").enumerate() {
        match card.strip_suffix("END:VCARD") {
            Some(open) => {
                file.push_str(open);
                file.push_str(&format!("NOTE:Seat {number}\r\nNOTE:Badge {}\r\nEND:VCARD", 7 * number));
            }
            None => file.push_str(card),
        }
    }
    file
}

/// A network of so many people, and how many documents that is.
pub(crate) fn filled(people: usize) -> (Home, usize) {
    let home = Home::new();
    let file = home.folder().join("people.vcf");
    std::fs::write(&file, cards(people)).unwrap();
    home.run(&["init", "--no-recovery"]);
    let done = home.json(&["import", file.to_str().unwrap()]);
    let count = |what: &str| done["files"][0][what].as_u64().unwrap() as usize;
    let (people, notes) = (count("people_created"), count("notes_created"));
    (home, people + notes + count("organizations_created"))
}

/// Begins to let a device in: whoever waits for it, and its own command, under way.
pub(crate) fn joining(host: &Home, guest: &Home, name: &str) -> (Going, Ending) {
    let hosting = host.start(&["device", "add", "--ticket", "--yes"]);
    let ticket = hosting.line(|line| line.contains("ties1-"));
    (hosting, guest.begin(&["device", "join", "-", "--name", name], &format!("{ticket}\n")))
}

/// Two devices that have the same.
pub(crate) struct Pair {
    pub(crate) laptop: Home,
    pub(crate) phone: Home,
    pub(crate) proxy: Proxy,
    pub(crate) server: Server,
}

impl Pair {
    /// With so many people.
    pub(crate) fn with(people: usize) -> Self {
        let server = Server::start();
        let proxy = Proxy::before(&server.address.to_string());
        let (laptop, phone) = (filled(people).0, Home::new());
        laptop.run(&["relay", "add", proxy.address()]);
        laptop.run(&["sync"]);
        let (hosting, guest) = joining(&laptop, &phone, "phone");
        guest.end();
        drop(hosting);
        // What each learns of the other's checkpoint and receipts is said by then.
        for home in [&laptop, &phone, &laptop, &phone, &laptop] {
            home.run(&["sync"]);
        }
        Self { laptop, phone, proxy, server }
    }
}
