//! The clock and the randomness that a space uses.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rand_core::{CryptoRng, UnwrapErr};
use ties_sealed_log::LEVEL;
use ties_store::Store;

/// The operating system's randomness; panics when there is none, since nothing safe can be done without.
#[must_use]
pub fn system_randomness() -> impl CryptoRng + Send + 'static {
    UnwrapErr(getrandom::SysRng)
}

/// Where a space gets the time and its random bytes from: the operating system, or a test's seed.
pub struct Environment {
    clock: Clock,
    randomness: Randomness,
    install: Install,
    level: u16,
}

/// What the install mark is known by.
#[derive(Default)]
enum Install {
    /// A database that lives nowhere has none.
    #[default]
    Nowhere,
    /// It is read when it is first asked for: whoever only reads shall not pay for it.
    Folder(PathBuf),
    Mark([u8; 32]),
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
        Self {
            clock: Arc::new(clock),
            randomness: Box::new(system_randomness()),
            install: Install::default(),
            level: LEVEL,
        }
    }

    /// A clock (milliseconds since 1970) and a generator of one's own, for tests that repeat.
    #[must_use]
    pub fn new(clock: impl Fn() -> u64 + Send + Sync + 'static, randomness: impl CryptoRng + Send + 'static) -> Self {
        Self { clock: Arc::new(clock), randomness: Box::new(randomness), install: Install::default(), level: LEVEL }
    }

    /// The same with an install mark of one's own, instead of [`Store::install_mark`] of the space's folder: for tests that
    /// copy and restore devices which have no folder.
    #[must_use]
    pub fn installed_as(self, mark: [u8; 32]) -> Self {
        Self { install: Install::Mark(mark), ..self }
    }

    /// The same as if the program had another level than [`LEVEL`]: for tests of programs of different ages.
    #[must_use]
    pub fn of_level(self, level: u16) -> Self {
        Self { level, ..self }
    }

    /// The program's level.
    pub(crate) fn level(&self) -> u16 {
        self.level
    }

    /// Says where the database is.
    pub(crate) fn lives_in(&mut self, folder: &Path) {
        if matches!(self.install, Install::Nowhere) {
            self.install = Install::Folder(folder.to_owned());
        }
    }

    /// The install mark; `None` where there is none to be had, and then nothing follows from it.
    pub(crate) fn mark(&mut self) -> Option<[u8; 32]> {
        if let Install::Folder(folder) = &self.install
            && let Ok(mark) = Store::install_mark(folder)
        {
            self.install = Install::Mark(mark);
        }
        match self.install {
            Install::Mark(mark) => Some(mark),
            _ => None,
        }
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
