//! What is fuzzed: every reader of bytes that others may have written.
//!
//! A target takes any bytes and returns. It panics where a reader breaks its word: by panicking itself, by giving
//! something else when its own output is read again, or by letting through what its rules forbid.

mod files;
mod formats;
mod talk;
mod words;

/// A reader by name; the name is that of its folder in the corpus.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    ("entry", formats::entry),
    ("content", formats::content),
    ("packing", formats::packing),
    ("certificates", formats::certificates),
    ("statements", formats::statements),
    ("checkpoint", formats::checkpoint),
    ("change", formats::change),
    ("records", formats::records),
    ("backup", formats::backup),
    ("message", talk::message),
    ("handshake", talk::handshake),
    ("pairing", talk::pairing),
    ("greeting", talk::greeting),
    ("relay", talk::relay),
    ("conversation", talk::conversation),
    ("parcel", files::parcel),
    ("import", files::import),
    ("vcard", files::vcard),
    ("edit", files::edit),
    ("addresses", words::addresses),
    ("dates", words::dates),
    ("command_line", words::command_line),
    ("shown", words::shown),
];
