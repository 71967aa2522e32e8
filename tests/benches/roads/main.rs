//! What each road costs: a new device, a meeting with nothing to do, a year, a bulk import, an agent that waits.
//!
//! `cargo xtask bench roads` prints a line for each figure, with `--large` for 100,000 people too. With programs that are built
//! already `cargo bench -p ties-tests --bench roads -- [fresh|idle|year|direct|agent|large]` is a part of it; with
//! `TIES_BENCH_SMALL` set everything is small, to try the benchmark itself. With `TIES_BENCH_JSON` set to a path, figures are
//! appended there too.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a benchmark")]

mod agent;
mod direct;
mod fresh;
#[path = "../commands/home.rs"]
#[allow(dead_code, reason = "another benchmark uses the rest")]
mod home;
mod idle;
mod pair;
#[path = "../commands/proxy.rs"]
mod proxy;
#[path = "../relay/report.rs"]
#[allow(dead_code, reason = "another benchmark uses the rest")]
mod report;
#[path = "../relay/server.rs"]
#[allow(dead_code, reason = "another benchmark uses the rest")]
mod server;
mod year;

use report::{Better, Report};

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_large = std::env::var_os("TIES_BENCH_LARGE").is_some();
    let wanted = |name: &str| match name {
        "large" => is_large || asked.iter().any(|word| word == name),
        _ => asked.is_empty() || asked.iter().any(|word| word == name),
    };
    let small = std::env::var_os("TIES_BENCH_SMALL").is_some();
    let size = |usual: usize| if small { usual / 50 } else { usual };
    let report = Report::from_environment();
    if wanted("fresh") {
        fresh::usual(&report, size(10_000));
    }
    if wanted("idle") {
        idle::measure(&report, [size(1_000), size(10_000)]);
    }
    if wanted("direct") {
        direct::measure(&report, size(10_000));
    }
    if wanted("agent") {
        agent::measure(&report);
    }
    if wanted("year") {
        year::measure(&report, size(10_000), if small { 8 } else { 365 });
    }
    if wanted("large") {
        fresh::large(&report, size(100_000));
    }
}

fn at_most(bar: f64) -> Option<(f64, Better)> {
    Some((bar, Better::Less))
}

/// What is asynchronous in the engine, for a benchmark that waits for it.
fn wait<T>(doing: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(doing)
}
