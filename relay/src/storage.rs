//! Where a relay keeps what it must not forget.

use ties_sealed_log::{
    AccessStatement, Appended, ChunkName, Entry, EntryName, Freed, LogId, LogOpening, MailboxId, Pseudonym, Tip, Vector,
};

use crate::token::{TokenHash, TokenRecord};

/// Mailboxes, their entries, and invite tokens, seen within one transaction: reads see what was written before.
///
/// It checks nothing; whoever writes has checked. One conformance suite holds for every implementation.
pub trait Storage {
    /// What the storage below can fail with.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The access statements of a mailbox in any order, exact bytes; none if there is no such mailbox.
    ///
    /// # Errors
    /// When the storage fails; so for every method.
    fn statements(&self, mailbox: &MailboxId) -> Result<Vec<Vec<u8>>, Self::Error>;

    /// Keeps a further statement; the first one makes the mailbox.
    fn put_statement(&mut self, mailbox: &MailboxId, statement: &AccessStatement) -> Result<(), Self::Error>;

    /// The log openings of a mailbox in any order, exact bytes.
    fn openings(&self, mailbox: &MailboxId) -> Result<Vec<Vec<u8>>, Self::Error>;

    /// Keeps a log's opening.
    fn put_opening(&mut self, mailbox: &MailboxId, opening: &LogOpening) -> Result<(), Self::Error>;

    /// The mailboxes that a pseudonym may use, sorted.
    fn mailboxes_of(&self, pseudonym: &Pseudonym) -> Result<Vec<MailboxId>, Self::Error>;

    /// Notes whether a pseudonym may use a mailbox.
    fn set_member(&mut self, mailbox: &MailboxId, pseudonym: &Pseudonym, member: bool) -> Result<(), Self::Error>;

    /// Keeps others from writing: what is read from here on stays true until the transaction ends.
    fn hold(&mut self) -> Result<(), Self::Error>;

    /// Bytes that a mailbox may hold, if not as many as any other.
    fn quota(&self, mailbox: &MailboxId) -> Result<Option<u64>, Self::Error>;

    /// Gives a mailbox a quota of its own.
    fn set_quota(&mut self, mailbox: &MailboxId, bytes: u64) -> Result<(), Self::Error>;

    /// How many mailboxes a pseudonym has made here without a token.
    fn made_by(&self, pseudonym: &Pseudonym) -> Result<u32, Self::Error>;

    /// Notes how many mailboxes a pseudonym has made.
    fn set_made_by(&mut self, pseudonym: &Pseudonym, mailboxes: u32) -> Result<(), Self::Error>;

    /// What is known of an invite token.
    fn token(&self, token: &TokenHash) -> Result<Option<TokenRecord>, Self::Error>;

    /// Keeps what is known of an invite token.
    fn put_token(&mut self, token: &TokenHash, record: &TokenRecord) -> Result<(), Self::Error>;

    /// Every tip of every log of a mailbox.
    fn vector(&self, mailbox: &MailboxId) -> Result<Vector, Self::Error>;

    /// The bytes of all entries, chunks and floor records of a mailbox.
    fn bytes(&self, mailbox: &MailboxId) -> Result<u64, Self::Error>;

    /// See [`ties_sealed_log::Log::tips`].
    fn tips(&self, mailbox: &MailboxId, log: &LogId) -> Result<Vec<Tip>, Self::Error>;

    /// See [`ties_sealed_log::Log::names`].
    fn names(&self, mailbox: &MailboxId, log: &LogId, seq: u64) -> Result<Vec<EntryName>, Self::Error>;

    /// See [`ties_sealed_log::Log::after`].
    fn after(&self, mailbox: &MailboxId, log: &LogId, seq: u64, budget: usize) -> Result<Vec<Entry>, Self::Error>;

    /// See [`ties_sealed_log::Log::base`].
    fn base(&self, mailbox: &MailboxId, log: &LogId) -> Result<Vec<Tip>, Self::Error>;

    /// See [`ties_sealed_log::Log::forked_at`].
    fn forked_at(&self, mailbox: &MailboxId, log: &LogId) -> Result<Option<u64>, Self::Error>;

    /// See [`ties_sealed_log::Log::append`].
    fn append(&mut self, mailbox: &MailboxId, entry: &Entry) -> Result<Appended, Self::Error>;

    /// See [`ties_sealed_log::Prune::rebase`]; nothing is kept of what goes.
    fn rebase(&mut self, mailbox: &MailboxId, log: &LogId, tips: &[Tip]) -> Result<Option<Freed>, Self::Error>;

    /// The floor records of a mailbox in their order, exact bytes, and whether each is staged only.
    fn floors(&self, mailbox: &MailboxId) -> Result<Vec<(bool, Vec<u8>)>, Self::Error>;

    /// Puts these floor records in place of all that there were.
    fn set_floors(&mut self, mailbox: &MailboxId, floors: &[(bool, Vec<u8>)]) -> Result<(), Self::Error>;

    /// The names of all chunks of a mailbox.
    fn chunks(&self, mailbox: &MailboxId) -> Result<Vec<ChunkName>, Self::Error>;

    /// A chunk, exact bytes.
    fn chunk(&self, mailbox: &MailboxId, name: &ChunkName) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Keeps a chunk that is not here yet.
    fn put_chunk(&mut self, mailbox: &MailboxId, name: &ChunkName, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Lets go of a chunk.
    fn remove_chunk(&mut self, mailbox: &MailboxId, name: &ChunkName) -> Result<(), Self::Error>;
}
