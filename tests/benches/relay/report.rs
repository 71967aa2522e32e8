//! Where figures go: to the terminal, and to a file that two runs can be compared by.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

/// The way to print figures.
pub(crate) struct Report {
    file: Option<PathBuf>,
}

/// Which side of a target is the good one.
#[derive(Clone, Copy)]
pub(crate) enum Better {
    More,
    Less,
}

impl Report {
    /// Appends to the file that `TIES_BENCH_JSON` names, if it names one.
    pub(crate) fn from_environment() -> Self {
        Self { file: std::env::var_os("TIES_BENCH_JSON").map(PathBuf::from) }
    }

    /// Says something beside the figures.
    pub(crate) fn note(&self, text: &str) {
        println!("  {text}");
    }

    /// Prints a figure and whether it is as good as it should be.
    pub(crate) fn figure(&self, name: &str, value: f64, unit: &str, target: Option<(f64, Better)>) {
        let verdict = target.map_or(String::new(), |(target, better)| {
            let (sign, good) = match better {
                Better::More => ("at least", value >= target),
                Better::Less => ("at most", value <= target),
            };
            format!("  target: {sign} {target}: {}", if good { "met" } else { "MISSED" })
        });
        let digits = if value.abs() < 10.0 { 2 } else { 1 };
        println!("{name:<40} {value:>12.digits$} {unit}{verdict}");
        if let Some(path) = &self.file {
            let target = target.map(|(target, _)| target);
            let line = serde_json::json!({"name": name, "value": value, "unit": unit, "target": target});
            let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a file for the figures");
            writeln!(file, "{line}").expect("a file that takes the figures");
        }
    }
}
