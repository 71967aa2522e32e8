//! Bytes of a file as text, whatever program wrote them.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// A text, and what had to be guessed to read it.
pub(crate) struct Decoded<'a> {
    pub(crate) text: Cow<'a, str>,
    /// What the user should know about it, if anything.
    pub(crate) remark: Option<String>,
}

/// Reads a text: UTF-8 or UTF-16, with a byte order mark or without, or else Windows-1252; nothing if it is none.
pub(crate) fn decode(bytes: &[u8]) -> Option<Decoded<'_>> {
    let sure = |text| Some(Decoded { text, remark: None });
    if let Some((encoding, mark)) = Encoding::for_bom(bytes)
        && encoding != UTF_8
    {
        return sure(Cow::Owned(encoding.decode_without_bom_handling(&bytes[mark..]).0.into_owned()));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Some(encoding) = wide(bytes) {
        return sure(Cow::Owned(encoding.decode_without_bom_handling(bytes).0.into_owned()));
    }
    if bytes.contains(&0) {
        return None;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => sure(Cow::Borrowed(text)),
        Err(_) => broken(bytes),
    }
}

/// The kind of UTF-16 that a text without a mark is in: every other byte of most of it is zero then.
pub(crate) fn wide(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(SAMPLE) & !1];
    let zeros = |offset: usize| sample.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
    let (high, low) = (zeros(0), zeros(1));
    match sample.len() / 2 {
        0 => None,
        units if low > units / 2 && high * 8 < low => Some(UTF_16LE),
        units if high > units / 2 && low * 8 < high => Some(UTF_16BE),
        _ => None,
    }
}

/// A text that is not UTF-8: either a few bytes of it went wrong, or it never was.
fn broken(bytes: &[u8]) -> Option<Decoded<'_>> {
    let (mut foreign, mut invalid) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        foreign += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        invalid += usize::from(!chunk.invalid().is_empty());
    }
    if foreign > invalid {
        let remark = format!("{invalid} places are no UTF-8; what stood there was replaced by \u{fffd}");
        return Some(Decoded { text: String::from_utf8_lossy(bytes), remark: Some(remark) });
    }
    let (text, _) = WINDOWS_1252.decode_without_bom_handling(bytes);
    let controls = text.chars().filter(|c| c.is_control() && !matches!(c, '\r' | '\n' | '\t')).count();
    let remark = Some("not in UTF-8: read as Windows-1252".to_owned());
    (controls * 20 < bytes.len()).then_some(Decoded { text, remark })
}

const SAMPLE: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: &[u8]) -> Option<(String, bool)> {
        decode(bytes).map(|decoded| (decoded.text.into_owned(), decoded.remark.is_some()))
    }

    #[test]
    fn every_usual_encoding_is_read() {
        let sure = Some(("Zoë,Ž\n".to_owned(), false));
        assert_eq!(text("Zoë,Ž\n".as_bytes()), sure);
        assert_eq!(text("\u{feff}Zoë,Ž\n".as_bytes()), sure);
        let wide = |order: fn(u16) -> [u8; 2]| "Zoë,Ž\n".encode_utf16().flat_map(order).collect::<Vec<u8>>();
        assert_eq!(text(&wide(u16::to_le_bytes)), sure);
        assert_eq!(text(&wide(u16::to_be_bytes)), sure);
        assert_eq!(text(&[b"\xff\xfe".to_vec(), wide(u16::to_le_bytes)].concat()), sure);
        assert_eq!(text(b"Zo\xeb,\x8e\n"), Some(("Zoë,Ž\n".to_owned(), true)));
    }

    #[test]
    fn a_few_broken_bytes_do_not_spoil_the_rest() {
        let (text, remark) = text(
            "Zoë, Jürgen, Ž \u{1}"
                .as_bytes()
                .split_last()
                .map(|(_, rest)| [rest, b"\xff"].concat())
                .unwrap()
                .as_slice(),
        )
        .unwrap();
        assert_eq!(text, "Zoë, Jürgen, Ž \u{fffd}");
        assert!(remark);
    }

    #[test]
    fn what_is_no_text_is_nothing() {
        assert_eq!(text(b"\x00\x01\x02\x03binary\x00"), None);
        assert_eq!(text(&[0x80, 1, 2, 3, 4, 5, 6, 0x81]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            decode(&bytes);
        }
    }
}
