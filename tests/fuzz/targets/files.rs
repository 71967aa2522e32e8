//! Files that people import, and texts that they edit.

use ties_book::testing;

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
