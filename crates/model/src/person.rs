use std::collections::{BTreeMap, BTreeSet};

use automerge::ReadDoc;
use automerge::transaction::Transactable;
use serde::{Deserialize, Serialize};

use crate::fields::{DocumentKind, Fields, WriteError};
use crate::layout::{read_items, write_items};
use crate::{
    Address, Anniversary, Email, Language, Link, OnlineService, Organization, PartialDate, Phone, Relation, Title,
};

/// A person: what a document of kind `person` holds, as far as this version knows it.
///
/// An empty text is an absent one. Items are keyed by what [`contact_key`](crate::contact_key) (or the item's `key`)
/// gave when they were added; the key then stays, whatever is edited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The vCard UID, if the person came with one.
    pub uid: String,
    /// The short name in commands (`ada`), or empty where the rows derive one.
    pub handle: String,
    /// Whether this is the user.
    pub me: bool,
    /// The name.
    pub name: Name,
    /// Nicknames.
    pub nicknames: BTreeSet<String>,
    /// Mail addresses.
    pub emails: BTreeMap<String, Email>,
    /// Phone numbers.
    pub phones: BTreeMap<String, Phone>,
    /// Profiles and chat accounts.
    pub services: BTreeMap<String, OnlineService>,
    /// Web pages.
    pub links: BTreeMap<String, Link>,
    /// Postal addresses.
    pub addresses: BTreeMap<String, Address>,
    /// Birthday and the like.
    pub anniversaries: BTreeMap<String, Anniversary>,
    /// Organizations.
    pub organizations: BTreeMap<String, Organization>,
    /// Titles and roles.
    pub titles: BTreeMap<String, Title>,
    /// Preferred languages.
    pub languages: BTreeMap<String, Language>,
    /// People whom the person is related to.
    pub relations: BTreeMap<String, Relation>,
    /// Tags.
    pub keywords: BTreeSet<String>,
    /// How the user is tied to the person.
    pub tie: Tie,
    /// Where the record came from.
    pub source: Source,
    /// When and where the record was made.
    pub created: Created,
    /// vCard properties not understood, each one unfolded content line as it was written, with its group.
    pub extra: BTreeMap<String, String>,
}

/// A name in full and in parts (vCard FN and N, RFC 9554).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The name as it is shown.
    pub full: String,
    /// `Dr.`
    pub prefix: String,
    /// Given name.
    pub given: String,
    /// Further given or middle names.
    pub given2: String,
    /// Family name.
    pub surname: String,
    /// Second family name.
    pub surname2: String,
    /// `PhD`
    pub credential: String,
    /// `Jr.`
    pub generation: String,
    /// How the given name is spoken or spelled for sorting (kana).
    pub phonetic_given: String,
    /// The same of the middle name.
    pub phonetic_given2: String,
    /// The same of the family name.
    pub phonetic_surname: String,
    /// What to sort by: family name, then given name after a comma.
    pub sort_as: String,
    /// vCard parameters not understood, by property (`FN`, `N`), and groups, by the same with `.group` behind it.
    pub params: BTreeMap<String, String>,
}

/// How the user and the person met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tie {
    /// In the user's words.
    pub how_met: String,
    /// When.
    pub met_on: Option<PartialDate>,
    /// Where: a place or event.
    pub met_at: String,
    /// Through whom: `person:<uuid>`, or a name.
    pub met_through: String,
}

/// Where a record came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The format (`vcard`), or empty if it was typed.
    pub kind: String,
    /// The file's name.
    pub file: String,
    /// The line or row in it, from 1.
    pub row: Option<u64>,
    /// Hash of what was imported.
    pub hash: String,
    /// When, RFC 3339.
    pub at: String,
    /// When the source itself was last changed, as it says (vCard REV).
    pub revised: String,
}

/// When and where a record was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// RFC 3339.
    pub at: String,
    /// The device's name.
    pub device: String,
}

impl Person {
    /// Reads a person from a document. What is unknown or of another type is passed over.
    pub fn read(document: &impl ReadDoc) -> Self {
        Self::from_fields(&Fields::of(document))
    }

    /// Makes the document say what the person says, touching only what differs, and gives the number of operations.
    pub fn write(&self, tx: &mut impl Transactable) -> Result<usize, WriteError> {
        let present = Self::read(tx).to_fields()?;
        self.to_fields()?.write(DocumentKind::Person, &present, &present, tx)
    }

    /// Writes what differs between `base` and the person and leaves the rest, also where others changed it meanwhile.
    ///
    /// For edits that take their time: `base` is what the user was shown.
    pub fn write_since(&self, base: &Self, tx: &mut impl Transactable) -> Result<usize, WriteError> {
        let present = Self::read(tx).to_fields()?;
        self.to_fields()?.write(DocumentKind::Person, &base.to_fields()?, &present, tx)
    }

