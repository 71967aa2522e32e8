use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use ties_model::{AnniversaryKind, Marks, Name, Person, TitleKind, contact_key, mail_key, phone_key, text_key};

use super::items::MESSENGERS;
use super::lines::RawCard;
use super::place::all_marks;
use super::property::{Param, Property};
use super::{ImportedCard, LINE_LIMIT, Notice, PERSON_LIMIT, Reject};

/// Reads a card as a person.
pub(super) fn read(card: RawCard) -> Result<ImportedCard, Reject> {
    let refuse = |reason: &str| Err(Reject { line: card.line, reason: reason.to_owned() });
    if card.lines.len() > LINE_LIMIT || card.lines.iter().map(|line| line.bytes.len()).sum::<usize>() > PERSON_LIMIT {
        return refuse("the card is too large for a person (more than 512 KiB or 2,000 properties)");
    }
    let mut reader = Reader { notices: card.notices, ..Reader::default() };
    let mut properties = Vec::with_capacity(card.lines.len());
    for line in &card.lines {
        match Property::read(line) {
            Some(property) => properties.push(property),
            None => reader.notices.push(Notice::new(line.line, "a line that is no vCard property was left out")),
        }
    }
    if properties.iter().any(says_group) {
        return refuse("a group of contacts; only people are imported so far");
    }
    reader.find_labels(&mut properties);
    for property in properties {
        reader.take(property);
    }
    reader.finish(card.line)
}

/// A person in the making.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) person: Person,
    notes: Vec<String>,
    notices: Vec<Notice>,
    /// What was not understood.
    extra: Vec<Property>,
    /// Apple's labels (and countries) by group, and whether an item took them.
    labels: BTreeMap<String, Vec<(Property, bool)>>,
    /// How many items each group has.
    members: BTreeMap<String, usize>,
}

impl Reader {
    /// Sets aside what says something about the other properties of its group.
    fn find_labels(&mut self, properties: &mut Vec<Property>) {
        let mut taken: BTreeSet<(String, String)> = BTreeSet::new();
        properties.retain(|property| {
            let about = matches!(property.name.as_str(), "X-ABLABEL" | "X-ABADR") && !property.group.is_empty();
            let group = property.group.to_ascii_uppercase();
            let first = about && taken.insert((group.clone(), property.name.clone()));
            if first {
                self.labels.entry(group).or_default().push((property.clone(), false));
            }
            !first
        });
    }

    fn take(&mut self, property: Property) {
        if property.value.trim().is_empty() && property.params.is_empty() && !property.name.starts_with("X-") {
            return;
        }
        let rest = match property.name.as_str() {
            // They speak of the file, not of the person.
            "VERSION" | "PRODID" => None,
            "KIND" if property.text().eq_ignore_ascii_case("individual") => None,
            "FN" => self.full_name(property),
            "N" => self.name(property),
            "SORT-STRING" => only_text(property, &mut self.person.name.sort_as),
            "X-PHONETIC-FIRST-NAME" => only_text(property, &mut self.person.name.phonetic_given),
            "X-PHONETIC-MIDDLE-NAME" => only_text(property, &mut self.person.name.phonetic_given2),
            "X-PHONETIC-LAST-NAME" => only_text(property, &mut self.person.name.phonetic_surname),
            "NICKNAME" => only_set(property, &mut self.person.nicknames),
            "CATEGORIES" => only_set(property, &mut self.person.keywords),
            "UID" => self.uid(property),
            "REV" => {
                let revised = &mut self.person.source.revised;
                *revised = property.text().max(std::mem::take(revised));
                None
            }
            "EMAIL" => self.email(property),
            "TEL" => self.phone(property),
            "ADR" => self.address(property),
            "URL" => self.link(property),
            "ORG" => self.organization(property),
            "TITLE" => self.title(property, TitleKind::Title),
            "ROLE" => self.title(property, TitleKind::Role),
            "LANG" => self.language(property),
            "SOCIALPROFILE" | "X-SOCIALPROFILE" | "IMPP" => self.service(property),
            "BDAY" => self.anniversary(property, AnniversaryKind::Birth),
            "DEATHDATE" => self.anniversary(property, AnniversaryKind::Death),
            "ANNIVERSARY" | "X-ANNIVERSARY" | "X-MS-ANNIVERSARY" | "X-EVOLUTION-ANNIVERSARY" => {
                self.anniversary(property, AnniversaryKind::Wedding)
            }
            "X-ABDATE" => self.anniversary(property, AnniversaryKind::Other),
            "NOTE" => self.note(property),
            "PHOTO" | "LOGO" | "SOUND" | "KEY" => Some(inline_media(property)),
            "X-TIES-HOW-MET" => only_text(property, &mut self.person.tie.how_met),
            "X-TIES-MET-ON" => self.met_on(property),
            "X-TIES-MET-AT" => only_text(property, &mut self.person.tie.met_at),
            "X-TIES-MET-THROUGH" => only_text(property, &mut self.person.tie.met_through),
            "X-TIES-HANDLE" => only_text(property, &mut self.person.handle),
            name => match MESSENGERS.iter().find(|(property, _)| *property == name) {
                Some((_, service)) => self.messenger(property, service),
                None => Some(property),
            },
        };
        self.extra.extend(rest);
    }

