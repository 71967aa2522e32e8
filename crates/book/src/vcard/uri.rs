//! As much of URIs (RFC 3986) as vCards need.

use std::fmt::Write as _;

/// Whether a text begins with a scheme and a colon.
pub(super) fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else { return false };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    scheme.bytes().all(plain) && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// The text as a part of a URI.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            _ if byte.is_ascii_alphanumeric() || b"-._~@+".contains(&byte) => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    encoded
}

/// The text of a part of a URI; what is no encoding stays as it is.
pub(super) fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [byte, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|digits| *byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let decoded = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match decoded.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| part.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_back() {
        for text in ["ada", "ada@example.org", "Ä b%c", "100%", "%4"] {
            assert_eq!(decoded(&encoded(text)), text);
        }
        assert_eq!(
            (decoded("a%20b").as_str(), decoded("%zz%").as_str(), decoded("%ff").as_str()),
            ("a b", "%zz%", "%ff")
        );
    }

    #[test]
    fn a_scheme_is_known_from_a_name() {
        assert!(has_scheme("urn:uuid:1") && has_scheme("x-a:b"));
        assert!(!has_scheme("Ada Lovelace: friend") && !has_scheme("Ada") && !has_scheme(":x"));
    }
}
