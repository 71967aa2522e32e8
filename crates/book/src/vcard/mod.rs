//! vCard 2.1, 3.0 and 4.0 in, 3.0 and 4.0 out.
//!
//! Reading goes in four steps, each of which can stand a hostile file: `lines` parts the file into cards and content
//! lines, `property` reads one content line and undoes the encodings of old versions, `import` says what it means for a
//! person, `contents` what the cards of a file have to do with one another. What is not understood is kept as the line
//! it was, so that it can be written again.
//!
//! Writing is one walk over the person (`export`); what the versions and the programs that read them differ in is
//! decided in `dialect`.
//!
//! Content lines are read here rather than by `calcard`: a person keeps unknown lines verbatim, a report names the line
//! in the file, and `calcard` gives neither; its values would have to be turned back into the text they came from. It
//! serves as the second opinion and as the corpus in the tests.

mod contents;
mod dialect;
mod export;
mod import;
mod items;
mod lines;
mod media;
mod place;
mod property;
#[cfg(test)]
mod tests;
mod uri;

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use ties_model::Person;

pub(crate) use contents::{Contents, Group};
pub(crate) use dialect::Dialect;
pub(crate) use export::{NOTE_GAP, write};
pub(crate) use property::Property;

use lines::{Cards, Piece, RawCard};

/// A card that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImportedCard {
    /// The line in the file where it begins, from 1.
    pub(crate) line: usize,
    /// The person; `source` holds nothing but the revision that the card states.
    pub(crate) person: Person,
    /// The notes, in their order.
    pub(crate) notes: Vec<CardNote>,
    /// What tells the card from all others, the same whenever it is imported: `uid:…` if it has a UID, otherwise
    /// `hash:…` of name, mail addresses and phone numbers.
    pub(crate) stable_key: String,
    /// Hash of the card as it was written.
    pub(crate) content: String,
    /// Whether it was written here: an export, perhaps for a program that takes less than a person has.
    pub(crate) own: bool,
    /// What was left out or guessed.
    pub(crate) notices: Vec<Notice>,
}

/// A note in a card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CardNote {
    /// The text.
    pub(crate) body: String,
    /// The group, where other properties are of the same one; or empty.
    pub(crate) group: String,
    /// The parameters as written, or empty.
    pub(crate) params: String,
}

/// A card that was not taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    /// The line in the file, from 1.
    pub(crate) line: usize,
    /// Why, in words for the user.
    pub(crate) reason: String,
}

/// A remark on a card that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// The line in the file, from 1.
    pub(crate) line: usize,
    /// What, in words for the user.
    pub(crate) text: String,
}

impl Notice {
    fn new(line: usize, text: impl Into<String>) -> Self {
        Self { line, text: text.into() }
    }
}

/// The file is larger than any address book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file is larger than 64 MiB")]
pub(crate) struct TooLarge;

/// How many bytes the photo of a kept property has, nothing if it is no photo; of one that lies elsewhere, none.
pub(crate) fn photo_size(line: &str) -> Option<usize> {
    let property = Property::from_line(line).filter(|property| property.name == "PHOTO")?;
    Some(media::size(&property).unwrap_or(0))
}

/// What a card is.
enum Card {
    Person(Box<ImportedCard>),
    Group(Group),
}

/// A file of cards: one or thousands.
struct File<'a>(Cow<'a, [u8]>);

impl<'a> File<'a> {
    /// Takes the bytes of a file: UTF-8, UTF-16 with a byte order mark, or what its properties say themselves.
    fn new(bytes: &'a [u8]) -> Result<Self, TooLarge> {
        if bytes.len() > FILE_LIMIT {
            return Err(TooLarge);
        }
        Ok(Self(match Encoding::for_bom(bytes) {
            Some((encoding, _)) if encoding != UTF_8 => in_utf8(bytes, encoding),
            None if bytes.starts_with(b"B\0E\0") => in_utf8(bytes, UTF_16LE),
            None if bytes.starts_with(b"\0B\0E") => in_utf8(bytes, UTF_16BE),
            _ => Cow::Borrowed(bytes),
        }))
    }

    /// Reads the cards in their order: each is a person, a group of people, or the reason why it is neither.
    fn cards(&self) -> impl Iterator<Item = Result<Card, Reject>> {
        let beyond =
            |line| Err(Reject { line, reason: format!("more than {CARD_LIMIT} cards; the rest was left out") });
        Cards::new(&self.0).take(CARD_LIMIT + 1).enumerate().map(move |(index, piece)| match piece {
            Piece::Card(RawCard { line, .. }) | Piece::Noise { line } if index == CARD_LIMIT => beyond(line),
            Piece::Card(card) => import::read(card),
            Piece::Noise { line } => Err(Reject { line, reason: "text outside of any card".to_owned() }),
        })
    }
}

fn in_utf8(bytes: &[u8], encoding: &'static Encoding) -> Cow<'static, [u8]> {
    Cow::Owned(encoding.decode(bytes).0.into_owned().into_bytes())
}

/// The largest file that is read (security rule for imports).
const FILE_LIMIT: usize = 64 << 20;
/// The most cards in a file.
const CARD_LIMIT: usize = 100_000;
/// The most bytes of one content line.
const FIELD_LIMIT: usize = 64 << 10;
/// The most bytes of one card: a person has to fit into one sealed entry.
const PERSON_LIMIT: usize = 512 << 10;
/// The most content lines of one card.
const LINE_LIMIT: usize = 2_000;
