//! The engine's readers without a space, for fuzzing: they take what other members and damaged disks give.

use automerge::Automerge;
use ties_sealed_log::decode;

use crate::document::{apply_change, check_change};
use crate::records::{
    ClaimRecord, ContactRecord, DeviceRecord, EpochRecord, MembershipRecord, RoadRecord, SpaceRecord, parse_place,
};

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the document.
    Taken {
        /// How many operations it holds.
        operations: usize,
    },
    /// It breaks a rule; the document is as it was.
    Refused,
}

/// Takes a change from elsewhere as an entry's changes are taken. `actor` is the one it must have, `None` for a seed.
pub fn take_change(document: &mut Automerge, chunk: &[u8], actor: Option<[u8; 16]>) -> Verdict {
    let Ok(change) = check_change(chunk, actor) else { return Verdict::Refused };
    let operations = change.len();
    match apply_change(document, change) {
        Ok(()) => Verdict::Taken { operations },
        Err(_) => Verdict::Refused,
    }
}

/// Reads bytes as each kind of record that the engine keeps.
pub fn read_records(bytes: &[u8]) {
    let _ = (decode::<DeviceRecord>(bytes), decode::<SpaceRecord>(bytes), decode::<EpochRecord>(bytes));
    let _ = (decode::<ClaimRecord>(bytes), decode::<MembershipRecord>(bytes), decode::<RoadRecord>(bytes));
    let _ = (decode::<ContactRecord>(bytes), parse_place(bytes));
}
