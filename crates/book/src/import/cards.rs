//! vCards on their way in: people, and cards that speak of an organization.

use ties_model::{Marks, OrganizationKind, OrganizationRecord, Person, contact_key};

use super::incoming::{Incoming, IncomingNote, Piece, Subject};
use crate::vcard::{self, CardNote, Contents, Dialect, ImportedCard, Property};

/// What a file of cards holds, groups last: then everybody is in whom they may name.
pub(crate) fn pieces(contents: Contents) -> impl Iterator<Item = Piece> {
    let rejects = contents.rejects.into_iter().map(|reject| Piece::Reject(reject.line, reject.reason));
    let groups = contents.groups.into_iter().map(Piece::Group);
    rejects.chain(contents.cards.into_iter().map(piece)).chain(groups)
}

/// What a card is.
fn piece(card: ImportedCard) -> Piece {
    let subject = match is_organization(&card.person) {
        true => Subject::Organization(Box::new(organization(card.person))),
        false => Subject::Person(Box::new(card.person)),
    };
    let note = |note: CardNote| {
        let CardNote { body, group, params } = note;
        IncomingNote { body, group, params, at: String::new() }
    };
    Piece::Record(Box::new(Incoming {
        line: card.line,
        subject,
        notes: card.notes.into_iter().map(note).collect(),
        key: card.stable_key,
        earlier: Vec::new(),
        // What an export for another program leaves out was not taken away by anybody.
        partial: card.own,
        notices: card.notices.into_iter().map(|notice| (notice.line, notice.text)).collect(),
    }))
}

/// Whether a card says that it is of an organization: `KIND:org`, or Apple's mark on a card with no person's name.
fn is_organization(person: &Person) -> bool {
    let says = |name: &str, value: &str| person.extra.values().any(|line| is(line, name, value));
    let nobody = [&person.name.given, &person.name.given2, &person.name.surname].iter().all(|part| part.is_empty());
    says("KIND", "org") || (nobody && says("X-ABSHOWAS", "COMPANY"))
}

fn is(line: &str, name: &str, value: &str) -> bool {
    Property::from_line(line).is_some_and(|it| it.name == name && it.value.trim().eq_ignore_ascii_case(value))
}

/// The organization of a card. What an organization has no place for is kept as the lines it would be written in.
fn organization(mut person: Person) -> OrganizationRecord {
    let mut record = OrganizationRecord {
        uid: std::mem::take(&mut person.uid),
        name: std::mem::take(&mut person.name.full),
        aliases: std::mem::take(&mut person.nicknames),
        links: std::mem::take(&mut person.links),
        emails: std::mem::take(&mut person.emails),
        phones: std::mem::take(&mut person.phones),
        services: std::mem::take(&mut person.services),
        addresses: std::mem::take(&mut person.addresses),
        keywords: std::mem::take(&mut person.keywords),
        ..OrganizationRecord::default()
    };
    person.source = Default::default();
    person.handle.clear();
    // The card's own name written once more is no news.
    person
        .organizations
        .retain(|_, one| one.name != record.name || !one.units.is_empty() || one.marks != Marks::default());
    for line in std::mem::take(&mut person.extra).into_values() {
        take_line(&mut record, line);
    }
    let unfolded = vcard::write(&person, &[], "", Dialect::V4).replace("\r\n ", "");
    for line in unfolded.lines() {
        let property = Property::from_line(line).filter(|it| !ENVELOPE.contains(&it.name.as_str()));
        if property.is_some_and(|it| !it.value.trim_matches([';', ' ']).is_empty()) {
            record.extra.insert(contact_key("extra", line), line.to_owned());
        }
    }
    record
}

/// Takes a line that says something of an organization, or keeps it.
fn take_line(record: &mut OrganizationRecord, line: String) {
    let Some(property) = Property::from_line(&line) else { return };
    let value = property.text();
    match property.name.as_str() {
        "KIND" if value.eq_ignore_ascii_case("org") => {}
        "X-ABSHOWAS" => {}
        KIND => record.kind = OrganizationKind::named(&value),
        INDUSTRY => record.industry = value,
        LOCATION => record.location = value,
        DOMAIN => drop(record.domains.insert(value)),
        _ => drop(record.extra.insert(contact_key("extra", &line), line)),
    }
}

/// Whether the first part of a property of several parts is this text.
fn begins_with(property: &Property, text: &str) -> bool {
    property.text().split(';').next().is_some_and(|part| part == text)
}

/// An organization as the card that it goes out as.
pub(crate) fn as_card(record: &OrganizationRecord) -> Person {
    let mut person = Person {
        uid: record.uid.clone(),
        nicknames: record.aliases.clone(),
        links: record.links.clone(),
        emails: record.emails.clone(),
        phones: record.phones.clone(),
        services: record.services.clone(),
        addresses: record.addresses.clone(),
        keywords: record.keywords.clone(),
        extra: record.extra.clone(),
        ..Person::default()
    };
    person.name.full.clone_from(&record.name);
    let organization = ties_model::Organization { name: record.name.clone(), ..Default::default() };
    // A kept line that says a department as well says the name, too.
    let said = record.extra.values().filter_map(|line| Property::from_line(line));
    if !said.into_iter().any(|property| property.name == "ORG" && begins_with(&property, &record.name)) {
        person.organizations.insert(organization.key(), organization);
    }
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            super::incoming::keep(&mut person, name, value);
        }
    };
    line("KIND", "org");
    line(KIND, record.kind.as_str());
    line(INDUSTRY, &record.industry);
    line(LOCATION, &record.location);
    record.domains.iter().for_each(|domain| line(DOMAIN, domain));
    person
}

const KIND: &str = "X-TIES-ORG-KIND";
const INDUSTRY: &str = "X-TIES-INDUSTRY";
const LOCATION: &str = "X-TIES-LOCATION";
const DOMAIN: &str = "X-TIES-DOMAIN";

/// What every card begins and ends with.
const ENVELOPE: [&str; 6] = ["BEGIN", "VERSION", "PRODID", "UID", "FN", "END"];
