use std::iter::Peekable;

use super::{FIELD_LIMIT, LINE_LIMIT, Notice, PERSON_LIMIT};

/// The cards of a file as they lie in it, and what lies between them.
pub(super) struct Cards<'a> {
    lines: Peekable<PhysicalLines<'a>>,
}

/// A piece of a file.
pub(super) enum Piece {
    /// From `BEGIN:VCARD` to `END:VCARD`, or to where the next card or the end of the file cuts it off.
    Card(RawCard),
    /// Lines outside a card; `line` is the first of them.
    Noise { line: usize },
}

/// A card as content lines, unfolded but not yet decoded.
#[derive(Default)]
pub(super) struct RawCard {
    /// The line of `BEGIN:VCARD`, from 1.
    pub(super) line: usize,
    pub(super) lines: Vec<RawLine>,
    /// What was left out already here.
    pub(super) notices: Vec<Notice>,
    /// How many bytes its lines have.
    size: usize,
    /// Whether it has more than a person can hold; then it has no lines.
    pub(super) too_large: bool,
}

/// A content line: `group.NAME;PARAM=x:value`.
pub(super) struct RawLine {
    /// Its first physical line, from 1.
    pub(super) line: usize,
    pub(super) bytes: Vec<u8>,
    /// How many bytes did not fit into [`FIELD_LIMIT`]; such a line is never kept.
    cut: usize,
    /// How the header says that the value goes on without indentation; nothing while the header is not read to its end.
    encoding: Option<Encoding>,
}

/// How a value goes on in the next physical line, beside folding.
#[derive(Clone, Copy, PartialEq)]
enum Encoding {
    Plain,
    Quoted,
    Base64,
}

impl<'a> Cards<'a> {
    pub(super) fn new(file: &'a [u8]) -> Self {
        Self { lines: PhysicalLines::new(file).peekable() }
    }

    fn card(&mut self, line: usize) -> RawCard {
        let mut card = RawCard { line, ..RawCard::default() };
        let mut open: Option<RawLine> = None;
        loop {
            let Some((number, bytes)) = self.lines.peek().copied() else {
                card.notices.push(Notice::new(line, "the card has no END:VCARD; the file may have been cut off"));
                break;
            };
            if frame(bytes) == Some(Frame::Begin) {
                if !open.as_ref().is_some_and(RawLine::is_agent) {
                    card.notices.push(Notice::new(line, "the card has no END:VCARD"));
                    break;
                }
                let agent = self.agent(number);
                card.take(agent);
                open = None;
                continue;
            }
            self.lines.next();
            if frame(bytes) == Some(Frame::End) {
                break;
            }
            let taken = open.as_mut().is_some_and(|open| open.goes_on(bytes));
            if taken || bytes.trim_ascii().is_empty() {
                continue;
            }
            let mut new = RawLine::new(number);
            new.append(bytes);
            if let Some(done) = open.replace(new) {
                card.take(done);
            }
        }
        if let Some(done) = open {
            card.take(done);
        }
        card
    }

    /// vCard 2.1 may hold a whole card as the value of AGENT; 3.0 has it as a text, and so is it kept.
    fn agent(&mut self, number: usize) -> RawLine {
        let mut agent = RawLine::new(number);
        agent.append(b"AGENT:");
        // The lines of a card that holds an agent itself end with the END of the outer one.
        let mut depth = 0;
        let mut before: &[u8] = b"AGENT:";
        while let Some((_, bytes)) = self.lines.peek().copied() {
            match frame(bytes) {
                // Somebody forgot the END of the agent; the next card shall not be lost for that.
                Some(Frame::Begin) if !is_agent(before) => break,
                Some(Frame::Begin) => depth += 1,
                Some(Frame::End) => depth -= 1,
                _ => {}
            }
            self.lines.next();
            for &byte in bytes {
                match byte {
                    b'\\' | b',' | b';' => agent.append(&[b'\\', byte]),
                    _ => agent.append(&[byte]),
                }
            }
            agent.append(b"\\n");
            before = bytes;
            if depth == 0 {
                break;
            }
        }
        agent
    }
}

impl Iterator for Cards<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let mut noise = None;
        while let Some((line, bytes)) = self.lines.peek().copied() {
            match frame(bytes) {
                Some(Frame::Begin) if noise.is_some() => break,
                Some(Frame::Begin) => {
                    self.lines.next();
                    return Some(Piece::Card(self.card(line)));
                }
                Some(Frame::Wrapper) => {}
                _ if bytes.trim_ascii().is_empty() || is_preamble(bytes) => {}
                _ => noise = noise.or(Some(line)),
            }
            self.lines.next();
        }
        noise.map(|line| Piece::Noise { line })
    }
}

