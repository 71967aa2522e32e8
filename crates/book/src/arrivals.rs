//! What other devices changed, for a program that wants to know after a sync.

use std::time::Duration;

use crate::api::{BookError, Candidate, ChangedRecord};
use crate::book::Book;
use crate::id::Id;
use crate::resolve::{self, Record};

impl Book {
    /// The records that other devices changed in this process since this was asked last. What comes before the first
    /// question is not kept.
    ///
    /// # Errors
    /// When the book cannot be read.
    pub fn arrivals(&self) -> Result<Vec<ChangedRecord>, BookError> {
        let documents = self.space.arrivals();
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        let view = self.view()?;
        let changed = |id: Id| {
            let Some(record) = resolve::of_id(&view, id)? else {
                return Ok(ChangedRecord {
                    kind: "removed".to_owned(),
                    id: id.to_string(),
                    ..ChangedRecord::default()
                });
            };
            let Candidate { id, short, handle, name, .. } = resolve::candidate(&view, record)?;
            let kind = match record {
                Record::Person(_) => "person",
                Record::Note(_) => "note",
                Record::Organization(_) => "organization",
            };
            Ok(ChangedRecord { kind: kind.to_owned(), id, short, handle, name })
        };
        documents.into_iter().map(|document| changed(Id(document.0))).collect()
    }

    /// What this device is called.
    ///
    /// # Errors
    /// When the book cannot be read.
    pub fn own_name(&self) -> Result<String, BookError> {
        self.device_name()
    }

    /// As [`Self::arrivals`], but waits until there are some. To be called on a tokio runtime with time.
    ///
    /// # Errors
    /// As [`Self::arrivals`].
    pub async fn next_arrivals(&self) -> Result<Vec<ChangedRecord>, BookError> {
        let mut changes = self.space.changes();
        loop {
            let arrived = self.arrivals()?;
            if !arrived.is_empty() {
                return Ok(arrived);
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            // What comes together is told together.
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Where processes of this user may meet about this book, such as by a socket: a path without an ending, in a folder that
    /// nobody else may enter.
    ///
    /// # Errors
    /// When there is no book, or no such folder.
    pub fn meeting_place(dir: &std::path::Path) -> Result<std::path::PathBuf, BookError> {
        crate::custody::meeting_place(dir)
    }
}

const GATHER: Duration = Duration::from_millis(200);
