//! Whose the signatures below a checkpoint are.

use ties_sealed_log::{DeviceId, FloorRecord};
use ties_store::Read;

use crate::records::Fault;
use crate::roster::Roster;

/// The devices that stand behind a checkpoint, as far as they are known here.
pub(super) struct Signers {
    /// Who made it.
    pub(super) maker: Option<DeviceId>,
    /// Another device that came to the same. It may have been let in by an entry above the cut: whoever has the checkpoint
    /// alone does not know it yet, and until it does counts one signature.
    pub(super) second: Option<DeviceId>,
}

impl Signers {
    pub(super) fn of(read: &dyn Read, floor: &FloorRecord) -> Result<Self, Fault> {
        Ok(Self::in_roster(&mut Roster::load(read)?, floor))
    }

    pub(super) fn in_roster(roster: &mut Roster, floor: &FloorRecord) -> Self {
        let maker = roster.author(&floor.author());
        let second = floor.cosigner().and_then(|log| roster.author(&log));
        Self { maker, second: second.filter(|second| maker.is_some() && maker != Some(*second)) }
    }
}
