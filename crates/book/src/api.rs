//! What a face (command line, terminal UI, web page) asks of a book and gets back: plain data with public fields.
//!
//! A face opens a [`Book`](crate::Book), hands it one [`Request`] after the other and shows the [`Reply`], the
//! [`Event`]s that came meanwhile, or the [`BookError`]. No type of the storage, the documents or the network shows
//! here, and nothing here prints.
//!
//! ```text
//! Book::create(dir: &Path, Init, Environment) -> Result<(Book, Created), BookError>
//! Book::open(dir: &Path, Environment) -> Result<Book, BookError>          // Locked: Book::open_with a passphrase
//! async Book::join(dir: &Path, Join, Environment, &mut dyn Face) -> Result<(Book, Joined), BookError>
//! book.answer(Request, &mut dyn Face) -> Result<Reply, BookError>         // Request::is_local
//! async book.handle(Request, &mut dyn Face) -> Result<Reply, BookError>   // all; on a tokio runtime
//! ```

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    /// [`Reply::PersonAdded`].
    New {
        /// The words, as the shell split them.
        words: Vec<String>,
    },
    /// Shows one person with all notes. Answered by [`Reply::Person`].
    Show {
        /// `WHO`, or the short id of a note (answered by [`Reply::Note`]).
        who: String,
    },
    /// Lists people by name. Answered by [`Reply::People`].
    List {
        /// `+tag`, `org:X`, `city:X` (also a region or country), `title:X`, or text that must occur somewhere in what is
        /// known of the person; all must match.
        filter: Vec<String>,
        /// How many matches to leave out at the beginning.
        offset: usize,
        /// How many to give at most; `None` for all.
        limit: Option<usize>,
        /// Whether [`PersonRow::card`] is wanted (reads every document listed).
        cards: bool,
    },
    /// Searches people and notes for all of the words, whatever their case and accents. Answered by [`Reply::Found`].
    Find {
        /// The words; each must occur.
        words: Vec<String>,
        /// How many hits to give at most; `None` for all.
        limit: Option<usize>,
    },
    /// Writes a note about a person. Answered by [`Reply::NoteAdded`].
    Note {
        /// `WHO`.
        who: String,
        /// Markdown; must hold something other than white space.
        text: String,
        /// What kind of note it is.
        kind: NoteKind,
    },
    /// Gives the text to edit of a person or a note. Answered by [`Reply::EditText`].
    EditText {
        /// `WHO`, or the short id of a note.
        what: String,
    },
    /// Applies an edited text: only what differs between `before` and `after` is changed, so that what another device
    /// changed meanwhile stays. Answered by [`Reply::Edited`]; a mistake in the text is a [`ErrorKind::Usage`] error
    /// with the place in its message, and nothing is written.
    EditApply {
        /// [`EditText::id`].
        id: String,
        /// [`EditText::text`] as it was given out.
        before: String,
        /// The text as the user left it; an empty one aborts.
        after: String,
    },
    /// Deletes a person (with the notes about nobody else) or a note. Answered by [`Reply::Removed`].
    Remove {
        /// `WHO`, or the short id of a note.
        what: String,
    },
    /// Lists the organizations that people belong to or that have a record, by name. Answered by
    /// [`Reply::Organizations`].
    Organizations {
        /// Text that must occur in the name; all of them must.
        filter: Vec<String>,
    },
    /// Shows an organization and the people there, or writes to its record, which is made by the first write. Two names
    /// are one organization if they differ in case, accents, punctuation or legal form (`Acme`, `ACME Inc.`) alone.
    /// Answered by [`Reply::Organization`].
    Organization {
        /// Its name, or the short id of its record.
        name: String,
        /// What to write: `kind:school`, `domain:acme.example`, `industry:…`, `location:…`, `alias:…`, `link:…`, a URL,
        /// `name:…` (how it is shown) or `+tag`; `key:-` empties what the key names. None: nothing is written.
        words: Vec<String>,
    },
    /// Imports a file: vCards, LinkedIn's archive or `Connections.csv`, Google Contacts' CSV, told apart by what it holds.
    /// Answered by [`Reply::Imported`].
    Import {
        /// The file's name, for messages; never opened.
        file_name: String,
        /// The file's bytes.
        bytes: Vec<u8>,
        /// Says what would happen and writes nothing.
        dry_run: bool,
    },
    /// Imports an export of LinkedIn's that was unpacked. Answered by [`Reply::Imported`].
    ImportFolder {
        /// The folder's name, for messages.
        folder_name: String,
        /// The files in it.
        files: Vec<FolderFile>,
        /// Says what would happen and writes nothing.
        dry_run: bool,
    },
    /// Writes people in a format for other programs. Answered by [`Reply::Exported`].
    Export {
        /// The format, and what of it.
        options: ExportOptions,
        /// As in [`Request::List`].
        filter: Vec<String>,
    },
    /// Lists what this device did, newest first. Answered by [`Reply::Operations`].
    Operations {
        /// How many to give at most; `None` for all.
        limit: Option<usize>,
    },
    /// Takes operations back: every field they changed gets its value of before, unless something changed it since.
    /// Answered by [`Reply::Undone`].
    Undo {
        /// Which.
        which: Undo,
    },
    /// Lists the devices of this book. Answered by [`Reply::Devices`].
    DeviceList,
    /// Pairs a new device: [`Event::Code`] or [`Event::Ticket`] first, then waits, then [`Face::confirm`]. Answered by
    /// [`Reply::DeviceAdded`]. Needs [`Book::handle`](crate::Book::handle).
    DeviceAdd {
        /// What to hand to the new device.
        by: Pairing,
        /// Which relay to meet at; `None` for the first one known.
        relay: Option<String>,
    },
    /// Pairs a new device by a folder: [`Event::FolderTicket`] first; the device leaves its word there, and [`Face::confirm`] is
    /// asked. Answered by [`Reply::DeviceAdded`], or by [`Reply::DeviceInvited`] without waiting: later syncs with that folder
    /// ask. Needs [`Book::handle`](crate::Book::handle).
    DeviceAddByFolder {
        /// The folder.
        folder: PathBuf,
        /// Whether to wait for the device.
        wait: bool,
    },
    /// Shuts a lost or stolen device out. Answered by [`Reply::DeviceChanged`].
    DeviceRevoke {
        /// Its name, or the beginning of its name or id.
        device: String,
    },
    /// Signs this device off: it writes no more. Answered by [`Reply::DeviceChanged`]. Sync afterwards.
    DeviceRetire,
    /// Changes what a device may do. Answered by [`Reply::DeviceChanged`].
    DeviceRole {
        /// As in [`Self::DeviceRevoke`].
        device: String,
        /// `reader`, `writer` or `admin`.
        role: String,
    },
    /// Gives a device another name. Answered by [`Reply::DeviceChanged`].
    DeviceRename {
        /// As in [`Self::DeviceRevoke`].
        device: String,
        /// The new one.
        name: String,
    },
    /// Tells what revoking a device would mean. Answered by [`Reply::DeviceChanged`] with the device as it is.
    DeviceLookUp {
        /// As in [`Self::DeviceRevoke`].
        device: String,
    },
    /// Lists what is held of devices that were shut out. Answered by [`Reply::Quarantine`].
    Quarantine,
    /// Takes in what is held of a device, or puts it away, for all devices. Answered by [`Reply::QuarantineSettled`].
    QuarantineSettle {
        /// The device's name, or the beginning of its name or id; nothing where there is only one.
        device: Option<String>,
        /// Whether it counts from now on.
        accept: bool,
    },
    /// Uses a relay from now on, creating the mailbox there if needed. Answered by [`Reply::RelayAdded`]. Needs
    /// [`Book::handle`](crate::Book::handle).
    RelayAdd {
        /// `ties://<relay key>@host:port`, `wss://host/path#<relay key>` or, on loopback, `ws://127.0.0.1:port#<relay key>`;
        /// or `folder:DIR`, which is visited by this device alone.
        url: String,
        /// The operator's invite token, where one is asked for.
        token: Option<Secret>,
    },
    /// Visits a folder no more. Answered by [`Reply::RelayRemoved`].
    RelayRemove {
        /// `folder:DIR`.
        url: String,
    },
    /// Lists the relays and folders. Answered by [`Reply::Relays`].
    RelayList,
    /// Lists fields that two devices set to different values, and what several records share that must be one's own.
    /// Answered by [`Reply::Conflicts`].
    Conflicts {
        /// `WHO`, an organization or the short id of a note; `None` for all.
        what: Option<String>,
    },
    /// Settles one of them. Answered by [`Reply::Resolved`].
    Resolve {
        /// As in [`Self::Conflicts`].
        what: String,
        /// [`ConflictRow::field`]; `handle` or `me` of somebody who shares it.
        field: String,
        /// By which value.
        with: Resolution,
    },
    /// Says how things are: devices, relays, what waits and why. Answered by [`Reply::Status`].
    Status,
    /// Looks everything over: the logs' signatures and chains, records against entries, rows against records, what waits and
    /// why, the clock, the roads. Answered by [`Reply::Checked`]. Needs [`Book::handle`](crate::Book::handle).
    Doctor {
        /// Makes anew what can be.
        repair: bool,
        /// Asks no relay.
        offline: bool,
    },
    /// Gives the words that begin so, for completing a command line. Answered by [`Reply::Completions`].
    Complete {
        /// Words for what.
        what: Completable,
        /// How they begin.
        beginning: String,
    },
    /// Exchanges everything once, with the folders and devices that are named, or if none is, with every road there is.
    /// Answered by [`Reply::Synced`]. Needs [`Book::handle`](crate::Book::handle).
    Meet(Nearby),
    /// As [`Self::SyncWatch`], with devices that are met directly too.
    Watch(Nearby),
    /// Exchanges everything with every relay and every folder that was added, once. Answered by [`Reply::Synced`]. Needs
    /// [`Book::handle`](crate::Book::handle).
    Sync,
    /// Exchanges everything with these folders and nothing else, once. Answered by [`Reply::Synced`]. Needs
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
                | Self::Sync
                | Self::SyncFolders { .. }
                | Self::SyncWatch
        )
    }

    /// Whether the request exchanges changes with others.
    pub(crate) fn syncs(&self) -> bool {
        matches!(self, Self::Meet(_) | Self::Watch(_) | Self::Sync | Self::SyncFolders { .. } | Self::SyncWatch)
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
    /// One of [`ConflictRow::values`], counted from 1.
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
    /// The relay to meet at, which goes with a code; with a ticket, another address of the ticket's relay.
    pub relay: Option<String>,
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

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "reply")]
pub enum Reply {
    /// A person was added.
    PersonAdded(PersonAdded),
    /// One person, whole.
    Person(Box<PersonView>),
    /// One note.
    Note(NoteView),
    /// People, by name.
    People(PeoplePage),
    /// Hits, best first.
    Found {
        /// One per person or note without a person.
        hits: Vec<Hit>,
        /// Whether the limit cut some off.
        more: bool,
    },
    /// A note was added.
    NoteAdded {
        /// The note.
        note: NoteView,
        /// Whom it is about.
        person: PersonRow,
    },
    /// Organizations, by name.
    Organizations {
        /// One for each, with how many people.
        organizations: Vec<OrganizationRow>,
    },
    /// One organization, whole.
    Organization(Box<OrganizationView>),
    /// A note about an organization was added.
    OrganizationNoteAdded {
        /// The note.
        note: NoteView,
        /// What it is about.
        organization: OrganizationRow,
    },
    /// A text to edit.
    EditText(EditText),
    /// An edited text was applied.
    Edited {
        /// What was edited, as in [`EditText::label`].
        label: String,
        /// The fields that changed, such as `name` or `emails`; empty when nothing did.
        changed: Vec<String>,
    },
    /// A person or note was deleted.
    Removed(Removed),
    /// A file was imported.
    Imported(ImportReport),
    /// People in another format.
    Exported(Exported),
    /// What this device did.
    Operations {
        /// Newest first.
        operations: Vec<OperationRow>,
        /// Whether there are more.
        more: bool,
    },
    /// Operations were taken back.
    Undone(UndoReport),
    /// The devices of the book.
    Devices {
        /// This one first.
        devices: Vec<DeviceRow>,
    },
    /// A device was removed, renamed, or got another role.
    DeviceChanged {
        /// As it is now, or as it was if it was removed.
        device: DeviceRow,
        /// The other devices that have not heard of it, by name.
        unaware: Vec<String>,
    },
    /// What is held of devices that were shut out.
    Quarantine {
        /// By device.
        held: Vec<QuarantineRow>,
    },
    /// What was held of a device was taken in, or put away.
    QuarantineSettled {
        /// The device.
        name: String,
        /// How many entries.
        entries: u64,
        /// Whether they count now.
        accepted: bool,
    },
    /// A device was paired.
    DeviceAdded {
        /// The name it gave itself.
        name: String,
    },
    /// A folder was taken off the roads.
    RelayRemoved {
        /// Its address.
        url: String,
    },
    /// A ticket was made out, and its device is asked about when it comes.
    DeviceInvited {
        /// Until when the ticket is good, RFC 3339 in UTC.
        expires: Option<String>,
    },
    /// A relay was added.
    RelayAdded {
        /// Its address.
        url: String,
    },
    /// What two devices set apart.
    Conflicts(Box<Conflicts>),
    /// A field was settled.
    Resolved(Resolved),
    /// The relays in use.
    Relays {
        /// Always in the same order.
        relays: Vec<RelayRow>,
    },
    /// How things are.
    Status(Status),
    /// What was found when everything was looked over.
    Checked {
        /// One line for each thing that was looked at, or found.
        checks: Vec<Check>,
    },
    /// Words that a beginning may become, sorted.
    Completions {
        /// All of them.
        words: Vec<Completion>,
    },
    /// One exchange with every relay.
    Synced(SyncReport),
}

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

