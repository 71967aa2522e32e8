use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// The key of an item in a record: the first eight bytes, in hex, of the SHA-256 of its kind and normalised value.
///
/// It follows from the value alone, so two devices that add one address while offline make one item, not two. An item
/// keeps its key when the value is edited later; the key only has to be unique, not true.
pub fn contact_key(kind: &str, normalised: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(kind.as_bytes());
    hash.update(b"\0");
    hash.update(normalised.as_bytes());
    hash.finalize()[..8].iter().fold(String::with_capacity(16), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
        hex
    })
}

/// A mail address for comparison: without `mailto:` and white space around it, in lower case.
pub fn mail_key(address: &str) -> String {
    let address = address.trim();
    let bare = match address.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => &address[7..],
        _ => address,
    };
    bare.trim().to_lowercase()
}

/// A phone number for comparison: its digits, after `+` if it is written internationally (`+` or `00` in front), with
/// an extension as `;ext=`.
///
/// A national number stays national: which country it is of, only its owner knows. What holds no digit (`sip:` and the
/// like) is compared as text.
pub fn phone_key(number: &str) -> String {
    let number = number.trim();
    let number = match number.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => &number[4..],
        _ => number,
    };
    let (number, extension) = split_extension(number);
    let international = number.trim_start_matches(['(', ' ']).starts_with('+');
    // +44 (0)20: the zero in brackets is for callers from inside the country.
    let number = if international { number.replace("(0)", "") } else { number.to_owned() };
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() || number.contains(['@', ':']) {
        return text_key(&number);
    }
    let mut key = match digits.strip_prefix("00") {
        _ if international => format!("+{digits}"),
        Some(rest) if !rest.is_empty() => format!("+{rest}"),
        _ => digits,
    };
    if !extension.is_empty() {
        key.push_str(";ext=");
        key.push_str(&extension);
    }
    key
}

/// A text for comparison: in lower case, with single spaces and none around it.
pub fn text_key(text: &str) -> String {
    let mut key = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !key.is_empty() {
            key.push(' ');
        }
        key.push_str(&word.to_lowercase());
    }
    key
}

/// Parts `…;ext=102`, `… ext. 102` and `… x102`.
fn split_extension(number: &str) -> (&str, String) {
    let lower = number.to_ascii_lowercase();
    for mark in [";ext=", "ext.", "ext", "x"] {
        if let Some(at) = lower.rfind(mark) {
            let tail = lower[at + mark.len()..].trim();
            let before = lower[..at].bytes().any(|byte| byte.is_ascii_digit());
            if before && !tail.is_empty() && tail.bytes().all(|byte| byte.is_ascii_digit()) {
                return (&number[..at], tail.to_owned());
            }
        }
    }
    (number, String::new())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_frozen() {
        // Documents hold these; another value would double every contact point of a re-import.
        assert_eq!(contact_key("email", "ada@example.org"), "fe7c62e11086efe8");
        assert_eq!(contact_key("phone", "+15550100"), "04ba5c7a60f2f687");
        assert_ne!(contact_key("email", "1"), contact_key("phone", "1"));
    }

    #[test]
    fn spellings_of_a_mail_address_are_one() {
        for text in ["ada@example.org", " Ada@Example.ORG ", "MAILTO:ada@example.org"] {
            assert_eq!(mail_key(text), "ada@example.org");
        }
    }

    #[test]
    fn spellings_of_a_phone_number_are_one() {
        for text in ["+43 1 512 34 56", "tel:+43-1-5123456", "0043 1 5123456", "(+43) 1/512.3456", "+43 (0)1 5123456"] {
            assert_eq!(phone_key(text), "+4315123456", "{text}");
        }
        assert_eq!(phone_key("01 5123456"), "015123456", "a national number stays one");
    }

    #[test]
    fn extensions_count() {
        for text in ["+1 555 0100 x102", "+1 555 0100 ext. 102", "tel:+1-555-0100;ext=102", "+1 555 0100 EXT 102"] {
            assert_eq!(phone_key(text), "+15550100;ext=102", "{text}");
        }
        assert_eq!(phone_key("sip:x@example.org"), "sip:x@example.org");
        assert_eq!(phone_key("x"), "x");
    }

    #[test]
    fn texts_are_compared_without_case_and_spare_spaces() {
        assert_eq!(text_key("  ACME \t Inc. "), "acme inc.");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = (mail_key(&text), phone_key(&text), text_key(&text));
        }

        #[test]
        fn normalising_twice_is_normalising_once(text in "[+0-9 ()x./-]{0,20}") {
            let once = phone_key(&text);
            prop_assert_eq!(phone_key(&once), once);
        }
    }
}
