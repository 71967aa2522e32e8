//! Starts the programs, listens in on the relay's socket and looks for what must not be there.

mod address_book;
mod at_rest;
mod binaries;
mod device;
mod needles;
mod process;
#[path = "../../../cli/tests/support/pty.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the command line")]
pub(crate) mod pty;
mod relay;
mod tap;
mod world;

pub(crate) use address_book::{OLD_LABEL, cards};
pub(crate) use at_rest::{Secrets, plaintext};
pub(crate) use device::{Device, below, files};
pub(crate) use needles::Needles;
pub(crate) use process::{Ran, Running, Signal};
pub(crate) use relay::Relay;
pub(crate) use tap::Tap;
pub(crate) use world::{World, pair, pair_by_code};
