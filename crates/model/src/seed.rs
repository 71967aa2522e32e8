//! First states of records as single changes, written and read without a document.
//!
//! An import makes tens of thousands of them, and a first sync reads as many. Through a document each costs Automerge
//! some 200 microseconds, most of it for the characters of a note; as a list of operations a sixth of that.

use std::num::NonZeroU64;

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType, SortedVec};
use automerge::transaction::Transactable;
use automerge::{ActorId, Change, ExpandedChange, ObjType, ScalarValue};

use crate::fields::{DocumentKind, Fields, Value, WriteError};
use crate::{Note, Person};

/// A record as its first change tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seed {
    /// Of a person.
    Person(Box<Person>),
    /// Of a note.
    Note(Box<Note>),
}

impl Seed {
    /// Reads the record that this change alone makes: the same as reading a document that has nothing but it. Nothing, if
    /// the change is not of the plain form in which records are written here; a document can still read it.
    #[must_use]
    pub fn read(change: &Change) -> Option<Self> {
        let (fields, body) = plain(change)?;
        // A document that is deleted from the start is no record; what that means is not for here to say.
        if fields.flag("deleted") {
            return None;
        }
        match DocumentKind::named(&fields.text("kind"))? {
            DocumentKind::Person => Some(Self::Person(Box::new(Person::from_fields(&fields)))),
            DocumentKind::Note => {
                Some(Self::Note(Box::new(Note { body: body.unwrap_or_default(), ..Note::from_fields(&fields) })))
            }
            // Few at a time: nothing is won.
            DocumentKind::Organization => None,
        }
    }
}

impl Seed {
    /// The change that makes a document say what the record says, byte for byte what [`Self::write`] makes, and what
    /// [`Self::read`] reads of it: not quite the same record, since empty texts are no fields.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn change(&self, actor: [u8; 16]) -> Result<(Change, Self), WriteError> {
        let mut writer = Writer::new(actor);
        let written = match self {
            Self::Person(person) => {
                let fields = person.to_fields()?;
                writer.fields(DocumentKind::Person, &fields);
                Self::Person(Box::new(Person::from_fields(&fields)))
            }
            Self::Note(note) => {
                let fields = note.to_fields();
                writer.text("body", &note.body);
                writer.fields(DocumentKind::Note, &fields);
                Self::Note(Box::new(Note { body: note.body.clone(), ..Note::from_fields(&fields) }))
            }
        };
        Ok((writer.finish(), written))
    }

    /// Writes the record into an empty document.
    ///
    /// # Errors
    /// When the document refuses, or the key of an item cannot be one.
    pub fn write(&self, tx: &mut impl Transactable) -> Result<(), WriteError> {
        match self {
            Self::Person(person) => person.write(tx).map(drop),
            Self::Note(note) => Note::seed(tx, note),
        }
    }
}

struct Writer {
    actor: ActorId,
    operations: Vec<Op>,
}

impl Writer {
    fn new(actor: [u8; 16]) -> Self {
        Self { actor: ActorId::from(actor), operations: Vec::new() }
    }

    fn last(&self) -> OpId {
        OpId(self.operations.len() as u64, self.actor.clone())
    }

    fn push(&mut self, obj: ObjectId, key: Key, insert: bool, action: OpType) {
        self.operations.push(Op { action, obj, key, pred: SortedVec::new(), insert });
    }

    fn text(&mut self, key: &str, text: &str) {
        self.push(ObjectId::Root, Key::Map(key.into()), false, OpType::Make(ObjType::Text));
        let object = ObjectId::Id(self.last());
        let mut before = ElementId::Head;
        for character in text.chars() {
            let value = OpType::Put(ScalarValue::from(character));
            self.push(object.clone(), Key::Seq(before), true, value);
            before = ElementId::Id(self.last());
        }
    }

    fn fields(&mut self, kind: DocumentKind, fields: &Fields) {
        self.push(ObjectId::Root, Key::Map("kind".into()), false, OpType::Put(kind.as_str().into()));
        for (key, value) in fields.iter() {
            let value = match value {
                Value::Text(text) => text.as_str().into(),
                Value::Flag => ScalarValue::Boolean(true),
                Value::Number(number) => ScalarValue::Int(*number),
                Value::Gone => ScalarValue::Boolean(false),
            };
            self.push(ObjectId::Root, Key::Map(key.into()), false, OpType::Put(value));
        }
    }

    fn finish(self) -> Change {
        ExpandedChange {
            operations: self.operations,
            actor_id: self.actor,
            hash: None,
            seq: 1,
            start_op: NonZeroU64::MIN,
            time: 0,
            message: None,
            deps: Vec::new(),
            extra_bytes: Vec::new(),
            author: None,
        }
        .into()
    }
}

