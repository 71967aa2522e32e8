//! What was done here, and taking it back. The engine does it for any record; here it gets its names.

use std::collections::BTreeSet;

use automerge::Automerge;
use ties_engine::{DocumentId, Effect, Operation, OperationId, TakenBack, UndoError, View};
use ties_model::{DocumentKind, Note, OrganizationRecord, Person};

use crate::api::{BookError, ErrorKind, Event, Face, OperationRow, Reply, Undo, UndoReport, UndoneRecord};
use crate::book::Book;
use crate::devices::instant;
use crate::engine::{fault, refused};
use crate::id::Id;
use crate::projection::{note_people, shown_name};

impl Book {
    pub(crate) fn operations(&self, limit: Option<usize>) -> Result<Reply, BookError> {
        let limit = limit.unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut more = false;
        let listed = self.space.operations(|operation| {
            more = found.len() == limit;
            if !more {
                found.push(operation);
            }
            !more
        });
        listed.map_err(fault)?;
        let operations = self.rows_of(found)?;
        Ok(Reply::Operations { operations, more })
    }

    pub(crate) fn undo(&self, which: &Undo, face: &mut dyn Face) -> Result<Reply, BookError> {
        let (label, which) = match which {
            Undo::Last(count) => ("undo", self.last(*count)?),
            Undo::One(id) => ("undo", vec![self.named(id)?]),
            Undo::Undo => ("redo", vec![self.redoable()?]),
        };
        let mut concerned = self.all(|operation| which.contains(&operation.id), which.len())?;
        if label == "redo" {
            concerned = self.originals(concerned)?;
        }
        let rows = self.rows_of(concerned)?;
        let mut progress = |done, total| {
            if total > WORTH_A_BAR {
                face.event(Event::Progress { what: label.to_owned(), done, total: Some(total) });
            }
        };
        let undone = self.space.undo(label, &which, &mut progress).map_err(|error| not_undone(error, &rows))?;
        self.report(rows, undone.operation, undone.documents).map(Reply::Undone)
    }

    fn last(&self, count: usize) -> Result<Vec<OperationId>, BookError> {
        if count == 0 {
            return Err(BookError::new(ErrorKind::Usage, "nothing is to be undone").hint("a count is 1 or more"));
        }
        let found = self.space.undoable(count).map_err(fault)?;
        match found.len() {
            0 => Err(BookError::new(ErrorKind::NotFound, "there is nothing to undo on this device")
                .hint("ties ops lists what was done here; what another device did is undone there")),
            there if there < count => {
                Err(BookError::new(ErrorKind::NotFound, format!("only {there} can be undone, not {count}"))
                    .hint("ties ops lists them"))
            }
            _ => Ok(found),
        }
    }

    fn redoable(&self) -> Result<OperationId, BookError> {
        self.space.redoable().map_err(fault)?.ok_or_else(|| {
            BookError::new(ErrorKind::NotFound, "there is nothing to redo: the last thing done was no undo")
                .hint("ties ops lists what was done; ties undo ID takes back an undo too")
        })
    }

    /// The operation whose id begins so.
    fn named(&self, id: &str) -> Result<OperationId, BookError> {
        let wanted = id.to_lowercase();
        if wanted.len() < SHORTEST {
            return Err(BookError::new(ErrorKind::Usage, format!("{id:?} is too short for an operation's id"))
                .hint(format!("give {SHORTEST} digits at least; ties ops lists them")));
        }
        let found = self.all(|operation| operation.id.to_string().starts_with(&wanted), usize::MAX)?;
        match found.as_slice() {
            [one] => Ok(one.id),
            [] => Err(BookError::new(ErrorKind::NotFound, format!("no operation of this device has the id {id}"))
                .hint("ties ops lists them")),
            several => {
                Err(BookError::new(ErrorKind::Ambiguous, format!("{} operations have ids like {id}", several.len()))
                    .hint("give more digits of it; ties ops --json shows all"))
            }
        }
    }

    /// What undos, and redos of undos, were about in the first place.
    fn originals(&self, mut operations: Vec<Operation>) -> Result<Vec<Operation>, BookError> {
        while operations.iter().any(|operation| !operation.undoes.is_empty()) {
            let numbers: BTreeSet<u64> = operations.iter().flat_map(|operation| operation.undoes.clone()).collect();
            operations = self.all(|operation| numbers.contains(&operation.number), numbers.len())?;
        }
        Ok(operations)
    }

    /// The newest operations that fit.
    fn all(&self, fits: impl Fn(&Operation) -> bool, most: usize) -> Result<Vec<Operation>, BookError> {
        let mut found = Vec::new();
        let listed = self.space.operations(|operation| {
            if fits(&operation) {
                found.push(operation);
            }
            found.len() < most
        });
        listed.map_err(fault)?;
        Ok(found)
    }

