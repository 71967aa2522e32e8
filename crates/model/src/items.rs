use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{PartialDate, contact_key, mail_key, phone_key, text_key};

/// What vCard and JSContact say about nearly every item beside its value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// Where it is used: `private`, `work`, for addresses also `billing` and `delivery`.
    pub contexts: BTreeSet<String>,
    /// Preference from 1 (most) to 100.
    pub pref: Option<u8>,
    /// The user's own word for it, or empty.
    pub label: String,
    /// The vCard group, where properties in [`Person::extra`](crate::Person::extra) belong to this item; or empty.
    pub group: String,
    /// vCard parameters not understood, as they are written: `PID=1.1;X-FOO=bar`; or empty.
    pub params: String,
}

/// A mail address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email {
    /// The address as entered.
    pub address: String,
    /// Empty or `ok`, `bounced`, `old`.
    pub status: String,
    /// Use, preference, label.
    pub marks: Marks,
}

/// A phone number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phone {
    /// The number as entered, with an extension as in `+1 555 0100 x102`.
    pub number: String,
    /// What it is good for: `mobile`, `voice`, `text`, `video`, `fax`, `pager`, `textphone`, `main-number`.
    pub features: BTreeSet<String>,
    /// Use, preference, label.
    pub marks: Marks,
}

/// A profile or chat account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlineService {
    /// The service's name (`Mastodon`), or empty.
    pub service: String,
    /// The user's name there, or empty if there is a URI.
    pub user: String,
    /// Its URI (`https://…`, `xmpp:…`), or empty if there is a user.
    pub uri: String,
    /// `impp` if vCard has it as a chat address, otherwise empty (RFC 9555's `vCardName`).
    pub vcard_name: String,
    /// Use, preference, label.
    pub marks: Marks,
}

/// A web page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its address.
    pub uri: String,
    /// Use, preference, label.
    pub marks: Marks,
}

/// A postal address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Post office box.
    pub po_box: String,
    /// Apartment, suite, floor, as one text.
    pub extended: String,
    /// Street and number.
    pub street: String,
    /// City or village.
    pub locality: String,
    /// State, province, canton.
    pub region: String,
    /// Postal code.
    pub postcode: String,
    /// The country's name.
    pub country: String,
    /// RFC 9554's finer components by their JSContact kind: `room`, `apartment`, `floor`, `number`, `name`,
    /// `building`, `block`, `subdistrict`, `district`, `landmark`, `direction`.
    pub detail: BTreeMap<String, String>,
    /// The whole address as on an envelope, or empty.
    pub full: String,
    /// ISO 3166-1 alpha-2, upper case, or empty.
    pub country_code: String,
    /// IANA time zone, or empty.
    pub time_zone: String,
    /// `geo:` URI, or empty.
    pub coordinates: String,
    /// Use, preference, label.
    pub marks: Marks,
}

/// A day to remember.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anniversary {
    /// What happened.
    pub kind: AnniversaryKind,
    /// When, as far as it is a date.
    pub date: Option<PartialDate>,
    /// What was written where a date cannot say it (`circa 1800`, a time of day), or empty.
    pub text: String,
    /// Label (of those that are [`AnniversaryKind::Other`]).
    pub marks: Marks,
}

/// What an anniversary is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AnniversaryKind {
    /// Birth.
    Birth,
    /// Death.
    Death,
    /// Wedding.
    Wedding,
    /// Anything else; see the label.
    #[default]
    Other,
    /// A kind that a later version knows.
    Unknown(String),
}

/// An organization that the person belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Its name; may be empty if there are units.
    pub name: String,
    /// Units in it, widest first.
    pub units: Vec<String>,
    /// Use, preference, label.
    pub marks: Marks,
}

/// A title or role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Title {
    /// The title.
    pub name: String,
    /// Title or role.
    pub kind: TitleKind,
    /// The key of the organization it is held in, or empty.
    pub organization: String,
    /// Use, preference, label.
    pub marks: Marks,
}

