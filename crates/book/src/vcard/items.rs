use std::collections::BTreeSet;

use ties_model::{
    Address, Anniversary, AnniversaryKind, Email, Language, Link, OnlineService, Organization, PartialDate, Phone,
    Relation, Title, TitleKind,
};

use super::import::{Reader, is_binary};
use super::place::place;
use super::property::{Param, Property};
use super::uri;

/// Properties that become items of a person. Each gives back what it does not understand.
impl Reader {
    pub(super) fn email(&mut self, mut property: Property) -> Option<Property> {
        property.take("VALUE");
        let status = property.take_text("X-TIES-STATUS");
        let text = property.text();
        let address = match text.get(..7) {
            Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => text[7..].to_owned(),
            _ => text,
        };
        let marks = self.marks(&mut property, |word| word == "internet");
        let email = Email { address, status, marks };
        if !email.address.is_empty() {
            place(&mut self.person.emails, &email.key(), email);
        }
        None
    }

    pub(super) fn phone(&mut self, mut property: Property) -> Option<Property> {
        property.take("VALUE");
        let number = plain_number(property.text());
        let mut features = BTreeSet::new();
        let marks = self.marks(&mut property, |word| {
            let feature = FEATURES.iter().find(|(vcard, _)| *vcard == word);
            features.extend(feature.map(|(_, feature)| (*feature).to_owned()));
            feature.is_some()
        });
        let phone = Phone { number, features, marks };
        if !phone.number.is_empty() {
            place(&mut self.person.phones, &phone.key(), phone);
        }
        None
    }

    pub(super) fn address(&mut self, mut property: Property) -> Option<Property> {
        let mut parts = property.parts(", ").into_iter();
        let mut next = || parts.next().unwrap_or_default();
        let mut address = Address {
            po_box: next(),
            extended: next(),
            street: next(),
            locality: next(),
            region: next(),
            postcode: next(),
            country: next(),
            ..Address::default()
        };
        let detail = ADDRESS_DETAIL.iter().map(|kind| ((*kind).to_owned(), next()));
        address.detail = detail.filter(|(_, text)| !text.is_empty()).collect();
        address.full = property.take_text("LABEL").replace("\\n", "\n");
        address.country_code = property.take_text("CC").to_ascii_uppercase();
        address.time_zone = property.take_text("TZ");
        address.coordinates = property.take_text("GEO");
        if address == Address::default() {
            return None;
        }
        if address.country_code.is_empty() {
            address.country_code = self.label(&property.group, "X-ABADR").to_ascii_uppercase();
        }
        let mut contexts = BTreeSet::new();
        address.marks = self.marks(&mut property, |word| {
            let known = matches!(word, "billing" | "delivery");
            contexts.extend(known.then(|| word.to_owned()));
            known
        });
        address.marks.contexts.append(&mut contexts);
        place(&mut self.person.addresses, &address.key(), address);
        None
    }

    pub(super) fn link(&mut self, mut property: Property) -> Option<Property> {
        property.take("VALUE");
        let link = Link { uri: property.text(), marks: self.marks(&mut property, |_| false) };
        if !link.uri.is_empty() {
            place(&mut self.person.links, &link.key(), link);
        }
        None
    }

    pub(super) fn organization(&mut self, mut property: Property) -> Option<Property> {
        if is_binary(&property) {
            return Some(property);
        }
        let mut parts = property.parts(", ").into_iter();
        let name = parts.next().unwrap_or_default();
        let units: Vec<String> = parts.filter(|unit| !unit.is_empty()).collect();
        if name.is_empty() && units.is_empty() {
            return None;
        }
        let organization = Organization { name, units, marks: self.marks(&mut property, |_| false) };
        place(&mut self.person.organizations, &organization.key(), organization);
        None
    }

    pub(super) fn title(&mut self, mut property: Property, kind: TitleKind) -> Option<Property> {
        if is_binary(&property) {
            return Some(property);
        }
        property.take("VALUE");
        let name = property.text();
        let title = Title { name, kind, marks: self.marks(&mut property, |_| false), ..Title::default() };
        if !title.name.is_empty() {
            place(&mut self.person.titles, &title.key(), title);
        }
        None
    }

    pub(super) fn language(&mut self, mut property: Property) -> Option<Property> {
        property.take("VALUE");
        let language = Language { tag: property.text(), marks: self.marks(&mut property, |_| false) };
        if !language.tag.is_empty() {
            place(&mut self.person.languages, &language.key(), language);
        }
        None
    }

