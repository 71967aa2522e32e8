//! Links that carry frames between two programs: a WebSocket to a relay, with TLS 1.3 everywhere but on loopback, and one
//! between two devices, with TLS 1.3 in which both prove a key. And a [`Depot`], where files are left for others in a
//! folder that anything may carry.
//!
//! The crate moves bytes. It knows no entry, no session and no mailbox, and it does not decide who may speak: it hands
//! up what a handshake above it needs to bind itself to this one connection ([`Link::exporter`], [`Link::host`]).
//! It refuses plain WebSocket away from loopback, TLS below 1.3, a relay whose key is not the pinned one, frames beyond
//! [`MAX_FRAME`] and text messages.
//!
//! Start from [`RelayAddress`], [`connect`] and [`Link`]; a server starts from [`Acceptor`]. Two devices
//! start from [`connect_peer`] and [`PeerListener`], and find each other by [`Announcement`] and [`LanEars`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let address: ties_net::RelayAddress =
//!     "ties://11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo@relay.example:7700".parse()?;
//! let mut link = ties_net::connect(&address).await?;
//! link.send(b"a frame".to_vec()).await?;
//! while let Some(frame) = link.recv().await? {
//!     println!("{} bytes", frame.len());
//! }
//! # Ok(())
//! # }
//! ```

mod accept;
mod address;
mod backoff;
mod certified;
mod connect;
mod depot;
mod lan;
mod link;
mod peer;
mod peer_listener;
mod pinned;
mod raw_key;
mod replayed;
mod stirrings;

pub use accept::{AcceptError, Accepted, Acceptor};
pub use address::{AddressError, RelayAddress, Scheme};
pub use backoff::Backoff;
pub use certified::CertificateError;
pub use connect::{ConnectError, connect};
pub use depot::{Depot, DepotError, Listed};
pub use lan::{Announcement, LAN_WAIT, LanCall, LanEars, LanError, LanHeard};
pub use link::{ClosingReason, Heartbeat, Link, LinkError, LinkReader, LinkWriter, MAX_FRAME};
pub use peer::{DialError, PEER_PORT, PeerAcceptor, PeerAddress, PeerDial, PeerKey, PeerLink, connect_peer};
pub use peer_listener::{Caller, PeerListener};
pub use raw_key::{EXPORTER_LABEL, IdentityError};
pub use stirrings::{rest, stir, watch_network};
