//! What comes back.

use serde::Serialize;

use super::{
    Check, Completion, Conflicts, DeviceRow, EditText, Exported, Hit, ImportReport, NoteView, OperationRow,
    OrganizationRow, OrganizationView, PeoplePage, PersonAdded, PersonRow, PersonView, QuarantineRow, RelayRow,
    Removed, Resolved, Status, SyncReport, UndoReport,
};

/// The answer to a [`Request`](super::Request).
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
    /// What the devices' programs know.
    Levels(super::Levels),
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
