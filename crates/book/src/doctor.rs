//! Everything looked over, each finding with what to do; what can be made anew is, where that is asked for.

use std::path::Path;
use std::time::Duration;

use ties_engine::{Checkpoint, CheckpointStanding, DocumentCheck, Fault, LogCheck, RoadError, Status};

use crate::api::{BookError, Check, Event, Face, Reply};
use crate::book::Book;
use crate::devices::{accusation, checkpoint, set_aside, waits};
use crate::engine::fault;
use crate::findings::Finding;
use crate::network::in_one_line;

impl Book {
    pub(crate) async fn doctor(&self, repair: bool, offline: bool, face: &mut dyn Face) -> Result<Reply, BookError> {
        let mut checks = vec![Finding::Opens.says("it opens")];
        let logs = self.space.check_logs(&mut told(face, "logs")).map_err(fault)?;
        let whole = logs.broken.is_empty();
        checks.push(self.logs(&logs)?);
        checks.extend(self.documents(repair, whole, face)?);
        checks.push(self.rows(repair, face)?);
        checks.extend(self.waiting()?);
        checks.extend(self.checkpoints()?);
        checks.extend(self.clock()?);
        checks.extend(self.roads(offline, face).await?);
        Ok(Reply::Checked { checks })
    }

    fn logs(&self, found: &LogCheck) -> Result<Check, BookError> {
        let mut broken = Vec::new();
        if !found.broken.is_empty() {
            let devices = self.space.devices().map_err(fault)?;
            for (log, count) in &found.broken {
                let writer = self.space.writer_of(log).map_err(fault)?;
                let device = writer.and_then(|id| devices.iter().find(|device| device.id == id));
                broken.push((device.map_or("an unknown device", |device| device.name.as_str()).to_owned(), *count));
            }
        }
        Ok(logs_found(found.logs as u64, found.entries, &broken))
    }

    fn documents(&self, repair: bool, whole: bool, face: &mut dyn Face) -> Result<Vec<Check>, BookError> {
        let found = self.space.check_documents(&mut told(face, "documents")).map_err(fault)?;
        let repaired = repair && whole && !found.lacking.is_empty();
        if repaired {
            self.space.repair_documents(&found.lacking).map_err(fault)?;
        }
        Ok(documents_found(&found, whole, repaired))
    }

    fn rows(&self, repair: bool, face: &mut dyn Face) -> Result<Check, BookError> {
        let differing = match self.space.check_rows(&mut told(face, "rows")) {
            // The records were named above.
            Err(Fault::Damaged(_)) => None,
            found => Some(found.map_err(fault)?.differing),
        };
        let repaired = repair && differing.is_some_and(|differing| differing > 0);
        if repaired {
            self.space.rebuild_rows().map_err(fault)?;
        }
        Ok(rows_found(differing, repaired))
    }

    fn waiting(&self) -> Result<Vec<Check>, BookError> {
        let (status, held) = (self.space.status().map_err(fault)?, self.space.quarantined().map_err(fault)?);
        Ok(waiting_found(&status, held, self.space.now()))
    }

    fn checkpoints(&self) -> Result<Vec<Check>, BookError> {
        let found = self.space.checkpoints().map_err(fault)?;
        Ok(checkpoints_found(&found, self.space.keeps_checkpoints().map_err(fault)?))
    }

    fn clock(&self) -> Result<Vec<Check>, BookError> {
        let written = self.space.last_written().map_err(fault)?;
        let status = self.space.status().map_err(fault)?;
        let exchanged = status.roads.iter().filter_map(|road| Some((road.road.address.as_str(), road.last_contact?)));
        let others = status.devices.iter().filter(|device| !device.this);
        let heard = others.filter_map(|device| Some((device.name.as_str(), device.last_heard?)));
        Ok(clock_found(self.space.now(), written, exchanged, heard))
    }

