//! Makes foreign text harmless before a terminal sees it.
//!
//! A contact's name may hold an escape sequence that retitles the window, writes to the clipboard
//! (OSC 52) or moves the cursor, and bidirectional overrides that make `txt.exe` read `exe.txt`.
//! Such characters are shown as visible escapes: nothing is dropped, so nobody is fooled.

use std::borrow::Cow;

/// Foreign text as part of one line: line breaks and tabs become visible escapes as well.
pub(crate) fn inline(text: &str) -> Cow<'_, str> {
    escape(text, Layout::Line)
}

/// Foreign text of several lines, such as a note's body: line breaks stay, tabs become four spaces.
pub(crate) fn paragraph(text: &str) -> Cow<'_, str> {
    escape(text, Layout::Paragraph)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Line,
    Paragraph,
}

fn escape(text: &str, layout: Layout) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, layout) {
            ('\n', Layout::Paragraph) => shown.push('\n'),
            ('\r', Layout::Paragraph) if characters.peek() == Some(&'\n') => {}
            ('\t', Layout::Paragraph) => shown.push_str("    "),
            ('\n', _) => shown.push_str("\\n"),
            ('\r', _) => shown.push_str("\\r"),
            ('\t', _) => shown.push_str("\\t"),
            (other, _) if is_unsafe(other) => {
                shown.push_str(&format!("\\u{{{:x}}}", u32::from(other)));
            }
            (other, _) => shown.push(other),
        }
    }
    Cow::Owned(shown)
}

/// JSON text with the characters that could act on a terminal written as JSON's own escapes.
///
/// The value stays the same. Controls below U+0020 never occur inside a JSON string as they are,
/// so those that are met here are the layout's line breaks.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    let risky = |character: char| is_unsafe(character) && character >= '\u{7f}';
    if !text.chars().any(risky) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if risky(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Whether a character could act on the terminal, reorder its neighbours or hide itself.
///
/// The joiners U+200C and U+200D stay: Persian and emoji need them, and they can do no more than
/// join their neighbours.
fn is_unsafe(character: char) -> bool {
    matches!(character,
        '\u{0}'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{ad}'                      // soft hyphen: invisible
        | '\u{61c}'                     // Arabic letter mark
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers: blank names
        | '\u{180e}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}'       // separators, embeddings, overrides
        | '\u{2060}'..='\u{206f}'       // invisible operators, isolates, deprecated controls
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}'     // tags: a whole invisible alphabet
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_of_many_scripts_is_borrowed_as_it_is() {
        for text in ["Grace Hopper", "Müller", "山田太郎", "مریم", "👩‍💻 Ada", "O’Brien \\n"] {
            assert!(matches!(inline(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn an_escape_sequence_cannot_reach_the_terminal() {
        let shown = inline("\u{1b}]52;c;aGk=\u{7}\u{9b}31mAda");
        assert_eq!(shown, "\\u{1b}]52;c;aGk=\\u{7}\\u{9b}31mAda");
    }

    #[test]
    fn bidirectional_overrides_are_visible() {
        assert_eq!(inline("a\u{202e}b\u{2066}c"), "a\\u{202e}b\\u{2066}c");
    }

    #[test]
    fn a_line_break_in_a_name_cannot_forge_a_second_line() {
        assert_eq!(inline("Ada\r\nError: gone"), "Ada\\r\\nError: gone");
    }

    #[test]
    fn a_paragraph_keeps_its_lines_and_loses_carriage_returns() {
        assert_eq!(paragraph("a\r\n\tb\rc\u{1b}"), "a\n    b\\rc\\u{1b}");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = serde_json::json!({"name": "a\u{202e}\u{9b}\u{e0041}\u{1b}\nb"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&text);
        assert!(shown.contains("\\u202e") && !shown.contains('\u{202e}'));
        assert!(shown.contains("\\udb40\\udc41"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn no_unsafe_character_survives_in_any_layout() {
        for code in 0..=0x10ffff_u32 {
            let Some(character) = char::from_u32(code) else { continue };
            let text = character.to_string();
            assert!(!inline(&text).chars().any(is_unsafe), "{code:x}");
            let left = paragraph(&text);
            assert!(left == "\n" || !left.chars().any(is_unsafe), "{code:x}");
        }
    }
}
