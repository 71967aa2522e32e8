//! How a book stands: its roads, its checks, what two devices set apart.

use serde::Serialize;

use super::{Candidate, DeviceLogs, DeviceRow, RemovedRow};

/// A relay of the book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RelayRow {
    /// Its address.
    pub url: String,
    /// The last complete exchange, RFC 3339 in UTC.
    pub last_contact: Option<String>,
    /// What went wrong since, if anything did.
    pub last_error: Option<String>,
    /// How many entries here it is not known to have.
    pub to_send: u64,
    /// How many bytes these are; of very many, the first.
    pub bytes_to_send: u64,
    /// Whether that is not all of them.
    pub more_to_send: bool,
    /// Since when the first of them waits, RFC 3339 in UTC; `None` if nothing does, or it was never reached.
    pub unsent_since: Option<String>,
    /// Files there of which something cannot be taken yet, if it is a folder.
    pub left: usize,
    /// Whether something has waited for it for a day or longer.
    pub overdue: bool,
    /// What it does that an honest relay does not.
    pub alerts: Vec<RelayAlert>,
}

/// Something that a relay does and an honest one does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RelayAlert {
    /// `withheld`, `unfulfilled`, `rolled-back`, `forked`, `invalid`, `disordered` or `unconfirmed`.
    pub kind: String,
    /// Since when, RFC 3339 in UTC.
    pub since: Option<String>,
    /// What that is, and what is not lost: the end of a sentence that begins with the relay.
    pub text: String,
}

/// A checkpoint: what a new device starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckpointRow {
    /// When it was made or came, RFC 3339 in UTC.
    pub since: Option<String>,
    /// The device that made it, if it is known.
    pub maker: Option<String>,
    /// The second device, which came to the same from its own changes.
    pub second: Option<String>,
    /// `same`, `unchecked`, `started`, `unverified` or `differs`.
    pub standing: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// All that in words.
    pub text: String,
}

/// How things are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// What this device is called.
    pub device_name: String,
    /// How many people.
    pub people: usize,
    /// How many notes.
    pub notes: usize,
    /// The devices, this one first.
    pub devices: Vec<DeviceRow>,
    /// Those of them that were copied, restored or set back, and so have several logs.
    pub logs: Vec<DeviceLogs>,
    /// The relays.
    pub relays: Vec<RelayRow>,
    /// What waits, and for what: entries parked for others, entries that cannot be used.
    pub waiting: Vec<String>,
    /// The same as data, without those that cannot be used.
    pub parked: Vec<ParkedRow>,
    /// How many entries are of kinds that this program does not know; they are kept and passed on.
    pub newer: usize,
    /// Devices that were shut out or signed off.
    pub removed: Vec<RemovedRow>,
    /// How many entries of them are held until somebody takes them in or puts them away.
    pub quarantined: u64,
    /// The checkpoints that are here, the newest first, and those that were found to be wrong.
    pub checkpoints: Vec<CheckpointRow>,
    /// How many fields have another value waiting: [`Request::Conflicts`](super::Request::Conflicts).
    pub contested: usize,
    /// How many handles several people hold.
    pub conflict_count: usize,
    /// The first few of them; an edit of a handle settles it.
    pub conflicts: Vec<HandleConflict>,
    /// Whether something needs the user's hand; then a face ends with a code other than 0.
    pub stuck: bool,
}

/// Entries that wait for one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ParkedRow {
    /// `key`, `entry` (one that they build upon) or `member` (the admission of their author).
    pub why: String,
    /// How many.
    pub count: usize,
    /// Since when at least, RFC 3339 in UTC.
    pub since: Option<String>,
    /// Whether that is a day or longer.
    pub overdue: bool,
}

/// Something that was looked over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which finding, for programs: it stays the same when the words change.
    pub code: String,
    /// What: `database`, `logs`, `documents`, `rows`, `waiting`, `checkpoints`, `clock`, `roads`, `permissions`.
    pub check: String,
    /// How it is.
    pub state: CheckState,
    /// In words.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is broken.
    Warning,
    /// Broken.
    Problem,
    /// It was broken, and was made anew.
    Repaired,
}

/// What two devices set apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Conflicts {
    /// Fields with more than one value, by record.
    pub fields: Vec<ConflictRow>,
    /// Handles that several people hold.
    pub handles: Vec<HandleConflict>,
    /// The people who are said to be the user, if they are several.
    pub me: Vec<Candidate>,
}

/// A field that two devices set to different values, neither knowing of the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConflictRow {
    /// The full id of the record.
    pub id: String,
    /// A word that means the record: a handle, or a short id.
    pub word: String,
    /// What it is called, for a message.
    pub label: String,
    /// What the field is called: `name`, `title`, `mail.label`.
    pub field: String,
    /// What the field is a part of, such as the address of a `mail.label`, or empty.
    pub of: String,
    /// The field's key in the record's document.
    pub key: String,
    /// The values, in the same order on every device: the first is the one that counts until somebody settles it.
    pub values: Vec<ConflictValue>,
}

/// One of several values of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConflictValue {
    /// The value.
    pub value: String,
    /// What the device is called that set it; `None` where an import made the record.
    pub device: Option<String>,
    /// Whether that is this device.
    pub this: bool,
    /// When, RFC 3339 in UTC, as that device said.
    pub at: Option<String>,
}

/// What [`Request::Resolve`](super::Request::Resolve) settled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// The full id of the record.
    pub id: String,
    /// What it is called.
    pub label: String,
    /// The field.
    pub field: String,
    /// What it holds now.
    pub value: String,
    /// How many fields of the record are still to be settled.
    pub left: usize,
}

/// A handle that several people hold, since two devices gave it out or an import brought namesakes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HandleConflict {
    /// The handle.
    pub handle: String,
    /// How many hold it.
    pub holders: usize,
    /// The first few, with the handles they are shown under: the first keeps it, the others have a number behind it.
    pub people: Vec<Candidate>,
}

/// One exchange with every relay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// One per relay.
    pub relays: Vec<RelaySync>,
    /// One per device that was met directly.
    pub devices: Vec<PeerSync>,
}

/// One exchange with one device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerSync {
    /// What it is called, where that is known.
    pub device: Option<String>,
    /// Where it is.
    pub address: String,
    /// Entries sent.
    pub sent: u64,
    /// Entries received.
    pub received: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Why it ended early or did not take everything, if that is so.
    pub error: Option<String>,
    /// What helps against it, where that is known.
    pub hint: Option<String>,
}

/// One exchange with one relay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RelaySync {
    /// Its address.
    pub url: String,
    /// Entries sent.
    pub sent: u64,
    /// Entries received.
    pub received: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Why it ended early or did not take everything, if that is so.
    pub error: Option<String>,
    /// What helps against it, where that is known.
    pub hint: Option<String>,
}
