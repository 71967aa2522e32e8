//! The devices that a relay is driven with.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_sealed_log::{
    AccessStatement, Entry, EpochId, EpochKey, GET, LogKey, LogOpening, MANAGE, MailboxId, PUT, Payload, Position,
    PseudonymKey, Sealed, Secret, SpaceId, StatementBody,
};
use ties_sync::Message;

/// The pseudonym of a device by its number.
pub(crate) fn key(number: usize) -> PseudonymKey {
    PseudonymKey::from_secret(&Secret::new(seed(number, 1)))
}

/// A device that writes, and the mailbox that it makes for itself and those that listen to it.
pub(crate) struct Writer {
    pub(crate) number: usize,
    first: AccessStatement,
    log: LogKey,
    rng: ChaCha20Rng,
}

impl Writer {
    /// The device with this number, at a mailbox for so many devices whose numbers follow on one another.
    pub(crate) fn new(number: usize, devices: usize) -> Self {
        let manager = key(number);
        let grants = (number + 1..number + devices).map(|other| (key(other).id(), PUT | GET));
        let body = StatementBody {
            version: 1,
            mailbox: None,
            parents: vec![],
            grants: grants.chain([(manager.id(), PUT | GET | MANAGE)]).collect(),
            recovery: None,
            random: seed(number, 2),
            signer: manager.id(),
        };
        Self {
            number,
            first: AccessStatement::sign(body, &manager),
            log: LogKey::from_secret(&Secret::new(seed(number, 3))),
            rng: ChaCha20Rng::from_seed(seed(number, 4)),
        }
    }

    /// The statement that makes the mailbox.
    pub(crate) fn first(&self) -> &AccessStatement {
        &self.first
    }

    pub(crate) fn mailbox(&self) -> MailboxId {
        MailboxId(self.first.name().0)
    }

    /// The opening of its log at its mailbox.
    pub(crate) fn opening(&self) -> Vec<u8> {
        LogOpening::new(&self.mailbox(), &self.log, &key(self.number)).as_bytes().to_vec()
    }

    /// Frames with one entry each, of the size of a small edit.
    pub(crate) fn frames(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut position = Position::FIRST;
        let mut frames = Vec::with_capacity(count);
        for _ in 0..count {
            let epoch = (&EpochId([2; 32]), &EpochKey::new(Secret::new([3; 32])));
            let content = Sealed::new(&Payload::Beacon, vec![], 0);
            let entry = Entry::seal(&self.log, position, &SpaceId([1; 32]), epoch, &content, &mut self.rng);
            let entry = entry.expect("a beacon fits");
            position = Position { seq: entry.seq() + 1, prev: entry.name() };
            frames.push(Message::Entries(vec![entry.bytes().to_vec().into()]).encode());
        }
        frames
    }
}

fn seed(number: usize, purpose: u8) -> [u8; 32] {
    let mut seed = [purpose; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    seed
}
