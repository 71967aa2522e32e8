//! Taking in the address books of other programs.
//!
//! Every record gets an id that follows from the source alone and a first state that follows from the record alone (a
//! seed), so that a file imported twice, or on two devices that have not met, makes one record and one text. When a
//! source comes again and says something else, what the user did not touch follows it, and everything is reported.

mod archive;
mod cards;
mod google;
mod incoming;
mod kind;
mod linkedin;
mod table;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use ties_model::{Note, OrganizationRecord, Person, Reference, Reimport, Seed, Source};

use crate::api::{BookError, ImportChange, ImportReport, Reject};
use crate::desk::Desk;
use crate::fold::slug;
use crate::groups;
use crate::id::Id;
use crate::organizations;
use crate::projection::shown_name;
use crate::resolve;
use crate::rows::{self, Index};
use crate::vcard::NOTE_GAP;
use crate::{list, said};

pub(crate) use archive::Member;
pub(crate) use cards::as_card;
pub(crate) use kind::{Opened, reads};

use incoming::{Incoming, IncomingNote, Piece, Subject};

/// An import under way: what is left to take in, and what came of the rest.
pub(crate) struct Import<'a> {
    pieces: Box<dyn Iterator<Item = Piece> + 'a>,
    source: &'static str,
    done: u64,
    total: u64,
    /// What this import came upon, by id, with the key it has in the source; of two records of one id the first counts.
    seen: BTreeMap<Id, String>,
    report: ImportReport,
}

impl<'a> Import<'a> {
    /// Begins to take in a file.
    pub(crate) fn of(opened: &'a Opened, file_name: &str, dry_run: bool) -> Self {
        let remark = |reason: &String| Reject { line: 1, reason: reason.clone() };
        let report = ImportReport {
            file_name: file_name.to_owned(),
            kind: opened.kind().to_owned(),
            dry_run,
            left: opened.left.clone(),
            warnings: opened.remarks.iter().map(remark).collect(),
            ..ImportReport::default()
        };
        let (pieces, source, total) = (opened.pieces(), opened.source(), opened.total());
        Self { pieces, source, done: 0, total, seen: BTreeMap::new(), report }
    }

