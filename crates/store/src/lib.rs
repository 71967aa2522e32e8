//! Sealed logs and a program's tables on redb, encrypted at rest.

mod at_rest;
mod crash_only;
mod database;
mod error;
mod key_file;
mod private;
mod store;
mod xts;

pub use at_rest::Encrypted;
pub use database::Sharing;
pub use error::{OpenError, StoreError};
pub use key_file::StorageKey;
pub use store::Store;
