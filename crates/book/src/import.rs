//! Taking in the address books of other programs.
//!
//! Every record gets an id that follows from the source alone and a first state that follows from the record alone (a
//! seed), so that a file imported twice, or on two devices that have not met, makes one record and one text.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use ties_model::{Note, Reference, Seed, Source};

use crate::api::{BookError, ErrorKind, ImportReport, Reject};
use crate::desk::Desk;
use crate::fold::slug;
use crate::id::Id;
use crate::list;
use crate::projection::shown_name;
use crate::rows;
use crate::vcard::{self, ImportedCard};

/// An import under way: what is left to take in, and what came of the rest.
pub(crate) struct Import {
    cards: std::vec::IntoIter<ImportedCard>,
    total: u64,
    /// What this import made; a second card with the id of a first adds its notes alone.
    made: BTreeSet<Id>,
    report: ImportReport,
}

impl Import {
    /// Reads a file. Cards that cannot be read are in the report, the rest is to be taken in.
    pub(crate) fn read(file_name: &str, bytes: &[u8], dry_run: bool) -> Result<Self, BookError> {
        let mut report = ImportReport { file_name: file_name.to_owned(), dry_run, ..ImportReport::default() };
        let refused = |error: vcard::TooLarge| BookError::new(ErrorKind::Failed, format!("{file_name}: {error}"));
        let mut cards = Vec::new();
        for card in vcard::File::new(bytes).map_err(refused)?.cards() {
            match card {
                Ok(card) => {
                    let notices = card.notices.iter();
                    report.warnings.extend(notices.map(|one| Reject { line: one.line, reason: one.text.clone() }));
                    cards.push(card);
                }
                Err(reject) => report.rejects.push(Reject { line: reject.line, reason: reject.reason }),
            }
        }
        if cards.is_empty() && !bytes.windows(MARK.len()).any(|text| text.eq_ignore_ascii_case(MARK)) {
            return Err(BookError::new(ErrorKind::Failed, format!("{file_name} holds no vCard"))
                .hint("a vCard file has lines BEGIN:VCARD and END:VCARD"));
        }
        let total = cards.len() as u64;
        Ok(Self { cards: cards.into_iter(), total, made: BTreeSet::new(), report })
    }

    /// How many cards were taken in, and of how many.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.total - self.cards.len() as u64, self.total)
    }

    /// Takes in the next cards: as many as fit well into one transaction; `false` when there are none.
    pub(crate) fn take_some(&mut self, desk: &mut dyn Desk) -> Result<bool, BookError> {
        let mut room = BATCH_BYTES;
        let mut taken = 0;
        while taken < BATCH_CARDS && room > 0 {
            let Some(card) = self.cards.next() else { break };
            room = room.saturating_sub(size(&card));
            taken += 1;
            self.take(desk, card)?;
        }
        Ok(taken > 0)
    }

    /// What came of it.
    pub(crate) fn report(self) -> ImportReport {
        self.report
    }

    fn take(&mut self, desk: &mut dyn Desk, card: ImportedCard) -> Result<(), BookError> {
        let id = person_id(desk, &card.stable_key)?;
        let mut person = card.person;
        let name = shown_name(&person);
        person.handle = slug(&name);
        person.source.kind = SOURCE.to_owned();
        let mut present = BTreeSet::new();
        if desk.seed_record(id, &Seed::Person(Box::new(person)))? {
            self.made.insert(id);
            self.report.people_created += 1;
        } else if self.made.contains(&id) || rows::person(desk, id)?.is_some() {
            self.report.people_known += 1;
            // A note that was edited or written here comes back from an export under another id.
            present.extend(list::notes_about(desk, id)?.into_iter().map(|(_, note)| note.body.trim().to_owned()));
        } else {
            self.report.removed_before.push(name);
            return Ok(());
        }
        let bodies = card.notes.iter().map(|body| body.trim());
        for body in bodies.filter(|body| !body.is_empty() && !present.contains(*body)) {
            let note = Note {
                refs: [Reference::person(id)].into(),
                body: body.to_owned(),
                source: Source { kind: SOURCE.to_owned(), ..Source::default() },
                ..Note::default()
            };
            // The seed holds nothing but what the id covers: two seeds of one note would be two texts, and the edits
            // of one of them would be lost.
            if desk.seed_record(note_id(id, body), &Seed::Note(Box::new(note)))? {
                self.report.notes_created += 1;
            }
        }
        Ok(())
    }
}

