use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::lines::RawLine;

/// A content line: name, parameters and value, the value still escaped.
///
/// The encodings of vCard 2.1 (quoted-printable, character sets) are gone: the value is as vCard 4.0 would write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    /// The line in the file, from 1.
    pub(crate) line: usize,
    /// The group as written, or empty.
    pub(crate) group: String,
    /// The name as written.
    pub(crate) spelling: String,
    /// The name in upper case.
    pub(crate) name: String,
    /// The parameters in order.
    pub(crate) params: Vec<Param>,
    /// The value with its escapes.
    pub(crate) value: String,
}

/// A parameter of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Param {
    /// The name in upper case.
    pub(crate) name: String,
    /// Its values, unquoted.
    pub(crate) values: Vec<String>,
    /// The whole parameter as written; a bare word of vCard 2.1 has its name put before it.
    pub(crate) text: String,
}

impl Property {
    /// Reads a content line, or nothing if it has no name or no colon.
    pub(super) fn read(line: &RawLine) -> Option<Self> {
        Self::read_bytes(line.line, &line.bytes)
    }

    fn read_bytes(line: usize, bytes: &[u8]) -> Option<Self> {
        let (header, value) = split_header(bytes)?;
        let mut property = Self::named(line, &decode(header, None).replace(['\r', '\n'], ""))?;
        let charset = property.take("CHARSET").and_then(|param| param.values.into_iter().next());
        let encoding = property.take("ENCODING");
        let word = encoding.as_ref().and_then(|param| param.values.first()).map(|word| word.to_ascii_uppercase());
        property.value = match word.as_deref() {
            Some("QUOTED-PRINTABLE") => decode_quoted(value, charset.as_deref()),
            _ => one_line(decode(value, charset.as_deref())),
        };
        if matches!(word.as_deref(), Some("B" | "BASE64")) {
            property.params.extend(encoding);
        }
        Some(property)
    }

    /// The line in a line of the name `wrapper`, where that is one by the grammar and needs no wrapping; or the line as it is.
    pub(super) fn unwrapped(self, wrapper: &str) -> Self {
        let mut property = self;
        for _ in 0..DEEPEST {
            if property.name != wrapper {
                break;
            }
            let text = property.verbatim();
            let inner = Self::from_line(&text).filter(Self::is_well_formed);
            match inner.and_then(|_| Self::read_bytes(property.line, text.as_bytes())) {
                Some(inner) => property = inner,
                None => break,
            }
        }
        property
    }

