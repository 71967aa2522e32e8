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
mod acceptance;
mod actions;
mod alerts;
mod attempts;
mod author;
mod backup;
mod birth;
mod checkpoint;
mod code_pairing;
mod conversation;
mod direct;
mod doctor;
mod document;
mod documents;
mod door;
mod edit;
mod environment;
mod epochs;
mod folder;
mod heard;
mod incarnation;
mod knowledge;
mod level;
mod lineage;
mod newcomers;
mod offline;
mod operations;
mod pairing;
mod poke;
mod quarantine;
mod rebuild;
mod receipts;
mod records;
mod recovery;
mod relay_link;
mod removal;
mod replica;
mod roads;
mod room;
mod roster;
mod secrets;
mod space;
mod status;
mod sync;
mod take_back;
#[cfg(feature = "test-support")]
pub mod testing;
mod undo;
mod unsent;
mod view;
mod writers;

pub use alerts::{Alert, AlertKind};
pub use backup::{BackupFacts, BackupFault, BackupFile, BackupKind, BackupSecret};
pub use checkpoint::{Checkpoint, CheckpointError, CheckpointStanding, Looked};
pub use code_pairing::CodeInvitation;
pub use conversation::{Conversation, ConversationError, News, Turn};
pub use direct::{PeerConversation, PeerEvent, PeerFailure, PeerNews, PeerReport, PeerRoads, PeerWatchError};
pub use doctor::{DocumentCheck, LogCheck, RowCheck};
pub use document::{DocumentId, NotAnId, Projection, Row};
pub use door::NearDoor;
pub use edit::{Edit, EditError};
pub use environment::{Environment, system_randomness};
pub use folder::{FolderError, FolderGuest, FolderJoin, FolderNews, FolderReport, FolderStatus, FolderTally};
pub use incarnation::{Incarnation, LogNews, Parting};
pub use level::Levels;
pub use offline::Offline;
pub use operations::{Ongoing, Operation, OperationId};
pub use pairing::{Arrival, Doors, GuestDevice, Invitation, JoinOptions, PairError};
pub use quarantine::{Quarantined, QuarantinedDocument};
pub use records::{Fault, Waiting};
pub use recovery::{Candidate, KeyReport, RecoverOptions, Recovered, RecoveryError, Source};
pub use relay_link::LinkFailure;
pub use removal::{MemberError, RemovedDevice};
pub use roads::{Road, RoadError};
pub use space::{CreateOptions, OpenError, Space, WriteError};
pub use status::{Device, Parked, RoadStatus, SetAside, Status};
pub use sync::{RoadReport, SyncEvent, Tally};
pub use take_back::{Effect, TakenBack, last_change};
pub use ties_net::{
    AddressError, ConnectError, DepotError, DialError, PEER_PORT, PeerAddress, PeerKey, RelayAddress, rest,
    watch_network,
};
pub use ties_sealed_log::seed_change::BLANK_ACTOR;
pub use ties_sealed_log::{DeviceId, EntryName, LogId, MailboxId, RecoveryWords, RelayKey, Role, SpaceId, WordsError};
pub use ties_store::{
    BackupError, Cost, Custody, Keeping, Loosened, OpenError as StoreOpenError, Passphrase, StorageKey,
    Target as BackupTarget, Unlocked,
};
pub use ties_sync::{CodeError, HandshakeError, Input, PairingError, ParcelError, Refusal, SessionError, TicketError};
pub use undo::{UndoError, Undone};
pub use view::{Pair, View};
pub use writers::Writer;
