//! Who belongs to the space, as this device knows it, whose each log is, and how far it counts.

use std::collections::{BTreeMap, BTreeSet};

use ties_sealed_log::{
    DeviceCert, DeviceId, Entry, EntryName, EpochId, Genesis, KnownEpoch, LogId, Members, MembershipAct,
    MembershipEntry, Payload, Role, Sealed, Tip, decode,
};
use ties_store::{Read, Table, Transaction};

use crate::acceptance::Standing;
use crate::epochs::reconsider;
use crate::lineage::Lineage;
use crate::records::{
    CLAIMS, ClaimRecord, Fault, MEMBERSHIP, MembershipRecord, SPACE, SpaceRecord, put_record, record,
};

/// The entries of which it matters who knows them: removals, and what makes a device one that may only read.
const SUBJECTS: &[u8] = b"subjects";

/// The members of the space and the logs they claim.
pub(crate) struct Roster {
    pub(crate) space: SpaceRecord,
    /// `None` until the genesis entry has arrived.
    pub(crate) members: Option<Members>,
    /// Every epoch of which the beginning is known, whether or not its key is here.
    pub(crate) epochs: Vec<Epoch>,
    /// Who was given which epoch's key after it began.
    pub(crate) shares: BTreeSet<(EpochId, DeviceId)>,
    parents: BTreeMap<EntryName, Vec<EntryName>>,
    resets: Vec<EntryName>,
    /// The keys of everybody who was ever let in, by whomever.
    certificates: BTreeMap<DeviceId, DeviceCert>,
    claims: BTreeMap<LogId, ClaimRecord>,
    verified: BTreeMap<LogId, DeviceId>,
}

/// An epoch, as the entry tells it that began it.
pub(crate) struct Epoch {
    /// The entry.
    pub(crate) entry: EntryName,
    pub(crate) facts: KnownEpoch,
    /// Proves a key to be this epoch's.
    pub(crate) check: [u8; 32],
    /// When it began, as its author says: milliseconds since 1970.
    pub(crate) time: u64,
}