    pub(crate) fn from_fields(fields: &Fields) -> Self {
        Self {
            uid: fields.text("uid"),
            handle: fields.text("handle"),
            me: fields.flag("me"),
            name: Name::from_fields(fields),
            nicknames: fields.set("nicknames"),
            emails: read_items(fields),
            phones: read_items(fields),
            services: read_items(fields),
            links: read_items(fields),
            addresses: read_items(fields),
            anniversaries: read_items(fields),
            organizations: read_items(fields),
            titles: read_items(fields),
            languages: read_items(fields),
            relations: read_items(fields),
            keywords: fields.set("keywords"),
            tie: Tie {
                how_met: fields.text("tie/how-met"),
                met_on: fields.date("tie/met-on"),
                met_at: fields.text("tie/met-at"),
                met_through: fields.text("tie/met-through"),
            },
            source: Source::from_fields(fields),
            created: Created::from_fields(fields),
            extra: fields.texts("extra"),
        }
    }

    pub(crate) fn to_fields(&self) -> Result<Fields, WriteError> {
        let mut fields = Fields::default();
        fields.put_text("uid", &self.uid);
        fields.put_text("handle", &self.handle);
        fields.put_flag("me", self.me);
        self.name.put(&mut fields);
        fields.put_set("nicknames", &self.nicknames);
        write_items(&self.emails, &mut fields)?;
        write_items(&self.phones, &mut fields)?;
        write_items(&self.services, &mut fields)?;
        write_items(&self.links, &mut fields)?;
        write_items(&self.addresses, &mut fields)?;
        write_items(&self.anniversaries, &mut fields)?;
        write_items(&self.organizations, &mut fields)?;
        write_items(&self.titles, &mut fields)?;
        write_items(&self.languages, &mut fields)?;
        write_items(&self.relations, &mut fields)?;
        fields.put_set("keywords", &self.keywords);
        fields.put_text("tie/how-met", &self.tie.how_met);
        fields.put_date("tie/met-on", self.tie.met_on);
        fields.put_text("tie/met-at", &self.tie.met_at);
        fields.put_text("tie/met-through", &self.tie.met_through);
        self.source.put(&mut fields);
        self.created.put(&mut fields);
        fields.put_texts("extra", &self.extra);
        Ok(fields)
    }
}

impl Name {
    fn from_fields(fields: &Fields) -> Self {
        Self {
            full: fields.text("name/full"),
            prefix: fields.text("name/prefix"),
            given: fields.text("name/given"),
            given2: fields.text("name/given2"),
            surname: fields.text("name/surname"),
            surname2: fields.text("name/surname2"),
            credential: fields.text("name/credential"),
            generation: fields.text("name/generation"),
            phonetic_given: fields.text("name/phonetic-given"),
            phonetic_given2: fields.text("name/phonetic-given2"),
            phonetic_surname: fields.text("name/phonetic-surname"),
            sort_as: fields.text("name/sort-as"),
            params: fields.texts("name/params"),
        }
    }

    fn put(&self, fields: &mut Fields) {
        fields.put_text("name/full", &self.full);
        fields.put_text("name/prefix", &self.prefix);
        fields.put_text("name/given", &self.given);
        fields.put_text("name/given2", &self.given2);
        fields.put_text("name/surname", &self.surname);
        fields.put_text("name/surname2", &self.surname2);
        fields.put_text("name/credential", &self.credential);
        fields.put_text("name/generation", &self.generation);
        fields.put_text("name/phonetic-given", &self.phonetic_given);
        fields.put_text("name/phonetic-given2", &self.phonetic_given2);
        fields.put_text("name/phonetic-surname", &self.phonetic_surname);
        fields.put_text("name/sort-as", &self.sort_as);
        fields.put_texts("name/params", &self.params);
    }
}

impl Source {
    pub(crate) fn from_fields(fields: &Fields) -> Self {
        Self {
            kind: fields.text("source/kind"),
            file: fields.text("source/file"),
            row: fields.number("source/row").and_then(|row| row.try_into().ok()),
            hash: fields.text("source/hash"),
            at: fields.text("source/at"),
            revised: fields.text("source/revised"),
        }
    }

    pub(crate) fn put(&self, fields: &mut Fields) {
        fields.put_text("source/kind", &self.kind);
        fields.put_text("source/file", &self.file);
        fields.put_number("source/row", self.row.and_then(|row| row.try_into().ok()));
        fields.put_text("source/hash", &self.hash);
        fields.put_text("source/at", &self.at);
        fields.put_text("source/revised", &self.revised);
    }
}

impl Created {
    pub(crate) fn from_fields(fields: &Fields) -> Self {
        Self { at: fields.text("created/at"), device: fields.text("created/device") }
    }

    pub(crate) fn put(&self, fields: &mut Fields) {
        fields.put_text("created/at", &self.at);
        fields.put_text("created/device", &self.device);
    }
}
