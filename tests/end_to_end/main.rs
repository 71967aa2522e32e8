//! Devices and relays as real processes, driven as from a shell, and what a relay gets to see of them.
//!
//! `two_devices_one_blind_relay` is the main job from end to end; each other file tells short stories of one kind. The
//! `support` folder starts the programs, listens in on the relay's socket and looks for what must not be there.
#![cfg(unix)]

mod agent;
mod backups;
#[allow(clippy::unwrap_used, reason = "tests")]
mod bad_relays;
mod carried;
mod codes;
mod commands;
mod conflicts;
mod direct;
mod doctor;
mod faults;
mod folders;
mod forks;
mod killed;
mod levels;
mod members;
mod near;
mod pairing;
mod recovery;
mod relays;
mod support;
mod two_devices_one_blind_relay;