/// A person in a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PersonRow {
    /// The full id, a UUID.
    pub id: String,
    /// The shortest id that is unique here: the beginning of the UUID's last group, four digits at least.
    pub short: String,
    /// The handle, unique here (`ada`, or `ada-2` where two devices gave out `ada`).
    pub handle: String,
    /// The full name.
    pub name: String,
    /// The current organization, or empty.
    pub organization: String,
    /// The current title, or empty.
    pub title: String,
    /// The preferred mail address, or empty.
    pub email: String,
    /// The preferred phone number, or empty.
    pub phone: String,
    /// The tags, sorted.
    pub tags: Vec<String>,
    /// The JSContact card with our own block, when asked for; the same on every device with the same data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<serde_json::Value>,
}

/// A page of a list of people.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PeoplePage {
    /// The people, by name.
    pub people: Vec<PersonRow>,
    /// Whether there are more after these.
    pub more: bool,
}

/// A person, whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PersonView {
    /// What a list shows.
    pub row: PersonRow,
    /// Nicknames.
    pub nicknames: Vec<String>,
    /// Mail addresses, preferred first.
    pub emails: Vec<Labelled>,
    /// Phone numbers, preferred first.
    pub phones: Vec<Labelled>,
    /// Postal addresses, one text each.
    pub addresses: Vec<Labelled>,
    /// Profiles and chat accounts.
    pub profiles: Vec<Labelled>,
    /// Links.
    pub links: Vec<Labelled>,
    /// Birthday and the like: the label is the kind, the value an ISO 8601 date, perhaps without year or day.
    pub dates: Vec<Labelled>,
    /// Organizations and the units in them.
    pub organizations: Vec<Labelled>,
    /// Titles and roles.
    pub titles: Vec<Labelled>,
    /// People related to the person: the label says how.
    pub relations: Vec<Labelled>,
    /// How we met.
    pub how_met: String,
    /// When we met, ISO 8601, perhaps without day or month.
    pub met_on: String,
    /// Through whom we met: a name (with the handle, if that is a person here).
    pub met_through: String,
    /// Fields kept for other programs, as they are written in vCard.
    pub extra: Vec<String>,
    /// Notes, oldest first.
    pub notes: Vec<NoteView>,
    /// When the record was made here or imported, RFC 3339 in UTC, if known.
    pub created: Option<String>,
    /// When it was last changed, RFC 3339 in UTC, if known.
    pub updated: Option<String>,
    /// The fields that have another value waiting ([`Request::Conflicts`]).
    pub contested: Vec<String>,
}

