//! Every finding of the doctor: what it is called by programs, what was looked at, how it is, and what to do about it.

use crate::api::{Check, CheckState};

/// Lists the findings once, so that none can be said which the test of all of them does not know.
macro_rules! findings {
    ($($name:ident: $code:literal, $check:literal, $state:ident, $hint:expr;)*) => {
        /// Something that the doctor finds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Finding {
            $($name,)*
        }

        impl Finding {
            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// What programs know it by.
            pub(crate) fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// The finding in words.
            pub(crate) fn says(self, text: impl Into<String>) -> Check {
                let (check, state, hint): (_, _, Option<&str>) = match self {
                    $(Self::$name => ($check, CheckState::$state, $hint),)*
                };
                Check {
                    code: self.code().to_owned(),
                    check: check.to_owned(),
                    state,
                    text: text.into(),
                    hint: hint.map(str::to_owned),
                }
            }
        }
    };
}

findings! {
    Opens: "database", "database", Ok, None;
    LogsHold: "logs", "logs", Ok, None;
    LogsBroken: "logs-damaged", "logs", Problem, Some(
        "what is here can still be exported (ties export); then pair this device anew from another one, or restore a backup");
    DocumentsHold: "documents", "documents", Ok, None;
    DocumentsSurplus: "documents-surplus", "documents", Problem, Some(
        "nothing of it is thrown away, and no other device gets it: ties export keeps it, and what you type again is an entry");
    DocumentsLacking: "documents-lacking", "documents", Problem, Some("ties doctor --repair makes them anew from the entries");
    DocumentsBeyondRepair: "documents-of-damaged-logs", "documents", Problem, Some("they are not made anew from damaged logs");
    DocumentsRepaired: "documents-repaired", "documents", Repaired, None;
    RowsHold: "rows", "rows", Ok, None;
    RowsUnread: "rows-not-compared", "rows", Problem, Some("ties doctor --repair makes both anew");
    RowsDiffer: "rows-differ", "rows", Problem, Some("ties doctor --repair makes them anew from the records");
    RowsRepaired: "rows-repaired", "rows", Repaired, None;
    NothingWaits: "waiting", "waiting", Ok, None;
    Waits: "waiting-for", "waiting", Warning, Some("ties sync may bring it");
    SetAside: "waiting-unusable", "waiting", Warning, Some("everything else goes on; nothing is lost by it");
    Held: "waiting-held", "waiting", Warning, Some("ties quarantine shows them");
    Newer: "waiting-newer", "waiting", Warning, Some("they are kept and passed on; a newer version of ties reads them");
    Checkpoint: "checkpoint", "checkpoints", Ok, None;
    CheckpointUnverified: "checkpoint-unverified", "checkpoints", Warning, Some("another device compares it when it syncs");
    CheckpointDiffers: "checkpoint-differs", "checkpoints", Problem, Some(
        "ties doctor on that device says whether its records fit its changes");
    NoCheckpoint: "no-checkpoint", "checkpoints", Ok, None;
    KeepsNoCheckpoints: "keeps-no-checkpoints", "checkpoints", Ok, None;
    ClockFits: "clock", "clock", Ok, None;
    ClockBeforeChange: "clock-before-change", "clock", Problem, Some("set the clock; what was written keeps its time");
    ClockBeforeExchange: "clock-before-exchange", "clock", Problem, Some("set the clock");
    ClockOfOther: "clock-of-other", "clock", Warning, Some("one of the two is wrong");
    Accused: "road-accused", "roads", Warning, Some("a whole exchange ends this: ties sync");
    Answers: "road-answers", "roads", Ok, None;
    Unreachable: "road-unreachable", "roads", Warning, Some("everything is kept here; ties sync tries again");
    FolderThere: "folder", "roads", Ok, None;
    FolderAway: "folder-away", "roads", Warning, Some("plug it in or mount it; ties relay remove folder:DIR gives it up");
    NotAsked: "roads-not-asked", "roads", Ok, None;
    NoRoad: "no-road", "roads", Warning, Some("ties relay add URL, or ties sync --folder DIR");
}
