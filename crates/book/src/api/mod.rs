//! What a face (command line, terminal UI, web page) asks of a book and gets back: plain data with public fields.
//!
//! A face opens a [`Book`](crate::Book), hands it one [`Request`] after the other and shows the [`Reply`], the
//! [`Event`]s that came meanwhile, or the [`BookError`]. No type of the storage, the documents or the network shows
//! here, and nothing here prints.
//!
//! ```text
//! Book::create(dir: &Path, Init, Environment) -> Result<(Book, Created), BookError>
//! Book::open(dir: &Path, Environment) -> Result<Book, BookError>          // Locked: Book::open_with a passphrase
//! async Book::join(dir: &Path, Join, Environment, &mut dyn Face) -> Result<(Book, Joined), BookError>
//! book.answer(Request, &mut dyn Face) -> Result<Reply, BookError>         // Request::is_local
//! async book.handle(Request, &mut dyn Face) -> Result<Reply, BookError>   // all; on a tokio runtime
//! ```

mod devices;
mod error;
mod face;
mod moving;
mod records;
mod reply;
mod request;
mod setup;
mod status;

pub use devices::{
    DeviceLogs, DeviceRow, LevelRow, Levels, QuarantineRow, QuarantinedField, QuarantinedRecord, RemovedRow,
};
pub use error::{BookError, ErrorKind};
pub use face::{Answer, Event, Face, Guest, Secret, Silent};
pub use moving::{
    ExportFormat, ExportOptions, Exported, ExportedFile, ImportChange, ImportReport, PhotoChoice, Reject,
};
pub use records::{
    Candidate, ChangedRecord, Completable, Completion, EditText, Hit, Labelled, NoteKind, NoteView, OperationRow,
    OrganizationRow, OrganizationView, PeoplePage, PersonAdded, PersonRow, PersonView, Removed, UndoReport,
    UndoneRecord,
};
pub use reply::Reply;
pub use request::{
    CipherCopy, FolderFile, Init, Join, JoinByFolder, Nearby, Pairing, Recover, Request, Resolution, Undo,
};
pub use setup::{
    BackupLock, BackupReport, Created, Environment, Joined, Key, KeyReport, Loosened, RecoveredBook, ResetCandidate,
    Restored, Unlocked,
};
pub use status::{
    Check, CheckState, CheckpointRow, ConflictRow, ConflictValue, Conflicts, HandleConflict, ParkedRow, PeerSync,
    RelayAlert, RelayRow, RelaySync, Resolved, Status, SyncReport,
};
