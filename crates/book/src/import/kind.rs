//! What a file is, by what it holds: its name proves nothing.

use std::cell::Cell;

use super::archive::{self, ArchiveError, Member};
use super::incoming::Piece;
use super::linkedin::{Export, is_connections, is_notes, other_file, plain_name};
use super::table::Table;
use super::{cards, google, text};
use crate::api::{BookError, ErrorKind};
use crate::vcard::Contents;

/// A file that was understood, to be read record by record.
pub(crate) struct Opened {
    content: Content,
    /// Files in it of which nothing is made yet.
    pub(crate) left: Vec<String>,
    /// What the user should know about the file as a whole.
    pub(crate) remarks: Vec<String>,
}

enum Content {
    Cards { contents: Cell<Contents>, total: u64 },
    LinkedIn(Export),
    Google(Table),
}

impl Opened {
    /// Looks at a file and finds out what it is.
    pub(crate) fn file(name: &str, bytes: &[u8]) -> Result<Self, BookError> {
        if bytes.len() > FILE_LIMIT {
            return Err(refused(name, &format!("it is larger than {} MiB", FILE_LIMIT >> 20))
                .hint("split it, or unpack it and import the folder"));
        }
        if bytes.trim_ascii().is_empty() {
            return Err(refused(name, "it is empty"));
        }
        if archive::is_zip(bytes) {
            let members = archive::unpack(bytes, reads).map_err(|error| bad_archive(name, &error))?;
            return Self::archive(name, members);
        }
        if let Some((_, what)) = OTHERS.iter().find(|(mark, _)| bytes.starts_with(mark)) {
            return Err(unknown(name, &format!("it is {what}")));
        }
        if begins_with_card(bytes) {
            return Self::cards(name, bytes);
        }
        let Some(decoded) = text::decode(bytes) else {
            return Err(unknown(name, "it is neither text nor an archive"));
        };
        if begins_with_card(decoded.text.as_bytes()) {
            return Self::cards(name, decoded.text.as_bytes());
        }
        let remarks = decoded.remark.into_iter().collect();
        let text = decoded.text.into_owned();
        match Self::table(text) {
            Ok(content) => Ok(Self { content, left: Vec::new(), remarks }),
            // A card somewhere in a text is still a card.
            Err(_) if holds_card(bytes) => Self::cards(name, bytes),
            Err(text) => Err(not_known(name, &text)),
        }
    }

    /// Takes the files of an export that was unpacked.
    pub(crate) fn archive(name: &str, members: Vec<Member>) -> Result<Self, BookError> {
        let mut export = Export { connections: None, notes: None };
        let (mut left, mut remarks, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for member in members {
            let plain = plain_name(&member.name);
            let place = match plain.as_str() {
                CONNECTIONS if export.connections.is_none() => &mut export.connections,
                NOTES if export.notes.is_none() => &mut export.notes,
                _ if plain.ends_with(".csv") => {
                    left.push(member.name);
                    continue;
                }
                _ => {
                    others.push(member.name);
                    continue;
                }
            };
            let inside = format!("{} in {name}", member.name);
            let bytes = member.bytes.unwrap_or_default();
            let decoded = text::decode(&bytes).ok_or_else(|| unknown(&inside, "it is no text"))?;
            remarks.extend(decoded.remark.map(|remark| format!("{}: {remark}", member.name)));
            let is_header = if plain == CONNECTIONS { is_connections } else { is_notes };
            let table = Table::find(decoded.text.into_owned(), is_header);
            *place = Some(table.map_err(|text| not_known(&inside, &text))?);
        }
        if export.connections.is_none() && export.notes.is_none() {
            left.append(&mut others);
            return Err(no_export(name, &left));
        }
        left.sort();
        Ok(Self { content: Content::LinkedIn(export), left, remarks })
    }

    fn cards(name: &str, bytes: &[u8]) -> Result<Self, BookError> {
        let contents = Contents::read(bytes).map_err(|error| refused(name, &error.to_string()))?;
        let total = (contents.cards.len() + contents.groups.len() + contents.rejects.len()) as u64;
        let content = Content::Cards { contents: Cell::new(contents), total };
        Ok(Self { content, left: Vec::new(), remarks: Vec::new() })
    }

    fn table(text: String) -> Result<Content, String> {
        let alone = |table| Export { connections: Some(table), notes: None };
        Table::find(text, is_connections)
            .map(|table| Content::LinkedIn(alone(table)))
            .or_else(|text| {
                let export = |table| Export { connections: None, notes: Some(table) };
                Table::find(text, is_notes).map(|table| Content::LinkedIn(export(table)))
            })
            .or_else(|text| Table::find(text, google::is_contacts).map(Content::Google))
    }

    /// What it is, for the user.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Cards { .. } => "vCard",
            Content::LinkedIn(_) => "LinkedIn",
            Content::Google(_) => "Google Contacts CSV",
        }
    }

    /// What its records are called in the ids and sources of records; never to be changed.
    pub(crate) fn source(&self) -> &'static str {
        match &self.content {
            Content::Cards { .. } => "vcard",
            Content::LinkedIn(_) => "linkedin",
            Content::Google(_) => "google",
        }
    }

    /// How many records there are, as far as can be told without reading them.
    pub(crate) fn total(&self) -> u64 {
        match &self.content {
            Content::Cards { total, .. } => *total,
            Content::LinkedIn(export) => export.total(),
            Content::Google(table) => table.total,
        }
    }

    /// Reads what the file holds, piece by piece, once.
    pub(crate) fn pieces(&self) -> Box<dyn Iterator<Item = Piece> + '_> {
        match &self.content {
            Content::Cards { contents, .. } => Box::new(cards::pieces(contents.take())),
            Content::LinkedIn(export) => Box::new(export.pieces()),
            Content::Google(table) => Box::new(google::pieces(table)),
        }
    }
}

