//! `ties relay`: uses, lists and runs relays.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use ties_book::api::{RelayRow, Reply, Request, Secret};
use ties_relay::{Config, Invites, NewToken, Server};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::{SCHEMA, status};
use crate::desk::{self, Desk, unexpected};
use crate::errors::{Failure, Kind, Outcome};
use crate::grammar::is_dash;
use crate::render::palette;
use crate::screen::{Screen, road};
use crate::{signals, terminal};

/// The words of `ties relay`.
#[derive(Debug, Subcommand)]
#[command(
    infer_subcommands = true,
    after_help = "A relay stores and forwards sealed changes and can read none of them; a folder (a stick, a synced folder) carries \
them too.

Examples:
  ties relay add ties://KEY@relay.example:7700
  ties relay add folder:/media/stick
  ties relay serve --listen 127.0.0.1:7700 --data ~/relay --open"
)]
pub(crate) enum Relay {
    /// Use a relay, or a folder, from now on
    Add(Add),
    /// List the relays and folders in use
    List(List),
    /// Visit a folder no more
    Remove(RemoveFolder),
    /// Run a relay
    Serve(Serve),
    /// Make an invite token for a relay of your own
    Token(Token),
}

impl Relay {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        match self {
            Self::Add(add) => add.run(desk),
            Self::List(_) => list(desk),
            Self::Remove(remove) => remove.run(desk),
            Self::Serve(serve) => serve.run(desk),
            Self::Token(token) => token.run(desk),
        }
    }
}

/// The words of `ties relay add`.
#[derive(Debug, Args)]
#[command(
    after_help = "The address is what the relay prints when it is ready; the part with the key pins it. A folder is \
visited by each `ties sync` of this device alone: on others it has other paths.

Examples:
  ties relay add ws://127.0.0.1:7700#KEY
  ties relay add folder:/media/stick
  ties relay add ties://KEY@relay.example:7700 --token-file token.txt
  ties relay add wss://relay.example/ties#KEY --token-file - < token.txt"
)]
pub(crate) struct Add {
    /// Address with key: ties://KEY@HOST:PORT, wss://HOST/PATH#KEY, or on this host ws://127.0.0.1:PORT#KEY; or folder:DIR
    url: String,

    /// File with the operator's invite token (`-`: standard input)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Add {
    fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let token = self.token_file.as_ref().map(token).transpose()?;
        let (book, shell) = desk.parts()?;
        let mut screen = Screen::new(shell);
        let request = Request::RelayAdd { url: self.url, token };
        let reply = desk::wait(async {
            tokio::select! {
                reply = book.handle(request, &mut screen) => reply.map_err(Failure::from),
                () = signals::stop_requested() => Err(
                    Failure::failed("stopped before the relay answered").hint("the same command again is safe")
                ),
            }
        });
        drop(screen);
        let Reply::RelayAdded { url } = reply? else { return Err(unexpected()) };
        if shell.json() {
            return shell.value(&json!({"schema": SCHEMA, "added": url}));
        }
        let relay = palette::strong(&road(&url));
        let what = if url.starts_with("folder:") { "+" } else { "+ relay" };
        shell.line(format!("{} {relay}", palette::good(what)))?;
        shell.remark(format!("Next: {}", palette::code("ties sync")));
        Ok(())
    }
}

/// Reads a token; white space around it is not part of it.
fn token(file: &PathBuf) -> Outcome<Secret> {
    let text = Zeroizing::new(if is_dash(file.as_os_str()) {
        terminal::read_answer()?
    } else {
        fs::read_to_string(file).map_err(|error| Failure::io(format!("cannot read {}", file.display()), &error))?
    });
    match text.trim() {
        "" => Err(Failure::usage("the token is empty")),
        token => Ok(Secret::new(token)),
    }
}

/// The words of `ties relay list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ties relay list
  ties relay list --json")]
pub(crate) struct List {}

