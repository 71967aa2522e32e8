//! A bulk import on its way between two devices that meet directly, beside what one core needs to read, seal and hash it.

use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use ties_book::testing::space;
use ties_engine::testing::{contents, entries};
use ties_sealed_log::{Entry, EpochId, EpochKey, LogKey, Position, Secret, SpaceId};

use crate::at_most;
use crate::home::Home;
use crate::idle::{listening, open};
use crate::pair::{Pair, cards};
use crate::report::Report;

/// So many people are imported on one device and go to the other.
pub(crate) fn measure(report: &Report, people: usize) {
    let Pair { laptop, phone, server, .. } = Pair::with(1);
    drop(server);
    let file = laptop.folder().join("more.vcf");
    std::fs::write(&file, cards(people)).unwrap();
    laptop.run(&["import", file.to_str().unwrap()]);
    let host = laptop.start(&["sync", "--listen", "127.0.0.1:0"]);
    let address = listening(&host.line(|line| line.contains("listening")));
    let took = phone.time(&["sync", "--peer", &address]);
    drop(host);
    assert!(phone.lists(&["ls", "--limit", "1"]), "they arrived");
    let (bytes, one_core) = one_core(&laptop);
    let rate = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    report.note(&format!(
        "{:.2} MB of entries: direct {:.2} MB/s, taken in and durable; read, sealed and hashed on one core {:.2} MB/s",
        bytes as f64 / 1e6,
        rate(took),
        rate(one_core)
    ));
    let ratio = took.as_secs_f64() / one_core.as_secs_f64();
    report.figure("direct sync of an import / read, seal and hash it", ratio, "times", at_most(3.0));
}

/// Bytes of all entries of a device, and how long one core takes to read them, to seal what is in them, and to hash that.
fn one_core(home: &Home) -> (usize, Duration) {
    let book = open(home);
    let space = space(&book);
    let logs: Vec<_> = space.offline().vector().unwrap().logs().collect();
    let began = Instant::now();
    let all: Vec<Entry> = logs.iter().flat_map(|log| entries(space, log).unwrap()).collect();
    let read = began.elapsed();
    let plain = contents(space, &all).unwrap();
    let (log, epoch) = (LogKey::from_secret(&Secret::new([1; 32])), EpochKey::new(Secret::new([2; 32])));
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    let began = Instant::now();
    let mut position = Position::FIRST;
    let mut hasher = Sha256::new();
    for content in &plain {
        let sealed = Entry::seal(&log, position, &SpaceId([4; 32]), (&EpochId([5; 32]), &epoch), content, &mut rng);
        let entry = sealed.unwrap();
        hasher.update(entry.bytes());
        position = Position { seq: entry.seq() + 1, prev: entry.name() };
    }
    std::hint::black_box(hasher.finalize());
    (all.iter().map(|entry| entry.bytes().len()).sum(), read + began.elapsed())
}
