//! Fields that two devices set apart, and what is to be unique and is not: listed, and settled.
//!
//! Nothing is kept of conflicts but the documents that hold them: every device lists the same ones, and what settles one
//! is an ordinary change that clears it everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use ties_engine::Writer;
use ties_model::{Contested, Person, Setting};

use crate::api::{
    BookError, Candidate, ConflictRow, ConflictValue, Conflicts, ErrorKind, Event, Face, Reply, Resolution, Resolved,
};
use crate::book::Book;
use crate::desk::Desk;
use crate::devices::handle_conflicts;
use crate::engine::fault;
use crate::handle;
use crate::id::Id;
use crate::people::{self, through};
use crate::resolve::{self, Record};
use crate::rows::{self, CONTESTED, Index, Rows};
use crate::time::rfc3339;

/// The contested fields that there are: records and keys.
pub(crate) type Known = BTreeSet<(Id, String)>;

impl Book {
    pub(crate) fn conflicts(&self, what: Option<&str>) -> Result<Reply, BookError> {
        let view = self.view()?;
        let only = what.map(|what| resolve::record(&view, what)).transpose()?;
        let ids: BTreeSet<Id> = match only {
            Some(record) => BTreeSet::from([id_of(record)]),
            None => known(&view)?.into_iter().map(|(id, _)| id).collect(),
        };
        let mut found = Vec::new();
        for id in ids {
            if let Some(document) = Rows::document(&view, id)? {
                found.extend(Contested::of(&document).into_iter().map(|field| (id, field)));
            }
        }
        // A first state has no time, and no device of its own.
        let timed = found.iter().flat_map(|(_, field)| &field.claims).filter(|claim| claim.time.is_some());
        let writers = self.space.writers(timed.map(|claim| claim.actor.clone())).map_err(fault)?;
        let mut conflicts = Conflicts { fields: listed(&view, &found, &writers)?, ..Conflicts::default() };
        conflicts.handles = handle_conflicts(&view, handle::shared(&view)?, usize::MAX)?;
        conflicts.me = claimants_of_me(&view)?;
        if let Some(record) = only {
            let id = id_of(record).to_string();
            conflicts.handles.retain(|one| one.people.iter().any(|person| person.id == id));
            if conflicts.me.iter().all(|person| person.id != id) {
                conflicts.me.clear();
            }
        }
        Ok(Reply::Conflicts(Box::new(conflicts)))
    }

    /// Takes the contested fields of now for known.
    pub(crate) fn note_conflicts(&self) -> Result<(), BookError> {
        let now = known(&self.view()?)?;
        *self.contested.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(())
    }

    /// Says how many fields are contested that were not when it was last asked, by whatever road they came.
    pub(crate) fn tell_conflicts(&self, face: &mut dyn Face) -> Result<(), BookError> {
        let now = known(&self.view()?)?;
        let before =
            std::mem::replace(&mut *self.contested.lock().unwrap_or_else(PoisonError::into_inner), now.clone());
        let new = now.difference(&before).count();
        if new > 0 {
            let fields = if new == 1 { "1 field was" } else { &format!("{new} fields were") };
            let text = format!("{fields} set to different values on two devices; both are kept: ties conflicts");
            face.event(Event::Notice { text });
        }
        Ok(())
    }
}

/// Settles a field; gives what a face is told.
pub(crate) fn settle(desk: &mut dyn Desk, what: &str, field: &str, with: &Resolution) -> Result<Resolved, BookError> {
    let record = resolve::record(desk, what)?;
    let (id, label) = (id_of(record), label(desk, record)?);
    let document = desk.document(id)?.ok_or_else(|| BookError::new(ErrorKind::NotFound, format!("{label} is gone")))?;
    let contested = Contested::of(&document);
    let names = names(contested.iter().map(|one| one.key.as_str()));
    let wanted = field.trim().to_lowercase();
    let Some((name, one)) = names.iter().zip(&contested).find(|(name, one)| **name == wanted || one.key == field)
    else {
        return match (record, wanted.as_str(), with) {
            (Record::Person(id), "handle" | "me", Resolution::Value(value)) => {
                settle_uniqueness(desk, id, &Person::read(&document), &wanted, value)
            }
            _ => Err(not_contested(&label, &wanted, &names)),
        };
    };
    let setting = match with {
        Resolution::Take(number) => taken(one, *number)?,
        Resolution::Value(value) if one.key == "handle" => {
            let handle = free_handle(desk, id, value)?;
            setting(one, name, &handle)?
        }
        Resolution::Value(value) => setting(one, name, value)?,
    };
    desk.change(id, &mut |tx| one.settle(&setting, tx))?;
    let left = rows::contested(desk, id)?.len();
    Ok(Resolved { id: id.to_string(), label, field: name.clone(), value: shown(desk, &one.key, &setting)?, left })
}

