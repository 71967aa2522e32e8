//! People, organizations and notes as they are shown.

use serde::{Deserialize, Serialize};

/// A person in a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PersonRow {
    /// The full id, a UUID.
    pub id: String,
    /// The shortest id that is unique here: the beginning of the UUID's last group, four digits at least.
    pub short: String,
    /// The handle, unique here (`ada`, or `ada-2` where two devices gave out `ada`).
    pub handle: String,
    /// The full name.
    pub name: String,
    /// The current organization, or empty.
    pub organization: String,
    /// The current title, or empty.
    pub title: String,
    /// The preferred mail address, or empty.
    pub email: String,
    /// The preferred phone number, or empty.
    pub phone: String,
    /// The tags, sorted.
    pub tags: Vec<String>,
    /// The JSContact card with our own block, when asked for; the same on every device with the same data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<serde_json::Value>,
}

/// A page of a list of people.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PeoplePage {
    /// The people, by name.
    pub people: Vec<PersonRow>,
    /// Whether there are more after these.
    pub more: bool,
}

/// A person, whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PersonView {
    /// What a list shows.
    pub row: PersonRow,
    /// Nicknames.
    pub nicknames: Vec<String>,
    /// Mail addresses, preferred first.
    pub emails: Vec<Labelled>,
    /// Phone numbers, preferred first.
    pub phones: Vec<Labelled>,
    /// Postal addresses, one text each.
    pub addresses: Vec<Labelled>,
    /// Profiles and chat accounts.
    pub profiles: Vec<Labelled>,
    /// Links.
    pub links: Vec<Labelled>,
    /// Birthday and the like: the label is the kind, the value an ISO 8601 date, perhaps without year or day.
    pub dates: Vec<Labelled>,
    /// Organizations and the units in them.
    pub organizations: Vec<Labelled>,
    /// Titles and roles.
    pub titles: Vec<Labelled>,
    /// People related to the person: the label says how.
    pub relations: Vec<Labelled>,
    /// How we met.
    pub how_met: String,
    /// When we met, ISO 8601, perhaps without day or month.
    pub met_on: String,
    /// Through whom we met: a name (with the handle, if that is a person here).
    pub met_through: String,
    /// Fields kept for other programs, as they are written in vCard.
    pub extra: Vec<String>,
    /// Notes, oldest first.
    pub notes: Vec<NoteView>,
    /// When the record was made here or imported, RFC 3339 in UTC, if known.
    pub created: Option<String>,
    /// When it was last changed, RFC 3339 in UTC, if known.
    pub updated: Option<String>,
    /// The fields that have another value waiting ([`Request::Conflicts`](super::Request::Conflicts)).
    pub contested: Vec<String>,
}

/// An organization in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OrganizationRow {
    /// The full id of its record, a UUID; `None` where nothing is known but who belongs there.
    pub id: Option<String>,
    /// The short id, as in [`PersonRow::short`].
    pub short: Option<String>,
    /// The name.
    pub name: String,
    /// How many people belong there.
    pub people: usize,
    /// `company`, `school` and the like, or empty.
    pub kind: String,
    /// What it works at, or empty.
    pub industry: String,
    /// Where it is, or empty.
    pub location: String,
    /// The tags, sorted.
    pub tags: Vec<String>,
}

/// An organization, whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OrganizationView {
    /// What a list shows.
    pub row: OrganizationRow,
    /// Other names: those in the record, and other spellings that people's records have.
    pub aliases: Vec<String>,
    /// Internet domains.
    pub domains: Vec<String>,
    /// Mail addresses.
    pub emails: Vec<Labelled>,
    /// Phone numbers.
    pub phones: Vec<Labelled>,
    /// Postal addresses, one text each.
    pub addresses: Vec<Labelled>,
    /// Profiles and chat accounts.
    pub profiles: Vec<Labelled>,
    /// Links.
    pub links: Vec<Labelled>,
    /// Fields kept for other programs, as they are written in vCard.
    pub extra: Vec<String>,
    /// Who belongs there, by name.
    pub people: Vec<PersonRow>,
    /// Notes, oldest first.
    pub notes: Vec<NoteView>,
    /// What was just written, such as `kind`; empty if nothing was.
    pub changed: Vec<String>,
    /// The fields that have another value waiting ([`Request::Conflicts`](super::Request::Conflicts)).
    pub contested: Vec<String>,
}

/// A value and what it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Labelled {
    /// The value.
    pub value: String,
    /// `work`, `mobile`, a label of the user's, several joined by a comma, or empty.
    pub label: String,
}