impl Roster {
    /// Reads and resolves everything known about membership.
    pub(crate) fn load(read: &dyn Read) -> Result<Self, Fault> {
        let space: SpaceRecord = record(read, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
        let mut genesis: Option<(EntryName, Genesis, u64)> = None;
        let mut entries = Vec::new();
        let mut rotates = Vec::new();
        let mut shares = BTreeSet::new();
        let mut certificates = BTreeMap::new();
        let mut parents = BTreeMap::new();
        let mut resets = Vec::new();
        for (name, bytes) in read.pairs(MEMBERSHIP, &[])? {
            let name = EntryName(name.try_into().map_err(|_| Fault::Damaged("a membership entry"))?);
            let kept: MembershipRecord = decode(&bytes).map_err(|_| Fault::Damaged("a membership entry"))?;
            let payload = payload(&kept)?;
            certificates.extend(introduced(&payload));
            match payload {
                Payload::Genesis(birth) if name == space.genesis => genesis = Some((name, birth, kept.time)),
                Payload::Genesis(_) => {}
                other => {
                    match &other {
                        Payload::Rotate(rotate) => {
                            let id = rotate.epoch(&space.space, &kept.author);
                            let recipients = rotate.wraps.iter().map(|wrap| wrap.recipient).collect();
                            let generation = rotate.generation;
                            let facts = KnownEpoch { id, generation, recipients, counts: false };
                            rotates.push(Epoch { entry: name, facts, check: rotate.check, time: kept.time });
                        }
                        Payload::Reset(_) => resets.push(name),
                        Payload::Share(share) => drop(shares.insert((share.epoch, share.wrap.recipient))),
                        _ => {}
                    }
                    let act = MembershipAct::of(other).ok_or(Fault::Damaged("a membership entry"))?;
                    parents.insert(name, act.parents().to_vec());
                    let MembershipRecord { author, time, number, .. } = kept;
                    entries.push(MembershipEntry { name, author, time, number, act });
                }
            }
        }
        let members = genesis.map(|(name, birth, time)| Members::resolve((name, &birth, time), &entries));
        let counts = |name: &EntryName| members.as_ref().is_some_and(|members| members.rotate_counts(name));
        rotates.iter_mut().for_each(|epoch: &mut Epoch| epoch.facts.counts = counts(&epoch.entry));
        let mut claims = BTreeMap::new();
        for (log, bytes) in read.pairs(CLAIMS, &[])? {
            let log = LogId(log.try_into().map_err(|_| Fault::Damaged("a claim"))?);
            claims.insert(log, decode(&bytes).map_err(|_| Fault::Damaged("a claim"))?);
        }
        let verified = BTreeMap::new();
        Ok(Self { space, members, epochs: rotates, shares, parents, resets, certificates, claims, verified })
    }

    /// The device behind a log: claimed, let in at some time by somebody, and the claim's signature verified. Whether what
    /// it writes counts is another question: [`Self::standing`].
    pub(crate) fn author(&mut self, log: &LogId) -> Option<DeviceId> {
        if let Some(device) = self.verified.get(log) {
            return Some(*device);
        }
        self.members.as_ref()?;
        let claim = self.claims.get(log)?;
        let certificate = self.certificates.get(&claim.device)?;
        if !self.holds(certificate, claim, log) {
            return None;
        }
        self.verified.insert(*log, claim.device);
        Some(claim.device)
    }

    /// How far a log counts.
    pub(crate) fn standing(&mut self, log: &LogId) -> Standing {
        let Some(device) = self.author(log) else { return Standing::Unknown };
        let Some(members) = &self.members else { return Standing::Unknown };
        if let Some(member) = members.get(&device) {
            return match member.role {
                Role::Reader => Standing::Reader(members.reader_since(&device).to_vec()),
                Role::Writer | Role::Admin => Standing::Whole,
            };
        }
        match members.removed().find(|(id, _)| **id == device) {
            // It signed off: what it writes with that behind it, somebody else writes.
            Some((_, removed)) if removed.retired => Standing::Reader(removed.entries.clone()),
            Some((_, removed)) => {
                let pins = removed.pins.iter().filter(|pin| pin.log == *log);
                Standing::Cut(pins.map(|pin| Tip { seq: pin.seq, name: pin.name }).collect())
            }
            None => Standing::Cut(Vec::new()),
        }
    }

    /// How far each claimed log counts.
    pub(crate) fn standings(&mut self) -> BTreeMap<LogId, Standing> {
        let logs: Vec<LogId> = self.claims.keys().copied().collect();
        logs.into_iter().map(|log| (log, self.standing(&log))).collect()
    }

    /// Whether a certificate stands behind the claim of a log.
    pub(crate) fn claimed_by(&self, certificate: &DeviceCert, log: &LogId) -> bool {
        self.claims
            .get(log)
            .is_some_and(|claim| claim.device == certificate.id() && self.holds(certificate, claim, log))
    }

    fn holds(&self, certificate: &DeviceCert, claim: &ClaimRecord, log: &LogId) -> bool {
        let signature = <&[u8; 64]>::try_from(claim.signature.as_slice());
        signature.is_ok_and(|signature| certificate.verify_log(&self.space.space, log, signature).is_ok())
    }

    /// A membership entry's ancestors.
    pub(crate) fn past(&self, entry: &EntryName) -> BTreeSet<EntryName> {
        let mut past = BTreeSet::new();
        let mut next: Vec<EntryName> = self.parents.get(entry).cloned().unwrap_or_default();
        while let Some(name) = next.pop() {
            if past.insert(name) {
                next.extend(self.parents.get(&name).into_iter().flatten());
            }
        }
        past
    }

    /// Whether whoever was let in by an entry with this past was given an epoch's key along with it. The first epoch begins
    /// the space, and names no parents.
    pub(crate) fn precedes(&self, epoch: &Epoch, past: &BTreeSet<EntryName>) -> bool {
        past.contains(&epoch.entry) || self.parents.get(&epoch.entry).is_some_and(Vec::is_empty)
    }

    /// The resets that an entry of now has in its past, whether or not they count.
    pub(crate) fn resets(&self) -> Vec<EntryName> {
        if self.resets.is_empty() {
            return Vec::new();
        }
        let heads = self.members.iter().flat_map(|members| members.heads().iter().copied());
        let known: BTreeSet<EntryName> = heads.flat_map(|head| self.past(&head).into_iter().chain([head])).collect();
        self.resets.iter().copied().filter(|reset| known.contains(reset)).collect()
    }

    /// What proves a key to be an epoch's, if its beginning is known.
    pub(crate) fn check_of(&self, epoch: &EpochId) -> Option<[u8; 32]> {
        self.epochs.iter().find(|known| known.facts.id == *epoch).map(|known| known.check)
    }

    /// Who claims a log.
    pub(crate) fn claimant(&self, log: &LogId) -> Option<DeviceId> {
        self.claims.get(log).map(|claim| claim.device)
    }

    /// What the owner of a device called it, if it ever belonged.
    pub(crate) fn name_of(&self, device: &DeviceId) -> Option<String> {
        let members = self.members.as_ref()?;
        let present = members.get(device).map(|member| member.name.clone());
        present
            .or_else(|| members.removed().find(|(id, _)| *id == device).map(|(_, removed)| removed.member.name.clone()))
    }

    /// Whether a device is the one that made the space.
    pub(crate) fn is_founder(&self, device: &DeviceId) -> bool {
        self.members.as_ref().is_some_and(|members| members.founder() == device)
    }

    /// The logs that each device claims.
    pub(crate) fn logs_of(&self, device: &DeviceId) -> Vec<LogId> {
        self.claims.iter().filter(|(_, claim)| claim.device == *device).map(|(log, _)| *log).collect()
    }
}

/// The devices whose keys a membership entry brings.
fn introduced(payload: &Payload) -> Vec<(DeviceId, DeviceCert)> {
    let certificates: Vec<&DeviceCert> = match payload {
        Payload::Genesis(birth) => vec![&birth.founder],
        Payload::Add(add) => vec![&add.certificate],
        Payload::Admit(admit) => vec![&admit.certificate],
        Payload::Reset(reset) => reset.members.iter().map(|listed| &listed.certificate).collect(),
        _ => Vec::new(),
    };
    certificates.into_iter().map(|certificate| (certificate.id(), certificate.clone())).collect()
}

/// Keeps a membership entry that was opened.
pub(crate) fn note_membership(
    transaction: &mut Transaction,
    entry: &Entry,
    author: DeviceId,
    time: u64,
    payload: &Payload,
) -> Result<(), Fault> {
    if transaction.get(MEMBERSHIP, &entry.name().0)?.is_some() {
        return Ok(());
    }
    let sealed = Sealed::new(payload, Vec::new(), time);
    let number = number(transaction, entry)?;
    let kept = MembershipRecord {
        author,
        time,
        kind: sealed.kind,
        log: entry.log(),
        seq: entry.seq(),
        number,
        body: sealed.body.into(),
    };
    put_record(transaction, MEMBERSHIP, &entry.name().0, &kept)?;
    if is_subject(payload) {
        let mut subjects = subjects(transaction)?;
        subjects.push(entry.name());
        put_record(transaction, Table::SETTINGS, SUBJECTS, &subjects)?;
    }
    reconsider(transaction)
}

/// Which membership entry of its branch an entry is; the first is 1.
fn number(read: &dyn Read, entry: &Entry) -> Result<u32, Fault> {
    let here = Tip { seq: entry.seq(), name: entry.name() };
    let lineage = Lineage::of(read, &entry.log())?;
    let mut number = 1;
    for (name, bytes) in read.pairs(MEMBERSHIP, &[])? {
        let kept: MembershipRecord = decode(&bytes).map_err(|_| Fault::Damaged("a membership entry"))?;
        let name = EntryName(name.try_into().map_err(|_| Fault::Damaged("a membership entry"))?);
        if kept.log == entry.log() && lineage.is_below(Tip { seq: kept.seq, name }, here) {
            number += 1;
        }
    }
    Ok(number)
}

/// Whether it matters who knows of an entry.
fn is_subject(payload: &Payload) -> bool {
    match payload {
        Payload::Remove(_) | Payload::SetRole(_) | Payload::Reset(_) => true,
        Payload::Add(add) => add.role == Role::Reader,
        _ => false,
    }
}

/// The entries of which it matters who knows them, in order of arrival.
pub(crate) fn subjects(read: &dyn Read) -> Result<Vec<EntryName>, Fault> {
    Ok(record(read, Table::SETTINGS, SUBJECTS, "what devices should know")?.unwrap_or_default())
}

fn payload(kept: &MembershipRecord) -> Result<Payload, Fault> {
    let sealed = Sealed { kind: kept.kind, deps: Vec::new(), time: kept.time, body: kept.body.to_vec() };
    sealed.payload().ok().flatten().ok_or(Fault::Damaged("a membership entry"))
}
