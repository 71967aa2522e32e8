//! What the drill's builds do at a point.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

use crate::{AT, CHECKPOINT_EVERY, Point};

/// Where this process ends.
struct Fate {
    point: Point,
    passages: AtomicU32,
}

pub(crate) fn pass(point: Point) {
    static FATE: OnceLock<Option<Fate>> = OnceLock::new();
    let fate = FATE.get_or_init(|| {
        let wanted = std::env::var(AT).ok()?;
        Some(read(&wanted).unwrap_or_else(|| panic!("{AT} names no point: {wanted}")))
    });
    let Some(fate) = fate.as_ref().filter(|fate| fate.point == point) else { return };
    if fate.passages.fetch_sub(1, Ordering::SeqCst) == 1 {
        // Told apart from any other death by this line, which takes no detour through a buffer.
        eprintln!("killed at {}", point.name());
        let _ = kill_process(getpid(), Signal::KILL);
        // The signal may reach another thread of this process first; this one does nothing any more.
        loop {
            std::thread::park();
        }
    }
}

fn read(wanted: &str) -> Option<Fate> {
    let (name, passages) = wanted.split_once(':').unwrap_or((wanted, "1"));
    let point = Point::ALL.iter().copied().find(|point| point.name() == name)?;
    Some(Fate { point, passages: AtomicU32::new(passages.parse().ok().filter(|passages| *passages > 0)?) })
}

pub(crate) fn checkpoint_every() -> Option<u64> {
    static EVERY: OnceLock<Option<u64>> = OnceLock::new();
    *EVERY.get_or_init(|| std::env::var(CHECKPOINT_EVERY).ok()?.parse().ok())
}
