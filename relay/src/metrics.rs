//! `/metrics` in Prometheus' text format, on a listener of its own.
//!
//! Numbers alone: no name, key, mailbox or address ever stands here, not even as a label.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use crate::attend::Reception;
use crate::counts::{Census, Counts};
use crate::keeper::Job;

/// What happens before a connection reaches the relay.
#[derive(Debug, Default)]
pub(crate) struct Door {
    pub(crate) accepted: AtomicU64,
    /// Its address had too many that proved nothing.
    pub(crate) crowded: AtomicU64,
    /// There were too many connections in all.
    pub(crate) full: AtomicU64,
    /// No TLS, no HTTP, another host, or too slow.
    pub(crate) failed: AtomicU64,
}

/// What the thread that has the database counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Work {
    pub(crate) frames_received: u64,
    pub(crate) bytes_received: u64,
    pub(crate) frames_sent: u64,
    pub(crate) bytes_sent: u64,
    /// Connections that read too slowly and were cut off.
    pub(crate) cut: u64,
    /// Commits, by how many frames they were for.
    pub(crate) commits: Histogram,
    /// Seconds that commits took together.
    pub(crate) commit_time: Duration,
}

/// How often a number was at most 1, 2, 4 …
#[derive(Debug, Clone, Default)]
pub(crate) struct Histogram {
    buckets: [u64; 9],
    count: u64,
    sum: u64,
}

impl Histogram {
    pub(crate) fn add(&mut self, number: u64) {
        for (power, bucket) in self.buckets.iter_mut().enumerate() {
            *bucket += u64::from(number <= 1 << power);
        }
        self.count += 1;
        self.sum += number;
    }
}

/// The answer of the thread that has the database.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) counts: Counts,
    pub(crate) census: Census,
    pub(crate) work: Work,
}

/// Answers requests until dropped.
pub(crate) async fn serve(listener: TcpListener, reception: Arc<Reception>, database: PathBuf) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok((tcp, _)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (reception, database) = (Arc::clone(&reception), database.clone());
        tokio::spawn(async move {
            let _ = timeout(WITHIN, answer(tcp, &reception, &database)).await;
            drop(place);
        });
    }
}

async fn answer(mut tcp: TcpStream, reception: &Reception, database: &PathBuf) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(1024);
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if head.len() >= MAX_HEAD || (&mut tcp).take((MAX_HEAD - head.len()) as u64).read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, body) = match head.split(|byte| *byte == b'\r').next() {
        Some(b"GET /metrics HTTP/1.1" | b"GET /metrics HTTP/1.0") => match measure(reception).await {
            Some(measured) => {
                let size = std::fs::metadata(database).map_or(0, |about| about.len());
                ("200 OK", page(&measured, &reception.door, size))
            }
            None => ("503 Service Unavailable", "the relay stops\n".to_owned()),
        },
        _ => ("404 Not Found", "there is only GET /metrics\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    tcp.write_all(head.as_bytes()).await?;
    tcp.write_all(body.as_bytes()).await?;
    tcp.shutdown().await
}

async fn measure(reception: &Reception) -> Option<Measured> {
    let (answer, measured) = oneshot::channel();
    reception.jobs.send(Job::Measure(answer)).ok()?;
    measured.await.ok()
}

fn page(measured: &Measured, door: &Door, database: u64) -> String {
    let Measured { counts, census, work } = measured;
    let at = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let mut page = Page(String::with_capacity(4096));
    page.gauge("connections", "Connections now.", census.connections as u64);
    page.gauge("strangers", "Connections now that have proved no key.", census.strangers as u64);
    page.gauge("sessions", "Connections now that are in a session.", census.sessions as u64);
    page.gauge("mailboxes_in_use", "Mailboxes that somebody is at now.", census.mailboxes as u64);
    page.gauge("database_bytes", "Size of the database.", database);
    page.counter("accepted_total", "Connections that were accepted.", at(&door.accepted));
    page.counter("proven_total", "Connections that proved a key.", counts.proven);
    page.counter("entries_stored_total", "Entries that were new and were stored.", counts.entries_stored);
    page.counter("entry_bytes_stored_total", "Bytes of entries stored.", counts.entry_bytes_stored);
    page.counter("entries_delivered_total", "Entries sent to devices.", counts.entries_delivered);
    page.counter("frames_received_total", "Frames received.", work.frames_received);
    page.counter("received_bytes_total", "Bytes of frames received.", work.bytes_received);
    page.counter("frames_sent_total", "Frames sent.", work.frames_sent);
    page.counter("sent_bytes_total", "Bytes of frames sent.", work.bytes_sent);

    page.about("refusals_total", "Refusals, by reason.", "counter");
    let turned = [("address-crowded", at(&door.crowded)), ("full", at(&door.full)), ("no-link", at(&door.failed))];
    let turned = turned.into_iter().chain([("too-slow", work.cut)]);
    let refused = counts.refusals.iter().map(|(reason, count)| (reason.word(), *count));
    turned
        .chain(refused)
        .for_each(|(reason, count)| page.line(&format!("refusals_total{{reason=\"{reason}\"}}"), count));
    page.about("closed_total", "Connections that the relay closed, by reason.", "counter");
    counts.closed.iter().for_each(|(reason, n)| page.line(&format!("closed_total{{reason=\"{reason}\"}}"), *n));

    page.about("commit_frames", "Frames that were made durable by one commit.", "histogram");
    for (power, count) in work.commits.buckets.iter().enumerate() {
        page.line(&format!("commit_frames_bucket{{le=\"{}\"}}", 1 << power), *count);
    }
    page.line("commit_frames_bucket{le=\"+Inf\"}", work.commits.count);
    page.line("commit_frames_sum", work.commits.sum);
    page.line("commit_frames_count", work.commits.count);
    page.about("commit_seconds_total", "Time that commits took.", "counter");
    page.line("commit_seconds_total", work.commit_time.as_secs_f64());
    page.0
}

struct Page(String);

impl Page {
    fn about(&mut self, name: &str, help: &str, kind: &str) {
        let _ = write!(self.0, "# HELP ties_relay_{name} {help}\n# TYPE ties_relay_{name} {kind}\n");
    }

    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "ties_relay_{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.about(name, help, "gauge");
        self.line(name, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.about(name, help, "counter");
        self.line(name, value);
    }
}

const AT_ONCE: usize = 8;
const MAX_HEAD: usize = 4 << 10;
const WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_what_is_at_most_as_large() {
        let mut histogram = Histogram::default();
        [1, 2, 3, 256, 1000].into_iter().for_each(|number| histogram.add(number));
        assert_eq!(histogram.buckets, [1, 2, 3, 3, 3, 3, 3, 3, 4]);
        assert_eq!((histogram.count, histogram.sum), (5, 1262));
    }

    #[test]
    fn every_line_is_a_number_under_a_name_of_ours() {
        let measured = Measured { counts: Counts::default(), census: Census::default(), work: Work::default() };
        let page = page(&measured, &Door::default(), 7);
        assert!(page.contains("\nties_relay_database_bytes 7\n"));
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("ties_relay_") && value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
