//! One codec for everything that is sealed or sent: postcard, held to its one canonical form.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that are not the one encoding of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes do not parse, or end early.
    #[error("malformed bytes")]
    Malformed,
    /// The bytes go on after the value.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
    /// The value parses, but this is not how it is written.
    #[error("not the canonical encoding")]
    NotCanonical,
    /// The value parses, and breaks a rule of its format: a list out of order, too long, a part of a wrong length.
    #[error("out of order or bounds")]
    Bounds,
}

/// Encodes a value as postcard (its wire specification, version 1).
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("own types serialize: they hold no map of unknown length and no failing impl")
}

/// Decodes a value that fills `bytes` exactly and is written canonically.
///
/// # Errors
/// Refuses malformed, longer and non-canonical bytes: two different byte strings never mean the same signed thing.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, rest) = postcard::take_from_bytes::<T>(bytes).map_err(|_| DecodeError::Malformed)?;
    if !rest.is_empty() {
        return Err(DecodeError::Trailing(rest.len()));
    }
    // Postcard's variable-length integers have redundant forms; writing the value again is the simplest complete check.
    if encode(&value) != bytes {
        return Err(DecodeError::NotCanonical);
    }
    Ok(value)
}
