//! What is inside a sealed entry.

use serde::{Deserialize, Serialize};

use crate::bodies::{
    Add, Carried, Changes, Genesis, Manner, OpenLog, Raise, Reads, Receipts, Remove, Rename, Roads, Rotate, SetRole,
    Share,
};
use crate::ids::{EntryName, LogId};
use crate::recovered::{Admit, ChangeRecovery, Reset};
use crate::{DecodeError, LogOpening, Members, WRAP_LEN, decode, encode};

/// Most bytes of a device's or a space's name.
pub const MAX_NAME: usize = 200;

/// Most parents of a membership entry.
pub const MAX_PARENTS: usize = 64;

/// Most pins of a revoke: as many as its body has room for.
pub const MAX_PINS: usize = 1_700;

/// Most bytes of a membership entry's body.
pub const MAX_MEMBERSHIP: usize = 128 << 10;

/// An entry of another log that this one builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dep {
    /// The other log.
    pub log: LogId,
    /// The place in it.
    pub seq: u64,
    /// The entry there.
    pub name: EntryName,
}

/// The sealed content of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// One of [`Kind`]'s numbers; unknown ones are stored, forwarded and counted.
    pub kind: u16,
    /// Tips of other logs that the author had read and that moved since its last entry, sorted.
    pub deps: Vec<Dep>,
    /// Milliseconds since 1970, for display only: no rule reads it.
    pub time: u64,
    /// The body, as the kind says.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

impl Sealed {
    /// Writes a body of a kind that is known here; puts the deps in order.
    #[must_use]
    pub fn new(payload: &Payload, mut deps: Vec<Dep>, time: u64) -> Self {
        deps.sort_unstable();
        deps.dedup();
        Self { kind: payload.kind() as u16, deps, time, body: payload.encode() }
    }

    /// Reads the body; `None` for a kind that is not known here.
    ///
    /// # Errors
    /// When the kind is known and the body is not one of its own.
    pub fn payload(&self) -> Result<Option<Payload>, DecodeError> {
        Payload::decode(self.kind, &self.body)
    }

    /// Whether the receivers will take it: nothing is sealed that does not open.
    pub(crate) fn check(&self) -> Result<(), DecodeError> {
        self.check_deps()?;
        self.payload().map(|_| ())
    }

    pub(crate) fn check_deps(&self) -> Result<(), DecodeError> {
        rule(ascending(&self.deps))
    }
}

/// Every kind of entry; FORMAT.md gives the bodies. Numbers are for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
#[allow(missing_docs, reason = "FORMAT.md lists them")]
pub enum Kind {
    OpenLog = 1,
    Changes = 2,
    Beacon = 3,
    Genesis = 16,
    Add = 17,
    Role = 18,
    Rename = 19,
    Remove = 20,
    Rotate = 21,
    Share = 22,
    Reset = 23,
    Roads = 24,
    Admit = 25,
    ChangeRecovery = 26,
    Raise = 27,
    Recovery = 32,
    Decision = 33,
    Checkpoint = 34,
    Blob = 35,
    Forget = 36,
    Receipts = 37,
    Reads = 38,
    Carried = 39,
}

impl Kind {
    /// Whether a number, known or not, is one of the kinds that decide who belongs and where the members meet.
    #[must_use]
    pub fn is_membership(kind: u16) -> bool {
        (Self::Genesis as u16..Self::Recovery as u16).contains(&kind)
    }
}

/// A body of a kind that is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The first entry of a log.
    OpenLog(OpenLog),
    /// Changes of documents.
    Changes(Changes),
    /// Nothing but deps.
    Beacon,
    /// The birth of a space.
    Genesis(Genesis),
    /// A device is admitted.
    Add(Add),
    /// A member's role is changed.
    SetRole(SetRole),
    /// A member gets another name.
    Rename(Rename),
    /// A device is shut out.
    Remove(Remove),
    /// A new epoch of keys.
    Rotate(Rotate),
    /// An epoch key for one member.
    Share(Share),
    /// The recovery key says anew who belongs.
    Reset(Reset),
    /// Where the members meet.
    Roads(Roads),
    /// The recovery key lets a device in.
    Admit(Admit),
    /// Another recovery key.
    ChangeRecovery(ChangeRecovery),
    /// The least level of programs that may write.
    Raise(Raise),
    /// What becomes of entries in quarantine: the deps name the tips.
    Decision(Decision),
    /// What relays confirmed to have of the log that it stands in.
    Receipts(Receipts),
    /// The level of the program that writes the log that it stands in.
    Reads(Reads),
    /// Changes of documents from a branch of another log that nobody takes any more.
    Carried(Carried),
}

/// What becomes of entries in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// The deps of the entry make them count, as they do for every entry.
    Accept,
    /// They need not be shown again.
    Discard,
}

