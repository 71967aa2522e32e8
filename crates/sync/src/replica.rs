//! A replica, as a session sees it.

use ties_sealed_log::{Appended, ChunkName, Entry, FloorRecord, Log, LogId};

use crate::wire::Refusal;

/// What became of an entry that a peer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The log's own verdict.
    Log(Appended),
    /// Refused before it reached the log: by an access list or a quota.
    Refused(Refusal),
}

/// What a replica makes of a floor that a peer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FloorTaken {
    /// It stands at the cut or beyond in every log: whoever wants to keep the record has kept it.
    Held,
    /// It wants the checkpoint and lacks these chunks; none: they are all staged, and the host is to load them.
    Wanted(Vec<ChunkName>),
    /// It goes on without: the entries are nearer, or enough.
    Passed,
    /// It is not to be relied on here.
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

    /// The newest floor that was taken in here: everything up to its cut is here, as entries or by its checkpoint.
    ///
    /// # Errors
    /// When the storage fails.
    fn floor(&self) -> Result<Option<FloorRecord>, Self::Error> {
        Ok(None)
    }

    /// The newest one with two signatures, if the newest has one: a peer that passes on that may take this.
    ///
    /// # Errors
    /// When the storage fails.
    fn cosigned_floor(&self) -> Result<Option<FloorRecord>, Self::Error> {
        Ok(None)
    }

    /// Decides about a floor that the peer holds. Asked again when all chunks are staged, and whenever the replica
    /// changed after that: the answer [`FloorTaken::Wanted`] with none missing means that it is still being loaded.
    /// `needed`: the peer has said that it cannot give all entries that are missing here, so that to pass on it is to go
    /// without them.
    ///
    /// # Errors
    /// When the storage fails.
    fn take_floor(&mut self, record: &FloorRecord, needed: bool) -> Result<FloorTaken, Self::Error> {
        let _ = (record, needed);
        Ok(FloorTaken::Passed)
    }

    /// A chunk that is here, exact bytes.
    ///
    /// # Errors
    /// When the storage fails.
    fn chunk(&self, name: &ChunkName) -> Result<Option<Vec<u8>>, Self::Error> {
        let _ = name;
        Ok(None)
    }

    /// Stages a chunk that was wanted. Its name and length were checked.
    ///
    /// # Errors
    /// When the storage fails.
    fn put_chunk(&mut self, name: &ChunkName, bytes: &[u8]) -> Result<(), Self::Error> {
        let _ = (name, bytes);
        Ok(())
    }
}