    fn uid(&mut self, property: Property) -> Option<Property> {
        let uid = property.text();
        if self.person.uid.is_empty() {
            self.person.uid = uid;
        } else if self.person.uid != uid {
            self.notices.push(Notice::new(property.line, "a second UID was left out"));
        }
        None
    }

    fn full_name(&mut self, mut property: Property) -> Option<Property> {
        let name = &mut self.person.name;
        if !name.full.is_empty() || is_binary(&property) {
            return Some(property);
        }
        property.take("VALUE");
        name.full = property.text();
        if !name.full.is_empty() {
            keep_params(name, "FN", &property);
        }
        None
    }

    fn name(&mut self, mut property: Property) -> Option<Property> {
        let name = &mut self.person.name;
        let there = [&name.given, &name.given2, &name.surname, &name.prefix, &name.credential];
        if there.iter().any(|part| !part.is_empty()) || is_binary(&property) {
            return Some(property);
        }
        let joints = [" ", " ", " ", " ", ", ", " ", ", "];
        let mut parts = (0..joints.len()).map(|at| property.parts(joints[at]).into_iter().nth(at).unwrap_or_default());
        let mut next = || parts.next().unwrap_or_default();
        (name.surname, name.given, name.given2) = (next(), next(), next());
        (name.prefix, name.credential, name.surname2, name.generation) = (next(), next(), next(), next());
        // RFC 9554 writes the generation among the suffixes too, for readers that know five parts.
        if !name.generation.is_empty() {
            let suffixes = name.credential.split(", ").filter(|suffix| *suffix != name.generation);
            name.credential = suffixes.collect::<Vec<_>>().join(", ");
        }
        let sort_as = property.take_text("SORT-AS");
        if name.sort_as.is_empty() {
            name.sort_as = sort_as;
        }
        keep_params(name, "N", &property);
        None
    }

    fn met_on(&mut self, property: Property) -> Option<Property> {
        match property.text().parse() {
            Ok(date) if self.person.tie.met_on.is_none() => self.person.tie.met_on = Some(date),
            _ => return Some(property),
        }
        None
    }

    fn note(&mut self, mut property: Property) -> Option<Property> {
        if is_binary(&property) {
            return Some(property);
        }
        for understood in ["VALUE", "LANGUAGE", "ALTID", "PREF", "PID", "TYPE"] {
            property.take(understood);
        }
        if !property.params.is_empty() {
            let text = format!("of the note, {} was left out", property.params_text());
            self.notices.push(Notice::new(property.line, text));
        }
        let note = property.text();
        if !note.is_empty() && !self.notes.contains(&note) {
            self.notes.push(note);
        }
        None
    }

