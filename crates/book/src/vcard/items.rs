use std::collections::BTreeSet;

use ties_model::{
    Address, Anniversary, AnniversaryKind, Email, Language, Link, OnlineService, Organization, PartialDate, Phone,
    Title, TitleKind,
};

use super::import::{Reader, is_binary};
use super::place::place;
use super::property::Property;

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
        let chat = property.name == "IMPP";
        let value = property.take_text("VALUE");
        let mut service = property.take_text("SERVICE-TYPE");
        if service.is_empty() {
            service = property.take_text("X-SERVICE-TYPE");
        }
        let mut user = property.take_text("USERNAME");
        if user.is_empty() {
            user = property.take_text("X-USER");
        }
        let apple = property.name == "X-SOCIALPROFILE";
        let marks = self.marks(&mut property, |word| {
            // Apple writes the service as a type.
            let names_it = apple && service.is_empty();
            if names_it {
                service = word.to_owned();
            }
            names_it
        });
        let mut uri = property.text();
        if value.eq_ignore_ascii_case("text") && user.is_empty() {
            user = std::mem::take(&mut uri);
        }
        let vcard_name = if chat { "impp".to_owned() } else { String::new() };
        let service = OnlineService { service, user, uri, vcard_name, marks };
        if !service.user.is_empty() || !service.uri.is_empty() {
            place(&mut self.person.services, &service.key(), service);
        }
        None
    }

    /// `X-AIM` and its like, from before there was IMPP.
    pub(super) fn messenger(&mut self, mut property: Property, service: &str) -> Option<Property> {
        let user = property.text();
        if user.is_empty() {
            return Some(property);
        }
        let marks = self.marks(&mut property, |_| false);
        let service = OnlineService { service: service.to_owned(), user, marks, ..OnlineService::default() };
        place(&mut self.person.services, &service.key(), service);
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
        None => number.to_owned(),
        Some((number, parameter)) => match parameter.split_once('=') {
            Some((name, extension)) if name.eq_ignore_ascii_case("ext") && !extension.contains(';') => {
                format!("{number} x{extension}")
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

/// Properties for chat accounts from before there was IMPP, and the services they stand for.
pub(super) const MESSENGERS: [(&str, &str); 13] = [
    ("X-AIM", "AIM"),
    ("X-GADUGADU", "Gadu-Gadu"),
    ("X-GOOGLE-TALK", "Google Talk"),
    ("X-GROUPWISE", "GroupWise"),
    ("X-GTALK", "Google Talk"),
    ("X-ICQ", "ICQ"),
    ("X-JABBER", "Jabber"),
    ("X-MSN", "MSN"),
    ("X-QQ", "QQ"),
    ("X-SKYPE", "Skype"),
    ("X-SKYPE-USERNAME", "Skype"),
    ("X-TWITTER", "Twitter"),
    ("X-YAHOO", "Yahoo"),
];
