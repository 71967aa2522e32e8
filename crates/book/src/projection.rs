//! From a document to its rows.

use std::collections::BTreeSet;

use automerge::ReadDoc;
use ties_model::{
    DocumentKind, Marks, Note, NoteKind as ModelKind, OrganizationRecord, PartialDate, Person, Seed, contested_keys,
    phone_key,
};

use crate::api::NoteKind;
use crate::fold::{fold, words};
use crate::id::Id;
use crate::points;
use crate::rows::{
    Index, OrganizationEntry, PersonEntry, contested_key, encoded, note_about_key, note_key, organization_key,
    person_key,
};
use crate::time::milliseconds;

/// A row: key and value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// To be raised whenever the rows of a document change (a note's row is the note as `ties_model` serialises it), so
/// that every book makes its rows anew.
pub(crate) const VERSION: u32 = 5;

/// The rows of a document; none if it is of a kind that this version does not know.
pub(crate) fn rows(id: Id, document: &impl ReadDoc) -> Vec<Row> {
    let mut rows = match DocumentKind::of(document) {
        Some(DocumentKind::Person) => all_person_rows(id, &Person::read(document)),
        Some(DocumentKind::Note) => note_rows(id, &Note::read(document)),
        Some(DocumentKind::Organization) => organization_rows(id, &OrganizationRecord::read(document)),
        None => return Vec::new(),
    };
    // A first state has none, so only what is made from a document asks.
    let contested = contested_keys(document);
    if !contested.is_empty() {
        rows.push((contested_key(id), encoded(&contested)));
    }
    rows
}

/// The rows of the document that a first change makes.
pub(crate) fn rows_of_seed(id: Id, seed: &Seed) -> Vec<Row> {
    match seed {
        Seed::Person(person) => all_person_rows(id, person),
        Seed::Note(note) => note_rows(id, note),
    }
}

fn all_person_rows(id: Id, person: &Person) -> Vec<Row> {
    let mut rows = person_rows(id, &person_entry(person));
    if person.me {
        rows.push((Index::Me.key("", id), Vec::new()));
    }
    rows
}

/// The rows of a person with this entry.
pub(crate) fn person_rows(id: Id, entry: &PersonEntry) -> Vec<Row> {
    let mut keys = BTreeSet::new();
    let name_words = [&entry.name].into_iter().chain(&entry.nicknames).flat_map(|name| words(name));
    keys.extend(name_words.map(|word| Index::Word.key(&word, id)));
    keys.extend(entry.mails.iter().filter_map(|mail| Some(Index::Mail.key(&points::mail(mail)?, id))));
    keys.extend(entry.phones.iter().filter_map(|phone| Some(Index::Phone.key(&points::phone(phone)?, id))));
    keys.extend(entry.urls.iter().filter_map(|url| Some(Index::Url.key(&points::url(url)?, id))));
    keys.extend(entry.tags.iter().map(|tag| Index::Tag.key(&fold(tag), id)));
    keys.extend(entry.organizations.iter().map(|name| Index::Organization.key(&words(name).join(" "), id)));
    if !entry.handle.is_empty() {
        keys.insert(Index::Handle.key(&entry.handle, id));
    }
    let order = if entry.sort_as.is_empty() { &entry.name } else { &entry.sort_as };
    keys.insert(Index::Order.key(&fold(order), id));
    let mut rows: Vec<Row> = keys.into_iter().map(|key| (key, Vec::new())).collect();
    rows.push((Index::Short.key(&id.tail(), id), b"p".to_vec()));
    rows.push((person_key(id), encoded(entry)));
    rows
}

/// The rows of an organization.
fn organization_rows(id: Id, record: &OrganizationRecord) -> Vec<Row> {
    let names: BTreeSet<String> =
        record.aliases.iter().chain([&record.name]).map(|name| words(name).join(" ")).collect();
    let key = |name: &String| (Index::Organization.key(name, id), b"c".to_vec());
    let mut rows: Vec<Row> = names.iter().map(key).collect();
    rows.push((Index::Short.key(&id.tail(), id), b"c".to_vec()));
    rows.push((organization_key(id), encoded(&organization_entry(record))));
    rows
}

