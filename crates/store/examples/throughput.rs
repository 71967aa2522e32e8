//! How fast pages go through the cipher: `cargo run --release -p ties-store --example throughput`.

use std::time::Instant;

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use ties_store::{Encrypted, StorageKey};

const TOTAL: usize = 256 << 20;

fn main() -> std::io::Result<()> {
    let key = StorageKey::generate()?;
    let storage = Encrypted::new(InMemoryBackend::new(), &key);
    storage.set_len(16 << 20)?;
    for size in [4096, 64 << 10, 1 << 20] {
        let mut page = vec![7; size];
        let each = |n: usize| ((n * size) % (16 << 20)) as u64;
        let write = megabytes_per_second(size, |n| storage.write(each(n), &page))?;
        let read = megabytes_per_second(size, |n| storage.read(each(n), &mut page))?;
        println!("{size:>8} bytes at a time: write {write:>5.0} MB/s, read {read:>5.0} MB/s");
    }
    Ok(())
}

fn megabytes_per_second(size: usize, mut access: impl FnMut(usize) -> std::io::Result<()>) -> std::io::Result<f64> {
    let start = Instant::now();
    for n in 0..TOTAL / size {
        access(n)?;
    }
    Ok(TOTAL as f64 / 1e6 / start.elapsed().as_secs_f64())
}
