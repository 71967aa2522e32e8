//! The demo's relay: a process that is stopped and started again, and everything that it got to see.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use super::script::wrong;
use super::stage::{Actor, Stage};
use super::tap::Tap;
use super::told::Told;
use crate::errors::Outcome;

/// The relay, with somebody listening in on it.
pub(super) struct Relay {
    process: Option<Actor>,
    listening: SocketAddr,
    /// The relay's key, as it stands in its address.
    key: String,
    tap: Tap,
    log: String,
}

impl Relay {
    /// Starts it for the first time.
    pub(super) fn open(stage: &Stage, told: &mut Told<'_>) -> Outcome<Self> {
        told.chapter("A relay that anybody could run")?;
        let started = Instant::now();
        let (process, url) = start(stage, "127.0.0.1:0")?;
        let took = started.elapsed();
        let parts = url.strip_prefix("ws://").and_then(|rest| rest.split_once('#'));
        let (place, key) = parts.ok_or_else(|| wrong("the relay's address cannot be read"))?;
        let listening = place.parse().map_err(|_| wrong("the relay's address cannot be read"))?;
        told.step("relay serve", took, &format!("ready at {place}"), json!({"address": place}))?;
        let tap = Tap::before(listening)?;
        Ok(Self { process: Some(process), listening, key: key.to_owned(), tap, log: String::new() })
    }

    /// The address for the devices, which leads past whoever listens in.
    pub(super) fn url(&self) -> String {
        format!("ws://{}#{}", self.tap.address(), self.key)
    }

    /// Stops it, as a service manager does.
    pub(super) fn stop(&mut self) -> Outcome<Duration> {
        let started = Instant::now();
        if let Some(process) = self.process.take() {
            self.log.push_str(&process.stop()?.errors);
        }
        Ok(started.elapsed())
    }

    /// Starts it again on the same folder and address.
    pub(super) fn start_again(&mut self, stage: &Stage) -> Outcome<Duration> {
        let started = Instant::now();
        let (process, url) = start(stage, &self.listening.to_string())?;
        self.process = Some(process);
        if url.ends_with(&self.key) { Ok(started.elapsed()) } else { Err(wrong("the relay has another key now")) }
    }

    /// Everything that came and went over its socket.
    pub(super) fn heard(&self) -> Vec<u8> {
        self.tap.heard()
    }

    /// How many connections there were.
    pub(super) fn connections(&self) -> usize {
        self.tap.connections()
    }

    /// What it wrote into its log.
    pub(super) fn log(&self) -> &str {
        &self.log
    }
}

fn start(stage: &Stage, address: &str) -> Outcome<(Actor, String)> {
    let data = stage.path(FOLDER).display().to_string();
    let words = ["relay", "serve", "--listen", address, "--data", &data, "--open"];
    let mut process = stage.start("nobody", &words, "")?;
    let line = process.line()?;
    let url = line.strip_prefix("ready ").ok_or_else(|| wrong("the relay did not say that it is ready"))?;
    Ok((process, url.to_owned()))
}

/// The relay's subfolder on the stage.
pub(super) const FOLDER: &str = "relay";
