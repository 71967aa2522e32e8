use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use ties_model::{
    Address, AnniversaryKind, Marks, Name, Person, TitleKind, contact_key, mail_key, phone_key, text_key,
};

use super::contents::Group;
use super::export::{FRAME, KEPT};
use super::items::MESSENGERS;
use super::lines::RawCard;
use super::media::inlined;
use super::place::all_marks;
use super::property::{Param, Property};
use super::{Card, CardNote, ImportedCard, Notice, Reject};

/// Reads a card as a person, or as a group of people.
pub(super) fn read(card: RawCard) -> Result<Card, Reject> {
    let refuse = |reason: &str| Err(Reject { line: card.line, reason: reason.to_owned() });
    if card.too_large {
        return refuse("the card is too large for a person (more than 512 KiB or 2,000 properties)");
    }
    let mut reader = Reader { notices: card.notices, ..Reader::default() };
    let mut properties = Vec::with_capacity(card.lines.len());
    let mut content = Sha256::new();
    for line in &card.lines {
        content.update(&line.bytes);
        content.update(b"\n");
        match Property::read(line) {
            Some(property) => properties.push(property.unwrapped(KEPT)),
            None => reader.notices.push(Notice::new(line.line, "a line that is no vCard property was left out")),
        }
    }
    if properties.iter().any(says_group) {
        return Ok(Card::Group(group(card.line, &properties)));
    }
    join_labels(&mut properties);
    reader.find_labels(&mut properties);
    for property in properties {
        reader.take(property);
    }
    reader.finish(card.line, hex(&content.finalize()[..16])).map(Box::new).map(Card::Person)
}

/// Reads a group.
fn group(line: usize, properties: &[Property]) -> Group {
    let mut group = Group { line, ..Group::default() };
    for property in properties {
        let text = property.text();
        match property.name.as_str() {
            "MEMBER" | "X-ADDRESSBOOKSERVER-MEMBER" => drop(group.members.insert(member_key(&text))),
            "FN" if !text.is_empty() => group.name = text,
            // The family name is all that Apple fills in.
            "N" if group.name.is_empty() => group.name = property.parts(" ").join(" ").trim().to_owned(),
            "FN" | "N" | "KIND" | "X-ADDRESSBOOKSERVER-KIND" | "VERSION" | "PRODID" | "UID" | "REV" => {}
            _ => group.left_out += 1,
        }
    }
    if group.name.is_empty() {
        group.name = "group".to_owned();
    }
    group
}

fn member_key(text: &str) -> String {
    match text.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => format!("mailto:{}", mail_key(text)),
        _ => uid_key(text),
    }
}

/// Puts vCard 3.0's LABEL, the text of an envelope, to the address it is of: the one in its group, or of its types.
fn join_labels(properties: &mut Vec<Property>) {
    let types = |property: &Property| {
        let words = property.params.iter().filter(|param| param.name == "TYPE").flat_map(|param| &param.values);
        let words = words.flat_map(|value| value.split(',')).map(|word| word.trim().to_lowercase());
        words.filter(|word| word != "pref").collect::<BTreeSet<_>>()
    };
    let plain = |property: &&Property| {
        property.name == "LABEL" && property.params.iter().all(|param| matches!(param.name.as_str(), "TYPE" | "VALUE"))
    };
    let labels: Vec<Property> = properties.iter().filter(plain).cloned().collect();
    for label in labels {
        let fits = |one: &Property| {
            one.group.eq_ignore_ascii_case(&label.group) && (!label.group.is_empty() || types(one) == types(&label))
        };
        let mut addresses = properties.iter_mut().filter(|one| one.name == "ADR" && fits(one));
        let (Some(address), None) = (addresses.next(), addresses.next()) else { continue };
        if address.params.iter().any(|param| param.name == "LABEL") {
            continue;
        }
        address.params.push(Param::new("LABEL", &label.text()));
        if let Some(at) = properties.iter().position(|one| *one == label) {
            properties.remove(at);
        }
    }
}

