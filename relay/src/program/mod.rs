//! The words of `ties-relay` and what each does.

mod failure;
mod tokens;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ties_relay::Settings;
use tokio::net::TcpListener;

use failure::Failure;

/// Keeps sealed changes for devices that are not online together; it can read none of them
///
/// Prints `ready ADDRESS` once it takes connections: the address for `ties relay add`. On loopback it speaks plain
/// WebSocket, elsewhere TLS with its own key, which the address pins. `GET /healthz` answers `ok` where there is no TLS or
/// a certificate. Ctrl-C or SIGTERM ends it; what it acknowledged is on disk. RUST_LOG says how much it tells (info).
#[derive(Debug, Parser)]
#[command(
    name = "ties-relay",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  ties-relay --data ~/relay --open                             try it on this machine
  ties-relay --data /var/lib/ties-relay --listen 0.0.0.0:7700 --host relay.example
  ties-relay --config /etc/ties-relay.toml --metrics
  ties-relay token new --data /var/lib/ties-relay --label \"sailing club\" --uses 1
  ties-relay token list --config /etc/ties-relay.toml --json"
)]
struct Words {
    #[command(flatten)]
    serve: Serve,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    place: Place,

    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:7700]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,

    /// Let anybody make a mailbox, without an invite token
    #[arg(long)]
    open: bool,

    /// Speak plain WebSocket on any address, for a proxy that ends TLS and keeps the Host header
    #[arg(long)]
    behind_proxy: bool,

    /// Name under which devices dial it; others are refused. May be given more than once
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,

    /// Certificate chain in PEM, for wss:// addresses in place of its own key; SIGHUP reads it anew
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Answer `GET /metrics` there, for Prometheus
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:7701")]
    metrics: Option<SocketAddr>,

    /// Set a limit as the configuration file names it, such as mailbox-size="1 GiB". May be given more than once
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
}

/// Which relay is meant.
#[derive(Debug, Args)]
struct Place {
    /// Folder of its key and its database; made if it is not there
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Configuration file (TOML) for every option; what the command line says wins
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make, list and revoke invite tokens; the relay may be running
    #[command(subcommand)]
    Token(tokens::Token),
    /// Say whether a configuration can be used, and start nothing
    CheckConfig(CheckConfig),
}

#[derive(Debug, Args)]
#[command(after_help = "Reads the certificate too, if there is one. Exit code 0 if all is well, 2 if not.

Examples:
  ties-relay check-config --config /etc/ties-relay.toml
  ties-relay check-config --config relay.toml && systemctl restart ties-relay")]
struct CheckConfig {
    /// The file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Does what the command line says.
pub(crate) fn run() -> Result<(), Failure> {
    let words = Words::try_parse().or_else(mistaken)?;
    match words.command {
        None => words.serve.run(),
        Some(Command::Token(token)) => token.run(),
        Some(Command::CheckConfig(check)) => check.run(),
    }
}

/// Shows help and version, which are no mistakes; a mistake is told as every other failure.
fn mistaken(error: clap::Error) -> Result<Words, Failure> {
    if !error.use_stderr() {
        error.exit();
    }
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let message = lines.join(" ");
    Err(Failure::usage(message.strip_prefix("error: ").unwrap_or(&message)))
}

impl Place {
    /// What the file says, under what these words say.
    fn settings(self, words: Settings) -> Result<Settings, Failure> {
        let file = self.config.as_deref().map(Settings::read).transpose()?.unwrap_or_default();
        Ok(Settings { data: self.data, ..words }.over(file))
    }
}

impl Serve {
    fn run(self) -> Result<(), Failure> {
        let mut words = Settings {
            listen: self.listen,
            open: self.open.then_some(true),
            behind_proxy: self.behind_proxy.then_some(true),
            hosts: Some(self.hosts).filter(|hosts| !hosts.is_empty()),
            tls_cert: self.tls_cert,
            tls_key: self.tls_key,
            metrics: self.metrics,
            ..Settings::default()
        };
        for limit in &self.limits {
            words.limit(limit)?;
        }
        let settings = self.place.settings(words)?;
        let (listen, config) = (settings.listen(), settings.config()?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| Failure::failed("cannot start", &error))?.block_on(async {
            // Bound first: a wrong address should not make a folder.
            let listener = TcpListener::bind(listen)
                .await
                .map_err(|error| Failure::failed(format!("cannot listen on {listen}"), &error))?;
            let stop = asked_to_stop().map_err(|error| Failure::failed("cannot listen for signals", &error))?;
            Ok(ties_relay::run(listener, config, stop).await?)
        })
    }
}

impl CheckConfig {
    fn run(self) -> Result<(), Failure> {
        let settings = Settings::read(&self.config)?;
        let (listen, config) = (settings.listen(), settings.config()?);
        if let Some(tls) = &config.tls {
            tls.load()?;
        }
        println!("{} can be used: serves {} on {listen}", self.config.display(), config.data.display());
        Ok(())
    }
}

/// Becomes ready with Ctrl-C or SIGTERM. It listens for them from now on, not only once somebody waits: whoever read
/// that the relay is ready may ask it to stop.
#[cfg(unix)]
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Becomes ready with Ctrl-C.
#[cfg(not(unix))]
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
