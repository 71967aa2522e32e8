//! A person as editable text: what of it can be edited, and what an edited text says about the person.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ties_model::{
    Address, Anniversary, AnniversaryKind, Email, Link, Marks, OnlineService, Organization, PartialDate, Person, Phone,
    Relation, Title, TitleKind, contact_key,
};

use crate::api::BookError;
use crate::front_matter::mistake;
use crate::handle;

/// The fields of a person that a user edits. Everything else in the record stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PersonForm {
    name: String,
    handle: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    prefix: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    given: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    given2: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    surname: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    credential: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    sort_as: String,
    nicknames: Vec<String>,
    tags: Vec<String>,
    how_met: String,
    met_on: String,
    met_at: String,
    met_through: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    emails: BTreeMap<String, ItemForm>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    phones: BTreeMap<String, ItemForm>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    profiles: BTreeMap<String, ItemForm>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    links: BTreeMap<String, ItemForm>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    organizations: BTreeMap<String, ItemForm>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    titles: BTreeMap<String, ItemForm>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    dates: BTreeMap<String, ItemForm>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    addresses: BTreeMap<String, ItemForm>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    relations: BTreeMap<String, ItemForm>,
}

/// One item of a collection: its parts by name, those that are empty left out.
type ItemForm = BTreeMap<String, Part>;

/// A part of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Part {
    Text(String),
    Number(u8),
    List(Vec<String>),
}

impl PersonForm {
    /// What the form shows of a person.
    pub(crate) fn of(person: &Person) -> Self {
        let name = &person.name;
        Self {
            name: name.full.clone(),
            handle: person.handle.clone(),
            prefix: name.prefix.clone(),
            given: name.given.clone(),
            given2: name.given2.clone(),
            surname: name.surname.clone(),
            credential: name.credential.clone(),
            sort_as: name.sort_as.clone(),
            nicknames: person.nicknames.iter().cloned().collect(),
            tags: person.keywords.iter().cloned().collect(),
            how_met: person.tie.how_met.clone(),
            met_on: person.tie.met_on.map(|date| date.to_string()).unwrap_or_default(),
            met_at: person.tie.met_at.clone(),
            met_through: person.tie.met_through.clone(),
            emails: shown(&person.emails),
            phones: shown(&person.phones),
            profiles: shown(&person.services),
            links: shown(&person.links),
            organizations: shown(&person.organizations),
            titles: shown(&person.titles),
            dates: shown(&person.anniversaries),
            addresses: shown(&person.addresses),
            relations: shown(&person.relations),
        }
    }

    /// The person with what the form says, and with what it does not show as it is.
    pub(crate) fn applied_to(self, person: &Person) -> Result<Person, BookError> {
        let mut edited = person.clone();
        edited.name.full = self.name.trim().to_owned();
        if edited.name.full.is_empty() {
            return Err(mistake("the name is empty"));
        }
        edited.handle = handle::normal(&self.handle);
        edited.name.prefix = self.prefix;
        edited.name.given = self.given;
        edited.name.given2 = self.given2;
        edited.name.surname = self.surname;
        edited.name.credential = self.credential;
        edited.name.sort_as = self.sort_as;
        edited.nicknames = self.nicknames.into_iter().filter(|nickname| !nickname.trim().is_empty()).collect();
        edited.keywords = tags(self.tags);
        edited.tie.how_met = self.how_met;
        edited.tie.met_on = date("met_on", &self.met_on)?;
        edited.tie.met_at = self.met_at;
        edited.tie.met_through = self.met_through;
        edited.emails = applied(self.emails, &person.emails)?;
        edited.phones = applied(self.phones, &person.phones)?;
        edited.services = applied(self.profiles, &person.services)?;
        edited.links = applied(self.links, &person.links)?;
        edited.organizations = applied(self.organizations, &person.organizations)?;
        edited.titles = applied(self.titles, &person.titles)?;
        edited.anniversaries = applied(self.dates, &person.anniversaries)?;
        edited.addresses = applied(self.addresses, &person.addresses)?;
        edited.relations = applied(self.relations, &person.relations)?;
        Ok(edited)
    }