    /// Reads a content line of our own keeping; see [`Property::to_line`].
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let bytes = line.as_bytes();
        let (header, value) = split_header(bytes)?;
        let mut property = Self::named(0, std::str::from_utf8(header).ok()?)?;
        property.value = std::str::from_utf8(value).ok()?.to_owned();
        Some(property)
    }

    fn named(line: usize, header: &str) -> Option<Self> {
        let mut parts = split_quoted(header, ';').into_iter();
        let name = parts.next()?.trim();
        // A dot with nothing before it is none that parts a group from a name.
        let (group, spelling) = name.split_once('.').filter(|(group, _)| !group.is_empty()).unwrap_or(("", name));
        if spelling.is_empty() {
            return None;
        }
        Some(Self {
            line,
            group: group.to_owned(),
            spelling: spelling.to_owned(),
            name: spelling.to_ascii_uppercase(),
            params: parts.filter_map(Param::read).collect(),
            value: String::new(),
        })
    }

    /// The property as one content line.
    pub(crate) fn to_line(&self) -> String {
        let mut line = String::new();
        if !self.group.is_empty() {
            line.push_str(&self.group);
            line.push('.');
        }
        line.push_str(&self.spelling);
        for param in &self.params {
            line.push(';');
            line.push_str(&param.text);
        }
        line.push(':');
        line.push_str(&self.value);
        line
    }

    /// Whether the line is one by RFC 6350's grammar, as far as names and quotes go.
    pub(crate) fn is_well_formed(&self) -> bool {
        // The underscore is no part of the grammar, but many programs write it and all read it.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let word = |text: &str| !text.is_empty() && text.bytes().all(plain);
        let encoded = self.params.iter().any(|param| param.name == "ENCODING");
        (self.group.is_empty() || word(&self.group))
            && word(&self.spelling)
            && self.params.iter().all(Param::is_well_formed)
            && (!encoded || is_base64(&self.value))
    }

    /// Takes the first parameter of that name away. All but TYPE may stand once: what says it again goes unheard.
    pub(super) fn take(&mut self, name: &str) -> Option<Param> {
        let at = self.params.iter().position(|param| param.name == name)?;
        let taken = self.params.remove(at);
        if name != "TYPE" {
            self.params.retain(|param| param.name != name);
        }
        Some(taken)
    }

    /// Takes the first parameter of that name away and gives its values as one text.
    pub(super) fn take_text(&mut self, name: &str) -> String {
        self.take(name).map(|param| param.values.join(",").trim().to_owned()).unwrap_or_default()
    }

    /// The parameters that are left, as written.
    pub(super) fn params_text(&self) -> String {
        let texts: Vec<&str> = self.params.iter().map(|param| param.text.as_str()).collect();
        texts.join(";")
    }

    /// The value as one text.
    pub(crate) fn text(&self) -> String {
        self.verbatim().trim().to_owned()
    }

    /// The value as text, with the blanks around it.
    pub(super) fn verbatim(&self) -> String {
        unescape(&self.value)
    }

    /// The value's parts between semicolons; commas within a part are joined by `joint`.
    pub(super) fn parts(&self, joint: &str) -> Vec<String> {
        self.lists().into_iter().map(|members| members.join(joint)).collect()
    }

    /// The value's parts between semicolons, each with its members between commas.
    pub(super) fn lists(&self) -> Vec<Vec<String>> {
        split_escaped(&self.value, ';').into_iter().map(members).collect()
    }

    /// The value's members between commas.
    pub(super) fn list(&self) -> Vec<String> {
        members(&self.value)
    }
}

fn members(text: &str) -> Vec<String> {
    let members = split_escaped(text, ',').into_iter().map(|member| unescape(member).trim().to_owned());
    members.filter(|member| !member.is_empty()).collect()
}

/// So often a line may be wrapped in another one.
const DEEPEST: usize = 8;

impl Param {
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let Some((name, value)) = text.split_once('=') else {
            let word = text.to_ascii_uppercase();
            // vCard 2.1 leaves names out where the value tells what it is.
            let name = match word.as_str() {
                "" => return None,
                "QUOTED-PRINTABLE" | "BASE64" | "8BIT" | "7BIT" => "ENCODING",
                "INLINE" | "URL" | "CID" | "CONTENT-ID" => "VALUE",
                _ => "TYPE",
            };
            return Some(Self::new(name, text));
        };
        let values = split_quoted(value, ',').into_iter().map(|value| decode_caret(&value.replace('"', "")));
        let name = name.trim().to_ascii_uppercase();
        (!name.is_empty()).then(|| Self { values: values.collect(), name, text: text.to_owned() })
    }

    fn is_well_formed(&self) -> bool {
        let Some((name, values)) = self.text.split_once('=') else { return false };
        let word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let value = |value: &str| match value.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"').is_some_and(|inner| !inner.contains('"')),
            None => !value.contains(['"', ';', ':']),
        };
        word && split_quoted(values, ',').into_iter().all(value) && !self.text.contains(char::is_control)
    }

    /// A parameter with several values, quoted as needed.
    pub(super) fn list<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
        let texts: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        Self { text: format!("{name}={}", texts.join(",")), name: name.to_owned(), values }
    }

    /// A parameter with one value, quoted as needed.
    pub(super) fn new(name: &str, value: &str) -> Self {
        Self::list(name, [value])
    }
}