    /// What TYPE, PREF and the group say. To be called when all other known parameters are taken.
    ///
    /// `feature` is asked about every type that is not known to all properties, in lower case, and says whether it is
    /// one of its own.
    pub(super) fn marks(&mut self, property: &mut Property, mut feature: impl FnMut(&str) -> bool) -> Marks {
        let mut marks = Marks::default();
        let mut unknown = Vec::new();
        while let Some(types) = property.take("TYPE") {
            let words = types.values.iter().flat_map(|value| value.split(',')).map(|word| word.trim().to_lowercase());
            for word in words {
                match word.as_str() {
                    "" => {}
                    "work" => marks.contexts.extend(["work".to_owned()]),
                    "home" => marks.contexts.extend(["private".to_owned()]),
                    "pref" => marks.pref = Some(1),
                    _ if feature(&word) || unknown.contains(&word) => {}
                    _ => unknown.push(word),
                }
            }
        }
        if let Some(pref) = property.take("PREF") {
            match pref.values.first().and_then(|pref| pref.trim().parse().ok()).filter(|pref| (1..=100).contains(pref))
            {
                Some(pref) => marks.pref = Some(pref),
                None => property.params.push(pref),
            }
        }
        if !unknown.is_empty() {
            property.params.push(Param::list("TYPE", unknown.iter().map(String::as_str)));
        }
        marks.params = property.params_text();
        marks.label = self.label(&property.group, "X-ABLABEL");
        marks.group.clone_from(&property.group);
        *self.members.entry(property.group.to_ascii_uppercase()).or_default() += 1;
        marks
    }

    /// What Apple's property of that name says about its group.
    pub(super) fn label(&mut self, group: &str, name: &str) -> String {
        let labels = self.labels.get_mut(&group.to_ascii_uppercase());
        let label = labels.and_then(|labels| labels.iter_mut().find(|(label, _)| label.name == name));
        match label {
            Some((label, taken)) => {
                *taken = true;
                bare_label(&label.text())
            }
            None => String::new(),
        }
    }

    fn finish(mut self, line: usize) -> Result<ImportedCard, Reject> {
        let Some(full) = self.full() else {
            let reason = "it has no name, nickname, organization, mail address or phone number";
            return Err(Reject { line, reason: reason.to_owned() });
        };
        self.person.name.full = full;
        let untaken = self.labels.into_values().flatten().filter(|(_, taken)| !taken);
        self.extra.extend(untaken.map(|(label, _)| label));
        let outside: BTreeSet<String> = self.extra.iter().map(|property| property.group.to_ascii_uppercase()).collect();
        for marks in all_marks(&mut self.person) {
            // A group that holds nothing else has said all it had to say.
            let group = marks.group.to_ascii_uppercase();
            if !outside.contains(&group) && self.members.get(&group).is_none_or(|members| *members < 2) {
                marks.group.clear();
            }
        }
        for property in self.extra {
            let text = property.to_line();
            self.person.extra.insert(contact_key("extra", &text), text);
        }
        let stable_key = stable_key(&self.person);
        Ok(ImportedCard { line, stable_key, person: self.person, notes: self.notes, notices: self.notices })
    }

    /// The name to show: as given, or put together from the best that there is.
    fn full(&self) -> Option<String> {
        let person = &self.person;
        let name = &person.name;
        let parts = [&name.prefix, &name.given, &name.given2, &name.surname, &name.surname2, &name.generation];
        let parts: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        let mut composed = parts.join(" ");
        if !composed.is_empty() && !name.credential.is_empty() {
            composed = format!("{composed}, {}", name.credential);
        }
        let organization = person.organizations.values().find(|organization| !organization.name.is_empty());
        let mut names = [
            Some(name.full.clone()),
            Some(composed),
            person.nicknames.first().cloned(),
            organization.map(|organization| organization.name.clone()),
            person.emails.values().next().map(|email| email.address.clone()),
            person.phones.values().next().map(|phone| phone.number.clone()),
        ]
        .into_iter()
        .flatten();
        names.find(|name| !name.is_empty())
    }
}

