//! Turning data into lines for a person: escaping, widths, colours, tables and cards.
//!
//! Everything that came from a file, another device or the keyboard goes through [`escape`] on its
//! way to a terminal: a name is somebody else's bytes.

pub(crate) mod amount;
pub(crate) mod card;
pub(crate) mod escape;
pub(crate) mod palette;
pub(crate) mod table;
pub(crate) mod width;

pub(crate) use escape::{inline, paragraph};
pub(crate) use table::{Column, Table};
