//! The clock and the randomness that a space uses.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rand_core::{CryptoRng, UnwrapErr};

/// The operating system's randomness; panics when there is none, since nothing safe can be done without.
#[must_use]
pub fn system_randomness() -> impl CryptoRng + Send + 'static {
    UnwrapErr(getrandom::SysRng)
}

/// Where a space gets the time and its random bytes from: the operating system, or a test's seed.
pub struct Environment {
    clock: Clock,
    randomness: Randomness,
}

pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;
pub(crate) type Randomness = Box<dyn CryptoRng + Send>;

impl Environment {
    /// The operating system's clock and randomness.
    #[must_use]
    pub fn system() -> Self {
        let clock = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        };
        Self { clock: Arc::new(clock), randomness: Box::new(system_randomness()) }
    }

    /// A clock (milliseconds since 1970) and a generator of one's own, for tests that repeat.
    #[must_use]
    pub fn new(clock: impl Fn() -> u64 + Send + Sync + 'static, randomness: impl CryptoRng + Send + 'static) -> Self {
        Self { clock: Arc::new(clock), randomness: Box::new(randomness) }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        (self.clock)()
    }

    pub(crate) fn clock(&self) -> Clock {
        Arc::clone(&self.clock)
    }

    pub(crate) fn randomness(&mut self) -> &mut Randomness {
        &mut self.randomness
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.randomness.fill_bytes(&mut bytes);
        bytes
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment(..)")
    }
}
