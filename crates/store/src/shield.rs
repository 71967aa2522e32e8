//! A damaged file is an error here, not a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::StoreError;

/// Runs a piece of redb and makes an error of its panic.
///
/// redb trusts pages that it reads: a plain open "may panic if it was corrupted outside redb"
/// (its documentation), and of 3,000 random bit flips in a small database 22 did make it panic,
/// in opening, reading, writing and closing. Verifying every page before every use would cost a
/// command many times what it does. What redb shares with other calls is either behind locks that
/// such a panic poisons, so that later calls fail too, or is a transaction that is given up.
/// Callers' code must not run in here: its panics are bugs and stay panics.
pub(crate) fn shield<T>(redb: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let stopped = |_| Err(StoreError::Damaged("it does not hold together".into()));
    catch_unwind(AssertUnwindSafe(redb)).unwrap_or_else(stopped)
}

/// Drops a part of redb; closing can stumble over damage too.
pub(crate) fn shielded_drop<T>(part: T) {
    let _ = shield(|| {
        drop(part);
        Ok(())
    });
}
