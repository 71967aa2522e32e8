//! A relay: the real core over the real database, on a disk that crashes.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use ties_net::{RelayAddress, Scheme};
use ties_relay::{Batch, ConnectionId, Identity, Input, Limits, Output, Relay, Storage};
use ties_sealed_log::{MailboxId, RelayKey, RelaySecret, Secret, Vector};
use ties_store::{OpenError, Sharing, StorageKey, Store, StoreError};

use crate::clock::{BEGINNING, Clock};
use crate::dice::Dice;
use crate::disk::CrashingDisk;

/// A relay's machine: its disk stays, the program on it comes and goes.
pub struct RelayHost {
    /// Its disk.
    pub disk: CrashingDisk,
    limits: Limits,
    clock: Clock,
    rng: ChaCha20Rng,
    seed: [u8; 32],
    running: Option<(Relay, Store)>,
    inbox: Vec<(ConnectionId, Input)>,
    /// How often it was started.
    pub(crate) incarnation: u64,
}

/// The name that its devices dial.
pub(crate) const HOST: &str = "127.0.0.1";

impl RelayHost {
    pub(crate) fn new(clock: &Clock, dice: &mut Dice, limits: Limits) -> Self {
        let mut seed = [0; 32];
        seed.copy_from_slice(&dice.bytes(32));
        Self {
            disk: new_disk(),
            limits,
            clock: clock.clone(),
            rng: dice.generator(),
            seed,
            running: None,
            inbox: Vec::new(),
            incarnation: 0,
        }
    }

    /// The address that its devices know.
    #[must_use]
    pub fn address(&self) -> String {
        RelayAddress::new(Scheme::Loopback, HOST, 7700, self.key()).expect("loopback is an address").to_string()
    }

    /// Its key, which a wipe leaves alone.
    #[must_use]
    pub fn key(&self) -> RelayKey {
        self.secret().id()
    }

    /// Whether it answers.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// Starts the program. `name` is used if the database has none yet.
    pub(crate) fn start(&mut self, name: [u8; 16]) -> Result<(), OpenError> {
        let store = open(&self.disk)?;
        let opened = Batch::begin(&store).and_then(|mut batch| {
            let name = batch.name(name)?;
            batch.commit()?;
            Ok(name)
        });
        let name = opened.map_err(|error| OpenError::Damaged(error.to_string()))?;
        let identity = Identity { secret: self.secret(), store: name, open: true };
        self.running = Some((Relay::new(identity, self.limits.clone()), store));
        self.incarnation += 1;
        Ok(())
    }

    /// Ends the program, with everything it had not dealt with.
    pub(crate) fn stop(&mut self) {
        self.running = None;
        self.inbox.clear();
    }

    pub(crate) fn put(&mut self, id: ConnectionId, input: Input) {
        if self.is_up() {
            self.inbox.push((id, input));
        }
    }

    /// Deals with everything that waits, as one batch; what comes of it is durable.
    pub(crate) fn turn(&mut self) -> Result<Vec<Output>, StoreError> {
        let now = self.now();
        let Some((relay, store)) = &mut self.running else { return Ok(Vec::new()) };
        let mut batch = Batch::begin(store)?;
        let mut outputs = Vec::new();
        for (id, input) in self.inbox.drain(..) {
            outputs.extend(relay.handle(now, id, input, &mut batch, &mut self.rng)?);
        }
        if relay.deadline().is_some_and(|deadline| deadline <= now) {
            outputs.extend(relay.tick(now, &mut batch)?);
        }
        outputs.extend(relay.finish(now, &mut batch)?);
        batch.commit()?;
        Ok(outputs)
    }

    /// When it wants a turn even if nothing comes, in milliseconds of the world's clock.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let deadline = self.running.as_ref()?.0.deadline()?;
        let since = deadline.saturating_sub(Duration::from_millis(BEGINNING));
        Some(u64::try_from(since.as_millis()).expect("a near time") + 1)
    }

    pub(crate) fn now(&self) -> Duration {
        Duration::from_millis(self.clock.wall(0))
    }

    /// What it holds of a mailbox, on its disk.
    #[must_use]
    pub fn vector(&self, mailbox: &MailboxId) -> Vector {
        self.look(|batch| batch.vector(mailbox).expect("a disk that works"))
    }

    /// What the database on its disk says, whether or not the program runs.
    pub fn look<T>(&self, look: impl FnOnce(&Batch<'_>) -> T) -> T {
        let store = open(&CrashingDisk::of(self.disk.image())).expect("a disk that works");
        look(&Batch::begin(&store).expect("a disk that works"))
    }

    fn secret(&self) -> RelaySecret {
        RelaySecret::from_secret(&Secret::new(self.seed))
    }
}

/// A disk with an empty database, which is there wholly or not at all: a store makes it under another name.
///
/// # Panics
/// Never: the disk works.
#[must_use]
pub fn new_disk() -> CrashingDisk {
    let disk = CrashingDisk::default();
    drop(open(&disk).expect("a disk that works"));
    CrashingDisk::of(disk.image())
}

/// Opens the database on a disk.
///
/// # Errors
/// When the disk fails meanwhile.
pub fn open(disk: &CrashingDisk) -> Result<Store, OpenError> {
    let disk = disk.clone();
    Store::with_storage(move || Ok(disk.clone()), Sharing::Processes, key())
}

/// What all disks are encrypted with: whose they are does not matter here.
fn key() -> StorageKey {
    StorageKey::from_bytes(&std::array::from_fn(|n| n as u8 ^ 0x5a)).expect("two different halves")
}

impl std::fmt::Debug for RelayHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayHost").field("incarnation", &self.incarnation).finish_non_exhaustive()
    }
}
