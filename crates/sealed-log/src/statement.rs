//! What is signed for a relay: which logs stand under which pseudonym, and who may use a mailbox.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{LogId, MailboxId, Pseudonym, RelayKey, StatementName};
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

/// The 32 bytes beside it are no pseudonym but the mark of the recovery key from now on. It stands alone, and only in a
/// statement that the recovery key signs.
pub const RECOVERY: u8 = 16;

const FLAGS: u8 = PUT | GET | MANAGE | CLOSED;

/// Most statements that one mailbox may have, those by the recovery key aside.
pub const MAX_STATEMENTS: usize = 512;
/// Most statements by the recovery key: whoever fills the list cannot shut it out.
pub const MAX_RECOVERY_STATEMENTS: usize = 64;
/// Most parents of one statement.
pub(crate) const MAX_PARENTS: usize = 64;
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
    /// In the first statement, the recovery key's mark ([`crate::RecoveryCert::mark`]). In a later one, the relay's
    /// key: it says that the recovery key signs, and the mark shows that it does.
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
            || body.grants.iter().any(|(_, flags)| !is_grant(*flags, !first && body.recovery.is_some()))
        {
            return Err(AccessError::Shape);
        }
        Ok(Self { body, bytes: bytes.to_vec() })
    }

    /// The mark of the key that signed it, if it says that this is the recovery key.
    pub(crate) fn marked(&self) -> Option<[u8; 32]> {
        let relay = self.body.recovery.filter(|_| self.body.mailbox.is_some())?;
        Some(self.body.signer.recovery_mark(&RelayKey(relay)))
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

fn is_grant(flags: u8, by_recovery: bool) -> bool {
    flags & !FLAGS == 0 || (flags == RECOVERY && by_recovery)
}
