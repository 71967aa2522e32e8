//! How much a relay bears: the real program as a process, driven over loopback.
//!
//! `cargo bench -p ties-tests --bench relay [idle|store|deliver]` prints a line for each figure. With `TIES_BENCH_JSON` set
//! to a path, each is appended there as a line of JSON too: `{"name", "value", "unit", "target"}`.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a benchmark")]

mod client;
mod crowd;
mod report;
#[allow(dead_code, reason = "another benchmark uses the rest")]
mod server;

use std::time::{Duration, Instant};

use client::Client;
use crowd::{Writer, key};
use report::{Better, Report};
use server::Server;
use tokio::task::JoinSet;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|word| word == name);
    // Each socket costs a descriptor at both ends.
    server::allow_many_files();
    let report = Report::from_environment();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if wanted("idle") {
            idle(&report).await;
        }
        if wanted("store") {
            store(&report).await;
        }
        if wanted("deliver") {
            deliver(&report).await;
        }
    });
}

/// Memory of a connection that says nothing: proven only, and in a session that has nothing to do.
async fn idle(report: &Report) {
    let server = Server::start();
    drop(dial(&server, 50, 0).await);
    tokio::time::sleep(Duration::from_millis(500)).await;

    let before = server.resident();
    let proven = dial(&server, IDLE, 0).await;
    let each = (server.resident_when_quiet().await - before) / IDLE as f64;
    report.figure("relay idle connection, proven", each / 1024.0, "KiB", Some((12.0, Better::Less)));
    drop(proven);

    let server = Server::start();
    drop(dial(&server, 50, 0).await);
    tokio::time::sleep(Duration::from_millis(500)).await;
    // One mailbox for a few devices, as people have them; its memory counts too.
    let before = server.resident();
    let mut watching = Vec::new();
    for group in 0..IDLE / DEVICES {
        let writer = Writer::new(group * DEVICES, DEVICES);
        for device in 0..DEVICES {
            let mut client = Client::connect(&server.address, &key(group * DEVICES + device)).await;
            if device == 0 {
                client.create(&writer).await;
            }
            client.open(&writer).await;
            watching.push(client);
        }
    }
    let each = (server.resident_when_quiet().await - before) / watching.len() as f64;
    report.figure("relay idle connection, in a session", each / 1024.0, "KiB", Some((12.0, Better::Less)));
}

async fn dial(server: &Server, count: usize, first: usize) -> Vec<Client> {
    let mut clients = Vec::with_capacity(count);
    for number in first..first + count {
        clients.push(Client::connect(&server.address, &key(number)).await);
    }
    clients
}

/// Entries a second that are on disk and acknowledged, each in a frame of its own, from writers at their own mailboxes.
async fn store(report: &Report) {
    let server = Server::start();
    let mut writers: Vec<Writer> = (0..WRITERS).map(|number| Writer::new(number * 10, 1)).collect();
    let frames: Vec<Vec<Vec<u8>>> = writers.iter_mut().map(|writer| writer.frames(STORED / WRITERS)).collect();
    let size = frames[0][0].len();
    let mut clients = Vec::new();
    for writer in &writers {
        let mut client = Client::connect(&server.address, &key(writer.number)).await;
        client.create(writer).await;
        client.open(writer).await;
        client.introduce(writer).await;
        clients.push(client);
    }
    let began = Instant::now();
    let mut sending = JoinSet::new();
    for (client, frames) in clients.into_iter().zip(frames) {
        sending.spawn(client.send_all(frames));
    }
    while let Some(sent) = sending.join_next().await {
        sent.unwrap();
    }
    let took = began.elapsed().as_secs_f64();
    report.note(&format!("{STORED} frames of {size} bytes in {took:.2} s, relay's processor {:.2} s", server.cpu()));
    let rate = STORED as f64 / took;
    report.figure("relay durable entries, 16 connections", rate, "1/s", Some((5_000.0, Better::More)));
}

/// Entries a second that subscribers get, summed over all of them, while one device writes.
async fn deliver(report: &Report) {
    let server = Server::start();
    let mut writer = Writer::new(0, KEYS + 1);
    let frames = writer.frames(PUBLISHED);
    let mut publisher = Client::connect(&server.address, &key(0)).await;
    publisher.create(&writer).await;
    publisher.open(&writer).await;
    publisher.introduce(&writer).await;
    let mut listening = JoinSet::new();
    for number in 0..SUBSCRIBERS {
        let mut subscriber = Client::connect(&server.address, &key(1 + number % KEYS)).await;
        subscriber.open(&writer).await;
        listening.spawn(subscriber.listen(PUBLISHED));
    }
    let (began, cpu) = (Instant::now(), server.cpu());
    let publishing = tokio::spawn(publisher.send_all(frames));
    while let Some(heard) = listening.join_next().await {
        heard.unwrap();
    }
    publishing.await.unwrap();
    let took = began.elapsed().as_secs_f64();
    let cpu = server.cpu() - cpu;
    report.note(&format!("{PUBLISHED} entries to {SUBSCRIBERS} in {took:.2} s, relay's processor {cpu:.2} s"));
    let rate = (PUBLISHED * SUBSCRIBERS) as f64 / took;
    report.figure("relay deliveries, 100 subscribers", rate, "1/s", Some((100_000.0, Better::More)));
}

const IDLE: usize = 2_000;
const DEVICES: usize = 4;
const WRITERS: usize = 16;
const STORED: usize = 32_000;
const SUBSCRIBERS: usize = 100;
/// A mailbox admits 80 pseudonyms, a pseudonym 8 connections.
const KEYS: usize = 50;
const PUBLISHED: usize = 8_000;
