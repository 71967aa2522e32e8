//! Looks for words and bytes in whatever form they may have been given away.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ties_sealed_log::{padme, unpack};

/// What must not be found.
#[derive(Default)]
pub(crate) struct Needles {
    /// Looked for whatever the case of ASCII letters.
    folded: Patterns,
    exact: Patterns,
    names: Vec<String>,
}

impl Needles {
    /// Adds a word: in UTF-8, UTF-16, hexadecimal and base64, in any case.
    pub(crate) fn word(&mut self, word: &str) {
        assert!(word.len() >= 8, "\"{word}\" may turn up by chance");
        let name = self.named(format!("the word \"{word}\""));
        for spelling in [word.to_owned(), word.to_lowercase(), word.to_uppercase()] {
            let little: Vec<u8> = spelling.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = spelling.encode_utf16().flat_map(u16::to_be_bytes).collect();
            for form in [spelling.as_bytes(), &little, &big] {
                self.folded.add(name, &form.to_ascii_lowercase());
                self.folded.add(name, hexadecimal(form).as_bytes());
                self.base64(name, form);
            }
        }
    }

    /// Adds bytes that look random, such as a key: every eight of them, raw, in hexadecimal and in base64.
    pub(crate) fn bytes(&mut self, what: &str, bytes: &[u8]) {
        let name = self.named(what.to_owned());
        // Text shortened for show, or cut by a frame's end, is found by its parts.
        for part in bytes.chunks_exact(8) {
            self.exact.add(name, part);
            self.folded.add(name, hexadecimal(part).as_bytes());
            self.base64(name, part);
        }
    }

    /// Which of them some bytes hold, plainly or packed as an entry's body is before it is sealed.
    pub(crate) fn within(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut found = self.exact.within(bytes);
        found.extend(self.folded.within(&bytes.to_ascii_lowercase()));
        for packed in packed_bodies(bytes) {
            found.extend(self.exact.within(&packed));
            found.extend(self.folded.within(&packed.to_ascii_lowercase()));
        }
        found.into_iter().map(|name| self.names[name].as_str()).collect()
    }

    /// How many were added.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    fn named(&mut self, name: String) -> usize {
        self.names.push(name);
        self.names.len() - 1
    }

    /// Base64 tells the same bytes in three ways, by where they begin in the whole.
    fn base64(&mut self, name: usize, bytes: &[u8]) {
        for before in 0..3 {
            let shifted = [&[0; 2][..before], bytes].concat();
            for text in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
                // The first and last characters also depend on the neighbours.
                let inner = [0, 2, 3][before]..shifted.len() * 8 / 6;
                self.exact.add(name, &text.as_bytes()[inner]);
            }
        }
    }
}

/// Byte strings by their first four bytes.
#[derive(Default)]
struct Patterns(HashMap<[u8; 4], Vec<(usize, Vec<u8>)>>);

impl Patterns {
    fn add(&mut self, name: usize, pattern: &[u8]) {
        let beginning = *pattern.first_chunk().expect("no pattern is that short");
        let same = self.0.entry(beginning).or_default();
        if !same.iter().any(|(known, bytes)| *known == name && bytes == pattern) {
            same.push((name, pattern.to_vec()));
        }
    }

    fn within(&self, bytes: &[u8]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        for (place, window) in bytes.windows(4).enumerate() {
            let beginning: &[u8; 4] = window.first_chunk().expect("four bytes");
            let Some(patterns) = self.0.get(beginning) else { continue };
            let held = patterns.iter().filter(|(_, pattern)| bytes[place..].starts_with(pattern));
            found.extend(held.map(|(name, _)| *name));
        }
        found
    }
}

/// The bodies that were compressed and padded, but not sealed.
fn packed_bodies(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let frames = bytes.windows(4).enumerate().filter(|(_, window)| *window == ZSTD_MAGIC);
    frames.filter_map(|(place, _)| {
        let begin = place.checked_sub(5)?;
        let length = u32::from_le_bytes(bytes[begin + 1..place].try_into().ok()?);
        let end = begin.checked_add(padme(usize::try_from(length).ok()?.checked_add(5)?))?;
        unpack(bytes.get(begin..end)?).ok()
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

#[cfg(test)]
mod tests {
    use ties_sealed_log::pack;

    use super::*;

    #[test]
    fn a_planted_word_is_found_in_every_form() {
        let mut needles = Needles::default();
        needles.word("Brackenfeather");
        let wide: Vec<u8> = "brackenFEATHER".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut forms = vec![
            b"..brackenFEATHER..".to_vec(),
            wide,
            hexadecimal(b"brackenfeather").to_uppercase().into_bytes(),
            pack("Met Brackenfeather at the brackenfeather brackenfeather dinner.".repeat(9).as_bytes()),
        ];
        for before in ["", "a", "ab", "abc"] {
            forms.push(STANDARD_NO_PAD.encode(format!("{before}Brackenfeather, and more")).into_bytes());
            forms.push(URL_SAFE_NO_PAD.encode(format!("{before}BRACKENFEATHER")).into_bytes());
        }
        for form in forms {
            let text = String::from_utf8_lossy(&form);
            assert_eq!(needles.within(&form).len(), 1, "{text}");
            assert_eq!(needles.within(&[b"\xff\0\x01", &form[..], b"\0\xfe"].concat()).len(), 1, "{text}");
        }
        assert!(needles.within(b"Brackenfeathe Rbrackenfeathe").is_empty());
    }

    #[test]
    fn a_planted_key_is_found_whole_or_in_part() {
        let key: Vec<u8> = (0..32u8).map(|byte| byte.wrapping_mul(7).wrapping_add(129)).collect();
        let mut needles = Needles::default();
        needles.bytes("a key", &key);
        let forms = [
            key.clone(),
            key[8..20].to_vec(),
            hexadecimal(&key).into_bytes(),
            hexadecimal(&key[..8]).to_uppercase().into_bytes(),
            URL_SAFE_NO_PAD.encode([b"x", &key[..]].concat()).into_bytes(),
            STANDARD_NO_PAD.encode(&key).into_bytes(),
        ];
        for form in forms {
            assert_eq!(needles.within(&form).into_iter().collect::<Vec<_>>(), ["a key"], "{form:?}");
        }
        assert!(needles.within(&key[1..15]).is_empty());
    }
}
