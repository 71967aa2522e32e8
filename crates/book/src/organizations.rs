//! Organizations: who belongs where, and the records of those that more is known of.
//!
//! Ten thousand contacts belong to thousands of companies; none of these gets a document until something is written
//! about it. Until then an organization is what people's records say.

use std::collections::{BTreeMap, BTreeSet};

use ties_model::{Link, OrganizationKind, OrganizationRecord, Reference, text_key};

use crate::api::{BookError, ErrorKind, Labelled, NoteKind, OrganizationRow, OrganizationView, Removed};
use crate::capture::key_and_value;
use crate::desk::Desk;
use crate::fold::{fold, words};
use crate::handle::Shown;
use crate::id::Id;
use crate::list::{note_view, notes_about, person_row_among};
use crate::notes;
use crate::person_form::tags;
use crate::person_view::{address, labelled};
use crate::points;
use crate::projection::{note_organizations, note_people};
use crate::resolve::{self, Record};
use crate::rows::{self, Index, OrganizationEntry, PersonEntry, Rows};

/// The name without what differs between two spellings of one organization: case, accents, punctuation, legal form.
///
/// The id of a record follows from this, so it is never to be changed, and no legal form to be added.
pub(crate) fn key(name: &str) -> String {
    let mut words = words(name);
    while let Some(form) = LEGAL_FORMS.iter().find(|form| is_form(&words, form)) {
        words.truncate(words.len() - form.split(' ').count());
    }
    if words.is_empty() { text_key(name) } else { words.join(" ") }
}

/// Whether a name ends in a legal form and is more than that.
fn is_form(words: &[String], form: &str) -> bool {
    let form: Vec<&str> = form.split(' ').collect();
    words.len() > form.len() && words.iter().rev().zip(form.iter().rev()).all(|(word, part)| word == part)
}

/// The id of the record of an organization: the same wherever it is made.
pub(crate) fn id(name: &str) -> Id {
    Id::imported("organization", &key(name))
}

/// What bears a name.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Records, under this name or as an alias.
    pub(crate) records: Vec<Id>,
    /// People who belong there.
    pub(crate) people: BTreeSet<Id>,
}

/// What bears this name, whatever the spelling; never by a piece of it.
pub(crate) fn of_name(rows: &dyn Rows, name: &str) -> Result<Named, BookError> {
    let key = key(name);
    let mut named = Named::default();
    if key.is_empty() {
        return Ok(named);
    }
    for row in rows.scan(&Index::Organization.beginning(&key))? {
        let (row, value) = row?;
        let id = rows::id_of(&row)?;
        let spelled = String::from_utf8_lossy(row.get(1..row.len().saturating_sub(17)).unwrap_or_default());
        if self::key(&spelled) != key {
            continue;
        }
        if value == b"c" {
            named.records.push(id);
        } else {
            named.people.insert(id);
        }
    }
    // The one whose own name it is comes before those that have it for an alias.
    let own = id(name);
    named.records.sort_by_key(|id| (*id != own, *id));
    named.records.dedup();
    Ok(named)
}

/// The organizations, by name.
pub(crate) fn list(rows: &dyn Rows, filter: &[String]) -> Result<Vec<OrganizationRow>, BookError> {
    let mut found: BTreeMap<String, Listed> = BTreeMap::new();
    for row in rows.scan(b"p")? {
        let entry: PersonEntry = rows::decoded(&row?.1)?;
        let keys: BTreeMap<String, &String> = entry.organizations.iter().map(|name| (key(name), name)).collect();
        for (key, name) in keys {
            let listed = found.entry(key).or_default();
            listed.people += 1;
            *listed.spellings.entry(name.clone()).or_default() += 1;
        }
    }
    let mut all = Vec::new();
    for row in rows.scan(b"c")? {
        let (row, value) = row?;
        let entry: OrganizationEntry = rows::decoded(&value)?;
        let names: BTreeSet<String> = entry.aliases.iter().chain([&entry.name]).map(|name| key(name)).collect();
        let people = names.iter().filter_map(|key| found.remove(key)).map(|listed| listed.people).sum();
        all.push(of_entry(rows, rows::id_of(&row)?, &entry, people)?);
    }
    let spelled =
        |listed: Listed| OrganizationRow { people: listed.people, name: listed.usual(), ..Default::default() };
    all.extend(found.into_values().map(spelled));
    let wanted: Vec<String> = filter.iter().map(|text| fold(text)).collect();
    all.retain(|one| wanted.iter().all(|text| fold(&one.name).contains(text.as_str())));
    all.sort_by_cached_key(|one| (fold(&one.name), one.id.clone()));
    Ok(all)
}

