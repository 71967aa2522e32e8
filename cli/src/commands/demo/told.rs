//! What the demo tells while it goes on, and the verdict.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::commands::SCHEMA;
use crate::errors::Outcome;
use crate::render::{amount, inline, palette, width};
use crate::terminal::Shell;

/// The demo's report, printed as it grows or, as JSON, at the end.
pub(super) struct Told<'a> {
    shell: &'a mut Shell,
    started: Instant,
    steps: Vec<Value>,
    proved: Vec<String>,
}

impl<'a> Told<'a> {
    pub(super) fn new(shell: &'a mut Shell) -> Self {
        Self { shell, started: Instant::now(), steps: Vec::new(), proved: Vec::new() }
    }

    /// Opens the report.
    pub(super) fn begin(&mut self, line: &str) -> Outcome {
        self.print(&palette::strong(line))
    }

    /// A new chapter.
    pub(super) fn chapter(&mut self, title: &str) -> Outcome {
        self.print("")?;
        self.print(&palette::strong(title))
    }

    /// A step that was taken: what, how long it took, and its figures by name.
    pub(super) fn step(&mut self, what: &str, took: Duration, line: &str, figures: Value) -> Outcome {
        let mut step = Map::new();
        step.insert("step".into(), json!(what));
        step.insert("ms".into(), json!(took.as_millis() as u64));
        step.insert("figures".into(), figures);
        self.steps.push(Value::Object(step));
        let time = palette::faint(&format!("{:>9}", amount::elapsed(took)));
        self.print(&format!("{time}  {} {}", palette::good(&width::pad(what, STEP)), inline(line)))
    }

    /// A claim that was just checked and holds.
    pub(super) fn proved(&mut self, claim: impl Into<String>) -> Outcome {
        let claim = claim.into();
        let line = format!("{:>9}  {} {}", "", palette::good("✓"), inline(&claim));
        self.proved.push(claim);
        self.print(&line)
    }

    /// The verdict, once everything held.
    pub(super) fn end(mut self, kept: Option<&Path>) -> Outcome {
        if self.shell.json() {
            return self.shell.value(&json!({
                "schema": SCHEMA,
                "ok": true,
                "ms": self.started.elapsed().as_millis() as u64,
                "steps": self.steps,
                "proved": self.proved,
                "kept": kept,
            }));
        }
        let cleaned = if kept.is_some() { "" } else { "; the folder is gone" };
        let claims = amount::counted(self.proved.len() as u64, "claim", "claims");
        let time = amount::elapsed(self.started.elapsed());
        self.print("")?;
        self.shell.line(format!("{} {claims} checked in {time}{cleaned}.", palette::good("All held:")))
    }

    fn print(&mut self, line: &str) -> Outcome {
        if self.shell.talkative() { self.shell.line(line) } else { Ok(()) }
    }
}

/// The width of the column of step names.
const STEP: usize = 26;
