//! An import that comes again: what it said last time, what it says now, and what stands here, kept apart.
//!
//! What an import said first is the seed of its record and stays in the document's history. What it said later and
//! differently lies beside the fields under `imported/…`, so that a record costs nothing more until its source changes.

use std::collections::{BTreeMap, BTreeSet};

use automerge::transaction::Transactable;
use automerge::{Automerge, ChangeHash, ROOT};

use crate::fields::{DocumentKind, Fields, Value, WriteError, item_prefix};
use crate::{OrganizationRecord, Person};

/// What an import that comes again means for a record.
///
/// Each value has four states: as the source said it last time (`base`), as it says it now (`theirs`), as it stands here
/// (`mine`), and as it will stand (`merged`): what only the source changed is taken over, what the user changed stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reimport<T> {
    /// What the source said when it was imported last.
    pub base: T,
    /// What it says now.
    pub theirs: T,
    /// What stands here.
    pub mine: T,
    /// What will stand here.
    pub merged: T,
    kind: DocumentKind,
    written: Fields,
    present: Fields,
    /// What is to be noted of what the source says now, by key; `None` if it is as in the seed.
    notes: BTreeMap<String, Option<Value>>,
}

impl Reimport<Person> {
    /// Compares; nothing if the document did not begin as an import, or the source says what it said.
    pub fn of_person(document: &Automerge, theirs: &Person) -> Result<Option<Self>, WriteError> {
        let present = Person::read(document).to_fields()?;
        let known = |fields: &Fields| Person::from_fields(fields).to_fields();
        plan(document, DocumentKind::Person, theirs.to_fields()?, present, known, Person::from_fields)
    }
}

impl Reimport<OrganizationRecord> {
    /// Compares; nothing if the source says what it said. Of a record that was begun here it has said nothing yet.
    pub fn of_organization(document: &Automerge, theirs: &OrganizationRecord) -> Result<Option<Self>, WriteError> {
        let present = OrganizationRecord::read(document).to_fields()?;
        let known = |fields: &Fields| OrganizationRecord::from_fields(fields).to_fields();
        let of = OrganizationRecord::from_fields;
        plan(document, DocumentKind::Organization, theirs.to_fields()?, present, known, of)
    }
}

impl<T> Reimport<T> {
    /// Writes what is merged, and what the source said, for next time.
    pub fn write(&self, tx: &mut impl Transactable) -> Result<(), WriteError> {
        self.written.write(self.kind, &self.present, &self.present, tx)?;
        for (key, note) in &self.notes {
            let key = format!("{IMPORTED}/{key}");
            match note {
                Some(value) => value.put(tx, &key)?,
                None if tx.get(ROOT, key.as_str())?.is_some() => tx.delete(ROOT, key.as_str())?,
                None => {}
            }
        }
        Ok(())
    }

    /// Whether nothing changes but what is noted of the source.
    pub fn changes_nothing(&self) -> bool {
        self.written == self.present
    }
}

fn plan<T>(
    document: &Automerge,
    kind: DocumentKind,
    theirs: Fields,
    present: Fields,
    known: impl Fn(&Fields) -> Result<Fields, WriteError>,
    of: impl Fn(&Fields) -> T,
) -> Result<Option<Reimport<T>>, WriteError> {
    let seeds = seeds(document);
    // The id of an organization follows from its name, so an import may come upon one that was begun by hand.
    if seeds.is_empty() && kind != DocumentKind::Organization {
        return Ok(None);
    }
    let seed = if seeds.is_empty() { Fields::default() } else { known(&Fields::at(document, &seeds))? };
    let mut base = seed.clone();
    for (key, value) in Fields::noted(document, IMPORTED) {
        match value {
            Some(value) => base.0.insert(key, value),
            None => base.0.remove(&key),
        };
    }
    // Who and when it was is said by the record, not by the source; the handle is made here.
    let source = theirs.clone();
    let [base, theirs_said] = [base, theirs].map(|mut fields| {
        fields.0.retain(|key, _| !OURS.iter().any(|ours| key.starts_with(ours)));
        fields
    });
    if base == theirs_said {
        return Ok(None);
    }
    let mut merged = merge(&base, &theirs_said, &present);
    if present.text("source/kind").is_empty() {
        merged.0.extend(source.0.into_iter().filter(|(key, _)| key.starts_with("source/")));
    }
    let mut notes: BTreeMap<String, Option<Value>> = BTreeMap::new();
    for key in base.0.keys().chain(theirs_said.0.keys()) {
        let (said, begun) = (theirs_said.0.get(key), seed.0.get(key));
        if base.0.get(key) != said {
            notes.insert(key.clone(), (said != begun).then(|| said.cloned().unwrap_or(Value::Gone)));
        }
    }
    Ok(Some(Reimport {
        base: of(&base),
        theirs: of(&theirs_said),
        mine: of(&present),
        merged: of(&merged),
        kind,
        written: merged,
        present,
        notes,
    }))
}

