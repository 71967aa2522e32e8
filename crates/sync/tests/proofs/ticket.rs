//! Tickets as text.

use ties_sealed_log::{DeviceId, Secret};
use ties_sync::{Ticket, TicketError};

const EXPIRES: u64 = 1_800_000_000;

fn ticket() -> Ticket {
    let relay = "ties://11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo@relay.example:7700".to_owned();
    Ticket::new(relay, DeviceId([5; 32]), EXPIRES, Secret::new([0xa7; 32]))
}

#[test]
fn a_ticket_comes_back_from_its_text() {
    let read = Ticket::parse(&ticket().to_text(), EXPIRES - 1).unwrap();
    assert_eq!((&read.relay, read.host, read.expires), (&ticket().relay, ticket().host, EXPIRES));
    assert_eq!(read.room(), ticket().room());
    assert_eq!(*read.to_text(), *ticket().to_text());
}

#[test]
fn white_space_in_a_pasted_ticket_does_not_matter() {
    let text = ticket().to_text();
    let wrapped: Vec<String> =
        text.as_bytes().chunks(30).map(|part| String::from_utf8(part.to_vec()).unwrap()).collect();
    assert!(Ticket::parse(&format!("\n  {}\r\n\t", wrapped.join("\r\n   ")), 0).is_ok());
}

#[test]
fn every_mistyped_character_is_noticed() {
    let text = ticket().to_text();
    assert!(text.is_ascii());
    for at in 0..text.len() {
        for typed in ["A", "b", "7", "_", "-", "=", "é", ""] {
            if &text[at..=at] == typed {
                continue;
            }
            let mistyped = [&text[..at], typed, &text[at + 1..]].concat();
            assert_eq!(Ticket::parse(&mistyped, 0).unwrap_err(), TicketError::Malformed, "{typed:?} at {at}");
        }
    }
}

#[test]
fn two_characters_in_the_wrong_order_are_noticed() {
    let text = ticket().to_text();
    for at in 1..text.len() {
        let mut swapped = text.as_bytes().to_vec();
        swapped.swap(at - 1, at);
        if swapped != text.as_bytes() {
            let swapped = String::from_utf8(swapped).unwrap();
            assert_eq!(Ticket::parse(&swapped, 0).unwrap_err(), TicketError::Malformed);
        }
    }
}

#[test]
fn a_part_of_a_ticket_is_none() {
    let text = ticket().to_text();
    for end in 0..text.len() {
        assert_eq!(Ticket::parse(&text[..end], 0).unwrap_err(), TicketError::Malformed);
    }
    let twice = text.repeat(2);
    assert_eq!(Ticket::parse(&twice, 0).unwrap_err(), TicketError::Malformed);
    assert_eq!(Ticket::parse(&"ties1-".repeat(100_000), 0).unwrap_err(), TicketError::Malformed);
}

#[test]
fn a_ticket_is_void_from_its_last_second_on() {
    let text = ticket().to_text();
    assert!(Ticket::parse(&text, EXPIRES - 1).is_ok());
    assert_eq!(Ticket::parse(&text, EXPIRES).unwrap_err(), TicketError::Expired);
    assert_eq!(Ticket::parse(&text, u64::MAX).unwrap_err(), TicketError::Expired);
}

#[test]
fn what_is_printed_for_debugging_holds_no_secret() {
    let ticket = ticket();
    let shown = format!("{ticket:?} {ticket:#?}").to_lowercase();
    for secret in ["a7a7", "167, 167", &ticket.to_text().to_lowercase()[40..60]] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let room: String = ticket.room().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!room.contains("a7a7"), "the room's name does not show it either");
}

#[test]
fn another_secret_meets_in_another_room() {
    let other = Ticket::new(ticket().relay, ticket().host, EXPIRES, Secret::new([0xa8; 32]));
    assert_ne!(other.room(), ticket().room());
}