/// What tells the card from others, whichever program wrote it and whenever it is read.
fn stable_key(person: &Person) -> String {
    let uid = person.uid.trim();
    if !uid.is_empty() {
        // vCard 3.0 has the bare UUID, some of it in capitals, where 4.0 has the URI.
        let lower = uid.to_ascii_lowercase();
        let uuid = lower.strip_prefix("urn:uuid:").unwrap_or(&lower);
        return if is_uuid(uuid) { format!("uid:urn:uuid:{uuid}") } else { format!("uid:{uid}") };
    }
    let mut hash = Sha256::new();
    let mails: BTreeSet<String> = person.emails.values().map(|email| mail_key(&email.address)).collect();
    let phones: BTreeSet<String> = person.phones.values().map(|phone| phone_key(&phone.number)).collect();
    hash.update(text_key(&person.name.full));
    for point in mails.iter().chain(&phones) {
        hash.update(b"\0");
        hash.update(point);
    }
    let digest = hash.finalize();
    digest[..16].iter().fold("hash:".to_owned(), |key, byte| format!("{key}{byte:02x}"))
}

fn is_uuid(text: &str) -> bool {
    let hyphens = [8, 13, 18, 23];
    let mut bytes = text.bytes().enumerate();
    text.len() == 36
        && bytes.all(|(at, byte)| if hyphens.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}

fn says_group(property: &Property) -> bool {
    matches!(property.name.as_str(), "KIND" | "X-ADDRESSBOOKSERVER-KIND")
        && property.text().eq_ignore_ascii_case("group")
}

pub(super) fn is_binary(property: &Property) -> bool {
    property.params.iter().any(|param| param.name == "ENCODING")
}

/// Takes a property that is nothing but a text, if there is none yet; what has parameters is left to `extra`.
fn only_text(mut property: Property, to: &mut String) -> Option<Property> {
    let written = property.clone();
    property.take("VALUE");
    if !to.is_empty() || !property.params.is_empty() {
        return Some(written);
    }
    *to = property.text();
    to.is_empty().then_some(written)
}

/// Takes a property that is nothing but a set of texts; what has parameters is left to `extra`.
fn only_set(property: Property, to: &mut BTreeSet<String>) -> Option<Property> {
    if !property.params.is_empty() {
        return Some(property);
    }
    to.extend(property.list());
    None
}

fn keep_params(name: &mut Name, of: &str, property: &Property) {
    if !property.params.is_empty() {
        name.params.insert(of.to_owned(), property.params_text());
    }
}

/// A label without Apple's wrapping `_$!<…>!$_`.
fn bare_label(label: &str) -> String {
    let bare = label.strip_prefix("_$!<").and_then(|label| label.strip_suffix(">!$_")).unwrap_or(label);
    match bare.chars().any(char::is_alphanumeric) {
        true => bare.trim().to_owned(),
        // `$!!$` and the like are left over from programs that broke it.
        false => String::new(),
    }
}

/// A picture or key as vCard 4.0 holds it: a `data:` URI instead of an encoding.
fn inline_media(mut property: Property) -> Property {
    let Some(_) = property.take("ENCODING") else { return property };
    let kind = property.take_text("TYPE").to_lowercase();
    property.take("VALUE");
    let media = match (property.name.as_str(), kind.as_str()) {
        ("PHOTO" | "LOGO", "jpg" | "") => "image/jpeg".to_owned(),
        ("PHOTO" | "LOGO", kind) if !kind.contains('/') => format!("image/{kind}"),
        ("SOUND", "wave" | "wav") => "audio/wav".to_owned(),
        ("SOUND", kind) if !kind.contains('/') && !kind.is_empty() => format!("audio/{kind}"),
        ("KEY", "pgp") => "application/pgp-keys".to_owned(),
        ("KEY", "x509") => "application/pkix-cert".to_owned(),
        (_, kind) if kind.contains('/') => kind.to_owned(),
        _ => "application/octet-stream".to_owned(),
    };
    let data: String = property.value.chars().filter(|c| !c.is_whitespace()).collect();
    property.value = format!("data:{media};base64,{data}");
    property
}