/// Takes over what `theirs` changed since `base`, except where `mine` is no longer as in `base`.
///
/// An item (an address with its label) is one thing: it is taken or left whole.
fn merge(base: &Fields, theirs: &Fields, mine: &Fields) -> Fields {
    let mut merged = mine.clone();
    let units: BTreeSet<&str> = base.0.keys().chain(theirs.0.keys()).map(|key| unit(key)).collect();
    for unit in units {
        let (was, is, here) = (base.unit(unit), theirs.unit(unit), mine.unit(unit));
        if was == is || here != was {
            continue;
        }
        here.keys().for_each(|key| drop(merged.0.remove(*key)));
        merged.0.extend(is.into_iter().map(|(key, value)| (key.to_owned(), value.clone())));
    }
    merged
}

/// What is taken or left as a whole: an item, or a single field.
fn unit(key: &str) -> &str {
    item_prefix(key).unwrap_or(key)
}

impl Fields {
    fn unit<'a>(&'a self, unit: &'a str) -> BTreeMap<&'a str, &'a Value> {
        let from = self.0.range(unit.to_owned()..).map(|(key, value)| (key.as_str(), value));
        from.take_while(|(key, _)| key.starts_with(unit)).filter(|(key, _)| self::unit(key) == unit).collect()
    }
}

/// The changes that a document began with: seeds have no time and nothing before them.
fn seeds(document: &Automerge) -> Vec<ChangeHash> {
    let changes = document.get_changes_meta(&[]);
    let seeds = changes.iter().filter(|change| change.deps.is_empty() && change.timestamp == 0);
    seeds.map(|change| change.hash).collect()
}

const IMPORTED: &str = "imported";
const OURS: [&str; 3] = ["handle", "source/", "created/"];

#[cfg(test)]
mod tests {
    use automerge::transaction::CommitOptions;

    use super::*;
    use crate::{Email, Organization};

    fn person(company: &str, mails: &[&str]) -> Person {
        let mut person = Person::default();
        person.name.full = "Ada Lovelace".into();
        let organization = Organization { name: company.into(), ..Organization::default() };
        person.organizations.insert(organization.key(), organization);
        for address in mails {
            let email = Email { address: (*address).into(), ..Email::default() };
            person.emails.insert(email.key(), email);
        }
        person
    }

    fn change(document: &mut Automerge, time: i64, write: impl FnOnce(&mut automerge::transaction::Transaction<'_>)) {
        let mut tx = document.transaction();
        write(&mut tx);
        tx.commit_with(CommitOptions::default().with_time(time));
    }

    fn imported(person: &Person) -> Automerge {
        let mut document = Automerge::new();
        change(&mut document, 0, |tx| {
            let _ = person.write(tx).unwrap();
        });
        document
    }

    fn again(document: &mut Automerge, theirs: &Person) -> Option<Reimport<Person>> {
        let reimport = Reimport::of_person(document, theirs).unwrap()?;
        change(document, 9, |tx| reimport.write(tx).unwrap());
        assert_eq!(Person::read(document), reimport.merged);
        assert_eq!(Reimport::of_person(document, theirs).unwrap(), None, "the same once more is nothing new");
        Some(reimport)
    }

    #[test]
    fn the_same_again_is_nothing_new() {
        let ada = person("Acme", &["ada@acme.example"]);
        assert_eq!(again(&mut imported(&ada), &ada), None);
    }

    #[test]
    fn what_only_the_source_changed_is_taken_over() {
        let mut document = imported(&person("Acme", &["ada@acme.example"]));
        let theirs = person("Beta", &["ada@acme.example", "ada@beta.example"]);
        let reimport = again(&mut document, &theirs).unwrap();
        assert_eq!(reimport.merged, theirs);
        let back = person("Acme", &["ada@acme.example"]);
        assert_eq!(again(&mut document, &back).unwrap().merged, back, "also back to what it was at first");
    }

    #[test]
    fn what_the_user_changed_stays() {
        let first = person("Acme", &["ada@acme.example"]);
        let mut document = imported(&first);
        let mut mine = first.clone();
        mine.organizations.values_mut().for_each(|one| one.marks.label = "day job".into());
        mine.tie.how_met = "at tea".into();
        change(&mut document, 5, |tx| {
            let _ = mine.write(tx).unwrap();
        });
        let reimport = again(&mut document, &person("Beta", &[])).unwrap();
        let merged = &reimport.merged;
        assert!(merged.organizations.values().any(|one| one.name == "Acme" && one.marks.label == "day job"));
        assert!(merged.organizations.values().any(|one| one.name == "Beta"), "what is new is new");
        assert_eq!((merged.emails.len(), merged.tie.how_met.as_str()), (0, "at tea"));
        mine = merged.clone();
        mine.name.full = "Countess".into();
        change(&mut document, 6, |tx| {
            let _ = mine.write(tx).unwrap();
        });
        let mut theirs = person("Beta", &[]);
        theirs.name.full = "Ada King".into();
        let reimport = again(&mut document, &theirs).unwrap();
        assert_eq!(reimport.merged.name.full, "Countess");
        assert!(reimport.changes_nothing());
    }

    #[test]
    fn what_did_not_begin_as_an_import_is_left_alone() {
        let mut document = Automerge::new();
        change(&mut document, 5, |tx| {
            let _ = person("Acme", &[]).write(tx).unwrap();
        });
        assert_eq!(again(&mut document, &person("Beta", &[])), None);
    }
}