/// A parameter's value as it may be written: in quotes if need be, with RFC 6868's carets.
fn quoted(value: &str) -> String {
    let value = value.replace('^', "^^").replace("\r\n", "\n").replace(['\n', '\r'], "^n").replace('"', "^'");
    match value.contains([',', ';', ':', ' ']) {
        true => format!("\"{value}\""),
        false => value,
    }
}

fn decode_caret(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        let decoded = match (c, chars.peek()) {
            ('^', Some('n')) => '\n',
            ('^', Some('^')) => '^',
            ('^', Some('\'')) => '"',
            _ => {
                text.push(c);
                continue;
            }
        };
        chars.next();
        text.push(decoded);
    }
    text
}

/// Writes a text as a value.
pub(crate) fn escape(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' | ',' | ';' => value.extend(['\\', c]),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' => value.push_str("\\n"),
            _ => value.push(c),
        }
    }
    value
}

/// Reads a value as a text.
pub(crate) fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        let plain = match (c, chars.peek()) {
            ('\\', Some('n' | 'N')) => '\n',
            ('\\', Some(&c @ ('\\' | ',' | ';' | ':'))) => c,
            ('\r', Some('\n')) => continue,
            ('\r', _) => {
                text.push('\n');
                continue;
            }
            _ => {
                text.push(c);
                continue;
            }
        };
        chars.next();
        text.push(plain);
    }
    text
}

/// Parts a value at a character that is not escaped.
fn split_escaped(value: &str, at: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (index, c) in value.char_indices() {
        if c == at && !escaped {
            parts.push(&value[start..index]);
            start = index + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&value[start..]);
    parts
}

/// Parts a header at a character outside quotes.
pub(super) fn split_quoted(header: &str, at: char) -> Vec<&str> {
    let mut quoted = false;
    let split = header.split(move |c: char| {
        quoted ^= c == '"';
        c == at && !quoted
    });
    split.collect()
}

/// Parts a line at the first colon outside quotes; where the quotes do not close, at the first colon.
fn split_header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut quoted = false;
    let outside = line.iter().position(|&byte| {
        quoted ^= byte == b'"';
        byte == b':' && !quoted
    });
    let colon = outside.or_else(|| line.iter().position(|&byte| byte == b':'))?;
    Some((&line[..colon], &line[colon + 1..]))
}

/// Bytes as text: in the character set that is named, else UTF-8 if they are that, else Windows-1252.
fn decode(bytes: &[u8], charset: Option<&str>) -> String {
    let named = charset.and_then(|label| Encoding::for_label(label.as_bytes())).filter(|&named| named != UTF_8);
    match (named, std::str::from_utf8(bytes)) {
        (None, Ok(text)) => text.to_owned(),
        (named, _) => named.unwrap_or(WINDOWS_1252).decode_without_bom_handling(bytes).0.into_owned(),
    }
}

/// A value in which a stray carriage return, or what a character set makes of a byte, has become an escape.
fn one_line(value: String) -> String {
    match value.contains(['\r', '\n']) {
        true => value.replace("\r\n", "\\n").replace(['\r', '\n'], "\\n"),
        false => value,
    }
}

/// A quoted-printable value as vCard 4.0 would write it.
///
/// The semicolons and commas that stand in it plainly are separators, those that come out of the decoding are text.
fn decode_quoted(value: &[u8], charset: Option<&str>) -> String {
    let mut decoded = String::with_capacity(value.len());
    let mut piece = Vec::new();
    let flush = |piece: &mut Vec<u8>, decoded: &mut String| {
        decoded.push_str(&escape(&decode(piece, charset)));
        piece.clear();
    };
    let mut rest = value;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, tail) {
            (b'=', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                piece.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = after;
            }
            // What vCard 2.1 escapes in the plain part is text as well.
            (b'\\', [c @ (b';' | b',' | b'\\' | b':'), after @ ..]) => {
                piece.push(*c);
                rest = after;
            }
            (b'\\', [b'n' | b'N', after @ ..]) => {
                piece.push(b'\n');
                rest = after;
            }
            (b';' | b',', _) => {
                flush(&mut piece, &mut decoded);
                decoded.push(char::from(*byte));
            }
            _ => piece.push(*byte),
        }
    }
    flush(&mut piece, &mut decoded);
    decoded
}