/// A person in the making.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) person: Person,
    /// Whether the card was written here.
    own: bool,
    notes: Vec<CardNote>,
    notices: Vec<Notice>,
    /// What was not understood.
    extra: Vec<Property>,
    /// Apple's labels (and countries) by group, and whether an item took them.
    labels: BTreeMap<String, Vec<(Property, bool)>>,
}

impl Reader {
    /// Sets aside what says something about the other properties of its group.
    fn find_labels(&mut self, properties: &mut Vec<Property>) {
        let mut taken: BTreeSet<(String, String)> = BTreeSet::new();
        properties.retain(|property| {
            let about = matches!(property.name.as_str(), "X-ABLABEL" | "X-ABADR") && !property.group.is_empty();
            // One that says nothing must not stand before one that does: it is not written again.
            if about && bare_label(&property.text()).is_empty() {
                return false;
            }
            let group = property.group.to_ascii_uppercase();
            let first = about && taken.insert((group.clone(), property.name.clone()));
            if first {
                self.labels.entry(group).or_default().push((property.clone(), false));
            }
            !first
        });
    }

    fn take(&mut self, property: Property) {
        if property.value.trim().is_empty() && !property.name.starts_with("X-") {
            return;
        }
        let rest = match property.name.as_str() {
            // They speak of the file, not of the person.
            "VERSION" | "PROFILE" => None,
            "PRODID" => {
                self.own = property.text() == super::export::PRODUCT;
                None
            }
            "KIND" if property.text().eq_ignore_ascii_case("individual") => None,
            "FN" => self.full_name(property),
            "N" => self.name(property),
            "SORT-STRING" => only_text(property, &mut self.person.name.sort_as),
            "X-PHONETIC-FIRST-NAME" => only_text(property, &mut self.person.name.phonetic_given),
            "X-PHONETIC-MIDDLE-NAME" => only_text(property, &mut self.person.name.phonetic_given2),
            "X-PHONETIC-LAST-NAME" => only_text(property, &mut self.person.name.phonetic_surname),
            // Whether something else is of its group shows at the end.
            "NICKNAME" | "CATEGORIES" if !property.group.is_empty() => Some(property),
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
            "SOCIALPROFILE" | "X-SOCIALPROFILE" | "IMPP" | "X-MS-IMADDRESS" => self.service(property),
            "BDAY" => self.anniversary(property, AnniversaryKind::Birth),
            "DEATHDATE" => self.anniversary(property, AnniversaryKind::Death),
            "ANNIVERSARY" | "X-ANNIVERSARY" | "X-MS-ANNIVERSARY" | "X-EVOLUTION-ANNIVERSARY" => {
                self.anniversary(property, AnniversaryKind::Wedding)
            }
            "X-ABDATE" => self.anniversary(property, AnniversaryKind::Other),
            "X-TIES-BDAY" => self.anniversary(property, AnniversaryKind::Birth),
            "X-TIES-DEATHDATE" => self.anniversary(property, AnniversaryKind::Death),
            "X-TIES-ANNIVERSARY" => self.anniversary(property, AnniversaryKind::Wedding),
            "X-TIES-DATE" => self.anniversary(property, AnniversaryKind::Other),
            "RELATED" => self.related(property),
            "X-ABRELATEDNAMES" => self.related_name(property, ""),
            "X-SPOUSE" | "X-MS-SPOUSE" | "X-EVOLUTION-SPOUSE" | "X-KADDRESSBOOK-X-SPOUSESNAME" => {
                self.related_name(property, "spouse")
            }
            "X-MANAGER" | "X-MS-MANAGER" | "X-EVOLUTION-MANAGER" | "X-KADDRESSBOOK-X-MANAGERSNAME" => {
                self.related_name(property, "Manager")
            }
            "X-ASSISTANT" | "X-MS-ASSISTANT" | "X-EVOLUTION-ASSISTANT" | "X-KADDRESSBOOK-X-ASSISTANTSNAME" => {
                self.related_name(property, "Assistant")
            }
            "NOTE" => self.note(property),
            "PHOTO" | "LOGO" | "SOUND" | "KEY" => Some(inlined(property)),
            KEPT => Property::from_line(&property.verbatim()).or(Some(property)),
            "X-TIES-HOW-MET" => only_text(property, &mut self.person.tie.how_met),
            "X-TIES-MET-ON" => self.met_on(property),
            "X-TIES-MET-AT" => only_text(property, &mut self.person.tie.met_at),
            "X-TIES-MET-THROUGH" => only_text(property, &mut self.person.tie.met_through),
            "X-TIES-HANDLE" => only_text(property, &mut self.person.handle),
            name => match MESSENGERS.iter().find(|(property, ..)| *property == name) {
                Some((_, service, scheme)) => self.messenger(property, service, scheme),
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
        let mut parts = property.lists().into_iter();
        let mut next = || parts.next().unwrap_or_default();
        (name.surname, name.given, name.given2) = (next().join(" "), next().join(" "), next().join(" "));
        let (prefix, mut suffixes) = (next().join(" "), next());
        (name.prefix, name.surname2, name.generation) = (prefix, next().join(" "), next().join(", "));
        // RFC 9554 writes the generation among the suffixes too, for readers that know five parts.
        suffixes.retain(|suffix| *suffix != name.generation);
        name.credential = suffixes.join(", ");
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
        property.take("VALUE");
        let note = CardNote { body: property.text(), params: property.params_text(), group: property.group };
        if !note.body.is_empty() && self.notes.iter().all(|there| there.body != note.body) {
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
                // What is no number is kept as it came, unless it stands beside one.
                None if marks.pref.is_none() => property.params.push(pref),
                None => {}
            }
        }
        if !unknown.is_empty() {
            property.params.push(Param::list("TYPE", unknown.iter().map(String::as_str)));
        }
        marks.params = property.params_text();
        marks.label = self.label(&property.group, "X-ABLABEL");
        marks.group.clone_from(&property.group);
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

    fn finish(mut self, line: usize, content: String) -> Result<ImportedCard, Reject> {
        let untaken = std::mem::take(&mut self.labels).into_values().flatten().filter(|(_, taken)| !taken);
        self.extra.extend(untaken.map(|(label, _)| label));
        self.drop_lone_groups();
        let Some(full) = self.full() else {
            return Err(Reject { line, reason: "the card is empty".to_owned() });
        };
        self.person.name.full = full;
        for property in self.extra {
            let text = property.to_line();
            self.person.extra.insert(contact_key("extra", &text), text);
        }
        let stable_key = stable_key(&self.person);
        Ok(ImportedCard {
            line,
            stable_key,
            content,
            own: self.own,
            person: self.person,
            notes: self.notes,
            notices: self.notices,
        })
    }

    /// A group that holds nothing else has said all it had to say; sets of words have no place for one.
    fn drop_lone_groups(&mut self) {
        let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
        let mut count = |group: &str| *sizes.entry(group.to_ascii_uppercase()).or_default() += 1;
        // What would break the card's frame is not written again, and is nobody's company.
        let written = self.extra.iter().filter(|property| !FRAME.contains(&property.name.as_str()));
        // A line that stands in the card twice is written once.
        let written: BTreeMap<String, &Property> = written.map(|property| (property.to_line(), property)).collect();
        written.values().for_each(|property| count(&property.group));
        self.notes.iter().for_each(|note| count(&note.group));
        all_marks(&mut self.person).for_each(|marks| count(&marks.group));
        let groups_of_names = |name: &Name| {
            let groups = NAMES.iter().filter_map(|of| name.params.get(&format!("{of}{GROUP}")).cloned());
            groups.collect::<Vec<String>>()
        };
        groups_of_names(&self.person.name).iter().for_each(|group| count(group));
        let lone = |group: &str| sizes.get(&group.to_ascii_uppercase()).is_none_or(|&size| size < 2);
        let groups = all_marks(&mut self.person).map(|marks| &mut marks.group);
        groups
            .chain(self.notes.iter_mut().map(|note| &mut note.group))
            .filter(|group| lone(group))
            .for_each(String::clear);
        self.person.name.params.retain(|of, group| !of.ends_with(GROUP) || !lone(group));
        for property in std::mem::take(&mut self.extra) {
            let is_alone = !property.group.is_empty() && lone(&property.group);
            let rest = match property.name.as_str() {
                "NICKNAME" if is_alone => only_set(property, &mut self.person.nicknames),
                "CATEGORIES" if is_alone => only_set(property, &mut self.person.keywords),
                _ => Some(property),
            };
            self.extra.extend(rest);
        }
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
            person.services.values().next().map(|one| if one.user.is_empty() { &one.uri } else { &one.user }).cloned(),
            person.links.values().next().map(|link| link.uri.clone()),
            person.titles.values().next().map(|title| title.name.clone()),
            person.addresses.values().next().map(one_line),
            self.notes.first().and_then(|note| note.body.lines().next().map(|line| line.chars().take(60).collect())),
            (!self.extra.is_empty() || !person.anniversaries.is_empty() || !person.keywords.is_empty())
                .then(|| "(no name)".to_owned()),
        ]
        .into_iter()
        .flatten();
        // A value is read without the blanks around it.
        names.find(|name| !name.trim().is_empty()).map(|name| name.trim().to_owned())
    }
}

/// What tells the card from others, whichever program wrote it and whenever it is read.
fn stable_key(person: &Person) -> String {
    if !person.uid.trim().is_empty() {
        return uid_key(&person.uid);
    }
    let mut hash = Sha256::new();
    let mails: BTreeSet<String> = person.emails.values().map(|email| mail_key(&email.address)).collect();
    let phones: BTreeSet<String> = person.phones.values().map(|phone| phone_key(&phone.number)).collect();
    hash.update(text_key(&person.name.full));
    for point in mails.iter().chain(&phones) {
        hash.update(b"\0");
        hash.update(point);
    }
    format!("hash:{}", hex(&hash.finalize()[..16]))
}

/// A UID for comparison.
fn uid_key(uid: &str) -> String {
    // vCard 3.0 has the bare UUID, some of it in capitals, where 4.0 has the URI.
    let uid = uid.trim();
    let lower = uid.to_ascii_lowercase();
    let uuid = lower.strip_prefix("urn:uuid:").unwrap_or(&lower);
    if is_uuid(uuid) { format!("uid:urn:uuid:{uuid}") } else { format!("uid:{uid}") }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |hex, byte| format!("{hex}{byte:02x}"))
}

