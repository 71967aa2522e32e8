//! The CSV export of Google Contacts, with the header of today and with the one until 2024.
//!
//! Every cell that holds something is taken by one of the rules below or kept as a field under the name of its column:
//! which columns there are depends on the data, on the year and on the language of the account.

use std::collections::{BTreeMap, BTreeSet};

use ties_model::{
    Address, Anniversary, AnniversaryKind, Email, Language, Link, Marks, OnlineService, Organization, PartialDate,
    Person, Phone, Relation, Title, TitleKind, contact_key, mail_key, phone_key, text_key,
};

use super::incoming::{Incoming, IncomingNote, Piece, joined, keep, keep_field, put, suffixes};
use super::table::{Row, Table};
use crate::projection::shown_name;

/// Whether the names of columns (in lower case) are those of an export of Google Contacts.
pub(crate) fn is_contacts(names: &[String]) -> bool {
    let there = |name: &str| names.iter().any(|column| column == name);
    let numbered = names.iter().filter_map(|name| Numbered::of(name)).any(|column| column.part == "value");
    let named = there("first name") || there("given name") || there("name");
    named && (numbered || there("labels") || there("group membership"))
}

/// The people of an export.
pub(crate) fn pieces(table: &Table) -> impl Iterator<Item = Piece> + '_ {
    table.rows().map(|row| match row {
        Err(reject) => Piece::Reject(reject.line, reject.reason),
        Ok(row) => match contact(&row) {
            Some(incoming) => Piece::Record(Box::new(incoming)),
            None => Piece::Reject(row.line, "it has no name, organization, mail address or phone number".to_owned()),
        },
    })
}

/// The column `E-mail 2 - Value` taken apart.
struct Numbered<'a> {
    kind: &'a str,
    number: u32,
    part: &'a str,
}

impl<'a> Numbered<'a> {
    fn of(column: &'a str) -> Option<Self> {
        let (head, part) = column.split_once(" - ")?;
        let (kind, number) = head.rsplit_once(' ')?;
        Some(Self { kind, number: number.parse().ok()?, part: part.trim() })
    }
}

/// The cells of one number, such as those of the second address: part, whole name of the column, value.
type Cells<'a> = Vec<(String, &'a str, &'a str)>;

fn contact(row: &Row<'_>) -> Option<Incoming> {
    let mut reader = Reader::default();
    let mut numbered: BTreeMap<(String, u32), Cells<'_>> = BTreeMap::new();
    for (column, cell) in row.filled() {
        let lower = column.to_lowercase();
        match Numbered::of(&lower) {
            Some(place) => {
                let cells = numbered.entry((place.kind.to_owned(), place.number)).or_default();
                cells.push((place.part.to_owned(), column, cell));
            }
            None => reader.single(&lower, column, cell),
        }
    }
    for ((kind, _), cells) in numbered {
        reader.several(&kind, &cells);
    }
    reader.finish(row.line)
}

/// A person in the making.
#[derive(Default)]
struct Reader {
    person: Person,
    /// The whole name as the old header has it.
    whole: String,
    department: Vec<String>,
    notes: Vec<IncomingNote>,
    first_point: Option<String>,
}

impl Reader {
    fn single(&mut self, lower: &str, column: &str, cell: &str) {
        let name = &mut self.person.name;
        match lower {
            "name" => cell.clone_into(&mut self.whole),
            "first name" | "given name" => name.given = joined(&[cell]),
            "middle name" | "additional name" => name.given2 = joined(&[cell]),
            "last name" | "family name" => name.surname = joined(&[cell]),
            "name prefix" => name.prefix = joined(&[cell]),
            "name suffix" => (name.generation, name.credential) = suffixes(cell),
            "phonetic first name" | "given name yomi" => cell.clone_into(&mut name.phonetic_given),
            "phonetic middle name" | "additional name yomi" => cell.clone_into(&mut name.phonetic_given2),
            "phonetic last name" | "family name yomi" => cell.clone_into(&mut name.phonetic_surname),
            "file as" => cell.clone_into(&mut name.sort_as),
            "nickname" | "short name" => self.person.nicknames.extend(values(cell).map(str::to_owned)),
            "organization name" => self.organization(cell),
            "organization title" => self.title(cell, TitleKind::Title),
            "organization department" => self.department.push(cell.to_owned()),
            "occupation" => self.title(cell, TitleKind::Role),
            "birthday" => self.anniversary(AnniversaryKind::Birth, cell, Marks::default()),
            "notes" => self.notes.push(IncomingNote { body: cell.to_owned(), ..IncomingNote::default() }),
            "photo" => keep(&mut self.person, "PHOTO", cell),
            "labels" | "group membership" => self.person.keywords.extend(values(cell).filter_map(tag)),
            "language" if is_language(cell) => {
                let language = Language { tag: cell.to_owned(), marks: Marks::default() };
                put(&mut self.person.languages, language.key(), language);
            }
            "hobby" => keep(&mut self.person, "HOBBY", cell),
            _ => keep_field(&mut self.person, column, cell),
        }
    }

