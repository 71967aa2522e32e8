//! This device, as a session sees it: reading until something is to be written, then one transaction for all of it.

use ties_fault::{Point, pass};
use ties_sealed_log::{
    AccessList, AccessStatement, Appended, Chunk, ChunkName, Entry, EntryName, FloorRecord, Log, LogId, LogOpening,
    MailboxId, RelayKey, Tip, Vector,
};
use ties_store::{Read, Snapshot, Store, StoreError, StoredLog, Table, Transaction};
use ties_sync::{FloorTaken, Refusal, Replica, Taken};

use crate::absorb::{keep_opening, keep_statement};
use crate::author::{Keyring, SPACE_NUMBER, keyring, own_log};
use crate::checkpoint::{Answer, consider, held, held_cosigned, shelf};
use crate::records::{ACCESS, Fault, OPENINGS, SPACE, SpaceRecord, mailbox_key, record};
use crate::secrets::device_keys;

/// One device, for the time of one call: at one mailbox, or with no relay in between.
pub(crate) struct DeviceReplica<'s> {
    store: &'s Store,
    access: Access,
    gate: Gate,
    /// The last log found to be let in; entries come log by log.
    trusted: Option<LogId>,
    /// Whether checkpoints are shown and taken: not with a side that is not known to belong.
    trusts: bool,
    /// The time, for what is noted of a checkpoint.
    now: u64,
    /// Entries that were new, in order of arrival.
    pub(crate) fresh: Vec<Entry>,
}

/// What lets in a log that is not here yet. Without it whoever speaks could fill this device's disk with logs of its own.
enum Gate {
    /// It was opened at a relay's mailbox, under a pseudonym that was ever on the list there.
    Opened(Mailbox),
    /// Its first entry opens under the key of an epoch that is here, so whoever began it had that key. One that does not
    /// open may do so once more was absorbed. The keys are read when the first such log comes.
    Keys(Option<Keyring>),
}

#[derive(Clone, Copy)]
struct Mailbox {
    id: MailboxId,
    relay: RelayKey,
}

enum Access {
    Reading(Snapshot),
    Writing(Box<Transaction>),
}

impl<'s> DeviceReplica<'s> {
    /// At a relay's mailbox: takes logs that were opened there.
    pub(crate) fn new(store: &'s Store, mailbox: MailboxId, relay: RelayKey) -> Result<Self, Fault> {
        Self::behind(store, Gate::Opened(Mailbox { id: mailbox, relay }))
    }

    /// With no relay in between (a folder, another device): takes logs that are known here and logs that open under a key
    /// held here. There is no mailbox, no access list and no opening.
    pub(crate) fn without_relay(store: &'s Store) -> Result<Self, Fault> {
        Self::behind(store, Gate::Keys(None))
    }

    fn behind(store: &'s Store, gate: Gate) -> Result<Self, Fault> {
        Ok(Self {
            store,
            access: Access::Reading(store.read()?),
            gate,
            trusted: None,
            trusts: true,
            now: 0,
            fresh: Vec::new(),
        })
    }

    /// The same at a time, in milliseconds since 1970.
    pub(crate) fn at(self, now: u64) -> Self {
        Self { now, ..self }
    }