/// Whether the text is base64 to its last character.
pub(super) fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    text.len().is_multiple_of(4) && text.len() - digits.len() < 3 && digits.bytes().all(known)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| digit.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::super::lines::{Cards, Piece};
    use super::*;

    fn property(line: &[u8]) -> Property {
        let file = [b"BEGIN:VCARD\n", line, b"\nEND:VCARD"].concat();
        match Cards::new(&file).next() {
            Some(Piece::Card(card)) => Property::read(&card.lines[0]).unwrap(),
            _ => unreachable!(),
        }
    }

    #[test]
    fn group_name_parameters_and_value_are_parted() {
        let read = property(b"item1.Tel;type=CELL,\"a,b\";X-A=\"x:y;z\":+1\\;2");
        assert_eq!((read.group.as_str(), read.name.as_str(), read.spelling.as_str()), ("item1", "TEL", "Tel"));
        assert_eq!(read.params[0].values, ["CELL", "a,b"]);
        assert_eq!(read.params[1].values, ["x:y;z"]);
        assert_eq!((read.value.as_str(), read.text().as_str()), ("+1\\;2", "+1;2"));
        assert_eq!(read.to_line(), "item1.Tel;type=CELL,\"a,b\";X-A=\"x:y;z\":+1\\;2");
    }

    #[test]
    fn bare_words_get_their_names() {
        let read = property(b"TEL;HOME;VOICE:1");
        assert_eq!(read.to_line(), "TEL;TYPE=HOME;TYPE=VOICE:1");
    }

    #[test]
    fn quoted_printable_is_decoded_and_separators_stay_apart() {
        let read = property(b"N;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:M=C3=BCller;=4A=3B=2C;;");
        assert_eq!(read.parts(" "), ["Müller", "J;,", "", ""]);
        let read = property(b"NOTE;QUOTED-PRINTABLE:one=0D=0Atwo");
        assert_eq!(read.text(), "one\ntwo");
        assert_eq!(read.to_line(), "NOTE:one\\ntwo");
        assert_eq!(property(b"NOTE;ENCODING=QUOTED-PRINTABLE:50=ZZ=").text(), "50=ZZ=");
    }

    #[test]
    fn character_sets_are_decoded() {
        assert_eq!(property(b"FN;CHARSET=ISO-8859-1:M\xfcller").text(), "Müller");
        assert_eq!(property(b"FN:M\xfcller").text(), "Müller", "Windows-1252 unless it is UTF-8");
        assert_eq!(property("FN;CHARSET=utf-8:Müller".as_bytes()).text(), "Müller");
        let read = property(b"FN;CHARSET=SHIFT_JIS;ENCODING=QUOTED-PRINTABLE:=8E=52=93=63");
        assert_eq!(read.text(), "山田");
        assert_eq!(property(b"FN;CHARSET=no-such;X=1:a").to_line(), "FN;X=1:a");
    }

    #[test]
    fn quotes_that_do_not_close_hide_no_value() {
        assert_eq!(property(b"TEL;TYPE=\"CELL:123").value, "123");
    }

    #[test]
    fn carets_stand_for_what_a_parameter_cannot_hold() {
        let param = Param::new("LABEL", "a \"b\"\n^n;");
        assert_eq!(param.text, "LABEL=\"a ^'b^'^n^^n;\"");
        assert_eq!(property(format!("ADR;{}:x", param.text).as_bytes()).params[0].values, param.values);
    }

    #[test]
    fn escapes_read_back() {
        for text in ["", "a,b;c\\n\nd:", "\\", "C:\\temp", "ä\\,"] {
            assert_eq!(unescape(&escape(text)), text);
        }
        assert_eq!(unescape("http\\://a\\b"), "http://a\\b");
        assert_eq!(split_escaped("a\\;b;c\\\\;d", ';'), ["a\\;b", "c\\\\", "d"]);
    }
}
