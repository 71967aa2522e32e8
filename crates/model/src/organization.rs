use std::collections::{BTreeMap, BTreeSet};

use automerge::transaction::Transactable;
use automerge::{ROOT, ReadDoc};
use serde::{Deserialize, Serialize};

use crate::fields::{DocumentKind, Fields, WriteError};
use crate::layout::{read_items, write_items};
use crate::{Address, Created, Email, Link, OnlineService, Phone, Source};

/// An organization in its own right: what a document of kind `organization` holds, as far as this version knows it.
///
/// (An [`Organization`](crate::Organization) is where a person belongs, a field of that person.) An empty text is an
/// absent one. There is a document only of an organization that more is known of than who works there; its id follows
/// from its name, so that two devices which write about one company while apart write into one document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganizationRecord {
    /// The vCard UID, if it came with one.
    pub uid: String,
    /// The name as it is shown.
    pub name: String,
    /// Other names of it.
    pub aliases: BTreeSet<String>,
    /// What kind of organization.
    pub kind: OrganizationKind,
    /// Its internet domains.
    pub domains: BTreeSet<String>,
    /// What it works at.
    pub industry: String,
    /// Where it is, in a word or two.
    pub location: String,
    /// Web pages.
    pub links: BTreeMap<String, Link>,
    /// Mail addresses.
    pub emails: BTreeMap<String, Email>,
    /// Phone numbers.
    pub phones: BTreeMap<String, Phone>,
    /// Profiles and chat accounts.
    pub services: BTreeMap<String, OnlineService>,
    /// Postal addresses.
    pub addresses: BTreeMap<String, Address>,
    /// Tags.
    pub keywords: BTreeSet<String>,
    /// Where the record came from.
    pub source: Source,
    /// When and where the record was made.
    pub created: Created,
    /// vCard properties not understood, each one unfolded content line as it was written, with its group.
    pub extra: BTreeMap<String, String>,
}

/// What kind of organization.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OrganizationKind {
    /// Not said.
    #[default]
    Unsaid,
    /// A company.
    Company,
    /// An association.
    Association,
    /// A nonprofit.
    Nonprofit,
    /// A school or university.
    School,
    /// A government body.
    Government,
    /// A community.
    Community,
    /// A forum.
    Forum,
    /// A team.
    Team,
    /// Something else.
    Other,
    /// A kind that a later version knows.
    Unknown(String),
}

impl OrganizationKind {
    /// The kinds that one can say, by their words in documents.
    pub const WORDS: [&'static str; 9] =
        ["company", "association", "nonprofit", "school", "government", "community", "forum", "team", "other"];

    /// The word in documents; empty if it is not said.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unsaid => "",
            Self::Company => "company",
            Self::Association => "association",
            Self::Nonprofit => "nonprofit",
            Self::School => "school",
            Self::Government => "government",
            Self::Community => "community",
            Self::Forum => "forum",
            Self::Team => "team",
            Self::Other => "other",
            Self::Unknown(kind) => kind,
        }
    }

    /// The kind of that word.
    pub fn named(word: &str) -> Self {
        match word {
            "" => Self::Unsaid,
            "company" => Self::Company,
            "association" => Self::Association,
            "nonprofit" => Self::Nonprofit,
            "school" => Self::School,
            "government" => Self::Government,
            "community" => Self::Community,
            "forum" => Self::Forum,
            "team" => Self::Team,
            "other" => Self::Other,
            _ => Self::Unknown(word.to_owned()),
        }
    }
}

impl OrganizationRecord {
    /// Reads an organization from a document. What is unknown or of another type is passed over.
    pub fn read(document: &impl ReadDoc) -> Self {
        Self::from_fields(&Fields::of(document))
    }

    /// Makes the document say what the organization says, touching only what differs, and gives the number of
    /// operations. A document that was deleted is there again: its id follows from the name, so the same organization
    /// can have no other one.
    pub fn write(&self, tx: &mut impl Transactable) -> Result<usize, WriteError> {
        let present = Self::read(tx).to_fields()?;
        let mut operations = self.to_fields()?.write(DocumentKind::Organization, &present, &present, tx)?;
        if tx.get(ROOT, DELETED)?.is_some() {
            tx.delete(ROOT, DELETED)?;
            operations += 1;
        }
        Ok(operations)
    }

    pub(crate) fn from_fields(fields: &Fields) -> Self {
        Self {
            uid: fields.text("uid"),
            name: fields.text("name"),
            aliases: fields.set("aliases"),
            kind: OrganizationKind::named(&fields.text("type")),
            domains: fields.set("domains"),
            industry: fields.text("industry"),
            location: fields.text("location"),
            links: read_items(fields),
            emails: read_items(fields),
            phones: read_items(fields),
            services: read_items(fields),
            addresses: read_items(fields),
            keywords: fields.set("keywords"),
            source: Source::from_fields(fields),
            created: Created::from_fields(fields),
            extra: fields.texts("extra"),
        }
    }

    pub(crate) fn to_fields(&self) -> Result<Fields, WriteError> {
        let mut fields = Fields::default();
        fields.put_text("uid", &self.uid);
        fields.put_text("name", &self.name);
        fields.put_set("aliases", &self.aliases);
        fields.put_text("type", self.kind.as_str());
        fields.put_set("domains", &self.domains);
        fields.put_text("industry", &self.industry);
        fields.put_text("location", &self.location);
        write_items(&self.links, &mut fields)?;
        write_items(&self.emails, &mut fields)?;
        write_items(&self.phones, &mut fields)?;
        write_items(&self.services, &mut fields)?;
        write_items(&self.addresses, &mut fields)?;
        fields.put_set("keywords", &self.keywords);
        self.source.put(&mut fields);
        self.created.put(&mut fields);
        fields.put_texts("extra", &self.extra);
        Ok(fields)
    }
}

/// The engine's mark of a deleted document.
const DELETED: &str = "deleted";
