//! What lies in documents: reading back what was written, and merging what two devices wrote.

#![allow(clippy::unwrap_used)] // helpers beside the tests fail like tests

use std::collections::{BTreeMap, BTreeSet};

use automerge::transaction::Transactable;
use automerge::{ActorId, AutoCommit, ROOT, ReadDoc};
use proptest::prelude::*;
use ties_model::{
    Address, Anniversary, AnniversaryKind, Created, DocumentKind, Email, Language, Link, Marks, Name, Note, NoteKind,
    OnlineService, Organization, PartialDate, Person, Phone, Reference, Source, Tie, Title, TitleKind, WriteError,
};

fn document(actor: &str) -> AutoCommit {
    AutoCommit::new().with_actor(ActorId::from(actor.as_bytes()))
}

fn ada() -> Person {
    let mut person = Person::default();
    person.name.full = "Ada Lovelace".into();
    person.name.given = "Ada".into();
    let mail = Email {
        address: "ada@example.org".into(),
        marks: Marks { label: "Work".into(), ..Marks::default() },
        ..Email::default()
    };
    person.emails.insert(mail.key(), mail);
    person
}

/// Two devices that hold the same document of Ada.
fn two_devices() -> (AutoCommit, AutoCommit) {
    let mut here = document("here");
    ada().write(&mut here).unwrap();
    let there = here.fork().with_actor(ActorId::from(b"there".as_slice()));
    (here, there)
}

fn synced(here: &mut AutoCommit, there: &mut AutoCommit) {
    here.merge(there).unwrap();
    there.merge(here).unwrap();
    assert_eq!(Person::read(here), Person::read(there));
    assert_eq!(Note::read(here), Note::read(there));
}

#[test]
fn edits_of_two_fields_on_two_devices_both_survive() {
    let (mut here, mut there) = two_devices();
    let mut mine = Person::read(&here);
    mine.name.given = "Augusta".into();
    mine.keywords.insert("maths".into());
    assert_eq!(mine.write(&mut here).unwrap(), 2);
    let mut theirs = Person::read(&there);
    theirs.emails.values_mut().next().unwrap().marks.label = "Home".into();
    theirs.keywords.insert("engines".into());
    assert_eq!(theirs.write(&mut there).unwrap(), 2);

    synced(&mut here, &mut there);
    let both = Person::read(&here);
    assert_eq!(both.name.given, "Augusta");
    assert_eq!(both.emails.values().next().unwrap().marks.label, "Home");
    assert_eq!(both.keywords, BTreeSet::from(["maths".into(), "engines".into()]));
}

#[test]
fn writing_what_is_there_writes_nothing() {
    let (mut here, _) = two_devices();
    let heads = here.get_heads();
    assert_eq!(Person::read(&here).write(&mut here).unwrap(), 0);
    assert_eq!(here.get_heads(), heads);
}

#[test]
fn the_layout_is_frozen() {
    let mut here = document("here");
    let mut person = ada();
    person.me = true;
    person.tie.met_on = Some("--03-14".parse().unwrap());
    person.keywords.insert("a/b".into());
    person.extra.insert("x".into(), "item1.X-FOO;A=b:c".into());
    person.write(&mut here).unwrap();
    let rows: Vec<String> = here.map_range(ROOT, ..).map(|item| format!("{} = {:?}", item.key, item.value)).collect();
    let key = person.emails.keys().next().unwrap();
    let expected = [
        format!("emails/{key}/address = Scalar(Str(\"ada@example.org\"))"),
        format!("emails/{key}/label = Scalar(Str(\"Work\"))"),
        "extra/x = Scalar(Str(\"item1.X-FOO;A=b:c\"))".into(),
        "keywords/a/b = Scalar(Boolean(true))".into(),
        "kind = Scalar(Str(\"person\"))".into(),
        "me = Scalar(Boolean(true))".into(),
        "name/full = Scalar(Str(\"Ada Lovelace\"))".into(),
        "name/given = Scalar(Str(\"Ada\"))".into(),
        "tie/met-on = Scalar(Str(\"--03-14\"))".into(),
    ];
    assert_eq!(rows, expected);
    assert_eq!(Person::read(&here), person);
    assert_eq!(DocumentKind::of(&here), Some(DocumentKind::Person));
}

