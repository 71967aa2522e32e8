//! What may be asked.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Completable, ExportOptions, NoteKind, Secret};

/// One thing that a face may ask of an open book.
///
/// `WHO` below is a handle (`ada`, `@ada`), mail address, phone number, profile URL, short id, full name or a unique
/// word or beginning of a name.
// Secret, yet Clone and Serialize: a face in another process hands over a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request")]
pub enum Request {
    /// Adds a person from the words of a command line: mail, phone, URL, `+tag`, `org:X`, `title:X`, `on:DATE` (met
    /// on), `via:WHO` (met through), `how:TEXT` are recognised, everything else is the name. Answered by
    /// [`Reply::PersonAdded`](super::Reply::PersonAdded).
    New {
        /// The words, as the shell split them.
        words: Vec<String>,
    },
    /// Shows one person with all notes. Answered by [`Reply::Person`](super::Reply::Person).
    Show {
        /// `WHO`, or the short id of a note (answered by [`Reply::Note`](super::Reply::Note)).
        who: String,
    },
    /// Lists people by name. Answered by [`Reply::People`](super::Reply::People).
    List {
        /// `+tag`, `org:X`, `city:X` (also a region or country), `title:X`, or text that must occur somewhere in what is
        /// known of the person; all must match.
        filter: Vec<String>,
        /// How many matches to leave out at the beginning.
        offset: usize,
        /// How many to give at most; `None` for all.
        limit: Option<usize>,
        /// Whether [`PersonRow::card`](super::PersonRow::card) is wanted (reads every document listed).
        cards: bool,
    },
    /// Searches people and notes for all of the words, whatever their case and accents. Answered by [`Reply::Found`](super::Reply::Found).
    Find {
        /// The words; each must occur.
        words: Vec<String>,
        /// How many hits to give at most; `None` for all.
        limit: Option<usize>,
    },
    /// Writes a note about a person. Answered by [`Reply::NoteAdded`](super::Reply::NoteAdded).
    Note {
        /// `WHO`.
        who: String,
        /// Markdown; must hold something other than white space.
        text: String,
        /// What kind of note it is.
        kind: NoteKind,
    },
    /// Gives the text to edit of a person or a note. Answered by [`Reply::EditText`](super::Reply::EditText).
    EditText {
        /// `WHO`, or the short id of a note.
        what: String,
    },
    /// Applies an edited text: only what differs between `before` and `after` is changed, so that what another device
    /// changed meanwhile stays. Answered by [`Reply::Edited`](super::Reply::Edited); a mistake in the text is a [`ErrorKind::Usage`](super::ErrorKind::Usage) error
    /// with the place in its message, and nothing is written.
    EditApply {
        /// [`EditText::id`](super::EditText::id).
        id: String,
        /// [`EditText::text`](super::EditText::text) as it was given out.
        before: String,
        /// The text as the user left it; an empty one aborts.
        after: String,
    },
    /// Deletes a person (with the notes about nobody else) or a note. Answered by [`Reply::Removed`](super::Reply::Removed).
    Remove {
        /// `WHO`, or the short id of a note.
        what: String,
    },
    /// Lists the organizations that people belong to or that have a record, by name. Answered by
    /// [`Reply::Organizations`](super::Reply::Organizations).
    Organizations {
        /// Text that must occur in the name; all of them must.
        filter: Vec<String>,
    },
    /// Shows an organization and the people there, or writes to its record, which is made by the first write. Two names
    /// are one organization if they differ in case, accents, punctuation or legal form (`Acme`, `ACME Inc.`) alone.
    /// Answered by [`Reply::Organization`](super::Reply::Organization).
    Organization {
        /// Its name, or the short id of its record.
        name: String,
        /// What to write: `kind:school`, `domain:acme.example`, `industry:…`, `location:…`, `alias:…`, `link:…`, a URL,
        /// `name:…` (how it is shown) or `+tag`; `key:-` empties what the key names. None: nothing is written.
        words: Vec<String>,
    },
    /// Imports a file: vCards, LinkedIn's archive or `Connections.csv`, Google Contacts' CSV, told apart by what it holds.
    /// Answered by [`Reply::Imported`](super::Reply::Imported).
    Import {
        /// The file's name, for messages; never opened.
        file_name: String,
        /// The file's bytes.
        bytes: Vec<u8>,
        /// Says what would happen and writes nothing.
        dry_run: bool,
    },
    /// Imports an export of LinkedIn's that was unpacked. Answered by [`Reply::Imported`](super::Reply::Imported).
    ImportFolder {
        /// The folder's name, for messages.
        folder_name: String,
        /// The files in it.
        files: Vec<FolderFile>,
        /// Says what would happen and writes nothing.
        dry_run: bool,
    },
    /// Writes people in a format for other programs. Answered by [`Reply::Exported`](super::Reply::Exported).
    Export {
        /// The format, and what of it.
        options: ExportOptions,
        /// As in [`Request::List`].
        filter: Vec<String>,
    },
    /// Lists what this device did, newest first. Answered by [`Reply::Operations`](super::Reply::Operations).
    Operations {
        /// How many to give at most; `None` for all.
        limit: Option<usize>,
    },
    /// Takes operations back: every field they changed gets its value of before, unless something changed it since.
    /// Answered by [`Reply::Undone`](super::Reply::Undone).
    Undo {
        /// Which.
        which: Undo,
    },
    /// Lists the devices of this book. Answered by [`Reply::Devices`](super::Reply::Devices).
    DeviceList,
    /// Pairs a new device: [`Event::Code`](super::Event::Code) or [`Event::Ticket`](super::Event::Ticket) first, then waits, then [`Face::confirm`](super::Face::confirm). Answered by
    /// [`Reply::DeviceAdded`](super::Reply::DeviceAdded). Needs [`Book::handle`](crate::Book::handle).
    DeviceAdd {
        /// What to hand to the new device.
        by: Pairing,
        /// Which relay to meet at; `None` for the first one known, if there is one.
        relay: Option<String>,
        /// Whether to wait on the local network too, and tell it so.
        lan: bool,
        /// Where to wait on it, as in [`Nearby::listen`]; told to nobody unless with `lan`.
        listen: Option<String>,
    },
    /// Pairs a new device by a folder: [`Event::FolderTicket`](super::Event::FolderTicket) first; the device leaves its word there, and [`Face::confirm`](super::Face::confirm) is
    /// asked. Answered by [`Reply::DeviceAdded`](super::Reply::DeviceAdded), or by [`Reply::DeviceInvited`](super::Reply::DeviceInvited) without waiting: later syncs with that folder
    /// ask. Needs [`Book::handle`](crate::Book::handle).
    DeviceAddByFolder {
        /// The folder.
        folder: PathBuf,
        /// Whether to wait for the device.
        wait: bool,
    },
    /// Shuts a lost or stolen device out. Answered by [`Reply::DeviceChanged`](super::Reply::DeviceChanged).
    DeviceRevoke {
        /// Its name, or the beginning of its name or id.
        device: String,
    },
    /// Signs this device off: it writes no more. Answered by [`Reply::DeviceChanged`](super::Reply::DeviceChanged). Sync afterwards.
    DeviceRetire,
    /// Changes what a device may do. Answered by [`Reply::DeviceChanged`](super::Reply::DeviceChanged).
    DeviceRole {
        /// As in [`Self::DeviceRevoke`].
        device: String,
        /// `reader`, `writer` or `admin`.
        role: String,
    },
    /// Gives a device another name. Answered by [`Reply::DeviceChanged`](super::Reply::DeviceChanged).
    DeviceRename {
        /// As in [`Self::DeviceRevoke`].
        device: String,
        /// The new one.
        name: String,
    },
    /// What the devices' programs know, and what the network asks for: [`Reply::Levels`](super::Reply::Levels).
    DeviceLevels,
    /// Lets this program's newer kinds of entries be used: devices below the level can write no more.
    RaiseLevel {
        /// The level.
        level: u16,
        /// Whether devices that it cuts off may be.
        anyway: bool,
    },
    /// Tells what revoking a device would mean. Answered by [`Reply::DeviceChanged`](super::Reply::DeviceChanged) with the device as it is.
    DeviceLookUp {
        /// As in [`Self::DeviceRevoke`].
        device: String,
    },
    /// Lists what is held of devices that were shut out. Answered by [`Reply::Quarantine`](super::Reply::Quarantine).
    Quarantine,
    /// Takes in what is held of a device, or puts it away, for all devices. Answered by [`Reply::QuarantineSettled`](super::Reply::QuarantineSettled).
    QuarantineSettle {
        /// The device's name, or the beginning of its name or id; nothing where there is only one.
        device: Option<String>,
        /// Whether it counts from now on.
        accept: bool,
    },
    /// Uses a relay from now on, creating the mailbox there if needed. Answered by [`Reply::RelayAdded`](super::Reply::RelayAdded). Needs
    /// [`Book::handle`](crate::Book::handle).
    RelayAdd {
        /// `ties://<relay key>@host:port`, `wss://host/path#<relay key>` or, on loopback, `ws://127.0.0.1:port#<relay key>`;
        /// or `folder:DIR`, which is visited by this device alone.
        url: String,
        /// The operator's invite token, where one is asked for.
        token: Option<Secret>,
    },
    /// Visits a folder no more. Answered by [`Reply::RelayRemoved`](super::Reply::RelayRemoved).
    RelayRemove {
        /// `folder:DIR`.
        url: String,
    },
    /// Lists the relays and folders. Answered by [`Reply::Relays`](super::Reply::Relays).
    RelayList,
    /// Lists fields that two devices set to different values, and what several records share that must be one's own.
    /// Answered by [`Reply::Conflicts`](super::Reply::Conflicts).
    Conflicts {
        /// `WHO`, an organization or the short id of a note; `None` for all.
        what: Option<String>,
    },
    /// Settles one of them. Answered by [`Reply::Resolved`](super::Reply::Resolved).
    Resolve {
        /// As in [`Self::Conflicts`].
        what: String,
        /// [`ConflictRow::field`](super::ConflictRow::field); `handle` or `me` of somebody who shares it.
        field: String,
        /// By which value.
        with: Resolution,
    },
    /// Says how things are: devices, relays, what waits and why. Answered by [`Reply::Status`](super::Reply::Status).
    Status,
    /// Looks everything over: the logs' signatures and chains, records against entries, rows against records, what waits and
    /// why, the clock, the roads. Answered by [`Reply::Checked`](super::Reply::Checked). Needs [`Book::handle`](crate::Book::handle).
    Doctor {
        /// Makes anew what can be.
        repair: bool,
        /// Asks no relay.
        offline: bool,
    },
    /// Gives the words that begin so, for completing a command line. Answered by [`Reply::Completions`](super::Reply::Completions).
    Complete {
        /// Words for what.
        what: Completable,
        /// How they begin.
        beginning: String,
    },
    /// Exchanges everything once, with the folders and devices that are named, or if none is, with every road there is.
    /// Answered by [`Reply::Synced`](super::Reply::Synced). Needs [`Book::handle`](crate::Book::handle).
    Meet(Nearby),
    /// As [`Self::SyncWatch`], with devices that are met directly too.
    Watch(Nearby),
    /// Exchanges everything with every relay at once, for no longer than this, and asks nothing. Answered by
    /// [`Reply::Synced`](super::Reply::Synced), where relays that took longer have failed. Needs [`Book::handle`](crate::Book::handle).
    Push {
        /// How long at most.
        within: Duration,
    },
    /// Exchanges everything with every relay and every folder that was added, once. Answered by [`Reply::Synced`](super::Reply::Synced). Needs
    /// [`Book::handle`](crate::Book::handle).
    Sync,
    /// Exchanges everything with these folders and nothing else, once. Answered by [`Reply::Synced`](super::Reply::Synced). Needs
    /// [`Book::handle`](crate::Book::handle).
    SyncFolders {
        /// Sticks, synced folders, network drives.
        folders: Vec<PathBuf>,
    },
    /// Stays connected and exchanges changes as they come, reconnecting as needed; never answered, only events. Drop
    /// the future of [`Book::handle`](crate::Book::handle) to end it.
    SyncWatch,
}

