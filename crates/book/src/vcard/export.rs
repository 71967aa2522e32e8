use std::collections::{BTreeMap, BTreeSet};

use ties_model::{
    Address, Anniversary, AnniversaryKind, Marks, Name, OnlineService, PartialDate, Person, Phone, TitleKind,
};

use super::items::{ADDRESS_DETAIL, FEATURES};
use super::property::{Param, Property, escape};

/// Writes a person as a vCard 4.0 (RFC 6350): CRLF, folded at 75 octets, types in lower case.
///
/// `id` is the document's UUID, the UID of a person that came with none. What the standard has no word for goes into
/// `X-TIES-…`, labels into Apple's `X-ABLabel`, and what was not understood at the import is written as it was.
pub(crate) fn to_vcard4(person: &Person, notes: &[&str], id: &str) -> String {
    let mut card = Writer::new(person);
    card.plain("BEGIN", "VCARD");
    card.plain("VERSION", "4.0");
    card.plain("PRODID", "-//ties//EN");
    match person.uid.as_str() {
        "" => card.plain("UID", &format!("urn:uuid:{id}")),
        uid => card.text("UID", uid),
    }
    card.name(&person.name);
    card.set("NICKNAME", &person.nicknames);
    for email in person.emails.values() {
        let mut params = marks_params(&email.marks, []);
        params.extend((!email.status.is_empty()).then(|| Param::new("X-TIES-STATUS", &email.status)));
        card.item("EMAIL", &email.marks, params, &escape(&email.address));
    }
    person.phones.values().for_each(|phone| card.phone(phone));
    person.addresses.values().for_each(|address| card.address(address));
    person.services.values().for_each(|service| card.service(service));
    for link in person.links.values() {
        card.item("URL", &link.marks, marks_params(&link.marks, []), &escape(&link.uri));
    }
    for organization in person.organizations.values() {
        let parts: Vec<String> =
            [&organization.name].into_iter().chain(&organization.units).map(|p| escape(p)).collect();
        card.item("ORG", &organization.marks, marks_params(&organization.marks, []), &parts.join(";"));
    }
    for title in person.titles.values() {
        let name = if title.kind == TitleKind::Role { "ROLE" } else { "TITLE" };
        card.item(name, &title.marks, marks_params(&title.marks, []), &escape(&title.name));
    }
    card.anniversaries(person.anniversaries.values());
    for language in person.languages.values() {
        card.item("LANG", &language.marks, marks_params(&language.marks, []), &escape(&language.tag));
    }
    card.set("CATEGORIES", &person.keywords);
    notes.iter().for_each(|note| card.text("NOTE", note));
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
    text: String,
    /// Groups that items or unknown properties have, in upper case.
    groups: BTreeSet<String>,
    /// Groups that are written and the label of each.
    labels: BTreeMap<String, String>,
}

impl Writer {
    fn new(person: &Person) -> Self {
        let extra = person.extra.values().filter_map(|line| Property::from_line(line));
        let mut groups: BTreeSet<String> = extra.map(|property| property.group.to_ascii_uppercase()).collect();
        let mut person = person.clone();
        groups.extend(super::place::all_marks(&mut person).map(|marks| marks.group.to_ascii_uppercase()));
        Self { text: String::new(), groups, labels: BTreeMap::new() }
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

    /// Writes an item: in its group, or one made up for its label.
    fn item(&mut self, name: &str, marks: &Marks, params: Vec<Param>, value: &str) {
        self.labelled(name, &marks.label, marks, params, value);
    }

    fn labelled(&mut self, name: &str, label: &str, marks: &Marks, params: Vec<Param>, value: &str) {
        let group = self.group(label, marks);
        let grouped = if group.is_empty() { name.to_owned() } else { format!("{group}.{name}") };
        self.with_params(&grouped, &params, &marks.params, value);
        let new = !group.is_empty() && self.labels.insert(group.to_ascii_uppercase(), label.to_owned()).is_none();
        if new && !label.is_empty() {
            self.plain(&format!("{group}.X-ABLabel"), &escape(label));
        }
    }

    fn group(&self, label: &str, marks: &Marks) -> String {
        let own = marks.group.as_str();
        let usable = !own.is_empty() && own.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let said = self.labels.get(&own.to_ascii_uppercase());
        if usable && said.is_none_or(|said| said == label) {
            return own.to_owned();
        }
        if label.is_empty() {
            return String::new();
        }
        let taken = |group: &String| self.groups.contains(group) || self.labels.contains_key(group);
        let free = (1..).map(|number| format!("ITEM{number}")).find(|group| !taken(group));
        free.unwrap_or_default().to_ascii_lowercase()
    }

    fn name(&mut self, name: &Name) {
        let rest = |of: &str| name.params.get(of).map(String::as_str).unwrap_or_default();
        self.with_params("FN", &[], rest("FN"), &escape(&name.full));
        let generation = Some(&name.generation).filter(|generation| !generation.is_empty());
        let suffixes = [Some(&name.credential).filter(|credential| !credential.is_empty()), generation];
        let suffixes: Vec<String> = suffixes.into_iter().flatten().map(|suffix| escape(suffix)).collect();
        let mut parts: Vec<String> =
            [&name.surname, &name.given, &name.given2, &name.prefix].into_iter().map(|part| escape(part)).collect();
        parts.push(suffixes.join(","));
        if !name.surname2.is_empty() || generation.is_some() {
            parts.extend([escape(&name.surname2), escape(&name.generation)]);
        }
        let sort_as: Vec<Param> = Some(&name.sort_as)
            .filter(|text| !text.is_empty())
            .map(|text| Param::new("SORT-AS", text))
            .into_iter()
            .collect();
        if parts.iter().any(|part| !part.is_empty()) || !sort_as.is_empty() || !rest("N").is_empty() {
            self.with_params("N", &sort_as, rest("N"), &parts.join(";"));
        }
        self.text("X-PHONETIC-FIRST-NAME", &name.phonetic_given);
        self.text("X-PHONETIC-MIDDLE-NAME", &name.phonetic_given2);
        self.text("X-PHONETIC-LAST-NAME", &name.phonetic_surname);
    }

    fn phone(&mut self, phone: &Phone) {
        let features = phone.features.iter().map(|feature| {
            let known = FEATURES.iter().find(|(_, ours)| ours == feature);
            known.map_or(feature.as_str(), |(vcard, _)| vcard)
        });
        let mut params = marks_params(&phone.marks, features);
        let scheme = phone.number.split_once(':').map(|(scheme, _)| scheme);
        if scheme.is_some_and(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphabetic())) {
            params.push(Param::new("VALUE", "uri"));
        }
        self.item("TEL", &phone.marks, params, &escape(&phone.number));
    }

