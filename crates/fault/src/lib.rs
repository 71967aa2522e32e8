//! Points at which a drill kills the programs, as a power failure would, to see that nothing is lost and the next start
//! goes on.
//!
//! In the programs that people get, [`pass`] is an empty function and the rest a constant: the feature `armed` is turned on
//! by the tests' own builds alone, and even then nothing is armed without debug assertions. Armed, a process kills itself at
//! the point that the environment variable [`AT`] names, at its first passage or, after a colon, at the one of that number.

use std::time::Duration;

#[cfg(all(feature = "armed", debug_assertions, unix))]
mod armed;

/// The environment variable that names a point, such as `commit-begun:3`.
pub const AT: &str = "TIES_FAULT_AT";
/// The environment variable that says how many entries are enough for another checkpoint, and that long pauses are short.
pub const CHECKPOINT_EVERY: &str = "TIES_FAULT_CHECKPOINT_EVERY";

/// Whether this build can be killed by a drill.
pub const IS_ARMED: bool = cfg!(all(feature = "armed", debug_assertions, unix));

macro_rules! points {
    ($($(#[$about:meta])* $point:ident = $name:literal;)*) => {
        /// Where a program may be killed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point { $($(#[$about])* $point,)* }

        impl Point {
            /// Every point there is.
            pub const ALL: &[Self] = &[$(Self::$point),*];

            /// What it is called in [`AT`].
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)* }
            }
        }
    };
}

points! {
    /// Any transaction of any program is about to be made durable.
    CommitBegun = "commit-begun";
    /// It is durable, and nobody was told.
    Committed = "committed";

    /// A checkpoint is due; nothing was written for it.
    CheckpointDue = "checkpoint-due";
    /// What its maker had read is named in an entry, durably.
    CheckpointNamed = "checkpoint-named";
    /// Its pieces are sealed, and nowhere but in memory.
    CheckpointSealed = "checkpoint-sealed";
    /// Its pieces are written, and not durable.
    CheckpointPut = "checkpoint-put";
    /// It is durable on the device that made it, and nobody else has heard of it.
    CheckpointMade = "checkpoint-made";

    /// The record of a checkpoint that comes is written, and not durable.
    FloorShelved = "floor-shelved";
    /// A piece of it is written, and not durable.
    PieceTaken = "piece-taken";
    /// All pieces are here; from now on its documents are read.
    LoadBegun = "load-begun";
    /// Its documents are merged, and that is not durable.
    LoadMerged = "load-merged";
    /// It is what this device stands on, and neither was anybody told nor the note of the attempt taken away.
    Loaded = "loaded";

    /// A checkpoint of another device was compared, and is right.
    CosignBegun = "cosign-begun";
    /// What the second device had read is named in an entry, durably; it has not signed.
    CosignNamed = "cosign-named";
    /// Its signature is written, and not durable.
    CosignPut = "cosign-put";
    /// The second signature is durable on the device that gave it, and nobody else has heard of it.
    Cosigned = "cosigned";

    /// Two checkpoints are sure; nothing was dropped below the older.
    PruneDue = "prune-due";
    /// The entries below it are dropped, and that is not durable.
    PrunePut = "prune-put";
    /// They are gone, and nobody was told.
    Pruned = "pruned";

    /// A relay has put a checkpoint among those that are on their way; not durable.
    RelayStaged = "relay-staged";
    /// A relay has written a piece of one; not durable.
    RelayPiece = "relay-piece";
    /// A relay has all of a checkpoint and has begun to keep it; not durable.
    RelayAdopting = "relay-adopting";
    /// A relay has dropped what lies below the older of two checkpoints; not durable.
    RelayPruned = "relay-pruned";
    /// What came in with one batch at a relay is durable, and nobody was told.
    RelayKept = "relay-kept";

    /// A backup's file was made, beside its name.
    BackupBegun = "backup-begun";
    /// All of it is written, and not durable.
    BackupWritten = "backup-written";
    /// It is durable, beside its name.
    BackupSynced = "backup-synced";
    /// It has its name, which is not durable.
    BackupNamed = "backup-named";
    /// Its name is durable, and nobody was told.
    BackupKept = "backup-kept";

    /// The folder of a new database was made.
    FolderMade = "folder-made";
    /// The file of its key was made, beside its name.
    KeyBegun = "key-begun";
    /// The key is durable, beside its name.
    KeySynced = "key-synced";
    /// The key has its name, which is not durable.
    KeyNamed = "key-named";
    /// The key has its name, durably.
    KeyKept = "key-kept";
    /// The file of the database was made, beside its name, with nothing in it.
    DatabaseBegun = "database-begun";
    /// It is whole and durable, beside its name.
    DatabaseFilled = "database-filled";
    /// It has its name, which is not durable.
    DatabaseNamed = "database-named";
    /// Its name is durable, and it was not opened yet.
    DatabaseKept = "database-kept";
    /// A restored database is there, its rows are made, and nobody was told.
    Restored = "restored";
}

/// Ends the process here, if the drill says so.
#[inline(always)]
pub fn pass(point: Point) {
    #[cfg(all(feature = "armed", debug_assertions, unix))]
    armed::pass(point);
    #[cfg(not(all(feature = "armed", debug_assertions, unix)))]
    let _ = point;
}

/// How many entries are enough for another checkpoint, whatever they take, if the drill says so.
#[inline(always)]
#[must_use]
pub fn checkpoint_every() -> Option<u64> {
    #[cfg(all(feature = "armed", debug_assertions, unix))]
    return armed::checkpoint_every();
    #[cfg(not(all(feature = "armed", debug_assertions, unix)))]
    None
}

/// A pause; the drill does not wait as long.
#[inline(always)]
#[must_use]
pub fn pause(usual: Duration) -> Duration {
    if checkpoint_every().is_some() { usual.min(Duration::from_millis(100)) } else { usual }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }

    #[test]
    fn nobody_dies_who_was_not_told_to() {
        Point::ALL.iter().for_each(|point| pass(*point));
        assert_eq!(checkpoint_every(), None);
    }
}
