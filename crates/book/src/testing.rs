//! The book's readers without a book, for fuzzing: they take what a person imports, edits and types. And what a book stands
//! on, for measuring.

use ties_model::Person;

use crate::book::Book;
use crate::capture::Sketch;
use crate::front_matter;
use crate::import::Opened;
use crate::list::Filter;
use crate::person_form::PersonForm;
use crate::vcard::{self, Contents, Dialect, ImportedCard, Property};
use crate::{fold, points};

/// What a book stands on.
pub fn space(book: &Book) -> &ties_engine::Space {
    &book.space
}

/// Reads a file as an import does, and takes nothing in.
pub fn read_import(file_name: &str, bytes: &[u8]) {
    if let Ok(opened) = Opened::file(file_name, bytes) {
        for piece in opened.pieces().take(10_000) {
            drop(piece);
        }
    }
}

/// Reads vCards, writes each and reads it again.
///
/// # Panics
/// When what was written is no card, or a card that was imported from an export is exported otherwise. An export with lines
/// that are none by the grammar (they come out as they came in) may change for a while, and settles.
pub fn read_vcards(bytes: &[u8]) {
    let Ok(contents) = Contents::read(bytes) else { return };
    for card in contents.cards {
        let name = &card.person.name.full;
        let (mut last, mut text) = (String::new(), written(&card, Dialect::V4));
        for generation in 0..SETTLED_AFTER {
            let next = written_again(&text, name);
            last = std::mem::replace(&mut text, next);
            if generation == 0 && is_well_formed(&last) {
                assert_eq!(text, last, "an export that was imported is exported alike");
            }
        }
        assert_eq!(text, last, "even damage settles");
    }
}

/// So often may an export change whose lines are none by the grammar.
const SETTLED_AFTER: usize = 5;

/// Whether every line is one by RFC 6350's grammar.
fn is_well_formed(card: &str) -> bool {
    let unfolded = card.replace("\r\n ", "");
    unfolded.lines().all(|line| Property::from_line(line).is_some_and(|property| property.is_well_formed()))
}

fn written_again(text: &str, name: &str) -> String {
    let cards = Contents::read(text.as_bytes()).map(|contents| contents.cards).unwrap_or_default();
    let [card] = &cards[..] else { panic!("{text}\nis read as {cards:?}") };
    assert_eq!(card.person.name.full, name);
    written(card, Dialect::V4)
}

fn written(card: &ImportedCard, dialect: Dialect) -> String {
    vcard::write(&card.person, &card.notes, "018f0000-0000-7000-8000-000000000000", dialect)
}

/// Reads the text of a person that somebody edited.
///
/// # Panics
/// When what the text says is not what it says when it is given out again.
pub fn read_edited(text: &str) {
    let Ok((form, _)) = front_matter::read::<PersonForm>(text) else { return };
    if let Ok(person) = form.applied_to(&Person::default()) {
        let form = PersonForm::of(&person);
        let text = front_matter::written(&["advice"], &form, "a note").expect("a form can be written");
        let (again, note) = front_matter::read::<PersonForm>(&text).expect("what was given out can be read");
        assert_eq!(note.trim(), "a note");
        let again = again.applied_to(&person).expect("what was given out can be taken back");
        assert_eq!(PersonForm::changed(&person, &again), Vec::<String>::new(), "{text}");
    }
}

/// Reads words as `new`, `ls` and `find` do.
pub fn read_words(words: &[String]) {
    let now = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    let _ = Sketch::of(words, &now);
    let _ = Filter::of(words);
    for word in words {
        let folded = fold::fold(word);
        assert_eq!(fold::fold(&folded), folded, "folding once is enough");
        let _ = (fold::words(word), fold::slug(word));
        let _ = (points::mail(word), points::phone(word), points::url(word));
        let _ = word.parse::<crate::id::Id>();
    }
}
