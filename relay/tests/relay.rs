//! The relay without sockets: who may do what, who hears what, and what is bounded.

mod common;

use std::time::Duration;

use common::{ALL, Device, World, channel, first_statement, key};
use proptest::prelude::*;
use ties_net::ClosingReason;
use ties_relay::{Input, InviteToken, Limits, Storage, TokenRecord};
use ties_sealed_log::{CLOSED, GET, MailboxId, PUT};
use ties_sync::{ExpectHello, MAX_PASS, Message, Refusal};

const SECOND: Duration = Duration::from_secs(1);

/// A mailbox at an open relay, with device 1 as its manager and device 2 beside it.
fn two_devices(limits: Limits) -> (World, Device, Device) {
    let mut world = World::new(true, limits);
    let first = first_statement(&key(1), &[(key(2).id(), PUT | GET)]);
    let (one, two) = (Device::new(1, &first), Device::new(2, &first));
    let id = world.connect(&one.key);
    assert_eq!(world.create(id, &first), Message::Created { mailbox: one.mailbox() });
    (world, one, two)
}

#[test]
fn a_proof_for_another_connection_is_refused() {
    let mut world = World::open();
    let id = world.dial();
    let hello = world.frame(id).unwrap();
    let elsewhere = ties_sync::Channel { exporter: [5; 32], ..channel() };
    let expect = ExpectHello::new(elsewhere, world.relay.key());
    let (_, auth) = expect.handle(&hello, &key(1), &mut world.rng).unwrap();
    world.happen(id, Input::Frame(auth));
    assert_eq!(world.closed.get(&id), Some(&ClosingReason::Refused));
    assert_eq!(world.frame(id), None);
}

#[test]
fn every_flipped_bit_of_a_proof_is_refused() {
    let mut world = World::open();
    let proof = |world: &mut World| {
        let id = world.dial();
        let hello = world.frame(id).unwrap();
        let expect = ExpectHello::new(channel(), world.relay.key());
        (id, expect.handle(&hello, &key(1), &mut world.rng).unwrap().1)
    };
    let bits = proof(&mut world).1.len() * 8;
    for bit in 0..bits {
        let (id, mut auth) = proof(&mut world);
        auth[bit / 8] ^= 1 << (bit % 8);
        world.happen(id, Input::Frame(auth));
        assert_eq!(world.closed.get(&id), Some(&ClosingReason::Refused), "bit {bit}");
    }
}

#[test]
fn a_stranger_has_five_seconds() {
    let mut world = World::open();
    let id = world.dial();
    world.pass_time(5 * SECOND - Duration::from_nanos(1));
    assert!(world.closed.is_empty());
    assert_eq!(world.relay.deadline(), Some(world.now + Duration::from_nanos(1)));
    world.pass_time(Duration::from_nanos(1));
    assert_eq!(world.closed.get(&id), Some(&ClosingReason::Refused));
}

#[test]
fn whoever_does_nothing_is_dismissed_after_a_minute() {
    let mut world = World::open();
    let id = world.connect(&key(1));
    world.pass_time(60 * SECOND);
    assert_eq!(world.closed.get(&id), Some(&ClosingReason::Done));
}

#[test]
fn a_mailbox_is_made_once() {
    let (mut world, one, _) = two_devices(Limits::default());
    let id = world.connect(&key(9));
    let again = world.create(id, &first_statement(&key(1), &[(key(2).id(), PUT | GET)]));
    assert_eq!(again, Message::Created { mailbox: one.mailbox() });
    assert_eq!(world.storage.statements(&one.mailbox()).unwrap().len(), 1);
}

