//! The recovery key at a relay: found by its mark, heard over everybody, and nobody else is taken for it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{ALL, World, first_statement, key};
use ties_relay::Limits;
use ties_sealed_log::{
    AccessList, AccessStatement, CLOSED, MailboxId, Pseudonym, PseudonymKey, RECOVERY, RelayKey, StatementBody,
};
use ties_sync::{Message, Refusal};

const WORDS: u8 = 40;
const NEW_WORDS: u8 = 41;

fn first(world: &World, manager: &PseudonymKey) -> AccessStatement {
    let mut body = first_statement(manager, &[]).body().clone();
    body.recovery = Some(key(WORDS).id().recovery_mark(&world.relay.key()));
    AccessStatement::sign(body, manager)
}

fn says(list: &AccessList, signer: u8, relay: &RelayKey, grants: Vec<(Pseudonym, u8)>) -> AccessStatement {
    let body = StatementBody {
        version: 1,
        mailbox: Some(list.mailbox()),
        parents: list.heads(),
        grants,
        recovery: Some(relay.0),
        random: [0; 32],
        signer: key(signer).id(),
    };
    AccessStatement::sign(body, &key(signer))
}

fn which(world: &mut World, who: u8) -> Vec<MailboxId> {
    let id = world.connect(&key(who));
    match world.ask(id, &Message::Which) {
        Message::Mailboxes(mailboxes) => mailboxes,
        other => panic!("{other:?}"),
    }
}

fn opens(world: &mut World, who: u8, mailbox: MailboxId) -> Message {
    let id = world.connect(&key(who));
    world.ask(id, &Message::Open { version: 1, subject: mailbox.0, access: [0; 32], digest: [0; 32] })
}

fn bring(world: &mut World, statement: &AccessStatement) {
    let id = world.connect(&key(99));
    world.say(id, &Message::Access(vec![statement.bytes().to_vec().into()]));
}

#[test]
fn the_words_find_their_mailbox_and_read_it() {
    let mut world = World::open();
    let first = first(&world, &key(1));
    let maker = world.connect(&key(1));
    let Message::Created { mailbox } = world.create(maker, &first) else { panic!("no mailbox") };
    assert_eq!(which(&mut world, WORDS), [mailbox]);
    assert!(which(&mut world, NEW_WORDS).is_empty(), "other words find nothing");
    assert!(matches!(opens(&mut world, WORDS, mailbox), Message::Open { .. }));
    assert_eq!(opens(&mut world, NEW_WORDS, mailbox), Message::Sorry(Refusal::NotPermitted));
}

#[test]
fn the_words_let_in_whom_a_thief_shut_out_even_where_the_list_is_full() {
    let limits = Limits { pseudonyms: 1, ..Limits::default() };
    let mut world = World::new(true, limits);
    let first = first(&world, &key(1));
    let mut list = AccessList::begin(first.clone()).unwrap();
    let maker = world.connect(&key(1));
    let Message::Created { mailbox } = world.create(maker, &first) else { panic!("no mailbox") };
    let relay = world.relay.key();
    let forged = says(&list, 3, &relay, vec![(key(3).id(), ALL)]);
    bring(&mut world, &forged);
    assert_eq!(opens(&mut world, 3, mailbox), Message::Sorry(Refusal::Pseudonyms), "only the words are the words");
    let renewed = says(&list, WORDS, &relay, {
        let mut grants = vec![(key(1).id(), CLOSED), (key(2).id(), ALL)];
        grants.sort_unstable();
        grants
    });
    list.add(renewed.clone()).unwrap();
    bring(&mut world, &renewed);
    assert!(matches!(opens(&mut world, 2, mailbox), Message::Open { .. }));
    assert!(which(&mut world, 1).is_empty() && which(&mut world, 2) == [mailbox]);
}

#[test]
fn replaced_words_are_strangers() {
    let mut world = World::open();
    let first = first(&world, &key(1));
    let mut list = AccessList::begin(first.clone()).unwrap();
    let maker = world.connect(&key(1));
    let Message::Created { mailbox } = world.create(maker, &first) else { panic!("no mailbox") };
    let relay = world.relay.key();
    let mark = Pseudonym(key(NEW_WORDS).id().recovery_mark(&relay));
    let change = says(&list, WORDS, &relay, vec![(mark, RECOVERY)]);
    list.add(change.clone()).unwrap();
    bring(&mut world, &change);
    assert!(which(&mut world, WORDS).is_empty());
    assert_eq!(which(&mut world, NEW_WORDS), [mailbox]);
    assert_eq!(opens(&mut world, WORDS, mailbox), Message::Sorry(Refusal::NotPermitted));
    assert!(matches!(opens(&mut world, NEW_WORDS, mailbox), Message::Open { .. }));
    let late = says(&list, WORDS, &relay, vec![(key(5).id(), ALL)]);
    bring(&mut world, &late);
    assert!(which(&mut world, 5).is_empty());
}
