use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A civil date of which the year, the month or the day may be unknown (RFC 9553 section 2.8.1).
///
/// It is never an instant: a birthday kept as an instant drifts by a day between time zones. Only dates that exist can
/// be made; 29 February exists where the year is unknown.
///
/// ```
/// use ties_model::PartialDate;
///
/// let birthday: PartialDate = "--03-14".parse()?;
/// assert_eq!((birthday.year(), birthday.month(), birthday.day()), (None, Some(3), Some(14)));
/// assert_eq!(birthday.to_vcard4(), "--0314");
/// # Ok::<(), ties_model::DateError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PartialDate {
    year: Option<u16>,
    month: Option<u8>,
    day: Option<u8>,
}

impl PartialDate {
    /// Makes a date of what is known of it: year 1 to 9999, month 1 to 12, day 1 to the month's last.
    ///
    /// At least one must be known, and a year with a day needs the month between them.
    pub fn new(year: Option<u16>, month: Option<u8>, day: Option<u8>) -> Result<Self, DateError> {
        let known = match (year, month, day) {
            (None, None, None) => return Err(DateError::Unreadable),
            (Some(_), None, Some(_)) => return Err(DateError::Unreadable),
            _ => Self { year, month, day },
        };
        let exists = year.is_none_or(|year| (1..=9999).contains(&year))
            && month.is_none_or(|month| (1..=12).contains(&month))
            && day.is_none_or(|day| (1..=longest(year, month)).contains(&day));
        if exists { Ok(known) } else { Err(DateError::NoSuchDay) }
    }

    /// The year, if known.
    pub fn year(self) -> Option<u16> {
        self.year
    }

    /// The month from 1, if known.
    pub fn month(self) -> Option<u8> {
        self.month
    }

    /// The day of the month from 1, if known.
    pub fn day(self) -> Option<u8> {
        self.day
    }

    /// Reads a date as vCards of all versions write it; the part after a `T` (a time of day) is left aside.
    ///
    /// The year 1604 is Apple's way of saying that the year is unknown, and 0000 that of others.
    pub fn from_vcard(text: &str) -> Result<Self, DateError> {
        let (year, month, day) = split(date_part(text))?;
        match year {
            Some(0 | APPLE_NO_YEAR) if month.is_some() => Self::new(None, month, day),
            _ => Self::new(year, month, day),
        }
    }

    /// The date in vCard 4.0's form (RFC 6350 section 4.3.1): `19800314`, `1980-03`, `1980`, `--0314`, `--03`, `---14`.
    pub fn to_vcard4(self) -> String {
        match (self.year, self.month, self.day) {
            (Some(year), Some(month), Some(day)) => format!("{year:04}{month:02}{day:02}"),
            (None, Some(month), Some(day)) => format!("--{month:02}{day:02}"),
            _ => self.to_string(),
        }
    }
}

/// Reads `1980-03-14`, `1980-03`, `1980`, `--03-14`, `--03`, `---14`, and the same without hyphens between the parts.
impl FromStr for PartialDate {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let (year, month, day) = split(text.trim())?;
        Self::new(year, month, day)
    }
}

/// Writes `1980-03-14`, `1980-03`, `1980`, `--03-14`, `--03` or `---14`, which sorts and reads well.
impl fmt::Display for PartialDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.year, self.month, self.day) {
            (Some(year), Some(month), Some(day)) => write!(f, "{year:04}-{month:02}-{day:02}"),
            (Some(year), Some(month), None) => write!(f, "{year:04}-{month:02}"),
            (Some(year), None, _) => write!(f, "{year:04}"),
            (None, Some(month), Some(day)) => write!(f, "--{month:02}-{day:02}"),
            (None, Some(month), None) => write!(f, "--{month:02}"),
            (None, None, day) => write!(f, "---{:02}", day.unwrap_or_default()),
        }
    }
}

impl TryFrom<String> for PartialDate {
    type Error = DateError;

    fn try_from(text: String) -> Result<Self, DateError> {
        text.parse()
    }
}

impl From<PartialDate> for String {
    fn from(date: PartialDate) -> Self {
        date.to_string()
    }
}

/// Why a text is no date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DateError {
    /// It has none of the known forms.
    #[error("not a date like 1980-03-14, 1980-03, 1980 or --03-14")]
    Unreadable,
    /// It has the form of a date, but the calendar has no such day.
    #[error("there is no such day")]
    NoSuchDay,
}

type Parts = (Option<u16>, Option<u8>, Option<u8>);

fn split(text: &str) -> Result<Parts, DateError> {
    let shape = |parts: Option<Parts>| parts.ok_or(DateError::Unreadable);
    if let Some(day) = text.strip_prefix("---") {
        return shape(number(day, 2).map(|day| (None, None, Some(day as u8))));
    }
    if let Some(rest) = text.strip_prefix("--") {
        let (month, day) = pair(rest).ok_or(DateError::Unreadable)?;
        return Ok((None, Some(month), day));
    }
    let (year, rest) = match text.split_once('-') {
        Some((year, rest)) => (year, rest),
        None if text.is_ascii() && text.len() == 8 => text.split_at(4),
        None => return shape(number(text, 4).map(|year| (Some(year), None, None))),
    };
    let year = number(year, 4).ok_or(DateError::Unreadable)?;
    let (month, day) = pair(rest).ok_or(DateError::Unreadable)?;
    Ok((Some(year), Some(month), day))
}