    /// Takes the cells of one number; several values in one cell are as many items.
    fn several(&mut self, kind: &str, cells: &Cells<'_>) {
        let most = cells.iter().map(|(_, _, cell)| values(cell).count()).max().unwrap_or(0);
        for at in 0..most {
            let part = |(part, column, cell): &(String, &str, &str)| {
                let mut all = values(cell).collect::<Vec<_>>();
                // One label is for all of its values.
                let one = if all.len() == 1 && is_label(part) { all.pop() } else { all.get(at).copied() };
                one.map(|value| (part.clone(), (*column).to_owned(), value.to_owned()))
            };
            self.item(kind, Parts(cells.iter().filter_map(part).collect()));
        }
    }

    fn item(&mut self, kind: &str, mut parts: Parts) {
        if !parts.0.iter().any(|(part, ..)| !is_label(part)) {
            return;
        }
        let label = ["label", "type"].into_iter().map(|part| parts.take(part)).find(|text| !text.is_empty());
        let label = label.unwrap_or_default();
        match kind {
            "e-mail" | "email" => self.email(&parts.take("value"), &label),
            "phone" => self.phone(&parts.take("value"), &label),
            "address" => self.address(&mut parts, &label),
            "website" => self.website(parts.take("value"), &label),
            "im" => self.messenger(parts.take("service"), parts.take("value"), &label),
            "event" => self.event(&parts.take("value"), &label),
            "relation" => self.relation(&parts.take("value"), &label),
            "organization" => self.employer(&mut parts),
            "custom field" => {
                let value = parts.take("value");
                let label = if label.is_empty() { "Custom Field".to_owned() } else { label };
                keep_field(&mut self.person, &label, &value);
            }
            _ => {
                for (_, column, value) in parts.0.drain(..) {
                    let column = if label.is_empty() { column } else { format!("{column} ({label})") };
                    keep_field(&mut self.person, &column, &value);
                }
            }
        }
        for (_, column, value) in parts.0 {
            keep_field(&mut self.person, &column, &value);
        }
    }

    fn email(&mut self, address: &str, label: &str) {
        let email = Email { address: address.to_owned(), marks: marks(label, |_| false), ..Email::default() };
        if !address.is_empty() {
            self.first_point.get_or_insert_with(|| format!("mail:{}", mail_key(address)));
            put(&mut self.person.emails, email.key(), email);
        }
    }

    fn phone(&mut self, number: &str, label: &str) {
        let mut features = BTreeSet::new();
        let marks = marks(label, |word| {
            let feature = FEATURES.iter().find(|(google, _)| *google == word).map(|(_, feature)| *feature);
            features.extend(feature.map(str::to_owned));
            feature.is_some()
        });
        let phone = Phone { number: number.to_owned(), features, marks };
        if !number.is_empty() {
            put(&mut self.person.phones, phone.key(), phone);
        }
    }

