//! Files that people import, and texts that they edit; files that others leave in a folder.

use ties_book::testing;
use ties_sealed_log::EntryName;
use ties_sync::{Parcel, Part};

/// Any file under any name: what it is, is seen from its content.
pub(super) fn import(bytes: &[u8]) {
    testing::read_import("file", bytes);
}

/// A vCard file; whoever is read from it comes out of an export as the same person.
pub(super) fn vcard(bytes: &[u8]) {
    testing::read_vcards(bytes);
}

/// What somebody left in the editor.
pub(super) fn edit(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        testing::read_edited(text);
    }
}

/// A file that lies in a folder which anything may carry.
pub(super) fn parcel(bytes: &[u8]) {
    let Ok(parcel) = Parcel::decode(bytes) else { return };
    assert_eq!(parcel.encode(), bytes, "one parcel has one form");
    for part in parcel.parts() {
        assert_eq!(part.run.len(), part.entries.len() as u64);
    }
    let last = |part: &Part| part.entries.last().map(|entry| EntryName::of(entry));
    assert!(parcel.parts().iter().all(|part| last(part) == Some(part.run.tip.name)));
}
