//! A storage in memory, for tests and simulations: a clone of it is a commit, going back to one is a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use ties_sealed_log::{
    AccessStatement, Appended, ChunkName, Entry, EntryName, Freed, Log, LogId, LogOpening, MailboxId, MemoryLog, Prune,
    Pseudonym, StatementName, Tip, Vector,
};

use crate::storage::Storage;
use crate::token::{TokenHash, TokenRecord};

/// Keeps everything in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    boxes: BTreeMap<MailboxId, Contents>,
    members: BTreeSet<(Pseudonym, MailboxId)>,
    tokens: BTreeMap<TokenHash, TokenRecord>,
    makers: BTreeMap<Pseudonym, u32>,
    nothing: MemoryLog,
}

#[derive(Debug, Clone, Default)]
struct Contents {
    statements: BTreeMap<StatementName, Vec<u8>>,
    openings: BTreeMap<LogId, Vec<u8>>,
    entries: MemoryLog,
    floors: Vec<(bool, Vec<u8>)>,
    chunks: BTreeMap<ChunkName, Vec<u8>>,
    bytes: u64,
    quota: Option<u64>,
}

impl MemoryStorage {
    fn log(&self, mailbox: &MailboxId) -> &MemoryLog {
        self.boxes.get(mailbox).map_or(&self.nothing, |contents| &contents.entries)
    }
}

impl Storage for MemoryStorage {
    type Error = Infallible;

    fn statements(&self, mailbox: &MailboxId) -> Result<Vec<Vec<u8>>, Infallible> {
        let statements = self.boxes.get(mailbox).map(|contents| &contents.statements);
        Ok(statements.into_iter().flat_map(BTreeMap::values).cloned().collect())
    }

    fn put_statement(&mut self, mailbox: &MailboxId, statement: &AccessStatement) -> Result<(), Infallible> {
        self.boxes.entry(*mailbox).or_default().statements.insert(statement.name(), statement.bytes().to_vec());
        Ok(())
    }

    fn openings(&self, mailbox: &MailboxId) -> Result<Vec<Vec<u8>>, Infallible> {
        let openings = self.boxes.get(mailbox).map(|contents| &contents.openings);
        Ok(openings.into_iter().flat_map(BTreeMap::values).cloned().collect())
    }

    fn put_opening(&mut self, mailbox: &MailboxId, opening: &LogOpening) -> Result<(), Infallible> {
        let openings = &mut self.boxes.entry(*mailbox).or_default().openings;
        openings.insert(opening.log(), opening.as_bytes().to_vec());
        Ok(())
    }

    fn mailboxes_of(&self, pseudonym: &Pseudonym) -> Result<Vec<MailboxId>, Infallible> {
        let first = (*pseudonym, MailboxId([0; 32]));
        let last = (*pseudonym, MailboxId([0xff; 32]));
        Ok(self.members.range(first..=last).map(|(_, mailbox)| *mailbox).collect())
    }

    fn set_member(&mut self, mailbox: &MailboxId, pseudonym: &Pseudonym, member: bool) -> Result<(), Infallible> {
        if member {
            self.members.insert((*pseudonym, *mailbox));
        } else {
            self.members.remove(&(*pseudonym, *mailbox));
        }
        Ok(())
    }

    fn token(&self, token: &TokenHash) -> Result<Option<TokenRecord>, Infallible> {
        Ok(self.tokens.get(token).cloned())
    }

    fn put_token(&mut self, token: &TokenHash, record: &TokenRecord) -> Result<(), Infallible> {
        self.tokens.insert(*token, record.clone());
        Ok(())
    }

