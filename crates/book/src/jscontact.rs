//! People as JSContact cards (RFC 9553), with a block of our own for what the standard has no word for.
//!
//! The same person gives the same bytes on every device: keys are sorted, nothing depends on time or place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use ties_model::{Address, Anniversary, Marks, Name, Note, PartialDate, Person};

use crate::vcard::Property;

/// The key of our own block (RFC 9553 section 1.8: a domain name and a colon before a name of one's own).
pub(crate) const BLOCK: &str = "ties.local:tie";

/// The version of our own block.
pub(crate) const BLOCK_VERSION: u32 = 1;

/// A person as a JSContact card.
///
/// `id` is the document's UUID, `notes` are those about the person with the UUIDs of their documents, `updated` is the
/// time of the last change in RFC 3339, if known.
pub(crate) fn card(id: &str, person: &Person, notes: &[(&str, &Note)], updated: Option<&str>) -> Value {
    let mut card = Object::default();
    card.put("@type", "Card");
    card.put("version", "1.0");
    card.put("kind", "individual");
    match person.uid.as_str() {
        "" => card.put("uid", format!("urn:uuid:{id}")),
        uid => card.put("uid", uid),
    }
    card.text("created", &person.created.at);
    card.text("updated", updated.unwrap_or_default());
    card.put("name", name(&person.name));
    let nicknames = person
        .nicknames
        .iter()
        .map(|nickname| (ties_model::contact_key("nickname", nickname), Object::of("name", nickname.as_str())));
    card.items("nicknames", nicknames);
    card.items(
        "emails",
        person.emails.iter().map(|(key, email)| {
            let mut item = Object::marked(&email.marks);
            item.text("address", &email.address);
            item.text("ties.local:status", &email.status);
            (key.clone(), item)
        }),
    );
    card.items(
        "phones",
        person.phones.iter().map(|(key, phone)| {
            let mut item = Object::marked(&phone.marks);
            item.text("number", &phone.number);
            item.set("features", &phone.features);
            (key.clone(), item)
        }),
    );
    card.items(
        "onlineServices",
        person.services.iter().map(|(key, service)| {
            let mut item = Object::marked(&service.marks);
            item.text("service", &service.service);
            item.text("user", &service.user);
            item.text("uri", &service.uri);
            item.text("vCardName", &service.vcard_name);
            (key.clone(), item)
        }),
    );
    card.items(
        "links",
        person.links.iter().map(|(key, link)| {
            let mut item = Object::marked(&link.marks);
            item.text("uri", &link.uri);
            (key.clone(), item)
        }),
    );
    card.items("addresses", person.addresses.iter().map(|(key, item)| (key.clone(), address(item))));
    let dated = person.anniversaries.iter().filter(|(_, anniversary)| anniversary.date.is_some());
    card.items("anniversaries", dated.map(|(key, item)| (key.clone(), anniversary(item))));
    card.items(
        "organizations",
        person.organizations.iter().map(|(key, organization)| {
            let mut item = Object::marked(&organization.marks);
            item.text("name", &organization.name);
            let units: Vec<Value> = organization.units.iter().map(|unit| json!({ "name": unit })).collect();
            item.list("units", units);
            (key.clone(), item)
        }),
    );
    card.items(
        "titles",
        person.titles.iter().map(|(key, title)| {
            let mut item = Object::marked(&title.marks);
            item.text("name", &title.name);
            item.text("kind", title.kind.as_str());
            item.text("organizationId", &title.organization);
            (key.clone(), item)
        }),
    );
    card.items(
        "preferredLanguages",
        person.languages.iter().map(|(key, language)| {
            let mut item = Object::marked(&language.marks);
            item.text("language", &language.tag);
            (key.clone(), item)
        }),
    );
    // The key is whom it is about (RFC 9555 section 2.9.4).
    let related = person.relations.values().map(|relation| {
        let mut item = Object::marked(&relation.marks);
        item.set("relation", &relation.kinds);
        (if relation.uri.is_empty() { relation.name.clone() } else { relation.uri.clone() }, item)
    });
    card.items("relatedTo", related);
    card.set("keywords", &person.keywords);
    card.items("notes", notes.iter().map(|(id, item)| ((*id).to_owned(), note(item))));
    card.list("vCardProps", person.extra.values().filter_map(|line| jcard(line)).collect());
    card.put(BLOCK, block(person));
    card.into()
}

