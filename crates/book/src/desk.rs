//! Where records are written: one transaction of the engine, as the operations of a book see it.

use automerge::transaction::Transaction;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use ties_model::{Created, Seed, WriteError};

use crate::api::{BookError, ErrorKind};
use crate::id::Id;
use crate::rows::Rows;
use crate::time::rfc3339;

/// A transaction under way: what it wrote it also reads, and all of it is kept or none.
pub(crate) trait Desk: Rows {
    /// Gives a document its first state, the same on every device that does this; `false` if it has one already, also
    /// if it was deleted since.
    fn seed(&mut self, id: Id, write: &mut Write<'_>) -> Result<bool, BookError>;

    /// As [`Self::seed`] with all of a record, for thousands of them: without a document.
    fn seed_record(&mut self, id: Id, record: &Seed) -> Result<bool, BookError> {
        self.seed(id, &mut |tx| record.write(tx))
    }

    /// Changes a document, which is made if it is not there.
    fn change(&mut self, id: Id, write: &mut Write<'_>) -> Result<(), BookError>;

    /// Deletes a document.
    fn delete(&mut self, id: Id) -> Result<(), BookError>;

    /// An id for a new record.
    fn fresh_id(&mut self) -> Result<Id, BookError>;

    /// When and where this is.
    fn here(&self) -> &Here;
}

/// What writes to a document.
pub(crate) type Write<'a> = dyn FnMut(&mut Transaction<'_>) -> Result<(), WriteError> + 'a;

/// When and where something is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Here {
    /// Milliseconds since 1970.
    pub(crate) now_ms: i64,
    /// The device's name.
    pub(crate) device: String,
}

impl Here {
    /// The marks of a record made here and now.
    pub(crate) fn created(&self) -> Created {
        Created { at: rfc3339(self.now_ms).unwrap_or_default(), device: self.device.clone() }
    }

    /// The time in the user's zone.
    pub(crate) fn now(&self) -> Result<Zoned, BookError> {
        let now = Timestamp::from_millisecond(self.now_ms);
        let now = now.map_err(|error| BookError::new(ErrorKind::Failed, "the clock is off").caused_by(error))?;
        Ok(now.to_zoned(TimeZone::system()))
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::collections::{BTreeMap, BTreeSet};

    use automerge::Automerge;
    use automerge::transaction::CommitOptions;

    use super::*;
    use crate::projection;
    use crate::rows::Scan;

    /// A desk in memory.
    #[derive(Default)]
    pub(crate) struct MemoryDesk {
        pub(crate) rows: BTreeMap<Vec<u8>, Vec<u8>>,
        pub(crate) documents: BTreeMap<Id, Automerge>,
        pub(crate) deleted: BTreeSet<Id>,
        pub(crate) here: Here,
        last_id: u64,
    }

    impl MemoryDesk {
        pub(crate) fn new() -> Self {
            let here = Here { now_ms: 1_795_341_600_000, device: "desk".into() };
            Self { here, ..Self::default() }
        }

        fn write(&mut self, id: Id, time: i64, write: &mut Write<'_>) {
            let document = self.documents.entry(id).or_default();
            let mut transaction = document.transaction();
            write(&mut transaction).unwrap();
            transaction.commit_with(CommitOptions::default().with_time(time));
            self.project(id);
        }

        fn project(&mut self, id: Id) {
            self.rows.retain(|key, _| !key.ends_with(&id.0));
            if let Some(document) = self.documents.get(&id).filter(|_| !self.deleted.contains(&id)) {
                self.rows.extend(projection::rows(id, document));
            }
        }
    }

    impl Rows for MemoryDesk {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BookError> {
            Rows::get(&self.rows, key)
        }

        fn scan(&self, prefix: &[u8]) -> Result<Scan<'_>, BookError> {
            self.rows.scan(prefix)
        }

        fn document(&self, id: Id) -> Result<Option<Automerge>, BookError> {
            Ok(self.documents.get(&id).filter(|_| !self.deleted.contains(&id)).cloned())
        }
    }

    impl Desk for MemoryDesk {
        fn seed(&mut self, id: Id, write: &mut Write<'_>) -> Result<bool, BookError> {
            let new = !self.documents.contains_key(&id);
            if new {
                self.write(id, 0, write);
            }
            Ok(new)
        }

        fn change(&mut self, id: Id, write: &mut Write<'_>) -> Result<(), BookError> {
            self.write(id, self.here.now_ms / 1000, write);
            Ok(())
        }

        fn delete(&mut self, id: Id) -> Result<(), BookError> {
            self.deleted.insert(id);
            self.project(id);
            Ok(())
        }

        fn fresh_id(&mut self) -> Result<Id, BookError> {
            self.last_id += 1;
            Ok(Id::imported("test", &self.last_id.to_string()))
        }

        fn here(&self) -> &Here {
            &self.here
        }
    }
}
