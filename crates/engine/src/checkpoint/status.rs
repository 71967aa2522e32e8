//! How checkpoints stand on this device, and whether it keeps any.

use ties_sealed_log::DeviceId;
use ties_store::{Read, Table};

use crate::checkpoint::shelf::{self, Opinion, Shelved};
use crate::checkpoint::signers::Signers;
use crate::records::{Fault, put_record, record};
use crate::roster::Roster;
use crate::space::Space;

/// Whether this device makes, takes and keeps checkpoints; it does unless it is told not to.
const KEEPS: &[u8] = b"checkpoints";

/// A checkpoint that this device holds, or has found to be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// When it was made or came, in milliseconds since 1970.
    pub since: u64,
    /// What the device that made it is called, if it is known.
    pub maker: Option<String>,
    /// What the second device is called that came to the same.
    pub second: Option<String>,
    /// What is thought of it here.
    pub standing: CheckpointStanding,
    /// Bytes of all its pieces.
    pub bytes: u64,
}

/// What a device thinks of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointStanding {
    /// It is not compared with this device's entries yet.
    Unchecked,
    /// This device made it, or found that it says the same as its own entries.
    Same,
    /// This device started from it, and a second device found it right.
    Started,
    /// This device started from it on the word of one device alone.
    Unverified,
    /// It says something else than this device's entries: it is not passed on, and nothing is dropped on its word.
    Differs,
}

impl Space {
    /// The checkpoints that this device holds, the newest first, and those that it found to be wrong.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>, Fault> {
        checkpoints(&self.inner.store.read()?)
    }

    /// Whether this device makes, takes and keeps checkpoints.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn keeps_checkpoints(&self) -> Result<bool, Fault> {
        keeps(&self.inner.store.read()?)
    }

    /// Makes, takes and keeps checkpoints from now on, or does not. Those that are here stay.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_checkpoints(&self, keep: bool) -> Result<(), Fault> {
        let mut transaction = self.inner.store.write()?;
        put_record(&mut transaction, Table::SETTINGS, KEEPS, &keep)?;
        Ok(transaction.commit()?)
    }
}

pub(crate) fn keeps(read: &dyn Read) -> Result<bool, Fault> {
    Ok(record(read, Table::SETTINGS, KEEPS, "whether checkpoints are kept")?.unwrap_or(true))
}

pub(crate) fn checkpoints(read: &dyn Read) -> Result<Vec<Checkpoint>, Fault> {
    let shelved = shelf::shelved(read)?;
    if shelved.is_empty() {
        return Ok(Vec::new());
    }
    // What is only on its way says nothing yet.
    let mut there = Vec::new();
    for one in shelved {
        // One that was put aside says nothing at all.
        if one.opinion != Opinion::Aside && (one.opinion == Opinion::Differs || shelf::is_whole(read, &one.floor)?) {
            there.push(one);
        }
    }
    there.sort_by_key(|one| std::cmp::Reverse(one.since));
    let mut roster = Roster::load(read)?;
    Ok(there.iter().map(|one| shown(&mut roster, one)).collect())
}

fn shown(roster: &mut Roster, one: &Shelved) -> Checkpoint {
    let signers = Signers::in_roster(roster, &one.floor);
    let name = |device: Option<DeviceId>| device.and_then(|device| roster.name_of(&device));
    let (maker, second) = (name(signers.maker), name(signers.second));
    let standing = match one.opinion {
        Opinion::None | Opinion::Aside | Opinion::Foreign => CheckpointStanding::Unchecked,
        Opinion::Same => CheckpointStanding::Same,
        Opinion::Believed if signers.second.is_some() => CheckpointStanding::Started,
        Opinion::Believed => CheckpointStanding::Unverified,
        Opinion::Differs => CheckpointStanding::Differs,
    };
    Checkpoint { since: one.since, maker, second, standing, bytes: one.floor.size() }
}