#[test]
fn fields_of_a_later_version_stay() {
    let (mut here, _) = two_devices();
    let key = ada().emails.keys().next().unwrap().clone();
    here.put(ROOT, "cadence", "P1M").unwrap();
    here.put(ROOT, format!("emails/{key}/verified"), true).unwrap();
    here.put(ROOT, "name/full", 7).unwrap();
    here.put(ROOT, "tie/met-on", "one summer").unwrap();
    let mut person = Person::read(&here);
    assert_eq!((person.name.full.as_str(), person.tie.met_on), ("", None), "other types are passed over");
    person.uid = "urn:x".into();
    assert_eq!(person.write(&mut here).unwrap(), 1);
    for key in ["cadence", &format!("emails/{key}/verified"), "name/full", "tie/met-on"] {
        assert!(here.get(ROOT, key).unwrap().is_some(), "{key}");
    }
}

#[test]
fn a_deleted_item_stays_deleted_when_its_label_was_edited_elsewhere() {
    let (mut here, mut there) = two_devices();
    let mut mine = Person::read(&here);
    mine.emails.clear();
    mine.write(&mut here).unwrap();
    let mut theirs = Person::read(&there);
    theirs.emails.values_mut().next().unwrap().marks.label = "Old".into();
    theirs.write(&mut there).unwrap();

    synced(&mut here, &mut there);
    assert!(Person::read(&here).emails.is_empty());
    assert_eq!(Person::read(&here).write(&mut here).unwrap(), 0, "what is left over is nobody's edit");

    // The same address comes again, years later: without the label.
    let mut again = Person::read(&here);
    let mail = Email { address: "ada@example.org".into(), ..Email::default() };
    again.emails.insert(mail.key(), mail);
    again.write(&mut here).unwrap();
    assert_eq!(Person::read(&here), again);
}

#[test]
fn a_long_edit_does_not_undo_what_came_meanwhile() {
    let (mut here, mut there) = two_devices();
    let shown = Person::read(&here);
    let mut theirs = Person::read(&there);
    theirs.name.surname = "King".into();
    theirs.emails.clear();
    theirs.write(&mut there).unwrap();
    synced(&mut here, &mut there);

    let mut edited = shown.clone();
    edited.name.given = "Augusta".into();
    assert_eq!(edited.write_since(&shown, &mut here).unwrap(), 1);
    let now = Person::read(&here);
    assert_eq!((now.name.given.as_str(), now.name.surname.as_str()), ("Augusta", "King"));
    assert!(now.emails.is_empty());
}

#[test]
fn an_item_key_with_a_slash_is_refused() {
    let mut person = ada();
    person.emails.insert("a/b".into(), Email { address: "x@y".into(), ..Email::default() });
    assert!(matches!(person.write(&mut document("here")), Err(WriteError::Key)));
}

fn note(body: &str) -> Note {
    Note { body: body.into(), refs: [Reference::person("018f")].into(), kind: NoteKind::Fact, ..Note::default() }
}

fn two_notes(body: &str) -> (AutoCommit, AutoCommit) {
    let mut here = document("here");
    Note::seed(&mut here, &note(body)).unwrap();
    let there = here.fork().with_actor(ActorId::from(b"there".as_slice()));
    (here, there)
}

#[test]
fn edits_of_one_body_merge_by_character() {
    let (mut here, mut there) = two_notes("Likes tea.");
    note("Likes green tea.").write(&mut here).unwrap();
    note("Likes tea. Met in Graz.").write(&mut there).unwrap();
    synced(&mut here, &mut there);
    assert_eq!(Note::read(&here).body, "Likes green tea. Met in Graz.");
}