/// An organization in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OrganizationRow {
    /// The full id of its record, a UUID; `None` where nothing is known but who belongs there.
    pub id: Option<String>,
    /// The short id, as in [`PersonRow::short`].
    pub short: Option<String>,
    /// The name.
    pub name: String,
    /// How many people belong there.
    pub people: usize,
    /// `company`, `school` and the like, or empty.
    pub kind: String,
    /// What it works at, or empty.
    pub industry: String,
    /// Where it is, or empty.
    pub location: String,
    /// The tags, sorted.
    pub tags: Vec<String>,
}

/// An organization, whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OrganizationView {
    /// What a list shows.
    pub row: OrganizationRow,
    /// Other names: those in the record, and other spellings that people's records have.
    pub aliases: Vec<String>,
    /// Internet domains.
    pub domains: Vec<String>,
    /// Mail addresses.
    pub emails: Vec<Labelled>,
    /// Phone numbers.
    pub phones: Vec<Labelled>,
    /// Postal addresses, one text each.
    pub addresses: Vec<Labelled>,
    /// Profiles and chat accounts.
    pub profiles: Vec<Labelled>,
    /// Links.
    pub links: Vec<Labelled>,
    /// Fields kept for other programs, as they are written in vCard.
    pub extra: Vec<String>,
    /// Who belongs there, by name.
    pub people: Vec<PersonRow>,
    /// Notes, oldest first.
    pub notes: Vec<NoteView>,
    /// What was just written, such as `kind`; empty if nothing was.
    pub changed: Vec<String>,
    /// The fields that have another value waiting ([`Request::Conflicts`]).
    pub contested: Vec<String>,
}

