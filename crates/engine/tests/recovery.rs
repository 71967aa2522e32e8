//! What twelve words can do without any device, and against all of them.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use automerge::transaction::Transactable;
use automerge::{ROOT, ReadDoc};
use support::{DOCUMENT, address, meet};
use ties_engine::{
    CreateOptions, DocumentId, EditError, Environment, RecoverOptions, RecoveryError, RecoveryWords, Road, Role, Space,
    WordsError,
};
use ties_store::{Sharing, Store};

/// A database that lives in a folder, so that another handle can read it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> Store {
        Store::open_or_create(&self.0.path().join("data"), Sharing::Processes).unwrap()
    }
}

fn founded() -> (Place, Space, RecoveryWords, Road) {
    let place = Place::new();
    let options = CreateOptions { device_name: "one".into(), recovery: true };
    let (space, words) = Space::create_in(place.store(), (), &options, Environment::system()).unwrap();
    let road = space.offline().add_relay(&address()).unwrap();
    (place, space, words.unwrap(), road)
}

fn admit(host: &Space, road: &Road, name: &str) -> (Place, Space) {
    let place = Place::new();
    let admitted = host.offline().admit(road, Role::Admin, place.store(), (), name, Environment::system()).unwrap();
    meet(host, &admitted, road);
    (place, admitted)
}

fn put(space: &Space, key: &'static str, value: &str) {
    space.write(|edit| edit.change(DOCUMENT, |tx| tx.put(ROOT, key, value).map_err(EditError::from))).unwrap();
}

fn has(space: &Space, key: &'static str) -> Option<String> {
    let read = |document: &automerge::Automerge| {
        document.get(ROOT, key).unwrap().and_then(|(value, _)| value.as_str().map(str::to_owned))
    };
    space.read(DOCUMENT, read).unwrap().flatten()
}

fn revive(words: &RecoveryWords, from: &Place, lost: bool) -> Result<(Place, Space), RecoveryError> {
    let place = Place::new();
    let options = RecoverOptions { device_name: "new".into(), lost };
    let (space, _) = Space::recover_in(place.store(), (), words, &from.store(), &options, Environment::system())?;
    Ok((place, space))
}

fn members(space: &Space) -> Vec<String> {
    let mut names: Vec<_> =
        space.candidates().unwrap().into_iter().filter(|one| one.belongs).map(|one| one.name).collect();
    names.sort();
    names
}

fn id(space: &Space, name: &str) -> ties_engine::DeviceId {
    space.candidates().unwrap().into_iter().find(|one| one.name == name).unwrap().id
}

#[test]
fn words_make_a_device_of_a_copy_and_the_others_take_it_in() {
    let (place, one, words, road) = founded();
    let (_other, two) = admit(&one, &road, "two");
    put(&one, "tea", "green");
    put(&two, "milk", "no");
    meet(&one, &two, &road);
    let (_new, new) = revive(&words, &place, false).unwrap();
    assert_eq!((has(&new, "tea").as_deref(), has(&new, "milk").as_deref()), (Some("green"), Some("no")));
    assert_eq!(members(&new), ["new", "one", "two"]);
    put(&new, "sugar", "yes");
    meet(&new, &one, &road);
    meet(&one, &two, &road);
    assert_eq!(members(&two), ["new", "one", "two"]);
    assert_eq!(has(&two, "sugar").as_deref(), Some("yes"), "the new epoch's key went to all members");
    put(&two, "salt", "little");
    meet(&two, &new, &road);
    assert_eq!(has(&new, "salt").as_deref(), Some("little"));
    assert!(new.read(DocumentId([9; 16]), |_| ()).unwrap().is_none());
}

#[test]
fn words_open_a_device_that_was_itself_made_by_words() {
    let (place, one, words, _) = founded();
    put(&one, "tea", "green");
    let (second, _) = revive(&words, &place, false).unwrap();
    let (_, third) = revive(&words, &second, false).unwrap();
    assert_eq!(has(&third, "tea").as_deref(), Some("green"));
    assert_eq!(members(&third), ["new", "new", "one"]);
}

#[test]
fn devices_that_are_gone_are_shut_out_with_the_return() {
    let (place, one, words, road) = founded();
    put(&one, "tea", "green");
    let (_new, new) = revive(&words, &place, true).unwrap();
    assert_eq!(members(&new), ["new"]);
    assert_eq!(has(&new, "tea").as_deref(), Some("green"), "what they wrote stays");
    put(&new, "secret", "for the new device alone");
    meet(&new, &one, &road);
    assert_eq!(has(&one, "secret"), None);
    assert_eq!(members(&one), ["new"]);
}