/// An organization as people's records have it.
#[derive(Default)]
struct Listed {
    people: usize,
    spellings: BTreeMap<String, usize>,
}

impl Listed {
    /// The spelling that most have.
    fn usual(self) -> String {
        let most = self.spellings.into_iter().max_by(|a, b| (a.1, &b.0).cmp(&(b.1, &a.0)));
        most.map(|(name, _)| name).unwrap_or_default()
    }
}

fn of_entry(rows: &dyn Rows, id: Id, entry: &OrganizationEntry, people: usize) -> Result<OrganizationRow, BookError> {
    Ok(OrganizationRow {
        id: Some(id.to_string()),
        short: Some(id.short(rows)?),
        name: entry.name.clone(),
        people,
        kind: entry.kind.clone(),
        industry: entry.industry.clone(),
        location: entry.location.clone(),
        tags: entry.tags.clone(),
    })
}

/// The record that is meant by a name or an id, and the name under which to look for people.
fn meant(rows: &dyn Rows, name: &str) -> Result<(Option<Id>, String), BookError> {
    let name = name.trim();
    if let Some(&record) = of_name(rows, name)?.records.first() {
        return Ok((Some(record), name.to_owned()));
    }
    // An id is what a list shows beside a name; who works there is found under the record's own name.
    let by_id = name.len() >= crate::id::SHORTEST && name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if by_id
        && let Ok(Record::Organization(id)) = resolve::record(rows, name)
        && let Some(entry) = rows::organization(rows, id)?
    {
        return Ok((Some(id), entry.name));
    }
    Ok((None, name.to_owned()))
}

/// An organization, whole; nothing if nobody belongs to one of that name and it has no record.
pub(crate) fn find(rows: &dyn Rows, name: &str) -> Result<Option<OrganizationView>, BookError> {
    let (record, name) = meant(rows, name)?;
    let entry = match record {
        Some(id) => rows::organization(rows, id)?,
        None => None,
    };
    let mut names: Vec<String> = entry.iter().flat_map(|entry| &entry.aliases).cloned().collect();
    names.push(entry.as_ref().map_or(name, |entry| entry.name.clone()));
    let mut people = BTreeSet::new();
    for name in &names {
        people.extend(of_name(rows, name)?.people);
    }
    let mut view = OrganizationView::default();
    let mut shown = Shown::new(rows);
    let mut spellings = Listed::default();
    let keys: BTreeSet<String> = names.iter().map(|name| key(name)).collect();
    for id in people {
        let Some(entry) = rows::person(rows, id)? else { continue };
        for name in entry.organizations.iter().filter(|name| keys.contains(&key(name))) {
            *spellings.spellings.entry(name.clone()).or_default() += 1;
        }
        view.people.push(person_row_among(&mut shown, id, &entry)?);
    }
    view.people.sort_by_cached_key(|person| (fold(&person.name), person.id.clone()));
    let spelled: BTreeSet<String> = spellings.spellings.keys().cloned().collect();
    match (record, entry) {
        (Some(id), Some(entry)) => {
            view.row = of_entry(rows, id, &entry, view.people.len())?;
            of_record(rows, id, &mut view)?;
        }
        _ if view.people.is_empty() => return Ok(None),
        _ => view.row = OrganizationRow { name: spellings.usual(), people: view.people.len(), ..Default::default() },
    }
    let aliases: BTreeSet<String> = view.aliases.drain(..).chain(spelled).collect();
    view.aliases = aliases.into_iter().filter(|name| *name != view.row.name).collect();
    Ok(Some(view))
}