/// A value and what it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Labelled {
    /// The value.
    pub value: String,
    /// `work`, `mobile`, a label of the user's, several joined by a comma, or empty.
    pub label: String,
}

/// A note.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NoteView {
    /// The full id, a UUID.
    pub id: String,
    /// The shortest unique id, as in [`PersonRow::short`].
    pub short: String,
    /// What kind of note.
    pub kind: NoteKind,
    /// The text, Markdown.
    pub body: String,
    /// The full ids of the people it is about.
    pub people: Vec<String>,
    /// The full ids of the organizations it is about.
    pub organizations: Vec<String>,
    /// When it was written, RFC 3339 in UTC, if known.
    pub created: Option<String>,
}

/// What kind of note.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// Any text.
    #[default]
    Note,
    /// A lasting fact.
    Fact,
    /// Something to talk about next time.
    Topic,
    /// An idea for a gift.
    GiftIdea,
    /// An open question.
    Question,
}

/// What [`Request::New`] made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PersonAdded {
    /// The person.
    pub person: PersonRow,
    /// What was recognised among the words: the label is the field (`mail`, `phone`, `profile`, `tag`, `org`, `title`,
    /// `met on`, `met through`, `how met`), the value what was stored.
    pub understood: Vec<Labelled>,
    /// People who were there before with the same mail, phone, profile or name.
    pub similar: Vec<Candidate>,
}