impl RawCard {
    fn take(&mut self, line: RawLine) {
        // A line that is cut is not kept, so it does not count.
        self.size += if line.cut == 0 { line.bytes.len() } else { 0 };
        if self.too_large || self.lines.len() >= LINE_LIMIT || self.size > PERSON_LIMIT {
            // Nothing of it is going to be used: it need not fill the memory.
            self.too_large = true;
            self.lines.clear();
            self.notices.clear();
            return;
        }
        if line.cut == 0 {
            return self.lines.push(line);
        }
        let head = line.bytes.split(|byte| b":;".contains(byte)).next().unwrap_or_default();
        let name: String = String::from_utf8_lossy(head).chars().take(40).collect();
        let size = (line.bytes.len() + line.cut).div_ceil(1024);
        self.notices.push(Notice::new(line.line, format!("{name} of {size} KiB was left out; the most is 64 KiB")));
    }
}

impl RawLine {
    fn new(line: usize) -> Self {
        Self { line, bytes: Vec::new(), cut: 0, encoding: None }
    }

    /// Takes the next physical line if it belongs to this content line.
    fn goes_on(&mut self, next: &[u8]) -> bool {
        match next {
            _ if self.bytes.ends_with(b"=") && self.encoding == Some(Encoding::Quoted) => {
                self.bytes.pop();
                self.append(next);
            }
            [b' ' | b'\t', rest @ ..] => self.append(rest),
            // vCard 2.1 breaks base64 without indenting it, and ends it by an empty line.
            _ if self.encoding == Some(Encoding::Base64) && is_base64(next) => self.append(next),
            _ => return false,
        }
        true
    }

    fn append(&mut self, bytes: &[u8]) {
        let room = FIELD_LIMIT.saturating_sub(self.bytes.len()).min(bytes.len());
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..room]);
        self.cut += bytes.len() - room;
        // Found once, in the new bytes alone: a line of ten million pieces must not be searched ten million times.
        if self.encoding.is_none() {
            let colon = self.bytes[before..].iter().position(|&byte| byte == b':');
            self.encoding = colon.map(|colon| Encoding::of(&self.bytes[..before + colon]));
        }
    }

    fn is_agent(&self) -> bool {
        is_agent(&self.bytes)
    }
}

impl Encoding {
    fn of(header: &[u8]) -> Self {
        let says = |word: &str| header.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
        match () {
            () if says("QUOTED-PRINTABLE") => Self::Quoted,
            () if says("BASE64") || says("ENCODING=B") => Self::Base64,
            () => Self::Plain,
        }
    }
}

fn is_agent(line: &[u8]) -> bool {
    line.len() < 64 && line.to_ascii_uppercase().starts_with(b"AGENT") && line.trim_ascii_end().ends_with(b":")
}

#[derive(Clone, Copy, PartialEq)]
enum Frame {
    Begin,
    End,
    Wrapper,
}

/// Whether a physical line begins or ends something.
fn frame(line: &[u8]) -> Option<Frame> {
    let line = line.strip_prefix(UTF8_MARK).unwrap_or(line);
    let first = line.first()?.to_ascii_uppercase();
    if first != b'B' && first != b'E' {
        return None;
    }
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, what) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
    let begins = name.eq_ignore_ascii_case(b"BEGIN");
    if !begins && !name.eq_ignore_ascii_case(b"END") {
        return None;
    }
    match what {
        _ if what.eq_ignore_ascii_case(b"VADDRESSBOOK") => Some(Frame::Wrapper),
        _ if !what.eq_ignore_ascii_case(b"VCARD") => None,
        _ if begins => Some(Frame::Begin),
        _ => Some(Frame::End),
    }
}

/// What some programs write before the first card, as if the file were a mail.
fn is_preamble(line: &[u8]) -> bool {
    let name = line.split(|&byte| byte == b':').next().unwrap_or_default().to_ascii_uppercase();
    line.contains(&b':') && (name == b"ENCODING" || name == b"MIME-VERSION" || name.starts_with(b"CONTENT-"))
}

fn is_base64(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    !line.is_empty() && line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
}

/// The lines of a file with their numbers, ended by LF or CRLF (or by CR alone in a file without any LF).
struct PhysicalLines<'a> {
    rest: Option<&'a [u8]>,
    end: u8,
    number: usize,
}

impl<'a> PhysicalLines<'a> {
    fn new(file: &'a [u8]) -> Self {
        let file = file.strip_prefix(UTF8_MARK).unwrap_or(file);
        let end = if file.contains(&b'\n') { b'\n' } else { b'\r' };
        Self { rest: Some(file), end, number: 0 }
    }
}

