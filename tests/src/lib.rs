//! A world in one thread: devices, a relay, links and disks that fail, and a clock that nobody waits for.
//!
//! Everything in it is the real thing but the sockets, the disks and the clock: [`World`] carries the frames of
//! `ties-engine`'s conversations to `ties-relay`'s core and back over a [`LossyLink`], lets time pass, and writes to
//! [`CrashingDisk`]s. One number decides everything that happens, so whatever goes wrong can be seen again.

mod clock;
mod device;
mod dice;
mod disk;
mod link;
mod relay;
mod seeds;
mod world;

pub use clock::Clock;
pub use device::{Device, Lines, print};
pub use dice::Dice;
pub use disk::{CrashingDisk, Survivors};
pub use link::{LossyLink, Weather};
pub use relay::{RelayHost, new_disk, open};
pub use seeds::Seeds;
pub use world::{Counts, Ending, Place, World};