/// The fields and the body that a change of the plain form makes: scalars under different keys of the root, and one text
/// `body` whose characters follow one another.
fn plain(change: &Change) -> Option<(Fields, Option<String>)> {
    if !change.deps().is_empty() || change.seq() != 1 || change.start_op().get() != 1 {
        return None;
    }
    let expanded = change.decode();
    let mut fields = Fields::default();
    let mut body: Option<(OpId, String)> = None;
    let mut before = ElementId::Head;
    for (number, operation) in (1..).zip(expanded.operations) {
        let Op { action, obj, key, pred, insert } = operation;
        if !pred.is_empty() {
            return None;
        }
        match (obj, key, action) {
            (ObjectId::Root, Key::Map(key), OpType::Put(value)) if !insert => {
                let new = match value {
                    ScalarValue::Str(text) => fields.add(&key, Value::Text(text.into())),
                    ScalarValue::Boolean(true) => fields.add(&key, Value::Flag),
                    ScalarValue::Int(number) => fields.add(&key, Value::Number(number)),
                    _ => false,
                };
                if !new || key == "body" {
                    return None;
                }
            }
            (ObjectId::Root, Key::Map(key), OpType::Make(ObjType::Text)) if !insert => {
                if key != "body" || body.is_some() {
                    return None;
                }
                body = Some((OpId(number, expanded.actor_id.clone()), String::new()));
            }
            (ObjectId::Id(object), Key::Seq(after), OpType::Put(ScalarValue::Str(text))) if insert => {
                let (id, body) = body.as_mut()?;
                if *id != object || after != before {
                    return None;
                }
                body.push_str(&text);
                before = ElementId::Id(OpId(number, expanded.actor_id.clone()));
            }
            _ => return None,
        }
    }
    Some((fields, body.map(|(_, body)| body)))
}

#[cfg(test)]
mod tests {
    use automerge::transaction::CommitOptions;
    use automerge::{Automerge, ROOT};
    use proptest::prelude::*;

    use super::*;
    use crate::{Email, Reference};

    const ACTOR: [u8; 16] = [0; 16];

    fn through_a_document(write: impl FnOnce(&mut automerge::transaction::Transaction<'_>)) -> (Automerge, Change) {
        let mut document = Automerge::new().with_actor(ActorId::from(ACTOR));
        let mut transaction = document.transaction();
        write(&mut transaction);
        transaction.commit_with(CommitOptions::default().with_time(0));
        let change = document.get_last_local_change().unwrap();
        (document, change)
    }

    fn person() -> impl Strategy<Value = Person> {
        let text = || "\\PC{0,12}";
        (text(), text(), any::<bool>(), prop::collection::btree_set(text(), 0..4), prop::collection::vec(text(), 0..4))
            .prop_map(|(full, handle, me, keywords, mails)| {
                let mut person = Person { handle, me, keywords, ..Person::default() };
                person.name.full = full;
                for address in mails {
                    let mail = Email { address, ..Email::default() };
                    person.emails.insert(mail.key(), mail);
                }
                person.source.row = Some(7);
                person
            })
    }

    proptest! {
        #[test]
        fn a_person_is_the_same_change_as_through_a_document(person in person()) {
            let (document, change) = through_a_document(|tx| { person.write(tx).unwrap(); });
            let (made, written) = Seed::Person(Box::new(person)).change(ACTOR).unwrap();
            prop_assert_eq!(made.raw_bytes(), change.raw_bytes());
            prop_assert_eq!(&written, &Seed::Person(Box::new(Person::read(&document))));
            let read = Change::from_bytes(change.raw_bytes().to_vec()).unwrap();
            prop_assert_eq!(Seed::read(&read), Some(written));
        }

        #[test]
        fn a_note_is_the_same_change_as_through_a_document(body in "\\PC{0,200}", pinned: bool, at in "[0-9]{0,4}") {
            let note = Note { body, pinned, at, refs: [Reference::person("x")].into(), ..Note::default() };
            let (document, change) = through_a_document(|tx| Note::seed(tx, &note).unwrap());
            let (made, written) = Seed::Note(Box::new(note)).change(ACTOR).unwrap();
            prop_assert_eq!(made.raw_bytes(), change.raw_bytes());
            prop_assert_eq!(&written, &Seed::Note(Box::new(Note::read(&document))));
            let read = Change::from_bytes(change.raw_bytes().to_vec()).unwrap();
            prop_assert_eq!(Seed::read(&read), Some(written));
        }
    }

    #[test]
    fn line_breaks_emoji_and_combining_marks_are_the_same_characters() {
        let note = Note { body: "a\r\n\u{1F469}\u{200D}\u{1F4BB} e\u{301} שלום\0".into(), ..Note::default() };
        let (_, change) = through_a_document(|tx| Note::seed(tx, &note).unwrap());
        assert_eq!(Seed::Note(Box::new(note)).change(ACTOR).unwrap().0.raw_bytes(), change.raw_bytes());
    }

    #[test]
    fn what_is_not_plain_is_left_to_documents() {
        for (what, write) in [
            (
                "a nested map",
                (|tx: &mut _| drop(Transactable::put_object(tx, ROOT, "x", ObjType::Map).unwrap()))
                    as fn(&mut automerge::transaction::Transaction<'_>),
            ),
            ("a document deleted from the start", |tx| tx.put(ROOT, "deleted", true).unwrap()),
            ("a float", |tx| tx.put(ROOT, "x", 1.5).unwrap()),
            ("a key twice", |tx| {
                tx.put(ROOT, "x", "1").unwrap();
                tx.put(ROOT, "x", "2").unwrap();
            }),
            ("a text edited", |tx| {
                let body = tx.put_object(ROOT, "body", ObjType::Text).unwrap();
                tx.splice_text(&body, 0, 0, "abc").unwrap();
                tx.splice_text(&body, 1, 1, "x").unwrap();
            }),
            ("two texts", |tx| {
                tx.put_object(ROOT, "body", ObjType::Text).unwrap();
                tx.put_object(ROOT, "other", ObjType::Text).unwrap();
            }),
        ] {
            let (_, change) = through_a_document(|tx| {
                tx.put(ROOT, "kind", "note").unwrap();
                write(tx);
            });
            assert_eq!(Seed::read(&change), None, "{what}");
        }
    }
}