    /// The same with a side that is not known to belong: no checkpoint is shown to it, and none taken.
    pub(crate) fn without_trust(self) -> Self {
        Self { trusts: false, ..self }
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

    /// Whether entries of this one's log may come in: the log is here, or its gate lets it in.
    fn lets_in(&mut self, entry: &Entry) -> Result<bool, Fault> {
        if !self.log().tips(&entry.log())?.is_empty() {
            return Ok(true);
        }
        match &self.gate {
            Gate::Opened(mailbox) => self.is_opened(*mailbox, &entry.log()),
            Gate::Keys(_) => self.opens(entry),
        }
    }

    fn is_opened(&self, mailbox: Mailbox, log: &LogId) -> Result<bool, Fault> {
        let Some(opening) = self.read().get(OPENINGS, &mailbox_key(&mailbox.id, &log.0))? else { return Ok(false) };
        let opening = LogOpening::verify(&opening, &mailbox.id).map_err(|_| Fault::Damaged("a log opening"))?;
        Ok(self.list()?.is_some_and(|list| list.flags(&opening.pseudonym()) != 0))
    }

    fn opens(&mut self, entry: &Entry) -> Result<bool, Fault> {
        if entry.seq() != 1 {
            return Ok(false);
        }
        let place: Option<SpaceRecord> = record(self.read(), Table::SETTINGS, SPACE, "the space")?;
        let space = place.ok_or(Fault::NoKey)?.space;
        if matches!(self.gate, Gate::Keys(None)) {
            self.gate = Gate::Keys(Some(keyring(self.read())?));
        }
        let Gate::Keys(Some(keys)) = &self.gate else { return Ok(false) };
        Ok(entry.open(&space, keys.iter().map(|(id, _, key)| (id, key))).is_ok())
    }

    fn mailbox(&self) -> Option<Mailbox> {
        match self.gate {
            Gate::Opened(mailbox) => Some(mailbox),
            Gate::Keys(_) => None,
        }
    }

    fn list(&self) -> Result<Option<AccessList>, Fault> {
        self.mailbox().map_or(Ok(None), |mailbox| access_list(self.read(), &mailbox.id))
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

    fn base(&self, log: &LogId) -> Result<Vec<Tip>, StoreError> {
        self.log().base(log)
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
    fn take(&mut self, entry: &Entry) -> Result<Taken, StoreError> {
        let log = entry.log();
        if self.trusted != Some(log) {
            if !self.lets_in(entry).map_err(store_error)? {
                return Ok(Taken::Refused(Refusal::NotOpened));
            }
            self.trusted = Some(log);
        }
        Ok(Taken::Log(self.append(entry)?))
    }

    fn opening(&mut self, log: &LogId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mailbox) = self.mailbox() else { return Ok(None) };
        if let Some(kept) = self.read().get(OPENINGS, &mailbox_key(&mailbox.id, &log.0))? {
            return Ok(Some(kept));
        }
        let Some(own) = own_log(self.read(), log).map_err(store_error)? else { return Ok(None) };
        let space: Option<SpaceRecord> =
            record(self.read(), Table::SETTINGS, SPACE, "the space").map_err(store_error)?;
        let device = device_keys(self.read()).map_err(store_error)?;
        let (Some(space), Some(device)) = (space, device) else { return Ok(None) };
        let pseudonym = device.pseudonym(&space.space, &mailbox.relay);
        Ok(Some(LogOpening::new(&mailbox.id, &own, &pseudonym).as_bytes().to_vec()))
    }

    fn admit(&mut self, opening: &[u8]) -> Result<Result<(), Refusal>, StoreError> {
        let Some(mailbox) = self.mailbox() else { return Ok(Err(Refusal::NoMailbox)) };
        let kept = keep_opening(self.write()?, &mailbox.id, opening).map_err(store_error)?;
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
        let (Some(mailbox), Some(mut list)) = (self.mailbox(), self.list().map_err(store_error)?) else {
            return Ok(Err(Refusal::NoMailbox));
        };
        match list.add(parsed) {
            Ok(false) => Ok(Ok(())),
            Ok(true) => {
                keep_statement(self.write()?, &mailbox.id, statement).map_err(store_error)?;
                Ok(Ok(()))
            }
            Err(_) => Ok(Err(Refusal::NotPermitted)),
        }
    }

    fn floor(&self) -> Result<Option<FloorRecord>, StoreError> {
        if self.trusts { held(self.read()).map_err(store_error) } else { Ok(None) }
    }

    fn cosigned_floor(&self) -> Result<Option<FloorRecord>, StoreError> {
        if self.trusts { held_cosigned(self.read()).map_err(store_error) } else { Ok(None) }
    }

    fn take_floor(&mut self, floor: &FloorRecord, needed: bool) -> Result<FloorTaken, StoreError> {
        if !self.trusts {
            return Ok(FloorTaken::Passed);
        }
        let Answer { taken, keep } = consider(self.read(), floor, needed).map_err(store_error)?;
        if keep {
            let now = self.now;
            shelf::put(self.write()?, floor, None, now).map_err(store_error)?;
            pass(Point::FloorShelved);
        }
        Ok(taken)
    }

    fn chunk(&self, name: &ChunkName) -> Result<Option<Vec<u8>>, StoreError> {
        shelf::chunk(self.read(), name).map_err(store_error)
    }

    fn put_chunk(&mut self, _: &ChunkName, bytes: &[u8]) -> Result<(), StoreError> {
        // Whoever calls has compared name and length; other lengths than a chunk has do not come this far.
        let Ok(chunk) = Chunk::new(bytes.to_vec()) else { return Ok(()) };
        shelf::put_chunk(self.write()?, &chunk).map_err(store_error)?;
        pass(Point::PieceTaken);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use automerge::{ROOT, transaction::Transactable};
    use ties_sealed_log::Role;

    use super::*;
    use crate::document::DocumentId;
    use crate::edit::EditError;
    use crate::environment::Environment;
    use crate::space::{CreateOptions, Space};

    fn space() -> Space {
        let options = CreateOptions { device_name: "laptop".into(), recovery: false };
        Space::create_in(Store::in_memory().unwrap(), (), &options, Environment::system()).unwrap().0
    }

    fn put(space: &Space, key: &str) {
        let document = DocumentId([7; 16]);
        space.write(|edit| edit.change(document, |list| list.put(ROOT, key, true).map_err(EditError::from))).unwrap();
    }

    fn entries(space: &Space) -> Vec<Entry> {
        let snapshot = space.inner.store.read().unwrap();
        let log = snapshot.log(SPACE_NUMBER);
        log.vector().unwrap().logs().flat_map(|id| log.after(&id, 0, usize::MAX).unwrap()).collect()
    }

    fn take(space: &Space, entries: &[Entry]) -> Vec<Taken> {
        let mut replica = DeviceReplica::without_relay(&space.inner.store).unwrap();
        entries.iter().map(|entry| replica.take(entry).unwrap()).collect()
    }

    #[test]
    fn without_a_relay_a_log_comes_in_if_it_is_known_or_opens_under_a_key_that_is_here() {
        let host = space();
        put(&host, "milk");
        let relay = ties_sealed_log::RelaySecret::from_secret(&ties_sealed_log::Secret::new([7; 32])).id();
        let address = ties_net::RelayAddress::new(ties_net::Scheme::Loopback, "127.0.0.1", 7700, relay).unwrap();
        let road = host.offline().add_relay(&address.to_string()).unwrap();
        let store = Store::in_memory().unwrap();
        let guest = host.offline().admit(&road, Role::Writer, store, (), "phone", Environment::system()).unwrap();
        let (hosts, guests) = (entries(&host), entries(&guest));
        assert_eq!(take(&host, &guests), vec![Taken::Log(Appended::Extended); guests.len()]);
        assert_eq!(take(&guest, &hosts), vec![Taken::Log(Appended::Extended); hosts.len()]);
        put(&host, "bread");
        assert!(take(&host, &entries(&host)).iter().all(|taken| *taken == Taken::Log(Appended::Known)));
        // Whoever has no key of this space makes nobody take anything, not even what continues such a log.
        let strangers = entries(&space());
        assert_eq!(take(&host, &strangers), vec![Taken::Refused(Refusal::NotOpened); strangers.len()]);
        assert_eq!(take(&guest, &hosts[1..2]), vec![Taken::Refused(Refusal::NotOpened)]);
    }
}
