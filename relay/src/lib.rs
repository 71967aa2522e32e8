//! A relay: it keeps sealed logs for devices that are not online together, and can read none of them.
//!
//! It knows devices by pseudonyms, holds mailboxes of logs with an access list each, checks the signature, the chain and
//! the list before it stores anything, acknowledges only what is durable, and tells whoever is connected at once. It
//! holds no content key, and this crate does not depend on the crates that do anything with content.
//!
//! [`Relay`] is all of that without sockets, disk or clock; [`Storage`] is what it stands on; [`Server`] gives it both.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = ties_relay::Server::open(ties_relay::Config::new("/var/lib/ties-relay"))?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:7700").await?;
//! println!("ready {}", server.address(listener.local_addr()?)?);
//! server.run(listener, std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```

mod attend;
mod connection;
mod counts;
mod floors;
mod invites;
mod keeper;
mod key_file;
mod limits;
mod mailbox;
mod memory;
mod metrics;
mod nameplate;
mod origin;
mod relay;
mod requests;
mod room;
mod server;
mod settings;
mod storage;
mod stored;
mod token;

pub use connection::ConnectionId;
pub use counts::{Census, Counts};
pub use invites::{Invites, NewToken, RevokeError};
pub use key_file::KeyFileError;
pub use limits::Limits;
pub use memory::MemoryStorage;
pub use relay::{Identity, Input, Output, Relay};
pub use server::{Config, Server, ServerError, TlsFiles, run};
pub use settings::{LimitSettings, Settings, SettingsError, Size, SizeError};
pub use storage::Storage;
pub use stored::Batch;
pub use token::{InviteToken, TokenHash, TokenRecord};
