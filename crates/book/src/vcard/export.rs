use std::collections::{BTreeMap, BTreeSet};

use ties_model::{Address, Anniversary, Email, Marks, OnlineService, Person, Phone, Relation, TitleKind};

use super::dialect::Dialect;
use super::import::{GROUP, is_uuid};
use super::items::{ADDRESS_DETAIL, FEATURES};
use super::property::{Param, Property, escape};
use super::{CardNote, media, uri};

/// Writes a person as a vCard: CRLF, folded at 75 octets, types in lower case.
///
/// `id` is the document's UUID, the UID of a person that came with none. What the standard has no word for goes into
/// `X-TIES-…`, labels into Apple's `X-ABLabel`, and what was not understood at the import is written as it was.
pub(crate) fn write(person: &Person, notes: &[CardNote], id: &str, dialect: Dialect) -> String {
    let mut card = Writer::new(person, notes, dialect);
    card.plain("BEGIN", "VCARD");
    card.plain("VERSION", dialect.version());
    card.plain("PRODID", PRODUCT);
    card.uid(if person.uid.is_empty() { format!("urn:uuid:{id}") } else { person.uid.clone() });
    card.name(person);
    card.set("NICKNAME", &person.nicknames);
    card.all(person.emails.values(), Writer::email);
    card.all(person.phones.values(), Writer::phone);
    card.all(person.addresses.values(), Writer::address);
    card.all(person.services.values(), Writer::service);
    card.all(person.links.values(), |card, link| card.item("URL", &link.marks, vec![], &escape(&link.uri)));
    card.all(person.organizations.values(), |card, organization| {
        let parts = [&organization.name].into_iter().chain(&organization.units);
        let parts: Vec<String> = parts.map(|part| escape(part)).collect();
        card.item("ORG", &organization.marks, vec![], &parts.join(";"));
    });
    card.all(person.titles.values(), |card, title| {
        let name = if title.kind == TitleKind::Role { "ROLE" } else { "TITLE" };
        card.item(name, &title.marks, vec![], &escape(&title.name));
    });
    card.anniversaries(person.anniversaries.values());
    card.all(person.relations.values(), Writer::relation);
    card.all(person.languages.values(), |card, language| {
        card.item("LANG", &language.marks, vec![], &escape(&language.tag));
    });
    card.set("CATEGORIES", &person.keywords);
    card.notes(notes);
    card.text("X-TIES-HANDLE", &person.handle);
    card.text("X-TIES-HOW-MET", &person.tie.how_met);
    card.text("X-TIES-MET-ON", &person.tie.met_on.map(|date| date.to_string()).unwrap_or_default());
    card.text("X-TIES-MET-AT", &person.tie.met_at);
    card.text("X-TIES-MET-THROUGH", &person.tie.met_through);
    card.extra(person);
    card.plain("END", "VCARD");
    card.text
}

struct Writer {
    dialect: Dialect,
    text: String,
    /// Groups that items or unknown properties have, in upper case.
    groups: BTreeSet<String>,
    /// Groups that are written and what was said of each.
    said: BTreeMap<String, Companions>,
    /// Items that wait to be put in order.
    items: Vec<Item>,
}

/// An item as it is going to be written.
struct Item {
    name: &'static str,
    marks: Marks,
    params: Vec<Param>,
    value: String,
    companions: Companions,
}