#[test]
fn a_relay_that_is_not_open_takes_a_token_as_often_as_it_allows() {
    let mut world = World::new(false, Limits::default());
    let token = InviteToken::from_bytes([8; 16]);
    let record = TokenRecord::new(1, world.now, world.now + SECOND);
    world.storage.put_token(&token.hash(), &record).unwrap();
    let id = world.connect(&key(1));
    let create = |manager: u8, token: Option<[u8; 16]>| {
        let first = first_statement(&key(manager), &[]);
        Message::Create { statement: first.bytes().to_vec().into(), token }
    };
    assert_eq!(world.ask(id, &create(1, None)), Message::Sorry(Refusal::Token));
    assert_eq!(world.ask(id, &create(1, Some([9; 16]))), Message::Sorry(Refusal::Token));
    assert!(matches!(world.ask(id, &create(1, Some([8; 16]))), Message::Created { .. }));
    assert!(matches!(world.ask(id, &create(1, None)), Message::Created { .. }), "it is there already");
    assert_eq!(world.ask(id, &create(2, Some([8; 16]))), Message::Sorry(Refusal::Spent));
}

#[test]
fn a_token_ends_with_its_time() {
    let mut world = World::new(false, Limits::default());
    let token = InviteToken::from_bytes([8; 16]);
    let record = TokenRecord::new(5, world.now, world.now + SECOND);
    world.storage.put_token(&token.hash(), &record).unwrap();
    world.now += SECOND;
    let id = world.connect(&key(1));
    let first = first_statement(&key(1), &[]);
    let create = Message::Create { statement: first.bytes().to_vec().into(), token: Some([8; 16]) };
    assert_eq!(world.ask(id, &create), Message::Sorry(Refusal::Spent));
}

#[test]
fn a_statement_that_is_no_beginning_makes_no_mailbox() {
    let (mut world, mut one, _) = two_devices(Limits::default());
    let later = one.grant(key(3).id(), GET);
    let id = world.connect(&key(1));
    assert_eq!(world.create(id, &later), Message::Sorry(Refusal::Invalid));
    let mut forged = first_statement(&key(1), &[]).bytes().to_vec();
    forged[40] ^= 1;
    let forged = Message::Create { statement: forged.into(), token: None };
    assert_eq!(world.ask(id, &forged), Message::Sorry(Refusal::Invalid));
}

#[test]
fn only_those_on_the_list_may_open_a_mailbox() {
    let (mut world, one, _) = two_devices(Limits::default());
    let open = |subject: MailboxId| Message::Open { version: 1, subject: subject.0, access: [0; 32], digest: [0; 32] };
    let id = world.connect(&key(3));
    assert_eq!(world.ask(id, &open(one.mailbox())), Message::Sorry(Refusal::NotPermitted));
    assert_eq!(world.ask(id, &open(MailboxId([0; 32]))), Message::Sorry(Refusal::NoMailbox));
}

#[test]
fn what_one_device_writes_the_other_hears_at_once() {
    let (mut world, mut one, mut two) = two_devices(Limits::default());
    let (listening, mut session) = world.sync(&mut two);
    one.write();
    let (speaking, mut other) = world.sync(&mut one);
    world.converse(listening, &mut session, &mut two);
    assert_eq!(two.vector(), one.vector());
    two.write();
    world.push(listening, &mut session, &mut two);
    world.converse(speaking, &mut other, &mut one);
    assert_eq!(two.vector(), one.vector());
    assert!(session.is_settled() && other.is_settled());
    assert_eq!(world.storage.vector(&one.mailbox()).unwrap(), one.vector());
    assert!(world.closed.is_empty());
}

#[test]
fn a_device_that_comes_later_gets_everything() {
    let (mut world, mut one, mut two) = two_devices(Limits::default());
    (0..20).for_each(|_| drop(one.write()));
    let (id, _) = world.sync(&mut one);
    world.happen(id, Input::Closed);
    world.sync(&mut two);
    assert_eq!(two.vector(), one.vector());
}

#[test]
fn a_log_that_nobody_opened_is_not_stored() {
    let (mut world, mut one, _) = two_devices(Limits::default());
    let entry = one.write();
    one.openings.clear();
    let (id, session) = world.sync(&mut one);
    assert_eq!(session.refused().collect::<Vec<_>>(), [entry.log()]);
    assert!(world.storage.vector(&one.mailbox()).unwrap().is_empty());
    assert!(!world.closed.contains_key(&id), "the link stays for the other logs");
}