    fn hold(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn quota(&self, mailbox: &MailboxId) -> Result<Option<u64>, Infallible> {
        Ok(self.boxes.get(mailbox).and_then(|contents| contents.quota))
    }

    fn set_quota(&mut self, mailbox: &MailboxId, bytes: u64) -> Result<(), Infallible> {
        self.boxes.entry(*mailbox).or_default().quota = Some(bytes);
        Ok(())
    }

    fn made_by(&self, pseudonym: &Pseudonym) -> Result<u32, Infallible> {
        Ok(self.makers.get(pseudonym).copied().unwrap_or(0))
    }

    fn set_made_by(&mut self, pseudonym: &Pseudonym, mailboxes: u32) -> Result<(), Infallible> {
        self.makers.insert(*pseudonym, mailboxes);
        Ok(())
    }

    fn vector(&self, mailbox: &MailboxId) -> Result<Vector, Infallible> {
        self.log(mailbox).vector()
    }

    fn bytes(&self, mailbox: &MailboxId) -> Result<u64, Infallible> {
        Ok(self.boxes.get(mailbox).map_or(0, |contents| contents.bytes))
    }

    fn tips(&self, mailbox: &MailboxId, log: &LogId) -> Result<Vec<Tip>, Infallible> {
        self.log(mailbox).tips(log)
    }

    fn names(&self, mailbox: &MailboxId, log: &LogId, seq: u64) -> Result<Vec<EntryName>, Infallible> {
        self.log(mailbox).names(log, seq)
    }

    fn after(&self, mailbox: &MailboxId, log: &LogId, seq: u64, budget: usize) -> Result<Vec<Entry>, Infallible> {
        self.log(mailbox).after(log, seq, budget)
    }

    fn base(&self, mailbox: &MailboxId, log: &LogId) -> Result<Vec<Tip>, Infallible> {
        self.log(mailbox).base(log)
    }

    fn forked_at(&self, mailbox: &MailboxId, log: &LogId) -> Result<Option<u64>, Infallible> {
        self.log(mailbox).forked_at(log)
    }

    fn append(&mut self, mailbox: &MailboxId, entry: &Entry) -> Result<Appended, Infallible> {
        let contents = self.boxes.entry(*mailbox).or_default();
        let verdict = contents.entries.append(entry)?;
        if verdict.is_new() {
            contents.bytes += entry.bytes().len() as u64;
        }
        Ok(verdict)
    }

    fn rebase(&mut self, mailbox: &MailboxId, log: &LogId, tips: &[Tip]) -> Result<Option<Freed>, Infallible> {
        let contents = self.boxes.entry(*mailbox).or_default();
        let freed = contents.entries.rebase(log, tips, &mut |_| false)?;
        contents.bytes -= freed.map_or(0, |freed| freed.bytes);
        Ok(freed)
    }

    fn floors(&self, mailbox: &MailboxId) -> Result<Vec<(bool, Vec<u8>)>, Infallible> {
        Ok(self.boxes.get(mailbox).map_or_else(Vec::new, |contents| contents.floors.clone()))
    }

    fn set_floors(&mut self, mailbox: &MailboxId, floors: &[(bool, Vec<u8>)]) -> Result<(), Infallible> {
        let contents = self.boxes.entry(*mailbox).or_default();
        let size = |floors: &[(bool, Vec<u8>)]| floors.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        contents.bytes = contents.bytes - size(&contents.floors) + size(floors);
        contents.floors = floors.to_vec();
        Ok(())
    }

    fn chunks(&self, mailbox: &MailboxId) -> Result<Vec<ChunkName>, Infallible> {
        Ok(self.boxes.get(mailbox).into_iter().flat_map(|contents| contents.chunks.keys()).copied().collect())
    }

    fn chunk(&self, mailbox: &MailboxId, name: &ChunkName) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.boxes.get(mailbox).and_then(|contents| contents.chunks.get(name).cloned()))
    }

    fn put_chunk(&mut self, mailbox: &MailboxId, name: &ChunkName, bytes: &[u8]) -> Result<(), Infallible> {
        let contents = self.boxes.entry(*mailbox).or_default();
        contents.bytes += bytes.len() as u64;
        contents.chunks.insert(*name, bytes.to_vec());
        Ok(())
    }

    fn remove_chunk(&mut self, mailbox: &MailboxId, name: &ChunkName) -> Result<(), Infallible> {
        let contents = self.boxes.entry(*mailbox).or_default();
        contents.bytes -= contents.chunks.remove(name).map_or(0, |bytes| bytes.len() as u64);
        Ok(())
    }
}
