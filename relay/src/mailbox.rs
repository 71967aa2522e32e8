//! One mailbox: its list, its logs, and what one connection may do with them.

use std::collections::{BTreeMap, BTreeSet};

use ties_sealed_log::{
    AccessError, AccessList, AccessStatement, Appended, CLOSED, ChunkName, Entry, EntryName, FloorRecord, GET, Log,
    LogId, LogOpening, MailboxId, PUT, Pseudonym, RECOVERY, RelayKey, Tip, Vector,
};
use ties_sync::{FloorTaken, Refusal, Replica, Taken};

use crate::connection::ConnectionId;
use crate::floors::Floors;
use crate::limits::Limits;
use crate::storage::Storage;

/// What a relay remembers of a mailbox while somebody is at it; the storage has all of it too.
#[derive(Debug)]
pub(crate) struct Mailbox {
    list: AccessList,
    openings: BTreeMap<LogId, LogOpening>,
    pub(crate) vector: Vector,
    pub(crate) floors: Floors,
    pub(crate) bytes: u64,
    /// Bytes that it may hold, if not as many as any other.
    pub(crate) quota: Option<u64>,
    /// Who is at it.
    pub(crate) connections: BTreeSet<ConnectionId>,
    /// Whether the others have to be told of something.
    pub(crate) changed: bool,
}

impl Mailbox {
    /// Makes a mailbox of its first statement.
    pub(crate) fn create<S: Storage>(
        first: AccessStatement,
        storage: &mut S,
    ) -> Result<Result<Self, Refusal>, S::Error> {
        let list = match AccessList::begin(first.clone()) {
            Ok(list) => list,
            Err(error) => return Ok(Err(refusal(error))),
        };
        storage.put_statement(&list.mailbox(), &first)?;
        let mailbox = Self::of(list);
        mailbox.index_members(mailbox.list.members().keys(), storage)?;
        mailbox.index_marks(&BTreeSet::new(), storage)?;
        Ok(Ok(mailbox))
    }

    /// Loads a mailbox; `None` if there is none.
    pub(crate) fn load<S: Storage>(id: &MailboxId, storage: &S) -> Result<Option<Self>, S::Error> {
        let statements = storage.statements(id)?;
        // What was stored was verified; what no longer verifies on a failing disk is as good as not there.
        let statements = statements.iter().filter_map(|bytes| AccessStatement::verify(bytes).ok());
        let Ok(list) = AccessList::from_statements(statements) else { return Ok(None) };
        let openings = storage.openings(id)?;
        let openings = openings.iter().filter_map(|bytes| LogOpening::verify(bytes, id).ok());
        Ok(Some(Self {
            openings: openings.map(|opening| (opening.log(), opening)).collect(),
            vector: storage.vector(id)?,
            floors: Floors::load(id, storage)?,
            bytes: storage.bytes(id)?,
            quota: storage.quota(id)?,
            ..Self::of(list)
        }))
    }

    fn of(list: AccessList) -> Self {
        Self {
            list,
            openings: BTreeMap::new(),
            vector: Vector::default(),
            floors: Floors::default(),
            bytes: 0,
            quota: None,
            connections: BTreeSet::new(),
            changed: false,
        }
    }

    pub(crate) fn id(&self) -> MailboxId {
        self.list.mailbox()
    }

    /// Whether a pseudonym may be at this mailbox at all: it is on the list, or is the recovery key, which reads, and
    /// says by statements what more it wants.
    pub(crate) fn admits(&self, pseudonym: &Pseudonym, relay: &RelayKey) -> bool {
        self.lists(pseudonym) || self.list.recovery().contains(&pseudonym.recovery_mark(relay))
    }

    fn lists(&self, pseudonym: &Pseudonym) -> bool {
        self.list.flags(pseudonym) & (GET | CLOSED) == GET
    }

    /// What a pseudonym may do.
    pub(crate) fn flags(&self, pseudonym: &Pseudonym) -> u8 {
        self.list.flags(pseudonym)
    }

    /// The pseudonym that a log was opened under.
    pub(crate) fn opener(&self, log: &LogId) -> Option<Pseudonym> {
        self.openings.get(log).map(LogOpening::pseudonym)
    }

    /// Why a pseudonym is not let in. A list that is full is the likelier reason to be missing on it.
    pub(crate) fn why_not(&self, pseudonym: &Pseudonym, limits: &Limits) -> Refusal {
        let members = self.list.members();
        if members.contains_key(pseudonym) || members.len() < limits.pseudonyms {
            Refusal::NotPermitted
        } else {
            Refusal::Pseudonyms
        }
    }