    fn rows_of(&self, operations: Vec<Operation>) -> Result<Vec<OperationRow>, BookError> {
        let view = self.view()?;
        let numbers: BTreeSet<u64> = operations.iter().flat_map(|operation| operation.undoes.iter().copied()).collect();
        let taken_back = self.all(|operation| numbers.contains(&operation.number), numbers.len())?;
        let rows = operations.into_iter().map(|operation| {
            let about = operation.first.iter().map(|id| label(&view, *id)).collect::<Result<BTreeSet<_>, _>>()?;
            let undoes = taken_back.iter().filter(|one| operation.undoes.contains(&one.number));
            Ok(OperationRow {
                id: operation.id.to_string(),
                at: instant(operation.time),
                what: if operation.label.is_empty() { "change".to_owned() } else { operation.label },
                about: about.into_iter().collect(),
                records: operation.documents as usize,
                undone: operation.undone,
                undoes: undoes.map(|one| one.id.to_string()).collect(),
                unfinished: !operation.complete,
            })
        });
        rows.collect()
    }

    fn report(
        &self,
        undone: Vec<OperationRow>,
        operation: Option<OperationId>,
        mut documents: Vec<TakenBack>,
    ) -> Result<UndoReport, BookError> {
        let count = |effect: Effect| documents.iter().filter(|one| one.effect == effect).count();
        let (removed, revived) = (count(Effect::Removed), count(Effect::Revived));
        let mut report = UndoReport {
            operation: operation.map(|id| id.to_string()),
            undone,
            removed,
            revived,
            changed: count(Effect::Changed),
            kept: documents.iter().filter(|one| !one.kept.is_empty()).count(),
            records: Vec::new(),
        };
        documents.retain(|one| one.effect != Effect::None || !one.kept.is_empty());
        documents.sort_by_key(|one| one.kept.is_empty());
        let view = self.view()?;
        for one in documents.into_iter().take(MOST_NAMED) {
            report.records.push(UndoneRecord {
                id: one.id.to_string(),
                label: label(&view, one.id)?,
                effect: effect(one.effect).to_owned(),
                restored: fields(&one.restored),
                kept: fields(&one.kept),
            });
        }
        Ok(report)
    }
}

fn not_undone(error: UndoError, rows: &[OperationRow]) -> BookError {
    match error {
        UndoError::Already => {
            let what = rows.iter().find(|row| row.undone).map(|row| row.what.as_str()).unwrap_or_default();
            BookError::new(ErrorKind::Failed, format!("{what:?} is undone already"))
                .hint("ties redo takes the last undo back")
        }
        UndoError::Edit(error) => refused(error),
        UndoError::Fault(error) => fault(error),
        error => BookError::new(ErrorKind::NotFound, error.to_string()).hint("ties ops lists what was done"),
    }
}

/// What a record is called, or was if it is deleted.
fn label(view: &View, id: DocumentId) -> Result<String, BookError> {
    let Some(document) = view.deleted_or_not(id).map_err(fault)? else { return Ok("a lost record".to_owned()) };
    label_of(view, &document)
}

/// What a record is called, from its document in hand.
pub(crate) fn label_of(view: &View, document: &Automerge) -> Result<String, BookError> {
    Ok(match DocumentKind::of(document) {
        Some(DocumentKind::Person) => person(document),
        Some(DocumentKind::Note) => note(view, document)?,
        Some(DocumentKind::Organization) => OrganizationRecord::read(document).name,
        None => "a record of a later version".to_owned(),
    })
}

fn person(document: &Automerge) -> String {
    shown_name(&Person::read(document))
}

fn note(view: &View, document: &Automerge) -> Result<String, BookError> {
    let Some(Id(about)) = note_people(&Note::read(document)).next() else { return Ok("a note".to_owned()) };
    let about = view.deleted_or_not(DocumentId(about)).map_err(fault)?;
    Ok(about.map_or_else(|| "a note".to_owned(), |about| format!("note about {}", person(&about))))
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Removed => "removed",
        Effect::Revived => "revived",
        Effect::Changed => "changed",
        Effect::None => "left",
    }
}

/// What the user calls the fields with these keys, each once.
fn fields(keys: &[String]) -> Vec<String> {
    let names: BTreeSet<&str> = keys.iter().map(|key| field(key)).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// What the user calls the field with this key.
pub(crate) fn field(key: &str) -> &str {
    match key.split('/').next().unwrap_or_default() {
        "keywords" => "tags",
        "tie" => "how met",
        "services" => "profiles",
        "anniversaries" => "dates",
        "body" => "text",
        "imported" => "what the source said",
        "refs" => "people",
        "deleted" => "deletion",
        "extra" => "other fields",
        "" => "something",
        other => other,
    }
}

/// How many digits of an operation's id there must be.
const SHORTEST: usize = 4;
/// More records than these take long enough to be told how far it is.
const WORTH_A_BAR: u64 = 100;
/// How many records a report names.
const MOST_NAMED: usize = 100;
