//! What two replicas of sealed logs say to each other, and when.
//!
//! A [`Session`] reconciles two replicas over any link: a relay's, a peer's. [`ExpectHello`] and [`ExpectAuth`] are the
//! two ends of the proof that comes before a relay's session, [`PeerHandshake`] both ends of that between two devices;
//! [`Host`] and [`Guest`] admit a new device by [`Ticket`], on which [`ExpectHail`] and [`ExpectOffer`] agree where there
//! is only a [`Code`] of three words. A [`Parcel`] carries entries between replicas that never hold a session, as a file.
//!
//! The crate is pure: it owns no socket, no clock and no randomness. What happened goes in, what to do comes out; time
//! is the host's, as a duration since whatever moment it likes.
//!
//! How a host runs a session: call [`Session::start`] and send what it gives; then for every frame, for every change of
//! the replica from elsewhere, and at [`Session::deadline`], call [`Session::handle`] with the replica, make durable
//! what it wrote, and only then do what it says.
//!
//! PROTOCOL.md beside this crate is the authority on every message.

#[doc = include_str!("../PROTOCOL.md")]
pub mod protocol {}

mod checkpoint_files;
mod code;
mod code_pairing;
mod cpace;
mod floors;
mod handshake;
mod pairing;
mod parcel;
mod peer;
mod replica;
mod sending;
mod session;
mod ticket;
mod wire;

pub use checkpoint_files::{FLOOR_HEAD, MAX_FLOOR_FILE, chunk_file, floor_file, is_floor_file, read_floor_file};
pub use code::{Code, CodeError, plate};
pub use code_pairing::{Agreed, ExpectConfirm, ExpectHail, ExpectOffer, ExpectProof, Invited, MeetingPlace, Stake};
pub use handshake::{Channel, ExpectAuth, ExpectHello, ExpectWelcome, Greeted, Greeting, HandshakeError};
pub use pairing::{Accepted, Guest, GuestStep, Hello, Host, HostStep, MAX_NAME, PairingError, Welcome, share_keys};
pub use parcel::{MAX_PARCEL, MAX_RUNS, PARCEL_HEAD, Packing, Parcel, ParcelError, Part, Run, place_name, word_name};
pub use peer::{PeerError, PeerHandshake, peer_subject};
pub use replica::{FloorTaken, Replica, Taken};
pub use session::{Event, Input, Output, PeerMisbehaved, Session, SessionError};
pub use ticket::{Ticket, TicketError};
pub use wire::{
    FloorWord, MAX_FRAME, MAX_LOGS, MAX_NOTE, MAX_PASS, MAX_TIPS, Message, Refusal, VERSION, WINDOW, entries_in,
};
