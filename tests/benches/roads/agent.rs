//! An agent with nothing to do: how often it wakes, and how much memory it has.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::at_most;
use crate::home::{Home, sleeps, status_number};
use crate::pair::Pair;
use crate::report::Report;

/// Two devices with agents at one relay; one of them is looked at.
pub(crate) fn measure(report: &Report) {
    let pair = Pair::with(1_000);
    let agents = [&pair.laptop, &pair.phone].map(Running::on);
    agents.iter().for_each(Running::settle);
    // Threads that took the disk's time go after ten seconds of nothing to do.
    sleep(Duration::from_secs(12));
    let process = agents[0].process;
    let before = sleeps(process);
    sleep(WATCHED);
    let wakes = sleeps(process) - before;
    report.note(&format!("two keep-alives each way fall into {} s", WATCHED.as_secs()));
    report.figure("agent, wake-ups in 90 s", wakes as f64, "", at_most(2.0 * OF_ONE_KEEPALIVE));
    let megabytes = |name: &str| status_number(process, name).unwrap() as f64 * 1024.0 / 1e6;
    report.figure("agent, memory", megabytes("VmRSS:"), "MB", at_most(15.0));
    report.figure("agent, of that its own", megabytes("RssAnon:"), "MB", None);
}

struct Running<'h> {
    home: &'h Home,
    process: u32,
}

impl<'h> Running<'h> {
    fn on(home: &'h Home) -> Self {
        let said = home.json(&["agent", "start"]);
        let process = said["agent"]["process"].as_u64().unwrap_or_else(|| panic!("{said}"));
        Self { home, process: u32::try_from(process).unwrap() }
    }

    fn settle(&self) {
        let began = Instant::now();
        while self.home.json(&["agent", "status"])["agent"]["roads"][0]["state"] != "up-to-date" {
            assert!(began.elapsed() < Duration::from_secs(30), "it comes to no rest");
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.home.try_time(&["agent", "stop"]);
    }
}

/// A ping goes out after 45 s of silence, from either side.
const WATCHED: Duration = Duration::from_secs(90);
/// The alarm, the answer, and the other side's ping with what answering it takes.
const OF_ONE_KEEPALIVE: f64 = 5.0;
