//! Who belongs to the space, as this device knows it, and whose each log is.

use std::collections::BTreeMap;

use ties_sealed_log::{
    DeviceCert, DeviceId, EntryName, Genesis, LogId, Members, MembershipAct, MembershipEntry, Payload, Sealed, decode,
};
use ties_store::{Read, Table};

use crate::records::{CLAIMS, ClaimRecord, Fault, MEMBERSHIP, MembershipRecord, SPACE, SpaceRecord, record};

/// The members of the space and the logs they claim.
pub(crate) struct Roster {
    pub(crate) space: SpaceRecord,
    /// `None` until the genesis entry has arrived.
    pub(crate) members: Option<Members>,
    claims: BTreeMap<LogId, ClaimRecord>,
    verified: BTreeMap<LogId, DeviceId>,
}

impl Roster {
    /// Reads and resolves everything known about membership.
    pub(crate) fn load(read: &dyn Read) -> Result<Self, Fault> {
        let space: SpaceRecord = record(read, Table::SETTINGS, SPACE, "the space")?.ok_or(Fault::NoKey)?;
        let mut genesis: Option<(EntryName, Genesis, u64)> = None;
        let mut entries = Vec::new();
        for (name, bytes) in read.pairs(MEMBERSHIP, &[])? {
            let name = EntryName(name.try_into().map_err(|_| Fault::Damaged("a membership entry"))?);
            let kept: MembershipRecord = decode(&bytes).map_err(|_| Fault::Damaged("a membership entry"))?;
            match payload(&kept)? {
                Payload::Genesis(birth) if name == space.genesis => genesis = Some((name, birth, kept.time)),
                Payload::Genesis(_) => {}
                other => entries.push(MembershipEntry {
                    name,
                    author: kept.author,
                    time: kept.time,
                    // Nothing counts them along the chain yet: no log comes near the bound.
                    number: 1,
                    act: MembershipAct::of(other).ok_or(Fault::Damaged("a membership entry"))?,
                }),
            }
        }
        let members = genesis.map(|(name, birth, time)| Members::resolve((name, &birth, time), &entries));
        let mut claims = BTreeMap::new();
        for (log, bytes) in read.pairs(CLAIMS, &[])? {
            let log = LogId(log.try_into().map_err(|_| Fault::Damaged("a claim"))?);
            claims.insert(log, decode(&bytes).map_err(|_| Fault::Damaged("a claim"))?);
        }
        Ok(Self { space, members, claims, verified: BTreeMap::new() })
    }

    /// The member behind a log: claimed, admitted, and the claim's signature verified.
    pub(crate) fn author(&mut self, log: &LogId) -> Option<DeviceId> {
        if let Some(device) = self.verified.get(log) {
            return Some(*device);
        }
        let claim = self.claims.get(log)?;
        let certificate = self.members.as_ref()?.certificate(&claim.device)?;
        if !self.holds(certificate, claim, log) {
            return None;
        }
        self.verified.insert(*log, claim.device);
        Some(claim.device)
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

    /// Whether a device is the one that made the space.
    pub(crate) fn is_founder(&self, device: &DeviceId) -> bool {
        self.members.as_ref().is_some_and(|members| members.founder() == device)
    }

    /// The logs that each device claims.
    pub(crate) fn logs_of(&self, device: &DeviceId) -> Vec<LogId> {
        self.claims.iter().filter(|(_, claim)| claim.device == *device).map(|(log, _)| *log).collect()
    }
}

fn payload(kept: &MembershipRecord) -> Result<Payload, Fault> {
    let sealed = Sealed { kind: kept.kind, deps: Vec::new(), time: kept.time, body: kept.body.to_vec() };
    sealed.payload().ok().flatten().ok_or(Fault::Damaged("a membership entry"))
}