    fn address(&mut self, address: &Address) {
        let mut params = marks_params(&address.marks, []);
        for (name, value) in [
            ("LABEL", &address.full),
            ("CC", &address.country_code),
            ("TZ", &address.time_zone),
            ("GEO", &address.coordinates),
        ] {
            params.extend((!value.is_empty()).then(|| Param::new(name, value)));
        }
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
        if !address.detail.is_empty() {
            let detail = ADDRESS_DETAIL.iter().map(|kind| address.detail.get(*kind));
            parts.extend(detail.map(|text| text.map(|text| escape(text)).unwrap_or_default()));
        }
        self.item("ADR", &address.marks, params, &parts.join(";"));
    }

    fn service(&mut self, service: &OnlineService) {
        let mut params = marks_params(&service.marks, []);
        params.extend((!service.service.is_empty()).then(|| Param::new("SERVICE-TYPE", &service.service)));
        let value = match (service.uri.is_empty(), service.user.is_empty()) {
            (true, _) => {
                params.push(Param::new("VALUE", "text"));
                &service.user
            }
            (false, true) => &service.uri,
            (false, false) => {
                params.push(Param::new("USERNAME", &service.user));
                &service.uri
            }
        };
        let name = if service.vcard_name == "impp" { "IMPP" } else { "SOCIALPROFILE" };
        self.item(name, &service.marks, params, &escape(value));
    }

    /// vCard has one birthday, one day of death and one wedding; Apple's X-ABDATE takes the others.
    fn anniversaries<'a>(&mut self, anniversaries: impl Iterator<Item = &'a Anniversary>) {
        let mut written = BTreeSet::new();
        for anniversary in anniversaries {
            let label = anniversary.marks.label.as_str();
            let first = written.insert(&anniversary.kind);
            let (name, label) = match &anniversary.kind {
                AnniversaryKind::Birth if first => ("BDAY", label),
                AnniversaryKind::Death if first => ("DEATHDATE", label),
                AnniversaryKind::Wedding if first => ("ANNIVERSARY", label),
                AnniversaryKind::Wedding if label.is_empty() => ("X-ABDATE", "Anniversary"),
                AnniversaryKind::Other => ("X-ABDATE", label),
                kind if label.is_empty() => ("X-ABDATE", kind.as_str()),
                _ => ("X-ABDATE", label),
            };
            let mut params = marks_params(&anniversary.marks, []);
            let says_date = PartialDate::from_vcard(&anniversary.text).ok() == anniversary.date;
            let value = match anniversary.date {
                Some(date) if anniversary.text.is_empty() || !says_date => date.to_vcard4(),
                Some(_) => escape(&anniversary.text),
                None => {
                    params.push(Param::new("VALUE", "text"));
                    escape(&anniversary.text)
                }
            };
            self.labelled(name, label, &anniversary.marks, params, &value);
        }
    }

    /// Writes what was not understood, except what would break the card's frame.
    fn extra(&mut self, person: &Person) {
        let properties = person.extra.values().filter_map(|line| Property::from_line(line));
        let mut lines: Vec<String> = properties
            .filter(|property| !FRAME.contains(&property.name.as_str()))
            .map(|property| property.to_line().replace("\r\n", "\\n").replace(['\n', '\r'], "\\n"))
            .collect();
        lines.sort();
        lines.iter().for_each(|line| self.line(line));
    }
}

/// TYPE and PREF.
fn marks_params<'a>(marks: &'a Marks, features: impl IntoIterator<Item = &'a str>) -> Vec<Param> {
    let contexts = marks.contexts.iter().map(|context| match context.as_str() {
        "private" => "home",
        context => context,
    });
    let types: Vec<&str> = contexts.chain(features).collect();
    let mut params = Vec::new();
    if !types.is_empty() {
        params.push(Param::list("TYPE", types));
    }
    params.extend(marks.pref.map(|pref| Param::new("PREF", &pref.to_string())));
    params
}

/// Parameters of our own keeping, as far as they cannot be taken for anything else.
fn known_good(params: &str) -> Vec<Param> {
    if params.is_empty() || params.contains(['\r', '\n']) {
        return Vec::new();
    }
    let property = Property::from_line(&format!("X;{params}:"));
    property.filter(|property| property.value.is_empty()).map(|property| property.params).unwrap_or_default()
}

/// RFC 6350 section 3.2, without the line break.
const LINE_OCTETS: usize = 75;

const FRAME: [&str; 5] = ["BEGIN", "END", "VERSION", "PRODID", "UID"];
