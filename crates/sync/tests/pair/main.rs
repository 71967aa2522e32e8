//! Sessions between replicas that are joined by virtual links on a virtual clock.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod breaks;
mod exchange;
mod floors;
mod forks;
mod misbehaviour;
mod random;
mod replica;
mod statements;
mod world;
