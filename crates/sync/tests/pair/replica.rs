//! A replica in memory, with as much of an access list as a test wants.

use std::collections::BTreeMap;
use std::convert::Infallible;

use ties_sealed_log::{
    AccessError, AccessList, AccessStatement, CLOSED, ChunkName, Entry, EntryName, FloorName, FloorRecord, Log, LogId,
    LogOpening, MemoryLog, PUT, Prune, Tip, Vector,
};
use ties_sync::{FloorTaken, Refusal, Replica, Taken};

/// What a replica makes of checkpoints.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Goes on without.
    #[default]
    Passes,
    /// Wants each newer one and stands at its cut once the chunks are there, as a relay does.
    Keeps,
    /// Wants one that it is short of, and is told to load it, as a device is; keeps the record of others.
    Loads,
    /// The same, but goes without as long as the entries may come, as a device does that is not far behind.
    PassesUnlessNeeded,
    /// Relies on none.
    Refuses,
}

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
    pub(crate) policy: Policy,
    pub(crate) floor: Option<FloorRecord>,
    pub(crate) cosigned: Option<FloorRecord>,
    pub(crate) chunks: BTreeMap<ChunkName, Vec<u8>>,
    /// Chunks in the order in which they came, those that came again too.
    pub(crate) staged: Vec<ChunkName>,
    loaded: Option<FloorName>,
}

impl MemoryReplica {
    pub(crate) fn with_list(list: AccessList) -> Self {
        Self { list: Some(list), ..Self::default() }
    }

    pub(crate) fn with_policy(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
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
        let below = self.log.base(log).unwrap().iter().any(|base| base.seq >= tip.seq);
        below || self.log.names(log, tip.seq).unwrap().contains(&tip.name)
    }

    /// Cuts logs short at a cut, as one does whose checkpoint is safe elsewhere.
    pub(crate) fn prune(&mut self, floor: &FloorRecord) {
        for log in floor.logs() {
            self.log.rebase(&log, &floor.cut_of(&log), &mut |_| false).unwrap();
        }
    }

    /// Reads a checkpoint whose chunks are all here.
    pub(crate) fn load(&mut self, floor: &FloorRecord) {
        assert!(floor.chunks().iter().all(|(name, _)| self.chunks.contains_key(name)), "all chunks are staged");
        for log in floor.logs() {
            let cut = floor.cut_of(&log);
            if cut.iter().any(|tip| !self.holds(&log, tip)) {
                self.log.rebase(&log, &cut, &mut |_| false).unwrap();
            }
        }
        self.loaded = Some(floor.name());
    }

    fn is_short_of(&self, floor: &FloorRecord) -> bool {
        floor.cut().iter().any(|record| !self.holds(&record.log, &record.tip))
    }

    fn adopt(&mut self, floor: &FloorRecord) {
        if self.floor.as_ref().is_none_or(|held| floor.supersedes(held)) {
            self.floor = Some(floor.clone());
        }
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
        let floor = self.floor.as_ref().map_or([0; 32], |floor| floor.name().0);
        let vector = self.log.vector().unwrap().digest();
        (ties_sealed_log::hash("mark", &[&vector, &floor]), self.access_digest().unwrap())
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

    fn floor(&self) -> Result<Option<FloorRecord>, Infallible> {
        Ok(self.floor.clone())
    }

    fn cosigned_floor(&self) -> Result<Option<FloorRecord>, Infallible> {
        Ok(self.cosigned.clone())
    }

    fn take_floor(&mut self, floor: &FloorRecord, needed: bool) -> Result<FloorTaken, Infallible> {
        let missing = || {
            let names = floor.chunks().iter().map(|(name, _)| *name);
            names.filter(|name| !self.chunks.contains_key(name)).collect::<Vec<_>>()
        };
        let is_old = self.floor.as_ref().is_some_and(|held| held.name() == floor.name() || !floor.supersedes(held));
        Ok(match self.policy {
            Policy::Passes => FloorTaken::Passed,
            Policy::PassesUnlessNeeded if !needed && self.is_short_of(floor) => FloorTaken::Passed,
            Policy::Refuses => FloorTaken::Refused(Refusal::Floor),
            // Whoever is short of a cut takes it, whichever supersedes which: the entries may be nowhere else.
            _ if is_old && !self.is_short_of(floor) => FloorTaken::Held,
            Policy::Keeps if !missing().is_empty() => FloorTaken::Wanted(missing()),
            Policy::Keeps => {
                self.load(floor);
                self.adopt(floor);
                FloorTaken::Held
            }
            Policy::Loads | Policy::PassesUnlessNeeded
                if self.is_short_of(floor) && self.loaded != Some(floor.name()) =>
            {
                FloorTaken::Wanted(missing())
            }
            Policy::Loads | Policy::PassesUnlessNeeded => {
                self.adopt(floor);
                FloorTaken::Held
            }
        })
    }

    fn chunk(&self, name: &ChunkName) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.chunks.get(name).cloned())
    }

    fn put_chunk(&mut self, name: &ChunkName, bytes: &[u8]) -> Result<(), Infallible> {
        self.staged.push(*name);
        self.chunks.insert(*name, bytes.to_vec());
        Ok(())
    }
}
