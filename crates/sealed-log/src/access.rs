//! What a relay may know: who may use a mailbox, and which logs stand under which pseudonym.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{LogId, MailboxId, Pseudonym, StatementName};
use crate::keys::{KeyError, LogKey, PseudonymKey};
use crate::{DecodeError, decode, encode};

const STATEMENT: &str = "ties1/access";
const OPENING: &str = "ties1/log-opening";
const OPENING_BY_LOG: &str = "ties1/log-opening-by-log";

/// May send entries and open logs.
pub const PUT: u8 = 1;
/// May read entries.
pub const GET: u8 = 2;
/// May sign access statements.
pub const MANAGE: u8 = 4;
/// Shut out. Beats everything concurrent, what the one who is shut out grants to others included.
pub const CLOSED: u8 = 8;

const FLAGS: u8 = PUT | GET | MANAGE | CLOSED;

/// Most statements that one mailbox may have.
pub const MAX_STATEMENTS: usize = 512;
/// Most parents of one statement.
const MAX_PARENTS: usize = 64;
/// Most grants in one statement.
pub const MAX_GRANTS: usize = 80;

/// Why an opening or a statement is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The bytes are not one.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A key is weak or a signature wrong.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Too many parents or grants, not in order, or flags that do not exist.
    #[error("out of bounds or order")]
    Shape,
    /// For another mailbox.
    #[error("for another mailbox")]
    Mailbox,
    /// Its parents are not here.
    #[error("its parents are not here")]
    Orphan,
    /// Signed by a pseudonym that may not manage the list.
    #[error("its signer may not manage the list")]
    Signer,
}

/// Opens a log at a mailbox: mailbox, log, pseudonym, the pseudonym's signature, the log key's signature; 224 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOpening([u8; Self::LEN]);

impl LogOpening {
    /// Its length.
    pub const LEN: usize = 32 + 32 + 32 + 64 + 64;

    /// Opens `log` under a pseudonym. Both keys sign: nobody claims another's log.
    #[must_use]
    pub fn new(mailbox: &MailboxId, log: &LogKey, pseudonym: &PseudonymKey) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes[..32].copy_from_slice(&mailbox.0);
        bytes[32..64].copy_from_slice(&log.id().0);
        bytes[64..96].copy_from_slice(&pseudonym.id().0);
        let signature = pseudonym.sign(OPENING, &[&bytes[..96]]);
        bytes[96..160].copy_from_slice(&signature);
        let signature = crate::keys::sign(log.signing(), OPENING_BY_LOG, &[&bytes[..96]]);
        bytes[160..].copy_from_slice(&signature);
        Self(bytes)
    }

    /// Checks exact bytes and both signatures.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn verify(bytes: &[u8], mailbox: &MailboxId) -> Result<Self, AccessError> {
        let opening = Self(bytes.try_into().map_err(|_| DecodeError::Malformed)?);
        if opening.0[..32] != mailbox.0 {
            return Err(AccessError::Mailbox);
        }
        let signature = |at: usize| -> &[u8; 64] { opening.0[at..at + 64].try_into().expect("the length is fixed") };
        opening.pseudonym().verify(OPENING, &[&opening.0[..96]], signature(96))?;
        crate::keys::verify(&opening.log().0, OPENING_BY_LOG, &[&opening.0[..96]], signature(160))?;
        Ok(opening)
    }

    /// The exact bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> LogId {
        LogId(self.0[32..64].try_into().expect("the length is fixed"))
    }

    /// The pseudonym it stands under.
    #[must_use]
    pub fn pseudonym(&self) -> Pseudonym {
        Pseudonym(self.0[64..96].try_into().expect("the length is fixed"))
    }
}

/// What an access statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementBody {
    /// The version, 1.
    pub version: u8,
    /// The mailbox; `None` in the first statement, whose name becomes the mailbox's id.
    pub mailbox: Option<MailboxId>,
    /// All maximal statements that the signer knew, sorted; none in the first.
    pub parents: Vec<StatementName>,
    /// Pseudonyms and their flags, sorted by pseudonym.
    pub grants: Vec<(Pseudonym, u8)>,
    /// In the first statement, the recovery key's mark ([`crate::RecoveryCert::mark`]).
    pub recovery: Option<[u8; 32]>,
    /// Makes the id of a mailbox unique.
    pub random: [u8; 32],
    /// Who signs.
    pub signer: Pseudonym,
}

/// A signed access statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessStatement {
    body: StatementBody,
    bytes: Vec<u8>,
}

impl AccessStatement {
    /// Signs a statement; sorts what has to be sorted.
    #[must_use]
    pub fn sign(mut body: StatementBody, key: &PseudonymKey) -> Self {
        body.signer = key.id();
        body.parents.sort_unstable();
        body.grants.sort_unstable();
        let mut bytes = encode(&body);
        let signature = key.sign(STATEMENT, &[&bytes]);
        bytes.extend_from_slice(&signature);
        Self { body, bytes }
    }

