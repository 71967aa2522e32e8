//! Fields that were set to different values apart: Automerge keeps all of them, and counts one.

use std::fmt;

use automerge::transaction::Transactable;
use automerge::{Automerge, ObjId, ROOT, ReadDoc, Value as Found};

use crate::fields::{DocumentKind, Fields, Value, WriteError};
use crate::{Note, OrganizationRecord, PartialDate, Person};

/// A field that two writers set to different values, neither knowing of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested {
    /// Its key in the document, such as `name/full` or `emails/8c1f…/label`.
    pub key: String,
    /// The values, two or more, all different; the first is the one that counts until somebody settles it. The order is
    /// the same on every device.
    pub claims: Vec<Claim>,
}

/// One of several values of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The value.
    pub setting: Setting,
    /// The Automerge actor that set it.
    pub actor: Vec<u8>,
    /// When, in seconds since 1970, as that actor said; `None` of a first state, which has no time.
    pub time: Option<i64>,
}

/// What a field may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting(Value);

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::Text(text) => f.write_str(text),
            Value::Number(number) => write!(f, "{number}"),
            Value::Flag => f.write_str("yes"),
            Value::Gone => f.write_str("no"),
        }
    }
}

/// The keys of a record's contested fields, sorted: those fields that a reader of this version shows, and not what the
/// record says of its own making. None if it is no record that this version knows.
pub fn contested_keys(document: &impl ReadDoc) -> Vec<String> {
    let contested = document.map_range(ROOT, ..).filter(|item| item.conflict).map(|item| item.key.into_owned());
    let contested: Vec<String> = contested.filter(|key| !is_bookkeeping(key)).collect();
    // Nearly every record: nothing else of it has to be read.
    if contested.is_empty() {
        return contested;
    }
    let shown = shown(document);
    let shown = contested.into_iter().filter(|key| shown.0.contains_key(key));
    shown.filter(|key| values(document, key).len() > 1).collect()
}

impl Contested {
    /// The contested fields of a record, by key ([`contested_keys`]), with who set what.
    #[must_use]
    pub fn of(document: &Automerge) -> Vec<Self> {
        let contested = contested_keys(document).into_iter().map(|key| {
            let claims = values(document, &key).into_iter().map(|(value, operation)| {
                let (actor, time) = origin(document, &operation);
                Claim { setting: Setting(value), actor, time }
            });
            Self { claims: claims.collect(), key }
        });
        contested.collect()
    }

    /// A value of one's own for the field: `None` if the text cannot be one, such as a date that is none.
    #[must_use]
    pub fn setting(&self, text: &str) -> Option<Setting> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let value = match &self.claims.first()?.setting.0 {
            Value::Number(_) => Value::Number(text.parse().ok()?),
            Value::Text(_) if is_date(&self.key) => Value::Text(text.parse::<PartialDate>().ok()?.to_string()),
            Value::Text(_) => Value::Text(text.to_owned()),
            Value::Flag | Value::Gone => return None,
        };
        Some(Setting(value))
    }

    /// Settles the field: it has this value from now on, and no other.
    ///
    /// # Errors
    /// When the document refuses.
    pub fn settle(&self, setting: &Setting, tx: &mut impl Transactable) -> Result<(), WriteError> {
        // Putting the value that counts already is no change, and would leave the others waiting.
        tx.delete(ROOT, self.key.as_str())?;
        Ok(setting.0.put(tx, &self.key)?)
    }
}

/// The different values of a field with the operations that set them; first the one that counts.
fn values(document: &impl ReadDoc, key: &str) -> Vec<(Value, ObjId)> {
    let mut values: Vec<(Value, ObjId)> = Vec::new();
    // Automerge counts the last one.
    for (found, operation) in document.get_all(ROOT, key).unwrap_or_default().into_iter().rev() {
        let Found::Scalar(scalar) = found else { continue };
        let Some(value) = Value::owned(&scalar) else { continue };
        if values.iter().all(|(known, _)| *known != value) {
            values.push((value, operation));
        }
    }
    values
}

/// Who set a value and when: of the change that holds the operation.
fn origin(document: &Automerge, operation: &ObjId) -> (Vec<u8>, Option<i64>) {
    let ObjId::Id(_, actor, _) = operation else { return (Vec::new(), None) };
    let change = document.hash_for_opid(operation).and_then(|hash| document.get_change_meta_by_hash(&hash));
    let time = change.map(|change| change.timestamp).filter(|time| *time > 0);
    (actor.to_bytes().to_vec(), time)
}

/// The fields that a reader of this version makes of a document, and would write again.
fn shown(document: &impl ReadDoc) -> Fields {
    match DocumentKind::of(document) {
        Some(DocumentKind::Person) => Person::read(document).to_fields().unwrap_or_default(),
        Some(DocumentKind::Organization) => OrganizationRecord::read(document).to_fields().unwrap_or_default(),
        Some(DocumentKind::Note) => Note::from_fields(&Fields::of(document)).to_fields(),
        None => Fields::default(),
    }
}

/// What a record says of its making and for other programs: nobody sets that, so nobody can settle it.
fn is_bookkeeping(key: &str) -> bool {
    let (first, last) = (key.split('/').next(), key.rsplit('/').next());
    let made = ["kind", "schema", "deleted", "imported", "source", "created", "uid", "extra"];
    first.is_some_and(|first| made.contains(&first))
        || key.starts_with("name/params/")
        || matches!(last, Some("group" | "params" | "vcard-name"))
}

