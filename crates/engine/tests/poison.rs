//! What a hostile member may write: it costs that one entry, here and on every device, and never the process.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;
use std::process::Command;

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, Automerge, Change, ROOT, ReadDoc};
use support::{DOCUMENT, forge_one, keys, meet, pair, put};
use ties_engine::{CreateOptions, DocumentId, EditError, Environment, Projection, Role, Row, Space};
use ties_store::{Sharing, Store};

/// A change of one key by this actor, as Automerge makes it.
fn honest(actor: [u8; 16], document: &mut Automerge, options: CommitOptions) -> Vec<u8> {
    document.set_actor(ActorId::from(actor));
    let mut changing = document.transaction();
    changing.put(ROOT, "hostile", actor.to_vec()).unwrap();
    changing.commit_with(options);
    document.get_last_local_change().unwrap().raw_bytes().to_vec()
}

/// The same change with other numbers: seq, first operation.
fn renumbered(chunk: &[u8], seq: u64, start: u64) -> Vec<u8> {
    let mut change = Change::from_bytes(chunk.to_vec()).unwrap().decode();
    change.seq = seq;
    change.start_op = start.try_into().unwrap();
    Change::from(change).raw_bytes().to_vec()
}

#[test]
fn every_rule_of_a_change_holds_and_honest_edits_of_the_same_document_go_on() {
    let (one, two, road) = pair();
    put(&one, "first");
    meet(&one, &two, &road);
    let known = || two.read(DOCUMENT, |document| document.fork()).unwrap().unwrap();
    let plain = CommitOptions::default;
    type Make<'m> = Box<dyn FnOnce([u8; 16]) -> Vec<u8> + 'm>;
    let hostile: [(&str, Make<'_>); 9] = [
        ("another actor", Box::new(|_| honest([9; 16], &mut known(), plain()))),
        ("a gap in its changes", Box::new(|actor| renumbered(&honest(actor, &mut known(), plain()), 2, 2))),
        (
            "numbers above those it builds upon",
            Box::new(|actor| renumbered(&honest(actor, &mut known(), plain()), 1, 3)),
        ),
        ("the last numbers there are", Box::new(|actor| renumbered(&honest(actor, &mut known(), plain()), 1, 1 << 33))),
        ("numbers that are taken", Box::new(|actor| renumbered(&honest(actor, &mut known(), plain()), 1, 1))),
        ("a time before all time", Box::new(|actor| honest(actor, &mut known(), plain().with_time(-1)))),
        ("a time after all time", Box::new(|actor| honest(actor, &mut known(), plain().with_time(i64::MAX)))),
        (
            "a message without end",
            Box::new(|actor| honest(actor, &mut known(), plain().with_message("so ".repeat(100_000)))),
        ),
        (
            "unknown deps",
            Box::new(|actor| {
                let mut document = known();
                honest([8; 16], &mut document, plain());
                honest(actor, &mut document, plain())
            }),
        ),
    ];
    let count = hostile.len();
    for (bad, (what, make)) in (1..).zip(hostile) {
        forge_one(&two, make);
        meet(&one, &two, &road);
        assert_eq!(one.status().unwrap().bad, bad, "{what}");
    }
    put(&one, "second");
    meet(&one, &two, &road);
    put(&two, "third");
    meet(&one, &two, &road);
    assert_eq!(keys(&one), ["first", "second", "third"]);
    assert_eq!(keys(&two), keys(&one));
    assert_eq!((one.status().unwrap().bad, two.status().unwrap().bad), (count, 0));
}

#[test]
fn nobody_writes_what_others_would_refuse() {
    let (one, two, road) = pair();
    let text = "a".repeat(100_001);
    let body = |tx: &mut automerge::transaction::Transaction<'_>| {
        let body = tx.put_object(ROOT, "body", automerge::ObjType::Text)?;
        tx.splice_text(&body, 0, 0, &text)
    };
    let refused = one.write(|edit| edit.change(DOCUMENT, |tx| body(tx).map_err(EditError::from)));
    assert!(refused.unwrap_err().to_string().contains("too large"));
    let refused = one.write(|edit| edit.seed(DOCUMENT, body).map(drop));
    assert!(refused.unwrap_err().to_string().contains("too large"));
    // Many that delete long texts at once are several entries.
    let texts: Vec<DocumentId> = (0..5).map(|number| DocumentId([number; 16])).collect();
    let write = |edit: &mut ties_engine::Edit<'_>| {
        for id in &texts {
            edit.seed(*id, |tx| {
                let body = tx.put_object(ROOT, "body", automerge::ObjType::Text)?;
                tx.splice_text(&body, 0, 0, &"a".repeat(60_000))
            })?;
        }
        Ok::<_, EditError>(())
    };
    one.write(write).unwrap();
    let clear = |edit: &mut ties_engine::Edit<'_>| {
        for id in &texts {
            edit.change(*id, |tx| {
                let (_, body) = tx.get(ROOT, "body")?.unwrap();
                tx.splice_text(&body, 0, 60_000, "").map_err(EditError::from)
            })?;
        }
        Ok::<_, EditError>(())
    };
    one.write(clear).unwrap();
    meet(&one, &two, &road);
    assert_eq!(two.status().unwrap().bad, 0);
    let empty = two.read(texts[4], |document| document.length(document.get(ROOT, "body").unwrap().unwrap().1)).unwrap();
    assert_eq!(empty, Some(0));
}