/// An address as a name for want of a better one.
fn one_line(address: &Address) -> String {
    let parts = [&address.full, &address.street, &address.locality, &address.country];
    let parts: Vec<String> = parts.iter().map(|part| part.lines().collect::<Vec<_>>().join(", ")).collect();
    parts.into_iter().find(|part| !part.is_empty()).unwrap_or_default()
}

pub(super) fn is_uuid(text: &str) -> bool {
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

/// Keeps what FN and N say beside their values.
fn keep_params(name: &mut Name, of: &str, property: &Property) {
    if !property.group.is_empty() {
        name.params.insert(format!("{of}{GROUP}"), property.group.clone());
    }
    if !property.params.is_empty() {
        name.params.insert(of.to_owned(), property.params_text());
    }
}

/// A label without Apple's wrapping `_$!<…>!$_`.
fn bare_label(label: &str) -> String {
    let bare = label.strip_prefix("_$!<").and_then(|label| label.strip_suffix(">!$_")).unwrap_or(label);
    // `$!!$` and the like are left over from programs that broke it.
    match bare.chars().all(|c| c.is_control() || c.is_whitespace() || "_$!<>".contains(c)) {
        true => String::new(),
        false => bare.trim().to_owned(),
    }
}

/// The properties whose parameters are kept with the name.
pub(super) const NAMES: [&str; 2] = ["FN", "N"];
/// What the key of a group has behind the property's name, among the parameters that are kept with the name.
pub(super) const GROUP: &str = ".group";
