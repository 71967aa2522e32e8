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
use crate::groups;
use crate::id::Id;
use crate::list;
use crate::projection::shown_name;
use crate::rows;
use crate::vcard::{CardNote, Contents, Group, ImportedCard, NOTE_GAP, TooLarge};

/// An import under way: what is left to take in, and what came of the rest.
pub(crate) struct Import {
    cards: std::vec::IntoIter<ImportedCard>,
    total: u64,
    groups: Vec<Group>,
    /// What this import made; a second card with the id of a first adds its notes alone.
    made: BTreeSet<Id>,
    report: ImportReport,
}

impl Import {
    /// Reads a file. Cards that cannot be read are in the report, the rest is to be taken in.
    pub(crate) fn read(file_name: &str, bytes: &[u8], dry_run: bool) -> Result<Self, BookError> {
        let mut report = ImportReport { file_name: file_name.to_owned(), dry_run, ..ImportReport::default() };
        let refused = |error: TooLarge| BookError::new(ErrorKind::Failed, format!("{file_name}: {error}"));
        let Contents { cards, groups, rejects } = Contents::read(bytes).map_err(refused)?;
        let notices = cards.iter().flat_map(|card| &card.notices);
        report.warnings = notices.map(|one| Reject { line: one.line, reason: one.text.clone() }).collect();
        report.rejects = rejects.into_iter().map(|one| Reject { line: one.line, reason: one.reason }).collect();
        if cards.is_empty()
            && groups.is_empty()
            && !bytes.windows(MARK.len()).any(|text| text.eq_ignore_ascii_case(MARK))
        {
            return Err(BookError::new(ErrorKind::Failed, format!("{file_name} holds no vCard"))
                .hint("a vCard file has lines BEGIN:VCARD and END:VCARD"));
        }
        let total = cards.len() as u64;
        Ok(Self { cards: cards.into_iter(), total, groups, made: BTreeSet::new(), report })
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
        if taken == 0 {
            // Only now everybody is in whom a group may name.
            for group in std::mem::take(&mut self.groups) {
                self.report.warnings.push(groups::tag(desk, &group)?);
            }
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
        // Asked first: of somebody who is here no document needs to be looked at.
        let known = self.made.contains(&id) || rows::person(desk, id)?.is_some();
        if !known && desk.seed_record(id, &Seed::Person(Box::new(person)))? {
            self.made.insert(id);
            self.report.people_created += 1;
        } else if known {
            self.report.people_known += 1;
            // A note that was edited or written here comes back from an export under another id.
            let notes = list::notes_about(desk, id)?.into_iter().map(|(_, note)| note.body.trim().to_owned());
            let notes: Vec<String> = notes.collect();
            // So does a text of all of them, from an export for a program that reads but one.
            present.insert(notes.join(NOTE_GAP));
            present.extend(notes);
        } else {
            self.report.removed_before.push(name);
            return Ok(());
        }
        for CardNote { body, group, params } in &card.notes {
            let body = body.trim();
            if body.is_empty() || present.contains(body) {
                continue;
            }
            let note = Note {
                refs: [Reference::person(id)].into(),
                body: body.to_owned(),
                group: group.clone(),
                params: params.clone(),
                source: Source { kind: SOURCE.to_owned(), ..Source::default() },
                ..Note::default()
            };
            // The seed holds nothing but what the id covers: two seeds of one note would be two texts, and the edits
            // of one of them would be lost.
            if desk.seed_record(note_id(id, &note), &Seed::Note(Box::new(note)))? {
                self.report.notes_created += 1;
            }
        }
        Ok(())
    }
}

/// The id of the person that a card is about.
///
/// A person who is here under the very UUID that the card has for a UID went out with an export and comes back.
pub(crate) fn person_id(desk: &dyn Desk, stable_key: &str) -> Result<Id, BookError> {
    if let Some(id) = stable_key.strip_prefix("uid:urn:uuid:").and_then(|id| id.parse().ok())
        && rows::person(desk, id)?.is_some()
    {
        return Ok(id);
    }
    Ok(Id::imported(SOURCE, stable_key))
}

/// The id of an imported note: of whom and what.
fn note_id(person: Id, note: &Note) -> Id {
    let mut hash = Sha256::new_with_prefix(note.body.as_bytes());
    if !note.group.is_empty() || !note.params.is_empty() {
        hash.update(format!("\0{}\0{}", note.group, note.params));
    }
    let mut key = format!("{person}\0");
    for byte in hash.finalize() {
        let _ = write!(key, "{byte:02x}");
    }
    Id::imported("vcard-note", &key)
}

/// About how much of a transaction a card needs.
fn size(card: &ImportedCard) -> usize {
    let extra: usize = card.person.extra.values().map(String::len).sum();
    let notes: usize = card.notes.iter().map(|note| note.body.len()).sum();
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
    use crate::api::ExportOptions;
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

    const GROUP: &str = "BEGIN:VCARD\nVERSION:3.0\nN:Friends\nFN:Friends\nX-ADDRESSBOOKSERVER-KIND:group\n\
        X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:018f0000-0000-7000-8000-00000000000a\nMEMBER:mailto:Grace@navy.example\n\
        MEMBER:urn:uuid:018f0000-0000-7000-8000-00000000000b\nNOTE:x\nEND:VCARD\n";

    const MEMBERS: &str = "BEGIN:VCARD\nUID:018F0000-0000-7000-8000-00000000000A\nFN:Ada\nEND:VCARD\n\
        BEGIN:VCARD\nFN:Grace Hopper\nEMAIL:grace@navy.example\nEND:VCARD\n";

    fn tags(desk: &MemoryDesk, who: &str) -> Vec<String> {
        let id = resolve::person(desk, who).unwrap();
        people::show(desk, id).unwrap().row.tags
    }

    #[test]
    fn the_members_of_a_group_get_its_name_as_a_tag() {
        for files in [vec![format!("{GROUP}{MEMBERS}")], vec![MEMBERS.to_owned(), GROUP.to_owned()]] {
            let mut desk = MemoryDesk::new();
            let report = files.iter().map(|file| import(&mut desk, file)).last().unwrap();
            assert_eq!(report.rejects, []);
            let told = "the group Friends: its members have the tag of that name (2); not in this book: 1; 1 of its own \
                        properties were left out";
            assert_eq!(report.warnings.iter().map(|one| one.reason.as_str()).collect::<Vec<_>>(), [told]);
            assert_eq!((tags(&desk, "ada"), tags(&desk, "grace")), (vec!["Friends".into()], vec!["Friends".into()]));
            let rows = desk.rows.clone();
            files.iter().for_each(|file| drop(import(&mut desk, file)));
            assert_eq!(desk.rows, rows, "a second time changes nothing");
        }
    }

    #[test]
    fn two_people_without_a_uid_and_of_one_name_are_two() {
        let mut desk = MemoryDesk::new();
        let file = "BEGIN:VCARD\nFN:Mom\nADR:;;1 Street;;;;\nEND:VCARD\nBEGIN:VCARD\nFN:Mom\nADR:;;2 Street;;;;\n\
            END:VCARD\nBEGIN:VCARD\nFN:Mom\nADR:;;1 Street;;;;\nEND:VCARD\n";
        assert_eq!((import(&mut desk, file).people_created, import(&mut desk, file).people_created), (2, 0));
        let first = "BEGIN:VCARD\nFN:Mom\nADR:;;1 Street;;;;\nEND:VCARD\n";
        assert_eq!(import(&mut desk, first).people_known, 1);
    }

    #[test]
    fn two_different_cards_with_one_uid_are_reported() {
        let mut desk = MemoryDesk::new();
        let file = "BEGIN:VCARD\nUID:1\nFN:Ada\nEND:VCARD\nBEGIN:VCARD\nUID:1\nFN:Bob\nNOTE:n\nEND:VCARD\n";
        let report = import(&mut desk, file);
        assert_eq!((report.people_created, report.notes_created), (1, 1));
        assert_eq!((report.warnings.len(), report.warnings[0].line), (1, 5));
    }

    #[test]
    fn what_notes_say_beside_their_text_survives_an_edit() {
        let mut desk = MemoryDesk::new();
        import(
            &mut desk,
            "BEGIN:VCARD\nFN:Ada\nNOTE;LANGUAGE=de;X-A=\"b;c\":Tee\ng.NOTE:Kuchen\ng.X-ODD:1\nEND:VCARD\n",
        );
        let ada = resolve::person(&desk, "ada").unwrap();
        for (id, mut note) in list::notes_about(&desk, ada).unwrap() {
            note.body.push('!');
            desk.change(id, &mut |tx| note.write(tx).map(drop)).unwrap();
        }
        let exported = crate::export::people(&desk, Default::default(), &list::Filter::default()).unwrap();
        let text = String::from_utf8(exported.files[0].bytes.clone()).unwrap();
        for line in ["NOTE;LANGUAGE=de;X-A=\"b;c\":Tee!", "g.NOTE:Kuchen!", "g.X-ODD:1"] {
            assert!(text.contains(&format!("\r\n{line}\r\n")), "{line} in {text}");
        }
    }

    #[test]
    fn a_card_from_an_export_for_one_program_brings_no_new_notes() {
        let mut desk = MemoryDesk::new();
        import(&mut desk, FILE);
        let options = ExportOptions { format: crate::api::ExportFormat::Apple, ..ExportOptions::default() };
        let exported = crate::export::people(&desk, options, &list::Filter::default()).unwrap();
        let text = String::from_utf8(exported.files[0].bytes.clone()).unwrap();
        assert!(
            text.contains("NOTE:Likes tea\\n\\nLikes trains") || text.contains("NOTE:Likes trains\\n\\nLikes tea"),
            "{text}"
        );
        let report = import(&mut desk, &text);
        assert_eq!((report.people_created, report.people_known, report.notes_created), (0, 2, 0));
    }
}
