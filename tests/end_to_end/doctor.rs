//! `ties doctor`: each thing that it can find is broken here, found, and repaired where it can be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use automerge::transaction::Transactable as _;
use automerge::{AutoCommit, ROOT};
use serde_json::Value;
use ties_store::{Read as _, Sharing, Store, Table, Transaction, testing};

use crate::support::{Device, World};

/// Breaks something in a device's database.
fn within(device: &Device, damage: impl FnOnce(&mut Transaction)) {
    let store = Store::open(&device.home(), Sharing::Processes).expect("a database");
    let mut transaction = store.write().expect("a transaction");
    damage(&mut transaction);
    transaction.commit().expect("a commit");
}

/// What the doctor says, by check: state and text.
#[track_caller]
fn said(device: &Device, words: &[&str], code: i32) -> Vec<(String, String, String)> {
    let ran = device.run(&[&["doctor", "--json"], words].concat()).code(code);
    let checks = ran.json()["checks"].as_array().expect("checks").clone();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    checks.iter().map(|check| (text(check, "check"), text(check, "state"), text(check, "text"))).collect()
}

#[track_caller]
fn assert_says(said: &[(String, String, String)], check: &str, state: &str, text: &str) {
    let found = said.iter().any(|one| one.0 == check && one.1 == state && one.2.contains(text));
    assert!(found, "no {check} {state} {text:?} in {said:#?}");
}

fn documents(device: &Device) -> Vec<[u8; 16]> {
    let store = Store::open(&device.home(), Sharing::Processes).expect("a database");
    let ids = store.read().expect("a snapshot").document_ids();
    ids.expect("ids")
}

#[test]
fn a_healthy_device_is_told_so_and_roads_are_asked() {
    let world = World::new();
    world.device("nobody").run(&["doctor"]).code(3);
    let alone = world.started("alone");
    alone.run(&["new", "Ada Lovelace"]).ok();
    let healthy = said(&alone, &[], 0);
    for (check, text) in [
        ("permissions", "for you alone"),
        ("database", "it opens"),
        ("logs", "every signature and every chain holds"),
        ("documents", "1 record says what the entries say"),
        ("rows", "lists and searches find"),
        ("waiting", "nothing waits"),
        ("checkpoints", "none yet"),
        ("clock", "it fits"),
    ] {
        assert_says(&healthy, check, "ok", text);
    }
    assert_says(&healthy, "roads", "warning", "there is none");

    let relay = world.open_relay();
    alone.run(&["relay", "add", relay.url()]).ok();
    assert_says(&said(&alone, &[], 0), "roads", "ok", "answers");
    assert_says(&said(&alone, &["--offline"], 0), "roads", "ok", "not asked");
    drop(relay);
    assert_says(&said(&alone, &[], 0), "roads", "warning", "ws://127.0.0.1");

    let stick = world.path("stick");
    fs::create_dir(&stick).expect("a folder");
    let folder = format!("folder:{}", stick.display());
    alone.run(&["relay", "add", &folder]).ok();
    assert_says(&said(&alone, &["--offline"], 0), "roads", "ok", "is there");
    fs::remove_dir_all(&stick).expect("a removed folder");
    assert_says(&said(&alone, &["--offline"], 0), "roads", "warning", "is not there");
    let shown = alone.run(&["doctor", "--offline"]).ok().out;
    assert!(shown.contains("warning") && shown.contains("plug it in"), "{shown}");
}

