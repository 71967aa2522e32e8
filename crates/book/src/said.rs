//! What a record says, field by field and as text: enough to tell somebody what a source changed.

use std::collections::BTreeMap;

use ties_model::{Address, Anniversary, OrganizationRecord, PartialDate, Person};

/// The values of each field, joined; fields that say nothing are there too, as empty texts.
pub(crate) type Said = BTreeMap<&'static str, String>;

/// What a person's record says.
pub(crate) fn of_person(person: &Person) -> Said {
    let mut said = Said::new();
    said.insert("name", person.name.full.clone());
    said.insert("nicknames", joined(person.nicknames.iter().cloned()));
    let units = person.organizations.values().map(|one| [&one.name].into_iter().chain(&one.units).cloned());
    said.insert("organization", joined(units.map(joined)));
    said.insert("title", joined(person.titles.values().map(|one| one.name.clone())));
    said.insert("mail", joined(person.emails.values().map(|one| one.address.clone())));
    said.insert("phone", joined(person.phones.values().map(|one| one.number.clone())));
    said.insert("address", joined(person.addresses.values().map(address)));
    said.insert("profile", joined(person.services.values().map(|one| first(&one.uri, &one.user))));
    said.insert("link", joined(person.links.values().map(|one| one.uri.clone())));
    said.insert("dates", joined(person.anniversaries.values().map(anniversary)));
    said.insert("related", joined(person.relations.values().map(|one| first(&one.name, &one.uri))));
    said.insert("tags", joined(person.keywords.iter().cloned()));
    said.insert("met on", person.tie.met_on.as_ref().map(PartialDate::to_string).unwrap_or_default());
    said.insert("other fields", joined(person.extra.values().cloned()));
    said
}

/// What an organization's record says.
pub(crate) fn of_organization(record: &OrganizationRecord) -> Said {
    let mut said = Said::new();
    said.insert("name", record.name.clone());
    said.insert("aliases", joined(record.aliases.iter().cloned()));
    said.insert("kind", record.kind.as_str().to_owned());
    said.insert("domains", joined(record.domains.iter().cloned()));
    said.insert("industry", record.industry.clone());
    said.insert("location", record.location.clone());
    said.insert("mail", joined(record.emails.values().map(|one| one.address.clone())));
    said.insert("phone", joined(record.phones.values().map(|one| one.number.clone())));
    said.insert("address", joined(record.addresses.values().map(address)));
    said.insert("profile", joined(record.services.values().map(|one| first(&one.uri, &one.user))));
    said.insert("link", joined(record.links.values().map(|one| one.uri.clone())));
    said.insert("tags", joined(record.keywords.iter().cloned()));
    said.insert("other fields", joined(record.extra.values().cloned()));
    said
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    let mut texts: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
    texts.sort();
    texts.join(", ")
}

fn first(one: &str, other: &str) -> String {
    if one.is_empty() { other.to_owned() } else { one.to_owned() }
}

fn address(address: &Address) -> String {
    let parts = [&address.full, &address.street, &address.locality, &address.country];
    joined_in_order(&parts.map(|part| part.lines().collect::<Vec<_>>().join(", ")))
}

fn joined_in_order(parts: &[String]) -> String {
    parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", ")
}

fn anniversary(one: &Anniversary) -> String {
    let day = one.date.map_or_else(|| one.text.clone(), |date| date.to_string());
    let what = first(&one.marks.label, one.kind.as_str());
    format!("{what} {day}")
}
