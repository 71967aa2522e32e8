//! The devices of a book, and what those that were shut out left.

use serde::Serialize;

/// A device of the book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceRow {
    /// What it is called.
    pub name: String,
    /// Its id.
    pub id: String,
    /// `admin`, `writer` or `reader`.
    pub role: String,
    /// Whether it is this one.
    pub this: bool,
    /// Who let it in, by name.
    pub added_by: String,
    /// When, RFC 3339 in UTC, as that device said.
    pub added: Option<String>,
    /// When it was heard of last as far as is known, RFC 3339 in UTC; `None` if nothing of it is here.
    pub last_heard: Option<String>,
    /// When this device and that one last had the same over a link of their own, RFC 3339 in UTC.
    pub last_met: Option<String>,
    /// How many entries here it is not known to have, by what its own entries show; `None` if they show nothing.
    pub lacks: Option<u64>,
    /// How many entries it has, or wrote, as others show, that are not here.
    pub ahead: u64,
}

/// A device that was shut out, or signed off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RemovedRow {
    /// What it was called.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Whether it is this one.
    pub this: bool,
    /// Who removed it, by name.
    pub by: Vec<String>,
    /// When, RFC 3339 in UTC, as the remover said.
    pub removed: Option<String>,
    /// Whether it signed itself off.
    pub retired: bool,
    /// The devices that have not shown yet that they know, by name.
    pub unaware: Vec<String>,
}

/// What is held of a device that was shut out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QuarantineRow {
    /// What it was called.
    pub device: String,
    /// Its id.
    pub id: String,
    /// How many entries are held.
    pub entries: u64,
    /// The times that it gave the first and the last of them, RFC 3339 in UTC.
    pub first: Option<String>,
    /// The last.
    pub last: Option<String>,
    /// Whether it was put away.
    pub discarded: bool,
    /// What it would change.
    pub records: Vec<QuarantinedRecord>,
}

/// A record that entries in quarantine would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QuarantinedRecord {
    /// Its id.
    pub id: String,
    /// What it is called, or would be.
    pub label: String,
    /// `new`, `changed` or `removed`.
    pub effect: String,
    /// The fields that differ.
    pub fields: Vec<QuarantinedField>,
}

/// A field that entries in quarantine would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QuarantinedField {
    /// What the user calls it.
    pub name: String,
    /// What it holds; `None` if nothing.
    pub before: Option<String>,
    /// What it would hold; `None` if nothing.
    pub after: Option<String>,
}

/// A device that writes one log after the other, or several side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceLogs {
    /// What it is called.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Whether it is this one.
    pub this: bool,
    /// When each of its logs was opened, RFC 3339 in UTC, the first one first; `None` where that cannot be read yet.
    pub opened: Vec<Option<String>>,
    /// Whether one of them was opened by a copy of this folder, or by it before it was set back.
    pub copied: bool,
}

/// What the devices' programs know, and what the network asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Levels {
    /// The level of this program.
    pub program: u16,
    /// The least that a program must have to write.
    pub network: u16,
    /// Each device, this one first, then by name.
    pub devices: Vec<LevelRow>,
    /// Entries that are kept here for a newer program than this one.
    pub newer: usize,
}

/// What one device's program knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LevelRow {
    /// What its owner calls it.
    pub name: String,
    /// The level, as it says itself.
    pub level: u16,
    /// Whether it is the one at hand.
    pub this: bool,
}
