//! Programs that are killed at named points: in every step of making, signing and taking a checkpoint, of a relay's part in
//! that, of a backup and of a restore, and at every commit on the way.
//!
//! `ties_fault` has the list of points; each drill here dies once at each of its own, and [`drill`] says whose each is, so
//! that no point can be added that nothing reaches. After a death, what was acknowledged is there, the next start goes on,
//! and the doctor finds nothing wrong.

use std::collections::VecDeque;

use serde_json::Value;
use ties_fault::{AT, CHECKPOINT_EVERY, Point};

use crate::support::{Device, Ran, Running};

mod agents;
mod backups;
mod checkpoints;
mod relays;

/// What goes on when a point is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drill {
    /// All of it: every drill dies here again and again, before and after each commit.
    Any,
    Making,
    Signing,
    Taking,
    Pruning,
    Relay,
    Backup,
    Restore,
}

fn drill(point: Point) -> Drill {
    match point {
        Point::CommitBegun | Point::Committed => Drill::Any,
        Point::CheckpointDue
        | Point::CheckpointNamed
        | Point::CheckpointSealed
        | Point::CheckpointPut
        | Point::CheckpointMade => Drill::Making,
        Point::PruneDue | Point::PrunePut | Point::Pruned => Drill::Pruning,
        Point::CosignBegun | Point::CosignNamed | Point::CosignPut | Point::Cosigned => Drill::Signing,
        Point::FloorShelved | Point::PieceTaken | Point::LoadBegun | Point::LoadMerged | Point::Loaded => Drill::Taking,
        Point::RelayStaged | Point::RelayPiece | Point::RelayAdopting | Point::RelayPruned | Point::RelayKept => {
            Drill::Relay
        }
        Point::BackupBegun | Point::BackupWritten | Point::BackupSynced | Point::BackupNamed | Point::BackupKept => {
            Drill::Backup
        }
        Point::FolderMade
        | Point::KeyBegun
        | Point::KeySynced
        | Point::KeyNamed
        | Point::KeyKept
        | Point::DatabaseBegun
        | Point::DatabaseFilled
        | Point::DatabaseNamed
        | Point::DatabaseKept
        | Point::Restored => Drill::Restore,
    }
}

/// The deaths that a program has before it: one at each point of a drill, then one at each commit until there are no more.
struct Deaths {
    once: VecDeque<Point>,
    /// Each of these is passed many times.
    often: VecDeque<Point>,
    passage: u32,
    died: u32,
}

impl Deaths {
    fn of(drill_of_them: Drill, often: &[Point]) -> Self {
        let all = Point::ALL.iter().copied();
        let once = all.filter(|point| drill(*point) == drill_of_them && !often.contains(point)).collect();
        Self { once, often: often.iter().copied().collect(), passage: 1, died: 0 }
    }

    /// Where it dies next, as `ties_fault` reads it; nothing if it has died everywhere.
    fn next(&self) -> Option<String> {
        let first = self.once.front().map(|point| point.name().to_owned());
        first.or_else(|| self.often.front().map(|point| format!("{}:{}", point.name(), self.passage)))
    }

    /// Takes down whether it died there.
    #[track_caller]
    fn tell(&mut self, died: bool) {
        self.died += u32::from(died);
        if let Some(point) = self.once.pop_front() {
            assert!(died, "{} was not reached", point.name());
        } else if died {
            self.passage += 1;
        } else if let Some(point) = self.often.pop_front() {
            assert!(self.passage > 1, "{} was not reached", point.name());
            self.passage = 1;
        }
    }
}

/// Both sides of every commit.
const COMMITS: [Point; 2] = [Point::CommitBegun, Point::Committed];

/// Whether a program was killed at that point. If it was not, it ended as it should.
#[track_caller]
fn was_killed(ran: &Ran, at: &str) -> bool {
    let said = ran.err.contains(&format!("killed at {}", at.split(':').next().unwrap_or(at)));
    assert!(!ran.err.contains("panicked"), "{ran}");
    match ran.code {
        None => assert!(said, "something else ended it: {ran}"),
        Some(code) => assert!(code == 0 && !said, "{ran}"),
    }
    said
}

/// Starts a command that may die. A number says how many entries are enough for a checkpoint; usually it is thousands.
fn begin(device: &Device, words: &[&str], input: &str, at: Option<&str>, every: Option<u64>) -> Running {
    let mut command = device.mortal(words);
    command.envs(at.map(|at| (AT, at)));
    command.envs(every.map(|every| (CHECKPOINT_EVERY, every.to_string())));
    Running::start(command, input)
}

/// Lets a sync die at the next point, if there is one.
#[track_caller]
fn sync_and_die(device: &Device, deaths: &mut Deaths, every: Option<u64>) {
    if let Some(at) = deaths.next() {
        let ran = begin(device, &["sync"], "", Some(&at), every).finish();
        deaths.tell(was_killed(&ran, &at));
    }
}

/// Syncs well, with so many entries enough for a checkpoint.
#[track_caller]
fn sync_with(device: &Device, every: u64) {
    begin(device, &["sync"], "", None, Some(every)).finish().ok();
}

/// Lets everybody of these names be there, and the doctor find no harm; something may wait for what has not come yet.
#[track_caller]
fn is_unharmed(device: &Device, names: &[String], after: &str) {
    look(device, names, after, &["no-road", "waiting-for"]);
}

/// Lets everybody of these names be there, and the doctor find nothing wrong.
#[track_caller]
fn is_sound(device: &Device, names: &[String], after: &str) {
    // Without a road it says so, and that is all it may have to say.
    look(device, names, after, &["no-road"]);
}

#[track_caller]
fn look(device: &Device, names: &[String], after: &str, warnings: &[&str]) {
    let there = device.names();
    let lost: Vec<&String> = names.iter().filter(|name| there.iter().filter(|one| one == name).count() != 1).collect();
    assert!(lost.is_empty(), "{lost:?} are not there once after {after}: {there:?}");
    let checks = device.json(&["doctor", "--offline"]);
    let checks = checks["checks"].as_array().expect("an array of checks");
    let is_fine = |check: &Value| {
        let permitted = check["state"] == "warning" && warnings.iter().any(|code| check["code"] == *code);
        check["state"] == "ok" || permitted
    };
    let wrong: Vec<&Value> = checks.iter().filter(|check| !is_fine(check)).collect();
    assert!(wrong.is_empty(), "after {after}: {wrong:?}");
}

/// The checkpoint that came or was made last.
#[track_caller]
fn newest(device: &Device) -> Value {
    device.json(&["status"])["checkpoints"][0].clone()
}
