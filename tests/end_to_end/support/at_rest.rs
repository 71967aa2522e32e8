//! Opens what lies encrypted in a folder, as only its owner can.

use std::fs::{self, File};
use std::path::Path;

use redb::StorageBackend as _;
use redb::backends::FileBackend;
use ties_sealed_log::{DeviceKeys, RelayKey, Secret, SpaceId, decode};
use ties_store::{Encrypted, Read as _, Sharing, StorageKey, Store, Table};

/// The plaintext of the database in a folder, page by page: also what no table shows any more.
pub(crate) fn plaintext(folder: &Path) -> Vec<u8> {
    let key = fs::read(folder.join("key")).expect("a key file");
    // SCHEMA.md: label, version, key, check.
    let key = StorageKey::from_bytes(key[9..73].try_into().expect("64 bytes")).expect("a key");
    let file = File::open(folder.join("database")).expect("a database");
    let encrypted = Encrypted::new(FileBackend::new(file).expect("nobody else has it open"), &key);
    let mut bytes = vec![0; usize::try_from(encrypted.len().expect("a length")).expect("a small file")];
    encrypted.read(0, &mut bytes).expect("readable bytes");
    assert!(bytes.starts_with(b"redb"), "the key opens the database");
    bytes
}

/// What a device must show to no relay.
pub(crate) struct Secrets {
    pub(crate) device: DeviceKeys,
    pub(crate) space: SpaceId,
    /// The ids and keys of the epochs.
    pub(crate) epochs: Vec<([u8; 32], [u8; 32])>,
    /// The secret half of its log's key.
    pub(crate) log: [u8; 32],
}

impl Secrets {
    /// Reads them from a device's folder.
    pub(crate) fn of(home: &Path) -> Self {
        let store = Store::open(home, Sharing::Processes).expect("a device's folder");
        let snapshot = store.read().expect("a readable database");
        let setting = |name: &[u8]| snapshot.get(Table::SETTINGS, name).expect("readable").expect("a setting");
        let (seed, _name): ([u8; 32], String) = decode(&setting(b"device")).expect("a device's record");
        let (space, _genesis): ([u8; 32], [u8; 32]) = decode(&setting(b"space")).expect("a space's record");
        let epochs = snapshot.pairs(Table::named("engine/epochs"), b"").expect("readable").into_iter();
        let epochs = epochs.map(|(id, record)| {
            let (_generation, key): (u32, [u8; 32]) = decode(&record).expect("an epoch's record");
            (id.try_into().expect("an epoch's id"), key)
        });
        Self {
            device: DeviceKeys::from_seed(Secret::new(seed)),
            space: SpaceId(space),
            epochs: epochs.collect(),
            log: decode(&setting(b"log")).expect("a log's secret"),
        }
    }

    /// The only name that a relay knows the device by.
    pub(crate) fn pseudonym(&self, relay: &RelayKey) -> [u8; 32] {
        self.device.pseudonym(&self.space, relay).id().0
    }
}