#[test]
fn a_log_opened_by_a_stranger_is_not_stored() {
    let (mut world, mut one, _) = two_devices(Limits::default());
    let first = first_statement(&key(1), &[(key(2).id(), PUT | GET)]);
    let mut stranger = Device::new(3, &first);
    assert!(ties_sealed_log::Log::append(&mut one.log, &stranger.write()).unwrap().is_new());
    one.openings.append(&mut stranger.openings);
    world.sync(&mut one);
    assert!(world.storage.vector(&one.mailbox()).unwrap().is_empty());
}

#[test]
fn a_reader_gets_and_cannot_put() {
    let (mut world, mut one, _) = two_devices(Limits::default());
    one.grant(key(3).id(), GET);
    let entry = one.write();
    world.sync(&mut one);
    let mut reader = Device::new(3, &first_statement(&key(1), &[(key(2).id(), PUT | GET)]));
    let own = reader.write();
    let (_, session) = world.sync(&mut reader);
    assert!(reader.vector().knows(&entry.log()));
    assert_eq!(session.refused().collect::<Vec<_>>(), [own.log()]);
    assert!(!world.storage.vector(&one.mailbox()).unwrap().knows(&own.log()));
}

#[test]
fn whoever_is_shut_out_is_disconnected_at_once_and_stays_out() {
    let (mut world, mut one, mut two) = two_devices(Limits::default());
    let (shut, _) = world.sync(&mut two);
    let (id, mut session) = world.sync(&mut one);
    one.shut_out(two.key.id());
    world.push(id, &mut session, &mut one);
    assert_eq!(world.closed.get(&shut), Some(&ClosingReason::Refused));
    let again = world.connect(&two.key);
    let open = Message::Open { version: 1, subject: one.mailbox().0, access: [0; 32], digest: [0; 32] };
    assert_eq!(world.ask(again, &open), Message::Sorry(Refusal::NotPermitted));
    assert_eq!(world.ask(again, &Message::Which), Message::Mailboxes(vec![]));
}

#[test]
fn only_managers_change_the_list() {
    let (mut world, mut one, mut two) = two_devices(Limits::default());
    let body = ties_sealed_log::StatementBody {
        version: 1,
        mailbox: Some(two.mailbox()),
        parents: two.list.heads(),
        grants: vec![(key(3).id(), ALL)],
        recovery: None,
        random: [0; 32],
        signer: two.key.id(),
    };
    let usurping = ties_sealed_log::AccessStatement::sign(body, &two.key);
    let (id, _) = world.sync(&mut two);
    world.say(id, &Message::Access(vec![usurping.bytes().to_vec().into()]));
    assert_eq!(world.storage.statements(&one.mailbox()).unwrap().len(), 1);
    let third = world.connect(&key(3));
    assert_eq!(world.ask(third, &Message::Which), Message::Mailboxes(vec![]));
    world.sync(&mut one);
}

#[test]
fn a_proven_key_learns_which_mailboxes_it_is_on() {
    let (mut world, mut one, two) = two_devices(Limits::default());
    let id = world.connect(&two.key);
    assert_eq!(world.ask(id, &Message::Which), Message::Mailboxes(vec![one.mailbox()]));
    let third = world.connect(&key(3));
    assert_eq!(world.ask(third, &Message::Which), Message::Mailboxes(vec![]));
    one.grant(key(3).id(), PUT | GET);
    world.sync(&mut one);
    assert_eq!(world.ask(third, &Message::Which), Message::Mailboxes(vec![one.mailbox()]));
}

