//! People as other programs read them.

use serde_json::Value;
use ties_model::{Note, Person};

use crate::api::{BookError, ExportFormat, PeoplePage};
use crate::handle::Shown;
use crate::id::Id;
use crate::list::{self, Filter, person_row_among};
use crate::people::{loaded, updated};
use crate::rows::Rows;
use crate::{jscontact, vcard};

/// The people that pass, in a format, and how many they are. The same bytes on every device with the same data.
pub(crate) fn people(rows: &dyn Rows, format: ExportFormat, filter: &Filter) -> Result<(Vec<u8>, usize), BookError> {
    let (people, _) = list::people(rows, filter, 0, None)?;
    let mut text = String::new();
    for (id, _) in &people {
        let record = Record::read(rows, *id)?;
        match format {
            ExportFormat::Vcf => text.push_str(&record.vcard()),
            ExportFormat::Json => {
                text.push_str(if text.is_empty() { "[\n" } else { ",\n" });
                text.push_str(&record.card().to_string());
            }
        }
    }
    if format == ExportFormat::Json {
        text.push_str(if text.is_empty() { "[]\n" } else { "\n]\n" });
    }
    Ok((text.into_bytes(), people.len()))
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

    fn card(&self) -> Value {
        let notes: Vec<(&str, &Note)> = self.notes.iter().map(|(id, note)| (id.as_str(), note)).collect();
        jscontact::card(&self.id, &self.person, &notes, self.updated.as_deref())
    }

    fn vcard(&self) -> String {
        let notes: Vec<&str> = self.notes.iter().map(|(_, note)| note.body.as_str()).collect();
        vcard::to_vcard4(&self.person, &notes, &self.id)
    }
}