fn list(desk: &mut Desk<'_>) -> Outcome {
    let Reply::Relays { relays } = desk.answer(Request::RelayList)? else {
        return Err(unexpected());
    };
    if desk.shell.json() {
        return desk.shell.value(&json!({"schema": SCHEMA, "relays": relays}));
    }
    if relays.is_empty() {
        desk.shell.remark("No relay yet. `ties relay add URL` uses one, `ties relay serve` runs one.");
    }
    let now = desk.now();
    desk.shell.lines(relays.iter().map(|relay: &RelayRow| status::relay(relay, now)).collect::<Vec<_>>())
}

/// The words of `ties relay remove`.
#[derive(Debug, Args)]
#[command(
    after_help = "What lies in the folder stays there. A relay cannot be taken off here: it belongs to all devices.

Examples:
  ties relay remove folder:/media/stick
  ties relay remove folder:/media/stick --json"
)]
pub(crate) struct RemoveFolder {
    /// The folder's address, as `ties relay list` shows it
    #[arg(value_name = "folder:DIR")]
    url: String,
}

impl RemoveFolder {
    fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let Reply::RelayRemoved { url } = desk.answer(Request::RelayRemove { url: self.url })? else {
            return Err(unexpected());
        };
        if desk.shell.json() {
            return desk.shell.value(&json!({"schema": SCHEMA, "removed": url}));
        }
        desk.shell.line(format!("{} {}", palette::warning("-"), palette::strong(&road(&url))))
    }
}

/// The words of `ties relay serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints `ready URL` once it takes connections; devices use it with `ties relay add URL`. Ctrl-C or \
SIGTERM ends it; what it acknowledged is on disk. `ties-relay` is the same, alone, for servers.

Examples:
  ties relay serve --listen 127.0.0.1:7700 --data ~/relay --open
  ties relay serve --listen 0.0.0.0:7700 --data /var/lib/ties-relay"
)]
pub(crate) struct Serve {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7700")]
    listen: SocketAddr,

    /// Folder for its key and its store
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Let anybody make a mailbox, without an invite token
    #[arg(long)]
    open: bool,
}

impl Serve {
    fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let config = Config { open: self.open, ..Config::new(self.data) };
        desk::wait(async {
            // Bound first: a wrong address should not make a folder.
            let listener = TcpListener::bind(self.listen)
                .await
                .map_err(|error| Failure::failed(format!("cannot listen on {}", self.listen)).because(&error))?;
            let local = listener.local_addr()?;
            let server = Server::open(config).map_err(|error| Failure::chain(&error))?;
            let url = server.address(local).map_err(|error| Failure::chain(&error))?.to_string();
            if desk.shell.json() {
                desk.shell.record(&json!({"schema": SCHEMA, "ready": url}))?;
            } else {
                desk.shell.line(format!("ready {url}"))?;
            }
            server.run(listener, signals::stop_requested()).await.map_err(|error| Failure::chain(&error))
        })
    }
}

/// The words of `ties relay token`.
#[derive(Debug, Args)]
#[command(
    after_help = "A relay without --open makes a mailbox only for who brings a token. It may be running meanwhile.

Examples:
  ties relay token --data ~/relay > token.txt
  ties relay token --data ~/relay --uses 1 --days 2"
)]
pub(crate) struct Token {
    /// The relay's folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// How many mailboxes it allows
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,

    /// For how many days
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

impl Token {
    fn run(self, desk: &mut Desk<'_>) -> Outcome {
        // Where no relay is, a token would only make an empty folder look like one.
        if !self.data.is_dir() {
            return Err(Failure::new(Kind::NotFound, format!("there is no relay in {}", self.data.display()))
                .hint("ties relay serve --data DIR makes one"));
        }
        let lasts = Duration::from_secs(u64::from(self.days) * 24 * 60 * 60);
        let wanted = NewToken { uses: self.uses, lasts, quota: None, label: String::new() };
        let invites = Invites::open_or_create(&self.data).map_err(|error| Failure::chain(&error))?;
        let token = invites.make(&wanted).map_err(|error| Failure::chain(&error))?;
        let text = token.text();
        if desk.shell.json() {
            return desk
                .shell
                .value(&json!({"schema": SCHEMA, "token": text.as_str(), "uses": self.uses, "days": self.days}));
        }
        desk.shell.line(text.as_str())
    }
}