impl<'a> Iterator for PhysicalLines<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        self.number += 1;
        let line = match rest.iter().position(|&byte| byte == self.end) {
            Some(end) => {
                self.rest = Some(&rest[end + 1..]);
                &rest[..end]
            }
            None => {
                self.rest = None;
                rest
            }
        };
        Some((self.number, line.strip_suffix(b"\r").unwrap_or(line)))
    }
}

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &str) -> Vec<String> {
        let mut all = Vec::new();
        for piece in Cards::new(file.as_bytes()) {
            match piece {
                Piece::Noise { line } => all.push(format!("noise {line}")),
                Piece::Card(card) => {
                    all.push(format!("card {} ({})", card.line, card.notices.len()));
                    all.extend(card.lines.iter().map(|l| format!("{} {}", l.line, String::from_utf8_lossy(&l.bytes))));
                }
            }
        }
        all
    }

    #[test]
    fn cards_are_parted_and_lines_unfolded() {
        let file = "BEGIN:VCARD\r\nFN:Ada\r\n  Love\r\n\tlace\r\nEND:VCARD\r\n\r\nbegin:vcard\nFN:B\nend:vcard";
        assert_eq!(lines(file), ["card 1 (0)", "2 FN:Ada Lovelace", "card 7 (0)", "8 FN:B"]);
    }

    #[test]
    fn marks_wrappers_and_old_line_ends_are_known() {
        let file = "\u{feff}BEGIN:VADDRESSBOOK\rBEGIN:VCARD\rFN:A\rEND:VCARD\rEND:VADDRESSBOOK\r";
        assert_eq!(lines(file), ["card 2 (0)", "3 FN:A"]);
        assert_eq!(lines("\u{feff}BEGIN:VCARD\nFN:A\nEND:VCARD\n\u{feff}BEGIN:VCARD\nEND:VCARD").len(), 3);
    }

    #[test]
    fn a_missing_end_ends_with_the_next_card_or_the_file() {
        let file = "BEGIN:VCARD\nFN:A\nBEGIN:VCARD\nFN:B\n";
        assert_eq!(lines(file), ["card 1 (1)", "2 FN:A", "card 3 (1)", "4 FN:B"]);
    }

    #[test]
    fn what_lies_outside_is_noise() {
        let file = "Dear Sir,\nmy card:\nBEGIN:VCARD\nEND:VCARD\nEND:VCARD\n";
        assert_eq!(lines(file), ["noise 1", "card 3 (0)", "noise 5"]);
    }

    #[test]
    fn quoted_printable_and_base64_go_on_without_indentation() {
        let file = "BEGIN:VCARD\nNOTE;ENCODING=QUOTED-PRINTABLE:a=\nb=\n\nPHOTO;BASE64:AAAA\nBBB=\n\nTEL:1\nNOTE:x=\nFN:A\nEND:VCARD";
        let expected = ["card 1 (0)", "2 NOTE;ENCODING=QUOTED-PRINTABLE:ab", "5 PHOTO;BASE64:AAAABBB=", "8 TEL:1"];
        assert_eq!(lines(file)[..4], expected);
        assert_eq!(lines(file)[4..], ["9 NOTE:x=", "10 FN:A"]);
    }

    #[test]
    fn an_agents_card_is_kept_as_a_text() {
        let file = "BEGIN:VCARD\nFN:A\nAGENT:\nBEGIN:VCARD\nN:B;C\nEND:VCARD\nTEL:1\nEND:VCARD";
        let agent = "4 AGENT:BEGIN:VCARD\\nN:B\\;C\\nEND:VCARD\\n";
        assert_eq!(lines(file), ["card 1 (0)", "2 FN:A", agent, "7 TEL:1"]);
        let file = "BEGIN:VCARD\nAGENT:\nBEGIN:VCARD\nN:B\nBEGIN:VCARD\nFN:C\nEND:VCARD\n";
        assert_eq!(lines(file).last().unwrap(), "6 FN:C", "a card after one that never ends");
    }

    #[test]
    fn a_card_that_is_too_large_keeps_nothing() {
        let file = format!("BEGIN:VCARD\n{}END:VCARD\nBEGIN:VCARD\nFN:B\nEND:VCARD\n", "NOTE:x\n".repeat(5_000));
        let pieces: Vec<RawCard> = Cards::new(file.as_bytes())
            .filter_map(|piece| if let Piece::Card(card) = piece { Some(card) } else { None })
            .collect();
        assert!(pieces[0].too_large && pieces[0].lines.is_empty());
        assert!(!pieces[1].too_large && pieces[1].lines.len() == 1);
    }

    #[test]
    fn endless_folding_costs_time_in_proportion() {
        let header = format!("X;{}ENCODING=QUOTED-PRINTABLE:a=\n", "A".repeat(60_000));
        let file = format!("BEGIN:VCARD\n{header}{}END:VCARD\n", "=\n".repeat(300_000));
        let began = std::time::Instant::now();
        assert_eq!(lines(&file).len(), 2);
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }

    #[test]
    fn a_field_beyond_the_limit_is_left_out_and_mentioned() {
        let fold = format!("\n {}", "A".repeat(1000)).repeat(100);
        let file = format!("BEGIN:VCARD\nFN:A\nPHOTO;ENCODING=b:{fold}\nTEL:1\nEND:VCARD");
        assert_eq!(lines(&file), ["card 1 (1)", "2 FN:A", "104 TEL:1"]);
    }
}