impl Payload {
    /// Its number.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::OpenLog(_) => Kind::OpenLog,
            Self::Changes(_) => Kind::Changes,
            Self::Beacon => Kind::Beacon,
            Self::Genesis(_) => Kind::Genesis,
            Self::Add(_) => Kind::Add,
            Self::SetRole(_) => Kind::Role,
            Self::Rename(_) => Kind::Rename,
            Self::Remove(_) => Kind::Remove,
            Self::Rotate(_) => Kind::Rotate,
            Self::Share(_) => Kind::Share,
            Self::Reset(_) => Kind::Reset,
            Self::Roads(_) => Kind::Roads,
            Self::Admit(_) => Kind::Admit,
            Self::ChangeRecovery(_) => Kind::ChangeRecovery,
            Self::Raise(_) => Kind::Raise,
            Self::Decision(_) => Kind::Decision,
            Self::Receipts(_) => Kind::Receipts,
            Self::Reads(_) => Kind::Reads,
            Self::Carried(_) => Kind::Carried,
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::OpenLog(body) => encode(body),
            Self::Changes(body) => encode(body),
            Self::Beacon => Vec::new(),
            Self::Genesis(body) => encode(body),
            Self::Add(body) => encode(body),
            Self::SetRole(body) => encode(body),
            Self::Rename(body) => encode(body),
            Self::Remove(body) => encode(body),
            Self::Rotate(body) => encode(body),
            Self::Share(body) => encode(body),
            Self::Reset(body) => encode(body),
            Self::Roads(body) => encode(body),
            Self::Admit(body) => encode(body),
            Self::ChangeRecovery(body) => encode(body),
            Self::Raise(body) => encode(body),
            Self::Decision(body) => encode(body),
            Self::Receipts(body) => encode(body),
            Self::Reads(body) => encode(body),
            Self::Carried(body) => encode(body),
        }
    }

    fn decode(kind: u16, body: &[u8]) -> Result<Option<Self>, DecodeError> {
        let payload = match kind {
            1 => Self::OpenLog(decode(body)?),
            2 => Self::Changes(decode(body)?),
            3 if body.is_empty() => Self::Beacon,
            3 => return Err(DecodeError::Trailing(body.len())),
            16 => Self::Genesis(decode(body)?),
            17 => Self::Add(decode(body)?),
            18 => Self::SetRole(decode(body)?),
            19 => Self::Rename(decode(body)?),
            20 => Self::Remove(decode(body)?),
            21 => Self::Rotate(decode(body)?),
            22 => Self::Share(decode(body)?),
            23 => Self::Reset(decode(body)?),
            24 => Self::Roads(decode(body)?),
            25 => Self::Admit(decode(body)?),
            26 => Self::ChangeRecovery(decode(body)?),
            27 => Self::Raise(decode(body)?),
            33 => Self::Decision(decode(body)?),
            37 => Self::Receipts(decode(body)?),
            38 => Self::Reads(decode(body)?),
            39 => Self::Carried(decode(body)?),
            _ => return Ok(None),
        };
        rule(body.len() <= MAX_MEMBERSHIP || !Kind::is_membership(kind))?;
        payload.check()?;
        Ok(Some(payload))
    }

    /// The rules of each kind that types alone do not hold.
    fn check(&self) -> Result<(), DecodeError> {
        match self {
            Self::Beacon | Self::Decision(_) => Ok(()),
            Self::Receipts(receipts) => rule(receipts.relays.len() <= MAX_PARENTS && ascending(&receipts.relays)),
            Self::OpenLog(open) => rule(open.signature.len() == 64),
            Self::Changes(changes) => nonces(changes),
            Self::Carried(carried) => {
                nonces(&carried.changes)?;
                rule(carried.signature.len() == 64)
            }
            Self::Genesis(genesis) => rule(genesis.name.len() <= MAX_NAME),
            Self::Add(add) => {
                parents(&add.parents)?;
                rule(add.name.len() <= MAX_NAME)
            }
            Self::SetRole(set) => parents(&set.parents),
            Self::Rename(rename) => {
                parents(&rename.parents)?;
                rule(rename.name.len() <= MAX_NAME)
            }
            Self::Remove(remove) => {
                parents(&remove.parents)?;
                match &remove.manner {
                    Manner::Retire => Ok(()),
                    Manner::Revoke { pins } => rule(pins.len() <= MAX_PINS && ascending(pins)),
                }
            }
            Self::Rotate(rotate) => {
                parents(&rotate.parents)?;
                rule(rotate.wraps.is_sorted_by(|a, b| a.recipient < b.recipient))?;
                rule(rotate.wraps.len() <= Members::MAX + 1)?;
                rule(rotate.wraps.iter().all(|wrap| wrap.bytes.len() == WRAP_LEN))
            }
            Self::Share(share) => {
                parents(&share.parents)?;
                rule(share.wrap.bytes.len() == WRAP_LEN)
            }
            Self::Reset(reset) => {
                parents(&reset.parents)?;
                let ids: Vec<_> = reset.members.iter().map(|listed| listed.certificate.id()).collect();
                rule(!ids.is_empty() && ids.len() <= Members::MAX && ascending(&ids))?;
                rule(reset.members.iter().all(|listed| listed.name.len() <= MAX_NAME))?;
                rule(reset.signature.len() == 64)
            }
            Self::Admit(admit) => {
                parents(&admit.parents)?;
                rule(admit.name.len() <= MAX_NAME && admit.signature.len() == 64)
            }
            Self::ChangeRecovery(change) => {
                parents(&change.parents)?;
                rule(change.signature.len() == 64)
            }
            Self::Raise(raise) => {
                parents(&raise.parents)?;
                rule(raise.level > 0)
            }
            Self::Reads(reads) => rule(reads.level > 0),
            Self::Roads(roads) => {
                parents(&roads.parents)?;
                rule(roads.pseudonyms.iter().all(|known| known.signature.len() == 64))?;
                rule(roads.openings.iter().all(|opening| opening.len() == LogOpening::LEN))
            }
        }
    }
}

fn nonces(changes: &Changes) -> Result<(), DecodeError> {
    rule(changes.items.iter().all(|item| usize::from(item.nonce) <= changes.nonces.len()))
}

fn parents(parents: &[EntryName]) -> Result<(), DecodeError> {
    rule(parents.len() <= MAX_PARENTS && ascending(parents))
}

/// Sorted, and nothing twice.
fn ascending<T: Ord>(list: &[T]) -> bool {
    list.is_sorted_by(|a, b| a < b)
}

fn rule(holds: bool) -> Result<(), DecodeError> {
    if holds { Ok(()) } else { Err(DecodeError::Bounds) }
}