/// Somebody that a query found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hit {
    /// The person; `None` for an organization and for a note about nobody.
    pub person: Option<PersonRow>,
    /// The organization, if it is one or a note about one.
    pub organization: Option<OrganizationRow>,
    /// The newest note that matched, if a note did.
    pub note: Option<NoteView>,
    /// A line of that note around the words.
    pub excerpt: String,
}

/// A person or note as editable text: TOML front matter between lines of `+++`, then Markdown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EditText {
    /// The full id.
    pub id: String,
    /// What it is, for a message: `Ada Lovelace (@ada)` or `note 3f2a`.
    pub label: String,
    /// The text.
    pub text: String,
}

/// What [`Request::Remove`] removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The full id.
    pub id: String,
    /// What it was, for a message.
    pub label: String,
    /// How many notes went with it.
    pub notes: usize,
}

/// Something that this device did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OperationRow {
    /// Its id: 16 hexadecimal digits, of which the first eight are shown.
    pub id: String,
    /// When, RFC 3339 in UTC.
    pub at: Option<String>,
    /// What: the command's name, and a file's where there is one.
    pub what: String,
    /// Whom or what it was about: the first few records, as they are called now.
    pub about: Vec<String>,
    /// How many records it changed.
    pub records: usize,
    /// Whether it is undone at present.
    pub undone: bool,
    /// The operations that it took back, if it is an undo or a redo: their ids.
    pub undoes: Vec<String>,
    /// Whether an undo was cut short; the same once more completes it.
    pub unfinished: bool,
}

