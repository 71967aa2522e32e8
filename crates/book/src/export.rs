//! People as other programs read them.

use serde_json::Value;
use ties_model::{Note, OrganizationRecord, Person};

use crate::api::{BookError, ExportFormat, ExportOptions, Exported, ExportedFile, PeoplePage, PhotoChoice};
use crate::handle::Shown;
use crate::id::Id;
use crate::import::as_card;
use crate::list::{self, Filter, person_row_among};
use crate::people::{loaded, updated};
use crate::rows::{self, Rows};
use crate::vcard::{CardNote, Dialect};
use crate::{jscontact, vcard};

/// The people that pass, in a format. The same bytes on every device with the same data.
pub(crate) fn people(rows: &dyn Rows, options: ExportOptions, filter: &Filter) -> Result<Exported, BookError> {
    let (people, _) = list::people(rows, filter, 0, None)?;
    let mut shown = Shown::new(rows);
    let mut exported = Exported { people: people.len(), ..Exported::default() };
    let mut text = String::new();
    for (id, entry) in &people {
        let mut record = Record::read(rows, *id)?;
        exported.photos_left_out += record.choose_photos(options.photo);
        let card = match dialect(options.format) {
            Some(dialect) => record.vcard(dialect),
            None => record.card().to_string(),
        };
        if options.split {
            let name = shown.of(*id, &entry.handle)?;
            exported.files.push(ExportedFile { name: file_name(&name, options.format), bytes: card.into_bytes() });
        } else if options.format == ExportFormat::Json {
            text.push_str(if text.is_empty() { "[\n" } else { ",\n" });
            text.push_str(&card);
        } else {
            text.push_str(&card);
        }
    }
    // A filter chooses people.
    let organizations = if *filter == Filter::default() { rows::ids(rows, b"c")? } else { Vec::new() };
    for id in organizations {
        let Some(mut record) = Record::of_organization(rows, id)? else { continue };
        exported.photos_left_out += record.choose_photos(options.photo);
        let card = match dialect(options.format) {
            Some(dialect) => record.vcard(dialect),
            None => {
                let mut card = record.card();
                card["kind"] = "org".into();
                card.to_string()
            }
        };
        if options.split {
            let name = format!("organization-{}", id.short(rows)?);
            exported.files.push(ExportedFile { name: file_name(&name, options.format), bytes: card.into_bytes() });
        } else if options.format == ExportFormat::Json {
            text.push_str(if text.is_empty() { "[\n" } else { ",\n" });
            text.push_str(&card);
        } else {
            text.push_str(&card);
        }
    }
    if !options.split {
        if options.format == ExportFormat::Json {
            text.push_str(if text.is_empty() { "[]\n" } else { "\n]\n" });
        }
        exported.files.push(ExportedFile { name: String::new(), bytes: text.into_bytes() });
    }
    Ok(exported)
}

fn dialect(format: ExportFormat) -> Option<Dialect> {
    match format {
        ExportFormat::Json => None,
        ExportFormat::Vcf => Some(Dialect::V4),
        ExportFormat::Vcf3 => Some(Dialect::V3),
        ExportFormat::Apple => Some(Dialect::Apple),
        ExportFormat::Google => Some(Dialect::Google),
        ExportFormat::Outlook => Some(Dialect::Outlook),
    }
}

/// A handle as the name of a file. What no file system takes, handles do not hold; this makes sure of it.
fn file_name(handle: &str, format: ExportFormat) -> String {
    let plain = |c: char| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let stem: String = handle.chars().map(plain).collect();
    let extension = if format == ExportFormat::Json { "json" } else { "vcf" };
    format!("{}.{extension}", if stem.is_empty() { "x" } else { &stem })
}

/// A page of the list of people, with their cards if wanted.
pub(crate) fn page(
    rows: &dyn Rows,
    filter: &Filter,
    offset: usize,
    limit: Option<usize>,
    cards: bool,
) -> Result<PeoplePage, BookError> {
    let (people, more) = list::people(rows, filter, offset, limit)?;
    let mut shown = Shown::new(rows);
    let mut page = PeoplePage { people: Vec::with_capacity(people.len()), more };
    for (id, entry) in people {
        let mut row = person_row_among(&mut shown, id, &entry)?;
        if cards {
            row.card = Some(card(rows, id)?);
        }
        page.people.push(row);
    }
    Ok(page)
}

/// The JSContact card of a person, with our own block.
pub(crate) fn card(rows: &dyn Rows, id: Id) -> Result<Value, BookError> {
    Record::read(rows, id).map(|record| record.card())
}

/// A person with everything about them.
struct Record {
    id: String,
    person: Person,
    notes: Vec<(String, Note)>,
    updated: Option<String>,
}

impl Record {
    fn read(rows: &dyn Rows, id: Id) -> Result<Self, BookError> {
        let (document, _) = loaded(rows, id)?;
        let notes = list::notes_about(rows, id)?.into_iter().map(|(note, text)| (note.to_string(), text)).collect();
        Ok(Self { id: id.to_string(), person: Person::read(&document), notes, updated: updated(&document) })
    }

    /// An organization as the card that it goes out as.
    fn of_organization(rows: &dyn Rows, id: Id) -> Result<Option<Self>, BookError> {
        let Some(document) = rows.document(id)? else { return Ok(None) };
        let notes = list::notes_about(rows, id)?.into_iter().map(|(note, text)| (note.to_string(), text)).collect();
        let person = as_card(&OrganizationRecord::read(&document));
        Ok(Some(Self { id: id.to_string(), person, notes, updated: updated(&document) }))
    }

    fn card(&self) -> Value {
        let notes: Vec<(&str, &Note)> = self.notes.iter().map(|(id, note)| (id.as_str(), note)).collect();
        jscontact::card(&self.id, &self.person, &notes, self.updated.as_deref())
    }

    fn vcard(&self, dialect: Dialect) -> String {
        let notes = self.notes.iter().map(|(_, note)| CardNote {
            body: note.body.clone(),
            group: note.group.clone(),
            params: note.params.clone(),
        });
        vcard::write(&self.person, &notes.collect::<Vec<_>>(), &self.id, dialect)
    }

    /// Takes away the photos that are not wanted, and says how many.
    fn choose_photos(&mut self, choice: PhotoChoice) -> usize {
        let before = self.person.extra.len();
        self.person.extra.retain(|_, line| match (choice, vcard::photo_size(line)) {
            (PhotoChoice::Full, _) | (_, None) => true,
            (PhotoChoice::Small, Some(size)) => size <= SMALL_PHOTO,
            (PhotoChoice::None, Some(_)) => false,
        });
        before - self.person.extra.len()
    }
}

/// The largest photo that Exchange takes in: 48 KB in base64 (MS-ASCNTC 2.2.2.58).
const SMALL_PHOTO: usize = 36_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_the_handle() {
        assert_eq!(file_name("ada-2", ExportFormat::Vcf), "ada-2.vcf");
        assert_eq!(file_name("王明", ExportFormat::Json), "王明.json");
        assert_eq!(file_name("../a b", ExportFormat::Apple), "---a-b.vcf");
    }
}
