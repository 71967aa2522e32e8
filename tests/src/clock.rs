//! Time that passes when a test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock that everybody in a world looks at. Clones are the same clock.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<AtomicU64>);

/// When a world begins, in milliseconds since 1970.
pub(crate) const BEGINNING: u64 = 1_760_000_000_000;

impl Clock {
    /// Milliseconds since the world began.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The same as a duration.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.now())
    }

    /// Lets time pass until then; never back.
    pub fn advance_to(&self, then: u64) {
        self.0.fetch_max(then, Ordering::Relaxed);
    }

    /// The time of day on a wall whose clock is off by so many milliseconds.
    pub(crate) fn wall(&self, ahead: u64) -> u64 {
        BEGINNING + ahead + self.now()
    }
}