#[test]
fn other_words_open_nothing() {
    let (place, ..) = founded();
    let other = RecoveryWords::random(&mut ties_engine::system_randomness());
    assert!(matches!(revive(&other, &place, false), Err(RecoveryError::Nothing)));
}

#[test]
fn whoever_took_over_is_overruled_by_the_words_from_a_device_that_was_shut_out() {
    let (place, thief, words, road) = founded();
    let (_mine, mine) = admit(&thief, &road, "mine");
    let (_puppet, puppet) = admit(&thief, &road, "puppet");
    put(&mine, "tea", "green");
    meet(&mine, &thief, &road);
    // The thief, who has the founder's device, shuts out the owner, by way of the words being on no device.
    let (_copy, usurper) = revive(&words, &place, true).unwrap();
    meet(&usurper, &mine, &road);
    assert_eq!(members(&mine), ["new"], "its owner is a stranger there");

    let wrong = RecoveryWords::random(&mut ties_engine::system_randomness());
    assert!(matches!(mine.reset(&wrong, &[]), Err(RecoveryError::WrongWords)));
    mine.reset(&words, &[id(&mine, "mine")]).unwrap();
    assert_eq!(members(&mine), ["mine"]);
    put(&mine, "lock", "changed");
    for space in [&usurper, &puppet, &thief] {
        meet(&mine, space, &road);
        assert_eq!(members(space), ["mine"]);
        assert_eq!(has(space, "lock"), None, "it reads nothing that is written from now on");
    }
    let poison = usurper.write(|edit| edit.change(DOCUMENT, |tx| tx.put(ROOT, "tea", "cold").map_err(EditError::from)));
    assert!(poison.is_err(), "it knows that it writes no more");
    assert!(usurper.reset(&wrong, &[]).is_err());
}

#[test]
fn a_reset_keeps_whom_it_names() {
    let (_place, one, words, road) = founded();
    let (_other, two) = admit(&one, &road, "two");
    let (_third, three) = admit(&one, &road, "three");
    meet(&two, &one, &road);
    one.reset(&words, &[id(&one, "two")]).unwrap();
    put(&one, "tea", "green");
    meet(&one, &two, &road);
    meet(&one, &three, &road);
    assert_eq!(members(&two), ["one", "two"]);
    assert_eq!((has(&two, "tea").as_deref(), has(&three, "tea")), (Some("green"), None));
    let stranger = ties_engine::DeviceId([9; 32]);
    assert!(matches!(one.reset(&words, &[stranger]), Err(RecoveryError::Unknown(_))));
}

#[test]
fn new_words_take_the_place_of_the_old() {
    let (place, one, old, road) = founded();
    put(&one, "tea", "green");
    let new = one.draw_words();
    let wrong = RecoveryWords::random(&mut ties_engine::system_randomness());
    assert!(matches!(one.replace_words(&wrong, &new), Err(RecoveryError::WrongWords)));
    one.replace_words(&old, &new).unwrap();
    one.check_words(&new).unwrap();
    assert!(matches!(one.check_words(&old), Err(RecoveryError::WrongWords)));
    assert!(matches!(one.reset(&old, &[]), Err(RecoveryError::WrongWords)));
    put(&one, "milk", "no");
    assert!(matches!(revive(&old, &place, false), Err(RecoveryError::Replaced)));
    let (_, device) = revive(&new, &place, false).unwrap();
    assert_eq!((has(&device, "tea").as_deref(), has(&device, "milk").as_deref()), (Some("green"), Some("no")));
    meet(&device, &one, &road);
    assert_eq!(members(&one), ["new", "one"]);
}

#[test]
fn words_are_read_in_whatever_way_they_were_written_down() {
    let words = RecoveryWords::random(&mut ties_engine::system_randomness());
    let list: Vec<&str> = words.words().collect();
    let numbered: Vec<String> = list.iter().enumerate().map(|(n, word)| format!("{}. {word}", n + 1)).collect();
    for text in [list.join("  "), list.join("\n").to_uppercase(), numbered.join("\n"), list.join(", ")] {
        let read = RecoveryWords::parse(&text).unwrap();
        assert!(read.words().eq(list.iter().copied()));
    }
    let parse = |text: &str| RecoveryWords::parse(text).unwrap_err();
    assert_eq!(parse(&list[..11].join(" ")), WordsError::Count(11));
    assert_eq!(parse(&list.join(" ").replacen(list[0], "tiess", 1)), WordsError::Unknown(1));
    assert_eq!(parse(&["abandon"; 12].join(" ")), WordsError::Checksum);
}