    /// How many records were taken in, and of how many.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.done, self.total.max(self.done))
    }

    /// Takes in the next records: as many as fit well into one transaction; `false` when there are none. Tells now and
    /// then how far it is.
    pub(crate) fn take_some(&mut self, desk: &mut dyn Desk, tell: &mut dyn FnMut(u64, u64)) -> Result<bool, BookError> {
        let mut room = BATCH_BYTES;
        let mut taken = 0;
        while taken < BATCH_RECORDS && room > 0 {
            let Some(piece) = self.pieces.next() else { break };
            taken += 1;
            self.done += 1;
            if self.done.is_multiple_of(TELL) {
                tell(self.done, self.total.max(self.done));
            }
            match piece {
                Piece::Record(incoming) => {
                    room = room.saturating_sub(size(&incoming));
                    self.take(desk, *incoming)?;
                }
                Piece::Group(group) => self.report.warnings.push(groups::tag(desk, &group)?),
                Piece::Hidden => self.report.hidden += 1,
                Piece::Reject(line, reason) => self.report.rejects.push(Reject { line, reason }),
            }
        }
        Ok(taken > 0)
    }

    /// What came of it.
    pub(crate) fn report(self) -> ImportReport {
        self.report
    }

    fn take(&mut self, desk: &mut dyn Desk, mut incoming: Incoming) -> Result<(), BookError> {
        let notices = std::mem::take(&mut incoming.notices);
        self.report.warnings.extend(notices.into_iter().map(|(line, reason)| Reject { line, reason }));
        let about = match &incoming.subject {
            Subject::Person(person) => self.person(desk, &incoming, person)?,
            Subject::Organization(record) => self.organization(desk, &incoming, record)?,
        };
        match about {
            Some((reference, new)) => self.notes(desk, &reference, new, &incoming.notes),
            None => Ok(()),
        }
    }

    /// Takes in a person; gives what notes about them are to refer to, and whether they are new.
    fn person(
        &mut self,
        desk: &mut dyn Desk,
        incoming: &Incoming,
        person: &Person,
    ) -> Result<Option<(Id, bool)>, BookError> {
        let id = self.person_id(desk, incoming, person)?;
        let mut person = person.clone();
        let name = shown_name(&person);
        person.handle = slug(&name);
        person.source.kind = self.source.to_owned();
        if self.again(id, incoming, &name) {
            // In a preview what came before may be undone already.
            if rows::person(desk, id)?.is_none() && !self.report.dry_run {
                self.report.removed_before.push(name);
                return Ok(None);
            }
            self.report.people_known += 1;
            return Ok(Some((id, false)));
        }
        // Asked first: of somebody who is here no change needs to be made up.
        let known = rows::person(desk, id)?.is_some();
        if !known && desk.seed_record(id, &Seed::Person(Box::new(person.clone())))? {
            self.report.people_created += 1;
            self.example(name);
            return Ok(Some((id, true)));
        }
        if !known {
            self.report.removed_before.push(name);
            return Ok(None);
        }
        let reimport = match desk.document(id)? {
            // A person who went out with an export and came back is no news from the source it was imported from.
            Some(document) if !incoming.partial && Person::read(&document).source.kind == self.source => {
                Reimport::of_person(&document, &person).map_err(unreadable)?
            }
            _ => None,
        };
        match reimport {
            Some(reimport) => {
                desk.change(id, &mut |tx| reimport.write(tx))?;
                let nothing = reimport.changes_nothing();
                let Reimport { base, theirs, merged, .. } = &reimport;
                let said = [base, theirs, merged].map(said::of_person);
                self.changed(&name, nothing, said);
            }
            None => self.report.people_known += 1,
        }
        Ok(Some((id, false)))
    }

    /// The id of the person that a record is about.
    fn person_id(&self, desk: &dyn Desk, incoming: &Incoming, person: &Person) -> Result<Id, BookError> {
        let id = match self.source {
            VCARD => person_id(desk, &incoming.key)?,
            source => Id::imported(source, &incoming.key),
        };
        if self.seen.contains_key(&id) || rows::person(desk, id)?.is_some() {
            return Ok(id);
        }
        for earlier in &incoming.earlier {
            let earlier = Id::imported(self.source, earlier);
            if rows::person(desk, earlier)?.is_some() {
                return Ok(earlier);
            }
        }
        let known = match self.source {
            LINKEDIN if !incoming.key.starts_with("in:") => self.met_that_day(desk, person)?,
            GOOGLE => self.of_that_name_and_point(desk, person)?,
            _ => None,
        };
        Ok(known.unwrap_or(id))
    }

    /// Who of that name became a connection on that day: a file of an earlier year has no profiles to tell people by.
    fn met_that_day(&self, desk: &dyn Desk, person: &Person) -> Result<Option<Id>, BookError> {
        if person.tie.met_on.is_none() {
            return Ok(None);
        }
        let of_name = resolve::by_name(desk, &person.name.full, Index::exactly)?;
        let same = |there: &Person| there.tie.met_on == person.tie.met_on && there.name.surname == person.name.surname;
        self.imported_here(desk, of_name, same)
    }

    /// Who of that name has one of these addresses or numbers.
    fn of_that_name_and_point(&self, desk: &dyn Desk, person: &Person) -> Result<Option<Id>, BookError> {
        let mails = person.emails.values().map(|one| &one.address);
        let mut reached = BTreeSet::new();
        for point in mails.chain(person.phones.values().map(|one| &one.number)) {
            reached.extend(resolve::by_point(desk, point)?);
        }
        self.imported_here(desk, reached.into_iter().collect(), |there| there.name.full == person.name.full)
    }

    fn imported_here(
        &self,
        desk: &dyn Desk,
        ids: Vec<Id>,
        same: impl Fn(&Person) -> bool,
    ) -> Result<Option<Id>, BookError> {
        for id in ids.into_iter().filter(|id| !self.seen.contains_key(id)) {
            let there = desk.document(id)?.map(|document| Person::read(&document));
            if there.is_some_and(|there| there.source.kind == self.source && same(&there)) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Takes in an organization.
    fn organization(
        &mut self,
        desk: &mut dyn Desk,
        incoming: &Incoming,
        record: &OrganizationRecord,
    ) -> Result<Option<(Id, bool)>, BookError> {
        // Somebody who imported the card as a person, before there were organizations, keeps the person.
        let as_person = Id::imported(self.source, &incoming.key);
        if rows::person(desk, as_person)?.is_some() {
            self.report.people_known += 1;
            return Ok(Some((as_person, false)));
        }
        let mut record = record.clone();
        record.source = Source { kind: self.source.to_owned(), hash: incoming.key.clone(), ..Source::default() };
        let id = self.organization_id(desk, &record)?;
        if self.again(id, incoming, &record.name) {
            self.report.organizations_known += 1;
            return Ok(Some((id, false)));
        }
        if desk.seed(id, &mut |tx| record.write(tx).map(drop))? {
            self.report.organizations_created += 1;
            self.example(record.name);
            return Ok(Some((id, true)));
        }
        if rows::organization(desk, id)?.is_none() {
            self.report.removed_before.push(record.name);
            return Ok(None);
        }
        // What went out with an export comes back as it is.
        let own = record.source.hash == format!("uid:urn:uuid:{id}");
        let document = desk.document(id)?.filter(|_| !own && !incoming.partial);
        let reimport = document.map(|document| Reimport::of_organization(&document, &record));
        match reimport.transpose().map_err(unreadable)?.flatten() {
            Some(reimport) => {
                desk.change(id, &mut |tx| reimport.write(tx))?;
                let nothing = reimport.changes_nothing();
                let Reimport { base, theirs, merged, .. } = &reimport;
                let said = [base, theirs, merged].map(said::of_organization);
                self.changed(&record.name, nothing, said);
            }
            None => self.report.organizations_known += 1,
        }
        Ok(Some((id, false)))
    }

    /// The id of an organization follows from its name. A second card of one name (another branch, another shop) is
    /// known by what tells it from others in the source.
    fn organization_id(&self, desk: &dyn Desk, record: &OrganizationRecord) -> Result<Id, BookError> {
        let id = organizations::id(&record.name);
        let key = &record.source.hash;
        let holder = match self.seen.get(&id) {
            Some(key) => key.clone(),
            None => rows::organization(desk, id)?.map(|entry| entry.source_key).unwrap_or_default(),
        };
        let free = holder.is_empty() || holder == *key || *key == format!("uid:urn:uuid:{id}");
        Ok(if free { id } else { Id::imported("organization-card", key) })
    }

    /// Whether this import came upon the record already.
    fn again(&mut self, id: Id, incoming: &Incoming, name: &str) -> bool {
        let again = self.seen.insert(id, incoming.key.clone()).is_some();
        if again && self.source != VCARD && !incoming.partial {
            let reason = format!("{name} is in the file twice; taken in once");
            self.report.warnings.push(Reject { line: incoming.line, reason });
        }
        again
    }

    /// Reports what a source says now that it did not say before.
    fn changed(&mut self, name: &str, nothing: bool, [base, theirs, merged]: [said::Said; 3]) {
        self.report.records_changed += usize::from(!nothing);
        self.report.records_kept += usize::from(nothing);
        for (field, now) in &theirs {
            let before = base.get(field).map(String::as_str).unwrap_or_default();
            if before == now || self.report.changes.len() >= MOST_CHANGES {
                continue;
            }
            let mine = merged.get(field).cloned().unwrap_or_default();
            self.report.changes.push(ImportChange {
                name: name.to_owned(),
                field: (*field).to_owned(),
                before: before.to_owned(),
                now: now.clone(),
                kept: (mine != *now).then_some(mine),
            });
        }
    }

    fn example(&mut self, name: String) {
        if self.report.examples.len() < EXAMPLES {
            self.report.examples.push(name);
        }
    }

    fn notes(&mut self, desk: &mut dyn Desk, about: &Id, new: bool, notes: &[IncomingNote]) -> Result<(), BookError> {
        if notes.iter().all(|note| note.body.trim().is_empty()) {
            return Ok(());
        }
        let reference = match rows::organization(desk, *about)? {
            Some(_) => Reference::organization(about),
            None => Reference::person(about),
        };
        // A note that was edited or written here comes back from an export under another id.
        let there = if new { Vec::new() } else { list::notes_about(desk, *about)? };
        let there: Vec<String> = there.into_iter().map(|(_, note)| note.body.trim().to_owned()).collect();
        // So does a text of all of them, from an export for a program that reads but one.
        let joined = there.join(NOTE_GAP);
        let present: BTreeSet<String> = there.into_iter().chain([joined]).collect();
        for incoming in notes {
            let body = incoming.body.trim();
            if body.is_empty() || present.contains(body) {
                continue;
            }
            let note = Note {
                refs: [reference.clone()].into(),
                body: body.to_owned(),
                at: incoming.at.clone(),
                group: incoming.group.clone(),
                params: incoming.params.clone(),
                source: Source { kind: self.source.to_owned(), ..Source::default() },
                ..Note::default()
            };
            // The seed holds nothing but what the id covers: two seeds of one note would be two texts, and the edits
            // of one of them would be lost.
            if desk.seed_record(self.note_id(*about, incoming), &Seed::Note(Box::new(note)))? {
                self.report.notes_created += 1;
            }
        }
        Ok(())
    }

    /// The id of an imported note: of whom, what and when.
    fn note_id(&self, about: Id, note: &IncomingNote) -> Id {
        let mut hash = Sha256::new_with_prefix(note.body.trim().as_bytes());
        if !note.group.is_empty() || !note.params.is_empty() {
            hash.update(format!("\0{}\0{}", note.group, note.params));
        }
        let mut key = format!("{about}\0");
        for byte in hash.finalize() {
            let _ = write!(key, "{byte:02x}");
        }
        if !note.at.is_empty() {
            let _ = write!(key, "\0{}", note.at);
        }
        Id::imported(&format!("{}-note", self.source), &key)
    }
}

fn unreadable(error: ties_model::WriteError) -> BookError {
    BookError::new(crate::api::ErrorKind::Failed, "the record cannot hold this").caused_by(error)
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
    Ok(Id::imported(VCARD, stable_key))
}

/// About how much of a transaction a record needs.
fn size(incoming: &Incoming) -> usize {
    let extra = match &incoming.subject {
        Subject::Person(person) => &person.extra,
        Subject::Organization(record) => &record.extra,
    };
    let extra: usize = extra.values().map(String::len).sum();
    let notes: usize = incoming.notes.iter().map(|note| note.body.len()).sum();
    1_000 + extra + notes
}

const VCARD: &str = "vcard";
const LINKEDIN: &str = "linkedin";
const GOOGLE: &str = "google";

/// A transaction keeps all its documents in memory; these many are a fraction of a second and some ten megabytes.
const BATCH_RECORDS: usize = 20_000;
/// Progress is told after so many records.
const TELL: u64 = 100;
const BATCH_BYTES: usize = 32 << 20;
/// How many new names a report tells.
const EXAMPLES: usize = 5;
/// How many changes a report tells; they are counted all the same.
const MOST_CHANGES: usize = 1_000;

#[cfg(test)]
mod tests;