#[test]
fn a_full_mailbox_takes_nothing_more_and_still_gives() {
    let mut one = Device::new(1, &first_statement(&key(1), &[]));
    let size = one.write().bytes().len() as u64;
    let (mut world, mut one, mut two) = two_devices(Limits { mailbox_bytes: 3 * size, ..Limits::default() });
    (0..5).for_each(|_| drop(one.write()));
    let (_, session) = world.sync(&mut one);
    assert_eq!(world.storage.bytes(&one.mailbox()).unwrap(), 3 * size);
    assert_eq!(session.refused().count(), 1);
    world.sync(&mut two);
    assert_eq!(two.vector().records().next().unwrap().tip.seq, 3);
    world.sync(&mut one);
    assert_eq!(world.storage.bytes(&one.mailbox()).unwrap(), 3 * size);
}

#[test]
fn logs_and_pseudonyms_are_bounded() {
    let limits = Limits { logs: 1, pseudonyms: 2, ..Limits::default() };
    let (mut world, mut one, mut two) = two_devices(limits);
    one.write();
    two.write();
    one.grant(key(3).id(), GET);
    world.sync(&mut one);
    let (_, session) = world.sync(&mut two);
    assert_eq!(session.refused().count(), 1);
    assert_eq!(world.storage.statements(&one.mailbox()).unwrap().len(), 1);
}

#[test]
fn a_log_too_many_is_refused_by_its_name() {
    let (mut world, mut one, mut two) = two_devices(Limits { logs: 1, ..Limits::default() });
    one.write();
    let written = two.write();
    world.sync(&mut one);
    let (id, _) = world.sync(&mut two);
    world.say(id, &Message::Entries(vec![written.bytes().to_vec().into()]));
    assert_eq!(world.hear(id), Some(Message::Refused { log: written.log(), reason: Refusal::Logs }));
}

#[test]
fn a_device_for_whom_the_list_had_no_place_hears_that_it_is_full() {
    let (mut world, mut one, _) = two_devices(Limits { pseudonyms: 2, ..Limits::default() });
    one.grant(key(3).id(), PUT | GET);
    world.sync(&mut one);
    let third = world.connect(&key(3));
    let open = Message::Open { version: 1, subject: one.mailbox().0, access: [0; 32], digest: [0; 32] };
    assert_eq!(world.ask(third, &open), Message::Sorry(Refusal::Pseudonyms));
    assert!(world.closed.is_empty(), "the link stays");
}

#[test]
fn an_open_relay_makes_so_many_mailboxes_for_a_key() {
    let mut world = World::new(true, Limits { mailboxes_per_key: 2, ..Limits::default() });
    let id = world.connect(&key(1));
    for manager in [11, 12] {
        assert!(matches!(world.create(id, &first_statement(&key(manager), &[])), Message::Created { .. }));
    }
    let third = first_statement(&key(13), &[]);
    assert_eq!(world.create(id, &third), Message::Sorry(Refusal::Mailboxes));
    assert!(matches!(world.create(id, &first_statement(&key(11), &[])), Message::Created { .. }), "it is there");
    let other = world.connect(&key(2));
    assert!(matches!(world.create(other, &third), Message::Created { .. }));
}

#[test]
fn an_open_relay_makes_so_many_mailboxes_for_an_address_in_a_day() {
    let mut world = World::new(true, Limits { mailboxes_per_address: 2, ..Limits::default() });
    world.from = Some("192.0.2.1".parse().unwrap());
    for number in [11, 12] {
        let id = world.connect(&key(number));
        assert!(matches!(world.create(id, &first_statement(&key(number), &[])), Message::Created { .. }));
    }
    let id = world.connect(&key(13));
    assert_eq!(world.create(id, &first_statement(&key(13), &[])), Message::Sorry(Refusal::Mailboxes));
    world.now += 24 * 60 * 60 * SECOND;
    let id = world.connect(&key(13));
    assert!(matches!(world.create(id, &first_statement(&key(13), &[])), Message::Created { .. }));
}