/// Adds what the record holds.
fn of_record(rows: &dyn Rows, id: Id, view: &mut OrganizationView) -> Result<(), BookError> {
    let Some(document) = rows.document(id)? else { return Ok(()) };
    let record = OrganizationRecord::read(&document);
    view.aliases = record.aliases.iter().cloned().collect();
    view.domains = record.domains.iter().cloned().collect();
    view.emails = labelled(record.emails.values(), |one| &one.marks, |one| one.address.clone());
    view.phones = labelled(record.phones.values(), |one| &one.marks, |one| one.number.clone());
    view.addresses = labelled(record.addresses.values(), |one| &one.marks, address);
    let profile = |one: &ties_model::OnlineService| Labelled {
        value: if one.uri.is_empty() { one.user.clone() } else { one.uri.clone() },
        label: one.service.clone(),
    };
    view.profiles = record.services.values().map(profile).collect();
    view.links = labelled(record.links.values(), |one| &one.marks, |one| one.uri.clone());
    view.extra = record.extra.values().cloned().collect();
    view.contested = crate::conflicts::contested_names(rows, id)?;
    for (id, note) in notes_about(rows, id)? {
        view.notes.push(note_view(rows, id, note)?);
    }
    Ok(())
}

/// The same, or the error that says that there is none.
pub(crate) fn show(rows: &dyn Rows, name: &str) -> Result<OrganizationView, BookError> {
    find(rows, name)?.ok_or_else(|| {
        BookError::new(ErrorKind::NotFound, format!("nobody belongs to an organization called {name:?}"))
            .hint("ties org lists them; ties org NAME kind:company begins a record")
    })
}

/// Writes what the words say; gives the record's id and the fields that changed.
pub(crate) fn write(desk: &mut dyn Desk, name: &str, words: &[String]) -> Result<(Id, Vec<String>), BookError> {
    let (id, mut record) = opened(desk, name)?;
    let before = record.clone();
    words.iter().try_for_each(|word| take(&mut record, word))?;
    if record.created == Default::default() && desk.document(id)?.is_none() {
        record.created = desk.here().created();
    }
    let changed = crate::said::of_organization(&before);
    let changed =
        crate::said::of_organization(&record).into_iter().filter(|(field, now)| changed.get(field) != Some(now));
    let changed = changed.map(|(field, _)| field.to_owned()).collect();
    desk.change(id, &mut |tx| record.write(tx).map(drop))?;
    Ok((id, changed))
}

/// Writes a note about an organization that has a record or people; gives the ids of both.
pub(crate) fn note(desk: &mut dyn Desk, name: &str, text: &str, kind: NoteKind) -> Result<(Id, Id), BookError> {
    if text.trim().is_empty() {
        return Err(BookError::new(ErrorKind::Usage, "the note is empty"));
    }
    let (about, _) = write(desk, name, &[])?;
    let id = notes::write(desk, Reference::organization(about), text, kind)?;
    Ok((id, about))
}

/// Deletes the record of an organization and the notes about nothing else. Who belongs there stays.
pub(crate) fn remove(desk: &mut dyn Desk, id: Id) -> Result<Removed, BookError> {
    let entry = rows::organization(desk, id)?.unwrap_or_default();
    let mut notes = 0;
    for (note, about) in notes_about(desk, id)? {
        if note_organizations(&about).eq([id]) && note_people(&about).next().is_none() {
            desk.delete(note)?;
            notes += 1;
        }
    }
    desk.delete(id)?;
    Ok(Removed { id: id.to_string(), label: format!("{} (organization)", entry.name), notes })
}

/// The row of a record, with how many people belong there.
pub(crate) fn row(rows: &dyn Rows, id: Id) -> Result<OrganizationRow, BookError> {
    let entry = rows::organization(rows, id)?.unwrap_or_default();
    let mut people = BTreeSet::new();
    for name in entry.aliases.iter().chain([&entry.name]) {
        people.extend(of_name(rows, name)?.people);
    }
    of_entry(rows, id, &entry, people.len())
}

/// The records in which all of the words occur.
pub(crate) fn matching(rows: &dyn Rows, asked: &[String]) -> Result<Vec<Id>, BookError> {
    let asked: Vec<String> = asked.iter().flat_map(|text| text.split_whitespace()).map(fold).collect();
    let mut found = Vec::new();
    for row in rows.scan(b"c")? {
        let (row, value) = row?;
        let entry: OrganizationEntry = rows::decoded(&value)?;
        let texts = [&entry.name, &entry.kind, &entry.industry, &entry.location].into_iter();
        let texts = texts.chain(&entry.aliases).chain(&entry.tags).chain(&entry.more);
        let text = fold(&texts.cloned().collect::<Vec<_>>().join("\n"));
        if asked.iter().all(|word| text.contains(word.as_str())) {
            found.push(rows::id_of(&row)?);
        }
    }
    Ok(found)
}

