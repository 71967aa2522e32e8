//! Figures: each benchmark drives the real programs, prints its figures and leaves them as JSON, so that two runs compare.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{cargo, root, step};

const BENCHES: [&str; 3] = ["commands", "relay", "roads"];

/// Runs the named benchmarks, or all; with `--against FILE` it prints how much better or worse each figure is than there, with
/// `--large` it takes ten times the people where a benchmark has figures for that.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let mut names: Vec<&str> = Vec::new();
    let (mut against, mut large) = (None, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--against" => against = Some(words.next().ok_or("--against needs a file")?),
            "--large" => large = true,
            name if BENCHES.contains(&name) => names.push(name),
            other => return Err(format!("no benchmark {other:?}; there are {}", BENCHES.join(", "))),
        }
    }
    if names.is_empty() {
        names.extend(BENCHES);
    }
    let before = against.map(|file| figures(Path::new(file))).transpose()?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |given| root().join(given));
    fs::create_dir_all(target.join("bench")).map_err(|error| error.to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let file = target.join(format!("bench/{now}.jsonl"));
    step("programs", cargo(["build", "--release", "--quiet", "--bins", "--examples", "--workspace"]))?;
    for name in names {
        let mut bench = cargo(["bench", "--quiet", "--package", "ties-tests", "--bench", name]);
        bench.env("TIES_BENCH_JSON", &file);
        if large {
            bench.env("TIES_BENCH_LARGE", "1");
        }
        step(name, bench)?;
    }
    println!("figures: {}", file.display());
    if let Some(before) = before {
        compare(&before, &figures(&file)?);
    }
    Ok(())
}

fn compare(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) {
    println!("{:<48} {:>12} {:>12} {:>8}", "figure", "before", "after", "ratio");
    for (name, value) in after {
        match before.get(name) {
            Some(old) => println!("{name:<48} {old:>12.2} {value:>12.2} {:>8.2}", value / old),
            None => println!("{name:<48} {:>12} {value:>12.2} {:>8}", "-", "-"),
        }
    }
}

/// The figures of a file, a JSON object with `name` and `value` on each line.
fn figures(file: &Path) -> Result<BTreeMap<String, f64>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut figures = BTreeMap::new();
    for line in text.lines() {
        let read: serde_json::Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if let (Some(name), Some(value)) = (read["name"].as_str(), read["value"].as_f64()) {
            figures.insert(name.to_owned(), value);
        }
    }
    Ok(figures)
}