/// Makes rows, and ends the process over one document: as if Automerge, or anything else that reads, had a fault.
struct Fragile;

impl Projection for Fragile {
    fn version(&self) -> u32 {
        1
    }

    fn rows(&self, _: DocumentId, document: &Automerge) -> Vec<Row> {
        if document.get(ROOT, "poison").is_ok_and(|found| found.is_some()) {
            std::process::abort();
        }
        Vec::new()
    }
}

const CHILD: &str = "TIES_TEST_POISONED_FOLDER";

/// The process that dies; it does nothing unless the test below starts it.
#[test]
fn child_that_takes_what_its_folder_was_given() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let folder = Path::new(&folder);
    let giver = Store::open(&folder.join("giver"), Sharing::Processes).unwrap();
    let giver = Space::open_in(giver, (), Environment::system()).unwrap();
    let taker = Space::open(&folder.join("taker"), Fragile, Environment::system()).unwrap();
    let road = giver.roads().unwrap().remove(0);
    meet(&giver, &taker, &road);
}

#[test]
fn an_entry_that_kills_its_readers_is_set_aside_after_the_third_death() {
    let folder = tempfile::tempdir().unwrap();
    let (giver, taker) = (folder.path().join("giver"), folder.path().join("taker"));
    let options = CreateOptions { device_name: "one".into(), recovery: false };
    let (one, _) = Space::create(&giver, (), &options, Environment::system()).unwrap();
    let road = one.offline().add_relay(&support::address()).unwrap();
    let store = Store::create(&taker, Sharing::Processes).unwrap();
    let two = one.offline().admit(&road, Role::Writer, store, Fragile, "two", Environment::system()).unwrap();
    meet(&one, &two, &road);
    drop(two);
    put(&one, "before");
    let poisoned = DocumentId([66; 16]);
    one.write(|edit| edit.change(poisoned, |tx| tx.put(ROOT, "poison", true).map_err(EditError::from))).unwrap();
    put(&one, "after");
    drop(one);
    let run = || {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "child_that_takes_what_its_folder_was_given"]).env(CHILD, folder.path());
        child.output().unwrap().status.success()
    };
    for death in 1..=3 {
        assert!(!run(), "death {death}");
        assert!(taker.join("reading").exists(), "a note is left");
    }
    assert!(run(), "the fourth start reads on");
    assert!(!taker.join("reading").exists());
    let two = Space::open(&taker, Fragile, Environment::system()).unwrap();
    let status = two.status().unwrap();
    assert_eq!((status.bad, status.waiting), (1, vec![]));
    assert!(status.set_aside[0].reason.contains("ended"), "{:?}", status.set_aside);
    assert_eq!(keys(&two), ["after", "before"]);
}