    /// RFC 9554's and Apple's profiles, and chat addresses.
    pub(super) fn service(&mut self, mut property: Property) -> Option<Property> {
        let value = property.take_text("VALUE");
        let mut service = property.take_text("SERVICE-TYPE");
        if service.is_empty() {
            service = property.take_text("X-SERVICE-TYPE");
        }
        if service.is_empty() && property.name == "X-SOCIALPROFILE" {
            service = take_service_type(&mut property);
        }
        let mut user = property.take_text("USERNAME");
        if user.is_empty() {
            user = property.take_text("X-USER");
        }
        let marks = self.marks(&mut property, |_| false);
        let mut uri = property.text();
        let bare = value.eq_ignore_ascii_case("text") || (property.name == "X-MS-IMADDRESS" && !uri.contains(':'));
        if bare && user.is_empty() {
            user = std::mem::take(&mut uri);
        }
        // Apple's way of having no URI.
        if let Some(name) = uri.get(..8).filter(|scheme| scheme.eq_ignore_ascii_case("x-apple:")).map(|_| &uri[8..]) {
            let name = uri::decoded(name);
            if user.is_empty() || user == name {
                user = name;
                uri.clear();
            }
        }
        let chat = matches!(property.name.as_str(), "IMPP" | "X-MS-IMADDRESS");
        let vcard_name = if chat { "impp".to_owned() } else { String::new() };
        let service = OnlineService { service, user, uri, vcard_name, marks };
        if !service.user.is_empty() || !service.uri.is_empty() {
            place(&mut self.person.services, &service.key(), service);
        }
        None
    }

    /// `X-AIM` and its like, from before there was IMPP.
    pub(super) fn messenger(&mut self, mut property: Property, service: &str, scheme: &str) -> Option<Property> {
        let user = property.text();
        if user.is_empty() {
            return Some(property);
        }
        let marks = self.marks(&mut property, |_| false);
        let uri = if scheme.is_empty() { String::new() } else { format!("{scheme}:{}", uri::encoded(&user)) };
        let vcard_name = if service == "Twitter" { String::new() } else { "impp".to_owned() };
        let service = OnlineService { service: service.to_owned(), user, uri, vcard_name, marks };
        place(&mut self.person.services, &service.key(), service);
        None
    }

    /// RFC 6350's RELATED: a URI unless it says that it is a text.
    pub(super) fn related(&mut self, mut property: Property) -> Option<Property> {
        let text = property.take_text("VALUE").eq_ignore_ascii_case("text");
        let value = property.text();
        let mut kinds = BTreeSet::new();
        let marks = self.marks(&mut property, |word| {
            let known = RELATIONS.contains(&word);
            kinds.extend(known.then(|| word.to_owned()));
            known
        });
        let (name, uri) =
            if text || !uri::has_scheme(&value) { (value, String::new()) } else { (String::new(), value) };
        let relation = Relation { name, uri, kinds, marks };
        if !relation.name.is_empty() || !relation.uri.is_empty() {
            place(&mut self.person.relations, &relation.key(), relation);
        }
        None
    }

    /// Apple's related names, whose labels say what they are, and the names of a spouse or manager of others.
    pub(super) fn related_name(&mut self, mut property: Property, label: &str) -> Option<Property> {
        let name = property.text();
        if name.is_empty() {
            return Some(property);
        }
        property.take("VALUE");
        let mut kinds = BTreeSet::new();
        let mut marks = self.marks(&mut property, |word| {
            let known = RELATIONS.contains(&word);
            kinds.extend(known.then(|| word.to_owned()));
            known
        });
        if marks.label.is_empty() && kinds.is_empty() {
            label.clone_into(&mut marks.label);
        }
        let words: BTreeSet<String> = marks.label.split(", ").map(str::to_lowercase).collect();
        if words.iter().all(|word| RELATIONS.contains(&word.as_str())) {
            // The label says nothing that the kinds do not.
            marks.label.clear();
            kinds.extend(words);
        } else if kinds.is_empty() {
            let apple = APPLE_RELATIONS.iter().find(|(apple, _)| *apple == marks.label);
            kinds.extend(apple.map(|(_, kind)| (*kind).to_owned()));
        }
        let relation = Relation { name, kinds, marks, ..Relation::default() };
        place(&mut self.person.relations, &relation.key(), relation);
        None
    }

    pub(super) fn anniversary(&mut self, mut property: Property, mut kind: AnniversaryKind) -> Option<Property> {
        let written = property.clone();
        let calendar = property.take_text("CALSCALE");
        let once = matches!(kind, AnniversaryKind::Birth | AnniversaryKind::Death);
        let again = once && self.person.anniversaries.values().any(|there| there.kind == kind);
        if again || !(calendar.is_empty() || calendar.eq_ignore_ascii_case("gregorian")) {
            return Some(written);
        }
        let as_text = property.take_text("VALUE").eq_ignore_ascii_case("text");
        let no_year = property.take_text("X-APPLE-OMIT-YEAR").parse().ok();
        let mut text = property.text();
        let mut date = PartialDate::from_vcard(&text).ok().filter(|_| !as_text);
        if let Some(known) = date.filter(|date| no_year.is_some() && date.year() == no_year) {
            date = PartialDate::new(None, known.month(), known.day()).ok();
        }
        if text.is_empty() {
            return Some(written);
        }
        if date.is_some() && !tells_time(&text) {
            text.clear();
        }
        let mut marks = self.marks(&mut property, |_| false);
        if kind == AnniversaryKind::Other && marks.label.eq_ignore_ascii_case("anniversary") {
            kind = AnniversaryKind::Wedding;
            marks.label.clear();
        }
        let anniversary = Anniversary { kind, date, text, marks };
        place(&mut self.person.anniversaries, &anniversary.key(), anniversary);
        None
    }
}

