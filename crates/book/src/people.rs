//! Adding and deleting people; [`show`] has a file of its own.

use std::collections::BTreeSet;

use automerge::Automerge;
use ties_model::{Email, Link, OnlineService, Organization, Person, Phone, Title};

use crate::api::{BookError, Candidate, ErrorKind, Labelled, PersonAdded, PersonRow, Removed};
use crate::capture::Sketch;
use crate::desk::Desk;
use crate::fold::fold;
use crate::handle;
use crate::id::Id;
use crate::list::{notes_about, person_row};
use crate::person_form::tags;
use crate::points;
use crate::projection::note_people;
use crate::resolve::{self, Record};
use crate::rows::{self, Index, PersonEntry, Rows};
use crate::time::rfc3339;

pub(crate) use crate::person_view::show;

/// A person that was added; what is read of it waits for the transaction's end.
pub(crate) struct Added {
    pub(crate) id: Id,
    understood: Vec<Labelled>,
    similar: Vec<Candidate>,
}

/// Adds a person from the words of a command line.
pub(crate) fn add(desk: &mut dyn Desk, words: &[String]) -> Result<Added, BookError> {
    let sketch = Sketch::of(words, &desk.here().now()?)?;
    let similar = similar(desk, &sketch)?;
    let handle = new_handle(desk, &sketch)?;
    let (met_through, through_name) = met_through(desk, sketch.met_through.as_deref())?;
    let mut person = sketched(&sketch);
    person.handle = handle;
    person.tie.met_through = met_through;
    person.created = desk.here().created();
    let id = desk.fresh_id()?;
    desk.change(id, &mut |tx| person.write(tx).map(drop))?;
    Ok(Added { id, understood: understood(&sketch, through_name), similar })
}

impl Added {
    /// What a face is told.
    pub(crate) fn reply(self, rows: &dyn Rows) -> Result<PersonAdded, BookError> {
        Ok(PersonAdded { person: row(rows, self.id)?, understood: self.understood, similar: self.similar })
    }
}

/// A person as lists show one.
pub(crate) fn row(rows: &dyn Rows, id: Id) -> Result<PersonRow, BookError> {
    let entry = rows::person(rows, id)?.ok_or_else(|| gone(id))?;
    person_row(rows, id, &entry)
}

/// The document and the entry of a person who is there.
pub(crate) fn loaded(rows: &dyn Rows, id: Id) -> Result<(Automerge, PersonEntry), BookError> {
    let entry = rows::person(rows, id)?.ok_or_else(|| gone(id))?;
    Ok((rows.document(id)?.ok_or_else(|| gone(id))?, entry))
}

fn gone(id: Id) -> BookError {
    BookError::new(ErrorKind::NotFound, format!("the person {id} is gone"))
}

/// Deletes a person and the notes about nobody else.
pub(crate) fn remove(desk: &mut dyn Desk, id: Id) -> Result<Removed, BookError> {
    let entry = rows::person(desk, id)?.unwrap_or_default();
    let label = label(desk, id, &entry)?;
    let mut notes = 0;
    for (note, entry) in notes_about(desk, id)? {
        if note_people(&entry).eq([id]) {
            desk.delete(note)?;
            notes += 1;
        }
    }
    desk.delete(id)?;
    Ok(Removed { id: id.to_string(), label, notes })
}

/// A person for a message: `Ada Lovelace (@ada)`.
pub(crate) fn label(rows: &dyn Rows, id: Id, entry: &PersonEntry) -> Result<String, BookError> {
    Ok(match handle::shown(rows, id, &entry.handle)? {
        handle if handle.is_empty() => entry.name.clone(),
        handle => format!("{} (@{handle})", entry.name),
    })
}

/// Whom a `person:…` reference names; another text as it is.
pub(crate) fn through(rows: &dyn Rows, met_through: &str) -> Result<String, BookError> {
    let Some(id) = met_through.strip_prefix(PERSON).and_then(|id| id.parse().ok()) else {
        return Ok(met_through.to_owned());
    };
    match rows::person(rows, id)? {
        Some(entry) => label(rows, id, &entry),
        None => Ok("somebody deleted since".to_owned()),
    }
}