/// What an undo did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UndoReport {
    /// The operation that the undo is itself; `None` if nothing could be taken back.
    pub operation: Option<String>,
    /// What was to be taken back, newest first; at a redo what comes back.
    pub undone: Vec<OperationRow>,
    /// How many records were made by it and are deleted now.
    pub removed: usize,
    /// How many records were deleted by it and are there again.
    pub revived: usize,
    /// How many records have other fields now.
    pub changed: usize,
    /// How many records something was left of, because it was changed later.
    pub kept: usize,
    /// The records: first those something was left of, and not more than a hundred.
    pub records: Vec<UndoneRecord>,
}

/// What an undo did to one record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UndoneRecord {
    /// The full id.
    pub id: String,
    /// What it is called.
    pub label: String,
    /// `removed`, `revived`, `changed` or `left`.
    pub effect: String,
    /// The fields that are as they were before.
    pub restored: Vec<String>,
    /// The fields that were left as they are, because they were changed later.
    pub kept: Vec<String>,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// The file.
    pub file_name: String,
    /// Whether nothing was written because only a preview was asked for.
    pub dry_run: bool,
    /// What the file is: `vCard`, `LinkedIn`, `Google Contacts CSV`.
    pub kind: String,
    /// How many people were added.
    pub people_created: usize,
    /// How many organizations were added.
    pub organizations_created: usize,
    /// How many notes were added.
    pub notes_created: usize,
    /// How many people had been imported before and were left as they are.
    pub people_known: usize,
    /// How many organizations had been imported before and were left as they are.
    pub organizations_known: usize,
    /// How many records follow what the source says now.
    pub records_changed: usize,
    /// How many records the source says something new of that was changed here too: they stay as they are.
    pub records_kept: usize,
    /// The names of the first few that were added.
    pub examples: Vec<String>,
    /// What the source says now that it did not say before, the first thousand.
    pub changes: Vec<ImportChange>,
    /// How many rows tell of nobody: LinkedIn leaves the day of people who hide.
    pub hidden: usize,
    /// Files of the archive of which nothing is made yet.
    pub left: Vec<String>,
    /// People and organizations deleted here since they were first imported: left out.
    pub removed_before: Vec<String>,
    /// Cards that could not be read.
    pub rejects: Vec<Reject>,
    /// Cards taken in with a remark, such as a property that was cut or could not be understood.
    pub warnings: Vec<Reject>,
}

/// Something that a source says now and did not say before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportChange {
    /// Of whom.
    pub name: String,
    /// Of what: `organization`, `title`, `mail` and so on.
    pub field: String,
    /// What the source said before, or empty.
    pub before: String,
    /// What it says now, or empty.
    pub now: String,
    /// What stays, where it was changed here meanwhile.
    pub kept: Option<String>,
}