    /// Checks exact bytes: form, bounds, order and the signer's signature. Whether the signer may say so is the
    /// list's business.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn verify(bytes: &[u8]) -> Result<Self, AccessError> {
        let (head, signature) = bytes.split_last_chunk::<64>().ok_or(DecodeError::Malformed)?;
        let body: StatementBody = decode(head)?;
        body.signer.verify(STATEMENT, &[head], signature)?;
        let sorted = body.parents.is_sorted_by(|a, b| a < b) && body.grants.is_sorted_by(|a, b| a.0 < b.0);
        let first = body.mailbox.is_none();
        if body.version != 1
            || !sorted
            || body.parents.len() > MAX_PARENTS
            || body.grants.len() > MAX_GRANTS
            || first != body.parents.is_empty()
            || body.grants.iter().any(|(_, flags)| flags & !FLAGS != 0)
            || (body.recovery.is_some() && !first)
        {
            return Err(AccessError::Shape);
        }
        Ok(Self { body, bytes: bytes.to_vec() })
    }

    /// What it says.
    #[must_use]
    pub fn body(&self) -> &StatementBody {
        &self.body
    }

    /// The exact bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the exact bytes.
    #[must_use]
    pub fn name(&self) -> StatementName {
        StatementName(Sha256::digest(&self.bytes).into())
    }
}

/// The access list of one mailbox: a pure function of its statements, whatever their order of arrival.
///
/// A statement is taken when its signer may manage the list as of the statement's own past. Whether it *counts* is
/// decided anew with every statement: what it closes counts always, what it grants only while nobody closes its signer
/// beside it (neither before nor after in the order of parents) and its signer's own right to manage counts. So whoever
/// has a closed key can shut others out with statements of an earlier date, and let nobody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessList {
    mailbox: MailboxId,
    statements: BTreeMap<StatementName, AccessStatement>,
    past: BTreeMap<StatementName, BTreeSet<StatementName>>,
    /// Who is spoken of, where, and how.
    words: BTreeMap<Pseudonym, BTreeMap<StatementName, u8>>,
    /// What everybody may do now.
    now: BTreeMap<Pseudonym, u8>,
}

impl AccessList {
    /// Begins a list with a mailbox's first statement, which must make its own signer a manager.
    ///
    /// # Errors
    /// When it is not a first statement.
    pub fn begin(first: AccessStatement) -> Result<Self, AccessError> {
        let signer = first.body.signer;
        let manages = first.body.grants.iter().any(|(who, flags)| *who == signer && may_manage(*flags));
        if first.body.mailbox.is_some() || !manages {
            return Err(AccessError::Signer);
        }
        let mut list = Self {
            mailbox: MailboxId(first.name().0),
            statements: BTreeMap::new(),
            past: BTreeMap::new(),
            words: BTreeMap::new(),
            now: BTreeMap::new(),
        };
        list.keep(first, BTreeSet::new());
        list.settle();
        Ok(list)
    }

    /// Rebuilds a list from all its statements in any order.
    ///
    /// # Errors
    /// When there is no first one or more than one, or one is refused.
    pub fn from_statements(statements: impl IntoIterator<Item = AccessStatement>) -> Result<Self, AccessError> {
        let (mut firsts, mut rest): (Vec<_>, Vec<_>) =
            statements.into_iter().partition(|statement| statement.body.mailbox.is_none());
        firsts.dedup();
        let first = firsts.pop().ok_or(AccessError::Orphan)?;
        if !firsts.is_empty() {
            return Err(AccessError::Mailbox);
        }
        let mut list = Self::begin(first)?;
        while !rest.is_empty() {
            let before = rest.len();
            let mut refused = AccessError::Orphan;
            rest.retain(|statement| {
                let orphan = !statement.body.parents.iter().all(|parent| list.past.contains_key(parent));
                orphan || list.take(statement.clone()).map_err(|error| refused = error).is_err()
            });
            if rest.len() == before {
                return Err(refused);
            }
        }
        list.settle();
        Ok(list)
    }

    /// The mailbox.
    #[must_use]
    pub fn mailbox(&self) -> MailboxId {
        self.mailbox
    }

    /// Takes a statement; `false` if it was here already.
    ///
    /// # Errors
    /// When its parents are missing, or its signer may not manage the list as of its parents.
    pub fn add(&mut self, statement: AccessStatement) -> Result<bool, AccessError> {
        let new = self.take(statement)?;
        if new {
            self.settle();
        }
        Ok(new)
    }

    fn take(&mut self, statement: AccessStatement) -> Result<bool, AccessError> {
        let name = statement.name();
        if self.statements.contains_key(&name) {
            return Ok(false);
        }
        if statement.body.mailbox != Some(self.mailbox) {
            return Err(AccessError::Mailbox);
        }
        if self.statements.len() >= MAX_STATEMENTS {
            return Err(AccessError::Shape);
        }
        let mut past = BTreeSet::new();
        for parent in &statement.body.parents {
            past.extend(self.past.get(parent).ok_or(AccessError::Orphan)?);
            past.insert(*parent);
        }
        if !may_manage(self.latest(&statement.body.signer, &past, &self.counting(&past))) {
            return Err(AccessError::Signer);
        }
        self.keep(statement, past);
        Ok(true)
    }