    /// Which groups of fields differ.
    pub(crate) fn changed(before: &Person, after: &Person) -> Vec<String> {
        let differences = [
            ("name", before.name != after.name),
            ("handle", before.handle != after.handle),
            ("nicknames", before.nicknames != after.nicknames),
            ("tags", before.keywords != after.keywords),
            ("how met", before.tie != after.tie),
            ("emails", before.emails != after.emails),
            ("phones", before.phones != after.phones),
            ("profiles", before.services != after.services),
            ("links", before.links != after.links),
            ("organizations", before.organizations != after.organizations),
            ("titles", before.titles != after.titles),
            ("dates", before.anniversaries != after.anniversaries),
            ("addresses", before.addresses != after.addresses),
            ("relations", before.relations != after.relations),
        ];
        differences.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()).collect()
    }
}

/// Tags as they are stored: without white space around them and without the plus of the command line.
pub(crate) fn tags(tags: impl IntoIterator<Item = String>) -> std::collections::BTreeSet<String> {
    let tags = tags.into_iter().map(|tag| tag.trim().trim_start_matches('+').to_owned());
    tags.filter(|tag| !tag.is_empty()).collect()
}

/// An item as the form shows it.
trait Formed: Clone + Default {
    /// What its collection is called in the form.
    const TABLE: &'static str;

    /// Its parts by name.
    fn parts(&mut self) -> Vec<(&'static str, Place<'_>)>;

    /// The part it cannot be without, for a message.
    const NEEDED: &'static str;

    /// Whether that part is there.
    fn is_there(&self) -> bool;

    /// The key of a new one.
    fn own_key(&self) -> String;
}