/// What a `person:…` reference begins with.
pub(crate) const PERSON: &str = "person:";

fn new_handle(rows: &dyn Rows, sketch: &Sketch) -> Result<String, BookError> {
    let Some(wanted) = &sketch.handle else { return handle::free(rows, &sketch.name) };
    let wanted = handle::normal(wanted);
    match handle::holder(rows, &wanted)? {
        None if wanted.is_empty() => handle::free(rows, &sketch.name),
        None => Ok(wanted),
        Some(holder) => {
            let entry = rows::person(rows, holder)?.unwrap_or_default();
            Err(BookError::new(ErrorKind::Usage, format!("@{wanted} is {} already", entry.name)))
        }
    }
}

/// The reference to store, and the name to echo.
fn met_through(rows: &dyn Rows, via: Option<&str>) -> Result<(String, Option<String>), BookError> {
    let Some(via) = via else { return Ok((String::new(), None)) };
    match resolve::person(rows, via) {
        Ok(id) => {
            let reference = format!("{PERSON}{id}");
            let name = through(rows, &reference)?;
            Ok((reference, Some(name)))
        }
        Err(error) if error.kind == ErrorKind::NotFound && !via.starts_with('@') => {
            Ok((via.to_owned(), Some(via.to_owned())))
        }
        Err(error) => Err(error),
    }
}

fn sketched(sketch: &Sketch) -> Person {
    let mut person = Person { keywords: tags(sketch.tags.iter().cloned()), ..Person::default() };
    person.name.full = sketch.name.clone();
    for address in &sketch.mails {
        let email = Email { address: address.clone(), ..Email::default() };
        person.emails.insert(email.key(), email);
    }
    for number in &sketch.phones {
        let phone = Phone { number: number.clone(), ..Phone::default() };
        person.phones.insert(phone.key(), phone);
    }
    for url in &sketch.urls {
        let uri = if url.contains("://") { url.clone() } else { format!("https://{url}") };
        if let Some(service) = service(&uri) {
            let service = OnlineService { service: service.to_owned(), uri, ..OnlineService::default() };
            person.services.insert(service.key(), service);
        } else {
            let link = Link { uri, ..Link::default() };
            person.links.insert(link.key(), link);
        }
    }
    if let Some(name) = &sketch.organization {
        let organization = Organization { name: name.clone(), ..Organization::default() };
        person.organizations.insert(organization.key(), organization);
    }
    if let Some(name) = &sketch.title {
        let organization = person.organizations.keys().next().cloned().unwrap_or_default();
        let title = Title { name: name.clone(), organization, ..Title::default() };
        person.titles.insert(title.key(), title);
    }
    person.tie.how_met = sketch.how_met.clone().unwrap_or_default();
    person.tie.met_on = sketch.met_on.as_ref().and_then(|date| date.parse().ok());
    person
}

/// The service whose profiles lie at this address.
fn service(uri: &str) -> Option<&'static str> {
    let bare = points::url(uri)?;
    let host = bare.split('/').next().unwrap_or_default();
    let known =
        SERVICES.iter().find(|(at, _)| host == *at || host.strip_suffix(at).is_some_and(|sub| sub.ends_with('.')));
    known.map(|(_, name)| *name)
}

const SERVICES: [(&str, &str); 14] = [
    ("linkedin.com", "LinkedIn"),
    ("xing.com", "XING"),
    ("github.com", "GitHub"),
    ("gitlab.com", "GitLab"),
    ("codeberg.org", "Codeberg"),
    ("mastodon.social", "Mastodon"),
    ("bsky.app", "Bluesky"),
    ("x.com", "X"),
    ("twitter.com", "Twitter"),
    ("facebook.com", "Facebook"),
    ("instagram.com", "Instagram"),
    ("youtube.com", "YouTube"),
    ("orcid.org", "ORCID"),
    ("researchgate.net", "ResearchGate"),
];