/// A card that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reject {
    /// The line in the file where the card begins, from 1.
    pub line: usize,
    /// Why.
    pub reason: String,
}

/// How people are exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportOptions {
    /// The format.
    pub format: ExportFormat,
    /// Which photos go with them (vCard properties kept from an import).
    pub photo: PhotoChoice,
    /// Whether each person gets a file of their own.
    pub split: bool,
}

impl From<ExportFormat> for ExportOptions {
    /// Everything in one file.
    fn from(format: ExportFormat) -> Self {
        Self { format, ..Self::default() }
    }
}

/// Which photos are exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhotoChoice {
    /// None.
    None,
    /// Those of at most 36 KB, which every program takes.
    Small,
    /// All.
    #[default]
    Full,
}

/// What an export gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// One file without a name, or one for each person.
    pub files: Vec<ExportedFile>,
    /// How many people there are in all.
    pub people: usize,
    /// How many photos were left out, as asked.
    pub photos_left_out: usize,
}

/// A file for another program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExportedFile {
    /// A name for it, with its extension and without a folder; empty where everything is in one file.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What a word on a command line may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Completable {
    /// The handle of a person.
    Handle,
    /// A tag.
    Tag,
    /// The address of a relay in use.
    Relay,
    /// The name of a device.
    Device,
}

/// A word that a beginning may become.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Completion {
    /// The word.
    pub word: String,
    /// What it stands for, or empty.
    pub about: String,
}

/// A format of another program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExportFormat {
    /// vCard 4.0.
    #[default]
    Vcf,
    /// vCard 3.0, whole.
    Vcf3,
    /// vCard 3.0 as Apple's Contacts and iCloud read it.
    Apple,
    /// vCard 3.0 as Google Contacts reads it.
    Google,
    /// vCard 3.0 as Outlook reads it.
    Outlook,
    /// One JSON array of JSContact cards with our own block, keys sorted.
    Json,
}

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
    /// What waits, and for what: entries parked for others, quarantined entries.
    pub waiting: Vec<String>,
    /// Devices that were shut out or signed off.
    pub removed: Vec<RemovedRow>,
    /// How many entries of them are held until somebody takes them in or puts them away.
    pub quarantined: u64,
    /// How many fields have another value waiting: [`Request::Conflicts`].
    pub contested: usize,
    /// How many handles several people hold.
    pub conflict_count: usize,
    /// The first few of them; an edit of a handle settles it.
    pub conflicts: Vec<HandleConflict>,
    /// Whether something needs the user's hand; then a face ends with a code other than 0.
    pub stuck: bool,
}

/// Something that was looked over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: `database`, `logs`, `documents`, `rows`, `waiting`, `clock`, `roads`, `permissions`.
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

/// What [`Request::Resolve`] settled.
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

/// Something that happened while a request was worked on.
// Secret, yet Clone and Serialize: codes and tickets are made to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// So much is done.
    Progress {
        /// Of what, such as `import` or `sync`.
        what: String,
        /// How much.
        done: u64,
        /// Of how much, if known.
        total: Option<u64>,
    },
    /// The ticket to hand to the new device. It is a secret: show it, keep it nowhere.
    Ticket {
        /// The ticket, one line.
        ticket: Secret,
        /// When it ends, RFC 3339 in UTC.
        expires: Option<String>,
    },
    /// Show this ticket to the user: a device shown it may be let in by the folder that was named.
    FolderTicket {
        /// The text; it goes to the new device's standard input.
        ticket: Secret,
        /// Until when it is good, RFC 3339 in UTC.
        expires: Option<String>,
        /// Whether this device waits for the new one now.
        wait: bool,
    },
    /// The code to type on the new device. It is a secret until it was used: show it, keep it nowhere.
    Code {
        /// The code, such as `17-acid-zoo-lunch`.
        code: Secret,
        /// The relay that the new device must be told of.
        relay: String,
        /// When it ends, RFC 3339 in UTC.
        expires: Option<String>,
    },
    /// The new device shows these words; the old one must show the same (on the joining side).
    Fingerprint {
        /// What the device that lets this one in is called, if it has proved that by now.
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// Four words.
        words: String,
    },
    /// This device waits for others.
    Listening {
        /// Where.
        address: String,
    },
    /// A relay or device is reached.
    Connected {
        /// Its address.
        url: String,
    },
    /// A relay is lost; tried again later.
    Disconnected {
        /// Its address.
        url: String,
        /// Why.
        reason: String,
        /// In how many milliseconds it is tried again; `None` if it is not.
        retry_ms: Option<u64>,
    },
    /// Both sides have the same.
    UpToDate {
        /// The relay's address.
        url: String,
    },
    /// Entries went out or came in.
    Exchanged {
        /// The relay's address.
        url: String,
        /// Entries sent since the last such event.
        sent: u64,
        /// Entries received since the last such event.
        received: u64,
    },
    /// Something the user should know, in one sentence.
    Notice {
        /// The sentence.
        text: String,
    },
}