#[test]
fn a_long_edit_of_a_body_keeps_what_came_meanwhile() {
    let (mut here, mut there) = two_notes("Likes tea.");
    let shown = Note::read(&here);
    note("Likes green tea.").write(&mut there).unwrap();
    synced(&mut here, &mut there);
    let mut edited = shown.clone();
    edited.body.push_str(" Met in Graz.");
    edited.pinned = true;
    assert_eq!(edited.write_since(&shown, &mut here).unwrap(), 2);
    assert_eq!(Note::read(&here).body, "Likes green tea. Met in Graz.");
    assert!(Note::read(&here).pinned);
}

#[test]
fn a_body_is_never_made_outside_a_seed() {
    let mut here = document("here");
    assert!(matches!(note("text").write(&mut here), Err(WriteError::NoBody)));
    Note::seed(&mut here, &note("")).unwrap();
    assert_eq!(Note::read(&here), note(""));
    assert_eq!(DocumentKind::of(&here), Some(DocumentKind::Note));
    assert_eq!(Note::read(&here).write(&mut here).unwrap(), 0);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![2 => Just(String::new()), 3 => "[a-zäß王 /:;,]{1,8}", 1 => ".{1,8}"]
}

fn some_text() -> impl Strategy<Value = String> {
    text().prop_map(|text| if text.is_empty() { "x".into() } else { text })
}

fn texts() -> impl Strategy<Value = BTreeSet<String>> {
    proptest::collection::btree_set(some_text(), 0..3)
}

fn map_of<T: std::fmt::Debug>(item: impl Strategy<Value = T>) -> impl Strategy<Value = BTreeMap<String, T>> {
    proptest::collection::btree_map("[0-9a-f]{1,2}", item, 0..3)
}

fn date() -> impl Strategy<Value = PartialDate> {
    (1_u16..=9999, 1_u8..=12, 1_u8..=28, 0..4).prop_map(|(year, month, day, form)| {
        let form = match form {
            0 => PartialDate::new(Some(year), Some(month), Some(day)),
            1 => PartialDate::new(Some(year), Some(month), None),
            2 => PartialDate::new(Some(year), None, None),
            _ => PartialDate::new(None, Some(month), Some(day)),
        };
        form.unwrap()
    })
}

fn marks() -> impl Strategy<Value = Marks> {
    (texts(), proptest::option::of(1_u8..=100), text(), text(), text())
        .prop_map(|(contexts, pref, label, group, params)| Marks { contexts, pref, label, group, params })
}

fn name() -> impl Strategy<Value = Name> {
    (proptest::collection::vec(text(), 12), proptest::collection::btree_map(some_text(), some_text(), 0..2)).prop_map(
        |(texts, params)| {
            let mut texts = texts.into_iter();
            let mut next = || texts.next().unwrap();
            Name {
                full: next(),
                prefix: next(),
                given: next(),
                given2: next(),
                surname: next(),
                surname2: next(),
                credential: next(),
                generation: next(),
                phonetic_given: next(),
                phonetic_given2: next(),
                phonetic_surname: next(),
                sort_as: next(),
                params,
            }
        },
    )
}

fn address() -> impl Strategy<Value = Address> {
    let detail = proptest::collection::btree_map(some_text(), some_text(), 0..3);
    (some_text(), proptest::collection::vec(text(), 10), detail, marks()).prop_map(|(street, texts, detail, marks)| {
        let mut texts = texts.into_iter();
        let mut next = || texts.next().unwrap();
        Address {
            po_box: next(),
            extended: next(),
            street,
            locality: next(),
            region: next(),
            postcode: next(),
            country: next(),
            detail,
            full: next(),
            country_code: next(),
            time_zone: next(),
            coordinates: next(),
            marks,
        }
    })
}

fn anniversary() -> impl Strategy<Value = Anniversary> {
    let kind = prop_oneof![
        Just(AnniversaryKind::Birth),
        Just(AnniversaryKind::Death),
        Just(AnniversaryKind::Wedding),
        Just(AnniversaryKind::Other),
        Just(AnniversaryKind::Unknown("moved".into())),
    ];
    (kind, date(), text(), marks()).prop_map(|(kind, date, text, marks)| Anniversary {
        kind,
        date: Some(date),
        text,
        marks,
    })
}