/// A note.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NoteView {
    /// The full id, a UUID.
    pub id: String,
    /// The shortest unique id, as in [`PersonRow::short`].
    pub short: String,
    /// What kind of note.
    pub kind: NoteKind,
    /// The text, Markdown.
    pub body: String,
    /// The full ids of the people it is about.
    pub people: Vec<String>,
    /// The full ids of the organizations it is about.
    pub organizations: Vec<String>,
    /// When it was written, RFC 3339 in UTC, if known.
    pub created: Option<String>,
}

/// What kind of note.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// Any text.
    #[default]
    Note,
    /// A lasting fact.
    Fact,
    /// Something to talk about next time.
    Topic,
    /// An idea for a gift.
    GiftIdea,
    /// An open question.
    Question,
}

/// What [`Request::New`](super::Request::New) made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PersonAdded {
    /// The person.
    pub person: PersonRow,
    /// What was recognised among the words: the label is the field (`mail`, `phone`, `profile`, `tag`, `org`, `title`,
    /// `met on`, `met through`, `how met`), the value what was stored.
    pub understood: Vec<Labelled>,
    /// People who were there before with the same mail, phone, profile or name.
    pub similar: Vec<Candidate>,
}

/// Somebody that a query found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hit {
    /// The person; `None` for an organization and for a note about nobody.
    pub person: Option<PersonRow>,
    /// The organization, if it is one or a note about one.
    pub organization: Option<OrganizationRow>,
    /// The newest note that matched, if a note did.
    pub note: Option<NoteView>,
    /// A line of that note around the words.
    pub excerpt: String,
}

/// A person or note as editable text: TOML front matter between lines of `+++`, then Markdown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EditText {
    /// The full id.
    pub id: String,
    /// What it is, for a message: `Ada Lovelace (@ada)` or `note 3f2a`.
    pub label: String,
    /// The text.
    pub text: String,
}

/// What [`Request::Remove`](super::Request::Remove) removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The full id.
    pub id: String,
    /// What it was, for a message.
    pub label: String,
    /// How many notes went with it.
    pub notes: usize,
}

/// Something that this device did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OperationRow {
    /// Its id: 16 hexadecimal digits, of which the first eight are shown.
    pub id: String,
    /// When, RFC 3339 in UTC.
    pub at: Option<String>,
    /// What: the command's name, and a file's where there is one.
    pub what: String,
    /// Whom or what it was about: the first few records, as they are called now.
    pub about: Vec<String>,
    /// How many records it changed.
    pub records: usize,
    /// Whether it is undone at present.
    pub undone: bool,
    /// The operations that it took back, if it is an undo or a redo: their ids.
    pub undoes: Vec<String>,
    /// Whether an undo was cut short; the same once more completes it.
    pub unfinished: bool,
}

/// What an undo did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UndoReport {
    /// The operation that the undo is itself; `None` if nothing could be taken back.
    pub operation: Option<String>,
    /// What was to be taken back, newest first; at a redo what comes back.
    pub undone: Vec<OperationRow>,
    /// How many records were made by it and are deleted now.
    pub removed: usize,
    /// How many records were deleted by it and are there again.
    pub revived: usize,
    /// How many records have other fields now.
    pub changed: usize,
    /// How many records something was left of, because it was changed later.
    pub kept: usize,
    /// The records: first those something was left of, and not more than a hundred.
    pub records: Vec<UndoneRecord>,
}

/// What an undo did to one record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UndoneRecord {
    /// The full id.
    pub id: String,
    /// What it is called.
    pub label: String,
    /// `removed`, `revived`, `changed` or `left`.
    pub effect: String,
    /// The fields that are as they were before.
    pub restored: Vec<String>,
    /// The fields that were left as they are, because they were changed later.
    pub kept: Vec<String>,
}

/// What a word on a command line may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Completable {
    /// The handle of a person.
    Handle,
    /// A tag.
    Tag,
    /// The address of a relay in use.
    Relay,
    /// The name of a device.
    Device,
}

/// A word that a beginning may become.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Completion {
    /// The word.
    pub word: String,
    /// What it stands for, or empty.
    pub about: String,
}

/// Somebody or something that could have been meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The full id.
    pub id: String,
    /// The short id.
    pub short: String,
    /// The handle, or empty for a note.
    pub handle: String,
    /// The name, or the beginning of a note.
    pub name: String,
    /// What tells it from the others: organization or mail.
    pub detail: String,
}

/// A record that another device changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChangedRecord {
    /// `person`, `note`, `organization` or `removed`.
    pub kind: String,
    /// The full id.
    pub id: String,
    /// The short id; empty if it was removed.
    pub short: String,
    /// The handle of a person, else empty.
    pub handle: String,
    /// The name, or the beginning of a note; empty if it was removed.
    pub name: String,
}
