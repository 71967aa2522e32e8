//! Text reduced to what people mean when they type it: case, accents and punctuation aside.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// The text without case and accents: `Müller Øst` is `muller ost`.
///
/// Unicode's normalisation is stable between versions, so what is stored of this stays valid.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    let bare = text.nfkd().filter(|&c| canonical_combining_class(c) == 0).flat_map(char::to_lowercase);
    for c in bare {
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ø' => folded.push('o'),
            'đ' | 'ð' => folded.push('d'),
            'ł' => folded.push('l'),
            'ħ' => folded.push('h'),
            'ı' => folded.push('i'),
            // Lower-casing İ leaves a combining dot behind.
            _ if canonical_combining_class(c) != 0 => {}
            _ => folded.push(c),
        }
    }
    folded.nfc().collect()
}

/// The folded words of a text; an apostrophe is dropped, everything else that is no letter or digit parts words.
pub(crate) fn words(text: &str) -> Vec<String> {
    fold(text)
        .replace(['\'', '’'], "")
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The text as a handle: folded words joined by hyphens, at most forty characters; `x` if there are none.
pub(crate) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for word in words(text) {
        let taken = slug.chars().count();
        if taken > 0 && taken + 1 + word.chars().count() > LONGEST_SLUG {
            break;
        }
        if taken > 0 {
            slug.push('-');
        }
        slug.extend(word.chars().take(LONGEST_SLUG));
    }
    if slug.is_empty() { "x".to_owned() } else { slug }
}

const LONGEST_SLUG: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_accents_do_not_count() {
        assert_eq!(fold("Müller"), "muller");
        assert_eq!(fold("Straße"), "strasse");
        assert_eq!(fold("Łukasz Ångström"), "lukasz angstrom");
        assert_eq!(fold("İstanbul"), "istanbul");
        assert_eq!(fold("ÉCOLE"), fold("e\u{301}cole"));
        assert_eq!(fold("Юрий"), fold("юрии"));
        assert_eq!(fold("한글"), "한글");
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for text in ["Müller", "ǅ", "ﬁn", "Ω Ohm", "ŉ", "한글", "が"] {
            assert_eq!(fold(&fold(text)), fold(text), "{text}");
        }
    }

    #[test]
    fn a_handle_is_the_words_joined() {
        assert_eq!(slug("Grace  O'Hopper, PhD"), "grace-ohopper-phd");
        assert_eq!(slug("王明"), "王明");
        assert_eq!(slug("!!"), "x");
        assert_eq!(slug(&"abc ".repeat(50)).chars().count(), 39);
    }
}
