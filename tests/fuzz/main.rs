//! Everything that reads bytes from elsewhere, held against what fuzzing found and against damage to valid bytes.
//!
//! `corpus/<target>` holds valid inputs and everything that once failed. `fuzz/` drives the same targets by coverage
//! (README.md there). A failure here names the file; `TIES_FUZZ_FILE` replays any other one for the target that its
//! folder is named after.

#![allow(clippy::unwrap_used, reason = "tests")]

mod seeds;
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use targets::TARGETS;
use ties_tests::Dice;

/// No input of a few kilobytes may take longer; generous, for machines that do other things too.
const LONGEST: Duration = Duration::from_secs(20);
/// How many damaged copies of each corpus are tried.
const TURNS: u64 = 60;

#[test]
fn no_input_of_the_corpus_harms_its_reader() {
    for (name, target) in TARGETS {
        for (path, bytes) in corpus(name) {
            run(*target, &bytes, &path.display().to_string());
        }
    }
}

#[test]
fn no_damage_to_valid_input_harms_its_reader() {
    for (name, target) in TARGETS {
        let corpus: Vec<_> = corpus(name).into_iter().filter(|(_, bytes)| bytes.len() < 20_000).collect();
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for turn in 0..TURNS {
            let mut dice = Dice::new(turn);
            let (path, mut bytes) = corpus[dice.index(corpus.len())].clone();
            (0..=dice.below(8)).for_each(|_| damage(&mut bytes, &mut dice));
            run(*target, &bytes, &format!("{}, damaged (turn {turn})", path.display()));
        }
    }
}

#[test]
fn one_file_that_is_named() {
    let Some(path) = std::env::var_os("TIES_FUZZ_FILE").map(PathBuf::from) else { return };
    let folder = path.parent().and_then(Path::file_name).unwrap().to_string_lossy().into_owned();
    let (_, target) = TARGETS.iter().find(|(name, _)| *name == folder).expect("a folder named after a target");
    target(&fs::read(&path).unwrap());
}

fn run(target: fn(&[u8]), bytes: &[u8], what: &str) {
    let began = Instant::now();
    let done = catch_unwind(AssertUnwindSafe(|| target(bytes)));
    assert!(done.is_ok(), "{what} makes its reader panic");
    assert!(began.elapsed() < LONGEST, "{what} takes {:?}", began.elapsed());
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    if bytes.is_empty() {
        return bytes.push(dice.below(256) as u8);
    }
    let at = dice.index(bytes.len());
    let end = (at + dice.index(24)).min(bytes.len());
    match dice.below(6) {
        0 => bytes[at] ^= 1 << dice.below(8),
        1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'\n'][dice.index(7)],
        2 => drop(bytes.drain(at..end)),
        3 => bytes.truncate(at),
        4 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        _ => {
            let random = dice.bytes(4);
            bytes.splice(at..at, random);
        }
    }
}