/// Gives a person another handle, or says whether it is the user: both are to be unique over all records.
fn settle_uniqueness(
    desk: &mut dyn Desk,
    id: Id,
    present: &Person,
    field: &str,
    value: &str,
) -> Result<Resolved, BookError> {
    let mut edited = present.clone();
    let value = if field == "handle" {
        edited.handle = free_handle(desk, id, value)?;
        edited.handle.clone()
    } else {
        edited.me = match value.trim() {
            "yes" => true,
            "no" => false,
            _ => return Err(BookError::new(ErrorKind::Usage, "whether somebody is you is yes or no")),
        };
        value.trim().to_owned()
    };
    let label = label(desk, Record::Person(id))?;
    desk.change(id, &mut |tx| edited.write_since(present, tx).map(drop))?;
    let left = rows::contested(desk, id)?.len();
    Ok(Resolved { id: id.to_string(), label, field: field.to_owned(), value, left })
}

fn taken(one: &Contested, number: usize) -> Result<Setting, BookError> {
    let claim = number.checked_sub(1).and_then(|at| one.claims.get(at));
    claim.map(|claim| claim.setting.clone()).ok_or_else(|| {
        BookError::new(ErrorKind::Usage, format!("there is no value {number}"))
            .hint(format!("there are {}; ties conflicts lists them", one.claims.len()))
    })
}

fn setting(one: &Contested, name: &str, value: &str) -> Result<Setting, BookError> {
    one.setting(value).ok_or_else(|| {
        BookError::new(ErrorKind::Usage, format!("{name} cannot be {value:?}"))
            .hint("ties edit takes any change, an empty field too")
    })
}

fn free_handle(rows: &dyn Rows, id: Id, wanted: &str) -> Result<String, BookError> {
    let handle = handle::normal(wanted);
    if handle.is_empty() {
        return Err(BookError::new(ErrorKind::Usage, format!("{wanted:?} is no handle"))
            .hint("a handle has letters, digits, -, _ and ."));
    }
    match handle::holder(rows, &handle)?.filter(|holder| *holder != id) {
        None => Ok(handle),
        Some(holder) => {
            let name = rows::person(rows, holder)?.unwrap_or_default().name;
            Err(BookError::new(ErrorKind::Usage, format!("@{handle} is {name} already")))
        }
    }
}

fn not_contested(label: &str, field: &str, names: &[String]) -> BookError {
    let error = BookError::new(ErrorKind::NotFound, format!("{field:?} of {label} has no other value waiting"));
    match names {
        [] => error.hint("ties conflicts lists what is to be settled"),
        names => error.hint(format!("what is to be settled there: {}", names.join(", "))),
    }
}

/// What a record's contested fields are called, for its card.
pub(crate) fn contested_names(rows: &dyn Rows, id: Id) -> Result<Vec<String>, BookError> {
    let keys = rows::contested(rows, id)?;
    Ok(names(keys.iter().map(String::as_str)))
}

/// How many fields are contested.
pub(crate) fn count(rows: &dyn Rows) -> Result<usize, BookError> {
    Ok(known(rows)?.len())
}

fn known(rows: &dyn Rows) -> Result<Known, BookError> {
    let mut known = Known::new();
    for row in rows.scan(CONTESTED)? {
        let (key, value) = row?;
        let (id, keys) = (rows::id_of(&key)?, rows::decoded::<Vec<String>>(&value)?);
        known.extend(keys.into_iter().map(|key| (id, key)));
    }
    Ok(known)
}

/// The people who are said to be the user, if they are several.
fn claimants_of_me(rows: &dyn Rows) -> Result<Vec<Candidate>, BookError> {
    let ids = rows::ids(rows, &Index::Me.exactly(""))?;
    if ids.len() < 2 {
        return Ok(Vec::new());
    }
    ids.into_iter().map(|id| resolve::candidate(rows, Record::Person(id))).collect()
}

fn listed(
    rows: &dyn Rows,
    found: &[(Id, Contested)],
    writers: &BTreeMap<Vec<u8>, Writer>,
) -> Result<Vec<ConflictRow>, BookError> {
    let mut listed = Vec::new();
    for record in found.chunk_by(|one, other| one.0 == other.0) {
        let names = names(record.iter().map(|(_, field)| field.key.as_str()));
        for ((id, field), name) in record.iter().zip(names) {
            let values = field.claims.iter().map(|claim| {
                let writer = writers.get(&claim.actor);
                Ok(ConflictValue {
                    value: shown(rows, &field.key, &claim.setting)?,
                    device: writer.map(|writer| writer.device.clone()),
                    this: writer.is_some_and(|writer| writer.this),
                    at: claim.time.and_then(|time| rfc3339(time.checked_mul(1000)?)),
                })
            });
            let values = values.collect::<Result<_, BookError>>()?;
            let record = record_of(rows, *id)?;
            listed.push(ConflictRow {
                id: id.to_string(),
                word: word(rows, record)?,
                label: label(rows, record)?,
                field: name,
                of: item_of(rows, *id, &field.key)?,
                key: field.key.clone(),
                values,
            });
        }
    }
    listed.sort_by(|one, other| (&one.label, &one.id, &one.field).cmp(&(&other.label, &other.id, &other.field)));
    Ok(listed)
}

