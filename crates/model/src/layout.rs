//! How items lie in a document: `collection/key/part`, and sets of words as `collection/key/part/word`.

use std::collections::{BTreeMap, BTreeSet};

use crate::fields::{Fields, WriteError};
use crate::items::{
    Address, Anniversary, AnniversaryKind, Email, Language, Link, Marks, OnlineService, Organization, Phone, Relation,
    Title, TitleKind,
};

/// An item of a keyed collection: how it lies below `collection/key/`.
pub(crate) trait Item: Sized {
    const COLLECTION: &'static str;

    /// The item, unless its value is missing: then it was deleted while another device edited a part of it.
    fn read(at: &At<'_>) -> Option<Self>;

    fn write(&self, to: &mut To<'_>);
}

/// The place of an item in fields that are read.
pub(crate) struct At<'a> {
    fields: &'a Fields,
    prefix: String,
}

impl At<'_> {
    fn text(&self, name: &str) -> String {
        self.fields.text(&format!("{}/{name}", self.prefix))
    }

    fn set(&self, name: &str) -> BTreeSet<String> {
        self.fields.set(&format!("{}/{name}", self.prefix))
    }

    fn marks(&self) -> Marks {
        let pref = self.fields.number(&format!("{}/pref", self.prefix));
        Marks {
            contexts: self.set("context"),
            pref: pref.and_then(|pref| pref.try_into().ok()),
            label: self.text("label"),
            group: self.text("group"),
            params: self.text("params"),
        }
    }
}

/// The place of an item in fields that are written.
pub(crate) struct To<'a> {
    fields: &'a mut Fields,
    prefix: String,
}

impl To<'_> {
    fn text(&mut self, name: &str, text: &str) {
        self.fields.put_text(format!("{}/{name}", self.prefix), text);
    }

    fn set(&mut self, name: &str, members: &BTreeSet<String>) {
        self.fields.put_set(&format!("{}/{name}", self.prefix), members);
    }

    fn marks(&mut self, marks: &Marks) {
        self.set("context", &marks.contexts);
        self.fields.put_number(format!("{}/pref", self.prefix), marks.pref.map(i64::from));
        self.text("label", &marks.label);
        self.text("group", &marks.group);
        self.text("params", &marks.params);
    }
}

pub(crate) fn read_items<T: Item>(fields: &Fields) -> BTreeMap<String, T> {
    let items = fields.items(T::COLLECTION).into_iter().filter_map(|key| {
        let prefix = format!("{}/{key}", T::COLLECTION);
        Some((key.to_owned(), T::read(&At { fields, prefix })?))
    });
    items.collect()
}

pub(crate) fn write_items<T: Item>(items: &BTreeMap<String, T>, fields: &mut Fields) -> Result<(), WriteError> {
    for (key, item) in items {
        if key.is_empty() || key.contains('/') {
            return Err(WriteError::Key);
        }
        let prefix = format!("{}/{key}", T::COLLECTION);
        item.write(&mut To { fields, prefix });
    }
    Ok(())
}

impl Item for Email {
    const COLLECTION: &'static str = "emails";

    fn read(at: &At<'_>) -> Option<Self> {
        let email = Self { address: at.text("address"), status: at.text("status"), marks: at.marks() };
        (!email.address.is_empty()).then_some(email)
    }

    fn write(&self, to: &mut To<'_>) {
        to.text("address", &self.address);
        to.text("status", &self.status);
        to.marks(&self.marks);
    }
}

impl Item for Phone {
    const COLLECTION: &'static str = "phones";

    fn read(at: &At<'_>) -> Option<Self> {
        let phone = Self { number: at.text("number"), features: at.set("feature"), marks: at.marks() };
        (!phone.number.is_empty()).then_some(phone)
    }

    fn write(&self, to: &mut To<'_>) {
        to.text("number", &self.number);
        to.set("feature", &self.features);
        to.marks(&self.marks);
    }
}

impl Item for OnlineService {
    const COLLECTION: &'static str = "services";

    fn read(at: &At<'_>) -> Option<Self> {
        let service = Self {
            service: at.text("service"),
            user: at.text("user"),
            uri: at.text("uri"),
            vcard_name: at.text("vcard-name"),
            marks: at.marks(),
        };
        (!service.user.is_empty() || !service.uri.is_empty()).then_some(service)
    }

    fn write(&self, to: &mut To<'_>) {
        to.text("service", &self.service);
        to.text("user", &self.user);
        to.text("uri", &self.uri);
        to.text("vcard-name", &self.vcard_name);
        to.marks(&self.marks);
    }
}

impl Item for Link {
    const COLLECTION: &'static str = "links";

    fn read(at: &At<'_>) -> Option<Self> {
        let link = Self { uri: at.text("uri"), marks: at.marks() };
        (!link.uri.is_empty()).then_some(link)
    }

    fn write(&self, to: &mut To<'_>) {
        to.text("uri", &self.uri);
        to.marks(&self.marks);
    }
}

impl Item for Address {
    const COLLECTION: &'static str = "addresses";

