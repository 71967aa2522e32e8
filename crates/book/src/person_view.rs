//! A person as it is shown, whole.

use ties_model::{
    Address, Email, Link, Marks, OnlineService, Organization, PartialDate, Person, Phone, Relation, Title,
};

use crate::api::{BookError, Labelled, PersonView};
use crate::conflicts::contested_names;
use crate::id::Id;
use crate::list::{note_view, notes_about, person_row};
use crate::people::{loaded, through, updated};
use crate::projection::preferred;
use crate::rows::Rows;

/// A person, whole.
pub(crate) fn show(rows: &dyn Rows, id: Id) -> Result<PersonView, BookError> {
    let (document, entry) = loaded(rows, id)?;
    let person = Person::read(&document);
    let mut notes = Vec::new();
    for (id, entry) in notes_about(rows, id)? {
        notes.push(note_view(rows, id, entry)?);
    }
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(PersonView {
        row: person_row(rows, id, &entry)?,
        nicknames: person.nicknames.iter().cloned().collect(),
        emails: labelled(person.emails.values(), |one: &Email| &one.marks, |one| one.address.clone()),
        phones: phones(&person),
        addresses: labelled(person.addresses.values(), |one: &Address| &one.marks, address),
        profiles: profiles(&person),
        links: labelled(person.links.values(), |one: &Link| &one.marks, |one| one.uri.clone()),
        dates: dates(&person),
        organizations: labelled(person.organizations.values(), |one: &Organization| &one.marks, organization),
        titles: labelled(person.titles.values(), |one: &Title| &one.marks, |one| one.name.clone()),
        relations: relations(&person),
        how_met: [person.tie.how_met.as_str(), person.tie.met_at.as_str()].join(" ").trim().to_owned(),
        met_on: person.tie.met_on.as_ref().map(PartialDate::to_string).unwrap_or_default(),
        met_through: through(rows, &person.tie.met_through)?,
        extra: person.extra.values().cloned().collect(),
        notes,
        created: some(&person.created.at),
        updated: updated(&document).or(some(&person.created.at)),
        contested: contested_names(rows, id)?,
    })
}

pub(crate) fn labelled<'a, T: 'a>(
    items: impl Iterator<Item = &'a T>,
    marks: fn(&T) -> &Marks,
    value: fn(&T) -> String,
) -> Vec<Labelled> {
    let items = preferred(items, marks).into_iter();
    items.map(|item| Labelled { value: value(item), label: uses(marks(item)).join(", ") }).collect()
}

/// What an item is for: the user's label, or its contexts.
fn uses(marks: &Marks) -> Vec<String> {
    if marks.label.is_empty() { marks.contexts.iter().cloned().collect() } else { vec![marks.label.clone()] }
}

fn phones(person: &Person) -> Vec<Labelled> {
    let phone = |one: &Phone| {
        let mut uses = uses(&one.marks);
        uses.extend(one.features.iter().filter(|feature| *feature != "voice").cloned());
        Labelled { value: one.number.clone(), label: uses.join(", ") }
    };
    preferred(person.phones.values(), |one| &one.marks).into_iter().map(phone).collect()
}

fn profiles(person: &Person) -> Vec<Labelled> {
    let profile = |one: &OnlineService| Labelled {
        value: if one.uri.is_empty() { one.user.clone() } else { one.uri.clone() },
        label: if one.service.is_empty() { uses(&one.marks).join(", ") } else { one.service.clone() },
    };
    preferred(person.services.values(), |one| &one.marks).into_iter().map(profile).collect()
}

fn dates(person: &Person) -> Vec<Labelled> {
    let days = person.anniversaries.values().map(|one| Labelled {
        value: one.date.map_or_else(|| one.text.clone(), |date| date.to_string()),
        label: if one.marks.label.is_empty() { one.kind.as_str().to_owned() } else { one.marks.label.clone() },
    });
    days.collect()
}

fn relations(person: &Person) -> Vec<Labelled> {
    let relation = |one: &Relation| Labelled {
        value: if one.name.is_empty() { one.uri.clone() } else { one.name.clone() },
        label: match one.marks.label.is_empty() {
            true => one.kinds.iter().cloned().collect::<Vec<_>>().join(", "),
            false => one.marks.label.clone(),
        },
    };
    preferred(person.relations.values(), |one| &one.marks).into_iter().map(relation).collect()
}

fn organization(organization: &Organization) -> String {
    let parts = [&organization.name].into_iter().chain(&organization.units);
    parts.filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", ")
}

pub(crate) fn address(address: &Address) -> String {
    if !address.full.is_empty() {
        return address.full.lines().collect::<Vec<_>>().join(", ");
    }
    let town = format!("{} {}", address.postcode, address.locality);
    let detail = address.detail.values().cloned().collect::<Vec<_>>().join(" ");
    let street = if address.street.is_empty() { &detail } else { &address.street };
    let parts = [&address.po_box, street, &address.extended, &town, &address.region, &address.country];
    let parts = parts.into_iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(", ")
}