fn is_date(key: &str) -> bool {
    key == "tie/met-on" || (key.starts_with("anniversaries/") && key.ends_with("/date"))
}

#[cfg(test)]
mod tests {
    use automerge::transaction::CommitOptions;
    use automerge::{ActorId, AutoCommit};

    use super::*;
    use crate::{Email, contact_key, mail_key};

    fn person(name: &str) -> Person {
        let mut person = Person::default();
        person.name.full = name.into();
        person
    }

    /// Two copies of a document after each was changed by its own closure, merged in both orders.
    fn apart(base: &Person, one: impl Fn(&mut Person), other: impl Fn(&mut Person)) -> [Automerge; 2] {
        let mut document = AutoCommit::new().with_actor(ActorId::from([1; 16]));
        base.write(&mut document).unwrap();
        let mut both = [(2, 20), (3, 30)].map(|(actor, time)| {
            let mut copy = document.fork().with_actor(ActorId::from([actor; 16]));
            let mut person = base.clone();
            if actor == 2 {
                one(&mut person)
            } else {
                other(&mut person)
            }
            person.write(&mut copy).unwrap();
            copy.commit_with(CommitOptions::default().with_time(time));
            copy
        });
        let mut copies = both.clone();
        both[0].merge(&mut copies[1]).unwrap();
        both[1].merge(&mut copies[0]).unwrap();
        both.map(|mut document| Automerge::load(&document.save()).unwrap())
    }

    #[test]
    fn a_field_set_apart_is_contested_alike_whoever_merged() {
        let [one, other] =
            apart(&person("Ada"), |ada| ada.name.full = "Ada L.".into(), |ada| ada.name.full = "A".into());
        let found = Contested::of(&one);
        assert_eq!(found, Contested::of(&other));
        assert_eq!(contested_keys(&one), ["name/full"]);
        let said: Vec<_> = found[0].claims.iter().map(|claim| (claim.setting.to_string(), claim.time)).collect();
        let shown = Person::read(&one).name.full;
        assert_eq!(said[0].0, shown, "the one that counts comes first");
        let mut said = said;
        said.sort();
        assert_eq!(said, [("A".to_owned(), Some(30)), ("Ada L.".to_owned(), Some(20))]);
        let actors: Vec<_> = found[0].claims.iter().map(|claim| claim.actor[0]).collect();
        assert!(actors == [2, 3] || actors == [3, 2]);
    }

    #[test]
    fn settling_leaves_one_value_even_if_it_is_the_one_that_counts() {
        for choice in 0..2 {
            let [mut one, _] = apart(&person("Ada"), |ada| ada.handle = "x".into(), |ada| ada.handle = "y".into());
            let found = Contested::of(&one).remove(0);
            let chosen = found.claims[choice].setting.clone();
            let mut tx = one.transaction();
            found.settle(&chosen, &mut tx).unwrap();
            tx.commit();
            assert_eq!(Contested::of(&one), []);
            assert_eq!(Person::read(&one).handle, chosen.to_string());
        }
    }

    #[test]
    fn equal_values_deletions_and_bookkeeping_are_not_contested() {
        let same = apart(&person("Ada"), |ada| ada.handle = "x".into(), |ada| ada.handle = "x".into());
        let mut with_handle = person("Ada");
        with_handle.handle = "x".into();
        let gone = apart(&with_handle, |ada| ada.handle = String::new(), |ada| ada.handle = "y".into());
        let made = apart(&person("Ada"), |ada| ada.created.at = "a".into(), |ada| ada.created.at = "b".into());
        for document in same.iter().chain(&gone).chain(&made) {
            assert_eq!(Contested::of(document), []);
        }
    }

    #[test]
    fn the_label_of_a_deleted_item_is_nobodys_field() {
        let mut base = person("Ada");
        let key = contact_key("email", &mail_key("a@b.example"));
        base.emails.insert(key.clone(), Email { address: "a@b.example".into(), ..Email::default() });
        let label = |text: &'static str| {
            let key = key.clone();
            move |ada: &mut Person| {
                if let Some(mail) = ada.emails.get_mut(&key) {
                    mail.marks.label = text.into();
                }
            }
        };
        let [mut document, _] = apart(&base, label("work"), label("home"));
        assert_eq!(contested_keys(&document), [format!("emails/{key}/label")]);
        let mut tx = document.transaction();
        tx.delete(ROOT, format!("emails/{key}/address")).unwrap();
        tx.commit();
        assert_eq!(contested_keys(&document), Vec::<String>::new());
    }

    #[test]
    fn a_value_of_ones_own_is_of_the_fields_kind() {
        let day = |text: &str| {
            let date = text.parse().ok();
            move |ada: &mut Person| ada.tie.met_on = date
        };
        let [document, _] = apart(&person("Ada"), day("2026-05"), day("2026-06"));
        let found = Contested::of(&document).remove(0);
        assert_eq!(found.setting(" 2026-07-01 ").map(|one| one.to_string()).as_deref(), Some("2026-07-01"));
        assert_eq!((found.setting("soon"), found.setting("  ")), (None, None));
    }
}