/// The properties that say something about another of the same group: names and values.
type Companions = Vec<(&'static str, String)>;

impl Writer {
    fn new(person: &Person, notes: &[CardNote], dialect: Dialect) -> Self {
        // What would break the card's frame is not written, and takes no name from what is.
        let extra = person.extra.values().filter_map(|line| Property::from_line(line));
        let extra = extra.filter(|property| !FRAME.contains(&&*property.name));
        let mut groups: BTreeSet<String> = extra.map(|property| property.group.to_ascii_uppercase()).collect();
        let names = person.name.params.iter().filter(|(of, _)| of.ends_with(GROUP)).map(|(_, group)| group);
        groups.extend(names.chain(notes.iter().map(|note| &note.group)).map(|group| group.to_ascii_uppercase()));
        let mut person = person.clone();
        groups.extend(super::place::all_marks(&mut person).map(|marks| marks.group.to_ascii_uppercase()));
        Self { dialect, text: String::new(), groups, said: BTreeMap::new(), items: Vec::new() }
    }

    /// Writes a content line, folded.
    fn line(&mut self, line: &str) {
        let mut room = LINE_OCTETS;
        for c in line.chars() {
            if c.len_utf8() > room {
                self.text.push_str("\r\n ");
                room = LINE_OCTETS - 1;
            }
            room -= c.len_utf8();
            self.text.push(c);
        }
        self.text.push_str("\r\n");
    }

    /// Writes a property without parameters whose value is in its final form.
    fn plain(&mut self, name: &str, value: &str) {
        self.line(&format!("{name}:{value}"));
    }

    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.plain(name, &escape(text));
        }
    }

    fn set(&mut self, name: &str, members: &BTreeSet<String>) {
        let members: Vec<String> = members.iter().map(|member| escape(member)).collect();
        if !members.is_empty() {
            self.plain(name, &members.join(","));
        }
    }

    fn with_params(&mut self, name: &str, params: &[Param], rest: &str, value: &str) {
        let mut line = name.to_owned();
        for param in params {
            line.push(';');
            line.push_str(&param.text);
        }
        for param in known_good(rest) {
            line.push(';');
            line.push_str(&param.text);
        }
        line.push(':');
        line.push_str(value);
        self.line(&line);
    }

    /// Writes the items of a collection.
    fn all<'a, T: 'a>(&mut self, items: impl Iterator<Item = &'a T>, take: impl Fn(&mut Self, &'a T)) {
        items.for_each(|item| take(self, item));
        self.settle();
    }

    /// Writes what waits: the preferred first for a program that asks for nothing else, and then by value, since the
    /// order of the keys would not be the same after what the program does not read is gone.
    fn settle(&mut self) {
        let mut items = std::mem::take(&mut self.items);
        if self.dialect.is_for_one() {
            items.sort_by(|one, other| {
                let order = |item: &Item| (item.marks.pref != Some(1), item.name, item.value.clone());
                order(one).cmp(&order(other))
            });
        }
        items.into_iter().for_each(|item| self.write_item(item));
    }

    /// Takes an item with TYPE, PREF and label, and with other parameters before them.
    fn item(&mut self, name: &'static str, marks: &Marks, mut params: Vec<Param>, value: &str) {
        params.extend(self.dialect.marks(marks, []));
        let companions = self.label(&marks.label);
        self.accompanied(name, marks, params, value, companions);
    }

    fn label(&self, label: &str) -> Companions {
        (!label.is_empty()).then(|| ("X-ABLabel", self.dialect.label(label))).into_iter().collect()
    }

    /// Takes an item with what else of its group says something about it.
    fn accompanied(
        &mut self,
        name: &'static str,
        marks: &Marks,
        params: Vec<Param>,
        value: &str,
        companions: Companions,
    ) {
        self.items.push(Item { name, marks: marks.clone(), params, value: value.to_owned(), companions });
    }

    /// Writes an item: in its group, or in one made up for its companions.
    fn write_item(&mut self, item: Item) {
        let group = self.group(&item.marks.group, &item.companions);
        self.with_params(&in_group(&group, item.name), &item.params, &item.marks.params, &item.value);
        if group.is_empty() || self.said.contains_key(&group.to_ascii_uppercase()) {
            return;
        }
        for (name, value) in &item.companions {
            self.plain(&in_group(&group, name), value);
        }
        self.said.insert(group.to_ascii_uppercase(), item.companions);
    }

    fn group(&self, own: &str, companions: &Companions) -> String {
        let said = self.said.get(&own.to_ascii_uppercase());
        if is_group(own) && said.is_none_or(|said| said == companions) {
            return own.to_owned();
        }
        if companions.is_empty() {
            return String::new();
        }
        let taken = |group: &String| self.groups.contains(group) || self.said.contains_key(group);
        let free = (1..).map(|number| format!("ITEM{number}")).find(|group| !taken(group));
        free.unwrap_or_default().to_ascii_lowercase()
    }

    /// vCard 3.0 knows no URN.
    fn uid(&mut self, uid: String) {
        let uuid = uid.strip_prefix("urn:uuid:").filter(|uuid| is_uuid(uuid) && !self.dialect.is_v4());
        self.plain("UID", &escape(uuid.unwrap_or(&uid)));
    }

    fn name(&mut self, person: &Person) {
        let name = &person.name;
        let rest = |of: &str| name.params.get(of).map(String::as_str).unwrap_or_default();
        let grouped = |of: &str| {
            let group = name.params.get(&format!("{of}{GROUP}")).filter(|group| is_group(group));
            in_group(group.map(String::as_str).unwrap_or_default(), of)
        };
        self.with_params(&grouped("FN"), &[], rest("FN"), &escape(&name.full));
        let sort_as = Some(&name.sort_as).filter(|text| !text.is_empty() && self.dialect.is_v4());
        let sort_as: Vec<Param> = sort_as.map(|text| Param::new("SORT-AS", text)).into_iter().collect();
        let parts = self.name_parts(person);
        let said = parts.iter().any(|part| !part.is_empty()) || !sort_as.is_empty() || name.params.contains_key("N");
        if said || !self.dialect.is_v4() {
            self.with_params(&grouped("N"), &sort_as, rest("N"), &parts.join(";"));
        }
        if !self.dialect.is_v4() {
            self.text("SORT-STRING", &name.sort_as);
        }
        self.text("X-PHONETIC-FIRST-NAME", &name.phonetic_given);
        self.text("X-PHONETIC-MIDDLE-NAME", &name.phonetic_given2);
        self.text("X-PHONETIC-LAST-NAME", &name.phonetic_surname);
    }

    /// The parts of N: seven where RFC 9554's last two are needed, five otherwise.
    fn name_parts(&self, person: &Person) -> Vec<String> {
        let name = &person.name;
        let generation = Some(&name.generation).filter(|generation| !generation.is_empty());
        let suffixes = [Some(&name.credential).filter(|credential| !credential.is_empty()), generation];
        let suffixes: Vec<&str> = suffixes.into_iter().flatten().map(String::as_str).collect();
        let mut parts: Vec<String> =
            [&name.surname, &name.given, &name.given2, &name.prefix].into_iter().map(|part| escape(part)).collect();
        if self.dialect.is_for_one() {
            parts.push(escape(&suffixes.join(", ")));
            parts[0] = escape(format!("{} {}", name.surname, name.surname2).trim());
            if parts[..3].iter().all(String::is_empty) {
                (parts[0], parts[1]) = guessed_parts(person);
            }
            return parts;
        }
        parts.push(suffixes.into_iter().map(escape).collect::<Vec<_>>().join(","));
        if !name.surname2.is_empty() || generation.is_some() {
            parts.extend([escape(&name.surname2), escape(&name.generation)]);
        }
        parts
    }

    fn email(&mut self, email: &Email) {
        let mut params = Vec::new();
        params.extend((!self.dialect.is_v4()).then(|| Param::new("TYPE", "internet")));
        params.extend(self.dialect.marks(&email.marks, []));
        params.extend((!email.status.is_empty()).then(|| Param::new("X-TIES-STATUS", &email.status)));
        let companions = self.label(&email.marks.label);
        self.accompanied("EMAIL", &email.marks, params, &escape(&email.address), companions);
    }

    fn phone(&mut self, phone: &Phone) {
        let features = phone.features.iter().map(|feature| {
            let known = FEATURES.iter().find(|(_, ours)| ours == feature);
            match known.map_or(feature.as_str(), |(vcard, _)| vcard) {
                "main-number" if !self.dialect.is_v4() => "main",
                word => word,
            }
        });
        let mut params = self.dialect.marks(&phone.marks, features);
        let scheme = phone.number.split_once(':').map(|(scheme, _)| scheme);
        if scheme.is_some_and(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphabetic()))
            && !self.dialect.is_for_one()
        {
            params.push(Param::new("VALUE", "uri"));
        }
        let companions = self.label(&phone.marks.label);
        self.accompanied("TEL", &phone.marks, params, &escape(&phone.number), companions);
    }

    fn address(&mut self, address: &Address) {
        let v4 = self.dialect.is_v4();
        let mut params = self.dialect.marks(&address.marks, []);
        for (name, value, wanted) in [
            ("LABEL", &address.full, v4),
            ("CC", &address.country_code, v4),
            ("TZ", &address.time_zone, !self.dialect.is_for_one()),
            ("GEO", &address.coordinates, !self.dialect.is_for_one()),
        ] {
            params.extend((!value.is_empty() && wanted).then(|| Param::new(name, value)));
        }
        let mut companions = self.label(&address.marks.label);
        if !v4 && !address.country_code.is_empty() {
            companions.push(("X-ABADR", escape(&address.country_code.to_ascii_lowercase())));
        }
        if !v4 && !address.full.is_empty() {
            companions.push(("LABEL", escape(&address.full)));
        }
        let value = self.address_parts(address).join(";");
        self.accompanied("ADR", &address.marks, params, &value, companions);
    }

    /// The parts of ADR: eighteen where RFC 9554's finer ones are needed, seven otherwise.
    fn address_parts(&self, address: &Address) -> Vec<String> {
        let first = [
            &address.po_box,
            &address.extended,
            &address.street,
            &address.locality,
            &address.region,
            &address.postcode,
            &address.country,
        ];
        let mut parts: Vec<String> = first.into_iter().map(|part| escape(part)).collect();
        let detail = |kind: &str| address.detail.get(kind).map(|text| escape(text)).unwrap_or_default();
        if self.dialect.is_for_one() {
            let of = |kinds: [&str; 2]| kinds.map(detail).join(" ").trim().to_owned();
            for (at, kinds) in [(1, ["floor", "apartment"]), (2, ["name", "number"])] {
                if parts[at].is_empty() {
                    parts[at] = of(kinds);
                }
            }
        } else if !address.detail.is_empty() {
            parts.extend(ADDRESS_DETAIL.iter().map(|kind| detail(kind)));
        }
        parts
    }

    fn service(&mut self, service: &OnlineService) {
        let mut params = self.dialect.marks(&service.marks, []);
        let chat = service.vcard_name == "impp";
        let name = match (chat, self.dialect) {
            (true, Dialect::Outlook) => "X-MS-IMADDRESS",
            (true, _) => "IMPP",
            (false, Dialect::V4) => "SOCIALPROFILE",
            (false, _) => "X-SOCIALPROFILE",
        };
        let (service_type, user) = match (name, self.dialect) {
            (_, Dialect::V4) => ("SERVICE-TYPE", "USERNAME"),
            ("X-SOCIALPROFILE", _) if is_plain_word(&service.service) => ("TYPE", "x-user"),
            _ => ("X-SERVICE-TYPE", "x-user"),
        };
        if !service.service.is_empty() {
            params.insert(0, Param::new(service_type, &service.service));
        }
        let value = if !service.uri.is_empty() {
            params.extend((!service.user.is_empty()).then(|| Param::new(user, &service.user)));
            escape(&service.uri)
        } else if self.dialect.is_v4() {
            params.push(Param::new("VALUE", "text"));
            escape(&service.user)
        } else if name == "X-MS-IMADDRESS" && !service.user.contains(':') {
            escape(&service.user)
        } else {
            format!("x-apple:{}", uri::encoded(&service.user))
        };
        let companions = self.label(&service.marks.label);
        self.accompanied(name, &service.marks, params, &value, companions);
    }

    fn relation(&mut self, relation: &Relation) {
        if !relation.uri.is_empty() {
            let params = self.dialect.marks(&relation.marks, relation.kinds.iter().map(String::as_str));
            let companions = self.label(&relation.marks.label);
            return self.accompanied("RELATED", &relation.marks, params, &escape(&relation.uri), companions);
        }
        let (name, label, params) = self.dialect.related_name(relation);
        let companions = if name.starts_with("X-MS-") { Companions::new() } else { self.label(&label) };
        self.accompanied(name, &relation.marks, params, &escape(&relation.name), companions);
    }

    fn anniversaries<'a>(&mut self, anniversaries: impl Iterator<Item = &'a Anniversary>) {
        let mut written = BTreeSet::new();
        for anniversary in anniversaries {
            let dated = self.dialect.date(anniversary, written.insert(&anniversary.kind));
            let companions = self.label(dated.label);
            self.accompanied(dated.name, &anniversary.marks, dated.params, &dated.value, companions);
        }
        self.settle();
    }

    /// Writes the notes; as one where the program reads one.
    fn notes(&mut self, notes: &[CardNote]) {
        if self.dialect.is_for_one() && notes.len() > 1 {
            let bodies: Vec<&str> = notes.iter().map(|note| note.body.as_str()).collect();
            return self.text("NOTE", &bodies.join(NOTE_GAP));
        }
        for note in notes.iter().filter(|note| !note.body.is_empty()) {
            let group = if is_group(&note.group) { note.group.as_str() } else { "" };
            self.with_params(&in_group(group, "NOTE"), &[], &note.params, &escape(&note.body));
        }
    }

    /// Writes what was not understood, except what would break the card's frame.
    fn extra(&mut self, person: &Person) {
        let properties = person.extra.values().filter_map(|line| Property::from_line(line));
        let mut lines: Vec<String> = properties
            .filter(|property| !FRAME.contains(&property.name.as_str()))
            .map(|property| {
                let media = media::is_media(&property) && !self.dialect.is_v4();
                let form = if media { media::encoded(property.clone()) } else { property.clone() };
                match form.is_well_formed() {
                    true => form.to_line().replace("\r\n", "\\n").replace(['\n', '\r'], "\\n"),
                    // Other programs would refuse the whole card, or all cards of the file.
                    false => format!("{KEPT}:{}", escape(&property.to_line())),
                }
            })
            .collect();
        lines.sort();
        lines.iter().for_each(|line| self.line(line));
    }
}

