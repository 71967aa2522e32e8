//! This device, as a session sees it: reading until something is to be written, then one transaction for all of it.

use ties_sealed_log::{
    AccessList, AccessStatement, Appended, Entry, EntryName, Log, LogId, LogOpening, MailboxId, RelayKey, Tip, Vector,
};
use ties_store::{Read, Snapshot, Store, StoreError, StoredLog, Table, Transaction};
use ties_sync::{Refusal, Replica, Taken};

use crate::absorb::{keep_opening, keep_statement};
use crate::author::{SPACE_NUMBER, own_log};
use crate::records::{ACCESS, Fault, OPENINGS, SPACE, SpaceRecord, mailbox_key, record};
use crate::secrets::device_keys;

/// One device at one mailbox, for the time of one call.
pub(crate) struct DeviceReplica<'s> {
    store: &'s Store,
    access: Access,
    mailbox: MailboxId,
    relay: RelayKey,
    /// The last log found to be opened; entries come log by log.
    trusted: Option<LogId>,
    /// Entries that were new, in order of arrival.
    pub(crate) fresh: Vec<Entry>,
}

enum Access {
    Reading(Snapshot),
    Writing(Box<Transaction>),
}

impl<'s> DeviceReplica<'s> {
    pub(crate) fn new(store: &'s Store, mailbox: MailboxId, relay: RelayKey) -> Result<Self, Fault> {
        Ok(Self { store, access: Access::Reading(store.read()?), mailbox, relay, trusted: None, fresh: Vec::new() })
    }

    /// The transaction, if anything was written.
    pub(crate) fn finish(self) -> (Option<Transaction>, Vec<Entry>) {
        match self.access {
            Access::Reading(_) => (None, self.fresh),
            Access::Writing(transaction) => (Some(*transaction), self.fresh),
        }
    }

    fn read(&self) -> &dyn Read {
        match &self.access {
            Access::Reading(snapshot) => snapshot,
            Access::Writing(transaction) => &**transaction,
        }
    }

    fn write(&mut self) -> Result<&mut Transaction, StoreError> {
        if matches!(self.access, Access::Reading(_)) {
            self.access = Access::Writing(Box::new(self.store.write()?));
        }
        match &mut self.access {
            Access::Writing(transaction) => Ok(transaction),
            Access::Reading(_) => Err(StoreError::ReadOnly),
        }
    }

    fn log(&self) -> StoredLog<'_> {
        StoredLog::reading(self.read(), SPACE_NUMBER)
    }

    fn is_opened(&self, log: &LogId) -> Result<bool, Fault> {
        if !self.log().tips(log)?.is_empty() {
            return Ok(true);
        }
        let Some(opening) = self.read().get(OPENINGS, &mailbox_key(&self.mailbox, &log.0))? else { return Ok(false) };
        let opening = LogOpening::verify(&opening, &self.mailbox).map_err(|_| Fault::Damaged("a log opening"))?;
        Ok(self.list()?.is_some_and(|list| list.flags(&opening.pseudonym()) != 0))
    }

    fn list(&self) -> Result<Option<AccessList>, Fault> {
        access_list(self.read(), &self.mailbox)
    }
}

/// The access list of a mailbox, as far as it is known here.
pub(crate) fn access_list(read: &dyn Read, mailbox: &MailboxId) -> Result<Option<AccessList>, Fault> {
    let mut statements = Vec::new();
    for (_, bytes) in read.pairs(ACCESS, &mailbox.0)? {
        statements.push(AccessStatement::verify(&bytes).map_err(|_| Fault::Damaged("an access statement"))?);
    }
    Ok(AccessList::from_statements(statements).ok())
}

/// Faults of records that a session meets are faults of the store to it.
fn store_error(fault: Fault) -> StoreError {
    match fault {
        Fault::Store(error) => error,
        other => StoreError::Damaged(other.to_string()),
    }
}

impl Log for DeviceReplica<'_> {
    type Error = StoreError;

    fn vector(&self) -> Result<Vector, StoreError> {
        self.log().vector()
    }

    fn tips(&self, log: &LogId) -> Result<Vec<Tip>, StoreError> {
        self.log().tips(log)
    }

    fn names(&self, log: &LogId, seq: u64) -> Result<Vec<EntryName>, StoreError> {
        self.log().names(log, seq)
    }

    fn after(&self, log: &LogId, seq: u64, budget: usize) -> Result<Vec<Entry>, StoreError> {
        self.log().after(log, seq, budget)
    }

    fn forked_at(&self, log: &LogId) -> Result<Option<u64>, StoreError> {
        self.log().forked_at(log)
    }

    fn append(&mut self, entry: &Entry) -> Result<Appended, StoreError> {
        let appended = self.write()?.log(SPACE_NUMBER).append(entry)?;
        if appended.is_new() {
            self.fresh.push(entry.clone());
        }
        Ok(appended)
    }
}

impl Replica for DeviceReplica<'_> {
    /// A log must have been opened under a pseudonym that was ever on the mailbox's list, or the relay could fill this
    /// device's disk with logs of its own.
    fn take(&mut self, entry: &Entry) -> Result<Taken, StoreError> {
        let log = entry.log();
        if self.trusted != Some(log) {
            if !self.is_opened(&log).map_err(store_error)? {
                return Ok(Taken::Refused(Refusal::NotOpened));
            }
            self.trusted = Some(log);
        }
        Ok(Taken::Log(self.append(entry)?))
    }

    fn opening(&mut self, log: &LogId) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(kept) = self.read().get(OPENINGS, &mailbox_key(&self.mailbox, &log.0))? {
            return Ok(Some(kept));
        }
        let Some(own) = own_log(self.read(), log).map_err(store_error)? else { return Ok(None) };
        let space: Option<SpaceRecord> =
            record(self.read(), Table::SETTINGS, SPACE, "the space").map_err(store_error)?;
        let device = device_keys(self.read()).map_err(store_error)?;
        let (Some(space), Some(device)) = (space, device) else { return Ok(None) };
        let pseudonym = device.pseudonym(&space.space, &self.relay);
        Ok(Some(LogOpening::new(&self.mailbox, &own, &pseudonym).as_bytes().to_vec()))
    }

    fn admit(&mut self, opening: &[u8]) -> Result<Result<(), Refusal>, StoreError> {
        let mailbox = self.mailbox;
        let kept = keep_opening(self.write()?, &mailbox, opening).map_err(store_error)?;
        Ok(if kept { Ok(()) } else { Err(Refusal::Invalid) })
    }

    fn access_digest(&self) -> Result<[u8; 32], StoreError> {
        Ok(self.list().map_err(store_error)?.map_or([0; 32], |list| list.digest()))
    }

    fn statements(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let list = self.list().map_err(store_error)?;
        Ok(list.map_or_else(Vec::new, |list| list.statements().iter().map(|one| one.bytes().to_vec()).collect()))
    }

    fn state(&mut self, statement: &[u8]) -> Result<Result<(), Refusal>, StoreError> {
        let Ok(parsed) = AccessStatement::verify(statement) else { return Ok(Err(Refusal::Invalid)) };
        let Some(mut list) = self.list().map_err(store_error)? else { return Ok(Err(Refusal::NoMailbox)) };
        match list.add(parsed) {
            Ok(false) => Ok(Ok(())),
            Ok(true) => {
                let mailbox = self.mailbox;
                keep_statement(self.write()?, &mailbox, statement).map_err(store_error)?;
                Ok(Ok(()))
            }
            Err(_) => Ok(Err(Refusal::NotPermitted)),
        }
    }
}
