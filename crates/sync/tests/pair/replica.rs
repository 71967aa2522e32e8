//! A replica in memory, with as much of an access list as a test wants.

use std::collections::BTreeMap;
use std::convert::Infallible;

use ties_sealed_log::{
    AccessError, AccessList, AccessStatement, CLOSED, Entry, EntryName, Log, LogId, LogOpening, MemoryLog, PUT, Tip,
    Vector,
};
use ties_sync::{Refusal, Replica, Taken};

#[derive(Clone, Default)]
pub(crate) struct MemoryReplica {
    log: MemoryLog,
    openings: BTreeMap<LogId, Vec<u8>>,
    list: Option<AccessList>,
    /// Takes only entries of logs that were opened under a listed pseudonym, as a relay does.
    pub(crate) strict: bool,
    /// Logs that are refused from a place on.
    pub(crate) refuses: BTreeMap<LogId, (u64, Refusal)>,
    /// Statements that it tells others of beside its list's.
    pub(crate) further_statements: Vec<Vec<u8>>,
}

impl MemoryReplica {
    pub(crate) fn with_list(list: AccessList) -> Self {
        Self { list: Some(list), ..Self::default() }
    }

    /// Writes an entry of this replica's own.
    pub(crate) fn write(&mut self, entry: &Entry) {
        assert!(self.log.append(entry).unwrap().is_new(), "{entry:?} is new here");
    }

    pub(crate) fn write_all<'e>(&mut self, entries: impl IntoIterator<Item = &'e Entry>) {
        entries.into_iter().for_each(|entry| self.write(entry));
    }

    pub(crate) fn hold_opening(&mut self, opening: &LogOpening) {
        self.openings.insert(opening.log(), opening.as_bytes().to_vec());
    }

    pub(crate) fn list(&mut self) -> &mut AccessList {
        self.list.as_mut().unwrap()
    }

    pub(crate) fn holds(&self, log: &LogId, tip: &Tip) -> bool {
        self.log.names(log, tip.seq).unwrap().contains(&tip.name)
    }

    pub(crate) fn entries(&self, log: &LogId) -> Vec<EntryName> {
        let mut names: Vec<_> = self.log.after(log, 0, usize::MAX).unwrap().iter().map(Entry::name).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn openings(&self) -> usize {
        self.openings.len()
    }

    /// What tells two states apart.
    pub(crate) fn mark(&self) -> ([u8; 32], [u8; 32]) {
        (self.log.vector().unwrap().digest(), self.access_digest().unwrap())
    }
}

impl Log for MemoryReplica {
    type Error = Infallible;

    fn vector(&self) -> Result<Vector, Infallible> {
        self.log.vector()
    }

    fn tips(&self, log: &LogId) -> Result<Vec<Tip>, Infallible> {
        self.log.tips(log)
    }

    fn names(&self, log: &LogId, seq: u64) -> Result<Vec<EntryName>, Infallible> {
        self.log.names(log, seq)
    }

    fn after(&self, log: &LogId, seq: u64, budget: usize) -> Result<Vec<Entry>, Infallible> {
        self.log.after(log, seq, budget)
    }

    fn base(&self, log: &LogId) -> Result<Vec<Tip>, Infallible> {
        self.log.base(log)
    }

    fn forked_at(&self, log: &LogId) -> Result<Option<u64>, Infallible> {
        self.log.forked_at(log)
    }

    fn append(&mut self, entry: &Entry) -> Result<ties_sealed_log::Appended, Infallible> {
        self.log.append(entry)
    }
}

impl Replica for MemoryReplica {
    fn take(&mut self, entry: &Entry) -> Result<Taken, Infallible> {
        if self.strict && !self.openings.contains_key(&entry.log()) {
            return Ok(Taken::Refused(Refusal::NotOpened));
        }
        match self.refuses.get(&entry.log()) {
            Some((from, reason)) if entry.seq() == *from => Ok(Taken::Refused(*reason)),
            _ => Ok(Taken::Log(self.log.append(entry)?)),
        }
    }

    fn opening(&mut self, log: &LogId) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.openings.get(log).cloned())
    }

    fn admit(&mut self, opening: &[u8]) -> Result<Result<(), Refusal>, Infallible> {
        let Some(list) = &self.list else { return Ok(Err(Refusal::NotPermitted)) };
        let Ok(opening) = LogOpening::verify(opening, &list.mailbox()) else { return Ok(Err(Refusal::Invalid)) };
        if list.flags(&opening.pseudonym()) & (PUT | CLOSED) != PUT {
            return Ok(Err(Refusal::NotPermitted));
        }
        self.hold_opening(&opening);
        Ok(Ok(()))
    }

    fn access_digest(&self) -> Result<[u8; 32], Infallible> {
        Ok(self.list.as_ref().map_or([0; 32], AccessList::digest))
    }

    fn statements(&self) -> Result<Vec<Vec<u8>>, Infallible> {
        let statements = self.list.iter().flat_map(AccessList::statements);
        let statements = statements.map(|statement| statement.bytes().to_vec());
        Ok(statements.chain(self.further_statements.iter().cloned()).collect())
    }

    fn state(&mut self, statement: &[u8]) -> Result<Result<(), Refusal>, Infallible> {
        let Ok(statement) = AccessStatement::verify(statement) else { return Ok(Err(Refusal::Invalid)) };
        let taken = match &mut self.list {
            Some(list) => list.add(statement).map(drop),
            none => AccessList::begin(statement).map(|list| *none = Some(list)),
        };
        Ok(taken.map_err(|error| match error {
            AccessError::Signer => Refusal::NotPermitted,
            _ => Refusal::Invalid,
        }))
    }
}