    async fn roads(&self, offline: bool, face: &mut dyn Face) -> Result<Vec<Check>, BookError> {
        let status = self.space.status().map_err(fault)?;
        let all = status.roads.len() as u64;
        let mut answers = Vec::new();
        for (done, road) in (0..).zip(&status.roads).take(if offline { 0 } else { status.roads.len() }) {
            face.event(Event::Progress { what: "roads".to_owned(), done, total: Some(all) });
            answers.push(match self.space.reach(&road.road, PATIENCE).await {
                Ok(()) => None,
                Err(RoadError::Fault(error)) => return Err(fault(error)),
                Err(error) => Some(in_one_line(&error)),
            });
        }
        let folders = status.folders.iter().map(|folder| (folder.path.as_str(), is_usable(Path::new(&folder.path))));
        Ok(roads_found(&status, &answers, &folders.collect::<Vec<_>>(), offline))
    }
}

fn logs_found(logs: u64, entries: u64, broken: &[(String, u64)]) -> Check {
    let entries = number(entries, "entry", "entries");
    if broken.is_empty() {
        let logs = number(logs, "log", "logs");
        return Finding::LogsHold.says(format!("{logs}, {entries}: every signature and every chain holds"));
    }
    let parts = broken.iter().map(|(device, count)| format!("{} of {device}", number(*count, "entry", "entries")));
    Finding::LogsBroken.says(format!("damaged: {} (of {entries})", parts.collect::<Vec<_>>().join(", ")))
}

fn documents_found(found: &DocumentCheck, whole: bool, repaired: bool) -> Vec<Check> {
    let mut checks = Vec::new();
    let (surplus, lacking) = (found.surplus.len() as u64, found.lacking.len() as u64);
    if surplus > 0 {
        let text = format!("{} what no entry says", number(surplus, "record holds", "records hold"));
        checks.push(Finding::DocumentsSurplus.says(text));
    }
    if repaired {
        let text = format!("{} made anew from the entries", number(lacking, "record was", "records were"));
        checks.push(Finding::DocumentsRepaired.says(text));
    } else if lacking > 0 {
        let text = format!("{} what the entries say", number(lacking, "record does not hold", "records do not hold"));
        let finding = if whole { Finding::DocumentsLacking } else { Finding::DocumentsBeyondRepair };
        checks.push(finding.says(text));
    }
    if checks.is_empty() {
        let records = number(found.documents as u64, "record says", "records say");
        checks.push(Finding::DocumentsHold.says(format!("{records} what the entries say")));
    }
    checks
}

/// `differing` is none where a record cannot be read.
fn rows_found(differing: Option<u64>, repaired: bool) -> Check {
    let Some(differing) = differing else {
        return Finding::RowsUnread.says("not compared, since a record cannot be read");
    };
    let rows = number(differing, "row", "rows");
    match (differing, repaired) {
        (0, _) => Finding::RowsHold.says("lists and searches find what the records say"),
        (_, true) => Finding::RowsRepaired.says(format!("{rows} differed; all were made anew from the records")),
        (_, false) => Finding::RowsDiffer
            .says(format!("{rows} differ from the records, so lists and searches may miss something")),
    }
}

/// What waits, and why.
fn waiting_found(status: &Status, held: u64, now: u64) -> Vec<Check> {
    let mut checks: Vec<Check> = status.waiting.iter().map(|parked| Finding::Waits.says(waits(parked, now))).collect();
    if status.bad > 0 {
        checks.push(Finding::SetAside.says(set_aside(status.bad, &status.set_aside)));
    }
    if held > 0 {
        let text = format!("{} of a device that was shut out", number(held, "change", "changes"));
        checks.push(Finding::Held.says(text));
    }
    if status.newer > 0 {
        let entries = number(status.newer as u64, "entry", "entries");
        checks.push(Finding::Newer.says(format!("{entries} of a newer version of this program")));
    }
    if checks.is_empty() {
        checks.push(Finding::NothingWaits.says("nothing waits"));
    }
    checks
}

