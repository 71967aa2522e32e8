//! How a book is made, found again, kept and locked.

use serde::Serialize;

use super::{Secret, SyncReport};

/// What came of making a new book.
// Secret, yet Clone and Serialize: the words are made to be shown, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Created {
    /// What this device is called.
    pub device_name: String,
    /// The twelve recovery words, to be shown once and nowhere kept.
    pub recovery_words: Option<Secret>,
}

/// What came of joining.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// What this device is called.
    pub device_name: String,
    /// What the device that let it in is called.
    pub host_name: String,
    /// What the first exchange brought.
    pub sync: SyncReport,
}

/// What came of making a device by the words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveredBook {
    /// What this device is called.
    pub device_name: String,
    /// People that are here again.
    pub people: usize,
    /// Notes.
    pub notes: usize,
    /// Entries that the copy held.
    pub entries: u64,
    /// The devices that were members.
    pub devices: Vec<String>,
    /// Whether they were shut out.
    pub lost: bool,
    /// What the first exchange brought.
    pub sync: SyncReport,
}

/// What opens a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupLock {
    /// The twelve words.
    Words,
    /// A passphrase.
    Passphrase,
}

/// A backup that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    /// The file.
    pub path: String,
    /// How long it is.
    pub bytes: u64,
    /// People in it.
    pub people: usize,
    /// Notes in it.
    pub notes: usize,
    /// What opens it.
    pub lock: BackupLock,
    /// When, RFC 3339 in UTC.
    pub made: Option<String>,
}

/// What came of restoring a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// What this device is called.
    pub device_name: String,
    /// When the backup was made, RFC 3339 in UTC.
    pub made: Option<String>,
    /// People that are here again.
    pub people: usize,
    /// Notes.
    pub notes: usize,
    /// The relays it knows.
    pub relays: usize,
    /// Whether the data were under a passphrase when the backup was made; now they are not.
    pub passphrase: bool,
}

/// A device that belongs or once did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResetCandidate {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it may do, or might: `admin`, `writer`, `reader`.
    pub role: String,
    /// Whether it belongs now.
    pub belongs: bool,
    /// Whether it is this one.
    pub this: bool,
}

/// Which keys there are; none of them is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyReport {
    /// This device's id.
    pub device: String,
    /// The same in four words.
    pub fingerprint: String,
    /// Fingerprints of the recovery key: none without words, several if they were replaced at two places at once.
    pub recovery: Vec<String>,
    /// The generation of the newest content key.
    pub generation: u32,
    /// How many content keys are here.
    pub epochs: u64,
}

/// How the key that encrypts a book on its disk is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kept")]
pub enum Key {
    /// In a file beside the book: whoever takes both reads it.
    File,
    /// Under a passphrase.
    Passphrase {
        /// Until when the book opens without it, RFC 3339; `None` if it does not.
        unlocked_until: Option<String>,
    },
}

/// A book that opens without its passphrase for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unlocked {
    /// Until when, RFC 3339.
    pub until: String,
    /// The folder that keeps the key meanwhile.
    pub folder: String,
    /// Whether that folder is in memory, as far as the system tells.
    pub in_memory: bool,
}

/// Something of a book that other users could have read, and cannot any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loosened {
    /// The file or folder.
    pub path: String,
    /// Who could do what, as in `chmod`.
    pub mode: u32,
}

/// Where the time and the randomness of a book come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// The time, milliseconds since 1970 in UTC, instead of the system's clock; for tests.
    pub now_ms: Option<i64>,
    /// The seed of all randomness instead of the system's; for tests.
    pub seed: Option<u64>,
    /// The program's level instead of its own, as if it were an earlier or a later one; for tests.
    pub level: Option<u16>,
}