fn record_of(rows: &dyn Rows, id: Id) -> Result<Record, BookError> {
    Ok(if rows::note(rows, id)?.is_some() {
        Record::Note(id)
    } else if rows::organization(rows, id)?.is_some() {
        Record::Organization(id)
    } else {
        Record::Person(id)
    })
}

fn id_of(record: Record) -> Id {
    let (Record::Person(id) | Record::Note(id) | Record::Organization(id)) = record;
    id
}

/// What a record is called in a message.
fn label(rows: &dyn Rows, record: Record) -> Result<String, BookError> {
    match record {
        Record::Person(id) => people::label(rows, id, &rows::person(rows, id)?.unwrap_or_default()),
        Record::Note(id) => crate::notes::label(rows, id),
        Record::Organization(id) => Ok(rows::organization(rows, id)?.unwrap_or_default().name),
    }
}

/// A word for a command line that means this record.
fn word(rows: &dyn Rows, record: Record) -> Result<String, BookError> {
    let id = id_of(record);
    let shown = match record {
        Record::Person(id) => handle::shown(rows, id, &rows::person(rows, id)?.unwrap_or_default().handle)?,
        Record::Note(_) | Record::Organization(_) => String::new(),
    };
    if shown.is_empty() { id.short(rows) } else { Ok(shown) }
}

/// A value as it is shown.
fn shown(rows: &dyn Rows, key: &str, setting: &Setting) -> Result<String, BookError> {
    let text = setting.to_string();
    if key == "tie/met-through" { through(rows, &text) } else { Ok(text) }
}

/// What the item is that a field is a part of: the address of a mail label.
fn item_of(rows: &dyn Rows, id: Id, key: &str) -> Result<String, BookError> {
    use automerge::{ROOT, ReadDoc};
    let mut parts = key.splitn(3, '/');
    let (Some(collection), Some(item), Some(part)) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(String::new());
    };
    let Some((_, _, main)) = ITEMS.iter().find(|(known, ..)| *known == collection) else { return Ok(String::new()) };
    let Some(document) = rows.document(id)?.filter(|_| part != *main) else { return Ok(String::new()) };
    let value = document.get(ROOT, format!("{collection}/{item}/{main}")).ok().flatten();
    Ok(value.and_then(|(value, _)| value.into_string().ok()).unwrap_or_default())
}

/// What the user calls these fields of one record, each by a name of its own.
fn names<'k>(keys: impl Iterator<Item = &'k str>) -> Vec<String> {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    let names = keys.map(|key| {
        let name = name(key);
        let number = count.entry(name.clone()).and_modify(|number| *number += 1).or_insert(1);
        if *number == 1 { name } else { format!("{name}-{number}") }
    });
    names.collect()
}

/// What the user calls a field: `name`, `met-on`, `mail`, `mail.label`.
fn name(key: &str) -> String {
    let parts: Vec<&str> = key.split('/').collect();
    match parts[..] {
        ["name", "full"] => "name".to_owned(),
        ["tie", part] => part.to_owned(),
        ["type"] => "kind".to_owned(),
        [collection, _, ref part @ ..] if !part.is_empty() => {
            match ITEMS.iter().find(|(known, ..)| *known == collection) {
                Some((_, name, main)) if part[..] == [*main] => (*name).to_owned(),
                Some((_, name, _)) => format!("{name}.{}", part.join(".")),
                None => parts.join("."),
            }
        }
        _ => parts.join("."),
    }
}

/// Collections of items: what one is called, and the part that it is known by.
const ITEMS: [(&str, &str, &str); 10] = [
    ("emails", "mail", "address"),
    ("phones", "phone", "number"),
    ("services", "profile", "uri"),
    ("links", "link", "uri"),
    ("addresses", "address", "full"),
    ("anniversaries", "date", "date"),
    ("organizations", "organization", "name"),
    ("titles", "title", "name"),
    ("languages", "language", "tag"),
    ("relations", "related", "name"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_names_that_can_be_typed_and_are_their_own() {
        let keys = [
            "emails/k1/address",
            "emails/k1/label",
            "emails/k2/address",
            "name/full",
            "name/given",
            "tie/met-on",
            "type",
            "addresses/k/detail/room",
            "handle",
        ];
        let expected =
            ["mail", "mail.label", "mail-2", "name", "name.given", "met-on", "kind", "address.detail.room", "handle"];
        assert_eq!(names(keys.into_iter()), expected);
    }
}
