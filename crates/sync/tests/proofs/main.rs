//! Who proves what to whom: the relay handshake, pairing, and the ticket before it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod code;
mod handshake;
mod pairing;
mod ticket;