/// What only this program knows.
fn block(person: &Person) -> Object {
    let mut block = Object::default();
    block.put("version", BLOCK_VERSION);
    block.text("handle", &person.handle);
    if person.me {
        block.put("me", true);
    }
    block.text("howMet", &person.tie.how_met);
    block.text("metOn", &person.tie.met_on.map(|date| date.to_string()).unwrap_or_default());
    block.text("metAt", &person.tie.met_at);
    block.text("metThrough", &person.tie.met_through);
    block.text("createdOn", &person.created.device);
    let mut phonetic = Object::default();
    phonetic.text("given", &person.name.phonetic_given);
    phonetic.text("given2", &person.name.phonetic_given2);
    phonetic.text("surname", &person.name.phonetic_surname);
    block.object("phonetic", phonetic);
    let mut source = Object::default();
    source.text("kind", &person.source.kind);
    source.text("file", &person.source.file);
    if let Some(row) = person.source.row {
        source.put("row", row);
    }
    source.text("hash", &person.source.hash);
    source.text("at", &person.source.at);
    source.text("revised", &person.source.revised);
    block.object("source", source);
    // JSContact's anniversaries need a date.
    let undated = person.anniversaries.iter().filter(|(_, anniversary)| anniversary.date.is_none());
    block.items("anniversaries", undated.map(|(key, item)| (key.clone(), anniversary(item))));
    block
}

fn name(name: &Name) -> Object {
    let mut object = Object::default();
    object.text("full", &name.full);
    let components = [
        ("title", &name.prefix),
        ("given", &name.given),
        ("given2", &name.given2),
        ("surname", &name.surname),
        ("surname2", &name.surname2),
        ("generation", &name.generation),
        ("credential", &name.credential),
    ];
    object.list("components", components_of(components));
    let (surname, given) = name.sort_as.split_once(',').unwrap_or((&name.sort_as, ""));
    let mut sort_as = Object::default();
    sort_as.text("surname", surname.trim());
    sort_as.text("given", given.trim());
    object.object("sortAs", sort_as);
    object
}

fn address(address: &Address) -> Object {
    let mut object = Object::marked(&address.marks);
    let detail = |kind: &str| address.detail.get(kind);
    // The street of vCard's third part is a street name as far as anybody can tell (RFC 9555 section 2.5.1).
    let street = detail("name").unwrap_or(&address.street);
    let apartment = detail("apartment").unwrap_or(&address.extended);
    let mut components = vec![("postOfficeBox", &address.po_box), ("apartment", apartment), ("name", street)];
    let finer = address.detail.iter().filter(|(kind, _)| !matches!(kind.as_str(), "name" | "apartment"));
    components.extend(finer.map(|(kind, text)| (kind.as_str(), text)));
    components.extend([
        ("locality", &address.locality),
        ("region", &address.region),
        ("postcode", &address.postcode),
        ("country", &address.country),
    ]);
    object.list("components", components_of(components));
    object.text("full", &address.full);
    object.text("countryCode", &address.country_code);
    object.text("timeZone", &address.time_zone);
    object.text("coordinates", &address.coordinates);
    object
}

fn components_of<'a>(components: impl IntoIterator<Item = (&'a str, &'a String)>) -> Vec<Value> {
    let there = components.into_iter().filter(|(_, value)| !value.is_empty());
    there.map(|(kind, value)| json!({ "kind": kind, "value": value })).collect()
}

fn anniversary(anniversary: &Anniversary) -> Object {
    let mut object = Object::marked(&anniversary.marks);
    object.text("kind", anniversary.kind.as_str());
    if let Some(date) = anniversary.date {
        object.put("date", partial_date(date));
    }
    object.text("ties.local:text", &anniversary.text);
    object
}

fn partial_date(date: PartialDate) -> Object {
    let mut object = Object::of("@type", "PartialDate");
    let parts = [("year", date.year()), ("month", date.month().map(u16::from)), ("day", date.day().map(u16::from))];
    for (name, part) in parts {
        if let Some(part) = part {
            object.put(name, part);
        }
    }
    object
}

fn note(note: &Note) -> Object {
    let mut object = Object::of("note", note.body.as_str());
    object.text("created", if note.at.is_empty() { &note.created.at } else { &note.at });
    object.put("ties.local:kind", note.kind.as_str());
    if note.pinned {
        object.put("ties.local:pinned", true);
    }
    object
}

/// A property not understood, as jCard writes it (RFC 7095 section 5, RFC 9555 section 2.15).
fn jcard(line: &str) -> Option<Value> {
    let property = Property::from_line(line)?;
    let mut params = params_of(&property);
    if !property.group.is_empty() {
        params.insert("group".to_owned(), property.group.clone().into());
    }
    Some(json!([property.name.to_ascii_lowercase(), params, "unknown", property.value]))
}

