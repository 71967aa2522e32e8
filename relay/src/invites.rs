//! What an operator does with invite tokens, while the relay runs or not.

use std::path::Path;
use std::time::Duration;

use ties_store::{OpenError, Sharing, Store, StoreError};

use crate::keeper::Clock;
use crate::server::{ServerError, random};
use crate::storage::Storage;
use crate::stored::Batch;
use crate::token::{InviteToken, TokenHash, TokenRecord};

/// The invite tokens of the relay in a folder. Another process may serve that folder meanwhile.
#[derive(Debug)]
pub struct Invites {
    store: Store,
}

/// What a token is to allow.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Mailboxes.
    pub uses: u32,
    /// For how long.
    pub lasts: Duration,
    /// Bytes that each of these mailboxes may hold, if not as many as any other.
    pub quota: Option<u64>,
    /// The operator's own words for it; one short line.
    pub label: String,
}

/// Why a token is not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// No token is called that.
    #[error("no invite token is called {0:?}")]
    Unknown(String),
    /// Several tokens are called that.
    #[error("several invite tokens are called {name:?}: {ids}")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// The ids of those that it may be.
        ids: String,
    },
    /// The database failed.
    #[error("the relay's database failed")]
    Store(#[from] StoreError),
}

impl Invites {
    /// Opens the tokens of the relay in a folder.
    ///
    /// # Errors
    /// When there is no relay, or its database cannot be opened.
    pub fn open(data: &Path) -> Result<Self, OpenError> {
        Ok(Self { store: Store::open(data, Sharing::Processes)? })
    }

    /// As [`Invites::open`], and makes the folder first if it is not there: tokens may come before the relay.
    ///
    /// # Errors
    /// When the database cannot be made or opened.
    pub fn open_or_create(data: &Path) -> Result<Self, OpenError> {
        Ok(Self { store: Store::open_or_create(data, Sharing::Processes)? })
    }

    /// Makes a token. Only its hash is kept, so this is the one time that it can be read.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn make(&self, wanted: &NewToken) -> Result<InviteToken, ServerError> {
        let token = InviteToken::from_bytes(random()?);
        let now = Clock::start().now();
        let record = TokenRecord {
            quota: wanted.quota,
            label: wanted.label.clone(),
            ..TokenRecord::new(wanted.uses, now, now + wanted.lasts)
        };
        let mut batch = Batch::begin(&self.store)?;
        batch.put_token(&token.hash(), &record)?;
        batch.commit()?;
        Ok(token)
    }

    /// Every token that was not revoked, the oldest first, and whether it is still good.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn list(&self) -> Result<Vec<(TokenHash, TokenRecord, bool)>, StoreError> {
        let now = Clock::start().now();
        let mut tokens = Batch::begin(&self.store)?.tokens()?;
        tokens.sort_by_key(|(hash, record)| (record.made, *hash));
        let judged = tokens.into_iter().map(|(hash, record)| {
            let good = record.is_good(now);
            (hash, record, good)
        });
        Ok(judged.collect())
    }

    /// Ends a token by its id, the beginning of it (four digits at least) or its label. Mailboxes made with it stay.
    ///
    /// # Errors
    /// When none or several are called that, or the database cannot be written.
    pub fn revoke(&self, name: &str) -> Result<(TokenHash, TokenRecord), RevokeError> {
        let mut batch = Batch::begin(&self.store)?;
        let is_called = |hash: &TokenHash, record: &TokenRecord| {
            record.label == name || (name.len() >= 4 && hash.id().starts_with(&name.to_ascii_lowercase()))
        };
        let mut called: Vec<_> = batch.tokens()?.into_iter().filter(|(hash, record)| is_called(hash, record)).collect();
        match (called.pop(), called.as_slice()) {
            (None, _) => Err(RevokeError::Unknown(name.to_owned())),
            (Some((hash, record)), []) => {
                batch.remove_token(&hash)?;
                batch.commit()?;
                Ok((hash, record))
            }
            (Some((last, _)), others) => {
                let ids: Vec<String> = others.iter().map(|(hash, _)| hash.id()).chain([last.id()]).collect();
                Err(RevokeError::Ambiguous { name: name.to_owned(), ids: ids.join(", ") })
            }
        }
    }
}