fn organization_entry(record: &OrganizationRecord) -> OrganizationEntry {
    let mut more: Vec<String> = record.domains.iter().cloned().collect();
    more.extend(record.links.values().map(|one| one.uri.clone()));
    more.extend(record.emails.values().map(|one| one.address.clone()));
    more.extend(record.phones.values().map(|one| one.number.clone()));
    more.extend(record.addresses.values().flat_map(|one| [one.full.clone(), one.locality.clone()]));
    more.retain(|text| !text.is_empty());
    OrganizationEntry {
        name: if record.name.is_empty() { "(no name)".to_owned() } else { record.name.clone() },
        aliases: record.aliases.iter().cloned().collect(),
        kind: record.kind.as_str().to_owned(),
        industry: record.industry.clone(),
        location: record.location.clone(),
        tags: record.keywords.iter().cloned().collect(),
        more,
        source_key: record.source.hash.clone(),
    }
}

/// The rows of a note.
pub(crate) fn note_rows(id: Id, note: &Note) -> Vec<Row> {
    let about: BTreeSet<Id> = note_people(note).chain(note_organizations(note)).collect();
    let at = note_time(note);
    let mut rows: Vec<Row> = about.into_iter().map(|record| (note_about_key(record, at, id), Vec::new())).collect();
    rows.push((Index::Short.key(&id.tail(), id), b"n".to_vec()));
    rows.push((note_key(id), encoded(note)));
    rows
}

/// What lists and searches need of a person.
pub(crate) fn person_entry(person: &Person) -> PersonEntry {
    let current = preferred(person.organizations.values(), |one| &one.marks);
    PersonEntry {
        name: shown_name(person),
        sort_as: person.name.sort_as.clone(),
        handle: crate::handle::normal(&person.handle),
        nicknames: person.nicknames.iter().cloned().collect(),
        organizations: current.iter().map(|one| one.name.clone()).filter(|name| !name.is_empty()).collect(),
        titles: preferred(person.titles.values(), |one| &one.marks).iter().map(|one| one.name.clone()).collect(),
        mails: preferred(person.emails.values(), |one| &one.marks).iter().map(|one| one.address.clone()).collect(),
        phones: preferred(person.phones.values(), |one| &one.marks).iter().map(|one| one.number.clone()).collect(),
        urls: person
            .services
            .values()
            .map(|one| &one.uri)
            .chain(person.links.values().map(|one| &one.uri))
            .filter(|uri| !uri.is_empty())
            .cloned()
            .collect(),
        tags: person.keywords.iter().cloned().collect(),
        places: places(person),
        more: more(person),
    }
}

/// The name to show, which is never empty: the full one, its parts, or whatever else there is.
pub(crate) fn shown_name(person: &Person) -> String {
    let name = &person.name;
    let parts = [&name.given, &name.given2, &name.surname].map(|part| part.trim()).join(" ");
    let parts = parts.split_whitespace().collect::<Vec<_>>().join(" ");
    let others = person.nicknames.iter().map(String::as_str);
    let others = others.chain(person.organizations.values().map(|one| one.name.as_str()));
    let others = others.chain(person.emails.values().map(|one| one.address.as_str()));
    let others = others.chain(person.phones.values().map(|one| one.number.as_str()));
    let mut names = [name.full.trim(), parts.as_str()].into_iter().chain(others).filter(|name| !name.is_empty());
    names.next().unwrap_or("(no name)").to_owned()
}

/// The items, preferred ones first.
pub(crate) fn preferred<'a, T>(items: impl Iterator<Item = &'a T>, marks: fn(&T) -> &Marks) -> Vec<&'a T> {
    let mut items: Vec<&T> = items.collect();
    items.sort_by_key(|item| marks(item).pref.unwrap_or(u8::MAX));
    items
}

fn places(person: &Person) -> Vec<String> {
    let parts = person.addresses.values().flat_map(|one| [&one.locality, &one.region, &one.country]);
    let mut places: Vec<String> = parts.filter(|part| !part.is_empty()).cloned().collect();
    places.dedup();
    places
}

fn more(person: &Person) -> Vec<String> {
    let mut more: Vec<String> = Vec::new();
    more.extend(person.organizations.values().flat_map(|one| one.units.iter().cloned()));
    more.extend(person.services.values().map(|one| one.user.clone()));
    more.extend(person.relations.values().map(|one| one.name.clone()));
    for address in person.addresses.values() {
        more.extend([&address.full, &address.street].map(Clone::clone));
    }
    more.extend([&person.tie.how_met, &person.tie.met_at].map(Clone::clone));
    more.extend(person.tie.met_on.as_ref().map(PartialDate::to_string));
    more.extend(person.phones.values().map(|one| phone_key(&one.number)));
    more.retain(|text| !text.is_empty());
    more
}

