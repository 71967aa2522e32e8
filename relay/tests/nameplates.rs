//! Two devices meet under a number, to agree on a code; nobody gets anything else by it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{ALL, Device, World, first_statement, key};
use ties_net::ClosingReason;
use ties_relay::{ConnectionId, Limits};
use ties_sealed_log::Pseudonym;
use ties_sync::{MAX_NOTE, Message, Refusal};

/// A relay with a mailbox of device 1, which has reserved a number.
fn reserved() -> (World, ConnectionId, u32) {
    let mut world = World::open();
    let first = first_statement(&key(1), &[]);
    let host = world.connect(&key(1));
    world.create(host, &first);
    let number = reserve(&mut world, host);
    (world, host, number)
}

fn reserve(world: &mut World, host: ConnectionId) -> u32 {
    match world.ask(host, &Message::Reserve) {
        Message::Nameplate { number } => number,
        other => panic!("a number, not {other:?}"),
    }
}

fn pass(text: &[u8]) -> Message {
    Message::Pass(text.to_vec().into())
}

#[test]
fn a_host_and_its_guest_hear_each_other_and_nobody_else_does() {
    let (mut world, host, number) = reserved();
    let (guest, third) = (world.connect(&key(2)), world.connect(&key(3)));
    world.say(guest, &Message::Claim { number });
    world.say(guest, &pass(b"hail"));
    assert_eq!(world.hear(host), Some(pass(b"hail")));
    world.say(host, &pass(b"offer"));
    assert_eq!(world.hear(guest), Some(pass(b"offer")));
    assert_eq!(world.ask(third, &Message::Claim { number }), Message::Sorry(Refusal::RoomTaken));
    assert_eq!(world.ask(third, &pass(b"me too")), Message::Sorry(Refusal::NotPermitted));
    assert_eq!(world.ask(guest, &pass(&[0; MAX_NOTE + 1])), Message::Sorry(Refusal::Invalid));
    assert_eq!((world.hear(host), world.closed.len()), (None, 0));
}

#[test]
fn a_number_is_good_for_one_guest_even_if_that_one_goes() {
    let (mut world, host, number) = reserved();
    let guest = world.connect(&key(2));
    world.say(guest, &Message::Claim { number });
    world.happen(guest, ties_relay::Input::Closed);
    assert_eq!(world.hear(host), Some(Message::Left), "the host learns that its code is spent");
    let second = world.connect(&key(3));
    assert_eq!(world.ask(second, &Message::Claim { number }), Message::Sorry(Refusal::NoNameplate));
    assert_eq!(world.ask(host, &pass(b"anybody")), Message::Sorry(Refusal::NotPermitted));
}

#[test]
fn a_guest_learns_that_its_host_is_gone() {
    let (mut world, host, number) = reserved();
    let guest = world.connect(&key(2));
    world.say(guest, &Message::Claim { number });
    world.happen(host, ties_relay::Input::Closed);
    assert_eq!(world.hear(guest), Some(Message::Left));
}

#[test]
fn only_who_is_on_a_list_here_gets_a_number() {
    let (mut world, _, _) = reserved();
    let stranger = world.connect(&key(2));
    assert_eq!(world.ask(stranger, &Message::Reserve), Message::Sorry(Refusal::NotPermitted));
}

#[test]
fn meeting_under_a_number_opens_no_mailbox() {
    let (mut world, _, number) = reserved();
    let guest = world.connect(&key(2));
    world.say(guest, &Message::Claim { number });
    let mailbox = Device::new(1, &first_statement(&key(1), &[])).mailbox();
    let open = Message::Open { version: 1, subject: mailbox.0, access: [0; 32], digest: [0; 32] };
    assert_eq!(world.ask(guest, &open), Message::Sorry(Refusal::NotPermitted));
    assert_eq!(world.ask(guest, &Message::Which), Message::Mailboxes(vec![]));
}

#[test]
fn a_number_ends_after_ten_minutes_and_both_are_told() {
    let (mut world, host, number) = reserved();
    let second = 600;
    world.pass_time(std::time::Duration::from_secs(second - 1));
    assert!(world.closed.is_empty(), "waiting under a number is not idling");
    let guest = world.connect(&key(2));
    world.say(guest, &Message::Claim { number });
    world.pass_time(std::time::Duration::from_secs(1));
    assert_eq!((world.hear(host), world.hear(guest)), (Some(Message::Left), Some(Message::Left)));
    world.pass_time(std::time::Duration::from_secs(60));
    assert_eq!(world.closed.get(&host), Some(&ClosingReason::Done));
}

#[test]
fn the_two_go_on_in_a_room_and_the_number_is_free() {
    let (mut world, host, number) = reserved();
    let guest = world.connect(&key(2));
    world.say(guest, &Message::Claim { number });
    world.pass_time(std::time::Duration::from_secs(300));
    world.say(host, &pass(b"confirm"));
    world.say(host, &Message::Meet { room: [1; 32] });
    assert_eq!(world.hear(guest), Some(pass(b"confirm")));
    world.say(guest, &Message::Meet { room: [1; 32] });
    world.say(guest, &pass(b"hello"));
    assert_eq!((world.hear(host), world.hear(guest)), (Some(pass(b"hello")), None), "and no word of having left");
    let third = world.connect(&key(3));
    assert_eq!(world.ask(third, &Message::Claim { number }), Message::Sorry(Refusal::NoNameplate));
    world.pass_time(std::time::Duration::from_secs(59));
    assert!(world.closed.is_empty());
}

#[test]
fn a_new_number_takes_the_place_of_the_old_one() {
    let (mut world, host, number) = reserved();
    while reserve(&mut world, host) == number {}
    let guest = world.connect(&key(2));
    assert_eq!(world.ask(guest, &Message::Claim { number }), Message::Sorry(Refusal::NoNameplate));
}

#[test]
fn numbers_are_bounded() {
    let mut world = World::new(true, Limits { nameplates: 2, ..Limits::default() });
    let others: Vec<(Pseudonym, u8)> = (2..=3).map(|number| (key(number).id(), ALL)).collect();
    let hosts: Vec<ConnectionId> = (1..=3).map(|number| world.connect(&key(number))).collect();
    world.create(hosts[0], &first_statement(&key(1), &others));
    for host in &hosts[..2] {
        reserve(&mut world, *host);
    }
    assert_eq!(world.ask(hosts[2], &Message::Reserve), Message::Sorry(Refusal::Busy));
    world.happen(hosts[0], ties_relay::Input::Closed);
    reserve(&mut world, hosts[2]);
}