#[test]
fn a_token_makes_mailboxes_beyond_what_an_open_relay_gives_away_and_with_its_own_quota() {
    let size = Device::new(1, &first_statement(&key(1), &[])).write().bytes().len() as u64;
    let mut world = World::new(true, Limits { mailboxes_per_key: 0, mailbox_bytes: size, ..Limits::default() });
    let token = InviteToken::from_bytes([8; 16]);
    let record = TokenRecord { quota: Some(3 * size), ..TokenRecord::new(1, world.now, world.now + SECOND) };
    world.storage.put_token(&token.hash(), &record).unwrap();
    let first = first_statement(&key(1), &[]);
    let mut one = Device::new(1, &first);
    let id = world.connect(&one.key);
    assert_eq!(world.create(id, &first), Message::Sorry(Refusal::Mailboxes));
    let create = Message::Create { statement: first.bytes().to_vec().into(), token: Some([8; 16]) };
    assert!(matches!(world.ask(id, &create), Message::Created { .. }));
    (0..5).for_each(|_| drop(one.write()));
    let (_, session) = world.sync(&mut one);
    assert_eq!(session.refused().count(), 1);
    assert_eq!(world.storage.bytes(&one.mailbox()).unwrap(), 3 * size);
}

#[test]
fn statements_that_nobody_asked_for_are_counted() {
    let (mut world, one, _) = two_devices(Limits { statements: 3, ..Limits::default() });
    let known = one.list.statements()[0].bytes().to_vec();
    let bring = |count| Message::Access(vec![known.clone().into(); count]);
    let id = world.connect(&key(9));
    world.say(id, &bring(3));
    assert!(world.closed.is_empty());
    assert_eq!(world.ask(id, &bring(1)), Message::Sorry(Refusal::Busy));
    assert_eq!(world.closed.get(&id), Some(&ClosingReason::Busy));
}

#[test]
fn after_a_wipe_any_device_makes_the_mailbox_anew_and_refills_it() {
    let first = first_statement(&key(1), &[(key(2).id(), PUT | GET)]);
    let (mut world, mut one, mut two) = two_devices(Limits::default());
    two.write();
    world.sync(&mut two);
    one.grant(key(3).id(), PUT | GET);
    one.shut_out(two.key.id());
    one.write();
    world.sync(&mut one);
    let mut three = Device::new(3, &first);
    world.sync(&mut three);
    assert_eq!(three.vector(), one.vector());

    let mut wiped = World::open();
    let id = wiped.connect(&three.key);
    assert_eq!(wiped.create(id, &first), Message::Created { mailbox: three.mailbox() });
    let later = three.list.statements().into_iter().skip(1);
    let later = later.map(|statement| statement.bytes().to_vec().into()).collect();
    wiped.say(id, &Message::Access(later));
    wiped.sync(&mut three);
    assert_eq!(wiped.storage.vector(&three.mailbox()).unwrap(), one.vector());
    let back = wiped.connect(&two.key);
    assert_eq!(wiped.ask(back, &Message::Which), Message::Mailboxes(vec![]), "who was shut out stays out");
}

#[test]
fn two_strangers_meet_in_a_room_and_nowhere_else() {
    let mut world = World::open();
    let (old, new, third) = (world.connect(&key(1)), world.connect(&key(2)), world.connect(&key(3)));
    world.say(old, &Message::Meet { room: [1; 32] });
    world.say(old, &Message::Pass(b"anyone".to_vec().into()));
    world.say(new, &Message::Meet { room: [1; 32] });
    assert_eq!(world.hear(new), Some(Message::Pass(b"anyone".to_vec().into())));
    world.say(new, &Message::Pass(b"me".to_vec().into()));
    assert_eq!(world.hear(old), Some(Message::Pass(b"me".to_vec().into())));
    assert_eq!(world.ask(third, &Message::Meet { room: [1; 32] }), Message::Sorry(Refusal::RoomTaken));
    assert_eq!(world.ask(third, &Message::Pass(b"me too".to_vec().into())), Message::Sorry(Refusal::NotPermitted));
    let long = Message::Pass(vec![0; MAX_PASS + 1].into());
    assert_eq!(world.ask(old, &long), Message::Sorry(Refusal::Invalid));
    assert_eq!((world.hear(new), world.closed.len()), (None, 0));
}

