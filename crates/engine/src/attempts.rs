//! What was being read when the process died: an entry that kills whoever reads it is read no more.
//!
//! Entries come from other devices, and whoever holds one of these may write what no check foresees: something that takes
//! all memory, or overflows the stack, which nothing can catch. A note in a file beside the database outlives the process.
//! It is written by whoever holds the write transaction, so a note that is there before belongs to a process that died.
//! It needs no flush, since a process that dies leaves the file system alone; most of the time it is an empty file that
//! exists for a moment.
//!
//! A death says little: people press Ctrl-C. After one, each entry is noted before it is read; the one that was noted at
//! two further deaths is set aside.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use ties_sealed_log::EntryName;

use crate::document::DocumentId;

/// The note's name in the folder of the database.
const FILE: &str = "reading";
/// How often the process must have died over an entry.
const DEATHS: u32 = 2;
/// More are not remembered.
const MOST_SUSPECTS: usize = 64;

/// One batch of entries that is read.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// `None` where there is no folder, or nothing to be wary of.
    file: Option<PathBuf>,
    /// How often the process died over an entry.
    suspects: BTreeMap<EntryName, u32>,
    /// The suspects that were read to their end, or set aside.
    cleared: Vec<EntryName>,
    careful: bool,
    /// Nothing of this batch is read any more.
    rests: bool,
    /// The documents that it changed.
    touched: BTreeSet<DocumentId>,
}

impl Drop for Attempts {
    /// An error is no death; a panic is one.
    fn drop(&mut self) {
        if !self.rests && !std::thread::panicking() {
            self.rest();
        }
    }
}

impl Attempts {
    /// Leaves no note.
    pub(crate) fn unmarked() -> Self {
        Self::default()
    }

    /// Notes that a batch is read, and learns what became of the last one. The write transaction must be held.
    pub(crate) fn in_folder(folder: Option<&Path>) -> Self {
        let Some(file) = folder.map(|folder| folder.join(FILE)) else { return Self::unmarked() };
        let found = std::fs::read_to_string(&file).ok();
        let mut attempts = Self::unmarked();
        (attempts.file, attempts.careful) = (Some(file), found.is_some());
        for line in found.iter().flat_map(|text| text.lines()).take(MOST_SUSPECTS) {
            attempts.remember(line);
        }
        attempts.write(None);
        attempts
    }

    /// Whether each entry is noted by itself.
    pub(crate) fn are_careful(&self) -> bool {
        self.careful
    }

    /// Notes that an entry is read from now on; `false` if it must not be.
    pub(crate) fn begin(&mut self, name: &EntryName) -> bool {
        if !self.careful {
            return true;
        }
        if let Some(deaths) = self.suspects.get(name) {
            self.cleared.push(*name);
            if *deaths >= DEATHS {
                tracing::warn!(entry = %hex(name), "set aside: the process died over it");
                return false;
            }
        }
        self.write(Some(name));
        true
    }

    /// Everything was read; what follows is the disk's affair.
    pub(crate) fn rest(&mut self) {
        self.rests = true;
        if self.suspects.is_empty() {
            self.remove();
        } else {
            self.write(None);
        }
    }

    /// What was read changes these documents.
    pub(crate) fn touch(&mut self, documents: impl IntoIterator<Item = DocumentId>) {
        self.touched.extend(documents);
    }

    /// What was read is durable. Gives the documents that it changed.
    pub(crate) fn finish(mut self) -> BTreeSet<DocumentId> {
        let touched = std::mem::take(&mut self.touched);
        if !self.cleared.is_empty() {
            for name in std::mem::take(&mut self.cleared) {
                self.suspects.remove(&name);
            }
            self.rest();
        }
        touched
    }

    /// A line is an entry and how often it was the last; `reading` is one more death.
    fn remember(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (Some(name), Some(deaths)) = (words.next().and_then(unhex), words.next()) else { return };
        let deaths = if deaths == "reading" { 1 } else { deaths.parse().unwrap_or(0) };
        *self.suspects.entry(name).or_default() += deaths;
    }

    /// A note that cannot be written is not worth a sync.
    fn write(&self, reading: Option<&EntryName>) {
        let Some(file) = &self.file else { return };
        let mut text = String::new();
        for (name, deaths) in &self.suspects {
            text.push_str(&format!("{} {deaths}\n", hex(name)));
        }
        if let Some(name) = reading {
            text.push_str(&format!("{} reading\n", hex(name)));
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        if let Err(error) = options.open(file).and_then(|mut file| file.write_all(text.as_bytes())) {
            tracing::debug!(%error, "no note of what is read");
        }
    }

    fn remove(&self) {
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn hex(name: &EntryName) -> String {
    name.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<EntryName> {
    let digits = text.is_ascii().then_some(text).filter(|text| text.len() == 64)?;
    let mut name = [0; 32];
    for (byte, pair) in name.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(EntryName(name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const POISON: EntryName = EntryName([7; 32]);
    const OTHER: EntryName = EntryName([8; 32]);

    /// Reads a batch of two, and dies over the poison; whether it was read at all.
    fn die(folder: &Path) -> bool {
        let mut attempts = Attempts::in_folder(Some(folder));
        attempts.begin(&OTHER);
        let read = attempts.begin(&POISON);
        if !read {
            attempts.rest();
            attempts.finish();
        } else {
            std::mem::forget(attempts);
        }
        read
    }

    #[test]
    fn an_entry_is_read_no_more_after_the_third_death() {
        let folder = tempfile::tempdir().unwrap();
        assert!(die(folder.path()) && die(folder.path()) && die(folder.path()));
        assert!(!die(folder.path()), "it is set aside");
        assert!(!folder.path().join(FILE).exists(), "and nothing is left of it");
    }

    #[test]
    fn somebody_who_is_killed_now_and_then_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(die(folder.path()) && die(folder.path()));
        // Another batch, without it, does not clear it.
        let mut attempts = Attempts::in_folder(Some(folder.path()));
        assert!(attempts.are_careful() && attempts.begin(&OTHER));
        attempts.rest();
        attempts.finish();
        // It is read to its end.
        let mut attempts = Attempts::in_folder(Some(folder.path()));
        assert!(attempts.begin(&POISON));
        attempts.rest();
        attempts.finish();
        assert!(!folder.path().join(FILE).exists());
    }

    #[test]
    fn a_note_that_makes_no_sense_is_a_death_over_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "\u{e9}\u{0} reading\nzz 9\n").unwrap();
        let mut attempts = Attempts::in_folder(Some(folder.path()));
        assert!(attempts.are_careful() && attempts.begin(&POISON));
    }
}