/// Whether a file of that name in an archive or a folder is read.
pub(crate) fn reads(name: &str) -> bool {
    matches!(plain_name(archive::base_name(name)).as_str(), CONNECTIONS | NOTES)
}

fn begins_with_card(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    [CARD, b"BEGIN:VADDRESSBOOK"]
        .iter()
        .any(|mark| bytes.get(..mark.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(mark)))
}

fn holds_card(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).map(|line| line.trim_ascii_start());
    let begins = |line: &[u8]| line.get(..CARD.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(CARD));
    lines.any(begins)
}

fn refused(name: &str, why: &str) -> BookError {
    BookError::new(ErrorKind::Failed, format!("{name} cannot be imported")).caused_by(why)
}

fn unknown(name: &str, why: &str) -> BookError {
    refused(name, why).hint(KNOWN)
}

fn bad_archive(name: &str, error: &ArchiveError) -> BookError {
    let hint = match error {
        ArchiveError::Damaged(_) => "get it once more from where it came",
        ArchiveError::Encrypted(_) => "unpack it and import the folder",
        ArchiveError::Entries | ArchiveError::Large(_) => "it is no export of LinkedIn's",
    };
    refused(name, &error.to_string()).hint(hint)
}

/// A text of no kind that is known: says what was found instead of a header.
fn not_known(name: &str, text: &str) -> BookError {
    let named = |header: &[String]| header.iter().map(|cell| cell.to_lowercase()).collect::<Vec<_>>();
    let first = text.trim_start().chars().take(200).collect::<String>().to_ascii_uppercase();
    if first.starts_with("BEGIN:VCALENDAR") {
        return unknown(name, "it is a calendar (iCalendar), not contacts");
    }
    if let Some((_, what)) = TEXTS.iter().find(|(mark, _)| first.starts_with(mark)) {
        return unknown(name, &format!("it is {what}"));
    }
    let Some(header) = Table::likely_header(text) else {
        return unknown(name, "it holds neither cards nor a table");
    };
    let names = named(&header);
    if let Some(file) = other_file(&names) {
        return refused(name, &format!("it is LinkedIn's {file}, of which nothing is made yet"))
            .hint("from LinkedIn, Connections.csv and Notes.csv are taken in; keep the archive for later");
    }
    if names.iter().any(|cell| cell == "e-mail address") && names.iter().any(|cell| cell.starts_with("business ")) {
        return refused(name, "it is a CSV file of Outlook's, which is not read yet")
            .hint("in Outlook or at outlook.com, write the contacts as vCard files (.vcf) and import those");
    }
    let more = if header.len() > HEADER_SHOWN { ", …" } else { "" };
    let shown = header.iter().take(HEADER_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let shown: String = shown.chars().take(200).collect();
    unknown(name, &format!("its columns are of no program known here: {shown}{more}"))
}

fn no_export(name: &str, files: &[String]) -> BookError {
    if files.iter().any(|file| file == "[Content_Types].xml") {
        return refused(name, "it is an office document (Excel or the like)")
            .hint("save it as CSV (UTF-8) and import that");
    }
    let some = files.iter().take(HEADER_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let found = match files.len() {
        0 => "it has no files in it".to_owned(),
        _ => format!(
            "there is no Connections.csv in it, but {some}{}",
            if files.len() > HEADER_SHOWN { ", …" } else { "" }
        ),
    };
    refused(name, &found).hint("an archive or folder must be LinkedIn's; unpack others and import the files in them")
}

/// The largest file that is read.
const FILE_LIMIT: usize = 64 << 20;
const HEADER_SHOWN: usize = 8;
const CARD: &[u8] = b"BEGIN:VCARD";
const CONNECTIONS: &str = "connections.csv";
const NOTES: &str = "notes.csv";

const KNOWN: &str = "what is read: vCard files, LinkedIn's archive or its Connections.csv, Google Contacts' CSV";

/// Files that are no address books, by their first bytes.
const OTHERS: [(&[u8], &str); 8] = [
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an old Excel, Word or Outlook document; save it as CSV (UTF-8)"),
    (b"!BDN", "an Outlook data file; write the contacts as vCard files in Outlook"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
];

/// The same of texts, in capitals.
const TEXTS: [(&str, &str); 6] = [
    ("<!DOCTYPE HTML", "a web page"),
    ("<HTML", "a web page"),
    ("<?XML", "XML"),
    ("{", "JSON"),
    ("[", "JSON"),
    ("DN:", "LDIF"),
];