impl Request {
    /// Whether the request is answered from this device alone, by [`Book::answer`](crate::Book::answer).
    pub fn is_local(&self) -> bool {
        !matches!(
            self,
            Self::DeviceAdd { .. }
                | Self::DeviceAddByFolder { .. }
                | Self::Doctor { .. }
                | Self::RelayAdd { .. }
                | Self::Meet(_)
                | Self::Watch(_)
                | Self::Push { .. }
                | Self::Sync
                | Self::SyncFolders { .. }
                | Self::SyncWatch
        )
    }

    /// Whether the request exchanges changes with others.
    pub(crate) fn syncs(&self) -> bool {
        matches!(
            self,
            Self::Meet(_)
                | Self::Watch(_)
                | Self::Push { .. }
                | Self::Sync
                | Self::SyncFolders { .. }
                | Self::SyncWatch
        )
    }
}

/// How other devices are met with no relay in between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nearby {
    /// Where devices listen: `HOST` or `HOST:PORT`.
    pub peers: Vec<String>,
    /// Sticks, synced folders, network drives.
    pub folders: Vec<PathBuf>,
    /// Whether devices are looked for on the local network, unless some are named, and told of this one while it listens.
    pub lan: bool,
    /// Where this one listens, while it watches: an address, a port, both, or an empty text for every address and the usual
    /// port; `None` if it does not.
    pub listen: Option<String>,
    /// Whether watching goes on where there is nobody to sync with yet: a road may be added meanwhile.
    pub waits: bool,
}

