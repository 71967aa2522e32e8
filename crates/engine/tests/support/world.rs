//! Devices of one space at one mailbox, which meet in pairs with no relay between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use automerge::transaction::Transactable;
use automerge::{Automerge, ROOT, ReadDoc};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_engine::{
    Checkpoint, CheckpointStanding, Conversation, CreateOptions, DeviceId, DocumentId, EditError, Environment, Input,
    Pair, Projection, RecoverOptions, RecoveryError, RecoveryWords, Road, Role, Row, Space, Turn, testing,
};
use ties_store::Store;

pub const DAY: u64 = 24 * 60 * 60 * 1000;

/// Rows that tell everything of a document.
#[derive(Clone, Copy)]
pub struct Everything;

impl Projection for Everything {
    fn version(&self) -> u32 {
        1
    }

    fn rows(&self, id: DocumentId, document: &Automerge) -> Vec<Row> {
        let row = |key: String| {
            let value = document.get(ROOT, &key).unwrap().unwrap().0;
            Row { key: [&id.0[..], key.as_bytes()].concat(), value: value.to_string().into_bytes() }
        };
        document.keys(ROOT).map(row).collect()
    }
}

/// Devices at one mailbox that no relay keeps: they meet in pairs.
pub struct World {
    now: Arc<AtomicU64>,
    pub road: Road,
    pub devices: Vec<Space>,
    pub words: RecoveryWords,
    /// How many rounds of edits there were: a value that is there already would make no entry.
    rounds: AtomicU64,
}

impl World {
    /// A founder and others, all admins, who have all met.
    pub fn of(names: &[&str]) -> Self {
        let now = Arc::new(AtomicU64::new(1_760_000_000_000));
        let options = CreateOptions { device_name: names[0].into(), recovery: true };
        let store = Store::in_memory().unwrap();
        let (founder, words) = Space::create_in(store, Everything, &options, environment(&now, 1)).unwrap();
        let relay = ties_sealed_log::RelaySecret::from_secret(&ties_sealed_log::Secret::new([7; 32])).id();
        let address = ties_engine::RelayAddress::new(ties_net::Scheme::Loopback, "127.0.0.1", 7700, relay).unwrap();
        let road = founder.offline().add_relay(&address.to_string()).unwrap();
        let mut world = Self { now, road, devices: vec![founder], words: words.unwrap(), rounds: AtomicU64::new(0) };
        for name in &names[1..] {
            world.admit(name, Role::Admin);
            world.meet(0, world.devices.len() - 1);
        }
        world.all_meet();
        world
    }

    /// Lets in a device that has met nobody.
    pub fn admit(&mut self, name: &str, role: Role) -> usize {
        let environment = environment(&self.now, self.devices.len() as u64 + 1);
        let store = Store::in_memory().unwrap();
        let device = self.devices[0].offline().admit(&self.road, role, store, Everything, name, environment).unwrap();
        self.devices.push(device);
        self.devices.len() - 1
    }

    pub fn id(&self, device: usize) -> DeviceId {
        self.devices[device].devices().unwrap().into_iter().find(|one| one.this).unwrap().id
    }

    pub fn all_meet(&self) {
        for _ in 0..2 {
            for one in 0..self.devices.len() {
                for other in one + 1..self.devices.len() {
                    self.meet(one, other);
                }
            }
        }
    }

    /// Gives the bytes that each of the two said.
    pub fn meet(&self, one: usize, other: usize) -> [usize; 2] {
        let pair = [&self.devices[one], &self.devices[other]];
        pair.iter().for_each(|space| space.offline().tidy(&self.road).unwrap());
        let mut sides = pair.map(|space| Conversation::new(space, self.road.mailbox, self.road.relay));
        let mut under_way = sides.each_mut().map(|side| side.start(Duration::ZERO).unwrap().frames);
        let mut bytes = [0; 2];
        while !under_way.iter().all(Vec::is_empty) {
            let [from_one, from_other] = std::mem::take(&mut under_way);
            bytes[0] += from_one.iter().map(Vec::len).sum::<usize>();
            bytes[1] += from_other.iter().map(Vec::len).sum::<usize>();
            for (side, (frames, said)) in sides.iter_mut().zip([from_other, from_one].iter().zip(&mut under_way)) {
                let inputs: Vec<_> = frames.iter().map(|frame| Input::Frame(frame)).collect();
                let Turn { frames, .. } = side.handle(Duration::ZERO, &inputs).unwrap();
                *said = frames;
            }
        }
        assert!(sides.iter().all(Conversation::is_settled), "they wait for each other");
        bytes
    }

    pub fn put(&self, device: usize, document: u8, key: &str, value: &str) {
        let document = DocumentId([document; 16]);
        let space = &self.devices[device];
        space.write(|edit| edit.change(document, |list| list.put(ROOT, key, value).map_err(EditError::from))).unwrap();
    }

    pub fn edits(&self, device: usize) {
        for _ in 0..4 {
            let round = self.rounds.fetch_add(1, Ordering::Relaxed);
            for document in 0..20 {
                self.put(device, document, &format!("key {}", round % 3), &format!("value {round} {document}"));
            }
        }
    }

    /// Everything that a person would see: the rows, and what each document was made of.
    pub fn shown(&self, device: usize) -> (Vec<Pair>, Vec<Vec<automerge::ChangeHash>>) {
        let view = self.devices[device].view().unwrap();
        let rows = view.rows(&[]).unwrap().collect::<Result<_, _>>().unwrap();
        let heads = |id| view.document(DocumentId([id; 16])).unwrap().map(|document| document.get_heads());
        (rows, (0..40).filter_map(heads).collect())
    }

    #[track_caller]
    pub fn assert_equal(&self) {
        let first = self.shown(0);
        for device in 1..self.devices.len() {
            assert_eq!(self.shown(device), first, "device {device}");
            assert!(self.devices[device].status().unwrap().waiting.is_empty(), "device {device}");
        }
    }

    pub fn checkpoints(&self, device: usize) -> Vec<Checkpoint> {
        self.devices[device].checkpoints().unwrap()
    }

    pub fn standings(&self, device: usize) -> Vec<CheckpointStanding> {
        self.checkpoints(device).iter().map(|one| one.standing).collect()
    }

    /// How many entries are in a device's database.
    pub fn entries(&self, device: usize) -> u64 {
        let check = self.devices[device].check_logs(&mut |_, _| {}).unwrap();
        assert!(check.broken.is_empty());
        check.entries
    }

    /// Makes a device by the words, of what another one has.
    pub fn recover(&mut self, from: usize, lost: bool) -> Result<usize, RecoveryError> {
        // None is like another, even if one before it was thrown away.
        let environment = environment(&self.now, 1_000 + self.rounds.fetch_add(1, Ordering::Relaxed));
        let options = RecoverOptions { device_name: "new".into(), lost };
        let from = testing::store(&self.devices[from]);
        let store = Store::in_memory().unwrap();
        let (space, _) = Space::recover_in(store, Everything, &self.words, from, &options, environment)?;
        self.devices.push(space);
        Ok(self.devices.len() - 1)
    }

    pub fn pass(&self, time: u64) {
        self.now.fetch_add(time, Ordering::Relaxed);
    }
}

/// One whose clock is the world's.
pub fn environment(now: &Arc<AtomicU64>, seed: u64) -> Environment {
    let now = now.clone();
    Environment::new(move || now.load(Ordering::Relaxed), ChaCha20Rng::seed_from_u64(seed))
}