    fn address(&mut self, parts: &mut Parts, label: &str) {
        let mut address = Address {
            full: parts.take("formatted"),
            street: parts.take("street"),
            locality: parts.take("city"),
            po_box: parts.take("po box"),
            region: parts.take("region"),
            postcode: parts.take("postal code"),
            country: parts.take("country"),
            extended: parts.take("extended address"),
            marks: marks(label, |_| false),
            ..Address::default()
        };
        if address.country.len() == 2 && address.country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            address.country_code = address.country.clone();
        }
        put(&mut self.person.addresses, address.key(), address);
    }

    fn website(&mut self, uri: String, label: &str) {
        let link = Link { uri, marks: marks(label, |_| false) };
        if !link.uri.is_empty() {
            put(&mut self.person.links, link.key(), link);
        }
    }

    fn messenger(&mut self, service: String, user: String, label: &str) {
        let marks = marks(label, |_| false);
        let service = OnlineService { service, user, marks, ..OnlineService::default() };
        if !service.user.is_empty() {
            put(&mut self.person.services, service.key(), service);
        }
    }

    fn event(&mut self, date: &str, label: &str) {
        let mut marks = marks(label, |_| false);
        let kind = match marks.label.to_lowercase().as_str() {
            "anniversary" => AnniversaryKind::Wedding,
            "birthday" => AnniversaryKind::Birth,
            _ => AnniversaryKind::Other,
        };
        if kind != AnniversaryKind::Other {
            marks.label.clear();
        }
        self.anniversary(kind, date, marks);
    }

    fn anniversary(&mut self, kind: AnniversaryKind, cell: &str, marks: Marks) {
        if cell.is_empty() {
            return;
        }
        let date = PartialDate::from_vcard(cell).ok();
        let text = if date.is_none() { cell.to_owned() } else { String::new() };
        let anniversary = Anniversary { kind, date, text, marks };
        put(&mut self.person.anniversaries, anniversary.key(), anniversary);
    }

    /// Relations to people who may be nobody here: names, as vCard's RELATED and Apple's related names are.
    fn relation(&mut self, name: &str, label: &str) {
        let lower = label.to_lowercase();
        let known = RELATIONS.iter().find(|(google, _)| *google == lower);
        let label = if known.is_some() { "" } else { label };
        let relation = Relation {
            name: name.to_owned(),
            kinds: known.map(|(_, related)| (*related).to_owned()).into_iter().collect(),
            marks: Marks { label: label.to_owned(), ..Marks::default() },
            ..Relation::default()
        };
        if !name.is_empty() {
            put(&mut self.person.relations, relation.key(), relation);
        }
    }

    fn employer(&mut self, parts: &mut Parts) {
        let (name, title, department) = (parts.take("name"), parts.take("title"), parts.take("department"));
        let organization = Organization {
            units: [department].into_iter().filter(|unit| !unit.is_empty()).collect(),
            name,
            marks: Marks::default(),
        };
        let mut held_at = String::new();
        if !organization.name.is_empty() || !organization.units.is_empty() {
            held_at = organization.key();
            put(&mut self.person.organizations, organization.key(), organization);
        }
        if !title.is_empty() {
            let title = Title { name: title, organization: held_at, ..Title::default() };
            put(&mut self.person.titles, title.key(), title);
        }
    }

    fn organization(&mut self, cell: &str) {
        for name in values(cell) {
            let organization = Organization { name: name.to_owned(), ..Organization::default() };
            put(&mut self.person.organizations, organization.key(), organization);
        }
    }

    fn title(&mut self, cell: &str, kind: TitleKind) {
        for name in values(cell) {
            let title = Title { name: name.to_owned(), kind: kind.clone(), ..Title::default() };
            put(&mut self.person.titles, title.key(), title);
        }
    }

    /// Puts the department into the organization, and the title where there is but one it can be held in.
    fn settle_employment(&mut self) {
        let units: Vec<String> = self.department.iter().flat_map(|cell| values(cell)).map(str::to_owned).collect();
        let mut organizations = std::mem::take(&mut self.person.organizations).into_values();
        let mut first = organizations.next();
        if !units.is_empty() {
            first.get_or_insert_default().units.extend(units);
        }
        let all: Vec<Organization> = first.into_iter().chain(organizations).collect();
        let only = if let [one] = all.as_slice() { one.key() } else { String::new() };
        for organization in all {
            put(&mut self.person.organizations, organization.key(), organization);
        }
        for title in self.person.titles.values_mut().filter(|title| title.organization.is_empty()) {
            title.organization.clone_from(&only);
        }
    }

    fn finish(mut self, line: usize) -> Option<Incoming> {
        self.settle_employment();
        let name = &self.person.name;
        let parts = [&name.prefix, &name.given, &name.given2, &name.surname, &name.generation];
        let composed = joined(&parts.map(String::as_str));
        let full = if self.whole.is_empty() { composed } else { joined(&[&self.whole]) };
        self.person.name.full = full;
        let person = &self.person;
        let nameless = person.name.full.is_empty() && person.nicknames.is_empty();
        if nameless && person.organizations.is_empty() && person.emails.is_empty() && person.phones.is_empty() {
            return None;
        }
        self.person.name.full = shown_name(&self.person);
        let phones = self.person.phones.values().map(|phone| format!("phone:{}", phone_key(&phone.number)));
        let point = self.first_point.or_else(|| phones.min());
        let key = key(&self.person.name.full, point.as_deref().unwrap_or_default());
        Some(Incoming { notes: self.notes, ..Incoming::person(line, self.person, key) })
    }
}

