//! `ties-relay token`: an operator's leave to make mailboxes.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use ties_relay::{Invites, NewToken, Settings, SettingsError, Size, TokenHash, TokenRecord};

use super::Place;
use super::failure::Failure;

/// The words of `ties-relay token`.
#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token and print it: the one time that it can be read
    New(New),
    /// List the tokens: id, uses left, end, quota, label
    List(List),
    /// Revoke a token; the mailboxes made with it stay
    Revoke(Revoke),
}

#[derive(Debug, Args)]
#[command(after_help = "Hand it on by a way that others do not read: whoever has it can make mailboxes.

Examples:
  ties-relay token new --data /var/lib/ties-relay > token.txt
  ties-relay token new --config /etc/ties-relay.toml --label \"sailing club\" --uses 1 --days 7 --quota \"1 GiB\"")]
pub(super) struct New {
    #[command(flatten)]
    place: Place,

    /// How many mailboxes it allows
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,

    /// For how many days
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,

    /// How much each of these mailboxes may hold, such as "1 GiB" [default: the relay's mailbox-size]
    #[arg(long, value_name = "SIZE", value_parser = quota)]
    quota: Option<Size>,

    /// Your own words for it, at most 64 characters
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = label)]
    label: String,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ties-relay token list --data /var/lib/ties-relay
  ties-relay token list --config /etc/ties-relay.toml --json")]
pub(super) struct List {
    #[command(flatten)]
    place: Place,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ties-relay token revoke --data /var/lib/ties-relay 1f9c03ab
  ties-relay token revoke --config /etc/ties-relay.toml \"sailing club\"")]
pub(super) struct Revoke {
    #[command(flatten)]
    place: Place,

    /// Its id, four or more digits of it, or its label
    #[arg(value_name = "TOKEN")]
    name: String,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Token {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::New(new) => new.run(),
            Self::List(list) => list.run(),
            Self::Revoke(revoke) => revoke.run(),
        }
    }
}

impl New {
    fn run(self) -> Result<(), Failure> {
        let data = data(self.place)?;
        let lasts = Duration::from_secs(u64::from(self.days) * DAY);
        let quota = self.quota.map(|size| size.0);
        let wanted = NewToken { uses: self.uses, lasts, quota, label: self.label };
        let invites = Invites::open_or_create(&data).map_err(|error| no_relay(&data, &error))?;
        let token = invites.make(&wanted)?;
        if self.json {
            let (id, text) = (token.hash().id(), token.text());
            let NewToken { uses, quota, label, .. } = &wanted;
            let days = self.days;
            println!(
                "{}",
                json!({"schema": 1, "token": text.as_str(), "id": id, "uses": uses, "days": days, "quota": quota, "label": label})
            );
        } else {
            println!("{}", token.text().as_str());
        }
        Ok(())
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let data = data(self.place)?;
        let tokens = open(&data)?.list().map_err(|error| Failure::failed("cannot read the tokens", &error))?;
        if self.json {
            let tokens: Vec<Value> = tokens.iter().map(|(hash, record, good)| row(hash, record, *good)).collect();
            println!("{}", json!({"schema": 1, "tokens": tokens}));
            return Ok(());
        }
        if tokens.is_empty() {
            eprintln!("No tokens. `ties-relay token new` makes one.");
            return Ok(());
        }
        println!("{:<8}  {:>11}  {:<10}  {:>8}  LABEL", "ID", "LEFT", "END", "QUOTA");
        for (hash, record, good) in tokens {
            let left = format!("{} of {}", record.uses, record.of);
            let end = if good { ends_in(record.expires) } else { "over".to_owned() };
            let quota = record.quota.map_or_else(|| "-".to_owned(), |bytes| Size(bytes).to_string());
            println!("{:<8}  {left:>11}  {end:<10}  {quota:>8}  {}", hash.id(), record.label);
        }
        Ok(())
    }
}

impl Revoke {
    fn run(self) -> Result<(), Failure> {
        let (hash, record) = open(&data(self.place)?)?.revoke(&self.name)?;
        if self.json {
            println!("{}", json!({"schema": 1, "revoked": row(&hash, &record, false)}));
        } else {
            println!("revoked {} {}", hash.id(), record.label);
        }
        Ok(())
    }
}

fn row(hash: &TokenHash, record: &TokenRecord, good: bool) -> Value {
    json!({
        "id": hash.id(),
        "left": record.uses,
        "of": record.of,
        "made": record.made.as_secs(),
        "expires": record.expires.as_secs(),
        "good": good,
        "quota": record.quota,
        "label": record.label,
    })
}

fn data(place: Place) -> Result<PathBuf, Failure> {
    Ok(place.settings(Settings::default())?.data.ok_or(SettingsError::NoData)?)
}

fn open(data: &std::path::Path) -> Result<Invites, Failure> {
    Invites::open(data).map_err(|error| no_relay(data, &error))
}

fn no_relay(data: &std::path::Path, error: &ties_store::OpenError) -> Failure {
    match error {
        ties_store::OpenError::Missing(_) => Failure::not_found(
            format!("there is no relay in {}", data.display()),
            "ties-relay --data DIR makes one, and so does ties-relay token new",
        ),
        error => Failure::failed(format!("the relay's database in {} cannot be opened", data.display()), error),
    }
}

fn ends_in(expires: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = expires.saturating_sub(now).as_secs();
    match left / DAY {
        0 => format!("in {} h", left / 3600),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    }
}

fn quota(text: &str) -> Result<Size, String> {
    let size: Size = text.parse().map_err(|error: ties_relay::SizeError| error.to_string())?;
    if size.0 == 0 { Err("a mailbox that holds nothing is of no use".to_owned()) } else { Ok(size) }
}

fn label(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.chars().count() > 64 || text.chars().any(char::is_control) {
        return Err("a label is one line of at most 64 characters".to_owned());
    }
    Ok(text.to_owned())
}

const DAY: u64 = 24 * 60 * 60;