fn understood(sketch: &Sketch, through: Option<String>) -> Vec<Labelled> {
    let one = |label: &str, value: &String| Labelled { value: value.clone(), label: label.to_owned() };
    let mut understood: Vec<Labelled> = Vec::new();
    for (label, values) in
        [("mail", &sketch.mails), ("phone", &sketch.phones), ("link", &sketch.urls), ("tag", &sketch.tags)]
    {
        understood.extend(values.iter().map(|value| one(label, value)));
    }
    for (label, value) in [
        ("org", &sketch.organization),
        ("title", &sketch.title),
        ("met on", &sketch.met_on),
        ("met through", &through),
        ("how met", &sketch.how_met),
    ] {
        understood.extend(value.iter().map(|value| one(label, value)));
    }
    understood
}

/// Who is there already with the same mail, phone, profile or name.
fn similar(rows: &dyn Rows, sketch: &Sketch) -> Result<Vec<Candidate>, BookError> {
    let mut found = BTreeSet::new();
    for point in sketch.mails.iter().chain(&sketch.phones).chain(&sketch.urls) {
        found.extend(resolve::by_point(rows, point)?);
    }
    for id in resolve::by_name(rows, &sketch.name, Index::exactly)? {
        if rows::person(rows, id)?.is_some_and(|entry| fold(&entry.name) == fold(&sketch.name)) {
            found.insert(id);
        }
    }
    found.into_iter().take(5).map(|id| resolve::candidate(rows, Record::Person(id))).collect()
}

/// When the document was last changed, by what is not undone.
pub(crate) fn updated(document: &Automerge) -> Option<String> {
    rfc3339(ties_engine::last_change(document)?.checked_mul(1000)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::testing::MemoryDesk;

    fn add(desk: &mut MemoryDesk, words: &str) -> Result<PersonAdded, BookError> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        super::add(desk, &words)?.reply(desk)
    }

    #[test]
    fn a_new_person_is_shown_as_it_was_described() {
        let mut desk = MemoryDesk::new();
        add(&mut desk, "Grace Hopper").unwrap();
        let text = "Ada Lovelace ada@mail.example +43 1 5123456 linkedin.com/in/ada org:Acme title:CTO +maths on:2026-05 via:@grace";
        let added = add(&mut desk, text).unwrap();
        assert_eq!(added.person.handle, "ada");
        assert_eq!(added.similar, []);
        assert_eq!(added.understood.len(), 8);
        let view = show(&desk, added.person.id.parse().unwrap()).unwrap();
        assert_eq!(view.row, added.person);
        assert_eq!((view.row.organization.as_str(), view.row.title.as_str()), ("Acme", "CTO"));
        assert_eq!(view.profiles, [Labelled { value: "https://linkedin.com/in/ada".into(), label: "LinkedIn".into() }]);
        assert_eq!((view.met_on.as_str(), view.met_through.as_str()), ("2026-05", "Grace Hopper (@grace)"));
        assert_eq!(view.created.as_deref(), Some("2026-11-22T10:00:00Z"));
    }

    #[test]
    fn who_is_there_already_is_told() {
        let mut desk = MemoryDesk::new();
        let first = add(&mut desk, "Ada Lovelace ada@mail.example").unwrap();
        let second = add(&mut desk, "Countess ADA@mail.example").unwrap();
        assert_eq!(second.similar[0].id, first.person.id);
        let third = add(&mut desk, "ada lovelace").unwrap();
        assert_eq!(third.similar.len(), 1);
        assert_eq!(third.person.handle, "ada-lovelace");
    }

    #[test]
    fn a_handle_is_given_once() {
        let mut desk = MemoryDesk::new();
        add(&mut desk, "Ada @x").unwrap();
        assert_eq!(add(&mut desk, "Bob @X").unwrap_err().kind, ErrorKind::Usage);
    }
}
