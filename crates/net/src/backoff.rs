//! How long to wait before the next attempt.

use std::time::Duration;

/// Waits between attempts to reach a relay, from 0.5 s to 60 s: steps of 1 s, 2 s, 4 s … 60 s, each wait drawn from the
/// upper half of its step so that devices which lost one relay together do not come back together.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Starts with the shortest wait.
    pub fn new() -> Self {
        Self::default()
    }

    /// The wait after one more failure; `random` is any uniform number.
    pub fn after_failure(&mut self, random: u64) -> Duration {
        let step = FIRST.saturating_mul(1 << self.failures.min(LAST_DOUBLING)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let half = step / 2;
        let spread = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
        half + Duration::from_millis(random % (spread + 1))
    }

    /// The same with randomness of the operating system.
    pub fn after_failure_now(&mut self) -> Duration {
        // Without randomness the wait is merely not spread.
        self.after_failure(getrandom::u64().unwrap_or(0))
    }

    /// Forgets the failures; call it when an attempt has succeeded.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
const LAST_DOUBLING: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_stay_there() {
        let mut backoff = Backoff::new();
        let waits: Vec<u128> = (0..10).map(|_| backoff.after_failure(0).as_millis() * 2).collect();
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000, 60000]);
    }

    #[test]
    fn a_wait_stays_within_the_upper_half_of_its_step() {
        for random in [0, 1, 500, 501, u64::MAX, 0x1234_5678_9abc_def0] {
            let wait = Backoff::new().after_failure(random);
            assert!(wait >= FIRST / 2 && wait <= FIRST, "{wait:?}");
        }
    }

    #[test]
    fn a_success_starts_over() {
        let mut backoff = Backoff::new();
        for _ in 0..100 {
            backoff.after_failure(7);
        }
        backoff.reset();
        assert!(backoff.after_failure(7) <= FIRST);
    }
}
