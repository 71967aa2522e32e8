use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::Counts;

/// After so many failed seeds the rest is not played.
const TOO_MANY: usize = 20;

/// The seeds that a test plays, each a world of its own.
///
/// `<PREFIX>_SEEDS` says which: a number of them (`20000`) or a range (`5000..20000`). `<PREFIX>_SEED` plays one and
/// tells what happened in it.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    /// The environment variables' name up to `_SEED` and `_SEEDS`.
    pub prefix: &'static str,
    /// How many are played when nobody says.
    pub usual: u64,
    /// What `cargo test -p ties-tests` takes behind it to play this test alone.
    pub test: &'static str,
}

impl Seeds {
    /// Plays them on all cores and returns what happened in all of them, with their number; nothing where it was fewer than
    /// the usual ones. A failed seed is told at once, with the command that plays it again.
    ///
    /// # Panics
    ///
    /// At the end, if a seed failed; at once, if a variable is no number.
    pub fn play(&self, live: &(dyn Fn(u64) -> Counts + Sync)) -> Option<(u64, Counts)> {
        if let Some(seed) = self.variable("SEED") {
            println!("{:#?}", live(number(&seed)));
            return None;
        }
        let range = self.variable("SEEDS").map_or(0..self.usual, |text| range(&text));
        let (total, failed) = self.play_range(range.clone(), live);
        let seeds = range.end - range.start;
        println!("{seeds} seeds: {total:#?}");
        assert!(failed == 0, "{failed} of {seeds} seeds failed; see above for the commands that play them");
        (seeds >= self.usual).then_some((seeds, total))
    }

    fn play_range(&self, range: Range<u64>, live: &(dyn Fn(u64) -> Counts + Sync)) -> (Counts, usize) {
        let (next, done) = (AtomicU64::new(range.start), Mutex::new((Counts::default(), 0_u64, 0_usize)));
        let begun = Instant::now();
        let lock = || done.lock().expect("nobody panics while holding it");
        let play = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= range.end || lock().2 >= TOO_MANY {
                    break;
                }
                let lived = catch_unwind(AssertUnwindSafe(|| live(seed)));
                let mut done = lock();
                match lived {
                    Ok(counts) => done.0.join(&counts),
                    Err(panic) => {
                        done.2 += 1;
                        self.tell(seed, &message(&*panic));
                    }
                }
                done.1 += 1;
                if done.1 % self.usual == 0 {
                    println!(
                        "{} of {} seeds played in {} s",
                        done.1,
                        range.end - range.start,
                        begun.elapsed().as_secs()
                    );
                }
            }
        };
        std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(2, usize::from);
            (0..threads).for_each(|_| drop(scope.spawn(play)));
        });
        let (total, _, failed) = done.into_inner().expect("nobody panics while holding it");
        (total, failed)
    }

    fn tell(&self, seed: u64, why: &str) {
        println!("seed {seed}: {why}");
        println!("    {}_SEED={seed} cargo test -p ties-tests {}", self.prefix, self.test);
    }

    fn variable(&self, end: &str) -> Option<String> {
        std::env::var(format!("{}_{end}", self.prefix)).ok()
    }
}

fn range(text: &str) -> Range<u64> {
    text.split_once("..").map_or_else(|| 0..number(text), |(start, end)| number(start)..number(end))
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("not a number of seeds: {text:?}"))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