fn params_of(property: &Property) -> Map<String, Value> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for param in &property.params {
        all.entry(param.name.to_ascii_lowercase()).or_default().extend(param.values.iter().cloned());
    }
    let params = all.into_iter().map(|(name, mut values)| match values.len() {
        1 => (name, Value::from(values.remove(0))),
        _ => (name, Value::from(values)),
    });
    params.collect()
}

/// A JSON object under construction, in which what is empty is left out.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn of(name: &str, value: impl Into<Value>) -> Self {
        let mut object = Self::default();
        object.put(name, value);
        object
    }

    fn marked(marks: &Marks) -> Self {
        let mut object = Self::default();
        object.set("contexts", &marks.contexts);
        if let Some(pref) = marks.pref {
            object.put("pref", pref);
        }
        object.text("label", &marks.label);
        let property = Property::from_line(&format!("X;{}:", marks.params));
        let mut params = property.map(|property| params_of(&property)).unwrap_or_default();
        if !marks.group.is_empty() {
            params.insert("group".to_owned(), marks.group.clone().into());
        }
        object.object("vCardParams", Self(params));
        object
    }

    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.put(name, text);
        }
    }

    fn set(&mut self, name: &str, members: &BTreeSet<String>) {
        let members: Map<String, Value> = members.iter().map(|member| (member.clone(), true.into())).collect();
        self.object(name, Self(members));
    }

    fn list(&mut self, name: &str, values: Vec<Value>) {
        if !values.is_empty() {
            self.put(name, values);
        }
    }

    fn object(&mut self, name: &str, object: Self) {
        if !object.0.is_empty() {
            self.put(name, object);
        }
    }

    fn items(&mut self, name: &str, items: impl Iterator<Item = (String, Self)>) {
        self.object(name, Self(items.map(|(key, item)| (key, item.into())).collect()));
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}

#[cfg(test)]
mod tests {
    use ties_model::{AnniversaryKind, Email};

    use super::*;

    fn ada() -> Person {
        let mut person = Person::default();
        person.name.full = "Dr. Ada Lovelace".into();
        person.name.given = "Ada".into();
        person.name.prefix = "Dr.".into();
        person.tie.how_met = "at the engine".into();
        person.tie.met_on = Some("1833-06".parse().unwrap());
        let mut mail = Email { address: "ada@example.org".into(), ..Email::default() };
        mail.marks.contexts.insert("work".into());
        mail.marks.params = "PID=1.1;X-A=b,c".into();
        person.emails.insert("k1".into(), mail);
        for (key, kind, date) in [("b", AnniversaryKind::Birth, "--12-10"), ("o", AnniversaryKind::Other, "1833-06-05")]
        {
            let date = Some(date.parse().unwrap());
            person.anniversaries.insert(key.into(), Anniversary { kind, date, ..Anniversary::default() });
        }
        person.keywords.insert("maths".into());
        person.extra.insert("x".into(), "item1.X-FOO;TYPE=a,b;X=1:v\\,w".into());
        person
    }

    #[test]
    fn the_card_is_that_of_rfc_9553_with_our_block() {
        let note = Note { body: "Likes tea.".into(), at: "2026-11-23T10:00:00Z".into(), ..Note::default() };
        let card = card("018f", &ada(), &[("n1", &note)], None);
        let expected = json!({
            "@type": "Card",
            "version": "1.0",
            "kind": "individual",
            "uid": "urn:uuid:018f",
            "name": {
                "full": "Dr. Ada Lovelace",
                "components": [{ "kind": "title", "value": "Dr." }, { "kind": "given", "value": "Ada" }],
            },
            "emails": { "k1": {
                "address": "ada@example.org",
                "contexts": { "work": true },
                "vCardParams": { "pid": "1.1", "x-a": ["b", "c"] },
            } },
            "anniversaries": {
                "b": { "kind": "birth", "date": { "@type": "PartialDate", "month": 12, "day": 10 } },
                "o": { "kind": "other", "date": { "@type": "PartialDate", "year": 1833, "month": 6, "day": 5 } },
            },
            "keywords": { "maths": true },
            "notes": { "n1": {
                "note": "Likes tea.",
                "created": "2026-11-23T10:00:00Z",
                "ties.local:kind": "note",
            } },
            "vCardProps": [["x-foo", { "group": "item1", "type": ["a", "b"], "x": "1" }, "unknown", "v\\,w"]],
            "ties.local:tie": { "version": 1, "howMet": "at the engine", "metOn": "1833-06" },
        });
        assert_eq!(card, expected);
    }

    #[test]
    fn keys_are_sorted() {
        let text = card("018f", &ada(), &[], None).to_string();
        assert!(text.starts_with("{\"@type\":\"Card\",\"anniversaries\":"), "{text}");
        assert!(text.ends_with("\"version\":\"1.0\"}"), "{text}");
    }
}