/// What a new device would start from, and what this one started from; the newest is first.
fn checkpoints_found(found: &[Checkpoint], kept: bool) -> Vec<Check> {
    let newest = found.iter().position(|one| one.standing != CheckpointStanding::Differs);
    let finding = |(at, one): (usize, &Checkpoint)| match one.standing {
        CheckpointStanding::Differs => Some(Finding::CheckpointDiffers.says(checkpoint(one))),
        CheckpointStanding::Unverified => Some(Finding::CheckpointUnverified.says(checkpoint(one))),
        _ => (Some(at) == newest).then(|| Finding::Checkpoint.says(checkpoint(one))),
    };
    let checks: Vec<Check> = found.iter().enumerate().filter_map(finding).collect();
    match (checks.is_empty(), kept) {
        (false, _) => checks,
        (true, true) => {
            vec![Finding::NoCheckpoint.says("none yet: one is made when there is enough to start from")]
        }
        (true, false) => vec![Finding::KeepsNoCheckpoints.says("none: this device makes and takes none")],
    }
}

fn clock_found<'a>(
    now: u64,
    written: Option<u64>,
    exchanged: impl Iterator<Item = (&'a str, u64)>,
    heard: impl Iterator<Item = (&'a str, u64)>,
) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(ahead) = written.and_then(|last| ahead(last, now)) {
        let text = format!("the clock stands {ahead} before the time of this device's last change");
        checks.push(Finding::ClockBeforeChange.says(text));
    }
    for (road, last) in exchanged {
        if let Some(ahead) = ahead(last, now) {
            let text = format!("the clock stands {ahead} before the last exchange with {road}");
            checks.push(Finding::ClockBeforeExchange.says(text));
        }
    }
    for (device, last) in heard {
        if let Some(ahead) = ahead(last, now) {
            checks.push(Finding::ClockOfOther.says(format!("{device} wrote with a clock {ahead} ahead of this one")));
        }
    }
    if checks.is_empty() {
        checks.push(Finding::ClockFits.says("it fits what was written"));
    }
    checks
}

/// `answers` are those of the relays, if they were asked: none if one answers, else why not.
fn roads_found(status: &Status, answers: &[Option<String>], folders: &[(&str, bool)], offline: bool) -> Vec<Check> {
    let mut checks = Vec::new();
    for (at, road) in status.roads.iter().enumerate() {
        let url = &road.road.address;
        for alert in &road.alerts {
            checks.push(Finding::Accused.says(format!("{url} {}", accusation(alert.kind))));
        }
        match answers.get(at) {
            None => {}
            Some(None) => checks.push(Finding::Answers.says(format!("{url} answers"))),
            Some(Some(why)) => checks.push(Finding::Unreachable.says(format!("{url}: {why}"))),
        }
    }
    for (path, usable) in folders {
        checks.push(match usable {
            true => Finding::FolderThere.says(format!("{path} is there")),
            false => Finding::FolderAway.says(format!("{path} is not there, or not writable")),
        });
    }
    if offline && !status.roads.is_empty() {
        checks.push(Finding::NotAsked.says("relays were not asked (--offline)"));
    } else if checks.is_empty() {
        checks.push(Finding::NoRoad.says("there is none: changes stay on this device"));
    }
    checks
}

fn told<'f>(face: &'f mut dyn Face, what: &'static str) -> impl FnMut(u64, u64) + 'f {
    move |done, total| face.event(Event::Progress { what: format!("checking {what}"), done, total: Some(total) })
}

/// How far a time lies behind now, if it is more than clocks may differ.
fn ahead(time: u64, now: u64) -> Option<String> {
    let minutes = time.saturating_sub(now) / 60_000;
    match minutes {
        0..=9 => None,
        10..=119 => Some(format!("{minutes} minutes")),
        120..=2879 => Some(format!("{} hours", minutes / 60)),
        _ => Some(format!("{} days", minutes / 1440)),
    }
}

fn is_usable(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.is_dir() && !about.permissions().readonly())
}