/// Whether it stands on a business card or says what somebody does (vCard TITLE and ROLE).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TitleKind {
    /// `Senior engineer`.
    #[default]
    Title,
    /// `Project lead`.
    Role,
    /// A kind that a later version knows.
    Unknown(String),
}

/// A language that the person prefers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Language {
    /// BCP 47 tag.
    pub tag: String,
    /// Use and preference.
    pub marks: Marks,
}

/// Somebody whom the person is related to, as an address book says it: a name or a URI, not a record here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// The other's name, or empty if there is a URI.
    pub name: String,
    /// The other's URI (`urn:uuid:…`, `mailto:…`), or empty.
    pub uri: String,
    /// What the other is to the person, in RFC 6350's words: `spouse`, `child`, `friend`, `colleague` …
    pub kinds: BTreeSet<String>,
    /// The user's own word for it (`Mother`), preference.
    pub marks: Marks,
}

impl AnniversaryKind {
    /// The word in documents and in JSContact.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Birth => "birth",
            Self::Death => "death",
            Self::Wedding => "wedding",
            Self::Other => "other",
            Self::Unknown(kind) => kind,
        }
    }

    pub(crate) fn named(kind: String) -> Self {
        match kind.as_str() {
            "birth" => Self::Birth,
            "death" => Self::Death,
            "wedding" => Self::Wedding,
            "" | "other" => Self::Other,
            _ => Self::Unknown(kind),
        }
    }
}

impl TitleKind {
    /// The word in documents and in JSContact.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Title => "title",
            Self::Role => "role",
            Self::Unknown(kind) => kind,
        }
    }

    pub(crate) fn named(kind: String) -> Self {
        match kind.as_str() {
            "" | "title" => Self::Title,
            "role" => Self::Role,
            _ => Self::Unknown(kind),
        }
    }
}

impl Email {
    /// The key it gets when it is added.
    pub fn key(&self) -> String {
        contact_key("email", &mail_key(&self.address))
    }
}

impl Phone {
    /// The key it gets when it is added.
    pub fn key(&self) -> String {
        contact_key("phone", &phone_key(&self.number))
    }
}

impl OnlineService {
    /// The key it gets when it is added.
    pub fn key(&self) -> String {
        let value = if self.uri.is_empty() { &self.user } else { &self.uri };
        contact_key("service", &format!("{}\0{}", text_key(&self.service), text_key(value)))
    }
}

impl Link {
    /// The key it gets when it is added.
    pub fn key(&self) -> String {
        contact_key("link", self.uri.trim())
    }
}

impl Address {
    /// The key it gets when it is added.
    pub fn key(&self) -> String {
        let mut parts = vec![
            &self.po_box,
            &self.extended,
            &self.street,
            &self.locality,
            &self.region,
            &self.postcode,
            &self.country,
        ];
        parts.extend(self.detail.values());
        parts.push(&self.full);
        let parts: Vec<String> = parts.into_iter().map(|part| text_key(part)).collect();
        contact_key("address", &parts.join("\0"))
    }
}

impl Anniversary {
    /// The key it gets when it is added: the kind and the label, so that a person has one birthday, whatever its date.
    pub fn key(&self) -> String {
        contact_key("anniversary", &format!("{}\0{}", self.kind.as_str(), text_key(&self.marks.label)))
    }
}

impl Organization {
    /// The key it gets when it is added.
    pub fn key(&self) -> String {
        let parts: Vec<String> = [&self.name].into_iter().chain(&self.units).map(|part| text_key(part)).collect();
        contact_key("organization", &parts.join("\0"))
    }
}

impl Title {
    /// The key it gets when it is added.
    pub fn key(&self) -> String {
        contact_key("title", &format!("{}\0{}", self.kind.as_str(), text_key(&self.name)))
    }
}

impl Language {
    /// The key it gets when it is added.
    pub fn key(&self) -> String {
        contact_key("language", &text_key(&self.tag))
    }
}

impl Relation {
    /// The key it gets when it is added.
    pub fn key(&self) -> String {
        let value = if self.uri.is_empty() { text_key(&self.name) } else { self.uri.trim().to_owned() };
        contact_key("relation", &value)
    }
}
