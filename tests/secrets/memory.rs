//! What is left in a process's memory once its data are closed: no key, neither of the database nor of the device.
//!
//! Another process holds the data, since whoever looks for a key has it in its own memory. Like the program it wipes what
//! it frees; without that, pages of redb's cache would stay.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use ties_engine::{CreateOptions, EditError, Environment, Space};
use ties_sealed_log::decode;
use ties_store::{Cost, Custody, Passphrase, Read as _, Sharing, Store, Table};
use zeroize::Zeroizing;

const PASSPHRASE: &str = "xyzzy plugh frobozz 1977";
const FOLDER: &str = "TIES_TEST_MEMORY_FOLDER";

#[test]
fn no_key_is_left_in_memory_after_the_data_were_closed() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let options = CreateOptions { device_name: "laptop".into(), recovery: true };
    drop(Space::create(&home, (), &options, Environment::system()).unwrap());
    let needles = needles(&home);
    let words = Passphrase::new(PASSPHRASE).unwrap();
    Custody::of(&home).set_passphrase(None, &words, Cost::LEAST).unwrap();
    std::fs::write(folder.path().join("words"), PASSPHRASE).unwrap();

    let mut holder = Holder::start(folder.path());
    holder.expect("open");
    let Some(open) = holder.search(&needles) else {
        println!("this system lets nobody look into a child's memory; nothing was tested");
        return;
    };
    assert!(open.iter().any(|(name, many)| *name == "the database's key" && *many > 0), "nothing is found: {open:?}");
    holder.go_on();
    holder.expect("closed");
    let closed = holder.search(&needles).unwrap();
    holder.go_on();
    println!("open: {open:?}\nclosed: {closed:?}");
    for (name, many) in closed {
        assert_eq!(many, 0, "{name} is still there");
    }
}

/// What is looked for: the halves of the database's key, the device's seed, the keys of the epochs and of the log.
fn needles(home: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let key = std::fs::read(home.join("key")).unwrap();
    let store = Store::open(home, Sharing::Processes).unwrap();
    let snapshot = store.read().unwrap();
    let setting = |name: &[u8]| snapshot.get(Table::SETTINGS, name).unwrap().unwrap();
    let (seed, _name): ([u8; 32], String) = decode(&setting(b"device")).unwrap();
    let log: [u8; 32] = decode(&setting(b"log")).unwrap();
    let epochs = snapshot.pairs(Table::named("engine/epochs"), b"").unwrap();
    let (_generation, epoch): (u32, [u8; 32]) = decode(&epochs[0].1).unwrap();
    vec![
        ("the passphrase", PASSPHRASE.as_bytes().to_vec()),
        ("the database's key", key[9..41].to_vec()),
        ("the key of its tweaks", key[41..73].to_vec()),
        ("the device's seed", seed.to_vec()),
        ("the log's key", log.to_vec()),
        ("the epoch's key", epoch.to_vec()),
    ]
}

/// A process that has the data open.
struct Holder {
    child: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
}

impl Holder {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory::the_process_that_holds_keys", "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        let hears = child.stdin.take().unwrap();
        Self { child, says, hears }
    }

    fn expect(&mut self, word: &str) {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert!(self.says.read_line(&mut line).unwrap() > 0, "it ended before it was {word}");
        }
    }

    fn go_on(&mut self) {
        writeln!(self.hears).unwrap();
    }

    /// How often each needle is in what the process may write to. `None` if that cannot be looked at.
    fn search(&self, needles: &[(&'static str, Vec<u8>)]) -> Option<Vec<(&'static str, usize)>> {
        let process = Path::new("/proc").join(self.child.id().to_string());
        let mut memory = match File::open(process.join("mem")) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
            opened => opened.unwrap(),
        };
        let mut found: Vec<_> = needles.iter().map(|(name, _)| (*name, 0)).collect();
        for line in std::fs::read_to_string(process.join("maps")).unwrap().lines() {
            let (range, rest) = line.split_once(' ').unwrap();
            if !rest.starts_with("rw") {
                continue;
            }
            let (start, end) = range.split_once('-').unwrap();
            let [start, end] = [start, end].map(|place| u64::from_str_radix(place, 16).unwrap());
            let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
            memory.seek(SeekFrom::Start(start)).unwrap();
            // What the kernel keeps for itself cannot be read.
            if memory.read_exact(&mut bytes).is_err() {
                continue;
            }
            for ((_, needle), (_, many)) in needles.iter().zip(&mut found) {
                *many += bytes.windows(needle.len()).filter(|window| window == needle).count();
            }
        }
        Some(found)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "the other side of no_key_is_left_in_memory_after_the_data_were_closed"]
fn the_process_that_holds_keys() {
    let folder = std::env::var_os(FOLDER).unwrap();
    let folder = Path::new(&folder);
    let home = folder.join("home");
    let space = {
        let words = Zeroizing::new(std::fs::read_to_string(folder.join("words")).unwrap());
        let key = Custody::of(&home).unseal(&Passphrase::new(&words).unwrap()).unwrap();
        Space::open_with_key(&home, (), Environment::system(), key).unwrap()
    };
    space
        .write(|edit| {
            let id = edit.fresh_id();
            edit.change(id, |tx| {
                automerge::transaction::Transactable::put(tx, automerge::ROOT, "milk", true).map_err(EditError::from)
            })
        })
        .unwrap();
    step("open");
    drop(space);
    step("closed");
}

fn step(word: &str) {
    println!("{word}");
    std::io::stdout().flush().unwrap();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}
