//! Everything looked over, each finding with what to do; what can be made anew is, where that is asked for.

use std::path::Path;
use std::time::Duration;

use ties_engine::{Fault, LogCheck, RoadError};

use crate::api::{BookError, Check, CheckState, Event, Face, Reply};
use crate::book::Book;
use crate::devices::{accusation, set_aside, waits};
use crate::engine::fault;
use crate::network::in_one_line;

impl Book {
    pub(crate) async fn doctor(&self, repair: bool, offline: bool, face: &mut dyn Face) -> Result<Reply, BookError> {
        let mut checks = vec![row("database", CheckState::Ok, "it opens")];
        let logs = self.space.check_logs(&mut told(face, "logs")).map_err(fault)?;
        let whole = logs.broken.is_empty();
        checks.push(self.logs(&logs)?);
        checks.extend(self.documents(repair, whole, face)?);
        checks.push(self.rows(repair, face)?);
        checks.extend(self.waiting()?);
        checks.extend(self.clock()?);
        checks.extend(self.roads(offline, face).await?);
        Ok(Reply::Checked { checks })
    }

    fn logs(&self, found: &LogCheck) -> Result<Check, BookError> {
        let entries = number(found.entries, "entry", "entries");
        if found.broken.is_empty() {
            let logs = number(found.logs as u64, "log", "logs");
            return Ok(row(
                "logs",
                CheckState::Ok,
                format!("{logs}, {entries}: every signature and every chain holds"),
            ));
        }
        let devices = self.space.devices().map_err(fault)?;
        let mut parts = Vec::new();
        for (log, broken) in &found.broken {
            let writer = self.space.writer_of(log).map_err(fault)?;
            let device = writer.and_then(|id| devices.iter().find(|device| device.id == id));
            let device = device.map_or("an unknown device", |device| device.name.as_str());
            parts.push(format!("{} of {device}", number(*broken, "entry", "entries")));
        }
        let text = format!("damaged: {} (of {entries})", parts.join(", "));
        Ok(row("logs", CheckState::Problem, text).hint(
            "what is here can still be exported (ties export); then pair this device anew from another one, or restore a backup",
        ))
    }

    fn documents(&self, repair: bool, whole: bool, face: &mut dyn Face) -> Result<Vec<Check>, BookError> {
        let found = self.space.check_documents(&mut told(face, "documents")).map_err(fault)?;
        let mut checks = Vec::new();
        let surplus = found.surplus.len() as u64;
        if surplus > 0 {
            let text = format!("{} what no entry says", number(surplus, "record holds", "records hold"));
            checks.push(row("documents", CheckState::Problem, text).hint(
                "nothing of it is thrown away, and no other device gets it: ties export keeps it, and what you type again is an entry",
            ));
        }
        let lacking = found.lacking.len() as u64;
        if lacking > 0 && repair && whole {
            self.space.repair_documents(&found.lacking).map_err(fault)?;
            let text = format!("{} made anew from the entries", number(lacking, "record was", "records were"));
            checks.push(row("documents", CheckState::Repaired, text));
        } else if lacking > 0 {
            let text =
                format!("{} what the entries say", number(lacking, "record does not hold", "records do not hold"));
            let hint = match whole {
                true => "ties doctor --repair makes them anew from the entries",
                false => "they are not made anew from damaged logs",
            };
            checks.push(row("documents", CheckState::Problem, text).hint(hint));
        }
        if checks.is_empty() {
            let records = number(found.documents as u64, "record says", "records say");
            checks.push(row("documents", CheckState::Ok, format!("{records} what the entries say")));
        }
        Ok(checks)
    }

    fn rows(&self, repair: bool, face: &mut dyn Face) -> Result<Check, BookError> {
        let found = match self.space.check_rows(&mut told(face, "rows")) {
            // The records were named above.
            Err(Fault::Damaged(_)) => {
                return Ok(row("rows", CheckState::Problem, "not compared, since a record cannot be read")
                    .hint("ties doctor --repair makes both anew"));
            }
            found => found.map_err(fault)?,
        };
        if found.differing == 0 {
            return Ok(row("rows", CheckState::Ok, "lists and searches find what the records say"));
        }
        let rows = number(found.differing, "row", "rows");
        if repair {
            self.space.rebuild_rows().map_err(fault)?;
            return Ok(row(
                "rows",
                CheckState::Repaired,
                format!("{rows} differed; all were made anew from the records"),
            ));
        }
        let text = format!("{rows} differ from the records, so lists and searches may miss something");
        Ok(row("rows", CheckState::Problem, text).hint("ties doctor --repair makes them anew from the records"))
    }

