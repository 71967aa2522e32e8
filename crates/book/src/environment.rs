//! The engine's clock and randomness, from the system or from what a test says.

use std::path::Path;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use ties_engine::{Environment as EngineEnvironment, Space, StorageKey};

use crate::api::{BookError, Environment, ErrorKind};
use crate::engine::{BookRows, fault};
use crate::opening;

/// The environment that was asked for; `turn` tells one opening of a folder from the next.
///
/// A seed makes every key foreseeable, so only builds for tests take one. The folder's name and the turn go into it:
/// two devices with one seed must not have one key, nor two processes one session.
pub(crate) fn of(asked: &Environment, dir: &Path, turn: u64) -> Result<EngineEnvironment, BookError> {
    let environment = timed(asked, dir, turn)?;
    Ok(match asked.level {
        Some(level) if cfg!(debug_assertions) => environment.of_level(level),
        _ => environment,
    })
}

fn timed(asked: &Environment, dir: &Path, turn: u64) -> Result<EngineEnvironment, BookError> {
    if asked.now_ms.is_none() && asked.seed.is_none() {
        return Ok(EngineEnvironment::system());
    }
    if !cfg!(debug_assertions) && asked.seed.is_some() {
        return Err(BookError::new(ErrorKind::Usage, "only builds for tests take a seed"));
    }
    let fixed = asked.now_ms.map(|now| u64::try_from(now).unwrap_or(0));
    let clock = move || fixed.unwrap_or_else(|| EngineEnvironment::system().now());
    let Some(seed) = asked.seed else {
        return Ok(EngineEnvironment::new(clock, ties_engine::system_randomness()));
    };
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(turn.to_be_bytes());
    hash.update(dir.file_name().unwrap_or_default().as_encoded_bytes());
    Ok(EngineEnvironment::new(clock, ChaCha20Rng::from_seed(hash.finalize().into())))
}

/// Opens the space in a folder, with a key if one is needed that does not lie there.
pub(crate) fn open(dir: &Path, asked: &Environment, key: Option<&StorageKey>) -> Result<Space, BookError> {
    let open = |turn| {
        let environment = of(asked, dir, turn)?;
        let space = match key {
            None => Space::open(dir, BookRows, environment),
            Some(key) => Space::open_with_key(dir, BookRows, environment, key.again()),
        };
        space.map_err(|error| opening::error(dir, error))
    };
    let space = open(0)?;
    if asked.seed.is_none() {
        return Ok(space);
    }
    let turn = space.view().and_then(|view| view.serial()).map_err(fault)?;
    drop(space);
    open(turn.wrapping_add(1))
}