/// A new device that asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Guest {
    /// The name it gives itself.
    pub name: String,
    /// The words of its fingerprint, which it shows too.
    pub fingerprint: String,
    /// What it may do once it is in: `admin`, `writer` or `reader`.
    pub role: String,
}

/// A yes or no that may take its time.
pub type Answer<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// The side of a face that a book calls back while it works.
pub trait Face: Send {
    /// Takes note of an event.
    fn event(&mut self, event: Event);

    /// Whether somebody sees [`Event::Notice`]; what is told once must not be told to nobody.
    fn listens(&self) -> bool {
        true
    }

    /// Whether [`Self::confirm`] asks somebody, or somebody has decided beforehand; otherwise a device that waits in a folder
    /// goes on waiting.
    fn answers(&self) -> bool {
        false
    }

    /// Asks the user whether this device may come in. May wait for the user, but must not block the thread.
    fn confirm(&mut self, guest: Guest) -> Answer<'_>;
}

/// A face that hears nothing and refuses every guest; enough for local requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Face for Silent {
    fn event(&mut self, _: Event) {}

    fn listens(&self) -> bool {
        false
    }

    fn confirm(&mut self, _: Guest) -> Answer<'_> {
        Box::pin(std::future::ready(false))
    }
}

/// A text that must not get into logs: its `Debug` hides it, and its memory is wiped.
// Secret, yet Clone and Serialize: what its user typed, or is to be shown, has to reach or leave a face.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// Why a request was not done: what a face shows as `Error:`, `Caused by:` and `Hint:`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct BookError {
    /// What kind, which decides the exit code.
    pub kind: ErrorKind,
    /// What went wrong, one sentence without a full stop.
    pub message: String,
    /// What was behind it, if that says more.
    pub cause: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Who could have been meant, when [`ErrorKind::Ambiguous`].
    pub candidates: Vec<Candidate>,
}

impl BookError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), cause: None, hint: None, candidates: Vec::new() }
    }

    /// The same with what was behind it.
    pub fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// The same with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The kinds of failure; each has its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// It did not work.
    Failed,
    /// The request makes no sense as it is.
    Usage,
    /// There is nobody and nothing of that name.
    NotFound,
    /// Several people or notes fit.
    Ambiguous,
    /// The book is locked, or the key is the wrong one.
    Locked,
    /// A guard refused; `--anyway` overrides it.
    Guard,
}

impl ErrorKind {
    /// The exit code of a process that ends with this.
    ///
    /// (6, done with rejects, is no error: see [`ImportReport::rejects`].)
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Ambiguous => 4,
            Self::Locked => 5,
            Self::Guard => 7,
        }
    }
}

/// Somebody or something that could have been meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The full id.
    pub id: String,
    /// The short id.
    pub short: String,
    /// The handle, or empty for a note.
    pub handle: String,
    /// The name, or the beginning of a note.
    pub name: String,
    /// What tells it from the others: organization or mail.
    pub detail: String,
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
}