/// Family and given name of somebody of whom only the whole name is known.
///
/// Apple shows nothing else than N, so something has to stand there: the last word of several is the family name.
fn guessed_parts(person: &Person) -> (String, String) {
    let full = person.name.full.trim();
    if person.organizations.values().any(|organization| organization.name == full) {
        return (String::new(), String::new());
    }
    match full.rsplit_once(' ') {
        Some((given, surname)) if !full.contains(',') => (escape(surname), escape(given.trim())),
        _ => (String::new(), escape(full)),
    }
}

fn in_group(group: &str, name: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{group}.{name}") }
}

fn is_group(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether a service's name can stand among types without being taken for one.
fn is_plain_word(word: &str) -> bool {
    let known = ["work", "home", "pref", "other"].contains(&word.to_lowercase().as_str());
    !known && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Parameters of our own keeping, as far as they cannot be taken for anything else.
fn known_good(params: &str) -> Vec<Param> {
    if params.is_empty() || params.contains(['\r', '\n']) {
        return Vec::new();
    }
    let property = Property::from_line(&format!("X;{params}:"));
    property.filter(|property| property.value.is_empty()).map(|property| property.params).unwrap_or_default()
}

/// What stands between notes that are written as one.
pub(crate) const NOTE_GAP: &str = "\n\n";

/// What holds a line that no other program could read.
pub(super) const KEPT: &str = "X-TIES-KEPT";

/// RFC 6350 section 3.2, without the line break.
const LINE_OCTETS: usize = 75;

/// What we call ourselves in cards.
pub(super) const PRODUCT: &str = "-//ties//EN";

pub(super) const FRAME: [&str; 6] = ["BEGIN", "END", "VERSION", "PRODID", "PROFILE", "UID"];