    /// What waits, and why.
    fn waiting(&self) -> Result<Vec<Check>, BookError> {
        let status = self.space.status().map_err(fault)?;
        let mut checks: Vec<Check> = status
            .waiting
            .iter()
            .map(|(why, count)| row("waiting", CheckState::Warning, waits(*why, *count)).hint("ties sync may bring it"))
            .collect();
        if status.bad > 0 {
            let text = set_aside(status.bad, &status.set_aside);
            checks
                .push(row("waiting", CheckState::Warning, text).hint("everything else goes on; nothing is lost by it"));
        }
        let held = self.space.quarantined().map_err(fault)?;
        if held > 0 {
            let text = format!("{} of a device that was shut out", number(held, "change", "changes"));
            checks.push(row("waiting", CheckState::Warning, text).hint("ties quarantine shows them"));
        }
        if checks.is_empty() {
            checks.push(row("waiting", CheckState::Ok, "nothing waits"));
        }
        Ok(checks)
    }

    fn clock(&self) -> Result<Vec<Check>, BookError> {
        let now = self.space.now();
        let mut checks = Vec::new();
        if let Some(ahead) = self.space.last_written().map_err(fault)?.and_then(|last| ahead(last, now)) {
            let text = format!("the clock stands {ahead} before the time of this device's last change");
            checks.push(row("clock", CheckState::Problem, text).hint("set the clock; what was written keeps its time"));
        }
        for road in self.space.status().map_err(fault)?.roads {
            if let Some(ahead) = road.last_contact.and_then(|last| ahead(last, now)) {
                let text = format!("the clock stands {ahead} before the last exchange with {}", road.road.address);
                checks.push(row("clock", CheckState::Problem, text).hint("set the clock"));
            }
        }
        for device in self.space.devices().map_err(fault)?.iter().filter(|device| !device.this) {
            if let Some(ahead) = device.last_heard.and_then(|last| ahead(last, now)) {
                let text = format!("{} wrote with a clock {ahead} ahead of this one", device.name);
                checks.push(row("clock", CheckState::Warning, text).hint("one of the two is wrong"));
            }
        }
        if checks.is_empty() {
            checks.push(row("clock", CheckState::Ok, "it fits what was written"));
        }
        Ok(checks)
    }

    async fn roads(&self, offline: bool, face: &mut dyn Face) -> Result<Vec<Check>, BookError> {
        let status = self.space.status().map_err(fault)?;
        let all = status.roads.len() as u64;
        let mut checks = Vec::new();
        for (done, road) in (0..).zip(&status.roads) {
            let url = &road.road.address;
            for alert in &road.alerts {
                let text = format!("{url} {}", accusation(alert.kind));
                checks.push(row("roads", CheckState::Warning, text).hint("a whole exchange ends this: ties sync"));
            }
            if offline {
                continue;
            }
            face.event(Event::Progress { what: "roads".to_owned(), done, total: Some(all) });
            checks.push(match self.space.reach(&road.road, PATIENCE).await {
                Ok(()) => row("roads", CheckState::Ok, format!("{url} answers")),
                Err(RoadError::Fault(error)) => return Err(fault(error)),
                Err(error) => row("roads", CheckState::Warning, format!("{url}: {}", in_one_line(&error)))
                    .hint("everything is kept here; ties sync tries again"),
            });
        }
        for folder in &status.folders {
            let path = &folder.path;
            checks.push(match is_usable(Path::new(path)) {
                true => row("roads", CheckState::Ok, format!("{path} is there")),
                false => row("roads", CheckState::Warning, format!("{path} is not there, or not writable"))
                    .hint("plug it in or mount it; ties relay remove folder:DIR gives it up"),
            });
        }
        if offline && all > 0 {
            checks.push(row("roads", CheckState::Ok, "relays were not asked (--offline)"));
        } else if checks.is_empty() {
            checks.push(
                row("roads", CheckState::Warning, "there is none: changes stay on this device")
                    .hint("ties relay add URL, or ties sync --folder DIR"),
            );
        }
        Ok(checks)
    }
}

impl Check {
    fn hint(self, hint: &str) -> Self {
        Self { hint: Some(hint.to_owned()), ..self }
    }
}

fn row(check: &str, state: CheckState, text: impl Into<String>) -> Check {
    Check { check: check.to_owned(), state, text: text.into(), hint: None }
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
    use super::*;

    #[test]
    fn clocks_that_differ_a_little_are_fine() {
        let minute = 60_000;
        assert_eq!(ahead(9 * minute, 0), None);
        assert_eq!(ahead(0, 9 * minute), None);
        assert_eq!(ahead(10 * minute, 0).as_deref(), Some("10 minutes"));
        assert_eq!(ahead(48 * 60 * minute, 0).as_deref(), Some("2 days"));
        assert_eq!(ahead(3 * 60 * minute, 0).as_deref(), Some("3 hours"));
    }
}
