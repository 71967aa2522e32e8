//! Checkpoints: what a new device starts from, and below what a device does without entries.
//!
//! `cut.rs` says up to where a checkpoint goes, `make.rs` makes it, `shelf.rs` keeps it with its chunks, `load.rs` takes one
//! that came, `check.rs` compares one with what is here and signs or names it. `ground.rs` is what a device stands on since
//! then (`prune.rs` drops what lies below), `kept.rs` the entries that outlive their places, `state.rs` the documents and the
//! root over them. `astray.rs` says again what a branch said that goes with the entries below, `signers.rs` whose the signatures
//! are, `reach.rs` whether every member can open one, `tend.rs` when all this is done.

mod astray;
mod check;
mod cut;
mod ground;
mod kept;
#[cfg(feature = "test-support")]
pub(crate) mod lie;
mod load;
mod make;
mod offer;
mod prune;
mod reach;
pub(crate) mod shelf;
mod signers;
mod state;
mod status;
mod tend;

pub use check::Looked;
pub(crate) use ground::{ground, ground_floor, is_grounded, is_here, is_in_ground};
pub(crate) use kept::{entry_at, opening_of};
pub use load::CheckpointError;
pub(crate) use load::{documents_of_ground, load, restore_ground};
pub(crate) use offer::{Answer, consider, held, held_cosigned, load_now, load_offered, note_short};
pub(crate) use state::{Heard, KEYS};
pub(crate) use status::checkpoints;
pub use status::{Checkpoint, CheckpointStanding};
#[cfg(feature = "test-support")]
pub(crate) use tend::{FEWEST_HERE, Tail};
