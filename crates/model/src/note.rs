use std::collections::BTreeSet;
use std::fmt;

use automerge::transaction::Transactable;
use automerge::{ActorId, AutoCommit, ObjId, ObjType, ROOT, ReadDoc, Value};
use serde::{Deserialize, Serialize};

use crate::fields::{DocumentKind, Fields, WriteError};
use crate::{Created, Source};

/// A note: what a document of kind `note` holds. Its body is Markdown and merges by character.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What kind of note.
    pub kind: NoteKind,
    /// What it is about.
    pub refs: BTreeSet<Reference>,
    /// Whether it is shown before the others.
    pub pinned: bool,
    /// When it was written or what moment it speaks of, RFC 3339.
    pub at: String,
    /// The text, Markdown.
    pub body: String,
    /// The vCard group it came in, where other properties are of the same group; or empty.
    pub group: String,
    /// vCard parameters it came with, as they are written: `LANGUAGE=de;PID=1.1`; or empty.
    pub params: String,
    /// Where it came from.
    pub source: Source,
    /// When and where the record was made.
    pub created: Created,
}

/// What kind of note.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// A kind that a later version knows.
    Unknown(String),
}

/// A record that another one is about: `person` and its UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// `person` or `org`, later also `event` and others.
    pub kind: String,
    /// The document's id.
    pub id: String,
}

impl Reference {
    /// A reference to a person's document.
    pub fn person(id: impl fmt::Display) -> Self {
        Self { kind: "person".to_owned(), id: id.to_string() }
    }

    /// A reference to an organization's document.
    pub fn organization(id: impl fmt::Display) -> Self {
        Self { kind: "org".to_owned(), id: id.to_string() }
    }
}

impl Note {
    /// Reads a note from a document. What is unknown or of another type is passed over.
    pub fn read(document: &impl ReadDoc) -> Self {
        let mut note = Self::from_fields(&Fields::of(document));
        if let Some(body) = body_of(document) {
            note.body = document.text(&body).unwrap_or_default();
        }
        note
    }

    /// Fills an empty document, and makes the text object of the body.
    ///
    /// To be called in a seed only: two devices that made the object in ordinary changes would lose one of the texts.
    pub fn seed(tx: &mut impl Transactable, note: &Self) -> Result<(), WriteError> {
        let body = tx.put_object(ROOT, "body", ObjType::Text)?;
        tx.splice_text(&body, 0, 0, &note.body)?;
        note.to_fields().write(DocumentKind::Note, &Fields::default(), &Fields::default(), tx)?;
        Ok(())
    }

    /// Makes the document say what the note says, touching only what differs, in the body only the characters that do.
    ///
    /// Gives the number of operations, a changed body counting as one.
    pub fn write(&self, tx: &mut impl Transactable) -> Result<usize, WriteError> {
        let present = Self::read(tx);
        self.write_since(&present, tx)
    }

    /// Writes what differs between `base` and the note and leaves the rest, also where others changed it meanwhile.
    ///
    /// For edits that take their time: `base` is what the user was shown. In the body, characters that others put in
    /// or took out since are kept so.
    pub fn write_since(&self, base: &Self, tx: &mut impl Transactable) -> Result<usize, WriteError> {
        let present = Self::read(tx);
        let fields = self.to_fields().write(DocumentKind::Note, &base.to_fields(), &present.to_fields(), tx)?;
        if self.body == base.body {
            return Ok(fields);
        }
        let body = body_of(tx).ok_or(WriteError::NoBody)?;
        let text = match present.body == base.body {
            true => self.body.clone(),
            false => merged(&base.body, &self.body, &present.body)?,
        };
        if text == present.body {
            return Ok(fields);
        }
        tx.update_text(&body, &text)?;
        Ok(fields + 1)
    }

    pub(crate) fn from_fields(fields: &Fields) -> Self {
        Self {
            kind: NoteKind::named(fields.text("type")),
            refs: fields.set("refs").iter().filter_map(|text| Reference::named(text)).collect(),
            pinned: fields.flag("pinned"),
            at: fields.text("at"),
            body: String::new(),
            group: fields.text("group"),
            params: fields.text("params"),
            source: Source::from_fields(fields),
            created: Created::from_fields(fields),
        }
    }

    pub(crate) fn to_fields(&self) -> Fields {
        let mut fields = Fields::default();
        fields.put_text("type", self.kind.as_str());
        for reference in &self.refs {
            fields.put_flag(format!("refs/{}:{}", reference.kind, reference.id), true);
        }
        fields.put_flag("pinned", self.pinned);
        fields.put_text("at", &self.at);
        fields.put_text("group", &self.group);
        fields.put_text("params", &self.params);
        self.source.put(&mut fields);
        self.created.put(&mut fields);
        fields
    }
}

impl NoteKind {
    /// The word in documents.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Note => "note",
            Self::Fact => "fact",
            Self::Topic => "topic",
            Self::GiftIdea => "gift-idea",
            Self::Question => "question",
            Self::Unknown(kind) => kind,
        }
    }

    fn named(kind: String) -> Self {
        match kind.as_str() {
            "" | "note" => Self::Note,
            "fact" => Self::Fact,
            "topic" => Self::Topic,
            "gift-idea" => Self::GiftIdea,
            "question" => Self::Question,
            _ => Self::Unknown(kind),
        }
    }
}

impl Reference {
    fn named(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once(':')?;
        Some(Self { kind: kind.to_owned(), id: id.to_owned() })
    }
}

fn body_of(document: &impl ReadDoc) -> Option<ObjId> {
    match document.get(ROOT, "body").ok()?? {
        (Value::Object(ObjType::Text), id) => Some(id),
        _ => None,
    }
}

/// Both edits of a text, merged by character.
///
/// It is done by the same code that merges devices, in a document made for it, so that an editor left open for an hour
/// behaves as a device that was offline for an hour.
fn merged(base: &str, ours: &str, theirs: &str) -> Result<String, WriteError> {
    let mut first = AutoCommit::new().with_actor(ActorId::from(b"base".as_slice()));
    let body = first.put_object(ROOT, "body", ObjType::Text)?;
    first.splice_text(&body, 0, 0, base)?;
    let mut second = first.fork().with_actor(ActorId::from(b"ours".as_slice()));
    first.update_text(&body, theirs)?;
    second.update_text(&body, ours)?;
    first.merge(&mut second)?;
    Ok(first.text(&body)?)
}
