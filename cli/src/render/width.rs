//! How many columns a text takes on a terminal, and how to make it take fewer.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr;

/// The columns that a text takes: two for a wide character such as 山 or an emoji, none for our own colours.
pub(crate) fn columns(text: &str) -> usize {
    if text.contains('\u{1b}') { anstream::adapter::strip_str(text).to_string().width() } else { text.width() }
}

/// The text cut to at most `most` columns, the cut marked by `…`.
pub(crate) fn fit(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut end = 0;
    // By what a reader takes for one character: half a family or half a flag is another picture.
    for (start, cluster) in text.grapheme_indices(true) {
        let next = start + cluster.len();
        if columns(&text[..next]) + 1 > most {
            break;
        }
        end = next;
    }
    // A joiner left at the cut would glue the ellipsis to what stands before it.
    let kept = text[..end].trim_end_matches(['\u{200d}', '\u{200c}', ' ']);
    if most == 0 { String::new() } else { format!("{kept}…") }
}

/// The text followed by as many spaces as make it `least` columns wide.
pub(crate) fn pad(text: &str, least: usize) -> String {
    let missing = least.saturating_sub(columns(text));
    format!("{text}{:missing$}", "")
}

/// The text broken at spaces into lines of at most `most` columns; longer words stand alone, so that a link stays one,
/// but scripts that write no spaces are broken between characters.
///
/// Leading spaces of a line are kept, since in Markdown they mean something, and so are several spaces in a row, which
/// part columns.
pub(crate) fn wrap(text: &str, most: usize) -> Vec<String> {
    text.split('\n').flat_map(|line| wrap_line(line, indent(line), most)).collect()
}

/// One line broken like [`wrap`] does, with `hang` spaces before all but the first of the lines that it becomes.
pub(crate) fn wrap_hanging(line: &str, hang: usize, most: usize) -> Vec<String> {
    wrap_line(line, hang, most)
}

/// How many spaces a line begins with.
fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn wrap_line(line: &str, hang: usize, most: usize) -> Vec<String> {
    let hang = " ".repeat(hang);
    let mut lines = Vec::new();
    let mut current = " ".repeat(indent(line));
    let mut empty = true;
    let mut spaces = String::new();
    for word in line.trim_start_matches(' ').split(' ') {
        if word.is_empty() {
            spaces.push(' ');
            continue;
        }
        let gap = if empty { String::new() } else { format!("{} ", std::mem::take(&mut spaces)) };
        spaces.clear();
        let is_wide = word.graphemes(true).any(|cluster| columns(cluster) > 1);
        let too_long = columns(&current) + gap.len() + columns(word) > most;
        if is_wide && too_long {
            current.push_str(&gap);
            for cluster in word.graphemes(true) {
                if columns(&current) + columns(cluster) > most && !current.trim().is_empty() {
                    let full = std::mem::replace(&mut current, hang.clone());
                    lines.push(full.trim_end().to_owned());
                }
                current.push_str(cluster);
            }
            empty = false;
            continue;
        }
        if !empty && too_long {
            lines.push(std::mem::replace(&mut current, hang.clone()));
            empty = true;
        }
        if !empty {
            current.push_str(&gap);
        }
        current.push_str(word);
        empty = false;
    }
    lines.push(if empty { String::new() } else { current });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_count_two_columns() {
        assert_eq!(columns("山田"), 4);
        assert_eq!(columns("👩‍💻"), 2);
        assert_eq!(columns("e\u{301}"), 1);
    }

    #[test]
    fn a_cut_never_exceeds_the_width_nor_splits_a_wide_character() {
        for text in ["山田太郎", "Grace Hopper", "👩‍💻👩‍💻👩‍💻", "aé山x", "👨‍👩‍👧‍👦 family"]
        {
            for most in 0..12 {
                let cut = fit(text, most);
                assert!(columns(&cut) <= most, "{cut:?} is wider than {most}");
            }
        }
        assert_eq!(fit("山田太郎", 6), "山田…");
        assert_eq!(fit("Grace Hopper", 7), "Grace…");
        assert_eq!(fit("🇦🇹🇫🇷🇮🇹", 4), "🇦🇹…", "no half of a flag");
        assert_eq!(fit("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…", "no letter without its accent");
        assert_eq!(fit("مریم میرزاخانی", 5), "مریم…");
        assert_eq!(fit("Ada", 3), "Ada");
    }

    #[test]
    fn padding_counts_columns_not_bytes() {
        assert_eq!(pad("山", 4), "山  ");
        assert_eq!(pad("long", 2), "long");
    }

    #[test]
    fn colours_take_no_room_and_later_lines_can_hang() {
        assert_eq!(columns("\u{1b}[1mAda\u{1b}[0m"), 3);
        let painted = "\u{1b}[2mmail\u{1b}[0m   ada@example  work";
        assert_eq!(wrap_hanging(painted, 7, 20), ["\u{1b}[2mmail\u{1b}[0m   ada@example", "       work"]);
        assert_eq!(wrap_hanging(painted, 7, 40), [painted]);
    }

    #[test]
    fn wrapping_keeps_every_word_blank_lines_and_indents() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a\n\nb", 10), ["a", "", "b"]);
        assert_eq!(wrap("  - one two", 8), ["  - one", "  two"]);
        assert_eq!(wrap("unbreakable", 4), ["unbreakable"]);
        assert_eq!(wrap("  mail   ada  work", 16), ["  mail   ada", "  work"]);
        assert_eq!(wrap("会議で山田さん", 6), ["会議で", "山田さ", "ん"]);
        assert_eq!(wrap("met 山田太郎 here", 8), ["met 山田", "太郎", "here"]);
    }
}