/// `03`, `3-14`, `03-14` or `0314`.
fn pair(text: &str) -> Option<(u8, Option<u8>)> {
    let two = |text: &str| match text.len() {
        1 | 2 => number(text, text.len()).map(|value| value as u8),
        _ => None,
    };
    match text.split_once('-') {
        Some((month, day)) => Some((two(month)?, Some(two(day)?))),
        None if text.is_ascii() && text.len() == 4 => {
            let (month, day) = text.split_at(2);
            Some((two(month)?, Some(two(day)?)))
        }
        None => Some((two(text)?, None)),
    }
}

fn number(text: &str, digits: usize) -> Option<u16> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn date_part(text: &str) -> &str {
    let text = text.trim();
    match text.find(['T', 't', ' ']) {
        Some(end) => &text[..end],
        None => text,
    }
}

/// The last day of a month; of the longest month, or the longest February, where month or year are unknown.
fn longest(year: Option<u16>, month: Option<u8>) -> u8 {
    let leap = |year: u16| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        Some(4 | 6 | 9 | 11) => 30,
        Some(2) if year.is_none_or(leap) => 29,
        Some(2) => 28,
        _ => 31,
    }
}

/// The first leap year of the Gregorian calendar in Apple's reckoning.
const APPLE_NO_YEAR: u16 = 1604;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(text: &str) -> PartialDate {
        text.parse().unwrap()
    }

    #[test]
    fn every_form_of_vcard_and_iso_is_read() {
        for (text, form) in [
            ("19800314", "1980-03-14"),
            ("1980-03-14", "1980-03-14"),
            ("1980-3-4", "1980-03-04"),
            ("1980-03", "1980-03"),
            ("1980", "1980"),
            ("--0314", "--03-14"),
            ("--03-14", "--03-14"),
            ("--03", "--03"),
            ("---14", "---14"),
            ("--0229", "--02-29"),
        ] {
            assert_eq!(date(text).to_string(), form, "{text}");
        }
    }

    #[test]
    fn vcard_form_is_that_of_rfc_6350() {
        for (text, form) in [
            ("1980-03-14", "19800314"),
            ("1980-03", "1980-03"),
            ("1980", "1980"),
            ("--03-14", "--0314"),
            ("--03", "--03"),
            ("---14", "---14"),
        ] {
            assert_eq!(date(text).to_vcard4(), form);
        }
    }

    #[test]
    fn apples_year_1604_is_no_year() {
        assert_eq!(PartialDate::from_vcard("1604-03-14").unwrap(), date("--03-14"));
        assert_eq!(PartialDate::from_vcard("0000-03-14").unwrap(), date("--03-14"));
        assert_eq!(date("1604-03-14").year(), Some(1604), "a person may type it");
    }

    #[test]
    fn a_time_of_day_is_left_aside() {
        for text in ["19960415T231000Z", "1996-04-15T00:00:00+02:00", "1996-04-15 00:00"] {
            assert_eq!(PartialDate::from_vcard(text).unwrap(), date("1996-04-15"));
        }
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in ["1981-02-29", "1900-02-29", "--0230", "--0431", "1980-13", "1980-00-01", "---32", "0000"] {
            assert_eq!(text.parse::<PartialDate>(), Err(DateError::NoSuchDay), "{text}");
        }
        assert_eq!(date("2000-02-29").day(), Some(29));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "-", "--", "---", "circa 1800", "14.03.1980", "1980-W10", "198", "12345", "１９８０", "1980-03-14x"]
        {
            assert_eq!(text.parse::<PartialDate>(), Err(DateError::Unreadable), "{text}");
        }
        assert_eq!(PartialDate::new(Some(1980), None, Some(1)), Err(DateError::Unreadable));
    }

    #[test]
    fn serde_uses_the_text() {
        let json = serde_json::to_string(&date("--0229")).unwrap();
        assert_eq!(json, "\"--02-29\"");
        assert_eq!(serde_json::from_str::<PartialDate>(&json).unwrap(), date("--0229"));
        assert!(serde_json::from_str::<PartialDate>("\"1981-02-29\"").is_err());
    }

    proptest! {
        #[test]
        fn both_forms_read_back(year in proptest::option::of(1_u16..=9999), month in proptest::option::of(1_u8..=12),
            day in proptest::option::of(1_u8..=31)) {
            if let Ok(date) = PartialDate::new(year, month, day) {
                prop_assert_eq!(date.to_string().parse(), Ok(date));
                prop_assert_eq!(date.to_vcard4().parse(), Ok(date));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = text.parse::<PartialDate>();
            let _ = PartialDate::from_vcard(&text);
        }
    }
}