fn number(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// How long a relay may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ties_engine::{Alert, AlertKind, DocumentId, MailboxId, Parked, RelayKey, Road, RoadStatus, Waiting};

    use super::*;
    use crate::api::CheckState;

    #[test]
    fn clocks_that_differ_a_little_are_fine() {
        let minute = 60_000;
        assert_eq!(ahead(9 * minute, 0), None);
        assert_eq!(ahead(0, 9 * minute), None);
        assert_eq!(ahead(10 * minute, 0).as_deref(), Some("10 minutes"));
        assert_eq!(ahead(48 * 60 * minute, 0).as_deref(), Some("2 days"));
        assert_eq!(ahead(3 * 60 * minute, 0).as_deref(), Some("3 hours"));
    }

    fn status() -> Status {
        Status {
            devices: Vec::new(),
            roads: Vec::new(),
            folders: Vec::new(),
            waiting: Vec::new(),
            newer: 0,
            bad: 0,
            set_aside: Vec::new(),
            checkpoints: Vec::new(),
            recovery: None,
        }
    }

    fn documents(lacking: usize, surplus: usize) -> DocumentCheck {
        let some = |count: usize| (0..count).map(|n| DocumentId([n as u8; 16])).collect();
        DocumentCheck { documents: 3, lacking: some(lacking), surplus: some(surplus) }
    }

    fn relay() -> RoadStatus {
        let road = Road { address: "ws://127.0.0.1:1#k".into(), relay: RelayKey([0; 32]), mailbox: MailboxId([0; 32]) };
        RoadStatus {
            road,
            last_contact: None,
            to_send: 0,
            bytes_to_send: 0,
            is_more: false,
            unsent_since: None,
            error: None,
            alerts: vec![Alert { kind: AlertKind::Forked, since: 0, last: 0, times: 1 }],
        }
    }

    /// Whoever adds a finding adds what leads to it, and sees here how it reads.
    #[test]
    fn every_line_of_the_doctor_is_reached() {
        let day = 24 * 60 * 60 * 1000;
        let nobody = || std::iter::empty();
        let waiting = [Waiting::Key, Waiting::Entry, Waiting::Member];
        let waits = waiting.map(|why| Parked { why, count: 1, since: Some(0) }).to_vec();
        let troubled = Status { waiting: waits, newer: 1, bad: 1, ..status() };
        let roads = Status { roads: vec![relay(), relay()], ..status() };
        let of = |standing| Checkpoint { since: 0, maker: None, second: None, standing, bytes: 0 };
        let known = [CheckpointStanding::Same, CheckpointStanding::Unverified, CheckpointStanding::Differs].map(of);
        let all: Vec<Check> = [
            vec![Finding::Opens.says("it opens")],
            vec![logs_found(1, 2, &[]), logs_found(1, 2, &[("phone".to_owned(), 1)])],
            documents_found(&documents(0, 0), true, false),
            documents_found(&documents(1, 1), true, false),
            documents_found(&documents(2, 0), false, false),
            documents_found(&documents(2, 0), true, true),
            vec![
                rows_found(None, false),
                rows_found(Some(0), false),
                rows_found(Some(1), false),
                rows_found(Some(2), true),
            ],
            waiting_found(&status(), 0, 0),
            waiting_found(&troubled, 1, 3 * day),
            checkpoints_found(&[], true),
            checkpoints_found(&[], false),
            checkpoints_found(&known, true),
            clock_found(0, None, nobody(), nobody()),
            clock_found(0, Some(day), [("relay", day)].into_iter(), [("phone", day)].into_iter()),
            roads_found(&status(), &[], &[], false),
            roads_found(&roads, &[None, Some("no".to_owned())], &[("/a", true), ("/b", false)], false),
            roads_found(&roads, &[], &[], true),
        ]
        .concat();
        let reached: BTreeSet<&str> = all.iter().map(|check| check.code.as_str()).collect();
        let listed: BTreeSet<&str> = Finding::ALL.iter().map(|finding| finding.code()).collect();
        assert_eq!(listed.len(), Finding::ALL.len(), "two findings have one code");
        assert_eq!(reached, listed);
        for check in &all {
            assert!(check.state != CheckState::Problem || check.hint.is_some(), "{check:?} says what to do");
        }
        assert!(
            all.iter()
                .any(|check| check.text == "1 entry waiting for a key that this device has not got yet, for 3 days")
        );
    }
}
