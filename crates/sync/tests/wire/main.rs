//! What stands on the wire: every message there and back, any bytes, and vectors that are kept for ever.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod codec;
mod parcels;
mod vectors;
