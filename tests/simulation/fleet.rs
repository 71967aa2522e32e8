//! Devices whose life across checkpoints is told step by step: writing, being away, making and signing checkpoints.

use ties_engine::testing::checkpoint_after;
use ties_engine::{DocumentId, Space};
use ties_relay::{Limits, Storage};
use ties_sealed_log::{FloorRecord, Log, LogId, Vector};
use ties_store::Read;
use ties_tests::World;

use crate::edits::operate;
use crate::ledger::{Ledger, store};

/// Long enough for everybody who is there to finish, and to sign what the others made.
pub(crate) const A_WHILE: u64 = 600_000;

/// Some devices at a relay that mostly drops entries below two checkpoints.
pub(crate) struct Fleet {
    pub(crate) world: World,
    pub(crate) ledger: Ledger,
    /// After how many entries a device makes a checkpoint by itself; nothing for as many as outside.
    after: Option<u64>,
    writes: u64,
}

impl Fleet {
    /// All have met and have everything.
    pub(crate) fn of(seed: u64, devices: usize, after: Option<u64>) -> Self {
        Self::at(seed, devices, after, Limits { prunes: true, ..Limits::default() })
    }

    /// The same at a relay with other bounds.
    pub(crate) fn at(seed: u64, devices: usize, after: Option<u64>, limits: Limits) -> Self {
        let mut world = World::with_limits(seed, limits);
        world.tends = true;
        let mut fleet = Self { world, ledger: Ledger::default(), after, writes: 0 };
        fleet.prepare(0);
        while fleet.world.devices.len() < devices {
            fleet.join();
        }
        fleet.world.run(A_WHILE);
        (0..devices).for_each(|number| fleet.write(number));
        fleet.world.run(A_WHILE);
        fleet
    }

    fn prepare(&self, number: usize) {
        if let Some(entries) = self.after {
            checkpoint_after(self.space(number), entries).unwrap();
        }
    }

    pub(crate) fn join(&mut self) -> usize {
        assert!(self.world.join());
        let number = self.world.devices.len() - 1;
        self.prepare(number);
        number
    }

    pub(crate) fn space(&self, number: usize) -> &Space {
        self.world.devices[number].space.as_ref().unwrap()
    }

    /// Writes something that must not be lost.
    pub(crate) fn write(&mut self, number: usize) {
        let before = self.space(number).offline().vector().unwrap();
        let done = self.operate(number);
        let after = self.space(number).offline().vector().unwrap();
        self.ledger.enter(number, &before, &after, done);
        self.world.counts.add("writes acknowledged");
    }

    /// Writes something, and gives where it shows.
    pub(crate) fn operate(&mut self, number: usize) -> crate::edits::Done {
        self.writes += 1;
        let mark = self.writes;
        self.world.write(number, |edit, dice| operate(edit, dice, mark)).unwrap()
    }

    /// Somebody makes a checkpoint of what there is, and the others sign it.
    pub(crate) fn make_checkpoint(&mut self, maker: usize) {
        assert!(self.space(maker).make_checkpoint().unwrap());
        self.world.poke(maker);
        self.world.run(A_WHILE);
    }

    /// Life goes on for three checkpoints, so that the relay and the devices drop what is here now.
    pub(crate) fn go_on(&mut self, writers: &[usize]) {
        for _ in 0..3 {
            for _ in 0..4 {
                writers.iter().for_each(|number| self.write(*number));
            }
            self.world.run(A_WHILE);
            self.make_checkpoint(writers[0]);
        }
    }

    /// The checkpoints that the relay keeps.
    pub(crate) fn kept(&self) -> Vec<FloorRecord> {
        let mailbox = self.world.mailbox();
        let rows = self.world.relay.look(|batch| batch.floors(&mailbox).unwrap());
        rows.iter().filter(|(staged, _)| !staged).map(|(_, bytes)| FloorRecord::verify(bytes).unwrap()).collect()
    }

    /// Of how many logs the relay has dropped the beginning.
    pub(crate) fn cut_short_at_relay(&self) -> usize {
        let mailbox = self.world.mailbox();
        self.world.relay.look(|batch| {
            let vector: Vector = batch.vector(&mailbox).unwrap();
            vector.logs().filter(|log| !batch.base(&mailbox, log).unwrap().is_empty()).count()
        })
    }

    /// The same of a device.
    pub(crate) fn cut_short_at(&self, number: usize) -> usize {
        let store = store(&self.world.devices[number]);
        let snapshot = store.read().unwrap();
        let log = snapshot.log(0);
        log.vector().unwrap().logs().filter(|one| !log.base(one).unwrap().is_empty()).count()
    }

    /// The log that a device goes on with.
    pub(crate) fn present_log(&self, number: usize) -> Option<LogId> {
        let logs = self.space(number).incarnations().unwrap();
        logs.into_values().flatten().find(|one| one.present).map(|one| one.log)
    }

    pub(crate) fn documents(&self, number: usize) -> Vec<DocumentId> {
        let ids = store(&self.world.devices[number]).read().unwrap().document_ids().unwrap();
        ids.into_iter().map(DocumentId).collect()
    }
}
