//! Text reduced to what people mean when they type it: case, accents and punctuation aside.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// The text without case and accents: `Müller Øst` is `muller ost`.
///
/// Unicode's normalisation is stable between versions, so what is stored of this stays valid.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut rest = text;
    // Nothing composes with an ASCII character once the accents are gone, so runs can be folded one by one; most are
    // ASCII, and a search folds megabytes.
    while !rest.is_empty() {
        let (plain, after) = rest.split_at(rest.bytes().take_while(u8::is_ascii).count());
        folded.push_str(plain);
        let plain = folded.len() - plain.len();
        folded[plain..].make_ascii_lowercase();
        let (foreign, after) = after.split_at(after.bytes().take_while(|byte| !byte.is_ascii()).count());
        fold_foreign(foreign, &mut folded);
        rest = after;
    }
    folded
}

fn fold_foreign(text: &str, folded: &mut String) {
    let bare = text.nfkd().filter(|&c| canonical_combining_class(c) == 0);
    let mut lower = String::with_capacity(text.len());
    for c in bare.flat_map(char::to_lowercase) {
        match c {
            'ß' => lower.push_str("ss"),
            'æ' => lower.push_str("ae"),
            'œ' => lower.push_str("oe"),
            'þ' => lower.push_str("th"),
            'ø' => lower.push('o'),
            'đ' | 'ð' => lower.push('d'),
            'ł' => lower.push('l'),
            'ħ' => lower.push('h'),
            'ı' => lower.push('i'),
            _ => lower.push(c),
        }
    }
    if lower.is_ascii() {
        folded.push_str(&lower);
    } else {
        folded.extend(lower.nfc());
    }
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
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn folding_any_text_twice_changes_nothing(text in r"\PC{0,30}") {
            prop_assert_eq!(fold(&fold(&text)), fold(&text));
        }

        #[test]
        fn a_slug_is_one_word_of_a_command_line(text in r"\PC{0,80}") {
            let slug = slug(&text);
            prop_assert!(!slug.is_empty() && slug.chars().count() <= LONGEST_SLUG);
            prop_assert!(slug.chars().all(|c| c.is_alphanumeric() || c == '-'), "{}", slug);
        }
    }
}