/// The id of the person that a card is about.
///
/// A person who is here under the very UUID that the card has for a UID went out with an export and comes back.
fn person_id(desk: &dyn Desk, stable_key: &str) -> Result<Id, BookError> {
    if let Some(id) = stable_key.strip_prefix("uid:urn:uuid:").and_then(|id| id.parse().ok())
        && rows::person(desk, id)?.is_some()
    {
        return Ok(id);
    }
    Ok(Id::imported(SOURCE, stable_key))
}

/// The id of an imported note: of whom and what.
fn note_id(person: Id, body: &str) -> Id {
    let mut key = format!("{person}\0");
    for byte in Sha256::digest(body.as_bytes()) {
        let _ = write!(key, "{byte:02x}");
    }
    Id::imported("vcard-note", &key)
}

/// About how much of a transaction a card needs.
fn size(card: &ImportedCard) -> usize {
    let extra: usize = card.person.extra.values().map(String::len).sum();
    let notes: usize = card.notes.iter().map(String::len).sum();
    1_000 + extra + notes
}

/// What every vCard begins with.
const MARK: &[u8] = b"BEGIN:VCARD";

const SOURCE: &str = "vcard";

/// A transaction keeps all its documents in memory; these many are a fraction of a second and some ten megabytes.
const BATCH_CARDS: usize = 20_000;
const BATCH_BYTES: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::testing::MemoryDesk;
    use crate::people;
    use crate::resolve;

    const FILE: &str = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:urn:uuid:1\r\nFN:Ada Lovelace\r\nNOTE:Likes tea\r\nEND:VCARD\r\n\
        BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Grace Hopper\r\nN:Hopper;Grace;;;\r\nEMAIL:grace@navy.example\r\nEND:VCARD\r\n\
        BEGIN:VCARD\r\nVERSION:4.0\r\nUID:urn:uuid:1\r\nFN:Ada Lovelace\r\nNOTE:Likes trains\r\nEND:VCARD\r\n";

    fn import(desk: &mut MemoryDesk, file: &str) -> ImportReport {
        let mut import = Import::read("a.vcf", file.as_bytes(), false).unwrap();
        while import.take_some(desk).unwrap() {}
        assert_eq!(import.progress().0, import.progress().1);
        import.report()
    }

    #[test]
    fn a_file_goes_in_once() {
        let mut desk = MemoryDesk::new();
        let report = import(&mut desk, FILE);
        assert_eq!((report.people_created, report.people_known, report.notes_created), (2, 1, 2));
        let rows = desk.rows.clone();
        let report = import(&mut desk, FILE);
        assert_eq!((report.people_created, report.people_known, report.notes_created), (0, 3, 0));
        assert_eq!(desk.rows, rows);
        let ada = resolve::person(&desk, "ada-lovelace").unwrap();
        assert_eq!(people::show(&desk, ada).unwrap().notes.len(), 2);
    }

    #[test]
    fn two_devices_make_the_same_records() {
        let (mut one, mut other) = (MemoryDesk::new(), MemoryDesk::new());
        other.here.now_ms += 1_000_000;
        other.here.device = "other".into();
        import(&mut one, FILE);
        import(&mut other, FILE);
        assert_eq!(one.rows, other.rows);
    }

    #[test]
    fn who_was_deleted_stays_deleted_and_is_listed() {
        let mut desk = MemoryDesk::new();
        import(&mut desk, FILE);
        let ada = resolve::person(&desk, "ada-lovelace").unwrap();
        people::remove(&mut desk, ada).unwrap();
        let report = import(&mut desk, FILE);
        assert_eq!(report.removed_before, ["Ada Lovelace", "Ada Lovelace"]);
        assert_eq!((report.people_known, report.notes_created), (1, 0));
    }

    #[test]
    fn a_bad_card_is_listed_and_the_rest_goes_in() {
        let mut desk = MemoryDesk::new();
        let report = import(&mut desk, &format!("BEGIN:VCARD\r\nVERSION:4.0\r\nEND:VCARD\r\n{FILE}"));
        assert_eq!(report.people_created, 2);
        assert_eq!(report.rejects.len(), 1);
        assert_eq!(report.rejects[0].line, 1);
        assert_eq!(Import::read("x", b"Dear Ada", false).map(|_| ()).unwrap_err().kind, ErrorKind::Failed);
    }
}