/// Which operations to take back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// The last so many that are not undone, as one operation.
    Last(usize),
    /// The one whose id begins so; an undo too may be taken back.
    One(String),
    /// The last undo (redo), as long as nothing else was done since.
    Undo,
}

/// What a field is settled by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// One of [`ConflictRow::values`](super::ConflictRow::values), counted from 1.
    Take(usize),
    /// Another value.
    Value(String),
}

/// A file in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderFile {
    /// Its name without the folder's.
    pub name: String,
    /// Its bytes; empty for files that an import does not look into ([`FolderFile::is_read`]).
    pub bytes: Vec<u8>,
}

impl FolderFile {
    /// Whether an import looks into a file of that name.
    pub fn is_read(name: &str) -> bool {
        crate::import::reads(name)
    }
}

/// How to make a new book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init {
    /// What this device is called.
    pub device_name: String,
    /// Whether to make a recovery key of twelve words.
    pub recovery: bool,
}

/// What a new device is let in by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairing {
    /// A number and three words, to be typed: one attempt, ten minutes, and both devices online.
    #[default]
    Code,
    /// A long ticket, to be pasted.
    Ticket,
}

/// How to join the book of another device.
// Secret, yet Clone and Serialize: a face in another process hands over what its user typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The code or ticket that the other device shows.
    pub invitation: Secret,
    /// What this device is called.
    pub device_name: String,
    /// The relay to meet at with a code; with a ticket, another address of the ticket's relay.
    pub relay: Option<String>,
    /// Where the other device waits on this network: `HOST` or `HOST:PORT`.
    pub peer: Option<String>,
    /// Whether to look for it on this network: with a code that names no relay, or a ticket whose relay is none or away.
    pub lan: bool,
}

/// How to join the book of another device by a folder.
// Secret, yet Clone and Serialize: a face in another process hands over what its user typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinByFolder {
    /// The ticket that the other device shows.
    pub invitation: Secret,
    /// What this device is called.
    pub device_name: String,
    /// The folder, by its path here.
    pub folder: PathBuf,
    /// How long to wait for the other device; zero looks once.
    pub patience: Duration,
}

/// How to make a device by the twelve words.
// Secret, yet Clone and Serialize: a face in another process hands over what its user typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recover {
    /// The words.
    pub words: Secret,
    /// What this device is called.
    pub device_name: String,
    /// Where the ciphertext is.
    pub copy: CipherCopy,
    /// Whether all other devices are gone, and are to be shut out.
    pub lost: bool,
}

/// A copy of the ciphertext.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CipherCopy {
    /// At a relay.
    Relay(String),
    /// In another device's data folder.
    Folder(PathBuf),
}
