//! Words of a command line, told apart: what of `"Grace Hopper" grace@navy.example +11 555 0100 org:Navy +compilers`
//! is a name, what a mail address, a number, an organization, a tag.

use jiff::civil::Date;
use jiff::{ToSpan, Zoned};

use crate::api::{BookError, ErrorKind};
use crate::points;

/// A new person as the words describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sketch {
    pub(crate) name: String,
    pub(crate) handle: Option<String>,
    pub(crate) mails: Vec<String>,
    pub(crate) phones: Vec<String>,
    pub(crate) urls: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) organization: Option<String>,
    pub(crate) title: Option<String>,
    /// ISO 8601, perhaps without day or month.
    pub(crate) met_on: Option<String>,
    pub(crate) met_through: Option<String>,
    pub(crate) how_met: Option<String>,
}

impl Sketch {
    /// Reads the words; `now` is what `on:yesterday` counts from.
    pub(crate) fn of(words: &[String], now: &Zoned) -> Result<Self, BookError> {
        let mut sketch = Self::default();
        let mut name: Vec<&str> = Vec::new();
        let mut words = words.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            let word = word.trim();
            if let Some(plain) = word.strip_prefix('\\') {
                name.push(plain);
            } else if begins_number(word) {
                let mut number = word.to_owned();
                while let Some(more) = words.next_if(|next| continues_number(next)) {
                    number.push(' ');
                    number.push_str(more.trim());
                }
                sketch.number(number)?;
            } else if !sketch.token(word, now)? && !word.is_empty() {
                name.push(word);
            }
        }
        sketch.name = name.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        if sketch.name.is_empty() {
            return Err(BookError::new(ErrorKind::Usage, "a name is missing")
                .hint("ties new \"Grace Hopper\" grace@navy.example +compilers"));
        }
        Ok(sketch)
    }

    fn number(&mut self, number: String) -> Result<(), BookError> {
        if points::phone(&number).is_none() {
            return Err(BookError::new(ErrorKind::Usage, format!("{number:?} is too short for a phone number"))
                .hint("a backslash before a word makes it part of the name"));
        }
        self.phones.push(number);
        Ok(())
    }

    /// Takes a word that is more than a piece of the name.
    fn token(&mut self, word: &str, now: &Zoned) -> Result<bool, BookError> {
        if let Some(tag) = word.strip_prefix('+').filter(|tag| !tag.is_empty()) {
            self.tags.push(tag.to_owned());
        } else if let Some(handle) = word.strip_prefix('@').filter(|handle| !handle.is_empty()) {
            self.handle = Some(handle.to_owned());
        } else if points::url(word).is_some() {
            self.urls.push(word.to_owned());
        } else if let Some(address) = word.strip_prefix("mailto:") {
            self.mails.push(address.to_owned());
        } else if let Some((key, value)) = key_and_value(word) {
            self.named(key, value, now)?;
        } else if points::mail(word).is_some() {
            self.mails.push(word.to_owned());
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn named(&mut self, key: &str, value: &str, now: &Zoned) -> Result<(), BookError> {
        let place = match key {
            "org" => &mut self.organization,
            "title" => &mut self.title,
            "via" => &mut self.met_through,
            "how" => &mut self.how_met,
            "on" => {
                self.met_on = Some(date(value, now)?);
                return Ok(());
            }
            "tag" => {
                self.tags.push(value.to_owned());
                return Ok(());
            }
            _ => {
                return Err(BookError::new(ErrorKind::Usage, format!("{key}: is not understood here")).hint(
                    "known are org: title: on: via: how: tag:; a backslash before the word makes it part of the name",
                ));
            }
        };
        *place = Some(value.to_owned());
        Ok(())
    }
}

/// `org:Navy` taken apart; not `10:30`, nor a colon with nothing on one side.
pub(crate) fn key_and_value(word: &str) -> Option<(&str, &str)> {
    let (key, value) = word.split_once(':')?;
    let named = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    (named && !value.trim().is_empty()).then(|| (key, value.trim()))
}

fn begins_number(word: &str) -> bool {
    let dialled = word.strip_prefix(['+', '(']).unwrap_or(word);
    dialled.starts_with(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_digit() || "+-./() ".contains(c))
        && (word.starts_with(['+', '(', '0']) || points::phone(word).is_some())
}

fn continues_number(word: &str) -> bool {
    !word.starts_with('+')
        && word.contains(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_digit() || "-./() ".contains(c))
}

/// A day as people write it, as ISO 8601: `today`, `yesterday`, `2026-05-03`, `2026-05`, `2026`.
pub(crate) fn date(text: &str, now: &Zoned) -> Result<String, BookError> {
    let day = match text {
        "today" => Some(now.date()),
        "yesterday" => now.date().checked_sub(1.day()).ok(),
        _ => text.parse::<Date>().ok(),
    };
    let complete = |month: &str| month.len() == 7 && format!("{month}-01").parse::<Date>().is_ok();
    let year = text.len() == 4 && text.chars().all(|c| c.is_ascii_digit());
    match day {
        Some(day) => Ok(day.to_string()),
        None if year || complete(text) => Ok(text.to_owned()),
        None => Err(BookError::new(ErrorKind::Usage, format!("{text:?} is no date"))
            .hint("today, yesterday, 2026-05-03, 2026-05 or 2026")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(words: &[&str]) -> Result<Sketch, BookError> {
        let now = "2026-11-22T10:00[UTC]".parse().unwrap();
        Sketch::of(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>(), &now)
    }

    #[test]
    fn the_words_of_the_manual_are_told_apart() {
        let words = ["Grace Hopper", "grace@navy.example", "+11", "555", "0100", "org:Navy", "+compilers"];
        let sketch = sketch(&words).unwrap();
        assert_eq!(sketch.name, "Grace Hopper");
        assert_eq!(sketch.mails, ["grace@navy.example"]);
        assert_eq!(sketch.phones, ["+11 555 0100"]);
        assert_eq!(sketch.organization.as_deref(), Some("Navy"));
        assert_eq!(sketch.tags, ["compilers"]);
    }

    #[test]
    fn how_we_met_is_recognised() {
        let sketch =
            sketch(&["Ada", "Lovelace", "@ada", "on:yesterday", "via:@grace", "how:at the pub", "https://ada.example"]);
        let sketch = sketch.unwrap();
        assert_eq!(sketch.name, "Ada Lovelace");
        assert_eq!(sketch.handle.as_deref(), Some("ada"));
        assert_eq!(sketch.met_on.as_deref(), Some("2026-11-21"));
        assert_eq!(sketch.met_through.as_deref(), Some("@grace"));
        assert_eq!(sketch.how_met.as_deref(), Some("at the pub"));
        assert_eq!(sketch.urls, ["https://ada.example"]);
    }

    #[test]
    fn two_numbers_stay_two() {
        let sketch = sketch(&["Ada", "+49", "171", "2300595", "+11 555 0100"]).unwrap();
        assert_eq!(sketch.phones, ["+49 171 2300595", "+11 555 0100"]);
    }

    #[test]
    fn a_backslash_makes_a_word_part_of_the_name() {
        assert_eq!(sketch(&["\\+plus", "a:"]).unwrap().name, "+plus a:");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for words in [&["grace@navy.example"][..], &["Ada", "city:wien"], &["Ada", "on:someday"], &["Ada", "+1"]] {
            assert_eq!(sketch(words).unwrap_err().kind, ErrorKind::Usage, "{words:?}");
        }
    }

    proptest! {
        #[test]
        fn no_words_make_it_panic(words in proptest::collection::vec(r"\PC{0,12}|[+@\\a-z0-9:./() -]{0,16}", 0..8)) {
            let now = "2026-11-22T10:00[UTC]".parse().unwrap();
            let _ = Sketch::of(&words, &now);
        }
    }
}