    fn keep(&mut self, statement: AccessStatement, past: BTreeSet<StatementName>) {
        let name = statement.name();
        for (who, flags) in &statement.body.grants {
            self.words.entry(*who).or_default().insert(name, *flags);
        }
        self.past.insert(name, past);
        self.statements.insert(name, statement);
    }

    fn settle(&mut self) {
        let all = self.statements.keys().copied().collect();
        let counting = self.counting(&all);
        self.now = self.words.keys().map(|who| (*who, self.latest(who, &all, &counting))).collect();
    }

    /// What a pseudonym may do now: 0 for a stranger; [`CLOSED`] alone for one that was shut out.
    #[must_use]
    pub fn flags(&self, who: &Pseudonym) -> u8 {
        self.now.get(who).copied().unwrap_or(0)
    }

    /// Everybody on the list, with flags.
    #[must_use]
    pub fn members(&self) -> BTreeMap<Pseudonym, u8> {
        self.now.clone()
    }

    /// The recovery key's mark, if the mailbox has one.
    #[must_use]
    pub fn recovery(&self) -> Option<[u8; 32]> {
        self.statements.get(&StatementName(self.mailbox.0)).and_then(|first| first.body.recovery)
    }

    /// The statements without successors: what a new one names as its parents. Of more than one may name, those with
    /// the most before them.
    #[must_use]
    pub fn heads(&self) -> Vec<StatementName> {
        let covered: BTreeSet<_> = self.statements.values().flat_map(|one| &one.body.parents).collect();
        let mut heads: Vec<_> = self.statements.keys().filter(|name| !covered.contains(name)).copied().collect();
        heads.sort_by_key(|name| Reverse(self.past[name].len()));
        heads.truncate(MAX_PARENTS);
        heads.sort_unstable();
        heads
    }

    /// All statements, parents before children.
    #[must_use]
    pub fn statements(&self) -> Vec<&AccessStatement> {
        let mut all: Vec<_> = self.statements.iter().collect();
        all.sort_by_key(|(name, _)| (self.past[*name].len(), **name));
        all.into_iter().map(|(_, statement)| statement).collect()
    }

    /// SHA-256 over the sorted names: equal when two sides hold the same statements.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"ties1/access-digest\0");
        self.statements.keys().for_each(|name| hasher.update(name.0));
        hasher.finalize().into()
    }

    /// The statements whose grants count, within a set that holds the past of each of its members.
    fn counting(&self, within: &BTreeSet<StatementName>) -> BTreeSet<StatementName> {
        let mut ordered: Vec<_> = within.iter().collect();
        ordered.sort_by_key(|name| self.past[*name].len());
        let mut counting = BTreeSet::new();
        for name in ordered {
            let (signer, past) = (&self.statements[name].body.signer, &self.past[name]);
            let manages = past.is_empty() || may_manage(self.latest(signer, past, &counting));
            if manages && !self.is_closed_beside(signer, name, within) {
                counting.insert(*name);
            }
        }
        counting
    }

    /// Whether a statement that neither precedes nor follows `name` closes `signer`.
    fn is_closed_beside(&self, signer: &Pseudonym, name: &StatementName, within: &BTreeSet<StatementName>) -> bool {
        let beside = |other: &StatementName| {
            other != name && !self.past[name].contains(other) && !self.past[other].contains(name)
        };
        let words = self.words.get(signer).into_iter().flatten();
        words.filter(|(_, flags)| **flags & CLOSED != 0).any(|(other, _)| within.contains(other) && beside(other))
    }

    /// The latest word on `who` within a set of statements. Among concurrent ones a close wins, others add up. A word
    /// that does not count still takes away until one that counts follows it: voiding a statement gives nobody back
    /// what it took.
    fn latest(&self, who: &Pseudonym, within: &BTreeSet<StatementName>, counting: &BTreeSet<StatementName>) -> u8 {
        let words = self.words.get(who).into_iter().flatten().filter(|(name, _)| within.contains(name));
        let (mut valid, void): (Vec<_>, Vec<_>) =
            words.partition(|(name, flags)| **flags & CLOSED != 0 || counting.contains(name));
        // What follows others has a larger past, so each is met after all that could follow it.
        valid.sort_by_key(|(name, _)| Reverse(self.past[*name].len()));
        let mut latest: Vec<(&StatementName, &u8)> = Vec::new();
        let followed =
            |latest: &[(&StatementName, &u8)], name| latest.iter().any(|(later, _)| self.past[*later].contains(name));
        for (name, flags) in valid {
            if !followed(&latest, name) {
                latest.push((name, flags));
            }
        }
        let said = latest.iter().fold(0, |flags, (_, more)| flags | **more);
        if said & CLOSED != 0 {
            return CLOSED;
        }
        void.iter().filter(|(name, _)| !followed(&latest, name)).fold(said, |flags, (_, most)| flags & **most)
    }
}

fn may_manage(flags: u8) -> bool {
    flags & (MANAGE | CLOSED) == MANAGE
}
