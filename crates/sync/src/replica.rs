//! A replica, as a session sees it.

use ties_sealed_log::{Appended, Entry, Log, LogId};

use crate::wire::Refusal;

/// What became of an entry that a peer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The log's own verdict.
    Log(Appended),
    /// Refused before it reached the log: by an access list or a quota.
    Refused(Refusal),
}

/// The logs of one space or mailbox, with what governs them.
///
/// A session borrows it for each call and only reads and appends. Whatever [`crate::Session::handle`] returns must be
/// sent only after what it wrote here is durable; that makes every acknowledgement true and lets the host commit
/// many sessions' writes at once.
pub trait Replica: Log {
    /// Takes an entry from the peer.
    ///
    /// # Errors
    /// When the storage fails.
    fn take(&mut self, entry: &Entry) -> Result<Taken, Self::Error>;

    /// The signed opening of a log at this mailbox, exact bytes, if there is one.
    ///
    /// # Errors
    /// When the storage fails.
    fn opening(&mut self, log: &LogId) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Takes a signed opening.
    ///
    /// # Errors
    /// When the storage fails.
    fn admit(&mut self, opening: &[u8]) -> Result<Result<(), Refusal>, Self::Error>;

    /// Digest of the access statements held; zeros without any.
    ///
    /// # Errors
    /// When the storage fails.
    fn access_digest(&self) -> Result<[u8; 32], Self::Error>;

    /// The access statements held, exact bytes, parents before children.
    ///
    /// # Errors
    /// When the storage fails.
    fn statements(&self) -> Result<Vec<Vec<u8>>, Self::Error>;

    /// Takes an access statement.
    ///
    /// # Errors
    /// When the storage fails.
    fn state(&mut self, statement: &[u8]) -> Result<Result<(), Refusal>, Self::Error>;
}