    /// Takes an access statement, which speaks for itself whoever brings it.
    pub(crate) fn state<S: Storage>(
        &mut self,
        statement: AccessStatement,
        storage: &mut S,
        limits: &Limits,
    ) -> Result<Result<(), Refusal>, S::Error> {
        let mut list = self.list.clone();
        let said = &statement.body().grants;
        let concerned: Vec<Pseudonym> =
            said.iter().filter(|(_, flags)| *flags != RECOVERY).map(|(who, _)| *who).collect();
        // Whoever fills a list must not shut the recovery key out.
        let by_recovery = statement.body().recovery.is_some();
        match list.add(statement.clone()) {
            Err(error) => return Ok(Err(refusal(error))),
            Ok(false) => return Ok(Ok(())),
            Ok(true) if list.members().len() > limits.pseudonyms && !by_recovery => {
                return Ok(Err(Refusal::Pseudonyms));
            }
            Ok(true) => {}
        }
        let before = std::mem::replace(&mut self.list, list).recovery();
        self.changed = true;
        storage.put_statement(&self.id(), &statement)?;
        self.index_members(&concerned, storage)?;
        self.index_marks(&before, storage)?;
        Ok(Ok(()))
    }

    /// A recovery key is found by its mark, in the index of pseudonyms: nobody has a key that is a hash.
    fn index_marks<S: Storage>(&self, before: &BTreeSet<[u8; 32]>, storage: &mut S) -> Result<(), S::Error> {
        let now = self.list.recovery();
        for mark in before.symmetric_difference(&now) {
            storage.set_member(&self.id(), &Pseudonym(*mark), now.contains(mark))?;
        }
        Ok(())
    }

    fn index_members<'a, S: Storage>(
        &self,
        pseudonyms: impl IntoIterator<Item = &'a Pseudonym>,
        storage: &mut S,
    ) -> Result<(), S::Error> {
        for pseudonym in pseudonyms {
            storage.set_member(&self.id(), pseudonym, self.lists(pseudonym))?;
        }
        Ok(())
    }
}

/// A mailbox as the session of one pseudonym sees it: it may only take what the list and the limits permit.
pub(crate) struct Visit<'a, S> {
    mailbox: &'a mut Mailbox,
    storage: &'a mut S,
    limits: &'a Limits,
    pseudonym: Pseudonym,
    may_put: bool,
}

impl<'a, S: Storage> Visit<'a, S> {
    pub(crate) fn new(mailbox: &'a mut Mailbox, storage: &'a mut S, limits: &'a Limits, pseudonym: Pseudonym) -> Self {
        let mut visit = Self { mailbox, storage, limits, pseudonym, may_put: false };
        visit.look_up();
        visit
    }

    fn look_up(&mut self) {
        self.may_put = self.mailbox.list.flags(&self.pseudonym) & (PUT | CLOSED) == PUT;
    }

    /// Whoever opened the log was once let in; that it was shut out since makes its entries no less wanted by the
    /// others, who alone can bring them now.
    fn was_let_in(&self, opener: &Pseudonym) -> bool {
        self.mailbox.list.flags(opener) & (PUT | CLOSED) != 0
    }

    fn exceeds_quota(&self, entry: &Entry) -> Result<bool, S::Error> {
        let most = self.mailbox.quota.unwrap_or(self.limits.mailbox_bytes);
        if self.mailbox.bytes + entry.bytes().len() as u64 <= most {
            return Ok(false);
        }
        // An entry that is here already costs nothing.
        Ok(!self.names(&entry.log(), entry.seq())?.contains(&entry.name()))
    }
}