#[test]
fn records_and_lists_are_made_anew_and_nothing_is_lost() {
    let world = World::new();
    let laptop = world.started("laptop");
    for name in ["Ada Lovelace", "Grace Hopper", "Alan Turing"] {
        laptop.run(&["new", name]).ok();
    }
    laptop.run(&["note", "ada", "likes tea"]).ok();
    let all = laptop.export();

    // A row is gone, and one is of nobody.
    within(&laptop, |transaction| {
        let (key, _) = transaction.pairs(Table::ROWS, b"p").expect("rows").remove(0);
        transaction.remove(Table::ROWS, &key).expect("removed");
        transaction.put(Table::ROWS, b"p0123456789abcdef", b"nobody").expect("written");
    });
    assert_says(&said(&laptop, &["--offline"], 1), "rows", "problem", "differ from the records");
    assert_says(&said(&laptop, &["--offline", "--repair"], 0), "rows", "repaired", "made anew");
    assert_says(&said(&laptop, &["--offline"], 0), "rows", "ok", "");
    assert_eq!(laptop.export(), all);

    // One document is gone, one is garbage.
    let ids = documents(&laptop);
    within(&laptop, |transaction| {
        transaction.remove_document(&ids[0]).expect("removed");
        transaction.put_document(&ids[1], b"garbage").expect("written");
    });
    let found = said(&laptop, &["--offline"], 1);
    assert_says(&found, "documents", "problem", "2 records do not hold what the entries say");
    assert_says(&found, "rows", "problem", "not compared");
    let repaired = said(&laptop, &["--offline", "--repair"], 0);
    assert_says(&repaired, "documents", "repaired", "2 records were made anew");
    assert_says(&said(&laptop, &["--offline"], 0), "documents", "ok", "4 records");
    assert_eq!(laptop.export(), all);

    // What no entry says is not thrown away, and not repaired.
    within(&laptop, |transaction| {
        let bytes = transaction.document(&ids[0]).expect("read").expect("a document");
        let mut document = AutoCommit::load(&bytes).expect("a document");
        document.put(ROOT, "industry", "said by nobody").expect("put");
        transaction.put_document(&ids[0], &document.save()).expect("written");
    });
    assert_says(
        &said(&laptop, &["--offline", "--repair"], 1),
        "documents",
        "problem",
        "1 record holds what no entry says",
    );

    // From damaged logs nothing is made anew.
    within(&laptop, |transaction| {
        transaction.remove_document(&ids[1]).expect("removed");
        testing::spoil_last_entry(transaction).expect("an entry");
    });
    let found = laptop.run(&["doctor", "--offline", "--repair"]).code(1);
    for text in ["damaged: 1 entry of laptop", "they are not made anew from damaged logs", "problems stay"] {
        assert!(found.out.contains(text) || found.err.contains(text), "{text}: {found}");
    }
}

#[test]
fn what_waits_is_told_with_its_reason() {
    let world = World::new();
    let relay = world.open_relay();
    let laptop = world.started("laptop");
    laptop.run(&["relay", "add", relay.url()]).ok();
    let place = |byte: u8| [byte; 72];
    within(&laptop, |transaction| {
        for reason in 0..3u8 {
            transaction.put(Table::PARKED, &place(reason + 1), &[reason]).expect("written");
        }
        transaction.put(Table::named("engine/bad"), &place(4), b"it is odd").expect("written");
        transaction.put(Table::named("engine/quarantine"), &place(5), b"").expect("written");
        // Each kind of alert, seen nine times: since 1, last 1.
        let (mailbox, _) = transaction.pairs(Table::named("engine/roads"), b"").expect("roads").remove(0);
        for kind in 0..8u8 {
            let key = [&mailbox[..], &[kind]].concat();
            transaction.put(Table::named("engine/alerts"), &key, &[1, 1, 9]).expect("written");
        }
    });
    let found = said(&laptop, &["--offline"], 0);
    for text in ["a key that", "others that have not arrived", "the admission of", "it is odd", "that was shut out"] {
        assert_says(&found, "waiting", "warning", text);
    }
    for text in ["has lost changes", "hides from this device", "sent what no honest relay sends"] {
        assert_says(&found, "roads", "warning", text);
    }
}

#[test]
fn a_wrong_clock_open_files_and_a_broken_database_are_named() {
    let world = World::new();
    let (laptop, phone, _relay) = world.pair();
    phone.run(&["new", "Ada Lovelace"]).ok();
    phone.sync();
    laptop.sync();
    laptop.run(&["new", "Grace Hopper"]).ok();
    let mut command = laptop.command(&["doctor", "--offline", "--json"]);
    command.env("TIES_NOW", "2026-01-01T00:00:00Z");
    let ran = crate::support::Running::start(command, "").finish().code(1);
    assert!(ran.out.contains("before the time of this device's last change"), "{ran}");
    assert!(ran.out.contains("before the last exchange with"), "{ran}");
    assert!(ran.out.contains("phone wrote with a clock"), "{ran}");

    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("permissions");
    open(&laptop.home().join("database"));
    assert_says(&said(&laptop, &["--offline"], 0), "permissions", "repaired", "was open to other users (mode 0644)");
    assert_says(&said(&laptop, &["--offline"], 0), "permissions", "ok", "");

    let database = laptop.home().join("database");
    let whole = fs::read(&database).expect("a database");
    fs::write(&database, &whole[..512]).expect("written");
    let broken = laptop.run(&["doctor"]).code(1);
    assert!(broken.out.contains("problem   database"), "{broken}");
    fs::write(&database, b"").expect("written");
    assert_says(&said(&laptop, &[], 1), "database", "problem", "damaged");
    fs::write(&database, &whole).expect("written");
    fs::remove_file(laptop.home().join("key")).expect("removed");
    laptop.run(&["doctor"]).code(5);
}