/// A number as it is dialled: a `tel:` URI without its scheme, an extension as `x102`. URIs that say more stay whole.
fn plain_number(text: String) -> String {
    let Some(number) = text.get(4..).filter(|_| text[..4].eq_ignore_ascii_case("tel:")) else { return text };
    match number.split_once(';') {
        None => number.trim().to_owned(),
        Some((number, parameter)) => match parameter.split_once('=') {
            Some((name, extension)) if name.eq_ignore_ascii_case("ext") && !extension.contains(';') => {
                format!("{} x{}", number.trim(), extension.trim())
            }
            _ => text,
        },
    }
}

/// Whether the text of a date says a time of day other than midnight.
fn tells_time(text: &str) -> bool {
    let time = text.split_once(['T', 't', ' ']).map(|(_, time)| time.trim()).unwrap_or_default();
    let clock = time.split(['+', '-', 'Z', 'z']).next().unwrap_or_default();
    clock.contains(|c: char| !matches!(c, '0' | ':' | '.'))
}

/// The features of a telephone in vCard and in JSContact. (Every form of vCard has them in TYPE.)
pub(super) const FEATURES: [(&str, &str); 10] = [
    ("cell", "mobile"),
    ("voice", "voice"),
    ("text", "text"),
    ("video", "video"),
    ("fax", "fax"),
    ("pager", "pager"),
    ("textphone", "textphone"),
    ("main-number", "main-number"),
    ("main", "main-number"),
    ("mobile", "mobile"),
];

/// The parts of an address after the first seven (RFC 9554 section 2.1), by their JSContact kinds.
pub(super) const ADDRESS_DETAIL: [&str; 11] = [
    "room",
    "apartment",
    "floor",
    "number",
    "name",
    "building",
    "block",
    "subdistrict",
    "district",
    "landmark",
    "direction",
];

/// Properties for chat accounts from before there was IMPP, the services they stand for, and these's URI schemes.
pub(super) const MESSENGERS: [(&str, &str, &str); 13] = [
    ("X-AIM", "AIM", "aim"),
    ("X-GADUGADU", "Gadu-Gadu", ""),
    ("X-GOOGLE-TALK", "Google Talk", "xmpp"),
    ("X-GROUPWISE", "GroupWise", ""),
    ("X-GTALK", "Google Talk", "xmpp"),
    ("X-ICQ", "ICQ", ""),
    ("X-JABBER", "Jabber", "xmpp"),
    ("X-MSN", "MSN", "msnim"),
    ("X-QQ", "QQ", ""),
    ("X-SKYPE", "Skype", "skype"),
    ("X-SKYPE-USERNAME", "Skype", "skype"),
    ("X-TWITTER", "Twitter", ""),
    ("X-YAHOO", "Yahoo", "ymsgr"),
];

/// The types of RELATED (RFC 6350 section 6.6.6).
pub(super) const RELATIONS: [&str; 20] = [
    "contact",
    "acquaintance",
    "friend",
    "met",
    "co-worker",
    "colleague",
    "co-resident",
    "neighbor",
    "child",
    "parent",
    "sibling",
    "spouse",
    "kin",
    "muse",
    "crush",
    "date",
    "sweetheart",
    "me",
    "agent",
    "emergency",
];

/// Apple's words for relatives that say more than RFC 6350's.
const APPLE_RELATIONS: [(&str, &str); 6] = [
    ("Mother", "parent"),
    ("Father", "parent"),
    ("Brother", "sibling"),
    ("Sister", "sibling"),
    ("Son", "child"),
    ("Daughter", "child"),
];

/// Takes the service out of the types, where Apple writes it: the first that says nothing else.
fn take_service_type(property: &mut Property) -> String {
    let other = |word: &str| ["", "work", "home", "pref", "other"].contains(&word.to_lowercase().as_str());
    for param in property.params.iter_mut().filter(|param| param.name == "TYPE") {
        if let Some(at) = param.values.iter().position(|word| !other(word.trim())) {
            let service = param.values.remove(at).trim().to_owned();
            *param = Param::list("TYPE", param.values.iter().map(String::as_str));
            return service;
        }
    }
    String::new()
}