#[test]
fn a_room_keeps_a_connection_for_ten_minutes() {
    let mut world = World::open();
    let id = world.connect(&key(1));
    world.say(id, &Message::Meet { room: [1; 32] });
    world.pass_time(599 * SECOND);
    assert!(world.closed.is_empty());
    world.pass_time(SECOND);
    world.pass_time(60 * SECOND);
    assert_eq!(world.closed.get(&id), Some(&ClosingReason::Done));
}

#[test]
fn one_connection_too_many_of_a_key_takes_the_place_of_the_oldest() {
    let mut world = World::open();
    let connections: Vec<_> = (0..9).map(|_| world.connect(&key(1))).collect();
    world.connect(&key(2));
    assert_eq!(world.closed.into_iter().collect::<Vec<_>>(), [(connections[0], ClosingReason::Busy)]);
}

#[test]
fn fast_requests_are_slowed_and_never_refused() {
    let mut world = World::open();
    let id = world.connect(&key(1));
    for _ in 0..150 {
        assert_eq!(world.ask(id, &Message::Which), Message::Mailboxes(vec![]));
    }
    assert_eq!(world.paused.len(), 50);
    assert!(world.paused.iter().all(|(paused, wait)| *paused == id && *wait < 2 * SECOND));
}

#[test]
fn an_honest_bulk_upload_is_not_slowed() {
    let (mut world, mut one, _) = two_devices(Limits::default());
    let (id, mut session) = world.sync(&mut one);
    for _ in 0..300 {
        one.write();
        world.push(id, &mut session, &mut one);
    }
    assert_eq!(world.paused, []);
}

#[test]
fn frames_of_a_connection_that_was_closed_are_ignored() {
    let mut world = World::open();
    let id = world.connect(&key(1));
    world.happen(id, Input::Frame(b"\xffnonsense".to_vec()));
    assert_eq!(world.closed.get(&id), Some(&ClosingReason::Refused));
    world.say(id, &Message::Which);
    assert_eq!(world.hear(id), None);
}

#[test]
fn a_forged_entry_ends_the_connection() {
    let (mut world, mut one, _) = two_devices(Limits::default());
    let mut forged = one.write().bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let (id, _) = world.sync(&mut one);
    world.say(id, &Message::Entries(vec![forged.into()]));
    assert_eq!(world.closed.get(&id), Some(&ClosingReason::Refused));
}

#[test]
fn nothing_is_remembered_of_mailboxes_that_nobody_is_at() {
    let (mut world, mut one, _) = two_devices(Limits::default());
    one.write();
    let (id, _) = world.sync(&mut one);
    world.happen(id, Input::Closed);
    // A mailbox in memory would not see what is done to the storage behind its back.
    world.storage = ties_relay::MemoryStorage::default();
    let id = world.connect(&one.key);
    let open = Message::Open { version: 1, subject: one.mailbox().0, access: [0; 32], digest: [0; 32] };
    assert_eq!(world.ask(id, &open), Message::Sorry(Refusal::NoMailbox));
}

#[test]
fn a_closed_flag_beats_what_else_is_granted() {
    let (mut world, mut one, two) = two_devices(Limits::default());
    one.grant(two.key.id(), CLOSED | PUT | GET);
    world.sync(&mut one);
    let id = world.connect(&two.key);
    assert_eq!(world.ask(id, &Message::Which), Message::Mailboxes(vec![]));
}

proptest! {
    #[test]
    fn no_frame_makes_it_panic(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..8)) {
        let (mut world, mut one, _) = two_devices(Limits::default());
        let (visiting, _) = world.sync(&mut one);
        let (proven, stranger) = (world.connect(&key(9)), world.dial());
        for frame in frames {
            for id in [visiting, proven, stranger] {
                world.happen(id, Input::Frame(frame.clone()));
            }
        }
    }
}
