//! Forms of mail addresses, phone numbers and profile addresses in which two spellings of one are equal.
//!
//! They serve looking up alone; the record keeps what was entered.

use ties_model::{mail_key, phone_key};

/// A mail address for comparison, or nothing if the text is none.
pub(crate) fn mail(text: &str) -> Option<String> {
    let key = mail_key(text);
    let (local, host) = key.rsplit_once('@')?;
    let plausible = !local.is_empty() && !host.is_empty() && !key.contains(char::is_whitespace);
    plausible.then_some(key)
}

/// A phone number for comparison, or nothing if the text is none: its digits backwards without leading zeros.
///
/// Backwards, because the end of a number is what its national and its international spelling share.
pub(crate) fn phone(text: &str) -> Option<String> {
    let text = text.trim();
    let number = text.strip_prefix("tel:").unwrap_or(text).split([';', 'x', 'X', 'e', 'E']).next().unwrap_or_default();
    let shaped = number.chars().all(|c| c.is_ascii_digit() || "+-./() \u{a0}".contains(c));
    let key = phone_key(text);
    let digits = key.split(';').next().unwrap_or_default().trim_start_matches(['+', '0']);
    let number = shaped && digits.len() >= SHORTEST_PHONE && digits.bytes().all(|byte| byte.is_ascii_digit());
    number.then(|| digits.chars().rev().collect())
}

/// Whether two numbers in the form of [`phone`] are one, perhaps one of them without its country.
pub(crate) fn same_phone(a: &str, b: &str) -> bool {
    a == b || (a.len().min(b.len()) >= PHONE_STEM && (a.starts_with(b) || b.starts_with(a)))
}

/// As much of a number in the form of [`phone`] as all its spellings share.
pub(crate) fn phone_stem(phone: &str) -> &str {
    &phone[..phone.len().min(PHONE_STEM)]
}

/// A web address for comparison, or nothing if the text is none: no scheme, `www.`, query or final slash, lower case.
pub(crate) fn url(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let (bare, scheme) = match text.split_once("://") {
        Some(("http" | "https", rest)) => (rest, true),
        Some(_) => return None,
        None => (text.as_str(), false),
    };
    let bare = bare.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let bare = bare.strip_prefix("www.").unwrap_or(bare);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let dotted = host.split('.').count() > 1 && host.split('.').all(|part| !part.is_empty());
    let clean = !bare.contains(char::is_whitespace) && !bare.contains('@');
    (dotted && clean && (scheme || !path.is_empty() || text.starts_with("www."))).then(|| bare.to_owned())
}

const SHORTEST_PHONE: usize = 5;
const PHONE_STEM: usize = 7;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_number_are_the_same() {
        let plain = phone("+49 171 230-0595").unwrap();
        for other in ["0049 (171) 2300595", "0171/2300595", "tel:+491712300595", "+49 (0)171 2300595 ext. 12"] {
            let other = phone(other).unwrap();
            assert!(same_phone(&plain, &other), "{other}");
            assert_eq!(phone_stem(&plain), phone_stem(&other));
        }
        assert!(!same_phone(&plain, &phone("+49 171 2300596").unwrap()));
        assert_eq!(phone("ada"), None);
        assert_eq!(phone("tell 12345"), None);
        assert_eq!(phone("2026"), None);
    }

    #[test]
    fn spellings_of_one_profile_are_the_same() {
        let plain = Some("linkedin.com/in/ada".to_owned());
        assert_eq!(url("https://www.LinkedIn.com/in/Ada/?trk=x"), plain);
        assert_eq!(url("linkedin.com/in/ada"), plain);
        assert_eq!(url("J.R. Tolkien"), None);
        assert_eq!(url("ada@mail.example/x"), None);
        assert_eq!(url("e.g."), None);
    }

    #[test]
    fn mail_is_compared_in_lower_case() {
        assert_eq!(mail(" Ada@Navy.Example").as_deref(), Some("ada@navy.example"));
        assert_eq!(mail("@ada"), None);
        assert_eq!(mail("ada"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"\PC{0,30}|[+0-9a-z@:/.()x; -]{0,30}") {
            let _ = (mail(&text), url(&text));
            if let Some(phone) = phone(&text) {
                prop_assert!(phone_stem(&phone).len() <= phone.len());
            }
        }
    }
}
