//! What comes in from files and goes out into them.

use serde::{Deserialize, Serialize};

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