/// The record as it is, or as it begins: with the name that most people's records have.
fn opened(desk: &mut dyn Desk, name: &str) -> Result<(Id, OrganizationRecord), BookError> {
    if key(name).is_empty() {
        return Err(BookError::new(ErrorKind::Usage, "a name is missing").hint("ties org \"Acme GmbH\" kind:company"));
    }
    if let (Some(id), _) = meant(desk, name)?
        && let Some(document) = desk.document(id)?
    {
        return Ok((id, OrganizationRecord::read(&document)));
    }
    let usual =
        find(desk, name)?.map_or_else(|| name.split_whitespace().collect::<Vec<_>>().join(" "), |view| view.row.name);
    Ok((id(name), OrganizationRecord { name: usual, ..OrganizationRecord::default() }))
}

/// Takes one word of what to write.
fn take(record: &mut OrganizationRecord, word: &str) -> Result<(), BookError> {
    let word = word.trim();
    if let Some(tag) = word.strip_prefix('+').filter(|tag| !tag.is_empty()) {
        record.keywords.extend(tags([tag.to_owned()]));
        return Ok(());
    }
    let (key, value) = match key_and_value(word) {
        Some(("http" | "https", _)) => ("link", word),
        Some((key, value)) => (key, value),
        None if points::url(word).is_some() => ("link", word),
        None => {
            return Err(BookError::new(ErrorKind::Usage, format!("{word:?} is not understood here")).hint(KEYS));
        }
    };
    let clear = value == "-";
    let text = if clear { String::new() } else { value.to_owned() };
    match key {
        "kind" if clear || OrganizationKind::WORDS.contains(&value) => record.kind = OrganizationKind::named(&text),
        "kind" => {
            let kinds = OrganizationKind::WORDS.join(", ");
            return Err(BookError::new(ErrorKind::Usage, format!("{value:?} is no kind of organization"))
                .hint(format!("kinds are {kinds}")));
        }
        "industry" => record.industry = text,
        "location" => record.location = text,
        "name" if !clear => record.name = text,
        "domain" if clear => record.domains.clear(),
        "domain" => drop(record.domains.insert(value.to_lowercase())),
        "alias" if clear => record.aliases.clear(),
        "alias" => drop(record.aliases.insert(text)),
        "tag" if clear => record.keywords.clear(),
        "tag" => record.keywords.extend(tags([text])),
        "link" if clear => record.links.clear(),
        "link" => {
            let uri = if value.contains("://") { text } else { format!("https://{text}") };
            let link = Link { uri, ..Link::default() };
            record.links.insert(link.key(), link);
        }
        _ => return Err(BookError::new(ErrorKind::Usage, format!("{key}: is not understood here")).hint(KEYS)),
    }
    Ok(())
}

const KEYS: &str = "known are kind: domain: industry: location: alias: link: name: tag: and +tag; key:- empties";

/// Legal forms as the folded words at the end of a name. Ids of records follow from this list: it stays as it is.
const LEGAL_FORMS: &[&str] = &[
    "inc",
    "incorporated",
    "llc",
    "l l c",
    "ltd",
    "limited",
    "corp",
    "corporation",
    "co",
    "company",
    "plc",
    "llp",
    "lp",
    "l p",
    "pllc",
    "gmbh",
    "g m b h",
    "mbh",
    "gmbh co kg",
    "co kg",
    "ag",
    "a g",
    "kg",
    "ohg",
    "ug",
    "se",
    "e v",
    "ev",
    "e g",
    "eg",
    "kgaa",
    "sa",
    "s a",
    "sas",
    "s a s",
    "sarl",
    "s a r l",
    "srl",
    "s r l",
    "spa",
    "s p a",
    "bv",
    "b v",
    "nv",
    "n v",
    "ab",
    "as",
    "a s",
    "asa",
    "oy",
    "oyj",
    "aps",
    "pty",
    "pty ltd",
    "pte",
    "pte ltd",
    "sro",
    "s r o",
    "doo",
    "d o o",
    "sp z o o",
    "kft",
    "zrt",
    "ltda",
    "sl",
    "s l",
    "kk",
    "k k",
];

#[cfg(test)]
mod tests;