fn organization() -> impl Strategy<Value = Organization> {
    (some_text(), proptest::collection::vec(some_text(), 0..3), marks()).prop_map(|(name, units, marks)| Organization {
        name,
        units,
        marks,
    })
}

prop_compose! {
    fn contact_points()(
        emails in map_of((some_text(), text(), marks())
            .prop_map(|(address, status, marks)| Email { address, status, marks })),
        phones in map_of((some_text(), texts(), marks())
            .prop_map(|(number, features, marks)| Phone { number, features, marks })),
        services in map_of((text(), some_text(), text(), text(), marks())
            .prop_map(|(service, user, uri, vcard_name, marks)| OnlineService { service, user, uri, vcard_name, marks })),
        links in map_of((some_text(), marks()).prop_map(|(uri, marks)| Link { uri, marks })),
        addresses in map_of(address()),
        languages in map_of((some_text(), marks()).prop_map(|(tag, marks)| Language { tag, marks })),
    ) -> Person {
        Person { emails, phones, services, links, addresses, languages, ..Person::default() }
    }
}

prop_compose! {
    fn person()(
        points in contact_points(),
        name in name(),
        (uid, handle, me) in (text(), text(), any::<bool>()),
        (nicknames, keywords) in (texts(), texts()),
        anniversaries in map_of(anniversary()),
        organizations in map_of(organization()),
        titles in map_of((some_text(), text(), any::<bool>(), marks()).prop_map(|(name, organization, role, marks)| {
            Title { name, organization, kind: if role { TitleKind::Role } else { TitleKind::Title }, marks }
        })),
        tie in (text(), proptest::option::of(date()), text(), text())
            .prop_map(|(how_met, met_on, met_at, met_through)| Tie { how_met, met_on, met_at, met_through }),
        source in (text(), text(), proptest::option::of(any::<u32>()), text(), text(), text()).prop_map(
            |(kind, file, row, hash, at, revised)| Source { kind, file, row: row.map(u64::from), hash, at, revised }),
        created in (text(), text()).prop_map(|(at, device)| Created { at, device }),
        extra in proptest::collection::btree_map(some_text(), some_text(), 0..3),
    ) -> Person {
        Person {
            uid, handle, me, name, nicknames, keywords, anniversaries, organizations, titles, tie, source, created,
            extra, ..points
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back(first in person(), second in person()) {
        let mut here = document("here");
        first.write(&mut here).unwrap();
        prop_assert_eq!(&Person::read(&here), &first);
        second.write(&mut here).unwrap();
        prop_assert_eq!(&Person::read(&here), &second);
        prop_assert_eq!(second.write(&mut here).unwrap(), 0);
    }

    #[test]
    fn two_devices_end_equal(first in person(), mine in person(), theirs in person()) {
        let mut here = document("here");
        first.write(&mut here).unwrap();
        let mut there = here.fork().with_actor(ActorId::from(b"there".as_slice()));
        mine.write(&mut here).unwrap();
        theirs.write(&mut there).unwrap();
        synced(&mut here, &mut there);
    }

    #[test]
    fn people_pass_through_serde(person in person()) {
        let json = serde_json::to_string(&person).unwrap();
        prop_assert_eq!(serde_json::from_str::<Person>(&json).unwrap(), person);
    }

    #[test]
    fn bodies_merge_without_loss_or_doubling(base in "[a-z ]{0,20}", front in "[A-M]{0,5}", back in "[N-Z]{0,5}") {
        let (mut here, mut there) = two_notes(&base);
        let shown = Note::read(&here);
        note(&format!("{front}{base}")).write(&mut here).unwrap();
        note(&format!("{base}{back}")).write_since(&shown, &mut there).unwrap();
        synced(&mut here, &mut there);
        let body = Note::read(&here).body;
        if !base.is_empty() {
            prop_assert_eq!(body, format!("{front}{base}{back}"));
        } else {
            prop_assert_eq!(body.len(), front.len() + back.len());
        }
    }
}
