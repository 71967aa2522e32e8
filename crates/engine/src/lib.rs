//! A space of Automerge documents on a person's own devices: durable, encrypted, synced.
//!
//! A program opens a [`Space`], edits documents in closures, reads rows that its [`Projection`] makes of them, and lets
//! the space sync. What a document means is the program's business; the engine has no notion of it.
//!
//! It refuses to lose anything: what [`Space::write`] returned for is on disk, and it is sent only then.
//!
//! ```
//! use automerge::{ROOT, ReadDoc, transaction::Transactable};
//! use ties_engine::{CreateOptions, EditError, Environment, Space};
//!
//! # let folder = tempfile::tempdir()?;
//! let options = CreateOptions { device_name: "laptop".into(), recovery: false };
//! let (space, _) = Space::create(&folder.path().join("data"), (), &options, Environment::system())?;
//! let id = space.write(|edit| {
//!     let id = edit.fresh_id();
//!     edit.change(id, |list| list.put(ROOT, "milk", false).map_err(EditError::from))?;
//!     Ok::<_, EditError>(id)
//! })?;
//! assert!(space.read(id, |list| list.get(ROOT, "milk").is_ok())?.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod absorb;
mod author;
mod birth;
mod document;
mod documents;
mod edit;
mod environment;
mod poke;
mod rebuild;
mod records;
mod roster;
mod secrets;
mod space;
mod view;

pub use document::{DocumentId, NotAnId, Projection, Row};
pub use edit::{Edit, EditError};
pub use environment::Environment;
pub use records::{Fault, Waiting};
pub use space::{CreateOptions, OpenError, Space, WriteError};
pub use ties_sealed_log::{RecoveryWords, SpaceId};
pub use view::{Pair, View};
