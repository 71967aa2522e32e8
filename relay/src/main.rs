//! `ties-relay`: a relay for servers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::net::TcpListener;

/// Keeps sealed changes for devices that are not online together; it can read none of them.
///
/// Prints `ready <address>` once it takes connections: the address for `ties relay add`. On loopback it speaks plain
/// WebSocket, elsewhere TLS with its own key, which the address pins. `GET /healthz` answers `ok` where there is no TLS.
#[derive(Debug, Parser)]
#[command(name = "ties-relay", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    /// The address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7700")]
    listen: SocketAddr,

    /// The folder of its key and its database; made if it is not there.
    #[arg(long, value_name = "DIR", required = true)]
    data: Option<PathBuf>,

    /// Lets anybody make a mailbox, without an invite token.
    #[arg(long)]
    open: bool,

    /// Speaks plain WebSocket on any address, for a proxy that ends TLS and keeps the Host header.
    #[arg(long)]
    behind_proxy: bool,

    /// A name under which devices dial it; others are refused. May be given more than once.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Handles invite tokens.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Makes a token that allows mailboxes to be made, and prints it; the relay may be running.
    New {
        /// The relay's folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// How many mailboxes it allows.
        #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
        /// For how many days.
        #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: u32,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_env_filter(
            tracing_subscriber::EnvFilter::builder()
                .with_default_directive(tracing::Level::INFO.into())
                .from_env_lossy(),
        )
        .init();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("Caused by: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    if let Some(Command::Token { command: TokenCommand::New { data, uses, days } }) = arguments.command {
        let lasts = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
        println!("{}", ties_relay::new_token(&data, uses, lasts)?.text().as_str());
        return Ok(());
    }
    let data = arguments.data.ok_or("--data DIR is missing")?;
    let config = ties_relay::Config {
        open: arguments.open,
        behind_proxy: arguments.behind_proxy,
        hosts: arguments.hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect(),
        ..ties_relay::Config::new(data)
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(arguments.listen)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}", arguments.listen))?;
        Ok(ties_relay::run(listener, config, asked_to_stop()?).await?)
    })
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
