//! Codes: a number to meet under and three words, said from one device to the other by the person who holds both.

use bip39::Language;
use rand_core::CryptoRng;
use ties_sealed_log::{DiscoveryKey, EpochKey, Secret, hash};
use zeroize::Zeroizing;

/// How many words a code has. Each is one of 2,048, so that a guess is right once in 2^33 times.
const WORDS: usize = 3;
/// No code is nearly as long.
const MAX_TEXT: usize = 256;

/// Why a text is no code. Nothing was sent, so that the code is as good as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Not a number and three words.
    #[error("a code is a number and three words, such as 17-acid-zoo-lunch")]
    Malformed,
    /// A word that no code has; counted from 1.
    #[error("word {0} is none that a code can have")]
    UnknownWord(usize),
}

/// A number to meet under, which is no secret, and a password of three words, which nobody in between ever learns.
pub struct Code {
    nameplate: u32,
    words: Zeroizing<String>,
}

impl Code {
    /// Draws the words for a number.
    pub fn draw(nameplate: u32, rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 2 * WORDS]);
        rng.fill_bytes(&mut *bytes);
        // 2,048 divides 65,536: every word is as likely as any other.
        let drawn = bytes.chunks_exact(2).map(|two| usize::from(u16::from_le_bytes([two[0], two[1]])) % 2048);
        Self::of(nameplate, drawn.map(|place| Language::English.word_list()[place]))
    }

    /// Reads what somebody typed: parts apart by hyphens, spaces or dots, in any case, and each word as far as it takes
    /// to tell it from the others.
    ///
    /// # Errors
    /// When it cannot be a code.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        if text.len() > MAX_TEXT {
            return Err(CodeError::Malformed);
        }
        let lower = Zeroizing::new(text.to_lowercase());
        let apart =
            |sign: char| sign.is_whitespace() || matches!(sign, '-' | '.' | ',' | '_' | '\u{2010}'..='\u{2015}');
        let mut parts = lower.split(apart).filter(|part| !part.is_empty());
        let number = parts.next().filter(|part| part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit()));
        let nameplate = number.and_then(|part| part.parse().ok()).ok_or(CodeError::Malformed)?;
        let mut words = [""; WORDS];
        for (at, word) in words.iter_mut().enumerate() {
            let part = parts.next().ok_or(CodeError::Malformed)?;
            *word = complete(part).ok_or(CodeError::UnknownWord(at + 1))?;
        }
        match parts.next() {
            None => Ok(Self::of(nameplate, words.into_iter())),
            Some(_) => Err(CodeError::Malformed),
        }
    }

    fn of(nameplate: u32, chosen: impl Iterator<Item = &'static str>) -> Self {
        // No word has more than eight letters; a buffer that grows would leave a part of itself behind.
        let mut words = Zeroizing::new(String::with_capacity(9 * WORDS));
        for word in chosen {
            if !words.is_empty() {
                words.push('-');
            }
            words.push_str(word);
        }
        Self { nameplate, words }
    }

    /// The number to meet under.
    #[must_use]
    pub fn nameplate(&self) -> u32 {
        self.nameplate
    }

    /// As it is shown and typed: `17-acid-zoo-lunch`.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}-{}", self.nameplate, *self.words))
    }

    pub(crate) fn password(&self) -> &[u8] {
        self.words.as_bytes()
    }
}

/// What a number is worth on a network with no relay: its host announces itself, and is dialled, under this as devices of a
/// space are under an epoch's key. Anybody can make it, and it proves nothing.
#[must_use]
pub fn plate(nameplate: u32) -> DiscoveryKey {
    EpochKey::new(Secret::new(hash("ties1/pair-plate", &[&nameplate.to_be_bytes()]))).discovery()
}

/// The word that this is, or the only one that begins like this.
fn complete(part: &str) -> Option<&'static str> {
    let list = Language::English.word_list();
    if let Some(place) = Language::English.find_word(part) {
        return list.get(usize::from(place)).copied();
    }
    let mut fitting = Language::English.words_by_prefix_iter(part);
    fitting.next().filter(|_| fitting.next().is_none())
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Code({}-..)", self.nameplate)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn read(text: &str) -> Result<String, CodeError> {
        Code::parse(text).map(|code| code.to_text().to_string())
    }

    #[test]
    fn what_is_drawn_is_read_back() {
        for seed in 0..200 {
            let code = Code::draw(17, &mut ChaCha20Rng::seed_from_u64(seed));
            assert_eq!(read(&code.to_text()).as_deref(), Ok(code.to_text().as_str()));
            assert_eq!(code.to_text().matches('-').count(), 3);
        }
    }

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        for text in [
            "17-acid-zoo-lunch",
            "17 acid zoo lunch",
            " 17 - Acid  ZOO lunch\n",
            "17\u{2013}acid\u{2013}zoo\u{2013}lunch",
            "17.acid.zoo.lunch",
            "017-aci-zoo-lunc",
        ] {
            assert_eq!(read(text).as_deref(), Ok("17-acid-zoo-lunch"), "{text:?}");
        }
        // "act" is a word and the beginning of others.
        assert_eq!(read("4-act-zoo-zone").as_deref(), Ok("4-act-zoo-zone"));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for text in
            ["", "17", "acid-zoo-lunch", "17-acid-zoo", "17-acid-zoo-lunch-acid", "+1-acid-zoo-lunch", "1e3 a b c"]
        {
            assert!(matches!(read(text), Err(CodeError::Malformed | CodeError::UnknownWord(_))), "{text:?}");
        }
        assert_eq!(read("99999999999-acid-zoo-lunch"), Err(CodeError::Malformed));
        assert_eq!(read("17-acid-zoo-lanch"), Err(CodeError::UnknownWord(3)));
        assert_eq!(read("17-a-zoo-lunch"), Err(CodeError::UnknownWord(1)), "several words begin so");
        assert_eq!(read(&"9".repeat(300)), Err(CodeError::Malformed));
    }

    #[test]
    fn a_code_does_not_show_its_words_by_accident() {
        assert_eq!(format!("{:?}", Code::parse("17-acid-zoo-lunch").unwrap()), "Code(17-..)");
    }
}