/// Where a part of an item is kept.
enum Place<'a> {
    Text(&'a mut String),
    Set(&'a mut std::collections::BTreeSet<String>),
    List(&'a mut Vec<String>),
    Rank(&'a mut Option<u8>),
    Date(&'a mut Option<PartialDate>),
    Anniversary(&'a mut AnniversaryKind),
    Title(&'a mut TitleKind),
}

impl Place<'_> {
    fn part(self) -> Option<Part> {
        let list = |list: Vec<String>| (!list.is_empty()).then_some(Part::List(list));
        let text = |text: String| (!text.is_empty()).then_some(Part::Text(text));
        match self {
            Self::Text(place) => text(place.clone()),
            Self::Set(place) => list(place.iter().cloned().collect()),
            Self::List(place) => list(place.clone()),
            Self::Rank(place) => place.map(Part::Number),
            Self::Date(place) => place.map(|date| Part::Text(date.to_string())),
            Self::Anniversary(place) => text(place.as_str().to_owned()),
            Self::Title(place) => text(place.as_str().to_owned()),
        }
    }

    fn fill(self, name: &str, part: Option<Part>) -> Result<(), BookError> {
        match (self, part) {
            (Self::Text(place), Some(Part::Text(text))) => *place = text,
            (Self::Text(place), None) => place.clear(),
            (Self::Set(place), Some(Part::List(list))) => *place = list.into_iter().collect(),
            (Self::Set(place), None) => place.clear(),
            (Self::List(place), Some(Part::List(list))) => *place = list,
            (Self::List(place), None) => place.clear(),
            (Self::Rank(place), Some(Part::Number(rank @ 1..=100))) => *place = Some(rank),
            (Self::Rank(place), None) => *place = None,
            (Self::Date(place), Some(Part::Text(text))) => *place = date(name, &text)?,
            (Self::Date(place), None) => *place = None,
            (Self::Anniversary(place), Some(Part::Text(text))) => *place = anniversary(text),
            (Self::Anniversary(place), None) => *place = AnniversaryKind::default(),
            (Self::Title(place), Some(Part::Text(text))) => *place = title(text),
            (Self::Title(place), None) => *place = TitleKind::default(),
            (Self::Set(_) | Self::List(_), _) => return Err(mistake(format!("{name} is a list: [\"…\", \"…\"]"))),
            (Self::Rank(_), _) => return Err(mistake(format!("{name} is a number from 1 to 100"))),
            _ => return Err(mistake(format!("{name} is a text: \"…\""))),
        }
        Ok(())
    }
}

fn anniversary(kind: String) -> AnniversaryKind {
    match kind.as_str() {
        "birth" => AnniversaryKind::Birth,
        "death" => AnniversaryKind::Death,
        "wedding" => AnniversaryKind::Wedding,
        "" | "other" => AnniversaryKind::Other,
        _ => AnniversaryKind::Unknown(kind),
    }
}

fn title(kind: String) -> TitleKind {
    match kind.as_str() {
        "" | "title" => TitleKind::Title,
        "role" => TitleKind::Role,
        _ => TitleKind::Unknown(kind),
    }
}

fn date(name: &str, text: &str) -> Result<Option<PartialDate>, BookError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| mistake(format!("{name}: {text:?}: {error}")))
}

fn shown<T: Formed>(items: &BTreeMap<String, T>) -> BTreeMap<String, ItemForm> {
    let form = |item: &T| {
        let mut item = item.clone();
        let parts = item.parts().into_iter();
        parts.filter_map(|(name, place)| Some((name.to_owned(), place.part()?))).collect()
    };
    items.iter().map(|(key, item)| (key.clone(), form(item))).collect()
}

fn applied<T: Formed>(
    forms: BTreeMap<String, ItemForm>,
    present: &BTreeMap<String, T>,
) -> Result<BTreeMap<String, T>, BookError> {
    let mut kept = BTreeMap::new();
    let mut new = Vec::new();
    for (key, mut form) in forms {
        let mut item = present.get(&key).cloned().unwrap_or_default();
        for (name, place) in item.parts() {
            place.fill(name, form.remove(name))?;
        }
        if let Some(unknown) = form.keys().next() {
            return Err(mistake(format!("{unknown} is not known in [{}.{key}]", T::TABLE)));
        }
        if !item.is_there() {
            return Err(mistake(format!("[{}.{key}] has no {}", T::TABLE, T::NEEDED)));
        }
        if present.contains_key(&key) || is_key(&key) {
            kept.insert(key, item);
        } else {
            new.push(item);
        }
    }
    for item in new {
        kept.insert(free_key(&item, &kept), item);
    }
    Ok(kept)
}

/// What a new item is keyed by. The key of its value may be taken by an item whose value was edited since.
fn free_key<T: Formed>(item: &T, taken: &BTreeMap<String, T>) -> String {
    let own = item.own_key();
    let mut key = own.clone();
    let mut number = 1;
    while taken.contains_key(&key) {
        number += 1;
        key = contact_key(T::TABLE, &format!("{own}\0{number}"));
    }
    key
}

/// Whether a table's name is the key of an item, which another device may have deleted meanwhile.
fn is_key(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn marks(marks: &mut Marks) -> [(&'static str, Place<'_>); 3] {
    [
        ("contexts", Place::Set(&mut marks.contexts)),
        ("label", Place::Text(&mut marks.label)),
        ("pref", Place::Rank(&mut marks.pref)),
    ]
}

macro_rules! formed {
    ($item:ident, $table:literal, needs $needed:literal: $($given:ident),+; $($name:literal = $place:ident $field:ident),+) => {
        impl Formed for $item {
            const TABLE: &'static str = $table;
            const NEEDED: &'static str = $needed;

            fn parts(&mut self) -> Vec<(&'static str, Place<'_>)> {
                let mut parts = vec![$(($name, Place::$place(&mut self.$field))),+];
                parts.extend(marks(&mut self.marks));
                parts
            }

            fn is_there(&self) -> bool {
                $(!self.$given.is_empty())||+
            }

            fn own_key(&self) -> String {
                self.key()
            }
        }
    };
}

formed!(Email, "emails", needs "address": address; "address" = Text address, "status" = Text status);
formed!(Phone, "phones", needs "number": number; "number" = Text number, "features" = Set features);
formed!(OnlineService, "profiles", needs "uri or user": uri, user;
    "service" = Text service, "user" = Text user, "uri" = Text uri);
formed!(Link, "links", needs "uri": uri; "uri" = Text uri);
formed!(Organization, "organizations", needs "name": name, units; "name" = Text name, "units" = List units);
formed!(Title, "titles", needs "name": name; "name" = Text name, "kind" = Title kind);
formed!(Relation, "relations", needs "name or uri": name, uri; "name" = Text name, "uri" = Text uri, "kinds" = Set kinds);
formed!(Address, "addresses", needs "part": full, street, locality, region, postcode, country, po_box, extended;
    "full" = Text full, "street" = Text street, "extended" = Text extended, "po_box" = Text po_box,
    "postcode" = Text postcode, "locality" = Text locality, "region" = Text region, "country" = Text country,
    "country_code" = Text country_code);

impl Formed for Anniversary {
    const TABLE: &'static str = "dates";
    const NEEDED: &'static str = "date";

    fn parts(&mut self) -> Vec<(&'static str, Place<'_>)> {
        let mut parts = vec![
            ("date", Place::Date(&mut self.date)),
            ("kind", Place::Anniversary(&mut self.kind)),
            ("text", Place::Text(&mut self.text)),
        ];
        parts.extend(marks(&mut self.marks));
        parts
    }

    fn is_there(&self) -> bool {
        self.date.is_some() || !self.text.is_empty()
    }

    fn own_key(&self) -> String {
        self.key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front_matter;

    fn ada() -> Person {
        let mut ada = Person { handle: "ada".into(), ..Person::default() };
        ada.name.full = "Ada Lovelace".into();
        let mut mail = Email { address: "ada@mail.example".into(), ..Email::default() };
        mail.marks.group = "item1".into();
        ada.emails.insert(mail.key(), mail);
        let mut birth = Anniversary { kind: AnniversaryKind::Birth, ..Anniversary::default() };
        birth.date = Some("--12-10".parse().unwrap());
        ada.anniversaries.insert(birth.key(), birth);
        let mut home = Address { locality: "London".into(), ..Address::default() };
        home.detail.insert("floor".into(), "2".into());
        ada.addresses.insert(home.key(), home);
        ada.extra.insert("x".into(), "X-FOO:1".into());
        ada
    }

    fn text(person: &Person) -> String {
        front_matter::written(&[], &PersonForm::of(person), "").unwrap()
    }

    fn edited(from: &str, to: &str) -> Result<Person, BookError> {
        let text = text(&ada());
        assert!(text.contains(from), "{text}");
        let (form, _) = front_matter::read::<PersonForm>(&text.replace(from, to))?;
        form.applied_to(&ada())
    }

    #[test]
    fn a_text_left_as_it_is_changes_nothing() {
        assert_eq!(edited("", "").unwrap(), ada());
    }

    #[test]
    fn an_item_keeps_its_key_and_what_the_form_does_not_show() {
        let edited = edited("ada@mail.example\"", "ada@new.example\"\nlabel = \"Lab\"").unwrap();
        let (key, mail) = edited.emails.iter().next().unwrap();
        assert_eq!(key, ada().emails.keys().next().unwrap());
        assert_eq!((mail.address.as_str(), mail.marks.label.as_str()), ("ada@new.example", "Lab"));
        assert_eq!(mail.marks.group, "item1");
        assert_eq!(PersonForm::changed(&ada(), &edited), ["emails"]);
    }

    #[test]
    fn items_come_and_go() {
        let table = format!("[emails.{}]", ada().emails.keys().next().unwrap());
        let edited = edited(&table, "[emails.new]").unwrap();
        assert_eq!(edited.emails.len(), 1);
        assert_eq!(edited.emails.values().next().unwrap().marks.group, "", "a new one");
        let edited =
            super::tests::edited(&table, &format!("[phones.a]\nnumber = \"+43 1 5123456\"\n\n{table}")).unwrap();
        assert_eq!(edited.phones.keys().next().unwrap(), &edited.phones.values().next().unwrap().key());
    }

    #[test]
    fn mistakes_are_told() {
        for (from, to, told) in [
            ("name = \"Ada Lovelace\"", "name = \"\"", "name"),
            ("date = \"--12-10\"", "date = \"12/10\"", "12/10"),
            ("locality = ", "town = ", "town"),
            ("address = \"ada@mail.example\"", "label = \"x\"", "address"),
            ("address = ", "pref = 0\naddress = ", "1 to 100"),
            ("tags = []", "tag = []", "tag"),
        ] {
            let error = edited(from, to).unwrap_err();
            assert!(error.message.contains(told), "{}", error.message);
        }
    }
}
