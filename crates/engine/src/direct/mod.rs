//! Two devices that meet with no relay in between: over a link on which both prove the keys of their certificates.
//!
//! The session is the one that relays speak. What differs is who the other one is (`standing`), how the two find and
//! trust each other (`keys`, `greeting`), and that a device which is not known here yet only gives, and is given nothing,
//! until what it brought makes it a member (`conversation`).

mod conversation;
mod greeting;
mod keys;
mod lan;
mod meeting;
mod roads;
mod standing;

pub use conversation::PeerConversation;
pub use greeting::PeerFailure;
pub(crate) use meeting::{Until, last_contact};
pub use roads::{PeerEvent, PeerNews, PeerReport, PeerRoads, PeerWatchError};