/// What tells a contact from the others. The file has no ids, and everything in it may change; name and first mail
/// address (or phone number) are what changes least. Of somebody whose first address changes, the import finds the
/// record by the name and any other address or number.
fn key(name: &str, point: &str) -> String {
    format!("contact:{}", contact_key("google", &format!("{}\0{point}", text_key(name))))
}

/// The cells of one item: part, whole name of the column, value.
struct Parts(Vec<(String, String, String)>);

impl Parts {
    fn take(&mut self, part: &str) -> String {
        let at = self.0.iter().position(|(name, ..)| name == part);
        at.map(|at| self.0.remove(at).2).unwrap_or_default()
    }
}

/// The values of a cell.
fn values(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(" ::: ").map(str::trim).filter(|value| !value.is_empty())
}

fn is_label(part: &str) -> bool {
    matches!(part, "label" | "type")
}

/// What a label says: a star for the preferred one, a use that has a word of its own, or the user's own word.
fn marks(label: &str, mut feature: impl FnMut(&str) -> bool) -> Marks {
    let mut marks = Marks::default();
    let plain = label.trim();
    let plain = match plain.strip_prefix('*') {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => {
            marks.pref = Some(1);
            rest.trim()
        }
        _ => plain,
    };
    let lower = plain.to_lowercase();
    let (context, rest) = match lower.as_str() {
        "home" => ("private", ""),
        "work" => ("work", ""),
        "home fax" => ("private", "fax"),
        "work fax" => ("work", "fax"),
        "work mobile" => ("work", "mobile"),
        other => ("", other),
    };
    marks.contexts.extend((!context.is_empty()).then(|| context.to_owned()));
    let understood = matches!(rest, "" | "other") || feature(rest);
    if !understood {
        marks.label = plain.to_owned();
    }
    marks
}

/// A label of the user's as a tag. What begins with a star is Google's; of those, some lists say nothing of a person.
fn tag(label: &str) -> Option<String> {
    let Some(own) = label.strip_prefix("* ") else { return Some(label.trim_start_matches('+').to_owned()) };
    let plain = own.to_lowercase().replace(' ', "");
    (!SYSTEM_LABELS.contains(&plain.as_str())).then(|| own.trim().to_owned())
}

/// Whether a text has the form of a language tag (BCP 47).
fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().is_some_and(|part| matches!(part.len(), 2 | 3));
    first && text.len() <= 35 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

const SYSTEM_LABELS: [&str; 3] = ["mycontacts", "starred", "othercontacts"];

const FEATURES: [(&str, &str); 5] =
    [("mobile", "mobile"), ("main", "main-number"), ("fax", "fax"), ("pager", "pager"), ("other fax", "fax")];

/// Google's relations and the types of vCard's RELATED (RFC 6350 section 6.6.6).
const RELATIONS: [(&str, &str); 9] = [
    ("spouse", "spouse"),
    ("child", "child"),
    ("parent", "parent"),
    ("sibling", "sibling"),
    ("friend", "friend"),
    ("colleague", "colleague"),
    ("neighbor", "neighbor"),
    ("relative", "kin"),
    ("sweetheart", "sweetheart"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_use_preference_or_a_word_of_the_users() {
        let feature = |word: &str| word == "fax";
        assert_eq!(
            marks("* Work", feature),
            Marks { pref: Some(1), contexts: ["work".to_owned()].into(), ..Marks::default() }
        );
        assert_eq!(marks("Home Fax", feature).contexts, ["private".to_owned()].into());
        assert_eq!(marks("*", feature), Marks { pref: Some(1), ..Marks::default() });
        assert_eq!(marks("ältere", feature).label, "ältere");
        assert_eq!(marks("Other", feature), Marks::default());
    }

    #[test]
    fn lists_of_googles_own_are_no_tags() {
        let labels = "Rust ::: * myContacts ::: * starred ::: * Other Contacts ::: * Friends ::: * My Contacts";
        assert_eq!(values(labels).filter_map(tag).collect::<Vec<_>>(), ["Rust", "Friends"]);
    }

    #[test]
    fn columns_are_taken_apart() {
        let column = Numbered::of("address 12 - postal code").unwrap();
        assert_eq!((column.kind, column.number, column.part), ("address", 12, "postal code"));
        assert!(Numbered::of("organization name").is_none());
        assert!(Numbered::of("e-mail x - value").is_none());
    }
}