/// The people that a note is about.
pub(crate) fn note_people(note: &Note) -> impl Iterator<Item = Id> {
    note.refs.iter().filter(|one| one.kind == "person").filter_map(|one| one.id.parse().ok())
}

/// The organizations that a note is about.
pub(crate) fn note_organizations(note: &Note) -> impl Iterator<Item = Id> {
    note.refs.iter().filter(|one| one.kind == "org").filter_map(|one| one.id.parse().ok())
}

/// When a note was written, in milliseconds since 1970, where known.
pub(crate) fn note_time(note: &Note) -> Option<i64> {
    [&note.at, &note.created.at].into_iter().find_map(|at| milliseconds(at))
}

/// The kind of a note as faces see it; one of a later version is a plain note to them.
pub(crate) fn note_kind(kind: &ModelKind) -> NoteKind {
    match kind {
        ModelKind::Fact => NoteKind::Fact,
        ModelKind::Topic => NoteKind::Topic,
        ModelKind::GiftIdea => NoteKind::GiftIdea,
        ModelKind::Question => NoteKind::Question,
        ModelKind::Note | ModelKind::Unknown(_) => NoteKind::Note,
    }
}

/// The kind of a note as documents have it.
pub(crate) fn model_kind(kind: NoteKind) -> ModelKind {
    match kind {
        NoteKind::Note => ModelKind::Note,
        NoteKind::Fact => ModelKind::Fact,
        NoteKind::Topic => ModelKind::Topic,
        NoteKind::GiftIdea => ModelKind::GiftIdea,
        NoteKind::Question => ModelKind::Question,
    }
}

#[cfg(test)]
mod tests {
    use automerge::AutoCommit;
    use ties_model::{Email, Organization, Reference};

    use super::*;

    #[test]
    fn a_person_is_found_under_everything_it_says() {
        let mut ada = Person { handle: "Ada".into(), ..Person::default() };
        ada.name.full = "Ada Lovelace".into();
        ada.nicknames.insert("Enchantress".into());
        ada.keywords.insert("Maths".into());
        let mail = Email { address: "Ada@Mail.example".into(), ..Email::default() };
        ada.emails.insert(mail.key(), mail);
        let acme = Organization { name: "Acme GmbH".into(), ..Organization::default() };
        ada.organizations.insert(acme.key(), acme);
        let mut document = AutoCommit::new();
        ada.write(&mut document).unwrap();
        let id = Id([7; 16]);
        let rows = rows(id, &document);
        for key in [
            Index::Handle.key("ada", id),
            Index::Word.key("lovelace", id),
            Index::Word.key("enchantress", id),
            Index::Mail.key("ada@mail.example", id),
            Index::Tag.key("maths", id),
            Index::Organization.key("acme gmbh", id),
            Index::Order.key("ada lovelace", id),
            person_key(id),
        ] {
            assert!(rows.iter().any(|(row, _)| *row == key), "{}", String::from_utf8_lossy(&key));
        }
        let keys: BTreeSet<_> = rows.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), rows.len(), "no key twice");
        assert!(rows.iter().all(|(key, _)| key.ends_with(&id.0)));
    }

    #[test]
    fn a_note_lies_with_everybody_it_is_about() {
        let people = [Id([1; 16]), Id([2; 16])];
        let note = Note {
            refs: people.iter().map(Reference::person).collect(),
            at: "2026-11-22T10:00:00Z".into(),
            body: "Hello".into(),
            ..Note::default()
        };
        let mut document = AutoCommit::new();
        Note::seed(&mut document, &note).unwrap();
        let rows = rows(Id([9; 16]), &document);
        let at = Some(1_795_341_600_000);
        for person in people {
            assert!(rows.iter().any(|(key, _)| *key == note_about_key(person, at, Id([9; 16]))));
        }
    }

    #[test]
    fn nobody_is_without_a_name_and_strangers_have_no_rows() {
        assert_eq!(shown_name(&Person::default()), "(no name)");
        assert_eq!(rows(Id([1; 16]), &AutoCommit::new()), []);
    }
}