    fn read(at: &At<'_>) -> Option<Self> {
        let address = Self {
            po_box: at.text("po-box"),
            extended: at.text("extended"),
            street: at.text("street"),
            locality: at.text("locality"),
            region: at.text("region"),
            postcode: at.text("postcode"),
            country: at.text("country"),
            detail: at.fields.texts(&format!("{}/detail", at.prefix)),
            full: at.text("full"),
            country_code: at.text("country-code"),
            time_zone: at.text("time-zone"),
            coordinates: at.text("coordinates"),
            marks: at.marks(),
        };
        address.says_where().then_some(address)
    }

    fn write(&self, to: &mut To<'_>) {
        to.text("po-box", &self.po_box);
        to.text("extended", &self.extended);
        to.text("street", &self.street);
        to.text("locality", &self.locality);
        to.text("region", &self.region);
        to.text("postcode", &self.postcode);
        to.text("country", &self.country);
        to.fields.put_texts(&format!("{}/detail", to.prefix), &self.detail);
        to.text("full", &self.full);
        to.text("country-code", &self.country_code);
        to.text("time-zone", &self.time_zone);
        to.text("coordinates", &self.coordinates);
        to.marks(&self.marks);
    }
}

impl Address {
    /// Whether any part of the address itself is there.
    fn says_where(&self) -> bool {
        let parts = [
            &self.po_box,
            &self.extended,
            &self.street,
            &self.locality,
            &self.region,
            &self.postcode,
            &self.country,
            &self.full,
            &self.country_code,
            &self.coordinates,
        ];
        parts.into_iter().chain(self.detail.values()).any(|part| !part.is_empty())
    }
}

impl Item for Anniversary {
    const COLLECTION: &'static str = "anniversaries";

    fn read(at: &At<'_>) -> Option<Self> {
        let anniversary = Self {
            kind: AnniversaryKind::named(at.text("kind")),
            date: at.fields.date(&format!("{}/date", at.prefix)),
            text: at.text("text"),
            marks: at.marks(),
        };
        (anniversary.date.is_some() || !anniversary.text.is_empty()).then_some(anniversary)
    }

    fn write(&self, to: &mut To<'_>) {
        to.text("kind", self.kind.as_str());
        to.fields.put_date(format!("{}/date", to.prefix), self.date);
        to.text("text", &self.text);
        to.marks(&self.marks);
    }
}

impl Item for Organization {
    const COLLECTION: &'static str = "organizations";

    fn read(at: &At<'_>) -> Option<Self> {
        let units = (1..=MOST_UNITS).map(|number| at.text(&format!("unit/{number}")));
        let units = units.take_while(|unit| !unit.is_empty()).collect();
        let organization = Self { name: at.text("name"), units, marks: at.marks() };
        (!organization.name.is_empty() || !organization.units.is_empty()).then_some(organization)
    }

    fn write(&self, to: &mut To<'_>) {
        to.text("name", &self.name);
        let units = self.units.iter().filter(|unit| !unit.is_empty()).take(MOST_UNITS);
        for (index, unit) in units.enumerate() {
            to.text(&format!("unit/{}", index + 1), unit);
        }
        to.marks(&self.marks);
    }
}

impl Item for Title {
    const COLLECTION: &'static str = "titles";

    fn read(at: &At<'_>) -> Option<Self> {
        let title = Self {
            name: at.text("name"),
            kind: TitleKind::named(at.text("kind")),
            organization: at.text("organization"),
            marks: at.marks(),
        };
        (!title.name.is_empty()).then_some(title)
    }

    fn write(&self, to: &mut To<'_>) {
        to.text("name", &self.name);
        to.text("kind", self.kind.as_str());
        to.text("organization", &self.organization);
        to.marks(&self.marks);
    }
}

impl Item for Language {
    const COLLECTION: &'static str = "languages";

    fn read(at: &At<'_>) -> Option<Self> {
        let language = Self { tag: at.text("tag"), marks: at.marks() };
        (!language.tag.is_empty()).then_some(language)
    }

    fn write(&self, to: &mut To<'_>) {
        to.text("tag", &self.tag);
        to.marks(&self.marks);
    }
}

impl Item for Relation {
    const COLLECTION: &'static str = "relations";

    fn read(at: &At<'_>) -> Option<Self> {
        let relation = Self { name: at.text("name"), uri: at.text("uri"), kinds: at.set("kind"), marks: at.marks() };
        (!relation.name.is_empty() || !relation.uri.is_empty()).then_some(relation)
    }

    fn write(&self, to: &mut To<'_>) {
        to.text("name", &self.name);
        to.text("uri", &self.uri);
        to.set("kind", &self.kinds);
        to.marks(&self.marks);
    }
}

/// Every collection of keyed items.
pub(crate) const COLLECTIONS: [&str; 10] = [
    Email::COLLECTION,
    Phone::COLLECTION,
    OnlineService::COLLECTION,
    Link::COLLECTION,
    Address::COLLECTION,
    Anniversary::COLLECTION,
    Organization::COLLECTION,
    Title::COLLECTION,
    Language::COLLECTION,
    Relation::COLLECTION,
];

/// Units of an organization beyond these are not kept; a document must not make us count for ever.
const MOST_UNITS: usize = 32;