impl<S: Storage> Log for Visit<'_, S> {
    type Error = S::Error;

    fn vector(&self) -> Result<Vector, S::Error> {
        Ok(self.mailbox.vector.clone())
    }

    fn tips(&self, log: &LogId) -> Result<Vec<Tip>, S::Error> {
        Ok(self.mailbox.vector.tips(log).collect())
    }

    fn names(&self, log: &LogId, seq: u64) -> Result<Vec<EntryName>, S::Error> {
        self.storage.names(&self.mailbox.id(), log, seq)
    }

    fn after(&self, log: &LogId, seq: u64, budget: usize) -> Result<Vec<Entry>, S::Error> {
        self.storage.after(&self.mailbox.id(), log, seq, budget)
    }

    fn base(&self, log: &LogId) -> Result<Vec<Tip>, S::Error> {
        self.storage.base(&self.mailbox.id(), log)
    }

    fn forked_at(&self, log: &LogId) -> Result<Option<u64>, S::Error> {
        self.storage.forked_at(&self.mailbox.id(), log)
    }

    fn append(&mut self, entry: &Entry) -> Result<Appended, S::Error> {
        let verdict = self.storage.append(&self.mailbox.id(), entry)?;
        if verdict.is_new() {
            let tip = Tip { seq: entry.seq(), name: entry.name() };
            self.mailbox.vector.advance(entry.log(), entry.prev(), tip);
            self.mailbox.bytes += entry.bytes().len() as u64;
            self.mailbox.changed = true;
        }
        Ok(verdict)
    }
}

impl<S: Storage> Replica for Visit<'_, S> {
    fn take(&mut self, entry: &Entry) -> Result<Taken, S::Error> {
        if !self.may_put {
            return Ok(Taken::Refused(Refusal::NotPermitted));
        }
        if !self.mailbox.openings.contains_key(&entry.log()) {
            // Where there is no place for a further log, its opening was not taken either.
            let full = self.mailbox.openings.len() >= self.limits.logs;
            return Ok(Taken::Refused(if full { Refusal::Logs } else { Refusal::NotOpened }));
        }
        if self.exceeds_quota(entry)? {
            return Ok(Taken::Refused(Refusal::Quota));
        }
        self.append(entry).map(Taken::Log)
    }

    fn opening(&mut self, log: &LogId) -> Result<Option<Vec<u8>>, S::Error> {
        Ok(self.mailbox.openings.get(log).map(|opening| opening.as_bytes().to_vec()))
    }

    fn admit(&mut self, opening: &[u8]) -> Result<Result<(), Refusal>, S::Error> {
        let opening = match LogOpening::verify(opening, &self.mailbox.id()) {
            Ok(opening) => opening,
            Err(error) => return Ok(Err(refusal(error))),
        };
        if self.mailbox.openings.contains_key(&opening.log()) {
            return Ok(Ok(()));
        }
        if !self.may_put || !self.was_let_in(&opening.pseudonym()) {
            return Ok(Err(Refusal::NotPermitted));
        }
        if self.mailbox.openings.len() >= self.limits.logs {
            return Ok(Err(Refusal::Logs));
        }
        self.storage.put_opening(&self.mailbox.id(), &opening)?;
        self.mailbox.openings.insert(opening.log(), opening);
        Ok(Ok(()))
    }

    fn access_digest(&self) -> Result<[u8; 32], S::Error> {
        Ok(self.mailbox.list.digest())
    }

    fn statements(&self) -> Result<Vec<Vec<u8>>, S::Error> {
        Ok(self.mailbox.list.statements().into_iter().map(|statement| statement.bytes().to_vec()).collect())
    }

    fn state(&mut self, statement: &[u8]) -> Result<Result<(), Refusal>, S::Error> {
        let statement = match AccessStatement::verify(statement) {
            Ok(statement) => statement,
            Err(error) => return Ok(Err(refusal(error))),
        };
        let taken = self.mailbox.state(statement, self.storage, self.limits)?;
        self.look_up();
        Ok(taken)
    }

    fn floor(&self) -> Result<Option<FloorRecord>, S::Error> {
        Ok(self.mailbox.floors.newest().cloned())
    }

    fn cosigned_floor(&self) -> Result<Option<FloorRecord>, S::Error> {
        Ok(self.mailbox.floors.newest_cosigned().cloned())
    }

    fn take_floor(&mut self, record: &FloorRecord, needed: bool) -> Result<FloorTaken, S::Error> {
        if !self.may_put {
            return Ok(FloorTaken::Passed);
        }
        self.mailbox.take_floor(record, needed, self.storage, self.limits)
    }

    fn chunk(&self, name: &ChunkName) -> Result<Option<Vec<u8>>, S::Error> {
        self.storage.chunk(&self.mailbox.id(), name)
    }

    fn put_chunk(&mut self, name: &ChunkName, bytes: &[u8]) -> Result<(), S::Error> {
        self.mailbox.put_chunk(name, bytes, self.storage)
    }
}

pub(crate) fn refusal(error: AccessError) -> Refusal {
    match error {
        AccessError::Signer => Refusal::NotPermitted,
        _ => Refusal::Invalid,
    }
}
